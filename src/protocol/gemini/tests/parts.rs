//! Parts: what they are in the hub, and that they come back as they stood.

use bytes::BytesMut;
use serde_json::Value;

use crate::protocol::gemini::part_writer::{PartWriter, is_made_up};
use crate::protocol::gemini::parts::{read_part, read_part_leniently};
use crate::protocol::json::{ArrayWriter, Cursor};
use crate::protocol::model::{
    Content, Media, MediaKind, MediaSource, Part, ToolArguments, ToolCall, Vendor,
};
use crate::protocol::report::{Reporter, TranslationReport};

fn read(text: &str) -> Part<'_> {
    read_part(&mut Cursor::new(text)).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn write(part: &Part<'_>, native: bool, source: &str) -> (String, TranslationReport) {
    let mut report = Reporter::new(source);
    let mut writer =
        PartWriter { native, to_client: false, media_in_results: false, report: &mut report };
    let mut out = BytesMut::new();
    let mut array = ArrayWriter::begin(&mut out);
    if writer.carries(part) {
        writer.part(part, None, &mut array);
    }
    array.end();
    (String::from_utf8(out.to_vec()).unwrap(), report.finish())
}

#[test]
fn parts_come_back_as_they_stood() {
    for text in [
        r#"{"text":"Hi"}"#,
        r#"{"text":""}"#,
        r#"{"text":"Hi","thoughtSignature":"c2ln"}"#,
        r#"{"text":"Hi","thought_signature":"c2ln"}"#,
        r#"{"text":"Hm","thought":true}"#,
        r#"{"text":"Hm","thought":false}"#,
        r#"{"text":"Hm","thought":null}"#,
        r#"{"text":"Hm","thought":true,"thoughtSignature":"c2ln"}"#,
        r#"{"thought":true,"thoughtSignature":"c2ln"}"#,
        r#"{"thoughtSignature":"c2ln"}"#,
        r#"{"text":"","thoughtSignature":"skip_thought_signature_validator"}"#,
        r#"{}"#,
        r#"{"functionCall":{"name":"f","args":{"a":1}}}"#,
        r#"{"functionCall":{"id":"x","name":"f","args":{}},"thoughtSignature":"c2ln"}"#,
        r#"{"function_call":{"name":"f","args":{"a":1}},"thoughtSignature":"c2ln"}"#,
        r#"{"functionCall":{"name":"f"}}"#,
        r#"{"functionCall":{"name":"f","args":null}}"#,
        r#"{"functionCall":{"name":"f","id":null,"args":{}}}"#,
        r#"{"functionCall":{"name":"f","args":{},"willContinue":true}}"#,
        r#"{"functionCall":{"name":"f","args":{}},"thought":true}"#,
        r#"{"functionResponse":{"name":"f","response":{"result":"x"}}}"#,
        r#"{"function_response":{"name":"f","response":{"output":"{\"a\":1}"},"id":"1"}}"#,
        r#"{"functionResponse":{"name":"f","response":{},"parts":[{"inlineData":{"mimeType":"image/png","data":"aGk="}}],"scheduling":"SILENT"}}"#,
        r#"{"inlineData":{"mimeType":"image/png","data":"aGk="},"videoMetadata":{"fps":2}}"#,
        r#"{"inline_data":{"mime_type":"image/png","data":"aGk="}}"#,
        r#"{"inlineData":{"mimeType":"image/png","data":"a-_k"},"mediaResolution":{"level":"L"}}"#,
        r#"{"inlineData":{"mimeType":"a/b","data":"aGk=","displayName":"n.x"}}"#,
        r#"{"fileData":{"fileUri":"gs://b/o.wav","mimeType":"audio/wav"}}"#,
        r#"{"fileData":{"file_uri":"https://x/y.png"}}"#,
        r#"{"executableCode":{"language":"PYTHON","code":"1"},"thoughtSignature":"c2ln"}"#,
        r#"{"codeExecutionResult":{"outcome":"OUTCOME_OK"}}"#,
        r#"{"toolCall":{"id":"1"}}"#,
        r#"{"yetUnknown":{"a":[1]},"b":2}"#,
    ] {
        let (written, report) = write(&read(text), true, text);
        let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(parse(&written)[0], parse(text), "{text}");
        assert!(report.is_empty(), "{text}: {report}");
    }
}

