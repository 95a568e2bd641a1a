//! What was read from DashScope is written back, whatever it holds.

use bytes::BytesMut;
use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};

use crate::protocol::dashscope::{request, response};
use crate::protocol::model::{
    Content, MediaKind, MediaSource, Place, ReasoningMode, Role, SealKind, StopReason, ToolChoice,
    Vendor,
};
use crate::protocol::report::Reporter;
use crate::protocol::{Answer, Head, Layout, Target};
use crate::test_helpers::corpus::parse;

fn request_back(text: &str) -> Value {
    let request = request::read(text).unwrap_or_else(|e| panic!("{e}: {text}"));
    let mut report = Reporter::new(text);
    let mut out = BytesMut::new();
    request::write(&request, &Target::default(), &mut report, &mut out);
    assert!(report.finish().is_empty(), "{text}");
    parse(&out)
}

fn response_back(text: &str) -> Value {
    let response = response::read(text).unwrap_or_else(|e| panic!("{e}: {text}"));
    let mut report = Reporter::new(text);
    let mut out = BytesMut::new();
    response::write(&response, &mut Answer::new("m", 0, 0), &mut report, &mut out);
    assert!(report.finish().is_empty(), "{text}");
    parse(&out)
}

fn message(message: &Value) -> Value {
    json!({"model": "m", "input": {"messages": [message]}})
}

fn parameter(name: &str, value: &Value) -> Value {
    json!({"model": "m", "input": {"prompt": "p"}, "parameters": {name: value}})
}

#[test]
fn inputs() {
    let rows = [
        json!({}),
        json!({"model": "m"}),
        json!({"model": null, "input": null, "parameters": null}),
        json!({"input": {}, "parameters": {}}),
        json!({"input": {"messages": []}}),
        json!({"input": {"messages": null, "prompt": null, "history": null}}),
        json!({"input": {"prompt": ""}}),
        json!({"input": {"prompt": "p", "messages": []}}),
        json!({"input": {"prompt": "p", "messages": [{"role": "user", "content": "u"}]}}),
        json!({"input": {"prompt": "p", "history": []}}),
        json!({"input": {"prompt": "p", "history": [
            {"user": "a", "bot": "b"}, {"user": "c", "bot": "", "x": [1]}, {"user": "d"}]}}),
        json!({"input": {"history": [{"user": "a", "bot": "b"}], "messages": [
            {"role": "system", "content": "s"}, {"role": "user", "content": "u"},
            {"role": "system", "content": "t"}]}}),
        json!({"input": {"text": "t", "voice": "v"}, "task": "x", "resources": [1]}),
        json!({"input": {"messages": [
            {"role": "system", "content": [{"text": "s", "cache_control": {"type": "ephemeral"}}]},
            {"role": "user", "content": "a"},
            {"role": "system", "content": "b", "name": "n"},
            {"role": "assistant", "content": "c", "partial": true}]}}),
    ];
    for row in rows {
        assert_eq!(request_back(&row.to_string()), row);
    }
}

