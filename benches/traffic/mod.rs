//! Bodies and streams of every protocol, in literal JSON: our own writers would excuse our readers.
//!
//! Shared by `benches/pairs.rs` and `tests/memory.rs`.

#![allow(dead_code, reason = "the bench and the test use different parts")]
#![allow(clippy::panic, reason = "a new protocol is to be added here")]

use std::fmt::Write;

use tower_llm_gateway::protocol::Protocol;

/// Long texts: prose. In JSON nothing of it is escaped.
pub(crate) const PROSE: &str =
    "The quick brown fox jumps over the lazy dog, and the dog does not mind at all. ";

/// Source code as it stands in a JSON string: quotes, backslashes, tabs and line breaks everywhere.
pub(crate) const CODE: &str =
    r#"\tif name == \"x\" {\n\t\treturn fmt.Errorf(\"bad \\\"%s\\\"\\n\", name)\n\t}\n"#;

/// Most bytes of one text of a conversation.
const TEXT: usize = 8 << 10;

/// A request of about `size` bytes: instructions, two tools, and rounds of a question, a call,
/// its result and an answer. `text` is escaped already.
pub(crate) fn request(protocol: Protocol, size: usize, text: &str) -> String {
    let text = text.repeat(TEXT / text.len());
    let rounds = (size / (4 * text.len())).max(1);
    let turns = |round: fn(usize, &str) -> String| {
        (0..rounds).map(|n| round(n, &text)).collect::<Vec<_>>().join(",")
    };
    let schema = r#"{"type":"object","properties":{"path":{"type":"string","description":"Where"},"lines":{"type":"integer"}},"required":["path"]}"#;
    match protocol {
        Protocol::Anthropic => format!(
            r#"{{"model":"claude-sonnet-4-5","max_tokens":1024,"stream":true,"system":[{{"type":"text","text":"Be brief.","cache_control":{{"type":"ephemeral"}}}}],"tools":[{{"name":"read","description":"Reads","input_schema":{schema}}},{{"name":"list","input_schema":{schema}}}],"messages":[{},{{"role":"user","content":"Go on."}}]}}"#,
            turns(|n, text| format!(
                r#"{{"role":"user","content":[{{"type":"text","text":"{text}"}}]}},{{"role":"assistant","content":[{{"type":"text","text":"{text}"}},{{"type":"tool_use","id":"toolu_{n}","name":"read","input":{{"path":"a/{n}"}}}}]}},{{"role":"user","content":[{{"type":"tool_result","tool_use_id":"toolu_{n}","content":[{{"type":"text","text":"{text}"}}]}}]}},{{"role":"assistant","content":"{text}"}}"#
            )),
        ),
        Protocol::OpenAiChat => format!(
            r#"{{"model":"gpt-5.1","stream":true,"max_completion_tokens":1024,"tools":[{{"type":"function","function":{{"name":"read","description":"Reads","parameters":{schema}}}}},{{"type":"function","function":{{"name":"list","parameters":{schema}}}}}],"messages":[{{"role":"system","content":"Be brief."}},{},{{"role":"user","content":"Go on."}}]}}"#,
            turns(|n, text| format!(
                r#"{{"role":"user","content":[{{"type":"text","text":"{text}"}}]}},{{"role":"assistant","content":"{text}","tool_calls":[{{"id":"call_{n}","type":"function","function":{{"name":"read","arguments":"{{\"path\":\"a/{n}\"}}"}}}}]}},{{"role":"tool","tool_call_id":"call_{n}","content":"{text}"}},{{"role":"assistant","content":"{text}"}}"#
            )),
        ),
        Protocol::OpenAiResponses => format!(
            r#"{{"model":"gpt-5.1","stream":true,"max_output_tokens":1024,"store":false,"instructions":"Be brief.","tools":[{{"type":"function","name":"read","description":"Reads","parameters":{schema},"strict":false}},{{"type":"function","name":"list","parameters":{schema},"strict":false}}],"input":[{},{{"role":"user","content":"Go on."}}]}}"#,
            turns(|n, text| format!(
                r#"{{"type":"message","role":"user","content":[{{"type":"input_text","text":"{text}"}}]}},{{"type":"message","role":"assistant","content":[{{"type":"output_text","text":"{text}","annotations":[]}}]}},{{"type":"function_call","call_id":"call_{n}","name":"read","arguments":"{{\"path\":\"a/{n}\"}}"}},{{"type":"function_call_output","call_id":"call_{n}","output":"{text}"}},{{"type":"message","role":"assistant","content":[{{"type":"output_text","text":"{text}"}}]}}"#
            )),
        ),
        Protocol::Gemini => format!(
            r#"{{"systemInstruction":{{"parts":[{{"text":"Be brief."}}]}},"generationConfig":{{"maxOutputTokens":1024}},"tools":[{{"functionDeclarations":[{{"name":"read","description":"Reads","parameters":{schema}}},{{"name":"list","parameters":{schema}}}]}}],"contents":[{},{{"role":"user","parts":[{{"text":"Go on."}}]}}]}}"#,
            turns(|n, text| format!(
                r#"{{"role":"user","parts":[{{"text":"{text}"}}]}},{{"role":"model","parts":[{{"text":"{text}"}},{{"functionCall":{{"id":"call_{n}","name":"read","args":{{"path":"a/{n}"}}}}}}]}},{{"role":"user","parts":[{{"functionResponse":{{"id":"call_{n}","name":"read","response":{{"output":"{text}"}}}}}}]}},{{"role":"model","parts":[{{"text":"{text}"}}]}}"#
            )),
        ),
        Protocol::DashScope => format!(
            r#"{{"model":"qwen-plus","parameters":{{"result_format":"message","incremental_output":true,"max_tokens":1024,"tools":[{{"type":"function","function":{{"name":"read","description":"Reads","parameters":{schema}}}}},{{"type":"function","function":{{"name":"list","parameters":{schema}}}}}]}},"input":{{"messages":[{{"role":"system","content":"Be brief."}},{},{{"role":"user","content":"Go on."}}]}}}}"#,
            turns(|n, text| format!(
                r#"{{"role":"user","content":"{text}"}},{{"role":"assistant","content":"{text}","tool_calls":[{{"id":"call_{n}","type":"function","function":{{"name":"read","arguments":"{{\"path\":\"a/{n}\"}}"}}}}]}},{{"role":"tool","tool_call_id":"call_{n}","content":"{text}"}},{{"role":"assistant","content":"{text}"}}"#
            )),
        ),
        other => panic!("no request of {other}"),
    }
}

