//! The writer of streams.

use bytes::BytesMut;
use proptest::prelude::*;
use serde_json::Value;

use super::fold::fold;
use super::grammar;
use crate::protocol::dashscope::stream::{MAX_CANDIDATES, MAX_OPEN_PARTS, Reader, Writer};
use crate::protocol::json::{JsonStr, Raw};
use crate::protocol::model::{
    ApiError, Delta, FaultKind, Media, MediaKind, MediaSource, PartStart, Rest, Seal, SealKind,
    Spelling, Stop, StopReason, StreamEvent, ToolCallKind, Usage, Vendor,
};
use crate::protocol::{Answer, Layout};
use crate::sse::{Decoder, Event};

/// Reads a stream of bytes and writes it again.
pub(super) fn rewrite(answer: Answer, bytes: &[u8]) -> BytesMut {
    let (mut reader, mut writer) = (Reader::new(), Writer::new(answer));
    let mut out = BytesMut::new();
    let mut decoder = Decoder::new();
    let mut read = |event: Event<'_>| {
        reader.event(&event, &mut |event| writer.write(event, &mut out));
    };
    decoder.push(bytes, &mut read).unwrap();
    decoder.finish(&mut read).unwrap();
    reader.finish(&mut |event| writer.write(event, &mut out));
    assert!(writer.is_done());
    out
}

fn text(plain: &str) -> JsonStr<'_> {
    JsonStr::from_plain(plain)
}

fn start<'a>() -> StreamEvent<'a> {
    let (model, rest) = (text("claude"), Rest::default());
    let usage = Some(Usage { input: 9, ..Usage::default() });
    StreamEvent::Start { id: text("r"), model, created: None, usage, rest }
}

fn part(index: u32, part: PartStart<'static>) -> StreamEvent<'static> {
    StreamEvent::PartStart { index, candidate: 0, part, rest: Rest::default() }
}

fn words(index: u32) -> StreamEvent<'static> {
    part(index, PartStart::Text { citations: None })
}

fn call(index: u32, id: &'static str) -> StreamEvent<'static> {
    let kind = ToolCallKind::Function;
    let (id, name) = (text(id), text("f"));
    part(index, PartStart::ToolCall { id, name, kind, seal: None, cache: None })
}

fn delta(index: u32, delta: Delta<'_>) -> StreamEvent<'_> {
    StreamEvent::Delta { index, delta }
}

fn stop(reason: StopReason) -> StreamEvent<'static> {
    StreamEvent::Stop { candidate: 0, stop: Stop::new(reason), rest: Rest::default() }
}

fn usage(output: u64) -> StreamEvent<'static> {
    StreamEvent::Usage(Usage { input: 9, output, ..Usage::default() })
}

