//! Requests and answers in all their forms: Chat's own come back, others' are said in Chat's words.

use bytes::BytesMut;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{json as parse, write_request, write_response};
use crate::protocol::json::{JsonStr, Number};
use crate::protocol::model::{Content, Place, Role, SealKind, Show, Stop, StopReason, Vendor};
use crate::protocol::openai_chat::{request, response};
use crate::protocol::report::{Reporter, Severity};
use crate::protocol::{Answer, Protocol, Target, anthropic};

#[test]
fn own_requests_come_back() {
    let messages = [
        r#"{"role":"user","content":"a\"\u00e9\ud83d\ude00"}"#,
        r#"{"role":"user","content":"","name":"n"}"#,
        r#"{"role":"user","content":[],"x":1}"#,
        r#"{"role":"user","content":null}"#,
        r#"{"role":"user"}"#,
        r#"{"role":"user","content":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}}],"cache_control":{}}"#,
        r#"{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://a/b.png","detail":"low"}}]}"#,
        r#"{"role":"user","content":[{"type":"image_url","image_url":"data:image\/png;base64,AA\/A"}]}"#,
        r#"{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA","fps":1}}]}"#,
        r#"{"role":"user","content":[{"type":"image_url"},{"type":"text"},{"type":"text","text":1},{"type":"video_url","video_url":{"url":"u"}}]}"#,
        r#"{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"AA","format":"wav"}}]}"#,
        r#"{"role":"user","content":[{"type":"file","file":{"file_id":"f"}},{"type":"file","file":{"filename":"n","file_data":"data:application/pdf;base64,AA"}},{"type":"file","file":{}}]}"#,
        r#"{"role":"system","content":[{"type":"text","text":"a"}],"name":"n"}"#,
        r#"{"role":"developer","content":"a","x":null}"#,
        r#"{"role":"assistant","content":"a","refusal":null,"annotations":[],"audio":{"id":"x"}}"#,
        r#"{"role":"assistant","content":"a","annotations":[{"type":"url_citation"}]}"#,
        r#"{"role":"assistant","content":null,"refusal":"no"}"#,
        r#"{"role":"assistant","content":[{"type":"text","text":"a"},{"type":"refusal","refusal":"no"}]}"#,
        r#"{"role":"assistant","content":[]}"#,
        r#"{"role":"assistant","content":"","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":""}}]}"#,
        r#"{"role":"assistant","tool_calls":[{"id":"a","type":"function","index":0,"function":{"name":"f","arguments":"{\"a\":1}","x":1}},{"id":"b","type":"custom","custom":{"name":"g","input":"i"}}]}"#,
        r#"{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":{"a":1}},"extra_content":{"google":{"thought_signature":"s"}}}]}"#,
        r#"{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"},"index":0}]}"#,
        r#"{"role":"assistant","tool_calls":[{"id":"a","type":"null","function":{"name":"f"}},{"type":"function","function":{}},{"id":"","type":"x"}]}"#,
        r#"{"role":"assistant","content":[{"type":"thinking","thinking":[{"type":"text","text":"t"}],"closed":true},{"type":"text","text":"a"}]}"#,
        r#"{"role":"assistant","content":"a","tool_calls":[],"function_call":null}"#,
        r#"{"role":"assistant","content":null,"function_call":{"name":"f","x":1}}"#,
        r#"{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}}"#,
        r#"{"role":"assistant","content":"a","reasoning_content":"r"}"#,
        r#"{"role":"assistant","content":"a","reasoning":"r"}"#,
        r#"{"role":"assistant","content":"a","reasoning":"r","reasoning_content":"r"}"#,
        r#"{"role":"assistant","content":"a","reasoning":"","reasoning_details":[]}"#,
        r#"{"role":"assistant","content":"a","reasoning":"r","reasoning_details":[{"type":"reasoning.text","text":"r","signature":"s","format":"anthropic-claude-v1","index":0},{"type":"reasoning.encrypted","data":"d","format":"openai-responses-v1","id":null}]}"#,
        r#"{"role":"assistant","content":"a","reasoning_details":[{"type":"reasoning.summary","summary":"r","format":"unknown"}]}"#,
        r#"{"role":"assistant","content":"a","reasoning_content":"r","reasoning_details":[{"type":"reasoning.text","signature":"s","format":"anthropic-claude-v1"},{"type":"reasoning.encrypted","data":"d","format":"anthropic-claude-v1"}]}"#,
        r#"{"role":"assistant","content":"a","reasoning_content":"r","reasoning_details":[{"type":"new"}]}"#,
        r#"{"role":"assistant","content":"a","reasoning_details":[{"type":"new"}]}"#,
        r#"{"role":"tool","tool_call_id":"a","content":"r"}"#,
        r#"{"role":"tool","tool_call_id":"a","content":[{"type":"text","text":"r"}],"name":"f","x":1}"#,
        r#"{"role":"tool","tool_call_id":"a","content":""}"#,
        r#"{"role":"function","name":"f","content":"r"}"#,
    ];
    for message in messages {
        let text = format!(r#"{{"model":"m","messages":[{message}]}}"#);
        assert_eq!(write_request(&text), parse(&text), "{message}");
    }
    let all = format!(r#"{{"messages":[{}],"model":"m"}}"#, messages.join(","));
    assert_eq!(write_request(&all), parse(&all));
}

/// What vendors added to say how much to think, in the hub: mode, effort, budget, shown.
#[test]
fn thinking_in_dialects() {
    use crate::protocol::model::Effort::{High, Low};
    use crate::protocol::model::ReasoningMode::{Adaptive, Off, On};
    let rows = [
        (r#""reasoning_effort":"high""#, None, Some(High), None, None),
        (r#""enable_thinking":true"#, Some(On), None, None, None),
        (r#""enable_thinking":false,"thinking_budget":5"#, Some(Off), None, Some(5), None),
        (r#""thinking":{"type":"enabled","budget_tokens":7}"#, Some(On), None, Some(7), None),
        (r#""thinking":{"type":"disabled"}"#, Some(Off), None, None, None),
        (r#""thinking":{"type":"auto"}"#, Some(Adaptive), None, None, None),
        (r#""thinking":{"type":"new","budget_tokens":7}"#, None, None, None, None),
        (r#""reasoning":{"effort":"low"}"#, None, Some(Low), None, None),
        (r#""reasoning":{"max_tokens":9,"exclude":true}"#, None, None, Some(9), Some(Show::Hidden)),
        (r#""reasoning":{"enabled":true,"exclude":false}"#, Some(On), None, None, None),
        (r#""chat_template_kwargs":{"enable_thinking":false}"#, Some(Off), None, None, None),
        (r#""chat_template_kwargs":{"x":false}"#, None, None, None, None),
    ];
    for (members, mode, effort, budget, show) in rows {
        let text = format!(r#"{{"model":"m","messages":[],{members}}}"#);
        let request = request::read(&text).unwrap();
        let reasoning = &request.reasoning;
        assert_eq!(
            (reasoning.mode, reasoning.effort, reasoning.show),
            (mode, effort, show),
            "{members}"
        );
        assert_eq!(reasoning.budget.as_ref().and_then(Number::as_u64), budget, "{members}");
        // What was understood is no loss to anybody.
        let mut report = Reporter::new(&text);
        report.rest(&reasoning.rest);
        assert!(report.finish().is_empty());
    }
}

#[test]
fn own_settings_come_back() {
    for members in [
        r#""max_tokens":5"#,
        r#""max_tokens":5,"max_completion_tokens":6"#,
        r#""max_completion_tokens":6,"max_tokens":5"#,
        r#""max_tokens":null,"stop":null,"tools":null"#,
        r#""stop":"a""#,
        r#""stop":["a","b","c","d","e"]"#,
        r#""stop":[]"#,
        r#""user":"u""#,
        r#""safety_identifier":"u","user":"v""#,
        r#""tools":[]"#,
        r#""tools":[{"type":"function","function":{"name":"f"}}]"#,
        r#""tools":[{"type":"function","function":{"name":"f","description":null,"parameters":{"type":"object"},"strict":true,"x":1},"y":2,"cache_control":{"type":"ephemeral"}}]"#,
        r#""tools":[{"type":"custom","custom":{"name":"f","description":"d","format":{"type":"text"}}},{"type":"web_search","x":1}],"tool_choice":{"type":"custom","custom":{"name":"f"}}"#,
        r#""tools":[{"type":"custom","name":"f","format":{"type":"text"}},{"type":"function","name":"g","parameters":null,"x":1}]"#,
        r#""functions":[{"name":"f","parameters":{}}],"function_call":{"name":"f"}"#,
        r#""functions":[{"name":"f"}],"function_call":"auto""#,
        r#""tool_choice":"required","parallel_tool_calls":false"#,
        r#""tool_choice":{"type":"auto"}"#,
        r#""tool_choice":{"type":"function","function":{"name":"f"}}"#,
        r#""tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[{"type":"function","function":{"name":"f"}}]}}"#,
        r#""tool_choice":{"type":"new","x":1}"#,
        r#""tool_choice":"new""#,
        r#""response_format":{"type":"text"}"#,
        r#""response_format":{"type":"json_object"}"#,
        r#""response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"a":1},"strict":null,"description":"d","x":1}}"#,
        r#""response_format":{"type":"json_schema","json_schema":{"name":"n"},"y":1}"#,
        r#""response_format":{"type":"new"}"#,
        r#""reasoning_effort":"xhigh","verbosity":"low""#,
        r#""reasoning_effort":"new""#,
        r#""enable_thinking":true,"thinking_budget":500,"reasoning_effort":"low""#,
        r#""enable_thinking":false,"chat_template_kwargs":{"enable_thinking":false,"x":1}"#,
        r#""chat_template_kwargs":{"x":1},"enable_thinking":"yes","thinking_budget":null"#,
        r#""thinking":{"type":"enabled","budget_tokens":1024,"x":1}"#,
        r#""thinking":{"type":"new","budget_tokens":1024}"#,
        r#""thinking":true,"reasoning":"high""#,
        r#""reasoning":{"effort":"high","exclude":true}"#,
        r#""reasoning":{"effort":"new"}"#,
        r#""tool_choice":"any""#,
        r#""tool_choice":{"type":"any"}"#,
        r#""stream":true,"stream_options":{"include_usage":true}"#,
        r#""stream":true,"stream_options":{"include_usage":false,"include_obfuscation":true}"#,
        r#""stream":false,"stream_options":{}"#,
        r#""n":2,"seed":-1,"logit_bias":{"5":-100},"logprobs":true,"top_logprobs":3,"temperature":0.10,"top_p":1"#,
        r#""frequency_penalty":1e0,"presence_penalty":-2,"top_k":4,"repetition_penalty":1.1,"min_p":0.1"#,
        r#""metadata":{"a":"b"},"store":false,"service_tier":"flex","prompt_cache_key":"k","modalities":["text"]"#,
    ] {
        let text = format!(r#"{{"model":"m","messages":[],{members}}}"#);
        assert_eq!(write_request(&text), parse(&text), "{members}");
    }
}

#[test]
fn wrong_requests_name_the_place() {
    for (text, pointer) in [
        (r#"{"messages":[{"role":"robot","content":"a"}]}"#, "/messages/0"),
        (r#"{"messages":[{"role":"user","content":5}]}"#, "/messages/0/content"),
        (r#"{"messages":[{"role":"user","content":["a"]}]}"#, "/messages/0/content/0"),
        (r#"{"messages":[{"role":"user","tool_calls":[{}]}]}"#, "/messages/0"),
        (r#"{"stream":"yes"}"#, "/stream"),
        (r#"{"stop":[1]}"#, "/stop/0"),
        (r#"{"temperature":"hot"}"#, "/temperature"),
        ("[]", ""),
        ("{} x", ""),
    ] {
        assert_eq!(request::read(text).unwrap_err().pointer(), pointer, "{text}");
    }
}

#[test]
fn tool_messages_become_one_turn() {
    let text = r#"{"messages":[
        {"role":"system","content":"s"},
        {"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]},
        {"role":"tool","tool_call_id":"a","content":"1"},
        {"role":"tool","tool_call_id":"b","content":"2"},
        {"role":"developer","content":"d"},
        {"role":"tool","tool_call_id":"c","content":"3"},
        {"role":"user","content":"u"}]}"#;
    let request = request::read(text).unwrap();
    let shape: Vec<_> = request.turns.iter().map(|turn| (turn.role, turn.parts.len())).collect();
    assert_eq!(shape, [(Role::Assistant, 1), (Role::User, 2), (Role::User, 1), (Role::User, 1)]);
    let places: Vec<_> = request.instructions.iter().map(|it| it.place).collect();
    assert_eq!(places, [Place::Before(0), Place::Before(2)]);
}

#[test]
fn sealed_thinking_is_understood() {
    let text = r#"{"messages":[{"role":"assistant","content":"a","reasoning_content":"r","reasoning_details":[
        {"type":"reasoning.text","signature":"s","format":"anthropic-claude-v1","index":0},
        {"type":"reasoning.encrypted","data":"d","format":"anthropic-claude-v1","index":1}]}]}"#;
    let request = request::read(text).unwrap();
    let thoughts: Vec<_> = request.turns[0]
        .parts
        .iter()
        .filter_map(|part| match &part.content {
            Content::Reasoning { text, seal, .. } => {
                let text = text.as_ref().map(|text| text.decode().into_owned());
                Some((text, seal.as_ref().map(|seal| (seal.vendor, seal.kind))))
            }
            _ => None,
        })
        .collect();
    let expected = [
        (Some("r".to_owned()), Some((Vendor::Anthropic, SealKind::Signature))),
        (None, Some((Vendor::Anthropic, SealKind::Redacted))),
    ];
    assert_eq!(thoughts, expected);
}

/// What a request of Messages is in Chat, and what it lost.
fn from_messages(text: &str) -> (Value, Vec<(String, Severity)>) {
    let request = anthropic::request::read(text).unwrap();
    let mut report = Reporter::new(text);
    let mut out = BytesMut::new();
    request::write(&request, &Target::default(), &mut report, &mut out);
    let losses = report.finish().losses().iter().map(|l| (l.pointer.clone(), l.severity)).collect();
    (parse(std::str::from_utf8(&out).unwrap()), losses)
}

type Row<'a> = (Value, Value, &'a [(&'a str, Severity)]);

#[test]
fn messages_requests() {
    use Severity::{Degrade, Fatal, Ignore};
    // The members beside `model`, in Messages and in Chat, and the losses.
    let rows: &[Row<'_>] = &[
        (
            json!({"system":"a\nb","messages":[{"role":"user","content":"hi"}],"max_tokens":9}),
            json!({"messages":[{"role":"system","content":"a\nb"},{"role":"user","content":"hi"}],"max_completion_tokens":9}),
            &[],
        ),
        (
            json!({"system":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}},{"type":"text","text":"b"}],"messages":[]}),
            json!({"messages":[{"role":"system","content":"a\n\nb"}]}),
            &[("/system/0/cache_control", Ignore)],
        ),
        (
            json!({"messages":[{"role":"user","content":[
                {"type":"text","text":"a"},{"type":"text","text":""},
                {"type":"image","source":{"type":"base64","media_type":"image/png","data":"AA"}},
                {"type":"image","source":{"type":"url","url":"https://a/b"}},
                {"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"BB"},"title":"t.pdf"},
                {"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"CC"}},
                {"type":"document","source":{"type":"text","media_type":"text/plain","data":"words"}}]}]}),
            json!({"messages":[{"role":"user","content":[
                {"type":"text","text":"a"},
                {"type":"image_url","image_url":{"url":"data:image/png;base64,AA"}},
                {"type":"image_url","image_url":{"url":"https://a/b"}},
                {"type":"file","file":{"filename":"t.pdf","file_data":"data:application/pdf;base64,BB"}},
                {"type":"file","file":{"filename":"document.pdf","file_data":"data:application/pdf;base64,CC"}},
                {"type":"text","text":"words"}]}]}),
            &[],
        ),
        (
            json!({"messages":[{"role":"user","content":[{"type":"document","source":{"type":"url","url":"https://a/b"}}]},
                {"role":"user","content":[{"type":"image","source":{"type":"file","file_id":"f"}}]}]}),
            json!({"messages":[]}),
            &[
                ("/messages/0/content/0/source/url", Fatal),
                ("/messages/1/content/0/source/file_id", Fatal),
            ],
        ),
        (
            json!({"messages":[
                {"role":"assistant","content":[{"type":"text","text":"a"},{"type":"text","text":"b"},
                    {"type":"tool_use","id":"t1","name":"f","input":{"x":"\"é"}},{"type":"tool_use","id":"t2","name":"g","input":{}}]},
                {"role":"user","content":[
                    {"type":"tool_result","tool_use_id":"t1","content":[{"type":"text","text":"r"},{"type":"image","source":{"type":"url","url":"https://i"}}]},
                    {"type":"tool_result","tool_use_id":"t2","is_error":true},
                    {"type":"text","text":"go on"}]}]}),
            json!({"messages":[
                {"role":"assistant","content":"ab","tool_calls":[
                    {"id":"t1","type":"function","function":{"name":"f","arguments":"{\"x\":\"\\\"é\"}"}},
                    {"id":"t2","type":"function","function":{"name":"g","arguments":"{}"}}]},
                {"role":"tool","tool_call_id":"t1","content":"r"},
                {"role":"tool","tool_call_id":"t2","content":""},
                {"role":"user","content":[{"type":"image_url","image_url":{"url":"https://i"}},{"type":"text","text":"go on"}]}]}),
            &[("/messages/1/content/1/tool_use_id", Degrade)],
        ),
        (
            json!({"messages":[
                {"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"s"},
                    {"type":"redacted_thinking","data":"d"},{"type":"tool_use","id":"t1","name":"f","input":{}}]},
                {"role":"assistant","content":[{"type":"thinking","thinking":"u","signature":""},{"type":"text","text":"a"}]},
                {"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"s"}]}]}),
            json!({"messages":[
                {"role":"assistant","content":null,"tool_calls":[{"id":"t1","type":"function","function":{"name":"f","arguments":"{}"}}]},
                {"role":"assistant","content":"a","reasoning_content":"u"}]}),
            &[
                ("/messages/0/content/0/signature", Degrade),
                ("/messages/0/content/1/data", Degrade),
                ("/messages/2/content/0/signature", Degrade),
            ],
        ),
        (
            json!({"messages":[],"tools":[{"name":"f","description":"d","input_schema":{"type":"object"},"cache_control":{"type":"ephemeral"}},
                {"type":"web_search_20250305","name":"web_search"}],
                "tool_choice":{"type":"tool","name":"f","disable_parallel_tool_use":true}}),
            json!({"messages":[],"tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"}}}],
                "tool_choice":{"type":"function","function":{"name":"f"}},"parallel_tool_calls":false}),
            &[("/tools/0/cache_control", Ignore), ("/tools/1", Degrade)],
        ),
        (
            json!({"messages":[],"tool_choice":{"type":"auto"},"stream":true,"temperature":0.5,"top_k":3,
                "stop_sequences":["a","b","c","d","e"],"metadata":{"user_id":"u"},"thinking":{"type":"enabled","budget_tokens":9000}}),
            json!({"messages":[],"stream":true,"stream_options":{"include_usage":true},"temperature":0.5,
                "stop":["a","b","c","d"],"safety_identifier":"u","reasoning_effort":"high"}),
            &[
                ("/top_k", Degrade),
                ("/stop_sequences/4", Degrade),
                ("/thinking/budget_tokens", Degrade),
            ],
        ),
        (
            json!({"messages":[],"thinking":{"type":"adaptive"},"output_config":{"effort":"max"}}),
            json!({"messages":[],"reasoning_effort":"max"}),
            &[],
        ),
        (
            json!({"messages":[],"thinking":{"type":"disabled"}}),
            json!({"messages":[]}),
            &[("/thinking", Degrade)],
        ),
        (
            json!({"messages":[],"output_config":{"format":{"type":"json_schema","schema":{"type":"object"}}}}),
            json!({"messages":[],"response_format":{"type":"json_schema","json_schema":{"name":"response","schema":{"type":"object"}}}}),
            &[],
        ),
    ];
    for (given, expected, losses) in rows {
        let (written, lost) = from_messages(&given.to_string());
        let mut expected = expected.clone();
        expected["model"] = json!("");
        assert_eq!(written, expected, "{given}");
        let mut lost: Vec<_> = lost.iter().map(|(at, severity)| (at.as_str(), *severity)).collect();
        let mut losses = losses.to_vec();
        lost.sort();
        losses.sort();
        assert_eq!(lost, losses, "{given}");
    }
}

#[test]
fn own_answers_come_back() {
    for text in [
        r#"{"id":"i","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"a","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"x":1},"system_fingerprint":null}"#,
        r#"{"id":null,"object":"chat.completion.chunk","created":"x","model":null,"choices":null,"usage":null}"#,
        r#"{"id":"i","object":"chat.completion","created":1.5,"model":"m","choices":[],"usage":5}"#,
        r#"{"id":"i","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant"},"finish_reason":null},{"index":7,"message":{"role":"assistant","content":""},"finish_reason":""}]}"#,
        r#"{"id":"i","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{"}}]},"finish_reason":"tool_calls"}]}"#,
        r#"{"id":"i","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":[{"type":"text","text":"a"},{"type":"thinking","thinking":[]}]},"finish_reason":"odd"}]}"#,
        r#"{"id":"i","object":"chat.completion","created":1,"model":"m","choices":[{"message":{"content":"a"},"finish_reason":"stop"},{"index":1},{"message":{}}]}"#,
        r#"{"id":"i","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":""},"finish_reason":"error","error":{"message":"m","code":502}}]}"#,
    ] {
        assert_eq!(write_response(text), parse(text), "{text}");
    }
}

fn answer_from_messages(text: &str) -> Value {
    let read = anthropic::response::read(text).unwrap();
    let mut out = BytesMut::new();
    let mut answer = Answer::new("asked", 7, 1);
    response::write(&read, &mut answer, &mut Reporter::new(text), &mut out);
    parse(std::str::from_utf8(&out).unwrap())
}

#[test]
fn a_call_without_arguments_has_an_object() {
    for input in ["{}", "null"] {
        let text = format!(
            r#"{{"id":"m","content":[{{"type":"tool_use","id":"u","name":"f","input":{input}}}],"stop_reason":"tool_use"}}"#
        );
        let written = answer_from_messages(&text);
        let call = &written["choices"][0]["message"]["tool_calls"][0]["function"];
        assert_eq!(call["arguments"], "{}", "{input}");
    }
}

#[test]
fn messages_answers() {
    let written = answer_from_messages(
        r#"{"id":"msg_1","type":"message","role":"assistant","model":"c","content":[
            {"type":"thinking","thinking":"t","signature":"s"},{"type":"redacted_thinking","data":"d"},
            {"type":"text","text":"a","citations":[{"type":"char_location"}]},{"type":"text","text":"b"},
            {"type":"tool_use","id":"u","name":"f","input":{"x":1}}],
            "stop_reason":"tool_use","stop_sequence":null,
            "usage":{"input_tokens":5,"cache_read_input_tokens":3,"cache_creation_input_tokens":2,"output_tokens":4}}"#,
    );
    let message = json!({"role":"assistant","content":"ab","refusal":null,"reasoning_content":"t","reasoning_details":[
            {"type":"reasoning.text","text":"t","signature":"s","format":"anthropic-claude-v1"},
            {"type":"reasoning.encrypted","data":"d","format":"anthropic-claude-v1"}],
        "tool_calls":[{"id":"u","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}}]});
    let usage = json!({"prompt_tokens":10,"completion_tokens":4,"total_tokens":14,
        "prompt_tokens_details":{"cached_tokens":3,"cache_write_tokens":2},"completion_tokens_details":{"reasoning_tokens":0}});
    let expected = json!({"id":"msg_1","object":"chat.completion","created":7,"model":"c",
        "choices":[{"index":0,"message":message,"finish_reason":"tool_calls","logprobs":null}],"usage":usage});
    assert_eq!(written, expected);
    let written = answer_from_messages(
        r#"{"id":"msg_1","type":"message","role":"assistant","model":"c","content":[],
            "stop_reason":"refusal","stop_sequence":null,"stop_details":{"type":"refusal","explanation":"why"},
            "usage":{"input_tokens":5,"output_tokens":0}}"#,
    );
    let choice = &written["choices"][0];
    let expected = json!({"role":"assistant","content":null,"refusal":"why"});
    assert_eq!(
        (&choice["message"], &choice["finish_reason"]),
        (&expected, &json!("content_filter"))
    );
}

#[test]
fn a_stop_of_another_protocol_has_no_word_of_chat() {
    let stop = Stop { word: Some(JsonStr::from_plain("end_turn")), ..Stop::new(StopReason::End) };
    let text = r#"{"choices":[{"message":{"content":"a"},"finish_reason":"stop"}]}"#;
    let mut read = response::read(text).unwrap();
    read.origin = Protocol::Anthropic;
    read.candidates[0].stop = Some(stop);
    let mut out = BytesMut::new();
    response::write(&read, &mut Answer::new("asked", 7, 1), &mut Reporter::new(text), &mut out);
    let written: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(written["choices"][0]["finish_reason"], "stop");
    assert_eq!(written["model"], "asked");
    assert!(written["id"].as_str().unwrap().starts_with("chatcmpl-"));
}

#[test]
fn a_failure_of_another_protocol_is_fatal() {
    let text = r#"{"choices":[{"message":{"content":"a"},"finish_reason":"error"}]}"#;
    let mut read = response::read(text).unwrap();
    for (origin, losses) in [(Protocol::OpenAiChat, 0), (Protocol::Gemini, 1)] {
        read.origin = origin;
        let (mut report, mut out) = (Reporter::new(text), BytesMut::new());
        response::write(&read, &mut Answer::new("asked", 7, 1), &mut report, &mut out);
        let report = report.finish();
        let fatal = report.losses().iter().filter(|loss| loss.severity == Severity::Fatal);
        assert_eq!(fatal.count(), losses, "{origin:?}");
    }
}

/// Values made of the protocol's own names, in places where they may not belong.
fn odd_value() -> impl Strategy<Value = Value> {
    const NAMES: &[&str] = &[
        "role",
        "content",
        "type",
        "text",
        "function",
        "name",
        "arguments",
        "id",
        "refusal",
        "reasoning",
        "reasoning_content",
        "reasoning_details",
        "signature",
        "data",
        "format",
        "image_url",
        "url",
        "file",
        "file_data",
        "input_audio",
        "annotations",
        "index",
        "message",
        "finish_reason",
        "logprobs",
        "custom",
        "input",
        "cache_control",
        "x",
    ];
    const WORDS: &[&str] = &[
        "",
        "assistant",
        "user",
        "tool",
        "system",
        "text",
        "function",
        "image_url",
        "file",
        "stop",
        "reasoning.text",
        "reasoning.encrypted",
        "data:image/png;base64,AA",
        "length",
        "null",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-2i64..300).prop_map(Value::from),
        prop::sample::select(WORDS).prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(prop::sample::select(NAMES), inner, 0..5).prop_map(|map| {
                Value::Object(map.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
            }),
        ]
    })
}

/// The value as an object with this member.
fn with(value: &Value, name: &str, member: impl Into<Value>) -> Value {
    let mut object = value.as_object().cloned().unwrap_or_default();
    object.insert(name.to_owned(), member.into());
    object.into()
}

proptest! {
    #[test]
    fn odd_requests_are_refused_or_kept(
        message in odd_value(),
        role in prop::sample::select(&["user", "assistant", "tool", "system"][..]),
        tool in odd_value(),
        format in odd_value(),
    ) {
        let messages = [with(&message, "role", role)];
        let text = json!({
            "model": "m", "messages": messages, "tools": [tool], "response_format": format,
        })
        .to_string();
        if request::read(&text).is_ok() {
            prop_assert_eq!(write_request(&text), parse(&text));
        }
    }

    #[test]
    fn odd_answers_are_refused_or_kept(choice in odd_value(), message in odd_value()) {
        let choice = with(&with(&choice, "index", 0), "message", with(&message, "role", "assistant"));
        let text = json!({
            "id": "i", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice],
        })
        .to_string();
        if response::read(&text).is_ok() {
            prop_assert_eq!(write_response(&text), parse(&text));
        }
    }
}
