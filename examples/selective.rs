//! One layer alone: the system prompt is set, everything else stays byte for byte.
//!
//! `cargo run --example selective` shows what the upstream got, and ends.

#[path = "proxy/demo/mod.rs"]
mod demo;

use std::error::Error;

use axum::body::{Body, to_bytes};
use http::Request;
use tower::{Layer, ServiceExt};
use tower_llm_gateway::SystemPromptLayer;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Any service of `http::Request` will do; here it is the demo's router, without a socket.
    let upstream = demo::Demo::new().router();
    let service = SystemPromptLayer::prepend("You are a pirate.").layer(upstream);

    // `demo-echo` answers with the request as it arrived.
    let question = r#"{ "model": "demo-echo",   "max_tokens": 64,
  "system": "Be brief.", "messages": [{"role": "user", "content": "Ahoy!"}] }"#;
    println!("sent:\n{question}\n");
    let request = Request::post("/v1/messages")
        .header("content-type", "application/json")
        .header("anthropic-version", "2023-06-01")
        .body(Body::from(question))?;
    let answer = service.oneshot(request).await?;

    let answer = to_bytes(Body::new(answer.into_body()), 1 << 20).await?;
    let answer: serde_json::Value = serde_json::from_slice(&answer)?;
    let seen = answer["content"][0]["text"].as_str().unwrap_or_default();
    let seen: serde_json::Value = serde_json::from_str(seen)?;
    let arrived = seen["body"]["text"].as_str().unwrap_or_default();
    println!("arrived:\n{arrived}");
    assert!(arrived.contains("You are a pirate.") && arrived.contains("Be brief."));
    Ok(())
}
