//! What the hub holds of a request of Responses, and what others make of it.

use serde_json::{Value, json};

use crate::protocol::Protocol::{self, Anthropic, OpenAiChat, OpenAiResponses};
use crate::protocol::model::{
    Content, Effort, Media, MediaKind, MediaSource, Part, Place, Request, Role, Show, ToolCallKind,
    Turn, Vendor,
};
use crate::protocol::openai_responses::request::read;
use crate::protocol::report::{Mode, Severity};
use crate::protocol::translate::{self, RequestOptions, TranslatedRequest};
use crate::protocol::{Answer, Transcode as _};
use crate::test_helpers::corpus::parse;

fn to(protocol: Protocol, request: &Value) -> (Value, TranslatedRequest) {
    let options = RequestOptions { mode: Mode::Lenient, ..RequestOptions::default() };
    let text = request.to_string();
    let translated =
        translate::request(OpenAiResponses, protocol, text.as_bytes(), &options).unwrap();
    (parse(&translated.body), translated)
}

fn fatal(translated: &TranslatedRequest) -> Vec<&str> {
    let losses = translated.report.losses().iter();
    losses.filter(|loss| loss.severity == Severity::Fatal).map(|loss| &*loss.pointer).collect()
}

/// A turn in short: `u` or `a`, then a sign for each part.
fn outline(turn: &Turn<'_>) -> String {
    let mut outline = String::from(if turn.role == Role::User { "u:" } else { "a:" });
    outline.extend(turn.parts.iter().map(|part| match &part.content {
        Content::Text { .. } => 't',
        Content::Refusal(_) => 'n',
        Content::Media(_) => 'm',
        Content::Reasoning { .. } => 'r',
        Content::ToolCall(_) => 'c',
        Content::ToolResult(_) => 'o',
        Content::Other { .. } => 'x',
    }));
    outline
}

#[test]
fn items_of_one_side_are_one_turn() {
    let message = |role: &str| json!({"role": role, "content": role});
    let call = |id: &str| {
        json!({"type": "function_call", "call_id": id, "name": "f",
        "arguments": "{}"})
    };
    let output = |id: &str| json!({"type": "function_call_output", "call_id": id, "output": "o"});
    let thinking = json!({"type": "reasoning", "summary": []});
    let rows: &[(Vec<Value>, &[&str])] = &[
        // V7 of the test vectors: a question, a call, its result.
        (vec![message("user"), call("a"), output("a")], &["u:t", "a:c", "u:o"]),
        (
            vec![thinking.clone(), message("assistant"), thinking.clone(), call("a"), call("b")],
            &["a:rtrcc"],
        ),
        (
            vec![
                message("assistant"),
                call("a"),
                message("assistant"),
                call("b"),
                output("b"),
                output("a"),
            ],
            &["a:tctc", "u:oo"],
        ),
        (vec![output("a"), message("user"), message("user")], &["u:o", "u:t", "u:t"]),
        (vec![call("a"), message("developer"), call("b")], &["a:c", "a:c"]),
        (
            vec![thinking, json!({"type": "web_search_call", "id": "ws"}), message("assistant")],
            &["a:rxt"],
        ),
        (
            vec![
                json!({"type": "local_shell_call_output", "id": "l"}),
                output("a"),
                json!({"type": "item_reference", "id": "i"}),
            ],
            &["u:xox"],
        ),
        (
            vec![call("a"), json!({"type": "additional_tools", "tools": []}), output("a")],
            &["a:c", "u:o"],
        ),
    ];
    for (items, expected) in rows {
        let text = json!({"input": items}).to_string();
        let outlines: Vec<_> = read(&text).unwrap().turns.iter().map(outline).collect();
        assert_eq!(outlines, *expected, "{text}");
    }
}

#[test]
fn instructions_keep_their_place() {
    let text = json!({"input": [
            {"role": "developer", "content": "a"}, {"role": "user", "content": "u"},
            {"role": "system", "content": [{"type": "input_text", "text": "b"}]}],
        "instructions": "top"})
    .to_string();
    let request = read(&text).unwrap();
    let places: Vec<_> = request.instructions.iter().map(|it| (it.place, it.developer)).collect();
    let expected = [(Place::Before(0), true), (Place::Before(1), false), (Place::Top, false)];
    assert_eq!(places, expected);
    let (chat, _) = to(OpenAiChat, &parse(text.as_bytes()));
    let told: Vec<_> = chat["messages"].as_array().unwrap().iter().map(|m| &m["content"]).collect();
    assert_eq!(told, ["top", "a", "u", "b"]);
}

