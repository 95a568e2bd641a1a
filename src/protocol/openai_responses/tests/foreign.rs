//! Answers of other protocols as finished answers of Responses.

use bytes::BytesMut;
use serde_json::{Value, json};

use super::grammar::check_response;
use crate::protocol::json::{JsonStr, Raw};
use crate::protocol::model::{
    Candidate, Content, Media, MediaKind, MediaSource, Part, Response, Rest, Seal, SealKind,
    Spelling, Stop, StopReason, ToolArguments, ToolCall, ToolCallKind, Usage, Vendor,
};
use crate::protocol::openai_responses::response;
use crate::protocol::report::{Mode, Reporter, TranslationReport};
use crate::protocol::{Answer, Protocol};

fn text(text: &'static str) -> JsonStr<'static> {
    JsonStr::from_plain(text)
}

fn answer(parts: Vec<Part<'static>>, stop: Stop<'static>) -> Response<'static> {
    Response {
        origin: Protocol::Anthropic,
        id: text("msg_up"),
        model: text("claude"),
        created: None,
        candidates: vec![Candidate {
            index: 0,
            parts,
            stop: Some(stop),
            logprobs: None,
            spelling: Spelling::default(),
            message_rest: Rest::default(),
            rest: Rest::default(),
        }],
        usage: Some(Usage {
            input: 5,
            cache_read: 3,
            cache_write: 2,
            output: 4,
            reasoning: 1,
            ..Usage::default()
        }),
        rest: Rest::default(),
    }
}

fn written(response: &Response<'_>) -> (Value, TranslationReport) {
    let mut report = Reporter::new("");
    let mut out = BytesMut::new();
    let mut facts = Answer::new("asked", 7, 1);
    facts.echo = r#"{"tools":[{"type":"function","name":"f"}],"store":false}"#.to_owned();
    response::write(response, &mut facts, &mut report, &mut out);
    let value: Value = serde_json::from_slice(&out).unwrap();
    check_response(&value).unwrap_or_else(|e| panic!("{e}: {value}"));
    (value, report.finish())
}

fn call(arguments: ToolArguments<'static>, kind: ToolCallKind, id: &'static str) -> Part<'static> {
    Part::new(Content::ToolCall(ToolCall {
        id: text(id),
        name: text("f"),
        arguments,
        kind,
        seal: None,
        item_id: None,
        spelling: Spelling::default(),
    }))
}

fn thought(words: Option<&'static str>, seal: Option<(Vendor, &'static str)>) -> Part<'static> {
    Part::new(Content::Reasoning {
        text: words.map(text),
        seal: seal.map(|(vendor, data)| Seal {
            vendor,
            kind: SealKind::Signature,
            data: text(data),
        }),
        id: None,
        raw: None,
    })
}