#[test]
fn messages() {
    let call = json!({"index": 0, "id": "c", "type": "function",
        "function": {"name": "f", "arguments": "{}"}});
    let calls = |call: &Value| json!({"role": "assistant", "content": "", "tool_calls": [call]});
    let with = |name: &str, value: Value| {
        let mut call = call.clone();
        call[name] = value;
        calls(&call)
    };
    let rows = [
        json!({"role": "user", "content": ""}),
        json!({"role": "user", "content": []}),
        json!({"role": "user", "content": null, "name": null}),
        json!({"role": "user"}),
        json!({"role": "user", "content": "a\"\\\n\u{7f}é😀", "name": "n", "x": 1, "partial": 1}),
        json!({"role": "user", "content": [{"text": ""}, {"text": "b", "cache_control": null}]}),
        json!({"role": "user", "content": [{"type": "text", "text": "a",
            "cache_control": {"type": "ephemeral"}}]}),
        json!({"role": "user", "content": [{"type": "image", "image": "u", "min_pixels": 1}]}),
        json!({"role": "user", "content": [{"image": "data:image/png;base64,AA=="},
            {"audio": "data:;base64,AA=="}, {"video": "https://v"}, {"video": ["a", "b"]},
            {"video": []}, {"image": "oss://x", "max_pixels": 3}]}),
        json!({"role": "user", "content": [{"type": "doc_url", "doc_url": ["u"]}, "odd", 7,
            {"text": 1}, {"text": "a", "image": "b"}, {"video": [1]}, {"type": "image", "text": "x"},
            {"image": {"url": "u"}}, {}]}),
        json!({"role": "assistant", "content": "", "reasoning_content": ""}),
        json!({"role": "assistant", "content": null, "reasoning_content": null}),
        json!({"role": "assistant", "content": "a", "reasoning_content": "r",
            "reasoning_signature": "s", "partial": false}),
        json!({"role": "assistant", "content": [{"text": "a"}, {"image": "u"}]}),
        json!({"role": "assistant", "content": "", "tool_calls": []}),
        json!({"role": "assistant", "content": "", "tool_calls": null}),
        json!({"role": "assistant", "tool_calls": [call.clone()]}),
        calls(&call),
        with("index", json!(3)),
        with("index", json!("odd")),
        with("id", json!(null)),
        with("type", json!("other")),
        with("x", json!(1)),
        with("function", json!({"name": "f"})),
        with("function", json!({"name": "f", "arguments": {"a": 1}})),
        with("function", json!({"name": "f", "arguments": "{}", "x": 1})),
        with("function", json!("odd")),
        json!({"role": "assistant", "content": "", "tool_calls": [{"id": "c", "type": "function",
            "function": {"name": "f", "arguments": ""}}]}),
        json!({"role": "tool", "content": "r", "tool_call_id": "c"}),
        json!({"role": "tool", "content": [{"text": "r"}], "tool_call_id": "c", "name": "f", "x": 1}),
        json!({"role": "tool", "content": "r", "id": "c", "extra": {"function_id": "c"}}),
        json!({"role": "tool", "content": "r"}),
        json!({"role": "tool", "content": "r", "tool_call_id": null}),
    ];
    for row in rows {
        let request = message(&row);
        assert_eq!(request_back(&request.to_string()), request);
    }
}

