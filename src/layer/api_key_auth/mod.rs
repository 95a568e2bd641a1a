//! Lets in who has a key.
//!
//! Finds the caller's key in headers or query, asks a verifier who that is, strips the key and
//! leaves a [`Principal`](crate::context::Principal) in the extensions of the request and in the
//! [`Exchange`](crate::context::Exchange). It never lets a key of the gateway reach the inner
//! service, and never looks at a body.
//!
//! ```
//! use http::{Request, Response};
//! use http_body_util::Empty;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_llm_gateway::ApiKeyAuthLayer;
//!
//! # tokio_test::block_on(async {
//! let service = ServiceBuilder::new()
//!     .layer(ApiKeyAuthLayer::new(["sk-gateway"]).unwrap().exempt_path("/health"))
//!     .service(service_fn(|request: Request<Empty<bytes::Bytes>>| async move {
//!         assert!(!request.headers().contains_key("authorization"));
//!         Ok::<_, std::convert::Infallible>(Response::new(request.into_body()))
//!     }));
//! let with = |key| {
//!     let request = Request::post("/v1/messages").header("authorization", key);
//!     service.clone().oneshot(request.body(Empty::new()).unwrap())
//! };
//! assert_eq!(with("Bearer sk-gateway").await.unwrap().status(), 200);
//! assert_eq!(with("Bearer sk-other").await.unwrap().status(), 401);
//! # });
//! ```
//!
//! # Where a key may be
//!
//! | order | [`KeySource`] | on by default |
//! |---|---|---|
//! | 1 | `x-api-key` | yes |
//! | 2 | `Authorization: Bearer` | yes |
//! | 3 | `Authorization`, the whole value | no |
//! | 4 | `x-goog-api-key` | yes |
//! | 5 | `api-key` | yes |
//! | 6 | `?key=` | yes |
//!
//! The first that is there counts, right or wrong. All that are on are stripped before the inner
//! service, the query's other parameters stay byte for byte.
//!
//! # Answers
//!
//! 401 and `WWW-Authenticate: Bearer` without a key or with an unknown one, 403 for a known one
//! that may not, 503 where the verifier cannot tell; in the caller's protocol, and
//! `{"error","message"}` where the path belongs to none. Each carries a
//! [`Fault`](crate::protocol::model::Fault).
//!
//! # Order
//!
//! Inside of stats and request log, so that refusals are counted; outside of all that costs. A
//! CORS layer goes outside: the preflight requests of browsers carry no key.
//!
//! # Buffering, Cancellation, Errors
//!
//! Nothing is buffered. Dropping the response future drops the verifier's. Errors are those of
//! the inner service.

mod future;
mod layer;
mod service;
mod sources;
#[cfg(test)]
mod tests;
mod verify;

pub use future::ResponseFuture;
pub use layer::ApiKeyAuthLayer;
pub use service::ApiKeyAuth;
pub use sources::{KeySource, KeySources};
pub use verify::{BadKey, MAX_KEY_BYTES, StaticKeys, VerifyError, VerifyKey};
