//! Vendors: they issue seals, and answer only to those who bring all of them back.

use serde_json::{Map, Value, json};
use tower_llm_gateway::protocol::Protocol::{
    self, Anthropic, DashScope, Gemini, OpenAiChat, OpenAiResponses,
};

use crate::script::{Act, acts};
use crate::wire::{halves, list, named, text, unnamed};

pub(crate) struct Vendor {
    protocol: Protocol,
    host: &'static str,
    /// Turns without calls are asked back too.
    keeps_all: bool,
    pub(crate) seals: Vec<String>,
    pub(crate) always_thought: bool,
    issued: Vec<Vec<Value>>,
}

impl Vendor {
    pub(crate) fn new(protocol: Protocol, host: &'static str, keeps_all: bool) -> Self {
        let (seals, issued) = (Vec::new(), Vec::new());
        Self { protocol, host, keeps_all, seals, always_thought: true, issued }
    }

    /// How many seals a vendor must have issued so that the test says anything.
    pub(crate) fn fewest_seals(&self) -> usize {
        match self.protocol {
            OpenAiChat | DashScope => 0,
            _ => self.issued.len(),
        }
    }

    fn seal(&mut self) -> String {
        let (number, host) = (self.seals.len(), self.host);
        let seal = match self.protocol {
            Anthropic => format!("EqoBCkgIAxABGAI+/{number}{host}=="),
            OpenAiResponses => format!("gAAAAABo_{number}-{host}="),
            // Base64, as all of Gemini's.
            _ => format!("CiQB0e2Kb{number:03}{host:m<12}+/AA"),
        };
        self.seals.push(seal.clone());
        seal
    }

    pub(crate) fn answer(
        &mut self,
        path: &str,
        request: &Value,
        turn: usize,
    ) -> Result<(&'static str, String), String> {
        let checked = match self.protocol {
            Anthropic => self.check_anthropic(request),
            OpenAiResponses => self.check_openai(request),
            Gemini => self.check_gemini(request),
            OpenAiChat => check_chat(&request["messages"]),
            _ => check_chat(&request["input"]["messages"]),
        };
        checked.map_err(|reason| format!("{reason}; the request was {request}"))?;
        let stream = match self.protocol {
            Gemini => path.contains(":streamGenerateContent"),
            DashScope => request["parameters"]["incremental_output"] == true,
            _ => request["stream"] == true,
        };
        let native = self.make(request, turn, stream);
        self.issued.push(native.clone());
        if !stream {
            return Ok(("application/json", self.whole(&native).to_string()));
        }
        Ok(("text/event-stream", self.streamed(native)))
    }

    /// The turn in the vendor's own form: blocks, items, parts, or one message.
    fn make(&mut self, request: &Value, turn: usize, stream: bool) -> Vec<Value> {
        let (count, host) = (self.issued.len(), self.host);
        let acts = acts(turn);
        match self.protocol {
            Anthropic => {
                let mut blocks = Vec::new();
                for (at, act) in acts.iter().enumerate() {
                    match act {
                        Act::Think(thought) => {
                            let signature = self.seal();
                            blocks.push(json!({"type": "thinking", "thinking": thought, "signature": signature}));
                            if turn == 1 {
                                blocks.push(json!({"type": "redacted_thinking", "data": self.seal()}));
                            }
                        }
                        Act::Say(words) => blocks.push(json!({"type": "text", "text": words})),
                        Act::Call(name, input) => blocks.push(json!({
                            "type": "tool_use", "id": format!("toolu_{count}{host}_{at}"), "name": name, "input": input(),
                        })),
                    }
                }
                blocks
            }
            OpenAiResponses => {
                let sealed =
                    list(&request["include"]).contains(&json!("reasoning.encrypted_content"));
                let mut items = Vec::new();
                for (at, act) in acts.iter().enumerate() {
                    let id = format!("{count}{host}{at}");
                    items.push(match act {
                        Act::Think(thought) => {
                            // Some thinking has no summary.
                            let summary = if turn == 1 { json!([]) } else {
                                json!([{"type": "summary_text", "text": thought}])
                            };
                            let mut item = json!({"type": "reasoning", "id": format!("rs_{id}"), "summary": summary});
                            if sealed {
                                item["encrypted_content"] = json!(self.seal());
                            }
                            item
                        }
                        Act::Say(words) => json!({
                            "type": "message", "id": format!("msg_{id}"), "status": "completed", "role": "assistant",
                            "content": [{"type": "output_text", "text": words, "annotations": [], "logprobs": []}],
                        }),
                        Act::Call(name, arguments) => json!({
                            "type": "function_call", "id": format!("fc_{id}"), "call_id": format!("call_{id}"),
                            "status": "completed", "name": name, "arguments": arguments().to_string(),
                        }),
                    });
                }
                items
            }
            Gemini => {
                let (mut parts, mut called) = (Vec::new(), false);
                let last = acts.len() - 1;
                for (at, act) in acts.iter().enumerate() {
                    match act {
                        Act::Think(thought) => {
                            parts.push(json!({"text": thought, "thought": true}));
                        }
                        Act::Say(words) if at == last => {
                            let signature = self.seal();
                            if stream {
                                parts.push(json!({"text": words}));
                                parts.push(json!({"text": "", "thoughtSignature": signature}));
                            } else {
                                parts.push(json!({"text": words, "thoughtSignature": signature}));
                            }
                        }
                        Act::Say(words) => parts.push(json!({"text": words})),
                        Act::Call(name, args) => {
                            let mut part = json!({"functionCall": {"name": name, "args": args()}});
                            // Of several calls only the first.
                            if !called {
                                part["thoughtSignature"] = json!(self.seal());
                            }
                            called = true;
                            parts.push(part);
                        }
                    }
                }
                parts
            }
            _ => {
                let (mut thought, mut words, mut calls) =
                    (String::new(), String::new(), Vec::new());
                for (at, act) in acts.iter().enumerate() {
                    match act {
                        Act::Think(text) => thought.push_str(text),
                        Act::Say(text) => words.push_str(text),
                        Act::Call(name, arguments) => calls.push(json!({
                            "id": format!("call_{count}_{at}"), "type": "function", "index": calls.len(),
                            "function": {"name": name, "arguments": arguments().to_string()},
                        })),
                    }
                }
                let mut message =
                    json!({"role": "assistant", "content": words, "reasoning_content": thought});
                if !calls.is_empty() {
                    message["tool_calls"] = json!(calls);
                }
                vec![message]
            }
        }
    }