fn media<'m>(part: &'m Part<'_>) -> &'m Media<'m> {
    match &part.content {
        Content::Media(media) => media,
        other => panic!("{other:?}"),
    }
}

#[test]
fn media_are_known() {
    let text = json!({"input": [{"role": "user", "content": [
        {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "low"},
        {"type": "input_image", "image_url": "https://a.example/b"},
        {"type": "input_file", "file_data": "data:application/pdf;base64,BB==", "filename": "n"},
        {"type": "input_file", "file_data": "CC=="},
        {"type": "input_file", "file_url": "https://a.example/c"},
        {"type": "input_file", "file_id": "file_1"},
        {"type": "input_audio", "input_audio": {"data": "DD==", "format": "mp3"}}]}]})
    .to_string();
    let request = read(&text).unwrap();
    let parts = &request.turns[0].parts;
    let told: Vec<_> = parts
        .iter()
        .map(|part| {
            let media = media(part);
            let source = match &media.source {
                MediaSource::Base64 { media_type, data } => {
                    format!("{} {}", media_type.decode(), data.decode())
                }
                MediaSource::Url(text) | MediaSource::File(text) => text.decode().into_owned(),
                other => panic!("{other:?}"),
            };
            (media.kind, source)
        })
        .collect();
    let image = |source: &str| (MediaKind::Image, source.to_owned());
    let document = |source: &str| (MediaKind::Document, source.to_owned());
    assert_eq!(
        told,
        [
            image("image/png AA=="),
            image("https://a.example/b"),
            document("application/pdf BB=="),
            document("application/pdf CC=="),
            document("https://a.example/c"),
            document("file_1"),
            (MediaKind::Audio, "mp3 DD==".to_owned()),
        ]
    );
    assert!(media(&parts[0]).detail.as_ref().is_some_and(|detail| detail == "low"));
    assert!(media(&parts[2]).title.as_ref().is_some_and(|title| title == "n"));
}

#[test]
fn thinking_and_its_seal() {
    let rows = [
        (json!({"summary": []}), None, None),
        (json!({"summary": [], "encrypted_content": "g"}), None, Some("g")),
        (json!({"summary": [{"type": "summary_text", "text": "a"}]}), Some("a"), None),
        (
            json!({"summary": [{"type": "summary_text", "text": "a\n"},
                {"type": "summary_text", "text": ""}, {"type": "summary_text", "text": "b"}],
                "encrypted_content": ""}),
            Some("a\n\n\nb"),
            None,
        ),
        (
            json!({"summary": [], "content": [{"type": "reasoning_text", "text": "t"}],
                "encrypted_content": null}),
            Some("t"),
            None,
        ),
        (
            json!({"summary": [{"type": "summary_text", "text": "a"}],
                "content": [{"type": "reasoning_text", "text": "t"}]}),
            Some("a"),
            None,
        ),
    ];
    for (mut item, expected, sealed) in rows {
        item["type"] = json!("reasoning");
        let source = json!({"input": [item]}).to_string();
        let request = read(&source).unwrap();
        let Content::Reasoning { text, seal, .. } = &request.turns[0].parts[0].content else {
            panic!("{source}")
        };
        assert_eq!(text.as_ref().map(|text| text.decode()).as_deref(), expected, "{source}");
        assert_eq!(seal.as_ref().map(|seal| seal.data.decode()).as_deref(), sealed, "{source}");
        assert!(seal.as_ref().is_none_or(|seal| seal.vendor == Vendor::OpenAi));
    }
}

fn names<'r>(request: &'r Request<'_>) -> Vec<std::borrow::Cow<'r, str>> {
    request.tools.iter().map(|tool| tool.name.decode()).collect()
}

