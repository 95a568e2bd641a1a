//! Finished answers: every form is read, and those of other protocols are written.

use bytes::BytesMut;
use serde_json::{Value, json};

use crate::protocol::gemini::response;
use crate::protocol::json::{JsonStr, Raw};
use crate::protocol::model::{
    Candidate, Content, Part, Response, Rest, Seal, SealKind, Spelling, Stop, StopReason,
    ToolArguments, ToolCall, ToolCallKind, Usage, Vendor,
};
use crate::protocol::report::{Reporter, Severity};
use crate::protocol::{Answer, Protocol};
use crate::test_helpers::corpus::parse;

fn back(text: &str) -> Value {
    let response = response::read(text).unwrap();
    let mut report = Reporter::new(text);
    let mut out = BytesMut::new();
    response::write(&response, &mut Answer::new("m", 0, 0), &mut report, &mut out);
    assert!(report.finish().is_empty(), "{text}");
    parse(&out)
}

#[test]
fn what_is_read_comes_back() {
    let rows = [
        json!({}),
        json!({"candidates": []}),
        json!({"candidates": null, "usageMetadata": null, "x": [1]}),
        json!({"candidates": [{}]}),
        json!({"candidates": [{"content": {}, "finishReason": "MALFORMED_FUNCTION_CALL"}]}),
        json!({"candidates": [{"content": {"parts": []}, "index": 0}]}),
        json!({"candidates": [{"content": {"parts": [{"text": "a"}]}, "finishReason": 1}]}),
        json!({"candidates": [{"content": null, "finish_reason": "STOP", "index": 3}]}),
        json!({"candidates": [{"content": {"parts": [{"text": "a"}, {"text": "b", "thought": true},
            {"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "s"},
            {"functionCall": {"id": "i", "name": "g"}}, {"executableCode": {"code": "c"}},
            {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}, {"new": 1}, 5],
            "role": "model"}, "index": 0, "finishReason": "NEW", "safetyRatings": [],
            "groundingMetadata": {"a": 1}, "avgLogprobs": -0.5,
            "logprobsResult": {"chosenCandidates": []}, "tokenCount": 4, "finishMessage": "m"}],
            "usageMetadata": {"promptTokenCount": 1, "x": 2}, "modelVersion": "v",
            "responseId": "i", "createTime": "2026-05-27T16:53:45.4Z", "promptFeedback": {}}),
        json!({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {}}),
        json!({"promptFeedback": {"blockReason": "OTHER"}, "candidates": []}),
        json!({"candidates": [{"content": {"parts": [{"text": "No"}], "role": "model"},
            "finishReason": "PROHIBITED_CONTENT", "index": 0}],
            "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}),
    ];
    for row in rows {
        assert_eq!(back(&row.to_string()), row);
    }
}

fn only_stop(text: &str) -> (StopReason, Option<String>) {
    let response = response::read(text).unwrap();
    let [Candidate { stop: Some(stop), .. }] = response.candidates.as_slice() else {
        panic!("{text}");
    };
    (stop.reason, stop.details.as_ref().map(|raw| raw.as_str().to_owned()))
}

#[test]
fn ends_are_understood() {
    let call = r#"{"functionCall":{"name":"f"}}"#;
    let answer = |parts: &str, end: &str| {
        format!(r#"{{"candidates":[{{"content":{{"parts":[{parts}]}},{end}}}]}}"#)
    };
    for (text, reason) in [
        (answer("", r#""finishReason":"STOP""#), StopReason::End),
        (answer(call, r#""finishReason":"STOP""#), StopReason::ToolUse),
        (answer(call, r#""finish_reason":1"#), StopReason::ToolUse),
        (answer(call, r#""finishReason":"MAX_TOKENS""#), StopReason::MaxTokens),
        (answer("", r#""finishReason":"NEW""#), StopReason::Other),
    ] {
        assert_eq!(only_stop(&text), (reason, None), "{text}");
    }
    let (reason, details) = only_stop(&answer(
        "",
        r#""finishReason":"UNEXPECTED_TOOL_CALL","finishMessage":"no tool \"f\"""#,
    ));
    assert_eq!(reason, StopReason::Error);
    assert_eq!(details.as_deref(), Some(r#"{"message":"no tool \"f\""}"#));
    let (reason, details) = only_stop(r#"{"promptFeedback":{"blockReason":"SAFETY"}}"#);
    assert_eq!(reason, StopReason::ContentFilter);
    assert_eq!(details.as_deref(), Some(r#"{"explanation":"the prompt was blocked: SAFETY"}"#));
    let text = answer("", r#""index":0"#);
    let unfinished = response::read(&text).unwrap();
    assert_eq!(unfinished.candidates[0].stop, None);
}

#[test]
fn snake_case_is_understood() {
    let text = r#"{"response_id":"i","model_version":"v","create_time":"1970-01-01T00:01:00Z",
        "usage_metadata":{"prompt_token_count":3},"candidates":[{"index":1,"finish_reason":"STOP",
        "content":{"parts":[{"function_call":{"name":"f","args":{}},"thought_signature":"s"}]}}]}"#;
    let response = response::read(text).unwrap();
    assert_eq!((&*response.id.decode(), &*response.model.decode()), ("i", "v"));
    assert_eq!(response.created.unwrap().as_u64(), Some(60));
    assert_eq!(response.usage.unwrap().input, 3);
    let candidate = &response.candidates[0];
    assert_eq!(candidate.index, 1);
    let Content::ToolCall(call) = &candidate.parts[0].content else { panic!() };
    assert_eq!(call.seal.as_ref().unwrap().data, "s");
}

fn part(content: Content<'static>) -> Part<'static> {
    Part::new(content)
}

fn text(words: &'static str) -> Part<'static> {
    Part::text(JsonStr::from_plain(words))
}

fn seal(vendor: Vendor) -> Seal<'static> {
    Seal { vendor, kind: SealKind::ThoughtSignature, data: JsonStr::from_plain("s") }
}

fn call(kind: ToolCallKind, arguments: &'static str) -> Part<'static> {
    part(Content::ToolCall(ToolCall {
        id: JsonStr::from_plain("c1"),
        name: JsonStr::from_plain("f"),
        arguments: ToolArguments::Text(JsonStr::from_plain(arguments)),
        kind,
        seal: Some(seal(Vendor::Gateway)),
        item_id: None,
        spelling: Spelling::default(),
    }))
}

/// Writes an answer of another protocol: its only candidate, and the losses.
fn foreign(parts: Vec<Part<'static>>, stop: Stop<'static>) -> (Value, Vec<Severity>) {
    let candidate = Candidate {
        index: 0,
        parts,
        stop: Some(stop),
        logprobs: None,
        spelling: Spelling::default(),
        message_rest: Rest::default(),
        rest: Rest::default(),
    };
    let response = Response {
        origin: Protocol::Anthropic,
        id: JsonStr::default(),
        model: JsonStr::default(),
        created: None,
        candidates: vec![candidate],
        usage: Some(Usage { input: 2, output: 3, ..Usage::default() }),
        rest: Rest::default(),
    };
    let mut report = Reporter::new("");
    let mut out = BytesMut::new();
    response::write(&response, &mut Answer::new("asked", 7, 1), &mut report, &mut out);
    let written = parse(&out);
    assert_eq!(written["modelVersion"], "asked");
    assert_eq!(written["responseId"].as_str().unwrap().len(), 24);
    assert_eq!(written["usageMetadata"]["totalTokenCount"], 5);
    let losses = report.finish().losses().iter().map(|loss| loss.severity).collect();
    (written["candidates"][0].clone(), losses)
}

fn reasoning(text: Option<&'static str>, seal: Option<Seal<'static>>) -> Part<'static> {
    let text = text.map(JsonStr::from_plain);
    part(Content::Reasoning { text, seal, id: None, raw: None })
}

#[test]
fn parts_of_others() {
    use ToolCallKind::{Custom, Function};
    let end = Stop::new(StopReason::End);
    let none: &[Severity] = &[];
    let signed = |name: &str, args: Value| json!({"functionCall": {"id": "c1", "name": name, "args": args}, "thoughtSignature": "s"});
    let rows = [
        (vec![], json!([{"text": ""}]), "STOP", none),
        (vec![text("a"), text("")], json!([{"text": "a"}]), "STOP", none),
        (
            vec![part(Content::Refusal(JsonStr::from_plain("no")))],
            json!([{"text": "no"}]),
            "STOP",
            none,
        ),
        (
            vec![reasoning(Some("t"), Some(seal(Vendor::Gateway))), text("a")],
            json!([{"text": "t", "thought": true, "thoughtSignature": "s"}, {"text": "a"}]),
            "STOP",
            none,
        ),
        (
            vec![reasoning(Some("t"), Some(seal(Vendor::Anthropic)))],
            json!([{"text": "t", "thought": true}]),
            "STOP",
            &[Severity::Degrade],
        ),
        (vec![call(Function, "")], json!([signed("f", json!({}))]), "STOP", none),
        (vec![call(Function, "{\"a\":1}")], json!([signed("f", json!({"a": 1}))]), "STOP", none),
        (vec![call(Function, "null")], json!([signed("f", json!({}))]), "STOP", none),
        (
            vec![call(Function, r#""{\"a\":1}""#)],
            json!([signed("f", json!({"a": 1}))]),
            "STOP",
            none,
        ),
        (vec![call(Custom, "x")], json!([signed("f", json!({"input": "x"}))]), "STOP", none),
        (
            vec![text("a"), call(Function, "{\"a\":")],
            json!([{"text": "a"}]),
            "MALFORMED_FUNCTION_CALL",
            &[Severity::Degrade],
        ),
        (
            vec![call(Function, "[1]")],
            json!([{"text": ""}]),
            "MALFORMED_FUNCTION_CALL",
            &[Severity::Degrade],
        ),
        (
            vec![part(Content::Other {
                kind: JsonStr::from_plain("server_tool_use"),
                raw: Raw::literal("{\"a\":1}"),
            })],
            json!([{"text": ""}]),
            "STOP",
            &[Severity::Degrade],
        ),
    ];
    for (parts, expected, word, losses) in rows {
        let (candidate, found) = foreign(parts.clone(), end.clone());
        assert_eq!(candidate["content"], json!({"parts": expected, "role": "model"}), "{parts:?}");
        assert_eq!(candidate["finishReason"], word, "{parts:?}");
        assert_eq!(candidate["index"], 0);
        assert_eq!(found, losses, "{parts:?}");
    }
}

#[test]
fn ends_of_others() {
    let stop = |reason| Stop { word: Some(JsonStr::from_plain("theirs")), ..Stop::new(reason) };
    for (reason, word, losses) in [
        (StopReason::ToolUse, "STOP", &[][..]),
        (StopReason::StopSequence, "STOP", &[]),
        (StopReason::MaxTokens, "MAX_TOKENS", &[]),
        (StopReason::Refusal, "PROHIBITED_CONTENT", &[]),
        (StopReason::ContentFilter, "SAFETY", &[]),
        (StopReason::Other, "OTHER", &[]),
        (StopReason::Pause, "STOP", &[Severity::Degrade]),
        (StopReason::Error, "OTHER", &[Severity::Fatal]),
    ] {
        let (candidate, found) = foreign(vec![text("a")], stop(reason));
        assert_eq!(candidate["finishReason"], word, "{reason:?}");
        assert_eq!(found, losses, "{reason:?}");
    }
}