/// A finished answer of about `size` bytes: thinking, words and a call. `text` is escaped already.
pub(crate) fn answer(protocol: Protocol, size: usize, text: &str) -> String {
    let text = text.repeat((size / 2 / text.len()).max(1));
    match protocol {
        Protocol::Anthropic => format!(
            r#"{{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{{"type":"thinking","thinking":"{text}","signature":"c2lnbmVk"}},{{"type":"text","text":"{text}"}},{{"type":"tool_use","id":"toolu_1","name":"read","input":{{"path":"a"}}}}],"stop_reason":"tool_use","stop_sequence":null,"usage":{{"input_tokens":9,"output_tokens":99}}}}"#
        ),
        Protocol::OpenAiChat => format!(
            r#"{{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"m","choices":[{{"index":0,"message":{{"role":"assistant","reasoning_content":"{text}","content":"{text}","tool_calls":[{{"id":"call_1","type":"function","function":{{"name":"read","arguments":"{{\"path\":\"a\"}}"}}}}]}},"finish_reason":"tool_calls"}}],"usage":{{"prompt_tokens":9,"completion_tokens":99,"total_tokens":108}}}}"#
        ),
        Protocol::OpenAiResponses => format!(
            r#"{{"id":"resp_1","object":"response","created_at":1,"model":"m","status":"completed","output":[{{"id":"rs_1","type":"reasoning","summary":[{{"type":"summary_text","text":"{text}"}}]}},{{"id":"msg_1","type":"message","status":"completed","role":"assistant","content":[{{"type":"output_text","text":"{text}","annotations":[]}}]}},{{"id":"fc_1","type":"function_call","status":"completed","call_id":"call_1","name":"read","arguments":"{{\"path\":\"a\"}}"}}],"usage":{{"input_tokens":9,"output_tokens":99,"total_tokens":108}}}}"#
        ),
        Protocol::Gemini => format!(
            r#"{{"candidates":[{{"content":{{"parts":[{{"text":"{text}","thought":true}},{{"text":"{text}"}},{{"functionCall":{{"id":"call_1","name":"read","args":{{"path":"a"}}}},"thoughtSignature":"c2lnbmVk"}}],"role":"model"}},"finishReason":"STOP","index":0}}],"usageMetadata":{{"promptTokenCount":9,"candidatesTokenCount":99,"totalTokenCount":108}},"modelVersion":"m","responseId":"r"}}"#
        ),
        Protocol::DashScope => format!(
            r#"{{"output":{{"choices":[{{"finish_reason":"tool_calls","message":{{"role":"assistant","reasoning_content":"{text}","content":"{text}","tool_calls":[{{"index":0,"id":"call_1","type":"function","function":{{"name":"read","arguments":"{{\"path\":\"a\"}}"}}}}]}}}}]}},"usage":{{"total_tokens":108,"output_tokens":99,"input_tokens":9}},"request_id":"r"}}"#
        ),
        other => panic!("no answer of {other}"),
    }
}

