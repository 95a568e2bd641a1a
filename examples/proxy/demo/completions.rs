//! The demo's OpenAI Completions, the protocol before Chat: a prompt, and text that goes on.

use http::request::Parts;
use serde_json::{Value, json};

use super::chat::{CREATED, Chat, usage};
use super::generate::{Dialect, Refusal, Turn};
use super::read::{known, one_or_more};
use super::scenario::{Answer, Asked, Ending, Stop, Text};
use super::stream::Step;

/// How many tokens an answer has at most where the request does not say it.
const DEFAULT_MAX_TOKENS: u64 = 16;

#[rustfmt::skip]
const MEMBERS: [&str; 18] = [
    "best_of", "echo", "frequency_penalty", "logit_bias", "logprobs", "max_tokens", "model", "n",
    "presence_penalty", "prompt", "seed", "stop", "stream", "stream_options", "suffix",
    "temperature", "top_p", "user",
];

#[derive(Debug)]
pub(super) enum Completions {}

impl Dialect for Completions {
    fn read(_: &Parts, body: &Value) -> Result<Asked, Refusal> {
        known(body, &MEMBERS, "Unrecognized request argument supplied")?;
        let model = body["model"].as_str();
        let prompts = one_or_more(&body["prompt"]);
        // The demo has one answer; the real one answers each prompt of a list.
        let [prompt] = prompts.as_slice() else {
            return Err(Refusal::new("prompt: expected one text"));
        };
        Ok(Asked {
            model: model.ok_or(Refusal::new("you must provide a model parameter"))?.to_owned(),
            stream: body["stream"] == true,
            said: vec![prompt.clone()],
            max_tokens: body["max_tokens"].as_u64().or(Some(DEFAULT_MAX_TOKENS)),
            stop: one_or_more(&body["stop"]),
            include_usage: body["stream_options"]["include_usage"] == true,
            ..Asked::default()
        })
    }

    fn error(status: u16, message: &str) -> Value {
        Chat::error(status, message)
    }

    fn whole(turn: &Turn, answer: Answer) -> Value {
        let (usage, finish) = (usage(&turn.asked, &answer), finish(&answer.stop));
        let text = answer.text.map(Text::whole).unwrap_or_default();
        let mut document = document(turn, &text, Some(finish));
        document["usage"] = usage;
        document
    }

    fn events(turn: &Turn, answer: Answer) -> Box<dyn Iterator<Item = Step> + Send> {
        let data = |document: &Value| Step::Data(format!("data: {document}\n\n"));
        let end = match answer.ending {
            Ending::Cut => vec![Step::Flush, Step::Cut],
            Ending::Error => vec![data(&Chat::error(500, "the demo fails as it was asked to"))],
            Ending::Clean => {
                let mut end = vec![data(&document(turn, "", Some(finish(&answer.stop))))];
                if turn.asked.include_usage {
                    let mut last = document(turn, "", None);
                    last["choices"] = json!([]);
                    last["usage"] = usage(&turn.asked, &answer);
                    end.push(data(&last));
                }
                end.push(Step::Data("data: [DONE]\n\n".into()));
                end
            }
        };
        let clean = answer.ending == Ending::Clean;
        let frame = document(turn, "", None);
        let text = answer.text.map(Text::fragments).into_iter().flatten();
        let deltas = text.take(if clean { usize::MAX } else { 2 }).flat_map(move |text| {
            let mut document = frame.clone();
            document["choices"][0]["text"] = json!(text);
            [Step::Pace, Step::Data(format!("data: {document}\n\n"))]
        });
        Box::new(deltas.chain(end))
    }
}

fn finish(stop: &Stop) -> &'static str {
    if *stop == Stop::MaxTokens { "length" } else { "stop" }
}

fn document(turn: &Turn, text: &str, finish: Option<&str>) -> Value {
    json!({
        "id": format!("cmpl-demo{}", turn.number), "object": "text_completion",
        "created": CREATED, "model": turn.asked.model,
        "choices": [{"text": text, "index": 0, "logprobs": null, "finish_reason": finish}],
    })
}
