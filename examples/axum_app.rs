//! The layers inside an axum app that has routes of its own.
//!
//! `cargo run --example axum_app` asks itself a few questions and ends.

#[path = "proxy/demo/mod.rs"]
mod demo;

use std::error::Error;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::routing::get;
use http::{Request, StatusCode};
use tokio::task::JoinSet;
use tower::{ServiceBuilder, ServiceExt};
use tower_llm_gateway::context::Upstream;
use tower_llm_gateway::protocol::Protocol;
use tower_llm_gateway::upstream::HttpUpstream;
use tower_llm_gateway::{
    ApiKeyAuthLayer, CatchErrorLayer, HopByHopFilterLayer, ProviderTranslateLayer,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut tasks = JoinSet::new();
    let vendor = demo::Demo::new().key("sk-vendor").start(&mut tasks).await?;

    let upstream = Upstream::new(&vendor, Protocol::OpenAiChat)?.key("sk-vendor")?;
    let gateway = ServiceBuilder::new()
        .layer(ApiKeyAuthLayer::new(["sk-team"])?)
        .layer(ProviderTranslateLayer::to(upstream))
        .layer(HopByHopFilterLayer::new())
        .layer(CatchErrorLayer::new())
        .service(HttpUpstream::default());
    let app = Router::new()
        .route("/", get(|| async { "a page of the app itself" }))
        .nest_service("/llm", gateway);

    let page = app.clone().oneshot(Request::get("/").body(Body::empty())?).await?;
    println!("GET /                 {} {}", page.status(), text(page.into_body()).await?);
    for key in ["sk-wrong", "sk-team"] {
        let question = r#"{"model":"demo","max_tokens":64,
            "messages":[{"role":"user","content":"Do you speak Messages?"}]}"#;
        let request = Request::post("/llm/v1/messages")
            .header("content-type", "application/json")
            .header("anthropic-version", "2023-06-01")
            .header("x-api-key", key)
            .body(Body::from(question))?;
        let answer = app.clone().oneshot(request).await?;
        let status = answer.status();
        println!("POST /llm/v1/messages {status} {}", text(answer.into_body()).await?);
        assert_eq!(status == StatusCode::OK, key == "sk-team");
    }
    Ok(())
}

async fn text(body: Body) -> Result<String, Box<dyn Error>> {
    Ok(String::from_utf8(to_bytes(body, 1 << 20).await?.to_vec())?)
}