    fn whole(&self, native: &[Value]) -> Value {
        match self.protocol {
            Anthropic => json!({
                "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": native,
                "stop_reason": if has_call(native) { "tool_use" } else { "end_turn" }, "stop_sequence": null,
                "usage": {"input_tokens": 1, "output_tokens": 1},
            }),
            OpenAiResponses => json!({
                "id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "error": null,
                "incomplete_details": null, "instructions": null, "model": "m", "output": native,
                "parallel_tool_calls": true, "tool_choice": "auto", "tools": [], "temperature": 1.0, "top_p": 1.0,
                "metadata": {}, "usage": {
                    "input_tokens": 1, "output_tokens": 1, "total_tokens": 2,
                    "input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0},
                },
            }),
            Gemini => gemini_answer(native, true),
            OpenAiChat => json!({
                "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
                "choices": [{"index": 0, "message": native[0], "finish_reason": finish(&native[0]), "logprobs": null}],
                "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
            }),
            _ => json!({
                "request_id": "req-1",
                "output": {"choices": [{"message": native[0], "finish_reason": finish(&native[0])}]},
                "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2},
            }),
        }
    }

    fn streamed(&self, native: Vec<Value>) -> String {
        match self.protocol {
            Anthropic => named(&anthropic_events(&native)),
            OpenAiResponses => {
                let whole = self.whole(&native);
                named(&openai_events(&native, &whole))
            }
            Gemini => {
                let mut pieces: Vec<Value> = Vec::new();
                for part in native {
                    match part["text"].as_str().filter(|text| text.len() > 1) {
                        Some(text) => pieces.extend(halves(text).map(|half| {
                            let mut piece = part.clone();
                            piece["text"] = json!(half);
                            piece
                        })),
                        None => pieces.push(part),
                    }
                }
                let last = pieces.len() - 1;
                let answers: Vec<_> = pieces
                    .into_iter()
                    .enumerate()
                    .map(|(at, part)| gemini_answer(&[part], at == last))
                    .collect();
                unnamed(&answers)
            }
            OpenAiChat => {
                let chunk = |delta: Value, reason: Value| {
                    json!({
                        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m",
                        "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
                    })
                };
                let mut chunks =
                    vec![chunk(json!({"role": "assistant", "content": ""}), Value::Null)];
                chunks
                    .extend(deltas(&native[0]).into_iter().map(|delta| chunk(delta, Value::Null)));
                chunks.push(chunk(json!({}), json!(finish(&native[0]))));
                unnamed(&chunks) + "data: [DONE]\n\n"
            }
            _ => {
                let answer = |mut message: Value, reason: &str| {
                    message["role"] = json!("assistant");
                    if message.get("content").is_none() {
                        message["content"] = json!("");
                    }
                    let answer = json!({
                        "request_id": "req-1",
                        "output": {"choices": [{"message": message, "finish_reason": reason}]},
                        "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2},
                    });
                    format!("id:1\nevent:result\n:HTTP_STATUS/200\ndata:{answer}\n\n")
                };
                let pieces = deltas(&native[0]).into_iter().map(|delta| answer(delta, "null"));
                let last = answer(json!({}), finish(&native[0]));
                pieces.chain([last]).collect()
            }
        }
    }

