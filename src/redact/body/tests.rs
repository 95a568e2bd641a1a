use serde_json::json;

use super::*;

fn shown(body: &Value) -> Value {
    let mut body = body.clone();
    compact::compact(&mut body);
    body
}

fn of(bytes: &[u8]) -> String {
    body(bytes, None, &Limits::default())
}

fn long(count: usize) -> String {
    "ä".repeat(count)
}

fn cut_at(count: usize) -> String {
    long(count) + "..."
}

#[test]
fn strings_are_cut_on_characters() {
    for (string, expected) in [
        (long(500), long(500)),
        (long(501), cut_at(500)),
        ("a\"b\n".repeat(200), "a\"b\n".repeat(125) + "..."),
    ] {
        assert_eq!(shown(&json!({"x": string}))["x"], expected);
        assert_eq!(
            shown(&json!({"messages": [{"content": string}]}))["messages"][0]["content"],
            expected
        );
    }
}

#[test]
fn tools_are_their_names() {
    for (tools, names) in [
        (
            json!([{"name": "read", "input_schema": {}}, {"name": "write"}]),
            json!(["read", "write"]),
        ),
        (
            json!([{"type": "function", "function": {"name": "read", "parameters": {}}}]),
            json!(["read"]),
        ),
        (json!([{"type": "function", "name": "read", "parameters": {}}]), json!(["read"])),
        (
            json!([{"functionDeclarations": [{"name": "a"}, {"name": "b"}]}, {"googleSearch": {}}]),
            json!(["a", "b", "googleSearch"]),
        ),
        (json!([{"function_declarations": [{"name": "a"}]}]), json!(["a"])),
        (json!([{"type": "web_search"}]), json!(["web_search"])),
        (json!([]), json!([])),
        (json!(["a", 1]), json!(["a", 1])),
        (json!("none"), json!("none")),
    ] {
        assert_eq!(shown(&json!({"tools": tools}))["tools"], names);
    }
}

#[test]
fn contents_are_compact() {
    let (text, cut) = (long(300), cut_at(200));
    for (item, expected) in [
        (json!({"type": "text", "text": text}), json!({"type": "text", "text": cut})),
        (json!({"type": "input_text", "text": text}), json!({"type": "input_text", "text": cut})),
        (json!({"type": "output_text", "text": text}), json!({"type": "output_text", "text": cut})),
        (
            json!({"type": "tool_result", "tool_use_id": "t", "content": text}),
            json!({"type": "tool_result", "tool_use_id": "t", "content": cut}),
        ),
        (
            json!({"type": "tool_result", "content": [{"type": "text", "text": text}]}),
            json!({"type": "tool_result", "content": [{"type": "text", "text": cut}]}),
        ),
        (
            json!({"type": "tool_use", "id": "t", "name": "n", "input": {"a": text, "b": [1, text]}}),
            json!({"type": "tool_use", "id": "t", "name": "n", "input": {"a": cut, "b": [1, cut]}}),
        ),
        (
            json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": text}}),
            json!({"type": "image", "source": {"type": "base64"}}),
        ),
        (
            json!({"type": "image_url", "image_url": {"url": "https://h/?key=k"}}),
            json!({"type": "image_url"}),
        ),
        (
            json!({"type": "reasoning", "summary": [{"type": "summary_text", "text": text}], "encrypted_content": text}),
            json!({"type": "reasoning", "summary": [{"type": "summary_text", "text": cut}], "encrypted_content": cut_at(100)}),
        ),
        (
            json!({"type": "thinking", "thinking": text, "signature": text}),
            json!({"type": "thinking", "thinking": cut, "signature": cut_at(100)}),
        ),
        (
            json!({"type": "function_call", "name": "n", "arguments": text}),
            json!({"type": "function_call", "name": "n", "arguments": cut}),
        ),
        (
            json!({"type": "function_call_output", "output": text}),
            json!({"type": "function_call_output", "output": cut}),
        ),
        (
            json!({"parts": [{"text": text}, {"inlineData": {"mimeType": "image/png", "data": text}}]}),
            json!({"parts": [{"text": cut}, {"inlineData": {"mimeType": "image/png", "data": "..."}}]}),
        ),
        (
            json!({"url": format!("data:image/png;base64,{text}")}),
            json!({"url": "data:image/png;base64,..."}),
        ),
        (
            json!({"url": "data: sk-1234567890abcdef;base64,AAAA"}),
            json!({"url": "data: sk-12345***bcdef;base64,..."}),
        ),
    ] {
        assert_eq!(shown(&item), expected);
    }
}

