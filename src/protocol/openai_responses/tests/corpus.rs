//! Recorded traffic goes through reader and writer and means the same behind them.

use std::fs;
use std::path::PathBuf;

use bytes::BytesMut;
use http::StatusCode;
use serde_json::{Value, json};

use super::grammar::DEMANDED;
use super::streams::{folded, transcode};
use crate::protocol::Answer;
use crate::protocol::openai_responses::{fault, response};
use crate::protocol::report::Reporter;
use crate::protocol::translate::Transcoder;
use crate::protocol::{Protocol, Transcode};
use crate::test_helpers::corpus::cases;

const FOLDER: &str = "dev/openai-responses";

fn write(text: &str) -> Value {
    let read = response::read(text).unwrap();
    let mut report = Reporter::new(text);
    let mut out = BytesMut::new();
    response::write(&read, &mut Answer::new("m", 1, 1), &mut report, &mut out);
    assert!(report.finish().is_empty());
    serde_json::from_slice(&out).unwrap()
}

/// The same, apart from the form of numbers.
fn numbers(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(items) => items.iter().map(numbers).collect(),
        Value::Object(members) => Value::Object(
            members.iter().map(|(key, value)| (key.clone(), numbers(value))).collect(),
        ),
        other => other.clone(),
    }
}

#[test]
fn answers_come_back() {
    let (mut answers, mut errors) = (0, 0);
    for (name, path) in cases(FOLDER) {
        let Ok(text) = fs::read_to_string(path.join("response.json")) else { continue };
        let expected: Value = serde_json::from_str(&text).unwrap();
        if expected.get("output").is_some() {
            let written = write(&text);
            assert_eq!(written, expected, "{name}");
            assert_eq!(write(&written.to_string()), expected, "{name}");
            answers += 1;
        } else if let Some(message) = expected["error"]["message"].as_str() {
            let error = fault::read(StatusCode::BAD_REQUEST, &text);
            assert_eq!(error.message.decode(), message, "{name}");
            errors += 1;
        }
    }
    println!("{answers} answers, {errors} errors");
}

/// The answer of a recorded stream: that of its last event.
fn told(stream: &str) -> Option<Value> {
    let last = stream.lines().rev().filter_map(|line| line.strip_prefix("data:"));
    let values = last.filter_map(|data| serde_json::from_str::<Value>(data).ok());
    values.into_iter().find_map(|value| {
        let ends = ["response.completed", "response.incomplete"];
        ends.iter().any(|end| value["type"] == *end).then(|| value["response"].clone())
    })
}

/// What a stream cannot tell before its last event: the seal that a summary got in the end.
fn meaning(response: &Value) -> Value {
    let mut response = numbers(response);
    for item in response["output"].as_array_mut().into_iter().flatten() {
        // Every event of a recording has another, as they were made unreadable one by one.
        if item["type"] == "reasoning" && item["encrypted_content"].is_string() {
            item["encrypted_content"] = json!("sealed");
        }
        for part in item["content"].as_array_mut().into_iter().flatten() {
            // In the end they are rounded, and may be left out.
            let logprobs = part["logprobs"].as_array().cloned().unwrap_or_default();
            if part["type"] == "output_text" {
                part["logprobs"] = logprobs.iter().map(|entry| entry["token"].clone()).collect();
            }
        }
    }
    response
}

#[test]
fn streams_tell_their_answers() {
    let mut count = 0;
    for (name, path) in cases(FOLDER) {
        let Ok(text) = fs::read_to_string(path.join("response.sse")) else { continue };
        let Some(expected) = told(&text) else {
            assert!(folded(&text).is_err(), "{name}");
            continue;
        };
        let expected = meaning(&expected);
        assert_eq!(meaning(&folded(&text).unwrap()), expected, "{name}");
        let mut written = meaning(&told(&transcode(&text)).unwrap());
        // What a clone leaves out although clients demand it is filled in.
        for name in DEMANDED.into_iter().filter(|name| expected.get(name).is_none()) {
            written.as_object_mut().unwrap().remove(name);
        }
        assert_eq!(written, expected, "{name}");
        count += 1;
    }
    println!("{count} streams");
}

#[test]
fn any_cut_gives_the_same() {
    let stream =
        |(name, path): (String, PathBuf)| Some((name, fs::read(path.join("response.sse")).ok()?));
    let mut streams: Vec<_> = cases(FOLDER).into_iter().filter_map(stream).collect();
    streams.sort_by_key(|(_, text)| text.len());
    for (name, text) in streams.into_iter().take(5) {
        let run = |pieces: &[&[u8]]| {
            let answer = Answer::new("m", 1, 1);
            let (from, to) = (Protocol::OpenAiResponses, Protocol::OpenAiResponses);
            let mut transcoder = Transcoder::new(from, to, answer);
            let mut out = BytesMut::new();
            pieces.iter().for_each(|piece| transcoder.push(piece, &mut out));
            transcoder.finish(&mut out);
            out
        };
        let whole = run(&[&text]);
        for cut in 1..text.len() {
            assert_eq!(run(&[&text[..cut], &text[cut..]]), whole, "{name} at {cut}");
        }
    }
}