    /// All turns with calls, and all others where the caller keeps them.
    fn demanded(&self) -> impl Iterator<Item = &Vec<Value>> {
        self.issued.iter().filter(|turn| self.keeps_all || has_call(turn))
    }

    fn check_anthropic(&mut self, request: &Value) -> Result<(), String> {
        let messages = list(&request["messages"]);
        let thinks = request["thinking"]["type"] == "enabled";
        self.always_thought &= thinks;
        for message in messages {
            for block in list(&message["content"]) {
                if block["type"] == "thinking" && !self.seals.contains(&text(&block["signature"])) {
                    return Err(format!("Invalid `signature` in `thinking` block: {block}"));
                }
                if block["type"] == "redacted_thinking"
                    && !self.seals.contains(&text(&block["data"]))
                {
                    return Err(format!("Invalid `data` in `redacted_thinking` block: {block}"));
                }
            }
        }
        for turn in self.demanded() {
            let found = messages.iter().filter(|it| it["role"] == "assistant").any(|message| {
                contains(&joined(list(&message["content"]).to_vec()), &joined(turn.clone()))
            });
            if !found {
                return Err(format!("`thinking` blocks cannot be modified: {}", json!(turn)));
            }
        }
        if let [.., asked, answered] = messages {
            let results: Vec<_> = list(&answered["content"])
                .iter()
                .filter(|it| it["type"] == "tool_result")
                .collect();
            let first =
                list(&asked["content"]).first().map(|it| text(&it["type"])).unwrap_or_default();
            if thinks && !results.is_empty() && !first.ends_with("thinking") {
                return Err(format!(
                    "Expected `thinking` or `redacted_thinking`, but found {first}"
                ));
            }
            let uses = list(&asked["content"]).iter().filter(|it| it["type"] == "tool_use");
            let ids: Vec<_> = uses.map(|it| it["id"].clone()).collect();
            let answered: Vec<_> = results.iter().map(|it| it["tool_use_id"].clone()).collect();
            if ids != answered {
                return Err(format!("tool_use {ids:?} and tool_result {answered:?}"));
            }
        }
        Ok(())
    }

    fn check_openai(&mut self, request: &Value) -> Result<(), String> {
        let input = list(&request["input"]);
        self.always_thought &= request["reasoning"]["effort"].is_string();
        if request["store"] != false {
            return Err("store is not false".to_owned());
        }
        for item in input.iter().filter(|item| item["type"] == "reasoning") {
            if !self.seals.contains(&text(&item["encrypted_content"])) {
                return Err(format!("The encrypted content could not be verified: {item}"));
            }
        }
        let items: Vec<_> = input.iter().filter_map(openai_item).collect();
        for turn in self.demanded() {
            let turn: Vec<_> = turn.iter().filter_map(openai_item).collect();
            if !contains(&joined(items.clone()), &joined(turn.clone())) {
                return Err(format!("Item 'rs_' was provided without its required item: {turn:?}"));
            }
        }
        Ok(())
    }

    fn check_gemini(&mut self, request: &Value) -> Result<(), String> {
        let thinking = &request["generationConfig"]["thinkingConfig"];
        self.always_thought &= thinking.is_object();
        let mut contents: Vec<(&Value, Vec<Value>)> = Vec::new();
        for content in list(&request["contents"]) {
            let parts = list(&content["parts"]).iter().filter_map(gemini_part);
            match contents.last_mut() {
                Some((role, before)) if **role == content["role"] => before.extend(parts),
                _ => contents.push((&content["role"], parts.collect())),
            }
        }
        for (_, parts) in &contents {
            for part in parts {
                let seal = text(&part["thoughtSignature"]);
                if !seal.is_empty() && !self.seals.contains(&seal) {
                    return Err(format!("Corrupted thought signature: {part}"));
                }
            }
        }
        let pairs = contents.windows(2).filter(|pair| *pair[0].0 == "model");
        for pair in pairs {
            let calls = pair[0].1.iter().filter(|part| part.get("functionCall").is_some()).count();
            let results = pair[1].1.iter().filter(|part| part.get("functionResponse").is_some());
            if calls != results.count() {
                return Err("the number of function responses is not that of the calls".to_owned());
            }
        }
        for turn in self.demanded() {
            let turn = joined(turn.iter().filter_map(gemini_part).collect());
            let found = contents.iter().any(|(_, parts)| contains(&joined(parts.clone()), &turn));
            if !found {
                return Err(format!(
                    "Function call is missing a thought_signature: {}",
                    json!(turn)
                ));
            }
        }
        Ok(())
    }
}

