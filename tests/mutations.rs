//! Damaged traffic: documents and streams with bytes flipped, cut, doubled and swapped go through
//! every reader and writer. Whatever comes in, what goes out is JSON, and a stream ends by the
//! rules of its protocol. The damage is drawn from fixed seeds, so a failure repeats itself.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::fs;
use std::path::{Path, PathBuf};

use bytes::BytesMut;
use http::StatusCode;
use serde::de::IgnoredAny;
use serde_json::Value;
use tower_llm_gateway::protocol::edit::{Edited, Outline, SystemEdit};
use tower_llm_gateway::protocol::report::Mode;
use tower_llm_gateway::protocol::translate::{self, RequestOptions, Transcoder};
use tower_llm_gateway::protocol::{Answer, Protocol, Transcode};

const PROTOCOLS: [Protocol; 5] = Protocol::ALL;

/// How often each document is damaged.
const ROUNDS: u64 = 60;

const MESSAGES_REQUEST: &str = r#"{"model":"m","max_tokens":5,"system":[{"type":"text","text":"s","cache_control":{"type":"ephemeral"}}],"tools":[{"name":"f","input_schema":{"type":"object"}}],"messages":[{"role":"user","content":"h\u00e9"},{"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"s"},{"type":"tool_use","id":"a","name":"f","input":{"x":1.50}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":[{"type":"text","text":"r"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AA=="}}],"is_error":true}]}]}"#;
const CHAT_REQUEST: &str = r#"{"model":"m","messages":[{"role":"system","content":"s"},{"role":"user","content":[{"type":"text","text":"h"},{"type":"image_url","image_url":{"url":"data:image\/png;base64,AA=="}}]},{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}}]},{"role":"tool","tool_call_id":"a","content":"r"}],"stop":["x"],"temperature":0.5,"stream":true}"#;
const MESSAGES_STREAM: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}}\n\nevent: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"tool_use\",\"id\":\"a\",\"name\":\"f\",\"input\":{}}}\n\nevent: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"x\\\":\"}}\n\nevent: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"1}\"}}\n\nevent: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":5}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
const CHAT_STREAM: &str = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"h\"},\"finish_reason\":null}]}\n\ndata: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},\"finish_reason\":null}]}\n\ndata: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n";

/// Own samples, and the recorded traffic where it is at hand.
fn samples() -> Vec<Vec<u8>> {
    let mut samples: Vec<Vec<u8>> =
        [MESSAGES_REQUEST, CHAT_REQUEST, MESSAGES_STREAM, CHAT_STREAM].map(Vec::from).into();
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    let root = std::env::var_os("LLM_CORPUS").map_or(beside, PathBuf::from);
    for protocol in PROTOCOLS {
        let Ok(cases) = fs::read_dir(root.join("dev").join(protocol.as_str())) else {
            println!("skipped: no corpus at {} (set LLM_CORPUS)", root.display());
            break;
        };
        for case in cases {
            let dir = case.unwrap().path();
            let files = ["request.json", "response.json", "response.sse"];
            let read = files.iter().filter_map(|name| fs::read(dir.join(name)).ok());
            // Long recordings say nothing new here, and everything is read many times.
            samples.extend(read.filter(|bytes| bytes.len() < 8 << 10));
        }
    }
    samples
}

/// One to four damages.
fn damage(sample: &[u8], rng: &mut fastrand::Rng) -> Vec<u8> {
    const TOKENS: [&str; 12] = [
        "null",
        "[]",
        "{}",
        "\"\"",
        "-1",
        "1e999",
        "true",
        "\"type\":",
        "\\u",
        "\n\n",
        "data:",
        ",",
    ];
    let mut bytes = sample.to_vec();
    for _ in 0..rng.usize(1..=4) {
        let at = rng.usize(0..=bytes.len());
        let end = (at + rng.usize(0..24)).min(bytes.len());
        match rng.u8(0..6) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => drop(bytes.splice(at..at, TOKENS[rng.usize(0..TOKENS.len())].bytes())),
            3 => drop(bytes.splice(at..end, TOKENS[rng.usize(0..TOKENS.len())].bytes())),
            4 => {
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            _ if at < bytes.len() => bytes[at] = rng.u8(..),
            _ => {}
        }
    }
    bytes
}

fn each_damage(mut check: impl FnMut(&[u8])) {
    let mut count = 0;
    for (number, sample) in samples().iter().enumerate() {
        check(sample);
        for round in 0..ROUNDS {
            let mut rng = fastrand::Rng::with_seed(number as u64 * ROUNDS + round);
            check(&damage(sample, &mut rng));
            count += 1;
        }
    }
    println!("{count} damaged documents");
    assert!(count >= 4 * ROUNDS);
}

fn answer() -> Answer {
    let mut answer = Answer::new("m", 1, 1);
    answer.include_usage = true;
    answer
}

