//! What was read from Messages is written back, whatever it holds.

use bytes::BytesMut;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::protocol::anthropic::{request, response};
use crate::protocol::report::Reporter;
use crate::protocol::target::{Answer, Target};
use crate::test_helpers::corpus::parse;

fn request_back(text: &str) -> Option<Value> {
    let request = request::read(text).ok()?;
    let mut report = Reporter::new(text);
    let mut out = BytesMut::new();
    request::write(&request, &Target::default(), &mut report, &mut out);
    assert!(report.finish().is_empty(), "{text}");
    Some(parse(&out))
}

fn response_back(text: &str) -> Option<Value> {
    let response = response::read(text).ok()?;
    let mut report = Reporter::new(text);
    let mut out = BytesMut::new();
    response::write(&response, &mut Answer::new("m", 0, 0), &mut report, &mut out);
    assert!(report.finish().is_empty(), "{text}");
    Some(parse(&out))
}

/// A request with this one member.
fn with(name: &str, value: &Value) -> Value {
    let mut request = json!({"model": "m", "max_tokens": 5, "messages": []});
    request[name] = value.clone();
    request
}

fn block(block: &Value) -> Value {
    with("messages", &json!([{"role": "user", "content": [block]}]))
}

#[test]
fn members() {
    let rows = [
        ("system", json!("s")),
        ("system", json!("")),
        ("system", json!([])),
        ("system", json!(null)),
        ("system", json!([{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}])),
        ("system", json!([{"type": "text", "text": "a", "x": [1, null]}])),
        ("messages", json!([{"role": "user", "content": "", "x": 1}])),
        ("messages", json!([{"role": "user", "content": []}, {"role": "user", "content": null}])),
        (
            "messages",
            json!([
                {"role": "system", "content": "first"},
                {"role": "user", "content": "a"},
                {"role": "system", "content": [{"type": "text", "text": "b"}], "y": 2},
                {"role": "system", "content": "c"},
                {"role": "assistant", "content": "d"},
                {"role": "system", "content": "last"},
            ]),
        ),
        ("max_tokens", json!(null)),
        ("temperature", json!(1.0)),
        ("top_p", json!(null)),
        ("top_k", json!(5)),
        ("stop_sequences", json!([])),
        ("stop_sequences", json!(["a", "", "\u{1f600}\n"])),
        ("stop_sequences", json!(null)),
        ("stream", json!(false)),
        ("stream", json!(null)),
        ("tools", json!([])),
        ("tools", json!(null)),
        ("tools", json!([{"name": "a", "input_schema": {"type": "object"}}])),
        (
            "tools",
            json!([{"type": "custom", "name": "a", "description": null, "input_schema": {},
            "strict": true, "cache_control": null, "defer_loading": true, "input_examples": []}]),
        ),
        ("tools", json!([{"type": null, "name": "a", "input_schema": null}])),
        (
            "tools",
            json!([{"type": "bash_20250124", "name": "bash", "cache_control": {"type": "x"}}]),
        ),
        ("tool_choice", json!({"type": "auto"})),
        ("tool_choice", json!({"type": "any", "disable_parallel_tool_use": true})),
        ("tool_choice", json!({"type": "tool", "name": "a", "disable_parallel_tool_use": false})),
        ("tool_choice", json!({"type": "none"})),
        ("tool_choice", json!({"type": "auto", "name": "odd"})),
        ("tool_choice", json!({"type": "new", "x": 1})),
        ("tool_choice", json!({"type": "auto", "disable_parallel_tool_use": null})),
        ("tool_choice", json!(null)),
        ("thinking", json!({"type": "enabled", "budget_tokens": 1024})),
        ("thinking", json!({"type": "adaptive", "display": "omitted"})),
        ("thinking", json!({"type": "disabled", "x": 1})),
        ("thinking", json!({})),
        ("output_config", json!({})),
        ("tools", json!([{"input_schema": {}}, "odd"])),
        ("thinking", json!({"type": "new", "display": "all", "budget_tokens": null})),
        ("thinking", json!(null)),
        ("output_config", json!({"effort": "xhigh"})),
        ("output_config", json!({"effort": "new", "task_budget": {"type": "tokens"}})),
        ("output_config", json!({"format": {"type": "json_schema", "schema": {}, "x": null}})),
        ("output_config", json!({"format": {"type": "regex", "p": "a"}, "effort": null})),
        ("output_config", json!({"format": null})),
        ("output_format", json!({"type": "json_schema", "schema": {"type": "object"}})),
        ("output_format", json!(null)),
        ("metadata", json!({"user_id": "u"})),
        ("metadata", json!({"user_id": null, "x": "y"})),
        ("metadata", json!({"user_id": "u", "x": "y"})),
        ("metadata", json!({})),
        ("metadata", json!(null)),
        ("service_tier", json!("standard_only")),
        ("cache_control", json!({"type": "ephemeral", "ttl": "1h"})),
        ("container", json!({"id": "c", "skills": []})),
        ("mcp_servers", json!([])),
        ("messages", json!(null)),
    ];
    for (name, value) in rows {
        let request = with(name, &value);
        assert_eq!(request_back(&request.to_string()), Some(request));
    }
}

