//! Streams through reader and writer.

use std::fs;

use bytes::BytesMut;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::corpus::FOLDER;
use super::grammar::{Outcome, check, split};
use crate::protocol::Protocol;
use crate::protocol::anthropic::stream::{Reader, Writer};
use crate::protocol::json::{JsonStr, Raw};
use crate::protocol::model::{
    ApiError, Delta, FaultKind, PartStart, Rest, Seal, SealKind, Stop, StopReason, StreamEvent,
    ToolCallKind, Usage, Vendor,
};
use crate::protocol::target::Answer;
use crate::sse;
use crate::test_helpers::corpus::{cases, parse};

fn answer(origin: Option<Protocol>) -> Answer {
    Answer { origin, ..Answer::new("asked-for", 0, 7) }
}

/// Through the reader and, as another Messages stream, out of the writer.
fn transcode(stream: &[u8]) -> BytesMut {
    let mut out = BytesMut::new();
    let mut reader = Reader::new();
    let mut writer = Writer::new(answer(Some(Protocol::Anthropic)));
    let mut decoder = sse::Decoder::new();
    let mut on_event = |event: sse::Event<'_>| {
        reader.event(&event, &mut |event| writer.write(event, &mut out));
    };
    decoder.push(stream, &mut on_event).unwrap();
    decoder.finish(&mut on_event).unwrap();
    reader.finish(&mut |event| writer.write(event, &mut out));
    assert!(writer.is_done());
    out
}

/// What a client makes of a stream.
fn fold(stream: &[u8]) -> Value {
    let mut message = Value::Null;
    let mut partial = String::new();
    for (_, data) in split(stream) {
        let event = parse(data.as_bytes());
        let block = |message: &mut Value| {
            let index = event["index"].as_u64().unwrap() as usize;
            message["content"][index].take()
        };
        match event["type"].as_str().unwrap() {
            "message_start" => message = event["message"].clone(),
            "content_block_start" => {
                partial.clear();
                message["content"].as_array_mut().unwrap().push(event["content_block"].clone());
            }
            "content_block_delta" => {
                let mut folded = block(&mut message);
                fold_delta(&mut folded, &event["delta"], &mut partial);
                message["content"][event["index"].as_u64().unwrap() as usize] = folded;
            }
            "content_block_stop" if !partial.is_empty() => {
                let index = event["index"].as_u64().unwrap() as usize;
                message["content"][index]["input"] = parse(partial.as_bytes());
            }
            "message_delta" => {
                merge(message.as_object_mut().unwrap(), &event["delta"]);
                merge(message["usage"].as_object_mut().unwrap(), &event["usage"]);
                let mut others = event.clone();
                let others = others.as_object_mut().unwrap();
                for known in ["type", "delta", "usage"] {
                    others.remove(known);
                }
                merge(message.as_object_mut().unwrap(), &Value::Object(others.clone()));
            }
            _ => {}
        }
    }
    message
}

fn merge(into: &mut Map<String, Value>, from: &Value) {
    for (key, value) in from.as_object().unwrap() {
        into.insert(key.clone(), value.clone());
    }
}

fn fold_delta(block: &mut Value, delta: &Value, partial: &mut String) {
    let append = |block: &mut Value, member: &str| {
        let text = block[member].as_str().unwrap_or_default().to_owned();
        block[member] = json!(text + delta[member].as_str().unwrap());
    };
    match delta["type"].as_str().unwrap() {
        "text_delta" => append(block, "text"),
        "thinking_delta" => append(block, "thinking"),
        "signature_delta" => append(block, "signature"),
        "input_json_delta" => partial.push_str(delta["partial_json"].as_str().unwrap()),
        "citations_delta" => {
            let mut all = block["citations"].as_array().cloned().unwrap_or_default();
            all.push(delta["citation"].clone());
            block["citations"] = Value::Array(all);
        }
        _ => {}
    }
}

#[test]
fn recorded_streams_come_back() {
    for (name, path) in cases(FOLDER) {
        let Ok(stream) = fs::read(path.join("response.sse")) else { continue };
        let meta = parse(&fs::read(path.join("meta.json")).unwrap());
        let out = transcode(&stream);
        let outcome = check(&out).unwrap_or_else(|e| panic!("{name}: {e}"));
        if meta["grammar"]["ok"] == true {
            assert_eq!(outcome, Outcome::Complete, "{name}");
            assert_eq!(fold(&out), fold(&stream), "{name}");
        }
    }
}