fn assert_json(what: &str, from: Protocol, to: Protocol, input: &[u8], output: &[u8]) {
    // A number too large for a float is JSON, and is passed as it stood.
    if let Err(error) = serde_json::from_slice::<IgnoredAny>(output) {
        let (input, output) = (String::from_utf8_lossy(input), String::from_utf8_lossy(output));
        panic!("{what} {from} -> {to}: {error}\n  in  {input}\n  out {output}");
    }
}

#[test]
fn documents() {
    let options = RequestOptions { mode: Mode::Lenient, ..RequestOptions::default() };
    let (mut read, mut refused) = (0, 0);
    each_damage(|input| {
        for from in PROTOCOLS {
            for to in PROTOCOLS {
                match translate::request(from, to, input, &options) {
                    Ok(done) => {
                        read += 1;
                        assert_json("request", from, to, input, &done.body);
                    }
                    Err(_) => refused += 1,
                }
                if let Ok(done) = translate::response(from, to, input, answer()) {
                    assert_json("response", from, to, input, &done.body);
                }
                let status = StatusCode::BAD_REQUEST;
                let error = translate::error(from, to, status, input);
                assert_json("error", from, to, input, &error.body);
            }
        }
    });
    println!("{read} requests read, {refused} refused");
    assert!(read > 1000 && refused > 1000, "the damage is neither nothing nor all");
}

#[test]
fn streams() {
    each_damage(|input| {
        for from in PROTOCOLS {
            for to in PROTOCOLS {
                let mut transcoder = Transcoder::new(from, to, answer());
                let mut out = BytesMut::new();
                for piece in input.chunks(7) {
                    transcoder.push(piece, &mut out);
                }
                transcoder.finish(&mut out);
                assert!(transcoder.is_done());
                assert_ends_once(from, to, input, &out);
            }
        }
    });
}

/// Every `data` is JSON, and the stream ends exactly once, well or with an error.
fn assert_ends_once(from: Protocol, to: Protocol, input: &[u8], output: &[u8]) {
    let text = std::str::from_utf8(output).unwrap();
    let mut ends = 0;
    for line in text.lines() {
        match line.strip_prefix("data: ") {
            Some("[DONE]") => ends += 1,
            Some(data) => assert_json("event", from, to, input, data.as_bytes()),
            None => {}
        }
        if to == Protocol::DashScope {
            if let Some(data) = line.strip_prefix("data:") {
                assert_json("event", from, to, input, data.as_bytes());
            }
        }
        ends += usize::from(match to {
            // An error is followed by the answer that failed.
            Protocol::OpenAiResponses => ends_responses(line),
            _ => ["event: message_stop", "event: error"].contains(&line),
        });
        ends += usize::from(to == Protocol::Gemini && ends_gemini(line));
    }
    let last = text.trim_end().rsplit("\n\n").next().unwrap_or_default();
    if to == Protocol::DashScope {
        // Each of several candidates has an end of its own.
        let errors = text.matches("event:error").count();
        ends = errors + usize::from(errors == 0);
    }
    let is_end = match to {
        Protocol::Anthropic => {
            last.starts_with("event: message_stop") || last.starts_with("event: error")
        }
        Protocol::OpenAiResponses => last.lines().next().is_some_and(ends_responses),
        Protocol::Gemini => text.lines().rfind(|line| !line.is_empty()).is_some_and(ends_gemini),
        Protocol::DashScope => {
            last.contains("\nevent:error\n") || !last.contains("\"finish_reason\":\"null\"")
        }
        _ => last == "data: [DONE]",
    };
    let input = String::from_utf8_lossy(input);
    assert!(ends == 1 && is_end, "{from} -> {to}: {ends} ends\n  in  {input}\n  out {text}");
}

fn ends_responses(line: &str) -> bool {
    ["event: response.completed", "event: response.incomplete", "event: response.failed"]
        .contains(&line)
}

/// Nothing but the last piece has the counts, unless it is an error.
fn ends_gemini(line: &str) -> bool {
    let data = line.strip_prefix("data: ").unwrap_or_default();
    let piece: Value = serde_json::from_str(data).unwrap_or_default();
    piece.get("usageMetadata").is_some() || piece.get("error").is_some()
}

#[test]
fn edits() {
    let edit = SystemEdit::Append("more".into());
    each_damage(|input| {
        for protocol in Protocol::ALL {
            let Ok(outline) = Outline::read(protocol, input) else { continue };
            if let Ok(Edited::Changed(output)) = outline.edit_system(&edit) {
                assert_json("edit", protocol, protocol, input, &output);
            }
            let mut uri = "/v1beta/models/m:generateContent".parse().unwrap();
            if let Ok(Edited::Changed(output)) = outline.set_model(&mut uri, "other") {
                assert_json("edit", protocol, protocol, input, &output);
            }
        }
    });
}
