//! Reader and writer of streams.

use bytes::BytesMut;
use proptest::prelude::*;

use super::fold::fold;
use super::{corpus, grammar};
use crate::protocol::json::{JsonStr, Raw};
use crate::protocol::model::{
    ApiError, Delta, FaultKind, PartStart, Rest, Seal, SealKind, Stop, StopReason, StreamEvent,
    ToolCallKind, Usage, Vendor,
};
use crate::protocol::openai_chat::stream::{
    MAX_CANDIDATES, MAX_HELD, MAX_OPEN_PARTS, MAX_TOOL_CALLS, Reader, Writer,
};
use crate::protocol::{Answer, Protocol};
use crate::sse::{Decoder, Event};

fn answer() -> Answer {
    let mut answer = Answer::new("asked", 7, 1);
    answer.include_usage = true;
    answer
}

/// Facts of an answer that comes from Chat itself.
fn native() -> Answer {
    Answer { origin: Some(Protocol::OpenAiChat), ..answer() }
}

/// Reads a stream of bytes and writes it again, as if it came from another protocol.
fn rewrite(bytes: &[u8]) -> BytesMut {
    rewrite_as(answer(), bytes)
}

fn rewrite_as(answer: Answer, bytes: &[u8]) -> BytesMut {
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

/// The events of these data lines, each in a few words.
fn events(lines: &[&str]) -> Vec<String> {
    let mut seen = Vec::new();
    let mut reader = Reader::new();
    for data in lines {
        let event = Event { data, ..Event::default() };
        reader.event(&event, &mut |event| seen.push(brief(&event)));
    }
    reader.finish(&mut |event| seen.push(brief(&event)));
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
                PartStart::Refusal => "refusal".to_owned(),
                PartStart::Reasoning { seal } => {
                    format!("reasoning{}", seal.as_ref().map_or(String::new(), brief_seal))
                }
                PartStart::ToolCall { id, name, kind, seal, .. } => {
                    let seal = seal.as_ref().map_or(String::new(), brief_seal);
                    format!("{kind:?} {} {}{seal}", id.escaped(), name.escaped())
                }
                PartStart::Media(_) => "media".to_owned(),
                PartStart::Other { .. } => "other".to_owned(),
            };
            let of = if *candidate == 0 { String::new() } else { format!(" of {candidate}") };
            format!("+{index}{of} {part}")
        }
        StreamEvent::Delta { index, delta } => match delta {
            Delta::Text(text) | Delta::Reasoning(text) | Delta::Arguments(text) => {
                format!("{index} {}", text.escaped())
            }
            Delta::Seal(seal) => format!("{index}{}", brief_seal(seal)),
            Delta::Citation(raw) | Delta::Other(raw) => format!("{index} {}", raw.as_str()),
        },
        StreamEvent::PartStop { index } => format!("-{index}"),
        StreamEvent::Logprobs { .. } => "logprobs".to_owned(),
        StreamEvent::Stop { candidate, stop, .. } => format!("stop {candidate} {:?}", stop.reason),
        StreamEvent::Usage(usage) => {
            format!("usage {} {}", usage.input_total(), usage.output_total())
        }
        StreamEvent::Ping => "ping".to_owned(),
        StreamEvent::Error(error) => {
            format!("error {:?} {}", error.kind, error.message.escaped())
        }
        StreamEvent::End => "end".to_owned(),
    }
}

fn brief_seal(seal: &Seal<'_>) -> String {
    format!(" seal {:?} {:?} {}", seal.vendor, seal.kind, seal.data.escaped())
}

