//! Here rather than in the demo's own folder, which other tests include.

use axum::Router;
use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::demo::Demo;

const MESSAGES: &str = "/v1/messages";
const CHAT: &str = "/v1/chat/completions";

fn post(path: &str, body: &Value) -> Request<Body> {
    let request = Request::post(path).header("anthropic-version", "2023-06-01");
    request.body(body.to_string().into()).unwrap()
}

async fn ask(router: &Router, request: Request<Body>) -> (StatusCode, Value) {
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

async fn refusal(path: &str, body: &Value) -> String {
    let (status, answer) = ask(&Demo::new().router(), post(path, body)).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
    answer["error"]["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_key_is_wanted_where_there_is_one() {
    let router = Demo::new().key("sk-demo").router();
    let body =
        json!({"model": "demo", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]});
    for path in [MESSAGES, CHAT] {
        for (name, value, expected) in [
            ("x-none", "", StatusCode::UNAUTHORIZED),
            ("authorization", "Bearer wrong", StatusCode::UNAUTHORIZED),
            ("authorization", "Bearer sk-demo", StatusCode::OK),
            ("x-api-key", "sk-demo", StatusCode::OK),
        ] {
            let mut request = post(path, &body);
            request.headers_mut().insert(name, value.parse().unwrap());
            assert_eq!(ask(&router, request).await.0, expected, "{path} {name}: {value}");
        }
    }
}

#[tokio::test]
async fn messages_are_read_strictly() {
    let ask = |messages: Value| json!({"model": "demo", "max_tokens": 9, "messages": messages});
    let call = json!({"role": "assistant", "content":
        [{"type": "tool_use", "id": "a", "name": "t", "input": {}}]});
    let result = json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a"}]});
    let thought = json!({"role": "assistant", "content":
        [{"type": "thinking", "thinking": "x", "signature": "forged"}]});
    let user = json!({"role": "user", "content": "x"});
    for (messages, expected) in [
        (json!([]), "at least one message"),
        (json!([result]), "unexpected `tool_use_id`"),
        (json!([call, user]), "without `tool_result`"),
        (json!([call, result, result]), "unexpected `tool_use_id`"),
        (json!([thought, user]), "Invalid `signature`"),
        (json!([{"role": "system", "content": "x"}]), "role must be"),
        (json!([{"role": "user", "content": [{"type": "text", "text": ""}]}]), "non-empty"),
    ] {
        let message = refusal(MESSAGES, &ask(messages)).await;
        assert!(message.contains(expected), "{message}");
    }
    let enabled = |budget: u64| json!({"type": "enabled", "budget_tokens": budget});
    for (thinking, choice, messages, expected) in [
        (enabled(1023), Value::Null, json!([user]), "at least 1024"),
        (enabled(4096), Value::Null, json!([user]), "must be greater"),
        (enabled(1024), json!({"type": "any"}), json!([user]), "forces tool use"),
        (json!({"type": "adaptive"}), Value::Null, json!([call, result]), "Expected `thinking`"),
    ] {
        let mut body = ask(messages);
        body["max_tokens"] = json!(4096);
        body["thinking"] = thinking;
        body["tool_choice"] = choice;
        let message = refusal(MESSAGES, &body).await;
        assert!(message.contains(expected), "{message}");
    }
    let message = refusal(MESSAGES, &json!({"model": "demo", "messages": [user]})).await;
    assert!(message.contains("max_tokens"), "{message}");
}

#[tokio::test]
async fn chat_is_read_strictly() {
    let call = json!({"role": "assistant", "content": null, "tool_calls":
        [{"id": "a", "type": "function", "function": {"name": "t", "arguments": "{}"}}]});
    let result = json!({"role": "tool", "tool_call_id": "a", "content": "x"});
    let image = json!({"role": "tool", "tool_call_id": "a", "content": [{"type": "image_url"}]});
    for (messages, expected) in [
        (json!([]), "non-empty"),
        (json!([result]), "must be a response"),
        (json!([call, {"role": "user", "content": "x"}]), "must be followed"),
        (json!([call, image]), "text only"),
        (json!([{"role": "assistant", "content": null}]), "must not be null"),
    ] {
        let message = refusal(CHAT, &json!({"model": "demo", "messages": messages})).await;
        assert!(message.contains(expected), "{message}");
    }
}

#[tokio::test]
async fn streams_are_counted_by_how_they_end() {
    let router = Demo::new().router();
    let stream = async |model: &str| {
        let body =
            json!({"model": model, "stream": true, "messages": [{"role": "user", "content": "x"}]});
        router.clone().oneshot(post(CHAT, &body)).await.unwrap().into_body()
    };
    let state = async || {
        let request = Request::get("/demo/state").body(Body::empty()).unwrap();
        let state = ask(&router, request).await.1;
        ["live", "finished", "cancelled"].map(|name| state[name].as_u64().unwrap())
    };
    let mut slow = stream("demo-slow").await;
    slow.frame().await.unwrap().unwrap();
    assert_eq!(state().await, [1, 0, 0]);
    drop(slow);
    assert_eq!(state().await, [0, 0, 1]);
    let whole = axum::body::to_bytes(stream("demo").await, 1 << 20).await.unwrap();
    assert!(whole.ends_with(b"data: [DONE]\n\n"));
    assert_eq!(state().await, [0, 1, 1]);
    assert!(axum::body::to_bytes(stream("demo-cut").await, 1 << 20).await.is_err());
    assert_eq!(state().await, [0, 2, 1]);
}