#[test]
fn grouped_tools_are_tools() {
    let source = json!({
        "tools": [
            {"type": "function", "name": "a", "parameters": {"type": "object"}},
            {"type": "namespace", "name": "ns", "description": "d", "tools": [
                {"type": "function", "name": "b", "parameters": {"type": "object"}},
                {"type": "custom", "name": "c"}]}],
        "input": [
            {"role": "user", "content": "Hi"},
            {"type": "additional_tools", "role": "developer", "tools": [
                {"type": "function", "name": "d", "parameters": {"type": "object"}}]},
            {"type": "function_call", "call_id": "1", "namespace": "ns", "name": "b",
                "arguments": "{}"},
            {"type": "custom_tool_call", "call_id": "2", "namespace": "ns", "name": "c",
                "input": "i"},
            {"type": "function_call", "call_id": "3", "namespace": "a", "name": "a",
                "arguments": "{}"},
            {"type": "function_call_output", "call_id": "1", "output": "x"},
            {"type": "custom_tool_call_output", "call_id": "2", "output": "y"},
            {"type": "function_call_output", "call_id": "3", "output": "z"}]});
    let text = source.to_string();
    let request = read(&text).unwrap();
    let mut all = names(&request);
    all.sort();
    assert_eq!(all, ["a", "d", "ns__b", "ns__c"]);
    let calls: Vec<_> = request.turns[1]
        .parts
        .iter()
        .map(|part| match &part.content {
            Content::ToolCall(call) => (call.name.decode().into_owned(), call.kind),
            other => panic!("{other:?}"),
        })
        .collect();
    // What is not declared in its namespace keeps its name.
    let expected = [
        ("ns__b".to_owned(), ToolCallKind::Function),
        ("ns__c".to_owned(), ToolCallKind::Custom),
        ("a".to_owned(), ToolCallKind::Function),
    ];
    assert_eq!(calls, expected);
    for protocol in [OpenAiChat, Anthropic] {
        let (body, translated) = to(protocol, &source);
        assert_eq!(body["tools"].as_array().unwrap().len(), 4);
        assert!(body["tools"].to_string().contains("ns__b"));
        assert!(translated.report.is_empty(), "{}", translated.report);
    }
}

#[test]
fn a_grammar_stands_where_chat_looks_for_it() {
    let mut request = json!({"tools": [{"type": "custom", "name": "f",
        "format": {"type": "grammar", "syntax": "lark", "definition": "x"}}]});
    let (body, _) = to(OpenAiChat, &request);
    let nested = json!({"type": "grammar", "grammar": {"syntax": "lark", "definition": "x"}});
    assert_eq!(body["tools"][0]["custom"]["format"], nested);
    request["tools"][0]["format"] = json!({"type": "text"});
    let (body, _) = to(OpenAiChat, &request);
    assert_eq!(body["tools"][0]["custom"]["format"], json!({"type": "text"}));
}

#[test]
fn a_call_is_given_its_namespace_back() {
    let request = json!({"model": "m", "input": [
            {"type": "additional_tools", "tools": [{"type": "namespace", "name": "late",
                "tools": [{"type": "custom", "name": "patch"}]}]},
            {"role": "user", "content": "Hi"}],
        "tools": [{"type": "namespace", "name": "ns", "tools": [
            {"type": "function", "name": "look", "parameters": {"type": "object"}}]}]});
    let (_, mut translated) = to(OpenAiChat, &request);
    let call = |name: &str, arguments: &str| {
        json!({"id": name, "type": "function", "index": 0,
            "function": {"name": name, "arguments": arguments}})
    };
    let calls = json!([call("ns__look", "{}"), call("late__patch", "*** Begin"), call("x__y", "")]);
    let answer = json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "finish_reason": "tool_calls",
            "message": {"role": "assistant", "content": null, "tool_calls": calls}}]});
    let mut facts = Answer::new("m", 1, 1);
    facts.echo = std::mem::take(&mut translated.echo);
    facts.restore = translated.restore;

    let text = answer.to_string();
    let told = translate::response(OpenAiChat, OpenAiResponses, text.as_bytes(), facts.clone());
    let whole = parse(&told.unwrap().body);
    let mut chunk = answer;
    chunk["choices"][0]["delta"] = chunk["choices"][0]["message"].take();
    for (n, call) in
        chunk["choices"][0]["delta"]["tool_calls"].as_array_mut().unwrap().iter_mut().enumerate()
    {
        call["index"] = n.into();
    }
    let mut writer = translate::Transcoder::new(OpenAiChat, OpenAiResponses, facts);
    let (mut out, sse) = (bytes::BytesMut::new(), format!("data: {chunk}\n\ndata: [DONE]\n\n"));
    writer.push(sse.as_bytes(), &mut out);
    writer.finish(&mut out);
    let stream = String::from_utf8(out.to_vec()).unwrap();
    let last = stream.lines().rfind(|line| line.starts_with("data: ")).unwrap();
    let streamed = parse(&last.as_bytes()["data: ".len()..])["response"].take();
    for response in [whole, streamed] {
        let named: Vec<_> = response["output"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| [&item["namespace"], &item["name"]].map(|it| it.as_str().unwrap_or("-")))
            .collect();
        assert_eq!(named, [["ns", "look"], ["late", "patch"], ["-", "x__y"]], "{response}");
        assert!(response.get("additional_tools").is_none());
        assert_eq!(response["tools"], request["tools"]);
    }
}