/// Whether the pieces stand in a row.
fn contains(all: &[Value], pieces: &[Value]) -> bool {
    all.windows(pieces.len()).any(|window| window == pieces)
}

fn has_call(native: &[Value]) -> bool {
    native.iter().any(|it| {
        it["type"] == "tool_use"
            || it["type"] == "function_call"
            || it.get("functionCall").is_some()
            || it.get("tool_calls").is_some()
    })
}

/// What matters of an item of the model's.
fn openai_item(item: &Value) -> Option<Value> {
    match item["type"].as_str().unwrap_or("message") {
        "reasoning" => {
            let summary = list(&item["summary"]);
            Some(json!({"seal": item["encrypted_content"], "summary": summary}))
        }
        "message" if item["role"] == "assistant" => {
            let texts = list(&item["content"]).iter().map(|part| text(&part["text"]));
            let text =
                item["content"].as_str().map_or_else(|| texts.collect::<String>(), str::to_owned);
            Some(json!({"text": text}))
        }
        "message" => Some(json!({"role": item["role"]})),
        "function_call" => Some(json!({"call": item["call_id"], "name": item["name"]})),
        _ => Some(json!({"result": item["call_id"]})),
    }
}

/// What matters of a part: thoughts do not.
fn gemini_part(part: &Value) -> Option<Value> {
    if part["thought"] == true {
        return None;
    }
    let mut part = part.clone();
    if let Some(call) = part.get_mut("functionCall").and_then(Value::as_object_mut) {
        call.remove("id");
    }
    Some(part)
}

/// Neighbouring texts without a signature as one.
fn joined(parts: Vec<Value>) -> Vec<Value> {
    let is_plain = |part: &Value| {
        let mut keys = part.as_object().into_iter().flat_map(Map::keys);
        part.get("text").is_some() && keys.all(|key| key == "text" || key == "type")
    };
    let mut out: Vec<Value> = Vec::new();
    for part in parts {
        match out.last_mut() {
            Some(last) if is_plain(last) && is_plain(&part) => {
                last["text"] = json!(text(&last["text"]) + &text(&part["text"]));
            }
            _ => out.push(part),
        }
    }
    out
}

/// Every call is answered behind its message, and nothing sealed is there.
fn check_chat(messages: &Value) -> Result<(), String> {
    let mut waiting: Vec<Value> = Vec::new();
    for message in list(messages) {
        if message["role"] == "tool" {
            let at = waiting.iter().position(|id| *id == message["tool_call_id"]);
            waiting.remove(at.ok_or_else(|| format!("no call for {message}"))?);
            continue;
        }
        if !waiting.is_empty() {
            return Err(format!("calls without results: {waiting:?}"));
        }
        waiting = list(&message["tool_calls"]).iter().map(|call| call["id"].clone()).collect();
    }
    Ok(())
}

fn finish(message: &Value) -> &'static str {
    if message.get("tool_calls").is_some() { "tool_calls" } else { "stop" }
}

fn gemini_answer(parts: &[Value], last: bool) -> Value {
    let mut candidate = json!({"index": 0, "content": {"role": "model", "parts": parts}});
    if last {
        candidate["finishReason"] = json!("STOP");
    }
    json!({
        "candidates": [candidate], "modelVersion": "m", "responseId": "r1",
        "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2},
    })
}

/// The message of Chat in pieces.
fn deltas(message: &Value) -> Vec<Value> {
    let mut deltas = Vec::new();
    for name in ["reasoning_content", "content"] {
        for half in halves(&text(&message[name])) {
            if !half.is_empty() {
                deltas.push(json!({name: half}));
            }
        }
    }
    for call in list(&message["tool_calls"]) {
        let [head, tail] =
            halves(call["function"]["arguments"].as_str().unwrap()).map(str::to_owned);
        let mut first = call.clone();
        first["function"]["arguments"] = json!(head);
        deltas.push(json!({"tool_calls": [first]}));
        let more = json!({"index": call["index"], "function": {"arguments": tail}});
        deltas.push(json!({"tool_calls": [more]}));
    }
    deltas
}

