//! Requests of every protocol that mean the same.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};
use tower_llm_gateway::protocol::Protocol::{
    self, Anthropic, DashScope, Gemini, OpenAiChat, OpenAiResponses,
};

/// A request with this body, to the path of its protocol.
pub(crate) fn post(caller: Protocol, stream: bool, body: &Value) -> Request<Full<Bytes>> {
    let path = match caller {
        Anthropic => "/v1/messages",
        OpenAiChat => "/v1/chat/completions",
        OpenAiResponses => "/v1/responses",
        Gemini if stream => "/v1beta/models/m:streamGenerateContent?alt=sse",
        Gemini => "/v1beta/models/m:generateContent",
        _ => "/api/v1/services/aigc/text-generation/generation",
    };
    let mut request = Request::post(path)
        .header("content-type", "application/json")
        .header("authorization", "Bearer callers-key");
    if caller == DashScope && stream {
        request = request.header("x-dashscope-sse", "enable");
    }
    request.body(Full::new(Bytes::from(body.to_string()))).unwrap()
}

/// The body of a request with two tools; `schema` is that of the first.
pub(crate) fn with_tools(caller: Protocol, stream: bool, schema: &Value) -> Value {
    let clock = json!({"type": "object", "properties": {}});
    let tools = [("weather", schema), ("clock", &clock)];
    let function = |(name, schema): (&str, &Value)| json!({"name": name, "description": "d", "parameters": schema});
    let functions = tools.map(|tool| json!({"type": "function", "function": function(tool)}));
    let said = json!([{"role": "user", "content": "Weather?"}]);
    match caller {
        Anthropic => json!({
            "model": "m", "max_tokens": 4096, "stream": stream, "messages": said,
            "thinking": {"type": "enabled", "budget_tokens": 2048},
            "tools": tools.map(|(name, schema)| json!({"name": name, "description": "d", "input_schema": schema})),
        }),
        OpenAiResponses => json!({
            "model": "m", "store": false, "stream": stream, "input": said,
            "reasoning": {"effort": "medium", "summary": "auto"},
            "tools": tools.map(|(name, schema)| json!({
                "type": "function", "name": name, "description": "d", "parameters": schema, "strict": false,
            })),
        }),
        OpenAiChat => {
            let mut body = json!({
                "model": "m", "stream": stream, "messages": said, "reasoning_effort": "medium",
                "tools": functions,
            });
            if stream {
                body["stream_options"] = json!({"include_usage": true});
            }
            body
        }
        Gemini => json!({
            "contents": [{"role": "user", "parts": [{"text": "Weather?"}]}],
            "generationConfig": {"thinkingConfig": {"includeThoughts": true, "thinkingBudget": 2048}},
            "tools": [{"functionDeclarations": tools.map(function)}],
        }),
        _ => json!({
            "model": "m", "input": {"messages": said}, "parameters": {
                "result_format": "message", "incremental_output": stream, "enable_thinking": true,
                "tools": functions,
            },
        }),
    }
}

/// A plain question with two tools at hand.
pub(crate) fn question(caller: Protocol, stream: bool) -> Request<Full<Bytes>> {
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    post(caller, stream, &with_tools(caller, stream, &schema))
}

/// The declared schema of the first tool, wherever the protocol has it.
pub(crate) fn schema_in(protocol: Protocol, request: &Value) -> Value {
    let schema = match protocol {
        Anthropic => &request["tools"][0]["input_schema"],
        OpenAiChat => &request["tools"][0]["function"]["parameters"],
        OpenAiResponses => &request["tools"][0]["parameters"],
        Gemini => {
            let declared = &request["tools"][0]["functionDeclarations"][0];
            if declared["parametersJsonSchema"].is_object() {
                &declared["parametersJsonSchema"]
            } else {
                &declared["parameters"]
            }
        }
        _ => &request["parameters"]["tools"][0]["function"]["parameters"],
    };
    schema.clone()
}
