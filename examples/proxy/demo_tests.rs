//! Here rather than in the demo's own folder, which other tests include.

mod dashscope;
mod gemini;
mod responses;

use axum::Router;
use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::demo::Demo;

const MESSAGES: &str = "/v1/messages";
const CHAT: &str = "/v1/chat/completions";
const RESPONSES: &str = "/v1/responses";
const GEMINI: &str = "/v1beta/models/demo:generateContent";
const DASHSCOPE: &str = "/api/v1/services/aigc/text-generation/generation";
const COMPLETIONS: &str = "/v1/completions";

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

/// Answers to one question of a demo of their own.
async fn answer(path: &str, body: &Value) -> Value {
    let (status, answer) = ask(&Demo::new().router(), post(path, body)).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    answer
}

/// A body as it came.
async fn text(request: Request<Body>) -> String {
    let response = Demo::new().router().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let body = axum::body::to_bytes(response.into_body(), 1 << 22).await.unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

async fn refusal(path: &str, body: &Value) -> String {
    let (status, answer) = ask(&Demo::new().router(), post(path, body)).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
    let message = answer["error"]["message"].as_str().or(answer["message"].as_str());
    message.unwrap().to_owned()
}

#[tokio::test]
async fn a_key_is_wanted_where_there_is_one() {
    let router = Demo::new().key("sk-demo").router();
    let messages = json!([{"role": "user", "content": "x"}]);
    let chat = json!({"model": "demo", "max_tokens": 9, "messages": messages});
    for (path, body, refused) in [
        (MESSAGES, &chat, StatusCode::UNAUTHORIZED),
        (CHAT, &chat, StatusCode::UNAUTHORIZED),
        (RESPONSES, &json!({"model": "demo", "input": "x"}), StatusCode::UNAUTHORIZED),
        (GEMINI, &json!({"contents": [{"parts": [{"text": "x"}]}]}), StatusCode::BAD_REQUEST),
        (
            DASHSCOPE,
            &json!({"model": "demo", "input": {"messages": messages}}),
            StatusCode::UNAUTHORIZED,
        ),
    ] {
        for (name, value, expected) in [
            ("x-none", "", refused),
            ("authorization", "Bearer wrong", refused),
            ("authorization", "Bearer sk-demo", StatusCode::OK),
            ("x-api-key", "sk-demo", StatusCode::OK),
            ("x-goog-api-key", "sk-demo", StatusCode::OK),
        ] {
            let mut request = post(path, body);
            request.headers_mut().insert(name, value.parse().unwrap());
            assert_eq!(ask(&router, request).await.0, expected, "{path} {name}: {value}");
        }
        let request = post(&format!("{path}?a=b&key=sk-demo"), body);
        assert_eq!(ask(&router, request).await.0, StatusCode::OK, "{path} ?key=");
    }
}

#[tokio::test]
async fn lists_of_models_go_by_header_and_path() {
    let router = Demo::new().router();
    for (path, header, pointer) in [
        ("/v1/models", "x-none", "/data/0/owned_by"),
        ("/v1/models", "anthropic-version", "/data/0/created_at"),
        ("/v1/models", "x-goog-api-key", "/models/0/displayName"),
        ("/v1beta/models", "x-none", "/models/0/displayName"),
        ("/v1/models/demo", "x-none", "/owned_by"),
        ("/v1/models/demo", "anthropic-version", "/created_at"),
        ("/v1beta/models/demo", "x-none", "/displayName"),
    ] {
        let request = Request::get(path).header(header, "x").body(Body::empty()).unwrap();
        let (status, list) = ask(&router, request).await;
        assert_eq!(status, StatusCode::OK);
        assert!(list.pointer(pointer).is_some(), "{path} {header}: {list}");
    }
    let request = Request::get("/v1/models/other").body(Body::empty()).unwrap();
    assert_eq!(ask(&router, request).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn prompts_are_counted_in_each_form() {
    for (path, pointer) in [
        ("/v1/messages/count_tokens", "/input_tokens"),
        ("/v1/responses/input_tokens", "/input_tokens"),
        ("/v1beta/models/demo:countTokens", "/totalTokens"),
        ("/api/v1/tokenizer", "/usage/input_tokens"),
    ] {
        let count = answer(path, &json!({"text": "12345678"})).await;
        assert_eq!(count.pointer(pointer), Some(&json!(4)), "{path}: {count}");
    }
}

#[tokio::test]
async fn the_old_completions_go_on_with_the_prompt() {
    let body = json!({"model": "demo", "prompt": "ping", "max_tokens": 64});
    let whole = answer(COMPLETIONS, &body).await;
    assert_eq!(whole["choices"][0]["text"], "Hello from demo! You said: ping");
    assert_eq!(whole["choices"][0]["finish_reason"], "stop");
    let mut asked = body.clone();
    asked["stream"] = json!(true);
    asked["stream_options"] = json!({"include_usage": true});
    let stream = text(post(COMPLETIONS, &asked)).await;
    let mut said = String::new();
    let lines: Vec<&str> = stream.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    let (done, chunks) = lines.split_last().unwrap();
    assert_eq!(*done, "[DONE]");
    for chunk in chunks {
        let chunk: Value = serde_json::from_str(chunk).unwrap();
        said.push_str(chunk["choices"][0]["text"].as_str().unwrap_or_default());
    }
    assert_eq!(said, "Hello from demo! You said: ping");
    assert!(chunks.last().unwrap().contains("completion_tokens"));
    assert_eq!(refusal(COMPLETIONS, &json!({"model": "demo"})).await, "prompt: expected one text");
}

#[tokio::test]
async fn members_that_a_vendor_does_not_know_are_refused() {
    for path in [MESSAGES, CHAT, RESPONSES, GEMINI, DASHSCOPE, COMPLETIONS] {
        let mut body = json!({"surprise": 1});
        if path != GEMINI {
            body["model"] = json!("demo");
        }
        let message = refusal(path, &body).await;
        assert!(message.contains("surprise"), "{path}: {message}");
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
async fn some_models_do_not_heed_whether_a_stream_was_asked_for() {
    for (model, stream, begins) in [("demo-whole", true, "{"), ("demo-streamed", false, "data: ")] {
        let messages = json!([{"role": "user", "content": "x"}]);
        let body = json!({"model": model, "stream": stream, "messages": messages});
        assert!(text(post(CHAT, &body)).await.starts_with(begins), "{model}");
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
