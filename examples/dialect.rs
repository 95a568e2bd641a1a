//! A vendor of your own: Chat Completions with another path, a header, and another word in its
//! answers. Callers speak whatever they like; this one speaks Anthropic Messages.
//!
//! `cargo run --example dialect` asks once and ends.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body_util::Full;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt};
use tower_llm_gateway::ProviderTranslateLayer;
use tower_llm_gateway::body::{Collect, RewriteBody};
use tower_llm_gateway::context::Upstream;
use tower_llm_gateway::protocol::Protocol;
use tower_llm_gateway::protocol::dialect::{AnswerPiece, Dialect, DialectError, Outgoing};

/// Most bytes of a body that is read here.
const LIMIT: usize = 1 << 20;

#[derive(Debug)]
struct Acme;

impl Dialect for Acme {
    fn request(&self, request: &mut Outgoing<'_>) -> Result<(), DialectError> {
        request.headers.insert("x-team", HeaderValue::from_static("search"));
        request.set_path("/chat/completions", "/talk")?;
        // Acme calls the model an engine.
        request.rewrite(
            |name, value, object| {
                object.raw(if name == "model" { "engine" } else { name }, value);
                Ok::<(), DialectError>(())
            },
            |_| {},
        )
    }

    fn answer<'a>(&self, document: &'a str, _: AnswerPiece) -> Cow<'a, str> {
        document.replace(r#""output":"#, r#""content":"#).into()
    }

    fn changes_answers(&self) -> bool {
        true
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let upstream = Upstream::new("https://api.acme.example", Protocol::OpenAiChat)?
        .key("acme-key")?
        .dialect(Acme);
    let mut service =
        ServiceBuilder::new().layer(ProviderTranslateLayer::to(upstream)).service_fn(acme);

    let body = r#"{"model":"m1","max_tokens":64,"messages":[{"role":"user","content":"Hello"}]}"#;
    let request = Request::post("/v1/messages").body(Full::new(Bytes::from(body)))?;
    let response = service.ready().await?.call(request).await?;
    let answer = Collect::new(response.into_body(), LIMIT).await?.bytes;
    println!("{}", String::from_utf8_lossy(&answer));
    assert!(String::from_utf8_lossy(&answer).contains(r#""text":"Hello, search""#));
    Ok(())
}

/// Stands for the vendor.
async fn acme(
    request: Request<RewriteBody<Full<Bytes>>>,
) -> Result<Response<Full<Bytes>>, BoxError> {
    println!("POST {}", request.uri());
    let team = request.headers()["x-team"].to_str()?.to_owned();
    let body = Collect::new(request.into_body(), LIMIT).await?.bytes;
    println!("{}", String::from_utf8_lossy(&body));
    let answer = format!(
        r#"{{"id":"1","choices":[{{"index":0,"message":{{"role":"assistant","output":"Hello, {team}"}},"finish_reason":"stop"}}]}}"#
    );
    Ok(Response::builder()
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(answer)))?)
}
