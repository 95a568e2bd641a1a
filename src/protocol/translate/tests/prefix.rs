//! A longer history begins with the bytes of the shorter one, from any protocol to any other:
//! only then does the vendor's prompt cache know it again.

use std::collections::BTreeSet;

use Protocol::{Anthropic, DashScope, Gemini, OpenAiChat, OpenAiResponses};
use http::HeaderMap;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::protocol::json::Raw;
use crate::protocol::report::Mode;
use crate::protocol::translate::{RequestOptions, request};
use crate::protocol::{Head, Protocol};

/// One question, the tools called for it, and the answer. The last one of a history is only asked.
#[derive(Debug, Clone)]
struct Exchange {
    asked: String,
    thought: bool,
    /// Which tool, and how its id is made.
    calls: Vec<(usize, usize)>,
    said: String,
    marked: bool,
    /// The caller says something before the last result.
    interrupts: bool,
}

/// Names that some protocols do not take among them.
const NAMES: [&str; 3] = ["f", "files.read", "2nd tool"];

/// An id as vendors make them: their own, none, odd, long, or counted anew in each turn.
fn id(style: usize, turn: usize, n: usize) -> String {
    match style {
        0 => format!("toolu_{turn}x{n}"),
        1 => String::new(),
        2 => format!("functions.f:{turn}{n}"),
        3 => format!("{}{turn}_{n}", "long".repeat(20)),
        _ => format!("call_{n}"),
    }
}

fn exchanges() -> impl Strategy<Value = Vec<Exchange>> {
    let exchange = (
        "[a-z\"\\\\é\n]{1,8}",
        any::<bool>(),
        proptest::collection::vec((0..NAMES.len(), 0..5_usize), 0..3),
        "[a-z\"\\\\é\n]{1,8}",
        any::<bool>(),
        any::<bool>(),
    );
    let exchange =
        exchange.prop_map(|(asked, thought, calls, said, marked, interrupts)| Exchange {
            // Texts of white space are dropped by some.
            asked: format!("q{asked}"),
            thought,
            calls,
            said: format!("a{said}"),
            marked,
            interrupts,
        });
    // Who marks, marks from the first request on.
    proptest::collection::vec(exchange, 1..6).prop_map(|mut history| {
        history[0].marked |= history.iter().any(|exchange| exchange.marked);
        history
    })
}

fn with(mut object: Value, name: &str, value: Value, when: bool) -> Value {
    if when {
        object[name] = value;
    }
    object
}

const MARK: &str = r#","cache_control":{"type":"ephemeral"}"#;

fn said_meanwhile() -> Value {
    json!({"role": "user", "content": "meanwhile"})
}

/// The results, with the caller's words before the last one where he interrupts.
fn interrupted(exchange: &Exchange, mut results: Vec<Value>, words: Value) -> Vec<Value> {
    if exchange.interrupts && !results.is_empty() {
        results.insert(results.len() - 1, words);
    }
    results
}

fn messages(history: &[Exchange]) -> Value {
    let mut messages = Vec::new();
    for (turn, exchange) in history.iter().enumerate() {
        let text = json!({"type": "text", "text": exchange.asked});
        let mark = json!({"type": "ephemeral"});
        let text = with(text, "cache_control", mark, exchange.marked);
        messages.push(json!({"role": "user", "content": [text]}));
        if turn + 1 == history.len() {
            break;
        }
        let thought = json!({"type": "thinking", "thinking": "t", "signature": "s"});
        let mut said: Vec<_> = exchange.thought.then_some(thought).into_iter().collect();
        let mut results = Vec::new();
        for (n, (tool, style)) in exchange.calls.iter().enumerate() {
            // Messages always has ids.
            let id = id(if *style == 1 { 0 } else { *style }, turn, n);
            said.push(
                json!({"type": "tool_use", "id": id, "name": NAMES[*tool], "input": {"n": n}}),
            );
            results.push(json!({"type": "tool_result", "tool_use_id": id, "content": "r"}));
        }
        if !results.is_empty() {
            let turns = results.into_iter().map(|it| json!({"role": "user", "content": [it]}));
            messages.push(json!({"role": "assistant", "content": said}));
            messages.extend(interrupted(exchange, turns.collect(), said_meanwhile()));
            said = Vec::new();
        }
        said.push(json!({"type": "text", "text": exchange.said}));
        messages.push(json!({"role": "assistant", "content": said}));
    }
    let tools: Vec<_> = NAMES
        .iter()
        .map(|name| json!({"name": name, "input_schema": {"type": "object"}}))
        .collect();
    json!({"model": "m", "max_tokens": 9, "system": "s", "tools": tools, "messages": messages})
}

fn chat_messages(history: &[Exchange]) -> Vec<Value> {
    let mut messages = vec![json!({"role": "system", "content": "s"})];
    for (turn, exchange) in history.iter().enumerate() {
        messages.push(json!({"role": "user", "content": exchange.asked}));
        if turn + 1 == history.len() {
            break;
        }
        let (mut calls, mut results) = (Vec::new(), Vec::new());
        for (n, (tool, style)) in exchange.calls.iter().enumerate() {
            let id = id(*style, turn, n);
            let function = json!({"name": NAMES[*tool], "arguments": format!("{{\"n\":{n}}}")});
            calls.push(json!({"id": id, "type": "function", "function": function}));
            let result = json!({"role": "tool", "tool_call_id": id, "content": "r"});
            results.push(with(result, "name", json!(NAMES[*tool]), *style == 1));
        }
        if !calls.is_empty() {
            let said = json!({"role": "assistant", "content": null, "tool_calls": calls});
            messages.push(with(said, "reasoning_content", json!("t"), exchange.thought));
            messages.append(&mut interrupted(exchange, results, said_meanwhile()));
        }
        messages.push(json!({"role": "assistant", "content": exchange.said}));
    }
    messages
}

