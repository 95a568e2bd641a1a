//! A vendor that says everything it knows in its errors, as some do, and remembers what it was
//! sent.

use std::fmt::Write;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::json;
use tokio::net::TcpListener;

use super::secrets::{URL_KEY, URL_PASSWORD};

/// Largest request.
const MAX_REQUEST: usize = 1 << 20;

#[derive(Default)]
pub(crate) struct Vendor {
    seen: Mutex<String>,
}

impl Vendor {
    /// Listens as long as the runtime lives. Gives the URL.
    pub(crate) async fn start(self: Arc<Self>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().fallback(answer).with_state(self);
        #[expect(clippy::disallowed_methods, reason = "it lives as long as the test")]
        tokio::spawn(async { axum::serve(listener, app).await });
        url
    }

    /// Whether it was sent this, in whatever part of a request.
    pub(crate) fn saw(&self, text: &str) -> bool {
        self.seen.lock().unwrap().contains(text)
    }
}

async fn answer(State(vendor): State<Arc<Vendor>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, MAX_REQUEST).await.unwrap();
    let body = String::from_utf8_lossy(&body).into_owned();
    let mut told = format!("{} {}\n", parts.method, parts.uri);
    for (name, value) in &parts.headers {
        let _ = writeln!(told, "{name}: {}", value.to_str().unwrap_or_default());
    }
    told.push_str(&body);
    vendor.seen.lock().unwrap().push_str(&told);
    let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let key = header("x-api-key").or(header("x-goog-api-key")).or(header("authorization"));
    let key = key.unwrap_or_default().trim_start_matches("Bearer ").to_owned();
    let what = told.split_once("leak-").map_or("", |(_, rest)| rest);
    let what: String = what.chars().take_while(char::is_ascii_alphanumeric).collect();
    let mut response = say(&what, parts.uri.path(), &key, &told);
    echo(&mut response, &key);
    response
}

/// Repeats the key in headers.
fn echo(response: &mut Response, key: &str) {
    let location = format!("https://admin:{URL_PASSWORD}@vendor.example/?key={URL_KEY}");
    for (name, text) in [
        ("x-debug-key", key.to_owned()),
        ("www-authenticate", format!("Bearer {key}")),
        ("set-cookie", format!("session={key}; path=/")),
        ("content-location", location),
    ] {
        if let Ok(value) = HeaderValue::from_str(&text) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
}

fn say(what: &str, path: &str, key: &str, told: &str) -> Response {
    let message = format!(
        "Incorrect API key provided: {key}. It is not {URL_KEY}. See \
         https://admin:{URL_PASSWORD}@vendor.example/keys?key={key}. You sent: {told}"
    );
    let error = json!({
        "type": "error", "code": "InvalidApiKey", "message": message, "api_key": key,
        "error": {"type": "authentication_error", "code": 401, "status": "UNAUTHENTICATED",
            "message": message, "details": [{"key": key}]},
    });
    match what.parse() {
        Ok(status) => {
            let status = StatusCode::from_u16(status).unwrap();
            (status, axum::Json(error)).into_response()
        }
        Err(_) if what == "text" => (StatusCode::BAD_GATEWAY, message).into_response(),
        Err(_) if what == "stream" => stream(path, &message),
        Err(_) if what == "cut" => {
            let json = [(header::CONTENT_TYPE, "application/json")];
            let half = format!("{{\"error\": \"{key}");
            let broken = std::io::Error::other(message);
            let steps = [Ok(half), Err(broken)];
            (json, Body::from_stream(Steps(steps.into_iter()))).into_response()
        }
        Err(_) => whole(path, key).into_response(),
    }
}

/// A stream that says one word and then all it knows.
fn stream(path: &str, message: &str) -> Response {
    let events = if path == "/v1/messages" {
        let start = json!({"type": "message_start", "message": {"id": "msg_1", "type": "message",
            "role": "assistant", "model": "m", "content": [], "stop_reason": null,
            "stop_sequence": null, "usage": {"input_tokens": 1, "output_tokens": 1}}});
        let block = json!({"type": "content_block_start", "index": 0,
            "content_block": {"type": "text", "text": ""}});
        let delta = json!({"type": "content_block_delta", "index": 0,
            "delta": {"type": "text_delta", "text": "Hi"}});
        let error = json!({"type": "error",
            "error": {"type": "authentication_error", "message": message}});
        vec![start, block, delta, error]
    } else if path == "/v1/chat/completions" {
        let chunk = json!({"id": "c", "object": "chat.completion.chunk", "created": 1,
            "model": "m", "choices": [{"index": 0, "delta": {"content": "Hi"},
            "finish_reason": null}]});
        vec![chunk, json!({"error": {"message": message, "type": "server_error"}})]
    } else {
        let chunk = json!({"candidates": [{"content": {"parts": [{"text": "Hi"}],
            "role": "model"}, "index": 0}], "modelVersion": "m"});
        let error = json!({"error": {"code": 503, "message": message, "status": "UNAVAILABLE"}});
        vec![chunk, error]
    };
    let text = events.iter().fold(String::new(), |mut text, event| {
        if let Some(name) = event["type"].as_str() {
            let _ = writeln!(text, "event: {name}");
        }
        let _ = write!(text, "data: {event}\n\n");
        text
    });
    ([(header::CONTENT_TYPE, "text/event-stream")], text).into_response()
}

/// A good answer, in which the model repeats the key.
fn whole(path: &str, key: &str) -> axum::Json<serde_json::Value> {
    let text = format!("Your key is {key}");
    axum::Json(if path == "/v1/messages" {
        json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m",
            "content": [{"type": "text", "text": text}], "stop_reason": "end_turn",
            "stop_sequence": null, "usage": {"input_tokens": 1, "output_tokens": 1}})
    } else if path == "/v1/chat/completions" {
        json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text},
            "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}})
    } else {
        json!({"candidates": [{"content": {"parts": [{"text": text}], "role": "model"},
            "finishReason": "STOP", "index": 0}], "modelVersion": "m",
            "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1,
            "totalTokenCount": 2}})
    })
}

/// A stream of what is there already.
struct Steps(std::array::IntoIter<Result<String, std::io::Error>, 2>);

impl futures_core::Stream for Steps {
    type Item = Result<String, std::io::Error>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        std::task::Poll::Ready(self.0.next())
    }
}
