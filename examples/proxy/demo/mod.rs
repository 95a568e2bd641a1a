//! A small upstream that answers at once and speaks all five protocols: Anthropic Messages, OpenAI
//! Chat Completions (and the Completions before it), OpenAI Responses, Gemini, DashScope.
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
//! | `demo-whole`, `demo-streamed` | no stream, or a stream, whatever was asked for |
//!
//! `GET /demo/state` counts the answers, `/demo/echo/...` shows any request as it arrived.

mod chat;
mod completions;
mod dashscope;
mod gemini;
mod generate;
mod messages;
mod models;
mod probe;
mod read;
mod responses;
mod scenario;
mod stream;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, State as Extract};
use axum::response::Response;
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use http::{Request, StatusCode, Uri};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use self::chat::Chat;
use self::completions::Completions;
use self::dashscope::DashScope;
use self::gemini::Gemini;
use self::generate::{Dialect, answer, count_tokens, json_response};
use self::messages::Messages;
use self::responses::Responses;
use self::stream::State;

/// The upstream. Clones share their counters.
#[derive(Debug, Clone, Default)]
pub(crate) struct Demo {
    key: Option<Arc<str>>,
    failing: bool,
    pace: Duration,
    state: Arc<State>,
}

#[allow(dead_code, reason = "each test that includes this module needs another part of it")]
impl Demo {
    /// An upstream that asks for no key and waits for nothing.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Demands this key, in any form that one of the vendors takes.
    pub(crate) fn key(mut self, key: &str) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Gives no answer any more, however it is asked: 529, or a stream whose first word is an
    /// error. The counters do not count these.
    pub(crate) fn failing(mut self) -> Self {
        self.failing = true;
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
        let aigc = "/api/v1/services/aigc";
        Router::new()
            .route("/v1/messages", post(answer::<Messages>))
            .route("/v1/messages/count_tokens", post(count_tokens::<Messages>))
            .route("/v1/chat/completions", post(answer::<Chat>))
            .route("/v1/completions", post(answer::<Completions>))
            .route("/v1/responses", post(answer::<Responses>))
            .route("/v1/responses/input_tokens", post(count_tokens::<Responses>))
            .route(&format!("{aigc}/text-generation/generation"), post(answer::<DashScope>))
            .route(&format!("{aigc}/multimodal-generation/generation"), post(answer::<DashScope>))
            .route("/api/v1/tokenizer", post(count_tokens::<DashScope>))
            .route("/v1/models", get(models::all))
            .route("/v1beta/models", get(models::all))
            .route("/v1/models/{id}", get(models::one).post(gemini))
            .route("/v1beta/models/{id}", get(models::one).post(gemini))
            .merge(probe::router())
            .fallback(not_found)
            .layer(DefaultBodyLimit::disable())
            .with_state(self)
    }
}

/// The action stands behind the model's name, in one segment of the path.
async fn gemini(demo: Extract<Demo>, request: Request<Body>) -> Response {
    let path = request.uri().path().replace("%3A", ":");
    match path.rsplit_once(':').map(|(_, action)| action) {
        Some("generateContent" | "streamGenerateContent") => answer::<Gemini>(demo, request).await,
        Some("countTokens") => count_tokens::<Gemini>(demo, request).await,
        _ => json_response(StatusCode::NOT_FOUND, &Gemini::error(404, "no such action")),
    }
}

async fn not_found(uri: Uri) -> Response {
    let message = format!("the demo has no {}", uri.path());
    json_response(StatusCode::NOT_FOUND, &Chat::error(404, &message))
}