#[test]
fn parameters() {
    let function = |inner: Value| json!([{"type": "function", "function": inner}]);
    let rows = [
        ("result_format", json!("message")),
        ("result_format", json!("text")),
        ("result_format", json!("new")),
        ("incremental_output", json!(true)),
        ("incremental_output", json!(false)),
        ("incremental_output", json!(null)),
        ("max_tokens", json!(5)),
        ("max_completion_tokens", json!(5)),
        ("temperature", json!(1.0)),
        ("top_p", json!(null)),
        ("top_k", json!(5)),
        ("seed", json!(18_446_744_073_709_551_615_u64)),
        ("presence_penalty", json!(0.5)),
        ("frequency_penalty", json!(0.5)),
        ("repetition_penalty", json!(1.05)),
        ("n", json!(2)),
        ("logit_bias", json!({"9909": -100})),
        ("stop", json!("a")),
        ("stop", json!([])),
        ("stop", json!(["a", "\n"])),
        ("stop", json!([37763, 367])),
        ("stop", json!([[37763, 367], [1]])),
        ("stop", json!(["a", 1])),
        ("tools", json!([])),
        ("tools", json!(null)),
        ("tools", function(json!({"name": "f"}))),
        (
            "tools",
            function(json!({"name": "f", "description": null, "parameters": null, "strict": true,
            "x": 1})),
        ),
        (
            "tools",
            function(json!({"name": "f", "parameters": [{"name": "city", "required": true}]})),
        ),
        (
            "tools",
            json!([{"type": "code_interpreter"}, {"type": "function", "function": {"name": "f"},
            "x": 1}]),
        ),
        ("tool_choice", json!("auto")),
        ("tool_choice", json!("none")),
        ("tool_choice", json!("required")),
        ("tool_choice", json!("odd")),
        ("tool_choice", json!({"type": "function", "function": {"name": "f"}})),
        ("tool_choice", json!({"type": "function", "function": {"name": "f", "x": 1}})),
        ("tool_choice", json!({"type": "odd"})),
        ("parallel_tool_calls", json!(true)),
        ("response_format", json!({"type": "text"})),
        ("response_format", json!({"type": "json_object"})),
        ("response_format", json!({"type": "json_object", "x": 1})),
        (
            "response_format",
            json!({"type": "json_schema", "json_schema": {"name": "n",
            "description": "d", "schema": {"type": "object"}, "strict": true, "x": 1}}),
        ),
        ("response_format", json!({"type": "odd"})),
        ("enable_thinking", json!(true)),
        ("enable_thinking", json!(false)),
        ("thinking_budget", json!(100)),
        ("reasoning_effort", json!("xhigh")),
        ("reasoning_effort", json!("odd")),
        ("logprobs", json!(true)),
        ("top_logprobs", json!(2)),
        ("enable_search", json!(true)),
        ("search_options", json!({"forced_search": true})),
        ("translation_options", json!({"source_lang": "Chinese"})),
        ("stream", json!(true)),
    ];
    for (name, value) in rows {
        let request = parameter(name, &value);
        assert_eq!(request_back(&request.to_string()), request);
    }
    let both = json!({"parameters": {"max_tokens": 1, "max_completion_tokens": 2}});
    assert_eq!(request_back(&both.to_string()), both);
}

#[test]
fn what_is_understood() {
    let text = r#"{"model":"m","input":{"messages":[
        {"role":"system","content":"s"},
        {"role":"user","content":[{"image":"data:image/png;base64,AA"},{"video":["a"]},{"text":"u"}]},
        {"role":"assistant","content":"","reasoning_content":"r","reasoning_signature":"g",
         "tool_calls":[{"id":"c","type":"function","index":0,"function":{"name":"f","arguments":"{}"}}]},
        {"role":"tool","content":"one","tool_call_id":"c"},
        {"role":"tool","content":"two","id":"d"}],
        "history":[{"user":"q","bot":"a"}]},
        "parameters":{"enable_thinking":false,"thinking_budget":7,"tool_choice":{"type":"function",
        "function":{"name":"f"}},"max_tokens":9,"top_k":3}}"#;
    let request = request::read(text).unwrap();
    assert_eq!(request.instructions[0].place, Place::Before(2));
    let roles: Vec<_> = request.turns.iter().map(|turn| turn.role).collect();
    use Role::{Assistant, User};
    assert_eq!(roles, [User, Assistant, User, Assistant, User]);
    let [image, video, words] = &request.turns[2].parts[..] else { panic!() };
    assert!(matches!(&image.content, Content::Media(media) if media.kind == MediaKind::Image
        && matches!(&media.source, MediaSource::Base64 { media_type, .. } if media_type == "image/png")));
    assert!(matches!(&video.content, Content::Media(media) if media.kind == MediaKind::Video
        && matches!(&media.source, MediaSource::Parts { parts, .. } if parts.len() == 1)));
    assert!(matches!(&words.content, Content::Text { text, .. } if text == "u"));
    let [thinking, call] = &request.turns[3].parts[..] else { panic!() };
    let Content::Reasoning { text: Some(text), seal: Some(seal), .. } = &thinking.content else {
        panic!()
    };
    assert_eq!(*text, "r");
    assert_eq!((seal.vendor, seal.kind), (Vendor::DashScope, SealKind::Signature));
    assert!(matches!(&call.content, Content::ToolCall(call) if call.name == "f"));
    let ids: Vec<_> = request.turns[4]
        .parts
        .iter()
        .map(|part| match &part.content {
            Content::ToolResult(result) => result.call_id.decode().into_owned(),
            _ => panic!(),
        })
        .collect();
    assert_eq!(ids, ["c", "d"]);
    assert_eq!(request.reasoning.mode, Some(ReasoningMode::Off));
    assert_eq!(request.reasoning.budget.as_ref().unwrap().as_str(), "7");
    assert!(matches!(&request.tool_choice, Some(ToolChoice::Tool(name)) if name == "f"));
    assert_eq!(request.max_output_tokens.as_ref().unwrap().as_str(), "9");
    assert_eq!(request.stream, None);
}