#[test]
fn blocks() {
    let source = |source: Value| json!({"type": "document", "source": source});
    let rows = [
        json!({"type": "text", "text": "a\"\\\n\u{7f}é", "citations": null}),
        json!({"type": "text", "text": "", "citations": [{"type": "char_location"}]}),
        json!({"type": "text", "text": null}),
        json!({"type": "text"}),
        json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": ""}}),
        json!({"type": "image", "source": {"type": "url", "url": "u"}, "title": "odd"}),
        json!({"type": "image", "source": {"type": "file", "file_id": "f"}, "cache_control": null}),
        source(json!({"type": "text", "media_type": "text/plain", "data": "d"})),
        source(json!({"type": "content", "content": "plain"})),
        source(
            json!({"type": "content", "content": [{"type": "text", "text": "a"}, {"type": "image",
            "source": {"type": "url", "url": "u"}}]}),
        ),
        source(json!({"type": "url", "url": "u", "x": 1})),
        source(json!({"type": "base64", "data": "d"})),
        source(json!({"type": "new"})),
        source(json!("odd")),
        json!({"type": "document", "source": {"type": "url", "url": "u"}, "title": "t",
            "context": null, "citations": {"enabled": true}, "cache_control": {"type": "ephemeral"}}),
        json!({"type": "thinking", "thinking": "", "signature": "s"}),
        json!({"type": "thinking", "thinking": "t", "signature": "", "x": 1}),
        json!({"type": "redacted_thinking", "data": "d"}),
        json!({"type": "redacted_thinking", "data": ""}),
        json!({"type": "tool_use", "id": "a b", "name": "n", "input": {"b": 1.0, "a": [{}]}}),
        json!({"type": "tool_use", "id": "", "name": "n", "input": {}, "caller": {"type": "direct"}}),
        json!({"type": "tool_use", "name": "n", "input": {}}),
        json!({"type": "tool_use", "id": "a", "name": "n"}),
        json!({"type": "tool_use", "id": "a", "name": "n", "input": null}),
        json!({"type": "tool_result", "tool_use_id": "a"}),
        json!({"type": "tool_result", "tool_use_id": "a", "content": []}),
        json!({"type": "tool_result", "tool_use_id": "a", "content": null, "is_error": null}),
        json!({"type": "tool_result", "tool_use_id": "a", "content": "", "is_error": false}),
        json!({"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": ""},
            {"type": "search_result", "source": "s", "title": "t", "content": []}]}),
        json!({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}),
        json!({"type": "new_block"}),
        json!({"no": "type"}),
        json!("odd"),
    ];
    for row in rows {
        let request = block(&row);
        assert_eq!(request_back(&request.to_string()), Some(request));
        let answer = json!({"id": "i", "type": "message", "role": "assistant", "model": "m",
            "content": [row], "stop_reason": "end_turn", "stop_sequence": null,
            "usage": {"input_tokens": 1, "output_tokens": 2}});
        assert_eq!(response_back(&answer.to_string()), Some(answer));
    }
}

