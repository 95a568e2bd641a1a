//! The events of the demo's OpenAI Responses.

use serde_json::{Value, json};

use super::super::generate::Turn;
use super::super::scenario::{Answer, Ending, pieces};
use super::super::stream::Step;
use super::{State, call_item, message, reasoning, response, text_part, usage};

/// What stands in a stream, before it is numbered.
enum Part {
    Event(Value),
    /// Text of the message: nearly all events are these.
    Text(String),
    Step(Step),
}

/// Numbers events as it writes them.
struct Writer {
    sequence: u64,
    item_id: String,
    index: usize,
}

impl Writer {
    fn step(&mut self, part: Part) -> Step {
        let number = self.sequence;
        self.sequence += u64::from(!matches!(part, Part::Step(_)));
        match part {
            Part::Step(step) => step,
            Part::Event(mut event) => {
                event["sequence_number"] = json!(number);
                let name = event["type"].as_str().unwrap_or_default();
                Step::Data(format!("event: {name}\ndata: {event}\n\n"))
            }
            // By hand: real ones have `type` first.
            Part::Text(text) => {
                let (Self { item_id, index, .. }, text) = (self, json!(text));
                Step::Data(format!(
                    "event: response.output_text.delta\n\
                     data: {{\"type\":\"response.output_text.delta\",\"content_index\":0,\
                     \"delta\":{text},\"item_id\":\"{item_id}\",\"logprobs\":[],\
                     \"output_index\":{index},\"sequence_number\":{number}}}\n\n"
                ))
            }
        }
    }
}

pub(super) fn events(turn: &Turn, answer: Answer) -> Box<dyn Iterator<Item = Step> + Send> {
    let number = turn.number;
    let begun = response(turn, State::InProgress, &[], &Value::Null);
    let mut start = vec![
        Part::Event(json!({"type": "response.created", "response": begun})),
        Part::Event(json!({"type": "response.in_progress", "response": begun})),
    ];
    // What the last event repeats.
    let mut output = Vec::new();
    if let Some(text) = &answer.thinking {
        output.push(reasoning(turn, text));
        start.extend(thinking(&output[0]));
    }
    let index = output.len();
    let mut writer = Writer { sequence: 0, item_id: format!("msg_demo{number}"), index };
    let number_them = move |part| writer.step(part);
    let state = State::of(&answer);
    let whole = response(turn, state, &[], &usage(&turn.asked, &answer));
    let Some(text) = answer.text else {
        if answer.ending == Ending::Error {
            start.extend(failure(turn));
            return Box::new(start.into_iter().map(number_them));
        }
        for (offset, call) in answer.calls.iter().enumerate() {
            output.push(call_item(number, offset, call, true));
            let begun = call_item(number, offset, call, false);
            start.extend(call_events(index + offset, &begun, &output[index + offset]));
        }
        start.push(end_event(whole, output, state));
        return Box::new(start.into_iter().map(number_them));
    };
    start.push(item_event("added", index, &message(number, None, "in_progress")));
    start.push(part_event("added", number, index, &text_part("")));
    let deltas = text.clone().fragments().map(Part::Text);
    let broken = match answer.ending {
        Ending::Clean => {
            // The text comes four times more at the end, and may be long.
            let end = std::iter::once_with(move || {
                let text = text.whole();
                output.push(message(number, Some(&text), state.word()));
                let mut parts = text_done(number, index, &text);
                parts.push(item_event("done", index, &output[index]));
                parts.push(end_event(whole, output, state));
                parts
            });
            let deltas = deltas.flat_map(|delta| [Part::Step(Step::Pace), delta]);
            let parts = start.into_iter().chain(deltas).chain(end.flatten());
            return Box::new(parts.map(number_them));
        }
        Ending::Cut => vec![Part::Step(Step::Flush), Part::Step(Step::Cut)],
        Ending::Error => failure(turn),
    };
    Box::new(start.into_iter().chain(deltas.take(2)).chain(broken).map(number_them))
}

fn end_event(mut whole: Value, output: Vec<Value>, state: State) -> Part {
    whole["output"] = output.into();
    Part::Event(json!({"type": format!("response.{}", state.word()), "response": whole}))
}

fn failure(turn: &Turn) -> Vec<Part> {
    let failed = response(turn, State::Failed, &[], &Value::Null);
    let error = json!({
        "type": "server_error", "code": "server_error", "param": null,
        "message": failed["error"]["message"],
    });
    vec![
        Part::Event(json!({"type": "error", "error": error})),
        Part::Event(json!({"type": "response.failed", "response": failed})),
    ]
}

fn item_event(what: &str, index: usize, item: &Value) -> Part {
    let kind = format!("response.output_item.{what}");
    Part::Event(json!({"type": kind, "output_index": index, "item": item}))
}

fn part_event(what: &str, number: u64, index: usize, part: &Value) -> Part {
    Part::Event(json!({
        "type": format!("response.content_part.{what}"), "item_id": format!("msg_demo{number}"),
        "output_index": index, "content_index": 0, "part": part,
    }))
}

fn text_done(number: u64, index: usize, text: &str) -> Vec<Part> {
    let event = json!({
        "type": "response.output_text.done", "item_id": format!("msg_demo{number}"),
        "output_index": index, "content_index": 0, "text": text, "logprobs": [],
    });
    vec![Part::Event(event), part_event("done", number, index, &text_part(text))]
}

/// The events of what was thought, given how it is in the end.
fn thinking(item: &Value) -> Vec<Part> {
    let mut begun = item.clone();
    begun["summary"] = json!([]);
    let mut parts = vec![item_event("added", 0, &begun)];
    if let Some(text) = item["summary"][0]["text"].as_str() {
        let event = |kind: &str, name: &str, value: Value| {
            let kind = format!("response.reasoning_summary_{kind}");
            Part::Event(json!({
                "type": kind, "item_id": item["id"], "output_index": 0, "summary_index": 0,
                name: value,
            }))
        };
        parts.push(event("part.added", "part", json!({"type": "summary_text", "text": ""})));
        let words = text.split_inclusive(' ');
        parts.extend(words.map(|word| event("text.delta", "delta", json!(word))));
        parts.push(event("text.done", "text", json!(text)));
        parts.push(event("part.done", "part", item["summary"][0].clone()));
    }
    parts.push(item_event("done", 0, item));
    parts
}

fn call_events(index: usize, begun: &Value, done: &Value) -> Vec<Part> {
    let (kind, slot) = if done["type"] == "custom_tool_call" {
        ("custom_tool_call_input", "input")
    } else {
        ("function_call_arguments", "arguments")
    };
    let event = |what: &str, name: &str, text: &str| {
        Part::Event(json!({
            "type": format!("response.{kind}.{what}"), "item_id": done["id"],
            "output_index": index, name: text,
        }))
    };
    let text = done[slot].as_str().unwrap_or_default();
    let mut parts = vec![item_event("added", index, begun)];
    parts.extend(pieces(text).iter().map(|piece| event("delta", "delta", piece)));
    parts.push(event("done", slot, text));
    parts.push(item_event("done", index, done));
    parts
}
