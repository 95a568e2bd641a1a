//! The reader of streams.

use proptest::prelude::*;

use super::corpus::FOLDER;
use crate::protocol::dashscope::stream::{
    MAX_CANDIDATES, MAX_FOUND, MAX_HELD, MAX_MEDIA, MAX_REMEMBERED, MAX_TOOL_CALLS, Reader,
};
use crate::protocol::json::JsonStr;
use crate::protocol::model::{Delta, PartStart, StreamEvent};
use crate::sse::{Decoder, Event};
use crate::test_helpers::corpus::cases;

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
                PartStart::Reasoning { .. } => "reasoning".to_owned(),
                PartStart::ToolCall { id, name, .. } => {
                    format!("call {} {}", id.escaped(), name.escaped())
                }
                PartStart::Media(media) => format!("{:?}", media.kind),
                PartStart::Refusal | PartStart::Other { .. } => "other".to_owned(),
            };
            let of = if *candidate == 0 { String::new() } else { format!(" of {candidate}") };
            format!("+{index}{of} {part}")
        }
        StreamEvent::Delta { index, delta } => match delta {
            Delta::Text(text) | Delta::Reasoning(text) | Delta::Arguments(text) => {
                format!("{index} {}", text.escaped())
            }
            Delta::Seal(seal) => format!("{index} seal {}", seal.data.escaped()),
            Delta::Citation(raw) | Delta::Other(raw) => format!("{index} {}", raw.as_str()),
        },
        StreamEvent::PartStop { index } => format!("-{index}"),
        StreamEvent::Logprobs { .. } => "logprobs".to_owned(),
        StreamEvent::Stop { candidate, stop, .. } => format!("stop {candidate} {:?}", stop.reason),
        StreamEvent::Usage(usage) => {
            format!("usage {} {}", usage.input_total(), usage.output_total())
        }
        StreamEvent::Ping => "ping".to_owned(),
        StreamEvent::Error(error) => format!("error {:?} {}", error.kind, error.message.escaped()),
        StreamEvent::End => "end".to_owned(),
    }
}

/// An event with these members of the message.
fn said(members: &str, finish: &str) -> String {
    format!(
        r#"{{"output":{{"choices":[{{"message":{{{members},"role":"assistant"}},"finish_reason":"{finish}"}}]}},"request_id":"r"}}"#
    )
}