#[test]
fn settings() {
    let text = json!({"text": {"verbosity": "low"}, "max_output_tokens": 7,
        "reasoning": {"effort": "high", "summary": "detailed"},
        "include": ["message.output_text.logprobs"], "top_logprobs": 2, "user": "u"})
    .to_string();
    let request = read(&text).unwrap();
    assert_eq!(request.reasoning.effort, Some(Effort::High));
    assert_eq!(request.reasoning.show, Some(Show::Full));
    assert_eq!(request.logprobs.enabled, Some(true));
    assert!(request.end_user.is_some_and(|user| user == "u"));
    for (word, show) in [("auto", Show::Summary), ("concise", Show::Summary)] {
        for member in ["summary", "generate_summary"] {
            let text = json!({"reasoning": {member: word}}).to_string();
            assert_eq!(read(&text).unwrap().reasoning.show, Some(show));
        }
    }
}

#[test]
fn what_only_the_vendor_knows_is_refused_elsewhere() {
    let rows = [
        (json!({"previous_response_id": "resp_1"}), "/previous_response_id"),
        (json!({"conversation": {"id": "conv_1"}}), "/conversation"),
        (json!({"prompt": {"id": "pmpt_1"}}), "/prompt"),
        (json!({"input": [{"type": "item_reference", "id": "msg_1"}]}), "/input/0"),
        (json!({"input": [{"id": "msg_1"}]}), "/input/0"),
        (json!({"input": [{"type": "compaction", "encrypted_content": "g"}]}), "/input/0"),
        (json!({"input": [{"type": "computer_call_output", "call_id": "c"}]}), "/input/0"),
    ];
    for (request, pointer) in rows {
        for protocol in [OpenAiChat, Anthropic] {
            let (_, translated) = to(protocol, &request);
            assert_eq!(fatal(&translated), [pointer], "{protocol:?} {request}");
        }
    }
}

#[test]
fn a_call_of_codex_reaches_others() {
    // What Codex sends back: thinking without its id, typed messages, output in parts.
    let request = json!({"model": "m", "instructions": "i", "stream": true, "store": false,
        "include": ["reasoning.encrypted_content"], "tool_choice": "auto",
        "parallel_tool_calls": false, "prompt_cache_key": "k", "client_metadata": {"a": "b"},
        "reasoning": {"effort": "medium", "summary": "auto"},
        "tools": [{"type": "function", "name": "shell", "description": "d", "strict": false,
            "parameters": {"type": "object", "properties": {}}}, {"type": "web_search"}],
        "input": [
            {"type": "message", "role": "developer",
                "content": [{"type": "input_text", "text": "d"}]},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "u"}]},
            {"type": "reasoning", "summary": [], "content": null, "encrypted_content": "gAAA"},
            {"type": "function_call", "name": "shell", "arguments": "{}", "call_id": "call_1"},
            {"type": "function_call_output", "call_id": "call_1",
                "output": [{"type": "input_text", "text": "o"}]}]});
    for protocol in [OpenAiChat, Anthropic] {
        let (body, translated) = to(protocol, &request);
        assert_eq!(fatal(&translated), [""; 0], "{protocol:?}: {}", translated.report);
        assert!(translated.stream);
        assert_eq!(translated.cache_key.as_deref(), Some("k"));
        assert_eq!(parse(translated.echo.as_bytes())["instructions"], "i");
        assert!(!body.to_string().contains("gAAA"));
        assert!(body.to_string().contains("call_1"));
    }
}
