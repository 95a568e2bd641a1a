//! Translations: blocks, seals, cache marks, Codex's tools, schemas, reasoning, missing pairs, headers.

use serde_json::{Value, json};
use tower_llm_gateway::protocol::Protocol::{
    self, Anthropic, DashScope, Gemini, OpenAiChat, OpenAiResponses,
};

use crate::ask::{self, post, question};
use crate::listen::{self, Piece};
use crate::speak::{self, INPUT, OUTPUT};
use crate::wire::{Feeder, Passed, pass, streaming, to, whole};

async fn ask_whole(caller: Protocol, vendor: Protocol, body: &Value) -> Passed {
    let answer = whole(200, "application/json", speak::document(vendor).to_string());
    pass(&to(vendor), post(caller, false, body), answer).await
}

/// How often this member stands anywhere in a document, and its values.
fn members<'v>(value: &'v Value, name: &str) -> Vec<&'v Value> {
    let mut found = Vec::new();
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                if key == name {
                    found.push(value);
                }
                found.extend(members(value, name));
            }
        }
        Value::Array(items) => items.iter().for_each(|item| found.extend(members(item, name))),
        _ => {}
    }
    found
}

/// Blocks lose their first piece, get deltas of another type, or run into each other when tools are
/// called at once.
#[tokio::test]
async fn trap_01_blocks_of_a_messages_stream_stay_whole() {
    for vendor in Protocol::ALL {
        for caller in Protocol::ALL {
            let feeder = Feeder::default();
            speak::events(vendor).into_iter().for_each(|event| feeder.push(event));
            feeder.end();
            let passed = pass(&to(vendor), question(caller, true), streaming(&feeder)).await;
            let out = passed.text().await;
            if caller == vendor {
                assert_eq!(out, speak::events(vendor).concat());
                // Its calls are interleaved; the reader of the test takes what is written here.
                continue;
            }
            let heard = listen::stream(caller, &out);
            assert_eq!(heard.pieces, speak::expected(), "{vendor} to {caller}: {out}");
            assert_eq!(heard.usage, Some((INPUT, OUTPUT)), "{vendor} to {caller}: {out}");
        }
    }
}

/// The vendor's own signature of the call is not sent back, and the next turn is refused.
#[tokio::test]
async fn trap_02_thought_signatures_come_back() {
    for caller in Protocol::ALL {
        for (stream, signed_by) in
            [(false, Gemini), (true, Gemini), (false, Anthropic), (true, Anthropic)]
        {
            if caller == signed_by {
                continue;
            }
            let name = format!("{caller} {signed_by}, stream: {stream}");
            let layer = to(signed_by);
            let passed = pass(&layer, question(caller, stream), signed(signed_by, stream)).await;
            let out = passed.text().await;
            let next = replay(caller, stream, &out);
            let answer = whole(200, "application/json", speak::document(signed_by).to_string());
            let passed = pass(&layer, post(caller, stream, &next), answer).await;
            assert_eq!(passed.status, 200, "{name}");
            let sent = passed.request();
            if signed_by == Gemini {
                let parts: Vec<_> = members(&sent, "parts")
                    .into_iter()
                    .filter_map(Value::as_array)
                    .flatten()
                    .collect();
                let call =
                    parts.iter().find(|part| part.get("functionCall").is_some()).expect(&name);
                assert_eq!(call["thoughtSignature"], SEAL, "{name}: {sent}");
                assert_eq!(call["functionCall"]["args"], json!({"city": "Ulm"}), "{name}");
            } else {
                let blocks = sent["messages"][1]["content"].as_array().expect(&name);
                assert_eq!(blocks[0]["type"], "thinking", "{name}: {sent}");
                assert_eq!(blocks[0]["thinking"], "Hm.", "{name}: {sent}");
                assert_eq!(blocks[0]["signature"], SEAL, "{name}: {sent}");
                assert_eq!(blocks[1]["type"], "tool_use", "{name}: {sent}");
            }
            // And to no other vendor: the same history, elsewhere.
            for other in Protocol::ALL {
                if other == signed_by {
                    continue;
                }
                let answer = whole(200, "application/json", speak::document(other).to_string());
                let elsewhere = to(other).vendors_change(true);
                let passed = pass(&elsewhere, post(caller, stream, &next), answer).await;
                assert_eq!(passed.status, 200, "{name} then {other}");
                let sent = passed.request().to_string();
                assert!(
                    !sent.contains(SEAL) && !sent.contains("llmx1."),
                    "{name} then {other}: {sent}"
                );
            }
        }
    }
}