#[test]
fn every_part_has_its_item() {
    let cited = Raw::literal(
        r#"[{"type":"web_search_result_location","url":"u","title":"t"},{"type":"char_location"}]"#,
    );
    let parts = vec![
        thought(Some("hm"), Some((Vendor::Gateway, "SEAL"))),
        thought(None, Some((Vendor::Gateway, "R"))),
        Part::text(text("a")),
        Part::text(text("")),
        Part::new(Content::Text { text: text("bé"), citations: Some(cited) }),
        call(ToolArguments::Json(Raw::literal(r#"{"a":"b"}"#)), ToolCallKind::Function, "toolu_1"),
        call(ToolArguments::Text(text("")), ToolCallKind::Function, ""),
        call(ToolArguments::Text(text("free")), ToolCallKind::Custom, "c3"),
        Part::new(Content::Refusal(text("no"))),
    ];
    let (value, report) = written(&answer(parts, Stop::new(StopReason::ToolUse)));
    let mut output = value["output"].clone();
    for item in output.as_array_mut().unwrap() {
        let id = item["id"].take();
        let prefix = match item["type"].as_str().unwrap() {
            "reasoning" => "rs_",
            "message" => "msg_",
            "function_call" => "fc_",
            _ => "ctc_",
        };
        assert!(id.as_str().unwrap().starts_with(prefix), "{item}");
        if item["call_id"].as_str().is_some_and(|id| id.starts_with("call_")) {
            item["call_id"] = json!("made");
        }
    }
    let part = |text: &str, annotations: Value| json!({"type": "output_text", "text": text, "annotations": annotations, "logprobs": []});
    let annotation = json!([{"type": "url_citation", "start_index": 0, "end_index": 2, "url": "u", "title": "t"}]);
    let message = |content: Value| json!({"id": null, "type": "message", "status": "completed", "role": "assistant", "content": content});
    let call = |kind: &str, member: &str, arguments: &str, id: &str| json!({"id": null, "type": kind, "status": "completed", member: arguments, "call_id": id, "name": "f"});
    let expected = json!([
        {"id": null, "type": "reasoning", "status": "completed",
            "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "SEAL"},
        {"id": null, "type": "reasoning", "status": "completed", "summary": [], "encrypted_content": "R"},
        message(json!([part("a", json!([])), part("bé", annotation)])),
        call("function_call", "arguments", r#"{"a":"b"}"#, "toolu_1"),
        call("function_call", "arguments", "{}", "made"),
        call("custom_tool_call", "input", "free", "c3"),
        message(json!([{"type": "refusal", "refusal": "no"}])),
    ]);
    assert_eq!(output, expected);
    assert_eq!(value["status"], "completed");
    assert_eq!(value["created_at"], 7);
    assert_eq!(value["model"], "claude");
    assert_eq!(value["tools"][0]["name"], "f");
    assert_eq!(value["store"], false);
    assert_eq!(
        value["usage"],
        json!({"input_tokens": 10, "input_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 2},
            "output_tokens": 5, "output_tokens_details": {"reasoning_tokens": 1}, "total_tokens": 15})
    );
    let reasons: Vec<_> = report.losses().iter().map(|loss| loss.reason).collect();
    assert_eq!(reasons, ["a citation of another form"]);
}

#[test]
fn what_is_lost_is_reported() {
    let media = |kind| {
        Part::new(Content::Media(Media {
            kind,
            source: MediaSource::Base64 { media_type: text("image/png"), data: text("AAAA") },
            detail: None,
            title: None,
            context: None,
            citations: None,
            spelling: Spelling::default(),
        }))
    };
    let raw = Raw::literal(r#"{"type":"server_tool_use"}"#);
    let mut sealed = Part::text(text("x"));
    sealed.seal =
        Some(Seal { vendor: Vendor::Gemini, kind: SealKind::ThoughtSignature, data: text("T") });
    sealed.rest.keep(text("odd"), Raw::literal("1"));
    let parts = vec![
        media(MediaKind::Image),
        media(MediaKind::Audio),
        Part::new(Content::Other { kind: text("server_tool_use"), raw }),
        thought(Some("hm"), Some((Vendor::Anthropic, "SIG"))),
        sealed,
    ];
    let mut response = answer(parts, Stop::new(StopReason::End));
    response.candidates[0].logprobs = Some(Raw::literal(r#"{"avgLogprobs":1}"#));
    response.candidates.push(Candidate { index: 1, ..response.candidates[0].clone() });
    response.rest.keep(text("service"), Raw::literal("\"x\""));
    let (value, report) = written(&response);
    assert_eq!(value["output"][0]["type"], "image_generation_call");
    assert_eq!(value["output"][0]["result"], "AAAA");
    assert_eq!(value["output"][1]["type"], "reasoning");
    assert!(value["output"][1].get("encrypted_content").is_none());
    assert_eq!(value["output"].as_array().unwrap().len(), 3);
    let reasons: Vec<_> = report.losses().iter().map(|loss| loss.reason).collect();
    let expected = [
        "no such media in an answer of Responses",
        "no such item in Responses",
        "sealed for another vendor",
        "unknown to the upstream's protocol",
        "sealed for another vendor",
        "token probabilities of another form",
        "unknown to the upstream's protocol",
        "Responses gives one answer",
    ];
    assert_eq!(reasons, expected);
}

#[test]
fn endings() {
    let words = || vec![Part::text(text("x"))];
    let explained = |reason| Stop {
        details: Some(Raw::literal(r#"{"explanation":"not this"}"#)),
        ..Stop::new(reason)
    };
    let (value, _) = written(&answer(words(), Stop::new(StopReason::MaxTokens)));
    assert_eq!(value["incomplete_details"]["reason"], "max_output_tokens");
    assert_eq!(value["output"][0]["status"], "incomplete");
    let (value, _) = written(&answer(words(), Stop::new(StopReason::Refusal)));
    assert_eq!(value["incomplete_details"]["reason"], "content_filter");
    let (value, _) = written(&answer(vec![], explained(StopReason::Refusal)));
    assert_eq!(value["status"], "completed");
    assert_eq!(value["output"][0]["content"][0], json!({"type": "refusal", "refusal": "not this"}));
    let (value, report) = written(&answer(vec![], Stop::new(StopReason::Error)));
    assert_eq!(value["status"], "failed");
    assert!(report.refused_by(Mode::Default).is_some());
}

#[test]
fn token_probabilities_of_chat_stand_at_the_text() {
    let mut response = answer(vec![Part::text(text("x"))], Stop::new(StopReason::End));
    let entry = json!({"token": "x", "logprob": -1.0, "bytes": [120], "top_logprobs": []});
    let raw = json!({"content": [entry], "refusal": null}).to_string();
    response.candidates[0].logprobs = Some(Raw::parse_owned(raw).unwrap());
    let (value, report) = written(&response);
    assert_eq!(value["output"][0]["content"][0]["logprobs"], json!([entry]));
    assert!(report.is_empty());
}

#[test]
fn an_own_answer_gives_the_hub_what_it_says() {
    let body = json!({"id": "resp_1", "object": "response", "created_at": 1, "status": "completed",
        "model": "m", "temperature": 1, "service_tier": "flex", "output": [
        {"id": "rs_1", "type": "reasoning", "encrypted_content": "E",
            "summary": [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}]},
        {"id": "msg_1", "type": "message", "phase": "final", "role": "assistant", "content": [
            {"type": "output_text", "text": "one", "annotations": [], "logprobs": [{"token": "one"}]},
            {"type": "output_text", "text": "two", "annotations": [{"type": "url_citation"}],
                "logprobs": [{"token": "two"}]},
            {"type": "brand_new"}]},
        {"id": "ws_1", "type": "web_search_call", "status": "completed"},
        {"id": "fc_1", "type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"}]});
    let text = body.to_string();
    let read = response::read(&text).unwrap();
    let candidate = &read.candidates[0];
    assert_eq!(candidate.stop.as_ref().unwrap().reason, StopReason::ToolUse);
    assert_eq!(
        candidate.logprobs.as_ref().unwrap().as_str(),
        r#"{"content":[{"token":"one"},{"token":"two"}],"refusal":null}"#
    );
    let kinds: Vec<_> = candidate
        .parts
        .iter()
        .map(|part| match &part.content {
            Content::Reasoning { text: Some(text), seal: Some(_), raw: Some(_), .. } => {
                text.decode().into_owned()
            }
            Content::Text { text, .. } => text.decode().into_owned(),
            Content::Other { kind, .. } => format!("[{}]", kind.decode()),
            Content::ToolCall(call) => call.id.decode().into_owned(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(kinds, ["a\n\nb", "one", "two", "[brand_new]", "[web_search_call]", "call_1"]);
    // What another protocol misses: the tier and the phase, not ids, states and what is repeated.
    let mut report = Reporter::new(&text);
    report.rest(&read.rest);
    candidate.parts.iter().for_each(|part| report.rest(&part.rest));
    let report = report.finish();
    let mut lost: Vec<_> = report.losses().iter().map(|loss| loss.pointer.as_str()).collect();
    lost.sort_unstable();
    assert_eq!(lost, ["/output/1/phase", "/service_tier"]);
    let mut out = BytesMut::new();
    response::write(&read, &mut Answer::new("x", 1, 1), &mut Reporter::new(&text), &mut out);
    assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), body);
}
