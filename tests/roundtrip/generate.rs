//! Valid requests of every protocol, with a good share of their members.

use serde_json::{Value, json};
use tower_llm_gateway::protocol::Protocol::{
    self, Anthropic, DashScope, Gemini, OpenAiChat, OpenAiResponses,
};

use crate::choices::Choices;

const PIXEL: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII=";

/// A request that ends with words of the user.
pub(crate) fn request(protocol: Protocol, it: &mut Choices) -> Value {
    match protocol {
        Anthropic => messages(it),
        OpenAiChat => chat(it),
        OpenAiResponses => responses(it),
        Gemini => gemini(it),
        DashScope => dashscope(it),
        other => panic!("{other}"),
    }
}

/// Where the turns of a request stand.
pub(crate) fn turns(protocol: Protocol) -> &'static str {
    match protocol {
        OpenAiResponses => "/input",
        Gemini => "/contents",
        DashScope => "/input/messages",
        _ => "/messages",
    }
}

/// An answer and another question, behind all.
pub(crate) fn extend(protocol: Protocol, request: &mut Value) {
    let (answer, question) = match protocol {
        Gemini => (
            json!({"role": "model", "parts": [{"text": "more"}]}),
            json!({"role": "user", "parts": [{"text": "and more"}]}),
        ),
        _ => (
            json!({"role": "assistant", "content": "more"}),
            json!({"role": "user", "content": "and more"}),
        ),
    };
    let turns = request.pointer_mut(turns(protocol)).unwrap().as_array_mut().unwrap();
    turns.extend([answer, question]);
}

/// Two tools, and calls of them, by name.
fn names(it: &mut Choices) -> Vec<String> {
    (0..it.pick(3)).map(|_| it.name()).collect()
}

/// Rounds of the conversation: how many calls each has.
fn rounds(it: &mut Choices, tools: &[String]) -> Vec<usize> {
    let most = if tools.is_empty() { 1 } else { 3 };
    (0..it.pick(3)).map(|_| it.pick(most)).collect()
}

fn mark(it: &mut Choices, block: &mut Value) {
    if it.pick(4) == 1 {
        block["cache_control"] = json!({"type": "ephemeral"});
    }
}

fn messages(it: &mut Choices) -> Value {
    let tools = names(it);
    let mut body = json!({"model": "m", "max_tokens": it.count()});
    match it.pick(3) {
        1 => body["system"] = json!(it.word()),
        2 => {
            let mut block = json!({"type": "text", "text": it.word()});
            mark(it, &mut block);
            body["system"] = json!([block, {"type": "text", "text": it.word()}]);
        }
        _ => {}
    }
    let mut turns = Vec::new();
    for (round, calls) in rounds(it, &tools).into_iter().enumerate() {
        turns.push(json!({"role": "user", "content": messages_words(it)}));
        let mut said = Vec::new();
        if it.yes() {
            said.push(
                json!({"type": "thinking", "thinking": it.detail(), "signature": it.detail()}),
            );
        }
        let mut results = Vec::new();
        for call in 0..calls {
            let id = format!("toolu_{round}_{call}");
            said.push(json!({"type": "tool_use", "id": id, "name": tools[call % tools.len()], "input": it.arguments()}));
            let mut result =
                json!({"type": "tool_result", "tool_use_id": id, "content": it.word()});
            it.maybe(&mut result, "is_error", |_| json!(true));
            mark(it, &mut result);
            results.push(result);
        }
        if calls == 0 || it.yes() {
            // Words stand before the calls.
            said.insert(
                said.iter().take_while(|block| block["type"] == "thinking").count(),
                json!({"type": "text", "text": it.word()}),
            );
        }
        turns.push(json!({"role": "assistant", "content": said}));
        if !results.is_empty() {
            turns.push(json!({"role": "user", "content": results}));
            turns.push(json!({"role": "assistant", "content": it.word()}));
        }
    }
    turns.push(json!({"role": "user", "content": messages_words(it)}));
    body["messages"] = json!(turns);
    if !tools.is_empty() {
        let declared = tools.iter().map(|name| {
            let mut tool = json!({"name": name, "input_schema": it.schema()});
            it.maybe(&mut tool, "description", |it| json!(it.word()));
            mark(it, &mut tool);
            tool
        });
        body["tools"] = declared.collect();
        it.maybe(&mut body, "tool_choice", |it| {
            [
                json!({"type": "auto"}),
                json!({"type": "any"}),
                json!({"type": "none"}),
                json!({"type": "tool", "name": tools[0]}),
                json!({"type": "auto", "disable_parallel_tool_use": true}),
            ][it.pick(5)]
            .clone()
        });
    }
    it.maybe(&mut body, "temperature", |it| json!(it.part()));
    it.maybe(&mut body, "top_p", |it| json!(it.part()));
    it.maybe(&mut body, "top_k", |it| json!(it.count()));
    it.maybe(&mut body, "stop_sequences", |it| json!([it.detail(), it.detail()]));
    it.maybe(&mut body, "metadata", |it| json!({"user_id": it.detail()}));
    it.maybe(&mut body, "service_tier", |_| json!("standard_only"));
    it.maybe(&mut body, "stream", |_| json!(true));
    it.maybe(
        &mut body,
        "output_config",
        |it| json!({"format": {"type": "json_schema", "schema": it.schema()}}),
    );
    it.maybe(&mut body, "container", |it| json!(it.detail()));
    it.maybe(&mut body, "unknown", |it| json!({"deep": [it.detail()]}));
    body
}

