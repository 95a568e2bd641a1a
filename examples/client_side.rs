//! The same layers around an outgoing client: no proxy, no listener.
//!
//! A program written for Anthropic Messages streams from an upstream that speaks OpenAI Chat
//! Completions. `cargo run --example client_side` prints the words as they come, and ends.
//!
//! The client is hyper-util's, which is a tower service. `reqwest::Client` is none of
//! `http::Request`; this makes it one:
//!
//! ```ignore
//! #[derive(Clone)]
//! struct Reqwest(reqwest::Client);
//!
//! impl<B> tower::Service<http::Request<B>> for Reqwest
//! where
//!     B: http_body::Body<Data = bytes::Bytes> + Send + Sync + 'static,
//!     B::Error: Into<BoxError>,
//! {
//!     type Response = http::Response<reqwest::Body>;
//!     type Error = reqwest::Error;
//!     type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;
//!
//!     fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
//!         Poll::Ready(Ok(()))
//!     }
//!
//!     fn call(&mut self, request: http::Request<B>) -> Self::Future {
//!         let client = self.0.clone();
//!         let request = request.map(reqwest::Body::wrap).try_into();
//!         Box::pin(async move { Ok(client.execute(request?).await?.into()) })
//!     }
//! }
//! ```

#[path = "proxy/demo/mod.rs"]
mod demo;

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::task::JoinSet;
use tower::{ServiceBuilder, ServiceExt};
use tower_llm_gateway::context::Upstream;
use tower_llm_gateway::protocol::Protocol;
use tower_llm_gateway::sse::Decoder;
use tower_llm_gateway::{HopByHopFilterLayer, ProviderTranslateLayer, SystemPromptLayer};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut tasks = JoinSet::new();
    let pace = Duration::from_millis(20);
    let vendor = demo::Demo::new().key("sk-vendor").pace(pace).start(&mut tasks).await?;

    let upstream = Upstream::new(&vendor, Protocol::OpenAiChat)?.key("sk-vendor")?;
    let client = ServiceBuilder::new()
        .layer(SystemPromptLayer::append("Be brief."))
        .layer(ProviderTranslateLayer::to(upstream))
        .layer(HopByHopFilterLayer::new())
        .service(Client::builder(TokioExecutor::new()).build_http());

    let question = r#"{"model":"demo","max_tokens":64,"stream":true,
        "messages":[{"role":"user","content":"Which protocol do I hear?"}]}"#;
    let request = Request::post("/v1/messages")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(question)))?;
    let mut body = client.oneshot(request).await?.into_body();

    let mut decoder = Decoder::new();
    while let Some(frame) = body.frame().await {
        let Ok(bytes) = frame?.into_data() else { break };
        decoder.push(&bytes, &mut |event| {
            let data: Value = serde_json::from_str(event.data).unwrap_or_default();
            let text = data["delta"]["text"].as_str().unwrap_or_default();
            println!("{:<20} {text}", event.name);
        })?;
    }
    Ok(())
}
