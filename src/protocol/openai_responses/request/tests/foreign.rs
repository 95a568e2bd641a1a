//! Requests of other protocols, under the rules of Responses.

use std::fs;

use serde_json::{Value, json};

use super::{back, written};
use crate::protocol::Protocol::{self, Anthropic, OpenAiChat, OpenAiResponses};
use crate::protocol::json::{JsonStr, Raw};
use crate::protocol::model::{
    Content, Effort, Part, Request, Role, Seal, SealKind, ToolArguments, ToolCall, ToolCallKind,
    Turn, Vendor,
};
use crate::protocol::profile::Profiles;
use crate::protocol::report::{Mode, Severity};
use crate::protocol::target::Target;
use crate::protocol::translate::{self, RequestOptions, TranslatedRequest};
use crate::test_helpers::corpus::{cases, parse};

fn from_with(protocol: Protocol, request: &Value, target: &Target) -> (Value, TranslatedRequest) {
    let profiles = &Profiles::always(target.clone());
    let options = RequestOptions { mode: Mode::Lenient, profiles, ..RequestOptions::default() };
    let text = request.to_string();
    let translated =
        translate::request(protocol, OpenAiResponses, text.as_bytes(), &options).unwrap();
    (parse(&translated.body), translated)
}

fn from(protocol: Protocol, request: &Value) -> (Value, TranslatedRequest) {
    from_with(protocol, request, &Target::default())
}

fn pointers(translated: &TranslatedRequest, severity: Severity) -> Vec<&str> {
    let losses = translated.report.losses().iter();
    losses.filter(|loss| loss.severity == severity).map(|loss| &*loss.pointer).collect()
}

#[test]
fn a_conversation_of_messages() {
    let request = json!({
        "model": "m", "max_tokens": 100,
        "system": [{"type": "text", "text": "One."},
            {"type": "text", "text": "Two.", "cache_control": {"type": "ephemeral"}}],
        "tools": [{"name": "look", "input_schema": {"type": "object"}}],
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "Look"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png",
                    "data": "AA=="}},
                {"type": "document", "source": {"type": "base64",
                    "media_type": "application/pdf", "data": "BB=="}},
                {"type": "document", "source": {"type": "url", "url": "https://a.example/c"},
                    "title": "t"},
                {"type": "document", "source": {"type": "text", "media_type": "text/plain",
                    "data": "words"}}]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "text", "text": "I look"},
                {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"b": 1.0}},
                {"type": "tool_use", "id": "toolu_2", "name": "look", "input": {}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": "seen"},
                {"type": "tool_result", "tool_use_id": "toolu_2", "is_error": true, "content": [
                    {"type": "text", "text": "a"},
                    {"type": "image", "source": {"type": "url", "url": "https://a.example/d"}}]},
                {"type": "text", "text": "And?"}]}]});
    let (body, translated) = from(Anthropic, &request);
    let message =
        |role: &str, content: Value| json!({"type": "message", "role": role, "content": content});
    assert_eq!(
        body,
        json!({
            "model": "m", "instructions": "One.\n\nTwo.", "max_output_tokens": 100, "store": false,
            "tools": [{"type": "function", "name": "look", "parameters": {"type": "object"},
                "strict": false}],
            "input": [
                message("user", json!([
                    {"type": "input_text", "text": "Look"},
                    {"type": "input_image", "image_url": "data:image/png;base64,AA=="},
                    {"type": "input_file", "filename": "document.pdf",
                        "file_data": "data:application/pdf;base64,BB=="},
                    {"type": "input_file", "filename": "t", "file_url": "https://a.example/c"},
                    {"type": "input_text", "text": "words"}])),
                message("assistant", json!([{"type": "output_text", "text": "I look"}])),
                {"type": "function_call", "call_id": "toolu_1", "name": "look",
                    "arguments": "{\"b\":1.0}"},
                {"type": "function_call", "call_id": "toolu_2", "name": "look",
                    "arguments": "{}"},
                {"type": "function_call_output", "call_id": "toolu_1", "output": "seen"},
                {"type": "function_call_output", "call_id": "toolu_2", "output": [
                    {"type": "input_text", "text": "a"},
                    {"type": "input_image", "image_url": "https://a.example/d"}]},
                message("user", json!([{"type": "input_text", "text": "And?"}]))]})
    );
    assert_eq!(pointers(&translated, Severity::Fatal), [""; 0]);
    assert_eq!(
        pointers(&translated, Severity::Degrade),
        [
            "/messages/1/content/0/signature",
            "/messages/1/content/0/thinking",
            "/messages/2/content/1/content/0/text"
        ]
    );
    assert_eq!(pointers(&translated, Severity::Ignore), ["/system/1/cache_control"]);
}