/// What the events of a stream bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Words.
    Text,
    /// Pieces of a call's arguments.
    Arguments,
    /// Thinking.
    Thinking,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Text, Self::Arguments, Self::Thinking];
}

/// What leads a stream to its first piece of `kind`.
pub(crate) fn stream_start(protocol: Protocol, kind: Kind) -> String {
    let mut out = String::new();
    let mut event = |name: &str, data: &str| push_event(&mut out, name, data);
    match protocol {
        Protocol::Anthropic => {
            event(
                "message_start",
                r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}}"#,
            );
            let block = match kind {
                Kind::Text => r#"{"type":"text","text":""}"#,
                Kind::Arguments => r#"{"type":"tool_use","id":"toolu_1","name":"read","input":{}}"#,
                Kind::Thinking => r#"{"type":"thinking","thinking":"","signature":""}"#,
            };
            event(
                "content_block_start",
                &format!(r#"{{"type":"content_block_start","index":0,"content_block":{block}}}"#),
            );
            if kind == Kind::Arguments {
                event(
                    "content_block_delta",
                    r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"path\":\""}}"#,
                );
            }
        }
        Protocol::OpenAiChat => {
            event("", &chat(r#"{"role":"assistant","content":""}"#));
            if kind == Kind::Arguments {
                event(
                    "",
                    &chat(
                        r#"{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"read","arguments":"{\"path\":\""}}]}"#,
                    ),
                );
            }
        }
        Protocol::OpenAiResponses => {
            event(
                "response.created",
                r#"{"type":"response.created","response":{"id":"resp_1","object":"response","created_at":1,"model":"m","status":"in_progress","output":[]},"sequence_number":0}"#,
            );
            let item = match kind {
                Kind::Text => {
                    r#"{"id":"item_1","type":"message","status":"in_progress","role":"assistant","content":[]}"#
                }
                Kind::Arguments => {
                    r#"{"id":"item_1","type":"function_call","status":"in_progress","call_id":"call_1","name":"read","arguments":""}"#
                }
                Kind::Thinking => r#"{"id":"item_1","type":"reasoning","summary":[]}"#,
            };
            event(
                "response.output_item.added",
                &format!(
                    r#"{{"type":"response.output_item.added","output_index":0,"item":{item},"sequence_number":1}}"#
                ),
            );
            match kind {
                Kind::Text => event(
                    "response.content_part.added",
                    r#"{"type":"response.content_part.added","item_id":"item_1","output_index":0,"content_index":0,"part":{"type":"output_text","text":"","annotations":[],"logprobs":[]},"sequence_number":2}"#,
                ),
                Kind::Arguments => event(
                    "response.function_call_arguments.delta",
                    r#"{"type":"response.function_call_arguments.delta","item_id":"item_1","output_index":0,"delta":"{\"path\":\"","sequence_number":2}"#,
                ),
                Kind::Thinking => event(
                    "response.reasoning_summary_part.added",
                    r#"{"type":"response.reasoning_summary_part.added","item_id":"item_1","output_index":0,"summary_index":0,"part":{"type":"summary_text","text":""},"sequence_number":2}"#,
                ),
            }
        }
        Protocol::Gemini => {
            if kind == Kind::Arguments {
                event("", &gemini(r#"{"functionCall":{"name":"read","willContinue":true}}"#, 0));
            }
        }
        Protocol::DashScope => {
            if kind == Kind::Arguments {
                let call = r#""content":"","tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"read","arguments":"{\"path\":\""}}]"#;
                event("result", &dashscope(call, 0));
            }
        }
        other => panic!("no stream of {other}"),
    }
    out
}

/// The `n`th piece of a stream, no two of them alike.
pub(crate) fn stream_event(protocol: Protocol, kind: Kind, n: usize) -> String {
    let mut out = String::new();
    let mut event = |name: &str, data: &str| push_event(&mut out, name, data);
    let words = format!("{n} more words ");
    match protocol {
        Protocol::Anthropic => {
            let delta = match kind {
                Kind::Text => format!(r#"{{"type":"text_delta","text":"{words}"}}"#),
                Kind::Arguments => {
                    format!(r#"{{"type":"input_json_delta","partial_json":"{words}"}}"#)
                }
                Kind::Thinking => format!(r#"{{"type":"thinking_delta","thinking":"{words}"}}"#),
            };
            event(
                "content_block_delta",
                &format!(r#"{{"type":"content_block_delta","index":0,"delta":{delta}}}"#),
            );
        }
        Protocol::OpenAiChat => event(
            "",
            &chat(&match kind {
                Kind::Text => format!(r#"{{"content":"{words}"}}"#),
                Kind::Arguments => format!(
                    r#"{{"tool_calls":[{{"index":0,"function":{{"arguments":"{words}"}}}}]}}"#
                ),
                Kind::Thinking => format!(r#"{{"reasoning_content":"{words}"}}"#),
            }),
        ),
        Protocol::OpenAiResponses => {
            let (name, place) = match kind {
                Kind::Text => ("response.output_text.delta", r#""content_index":0,"logprobs":[],"#),
                Kind::Arguments => ("response.function_call_arguments.delta", ""),
                Kind::Thinking => {
                    ("response.reasoning_summary_text.delta", r#""summary_index":0,"#)
                }
            };
            event(
                name,
                &format!(
                    r#"{{"type":"{name}","item_id":"item_1","output_index":0,{place}"delta":"{words}","sequence_number":{}}}"#,
                    n + 3
                ),
            );
        }
        Protocol::Gemini => event(
            "",
            &gemini(
                &match kind {
                    Kind::Text => format!(r#"{{"text":"{words}"}}"#),
                    Kind::Arguments => format!(
                        r#"{{"functionCall":{{"partialArgs":[{{"jsonPath":"$.path","stringValue":"{words}","willContinue":true}}],"willContinue":true}}}}"#
                    ),
                    Kind::Thinking => format!(r#"{{"text":"{words}","thought":true}}"#),
                },
                n,
            ),
        ),
        Protocol::DashScope => event(
            "result",
            &dashscope(
                &match kind {
                    Kind::Text => format!(r#""content":"{words}""#),
                    Kind::Arguments => format!(
                        r#""content":"","tool_calls":[{{"index":0,"id":"","type":"function","function":{{"arguments":"{words}"}}}}]"#
                    ),
                    Kind::Thinking => format!(r#""content":"","reasoning_content":"{words}""#),
                },
                n,
            ),
        ),
        other => panic!("no stream of {other}"),
    }
    out
}

fn push_event(out: &mut String, name: &str, data: &str) {
    if !name.is_empty() {
        writeln!(out, "event: {name}").expect("a string takes all");
    }
    write!(out, "data: {data}\n\n").expect("a string takes all");
}

fn chat(delta: &str) -> String {
    format!(
        r#"{{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","system_fingerprint":"fp_1","choices":[{{"index":0,"delta":{delta},"finish_reason":null}}]}}"#
    )
}

fn gemini(part: &str, n: usize) -> String {
    format!(
        r#"{{"candidates":[{{"content":{{"parts":[{part}],"role":"model"}},"index":0}}],"usageMetadata":{{"promptTokenCount":9,"candidatesTokenCount":{n},"totalTokenCount":{},"promptTokensDetails":[{{"modality":"TEXT","tokenCount":9}}]}},"modelVersion":"m","responseId":"r"}}"#,
        n + 9
    )
}

fn dashscope(message: &str, n: usize) -> String {
    format!(
        r#"{{"output":{{"choices":[{{"message":{{{message},"role":"assistant"}},"index":0,"finish_reason":"null"}}]}},"usage":{{"total_tokens":{},"output_tokens":{n},"input_tokens":9,"prompt_tokens_details":{{"cached_tokens":0}}}},"request_id":"r"}}"#,
        n + 9
    )
}