#[test]
fn members_of_secret_names_are_hidden() {
    for (given, expected) in [
        (
            json!({"api_key": "k", "apiKey": "k", "authorization": "Bearer x"}),
            json!({"api_key": "***", "apiKey": "***", "authorization": "***"}),
        ),
        (
            json!({"password": 1, "token": "t", "client_secret": "s", "secret": ""}),
            json!({"password": "***", "token": "***", "client_secret": "***", "secret": ""}),
        ),
        (
            json!({"apiKeys": ["a", {"b": "c"}], "credentials": {"user": "u", "n": null}}),
            json!({"apiKeys": ["***", {"b": "***"}], "credentials": {"user": "***", "n": null}}),
        ),
        (json!({"api_key": "sk-1234567890abcdef"}), json!({"api_key": "sk-12345***bcdef"})),
        (
            json!({"max_tokens": 5, "key": "name", "code": "invalid_api_key"}),
            json!({"max_tokens": 5, "key": "name", "code": "invalid_api_key"}),
        ),
        (
            json!({"mcp_servers": [{"url": "https://u:p@h", "authorization_token": "x1", "authorization": "y"}]}),
            json!({"mcp_servers": [{"url": "https://***@h", "authorization_token": "***", "authorization": "***"}]}),
        ),
        (
            json!({"input": "{\"password\": \"hunter2\"}"}),
            json!({"input": "{\"password\": \"***\"}"}),
        ),
    ] {
        assert_eq!(shown(&given), expected);
    }
}

#[test]
fn names_that_are_keys_are_masked() {
    for (given, expected) in [
        (
            json!({"keys": {"sk-1234567890abcdef": {"limit": 1}, "b": 2}}),
            json!({"keys": {"sk-12345***bcdef": {"limit": 1}, "b": 2}}),
        ),
        (
            json!({"credentials": {"sk-1234567890abcdef": "u"}}),
            json!({"credentials": {"sk-12345***bcdef": "***"}}),
        ),
        (
            json!({"tools": [{"sk-1234567890abcdef": {}}, 1]}),
            json!({"tools": [{"sk-12345***bcdef": {}}, 1]}),
        ),
    ] {
        assert_eq!(shown(&given), expected);
    }
}

#[test]
fn a_secret_is_hidden_before_it_is_cut() {
    let string = format!("{} sk-{}", long(490), "a1".repeat(100));
    let shown = shown(&json!({"x": string}));
    let shown = shown["x"].as_str().unwrap();
    assert!(!shown.contains("sk-a1a1a1"), "{shown}");
}

#[test]
fn a_message_is_a_line() {
    let text = of(br#"{"messages": [{"content": "a\nb", "role": "user"}, {"content": [{"text": "c", "type": "text"}], "role": "assistant"}], "n": 1, "stop": ["x"]}"#);
    assert_eq!(
        text,
        r#"{
  "messages": [
    {"content":"a\nb","role":"user"},
    {"content":[{"text":"c","type":"text"}],"role":"assistant"}
  ],
  "n": 1,
  "stop": ["x"]
}"#
    );
    assert_eq!(of(br#"[{"a": 1}, {"b": 2}]"#), "[\n  {\"a\":1},\n  {\"b\":2}\n]");
    assert_eq!(of(b"{}"), "{}");
}

#[test]
fn what_is_no_json_is_a_text() {
    for (given, expected) in [
        (String::new(), String::new()),
        ("Bad gateway".into(), "Bad gateway".into()),
        (long(501), cut_at(500)),
        (r#"{"password": "hunter2", "#.into(), r#"{"password": "***", "#.into()),
        (r#"{"password": "hunt"#.into(), r#"{"password": "***"#.into()),
        ("\u{1b}[31mred".into(), "\u{fffd}[31mred".into()),
        ("[".repeat(200), "[".repeat(200)),
    ] {
        assert_eq!(of(given.as_bytes()), expected);
    }
    assert_eq!(of(b"a\xff"), "(2 bytes, no text)");
}

#[test]
fn a_content_type_counts_where_the_looks_do_not() {
    let json = |kind: &'static str| {
        body(b" \"x\" ", Some(&HeaderValue::from_static(kind)), &Limits::default())
    };
    assert_eq!(json("application/json; charset=utf-8"), "\"x\"");
    assert_eq!(json("application/problem+JSON"), "\"x\"");
    assert_eq!(json("text/plain"), " \"x\" ");
}

#[test]
fn input_depth_and_output_are_bounded() {
    let big = format!("{{\"a\":\"{}\"}}", "b".repeat(DEFAULT_MAX_INPUT));
    let text = of(big.as_bytes());
    assert!(text.starts_with("{\"a\":\"bbb") && text.len() < MAX_TEXT + 40, "{text}");
    let left = big.len() - 4 * MAX_TEXT - MARGIN;
    assert!(text.ends_with(&format!("... ({left} bytes more)")), "{text}");

    let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
    let expected = format!("{}\"...\"{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH));
    assert_eq!(of(deep.as_bytes()), expected);

    let many = json!((0..20_000).collect::<Vec<_>>()).to_string();
    let text = of(many.as_bytes());
    assert!(text.len() < DEFAULT_MAX_OUTPUT + 40);
    assert!(text.ends_with("bytes left out)"), "{}", &text[DEFAULT_MAX_OUTPUT..]);
}

#[test]
fn limits_cut_on_characters() {
    let limits = Limits::default().max_output(4);
    assert_eq!(body("\"äöü\"".as_bytes(), None, &limits), "\"ä... (5 bytes left out)");
    let limits = Limits::default().max_input(3);
    assert_eq!(body(b"[1, 2]", None, &limits), "[1, 2]");
}