fn anthropic_events(blocks: &[Value]) -> Vec<Value> {
    let mut events = vec![json!({"type": "message_start", "message": {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": {"input_tokens": 1, "output_tokens": 1},
    }})];
    for (index, block) in blocks.iter().enumerate() {
        let mut start = block.clone();
        let mut deltas = Vec::new();
        match block["type"].as_str().unwrap() {
            "thinking" => {
                start["thinking"] = json!("");
                start["signature"] = json!("");
                for half in halves(&text(&block["thinking"])) {
                    deltas.push(json!({"type": "thinking_delta", "thinking": half}));
                }
                deltas.push(json!({"type": "signature_delta", "signature": block["signature"]}));
            }
            "text" => {
                start["text"] = json!("");
                for half in halves(&text(&block["text"])) {
                    deltas.push(json!({"type": "text_delta", "text": half}));
                }
            }
            "tool_use" => {
                start["input"] = json!({});
                let input = block["input"].to_string();
                for half in halves(&input) {
                    deltas.push(json!({"type": "input_json_delta", "partial_json": half}));
                }
            }
            _ => {}
        }
        events.push(json!({"type": "content_block_start", "index": index, "content_block": start}));
        events.extend(
            deltas.into_iter().map(
                |delta| json!({"type": "content_block_delta", "index": index, "delta": delta}),
            ),
        );
        events.push(json!({"type": "content_block_stop", "index": index}));
    }
    let reason = if has_call(blocks) { "tool_use" } else { "end_turn" };
    events.push(json!({
        "type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": null},
        "usage": {"output_tokens": 1},
    }));
    events.push(json!({"type": "message_stop"}));
    events
}

fn openai_events(items: &[Value], whole: &Value) -> Vec<Value> {
    let mut begun = whole.clone();
    begun["output"] = json!([]);
    begun["status"] = json!("in_progress");
    begun["usage"] = Value::Null;
    let mut events = vec![
        json!({"type": "response.created", "response": begun}),
        json!({"type": "response.in_progress", "response": begun}),
    ];
    for (at, item) in items.iter().enumerate() {
        let mut begun = item.clone();
        let mut body = Vec::new();
        let with = |kind: &str, more: Value| {
            let mut event = json!({"type": kind, "item_id": item["id"], "output_index": at});
            event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            event
        };
        match item["type"].as_str().unwrap() {
            "reasoning" => {
                begun["summary"] = json!([]);
                for part in list(&item["summary"]) {
                    let words = text(&part["text"]);
                    let empty = json!({"type": "summary_text", "text": ""});
                    body.push(with(
                        "response.reasoning_summary_part.added",
                        json!({"summary_index": 0, "part": empty}),
                    ));
                    for half in halves(&words) {
                        body.push(with(
                            "response.reasoning_summary_text.delta",
                            json!({"summary_index": 0, "delta": half}),
                        ));
                    }
                    body.push(with(
                        "response.reasoning_summary_text.done",
                        json!({"summary_index": 0, "text": words}),
                    ));
                    body.push(with(
                        "response.reasoning_summary_part.done",
                        json!({"summary_index": 0, "part": part}),
                    ));
                }
            }
            "message" => {
                begun["content"] = json!([]);
                begun["status"] = json!("in_progress");
                let part = &item["content"][0];
                let mut empty = part.clone();
                empty["text"] = json!("");
                body.push(with(
                    "response.content_part.added",
                    json!({"content_index": 0, "part": empty}),
                ));
                for half in halves(&text(&part["text"])) {
                    body.push(with(
                        "response.output_text.delta",
                        json!({"content_index": 0, "delta": half, "logprobs": []}),
                    ));
                }
                body.push(with(
                    "response.output_text.done",
                    json!({"content_index": 0, "text": part["text"], "logprobs": []}),
                ));
                body.push(with(
                    "response.content_part.done",
                    json!({"content_index": 0, "part": part}),
                ));
            }
            _ => {
                begun["arguments"] = json!("");
                begun["status"] = json!("in_progress");
                for half in halves(&text(&item["arguments"])) {
                    body.push(with(
                        "response.function_call_arguments.delta",
                        json!({"delta": half}),
                    ));
                }
                body.push(with(
                    "response.function_call_arguments.done",
                    json!({"arguments": item["arguments"]}),
                ));
            }
        }
        events
            .push(json!({"type": "response.output_item.added", "output_index": at, "item": begun}));
        events.append(&mut body);
        events.push(json!({"type": "response.output_item.done", "output_index": at, "item": item}));
    }
    events.push(json!({"type": "response.completed", "response": whole}));
    for (number, event) in events.iter_mut().enumerate() {
        event["sequence_number"] = json!(number);
    }
    events
}