fn messages_words(it: &mut Choices) -> Value {
    if it.yes() {
        return json!(it.word());
    }
    let mut text = json!({"type": "text", "text": it.word()});
    mark(it, &mut text);
    let mut content = vec![text];
    match it.pick(5) {
        1 => content.push(json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}})),
        2 => content.push(json!({"type": "image", "source": {"type": "url", "url": format!("https://x.test/{}.png", it.detail())}})),
        3 | 4 => {
            let source = match it.pick(3) {
                0 => json!({"type": "text", "media_type": "text/plain", "data": it.word()}),
                1 => json!({"type": "base64", "media_type": "application/pdf", "data": PIXEL}),
                _ => json!({"type": "content", "content": [{"type": "text", "text": it.word()}]}),
            };
            let mut document = json!({"type": "document", "source": source});
            it.maybe(&mut document, "title", |it| json!(it.detail()));
            it.maybe(&mut document, "context", |it| json!(it.detail()));
            content.push(document);
        }
        _ => {}
    }
    json!(content)
}

/// The messages of Chat and DashScope.
fn chat_turns(it: &mut Choices, tools: &[String], words: fn(&mut Choices) -> Value) -> Vec<Value> {
    let mut turns = Vec::new();
    if it.yes() {
        turns.push(json!({"role": "system", "content": it.word()}));
        it.maybe(&mut turns[0], "name", |it| json!(it.detail()));
    }
    for (round, calls) in rounds(it, tools).into_iter().enumerate() {
        let mut asked = json!({"role": "user", "content": words(it)});
        it.maybe(&mut asked, "name", |it| json!(it.detail()));
        it.maybe(&mut asked, "unknown", |it| json!(it.detail()));
        turns.push(asked);
        let mut said = json!({"role": "assistant", "content": it.word()});
        it.maybe(&mut said, "reasoning_content", |it| json!(it.detail()));
        let mut results = Vec::new();
        let calls: Vec<_> = (0..calls)
            .map(|call| {
                let id = format!("call_{round}_{call}");
                results.push(json!({"role": "tool", "tool_call_id": id, "content": it.word()}));
                json!({"id": id, "type": "function", "function": {
                    "name": tools[call % tools.len()], "arguments": it.arguments().to_string()}})
            })
            .collect();
        let called = !calls.is_empty();
        if called {
            said["tool_calls"] = json!(calls);
        }
        turns.push(said);
        turns.append(&mut results);
        if called {
            turns.push(json!({"role": "assistant", "content": it.word()}));
        }
    }
    turns.push(json!({"role": "user", "content": words(it)}));
    turns
}