#[test]
fn dirty_streams_end_clearly() {
    let rows = [
        ("vercel--spliced-message-start", Outcome::Error),
        ("vercel-inline--should-forward-error-chunks", Outcome::Error),
        ("vercel-inline--should-forward-overloaded-error", Outcome::Error),
        ("vercel-inline--should-use-non-empty-input", Outcome::Complete),
        ("vercel-inline--should-not-prepend-empty-input", Outcome::Complete),
        ("vercel-inline--should-support-cache-tokens", Outcome::Complete),
        ("anthropic-sdk--incomplete-partial-json", Outcome::Complete),
    ];
    for (name, path) in cases(FOLDER) {
        let Some((_, expected)) = rows.iter().find(|(prefix, _)| name.starts_with(prefix)) else {
            continue;
        };
        let out = transcode(&fs::read(path.join("response.sse")).unwrap());
        assert_eq!(check(&out), Ok(*expected), "{name}");
        if name.contains("non-empty-input") {
            let input = &fold(&out)["content"][0]["input"];
            assert_eq!(*input, json!({"sql": "SELECT COUNT(*) FROM orders"}));
        }
    }
}

#[test]
fn a_cut_stream_is_an_error() {
    for (name, path) in cases(FOLDER) {
        let Ok(stream) = fs::read(path.join("response.sse")) else { continue };
        for (at, _) in split(&stream).iter().enumerate() {
            let head: String = split(&stream)[..at]
                .iter()
                .map(|(name, data)| format!("event: {name}\ndata: {data}\n\n"))
                .collect();
            let out = transcode(head.as_bytes());
            let stopped = head.contains("\"stop_reason\":\"");
            let outcome = if stopped { Outcome::Complete } else { Outcome::Error };
            if !name.starts_with("vercel") && !name.starts_with("anthropic-sdk") {
                assert_eq!(check(&out), Ok(outcome), "{name} at {at}");
            } else {
                assert!(check(&out).is_ok(), "{name} at {at}");
            }
        }
    }
}

/// Reads events given by their data alone, and tells what came out in short.
fn read_all(events: &[&str]) -> Vec<String> {
    let mut seen = Vec::new();
    let mut reader = Reader::new();
    let mut sink = |event: StreamEvent<'_>| {
        seen.push(match event {
            StreamEvent::Start { .. } => "start".to_owned(),
            StreamEvent::PartStart { index, part, .. } => {
                let part = format!("{part:?}");
                let end = part.find(|c: char| !c.is_alphanumeric()).unwrap_or(part.len());
                format!("{index}:{}", &part[..end])
            }
            StreamEvent::Delta { index, delta } => match delta {
                Delta::Text(t) | Delta::Reasoning(t) | Delta::Arguments(t) => {
                    format!("{index}+{}", t.decode())
                }
                Delta::Seal(seal) => format!("{index}#{}", seal.data.decode()),
                Delta::Citation(_) => format!("{index}+cite"),
                Delta::Other(_) => format!("{index}+other"),
            },
            StreamEvent::PartStop { index } => format!("{index}."),
            StreamEvent::Stop { stop, .. } => format!("{:?}", stop.reason),
            StreamEvent::Usage(usage) => format!("{}/{}", usage.input_total(), usage.output),
            StreamEvent::Logprobs { .. } => "logprobs".to_owned(),
            StreamEvent::Ping => "ping".to_owned(),
            StreamEvent::Error(error) => {
                format!("error {:?} {}", error.kind, error.message.decode())
            }
            StreamEvent::End => "end".to_owned(),
        });
    };
    for data in events {
        reader.event(&sse::Event { data, ..sse::Event::default() }, &mut sink);
    }
    reader.finish(&mut sink);
    reader.finish(&mut sink);
    seen
}

