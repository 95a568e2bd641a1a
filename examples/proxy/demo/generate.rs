//! The road of a generation: credential, request, scenario, answer.

use std::borrow::Cow;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State as Extract;
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use http::request::Parts;
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Demo;
use super::scenario::{Answer, Asked, Scenario};
use super::stream::{Live, Script, Step};

/// Largest request: 64 MiB.
const MAX_REQUEST: usize = 64 << 20;

/// Most bytes of a body that `demo-echo` tells.
const MAX_ECHO: usize = 8 << 10;

/// One protocol: reads requests, writes answers.
pub(super) trait Dialect {
    /// Whether a 429 has a `retry-after`; others say in the body how long to wait, or nowhere.
    const RETRY_AFTER: bool = true;

    fn read(parts: &Parts, body: &Value) -> Result<Asked, Refusal>;
    fn error(status: u16, message: &str) -> Value;
    fn whole(turn: &Turn, answer: Answer) -> Value;
    fn events(turn: &Turn, answer: Answer) -> Box<dyn Iterator<Item = Step> + Send>;

    /// The answer to a request that is not as it must be.
    fn refusal(_: &Parts, refusal: &Refusal) -> Response {
        refuse::<Self>(refusal.status, &refusal.message)
    }

    /// The size of a prompt.
    fn count(tokens: u64) -> Value {
        json!({"input_tokens": tokens})
    }

    /// What a stream is called in its `content-type`.
    fn media_type(_: &Parts) -> &'static str {
        "text/event-stream; charset=utf-8"
    }
}

/// A request under way.
#[derive(Debug)]
pub(super) struct Turn {
    /// Which answer of this demo it is; makes ids unique.
    pub(super) number: u64,
    pub(super) parts: Parts,
    pub(super) body: Value,
    pub(super) asked: Asked,
}

/// A request that is not as it must be: 400, or the status named.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) message: Cow<'static, str>,
}

impl Refusal {
    pub(super) const fn new(message: &'static str) -> Self {
        Self { status: 400, message: Cow::Borrowed(message) }
    }

    /// A complaint about one word of the request.
    pub(super) fn naming(complaint: &str, word: &str) -> Self {
        Self { status: 400, message: format!("{complaint}: {word}").into() }
    }

    pub(super) const fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }
}

pub(super) async fn answer<D: Dialect>(
    Extract(demo): Extract<Demo>,
    request: Request<Body>,
) -> Response {
    let (parts, body) = request.into_parts();
    match read::<D>(&demo, &parts, body).await {
        Ok((bytes, body, asked)) => play::<D>(&demo, parts, &bytes, body, asked).await,
        Err(refusal) => D::refusal(&parts, &refusal),
    }
}

pub(super) async fn count_tokens<D: Dialect>(
    Extract(demo): Extract<Demo>,
    request: Request<Body>,
) -> Response {
    let (parts, body) = request.into_parts();
    if let Err(refusal) = authorize(&demo, &parts) {
        return D::refusal(&parts, &refusal);
    }
    let length = collect(body).await.map_or(0, |bytes| bytes.len() as u64);
    json_response(StatusCode::OK, &D::count(length / 4))
}

/// Refuses a request without the demo's key, where it has one.
pub(super) fn authorize(demo: &Demo, parts: &Parts) -> Result<(), Refusal> {
    let Some(key) = demo.key.as_deref() else { return Ok(()) };
    let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    let mut query = parts.uri.query().unwrap_or_default().split('&');
    let shown = [bearer, header("x-api-key"), header("x-goog-api-key")];
    if shown.contains(&Some(key)) || query.any(|pair| pair.strip_prefix("key=") == Some(key)) {
        return Ok(());
    }
    Err(Refusal::new("invalid or missing API key").status(401))
}

async fn read<D: Dialect>(
    demo: &Demo,
    parts: &Parts,
    body: Body,
) -> Result<(Bytes, Value, Asked), Refusal> {
    authorize(demo, parts)?;
    let bytes = collect(body).await?;
    let body: Value = serde_json::from_slice(&bytes)
        .map_err(|_| Refusal::new("the body of the request is not valid JSON"))?;
    let mut asked = D::read(parts, &body)?;
    let marked = |mark: &[u8]| bytes.windows(mark.len()).any(|window| window == mark);
    asked.cached_tokens = if bytes.len() < 1 << 16 && marked(b"cache_control\"") { 7 } else { 0 };
    asked.input_tokens = bytes.len() as u64 / 4;
    Ok((bytes, body, asked))
}