fn content(text: &str, finish: &str) -> String {
    said(&format!(r#""content":"{text}""#), finish)
}

fn run(lines: &[String]) -> Vec<String> {
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    events(&lines)
}

/// All text of the answer.
fn joined(lines: &[String]) -> String {
    let mut text = String::new();
    let mut reader = Reader::new();
    let mut sink = |event: StreamEvent<'_>| match event {
        StreamEvent::Delta { delta: Delta::Text(piece) | Delta::Arguments(piece), .. } => {
            text.push_str(&piece.decode());
        }
        StreamEvent::Error(error) => panic!("{error:?}"),
        _ => {}
    };
    for data in lines {
        reader.event(&Event { data, ..Event::default() }, &mut sink);
    }
    reader.finish(&mut sink);
    text
}

#[test]
fn words_in_either_way() {
    let null = |text| content(text, "null");
    let rows: &[(&[String], &[&str])] = &[
        // Repeated whole (S002.4).
        (&[null("你"), content("你好", "stop")], &["0 你", "0 好"]),
        (&[null("你"), null("你好"), content("", "stop")], &["0 你", "0 好"]),
        (&[null("你"), null("你好"), content("你好", "stop")], &["0 你", "0 好"]),
        (&[null("a"), null("ab"), null("abc"), content("abc", "stop")], &["0 a", "0 bc"]),
        // In pieces.
        (&[null("ha"), null("ha"), content("", "stop")], &["0 ha", "0 ha"]),
        (&[null("ha"), null("ha"), content("!", "stop")], &["0 ha", "0 ha", "0 !"]),
        (&[null("1"), null("+"), null("1"), content("", "stop")], &["0 1", "0 +", "0 1"]),
        (&[null(""), null("a"), content("b", "stop")], &["0 a", "0 b"]),
    ];
    for (lines, expected) in rows {
        let seen = run(lines);
        let deltas: Vec<_> = seen.iter().filter(|it| it.starts_with("0 ")).collect();
        assert_eq!(deltas, *expected, "{lines:?}");
        assert_eq!(seen[0], "start r ");
        assert_eq!(seen[1], "+0 text");
        assert_eq!(seen[seen.len() - 3..], ["-0", "stop 0 End", "end"]);
    }
}

#[test]
fn thinking_words_and_calls_repeated_whole() {
    let call = |arguments: &str| {
        format!(
            r#""tool_calls":[{{"index":0,"id":"c","type":"function","function":{{"name":"f","arguments":"{arguments}"}}}}]"#
        )
    };
    let said = |members: &str| said(members, "null");
    let lines = [
        said(r#""content":"","reasoning_content":"so""#),
        said(r#""content":"I","reasoning_content":"so""#),
        said(r#""content":"I","reasoning_content":"so""#),
        said(&format!(r#""content":"I",{}"#, call(r#"{\"a"#))),
        said(&format!(r#""content":"I",{}"#, call(r#"{\"a\":1}"#))),
        super::reading::said(&format!(r#""content":"I",{}"#, call(r#"{\"a\":1}"#)), "tool_calls"),
    ];
    let expected = [
        "start r ",
        "+0 reasoning",
        "0 so",
        "-0",
        "+1 text",
        "1 I",
        "-1",
        "+2 call c f",
        r#"2 {\"a"#,
        r#"2 \":1}"#,
        "-2",
        "stop 0 ToolUse",
        "end",
    ];
    assert_eq!(run(&lines), expected);
}

#[test]
fn fragments_of_calls() {
    let calls = |calls: &str| said(&format!(r#""content":"","tool_calls":[{calls}]"#), "null");
    let first = |index: u32, id: &str, name: &str, arguments: &str| {
        format!(
            r#"{{"index":{index},"id":"{id}","type":"function","function":{{"name":"{name}","arguments":"{arguments}"}}}}"#
        )
    };
    let more = |index: u32, arguments: &str| {
        format!(
            r#"{{"index":{index},"id":"","type":"function","function":{{"arguments":"{arguments}"}}}}"#
        )
    };
    let stop = content("", "tool_calls");
    let cases: Vec<(Vec<String>, Vec<&str>)> = vec![
        (
            vec![
                calls(&first(0, "c", "f", "{")),
                calls(&more(0, "}")),
                calls(&format!("{},{}", first(1, "d", "g", ""), more(0, " "))),
                calls(&more(1, "{}")),
                stop.clone(),
            ],
            vec!["+0 call c f", "0 {", "0 }", "+1 call d g", "0  ", "1 {}", "-0", "-1"],
        ),
        // The name comes later than the arguments.
        (
            vec![
                calls(r#"{"index":0,"id":"c","function":{"arguments":"{"}}"#),
                calls(r#"{"index":0,"function":{"name":"f","arguments":"}"}}"#),
                stop.clone(),
            ],
            vec!["+0 call c f", "0 {}", "-0"],
        ),
        // Every call has the same index.
        (
            vec![calls(&first(0, "c", "f", "{}")), calls(&first(0, "d", "g", "{}")), stop.clone()],
            vec!["+0 call c f", "0 {}", "+1 call d g", "1 {}", "-0", "-1"],
        ),
        // No index at all.
        (
            vec![
                calls(r#"{"id":"c","function":{"name":"f","arguments":""}}"#),
                calls(r#"{"id":"","function":{"arguments":"{}"}}"#),
                calls(r#"{"id":"d","function":{"name":"g","arguments":{"a":1}}}"#),
                stop.clone(),
            ],
            vec!["+0 call c f", "0 {}", "+1 call d g", r#"1 {\"a\":1}"#, "-0", "-1"],
        ),
        // Names come again, ids too.
        (
            vec![
                calls(&first(0, "c", "f", r#"{\"a"#)),
                calls(&first(0, "c", "f", r#"\":1}"#)),
                stop.clone(),
            ],
            vec!["+0 call c f", r#"0 {\"a"#, r#"0 \":1}"#, "-0"],
        ),
        // Two calls, each event with both so far.
        (
            vec![
                calls(&first(0, "c", "f", "{}")),
                calls(&format!("{},{}", first(0, "c", "f", "{}"), first(1, "d", "g", "{"))),
                calls(&format!("{},{}", first(0, "c", "f", "{}"), first(1, "d", "g", "{}"))),
                stop,
            ],
            vec!["+0 call c f", "0 {}", "+1 call d g", "1 {", "1 }", "-0", "-1"],
        ),
    ];
    for (lines, expected) in cases {
        let seen = run(&lines);
        assert_eq!(seen[1..seen.len() - 2], expected, "{lines:?}");
        assert_eq!(seen[seen.len() - 2..], ["stop 0 ToolUse", "end"]);
    }
    let nameless =
        [calls(r#"{"index":0,"id":"c","function":{"arguments":"{}"}}"#), content("", "stop")];
    assert_eq!(run(&nameless).last().unwrap(), "error Upstream a tool call came without its name");
}

#[test]
fn other_forms() {
    let rows: &[(&[&str], &[&str])] = &[
        (
            &[
                r#"{"output":{"text":"a","finish_reason":"null","model_name":"m"},"request_id":"r"}"#,
                r#"{"output":{"text":"b","finish_reason":"length"},"usage":{"input_tokens":2,"output_tokens":1}}"#,
            ],
            &["start r m", "+0 text", "0 a", "0 b", "-0", "stop 0 MaxTokens", "usage 2 1", "end"],
        ),
        (
            &[
                r#"{"output":{"choices":[{"message":{"content":[]},"finish_reason":"null"}]},"usage":{}}"#,
                r#"{"output":{"choices":[{"message":{"content":[{"text":"a"},{"text":"b"}]},"finish_reason":"stop"}]}}"#,
                "[DONE]",
                "{}",
            ],
            &["start  ", "+0 text", "0 ab", "-0", "stop 0 End", "end"],
        ),
        (
            &[
                r#"{"output":{"choices":[{"message":{"content":[{"image":"u"},{"text":"a"}]}}]}}"#,
                r#"{"output":{"choices":[{"message":{"content":[{"image":"u"},{"text":"b"}]},"finish_reason":"stop"}]}}"#,
            ],
            &[
                "start  ",
                "+0 text",
                "0 a",
                "-0",
                "+1 Image",
                "-1",
                "+2 text",
                "2 b",
                "-2",
                "stop 0 End",
                "end",
            ],
        ),
        (
            &[
                r#"{"output":{"choices":[{"index":1,"message":{"content":"x"},"finish_reason":"null"}]},"usage":{"input_tokens":5,"output_tokens":1}}"#,
                r#"{"output":{"choices":[{"index":0,"message":{"content":"y"},"finish_reason":"stop"}]},"usage":{"input_tokens":5,"output_tokens":2}}"#,
                r#"{"output":{"choices":[{"index":1,"message":{"content":""},"finish_reason":"stop"}]},"usage":{"input_tokens":5,"output_tokens":3}}"#,
            ],
            &[
                "start  ",
                "+0 of 1 text",
                "0 x",
                "usage 5 1",
                "+1 text",
                "1 y",
                "-1",
                "stop 0 End",
                "usage 5 3",
                "-0",
                "stop 1 End",
                "usage 5 5",
                "end",
            ],
        ),
        (
            &[
                r#"{"output":{"choices":[{"message":{"content":"a","reasoning_content":"r","reasoning_signature":"s"},"finish_reason":"stop"}]}}"#,
                r#"{"usage":{"input_tokens":1,"output_tokens":1},"output":{"choices":[]}}"#,
            ],
            &[
                "start  ",
                "+0 reasoning",
                "0 r",
                "0 seal s",
                "-0",
                "+1 text",
                "1 a",
                "-1",
                "stop 0 End",
                "usage 1 1",
                "end",
            ],
        ),
        (
            &[
                r#"{"output":{"choices":[{"message":{"content":"a"},"finish_reason":"stop","logprobs":{"content":[]}}]},"code":"","message":""}"#,
            ],
            &["start  ", "+0 text", "0 a", "logprobs", "-0", "stop 0 End", "end"],
        ),
    ];
    for (lines, expected) in rows {
        assert_eq!(events(lines), *expected, "{lines:?}");
    }
}

#[test]
fn found_pages_are_cited_by_the_first_text() {
    let event = |text: &str, found: &str, finish: &str| {
        format!(
            r#"{{"output":{{"choices":[{{"message":{{"content":"{text}"}},"finish_reason":"{finish}"}}],"search_info":{{"search_results":{found}}}}}}}"#
        )
    };
    let pages = r#"[{"url":"u"},{"url":"v"}]"#;
    for later in ["[]", pages] {
        let lines =
            [event("", pages, "null"), event("a", later, "null"), event("b", later, "stop")];
        let expected = [
            "start  ",
            "+0 text",
            "0 a",
            "0 b",
            r#"0 {"url":"u"}"#,
            r#"0 {"url":"v"}"#,
            "-0",
            "stop 0 End",
            "end",
        ];
        assert_eq!(run(&lines), expected, "{later}");
    }
    let long = format!(r#"[{{"url":"{}"}}]"#, "u".repeat(MAX_FOUND));
    assert_eq!(run(&[event("a", &long, "stop")]).len(), 6, "too long a list is left out");
}

#[test]
fn failures_are_told() {
    let early = "error Upstream the upstream ended the stream early";
    let rows: &[(&[&str], &str)] = &[
        (&[], early),
        (&["[DONE]"], early),
        (&[r#"{"output":{"text":"a","finish_reason":"null"}}"#], early),
        (&["oops"], "error Upstream the upstream sent an event that is no JSON object"),
        (&["[1]"], "error Upstream the upstream sent an event that is no JSON object"),
        (
            &[r#"{"code":"Throttling.RateQuota","message":"slow","request_id":"r"}"#],
            "error RateLimit slow",
        ),
        (&[r#"{"error":{"message":"bad key","code":"invalid_api_key"}}"#], "error Auth bad key"),
        (
            &[r#"{"output":{"text":"a"}}"#, r#"{"code":"DataInspectionFailed","message":"no"}"#],
            "error ContentPolicy no",
        ),
        (
            &[r#"{"output":{"choices":["odd"]}}"#],
            "error Upstream the upstream sent an event of an unknown form",
        ),
    ];
    for (lines, expected) in rows {
        let seen = events(lines);
        assert_eq!(seen.last().unwrap(), expected, "{lines:?}");
        let ends = seen.iter().filter(|it| it.starts_with("error") || *it == "end").count();
        assert_eq!(ends, 1, "{lines:?}");
    }
    let mut seen = Vec::new();
    let mut reader = Reader::new();
    let data = r#"{"code":"InvalidApiKey","message":"m"}"#;
    let error = Event { name: "error", data, ..Event::default() };
    reader.event(&error, &mut |event| seen.push(brief(&event)));
    reader.event(&error, &mut |event| seen.push(brief(&event)));
    reader.finish(&mut |event| seen.push(brief(&event)));
    assert_eq!(seen, ["error Auth m"]);
}

#[test]
fn limits_hold() {
    let last = |lines: &[String]| run(lines).pop().unwrap();
    let index = |index: usize| {
        format!(
            r#"{{"output":{{"choices":[{{"index":{index},"message":{{"content":"a"}},"finish_reason":"stop"}}]}}}}"#
        )
    };
    assert_eq!(last(&[index(MAX_CANDIDATES)]), "error Upstream the upstream sent too many choices");
    let call = |index: usize| {
        let call = format!(
            r#"{{"index":{index},"id":"c{index}","function":{{"name":"f","arguments":"{{}}"}}}}"#
        );
        said(&format!(r#""tool_calls":[{call}]"#), "null")
    };
    let calls: Vec<_> = (0..=MAX_TOOL_CALLS).map(call).collect();
    assert_eq!(last(&calls), "error Upstream the upstream sent too many tool calls");
    let long = "x".repeat(MAX_HELD + 1);
    let nameless = said(
        &format!(r#""tool_calls":[{{"index":0,"function":{{"arguments":"{long}"}}}}]"#),
        "null",
    );
    assert_eq!(last(&[nameless]), "error Upstream a tool call came without its name");
    let images: Vec<_> = (0..MAX_MEDIA + 5)
        .map(|n| said(&format!(r#""content":[{{"image":"u{n}"}}]"#), "null"))
        .collect();
    let seen = run(&images);
    assert_eq!(seen.iter().filter(|it| it.ends_with("Image")).count(), MAX_MEDIA);
    let half = "ab c".repeat(MAX_REMEMBERED / 8 + 1);
    let lines = [
        content(&half, "null"),
        content(&format!("{half}."), "null"),
        said(&format!(r#""content":"{half}.","reasoning_content":"{half}""#), "null"),
    ];
    let expected = "error Upstream the upstream repeats more of its answer than is remembered";
    assert_eq!(last(&lines), expected);
}

#[test]
fn every_cut_gives_the_same_events() {
    let read = |pieces: &[&[u8]]| {
        let mut seen = Vec::new();
        let mut reader = Reader::new();
        let mut decoder = Decoder::new();
        let mut sink = |event: Event<'_>| {
            reader.event(&event, &mut |event| seen.push(brief(&event)));
        };
        for piece in pieces {
            decoder.push(piece, &mut sink).unwrap();
        }
        decoder.finish(&mut sink).unwrap();
        reader.finish(&mut |event| seen.push(brief(&event)));
        seen
    };
    for (name, path) in cases(FOLDER) {
        let Ok(bytes) = std::fs::read(path.join("response.sse")) else { continue };
        let whole = read(&[&bytes]);
        let failed = name.contains("error");
        assert_eq!(whole.last().unwrap().starts_with("error"), failed, "{name}");
        // Every cut of the short ones, many of the long ones.
        for at in (0..bytes.len()).step_by(1 + bytes.len() / 2500) {
            let (left, right) = bytes.split_at(at);
            assert_eq!(read(&[left, right]), whole, "{name} at {at}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn snapshots_and_pieces_say_the_same(
        pieces in prop::collection::vec("[a-c\"\\\\\n 你é😀]{0,6}", 1..10),
        tail in "[d-f]{3}",
    ) {
        let escaped = |text: &str| JsonStr::from_plain(text).escaped().to_owned();
        let mut so_far = String::new();
        let mut snapshots = Vec::new();
        for piece in pieces.iter().map(String::as_str).chain(tail.split_inclusive(|_: char| true)) {
            so_far.push_str(piece);
            snapshots.push(content(&escaped(&so_far), "null"));
        }
        snapshots.push(content(&escaped(&so_far), "stop"));
        prop_assert_eq!(joined(&snapshots), so_far);
    }

    #[test]
    fn dirty_input_has_one_end(lines in prop::collection::vec(
        prop::sample::select(vec![
            "", "{}", "null", "{", r#"{"output":{}}"#, r#"{"output":{"text":"a"}}"#,
            r#"{"output":{"text":7,"choices":{},"finish_reason":null}}"#,
            r#"{"output":{"choices":[{}]}}"#,
            r#"{"output":{"choices":[{"message":{"content":[7,{"text":[]}],"tool_calls":[{}]}}]}}"#,
            r#"{"output":{"choices":[{"message":{"tool_calls":[{"index":-1,"function":7}]},"finish_reason":"stop"}]}}"#,
            r#"{"output":{"choices":[{"message":{"content":"a"},"finish_reason":"stop"}]}}"#,
            r#"{"usage":{"input_tokens":"x"}}"#, r#"{"code":7}"#, "[DONE]",
        ]), 0..8)) {
        let seen = events(&lines);
        let ends = seen.iter().filter(|it| it.starts_with("error") || *it == "end").count();
        prop_assert_eq!(ends, 1);
        let last = seen.last().unwrap();
        prop_assert!(last.starts_with("error") || last == "end");
    }
}
