//! The vectors: streams of Chat as streams of Responses.

use bytes::BytesMut;
use serde_json::{Value, json};

use super::grammar::{Ended, check};
use crate::protocol::translate::Transcoder;
use crate::protocol::{Answer, Protocol, Transcode};

/// A stream of Chat: chunks, and what comes behind them.
fn chat(chunks: &[Value], end: &str) -> String {
    let chunk = |chunk: &Value| {
        let mut chunk = chunk.clone();
        chunk["id"] = json!("chatcmpl-1");
        chunk["created"] = json!(5);
        chunk["model"] = json!("up");
        format!("data: {chunk}\n\n")
    };
    chunks.iter().map(chunk).collect::<String>() + end
}

fn delta(delta: Value) -> Value {
    json!({"choices": [{"index": 0, "delta": delta, "finish_reason": null}]})
}

fn stop(reason: &str) -> Value {
    json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
}

/// The names of the events, and how it ended.
fn translated(stream: &str) -> (Vec<String>, Ended, String) {
    let answer = Answer {
        echo: r#"{"instructions":"Be brief.","temperature":0.5}"#.to_owned(),
        ..Answer::new("asked", 1, 1)
    };
    let (from, to) = (Protocol::OpenAiChat, Protocol::OpenAiResponses);
    let mut transcoder = Transcoder::new(from, to, answer);
    let mut out = BytesMut::new();
    transcoder.push(stream.as_bytes(), &mut out);
    transcoder.finish(&mut out);
    let text = String::from_utf8(out.to_vec()).unwrap();
    let names = text.lines().filter_map(|line| line.strip_prefix("event: "));
    let names = names.map(|name| name.trim_start_matches("response.").to_owned()).collect();
    let ended = check(&out).unwrap_or_else(|e| panic!("{e}\n{text}"));
    (names, ended, text)
}

const DONE: &str = "data: [DONE]\n\n";
const MESSAGE: [&str; 10] = [
    "created",
    "in_progress",
    "output_item.added",
    "content_part.added",
    "output_text.delta",
    "output_text.delta",
    "output_text.done",
    "content_part.done",
    "output_item.done",
    "completed",
];

fn hello(usage_in_stop: bool) -> Vec<Value> {
    let mut last = stop("stop");
    if usage_in_stop {
        last["usage"] = json!({"prompt_tokens": 10, "completion_tokens": 5});
    }
    vec![
        delta(json!({"role": "assistant", "content": ""})),
        delta(json!({"content": "Hello"})),
        delta(json!({"content": " world!"})),
        last,
    ]
}

fn assert_hello(stream: &str) {
    let (names, ended, text) = translated(stream);
    assert_eq!(names, MESSAGE, "{text}");
    let response = &ended.response;
    assert_eq!(response["output"][0]["content"][0]["text"], "Hello world!");
    let usage = &response["usage"];
    let counts = ["input_tokens", "output_tokens", "total_tokens"].map(|name| &usage[name]);
    assert_eq!(counts, [10, 5, 15]);
    assert_eq!(response["instructions"], "Be brief.");
    assert_eq!(response["temperature"], 0.5);
    assert_eq!(response["model"], "up");
    assert!(response["id"].as_str().unwrap().starts_with("resp_"));
}

#[test]
fn v1_words() {
    assert_hello(&chat(&hello(true), DONE));
}

#[test]
fn v3_no_done() {
    assert_hello(&chat(&hello(true), ""));
}

#[test]
fn v5_usage_comes_last() {
    let mut chunks = hello(false);
    chunks.push(json!({"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 5}}));
    assert_hello(&chat(&chunks, DONE));
}

fn call(index: u64, id: Option<&str>, arguments: &str) -> Value {
    let mut call = json!({"index": index, "function": {"arguments": arguments}});
    if let Some(id) = id {
        call["id"] = json!(id);
        call["function"]["name"] = json!("get_weather");
    }
    delta(json!({"tool_calls": [call]}))
}

#[test]
fn v2_a_call_in_two_pieces() {
    let chunks = [
        call(0, Some("call_abc"), ""),
        call(0, None, "{\"loc"),
        call(0, None, "ation\": \"NYC\"}"),
        stop("tool_calls"),
    ];
    let (names, ended, text) = translated(&chat(&chunks, DONE));
    let expected = [
        "created",
        "in_progress",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ];
    assert_eq!(names, expected, "{text}");
    let item = &ended.response["output"][0];
    assert_eq!(item["arguments"], "{\"location\": \"NYC\"}");
    assert_eq!(item["call_id"], "call_abc");
    assert_eq!(item["name"], "get_weather");
    assert!(item["id"].as_str().unwrap().starts_with("fc_"));
}

#[test]
fn a_call_without_arguments_has_empty_ones() {
    let (_, ended, text) = translated(&chat(&[call(0, Some("c"), ""), stop("tool_calls")], DONE));
    assert_eq!(ended.response["output"][0]["arguments"], "{}", "{text}");
    assert!(text.contains(r#""arguments":"{}""#));
}

#[test]
fn calls_overlap() {
    let chunks = [
        call(0, Some("a"), "{"),
        call(1, Some("b"), "["),
        call(0, None, "}"),
        call(1, None, "]"),
        stop("tool_calls"),
    ];
    let (_, ended, _) = translated(&chat(&chunks, DONE));
    let output = ended.response["output"].as_array().unwrap();
    let calls: Vec<_> = output.iter().map(|item| [&item["call_id"], &item["arguments"]]).collect();
    assert_eq!(calls, [["a", "{}"], ["b", "[]"]]);
}

#[test]
fn v4_thinking_words_and_a_call() {
    let chunks = [
        delta(json!({"role": "assistant", "reasoning_content": "Let me "})),
        delta(json!({"reasoning_content": "see."})),
        delta(json!({"content": "Looking."})),
        call(0, Some("call_1"), "{}"),
        stop("tool_calls"),
    ];
    let (names, ended, text) = translated(&chat(&chunks, DONE));
    let expected = [
        "created",
        "in_progress",
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ];
    assert_eq!(names, expected, "{text}");
    let output = &ended.response["output"];
    assert_eq!(output[0]["summary"], json!([{"type": "summary_text", "text": "Let me see."}]));
    assert_eq!(output[1]["content"][0]["text"], "Looking.");
    assert_eq!(output[2]["name"], "get_weather");
    for (item, prefix) in output.as_array().unwrap().iter().zip(["rs_", "msg_", "fc_"]) {
        assert!(item["id"].as_str().unwrap().starts_with(prefix), "{item}");
    }
}

#[test]
fn v6_the_upstream_dies() {
    let chunks = [delta(json!({"content": "Hel"}))];
    let (names, ended, text) = translated(&chat(&chunks, ""));
    assert_eq!(names[names.len() - 2..], ["error", "failed"], "{text}");
    assert_eq!(ended.response["status"], "failed");
    assert_eq!(ended.response["error"]["code"], "server_error");
    // A client must not take half of an item for the whole.
    assert_eq!(ended.response["output"], json!([]));
}

#[test]
fn an_answer_that_was_cut_is_incomplete() {
    for (chunk, name) in
        [(delta(json!({"content": "x"})), "message"), (call(0, Some("c"), "{"), "function_call")]
    {
        let (_, ended, _) = translated(&chat(&[chunk, stop("length")], DONE));
        assert_eq!(ended.event, "incomplete");
        assert_eq!(ended.response["incomplete_details"]["reason"], "max_output_tokens");
        assert_eq!(ended.response["output"][0]["type"], name);
        assert_eq!(ended.response["output"][0]["status"], "incomplete");
    }
}
