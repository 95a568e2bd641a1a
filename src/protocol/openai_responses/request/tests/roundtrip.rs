//! What was read from Responses is written back, whatever it holds.

use std::fs;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::back;
use crate::protocol::openai_responses::request::{echo, read};
use crate::test_helpers::corpus::{cases, parse};

#[test]
fn recorded_requests_come_back() {
    for (name, path) in cases("dev/openai-responses") {
        let Ok(text) = fs::read_to_string(path.join("request.json")) else { continue };
        assert_eq!(back(&text), Some(parse(text.as_bytes())), "{name}");
    }
}

fn with(name: &str, value: &Value) -> Value {
    let mut request = json!({"model": "m"});
    request[name] = value.clone();
    request
}

fn item(item: &Value) -> Value {
    with("input", &json!([item]))
}

#[test]
fn members() {
    let rows = [
        ("input", json!("Hi")),
        ("input", json!("")),
        ("input", json!([])),
        ("input", json!(null)),
        ("instructions", json!("Be brief.")),
        ("instructions", json!("")),
        ("instructions", json!(null)),
        ("instructions", json!([])),
        (
            "instructions",
            json!([{"type": "message", "role": "developer", "content": "a"},
            {"role": "system", "content": [{"type": "input_text", "text": "b"}], "x": 1},
            {"type": "additional_tools", "tools": []}, {"type": "odd"}]),
        ),
        ("tools", json!([])),
        ("tools", json!(null)),
        ("tool_choice", json!("auto")),
        ("tool_choice", json!("none")),
        ("tool_choice", json!("required")),
        ("tool_choice", json!("odd")),
        ("tool_choice", json!({"type": "auto"})),
        ("tool_choice", json!({"type": "function", "name": "f"})),
        ("tool_choice", json!({"type": "function", "function": {"name": "f"}})),
        ("tool_choice", json!({"type": "function", "function": {"name": "f", "x": 1}})),
        ("tool_choice", json!({"type": "custom", "name": "f"})),
        ("tool_choice", json!({"type": "function", "name": "f", "namespace": "n"})),
        ("tool_choice", json!({"type": "web_search_preview"})),
        ("tool_choice", json!({"type": "mcp", "server_label": "s", "name": null})),
        ("tool_choice", json!({"type": "apply_patch"})),
        ("tool_choice", json!(3)),
        (
            "tool_choice",
            json!({"type": "allowed_tools", "mode": "auto", "tools": [
            {"type": "function", "name": "f"}, {"type": "mcp", "server_label": "s"}]}),
        ),
        ("parallel_tool_calls", json!(false)),
        ("parallel_tool_calls", json!(null)),
        ("text", json!({})),
        ("text", json!(null)),
        ("text", json!({"format": {"type": "text"}, "verbosity": "low"})),
        ("text", json!({"format": {"type": "json_object"}})),
        ("text", json!({"format": {"type": "json_object", "x": 1}})),
        ("text", json!({"format": {"type": "grammar", "definition": "d"}})),
        ("text", json!({"format": null, "verbosity": null})),
        ("text", json!({"verbosity": "new", "more": [1]})),
        (
            "text",
            json!({"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"},
            "strict": true, "description": "d"}}),
        ),
        ("text", json!({"format": {"type": "json_schema", "name": "n", "strict": null, "x": 1}})),
        ("reasoning", json!({})),
        ("reasoning", json!(null)),
        ("reasoning", json!({"effort": "none"})),
        ("reasoning", json!({"effort": "xhigh", "summary": "auto"})),
        ("reasoning", json!({"effort": "new", "summary": "detailed", "context": "all_turns"})),
        ("reasoning", json!({"effort": null, "generate_summary": "concise"})),
        ("reasoning", json!({"summary": "auto", "generate_summary": "detailed"})),
        ("reasoning", json!({"summary": null, "mode": "pro"})),
        ("reasoning", json!({"summary": 1, "effort": 2})),
        ("include", json!([])),
        ("include", json!(null)),
        ("include", json!(["reasoning.encrypted_content"])),
        ("include", json!(["message.output_text.logprobs"])),
        ("include", json!(["reasoning.encrypted_content", "message.output_text.logprobs"])),
        ("include", json!(["message.output_text.logprobs", "reasoning.encrypted_content"])),
        ("include", json!(["reasoning.encrypted_content", "reasoning.encrypted_content"])),
        ("include", json!(["file_search_call.results", 1])),
        ("max_output_tokens", json!(1)),
        ("max_output_tokens", json!(null)),
        ("max_tool_calls", json!(3)),
        ("temperature", json!(1.0)),
        ("top_p", json!(0.5)),
        ("top_p", json!(null)),
        ("top_logprobs", json!(5)),
        ("top_k", json!(5)),
        ("seed", json!(7)),
        ("frequency_penalty", json!(0.1)),
        ("presence_penalty", json!(0.1)),
        ("repetition_penalty", json!(1.1)),
        ("stop", json!("END")),
        ("stop", json!(["END"])),
        ("stop", json!([])),
        ("stream", json!(true)),
        ("stream", json!(null)),
        ("stream_options", json!({"include_obfuscation": false})),
        ("store", json!(false)),
        ("previous_response_id", json!("resp_1")),
        ("previous_response_id", json!(null)),
        ("conversation", json!("conv_1")),
        ("conversation", json!({"id": "conv_1"})),
        ("background", json!(true)),
        ("metadata", json!({"a": "b"})),
        ("user", json!("u")),
        ("safety_identifier", json!("s")),
        ("prompt_cache_key", json!("k")),
        ("prompt_cache_retention", json!("24h")),
        ("service_tier", json!("flex")),
        ("truncation", json!("auto")),
        ("client_metadata", json!({"x": {"y": 1}})),
        ("prompt", json!({"id": "pmpt_1", "variables": {"a": "b"}})),
        ("context_management", json!([{"type": "compaction"}])),
        ("a_member_of_tomorrow", json!({"a": [null]})),
    ];
    for (name, value) in rows {
        let request = with(name, &value);
        assert_eq!(back(&request.to_string()), Some(request));
    }
    let both = json!({"model": "m", "user": "u", "safety_identifier": "s"});
    assert_eq!(back(&both.to_string()), Some(both));
    assert_eq!(back("{}"), Some(json!({})));
}

