//! One answer in the words of every vendor: it thinks, speaks, and calls two tools at once; their
//! arguments come interleaved wherever the protocol allows it.

use serde_json::{Value, json};
use tower_llm_gateway::protocol::Protocol::{self, Anthropic, Gemini, OpenAiChat, OpenAiResponses};

use crate::listen::Piece;

pub(crate) const THOUGHT: [&str; 2] = ["K\u{f6}ln? ", "\u{1f914}."];
pub(crate) const WORDS: [&str; 2] = ["I \"look\"\n", "it up \u{20ac}\u{1f600}."];
const WEATHER: [&str; 2] = [r#"{"city":"K"#, "\u{f6}ln\",\"days\":2}"];
const CLOCK: [&str; 2] = [r#"{"zo"#, r#"ne":"UTC"}"#];
pub(crate) const INPUT: u64 = 11;
pub(crate) const OUTPUT: u64 = 7;

/// What a caller must have heard.
pub(crate) fn expected() -> Vec<Piece> {
    let call = |name: &str, arguments: [&str; 2]| {
        Piece::Call(name.to_owned(), serde_json::from_str(&arguments.concat()).unwrap())
    };
    vec![
        Piece::Think(THOUGHT.concat()),
        Piece::Say(WORDS.concat()),
        call("weather", WEATHER),
        call("clock", CLOCK),
    ]
}

/// The events of the stream, each of them whole.
pub(crate) fn events(vendor: Protocol) -> Vec<String> {
    match vendor {
        Anthropic => named(messages()),
        OpenAiResponses => named(responses()),
        OpenAiChat => {
            let mut events: Vec<_> =
                chat().iter().map(|chunk| format!("data: {chunk}\n\n")).collect();
            events.push("data: [DONE]\n\n".to_owned());
            events
        }
        Gemini => gemini().iter().map(|chunk| format!("data: {chunk}\n\n")).collect(),
        _ => dashscope()
            .iter()
            .enumerate()
            .map(|(id, chunk)| format!("id:{id}\nevent:result\n:HTTP_STATUS/200\ndata:{chunk}\n\n"))
            .collect(),
    }
}

/// How many of [`events`] hold no word of the answer yet.
pub(crate) fn preamble(vendor: Protocol) -> usize {
    match vendor {
        Anthropic => 2,
        OpenAiResponses => 4,
        OpenAiChat => 1,
        _ => 0,
    }
}

fn named(events: Vec<Value>) -> Vec<String> {
    let event =
        |event: Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap());
    events.into_iter().map(event).collect()
}

fn messages() -> Vec<Value> {
    let start = |index: usize, block: Value| json!({"type": "content_block_start", "index": index, "content_block": block});
    let delta = |index: usize, delta: Value| json!({"type": "content_block_delta", "index": index, "delta": delta});
    let stop = |index: usize| json!({"type": "content_block_stop", "index": index});
    let call =
        |id: &str, name: &str| json!({"type": "tool_use", "id": id, "name": name, "input": {}});
    let json_delta = |part: &str| json!({"type": "input_json_delta", "partial_json": part});
    vec![
        json!({"type": "message_start", "message": {
            "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [],
            "stop_reason": null, "stop_sequence": null,
            "usage": {"input_tokens": INPUT, "output_tokens": 1},
        }}),
        start(0, json!({"type": "thinking", "thinking": "", "signature": ""})),
        delta(0, json!({"type": "thinking_delta", "thinking": THOUGHT[0]})),
        delta(0, json!({"type": "thinking_delta", "thinking": THOUGHT[1]})),
        delta(0, json!({"type": "signature_delta", "signature": "EqoB"})),
        stop(0),
        start(1, json!({"type": "text", "text": ""})),
        delta(1, json!({"type": "text_delta", "text": WORDS[0]})),
        delta(1, json!({"type": "text_delta", "text": WORDS[1]})),
        stop(1),
        start(2, call("toolu_1", "weather")),
        delta(2, json_delta("")),
        delta(2, json_delta(WEATHER[0])),
        delta(2, json_delta(WEATHER[1])),
        stop(2),
        start(3, call("toolu_2", "clock")),
        delta(3, json_delta(CLOCK[0])),
        delta(3, json_delta(CLOCK[1])),
        stop(3),
        json!({"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": null},
            "usage": {"output_tokens": OUTPUT}}),
        json!({"type": "message_stop"}),
    ]
}