/// A chunk with this delta.
fn delta(members: &str) -> String {
    format!(r#"{{"id":"i","model":"m","choices":[{{"index":0,"delta":{{{members}}}}}]}}"#)
}

const STOP: &str = r#"{"id":"i","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
const CALLS: &str = r#"{"id":"i","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#;

#[test]
fn recorded_streams_survive() {
    for case in corpus() {
        let Some(text) = case.file("response.sse") else { continue };
        let out = rewrite(text.as_bytes());
        grammar::check(&out).unwrap_or_else(|e| panic!("{}: {e}", case.name));
        if !case.is_clean() {
            continue;
        }
        let (mut before, after) = (fold(text.as_bytes()), fold(&out));
        for choice in before.choices.values_mut() {
            // The index of a call is its place among the calls.
            choice.calls = (0..).zip(std::mem::take(&mut choice.calls).into_values()).collect();
            if choice.finish == "stop" && !choice.calls.is_empty() {
                choice.finish = "tool_calls".to_owned();
            }
        }
        assert_eq!(after, before, "{}", case.name);
    }
}

#[test]
fn its_own_words_come_back() {
    let lines = [
        r#"{"id":"i","model":"m","system_fingerprint":"f","choices":[{"index":0,"delta":{"content":"a"},"logprobs":{"odd":1}}]}"#,
        r#"{"id":"i","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"eos"}]}"#,
        r#"{"id":"i","model":"m","choices":[],"usage":{"prompt_tokens":3,"cost":0.5}}"#,
    ];
    let text: String = lines.iter().map(|line| format!("data: {line}\n\n")).collect();
    let out = rewrite_as(native(), text.as_bytes());
    let out = std::str::from_utf8(&out).unwrap();
    let chunks = || out.split("\n\n").filter(|line| line.starts_with("data: {"));
    assert!(chunks().all(|line| line.contains(r#""system_fingerprint":"f""#)), "{out}");
    for piece in
        [r#""logprobs":{"odd":1}"#, r#"":"eos""#, r#""usage":{"prompt_tokens":3,"cost":0.5}"#]
    {
        assert_eq!(out.matches(piece).count(), 1, "{piece} in {out}");
    }
    let foreign = rewrite(text.as_bytes());
    let foreign = std::str::from_utf8(&foreign).unwrap();
    for piece in ["system_fingerprint", "odd", "cost"] {
        assert!(!foreign.contains(piece), "{piece} in {foreign}");
    }
}

#[test]
fn long_unknown_members_come_once() {
    let long = "x".repeat(1000);
    let text = format!(
        "data: {{\"id\":\"i\",\"long\":\"{long}\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"a\"}}}}]}}\n\ndata: {STOP}\n\n"
    );
    let out = rewrite_as(native(), text.as_bytes());
    grammar::check(&out).unwrap();
    assert_eq!(std::str::from_utf8(&out).unwrap().matches(&long).count(), 1);
}

#[test]
fn a_model_that_failed_is_an_error() {
    let failed = || StreamEvent::Stop {
        candidate: 0,
        stop: Stop { word: Some(JsonStr::from_plain("error")), ..Stop::new(StopReason::Error) },
        rest: Rest::default(),
    };
    for (answer, error) in [(answer(), true), (native(), false)] {
        let mut writer = Writer::new(answer);
        let mut out = BytesMut::new();
        writer.write(failed(), &mut out);
        assert_eq!(writer.is_done(), error);
        writer.write(StreamEvent::End, &mut out);
        grammar::check(&out).unwrap();
        let folded = fold(&out);
        assert_eq!(folded.error.is_some(), error);
        if !error {
            assert_eq!(folded.choices[&0].finish, "error");
        }
    }
}

#[test]
fn dirty_streams_end_in_an_error() {
    let clean = ["openrouter-web-search-annotations-stream"];
    for case in corpus() {
        let Some(text) = case.file("response.sse").filter(|_| !case.is_clean()) else { continue };
        let folded = fold(&rewrite(text.as_bytes()));
        let fine = clean.iter().any(|name| case.name.ends_with(name));
        assert_eq!(folded.error.is_none(), fine, "{}", case.name);
    }
}

#[test]
fn calls_in_all_dialects() {
    let rows: &[(&str, Vec<String>, &[&str])] = &[
        (
            "fragments, id and name come again",
            vec![
                delta(
                    r#""tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}]"#,
                ),
                delta(r#""tool_calls":[{"index":0,"id":"","function":{"arguments":"{"}}]"#),
                delta(
                    r#""tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"}"}}]"#,
                ),
                CALLS.to_owned(),
            ],
            &["+0 Function a f", "0 {", "0 }", "-0", "stop 0 ToolUse"],
        ),
        (
            "the name comes late",
            vec![
                delta(r#""tool_calls":[{"index":0,"id":"a","function":{"arguments":"{\""}}]"#),
                delta(r#""tool_calls":[{"index":0,"function":{"name":"f","arguments":"x"}}]"#),
                CALLS.to_owned(),
            ],
            &["+0 Function a f", r#"0 {\"x"#, "-0", "stop 0 ToolUse"],
        ),
        (
            "no index, whole calls",
            vec![
                delta(
                    r#""content":"hi","tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}},{"id":"b","function":{"name":"f","arguments":{"x":1}}}]"#,
                ),
                STOP.to_owned(),
            ],
            &[
                "+0 text",
                "0 hi",
                "-0",
                "+1 Function a f",
                "1 {}",
                "+2 Function b f",
                r#"2 {\"x\":1}"#,
                "-1",
                "-2",
                "stop 0 ToolUse",
            ],
        ),
        (
            "no index, fragments",
            vec![
                delta(r#""tool_calls":[{"id":"a","function":{"name":"f"}}]"#),
                delta(r#""tool_calls":[{"function":{"arguments":"1"}}]"#),
                CALLS.to_owned(),
            ],
            &["+0 Function a f", "0 1", "-0", "stop 0 ToolUse"],
        ),
        (
            "every call has index 0",
            vec![
                delta(
                    r#""tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"1"}}]"#,
                ),
                delta(
                    r#""tool_calls":[{"index":0,"id":"b","function":{"name":"f","arguments":"2"}}]"#,
                ),
                delta(r#""tool_calls":[{"index":0,"function":{"arguments":"3"}}]"#),
                CALLS.to_owned(),
            ],
            &[
                "+0 Function a f",
                "0 1",
                "+1 Function b f",
                "1 2",
                "1 3",
                "-0",
                "-1",
                "stop 0 ToolUse",
            ],
        ),
        (
            "interleaved",
            vec![
                delta(
                    r#""tool_calls":[{"index":0,"id":"a","function":{"name":"f"}},{"index":1,"id":"b","custom":{"name":"g","input":"x"}}]"#,
                ),
                delta(r#""tool_calls":[{"index":0,"function":{"arguments":"1"}}]"#),
                CALLS.to_owned(),
            ],
            &["+0 Function a f", "+1 Custom b g", "1 x", "0 1", "-0", "-1", "stop 0 ToolUse"],
        ),
        (
            "legacy function_call",
            vec![
                delta(r#""function_call":{"name":"f","arguments":""}"#),
                delta(r#""function_call":{"arguments":"{}"}"#),
                CALLS.to_owned(),
            ],
            &["+0 Function  f", "0 {}", "-0", "stop 0 ToolUse"],
        ),
        (
            "Gemini's seal",
            vec![
                delta(
                    r#""tool_calls":[{"index":0,"id":"a","function":{"name":"f"},"extra_content":{"google":{"thought_signature":"s"}}}]"#,
                ),
                CALLS.to_owned(),
            ],
            &["+0 Function a f seal Gemini ThoughtSignature s", "-0", "stop 0 ToolUse"],
        ),
    ];
    for (name, lines, expected) in rows {
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        let seen = events(&lines);
        assert_eq!(seen[0], "start i m", "{name}");
        assert_eq!(seen[seen.len() - 1], "end", "{name}");
        assert_eq!(seen[1..seen.len() - 1], **expected, "{name}");
    }
}

#[test]
fn words_in_all_dialects() {
    let rows: &[(&str, &[&str])] = &[
        (r#""role":"assistant","content":"""#, &[]),
        (r#""reasoning_content":"a","content":null"#, &["+0 reasoning", "0 a", "-0"]),
        (
            r#""content":"b","reasoning":"a""#,
            &["+0 reasoning", "0 a", "-0", "+1 text", "1 b", "-1"],
        ),
        (r#""reasoning_content":"a","reasoning":"a""#, &["+0 reasoning", "0 a", "-0"]),
        (
            r#""reasoning":"a","reasoning_details":[{"type":"reasoning.text","text":"a"}]"#,
            &["+0 reasoning", "0 a", "-0"],
        ),
        (
            r#""reasoning_details":[{"type":"reasoning.summary","summary":"a"}]"#,
            &["+0 reasoning", "0 a", "-0"],
        ),
        (
            r#""reasoning":"a","reasoning_details":[{"type":"reasoning.text","signature":"s","format":"anthropic-claude-v1"}]"#,
            &["+0 reasoning", "0 a", "0 seal Anthropic Signature s", "-0"],
        ),
        (
            r#""reasoning_details":[{"type":"reasoning.encrypted","data":"d","format":"anthropic-claude-v1"},{"type":"reasoning.encrypted","data":"e","format":"x"},{"type":"new"}]"#,
            &[
                "+0 reasoning seal Anthropic Redacted d",
                "-0",
                "+1 reasoning seal Unknown Encrypted e",
                "-1",
            ],
        ),
        (
            r#""content":[{"type":"thinking","thinking":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},{"type":"text","text":"c"}]"#,
            &["+0 reasoning", "0 ab", "-0", "+1 text", "1 c", "-1"],
        ),
        (
            r#""annotations":[{"type":"url_citation"}],"content":"a""#,
            &["+0 text", "0 a", r#"0 {"type":"url_citation"}"#, "-0"],
        ),
    ];
    for (members, expected) in rows {
        let seen = events(&[&delta(members), STOP]);
        assert_eq!(seen[1..seen.len() - 2], **expected, "{members}");
        assert_eq!(seen[seen.len() - 2..], ["stop 0 End", "end"], "{members}");
    }
    let seen = events(&[&delta(r#""refusal":"no""#), STOP]);
    assert_eq!(seen[1..], ["+0 refusal", "0 no", "-0", "stop 0 Refusal", "end"]);
}

#[test]
fn endings() {
    const EARLY: &str = "error Upstream the upstream ended the stream early";
    let text = delta(r#""content":"a""#);
    let usage = r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#;
    let filter = r#"{"id":"","model":"","choices":[],"prompt_filter_results":[]}"#;
    let error = r#"{"error":{"message":"m","code":429},"choices":[]}"#;
    let two = r#"{"id":"i","choices":[{"index":1,"delta":{"content":"b"}}]}"#;
    let two_stop = r#"{"choices":[{"index":1,"delta":{},"finish_reason":"length"}]}"#;
    let rows: &[(&[&str], &[&str])] = &[
        (&[], &[EARLY]),
        (&["[DONE]"], &[EARLY]),
        (&[filter, &text], &["start i m", "+0 text", "0 a", EARLY]),
        (&[&text, "[DONE]", STOP], &["start i m", "+0 text", "0 a", EARLY]),
        (&[&text, STOP], &["start i m", "+0 text", "0 a", "-0", "stop 0 End", "end"]),
        (&[STOP, STOP, usage, "[DONE]", usage], &["start i ", "stop 0 End", "usage 3 2", "end"]),
        (&[STOP, usage], &["start i ", "stop 0 End", "usage 3 2", "end"]),
        (&[&text, error, STOP], &["start i m", "+0 text", "0 a", "error RateLimit m"]),
        (&[STOP, error, "[DONE]"], &["start i ", "stop 0 End", "error RateLimit m"]),
        (&["{oops"], &["error Upstream the upstream sent a chunk that is no JSON object"]),
        (&[r#"{"detail":"d"}"#], &["error Upstream d"]),
        (&[r#"{"error":"e"}"#], &["error Upstream e"]),
        (
            &[r#"{"choices":[5]}"#],
            &["start  ", "error Upstream the upstream sent a chunk of an unknown form"],
        ),
        (
            &[&text, two, STOP, two_stop],
            &[
                "start i m",
                "+0 text",
                "0 a",
                "+1 of 1 text",
                "1 b",
                "-0",
                "stop 0 End",
                "-1",
                "stop 1 MaxTokens",
                "end",
            ],
        ),
        (
            &[&text, two, STOP],
            &["start i m", "+0 text", "0 a", "+1 of 1 text", "1 b", "-0", "stop 0 End", EARLY],
        ),
    ];
    for (lines, expected) in rows {
        assert_eq!(events(lines), *expected, "{lines:?}");
    }
}

#[test]
fn an_error_event_by_name() {
    let mut seen = Vec::new();
    let mut reader = Reader::new();
    let data = r#"{"error":{"message":"m","code":"tool_use_failed","status_code":400}}"#;
    let event = Event { name: "error", data, ..Event::default() };
    reader.event(&event, &mut |event| seen.push(brief(&event)));
    reader.finish(&mut |event| seen.push(brief(&event)));
    assert_eq!(seen, ["error BadRequest m"]);
}

#[test]
fn limits_hold() {
    let held = "x".repeat(MAX_HELD + 1);
    let held =
        delta(&format!(r#""tool_calls":[{{"index":0,"function":{{"arguments":"{held}"}}}}]"#));
    let calls: Vec<_> = (0..=MAX_TOOL_CALLS)
        .map(|n| format!(r#"{{"id":"c{n}","function":{{"name":"f"}}}}"#))
        .collect();
    let calls = delta(&format!(r#""tool_calls":[{}]"#, calls.join(",")));
    let choice = format!(r#"{{"choices":[{{"index":{MAX_CANDIDATES}}}]}}"#);
    for (line, reason) in [
        (held, "a tool call came without its name"),
        (calls, "the upstream sent too many tool calls"),
        (choice, "the upstream sent too many choices"),
    ] {
        let seen = events(&[&line]);
        assert_eq!(seen[seen.len() - 1], format!("error Upstream {reason}"));
    }
    let mut writer = Writer::new(answer());
    let mut out = BytesMut::new();
    for index in 0..=MAX_OPEN_PARTS as u32 {
        writer.write(part(index, 0, PartStart::Refusal), &mut out);
    }
    assert!(writer.is_done());
    grammar::check(&out).unwrap();
}

fn part<'a>(index: u32, candidate: u32, part: PartStart<'a>) -> StreamEvent<'a> {
    StreamEvent::PartStart { index, candidate, part, rest: Rest::default() }
}

fn seal() -> Seal<'static> {
    let data = JsonStr::from_plain("sig");
    Seal { vendor: Vendor::Anthropic, kind: SealKind::Signature, data }
}

fn any_event() -> impl Strategy<Value = StreamEvent<'static>> {
    let text = || any::<String>().prop_map(JsonStr::from_plain);
    let (index, candidate) = (0u32..6, 0u32..3);
    let starts = prop_oneof![
        Just(PartStart::Text { citations: None }),
        Just(PartStart::Refusal),
        Just(PartStart::Reasoning { seal: None }),
        Just(PartStart::Reasoning { seal: Some(seal()) }),
        (text(), text(), any::<bool>()).prop_map(|(id, name, custom)| PartStart::ToolCall {
            id,
            name,
            kind: if custom { ToolCallKind::Custom } else { ToolCallKind::Function },
            seal: None,
            cache: None,
        }),
        Just(PartStart::Other { kind: JsonStr::from_plain("x"), raw: Raw::literal("{}") }),
    ];
    let deltas = prop_oneof![
        text().prop_map(Delta::Text),
        text().prop_map(Delta::Reasoning),
        text().prop_map(Delta::Arguments),
        Just(Delta::Seal(seal())),
        Just(Delta::Citation(Raw::literal(r#"{"type":"url_citation"}"#))),
        Just(Delta::Citation(Raw::literal(r#"{"type":"char_location"}"#))),
        Just(Delta::Other(Raw::literal("1"))),
    ];
    let stop = |(candidate, reason): (u32, StopReason)| StreamEvent::Stop {
        candidate,
        stop: Stop { details: Some(Raw::literal(r#"{"explanation":"why"}"#)), ..Stop::new(reason) },
        rest: Rest::default(),
    };
    let reasons = prop_oneof![
        Just(StopReason::End),
        Just(StopReason::ToolUse),
        Just(StopReason::Refusal),
        Just(StopReason::Other),
    ];
    prop_oneof![
        4 => (index.clone(), candidate.clone(), starts).prop_map(|(i, c, p)| part(i, c, p)),
        8 => (index.clone(), deltas).prop_map(|(index, delta)| StreamEvent::Delta { index, delta }),
        2 => index.prop_map(|index| StreamEvent::PartStop { index }),
        1 => (candidate.clone(), reasons).prop_map(stop),
        1 => candidate.prop_map(|candidate| StreamEvent::Logprobs {
            candidate,
            raw: Raw::literal(r#"{"content":[]}"#),
        }),
        1 => Just(StreamEvent::Usage(Usage { input: 1, output: 2, ..Usage::default() })),
        1 => Just(StreamEvent::Ping),
        1 => (text(), text()).prop_map(|(id, model)| StreamEvent::Start {
            id, model, created: None, usage: None, rest: Rest::default(),
        }),
    ]
}

proptest! {
    #[test]
    fn whatever_comes_is_written_by_the_grammar(
        events in prop::collection::vec(any_event(), 0..40),
        fails in any::<bool>(),
        include_usage in any::<bool>(),
    ) {
        let mut answer = answer();
        answer.include_usage = include_usage;
        let mut writer = Writer::new(answer);
        let mut out = BytesMut::new();
        for event in events {
            writer.write(event, &mut out);
        }
        prop_assert!(!writer.is_done());
        let last = if fails {
            StreamEvent::Error(ApiError::new(FaultKind::Overloaded, "busy"))
        } else {
            StreamEvent::End
        };
        writer.write(last, &mut out);
        prop_assert!(writer.is_done());
        let length = out.len();
        writer.write(StreamEvent::Ping, &mut out);
        prop_assert_eq!(out.len(), length);
        if let Err(reason) = grammar::check(&out) {
            return Err(TestCaseError::fail(format!("{reason}\n{}", String::from_utf8_lossy(&out))));
        }
    }

    #[test]
    fn no_text_makes_the_reader_panic(lines in prop::collection::vec("[\\[\\]{}\",:a-z0-9_ ]{0,60}", 0..6)) {
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        let seen = events(&lines);
        prop_assert!(seen.last().is_some_and(|last| last.starts_with("error")));
    }
}

#[test]
fn a_call_without_arguments_is_an_object() {
    for stops in [true, false] {
        let mut writer = Writer::new(answer());
        let mut out = BytesMut::new();
        let start = PartStart::ToolCall {
            id: JsonStr::from_plain("a"),
            name: JsonStr::from_plain("f"),
            kind: ToolCallKind::Function,
            seal: None,
            cache: None,
        };
        writer.write(part(0, 0, start), &mut out);
        let empty = Delta::Arguments(JsonStr::default());
        writer.write(StreamEvent::Delta { index: 0, delta: empty }, &mut out);
        if stops {
            writer.write(StreamEvent::PartStop { index: 0 }, &mut out);
        }
        writer.write(StreamEvent::End, &mut out);
        grammar::check(&out).unwrap();
        assert_eq!(fold(&out).choices[&0].calls[&0], ["a", "f", "{}"]);
    }
}

#[test]
fn seals_go_beside_the_thinking_and_come_back() {
    let mut writer = Writer::new(answer());
    let mut out = BytesMut::new();
    let redacted = Seal { kind: SealKind::Redacted, ..seal() };
    for event in [
        part(0, 0, PartStart::Reasoning { seal: None }),
        StreamEvent::Delta { index: 0, delta: Delta::Reasoning(JsonStr::from_plain("hm")) },
        StreamEvent::Delta { index: 0, delta: Delta::Seal(seal()) },
        StreamEvent::PartStop { index: 0 },
        part(1, 0, PartStart::Reasoning { seal: Some(redacted) }),
        StreamEvent::PartStop { index: 1 },
        StreamEvent::End,
    ] {
        writer.write(event, &mut out);
    }
    grammar::check(&out).unwrap();
    let mut seen = Vec::new();
    let (mut reader, mut decoder) = (Reader::new(), Decoder::new());
    decoder
        .push(&out, &mut |event| reader.event(&event, &mut |event| seen.push(brief(&event))))
        .unwrap();
    let expected = [
        "+0 reasoning",
        "0 hm",
        "0 seal Anthropic Signature sig",
        "-0",
        "+1 reasoning seal Anthropic Redacted sig",
        "-1",
        "stop 0 End",
        "end",
    ];
    assert_eq!(seen[1..], expected);
}