fn functions(it: &mut Choices, tools: &[String]) -> Value {
    let declared = tools.iter().map(|name| {
        let mut function = json!({"name": name, "parameters": it.schema()});
        it.maybe(&mut function, "description", |it| json!(it.word()));
        it.maybe(&mut function, "unknown", |it| json!(it.detail()));
        json!({"type": "function", "function": function})
    });
    declared.collect()
}

fn chat(it: &mut Choices) -> Value {
    let tools = names(it);
    let mut body = json!({"model": "m", "messages": chat_turns(it, &tools, chat_words)});
    if !tools.is_empty() {
        body["tools"] = functions(it, &tools);
        it.maybe(&mut body, "tool_choice", |it| {
            [
                json!("auto"),
                json!("required"),
                json!("none"),
                json!({"type": "function", "function": {"name": tools[0]}}),
            ][it.pick(4)]
            .clone()
        });
        it.maybe(&mut body, "parallel_tool_calls", |it| json!(it.yes()));
    }
    let limit = ["max_tokens", "max_completion_tokens"][it.pick(2)];
    it.maybe(&mut body, limit, |it| json!(it.count()));
    it.maybe(&mut body, "temperature", |it| json!(it.part()));
    it.maybe(&mut body, "top_p", |it| json!(it.part()));
    it.maybe(&mut body, "presence_penalty", |it| json!(it.part()));
    it.maybe(&mut body, "frequency_penalty", |it| json!(it.part()));
    it.maybe(&mut body, "seed", |it| json!(it.count()));
    it.maybe(
        &mut body,
        "stop",
        |it| if it.yes() { json!(it.detail()) } else { json!([it.detail()]) },
    );
    it.maybe(&mut body, "user", |it| json!(it.detail()));
    it.maybe(&mut body, "prompt_cache_key", |it| json!(it.detail()));
    it.maybe(&mut body, "metadata", |it| json!({"k": it.detail()}));
    it.maybe(&mut body, "logit_bias", |it| json!({"50256": it.count()}));
    it.maybe(&mut body, "stream", |_| json!(true));
    it.maybe(&mut body, "response_format", |it| {
        let mut schema = json!({"name": it.detail(), "schema": it.schema()});
        it.maybe(&mut schema, "description", |it| json!(it.detail()));
        json!({"type": "json_schema", "json_schema": schema})
    });
    it.maybe(&mut body, "unknown", |it| json!([{"deep": it.detail()}]));
    body
}

fn chat_words(it: &mut Choices) -> Value {
    if it.yes() {
        return json!(it.word());
    }
    let mut content = vec![json!({"type": "text", "text": it.word()})];
    match it.pick(4) {
        1 => content.push(json!({"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{PIXEL}")}})),
        2 => content.push(json!({"type": "image_url", "image_url": {"url": format!("https://x.test/{}.png", it.detail())}})),
        _ => {}
    }
    json!(content)
}