#[test]
fn bad_requests_are_named() {
    let rows = [
        (r#"{"model":7}"#, "/model"),
        (r#"{"input":[]}"#, "/input"),
        (r#"{"input":{"messages":{}}}"#, "/input/messages"),
        (r#"{"input":{"messages":[{"role":"bot","content":"x"}]}}"#, "/input/messages/0"),
        (r#"{"input":{"messages":[{"role":"user","content":7}]}}"#, "/input/messages/0/content"),
        (
            r#"{"input":{"messages":[{"role":"user","content":"a","reasoning_content":"b"}]}}"#,
            "/input/messages/0",
        ),
        (r#"{"input":{"prompt":7}}"#, "/input/prompt"),
        (r#"{"input":{"history":[{"user":7}]}}"#, "/input/history/0/user"),
        (r#"{"parameters":{"top_p":"x"}}"#, "/parameters/top_p"),
        (r#"{"parameters":{"stop":[true]}}"#, "/parameters/stop/0"),
        (r#"{"parameters":{"enable_thinking":1}}"#, "/parameters/enable_thinking"),
        ("[]", ""),
    ];
    for (text, pointer) in rows {
        assert_eq!(request::read(text).unwrap_err().pointer(), pointer, "{text}");
    }
}

#[test]
fn layouts_and_heads() {
    let layout = |text_only, snapshots, content_list| Layout {
        text_only,
        snapshots,
        content_list,
        ..Layout::default()
    };
    let with = |input: &str, parameters: &str| {
        format!(r#"{{"input":{{{input}}},"parameters":{{{parameters}}}}}"#)
    };
    let prompt = r#""prompt":"p""#;
    let messages = r#""messages":[{"role":"user","content":"u"}]"#;
    let image = r#""messages":[{"role":"user","content":[{"image":"u"}]}]"#;
    let text = "text-generation";
    let multimodal = "multimodal-generation";
    let rows = [
        (prompt, "", text, layout(true, true, false)),
        (prompt, r#""result_format":"message""#, text, layout(false, true, false)),
        (messages, "", text, layout(false, true, false)),
        (messages, r#""result_format":"text""#, text, layout(true, true, false)),
        (messages, r#""incremental_output":true"#, text, layout(false, false, false)),
        (messages, r#""incremental_output":false"#, multimodal, layout(false, true, true)),
        (image, "", "", layout(false, true, true)),
        (image, "", text, layout(false, true, false)),
    ];
    for (input, parameters, path, expected) in rows {
        let body = with(input, parameters);
        let mut request = request::read(&body).unwrap();
        let path = format!("/api/v1/services/aigc/{path}/generation");
        let headers = HeaderMap::new();
        request::read_head(&mut request, &Head { path: &path, query: None, headers: &headers });
        assert_eq!(request.layout, expected, "{body} {path}");
        assert_eq!(request.stream, Some(false));
    }
    for (name, value, streams) in [
        ("x-dashscope-sse", "enable", true),
        ("x-dashscope-sse", "disable", false),
        ("accept", "text/event-stream", true),
        ("accept", "application/json", false),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_static(value));
        let mut request = request::read("{}").unwrap();
        request::read_head(&mut request, &Head { path: "/", query: None, headers: &headers });
        assert_eq!(request.stream, Some(streams), "{name}: {value}");
        let endpoint = request::endpoint(&request, &Target::default());
        assert_eq!(endpoint.headers.iter().any(|(name, _)| name == "x-dashscope-sse"), streams);
    }
}

#[test]
fn answers() {
    let choice = |message: Value| {
        json!({"output": {"choices": [{"finish_reason": "stop", "message": message}]},
            "usage": {"input_tokens": 1, "output_tokens": 2, "x": null}, "request_id": "r"})
    };
    let rows = [
        choice(json!({"role": "assistant", "content": "a"})),
        choice(json!({"role": "assistant", "content": ""})),
        choice(json!({"role": "assistant", "content": null})),
        choice(json!({"role": "assistant", "content": []})),
        choice(json!({"role": "assistant", "content": [{"text": "a"}, {"box": 1}]})),
        choice(
            json!({"content": "a", "reasoning_content": "r", "reasoning_signature": "s", "x": 1}),
        ),
        choice(json!({"role": "assistant", "content": "", "reasoning_content": "", "tool_calls": [
            {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}},
            {"index": 1, "id": "d", "type": "function", "function": {"name": "g", "arguments": ""}}]})),
        json!({"output": {"choices": [{"finish_reason": "null", "index": 0, "message": null,
            "logprobs": {"content": []}, "x": 1}, {"finish_reason": null, "index": 7}]}}),
        json!({"output": {"text": "a", "finish_reason": "stop"}, "request_id": "r"}),
        json!({"output": {"text": "", "finish_reason": "null"}}),
        json!({"output": {"text": null, "finish_reason": null, "choices": [{"finish_reason": "stop",
            "message": {"role": "assistant", "content": "a"}}]}, "code": "", "message": "",
            "status_code": 200}),
        json!({"output": {"choices": [{"finish_reason": "stop", "message": {"role": "assistant",
            "content": "a"}}], "search_info": {"search_results": [{"index": 1, "url": "u"}], "x": 1}}}),
        json!({"output": {"text": "a", "finish_reason": "stop", "search_info": {"search_results": []}}}),
        json!({"output": {"choices": [], "search_info": {"search_results": [1]}}}),
        json!({"output": {"text": "a", "choices": null, "finish_reason": "length", "x": 1}}),
        json!({"output": {"token_ids": [1], "tokens": ["a"]}, "usage": null}),
    ];
    for row in rows {
        assert_eq!(response_back(&row.to_string()), row);
    }
}

#[test]
fn what_is_understood_of_an_answer() {
    let text = r#"{"output":{"model_name":"qwen-mt","choices":[{"finish_reason":"stop","message":
        {"role":"assistant","content":[{"text":"a"},{"text":"b"}],"reasoning_content":"r",
        "tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]}}]},
        "usage":{"input_tokens":9,"output_tokens":5,"prompt_tokens_details":{"cached_tokens":4},
        "output_tokens_details":{"reasoning_tokens":2}},"request_id":"r"}"#;
    let response = response::read(text).unwrap();
    assert_eq!((&*response.id.decode(), &*response.model.decode()), ("r", "qwen-mt"));
    let candidate = &response.candidates[0];
    assert_eq!(candidate.parts.len(), 4);
    let found = r#"{"output":{"text":"a","search_info":{"search_results":[{"url":"u"}]}}}"#;
    let found = response::read(found).unwrap();
    assert!(matches!(&found.candidates[0].parts[0].content,
        Content::Text { citations: Some(list), .. } if list.as_str() == r#"[{"url":"u"}]"#));
    assert!(found.rest.0.is_empty(), "nothing is lost with them");
    // Some models end a call with `stop`.
    assert_eq!(candidate.stop.as_ref().unwrap().reason, StopReason::ToolUse);
    let usage = response.usage.unwrap();
    assert_eq!((usage.input, usage.cache_read, usage.output, usage.reasoning), (5, 4, 3, 2));
}
