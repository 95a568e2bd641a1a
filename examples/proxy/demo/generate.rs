//! The road of a generation: credential, request, scenario, answer.

use std::io::Write;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State as Extract;
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
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
    fn read(headers: &HeaderMap, body: &Value) -> Result<Asked, Refusal>;
    fn error(status: u16, message: &str) -> Value;
    fn whole(number: u64, asked: &Asked, answer: Answer) -> Value;
    fn events(number: u64, asked: &Asked, answer: Answer) -> Box<dyn Iterator<Item = Step> + Send>;
}

/// A request that is not as it must be: 400, or the status named.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refusal {
    status: u16,
    message: &'static str,
}

impl Refusal {
    pub(super) const fn new(message: &'static str) -> Self {
        Self { status: 400, message }
    }
}

pub(super) async fn answer<D: Dialect>(
    Extract(demo): Extract<Demo>,
    request: Request<Body>,
) -> Response {
    match read::<D>(&demo, request).await {
        Ok((parts, bytes, asked)) => play::<D>(&demo, &parts, &bytes, asked).await,
        Err(refusal) => refuse::<D>(refusal.status, refusal.message),
    }
}

pub(super) async fn count_tokens<D: Dialect>(
    Extract(demo): Extract<Demo>,
    request: Request<Body>,
) -> Response {
    let (parts, body) = request.into_parts();
    match authorize(&demo, &parts.headers) {
        Ok(()) => {
            let length = collect(body).await.map_or(0, |bytes| bytes.len());
            json_response(StatusCode::OK, &json!({"input_tokens": length / 4}))
        }
        Err(refusal) => refuse::<D>(refusal.status, refusal.message),
    }
}

/// Refuses a request without the demo's key, where it has one.
pub(super) fn authorize(demo: &Demo, headers: &HeaderMap) -> Result<(), Refusal> {
    let Some(key) = demo.key.as_deref() else { return Ok(()) };
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = bearer.and_then(|value| value.strip_prefix("Bearer "));
    let header = headers.get("x-api-key").and_then(|value| value.to_str().ok());
    if bearer == Some(key) || header == Some(key) {
        return Ok(());
    }
    Err(Refusal { status: 401, message: "invalid or missing API key" })
}

async fn read<D: Dialect>(
    demo: &Demo,
    request: Request<Body>,
) -> Result<(Parts, Bytes, Asked), Refusal> {
    let (parts, body) = request.into_parts();
    authorize(demo, &parts.headers)?;
    let bytes = collect(body).await?;
    let body: Value = serde_json::from_slice(&bytes)
        .map_err(|_| Refusal::new("the body of the request is not valid JSON"))?;
    let mut asked = D::read(&parts.headers, &body)?;
    let marked = |mark: &[u8]| bytes.windows(mark.len()).any(|window| window == mark);
    asked.cached_tokens = if bytes.len() < 1 << 16 && marked(b"cache_control\"") { 7 } else { 0 };
    asked.input_tokens = bytes.len() as u64 / 4;
    Ok((parts, bytes, asked))
}

pub(super) async fn collect(body: Body) -> Result<Bytes, Refusal> {
    #[expect(clippy::disallowed_methods, reason = "the body is limited")]
    let collected = Limited::new(body, MAX_REQUEST).collect().await;
    let too_large = Refusal { status: 413, message: "the request is too large" };
    collected.map(http_body_util::Collected::to_bytes).map_err(|_| too_large)
}

async fn play<D: Dialect>(demo: &Demo, parts: &Parts, bytes: &[u8], asked: Asked) -> Response {
    let scenario = Scenario::of(&asked.model);
    if let Scenario::Status(status) = scenario {
        return refuse::<D>(status, "the demo fails as it was asked to");
    }
    let mut live = Live::begin(&demo.state);
    let number = live.number();
    let answer = Answer::to(&asked, number, || echo(parts, bytes));
    if asked.stream {
        let steps = D::events(number, &asked, answer);
        return stream_response(Body::new(Script::new(steps, scenario.pause(demo.pace), live)));
    }
    tokio::time::sleep(scenario.delay()).await;
    let body = D::whole(number, &asked, answer);
    live.finish();
    match scenario {
        Scenario::Gzip => gzip(&body).unwrap_or_else(|_| refuse::<D>(500, "no gzip")),
        Scenario::Cut => Body::new(Script::new(cut(&body), Duration::ZERO, live)).into_response(),
        _ => json_response(StatusCode::OK, &body),
    }
}

/// The first half of a document, and no more.
fn cut(body: &Value) -> impl Iterator<Item = Step> + Send + use<> {
    let text = body.to_string();
    let half: String = text.chars().take(text.chars().count() / 2).collect();
    [Step::Data(half), Step::Flush, Step::Cut].into_iter()
}

fn stream_response(body: Body) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, body).into_response()
}

fn gzip(body: &Value) -> std::io::Result<Response> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body.to_string().as_bytes())?;
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CONTENT_ENCODING, "gzip")];
    Ok((headers, encoder.finish()?).into_response())
}

fn refuse<D: Dialect>(status: u16, message: &str) -> Response {
    let code = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json_response(code, &D::error(status, message));
    if status == 429 {
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