#[test]
fn system_messages_stay_in_place() {
    let request = json!({"model": "m", "messages": [
        {"role": "system", "content": "a"}, {"role": "user", "content": "b"},
        {"role": "developer", "content": [{"type": "text", "text": "c"}]},
        {"role": "assistant", "content": "d"}, {"role": "user", "content": "", "name": "n"}]});
    let (body, translated) = from(OpenAiChat, &request);
    let told: Vec<_> = body["input"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| (item["role"].as_str().unwrap(), item["content"][0]["text"].as_str().unwrap()))
        .collect();
    assert_eq!(told, [("system", "a"), ("user", "b"), ("developer", "c"), ("assistant", "d")]);
    assert_eq!(pointers(&translated, Severity::Degrade), ["/messages/4/name"]);
}

/// One member of a request of another protocol: what becomes of it, and what is reported.
#[test]
fn members() {
    let rows: &[(Protocol, Value, Value, &[&str])] = &[
        (
            OpenAiChat,
            json!({"max_completion_tokens": 15}),
            json!({"max_output_tokens": 16}),
            &["/max_completion_tokens"],
        ),
        (OpenAiChat, json!({"max_completion_tokens": 16}), json!({"max_output_tokens": 16}), &[]),
        (
            OpenAiChat,
            json!({"temperature": 0.5, "top_p": 1.0}),
            json!({"temperature": 0.5, "top_p": 1.0}),
            &[],
        ),
        (OpenAiChat, json!({"stop": "x"}), json!({}), &["/stop"]),
        (OpenAiChat, json!({"stop": ["x", "y"]}), json!({}), &["/stop/0", "/stop/1"]),
        (OpenAiChat, json!({"seed": 1}), json!({}), &["/seed"]),
        (OpenAiChat, json!({"n": 1}), json!({}), &[]),
        (OpenAiChat, json!({"n": 2}), json!({}), &["/n"]),
        (OpenAiChat, json!({"frequency_penalty": 0, "presence_penalty": 0.0}), json!({}), &[]),
        (OpenAiChat, json!({"frequency_penalty": 1}), json!({}), &["/frequency_penalty"]),
        (OpenAiChat, json!({"logit_bias": {"1": 2}}), json!({}), &["/logit_bias"]),
        (OpenAiChat, json!({"logit_bias": {}}), json!({}), &[]),
        (OpenAiChat, json!({"prediction": {"type": "content"}}), json!({}), &["/prediction"]),
        (OpenAiChat, json!({"audio": {"voice": "v"}}), json!({}), &["/audio"]),
        (
            OpenAiChat,
            json!({"logprobs": true, "top_logprobs": 2}),
            json!({"top_logprobs": 2, "include": ["message.output_text.logprobs"]}),
            &[],
        ),
        (OpenAiChat, json!({"logprobs": false}), json!({}), &[]),
        (OpenAiChat, json!({"verbosity": "low"}), json!({"text": {"verbosity": "low"}}), &[]),
        (
            OpenAiChat,
            json!({"response_format": {"type": "json_object"}}),
            json!({"text": {"format": {"type": "json_object"}}}),
            &[],
        ),
        (
            OpenAiChat,
            json!({"response_format": {"type": "json_schema", "json_schema":
            {"name": "n", "schema": {"type": "object"}, "strict": true}}}),
            json!({"text": {"format": {"type": "json_schema", "name": "n", "strict": true,
                "schema": {"type": "object"}}}}),
            &[],
        ),
        (OpenAiChat, json!({"response_format": {"type": "new"}}), json!({}), &["/response_format"]),
        (
            OpenAiChat,
            json!({"reasoning_effort": "high"}),
            json!({"reasoning": {"effort": "high", "summary": "auto"},
                "include": ["reasoning.encrypted_content"]}),
            &[],
        ),
        (
            OpenAiChat,
            json!({"reasoning_effort": "none"}),
            json!({"reasoning": {"effort": "none"}}),
            &[],
        ),
        (OpenAiChat, json!({"user": "u"}), json!({"safety_identifier": "u"}), &[]),
        (OpenAiChat, json!({"user": "u".repeat(65)}), json!({}), &["/user"]),
        (OpenAiChat, json!({"metadata": {"a": "b"}}), json!({"metadata": {"a": "b"}}), &[]),
        (OpenAiChat, json!({"service_tier": "flex"}), json!({"service_tier": "flex"}), &[]),
        (OpenAiChat, json!({"prompt_cache_key": "k"}), json!({"prompt_cache_key": "k"}), &[]),
        (OpenAiChat, json!({"store": true}), json!({}), &["/store"]),
        (OpenAiChat, json!({"store": false, "stream": true}), json!({"stream": true}), &[]),
        (OpenAiChat, json!({"tool_choice": "required"}), json!({}), &["/tool_choice"]),
        (OpenAiChat, json!({"tool_choice": "auto", "parallel_tool_calls": false}), json!({}), &[]),
        (Anthropic, json!({"top_k": 5}), json!({}), &["/top_k"]),
        (Anthropic, json!({"stop_sequences": ["a"]}), json!({}), &["/stop_sequences/0"]),
        (Anthropic, json!({"metadata": {"user_id": "u"}}), json!({"safety_identifier": "u"}), &[]),
        (
            Anthropic,
            json!({"service_tier": "standard_only"}),
            json!({"service_tier": "default"}),
            &[],
        ),
        (Anthropic, json!({"service_tier": "auto"}), json!({"service_tier": "auto"}), &[]),
        (
            Anthropic,
            json!({"cache_control": {"type": "ephemeral"}}),
            json!({}),
            &["/cache_control"],
        ),
        (
            Anthropic,
            json!({"thinking": {"type": "enabled", "budget_tokens": 5000}}),
            json!({"reasoning": {"effort": "medium", "summary": "auto"},
                "include": ["reasoning.encrypted_content"]}),
            &["/thinking/budget_tokens"],
        ),
        (
            Anthropic,
            json!({"thinking": {"type": "adaptive", "display": "omitted"},
            "output_config": {"effort": "low"}}),
            json!({"reasoning": {"effort": "low"}, "include": ["reasoning.encrypted_content"]}),
            &[],
        ),
        (Anthropic, json!({"thinking": {"type": "disabled"}}), json!({}), &["/thinking"]),
        (Anthropic, json!({"mcp_servers": [{"url": "u"}]}), json!({}), &["/mcp_servers"]),
        (
            Anthropic,
            json!({"output_config": {"format": {"type": "json_schema", "schema":
            {"type": "object", "properties": {}, "additionalProperties": false}}}}),
            json!({"text": {"format": {"type": "json_schema", "name": "response", "strict": true,
                "schema": {"type": "object", "properties": {}, "additionalProperties": false}}}}),
            &[],
        ),
        (
            Anthropic,
            json!({"output_config": {"format": {"type": "json_schema", "schema":
            {"type": "object"}}}}),
            json!({"text": {"format": {"type": "json_schema", "name": "response",
                "strict": false, "schema": {"type": "object"}}}}),
            &["/output_config/format/schema"],
        ),
    ];
    for (protocol, members, expected, lost) in rows {
        let mut request = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}]});
        let mut wanted = json!({"model": "m", "store": false, "input": [{"type": "message",
            "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}]});
        if *protocol == Anthropic {
            request["max_tokens"] = json!(20);
            wanted["max_output_tokens"] = json!(20);
        }
        for (to, from) in [(&mut request, members), (&mut wanted, expected)] {
            to.as_object_mut().unwrap().extend(from.as_object().unwrap().clone());
        }
        let (body, translated) = from(*protocol, &request);
        assert_eq!(body, wanted, "{members}");
        let mut reported: Vec<_> =
            translated.report.losses().iter().map(|loss| &*loss.pointer).collect();
        reported.sort_unstable();
        assert_eq!(reported, *lost, "{members}: {}", translated.report);
    }
}

#[test]
fn tools_and_choices() {
    let closed = json!({"type": "object", "properties": {"a": {"type": "string"}},
        "required": ["a"], "additionalProperties": false});
    let function = |name: &str, parameters: Value, strict: Value| {
        json!({"type": "function", "function": {"name": name, "parameters": parameters,
            "strict": strict}})
    };
    let request = json!({"model": "m", "messages": [], "parallel_tool_calls": false,
        "tool_choice": {"type": "custom", "custom": {"name": "e"}},
        "tools": [
            {"type": "function", "function": {"name": "a"}},
            function("b", closed.clone(), json!(true)),
            function("c", json!({"type": "object"}), json!(true)),
            function("d", json!({"properties": {}}), json!(null)),
            {"type": "custom", "custom": {"name": "e", "format": {"type": "grammar",
                "grammar": {"syntax": "lark", "definition": "x"}}}},
            {"type": "custom", "name": "f", "description": "flat"},
            {"type": "web_search"}]});
    let (body, translated) = from(OpenAiChat, &request);
    assert_eq!(
        body["tools"],
        json!([
            {"type": "function", "name": "a", "parameters": {"type": "object", "properties": {}},
                "strict": false},
            {"type": "function", "name": "b", "parameters": closed, "strict": true},
            {"type": "function", "name": "c", "parameters": {"type": "object"}, "strict": false},
            {"type": "function", "name": "d", "parameters": {"type": "object", "properties": {}},
                "strict": false},
            {"type": "custom", "name": "e", "format": {"type": "grammar", "syntax": "lark",
                "definition": "x"}},
            {"type": "custom", "name": "f", "description": "flat"}])
    );
    assert_eq!(body["tool_choice"], json!({"type": "custom", "name": "e"}));
    assert_eq!(body["parallel_tool_calls"], false);
    assert_eq!(pointers(&translated, Severity::Fatal), [""; 0]);
    let mut degraded = pointers(&translated, Severity::Degrade);
    degraded.sort();
    assert_eq!(degraded, ["/tools/2/function/name", "/tools/6"]);

    let mut request = json!({"model": "m", "messages": [],
        "tools": [{"type": "function", "function": {"name": "a"}}]});
    let named = json!({"type": "function", "function": {"name": "a"}});
    for (choice, expected) in [
        (json!("auto"), json!("auto")),
        (json!("none"), json!("none")),
        (json!("required"), json!("required")),
        (named.clone(), json!({"type": "function", "name": "a"})),
        (
            json!({"type": "allowed_tools", "allowed_tools": {"mode": "required",
                "tools": [named]}}),
            json!({"type": "allowed_tools", "mode": "required",
                "tools": [{"type": "function", "name": "a"}]}),
        ),
        (json!({"type": "new", "x": 1}), json!(null)),
    ] {
        request["tool_choice"] = choice;
        assert_eq!(from(OpenAiChat, &request).0["tool_choice"], expected, "{request}");
    }
}

#[test]
fn thinking_turned_off() {
    let request = json!({"model": "m", "max_tokens": 20, "messages": [],
        "thinking": {"type": "disabled"}});
    let knows = Target { efforts: (Effort::None, Effort::High), ..Target::default() };
    let (body, translated) = from_with(Anthropic, &request, &knows);
    assert_eq!(body["reasoning"], json!({"effort": "none"}));
    assert!(body.get("include").is_none());
    assert!(translated.report.is_empty());
}

#[test]
fn media_without_a_form_are_fatal() {
    let image = |source: Value| json!({"type": "image", "source": source});
    let rows = [
        (Anthropic, image(json!({"type": "file", "file_id": "f"}))),
        (Anthropic, image(json!({"type": "new"}))),
        (Anthropic, json!({"type": "block_of_tomorrow"})),
        (OpenAiChat, json!({"type": "input_audio", "input_audio": {"data": "A", "format": "wav"}})),
        (OpenAiChat, json!({"type": "video_url", "video_url": {"url": "u"}})),
    ];
    for (protocol, part) in rows {
        let request = json!({"model": "m", "messages": [{"role": "user", "content": [part]}]});
        let (body, translated) = from(protocol, &request);
        assert_eq!(body["input"], json!([]), "{part}");
        let fatal = pointers(&translated, Severity::Fatal);
        assert!(fatal.iter().all(|pointer| pointer.starts_with("/messages/0/content/0")));
        assert_eq!(fatal.len(), 1, "{part}");
    }
    // A file of Chat is at the same vendor.
    let file = json!({"type": "file", "file": {"file_id": "f"}});
    let request = json!({"model": "m", "messages": [{"role": "user", "content": [file]}]});
    let (body, _) = from(OpenAiChat, &request);
    assert_eq!(body["input"][0]["content"], json!([{"type": "input_file", "file_id": "f"}]));
}

fn thinking(vendor: Vendor, data: &'static str, raw: Option<&'static str>) -> Part<'static> {
    Part::new(Content::Reasoning {
        text: Some(JsonStr::from_plain("hm")),
        seal: Some(Seal { vendor, kind: SealKind::Encrypted, data: JsonStr::from_plain(data) }),
        id: Some(JsonStr::from_plain("rs_1")),
        raw: raw.map(Raw::literal),
    })
}

fn call() -> Part<'static> {
    Part::new(Content::ToolCall(ToolCall {
        id: JsonStr::from_plain("c"),
        name: JsonStr::from_plain("f"),
        arguments: ToolArguments::Text(JsonStr::default()),
        kind: ToolCallKind::Function,
        seal: None,
        item_id: Some(JsonStr::from_plain("fc_1")),
        spelling: crate::protocol::model::Spelling::default(),
    }))
}