fn responses(it: &mut Choices) -> Value {
    let tools = names(it);
    let mut body = json!({"model": "m", "store": false});
    it.maybe(&mut body, "instructions", |it| json!(it.word()));
    let mut items = Vec::new();
    for (round, calls) in rounds(it, &tools).into_iter().enumerate() {
        items.push(json!({"type": "message", "role": "user", "content": responses_words(it)}));
        if it.yes() {
            items.push(json!({"type": "reasoning", "id": format!("rs_{}", it.detail()), "encrypted_content": it.detail(),
                "summary": [{"type": "summary_text", "text": it.detail()}]}));
        }
        items.push(json!({"type": "message", "role": "assistant", "content": [
            {"type": "output_text", "text": it.word(), "annotations": []}]}));
        let mut results = Vec::new();
        for call in 0..calls {
            let id = format!("call_{round}_{call}");
            items.push(
                json!({"type": "function_call", "call_id": id, "name": tools[call % tools.len()],
                "arguments": it.arguments().to_string()}),
            );
            results
                .push(json!({"type": "function_call_output", "call_id": id, "output": it.word()}));
        }
        let called = !results.is_empty();
        items.append(&mut results);
        if called {
            items.push(json!({"role": "assistant", "content": it.word()}));
        }
    }
    items.push(json!({"role": "user", "content": responses_words(it)}));
    body["input"] = json!(items);
    if !tools.is_empty() {
        let declared = tools.iter().map(|name| {
            let mut tool = json!({"type": "function", "name": name, "strict": false, "parameters": it.schema()});
            it.maybe(&mut tool, "description", |it| json!(it.word()));
            tool
        });
        body["tools"] = declared.collect();
        it.maybe(&mut body, "tool_choice", |it| {
            [
                json!("auto"),
                json!("required"),
                json!("none"),
                json!({"type": "function", "name": tools[0]}),
            ][it.pick(4)]
            .clone()
        });
        it.maybe(&mut body, "parallel_tool_calls", |it| json!(it.yes()));
    }
    it.maybe(&mut body, "max_output_tokens", |it| json!(it.count()));
    it.maybe(&mut body, "temperature", |it| json!(it.part()));
    it.maybe(&mut body, "top_p", |it| json!(it.part()));
    it.maybe(&mut body, "user", |it| json!(it.detail()));
    it.maybe(&mut body, "prompt_cache_key", |it| json!(it.detail()));
    it.maybe(&mut body, "metadata", |it| json!({"k": it.detail()}));
    it.maybe(&mut body, "stream", |_| json!(true));
    it.maybe(
        &mut body,
        "text",
        |it| json!({"format": {"type": "json_schema", "name": it.detail(), "schema": it.schema()}}),
    );
    it.maybe(&mut body, "unknown", |it| json!([{"deep": it.detail()}]));
    body
}

fn responses_words(it: &mut Choices) -> Value {
    if it.yes() {
        return json!(it.word());
    }
    let mut content = vec![json!({"type": "input_text", "text": it.word()})];
    match it.pick(4) {
        1 => content.push(json!({"type": "input_image", "detail": "auto", "image_url": format!("data:image/png;base64,{PIXEL}")})),
        2 => content.push(json!({"type": "input_image", "detail": "auto", "image_url": format!("https://x.test/{}.png", it.detail())})),
        _ => {}
    }
    json!(content)
}

