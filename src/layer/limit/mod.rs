//! Limits requests: how many at once, how often, and how large.
//!
//! Nothing is limited but what is asked for. What is over a limit is refused before the inner
//! service is called; the layer never changes a request or an answer.
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_llm_gateway::LimitLayer;
//! use tower_llm_gateway::layer::limit::{Concurrency, LimitedBody};
//!
//! # tokio_test::block_on(async {
//! let layer = LimitLayer::new().concurrency(Concurrency::new(1)).max_body_bytes(4);
//! let limits = layer.limits();
//! let service = ServiceBuilder::new().layer(layer).service(service_fn(
//!     |_: Request<LimitedBody<Full<Bytes>>>| async {
//!         Ok::<_, std::convert::Infallible>(Response::new(Full::new(Bytes::from("answer"))))
//!     },
//! ));
//! let post = |length: &str| {
//!     let request = Request::post("/v1/messages").header("content-length", length);
//!     request.body(Full::new(Bytes::new())).unwrap()
//! };
//! let answer = service.clone().oneshot(post("2")).await.unwrap();
//! assert_eq!(limits.snapshot().in_flight, 1);
//! drop(answer);
//! assert_eq!(limits.snapshot().in_flight, 0);
//! assert_eq!(service.oneshot(post("5")).await.unwrap().status(), 413);
//! # });
//! ```
//!
//! # What is limited
//!
//! | What | Over it | Bound |
//! |---|---|---|
//! | requests at once, of all or of one principal, until their answers end | they wait, then 503 | [`DEFAULT_WAIT`], [`DEFAULT_MAX_WAITING`] |
//! | requests in a time, by principal, peer or header | 429 with `Retry-After` | [`MAX_RATES`] callers |
//! | bytes of a request body | 413, at once or when they have come | |
//!
//! A permit is free again when the answer's body has ended, failed or been dropped: a stream keeps
//! it to its last byte. Who waits for a permit of his principal takes none of the common ones.
//!
//! # Order
//!
//! Inside of authentication, whose [`Principal`](crate::context::Principal) it looks at, outside of
//! whatever costs something. By peer it may also stand outside, where a second one of these layers
//! guards the authentication itself.
//!
//! # Buffering
//!
//! None. A request that waits has not been read.
//!
//! # Cancellation
//!
//! Dropping the future leaves the queue, or frees the permits.
//!
//! # Errors
//!
//! 413, 429 and 503, in the caller's protocol. A body that turns out too large on its way fails
//! with an error, and what the inner service answers then becomes 413. The service's own error is
//! the inner one's.

mod body;
mod counters;
mod future;
mod gate;
mod layer;
mod rate;
mod service;
#[cfg(test)]
mod tests;

pub use body::{Held, LimitedBody, ResponseBody};
pub use counters::{LimitSnapshot, Limits};
pub use future::ResponseFuture;
pub use gate::{Concurrency, DEFAULT_MAX_WAITING, DEFAULT_WAIT, MAX_IDLE_GATES};
pub use layer::{BUSY_RETRY_AFTER, LimitLayer};
pub use rate::{By, MAX_RATES, Rate, SHARED_RATES};
pub use service::Limit;