fn chat_tools() -> Vec<Value> {
    NAMES.iter().map(|name| json!({"type": "function", "function": {"name": name}})).collect()
}

fn items(history: &[Exchange]) -> Value {
    let mut items = Vec::new();
    for (turn, exchange) in history.iter().enumerate() {
        items.push(json!({"role": "user", "content": exchange.asked}));
        if turn + 1 == history.len() {
            break;
        }
        if exchange.thought {
            let summary = json!([{"type": "summary_text", "text": "t"}]);
            let thought =
                json!({"type": "reasoning", "summary": summary, "encrypted_content": "e"});
            items.push(thought);
        }
        let mut results = Vec::new();
        for (n, (tool, style)) in exchange.calls.iter().enumerate() {
            let id = id(*style, turn, n);
            let arguments = format!("{{\"n\":{n}}}");
            items.push(json!({"type": "function_call", "call_id": id, "name": NAMES[*tool],
                "arguments": arguments}));
            results.push(json!({"type": "function_call_output", "call_id": id, "output": "r"}));
        }
        items.append(&mut interrupted(exchange, results, said_meanwhile()));
        items.push(json!({"role": "assistant", "content": exchange.said}));
    }
    let tools: Vec<_> = NAMES
        .iter()
        .map(|name| json!({"type": "function", "name": name, "parameters": {"type": "object"}}))
        .collect();
    json!({"model": "m", "instructions": "s", "tools": tools, "input": items})
}

fn contents(history: &[Exchange]) -> Value {
    let mut contents = Vec::new();
    for (turn, exchange) in history.iter().enumerate() {
        contents.push(json!({"role": "user", "parts": [{"text": exchange.asked}]}));
        if turn + 1 == history.len() {
            break;
        }
        let (mut calls, mut results) = (Vec::new(), Vec::new());
        for (n, (tool, style)) in exchange.calls.iter().enumerate() {
            let id = id(*style, turn, n);
            let call = json!({"name": NAMES[*tool], "args": {"n": n}});
            let call = with(call, "id", json!(id), !id.is_empty());
            let signed = exchange.thought && n == 0;
            calls.push(with(
                json!({"functionCall": call}),
                "thoughtSignature",
                json!("c2ln"),
                signed,
            ));
            let result = json!({"name": NAMES[*tool], "response": {"output": "r"}});
            let result = with(result, "id", json!(id), !id.is_empty());
            results.push(json!({"functionResponse": result}));
        }
        if !calls.is_empty() {
            contents.push(json!({"role": "model", "parts": calls}));
            let words = json!({"text": "meanwhile"});
            let results = interrupted(exchange, results, words);
            contents.push(json!({"role": "user", "parts": results}));
        }
        contents.push(json!({"role": "model", "parts": [{"text": exchange.said}]}));
    }
    let declared: Vec<_> = NAMES.iter().map(|name| json!({"name": name})).collect();
    json!({"systemInstruction": {"parts": [{"text": "s"}]},
        "tools": [{"functionDeclarations": declared}], "contents": contents})
}

fn body(from: Protocol, history: &[Exchange]) -> String {
    let body = match from {
        Anthropic => messages(history),
        OpenAiChat => {
            json!({"model": "m", "messages": chat_messages(history), "tools": chat_tools()})
        }
        OpenAiResponses => items(history),
        Gemini => contents(history),
        DashScope => json!({"model": "m", "input": {"messages": chat_messages(history)},
            "parameters": {"tools": chat_tools(), "result_format": "message"}}),
    };
    body.to_string()
}

/// The conversation of a request without its end, and all else that is in it.
fn parted(to: Protocol, body: &str) -> (String, BTreeSet<String>) {
    let path: &[&str] = match to {
        Anthropic | OpenAiChat => &["messages"],
        OpenAiResponses => &["input"],
        Gemini => &["contents"],
        DashScope => &["input", "messages"],
    };
    let whole = Raw::parse(body).unwrap();
    let mut conversation = whole.into_owned();
    let mut others = BTreeSet::new();
    for step in path {
        let _ = conversation.cursor().object(|key, c| {
            let value = c.raw()?;
            if key != **step {
                others.insert(format!("{key:?}{}", value.as_str()));
            }
            Ok(())
        });
        conversation = conversation.member(step).unwrap().into_owned();
    }
    // Marks move with the end of the conversation.
    let text = conversation.as_str().replace(MARK, "");
    (text.trim_end_matches([']', '}']).to_owned(), others)
}

fn translated(from: Protocol, to: Protocol, history: &[Exchange]) -> (String, BTreeSet<String>) {
    let headers = HeaderMap::new();
    let head = Head { path: "/v1beta/models/m:generateContent", query: None, headers: &headers };
    let options =
        RequestOptions { mode: Mode::Lenient, head: Some(head), ..RequestOptions::default() };
    let translated = request(from, to, body(from, history).as_bytes(), &options).unwrap();
    parted(to, std::str::from_utf8(&translated.body).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_longer_history_begins_with_the_shorter(history in exchanges(), cut in 1..6_usize) {
        let cut = cut.min(history.len());
        for from in Protocol::ALL {
            for to in Protocol::ALL.into_iter().filter(|to| *to != from) {
                let (short, others) = translated(from, to, &history[..cut]);
                let (long, same) = translated(from, to, &history);
                prop_assert!(long.starts_with(&short), "{} to {}:\n{}\n{}", from, to, short, long);
                prop_assert_eq!(&others, &same, "{} to {}", from, to);
                // The same history again: the same bytes.
                prop_assert_eq!(translated(from, to, &history).0, long);
            }
        }
    }
}
