//! What the demo's Gemini answers.

use serde_json::{Value, json};

use super::super::generate::{Dialect, Turn};
use super::super::scenario::{Answer, Asked, Call, Ending, Stop, Text};
use super::super::stream::Step;
use super::{Gemini, SIGNATURE, camel, is_sse};

pub(super) fn whole(turn: &Turn, answer: Answer) -> Value {
    let (usage, finish) = (usage(&turn.asked, &answer, None), finish(&answer.stop));
    let signature = signature(&answer);
    let mut parts: Vec<Value> = thought(turn, &answer).into_iter().collect();
    parts.extend(calls(&answer.calls, signature));
    if let Some(text) = answer.text {
        parts.push(signed(json!({"text": text.whole()}), signature));
    }
    chunk(turn, &parts, Some(finish), &usage)
}

pub(super) fn events(turn: &Turn, answer: Answer) -> Box<dyn Iterator<Item = Step> + Send> {
    let frame = Frame { sse: is_sse(&turn.parts), begun: false };
    let early = usage(&turn.asked, &answer, Some(0));
    let last = usage(&turn.asked, &answer, None);
    let mut start = Vec::new();
    if let Some(thought) = thought(turn, &answer) {
        start.push(chunk(turn, &[thought], None, &early));
    }
    for call in calls(&answer.calls, signature(&answer)) {
        start.push(chunk(turn, &[call], None, &early));
    }
    // Signed where it holds no call: on an empty text, as the real one does it.
    let end = signed(json!({"text": ""}), signature(&answer).filter(|_| answer.calls.is_empty()));
    let end = chunk(turn, &[end], Some(finish(&answer.stop)), &last);
    let start = start.into_iter().map(Part::Chunk);
    let text = answer.text.map(Text::fragments).into_iter().flatten();
    let model = turn.asked.model.clone();
    let number = turn.number;
    let deltas = text.enumerate().map(move |(index, text)| {
        let mut usage = early.clone();
        usage["candidatesTokenCount"] = json!(index + 1);
        let parts = [json!({"text": text})];
        Part::Chunk(chunk_of(number, &model, &parts, None, &usage))
    });
    let end = match answer.ending {
        Ending::Clean => {
            let deltas = deltas.flat_map(|delta| [Part::Step(Step::Pace), delta]);
            let parts = start.chain(deltas).chain([Part::Chunk(end), Part::End]);
            return Box::new(frame.steps(parts));
        }
        Ending::Cut => [Part::Step(Step::Flush), Part::Step(Step::Cut)],
        Ending::Error => {
            let error = Gemini::error(503, "the demo fails as it was asked to");
            [Part::Chunk(error), Part::End]
        }
    };
    Box::new(frame.steps(start.chain(deltas.take(2)).chain(end)))
}

/// What stands in a stream, before it is framed.
enum Part {
    Chunk(Value),
    Step(Step),
    End,
}

/// Server-sent events, or the pieces of one JSON list.
struct Frame {
    sse: bool,
    begun: bool,
}

impl Frame {
    fn steps(mut self, parts: impl Iterator<Item = Part>) -> impl Iterator<Item = Step> {
        parts.filter_map(move |part| match part {
            Part::Step(step) => Some(step),
            Part::Chunk(chunk) if self.sse => Some(Step::Data(format!("data: {chunk}\r\n\r\n"))),
            Part::Chunk(chunk) => {
                let before = if std::mem::replace(&mut self.begun, true) { ",\r\n" } else { "[" };
                Some(Step::Data(format!("{before}{chunk}")))
            }
            Part::End => (!self.sse).then(|| Step::Data("]".into())),
        })
    }
}

/// What was thought, where it may be seen.
fn thought(turn: &Turn, answer: &Answer) -> Option<Value> {
    let body = camel(&turn.body["generationConfig"]);
    let body = if body.is_null() { camel(&turn.body["generation_config"]) } else { body };
    let shown = body["thinkingConfig"]["includeThoughts"] == true;
    let text = answer.thinking.as_ref().filter(|_| shown)?;
    Some(json!({"text": text, "thought": true}))
}

fn signature(answer: &Answer) -> Option<&'static str> {
    answer.thinking.as_ref().map(|_| SIGNATURE)
}

fn signed(mut part: Value, signature: Option<&str>) -> Value {
    if let Some(signature) = signature {
        part["thoughtSignature"] = json!(signature);
    }
    part
}

/// Without ids; of calls at once only the first is signed.
fn calls<'a>(calls: &'a [Call], signature: Option<&'a str>) -> impl Iterator<Item = Value> + 'a {
    calls.iter().enumerate().map(move |(index, call)| {
        let args: Value = serde_json::from_str(&call.arguments).unwrap_or(json!({}));
        let part = json!({"functionCall": {"name": call.name, "args": args}});
        signed(part, signature.filter(|_| index == 0))
    })
}

/// A turn with calls ends like any other.
fn finish(stop: &Stop) -> &'static str {
    if *stop == Stop::MaxTokens { "MAX_TOKENS" } else { "STOP" }
}

/// The counts; with `so_far` those of a stream under way.
fn usage(asked: &Asked, answer: &Answer, so_far: Option<u64>) -> Value {
    let thoughts = answer.thinking_tokens();
    let input = asked.input_tokens + asked.cached_tokens;
    let output = so_far.unwrap_or(answer.output_tokens() - thoughts);
    let mut usage = json!({
        "promptTokenCount": input, "totalTokenCount": input + output + thoughts,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": input}],
    });
    let counts = [
        ("candidatesTokenCount", output),
        ("thoughtsTokenCount", thoughts),
        ("cachedContentTokenCount", asked.cached_tokens),
    ];
    for (name, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        usage[name] = json!(count);
    }
    usage
}

fn chunk(turn: &Turn, parts: &[Value], finish: Option<&str>, usage: &Value) -> Value {
    chunk_of(turn.number, &turn.asked.model, parts, finish, usage)
}

fn chunk_of(
    number: u64,
    model: &str,
    parts: &[Value],
    finish: Option<&str>,
    usage: &Value,
) -> Value {
    let mut candidate = json!({"content": {"parts": parts, "role": "model"}, "index": 0});
    if let Some(finish) = finish {
        candidate["finishReason"] = json!(finish);
    }
    json!({
        "candidates": [candidate], "usageMetadata": usage, "modelVersion": model,
        "responseId": format!("demo{number}"),
    })
}