fn responses() -> Vec<Value> {
    let thought = THOUGHT.concat();
    let words = WORDS.concat();
    let reasoning = |summary: Value| json!({"type": "reasoning", "id": "rs_1", "summary": summary});
    let message = |status: &str, content: Value| json!({"type": "message", "id": "msg_1", "status": status, "role": "assistant", "content": content});
    let text = |text: &str| json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []});
    let call = |n: usize, name: &str, status: &str, arguments: &str| {
        json!({"type": "function_call", "id": format!("fc_{n}"), "call_id": format!("call_{n}"),
            "status": status, "name": name, "arguments": arguments})
    };
    let (weather, clock) = (WEATHER.concat(), CLOCK.concat());
    let output = json!([
        reasoning(json!([{"type": "summary_text", "text": thought}])),
        message("completed", json!([text(&words)])),
        call(2, "weather", "completed", &weather),
        call(3, "clock", "completed", &clock),
    ]);
    let response = |status: &str, output: &Value, usage: Value| {
        json!({"id": "resp_1", "object": "response", "created_at": 1, "status": status, "model": "m",
            "error": null, "incomplete_details": null, "output": output, "usage": usage})
    };
    let begun = response("in_progress", &json!([]), Value::Null);
    let usage = json!({"input_tokens": INPUT, "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": OUTPUT, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": INPUT + OUTPUT});
    let added = |at: usize, item: Value| json!({"type": "response.output_item.added", "output_index": at, "item": item});
    let done = |at: usize| json!({"type": "response.output_item.done", "output_index": at, "item": output[at]});
    let at = |kind: &str, at: usize, more: Value| {
        let mut event = json!({"type": format!("response.{kind}"), "output_index": at, "item_id": output[at]["id"]});
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event
    };
    let summary =
        |part: &str| json!({"summary_index": 0, "part": {"type": "summary_text", "text": part}});
    let thinks = |delta: &str| {
        at("reasoning_summary_text.delta", 0, json!({"summary_index": 0, "delta": delta}))
    };
    let says = |delta: &str| {
        at("output_text.delta", 1, json!({"content_index": 0, "delta": delta, "logprobs": []}))
    };
    let argues =
        |n: usize, delta: &str| at("function_call_arguments.delta", n, json!({"delta": delta}));
    let mut events = vec![
        json!({"type": "response.created", "response": begun}),
        json!({"type": "response.in_progress", "response": begun}),
        added(0, reasoning(json!([]))),
        at("reasoning_summary_part.added", 0, summary("")),
        thinks(THOUGHT[0]),
        thinks(THOUGHT[1]),
        at("reasoning_summary_text.done", 0, json!({"summary_index": 0, "text": thought})),
        at("reasoning_summary_part.done", 0, summary(&thought)),
        done(0),
        added(1, message("in_progress", json!([]))),
        at("content_part.added", 1, json!({"content_index": 0, "part": text("")})),
        says(WORDS[0]),
        says(WORDS[1]),
        at("output_text.done", 1, json!({"content_index": 0, "text": words, "logprobs": []})),
        at("content_part.done", 1, json!({"content_index": 0, "part": text(&words)})),
        done(1),
        added(2, call(2, "weather", "in_progress", "")),
        added(3, call(3, "clock", "in_progress", "")),
        argues(2, WEATHER[0]),
        argues(3, CLOCK[0]),
        argues(2, WEATHER[1]),
        argues(3, CLOCK[1]),
        at("function_call_arguments.done", 3, json!({"arguments": clock})),
        at("function_call_arguments.done", 2, json!({"arguments": weather})),
        done(2),
        done(3),
        json!({"type": "response.completed", "response": response("completed", &output, usage)}),
    ];
    for (number, event) in events.iter_mut().enumerate() {
        event["sequence_number"] = json!(number);
    }
    events
}

/// The calls of Chat's deltas, interleaved: the second begins before the first has ended.
fn calls() -> Vec<Value> {
    let begin = |index: usize, name: &str, arguments: &str| {
        json!({"index": index, "id": format!("call_{index}"), "type": "function",
            "function": {"name": name, "arguments": arguments}})
    };
    let more = |index: usize, arguments: &str| json!({"index": index, "function": {"arguments": arguments}});
    vec![
        begin(0, "weather", ""),
        begin(1, "clock", CLOCK[0]),
        more(0, WEATHER[0]),
        more(1, CLOCK[1]),
        more(0, WEATHER[1]),
    ]
}

fn chat() -> Vec<Value> {
    let chunk = |delta: Value, finish: Value| {
        json!({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
    };
    let mut chunks = vec![chunk(json!({"role": "assistant", "content": ""}), Value::Null)];
    let thoughts = THOUGHT.map(|text| json!({"reasoning_content": text}));
    let words = WORDS.map(|text| json!({"content": text}));
    let calls = calls().into_iter().map(|call| json!({"tool_calls": [call]}));
    chunks.extend(
        thoughts.into_iter().chain(words).chain(calls).map(|delta| chunk(delta, Value::Null)),
    );
    chunks.push(chunk(json!({}), json!("tool_calls")));
    chunks.push(json!({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [], "usage": {"prompt_tokens": INPUT, "completion_tokens": OUTPUT, "total_tokens": INPUT + OUTPUT}}));
    chunks
}

fn dashscope() -> Vec<Value> {
    let chunk = |mut message: Value, finish: &str| {
        message["role"] = json!("assistant");
        for name in ["content", "reasoning_content"] {
            if message.get(name).is_none() {
                message[name] = json!("");
            }
        }
        json!({"request_id": "r1", "output": {"choices": [{"message": message, "finish_reason": finish}]},
            "usage": {"input_tokens": INPUT, "output_tokens": OUTPUT, "total_tokens": INPUT + OUTPUT}})
    };
    let thoughts = THOUGHT.map(|text| json!({"reasoning_content": text}));
    let words = WORDS.map(|text| json!({"content": text}));
    let calls = calls().into_iter().map(|call| json!({"tool_calls": [call]}));
    let deltas = thoughts.into_iter().chain(words).chain(calls).map(|delta| chunk(delta, "null"));
    deltas.chain([chunk(json!({}), "tool_calls")]).collect()
}

fn gemini() -> Vec<Value> {
    let call = |name: &str, arguments: [&str; 2]| {
        let arguments: Value = serde_json::from_str(&arguments.concat()).unwrap();
        json!({"functionCall": {"name": name, "args": arguments}})
    };
    let thoughts = THOUGHT.map(|text| json!({"text": text, "thought": true}));
    let words = WORDS.map(|text| json!({"text": text}));
    let calls = [call("weather", WEATHER), call("clock", CLOCK)];
    let parts: Vec<_> = thoughts.into_iter().chain(words).chain(calls).collect();
    let last = parts.len() - 1;
    let chunk = |(at, part): (usize, Value)| {
        let mut candidate = json!({"index": 0, "content": {"role": "model", "parts": [part]}});
        if at == last {
            candidate["finishReason"] = json!("STOP");
        }
        json!({"candidates": [candidate], "modelVersion": "m", "responseId": "r1", "usageMetadata":
            {"promptTokenCount": INPUT, "candidatesTokenCount": OUTPUT, "totalTokenCount": INPUT + OUTPUT}})
    };
    parts.into_iter().enumerate().map(chunk).collect()
}

/// The same as one document.
pub(crate) fn document(vendor: Protocol) -> Value {
    let (thought, words) = (THOUGHT.concat(), WORDS.concat());
    let arguments = [WEATHER.concat(), CLOCK.concat()];
    let calls: Vec<_> = ["weather", "clock"]
        .iter()
        .zip(&arguments)
        .enumerate()
        .map(|(at, (name, arguments))| {
            json!({"id": format!("call_{at}"), "type": "function", "index": at,
                "function": {"name": name, "arguments": arguments}})
        })
        .collect();
    let message = json!({"role": "assistant", "content": words, "reasoning_content": thought, "tool_calls": calls});
    let parsed = |at: usize| serde_json::from_str::<Value>(&arguments[at]).unwrap();
    match vendor {
        Anthropic => json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [
                {"type": "thinking", "thinking": thought, "signature": "EqoB"},
                {"type": "text", "text": words},
                {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": parsed(0)},
                {"type": "tool_use", "id": "toolu_2", "name": "clock", "input": parsed(1)},
            ],
            "stop_reason": "tool_use", "stop_sequence": null,
            "usage": {"input_tokens": INPUT, "output_tokens": OUTPUT},
        }),
        OpenAiResponses => responses().pop().unwrap()["response"].clone(),
        OpenAiChat => json!({
            "id": "c1", "object": "chat.completion", "created": 1, "model": "m",
            "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
            "usage": {"prompt_tokens": INPUT, "completion_tokens": OUTPUT, "total_tokens": INPUT + OUTPUT},
        }),
        Gemini => {
            // The last chunk tells the rest.
            let mut answer = gemini().pop().unwrap();
            answer["candidates"][0]["content"]["parts"] = json!([
                {"text": thought, "thought": true},
                {"text": words},
                {"functionCall": {"name": "weather", "args": parsed(0)}},
                {"functionCall": {"name": "clock", "args": parsed(1)}},
            ]);
            answer
        }
        _ => json!({
            "request_id": "r1", "output": {"choices": [{"message": message, "finish_reason": "tool_calls"}]},
            "usage": {"input_tokens": INPUT, "output_tokens": OUTPUT, "total_tokens": INPUT + OUTPUT},
        }),
    }
}