const SEAL: &str = "RXFvQnNlYWw+/0==";

/// A call that was thought of before, with a seal where the vendor has such.
fn signed(vendor: Protocol, stream: bool) -> http::Response<crate::wire::Feed> {
    let call = json!({"id": "call_1", "type": "function", "index": 0,
        "function": {"name": "weather", "arguments": r#"{"city":"Ulm"}"#}});
    let message = json!({"role": "assistant", "content": "", "reasoning_content": "Hm.", "tool_calls": [call]});
    let choice = json!({"index": 0, "message": message, "finish_reason": "tool_calls"});
    let document = match vendor {
        Gemini => {
            json!({"candidates": [{"index": 0, "finishReason": "STOP", "content": {"role": "model", "parts": [
            {"functionCall": {"name": "weather", "args": {"city": "Ulm"}}, "thoughtSignature": SEAL},
        ]}}], "modelVersion": "m", "responseId": "r1",
        "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}})
        }
        Anthropic => {
            json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [
            {"type": "thinking", "thinking": "Hm.", "signature": SEAL},
            {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Ulm"}},
        ], "stop_reason": "tool_use", "stop_sequence": null, "usage": {"input_tokens": 1, "output_tokens": 1}})
        }
        OpenAiChat => {
            json!({"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice],
                "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}})
        }
        DashScope => json!({"request_id": "r1", "output": {"choices": [choice]},
            "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}}),
        other => panic!("{other}"),
    };
    if stream && vendor == Gemini {
        return whole(200, "text/event-stream", format!("data: {document}\n\n"));
    }
    // A caller that asked for a stream gets one, also of a document.
    whole(200, "application/json", document.to_string())
}

/// The next request of a client that keeps what those of its protocol keep.
fn replay(caller: Protocol, stream: bool, answer: &str) -> Value {
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    let mut body = ask::with_tools(caller, stream, &schema);
    let documents: Vec<Value> = if stream {
        let data = answer.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim);
        data.filter(|data| *data != "[DONE]")
            .map(|data| serde_json::from_str(data).unwrap())
            .collect()
    } else {
        vec![serde_json::from_str(answer).unwrap()]
    };
    let push = |list: &mut Value, more: Value| list.as_array_mut().unwrap().push(more);
    match caller {
        Anthropic => {
            let content =
                if stream { blocks_of(&documents) } else { documents[0]["content"].clone() };
            let id = content.as_array().unwrap().last().unwrap()["id"].clone();
            push(&mut body["messages"], json!({"role": "assistant", "content": content}));
            push(
                &mut body["messages"],
                json!({"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": id, "content": "Sun"}]}),
            );
        }
        OpenAiResponses => {
            let last = documents.last().unwrap();
            let output = if stream { &last["response"]["output"] } else { &last["output"] };
            for item in output.as_array().unwrap() {
                push(&mut body["input"], item.clone());
            }
            let id = output.as_array().unwrap().last().unwrap()["call_id"].clone();
            push(
                &mut body["input"],
                json!({"type": "function_call_output", "call_id": id, "output": "Sun"}),
            );
        }
        Gemini => {
            let mut parts = Vec::new();
            for document in &documents {
                parts.extend(
                    document["candidates"][0]["content"]["parts"]
                        .as_array()
                        .into_iter()
                        .flatten()
                        .cloned(),
                );
            }
            let id = parts.iter().find_map(|part| part["functionCall"].get("id").cloned());
            push(&mut body["contents"], json!({"role": "model", "parts": parts}));
            let mut result = json!({"name": "weather", "response": {"output": "Sun"}});
            if let Some(id) = id {
                result["id"] = id;
            }
            push(
                &mut body["contents"],
                json!({"role": "user", "parts": [{"functionResponse": result}]}),
            );
        }
        _ => {
            // Words and calls, as the SDKs keep them: their arguments may have come in pieces.
            let (choices, messages) = if caller == OpenAiChat {
                ("/choices/0", &mut body["messages"])
            } else {
                ("/output/choices/0", &mut body["input"]["messages"])
            };
            let (mut id, mut arguments, mut thought) = Default::default();
            let add = |text: &mut String, more: &Value| *text += more.as_str().unwrap_or_default();
            for document in &documents {
                let Some(choice) = document.pointer(choices) else { continue };
                let said = choice.get("delta").unwrap_or(&choice["message"]);
                let call = &said["tool_calls"][0];
                add(&mut id, &call["id"]);
                add(&mut arguments, &call["function"]["arguments"]);
                add(&mut thought, &said["reasoning_content"]);
            }
            push(
                messages,
                json!({"role": "assistant", "content": "", "reasoning_content": thought, "tool_calls": [
                {"id": id, "type": "function", "function": {"name": "weather", "arguments": arguments}}]}),
            );
            push(messages, json!({"role": "tool", "tool_call_id": id, "content": "Sun"}));
        }
    }
    body
}

/// The content of a stream of Messages.
fn blocks_of(events: &[Value]) -> Value {
    let mut blocks: Vec<Value> = Vec::new();
    let mut input = String::new();
    for event in events {
        let delta = &event["delta"];
        let add = |block: &mut Value, name: &str| {
            let before = block[name].as_str().unwrap_or_default().to_owned();
            block[name] = json!(before + delta[name].as_str().unwrap());
        };
        match (event["type"].as_str().unwrap(), delta["type"].as_str()) {
            ("content_block_start", _) => blocks.push(event["content_block"].clone()),
            (_, Some("thinking_delta")) => add(blocks.last_mut().unwrap(), "thinking"),
            (_, Some("signature_delta")) => add(blocks.last_mut().unwrap(), "signature"),
            (_, Some("text_delta")) => add(blocks.last_mut().unwrap(), "text"),
            (_, Some("input_json_delta")) => input += delta["partial_json"].as_str().unwrap(),
            _ => {}
        }
    }
    blocks.last_mut().unwrap()["input"] = serde_json::from_str(&input).unwrap();
    json!(blocks)
}

/// A session moves on to another vendor, which refuses signatures that are not its own.
#[tokio::test]
async fn trap_03_foreign_signatures_stay_at_home() {
    for vendor in Protocol::ALL {
        let history = [
            (
                Anthropic,
                json!({"model": "m", "max_tokens": 9, "messages": [
                {"role": "user", "content": "a"},
                {"role": "assistant", "content": [
                    {"type": "thinking", "thinking": "t", "signature": SEAL},
                    {"type": "redacted_thinking", "data": SEAL},
                    {"type": "text", "text": "kept words"}]},
                {"role": "user", "content": "b"}]}),
            ),
            (
                OpenAiResponses,
                json!({"model": "m", "store": false, "input": [
                {"role": "user", "content": "a"},
                {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": SEAL},
                {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "kept words", "annotations": []}]},
                {"role": "user", "content": "b"}]}),
            ),
            (
                Gemini,
                json!({"contents": [
                {"role": "user", "parts": [{"text": "a"}]},
                {"role": "model", "parts": [{"text": "kept words", "thoughtSignature": SEAL}]},
                {"role": "user", "parts": [{"text": "b"}]}]}),
            ),
        ];
        for (caller, body) in history {
            let passed = ask_whole(caller, vendor, &body).await;
            assert_eq!(passed.status, 200, "{caller} {vendor}");
            let sent = passed.request().to_string();
            assert!(sent.contains("kept words"), "{caller} {vendor}: {sent}");
            assert_eq!(sent.contains(SEAL), caller == vendor, "{caller} {vendor}: {sent}");
        }
    }
}

/// Marks and keys of prompt caches get lost, are one too many, or the prefix is another each time:
/// everything is paid in full.
#[tokio::test]
async fn trap_04_prompt_caches_hit() {
    let marked = |kind: Value, more: Value| {
        let mut block = json!({"cache_control": kind});
        block.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        block
    };
    let hour = json!({"type": "ephemeral", "ttl": "1h"});
    let brief = json!({"type": "ephemeral"});
    let text = |text: &str| json!({"type": "text", "text": text});
    let body = json!({
        "model": "m", "max_tokens": 9,
        "tools": [marked(hour.clone(), json!({"name": "weather", "input_schema": {"type": "object"}}))],
        "system": [marked(hour.clone(), text("You help."))],
        "messages": [
            {"role": "user", "content": [marked(brief.clone(), text("a"))]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}]},
            {"role": "user", "content": [
                marked(brief.clone(), json!({"type": "tool_result", "tool_use_id": "toolu_1", "content": "Sun"}))]},
        ],
    });
    // The same protocol: not a byte.
    let passed = ask_whole(Anthropic, Anthropic, &body).await;
    assert_eq!(passed.sent.as_ref().unwrap().1, body.to_string());
    // A mapped model: the marks stay, with their time to live.
    let upstream = tower_llm_gateway::context::Upstream::new("http://vendor", Anthropic).unwrap();
    let layer = tower_llm_gateway::ProviderTranslateLayer::to(upstream.map_model("m", "other"));
    let answer = whole(200, "application/json", speak::document(Anthropic).to_string());
    let sent = pass(&layer, post(Anthropic, false, &body), answer).await.request();
    let marks = members(&sent, "cache_control");
    assert_eq!(marks.iter().filter(|mark| mark["ttl"] == "1h").count(), 2, "{sent}");
    assert_eq!(marks.len(), 4, "{sent}");
    for vendor in Protocol::ALL {
        let passed = ask_whole(Anthropic, vendor, &body).await;
        let first = passed.sent.clone().unwrap().1;
        let again = ask_whole(Anthropic, vendor, &body).await.sent.unwrap().1;
        assert_eq!(first, again, "{vendor}: the same request, other bytes");
        let sent = passed.request();
        let marks = members(&sent, "cache_control");
        assert!(marks.len() <= 4, "{vendor}: {sent}");
        // Where there are no marks, each is named as lost.
        let named =
            passed.report.losses().iter().filter(|loss| loss.pointer.ends_with("/cache_control"));
        assert!(marks.len() + named.count() >= 4, "{vendor}: {} of {sent}", passed.report);
    }
    // What was said does not change when more is said.
    for vendor in Protocol::ALL {
        for caller in Protocol::ALL.into_iter().filter(|caller| *caller != vendor) {
            let one = replay(caller, false, &translated_call(caller).await);
            let mut two = one.clone();
            let (list, more) = match caller {
                Gemini => (
                    "/contents",
                    json!([{"role": "model", "parts": [{"text": "y"}]}, {"role": "user", "parts": [{"text": "z"}]}]),
                ),
                OpenAiResponses => (
                    "/input",
                    json!([{"role": "assistant", "content": "y"}, {"role": "user", "content": "z"}]),
                ),
                DashScope => (
                    "/input/messages",
                    json!([{"role": "assistant", "content": "y"}, {"role": "user", "content": "z"}]),
                ),
                _ => (
                    "/messages",
                    json!([{"role": "assistant", "content": "y"}, {"role": "user", "content": "z"}]),
                ),
            };
            two.pointer_mut(list)
                .unwrap()
                .as_array_mut()
                .unwrap()
                .extend(more.as_array().unwrap().clone());
            let bytes = async |body: &Value| {
                let sent = ask_whole(caller, vendor, body).await.request();
                let turns = match vendor {
                    Gemini => &sent["contents"],
                    OpenAiResponses => &sent["input"],
                    DashScope => &sent["input"]["messages"],
                    _ => &sent["messages"],
                };
                turns.as_array().unwrap().iter().map(Value::to_string).collect::<Vec<_>>()
            };
            let (short, long) = (bytes(&one).await, bytes(&two).await);
            assert!(long.len() > short.len(), "{caller} {vendor}");
            assert_eq!(short[..], long[..short.len()], "{caller} {vendor}");
        }
    }
}

/// A call of a tool, as the caller hears it.
async fn translated_call(caller: Protocol) -> String {
    let vendor = if caller == Gemini { Anthropic } else { Gemini };
    pass(&to(vendor), question(caller, false), signed(vendor, false)).await.text().await
}

/// Codex declares free text tools, tools in namespaces and more tools on the way; they vanish, and
/// the model never calls one.
#[tokio::test]
async fn trap_05_codex_keeps_its_tools() {
    let codex = |stream: bool| {
        json!({
            "model": "m", "store": false, "stream": stream, "instructions": "You code.",
            "tools": [
                {"type": "custom", "name": "apply_patch", "description": "d",
                    "format": {"type": "grammar", "syntax": "lark", "definition": "start: /a+/"}},
                {"type": "namespace", "name": "files", "description": "d", "tools": [
                    {"type": "function", "name": "open", "description": "d", "strict": false,
                        "parameters": {"type": "object", "properties": {"path": {"type": "string"}}}}]},
            ],
            "input": [
                {"type": "additional_tools", "role": "developer", "tools": [
                    {"type": "function", "name": "later", "description": "d", "strict": false,
                        "parameters": {"type": "object", "properties": {}}}]},
                {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Patch"}]},
                {"type": "custom_tool_call", "call_id": "call_0", "name": "apply_patch", "input": "old \"patch\""},
                {"type": "custom_tool_call_output", "call_id": "call_0", "output": "done"},
            ],
        })
    };
    for vendor in [Anthropic, OpenAiChat, Gemini, DashScope] {
        for stream in [false, true] {
            let name = format!("{vendor}, stream: {stream}");
            let passed = pass(
                &to(vendor),
                post(OpenAiResponses, stream, &codex(stream)),
                whole(200, "application/json", "{}"),
            )
            .await;
            assert!(passed.sent.is_some(), "{name} was refused: {}", passed.status);
            let sent = passed.request();
            let names: Vec<_> =
                members(&sent, "name").into_iter().filter_map(Value::as_str).collect();
            let declared = |wanted: &str| names.iter().find(|name| name.contains(wanted)).copied();
            let patch = declared("apply_patch").unwrap_or_else(|| panic!("{name}: {sent}"));
            let open = declared("open").unwrap_or_else(|| panic!("{name}: {sent}"));
            assert!(declared("later").is_some(), "{name}: {sent}");
            let text = sent.to_string();
            assert!(text.contains("old ") && text.contains("done"), "{name}: {sent}");
            // Each of them is called, and comes back in Codex's own form.
            let argument = "*** \"Begin\"\n";
            let key = wrapped_key(&sent, patch);
            let input = match &key {
                Some(key) => json!({key.as_str(): argument}).to_string(),
                // Chat has free text tools of its own.
                None => argument.to_owned(),
            };
            let document = calling(vendor, patch, &input, key.is_none(), open);
            let answer = whole(200, "application/json", document.to_string());
            let out = pass(&to(vendor), post(OpenAiResponses, stream, &codex(stream)), answer)
                .await
                .text()
                .await;
            let response: Value = if stream {
                let last = out.lines().rfind(|line| line.starts_with("data:")).unwrap();
                serde_json::from_str::<Value>(&last[5..]).unwrap()["response"].clone()
            } else {
                serde_json::from_str(&out).unwrap()
            };
            let output = response["output"].as_array().unwrap();
            assert_eq!(output[0]["type"], "custom_tool_call", "{name}: {response}");
            assert_eq!(output[0]["name"], "apply_patch", "{name}: {response}");
            assert_eq!(output[0]["input"], argument, "{name}: {response}");
            assert_eq!(output[1]["type"], "function_call", "{name}: {response}");
            assert_eq!(output[1]["name"], "open", "{name}: {response}");
            assert_eq!(output[1]["namespace"], "files", "{name}: {response}");
            assert_eq!(output[1]["arguments"], r#"{"path":"a"}"#, "{name}: {response}");
        }
    }
}

/// The one member of the schema that a free text tool was wrapped in.
fn wrapped_key(sent: &Value, name: &str) -> Option<String> {
    let mut schemas = Vec::new();
    find_tools(sent, name, &mut schemas);
    let properties = schemas.iter().flat_map(|tool| members(tool, "properties"));
    properties.filter_map(Value::as_object).find_map(|members| members.keys().next().cloned())
}

fn find_tools<'v>(value: &'v Value, name: &str, found: &mut Vec<&'v Value>) {
    match value {
        Value::Object(object) => {
            if object.get("name").is_some_and(|it| it == name) {
                found.push(value);
            }
            object.values().for_each(|value| find_tools(value, name, found));
        }
        Value::Array(items) => items.iter().for_each(|item| find_tools(item, name, found)),
        _ => {}
    }
}

/// An answer with two calls.
fn calling(vendor: Protocol, patch: &str, input: &str, custom: bool, open: &str) -> Value {
    let parsed = || serde_json::from_str::<Value>(input).unwrap();
    let path = json!({"path": "a"});
    match vendor {
        Anthropic => {
            json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [
                {"type": "tool_use", "id": "toolu_1", "name": patch, "input": parsed()},
                {"type": "tool_use", "id": "toolu_2", "name": open, "input": path}],
            "stop_reason": "tool_use", "stop_sequence": null, "usage": {"input_tokens": 1, "output_tokens": 1}})
        }
        Gemini => {
            json!({"candidates": [{"index": 0, "finishReason": "STOP", "content": {"role": "model", "parts": [
                {"functionCall": {"name": patch, "args": parsed()}},
                {"functionCall": {"name": open, "args": path}}]}}], "modelVersion": "m", "responseId": "r1",
            "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}})
        }
        _ => {
            let first = if custom {
                json!({"id": "call_1", "type": "custom", "custom": {"name": patch, "input": input}})
            } else {
                json!({"id": "call_1", "type": "function", "function": {"name": patch, "arguments": input}})
            };
            let second = json!({"id": "call_2", "type": "function", "function": {"name": open, "arguments": path.to_string()}});
            let message =
                json!({"role": "assistant", "content": "", "tool_calls": [first, second]});
            let choice = json!({"index": 0, "message": message, "finish_reason": "tool_calls"});
            if vendor == OpenAiChat {
                json!({"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice],
                    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}})
            } else {
                json!({"request_id": "r1", "output": {"choices": [choice]},
                    "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}})
            }
        }
    }
}

/// Calls without arguments are no JSON, and properties named like words of the schema language are
/// taken for those.
#[tokio::test]
async fn trap_06_tools_and_schemas_stay_whole() {
    let words = [
        "type",
        "properties",
        "required",
        "items",
        "enum",
        "default",
        "format",
        "title",
        "additionalProperties",
        "anyOf",
        "$ref",
        "const",
        "pattern",
        "description",
        "nullable",
    ];
    let mut properties = serde_json::Map::new();
    for word in words {
        properties.insert(
            word.to_owned(),
            json!({"type": "string", "description": format!("the {word}")}),
        );
    }
    let schema = json!({"type": "object", "properties": properties, "required": words});
    for caller in Protocol::ALL {
        for vendor in Protocol::ALL {
            let name = format!("{caller} {vendor}");
            let passed = ask_whole(caller, vendor, &ask::with_tools(caller, false, &schema)).await;
            assert_eq!(passed.status, 200, "{name}");
            let sent = passed.request();
            let found = ask::schema_in(vendor, &sent);
            for word in words {
                let property = &found["properties"][word];
                let kind = property["type"].as_str().unwrap_or_default().to_lowercase();
                assert_eq!(kind, "string", "{name} {word}: {found}");
                assert_eq!(property["description"], format!("the {word}"), "{name}: {found}");
            }
            assert_eq!(found["required"], json!(words), "{name}");
        }
    }
    // No arguments, in each spelling of nothing.
    for vendor in Protocol::ALL {
        for caller in Protocol::ALL.into_iter().filter(|caller| *caller != vendor) {
            for answer in nothing(vendor) {
                let name = format!("{vendor} to {caller}: {answer}");
                let whole = whole(200, "application/json", answer.to_string());
                let out = pass(&to(vendor), question(caller, false), whole).await.text().await;
                let heard = listen::document(caller, &serde_json::from_str(&out).unwrap());
                assert_eq!(
                    heard.pieces,
                    [Piece::Call("clock".into(), json!({}))],
                    "{name} gave {out}"
                );
                let whole = crate::wire::whole(200, "application/json", answer.to_string());
                let out = pass(&to(vendor), question(caller, true), whole).await.text().await;
                let heard = listen::stream(caller, &out);
                assert_eq!(
                    heard.pieces,
                    [Piece::Call("clock".into(), json!({}))],
                    "{name} gave {out}"
                );
            }
        }
    }
}

/// An answer that calls `clock` with nothing.
fn nothing(vendor: Protocol) -> Vec<Value> {
    let with = |spelling: &str, key: &str, name: &str| {
        let mut answer = calling(vendor, "clock", "{}", false, "open");
        // Only the first call.
        for calls in [
            "/content",
            "/candidates/0/content/parts",
            "/choices/0/message/tool_calls",
            "/output/choices/0/message/tool_calls",
        ] {
            if let Some(calls) = answer.pointer_mut(calls).and_then(Value::as_array_mut) {
                calls.truncate(1);
                let call = if name.is_empty() { &mut calls[0] } else { &mut calls[0][name] };
                let call = call.as_object_mut().unwrap();
                match spelling {
                    "absent" => drop(call.remove(key)),
                    text => drop(call.insert(key.to_owned(), serde_json::from_str(text).unwrap())),
                }
            }
        }
        answer
    };
    match vendor {
        Anthropic => vec![with("{}", "input", "")],
        Gemini => vec![with("{}", "args", "functionCall"), with("absent", "args", "functionCall")],
        OpenAiResponses => ["", "{}"]
            .map(|arguments| json!({"id": "resp_1", "object": "response", "created_at": 1, "status": "completed",
                "model": "m", "error": null, "incomplete_details": null,
                "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2},
                "output": [{"type": "function_call", "id": "fc_1", "call_id": "call_1", "status": "completed",
                    "name": "clock", "arguments": arguments}]}))
            .to_vec(),
        _ => vec![with("\"\"", "arguments", "function"), with("\"{}\"", "arguments", "function")],
    }
}

/// Some vendors want their own reasoning back, and refuse without; elsewhere it stands between the
/// words as `<think>`.
#[tokio::test]
async fn trap_07_reasoning_comes_back_and_never_leaks() {
    for vendor in [OpenAiChat, DashScope] {
        for caller in Protocol::ALL.into_iter().filter(|caller| *caller != vendor) {
            for stream in [false, true] {
                let name = format!("{caller} {vendor}, stream: {stream}");
                let layer = to(vendor);
                let passed = pass(&layer, question(caller, stream), signed(vendor, stream)).await;
                let out = passed.text().await;
                assert!(out.contains("Hm.") && !out.contains("<think>"), "{name}: {out}");
                let next = replay(caller, stream, &out);
                let answer = whole(200, "application/json", speak::document(vendor).to_string());
                let sent = pass(&layer, post(caller, stream, &next), answer).await.request();
                let echoed = members(&sent, "reasoning_content");
                assert_eq!(echoed, [&json!("Hm.")], "{name}: {sent}");
                assert!(!sent.to_string().contains("<think>"), "{name}: {sent}");
            }
        }
    }
    for vendor in Protocol::ALL {
        for caller in Protocol::ALL.into_iter().filter(|caller| *caller != vendor) {
            let answer = whole(200, "application/json", speak::document(vendor).to_string());
            let out = pass(&to(vendor), question(caller, false), answer).await.text().await;
            let heard = listen::document(caller, &serde_json::from_str(&out).unwrap());
            assert_eq!(heard.text(), speak::WORDS.concat(), "{vendor} to {caller}");
        }
    }
}

/// A pair that nobody wrote answers 500.
#[tokio::test]
async fn trap_08_there_is_no_missing_pair() {
    for caller in Protocol::ALL {
        for vendor in Protocol::ALL {
            for stream in [false, true] {
                let name = format!("{caller} {vendor}, stream: {stream}");
                let answer = whole(200, "application/json", speak::document(vendor).to_string());
                let passed = pass(&to(vendor), question(caller, stream), answer).await;
                assert_eq!(passed.status, 200, "{name}");
                let out = passed.text().await;
                if caller == vendor {
                    continue;
                }
                let heard = if stream {
                    listen::stream(caller, &out)
                } else {
                    listen::document(caller, &serde_json::from_str(&out).unwrap())
                };
                assert_eq!(heard.pieces, speak::expected(), "{name}");
                assert_eq!(heard.usage, Some((INPUT, OUTPUT)), "{name}");
            }
            // What cannot be read, or cannot be carried, is nobody's 500.
            for body in ["{", "[]", "{\"messages\":7}", ""] {
                let mut request = question(caller, false);
                *request.body_mut() = body.into();
                let answer = whole(400, "application/json", "{}");
                let passed = pass(&to(vendor), request, answer).await;
                assert_eq!(passed.status, 400, "{caller} {vendor} {body}");
            }
            for (said, status) in [("<html>", 502), ("{\"id\":", 502)] {
                let answer = whole(200, "application/json", said);
                let passed = pass(&to(vendor), question(caller, false), answer).await;
                let expected = if caller == vendor { 200 } else { status };
                assert_eq!(passed.status, expected, "{caller} {vendor} {said}");
            }
        }
    }
}

/// Beta headers are stripped where they matter, and forwarded where they are refused.
#[tokio::test]
async fn trap_09_headers_go_where_they_belong() {
    let owners: [(&str, &[Protocol]); 6] = [
        ("anthropic-beta", &[Anthropic]),
        ("anthropic-dangerous-direct-browser-access", &[Anthropic]),
        ("openai-beta", &[OpenAiChat, OpenAiResponses]),
        ("openai-organization", &[OpenAiChat, OpenAiResponses]),
        ("x-dashscope-datainspection", &[DashScope]),
        ("traceparent", &Protocol::ALL),
    ];
    for caller in Protocol::ALL {
        for vendor in Protocol::ALL {
            let mut request = question(caller, false);
            for (name, _) in owners {
                request.headers_mut().insert(name, "value-1".parse().unwrap());
            }
            request.headers_mut().insert("anthropic-version", "2099-01-01".parse().unwrap());
            let answer = whole(200, "application/json", speak::document(vendor).to_string());
            let passed = pass(&to(vendor), request, answer).await;
            let headers = passed.request_headers();
            for (name, owner) in owners {
                let expected = caller == vendor || owner.contains(&vendor);
                assert_eq!(headers.contains_key(name), expected, "{caller} {vendor} {name}");
            }
            if vendor == Anthropic {
                assert_eq!(headers["anthropic-version"], "2099-01-01", "{caller}");
            }
            // The caller's credential never goes upstream.
            for (name, value) in headers {
                let value = value.to_str().unwrap_or_default();
                assert!(!value.contains("callers-key"), "{caller} {vendor} {name}");
            }
        }
        // Without a word of the caller's the version is there all the same.
        let answer = whole(200, "application/json", speak::document(Anthropic).to_string());
        let passed = pass(&to(Anthropic), question(caller, false), answer).await;
        if caller != Anthropic {
            assert_eq!(passed.request_headers()["anthropic-version"], "2023-06-01", "{caller}");
        }
    }
}