pub(super) async fn collect(body: Body) -> Result<Bytes, Refusal> {
    #[expect(clippy::disallowed_methods, reason = "the body is limited")]
    let collected = Limited::new(body, MAX_REQUEST).collect().await;
    let too_large = Refusal::new("the request is too large").status(413);
    collected.map(http_body_util::Collected::to_bytes).map_err(|_| too_large)
}

async fn play<D: Dialect>(
    demo: &Demo,
    parts: Parts,
    bytes: &[u8],
    body: Value,
    asked: Asked,
) -> Response {
    let scenario = Scenario::of(&asked.model);
    if let Scenario::Status(status) = scenario {
        return refuse::<D>(status, "the demo fails as it was asked to");
    }
    if demo.failing {
        return fail::<D>(parts, body, asked);
    }
    let mut live = Live::begin(&demo.state);
    let number = live.number();
    let answer = Answer::to(&asked, number, || echo(&parts, bytes));
    let turn = Turn { number, parts, body, asked };
    if scenario.streams(turn.asked.stream) {
        let script = Script::new(D::events(&turn, answer), scenario.pause(demo.pace), live);
        return stream_response(D::media_type(&turn.parts), Body::new(script));
    }
    tokio::time::sleep(scenario.delay()).await;
    let body = D::whole(&turn, answer);
    live.finish();
    match scenario {
        Scenario::Gzip => gzip(&body).unwrap_or_else(|_| refuse::<D>(500, "no gzip")),
        Scenario::Cut => Body::new(Script::new(cut(&body), Duration::ZERO, live)).into_response(),
        _ => json_response(StatusCode::OK, &body),
    }
}

/// What a demo that fails gives.
fn fail<D: Dialect>(parts: Parts, body: Value, asked: Asked) -> Response {
    if !asked.stream {
        return refuse::<D>(529, "the demo is overloaded");
    }
    let uncounted = Live::begin(&Arc::default());
    let turn = Turn { number: uncounted.number(), parts, body, asked };
    let steps = D::events(&turn, Answer::failed());
    let script = Script::new(steps, Duration::ZERO, uncounted);
    stream_response(D::media_type(&turn.parts), Body::new(script))
}

/// The first half of a document, and no more.
fn cut(body: &Value) -> impl Iterator<Item = Step> + Send + use<> {
    let text = body.to_string();
    let half: String = text.chars().take(text.chars().count() / 2).collect();
    [Step::Data(half), Step::Flush, Step::Cut].into_iter()
}

pub(super) fn stream_response(media_type: &'static str, body: Body) -> Response {
    let headers = [(header::CONTENT_TYPE, media_type), (header::CACHE_CONTROL, "no-cache")];
    (headers, body).into_response()
}

fn gzip(body: &Value) -> std::io::Result<Response> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body.to_string().as_bytes())?;
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CONTENT_ENCODING, "gzip")];
    Ok((headers, encoder.finish()?).into_response())
}

fn refuse<D: Dialect + ?Sized>(status: u16, message: &str) -> Response {
    let code = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json_response(code, &D::error(status, message));
    if status == 429 && D::RETRY_AFTER {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

pub(super) fn json_response(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

/// What arrived here, for tests of what a gateway sends.
pub(super) fn echo(parts: &Parts, body: &[u8]) -> Value {
    let headers = parts.headers.iter();
    let header = |(name, value): (&http::HeaderName, &HeaderValue)| {
        json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())])
    };
    let text = String::from_utf8_lossy(body.get(..MAX_ECHO).unwrap_or(body));
    let digest: String = Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
    json!({
        "method": parts.method.as_str(),
        "path": parts.uri.path(),
        "query": parts.uri.query(),
        "headers": headers.map(header).collect::<Value>(),
        "body": {"bytes": body.len(), "sha256": digest, "text": text},
    })
}
