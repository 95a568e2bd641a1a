//! Callers: they keep of an answer what the clients of their protocol keep.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};
use tower_llm_gateway::protocol::Protocol::{
    self, Anthropic, DashScope, Gemini, OpenAiChat, OpenAiResponses,
};

use crate::script::{CallSeen, Said};
use crate::wire::{events, list, text};

pub(crate) struct Caller {
    protocol: Protocol,
    stream: bool,
    history: Vec<Value>,
}

impl Caller {
    pub(crate) fn new(protocol: Protocol, stream: bool) -> Self {
        let mut caller = Self { protocol, stream, history: Vec::new() };
        caller.say("What is the weather in Ulm?");
        caller
    }

    /// Whether its history has a place for what others seal, whatever it is beside.
    pub(crate) fn keeps_all(&self) -> bool {
        matches!(self.protocol, Anthropic | OpenAiResponses | Gemini)
    }

    fn say(&mut self, words: &str) {
        self.history.push(match self.protocol {
            Gemini => json!({"role": "user", "parts": [{"text": words}]}),
            _ => json!({"role": "user", "content": words}),
        });
    }

    pub(crate) fn request(&self) -> Request<Full<Bytes>> {
        let schema = json!({"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}});
        let tools = ["weather", "clock"];
        let tool = |name: &str| json!({"name": name, "description": "d", "parameters": schema});
        let functions = || tools.map(|name| json!({"type": "function", "function": tool(name)}));
        let (path, body) = match self.protocol {
            Anthropic => {
                let tools = tools.map(|name| json!({"name": name, "input_schema": schema}));
                let body = json!({
                    "model": "m", "max_tokens": 8192, "stream": self.stream, "tools": tools,
                    "thinking": {"type": "enabled", "budget_tokens": 2048},
                    "messages": self.history,
                });
                ("/v1/messages", body)
            }
            OpenAiResponses => {
                let tools = tools.map(|name| {
                    json!({"type": "function", "name": name, "parameters": schema, "strict": false})
                });
                let body = json!({
                    "model": "m", "store": false, "stream": self.stream, "tools": tools,
                    "reasoning": {"effort": "medium", "summary": "auto"},
                    "include": ["reasoning.encrypted_content"], "input": self.history,
                });
                ("/v1/responses", body)
            }
            OpenAiChat => {
                let body = json!({
                    "model": "m", "reasoning_effort": "medium", "stream": self.stream,
                    "tools": functions(), "messages": self.history,
                });
                ("/v1/chat/completions", body)
            }
            DashScope => {
                let body = json!({
                    "model": "m", "input": {"messages": self.history},
                    "parameters": {
                        "result_format": "message", "enable_thinking": true,
                        "thinking_budget": 2048, "incremental_output": self.stream,
                        "tools": functions(),
                    },
                });
                ("/api/v1/services/aigc/text-generation/generation", body)
            }
            _ => {
                let body = json!({
                    "tools": [{"functionDeclarations": tools.map(tool)}],
                    "generationConfig": {
                        "thinkingConfig": {"includeThoughts": true, "thinkingBudget": 2048},
                    },
                    "contents": self.history,
                });
                let path = if self.stream {
                    "/v1beta/models/m:streamGenerateContent?alt=sse"
                } else {
                    "/v1beta/models/m:generateContent"
                };
                (path, body)
            }
        };
        let mut request = Request::post(path).header("content-type", "application/json");
        if self.protocol == DashScope && self.stream {
            request = request.header("x-dashscope-sse", "enable");
        }
        request.body(Full::new(Bytes::from(body.to_string()))).unwrap()
    }

    /// Takes an answer: keeps it, runs its tools or asks on.
    pub(crate) fn take(&mut self, body: &str) -> Said {
        let said = match self.protocol {
            Anthropic => self.take_messages(body),
            OpenAiResponses => self.take_responses(body),
            Gemini => self.take_gemini(body),
            _ => self.take_chat(body),
        };
        if said.calls.is_empty() {
            self.say("And tomorrow?");
        } else {
            self.run(&said.calls);
        }
        said
    }

    fn run(&mut self, calls: &[CallSeen]) {
        let id = |call: &CallSeen| call.id.clone().expect("a call has an id");
        let answer = |call: &CallSeen| format!("{} says yes", call.name);
        match self.protocol {
            Anthropic => {
                let results: Vec<_> = calls
                    .iter()
                    .map(|call| json!({"type": "tool_result", "tool_use_id": id(call), "content": answer(call)}))
                    .collect();
                self.history.push(json!({"role": "user", "content": results}));
            }
            OpenAiResponses => self.history.extend(calls.iter().map(
                |call| json!({"type": "function_call_output", "call_id": id(call), "output": answer(call)}),
            )),
            Gemini => {
                let results: Vec<_> = calls
                    .iter()
                    .map(|call| {
                        let mut result = json!({"name": call.name, "response": {"output": answer(call)}});
                        if let Some(id) = &call.id {
                            result["id"] = json!(id);
                        }
                        json!({"functionResponse": result})
                    })
                    .collect();
                self.history.push(json!({"role": "user", "parts": results}));
            }
            _ => self.history.extend(calls.iter().map(
                |call| json!({"role": "tool", "tool_call_id": id(call), "content": answer(call)}),
            )),
        }
    }

    /// The whole content, block by block, as the SDK puts it together.
    fn take_messages(&mut self, body: &str) -> Said {
        let content: Vec<Value> = if self.stream {
            messages_content(&events(body))
        } else {
            let message: Value = serde_json::from_str(body).unwrap();
            list(&message["content"]).to_vec()
        };
        let mut said = Said::default();
        for block in &content {
            match block["type"].as_str().unwrap() {
                "text" => said.text.push_str(block["text"].as_str().unwrap()),
                "tool_use" => said.calls.push(CallSeen {
                    id: block["id"].as_str().map(str::to_owned),
                    name: text(&block["name"]),
                    arguments: block["input"].clone(),
                }),
                "thinking" => assert!(block["signature"].is_string(), "{block}"),
                _ => {}
            }
        }
        self.history.push(json!({"role": "assistant", "content": content}));
        said
    }

    /// All items of the output, as the examples of OpenAI do.
    fn take_responses(&mut self, body: &str) -> Said {
        let response: Value = if self.stream {
            let events = events(body);
            let last = events.last().unwrap();
            assert_eq!(last["type"], "response.completed");
            let done: Vec<_> = events
                .iter()
                .filter(|event| event["type"] == "response.output_item.done")
                .map(|event| event["item"].clone())
                .collect();
            assert_eq!(json!(done), last["response"]["output"]);
            last["response"].clone()
        } else {
            serde_json::from_str(body).unwrap()
        };
        let mut said = Said::default();
        for item in list(&response["output"]) {
            match item["type"].as_str().unwrap() {
                "message" => {
                    for part in list(&item["content"]) {
                        said.text.push_str(part["text"].as_str().unwrap());
                    }
                }
                "function_call" => said.calls.push(CallSeen {
                    id: item["call_id"].as_str().map(str::to_owned),
                    name: text(&item["name"]),
                    arguments: serde_json::from_str(item["arguments"].as_str().unwrap()).unwrap(),
                }),
                _ => {}
            }
            self.history.push(item.clone());
        }
        said
    }

    /// The content; of a stream each piece as a content of its own, as the SDK's chats keep it.
    fn take_gemini(&mut self, body: &str) -> Said {
        let answers =
            if self.stream { events(body) } else { vec![serde_json::from_str(body).unwrap()] };
        let mut said = Said::default();
        for answer in answers {
            let content = &answer["candidates"][0]["content"];
            let parts = list(&content["parts"]);
            for part in parts {
                if let Some(call) = part.get("functionCall") {
                    said.calls.push(CallSeen {
                        id: call["id"].as_str().map(str::to_owned),
                        name: text(&call["name"]),
                        arguments: call.get("args").cloned().unwrap_or_else(|| json!({})),
                    });
                } else if part["thought"] != true {
                    said.text.push_str(part["text"].as_str().unwrap_or_default());
                }
            }
            if !parts.is_empty() {
                self.history.push(json!({"role": "model", "parts": parts}));
            }
        }
        said
    }

    /// Words and calls, nothing else.
    fn take_chat(&mut self, body: &str) -> Said {
        let whole = |answer: &Value| {
            let choice = match self.protocol {
                DashScope => &answer["output"]["choices"][0],
                _ => &answer["choices"][0],
            };
            choice[if self.stream && self.protocol == OpenAiChat { "delta" } else { "message" }]
                .clone()
        };
        let messages: Vec<Value> = if self.stream {
            events(body).iter().map(whole).collect()
        } else {
            vec![whole(&serde_json::from_str(body).unwrap())]
        };
        let (mut words, mut calls) = (String::new(), Vec::<(String, String, String)>::new());
        for message in messages {
            words.push_str(message["content"].as_str().unwrap_or_default());
            for (at, call) in list(&message["tool_calls"]).iter().enumerate() {
                let at = call["index"].as_u64().map_or(at, |index| usize::try_from(index).unwrap());
                if calls.len() <= at {
                    calls.resize_with(at + 1, Default::default);
                }
                calls[at].0.push_str(call["id"].as_str().unwrap_or_default());
                calls[at].1.push_str(call["function"]["name"].as_str().unwrap_or_default());
                calls[at].2.push_str(call["function"]["arguments"].as_str().unwrap_or_default());
            }
        }
        let function = |(id, name, arguments): &(String, String, String)| json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
        let mut message = json!({"role": "assistant", "content": words});
        if !calls.is_empty() {
            message["tool_calls"] = calls.iter().map(function).collect();
        }
        self.history.push(message);
        let seen = |(id, name, arguments): (String, String, String)| CallSeen {
            id: Some(id),
            name,
            arguments: serde_json::from_str(&arguments).unwrap(),
        };
        Said { text: words, calls: calls.into_iter().map(seen).collect() }
    }
}

fn messages_content(events: &[Value]) -> Vec<Value> {
    let mut content: Vec<Value> = Vec::new();
    let mut input = String::new();
    for event in events {
        match event["type"].as_str().unwrap() {
            "content_block_start" => {
                assert_eq!(event["index"], content.len());
                content.push(event["content_block"].clone());
                input.clear();
            }
            "content_block_delta" => {
                let block = content.last_mut().unwrap();
                let delta = &event["delta"];
                let (name, piece) = match delta["type"].as_str().unwrap() {
                    "text_delta" => ("text", &delta["text"]),
                    "thinking_delta" => ("thinking", &delta["thinking"]),
                    "signature_delta" => ("signature", &delta["signature"]),
                    "input_json_delta" => {
                        input.push_str(delta["partial_json"].as_str().unwrap());
                        continue;
                    }
                    other => panic!("{other}"),
                };
                block[name] = json!(text(&block[name]) + piece.as_str().unwrap());
            }
            "content_block_stop" if !input.is_empty() => {
                content.last_mut().unwrap()["input"] = serde_json::from_str(&input).unwrap();
            }
            _ => {}
        }
    }
    assert_eq!(events.last().unwrap()["type"], "message_stop");
    content
}
