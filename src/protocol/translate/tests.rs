mod batches;
mod prefix;
mod thoughts;

use Protocol::{Anthropic, DashScope, Gemini, OpenAiChat, OpenAiResponses};

use bytes::BytesMut;
use http::StatusCode;
use serde_json::json;

use super::*;
use crate::protocol::json::Raw;
use crate::protocol::{Answer, Transcode};

fn answer() -> Answer {
    Answer::new("m", 1, 1)
}

fn fold(from: Protocol, to: Protocol, stream: &str) -> Result<TranslatedAnswer, TranslateError> {
    let mut folder = Folder::new(from, 1 << 20);
    folder.push(stream.as_bytes());
    folder.finish(to, answer())
}

#[test]
fn an_error_under_a_success_is_an_error() {
    use FaultKind::{Overloaded, RateLimit, Upstream};
    let rows = [
        (
            Anthropic,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"m"}}"#,
            Overloaded,
        ),
        (OpenAiChat, r#"{"error":{"message":"m","code":429},"user_id":"u"}"#, RateLimit),
        (OpenAiChat, r#"{"object":"error","message":"m","type":"X","code":1}"#, Upstream),
        (OpenAiChat, r#"{"detail":"m"}"#, Upstream),
        (
            OpenAiResponses,
            r#"{"id":"r","status":"failed","error":{"code":"rate_limit_exceeded","message":"m"},"output":[]}"#,
            RateLimit,
        ),
        (
            OpenAiResponses,
            r#"{"status":"failed","error":{"code":"server_error","message":"m"},"output":[{"type":"reasoning","summary":[]}]}"#,
            Upstream,
        ),
        (
            OpenAiChat,
            r#"{"choices":[{"error":{"message":"m","code":502},"finish_reason":"error","message":{"content":""}}]}"#,
            Upstream,
        ),
    ];
    for (from, body, kind) in rows {
        let to = if from == Anthropic { OpenAiChat } else { Anthropic };
        let failed = TranslateError::Failed(kind, "m".to_owned());
        assert_eq!(response(from, to, body.as_bytes(), answer()), Err(failed), "{body}");
    }
    let fine = r#"{"choices":[],"error":null,"message":null}"#;
    assert!(response(OpenAiChat, Anthropic, fine.as_bytes(), answer()).is_ok());
}

#[test]
fn no_key_stands_in_an_error() {
    let rows = [
        ("wrong key: 'sk-proj-0123456789_abcdef'.", "wrong key: '***'."),
        ("sk-01***89 and ask-sk-short and a \u{e9}", "sk-01***89 and ask-sk-short and a \u{e9}"),
    ];
    for (message, expected) in rows {
        let body = format!(r#"{{"error":{{"message":"{message}"}}}}"#);
        let error = error(OpenAiChat, Anthropic, StatusCode::UNAUTHORIZED, body.as_bytes());
        let body = error.body;
        assert!(std::str::from_utf8(&body).unwrap().contains(expected), "{body:?}");
    }
}

#[test]
fn no_key_stands_in_an_error_of_a_stream() {
    let event = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"authentication_error\",\
         \"message\":\"wrong key: 'sk-ant-0123456789_abcdef'\"}}\n\n";
    let mut transcoder = Transcoder::new(Anthropic, OpenAiChat, answer());
    let mut out = BytesMut::new();
    transcoder.push(event.as_bytes(), &mut out);
    let out = std::str::from_utf8(&out).unwrap();
    assert!(out.contains("wrong key: '***'"), "{out}");
}

#[test]
fn an_error_of_a_choice_ends_the_stream() {
    let stream = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n\
         data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"error\",\
         \"error\":{\"message\":\"m\",\"code\":429}}],\"usage\":{}}\n\n";
    let failed = TranslateError::Failed(FaultKind::RateLimit, "m".to_owned());
    assert_eq!(fold(OpenAiChat, Anthropic, stream), Err(failed));
}

#[test]
fn a_folded_answer_has_a_choice() {
    let stream = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{}}\n\n\
         event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    let folded = fold(Anthropic, OpenAiChat, stream).unwrap();
    let body = Raw::parse(std::str::from_utf8(&folded.body).unwrap()).unwrap();
    assert!(body.member("choices").unwrap().as_str().starts_with(r#"[{"index":0"#));
}

#[test]
fn losses_behind_the_messages_are_found() {
    let body = br#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"a"}],
        "tools":[{"name":"f","input_schema":{},"defer_loading":true}],"top_k":5}"#;
    let report = request(Anthropic, OpenAiChat, body, &RequestOptions::default()).unwrap().report;
    let pointers: Vec<_> = report.losses().iter().map(|loss| &*loss.pointer).collect();
    assert_eq!(pointers, ["/tools/0/defer_loading", "/top_k"]);
}

#[test]
fn cited_pages_cross() {
    let message = r#"{"type":"message","role":"assistant","content":[
        {"type":"output_text","text":"a\u00e9","annotations":[]},
        {"type":"output_text","text":"bc","annotations":[
            {"type":"url_citation","start_index":0,"end_index":1,"url":"u","title":"t"},
            {"type":"file_citation","file_id":"f","index":1}]}]}"#;
    let body = format!(r#"{{"id":"r","status":"completed","output":[{message}]}}"#);
    let nested = |start, end| {
        format!(
            r#"{{"type":"url_citation","url_citation":{{"start_index":{start},"end_index":{end},"url":"u","title":"t"}}}}"#
        )
    };
    // The texts are one: the second counts on.
    let chat = response(OpenAiResponses, OpenAiChat, body.as_bytes(), answer()).unwrap();
    let text = std::str::from_utf8(&chat.body).unwrap();
    assert!(text.contains(&format!(r#""annotations":[{}]"#, nested(2, 3))), "{text}");
    let lost: Vec<_> = chat.report.losses().iter().map(|loss| &*loss.pointer).collect();
    assert_eq!(lost, ["/output/0/content/1/annotations/1"]);
    // A search result of Messages is for all of its text.
    let body = r#"{"id":"m","type":"message","role":"assistant","stop_reason":"end_turn","content":[
        {"type":"text","text":"xyz","citations":[
            {"type":"web_search_result_location","url":"u","title":"t","encrypted_index":"e"}]}]}"#;
    let chat = response(Anthropic, OpenAiChat, body.as_bytes(), answer()).unwrap();
    let text = std::str::from_utf8(&chat.body).unwrap();
    assert!(text.contains(&nested(0, 3)), "{text}");
    let flat = r#"{"type":"url_citation","start_index":0,"end_index":3,"url":"u","title":"t"}"#;
    let streamed = response_as_stream(Anthropic, OpenAiResponses, body.as_bytes(), answer());
    let streamed = streamed.unwrap().body;
    let text = std::str::from_utf8(&streamed).unwrap();
    assert!(text.contains(&format!(r#""annotation_index":0,"annotation":{flat}"#)), "{text}");
    assert!(text.contains(&format!(r#""annotations":[{flat}]"#)), "{text}");
}

#[test]
fn streams_cite_in_the_form_of_the_caller() {
    let event = |data: &str| format!("data: {data}\n\n");
    let stream = event(
        r#"{"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"x"}"#,
    ) + &event(
        r#"{"type":"response.output_text.annotation.added","output_index":0,"content_index":0,"annotation":{"type":"url_citation","url":"u","title":"t","start_index":0,"end_index":1}}"#,
    ) + &event(r#"{"type":"response.completed","response":{"status":"completed"}}"#);
    let run = |to| {
        let mut transcoder = Transcoder::new(OpenAiResponses, to, answer());
        let mut out = bytes::BytesMut::new();
        transcoder.push(stream.as_bytes(), &mut out);
        transcoder.finish(&mut out);
        String::from_utf8(out.to_vec()).unwrap()
    };
    let chat = run(OpenAiChat);
    assert!(chat.contains(r#""annotations":[{"type":"url_citation","url_citation":{"#), "{chat}");
    let messages = run(Anthropic);
    assert!(messages.contains("message_stop") && !messages.contains("citation"), "{messages}");
}

#[test]
fn an_answer_without_a_word_in_dashscope_is_an_error() {
    let answered = |reason: &str, more: &str| {
        format!(
            r#"{{"id":"m","type":"message","role":"assistant","model":"x","content":[],
            "stop_reason":"{reason}","stop_sequence":null{more}}}"#
        )
    };
    let to_dashscope =
        |body: &str| response(Anthropic, DashScope, body.as_bytes(), answer()).map(drop);
    let refused = answered("refusal", r#","stop_details":{"explanation":"not that"}"#);
    let expected = TranslateError::Failed(FaultKind::ContentPolicy, "not that".to_owned());
    assert_eq!(to_dashscope(&refused).unwrap_err(), expected);
    assert!(to_dashscope(&answered("end_turn", "")).is_ok());
}

/// A line break, which JSON may have anywhere between its tokens, would end a line of the stream.
#[test]
fn what_came_on_several_lines_goes_out_on_one() {
    let data_lines = |out: &[u8], what: &str| {
        let text = std::str::from_utf8(out).unwrap();
        for line in text.lines().filter(|line| !line.is_empty()) {
            let framed =
                ["data:", "event:", "id:", ":"].iter().any(|field| line.starts_with(field));
            assert!(framed && !line.contains('\r'), "{what}: {line:?} in {text}");
        }
    };
    let stream = |from, to, answer, input: &str| {
        let (mut transcoder, mut out) = (Transcoder::new(from, to, answer), BytesMut::new());
        transcoder.push(input.as_bytes(), &mut out);
        transcoder.finish(&mut out);
        out
    };
    for protocol in Protocol::ALL {
        let pretty = "{\"error\":null,\"x\":[\n1,\r\n2],\"choices\":[\n{\"x\":{\r}}],\"candidates\":[{\"x\":[\n]}]}";
        let played = response_as_stream(protocol, protocol, pretty.as_bytes(), answer()).unwrap();
        data_lines(&played.body, "played");
        let lines =
            format!("data: {}\n\n", pretty.replace("\r\n", "\n").replace(['\n', '\r'], "\ndata: "));
        data_lines(&stream(protocol, protocol, answer(), &lines), "data lines");
    }
    let array = "[{\"candidates\":[{\"content\":{\"parts\":[{\"executableCode\":{\n\"code\":\"1\"}}]}}]}\n,\r\n{\"x\":[\n]}]";
    data_lines(&stream(Protocol::Gemini, Protocol::Gemini, answer(), array), "array");
    let mut echoing = answer();
    echoing.echo = "{\"tools\":[\n{\"type\":\"function\",\r\n\"name\":\"f\"}]}".to_owned();
    let said = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
    let out = stream(OpenAiChat, OpenAiResponses, echoing, said);
    assert!(memchr::memmem::find(&out, b"\"name\":\"f\"").is_some());
    data_lines(&out, "echo");
}

#[test]
fn media_of_instructions_do_not_vanish() {
    let part = json!({"type": "input_image", "image_url": "https://x.example/i.png"});
    let told = json!({"role": "developer", "content": [{"type": "input_text", "text": "s"}, part]});
    let body = json!({"model": "m", "input": [told, {"role": "user", "content": "q"}]}).to_string();
    for to in [Anthropic, OpenAiChat, Gemini, DashScope] {
        let sent = request(OpenAiResponses, to, body.as_bytes(), &RequestOptions::default());
        let sent = sent.unwrap();
        let carried = std::str::from_utf8(&sent.body).unwrap().contains("i.png");
        let pointers = sent.report.losses().iter().map(|loss| &*loss.pointer);
        let reported = pointers.into_iter().any(|at| at.starts_with("/input/0/content/1"));
        assert!(carried != reported, "{to}: {sent:?}");
        // Where there is a place for it, there is an endpoint of its own.
        assert_eq!(carried, to == DashScope);
        assert_eq!(carried, sent.endpoint.path.contains("/multimodal-generation/"));
    }
}
