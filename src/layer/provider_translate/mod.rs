//! Lets a caller of one protocol talk to an upstream of another.
//!
//! The request goes to the [`Upstream`](crate::context::Upstream): its URL, its protocol, its form
//! of the credential, its name for the model; the answer, streamed or not, and every error come
//! back in the caller's protocol. Where both speak the same, the body passes untouched, every byte
//! of it; only a mapped model name is spliced in place. The caller's cookies go on only with its own
//! credential, and only within one protocol. The layer never retries, never connects,
//! and never invents a clean end for a stream that broke.
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Full};
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//! use tower_llm_gateway::body::RewriteBody;
//! use tower_llm_gateway::context::Upstream;
//! use tower_llm_gateway::protocol::Protocol;
//! use tower_llm_gateway::{BoxError, ProviderTranslateLayer};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let upstream = Upstream::new("http://api.example.com", Protocol::OpenAiChat)?.key("sk-123")?;
//! let mut service = ServiceBuilder::new()
//!     .layer(ProviderTranslateLayer::to(upstream))
//!     .service_fn(|request: Request<RewriteBody<Full<Bytes>>>| async move {
//!         assert_eq!(request.uri(), "http://api.example.com/v1/chat/completions");
//!         assert_eq!(request.headers()["authorization"], "Bearer sk-123");
//!         let answer = r#"{"id":"c","object":"chat.completion","created":1,"model":"gpt","choices":[
//!             {"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]}"#;
//!         let response = Response::builder().header("content-type", "application/json");
//!         Ok::<_, BoxError>(response.body(Full::new(Bytes::from(answer)))?)
//!     });
//!
//! let body = r#"{"model":"gpt","max_tokens":5,"messages":[{"role":"user","content":"Hello"}]}"#;
//! let request = Request::post("/v1/messages").body(Full::new(Bytes::from(body)))?;
//! let response = service.ready().await?.call(request).await?;
//! # #[allow(clippy::disallowed_methods)]
//! let answer = response.into_body().collect().await?.to_bytes();
//! assert!(answer.starts_with(br#"{"id":"#));
//! # Ok(())
//! # }
//! ```
//!
//! # Thinking
//! Vendors sign or encrypt what their models think, and want it back with the next request: without
//! it models forget why they called a tool, and some requests are refused. A caller of Messages,
//! Responses or Gemini carries it for us, in the slot of its own protocol for such things, marked
//! as ours (`llmx1.`). Callers of Chat and DashScope have no slot: for them it waits in a
//! [`SealVault`](crate::store::SealVault), by the id of the call, for the same principal only.
//! Either way it comes back unaltered to the vendor that made it, at its place, and to no other: for
//! that vendor's next turn it is simply left out, and the report says so. Vendors are told by the
//! host of their URL, or as [`Upstream::vendor`](crate::context::Upstream::vendor) says. Seals are
//! per vendor, not per account: whichever key of a pool is leased gets them. Where a vendor takes
//! back only what the same account sealed, each account is an upstream of its own with a vendor's
//! name of its own.
//!
//! In the vault a call is looked for within its conversation: the one that the header
//! `conversation_id`, `session_id`, `x-conversation-id` or `x-session-id` names, else the body's
//! prompt cache key, else its end user. Where nothing names one, the ids of calls alone tell the
//! conversations of a principal apart; vendors make them unique, but some clones count from zero.
//!
//! Where both sides speak the same protocol, a vendor's own seals pass as they are, in both
//! directions: nothing in them tells two vendors of one protocol apart, and the caller sends on what
//! it has. Only envelopes are opened there (`vendors_change`).
//!
//! # Order
//! Inside auth, system prompt and everything that chooses the upstream; outside
//! `HopByHopFilterLayer` and the client. An `Upstream` in the extensions of the request wins over
//! the one that the layer was made with. A layer that changes the path wraps an axum router
//! (`layer.layer(router)`), since `Router::layer` runs after routing.
//!
//! # Buffering
//! None where both sides speak the same protocol, no model is mapped, and the conversation was with
//! no other vendor before (`vendors_change`); but a question for a count is always read, as it is
//! answered with an estimate (`x-token-count: estimate`) where the upstream turns out to have no such
//! endpoint (404, 405, 501) or its dialect no form for it. Otherwise the request
//! (50 MiB, then 413) and an answer that is no stream (32 MiB, then 502) are read whole; a stream
//! is translated event by event in constant memory, but for what the caller's grammar repeats (the
//! items of Responses, snapshots of DashScope, whole calls of Gemini), up to
//! [`DEFAULT_MAX_ACCUMULATED`](crate::protocol::DEFAULT_MAX_ACCUMULATED).
//!
//! Where a request or an answer must be read and feature `decompress` is on, gzip, deflate, br and
//! zstd are undone on the way, a stream event by event, and the limits count decoded bytes; what was
//! read goes on decoded. What passes untouched stays encoded.
//!
//! Where the caller asked for a stream and the upstream answers in one piece, the stream begins when
//! all of it is there, or when [`keep_alive`](ProviderTranslateLayer::keep_alive) is over: from then
//! on it shows life like any other, and what goes wrong is its protocol's error event under a status
//! of 200. Before that a failure is still a 502, which another layer may try again elsewhere.
//!
//! # Cancellation
//! Dropping the future or the body drops the inner one.
//!
//! # Errors
//! Refusals are responses in the caller's protocol: 400 for a body that is not of its protocol or
//! that the [`Mode`](crate::protocol::report::Mode) refuses, 403 for a model that the principal may
//! not use and, where it may not use all, for endpoints whose model is not looked at (embeddings,
//! files, WebSockets; `GET` and `HEAD` without an upgrade pass: they list and fetch, no model
//! answers), 404 for what the upstream's protocol has no endpoint for, 415 for a body that must be read in an encoding that cannot be undone, 502 for an
//! answer that cannot be read. What only this upstream cannot be asked
//! [moves on](crate::protocol::model::Fault::moves_on). An answer beyond our own limit is charged
//! to nobody. The service's own error is the inner one's. What could not be carried is a
//! [`TranslationReport`](crate::protocol::report::TranslationReport) in the response's extensions.
//! For a streamed answer that is the request's alone, as it is there with the headers; what the
//! stream itself loses is a `tracing` event at its end, at level debug: each kind of loss once.

mod answer;
mod awaited;
mod body;
mod estimate;
mod future;
mod headers;
mod keep;
mod layer;
mod notes;
mod plan;
mod prepare;
mod rate_limits;
mod service;
#[cfg(test)]
mod tests;

pub use body::ResponseBody;
pub use future::ResponseFuture;
pub use layer::{
    DEFAULT_KEEP_ALIVE, DEFAULT_MAX_REQUEST_BYTES, DEFAULT_MAX_RESPONSE_BYTES,
    ProviderTranslateLayer,
};
pub use service::ProviderTranslate;
