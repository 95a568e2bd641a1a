//! Reader and writer of streams.

use bytes::BytesMut;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::grammar::{self, Folded};
use super::recorded::{native, rewrite};
use crate::protocol::Answer;
use crate::protocol::gemini::stream::{MAX_CANDIDATES, MAX_KEPT, Reader, Writer};
use crate::protocol::json::{JsonStr, Raw};
use crate::protocol::model::{
    ApiError, Delta, FaultKind, Media, MediaKind, MediaSource, PartStart, Rest, Seal, SealKind,
    Spelling, Stop, StopReason, StreamEvent, ToolCallKind, Usage, Vendor,
};
use crate::sse::Event;

/// The events of these data lines, each in a few words.
fn events(lines: &[&str]) -> Vec<String> {
    let mut seen = Vec::new();
    let mut reader = Reader::new();
    for data in lines {
        let event = Event { data, ..Event::default() };
        reader.event(&event, &mut |event| seen.push(brief(&event)));
    }
    reader.finish(&mut |event| seen.push(brief(&event)));
    reader.finish(&mut |_| panic!("behind the end"));
    seen
}

fn brief(event: &StreamEvent<'_>) -> String {
    match event {
        StreamEvent::Start { id, model, .. } => {
            format!("start {} {}", id.escaped(), model.escaped())
        }
        StreamEvent::PartStart { index, candidate, part, .. } => {
            let part = match part {
                PartStart::Text { .. } => "text".to_owned(),
                PartStart::Reasoning { .. } => "thought".to_owned(),
                PartStart::ToolCall { id, name, seal, .. } => {
                    let seal = seal.as_ref().map_or("", |seal| seal.data.escaped());
                    format!("call {}{}{seal}", id.escaped(), name.escaped())
                }
                PartStart::Media(_) => "media".to_owned(),
                PartStart::Other { kind, .. } => format!("other {}", kind.escaped()),
                PartStart::Refusal => "refusal".to_owned(),
            };
            let of = if *candidate == 0 { String::new() } else { format!(" of {candidate}") };
            format!("+{index}{of} {part}")
        }
        StreamEvent::Delta { index, delta } => match delta {
            Delta::Text(text) | Delta::Reasoning(text) | Delta::Arguments(text) => {
                format!("{index} {}", text.decode())
            }
            Delta::Seal(seal) => format!("{index} seal {}", seal.data.escaped()),
            Delta::Citation(raw) | Delta::Other(raw) => format!("{index} {}", raw.as_str()),
        },
        StreamEvent::PartStop { index } => format!("-{index}"),
        StreamEvent::Logprobs { .. } => "logprobs".to_owned(),
        StreamEvent::Stop { candidate, stop, rest } => {
            let rest: Vec<_> = rest.0.iter().map(|(key, _)| key.escaped()).collect();
            format!("stop {candidate} {:?} {}", stop.reason, rest.join(" ")).trim_end().to_owned()
        }
        StreamEvent::Usage(usage) => {
            format!("usage {} {}", usage.input_total(), usage.output_total())
        }
        StreamEvent::Ping => "ping".to_owned(),
        StreamEvent::Error(error) => format!("error {:?} {}", error.kind, error.message.escaped()),
        StreamEvent::End => "end".to_owned(),
    }
}

fn parts(parts: &str) -> String {
    format!(
        r#"{{"responseId":"i","modelVersion":"m","candidates":[{{"content":{{"parts":[{parts}],"role":"model"}},"index":0}}]}}"#
    )
}

const STOP: &str = r#"{"candidates":[{"content":{"parts":[{"text":""}]},"finishReason":"STOP"}]}"#;

/// The events between the first and the reason of a stream with these lists of parts.
fn between(lists: &[&str]) -> Vec<String> {
    let mut lines: Vec<_> = lists.iter().map(|list| parts(list)).collect();
    lines.push(STOP.to_owned());
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    let mut seen = events(&lines);
    assert_eq!(seen.remove(0), "start i m");
    assert_eq!(seen.pop().as_deref(), Some("end"));
    assert!(seen.pop().unwrap().starts_with("stop 0"));
    seen
}

