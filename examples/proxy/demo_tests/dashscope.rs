use axum::body::Body;
use http::{HeaderValue, Request};
use serde_json::{Value, json};

use super::{DASHSCOPE, answer, post, refusal, text};

const MULTIMODAL: &str = "/api/v1/services/aigc/multimodal-generation/generation";

fn user(content: impl Into<Value>) -> Value {
    json!({"role": "user", "content": content.into()})
}

fn streamed(path: &str, body: &Value) -> Request<Body> {
    let mut request = post(path, body);
    request.headers_mut().insert("x-dashscope-sse", HeaderValue::from_static("enable"));
    request
}

/// The documents of the events, whose frames are as they must be.
fn events(stream: &str, kind: &str) -> Vec<Value> {
    let mut events = Vec::new();
    for event in stream.split_terminator("\n\n") {
        let lines: Vec<&str> = event.split('\n').collect();
        let [id, name, _, data] = lines.as_slice() else { panic!("{event}") };
        assert_eq!(*id, format!("id:{}", events.len() + 1));
        assert_eq!(*name, kind);
        events.push(serde_json::from_str(data.strip_prefix("data:").unwrap()).unwrap());
    }
    events
}

#[tokio::test]
async fn input_is_read_strictly() {
    let call = json!({"role": "assistant", "content": "", "tool_calls":
        [{"id": "a", "type": "function", "function": {"name": "t", "arguments": "{}"}}]});
    let result = json!({"role": "tool", "tool_call_id": "a", "content": "x"});
    for (input, expected) in [
        (json!({"messages": []}), "greater than 0"),
        (json!({"prompt": "x", "messages": [user("x")]}), "exclude"),
        (json!({"messages": [{"role": "developer", "content": "x"}]}), "Role must be"),
        (json!({"messages": [user("")]}), "greater than 0"),
        (json!({"messages": [result]}), "must answer"),
        (json!({"messages": [call, user("x")]}), "must be followed"),
        (json!({"messages": [user(json!([{"image": "https://a/b.png"}]))]}), "url error"),
    ] {
        let body = json!({"model": "demo", "input": input});
        let message = refusal(DASHSCOPE, &body).await;
        assert!(message.contains(expected), "{message}");
        let told = events(&text(streamed(DASHSCOPE, &body)).await, "event:error");
        assert_eq!(told[0]["message"], message);
    }
    for (member, value) in [("tool_choice", json!("required")), ("result_format", json!("text"))] {
        let mut body = json!({"model": "demo", "input": {"messages": [user("x")]}});
        body["parameters"] = json!({"tools": [{"function": {"name": "t"}}], member: value});
        assert!(refusal(DASHSCOPE, &body).await.contains(member));
    }
}

#[tokio::test]
async fn increments_snapshots_and_whole_answers_say_the_same() {
    let place = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    let tools = json!([{"type": "function", "function": {"name": "weather", "parameters": place}}]);
    for (path, model, parameters) in [
        (DASHSCOPE, "demo", json!({})),
        (DASHSCOPE, "demo", json!({"result_format": "text"})),
        (DASHSCOPE, "demo", json!({"enable_thinking": true})),
        (DASHSCOPE, "demo-parallel", json!({"tools": tools, "parallel_tool_calls": true})),
        (MULTIMODAL, "demo", json!({"enable_thinking": true})),
    ] {
        let message = user(json!([{"text": "x"}]));
        let mut body = json!({"model": model, "input": {"messages": [message]}});
        body["parameters"] = parameters;
        body["parameters"]["incremental_output"] = json!(false);
        let whole = answer(path, &body).await;
        let snapshots = events(&text(streamed(path, &body)).await, "event:result");
        assert_eq!(*snapshots.last().unwrap(), whole);
        body["parameters"]["incremental_output"] = json!(true);
        let increments = events(&text(streamed(path, &body)).await, "event:result");
        assert_eq!(increments.len(), snapshots.len());
        let (last, before) = increments.split_last().unwrap();
        assert_eq!(last["usage"]["output_tokens"], whole["usage"]["output_tokens"]);
        for pointer in [
            "/output/text",
            "/output/choices/0/message/reasoning_content",
            "/output/choices/0/message/content",
            "/output/choices/0/message/content/0/text",
        ] {
            let at =
                |event: &Value| event.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
            let said: String = increments.iter().filter_map(at).collect();
            assert_eq!(said, at(&whole).unwrap_or_default(), "{pointer}");
        }
        let finish = |event: &Value| {
            let choice = event.pointer("/output/choices/0").unwrap_or(&event["output"]);
            choice["finish_reason"].clone()
        };
        assert!(before.iter().all(|event| finish(event) == "null"));
        assert_eq!(finish(last), finish(&whole));
        let calls = &whole["output"]["choices"][0]["message"]["tool_calls"];
        for call in calls.as_array().into_iter().flatten() {
            let fragments = increments.iter().filter_map(|event| {
                let call_now = &event["output"]["choices"][0]["message"]["tool_calls"][0];
                (call_now["index"] == call["index"])
                    .then(|| call_now["function"]["arguments"].as_str())
            });
            let arguments: String = fragments.flatten().collect();
            assert_eq!(call["function"]["arguments"], arguments);
        }
    }
}

#[tokio::test]
async fn a_prompt_is_answered_with_text() {
    let body = json!({"model": "demo", "input": {"prompt": "ping"}});
    let output = answer(DASHSCOPE, &body).await["output"].clone();
    assert_eq!(output, json!({"text": "Hello from demo! You said: ping", "finish_reason": "stop"}));
    let body = json!({"model": "demo-error-stream", "input": {"prompt": "ping"}});
    let stream = text(streamed(DASHSCOPE, &body)).await;
    assert!(stream.contains("event:error\n:HTTP_STATUS/500\ndata:{\"code\":\"InternalError\""));
}