#[test]
fn only_thinking_that_openai_sealed_goes_back() {
    let ours = || thinking(Vendor::OpenAi, "gAAA", None);
    let item = json!({"type": "reasoning", "encrypted_content": "gAAA",
        "summary": [{"type": "summary_text", "text": "hm"}]});
    let called = json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"});
    let listed = r#"[{"type":"summary_text","text":"a"},{"type":"summary_text","text":"b"}]"#;
    let mut listed_item = item.clone();
    listed_item["summary"] = parse(listed.as_bytes());
    let rows = [
        (vec![ours(), call()], json!([item, called])),
        (
            vec![thinking(Vendor::OpenAi, "gAAA", Some(listed)), call()],
            json!([listed_item, called]),
        ),
        (
            vec![thinking(Vendor::OpenAi, "gAAA", Some(r#"[{"type":"reasoning_text"}]"#)), call()],
            json!([item, called]),
        ),
        // Nothing follows: OpenAI would refuse it.
        (vec![call(), ours()], json!([called])),
        (vec![ours(), Part::text(JsonStr::default())], json!([])),
        (vec![thinking(Vendor::OpenAi, "", None), call()], json!([called])),
        (vec![thinking(Vendor::Anthropic, "s", None), call()], json!([called])),
        (vec![thinking(Vendor::Gateway, "s", None), call()], json!([called])),
    ];
    for (parts, expected) in rows {
        let mut request = Request::new(OpenAiChat);
        request.turns.push(Turn { parts, ..Turn::new(Role::Assistant) });
        let (body, report) = written(&request, "", &Target::default());
        assert_eq!(body["input"], expected);
        let kept = expected.to_string().contains("reasoning");
        assert_eq!(report.losses().len(), usize::from(!kept));
        assert!(report.losses().iter().all(|loss| loss.severity == Severity::Degrade));
    }
}

#[test]
fn a_model_that_does_not_think_gets_no_thinking() {
    let mut request = Request::new(OpenAiChat);
    let parts = vec![thinking(Vendor::OpenAi, "gAAA", None), call()];
    request.turns.push(Turn { parts, ..Turn::new(Role::Assistant) });
    let (body, _) = written(&request, "", &Target::default());
    assert_eq!(body["include"], json!(["reasoning.encrypted_content"]));
    let target = Target { thinks: false, ..Target::default() };
    let (body, report) = written(&request, "", &target);
    assert!(body.get("include").is_none());
    assert_eq!(body["input"].as_array().unwrap().len(), 1);
    assert_eq!(report.losses().len(), 1);
}

/// What OpenAI refuses in a request, whatever it says.
fn check(name: &str, body: &Value) {
    assert_eq!(body["store"], false, "{name}");
    let mut calls = Vec::new();
    let items = body["input"].as_array().unwrap_or_else(|| panic!("{name}: no items"));
    for (at, item) in items.iter().enumerate() {
        let text = |member: &str| {
            item[member].as_str().unwrap_or_else(|| panic!("{name}: {member} of {item}"))
        };
        assert!(item.get("id").is_none(), "{name}: nothing is kept that an id could name");
        match text("type") {
            "message" => {
                assert!(["user", "assistant", "system", "developer"].contains(&text("role")));
                let parts = item["content"].as_array().unwrap();
                assert!(!parts.is_empty(), "{name}");
                let output = text("role") == "assistant";
                for part in parts {
                    let kind = part["type"].as_str().unwrap();
                    let said = ["output_text", "refusal"].contains(&kind);
                    assert_eq!(said, output, "{name}: {part}");
                }
            }
            kind @ ("function_call" | "custom_tool_call") => {
                assert!((1..=64).contains(&text("call_id").chars().count()), "{name}");
                assert!((1..=64).contains(&text("name").len()), "{name}");
                calls.push((text("call_id"), kind));
            }
            kind @ ("function_call_output" | "custom_tool_call_output") => {
                let asked = kind.strip_suffix("_output").unwrap();
                assert!(calls.contains(&(text("call_id"), asked)), "{name}: {item}");
            }
            "reasoning" => assert!(items.len() > at + 1, "{name}"),
            kind => panic!("{name}: {kind}"),
        }
    }
    for tool in body["tools"].as_array().into_iter().flatten() {
        assert!(tool["type"] == "custom" || tool["strict"].is_boolean(), "{name}: {tool}");
    }
}

#[test]
fn recorded_requests_of_others() {
    for (folder, protocol) in [("dev/anthropic", Anthropic), ("dev/openai-chat", OpenAiChat)] {
        for (name, path) in cases(folder) {
            let Ok(text) = fs::read_to_string(path.join("request.json")) else { continue };
            let (body, _) = from(protocol, &parse(text.as_bytes()));
            check(&name, &body);
            // What was written is understood, whole.
            assert_eq!(back(&body.to_string()), Some(body), "{name}");
        }
    }
}
