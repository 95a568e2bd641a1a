//! Streams read and written.

use bytes::BytesMut;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::grammar::check;
use crate::protocol::fold::Fold;
use crate::protocol::json::{JsonStr, Raw};
use crate::protocol::model::{
    ApiError, Delta, FaultKind, Media, MediaKind, MediaSource, PartStart, Rest, Seal, SealKind,
    Spelling, Stop, StopReason, StreamEvent, ToolCallKind, Usage, Vendor,
};
use crate::protocol::openai_responses::response;
use crate::protocol::openai_responses::stream::{
    ITEM_OVERHEAD, MAX_ITEMS, MAX_KEPT, Reader, Writer,
};
use crate::protocol::report::Reporter;
use crate::protocol::{Answer, Protocol};
use crate::sse;

/// Reads a stream.
fn read(stream: &str, sink: &mut dyn FnMut(StreamEvent<'_>)) {
    let mut reader = Reader::new();
    let mut decoder = sse::Decoder::new();
    decoder.push(stream.as_bytes(), &mut |event| reader.event(&event, sink)).unwrap();
    decoder.finish(&mut |event| reader.event(&event, sink)).unwrap();
    reader.finish(sink);
}

/// Through the reader and, as another stream of Responses, out of the writer.
pub(super) fn transcode(stream: &str) -> String {
    let answer = Answer { origin: Some(Protocol::OpenAiResponses), ..Answer::new("m", 1, 1) };
    let (mut writer, mut out) = (Writer::new(answer), BytesMut::new());
    read(stream, &mut |event| writer.write(event, &mut out));
    assert!(writer.is_done());
    String::from_utf8(out.to_vec()).unwrap()
}

/// Through the reader into one finished answer of Responses.
pub(super) fn folded(stream: &str) -> Result<Value, String> {
    let mut fold = Fold::new(Protocol::OpenAiResponses, 1 << 24);
    read(stream, &mut |event| fold.event(event));
    let folded = fold.finish().map_err(|e| e.to_string())?;
    let mut out = BytesMut::new();
    let mut answer = Answer::new("m", 1, 1);
    response::write(&folded, &mut answer, &mut Reporter::new(""), &mut out);
    Ok(serde_json::from_slice(&out).unwrap())
}

/// A stream of these events.
fn sse(events: &[Value]) -> String {
    events.iter().map(|event| format!("data: {event}\n\n")).collect()
}

fn created() -> Value {
    json!({"type": "response.created", "response": {"id": "resp_1", "model": "m", "output": []}})
}

fn completed(output: Value) -> Value {
    let usage = json!({"input_tokens": 1, "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 1, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 2});
    json!({"type": "response.completed", "response":
        {"id": "resp_1", "status": "completed", "output": output, "usage": usage}})
}

fn message(id: &str, text: &str) -> Value {
    json!({"id": id, "type": "message", "status": "completed", "role": "assistant",
        "content": [{"type": "output_text", "text": text, "annotations": []}]})
}

fn delta(index: u64, text: &str) -> Value {
    json!({"type": "response.output_text.delta", "item_id": "x", "output_index": index,
        "content_index": 0, "delta": text})
}

/// The texts, thoughts, refusals and calls of an answer, in short.
fn told(stream: &str) -> Vec<String> {
    let folded = folded(stream).unwrap();
    let mut told = Vec::new();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    for item in folded["output"].as_array().unwrap() {
        match item["type"].as_str().unwrap() {
            "message" => told.extend(
                item["content"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|part| format!("{}{}", text(&part["text"]), text(&part["refusal"]))),
            ),
            "reasoning" => {
                let list = |name: &str| item[name].as_array().cloned().unwrap_or_default();
                let texts: Vec<_> = list("summary")
                    .iter()
                    .chain(&list("content"))
                    .map(|t| text(&t["text"]))
                    .collect();
                told.push(format!("({}){}", texts.join("|"), text(&item["encrypted_content"])));
            }
            "function_call" => told.push(format!(
                "{}={}{}",
                text(&item["call_id"]),
                text(&item["name"]),
                text(&item["arguments"])
            )),
            "custom_tool_call" => told.push(format!(
                "{}={}<{}>",
                text(&item["call_id"]),
                text(&item["name"]),
                text(&item["input"])
            )),
            other => told.push(format!("[{other}]")),
        }
    }
    told
}

#[test]
fn dialects_are_taken() {
    let added = |index: u64, item: Value| json!({"type": "response.output_item.added", "output_index": index, "item": item});
    let done = |index: u64, item: Value| json!({"type": "response.output_item.done", "output_index": index, "item": item});
    let call = |id: &str, name: &str, arguments: &str| {
        json!({"id": id, "type": "function_call", "call_id": "c", "name": name,
            "arguments": arguments})
    };
    let search = json!({"id": "ws", "type": "web_search_call", "status": "completed"});
    let reasoning = |summary: Value, content: Value| {
        json!({"id": "rs", "type": "reasoning", "summary": summary, "content": content,
            "encrypted_content": "E"})
    };
    let arguments = |index: u64, delta: &str| json!({"type": "response.function_call_arguments.delta", "output_index": index, "delta": delta});
    let summary = |index: u64, delta: &str| {
        json!({"type": "response.reasoning_summary_text.delta", "output_index": 0,
            "summary_index": index, "delta": delta})
    };
    let thinking = |text: &str| json!({"type": "response.reasoning_text.delta", "delta": text});
    let rows: Vec<(&str, Vec<Value>, Vec<&str>)> = vec![
        ("only deltas", vec![delta(0, "Hel"), delta(0, "lo"), completed(json!([]))], vec!["Hello"]),
        ("only items", vec![done(0, message("m", "Hi")), completed(json!([]))], vec!["Hi"]),
        (
            "only the answer",
            vec![completed(json!([reasoning(json!([]), json!([])), message("m", "Hi"), search]))],
            vec!["()E", "Hi", "[web_search_call]"],
        ),
        (
            "deltas that stop early",
            vec![delta(0, "H"), done(0, message("m", "Hello")), completed(json!([]))],
            vec!["Hello"],
        ),
        (
            "all of it, told again",
            vec![
                added(0, json!({"id": "a", "type": "message", "role": "assistant", "content": []})),
                delta(0, "Hi"),
                json!({"type": "response.output_text.done", "output_index": 0, "text": "Hi"}),
                done(0, message("b", "Hi")),
                completed(json!([message("c", "Hi")])),
            ],
            vec!["Hi"],
        ),
        (
            "a number for all items",
            vec![
                done(0, message("m", "Hi")),
                added(0, call("fc", "f", "")),
                arguments(0, "{}"),
                done(0, call("fc", "f", "{}")),
                completed(json!([message("m", "Hi"), call("fc", "f", "{}")])),
            ],
            vec!["Hi", "c=f{}"],
        ),
        (
            "no numbers",
            vec![
                json!({"type": "response.output_item.added", "item": call("fc", "f", "")}),
                json!({"type": "response.function_call_arguments.delta", "delta": "{}"}),
                json!({"type": "response.output_item.done", "item": call("fc", "f", "{}")}),
                completed(json!([call("fc", "f", "{}")])),
            ],
            vec!["c=f{}"],
        ),
        (
            "calls that overlap",
            vec![
                added(0, call("a", "f", "")),
                added(1, call("b", "g", "")),
                arguments(1, "{\"b\":"),
                arguments(0, "{\"a\":"),
                arguments(1, "2}"),
                arguments(0, "1}"),
                done(1, call("b", "g", "{\"b\":2}")),
                done(0, call("a", "f", "{\"a\":1}")),
                completed(json!([])),
            ],
            vec!["c=f{\"a\":1}", "c=g{\"b\":2}"],
        ),
        (
            "a name that comes late",
            vec![
                added(0, call("fc", "", "")),
                arguments(0, "{"),
                done(0, call("fc", "f", "{}")),
                completed(json!([])),
            ],
            vec!["c=f{}"],
        ),
        (
            "arguments as an object, and no call_id",
            vec![
                done(
                    0,
                    json!({"id": "i", "type": "function_call", "name": "f", "arguments": {"a": 1}}),
                ),
                completed(json!([])),
            ],
            vec!["i=f{\"a\":1}"],
        ),
        (
            "several summaries",
            vec![
                added(0, reasoning(json!([]), json!([]))),
                summary(0, "A"),
                summary(1, "B"),
                done(0, reasoning(json!([{"text": "A"}, {"text": "BC"}]), json!([]))),
                completed(json!([])),
            ],
            vec!["(A\n\nBC)E"],
        ),
        (
            "thinking itself, and then its summary",
            vec![
                thinking("deep"),
                done(0, reasoning(json!([{"text": "short"}]), json!([{"text": "deep!"}]))),
                completed(json!([])),
            ],
            vec!["(deep!\n\nshort)E"],
        ),
        (
            "a summary and the thinking itself, only at the end",
            vec![
                done(
                    0,
                    reasoning(json!([{"text": "A"}, {"text": "B"}]), json!([{"text": "deep"}])),
                ),
                completed(json!([])),
            ],
            vec!["(A\n\nB\n\ndeep)E"],
        ),
        (
            "a summary, and then the thinking itself",
            vec![
                summary(0, "short"),
                thinking("deep"),
                done(0, reasoning(json!([{"text": "short"}]), json!([{"text": "deep!"}]))),
                completed(json!([])),
            ],
            vec!["(short\n\ndeep!)E"],
        ),
        (
            "a refusal",
            vec![
                json!({"type": "response.refusal.delta", "output_index": 0, "delta": "No"}),
                json!({"type": "response.refusal.done", "output_index": 0, "refusal": "No."}),
                completed(json!([])),
            ],
            vec!["No."],
        ),
        (
            "free text for a tool",
            vec![
                added(
                    0,
                    json!({"id": "i", "type": "custom_tool_call", "call_id": "c", "name": "f", "input": ""}),
                ),
                json!({"type": "response.custom_tool_call_input.delta", "output_index": 0, "delta": "a b"}),
                completed(json!([])),
            ],
            vec!["c=f<a b>"],
        ),
        (
            "progress of tools and unknown events",
            vec![
                added(0, search.clone()),
                json!({"type": "response.web_search_call.searching", "output_index": 0}),
                json!({"type": "response.brand_new", "output_index": 0}),
                json!({"type": "keepalive"}),
                done(0, search.clone()),
                delta(1, "Hi"),
                completed(json!([search, message("m", "Hi")])),
            ],
            vec!["[web_search_call]", "Hi"],
        ),
    ];
    for (name, mut events, expected) in rows {
        events.insert(0, created());
        assert_eq!(told(&sse(&events)), expected, "{name}");
        let written = transcode(&sse(&events));
        check(written.as_bytes()).unwrap_or_else(|e| panic!("{name}: {e}\n{written}"));
        // A server that says nothing before its first words.
        assert_eq!(told(&sse(&events[1..])), expected, "{name}");
    }
}

#[test]
fn summaries_and_the_thinking_itself_stay_apart_in_their_own_protocol() {
    let text = |kind: &str, text: &str| json!({"type": kind, "text": text});
    let item = json!({"id": "rs", "type": "reasoning",
        "summary": [text("summary_text", "A"), text("summary_text", "B")],
        "content": [text("reasoning_text", "deep"), text("reasoning_text", "deeper")]});
    let summary = json!({"type": "response.reasoning_summary_text.delta", "output_index": 0,
        "summary_index": 0, "delta": "A"});
    let thinking = json!({"type": "response.reasoning_text.delta", "output_index": 0,
        "content_index": 0, "delta": "deep"});
    let end = [
        json!({"type": "response.output_item.done", "output_index": 0, "item": item}),
        completed(json!([item])),
    ];
    for begun in [vec![], vec![summary.clone()], vec![thinking.clone()], vec![summary, thinking]] {
        let events: Vec<Value> = [created()].into_iter().chain(begun).chain(end.clone()).collect();
        let written = transcode(&sse(&events));
        check(written.as_bytes()).unwrap_or_else(|e| panic!("{e}\n{written}"));
        let last = written.lines().rfind(|line| line.starts_with("data: ")).unwrap();
        let last: Value = serde_json::from_str(&last[6..]).unwrap();
        for list in ["summary", "content"] {
            assert_eq!(last["response"]["output"][0][list], item[list], "{written}");
        }
    }
}

#[test]
fn failures_end_the_stream() {
    let failed = |error: Value| json!({"type": "response.failed", "response": {"error": error}});
    let call =
        json!({"id": "i", "type": "function_call", "call_id": "c", "name": "", "arguments": ""});
    let rows: Vec<(Vec<Value>, FaultKind, &str)> = vec![
        (
            vec![failed(json!({"code": "rate_limit_exceeded", "message": "slow"}))],
            FaultKind::RateLimit,
            "slow",
        ),
        (
            vec![failed(json!({"code": "server_error", "message": "m"})), completed(json!([]))],
            FaultKind::Upstream,
            "m",
        ),
        (vec![failed(Value::Null)], FaultKind::Upstream, "the model failed to answer"),
        (
            vec![
                json!({"type": "error", "code": "context_length_exceeded", "message": "long", "param": "input"}),
            ],
            FaultKind::ContextTooLong,
            "long",
        ),
        (
            vec![json!({"type": "error", "error": {"type": "insufficient_quota", "message": "m"}})],
            FaultKind::Billing,
            "m",
        ),
        (vec![json!({"error": {"message": "m", "code": 429}})], FaultKind::RateLimit, "m"),
        (vec![json!({"detail": "m"})], FaultKind::Upstream, "m"),
        (
            vec![
                json!({"type": "response.completed", "response": {"status": "failed", "error": {"message": "m"}}}),
            ],
            FaultKind::Upstream,
            "m",
        ),
        (vec![delta(0, "Hi")], FaultKind::Upstream, "the upstream ended the stream early"),
        (
            vec![json!([1])],
            FaultKind::Upstream,
            "the upstream sent an event that is no JSON object",
        ),
        (
            vec![json!({"type": "response.output_item.added", "item": call}), completed(json!([]))],
            FaultKind::Upstream,
            "a tool call came without its name",
        ),
    ];
    for (events, kind, message) in rows {
        let stream = sse(&events);
        for stream in [stream.clone(), stream + "data: [DONE]\n\n"] {
            let mut last = Vec::new();
            read(&stream, &mut |event| match event {
                StreamEvent::Error(error) => {
                    last.push((error.kind, error.message.decode().into_owned()));
                }
                StreamEvent::End => panic!("{stream}"),
                _ => assert!(last.is_empty(), "{stream}"),
            });
            assert_eq!(last, [(kind, message.to_owned())], "{stream}");
            let written = transcode(&stream);
            assert_eq!(check(written.as_bytes()).unwrap().event, "failed", "{written}");
        }
    }
}

#[test]
fn endings_and_usage() {
    let end = |kind: &str, response: Value| {
        let events = [created(), delta(0, "x"), json!({"type": kind, "response": response})];
        let mut found = (None, None);
        read(&sse(&events), &mut |event| match event {
            StreamEvent::Stop { stop, .. } => found.0 = Some(stop.reason),
            StreamEvent::Usage(usage) => found.1 = Some(usage.counts()),
            _ => {}
        });
        found
    };
    let usage = json!({"input_tokens": 9, "input_tokens_details": {"cached_tokens": 4},
        "output_tokens": 5, "output_tokens_details": {"reasoning_tokens": 2}});
    let reason =
        |reason: &str| json!({"status": "incomplete", "incomplete_details": {"reason": reason}});
    let rows = [
        ("response.completed", json!({}), Some(StopReason::End)),
        ("response.completed", json!({"status": "in_progress"}), Some(StopReason::End)),
        ("response.incomplete", reason("max_output_tokens"), Some(StopReason::MaxTokens)),
        ("response.completed", reason("content_filter"), Some(StopReason::ContentFilter)),
        ("response.incomplete", json!({}), Some(StopReason::Other)),
    ];
    for (kind, mut response, expected) in rows {
        response["usage"] = usage.clone();
        let (stop, usage) = end(kind, response);
        assert_eq!(stop, expected, "{kind}");
        let counts = Usage { input: 5, cache_read: 4, output: 3, reasoning: 2, ..Usage::default() };
        assert_eq!(usage, Some(counts));
    }
}

#[test]
fn a_failure_tells_what_it_cost() {
    let events = [json!({"type": "response.failed", "response":
        {"usage": {"input_tokens": 7}, "error": {"code": "server_error", "message": "m"}}})];
    let mut input = None;
    read(&sse(&events), &mut |event| {
        if let StreamEvent::Usage(usage) = event {
            input = Some(usage.input);
        }
    });
    assert_eq!(input, Some(7));
    let mut failed = None;
    read("event: error\ndata: busy\n\n", &mut |event| {
        if let StreamEvent::Error(error) = event {
            failed = Some(error.message.decode().into_owned());
        }
    });
    assert_eq!(failed.as_deref(), Some("busy"));
}

#[test]
fn of_a_large_item_nothing_is_kept() {
    let id = |size: usize| {
        let item = json!({"id": "msg_1", "type": "message", "role": "assistant", "content": [],
            "odd": "x".repeat(size)});
        let added = json!({"type": "response.output_item.added", "output_index": 0, "item": item});
        let events = [created(), added, delta(0, "Hi"), completed(json!([]))];
        let answer = folded(&sse(&events)).unwrap();
        assert_eq!(answer["output"][0]["content"][0]["text"], "Hi");
        (answer["output"][0]["id"] == "msg_1", answer["output"][0]["odd"].is_string())
    };
    assert_eq!(id(MAX_KEPT - 200), (true, true));
    assert_eq!(id(MAX_KEPT), (false, false));
}

#[test]
fn too_many_items_fail() {
    let mut stream = sse(&[created()]);
    for index in 0..=MAX_ITEMS as u64 {
        stream += &sse(&[delta(index, "x")]);
    }
    let mut failed = None;
    read(&stream, &mut |event| {
        if let StreamEvent::Error(error) = event {
            failed = Some(error.message.decode().into_owned());
        }
    });
    assert_eq!(failed.as_deref(), Some("the upstream sent too many items"));
}

fn plain(text: &str) -> JsonStr<'static> {
    JsonStr::from_plain(text.to_owned())
}

fn write_all(answer: Answer, events: Vec<StreamEvent<'_>>) -> BytesMut {
    let (mut writer, mut out) = (Writer::new(answer), BytesMut::new());
    events.into_iter().for_each(|event| writer.write(event, &mut out));
    assert!(writer.is_done());
    out
}

#[test]
fn an_answer_that_is_too_large_fails() {
    let part = PartStart::Text { citations: None };
    let start = StreamEvent::PartStart { index: 0, candidate: 0, part, rest: Rest::default() };
    let piece = StreamEvent::Delta { index: 0, delta: Delta::Text(plain("0123456789")) };
    for limit in [0, 100, 1000, 5000] {
        let mut events = vec![start.clone()];
        events.extend(std::iter::repeat_n(piece.clone(), 1000));
        events.push(StreamEvent::End);
        let answer = Answer { max_accumulated: limit, ..Answer::new("m", 1, 1) };
        let out = write_all(answer, events);
        assert_eq!(check(&out).unwrap().event, "failed");
        assert!(out.len() < 3000 + 40 * limit, "{limit}: {}", out.len());
    }
}

#[test]
fn each_byte_that_is_kept_counts_once() {
    let text = || Delta::Text(plain("0123456789"));
    let cited =
        || Delta::Citation(Raw::literal(r#"{"type":"url_citation","url":"u","title":"t"}"#));
    let seal = || {
        Delta::Seal(Seal {
            vendor: Vendor::OpenAi,
            kind: SealKind::Encrypted,
            data: plain("a seal, as long as seals are"),
        })
    };
    let call = PartStart::ToolCall {
        id: plain("call_1"),
        name: plain("f"),
        kind: ToolCallKind::Function,
        seal: None,
        cache: None,
    };
    let logprobs = StreamEvent::Logprobs {
        candidate: 0,
        raw: Raw::literal(r#"{"content":[{"token":"0123456789","logprob":0}]}"#),
    };
    let rows: Vec<(PartStart<'_>, Vec<Delta<'_>>, bool)> = vec![
        (PartStart::Text { citations: None }, vec![text(); 20], true),
        (PartStart::Text { citations: None }, vec![text(), cited(), cited(), text()], false),
        (PartStart::Reasoning { seal: None }, vec![Delta::Reasoning(plain("Hm.")), seal()], false),
        (call, vec![Delta::Arguments(plain("{\"a\":1}")); 5], false),
    ];
    for (part, deltas, with_logprobs) in rows {
        let run = |limit| {
            let part = part.clone();
            let mut events = vec![StreamEvent::PartStart {
                index: 0,
                candidate: 0,
                part,
                rest: Rest::default(),
            }];
            let deltas = deltas.iter().cloned();
            events.extend(deltas.map(|delta| StreamEvent::Delta { index: 0, delta }));
            events.extend(with_logprobs.then(|| logprobs.clone()));
            events.extend([StreamEvent::PartStop { index: 0 }, StreamEvent::End]);
            let answer = Answer { max_accumulated: limit, ..Answer::new("m", 1, 1) };
            let out = write_all(answer, events);
            let last = String::from_utf8(out.to_vec()).unwrap();
            let last =
                last.lines().rfind(|line| line.starts_with("data: ")).unwrap()[6..].to_owned();
            serde_json::from_str::<Value>(&last).unwrap()["response"].take()
        };
        let whole = run(usize::MAX);
        // The item as it stands in the last event, its id, and what any item counts.
        let item = &whole["output"][0];
        let limit = item.to_string().len() + item["id"].as_str().unwrap().len() + ITEM_OVERHEAD;
        assert_eq!(run(limit)["status"], "completed", "{part:?}");
        assert_eq!(run(limit - 1)["status"], "failed", "{part:?}");
    }
}

fn any_start() -> impl Strategy<Value = PartStart<'static>> {
    let seal = Seal { vendor: Vendor::Gateway, kind: SealKind::Redacted, data: plain("S") };
    let foreign = Seal { vendor: Vendor::Anthropic, kind: SealKind::Signature, data: plain("A") };
    let call = |id: &str, name: &str, kind| PartStart::ToolCall {
        id: plain(id),
        name: plain(name),
        kind,
        seal: None,
        cache: None,
    };
    let image = Media {
        kind: MediaKind::Image,
        source: MediaSource::Base64 { media_type: plain("image/png"), data: plain("AAAA") },
        detail: None,
        title: None,
        context: None,
        citations: None,
        spelling: Spelling::default(),
    };
    let sound = Media { kind: MediaKind::Audio, ..image.clone() };
    let raw = Raw::literal(r#"{"id":"ws_1","type":"web_search_call","status":"completed"}"#);
    let cited = r#"[{"type":"web_search_result_location","url":"u","title":"t"},{"type":"x"}]"#;
    prop::sample::select(vec![
        PartStart::Text { citations: None },
        PartStart::Text { citations: None },
        PartStart::Text { citations: Some(Raw::literal(cited)) },
        PartStart::Refusal,
        PartStart::Reasoning { seal: None },
        PartStart::Reasoning { seal: Some(seal) },
        PartStart::Reasoning { seal: Some(foreign) },
        call("call_1", "f", ToolCallKind::Function),
        call("", "g\"", ToolCallKind::Function),
        call("call_2", "h", ToolCallKind::Custom),
        PartStart::Media(image),
        PartStart::Media(sound),
        PartStart::Other { kind: plain("web_search_call"), raw },
    ])
}

fn any_event() -> impl Strategy<Value = StreamEvent<'static>> {
    let delta = (0..5u32, "[a\"é\\\\]{0,3}", 0..6u8).prop_map(|(index, text, kind)| {
        let text = plain(&text);
        let delta = match kind {
            0 | 1 => Delta::Text(text),
            2 => Delta::Reasoning(text),
            3 => Delta::Arguments(text),
            4 => Delta::Seal(Seal { vendor: Vendor::OpenAi, kind: SealKind::Encrypted, data: text }),
            _ => Delta::Citation(Raw::literal(
                r#"{"type":"url_citation","url_citation":{"url":"u","title":"t","start_index":0,"end_index":1}}"#,
            )),
        };
        StreamEvent::Delta { index, delta }
    });
    let reasons = vec![
        StopReason::End,
        StopReason::MaxTokens,
        StopReason::ToolUse,
        StopReason::Refusal,
        StopReason::ContentFilter,
        StopReason::Error,
        StopReason::Other,
    ];
    let explained = Raw::literal(r#"{"explanation":"no"}"#);
    let stop = (prop::sample::select(reasons), 0..2u32, any::<bool>()).prop_map(
        move |(reason, candidate, explains)| StreamEvent::Stop {
            candidate,
            stop: Stop { details: explains.then(|| explained.clone()), ..Stop::new(reason) },
            rest: Rest::default(),
        },
    );
    let logprobs = Raw::literal(r#"{"content":[{"token":"a","logprob":0}],"refusal":null}"#);
    prop_oneof![
        6 => (0..5u32, 0..9u32, any_start()).prop_map(|(index, candidate, part)| {
            let candidate = candidate / 8;
            StreamEvent::PartStart { index, candidate, part, rest: Rest::default() }
        }),
        8 => delta,
        4 => (0..5u32).prop_map(|index| StreamEvent::PartStop { index }),
        1 => stop,
        1 => Just(StreamEvent::Logprobs { candidate: 0, raw: logprobs }),
        1 => Just(StreamEvent::Usage(Usage { input: 3, output: 4, ..Usage::default() })),
        1 => Just(StreamEvent::Ping),
        1 => Just(StreamEvent::Start {
            id: plain("chatcmpl-1"), model: plain("x"), created: Some(5), usage: None,
            rest: Rest::default(),
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Even events that no reader emits make a stream that clients can read.
    #[test]
    fn any_events_make_a_stream(
        mut events in prop::collection::vec(any_event(), 0..40),
        own in any::<bool>(),
        fails in any::<bool>(),
        limit in prop_oneof![3 => Just(usize::MAX), 1 => 0..3000usize],
    ) {
        // Ids of calls are the upstream's, and there are some in every stream of Responses.
        let named = |event: &StreamEvent<'_>| !matches!(event,
            StreamEvent::PartStart { part: PartStart::ToolCall { id, .. }, .. } if id.is_empty());
        // The vendor's items come back with their ids, which are not twice there.
        let mut others = 0;
        events.retain(|event| {
            let other = matches!(event, StreamEvent::PartStart { part: PartStart::Other { .. }, .. });
            others += usize::from(other);
            (!own || named(event)) && (!other || others < 2)
        });
        events.push(if fails {
            StreamEvent::Error(ApiError::new(FaultKind::Overloaded, "busy"))
        } else {
            StreamEvent::End
        });
        let origin = own.then_some(Protocol::OpenAiResponses);
        let answer = Answer { origin, max_accumulated: limit, ..Answer::new("m", 1, 1) };
        let out = write_all(answer, events);
        let checked = check(&out);
        prop_assert!(checked.is_ok(), "{:?}\n{}", checked, String::from_utf8_lossy(&out));
    }

    /// Parts that overlap keep their words and their order.
    #[test]
    fn overlapping_parts_are_whole(steps in prop::collection::vec((0..4u8, 0..6usize, "[a-c]{1,2}"), 0..40)) {
        let mut parts: Vec<(u8, String, bool)> = Vec::new();
        let mut events = Vec::new();
        for (step, which, text) in steps {
            let open: Vec<_> = (0..parts.len()).filter(|at| !parts[*at].2).collect();
            let index = open.get(which % open.len().max(1)).copied();
            match (step, index) {
                (0, _) | (_, None) => {
                    let kind = (which % 3) as u8;
                    let part = match kind {
                        0 => PartStart::Text { citations: None },
                        1 => PartStart::Reasoning { seal: None },
                        _ => PartStart::ToolCall {
                            id: plain(&format!("call_{}", parts.len())), name: plain("f"),
                            kind: ToolCallKind::Function, seal: None, cache: None,
                        },
                    };
                    let (index, rest) = (parts.len() as u32, Rest::default());
                    events.push(StreamEvent::PartStart { index, candidate: 0, part, rest });
                    parts.push((kind, String::new(), false));
                }
                (1, Some(at)) => {
                    parts[at].2 = true;
                    events.push(StreamEvent::PartStop { index: at as u32 });
                }
                (_, Some(at)) => {
                    parts[at].1 += &text;
                    let text = plain(&text);
                    let delta = match parts[at].0 {
                        0 => Delta::Text(text),
                        1 => Delta::Reasoning(text),
                        _ => Delta::Arguments(text),
                    };
                    events.push(StreamEvent::Delta { index: at as u32, delta });
                }
            }
        }
        events.push(StreamEvent::Stop { candidate: 0, stop: Stop::new(StopReason::End), rest: Rest::default() });
        events.push(StreamEvent::Usage(Usage { input: 7, output: 3, reasoning: 2, ..Usage::default() }));
        events.push(StreamEvent::End);
        let out = write_all(Answer::new("m", 1, 1), events);
        let ended = check(&out);
        prop_assert!(ended.is_ok(), "{:?}\n{}", ended, String::from_utf8_lossy(&out));
        let response = ended.unwrap().response;
        prop_assert_eq!(&response["usage"]["output_tokens"], &json!(5));
        let mut found = Vec::new();
        for item in response["output"].as_array().unwrap() {
            match item["type"].as_str().unwrap() {
                "message" => found.extend(item["content"].as_array().unwrap().iter()
                    .map(|part| (0, part["text"].as_str().unwrap().to_owned()))),
                "reasoning" => found.push((1, item["summary"][0]["text"].as_str().unwrap_or_default().to_owned())),
                _ => found.push((2, item["arguments"].as_str().unwrap().to_owned())),
            }
        }
        let expected: Vec<_> = parts.into_iter().map(|(kind, text, _)| {
            (kind, if kind == 2 && text.is_empty() { "{}".to_owned() } else { text })
        }).collect();
        prop_assert_eq!(found, expected);
    }

    /// Any input is read without a panic, ends once, and makes a stream that clients can read.
    #[test]
    fn any_input_makes_a_stream(events in prop::collection::vec((
        prop::sample::select(vec!["created", "output_item.added", "output_item.done",
            "content_part.added", "content_part.done", "output_text.delta", "output_text.done",
            "output_text.annotation.added", "refusal.delta", "reasoning_text.delta",
            "reasoning_summary_text.delta", "reasoning_summary_text.done",
            "function_call_arguments.delta", "function_call_arguments.done",
            "custom_tool_call_input.delta", "completed", "incomplete", "failed", "x"]),
        prop::option::of(0..3u8),
        prop::sample::select(vec!["message", "reasoning", "function_call", "custom_tool_call",
            "web_search_call", "output_text", "refusal", "summary_text", "y"]),
        "[a\"\\\\é]{0,2}",
    ), 0..24)) {
        let stream: String = events.iter().enumerate().map(|(nth, (name, index, kind, text))| {
            let part = json!({"type": if *kind == "y" { "refusal" } else { "output_text" },
                "text": text, "refusal": text, "annotations": [{"type": "z"}]});
            let item = json!({"type": kind, "id": format!("i{nth}"), "name": text, "call_id": format!("c{nth}"),
                "arguments": text, "input": text, "content": [part], "summary": [{"text": text}]});
            let mut data = json!({"type": format!("response.{name}"), "item": item, "part": part,
                "delta": text, "text": text, "content_index": index, "annotation": {"type": "z"},
                "logprobs": [{"token": text}], "response": {"id": "r", "output": [item]}});
            if let Some(index) = index {
                data["output_index"] = json!(index);
            }
            format!("data: {data}\n\n")
        }).collect();
        let mut ends = 0;
        read(&stream, &mut |event| {
            assert_eq!(ends, 0, "behind the end: {event:?}");
            ends += usize::from(matches!(event, StreamEvent::End | StreamEvent::Error(_)));
        });
        prop_assert_eq!(ends, 1);
        let out = transcode(&stream);
        let checked = check(out.as_bytes());
        prop_assert!(checked.is_ok(), "{:?}\n{}\n{}", checked, stream, out);
    }
}

/// The type of a failed answer knows its codes; the event before it takes any.
#[test]
fn a_failed_answer_has_a_code_of_its_own() {
    // given, of the event, of the answer
    let rows = [
        (FaultKind::BadRequest, Some("InvalidParameter"), "InvalidParameter", "invalid_prompt"),
        (FaultKind::BadRequest, Some("invalid_image"), "invalid_image", "invalid_image"),
        (FaultKind::Upstream, Some("InternalError.Algo"), "InternalError.Algo", "server_error"),
        (FaultKind::RateLimit, Some("Throttling"), "rate_limit_exceeded", "rate_limit_exceeded"),
        (FaultKind::Overloaded, None, "server_is_overloaded", "server_is_overloaded"),
    ];
    for (kind, code, of_event, of_answer) in rows {
        let error = ApiError { code: code.map(JsonStr::from_plain), ..ApiError::new(kind, "m") };
        let (mut writer, mut out) = (Writer::new(Answer::new("m", 1, 1)), BytesMut::new());
        writer.write(StreamEvent::Error(error), &mut out);
        let mut codes = Vec::new();
        let mut decoder = sse::Decoder::new();
        decoder
            .push(&out, &mut |event| {
                let event: Value = serde_json::from_str(event.data).unwrap();
                let of_answer = event.pointer("/response/error/code");
                let code = event.get("code").or(of_answer).and_then(Value::as_str);
                codes.extend(code.map(str::to_owned));
            })
            .unwrap();
        assert_eq!(codes, [of_event, of_answer], "{kind:?}");
    }
}
