use http::{HeaderMap, Uri};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::protocol::Protocol;
use crate::protocol::json::JsonStr;
use crate::test_helpers::corpus::cases;

fn uri() -> Uri {
    Uri::from_static("/v1beta/models/g:generateContent")
}

fn after(body: &str, edited: Edited) -> String {
    match edited {
        Edited::Unchanged => body.to_owned(),
        Edited::Changed(bytes) => {
            assert_ne!(bytes, body, "changed means that it differs");
            String::from_utf8(bytes.to_vec()).unwrap()
        }
    }
}

fn system(protocol: Protocol, body: &str, edit: &SystemEdit) -> Result<String, EditError> {
    Outline::read(protocol, body.as_bytes())?.edit_system(edit).map(|e| after(body, e))
}

fn model(body: &str, name: &str) -> Result<String, EditError> {
    let outline = Outline::read(Protocol::OpenAiChat, body.as_bytes())?;
    outline.set_model(&mut uri(), name).map(|e| after(body, e))
}

fn stream(body: &str, on: bool) -> Result<String, EditError> {
    let outline = Outline::read(Protocol::OpenAiChat, body.as_bytes())?;
    outline.set_stream(&mut uri(), &mut HeaderMap::new(), on).map(|e| after(body, e))
}

#[test]
fn models_are_spliced() {
    for (before, expected) in [
        (r#"{"model":"a"}"#, r#"{"model":"b\"c"}"#),
        (
            r#" { "n":1.0, "model" : "a" , "x":[ ] } "#,
            r#" { "n":1.0, "model" : "b\"c" , "x":[ ] } "#,
        ),
        (r#"{"mode\u006c":"a"}"#, r#"{"mode\u006c":"b\"c"}"#),
        (r#"{"model":null}"#, r#"{"model":"b\"c"}"#),
        (r#"{ "x":{"model":1}}"#, r#"{"model":"b\"c", "x":{"model":1}}"#),
        (r#"{ }"#, r#"{"model":"b\"c" }"#),
        (r#"{"model":"b\u0022c"}"#, r#"{"model":"b\u0022c"}"#),
    ] {
        assert_eq!(model(before, "b\"c").unwrap(), expected);
    }
    assert_eq!(model(r#"{"model":"a","mod\u0065l":"b"}"#, "c"), Err(EditError::Duplicate("model")));
}

#[test]
fn what_is_no_object_is_no_request() {
    for body in ["", "[]", "1", "{", "{}x", "\"a\""] {
        assert!(matches!(model(body, "m"), Err(EditError::NotJson(_))), "{body}");
    }
    let error = Outline::read(Protocol::OpenAiChat, b"{\"a\":\"\xff\"}").unwrap_err();
    assert!(matches!(error, EditError::NotJson(error) if error.reason() == "invalid UTF-8"));
}

#[test]
fn the_model_of_gemini_is_in_the_path() {
    let mut uri = uri();
    let outline = Outline::read(Protocol::Gemini, b"{}").unwrap();
    assert_eq!(outline.set_model(&mut uri, "h"), Ok(Edited::Unchanged));
    assert_eq!(uri, "/v1beta/models/h:generateContent");
}

#[test]
fn stream_flags_are_spliced() {
    for (before, on, expected) in [
        (r#"{"stream":false}"#, true, r#"{"stream":true}"#),
        (r#"{"stream": true}"#, true, r#"{"stream": true}"#),
        (r#"{"x":1}"#, true, r#"{"stream":true,"x":1}"#),
        (r#"{"x":1}"#, false, r#"{"x":1}"#),
        (r#"{"stream":true,"stream_options":{},"x":1}"#, false, r#"{"stream":false,"x":1}"#),
        (r#"{"stream_options":{} ,"stream":true}"#, false, r#"{"stream":false}"#),
    ] {
        assert_eq!(stream(before, on).unwrap(), expected);
    }
    let outline = Outline::read(Protocol::DashScope, b"{}").unwrap();
    let mut headers = HeaderMap::new();
    for on in [true, false] {
        assert_eq!(outline.set_stream(&mut uri(), &mut headers, on), Ok(Edited::Unchanged));
        assert_eq!(outline.facts(&uri(), &headers).unwrap().stream, on);
    }
}

#[test]
fn facts() {
    let read = |protocol, body: &str| {
        let outline = Outline::read(protocol, body.as_bytes()).unwrap();
        let facts = outline.facts(&uri(), &HeaderMap::new())?;
        let text = |value: Option<JsonStr<'_>>| value.map(|v| v.decode().into_owned());
        Ok::<_, EditError>((text(facts.model), facts.stream, text(facts.user)))
    };
    let some = |text: &str| Some(text.to_owned());
    let rows = [
        (
            Protocol::Anthropic,
            r#"{"model":"m","metadata":{"user_id":"u"},"stream":true}"#,
            (some("m"), true, some("u")),
        ),
        (
            Protocol::OpenAiChat,
            r#"{"user":"v","safety_identifier":"u","stream":1,"metadata":{"user_id":"w"}}"#,
            (None, false, some("u")),
        ),
        (Protocol::OpenAiResponses, r#"{"user":"v"}"#, (None, false, some("v"))),
        (Protocol::Gemini, r#"{"model":"no","stream":true}"#, (some("g"), false, None)),
    ];
    for (protocol, body, expected) in rows {
        assert_eq!(read(protocol, body).unwrap(), expected, "{protocol}");
    }
    let twice = read(Protocol::OpenAiChat, r#"{"model":"allowed","model":"forbidden"}"#);
    assert_eq!(twice, Err(EditError::Duplicate("model")));

    let body = br#"{"prompt_cache_key":"k","previous_response_id":"r"}"#;
    let outline = Outline::read(Protocol::OpenAiResponses, body).unwrap();
    let facts = outline.facts(&uri(), &HeaderMap::new()).unwrap();
    assert_eq!(facts.cache_key.unwrap(), "k");
    assert_eq!(facts.previous_response_id.unwrap(), "r");
}

fn replace() -> SystemEdit {
    SystemEdit::Replace("N".into())
}
fn prepend() -> SystemEdit {
    SystemEdit::Prepend("N".into())
}
fn append() -> SystemEdit {
    SystemEdit::Append("N".into())
}
fn absent() -> SystemEdit {
    SystemEdit::InsertIfAbsent { keyword: "key".into(), text: "N".into() }
}

type Row = (Protocol, &'static str, SystemEdit, &'static str);

fn check(rows: &[Row]) {
    for (protocol, body, edit, expected) in rows {
        assert_eq!(system(*protocol, body, edit).as_deref(), Ok(*expected), "{edit:?} {body}");
    }
}

#[test]
fn system_prompts_of_messages() {
    use Protocol::Anthropic as A;
    let text = r#"{ "system": "a", "x":1}"#;
    let blocks = r#"{"system":[ {"type":"text","text":"a","cache_control":{"ttl":"1h"}}, {"type":"text","text":"b"} ]}"#;
    check(&[
        (A, text, replace(), r#"{ "system": "N", "x":1}"#),
        (A, text, prepend(), r#"{ "system": "N\n\na", "x":1}"#),
        (A, text, append(), r#"{ "system": "a\n\nN", "x":1}"#),
        (
            A,
            text,
            absent(),
            r#"{ "system": [{"type":"text","text":"N"},{"type":"text","text":"a"}], "x":1}"#,
        ),
        (A, text, SystemEdit::Remove, r#"{ "x":1}"#),
        (A, text, SystemEdit::Keep, text),
        (
            A,
            blocks,
            replace(),
            r#"{"system":[{"type":"text","text":"N","cache_control":{"ttl":"1h"}}]}"#,
        ),
        (
            A,
            blocks,
            prepend(),
            r#"{"system":[{"type":"text","text":"N"}, {"type":"text","text":"a","cache_control":{"ttl":"1h"}}, {"type":"text","text":"b"} ]}"#,
        ),
        (
            A,
            blocks,
            append(),
            r#"{"system":[ {"type":"text","text":"a","cache_control":{"ttl":"1h"}}, {"type":"text","text":"b"},{"type":"text","text":"N"} ]}"#,
        ),
        (A, blocks, SystemEdit::Remove, "{}"),
        (A, r#"{"x":1}"#, replace(), r#"{"system":"N","x":1}"#),
        (A, r#"{"x":1}"#, absent(), r#"{"system":"N","x":1}"#),
        (A, r#"{"x":1}"#, SystemEdit::Remove, r#"{"x":1}"#),
        (A, r#"{"system":null}"#, append(), r#"{"system":"N"}"#),
        (A, r#"{"system":""}"#, absent(), r#"{"system":"N"}"#),
        (A, r#"{"system":[]}"#, append(), r#"{"system":[{"type":"text","text":"N"}]}"#),
        (A, r#"{"system":"my \u004bEY"}"#, absent(), r#"{"system":"my \u004bEY"}"#),
        (A, text, SystemEdit::Replace("".into()), text),
    ]);
}

#[test]
fn system_prompts_of_chat() {
    use Protocol::OpenAiChat as C;
    let user = r#"{"messages":[{"role":"user","content":"u"}]}"#;
    let run = r#"{"messages":[ {"role":"developer","content":"a"}, {"content":[{"type":"text","text":"b"}],"role":"system"}, {"role":"user"}, {"role":"system","content":"mid"}]}"#;
    check(&[
        (
            C,
            user,
            prepend(),
            r#"{"messages":[{"role":"system","content":"N"},{"role":"user","content":"u"}]}"#,
        ),
        (C, r#"{"messages":[]}"#, replace(), r#"{"messages":[{"role":"system","content":"N"}]}"#),
        (C, run, prepend(), run.replacen(r#""a""#, r#""N\n\na""#, 1).leak()),
        (C, run, append(), run.replacen(r#""b"}"#, r#""b"},{"type":"text","text":"N"}"#, 1).leak()),
        (
            C,
            run,
            absent(),
            run.replacen("[ ", r#"[{"role":"developer","content":"N"}, "#, 1).leak(),
        ),
        (
            C,
            run,
            replace(),
            r#"{"messages":[ {"role":"developer","content":"N"}, {"role":"user"}, {"role":"system","content":"mid"}]}"#,
        ),
        (
            C,
            run,
            SystemEdit::Remove,
            r#"{"messages":[ {"role":"user"}, {"role":"system","content":"mid"}]}"#,
        ),
        (C, user, SystemEdit::Remove, user),
        (
            C,
            r#"{"messages":[{"role":"system","content":"a"}]}"#,
            SystemEdit::Remove,
            r#"{"messages":[]}"#,
        ),
        (
            C,
            r#"{"messages":[{"role":"system","content":null}]}"#,
            append(),
            r#"{"messages":[{"role":"system","content":"N"}]}"#,
        ),
    ]);
}

#[test]
fn system_prompts_of_responses() {
    use Protocol::OpenAiResponses as R;
    let both = r#"{"instructions":"a","input":[{"role":"developer","content":[{"type":"input_text","text":"b"}]},{"role":"user","content":"u"}]}"#;
    check(&[
        (R, r#"{"input":"u"}"#, prepend(), r#"{"instructions":"N","input":"u"}"#),
        (R, r#"{"instructions":null}"#, prepend(), r#"{"instructions":"N"}"#),
        (R, both, prepend(), both.replacen(r#""a""#, r#""N\n\na""#, 1).leak()),
        (R, both, absent(), both.replacen(r#""a""#, r#""N\n\na""#, 1).leak()),
        (
            R,
            both,
            append(),
            both.replacen(r#""b"}"#, r#""b"},{"type":"input_text","text":"N"}"#, 1).leak(),
        ),
        (R, both, replace(), r#"{"instructions":"N","input":[{"role":"user","content":"u"}]}"#),
        (R, both, SystemEdit::Remove, r#"{"input":[{"role":"user","content":"u"}]}"#),
        (
            R,
            r#"{"input":[{"role":"system","content":"a"}]}"#,
            absent(),
            r#"{"instructions":"N","input":[{"role":"system","content":"a"}]}"#,
        ),
    ]);
}

#[test]
fn tools_among_the_system_messages_of_responses_stay() {
    use Protocol::OpenAiResponses as R;
    const TOOLS: &str = r#"{"type":"additional_tools","role":"developer","tools":[]}"#;
    let input =
        |items: &[&str]| -> &'static str { format!(r#"{{"input":[{}]}}"#, items.join(",")).leak() };
    let [a, b, n] = ["a", "b", "N"]
        .map(|text| format!(r#"{{"role":"developer","content":"{text}"}}"#))
        .map(|message| &*message.leak());
    let user = r#"{"role":"user","content":"u"}"#;
    check(&[
        (R, input(&[TOOLS, a, TOOLS, b, b, user]), replace(), input(&[TOOLS, n, TOOLS, user])),
        (R, input(&[a, TOOLS, b]), SystemEdit::Remove, input(&[TOOLS])),
        (
            R,
            input(&[a, a, TOOLS, TOOLS, b, user]),
            SystemEdit::Remove,
            input(&[TOOLS, TOOLS, user]),
        ),
        (R, input(&[TOOLS, user, a]), SystemEdit::Remove, input(&[TOOLS, user, a])),
    ]);
}

#[test]
fn system_prompts_of_gemini() {
    use Protocol::Gemini as G;
    let snake = r#"{"contents":[],"system_instruction":{"role":"user","parts":[{"text":"a"}]}}"#;
    check(&[
        (G, "{}", append(), r#"{"systemInstruction":{"parts":[{"text":"N"}]}}"#),
        (
            G,
            r#"{"systemInstruction":{}}"#,
            append(),
            r#"{"systemInstruction":{"parts":[{"text":"N"}]}}"#,
        ),
        (G, snake, append(), snake.replacen(r#""a"}"#, r#""a"},{"text":"N"}"#, 1).leak()),
        (G, snake, absent(), snake.replacen(r#"{"text"#, r#"{"text":"N"},{"text"#, 1).leak()),
        (G, snake, replace(), snake.replacen(r#""a""#, r#""N""#, 1).leak()),
        (G, snake, SystemEdit::Remove, r#"{"contents":[]}"#),
    ]);
}

#[test]
fn system_prompts_of_dashscope() {
    use Protocol::DashScope as D;
    let body = r#"{"input":{"messages":[{"role":"system","content":[{"text":"a"}]},{"role":"user","content":"u"}]}}"#;
    check(&[
        (
            D,
            r#"{"input":{"messages":[]}}"#,
            append(),
            r#"{"input":{"messages":[{"role":"system","content":"N"}]}}"#,
        ),
        (D, body, prepend(), body.replacen(r#"[{"text"#, r#"[{"text":"N"},{"text"#, 1).leak()),
        (D, body, replace(), body.replacen(r#""a""#, r#""N""#, 1).leak()),
        (D, body, SystemEdit::Remove, r#"{"input":{"messages":[{"role":"user","content":"u"}]}}"#),
    ]);
}

#[test]
fn what_cannot_be_read_without_doubt_is_refused() {
    use EditError::{Duplicate, Shape};
    use Protocol::*;
    let rows = [
        (Anthropic, r#"{"system":"a","system":"b"}"#, Duplicate("system")),
        (Anthropic, r#"{"system":[{"text":"a","text":"b"}]}"#, Duplicate("text")),
        (Anthropic, r#"{"system":5}"#, Shape("system")),
        (Anthropic, r#"{"system":["a"]}"#, Shape("system")),
        (OpenAiChat, "{}", Shape("messages")),
        (OpenAiChat, r#"{"messages":{}}"#, Shape("messages")),
        (
            OpenAiChat,
            r#"{"messages":[{"role":"user","content":"","role":"system"}]}"#,
            Duplicate("role"),
        ),
        (OpenAiChat, r#"{"messages":[{"role":"system"}]}"#, Shape("content")),
        (OpenAiResponses, r#"{"instructions":[]}"#, Shape("instructions")),
        (
            Gemini,
            r#"{"systemInstruction":{},"system_instruction":{}}"#,
            Duplicate("systemInstruction"),
        ),
        (Gemini, r#"{"systemInstruction":"a"}"#, Shape("systemInstruction")),
        (DashScope, r#"{"input":{"prompt":"a"}}"#, Shape("input.messages")),
        (DashScope, r#"{"input":{"messages":[],"messages":[]}}"#, Duplicate("messages")),
    ];
    for (protocol, body, error) in rows {
        assert_eq!(system(protocol, body, &append()), Err(error), "{body}");
    }
}

#[test]
fn system_places_are_bounded() {
    let with = |n: usize| format!(r#"{{"system":[{}]}}"#, vec![r#"{"text":"a"}"#; n].join(","));
    assert!(system(Protocol::Anthropic, &with(MAX_SYSTEM_PLACES), &append()).is_ok());
    let error = system(Protocol::Anthropic, &with(MAX_SYSTEM_PLACES + 1), &append());
    assert_eq!(error, Err(EditError::Shape("system")));
    let message = r#"{"role":"system","content":"a"}"#;
    let with = |n: usize| format!(r#"{{"messages":[{}]}}"#, vec![message; n].join(","));
    assert!(system(Protocol::OpenAiChat, &with(MAX_SYSTEM_PLACES), &append()).is_ok());
    let error = system(Protocol::OpenAiChat, &with(MAX_SYSTEM_PLACES + 1), &append());
    assert_eq!(error, Err(EditError::Shape("messages")));
}

fn claude_code(insert: bool) -> SystemEdit {
    SystemEdit::ClaudeCode { text: "R\"ü".into(), insert }
}

#[test]
fn claude_code_replaces_or_inserts() {
    let other = "{ \"n\" : 1.50e1,\t\"system\": [ {\"text\" : \"my \\u0022 p\", \"x\":1}, 7 ],\r\n\"a\":\"b  \\\\\" }";
    let own = r#"{"system":[{"type":"text","text":"You are CLAUDE code."}]}"#;
    let rows = [
        (other, false, r#"{"n":1.50e1,"system":[{"text":"R\"ü","x":1},7],"a":"b  \\"}"#),
        (
            other,
            true,
            r#"{"n":1.50e1,"system":[{"type":"text","text":"R\"ü","cache_control":{"type":"ephemeral"}},{"text":"my \u0022 p","x":1},7],"a":"b  \\"}"#,
        ),
        (own, true, r#"{"system":[{"type":"text","text":"R\"ü"}]}"#),
        (own, false, r#"{"system":[{"type":"text","text":"R\"ü"}]}"#),
    ];
    for (body, insert, expected) in rows {
        let edited = system(Protocol::Anthropic, body, &claude_code(insert)).unwrap();
        assert_eq!(edited, expected);
        let again = system(Protocol::Anthropic, &edited, &claude_code(false)).unwrap();
        assert_eq!(again, edited);
    }
}

#[test]
fn claude_code_leaves_all_else_alone() {
    let bodies = [
        r#"{ "messages": [] }"#,
        r#"{ "system": "Claude Code" }"#,
        r#"{ "system": null }"#,
        r#"{ "system": [] }"#,
        r#"{ "system": ["text"] }"#,
        r#"{ "system": [{ "type": "image" }] }"#,
        r#"{ "system": [{ "text": 5 }] }"#,
    ];
    for body in bodies {
        for insert in [false, true] {
            let edited = system(Protocol::Anthropic, body, &claude_code(insert));
            assert_eq!(edited.as_deref(), Ok(body));
        }
    }
    let body = r#"{ "system": [{ "text": "a" }] }"#;
    let unset = SystemEdit::ClaudeCode { text: "".into(), insert: true };
    assert_eq!(system(Protocol::Anthropic, body, &unset).as_deref(), Ok(body));
    assert_eq!(system(Protocol::OpenAiChat, body, &claude_code(true)).as_deref(), Ok(body));
    let twice = r#"{"system":[{"text":"a"}],"system":[{"text":"b"}]}"#;
    let error = system(Protocol::Anthropic, twice, &claude_code(true));
    assert_eq!(error, Err(EditError::Duplicate("system")));
}

fn next(seed: &mut u32) -> usize {
    *seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    (*seed >> 16) as usize
}

/// A document with its members in some order and some white space.
fn print(value: &Value, seed: &mut u32, out: &mut String) {
    let mut space = |out: &mut String| out.push_str(["", "", " ", "\n", "\t "][next(seed) % 5]);
    space(out);
    match value {
        Value::Object(members) => {
            out.push('{');
            let turn = next(seed);
            for i in 0..members.len() {
                let (key, value) = members.iter().nth((i + turn) % members.len()).unwrap();
                out.push_str(if i > 0 { ",\n" } else { " " });
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push_str(" :");
                print(value, seed, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i > 0 { " ," } else { "" });
                print(item, seed, out);
            }
            out.push(']');
        }
        other => out.push_str(&other.to_string()),
    }
    out.push_str(["", "\r\n"][next(seed) % 2]);
}

fn content() -> impl Strategy<Value = Value> {
    let text = "[a-cK\"\\\\ü\n]{1,6}";
    let block = text.prop_map(|text| json!({"type": "text", "text": text, "cache_control": {}}));
    prop_oneof![
        text.prop_map(Value::from),
        prop::collection::vec(block, 0..3).prop_map(Value::from)
    ]
}

fn messages() -> impl Strategy<Value = Value> {
    let role = prop::sample::select(vec!["system", "developer", "user", "assistant"]);
    let message =
        (role, content()).prop_map(|(role, content)| json!({"role": role, "content": content}));
    prop::collection::vec(message, 0..5).prop_map(Value::from)
}

fn body() -> impl Strategy<Value = (Protocol, String)> {
    let protocol = prop::sample::select(Protocol::ALL.to_vec());
    let all = (protocol, prop::option::of(content()), messages(), any::<u32>());
    all.prop_map(|(protocol, system, messages, mut seed)| {
        let mut body = json!({"n": 1.5, "x": {"system": "no", "model": [1, {}]}});
        match protocol {
            Protocol::Anthropic => {
                body["messages"] = messages;
                system.into_iter().for_each(|system| body["system"] = system);
            }
            Protocol::OpenAiChat => body["messages"] = messages,
            Protocol::DashScope => body["input"] = json!({"messages": messages}),
            Protocol::OpenAiResponses => {
                body["input"] = messages;
                let text = system.filter(Value::is_string);
                text.into_iter().for_each(|text| body["instructions"] = text);
            }
            Protocol::Gemini => {
                let parts = system.filter(Value::is_array);
                parts.into_iter().for_each(|p| body["systemInstruction"] = json!({"parts": p}));
            }
        }
        let mut text = String::new();
        print(&body, &mut seed, &mut text);
        (protocol, text)
    })
}

/// The slow way: takes the system prompt out of a document and gives its texts that hold any.
fn take_system(protocol: Protocol, body: &str) -> (Vec<String>, Value) {
    let mut body: Value = serde_json::from_str(body).unwrap();
    let root = body.as_object_mut().unwrap();
    let mut contents = Vec::new();
    match protocol {
        Protocol::Anthropic => contents.extend(root.remove("system")),
        Protocol::OpenAiResponses => contents.extend(root.remove("instructions")),
        Protocol::Gemini => {
            contents
                .extend(root.remove("systemInstruction").map(|mut system| system["parts"].take()));
        }
        Protocol::OpenAiChat | Protocol::DashScope => {}
    }
    let list = match protocol {
        Protocol::OpenAiChat => body.pointer_mut("/messages"),
        Protocol::OpenAiResponses => body.pointer_mut("/input"),
        Protocol::DashScope => body.pointer_mut("/input/messages"),
        Protocol::Anthropic | Protocol::Gemini => None,
    };
    if let Some(Value::Array(list)) = list {
        let run = list.iter().take_while(|m| m["role"] == "system" || m["role"] == "developer");
        let run = run.count();
        contents.extend(list.drain(..run).map(|mut message| message["content"].take()));
    }
    let texts = contents.into_iter().flat_map(|content| match content {
        Value::Array(blocks) => {
            blocks.iter().map(|b| b["text"].as_str().unwrap().to_owned()).collect()
        }
        text => vec![text.as_str().unwrap_or_default().to_owned()],
    });
    (texts.filter(|text| !text.is_empty()).collect(), body)
}

/// How many bytes at both ends of `before` are at both ends of `after` too.
fn kept(before: &str, after: &str) -> usize {
    let shorter = before.len().min(after.len());
    let head = before.bytes().zip(after.bytes()).take_while(|(a, b)| a == b).count();
    let tail = before.bytes().rev().zip(after.bytes().rev()).take_while(|(a, b)| a == b).count();
    (head + tail).min(shorter)
}

proptest! {
    #[test]
    fn system_edits_agree_with_the_slow_way((protocol, before) in body()) {
        let (old, rest) = take_system(protocol, &before);
        let with = |parts: &[&[String]]| parts.concat().join("\n\n");
        let new = ["N\"\n".to_owned()];
        let text = std::sync::Arc::<str>::from(new[0].as_str());
        let absent = SystemEdit::InsertIfAbsent { keyword: "k".into(), text: text.clone() };
        let holds = old.iter().any(|text| text.contains('K'));
        let rows = [
            (SystemEdit::Keep, with(&[&old])),
            (SystemEdit::Replace(text.clone()), with(&[&new])),
            (SystemEdit::Prepend(text.clone()), with(&[&new, &old])),
            (SystemEdit::Append(text.clone()), with(&[&old, &new])),
            (absent, if holds { with(&[&old]) } else { with(&[&new, &old]) }),
            (SystemEdit::Remove, String::new()),
        ];
        for (edit, expected) in rows {
            let after = system(protocol, &before, &edit).unwrap();
            let (texts, after_rest) = take_system(protocol, &after);
            prop_assert_eq!(texts.join("\n\n"), expected, "{:?} {}", edit, after);
            prop_assert_eq!(&after_rest, &rest);
            if matches!(edit, SystemEdit::Prepend(_) | SystemEdit::Append(_)) && !old.is_empty() {
                prop_assert_eq!(kept(&before, &after), before.len());
            }
            if matches!(edit, SystemEdit::Replace(_) | SystemEdit::Remove | SystemEdit::Keep) || holds {
                let twice = system(protocol, &after, &edit).unwrap();
                prop_assert!(twice == after || !matches!(edit, SystemEdit::Replace(_) | SystemEdit::Remove));
            }
        }
    }

    #[test]
    fn a_broken_document_is_refused_or_stays_a_document(
        (protocol, mut text) in body(),
        at in any::<prop::sample::Index>(),
        piece in r#"[{}\[\]":,\\a0 ]{0,2}"#,
        cut in 0usize..3,
    ) {
        let start = (0..=text.len()).rev().find(|i| *i <= at.index(text.len() + 1) && text.is_char_boundary(*i));
        let start = start.unwrap();
        let end = (start..=text.len()).find(|i| *i >= start + cut && text.is_char_boundary(*i));
        text.replace_range(start..end.unwrap_or(text.len()), &piece);
        let skimmed = serde_json::from_str::<&serde_json::value::RawValue>(&text);
        let valid = skimmed.is_ok_and(|raw| raw.get().starts_with('{'));
        let edits = [replace(), prepend(), append(), absent(), SystemEdit::Remove, claude_code(true)];
        for edit in edits {
            match system(protocol, &text, &edit) {
                Ok(after) => {
                    prop_assert!(valid);
                    let skimmed = serde_json::from_str::<&serde_json::value::RawValue>(&after);
                    prop_assert!(skimmed.is_ok(), "{:?} {}", edit, after);
                }
                Err(EditError::NotJson(_)) => prop_assert!(!valid, "{}", text),
                Err(_) => prop_assert!(valid),
            }
        }
    }

    #[test]
    fn models_and_streams_agree_with_the_slow_way((_, before) in body(), name in any::<String>()) {
        let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        let first = model(&before, &name).unwrap();
        prop_assert_eq!(kept(&before, &first), before.len());
        let mut expected = value(&before);
        expected["model"] = name.as_str().into();
        prop_assert_eq!(value(&first), expected.clone());

        let again = model(&first, "other").unwrap();
        prop_assert!(kept(&first, &again) + serde_json::to_string(&name).unwrap().len() >= first.len());
        prop_assert_eq!(model(&again, "other").unwrap(), again.clone());

        expected["model"] = "other".into();
        expected["stream"] = true.into();
        prop_assert_eq!(value(&stream(&again, true).unwrap()), expected);
    }

    #[test]
    fn claude_code_agrees_with_the_slow_way((_, before) in body(), insert in any::<bool>()) {
        let after = system(Protocol::Anthropic, &before, &claude_code(insert)).unwrap();
        let mut expected: Value = serde_json::from_str(&before).unwrap();
        match expected.pointer_mut("/system/0/text") {
            Some(text) if !insert => *text = "R\"ü".into(),
            Some(_) => {
                let block = json!({"type": "text", "text": "R\"ü", "cache_control": {"type": "ephemeral"}});
                expected["system"].as_array_mut().unwrap().insert(0, block);
            }
            None => prop_assert_eq!(&after, &before),
        }
        prop_assert_eq!(serde_json::from_str::<Value>(&after).unwrap(), expected.clone());
        if after != before {
            prop_assert_eq!(after.len(), expected.to_string().len());
        }
    }
}

#[test]
fn recorded_requests_agree_with_the_slow_way() {
    let mut seen = 0;
    for protocol in Protocol::ALL {
        for (_, path) in cases(&format!("dev/{protocol}")) {
            let Ok(body) = std::fs::read_to_string(path.join("request.json")) else { continue };
            let Ok(before) = system(protocol, &body, &SystemEdit::Keep) else { continue };
            let Ok(after) = system(protocol, &before, &prepend()) else { continue };
            let (old, rest) = take_system(protocol, &before);
            let (new, new_rest) = take_system(protocol, &after);
            assert_eq!(new.join("\n\n"), [vec!["N".to_owned()], old].concat().join("\n\n"));
            assert_eq!(rest, new_rest);
            let removed = system(protocol, &after, &SystemEdit::Remove).unwrap();
            assert_eq!(take_system(protocol, &removed), (Vec::new(), rest));
            seen += 1;
        }
    }
    match seen {
        0 => eprintln!("skipped: no corpus"),
        seen => assert!(seen > 100, "only {seen} requests could be edited"),
    }
}
