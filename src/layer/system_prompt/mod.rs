//! Edits the system prompt of requests, in whatever protocol they are written.
//!
//! Only the bytes of the prompt change; a request that is as it should be passes on with the very
//! same bytes and headers. The layer never looks at answers, and never at requests that it does
//! not know.
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_llm_gateway::SystemPromptLayer;
//! use tower_llm_gateway::body::{Collect, RewriteBody};
//!
//! # tokio_test::block_on(async {
//! let service = ServiceBuilder::new().layer(SystemPromptLayer::prepend("Be brief.")).service(
//!     service_fn(|request: Request<RewriteBody<Full<Bytes>>>| async move {
//!         let body = Collect::new(request.into_body(), 1024).await.unwrap().bytes;
//!         assert_eq!(body, r#"{"model":"m","system":"Be brief.\n\nBe kind.","n":1.0}"#);
//!         Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::from("{}")))
//!     }),
//! );
//! let body = Full::from(r#"{"model":"m","system":"Be kind.","n":1.0}"#);
//! let request = Request::post("/v1/messages").body(body).unwrap();
//! assert_eq!(service.oneshot(request).await.unwrap().status(), 200);
//! # });
//! ```
//!
//! # What is edited
//!
//! Requests for an answer in all five protocols, and for the count of tokens in Messages and
//! Responses, so that the count is that of what will be sent. Gemini's count has no place for a
//! prompt. [`SystemEdit`](crate::protocol::edit::SystemEdit) says where the prompt stands and what
//! each edit does to it. A closure ([`SystemPromptLayer::with`]) may decide by request.
//!
//! As it has the body at hand, the layer leaves the
//! [`RequestFacts`](crate::context::RequestFacts) in the [`Exchange`](crate::context::Exchange),
//! and holds the principal to its list of models.
//!
//! # Order
//!
//! Inside of authentication, outside of whatever chooses or translates for an upstream.
//!
//! # Buffering
//!
//! The body of a request that may be edited is read to its end, up to
//! [`max_body_bytes`](SystemPromptLayer::max_body_bytes). The inner service's readiness is held
//! meanwhile: a deadline for uploads belongs outside. With feature `decompress` a body in gzip,
//! deflate, br or zstd is decoded as it is read, the limit counts decoded bytes, and it goes on
//! decoded. All other requests, and all answers, pass
//! frame by frame.
//!
//! # Cancellation
//!
//! Dropping the response future drops the half-read body; the inner service was not called yet.
//!
//! # Errors
//!
//! Refusals are responses in the caller's protocol, made before the inner service is called:
//!
//! | status | when |
//! |---|---|
//! | 400 | the body failed; it is not JSON and [`OnInvalid::Refuse`] is set, or the caller's models are limited; the place of the prompt is malformed or a key there stands twice |
//! | 403 | the model is none of the caller's |
//! | 413 | the body is over the limit |
//! | 415 | the body is in an encoding that cannot be undone: a policy must see what it lets through |
//!
//! `type Error` is that of the inner service.

mod future;
mod layer;
mod policy;
mod service;
#[cfg(test)]
mod tests;

pub use future::ResponseFuture;
pub use layer::{DEFAULT_MAX_BODY_BYTES, SystemPromptLayer};
pub use policy::{OnInvalid, PromptRequest};
pub use service::SystemPrompt;