fn gemini(it: &mut Choices) -> Value {
    let tools = names(it);
    let mut body = json!({});
    it.maybe(&mut body, "systemInstruction", |it| json!({"parts": [{"text": it.word()}]}));
    let mut contents = Vec::new();
    for calls in rounds(it, &tools) {
        contents.push(json!({"role": "user", "parts": gemini_words(it)}));
        let mut said = Vec::new();
        if it.yes() {
            said.push(json!({"text": it.detail(), "thought": true}));
        }
        let mut text = json!({"text": it.word()});
        it.maybe(&mut text, "thoughtSignature", |it| json!(it.detail()));
        said.push(text);
        let mut results = Vec::new();
        for call in 0..calls {
            let name = &tools[call % tools.len()];
            said.push(json!({"functionCall": {"name": name, "args": it.arguments()}}));
            results.push(
                json!({"functionResponse": {"name": name, "response": {"output": it.word()}}}),
            );
        }
        contents.push(json!({"role": "model", "parts": said}));
        if !results.is_empty() {
            contents.push(json!({"role": "user", "parts": results}));
            contents.push(json!({"role": "model", "parts": [{"text": it.word()}]}));
        }
    }
    contents.push(json!({"role": "user", "parts": gemini_words(it)}));
    body["contents"] = json!(contents);
    if !tools.is_empty() {
        let declared: Value = tools
            .iter()
            .map(|name| {
                let mut tool = json!({"name": name});
                let form = ["parametersJsonSchema", "parameters"][it.pick(2)];
                tool[form] = it.schema();
                it.maybe(&mut tool, "description", |it| json!(it.word()));
                tool
            })
            .collect();
        body["tools"] = json!([{"functionDeclarations": declared}]);
        it.maybe(
            &mut body,
            "toolConfig",
            |it| json!({"functionCallingConfig": {"mode": (["AUTO", "ANY", "NONE"][it.pick(3)])}}),
        );
    }
    let mut config = json!({});
    it.maybe(&mut config, "maxOutputTokens", |it| json!(it.count()));
    it.maybe(&mut config, "temperature", |it| json!(it.part()));
    it.maybe(&mut config, "topP", |it| json!(it.part()));
    it.maybe(&mut config, "topK", |it| json!(it.count()));
    it.maybe(&mut config, "seed", |it| json!(it.count()));
    it.maybe(&mut config, "presencePenalty", |it| json!(it.part()));
    it.maybe(&mut config, "frequencyPenalty", |it| json!(it.part()));
    it.maybe(&mut config, "stopSequences", |it| json!([it.detail(), it.detail()]));
    if it.yes() {
        config["responseMimeType"] = json!("application/json");
        config["responseJsonSchema"] = it.schema();
    }
    it.maybe(&mut config, "speechConfig", |it| json!({"languageCode": it.detail()}));
    if config != json!({}) {
        body["generationConfig"] = config;
    }
    it.maybe(&mut body, "cachedContent", |it| json!(format!("cachedContents/{}", it.detail())));
    it.maybe(&mut body, "labels", |it| json!({"k": it.detail()}));
    it.maybe(&mut body, "unknown", |it| json!([{"deep": it.detail()}]));
    body
}

fn gemini_words(it: &mut Choices) -> Value {
    let mut parts = vec![json!({"text": it.word()})];
    match it.pick(4) {
        1 => parts.push(json!({"inlineData": {"mimeType": "image/png", "data": PIXEL}})),
        2 => parts.push(json!({"text": it.word()})),
        _ => {}
    }
    json!(parts)
}

fn dashscope(it: &mut Choices) -> Value {
    let tools = names(it);
    let turns = chat_turns(it, &tools, |it| json!(it.word()));
    let mut body = json!({"model": "m", "input": {"messages": turns}});
    let mut settings = json!({"result_format": "message"});
    if !tools.is_empty() {
        settings["tools"] = functions(it, &tools);
        it.maybe(&mut settings, "tool_choice", |it| {
            [
                json!("auto"),
                json!("none"),
                json!({"type": "function", "function": {"name": tools[0]}}),
            ][it.pick(3)]
            .clone()
        });
        it.maybe(&mut settings, "parallel_tool_calls", |it| json!(it.yes()));
    }
    it.maybe(&mut settings, "max_tokens", |it| json!(it.count()));
    it.maybe(&mut settings, "temperature", |it| json!(it.part()));
    it.maybe(&mut settings, "top_p", |it| json!(it.part()));
    it.maybe(&mut settings, "top_k", |it| json!(it.count()));
    it.maybe(&mut settings, "seed", |it| json!(it.count()));
    it.maybe(&mut settings, "presence_penalty", |it| json!(it.part()));
    it.maybe(&mut settings, "repetition_penalty", |it| json!(it.part()));
    it.maybe(&mut settings, "stop", |it| {
        if it.yes() { json!(it.detail()) } else { json!([it.detail()]) }
    });
    it.maybe(&mut settings, "incremental_output", |it| json!(it.yes()));
    it.maybe(&mut settings, "search_options", |it| json!({"search_strategy": it.detail()}));
    it.maybe(&mut settings, "unknown", |it| json!([{"deep": it.detail()}]));
    body["parameters"] = settings;
    it.maybe(&mut body, "unknown", |it| json!(it.detail()));
    body
}
