//! The demo upstream behind a clerk who writes down every call: which channel and key, what was
//! answered, how many bytes went out, what they said of tokens.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::serve::ListenerExt;
use bytes::Bytes;
use http::{HeaderMap, StatusCode, Uri, header};
use http_body::Frame;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tower_llm_gateway::protocol::Protocol;

use crate::ask::MAX_REQUEST;
use crate::demo::Demo;
use crate::tokens::{self, Tokens};

/// The third word of the demo's text; a stream that is held goes no farther.
pub(crate) const LAST_WORD: &str = "from ";

/// A key with this in it is always over its limit, on the paths of protocols.
pub(crate) const OVER_LIMIT: &str = "limited";

/// What one of the vendors does with whoever has a good key.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Vendor {
    /// As the model says.
    Answers,
    /// No answer, however it is asked.
    Fails,
}

/// One call to a vendor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) key: String,
    /// `None` for one that was never answered.
    pub(crate) status: Option<u16>,
    pub(crate) encoded: bool,
    pub(crate) bytes: u64,
    pub(crate) tokens: Option<Tokens>,
}

/// What all vendors write down.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    calls: Mutex<HashMap<u64, Vec<Call>>>,
    mute: Mutex<HashMap<u64, Arc<Notify>>>,
    open: AtomicUsize,
}

impl Ledger {
    /// The calls that were made for one request.
    pub(crate) fn calls(&self, ticket: u64) -> Vec<Call> {
        self.calls.lock().unwrap().get(&ticket).cloned().unwrap_or_default()
    }

    /// Calls that have not ended.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    /// Told as soon as a vendor has that request and will not answer it.
    pub(crate) fn mute(&self, ticket: u64) -> Arc<Notify> {
        self.mute.lock().unwrap().entry(ticket).or_default().clone()
    }

    fn begin(self: &Arc<Self>, ticket: u64, key: String) -> Entry {
        self.open.fetch_add(1, Ordering::SeqCst);
        let call = Call { key, status: None, encoded: false, bytes: 0, tokens: None };
        let mut calls = self.calls.lock().unwrap();
        let calls = calls.entry(ticket).or_default();
        calls.push(call);
        Entry { ledger: self.clone(), ticket, index: calls.len() - 1 }
    }
}

/// One call that is under way.
struct Entry {
    ledger: Arc<Ledger>,
    ticket: u64,
    index: usize,
}

impl Entry {
    fn write(&self, write: impl FnOnce(&mut Call)) {
        let mut calls = self.ledger.calls.lock().unwrap();
        write(&mut calls.get_mut(&self.ticket).unwrap()[self.index]);
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.ledger.open.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Vendor {
    /// Listens until `running` is dropped. Gives the URL.
    pub(crate) async fn start(
        self,
        ledger: &Arc<Ledger>,
        running: &mut JoinSet<std::io::Result<()>>,
    ) -> String {
        let demo = match self {
            Self::Answers => Demo::new(),
            Self::Fails => Demo::new().failing(),
        };
        let app: Router = demo.router().layer(from_fn_with_state(ledger.clone(), write_down));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap());
        running.spawn(async { axum::serve(listener, app).await });
        url
    }
}

async fn write_down(ledger: State<Arc<Ledger>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let bytes = to_bytes(body, 2 * MAX_REQUEST).await.unwrap();
    let text = String::from_utf8_lossy(&bytes);
    let ticket = ticket(&parts.uri.to_string()).or_else(|| ticket(&text)).unwrap();
    let key = key(&parts.headers, &parts.uri).unwrap_or_default();
    let entry = ledger.begin(ticket, key.clone());
    let protocol = protocol(parts.uri.path());
    let is_called = |name: &str| parts.uri.path().contains(name) || text.contains(name);
    let (mute, hold) = (is_called("demo-mute"), is_called("demo-hold"));
    let response = if protocol.is_some() && key.contains(OVER_LIMIT) {
        let body = r#"{"error":{"message":"slow down","type":"rate_limit_error"}}"#;
        let json = [(header::CONTENT_TYPE, "application/json")];
        (StatusCode::TOO_MANY_REQUESTS, json, body).into_response()
    } else {
        next.run(Request::from_parts(parts, Body::from(bytes))).await
    };
    let good = response.status().is_success();
    if mute && good {
        ledger.mute(ticket).notify_one();
        return std::future::pending().await;
    }
    let encoded = response.headers().contains_key(header::CONTENT_ENCODING);
    entry.write(|call| (call.status, call.encoded) = (Some(response.status().as_u16()), encoded));
    response.map(|inner| {
        let read = Vec::new();
        Body::new(Counted {
            inner,
            entry,
            protocol,
            hold: hold && good,
            held: false,
            encoded,
            read,
        })
    })
}

/// The number behind `ticket-`.
fn ticket(text: &str) -> Option<u64> {
    let (_, rest) = text.split_once("ticket-")?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

fn key(headers: &HeaderMap, uri: &Uri) -> Option<String> {
    let header = |name: &str| headers.get(name)?.to_str().ok();
    let query = || uri.query()?.split('&').find_map(|pair| pair.strip_prefix("key="));
    let found = header("x-api-key")
        .or_else(|| header("x-goog-api-key"))
        .or_else(|| header("authorization").map(|value| value.trim_start_matches("Bearer ")))
        .or_else(query);
    found.map(str::to_owned)
}

fn protocol(path: &str) -> Option<Protocol> {
    Some(match path {
        "/v1/messages" => Protocol::Anthropic,
        "/v1/chat/completions" => Protocol::OpenAiChat,
        "/v1/responses" => Protocol::OpenAiResponses,
        path if path.contains("enerateContent") => Protocol::Gemini,
        path if path.contains("/services/aigc/") => Protocol::DashScope,
        _ => return None,
    })
}

/// Counts what goes out, and reads it.
struct Counted {
    inner: Body,
    entry: Entry,
    protocol: Option<Protocol>,
    /// Whether it goes out to [`LAST_WORD`] only, and then waits.
    hold: bool,
    held: bool,
    encoded: bool,
    read: Vec<u8>,
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.held {
            return Poll::Pending;
        }
        let frame = Pin::new(&mut self.inner).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &frame {
            if let Some(data) = frame.data_ref() {
                self.held = self.hold && String::from_utf8_lossy(data).contains(LAST_WORD);
                self.read.extend_from_slice(data);
            }
        }
        frame
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let said = self.protocol.and_then(|of| tokens::of(of, self.encoded, &self.read));
        let bytes = self.read.len() as u64;
        self.entry.write(|call| (call.bytes, call.tokens) = (bytes, said));
    }
}
