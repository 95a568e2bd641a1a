//! A small upstream that answers at once: Anthropic Messages and OpenAI Chat Completions.
//!
//! The example proxy uses it when no upstream is configured, tests and benches as the far end of
//! what they check. It writes its JSON by hand and knows nothing of the gateway, so that a fault
//! of the gateway's readers or writers shows. The model chooses what happens:
//!
//! | model | |
//! |---|---|
//! | `demo`, any other | a friendly text; a tool call where the prompt asks for one |
//! | `demo-tool`, `demo-parallel` | one tool call; one of every tool (twice the same if there is one) |
//! | `demo-thinking` | thinks first, also unasked |
//! | `demo-error-<status>` | that error; 429 with `retry-after: 1` |
//! | `demo-error-stream`, `demo-cut` | a stream that fails, or breaks off, after two words |
//! | `demo-slow` | a word each 100 ms without end; whole answers after 5 s |
//! | `demo-large-<KiB>` | a long text, 1024 KiB by default |
//! | `demo-echo` | the request as it arrived, as JSON in the text |
//! | `demo-gzip` | a whole answer in gzip, though none was asked for |
//!
//! `GET /demo/state` counts the answers, `/demo/echo/...` shows any request as it arrived.

mod chat;
mod generate;
mod messages;
mod probe;
mod scenario;
mod stream;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State as Extract};
use axum::response::Response;
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use http::{HeaderMap, StatusCode, Uri};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use self::chat::Chat;
use self::generate::{Dialect, answer, authorize, count_tokens, json_response};
use self::messages::Messages;
use self::stream::State;

const MODELS: [&str; 4] = ["demo", "demo-tool", "demo-thinking", "demo-slow"];

/// The upstream. Clones share their counters.
#[derive(Debug, Clone, Default)]
pub(crate) struct Demo {
    key: Option<Arc<str>>,
    pace: Duration,
    state: Arc<State>,
}

#[allow(dead_code, reason = "each test that includes this module needs another part of it")]
impl Demo {
    /// An upstream that asks for no key and waits for nothing.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Demands this key, as `x-api-key` or bearer token.
    pub(crate) fn key(mut self, key: &str) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Waits this long before each word of a stream, so that a person sees it stream.
    pub(crate) fn pace(mut self, pace: Duration) -> Self {
        self.pace = pace;
        self
    }

    /// Listens on a free port of the loopback, until `tasks` is dropped. Gives the URL.
    pub(crate) async fn start(self, tasks: &mut JoinSet<io::Result<()>>) -> io::Result<String> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        // A connection without it still works, only later.
        let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
        tasks.spawn(async { axum::serve(listener, self.router()).await });
        Ok(url)
    }

    /// All of its routes; any other path is a 404 in JSON.
    pub(crate) fn router(self) -> Router {
        Router::new()
            .route("/v1/messages", post(answer::<Messages>))
            .route("/v1/messages/count_tokens", post(count_tokens::<Messages>))
            .route("/v1/chat/completions", post(answer::<Chat>))
            .route("/v1/models", get(models))
            .merge(probe::router())
            .fallback(not_found)
            .layer(DefaultBodyLimit::disable())
            .with_state(self)
    }
}

/// The two protocols share the path; Messages clients send `anthropic-version`.
async fn models(Extract(demo): Extract<Demo>, headers: HeaderMap) -> Response {
    let messages = headers.contains_key("anthropic-version");
    if authorize(&demo, &headers).is_err() {
        let message = "invalid or missing API key";
        let error =
            if messages { Messages::error(401, message) } else { Chat::error(401, message) };
        return json_response(StatusCode::UNAUTHORIZED, &error);
    }
    let body = if messages {
        let created = "2026-11-21T00:00:00Z";
        let data: Value = MODELS
            .map(|id| json!({"type": "model", "id": id, "display_name": id, "created_at": created}))
            .into_iter()
            .collect();
        json!({"data": data, "has_more": false, "first_id": MODELS[0], "last_id": MODELS[3]})
    } else {
        let data: Value = MODELS
            .map(|id| json!({"id": id, "object": "model", "created": 0, "owned_by": "demo"}))
            .into_iter()
            .collect();
        json!({"object": "list", "data": data})
    };
    json_response(StatusCode::OK, &body)
}

async fn not_found(uri: Uri) -> Response {
    let message = format!("the demo has no {}", uri.path());
    json_response(StatusCode::NOT_FOUND, &Chat::error(404, &message))
}