#[test]
fn answers() {
    for (name, value) in [
        ("stop_reason", json!(null)),
        ("stop_reason", json!("new_reason")),
        ("stop_sequence", json!("END")),
        ("stop_details", json!(null)),
        ("stop_details", json!({"type": "refusal", "category": null})),
        ("container", json!({"id": "c"})),
        ("context_management", json!({"applied_edits": []})),
        ("usage", json!({"input_tokens": 1, "output_tokens": 2, "iterations": [], "speed": null})),
    ] {
        let mut answer = json!({"id": "i", "type": "message", "role": "assistant", "model": "m",
            "content": [], "stop_reason": "stop_sequence", "stop_sequence": null,
            "usage": {"input_tokens": 1, "output_tokens": 2}});
        answer[name] = value;
        assert_eq!(response_back(&answer.to_string()), Some(answer));
    }
}

#[test]
fn deep_nesting_is_kept_whole() {
    let mut value = json!({"type": "text", "text": 5});
    for _ in 0..20 {
        value = json!({"type": "tool_result", "tool_use_id": "a", "content": [value]});
    }
    let request = block(&value);
    assert_eq!(request_back(&request.to_string()), Some(request));
}

#[test]
fn wrong_shapes_are_named() {
    for (text, pointer) in [
        ("[]", ""),
        ("{", ""),
        (r#"{"messages":5}"#, "/messages"),
        (
            r#"{"messages":[{"role":"user","content":[{"type":"text","text":5}]}]}"#,
            "/messages/0/content/0/text",
        ),
        (r#"{"messages":[{"role":"nobody","content":""}]}"#, "/messages/0"),
        (r#"{"max_tokens":"5"}"#, "/max_tokens"),
        (r#"{"tools":[{"name":"a","description":5}]}"#, "/tools/0/description"),
    ] {
        assert_eq!(request::read(text).unwrap_err().pointer(), pointer, "{text}");
    }
    assert!(response::read("[]").is_err());
}

fn any_json() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        Just("text"),
        Just("type"),
        Just("auto"),
        Just("enabled"),
        Just("user"),
        Just("assistant"),
        Just("system"),
        Just("json_schema"),
        Just("base64"),
        Just(""),
    ];
    let key = prop_oneof![
        Just("type"),
        Just("text"),
        Just("content"),
        Just("source"),
        Just("name"),
        Just("id"),
        Just("role"),
        Just("input"),
        Just("effort"),
        Just("format"),
        Just("user_id"),
        Just("x"),
        Just("schema"),
        Just("cache_control"),
        Just("tool_use_id"),
        Just("is_error"),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-5..5000i64).prop_map(Value::from),
        word.prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(key.clone().prop_map(str::to_owned), inner, 0..5)
                .prop_map(|members| members.into_iter().collect()),
        ]
    })
}

proptest! {
    /// A request that can be read at all comes back.
    #[test]
    fn any_request(
        name in prop_oneof![
            Just("messages"), Just("system"), Just("tools"), Just("tool_choice"), Just("metadata"),
            Just("thinking"), Just("output_config"), Just("output_format"), Just("x"),
            Just("stop_sequences"), Just("temperature"), Just("stream"),
        ],
        value in any_json(),
    ) {
        let request = with(name, &value);
        if let Some(back) = request_back(&request.to_string()) {
            prop_assert_eq!(back, request);
        }
    }

    #[test]
    fn any_block(
        kind in prop_oneof![
            Just("text"), Just("image"), Just("document"), Just("thinking"), Just("tool_use"),
            Just("tool_result"), Just("redacted_thinking"), Just("x"),
        ],
        mut value in any_json(),
    ) {
        if let Some(members) = value.as_object_mut() {
            members.insert("type".into(), kind.into());
        }
        let request = block(&value);
        if let Some(back) = request_back(&request.to_string()) {
            prop_assert_eq!(back, request);
        }
    }
}