#[test]
fn parts_are_read() {
    let rows: &[(&[&str], &[&str])] = &[
        (&[r#"{"text":"a"}"#, r#"{"text":"b"}"#], &["+0 text", "0 a", "0 b", "-0"]),
        (
            &[r#"{"text":"t","thought":true}"#, r#"{"text":"u","thought":true},{"text":"a"}"#],
            &["+0 thought", "0 t", "0 u", "-0", "+1 text", "1 a", "-1"],
        ),
        (
            &[r#"{"text":"a"}"#, r#"{"text":"","thoughtSignature":"s"}"#, r#"{"text":"b"}"#],
            &["+0 text", "0 a", "-0", "+1 text", "1 seal s", "-1", "+2 text", "2 b", "-2"],
        ),
        (
            &[r#"{"text":"a"}"#, r#"{"text":"b","thought_signature":"s"}"#],
            &["+0 text", "0 a", "-0", "+1 text", "1 b", "1 seal s", "-1"],
        ),
        (&[r#"{"text":""}"#, ""], &[]),
        (
            &[r#"{"functionCall":{"name":"f","args":{"a":1},"id":"c:"},"thoughtSignature":"/s"},
                {"functionCall":{"name":"g"}}"#],
            &["+0 call c:f/s", "0 {\"a\":1}", "-0", "+1 call g", "1 {}", "-1"],
        ),
        (
            &[r#"{"inlineData":{"mimeType":"image/png","data":"AAAA"},"thoughtSignature":"s"}"#],
            &["+0 media", "0 seal s", "-0"],
        ),
        (&[r#"{"executableCode":{"code":"c"}}"#], &["+0 other executableCode", "-0"]),
        (&["5"], &["+0 other ", "-0"]),
    ];
    for (lists, expected) in rows {
        assert_eq!(between(lists), *expected, "{lists:?}");
    }
}

#[test]
fn calls_in_pieces() {
    let begin = r#"{"functionCall":{"name":"f","willContinue":true},"thoughtSignature":"/s"}"#;
    let piece = |path: &str, value: &str, more: &str| {
        format!(r#"{{"functionCall":{{"partialArgs":[{{"jsonPath":"{path}",{value}}}]{more}}}}}"#)
    };
    let on = r#","willContinue":true"#;
    let a = piece("$.a", r#""stringValue":"x""#, on);
    let b = piece("$.b[0]", r#""numberValue":1"#, on);
    let last = piece("$.c", r#""boolValue":false"#, "");
    let end = r#"{"functionCall":{}}"#;
    let pause = r#"{"functionCall":{"willContinue":true}}"#;
    let rows: &[(&[&str], &str)] = &[
        (&[begin, &a, pause, &b, end], r#"{"a":"x","b":[1]}"#),
        (&[begin, &a, &a, &last], r#"{"a":"xx","c":false}"#),
        (&[begin, &a, &last, end], r#"{"a":"x","c":false}"#),
        (&[begin, end], "{}"),
        (&[begin, &a], r#"{"a":"x"}"#),
    ];
    for (lists, arguments) in rows {
        assert_eq!(between(lists), ["+0 call f/s", &format!("0 {arguments}"), "-0"], "{lists:?}");
    }
    let two = between(&[begin, &a, begin, &b, end, r#"{"text":"t"}"#]);
    let calls = ["+0 call f/s", "0 {\"a\":\"x\"}", "-0", "+1 call f/s", "1 {\"b\":[1]}", "-1"];
    assert_eq!(two[..6], calls);
    assert_eq!(between(&[end]), [""; 0]);
    let nameless = parts(r#"{"functionCall":{"args":{"a":1}}}"#);
    let seen = events(&[&nameless]);
    assert_eq!(seen[1..], ["error Upstream a tool call came without its name"]);
    let broken = parts(&piece("a", r#""stringValue":"x""#, on));
    let seen = events(&[&parts(begin), &broken]);
    assert_eq!(seen.last().unwrap(), "error Upstream the path of an argument is not valid");
}

#[test]
fn ends() {
    let end = |word: &str, more: &str| {
        format!(
            r#"{{"candidates":[{{"finishReason":"{word}"{more}}}],"usageMetadata":{{"promptTokenCount":2,"candidatesTokenCount":3}}}}"#
        )
    };
    let usage = "usage 2 3";
    let text = parts(r#"{"text":"a"}"#);
    let call = parts(r#"{"functionCall":{"name":"f"}}"#);
    let blocked =
        r#"{"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{"promptTokenCount":2}}"#;
    let error = r#"{"error":{"code":503,"message":"busy","status":"UNAVAILABLE"}}"#;
    let failed = "error Overloaded busy";
    let early = "error Upstream the upstream ended the stream early";
    let rows: &[(&[&str], &[&str])] = &[
        (&[&text, &end("STOP", "")], &[usage, "-0", "stop 0 End", usage, "end"]),
        (&[&text, &end("STOP", ""), "[DONE]", &text], &[usage, "-0", "stop 0 End", usage, "end"]),
        (&[&call, &end("STOP", "")], &[usage, "stop 0 ToolUse", usage, "end"]),
        (&[&call, &end("MAX_TOKENS", "")], &[usage, "stop 0 MaxTokens", usage, "end"]),
        // A reason may come twice, and words behind the first; ratings are kept.
        (
            &[
                &end("STOP", r#","safetyRatings":[1],"groundingMetadata":{"a":1}"#),
                &text,
                &end("SAFETY", r#","groundingMetadata":{}"#),
            ],
            &["0 a", "-0", "stop 0 ContentFilter safetyRatings groundingMetadata", usage, "end"],
        ),
        (&[blocked], &["start  ", "stop 0 ContentFilter", "usage 2 0", "end"]),
        (&[&format!("[{blocked}]")], &["stop 0 ContentFilter", "usage 2 0", "end"]),
        (&[], &[early]),
        (&[&text], &["0 a", early]),
        (&[r#"{"usageMetadata":{"promptTokenCount":2}}"#], &["start  ", early]),
        (&[r#"{"responseId":"i"}"#], &[early]),
        (&[error], &[failed]),
        (&[&text, error, &text], &["0 a", failed]),
        (&[&format!("[{error}]")], &[failed]),
        (&["{"], &["error Upstream the upstream sent an event that is no JSON object"]),
        (&["5"], &["error Upstream the upstream sent an event that is no JSON object"]),
        (
            &[r#"{"candidates":[5]}"#],
            &["start  ", "error Upstream the upstream sent an event of an unknown form"],
        ),
        (&[r#"{"message":"m"}"#], &["error Upstream m"]),
    ];
    for (lines, expected) in rows {
        let seen = events(lines);
        let tail = &seen[seen.len() - expected.len()..];
        assert_eq!(tail, *expected, "{lines:?}");
    }
}

#[test]
fn candidates_interleave() {
    let line = r#"{"candidates":[{"content":{"parts":[{"text":"a"}]}},
        {"content":{"parts":[{"text":"b"}]},"index":1}]}"#;
    let end = r#"{"candidates":[{"finishReason":"STOP"},{"finishReason":"STOP","index":1}]}"#;
    assert_eq!(
        events(&[line, line, end]),
        [
            "start  ",
            "+0 text",
            "0 a",
            "+1 of 1 text",
            "1 b",
            "0 a",
            "1 b",
            "-0",
            "stop 0 End",
            "-1",
            "stop 1 End",
            "end",
        ]
    );
    let half = r#"{"candidates":[{"finishReason":"STOP"}]}"#;
    assert!(events(&[line, half]).last().unwrap().starts_with("error"));
    let many = format!(r#"{{"candidates":[{{"index":{MAX_CANDIDATES}}}]}}"#);
    let seen = events(&[&many]);
    assert_eq!(seen.last().unwrap(), "error Upstream the upstream sent too many candidates");
}

#[test]
fn what_is_kept_is_bounded() {
    let large = "x".repeat(MAX_KEPT / 2);
    let line =
        |name: &str| format!(r#"{{"candidates":[{{"finishReason":"STOP","{name}":"{large}"}}]}}"#);
    let seen = events(&[&line("a"), &line("a"), &line("b"), &line("c")]);
    assert_eq!(seen[1], "stop 0 End a");
}

fn plain(text: &'static str) -> JsonStr<'static> {
    JsonStr::from_plain(text)
}

fn seal(vendor: Vendor) -> Seal<'static> {
    Seal { vendor, kind: SealKind::ThoughtSignature, data: plain("s") }
}

fn start(index: u32, part: PartStart<'static>) -> StreamEvent<'static> {
    StreamEvent::PartStart { index, candidate: 0, part, rest: Rest::default() }
}

fn call_start(name: &'static str) -> PartStart<'static> {
    let (id, name, kind) = (plain("c"), plain(name), ToolCallKind::Function);
    PartStart::ToolCall { id, name, kind, seal: None, cache: None }
}

fn delta(index: u32, delta: Delta<'static>) -> StreamEvent<'static> {
    StreamEvent::Delta { index, delta }
}

const TEXT: PartStart<'static> = PartStart::Text { citations: None };
const THOUGHT: PartStart<'static> = PartStart::Reasoning { seal: None };

fn write(answer: Answer, events: &[StreamEvent<'static>]) -> BytesMut {
    let mut writer = Writer::new(answer);
    let mut out = BytesMut::new();
    for event in events {
        writer.write(event.clone(), &mut out);
    }
    out
}

/// The parts of each piece that these events give, and the reason.
fn written(events: &[StreamEvent<'static>]) -> (Vec<Value>, String) {
    let out = write(Answer::new("asked", 7, 1), events);
    grammar::check(&out, false).unwrap_or_else(|e| panic!("{e}"));
    let text = std::str::from_utf8(&out).unwrap();
    let mut pieces: Vec<Value> = text
        .split("\r\n\r\n")
        .filter_map(|it| serde_json::from_str(it.strip_prefix("data: ")?).ok())
        .collect();
    let last = pieces.pop().unwrap();
    let reason = last["candidates"][0]["finishReason"].as_str().unwrap().to_owned();
    (
        pieces.iter().map(|piece| piece["candidates"][0]["content"]["parts"].clone()).collect(),
        reason,
    )
}

#[test]
fn parts_are_written() {
    use StreamEvent::{End, PartStop};
    let text = |text| delta(0, Delta::Text(plain(text)));
    let stop = |index| PartStop { index };
    let arguments = |index, text| delta(index, Delta::Arguments(plain(text)));
    let call = |name: &str, args: Value| json!([{"functionCall": {"id": "c", "name": name, "args": args}}]);
    let media = PartStart::Media(Media {
        kind: MediaKind::Image,
        source: MediaSource::Base64 { media_type: plain("image/png"), data: plain("AAAA") },
        detail: None,
        title: None,
        context: None,
        citations: None,
        spelling: Spelling::default(),
    });
    let other = PartStart::Other { kind: plain("x"), raw: Raw::literal("{}") };
    let rows = vec![
        (
            vec![start(0, TEXT), text("a"), text(""), text("b"), stop(0)],
            vec![json!([{"text": "a"}]), json!([{"text": "b"}])],
            "STOP",
        ),
        (
            vec![start(0, TEXT), text("a"), delta(0, Delta::Seal(seal(Vendor::Gemini))), stop(0)],
            vec![json!([{"text": "a"}]), json!([{"text": "", "thoughtSignature": "s"}])],
            "STOP",
        ),
        (
            vec![
                start(0, THOUGHT),
                delta(0, Delta::Reasoning(plain("t"))),
                delta(0, Delta::Seal(seal(Vendor::Gateway))),
                stop(0),
            ],
            vec![
                json!([{"text": "t", "thought": true}]),
                json!([{"text": "", "thought": true, "thoughtSignature": "s"}]),
            ],
            "STOP",
        ),
        (
            vec![start(0, THOUGHT), delta(0, Delta::Seal(seal(Vendor::Anthropic))), stop(0)],
            vec![],
            "STOP",
        ),
        (
            vec![start(0, call_start("f")), arguments(0, "{\"a\":"), arguments(0, "1}"), stop(0)],
            vec![call("f", json!({"a": 1}))],
            "STOP",
        ),
        (vec![start(0, call_start("f")), stop(0)], vec![call("f", json!({}))], "STOP"),
        (
            vec![start(0, call_start("f")), delta(0, Delta::Seal(seal(Vendor::Gemini))), stop(0)],
            vec![
                json!([{"functionCall": {"id": "c", "name": "f", "args": {}}, "thoughtSignature": "s"}]),
            ],
            "STOP",
        ),
        // What overlaps comes in a row.
        (
            vec![
                start(0, call_start("f")),
                start(1, call_start("g")),
                arguments(1, "{}"),
                stop(1),
                start(2, TEXT),
                delta(2, Delta::Text(plain("a"))),
                arguments(0, "{\"b\":2}"),
                stop(0),
                delta(2, Delta::Text(plain("b"))),
            ],
            vec![
                call("f", json!({"b": 2})),
                call("g", json!({})),
                json!([{"text": "a"}]),
                json!([{"text": "b"}]),
            ],
            "STOP",
        ),
        (
            vec![start(0, call_start("f")), arguments(0, "{\"a\":"), stop(0)],
            vec![],
            "MALFORMED_FUNCTION_CALL",
        ),
        (
            vec![start(0, media), stop(0), start(1, other), stop(1)],
            vec![json!([{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}])],
            "STOP",
        ),
        (vec![], vec![], "STOP"),
    ];
    for (mut events, expected, reason) in rows {
        events.push(End);
        assert_eq!(written(&events), (expected, reason.to_owned()), "{events:?}");
    }
}

#[test]
fn a_piece_is_one_line() {
    let arguments = Delta::Arguments(plain("{\n  \"a\":\r\n 1}"));
    let events = [start(0, call_start("f")), delta(0, arguments), StreamEvent::End];
    let (pieces, _) = written(&events);
    assert_eq!(pieces[0][0]["functionCall"]["args"], json!({"a": 1}));
    let source = "data: {\"candidates\":[{\"finishReason\":\"STOP\",\"x\":[1,\ndata: 2]}],\ndata: \"usageMetadata\":{\ndata: },\"y\":{\ndata: }}\n\n";
    let out = rewrite(native(), source.as_bytes());
    let found = grammar::check(&out, false).unwrap();
    assert_eq!(found.candidates[&0].beside["x"], json!([1, 2]));
}

#[test]
fn counts_may_come_last() {
    let usage = Usage { input: 4, output: 5, ..Usage::default() };
    let stop = Stop::new(StopReason::MaxTokens);
    let events = [
        StreamEvent::Stop { candidate: 0, stop, rest: Rest::default() },
        StreamEvent::Usage(usage),
        StreamEvent::End,
        StreamEvent::End,
    ];
    let out = write(Answer::new("asked", 7, 1), &events);
    let folded = grammar::check(&out, false).unwrap();
    assert_eq!(folded.candidates[&0].finish.as_deref(), Some("MAX_TOKENS"));
    assert_eq!(folded.usage.unwrap()["totalTokenCount"], 9);
    assert_eq!(folded.model, "asked");
}

#[test]
fn failures_are_told() {
    let details = Some(Raw::literal(r#"{"message":"it \"broke\""}"#));
    let stop = Stop { details, ..Stop::new(StopReason::Error) };
    let failed = StreamEvent::Stop { candidate: 0, stop, rest: Rest::default() };
    let error = StreamEvent::Error(ApiError::new(FaultKind::RateLimit, "slow"));
    let early = |event: &StreamEvent<'static>| {
        vec![start(0, TEXT), delta(0, Delta::Text(plain("a"))), event.clone(), StreamEvent::End]
    };
    for (event, code, message) in [(&failed, 502, "it \"broke\""), (&error, 429, "slow")] {
        for events in [early(event), vec![event.clone()]] {
            for array in [false, true] {
                let mut answer = Answer::new("m", 0, 0);
                answer.layout.json_array = array;
                let out = write(answer, &events);
                let found = grammar::check(&out, array).unwrap().error.unwrap();
                assert_eq!((&found["code"], &found["message"]), (&json!(code), &json!(message)));
            }
        }
    }
    let mut small = Answer::new("m", 0, 0);
    small.max_accumulated = 1000;
    let large = delta(0, Delta::Arguments(JsonStr::from_plain("x".repeat(1001))));
    let out = write(small.clone(), &[start(0, call_start("f")), large.clone(), StreamEvent::End]);
    let found = grammar::check(&out, false).unwrap().error.unwrap();
    assert_eq!(found["message"], "too much of the answer had to be held back");
    let many: Vec<_> = (0..10).map(|index| start(index, TEXT)).collect();
    assert!(grammar::check(&write(small, &many), false).unwrap().error.is_some());
}

#[test]
fn a_blocked_prompt_comes_back() {
    let source = "data: {\"promptFeedback\":{\"blockReason\":\"SAFETY\"},\"usageMetadata\":{\"promptTokenCount\":2},\"modelVersion\":\"m\",\"responseId\":\"i\"}\r\n\r\n";
    let out = rewrite(native(), source.as_bytes());
    let found = grammar::check(&out, false).unwrap();
    assert_eq!(found, Folded::of_events(source.as_bytes()));
    assert!(found.candidates.is_empty());
    let out = rewrite(Answer::new("m", 0, 0), source.as_bytes());
    let found = grammar::check(&out, false).unwrap();
    assert_eq!(found.candidates[&0].finish.as_deref(), Some("SAFETY"));
}

#[test]
fn pings_are_empty_lines() {
    let events = [StreamEvent::Ping, start(0, TEXT), StreamEvent::Ping, StreamEvent::End];
    for array in [false, true] {
        let mut answer = Answer::new("m", 0, 0);
        answer.layout.json_array = array;
        let out = write(answer, &events);
        assert!(out.starts_with(b"\r\n\r\n\r\n\r\n"));
        grammar::check(&out, array).unwrap();
    }
}

fn any_event() -> impl Strategy<Value = StreamEvent<'static>> {
    let word =
        prop_oneof![Just(""), Just("a"), Just("{"), Just("}"), Just("\"x\\\n"), Just("\u{1f600}")];
    let vendor = prop_oneof![Just(Vendor::Gemini), Just(Vendor::Gateway), Just(Vendor::OpenAi)];
    let part = prop_oneof![
        Just(TEXT),
        Just(PartStart::Refusal),
        Just(THOUGHT),
        vendor.clone().prop_map(|vendor| PartStart::Reasoning { seal: Some(seal(vendor)) }),
        Just(call_start("f")),
        Just(PartStart::Other { kind: plain("k"), raw: Raw::literal(r#"{"executableCode":{}}"#) }),
    ];
    let piece = prop_oneof![
        word.clone().prop_map(|it| Delta::Text(plain(it))),
        word.clone().prop_map(|it| Delta::Reasoning(plain(it))),
        word.prop_map(|it| Delta::Arguments(plain(it))),
        vendor.prop_map(|vendor| Delta::Seal(seal(vendor))),
        Just(Delta::Citation(Raw::literal("{}"))),
    ];
    let reason = prop_oneof![
        Just(StopReason::End),
        Just(StopReason::ToolUse),
        Just(StopReason::MaxTokens),
        Just(StopReason::Other),
        Just(StopReason::ContentFilter),
        Just(StopReason::Error),
    ];
    let index = 0..6u32;
    prop_oneof![
        1 => Just(StreamEvent::Start {
            id: plain("i"), model: plain("m"), created: None, usage: None, rest: Rest::default(),
        }),
        6 => (index.clone(), 0..3u32, part).prop_map(|(index, candidate, part)| {
            StreamEvent::PartStart { index, candidate, part, rest: Rest::default() }
        }),
        12 => (index.clone(), piece).prop_map(|(index, delta)| StreamEvent::Delta { index, delta }),
        5 => index.prop_map(|index| StreamEvent::PartStop { index }),
        1 => (0..3u32, reason).prop_map(|(candidate, reason)| StreamEvent::Stop {
            candidate, stop: Stop::new(reason), rest: Rest::default(),
        }),
        1 => Just(StreamEvent::Usage(Usage { input: 1, ..Usage::default() })),
        1 => Just(StreamEvent::Logprobs { candidate: 0, raw: Raw::literal("{}") }),
        1 => Just(StreamEvent::Ping),
    ]
}

proptest! {
    /// Whatever comes, in any order: the stream is one that Google's SDKs read.
    #[test]
    fn the_grammar_holds(
        events in prop::collection::vec(any_event(), 0..40),
        fails in any::<bool>(),
        array in any::<bool>(),
        is_native in any::<bool>(),
    ) {
        let mut answer = if is_native { native() } else { Answer::new("m", 0, 0) };
        answer.layout.json_array = array;
        let last = if fails {
            StreamEvent::Error(ApiError::new(FaultKind::Transport, "cut"))
        } else {
            StreamEvent::End
        };
        let mut writer = Writer::new(answer);
        let mut out = BytesMut::new();
        for event in events.iter().chain([&last]) {
            writer.write(event.clone(), &mut out);
        }
        prop_assert!(writer.is_done());
        let length = out.len();
        writer.write(StreamEvent::End, &mut out);
        prop_assert_eq!(out.len(), length);
        if let Err(reason) = grammar::check(&out, array) {
            prop_assert!(false, "{}: {}", reason, String::from_utf8_lossy(&out));
        }
    }
}