/// An item of every kind, and of some that are not quite as they should be.
pub(super) fn items() -> Vec<Value> {
    vec![
        json!({"role": "user", "content": "Hi"}),
        json!({"type": "message", "role": "user", "content": ""}),
        json!({"type": "message", "role": "user", "content": []}),
        json!({"type": "message", "role": "user", "content": null}),
        json!({"type": "message", "role": "user"}),
        json!({"type": "message", "role": "user", "status": "completed", "id": "msg_1",
            "content": [{"type": "input_text", "text": "a\"\\\n"}], "x": 1}),
        json!({"type": "message", "role": "user", "content": [
            {"type": "input_text", "text": "", "y": null},
            {"type": "text", "text": "t"},
            {"type": "input_image", "image_url": "https://a.example/b.png", "detail": "high"},
            {"type": "input_image", "image_url": "data:image/png;base64,AA==", "file_id": null},
            {"type": "input_image", "file_id": "file_1", "detail": null},
            {"type": "input_image", "file_id": "file_1", "image_url": "u"},
            {"type": "input_image"},
            {"type": "input_file", "file_data": "data:application/pdf;base64,AA==",
                "filename": "a.pdf"},
            {"type": "input_file", "file_data": "AA==", "filename": "a.pdf"},
            {"type": "input_file", "file_url": "https://a.example/b.pdf", "detail": "low"},
            {"type": "input_file", "file_id": "file_1"},
            {"type": "input_file", "filename": "a.pdf"},
            {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
            {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav", "x": 1}},
            {"type": "input_audio", "input_audio": null},
            {"type": "computer_screenshot", "image_url": "u"},
            {"no": "type"},
            "odd",
        ]}),
        json!({"type": "message", "role": "system", "content": "s"}),
        json!({"role": "developer", "content": [{"type": "input_text", "text": "d"}]}),
        json!({"type": "message", "role": "developer", "id": "msg_d", "content": "d", "z": 1}),
        json!({"type": "message", "role": "critic", "content": "c"}),
        json!({"role": "assistant", "content": "a"}),
        json!({"type": "message", "role": "assistant", "content": [
            {"type": "output_text", "text": "a"}]}),
        json!({"type": "message", "role": "assistant", "id": "msg_2", "status": "incomplete",
            "phase": "commentary", "content": [
            {"type": "output_text", "text": "a", "annotations": [], "logprobs": []},
            {"type": "output_text", "text": "b", "annotations": [{"type": "url_citation"}]},
            {"type": "refusal", "refusal": "no"},
            {"type": "reasoning_text", "text": "r"}]}),
        json!({"type": "message", "role": "assistant", "content": []}),
        json!({"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"}),
        json!({"type": "function_call", "call_id": "call_2", "name": "f", "arguments": "{\"a",
            "id": "fc_1", "status": "completed", "namespace": "ns", "x": [1]}),
        json!({"type": "function_call", "call_id": "", "name": "", "arguments": ""}),
        json!({"type": "function_call", "call_id": "call_3", "name": "f", "arguments": {"a": 1}}),
        json!({"type": "function_call", "call_id": "call_4", "name": "f"}),
        json!({"type": "function_call", "call_id": null, "name": "f", "arguments": "{}"}),
        json!({"type": "function_call_output", "call_id": "call_1", "output": "ok"}),
        json!({"type": "function_call_output", "call_id": "call_2", "id": "fco_1",
            "status": "completed", "output": [{"type": "input_text", "text": "a"},
            {"type": "input_image", "file_id": "f", "detail": "auto"}], "x": 1}),
        json!({"type": "function_call_output", "call_id": "call_3", "output": []}),
        json!({"type": "function_call_output", "call_id": "call_3", "output": null}),
        json!({"type": "function_call_output", "call_id": "call_3"}),
        json!({"type": "function_call_output", "output": "whose?"}),
        json!({"type": "custom_tool_call", "call_id": "call_5", "name": "p", "input": "*** a"}),
        json!({"type": "custom_tool_call", "call_id": "call_6", "name": "p", "input": "",
            "id": "ctc_1", "namespace": null}),
        json!({"type": "custom_tool_call_output", "call_id": "call_5", "output": "done"}),
        json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}),
        json!({"type": "reasoning", "summary": [], "content": null, "encrypted_content": "gAAA"}),
        json!({"type": "reasoning", "id": "rs_2", "summary": [
            {"type": "summary_text", "text": "a"}], "encrypted_content": null, "status": null}),
        json!({"type": "reasoning", "summary": [{"type": "summary_text", "text": "a"},
            {"type": "summary_text", "text": "b", "x": 1}], "encrypted_content": ""}),
        json!({"type": "reasoning", "summary": [{"type": "new"}, "odd",
            {"type": "summary_text", "text": ""}], "y": 1}),
        json!({"type": "reasoning", "id": "rs_3", "summary": [],
            "content": [{"type": "reasoning_text", "text": "t"}]}),
        json!({"type": "reasoning", "id": "rs_4"}),
        json!({"type": "item_reference", "id": "msg_9"}),
        json!({"type": null, "id": "msg_9"}),
        json!({"id": "msg_9"}),
        json!({"type": "additional_tools", "role": "developer", "tools": [
            {"type": "function", "name": "late", "parameters": {}},
            {"type": "namespace", "name": "ns", "tools": [{"type": "custom", "name": "g"}]},
            {"type": "web_search"}]}),
        json!({"type": "additional_tools"}),
        json!({"type": "tool_search_call", "call_id": null, "arguments": {}}),
        json!({"type": "tool_search_output", "call_id": null, "tools": []}),
        json!({"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {}}),
        json!({"type": "file_search_call", "id": "fs_1", "queries": [], "results": null}),
        json!({"type": "computer_call", "call_id": "c", "action": {"type": "click"}}),
        json!({"type": "computer_call_output", "call_id": "c", "output": {"type": "x"}}),
        json!({"type": "code_interpreter_call", "id": "ci_1", "code": "1", "outputs": []}),
        json!({"type": "image_generation_call", "id": "ig_1", "result": "AA=="}),
        json!({"type": "local_shell_call", "call_id": "l", "action": {"command": ["ls"]}}),
        json!({"type": "local_shell_call_output", "id": "l", "output": "a"}),
        json!({"type": "shell_call", "call_id": "s", "action": {}}),
        json!({"type": "shell_call_output", "call_id": "s", "output": []}),
        json!({"type": "apply_patch_call", "call_id": "p", "operation": {}}),
        json!({"type": "apply_patch_call_output", "call_id": "p", "status": "completed"}),
        json!({"type": "mcp_list_tools", "id": "mcpl_1", "server_label": "s", "tools": []}),
        json!({"type": "mcp_call", "id": "mcp_1", "server_label": "s", "name": "n"}),
        json!({"type": "mcp_approval_request", "id": "mcpr_1", "name": "n"}),
        json!({"type": "mcp_approval_response", "approval_request_id": "a", "approve": true}),
        json!({"type": "compaction", "id": "cmp_1", "encrypted_content": "gAAA"}),
        json!({"type": "an_item_of_tomorrow", "x": {"y": []}}),
        json!({"no": "type"}),
        json!("odd"),
        json!(null),
    ]
}

/// A tool of every kind.
pub(super) fn tools() -> Vec<Value> {
    vec![
        json!({"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": true}),
        json!({"type": "function", "name": "g", "description": "d", "parameters": null,
            "strict": null, "defer_loading": true}),
        json!({"type": "function", "name": "h", "description": null, "strict": false}),
        json!({"type": "function", "function": {"name": "i", "parameters": {}}, "x": 1}),
        json!({"type": "function"}),
        json!({"type": "custom", "name": "j", "description": "d"}),
        json!({"type": "custom", "name": "k", "format": {"type": "grammar", "syntax": "lark",
            "definition": "start: \"a\""}}),
        json!({"type": "namespace", "name": "ns", "description": "d", "tools": [
            {"type": "function", "name": "l", "parameters": {}, "strict": false},
            {"type": "custom", "name": "m"}]}),
        json!({"type": "namespace", "name": "empty", "tools": []}),
        json!({"type": "namespace"}),
        json!({"type": "web_search", "search_context_size": "low"}),
        json!({"type": "web_search_preview"}),
        json!({"type": "file_search", "vector_store_ids": ["v"]}),
        json!({"type": "code_interpreter", "container": {"type": "auto"}}),
        json!({"type": "image_generation"}),
        json!({"type": "computer_use_preview", "display_width": 1}),
        json!({"type": "local_shell"}),
        json!({"type": "shell"}),
        json!({"type": "apply_patch"}),
        json!({"type": "tool_search"}),
        json!({"type": "mcp", "server_label": "s", "server_url": "u", "require_approval": "never"}),
        json!({"type": "a_tool_of_tomorrow"}),
        json!({"no": "type"}),
        json!("odd"),
    ]
}

#[test]
fn every_item_comes_back() {
    for row in items() {
        let request = item(&row);
        assert_eq!(back(&request.to_string()), Some(request));
    }
    let all = with("input", &Value::Array(items()));
    assert_eq!(back(&all.to_string()), Some(all));
}

#[test]
fn every_tool_comes_back() {
    for row in tools() {
        let request = with("tools", &json!([row]));
        assert_eq!(back(&request.to_string()), Some(request));
    }
    let mut all = with("tools", &Value::Array(tools()));
    for choice in [
        json!({"type": "custom", "name": "j"}),
        json!({"type": "custom", "custom": {"name": "j"}}),
        json!({"type": "function", "name": "j"}),
    ] {
        all["tool_choice"] = choice;
        assert_eq!(back(&all.to_string()), Some(all.clone()));
    }
}

#[test]
fn wrong_kinds_are_named() {
    for (text, pointer) in [
        (r#"[]"#, ""),
        (r#"{"model":1}"#, "/model"),
        (r#"{"input":{}}"#, "/input"),
        (r#"{"input":[{"role":"user","content":1}]}"#, "/input/0/content"),
        (
            r#"{"input":[{"role":"user","content":[{"type":"input_text","text":1}]}]}"#,
            "/input/0/content/0/text",
        ),
        (r#"{"input":[{"type":"function_call","call_id":1,"name":"f"}]}"#, "/input/0/call_id"),
        (
            r#"{"input":[{"type":"function_call_output","call_id":"c","output":{}}]}"#,
            "/input/0/output",
        ),
        (r#"{"input":[{"type":"reasoning","summary":"s"}]}"#, "/input/0/summary"),
        (
            r#"{"input":[{"type":"additional_tools","tools":[{"type":"function","name":1}]}]}"#,
            "/input/0/tools/0/name",
        ),
        (r#"{"tools":[{"type":"function","name":"f","strict":1}]}"#, "/tools/0/strict"),
        (r#"{"tools":{}}"#, "/tools"),
        (r#"{"instructions":1}"#, "/instructions"),
        (r#"{"text":"x"}"#, "/text"),
        (r#"{"reasoning":"high"}"#, "/reasoning"),
        (r#"{"include":"x"}"#, "/include"),
        (r#"{"stream":"yes"}"#, "/stream"),
    ] {
        assert_eq!(read(text).unwrap_err().pointer(), pointer, "{text}");
    }
}

#[test]
fn what_an_answer_repeats() {
    let text = json!({"model": "m", "input": [
            {"role": "user", "content": "Hi"},
            {"type": "additional_tools", "tools": [{"type": "namespace", "name": "ns"}]}],
        "instructions": "i", "tools": [{"type": "web_search"}], "tool_choice": "auto",
        "parallel_tool_calls": true, "temperature": 0.5, "top_p": 1, "max_output_tokens": 20,
        "max_tool_calls": 2, "previous_response_id": null, "reasoning": {"effort": "low"},
        "text": {"format": {"type": "text"}}, "truncation": "auto", "metadata": {}, "store": false,
        "user": "u", "safety_identifier": "s", "prompt_cache_key": "k", "service_tier": "auto",
        "background": false, "top_logprobs": 0, "include": [], "stream": true, "stop": "x"});
    let mut expected = text.clone();
    let group = text["input"][1].clone();
    for name in ["model", "input", "include", "stream", "stop"] {
        expected.as_object_mut().unwrap().remove(name);
    }
    expected["additional_tools"] = json!([group]);
    let echoed = |text: &str| echo(&read(text).unwrap(), text);
    assert_eq!(parse(echoed(&text.to_string()).as_bytes()), expected);
    assert_eq!(echoed("{}"), "{}");
    assert_eq!(echoed(r#"{"model":"m","input":"Hi"}"#), "{}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_conversation_comes_back(
        chosen in proptest::collection::vec(any::<prop::sample::Index>(), 0..24),
        offered in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let (items, tools) = (items(), tools());
        let pick = |from: &[Value], by: &[prop::sample::Index]| -> Vec<Value> {
            by.iter().map(|index| index.get(from).clone()).collect()
        };
        let request = json!({"model": "m", "instructions": "i", "input": pick(&items, &chosen),
            "tools": pick(&tools, &offered)});
        prop_assert_eq!(back(&request.to_string()), Some(request));
    }

    #[test]
    fn broken_requests_are_refused_or_come_back(cut in any::<prop::sample::Index>(), byte in 0..128u8) {
        let mut text = json!({"model": "m", "input": items(), "tools": tools()}).to_string();
        let boundaries: Vec<_> = text.char_indices().map(|(at, c)| (at, c.len_utf8())).collect();
        let (at, length) = *cut.get(&boundaries);
        text.replace_range(at..at + length, char::from(byte).encode_utf8(&mut [0; 4]));
        if let Some(body) = back(&text) {
            prop_assert_eq!(body, parse(text.as_bytes()));
        }
    }
}