#[test]
fn what_readers_forgive() {
    const EARLY: &str = "error Upstream the upstream ended the stream early";
    const START: &str = r#"{"type":"message_start","message":{"id":"a"}}"#;
    const OTHER_START: &str = r#"{"type":"message_start","message":{"id":"b"}}"#;
    const TEXT: &str =
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"t"}}"#;
    const THINK: &str = r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"h"}}"#;
    const TOOL: &str = r#"{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"i","name":"n"}}"#;
    const DELTA: &str = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"}}"#;
    let rows: &[(&[&str], &[&str])] = &[
        (&[], &[EARLY]),
        (&[START], &["start", EARLY]),
        (&[START, START, DELTA], &["start", "End", "end"]),
        (&[START, OTHER_START, DELTA], &["start", "End", "end"]),
        (
            &[START, TEXT, OTHER_START, DELTA],
            &["start", "0:Text", "0+t", "error Upstream the upstream began a second message"],
        ),
        (
            &[START, TEXT, TOOL, DELTA, "[DONE]"],
            &["start", "0:Text", "0+t", "0.", "1:ToolCall", "1.", "End", "end"],
        ),
        (
            &[START, TEXT, THINK, DELTA],
            &["start", "0:Text", "0+t", "0.", "1:Reasoning", "1+h", "1.", "End", "end"],
        ),
        // A late piece of a closed block, and one that no block can have.
        (&[START, TOOL, TEXT, DELTA], &["start", "0:ToolCall", "0.", "End", "end"]),
        (
            &[START, "{", DELTA],
            &["start", "error Upstream the upstream sent an event that cannot be read"],
        ),
        (&[r#"{"error":{"message":"no"}}"#], &["error Upstream no"]),
        (&[r#"{"type":"new_event"}"#, r#"{"type":"ping"}"#, ""], &["ping", EARLY]),
        (&[DELTA, DELTA], &["End", "end"]),
    ];
    for (events, expected) in rows {
        assert_eq!(read_all(events), *expected, "{events:?}");
    }
}

fn text(text: &str) -> JsonStr<'_> {
    JsonStr::from_plain(text)
}

fn start<'a>() -> StreamEvent<'a> {
    StreamEvent::Start {
        id: text("chatcmpl-1"),
        model: JsonStr::default(),
        created: None,
        usage: None,
        rest: Rest::default(),
    }
}

fn part(index: u32, part: PartStart<'_>) -> StreamEvent<'_> {
    StreamEvent::PartStart { index, candidate: 0, part, rest: Rest::default() }
}

fn call(id: &str) -> PartStart<'_> {
    let kind = ToolCallKind::Function;
    PartStart::ToolCall { id: text(id), name: text("n"), kind, seal: None, cache: None }
}

fn arguments(index: u32, piece: &str) -> StreamEvent<'_> {
    StreamEvent::Delta { index, delta: Delta::Arguments(text(piece)) }
}

fn stop<'a>(reason: StopReason) -> StreamEvent<'a> {
    StreamEvent::Stop { candidate: 0, stop: Stop::new(reason), rest: Rest::default() }
}

fn write_all(answer: Answer, events: Vec<StreamEvent<'_>>) -> BytesMut {
    let mut out = BytesMut::new();
    let mut writer = Writer::new(answer);
    for event in events {
        writer.write(event, &mut out);
    }
    out
}

#[test]
fn overlapping_calls_stand_in_a_row() {
    let usage = Usage { input: 5, cache_read: 3, output: 2, ..Usage::default() };
    let out = write_all(
        answer(None),
        vec![
            start(),
            part(0, PartStart::Text { citations: None }),
            StreamEvent::PartStop { index: 0 },
            part(1, call("a")),
            part(2, call("b:2")),
            arguments(1, "{\"x\""),
            arguments(2, "{}"),
            StreamEvent::PartStop { index: 2 },
            part(3, call("")),
            arguments(1, ":1}"),
            StreamEvent::PartStop { index: 1 },
            StreamEvent::PartStop { index: 3 },
            stop(StopReason::End),
            StreamEvent::Usage(usage),
            StreamEvent::End,
            StreamEvent::Ping,
        ],
    );
    assert_eq!(check(&out), Ok(Outcome::Complete));
    let message = fold(&out);
    assert_eq!(message["model"], "asked-for");
    assert_eq!(message["stop_reason"], "tool_use");
    assert_eq!(message["usage"]["input_tokens"], 5);
    assert_eq!(message["usage"]["cache_read_input_tokens"], 3);
    let inputs: Vec<_> =
        message["content"].as_array().unwrap().iter().map(|b| &b["input"]).collect();
    assert_eq!(inputs, [&json!({"x": 1}), &json!({}), &json!({})]);
}

/// SDKs read the pieces as the JSON of an object as they come.
#[test]
fn free_text_of_a_call_is_an_object() {
    let free = |id| {
        let kind = ToolCallKind::Custom;
        PartStart::ToolCall { id: text(id), name: text("n"), kind, seal: None, cache: None }
    };
    let out = write_all(
        answer(None),
        vec![
            start(),
            part(0, free("a")),
            // Waits for its turn.
            part(1, free("b")),
            arguments(1, "\"}"),
            arguments(0, "say \"é\"\n"),
            arguments(0, "\\d+"),
            StreamEvent::PartStop { index: 0 },
            StreamEvent::PartStop { index: 1 },
            part(2, free("c")),
            StreamEvent::PartStop { index: 2 },
            stop(StopReason::ToolUse),
            StreamEvent::End,
        ],
    );
    assert_eq!(check(&out), Ok(Outcome::Complete));
    let message = fold(&out);
    let inputs: Vec<_> =
        message["content"].as_array().unwrap().iter().map(|b| &b["input"]["input"]).collect();
    assert_eq!(inputs, ["say \"é\"\n\\d+", "\"}", ""]);
}

#[test]
fn what_is_held_back_is_limited() {
    let held = |limit| {
        let mut answer = answer(None);
        answer.max_accumulated = limit;
        let piece = "x".repeat(4096);
        let events = vec![start(), part(0, call("a")), part(1, call("b")), arguments(1, &piece)];
        let mut out = BytesMut::new();
        let mut writer = Writer::new(answer);
        for event in events {
            writer.write(event, &mut out);
        }
        writer.write(StreamEvent::End, &mut out);
        check(&out)
    };
    assert_eq!(held(4096), Ok(Outcome::Error));
    assert_eq!(held(8192), Ok(Outcome::Complete));
}

#[test]
fn stops_of_other_protocols() {
    let refusal = StreamEvent::Delta { index: 0, delta: Delta::Text(text("no")) };
    let refused = vec![start(), part(0, PartStart::Refusal), refusal, stop(StopReason::End)];
    for (mut events, expected) in [
        (refused, "refusal"),
        (vec![start()], "end_turn"),
        (vec![start(), stop(StopReason::ToolUse)], "end_turn"),
        (vec![start(), stop(StopReason::ContentFilter)], "refusal"),
        (vec![part(0, call("a")), stop(StopReason::End)], "tool_use"),
        (vec![part(0, call("a")), stop(StopReason::MaxTokens)], "max_tokens"),
    ] {
        events.push(StreamEvent::End);
        let out = write_all(answer(None), events);
        assert_eq!(check(&out), Ok(Outcome::Complete));
        assert_eq!(fold(&out)["stop_reason"], expected);
    }
    let failed = write_all(answer(None), vec![start(), stop(StopReason::Error), StreamEvent::End]);
    assert_eq!(check(&failed), Ok(Outcome::Error));
}

#[test]
fn seals() {
    let seal = |vendor, kind| Seal { vendor, kind, data: text("s") };
    let ours = seal(Vendor::Anthropic, SealKind::Signature);
    let think = || StreamEvent::Delta { index: 0, delta: Delta::Reasoning(text("hm")) };
    let sealed = |seal| StreamEvent::Delta { index: 0, delta: Delta::Seal(seal) };
    let open = |seal| part(0, PartStart::Reasoning { seal });
    let foreign = seal(Vendor::Gemini, SealKind::ThoughtSignature);
    let redacted = seal(Vendor::Anthropic, SealKind::Redacted);
    let rows = [
        (
            vec![open(None), think(), sealed(ours.clone())],
            json!([{"type": "thinking", "thinking": "hm", "signature": "s"}]),
        ),
        (
            vec![open(None), sealed(ours.clone())],
            json!([{"type": "thinking", "thinking": "", "signature": "s"}]),
        ),
        (vec![open(Some(ours))], json!([{"type": "thinking", "thinking": "", "signature": "s"}])),
        (
            vec![open(Some(foreign.clone())), think(), sealed(foreign)],
            json!([{"type": "thinking", "thinking": "hm", "signature": ""}]),
        ),
        (vec![open(Some(redacted))], json!([{"type": "redacted_thinking", "data": "s"}])),
        (vec![open(None)], json!([])),
    ];
    for (mut events, expected) in rows {
        events.push(StreamEvent::End);
        let out = write_all(answer(None), events);
        assert_eq!(check(&out), Ok(Outcome::Complete));
        assert_eq!(fold(&out)["content"], expected);
    }
}

fn any_part() -> impl Strategy<Value = PartStart<'static>> {
    let seal = |vendor, kind| Some(Seal { vendor, kind, data: JsonStr::from_plain("seal") });
    let raw = Raw::literal(r#"{"type":"server_tool_use","id":"s","name":"web_search","input":{}}"#);
    prop_oneof![
        Just(PartStart::Text { citations: None }),
        Just(PartStart::Refusal),
        Just(PartStart::Reasoning { seal: None }),
        Just(PartStart::Reasoning { seal: seal(Vendor::Anthropic, SealKind::Redacted) }),
        Just(PartStart::Reasoning { seal: seal(Vendor::Anthropic, SealKind::Signature) }),
        Just(PartStart::Reasoning { seal: seal(Vendor::OpenAi, SealKind::Encrypted) }),
        "[a-z:]{0,3}".prop_map(|id| PartStart::ToolCall {
            id: JsonStr::from_plain(id),
            name: JsonStr::from_plain("n"),
            kind: ToolCallKind::Function,
            seal: None,
            cache: None,
        }),
        Just(PartStart::Other { kind: JsonStr::from_plain("server_tool_use"), raw }),
    ]
}

fn any_delta() -> impl Strategy<Value = Delta<'static>> {
    let piece = || "[a\"\\\\\n]{0,3}".prop_map(JsonStr::from_plain);
    prop_oneof![
        piece().prop_map(Delta::Text),
        piece().prop_map(Delta::Reasoning),
        piece().prop_map(Delta::Arguments),
        Just(Delta::Citation(Raw::literal(r#"{"type":"char_location"}"#))),
        Just(Delta::Other(Raw::literal(r#"{"type":"new_delta"}"#))),
        prop_oneof![Just(Vendor::Anthropic), Just(Vendor::Gemini)].prop_map(|vendor| {
            let data = JsonStr::from_plain("seal");
            Delta::Seal(Seal { vendor, kind: SealKind::Signature, data })
        }),
    ]
}

fn any_event() -> impl Strategy<Value = StreamEvent<'static>> {
    let reason = prop_oneof![
        Just(StopReason::End),
        Just(StopReason::ToolUse),
        Just(StopReason::MaxTokens),
        Just(StopReason::Error),
    ];
    prop_oneof![
        1 => Just(start()),
        6 => (0..6u32, 0..2u32, any_part()).prop_map(|(index, candidate, part)| {
            StreamEvent::PartStart { index, candidate, part, rest: Rest::default() }
        }),
        20 => (0..6u32, any_delta()).prop_map(|(index, delta)| StreamEvent::Delta { index, delta }),
        6 => (0..6u32).prop_map(|index| StreamEvent::PartStop { index }),
        1 => Just(StreamEvent::Ping),
        1 => Just(StreamEvent::Usage(Usage { output: 3, ..Usage::default() })),
        1 => reason.prop_map(stop),
        1 => Just(StreamEvent::Error(ApiError::new(FaultKind::Overloaded, "x"))),
    ]
}

proptest! {
    /// Even events that no reader emits make a stream that clients can read.
    #[test]
    fn any_events_make_a_stream(
        mut events in prop::collection::vec(any_event(), 0..40),
        native in any::<bool>(),
        limit in prop_oneof![Just(usize::MAX), 0..2000usize],
    ) {
        events.push(StreamEvent::End);
        let mut answer = answer(native.then_some(Protocol::Anthropic));
        answer.max_accumulated = limit;
        let out = write_all(answer, events);
        prop_assert!(check(&out).is_ok(), "{:?}\n{}", check(&out), String::from_utf8_lossy(&out));
    }

    /// Any input is read without a panic and ends in a stream that clients can read.
    #[test]
    fn any_input_makes_a_stream(events in prop::collection::vec((
        prop_oneof![Just("message_start"), Just("content_block_start"), Just("content_block_delta"),
            Just("content_block_stop"), Just("message_delta"), Just("message_stop"), Just("x")],
        0..3u8,
        prop_oneof![Just("text"), Just("thinking"), Just("tool_use"), Just("text_delta"),
            Just("thinking_delta"), Just("input_json_delta"), Just("signature_delta"), Just("y")],
        "[a\"\\\\{}]{0,2}",
    ), 0..24)) {
        let stream: String = events.iter().map(|(name, index, kind, text)| {
            let piece = json!({"type": kind, "text": text, "thinking": text, "partial_json": text,
                "signature": text, "id": "i", "name": text, "input": {"a": 1}, "stop_reason": "end_turn"});
            let data = json!({"type": name, "index": index, "content_block": piece, "delta": piece,
                "message": {"id": index, "usage": {"input_tokens": 1}}});
            format!("event: {name}\ndata: {data}\n\n")
        }).collect();
        let out = transcode(stream.as_bytes());
        prop_assert!(check(&out).is_ok(), "{:?}\n{}", check(&out), String::from_utf8_lossy(&out));
    }
}