#[test]
fn signatures_are_seals_where_they_stood() {
    let part = read(r#"{"text":"Hi","thoughtSignature":"c2ln"}"#);
    assert_eq!(part.seal.unwrap().vendor, Vendor::Gemini);
    let part = read(r#"{"functionCall":{"name":"f"},"thought_signature":"c2ln"}"#);
    assert!(part.seal.is_none());
    let Content::ToolCall(ToolCall { seal: Some(seal), arguments, .. }) = part.content else {
        panic!("{part:?}")
    };
    assert_eq!(seal.data, "c2ln");
    assert!(matches!(arguments, ToolArguments::Json(raw) if raw.as_str() == "{}"));
    let part = read(r#"{"thought":true,"thoughtSignature":"c2ln"}"#);
    assert!(
        matches!(part.content, Content::Reasoning { text: None, seal: Some(_), .. }),
        "{part:?}"
    );
    // A stand-in proves nothing.
    for stand_in in
        ["skip_thought_signature_validator", "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="]
    {
        let text = format!(r#"{{"functionCall":{{"name":"f"}},"thoughtSignature":"{stand_in}"}}"#);
        let part = read(&text);
        assert!(matches!(part.content, Content::ToolCall(ToolCall { seal: None, .. })));
    }
}

#[test]
fn results_are_unwrapped() {
    for (response, text, is_error) in [
        (r#"{"output":"15"}"#, Some("15"), None),
        (r#"{"result":"a\nb"}"#, Some("a\nb"), None),
        (r#"{"error":"gone"}"#, Some("gone"), Some(true)),
        (r#"{"error":{"code":1}}"#, Some(r#"{"error":{"code":1}}"#), Some(true)),
        (r#"{"output":"x","error":null}"#, Some(r#"{"output":"x","error":null}"#), None),
        (r#"{"result":5}"#, Some(r#"{"result":5}"#), None),
        (r#"{"a":"b"}"#, Some(r#"{"a":"b"}"#), None),
        (r#""bare""#, Some("bare"), None),
        ("null", None, None),
    ] {
        let text_of = format!(r#"{{"functionResponse":{{"name":"f","response":{response}}}}}"#);
        let part = read(&text_of);
        let Content::ToolResult(result) = &part.content else { panic!("{part:?}") };
        assert_eq!(result.is_error, is_error, "{response}");
        assert!(result.plain);
        match (result.parts.as_slice(), text) {
            ([], None) => {}
            ([Part { content: Content::Text { text, .. }, .. }], Some(wanted)) => {
                assert_eq!(text, &wanted);
            }
            other => panic!("{response}: {other:?}"),
        }
    }
}

#[test]
fn media_are_for_all_to_read() {
    let media = |text: &str| match read(text).into_owned().content {
        Content::Media(media) => media,
        other => panic!("{other:?}"),
    };
    let Media { kind, source, .. } =
        media(r#"{"inlineData":{"mimeType":"application/pdf","data":"a-_kZg"}}"#);
    assert_eq!(kind, MediaKind::Document);
    assert!(matches!(source, MediaSource::Base64 { data, .. } if data == "a+/kZg=="));
    for (uri, kind, public) in [
        ("gs://b/o.png", MediaKind::Image, false),
        ("https://generativelanguage.googleapis.com/v1beta/files/x", MediaKind::Document, false),
        ("https://www.youtube.com/watch?v=1", MediaKind::Video, true),
        ("https://x.test/a.JPG?b=.pdf", MediaKind::Image, true),
    ] {
        let media = media(&format!(r#"{{"fileData":{{"fileUri":"{uri}"}}}}"#));
        assert_eq!(media.kind, kind, "{uri}");
        assert_eq!(matches!(media.source, MediaSource::Url(_)), public, "{uri}");
    }
}

#[test]
fn wrong_types_are_errors_or_kept_whole() {
    for (text, pointer) in [
        (r#"{"text":5}"#, "/text"),
        (r#"{"functionCall":{"name":[]}}"#, "/functionCall/name"),
        (r#"{"functionCall":{"name":"f","args":[1]}}"#, "/functionCall/args"),
        (r#"{"thought":"yes"}"#, "/thought"),
    ] {
        assert_eq!(read_part(&mut Cursor::new(text)).unwrap_err().pointer(), pointer);
        let part = read_part_leniently(&mut Cursor::new(text)).unwrap();
        assert!(matches!(&part.content, Content::Other { raw, .. } if raw.as_str() == text));
    }
    assert!(read_part_leniently(&mut Cursor::new(r#"{"text":"#)).is_err());
}

#[test]
fn made_up_ids() {
    for (id, made_up) in [
        ("call_00112233445566778899aabb", true),
        ("call_00112233445566778899AABB", false),
        ("call_00112233445566778899aab", false),
        ("call_3_0", true),
        ("call_3_0_", true),
        ("call_3_", false),
        ("call_1", false),
        ("call_a_1", false),
        ("toolu_01", false),
        ("", false),
    ] {
        assert_eq!(is_made_up(id), made_up, "{id}");
    }
}