fn write_in(layout: Layout, events: &[StreamEvent<'_>]) -> String {
    let mut answer = Answer::new("asked", 7, 1);
    answer.layout = layout;
    write_with(answer, events)
}

fn write_with(answer: Answer, events: &[StreamEvent<'_>]) -> String {
    let layout = answer.layout;
    let mut writer = Writer::new(answer);
    let mut out = BytesMut::new();
    for event in events {
        writer.write(event.clone(), &mut out);
    }
    assert!(writer.is_done());
    let done = out.clone();
    writer.write(StreamEvent::End, &mut out);
    assert_eq!(out, done, "nothing comes after the end");
    let text = String::from_utf8(out.to_vec()).unwrap();
    grammar::check(text.as_bytes(), layout).unwrap_or_else(|e| panic!("{e}\n{text}"));
    text
}

/// The data of each event.
fn data(stream: &str) -> Vec<Value> {
    let lines = stream.lines().filter_map(|line| line.strip_prefix("data:"));
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

const SNAPSHOTS: Layout = layout(true, false, false);

const fn layout(snapshots: bool, text_only: bool, content_list: bool) -> Layout {
    Layout { json_array: false, snapshots, text_only, content_list }
}

fn hello() -> Vec<StreamEvent<'static>> {
    vec![
        start(),
        words(0),
        delta(0, Delta::Text(text("Hel"))),
        delta(0, Delta::Text(text("lo"))),
        StreamEvent::PartStop { index: 0 },
        stop(StopReason::End),
        usage(2),
        StreamEvent::End,
    ]
}

#[test]
fn the_very_bytes() {
    let usage = |output: u32| {
        let total = 9 + output;
        format!(
            r#"{{"total_tokens":{total},"input_tokens":9,"output_tokens":{output},"prompt_tokens_details":{{"cached_tokens":0}}}}"#
        )
    };
    let event = |n: u32, output: &str, spent: u32| {
        let usage = usage(spent);
        format!(
            "id:{n}\nevent:result\n:HTTP_STATUS/200\ndata:{{\"output\":{output},\"usage\":{usage},\"request_id\":\"r\"}}\n\n"
        )
    };
    let choice = |content: &str, word: &str| {
        format!(
            r#"{{"choices":[{{"message":{{"content":{content},"role":"assistant"}},"index":0,"finish_reason":"{word}"}}]}}"#
        )
    };
    let bare =
        |words: &str, word: &str| format!(r#"{{"finish_reason":"{word}","text":"{words}"}}"#);
    let three = |outputs: [String; 3]| {
        let [a, b, c] = outputs;
        [event(1, &a, 0), event(2, &b, 0), event(3, &c, 2)].concat()
    };
    let rows = [
        (
            Layout::default(),
            three([choice("\"Hel\"", "null"), choice("\"lo\"", "null"), choice("\"\"", "stop")]),
        ),
        (
            SNAPSHOTS,
            three([
                choice("\"Hel\"", "null"),
                choice("\"Hello\"", "null"),
                choice("\"Hello\"", "stop"),
            ]),
        ),
        (
            layout(false, false, true),
            three([
                choice(r#"[{"text":"Hel"}]"#, "null"),
                choice(r#"[{"text":"lo"}]"#, "null"),
                choice("[]", "stop"),
            ]),
        ),
        (
            layout(false, true, false),
            three([bare("Hel", "null"), bare("lo", "null"), bare("", "stop")]),
        ),
        (
            layout(true, true, false),
            three([bare("Hel", "null"), bare("Hello", "null"), bare("Hello", "stop")]),
        ),
    ];
    for (layout, expected) in rows {
        assert_eq!(write_in(layout, &hello()), expected, "{layout:?}");
    }
}

#[test]
fn thinking_and_parallel_calls() {
    let seal = Seal { vendor: Vendor::Gateway, kind: SealKind::Signature, data: text("sig") };
    let events = [
        start(),
        part(0, PartStart::Reasoning { seal: None }),
        delta(0, Delta::Reasoning(text("hm"))),
        delta(0, Delta::Seal(seal)),
        StreamEvent::PartStop { index: 0 },
        call(1, "c"),
        call(2, "d"),
        delta(2, Delta::Arguments(text("{\"b\""))),
        delta(1, Delta::Arguments(text("{}"))),
        delta(2, Delta::Arguments(text(":1}"))),
        call(3, ""),
        stop(StopReason::ToolUse),
        StreamEvent::End,
    ];
    for content_list in [false, true] {
        for snapshots in [false, true] {
            let layout = layout(snapshots, false, content_list);
            let stream = write_in(layout, &events);
            let folded = fold(stream.as_bytes(), snapshots);
            let choice = &folded.choices[&0];
            assert_eq!((&*choice.reasoning, &*choice.signature), ("hm", "sig"));
            let calls: Vec<_> =
                choice.calls.values().map(|[id, name, a]| (&**id, &**name, &**a)).collect();
            let ("c", "f", "{}") = calls[0] else { panic!("{calls:?}") };
            let ("d", "f", "{\"b\":1}") = calls[1] else { panic!("{calls:?}") };
            assert!(calls[2].0.starts_with("call_") && calls[2].2 == "{}", "{calls:?}");
            assert_eq!(choice.finish, "tool_calls");
        }
    }
    // Words alone have no place for thinking, and a call needs a message.
    let stream = write_in(layout(false, true, false), &events);
    assert!(!stream.contains("hm") && stream.contains("tool_calls"));
}

#[test]
fn endings() {
    let refusal = |words: &'static str| {
        vec![start(), part(0, PartStart::Refusal), delta(0, Delta::Text(text(words)))]
    };
    let error = |reason, details: Option<&'static str>| {
        let details = details.map(Raw::literal);
        let stop = Stop { details, ..Stop::new(reason) };
        vec![start(), StreamEvent::Stop { candidate: 0, stop, rest: Rest::default() }]
    };
    let rows = [
        (
            error(StopReason::ContentFilter, None),
            "DataInspectionFailed",
            400,
            "the answer was stopped by a content filter",
        ),
        (
            error(StopReason::Refusal, Some(r#"{"explanation":"not that"}"#)),
            "DataInspectionFailed",
            400,
            "not that",
        ),
        (error(StopReason::Error, None), "InternalError", 502, "the model failed to answer"),
        (
            vec![start(), StreamEvent::Error(ApiError::new(FaultKind::RateLimit, "slow"))],
            "Throttling",
            429,
            "slow",
        ),
        (
            vec![StreamEvent::Error(ApiError::new(FaultKind::Overloaded, "full"))],
            "ServiceUnavailable",
            503,
            "full",
        ),
    ];
    for (events, code, status, message) in rows {
        let stream = write_in(Layout::default(), &events);
        assert!(stream.contains(&format!("event:error\n:HTTP_STATUS/{status}\ndata:")), "{stream}");
        let last = data(&stream).pop().unwrap();
        assert_eq!((&last["code"], &last["message"]), (&code.into(), &message.into()));
    }
    let mut events = refusal("no");
    events.extend([stop(StopReason::Refusal), StreamEvent::End]);
    let folded = fold(write_in(Layout::default(), &events).as_bytes(), false);
    assert_eq!((&*folded.choices[&0].content, &*folded.choices[&0].finish), ("no", "stop"));
    // An answer without anything still ends.
    for events in [vec![StreamEvent::End], vec![start(), StreamEvent::End]] {
        let stream = write_in(Layout::default(), &events);
        assert_eq!(data(&stream)[0]["output"]["choices"][0]["finish_reason"], "stop");
    }
}

#[test]
fn media_stand_in_lists() {
    let medium = |url: &'static str| {
        PartStart::Media(Media {
            kind: MediaKind::Image,
            source: MediaSource::Url(text(url)),
            detail: None,
            title: None,
            context: None,
            citations: None,
            spelling: Spelling::default(),
        })
    };
    let events = [
        start(),
        part(0, medium("u")),
        StreamEvent::PartStop { index: 0 },
        words(1),
        delta(1, Delta::Text(text("a"))),
        part(2, medium("v")),
        stop(StopReason::End),
        StreamEvent::End,
    ];
    for snapshots in [false, true] {
        let stream = write_in(layout(snapshots, false, true), &events);
        let choice = &fold(stream.as_bytes(), snapshots).choices[&0];
        let urls: Vec<_> =
            choice.media.iter().map(|item| item["image"].as_str().unwrap()).collect();
        assert_eq!((&*choice.content, urls), ("a", vec!["u", "v"]));
        assert!(!write_in(layout(snapshots, false, false), &events).contains("\"u\""));
    }
}

#[test]
fn cited_pages_stand_in_the_last_event() {
    let mut events = hello();
    let cited = r#"{"type":"url_citation","url":"u","title":"t"}"#;
    for _ in 0..2 {
        events.insert(3, delta(0, Delta::Citation(Raw::literal(cited))));
    }
    for bits in 0u8..8 {
        let layout = layout(bits & 1 != 0, bits & 2 != 0, bits & 4 != 0);
        let events = data(&write_in(layout, &events));
        let found: Vec<_> = events.iter().map(|event| &event["output"]["search_info"]).collect();
        let expected =
            serde_json::json!({"search_results": [{"index": 1, "title": "t", "url": "u"}]});
        assert_eq!(found, [&Value::Null, &Value::Null, &expected]);
    }
}

#[test]
fn snapshots_are_thinned_and_bounded() {
    let piece = "word ".repeat(4);
    let mut events = vec![start(), words(0)];
    events.extend((0..2000).map(|_| delta(0, Delta::Text(text(&piece)))));
    events.extend([stop(StopReason::End), StreamEvent::End]);
    let stream = write_in(SNAPSHOTS, &events);
    let answer = piece.len() * 2000;
    assert_eq!(fold(stream.as_bytes(), true).choices[&0].content.len(), answer);
    assert!(stream.len() < answer * 100, "{} for {answer}", stream.len());
    let mut limited = Answer::new("m", 0, 0);
    limited.layout = SNAPSHOTS;
    limited.max_accumulated = 100;
    let last = data(&write_with(limited, &events)).pop().unwrap();
    assert_eq!(last["message"], "the answer is longer than can be repeated in each event");
}

#[test]
fn limits_hold() {
    let message = |events: &[StreamEvent<'_>]| {
        let last = data(&write_in(Layout::default(), events)).pop().unwrap();
        last["message"].as_str().unwrap().to_owned()
    };
    let many: Vec<_> = (0..=MAX_OPEN_PARTS as u32).map(words).collect();
    assert_eq!(message(&many), "too many open parts");
    let far = StreamEvent::PartStart {
        index: 0,
        candidate: MAX_CANDIDATES as u32,
        part: PartStart::Refusal,
        rest: Rest::default(),
    };
    assert_eq!(message(&[far]), "too many candidates");
}

#[test]
fn pings_and_token_probabilities() {
    let mut events = hello();
    events.insert(1, StreamEvent::Ping);
    let raw = Raw::literal(r#"{"content":[{"token":"a"}]}"#);
    events.insert(4, StreamEvent::Logprobs { candidate: 0, raw });
    let stream = write_in(Layout::default(), &events);
    assert!(stream.starts_with(": ping\n\nid:1\n"));
    let choice = &data(&stream)[1]["output"]["choices"][0];
    assert_eq!(choice["logprobs"]["content"][0]["token"], "a");
}

/// Any order of events that the hub allows, and some that it does not.
fn step() -> impl Strategy<Value = StreamEvent<'static>> {
    let piece = prop::sample::select(vec!["", "a", "你", "\"\\\n", "😀", "{\"a\":1}"]);
    let index = 0u32..5;
    let kinds = (index.clone(), 0u32..2, 0usize..5).prop_map(|(index, candidate, kind)| {
        let part = match kind {
            0 => PartStart::Text { citations: None },
            1 => PartStart::Refusal,
            2 => PartStart::Reasoning { seal: None },
            3 => PartStart::Other { kind: text("x"), raw: Raw::literal("{}") },
            _ => PartStart::ToolCall {
                id: text(["", "c"][index as usize % 2]),
                name: text("f"),
                kind: ToolCallKind::Function,
                seal: None,
                cache: None,
            },
        };
        StreamEvent::PartStart { index, candidate, part, rest: Rest::default() }
    });
    let deltas = (index.clone(), piece, 0usize..4).prop_map(|(index, piece, kind)| {
        let piece = text(piece);
        let delta = match kind {
            0 => Delta::Text(piece),
            1 => Delta::Reasoning(piece),
            2 => Delta::Arguments(piece),
            _ => Delta::Seal(Seal {
                vendor: Vendor::DashScope,
                kind: SealKind::Signature,
                data: piece,
            }),
        };
        StreamEvent::Delta { index, delta }
    });
    let reasons = prop::sample::select(vec![
        StopReason::End,
        StopReason::ToolUse,
        StopReason::Refusal,
        StopReason::ContentFilter,
        StopReason::Other,
    ]);
    let stops = (0u32..2, reasons).prop_map(|(candidate, reason)| StreamEvent::Stop {
        candidate,
        stop: Stop::new(reason),
        rest: Rest::default(),
    });
    prop_oneof![
        4 => kinds,
        8 => deltas,
        2 => index.prop_map(|index| StreamEvent::PartStop { index }),
        1 => stops,
        1 => (0u64..9).prop_map(usage),
        1 => Just(StreamEvent::Ping),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_grammar_holds_in_every_layout(
        steps in prop::collection::vec(step(), 0..30),
        failed in any::<bool>(),
    ) {
        let mut events = vec![start()];
        events.extend(steps);
        events.push(if failed {
            StreamEvent::Error(ApiError::new(FaultKind::Timeout, "late"))
        } else {
            StreamEvent::End
        });
        for bits in 0u8..8 {
            let layout = layout(bits & 1 != 0, bits & 2 != 0, bits & 4 != 0);
            let stream = write_in(layout, &events);
            let other = write_in(Layout { snapshots: !layout.snapshots, ..layout }, &events);
            let mut folded = fold(stream.as_bytes(), layout.snapshots);
            let mut other = fold(other.as_bytes(), !layout.snapshots);
            // A snapshot may hold back the last of it when an error comes.
            if folded.error.is_none() {
                for choice in folded.choices.values_mut().chain(other.choices.values_mut()) {
                    choice.finish.clear();
                }
                prop_assert_eq!(folded, other);
            }
        }
    }
}
