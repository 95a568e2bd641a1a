//! Repeats a failed request elsewhere, as long as the caller has seen nothing of the answer.
//!
//! A request is kept until an answer begins. While attempts fail with a
//! [`Fault`](crate::protocol::model::Fault) that another key or channel may not have, it is sent
//! again; the layers inside choose where to, knowing what was tried. Once an answer is handed out
//! nothing is ever repeated. The layer never looks into an answer, and changes none but for a
//! missing `Retry-After`.
//!
//! ```
//! use std::sync::atomic::{AtomicUsize, Ordering};
//!
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_llm_gateway::FailoverLayer;
//!
//! # tokio_test::block_on(async {
//! let calls = AtomicUsize::new(0);
//! let upstream = service_fn(|_| {
//!     let status = if calls.fetch_add(1, Ordering::Relaxed) == 0 { 529 } else { 200 };
//!     async move { Response::builder().status(status).body(Full::new(Bytes::from("{}"))) }
//! });
//! let service = ServiceBuilder::new().layer(FailoverLayer::new()).service(upstream);
//! let request = Request::post("/v1/messages").body(Full::new(Bytes::from("{}"))).unwrap();
//! assert_eq!(service.oneshot(request).await.unwrap().status(), 200);
//! assert_eq!(calls.into_inner(), 2);
//! # });
//! ```
//!
//! # What is repeated
//!
//! The fault is the one in the extensions of the response, whatever its status: an error that
//! comes first in a stream is one too, where a layer inside has waited for it. Without one the
//! status tells. A failed inner service counts as a broken connection.
//!
//! | fault | then |
//! |---|---|
//! | does not move on (400, 404, 413, 422, ...) | the answer goes to the caller as it is |
//! | moves on, and a channel or key is left | it is sent again at once |
//! | moves on, and nobody inside tells of channels or keys | the same |
//! | moves on, there is only this upstream, and it may pass | after a [`Backoff`], if there is one |
//! | a refusal of ours (no free key; what this upstream cannot be asked), and nothing else is left | no more |
//!
//! What we refused is no attempt at an upstream: it counts neither for the attempts nor for the
//! budget. At most [`MAX_ATTEMPTS`](crate::context::MAX_ATTEMPTS) are made with it.
//!
//! What is no generation, such as an upload or a batch, is repeated only where the upstream did
//! nothing: after faults of keys. A request over [`max_replay`](FailoverLayer::max_replay) has one
//! attempt; [`ExchangeFacts::replayable`](crate::context::ExchangeFacts::replayable) says so.
//! Requests of no protocol pass untouched.
//!
//! | Limit | Default |
//! |---|---|
//! | attempts for one request | [`DEFAULT_MAX_ATTEMPTS`] |
//! | time until an answer begins | [`DEFAULT_DEADLINE`] |
//! | repeats of all requests together | [`BUDGET_RATIO`] for each, and [`BUDGET_PER_SECOND`] |
//! | bytes that are kept | [`DEFAULT_MAX_REPLAY`] |
//!
//! A [`Hedge`] starts a second attempt beside one that is slower than others of late.
//!
//! # What the caller is told
//!
//! The answer of the last upstream that failed; one that refused a key of ours only where no other
//! answered otherwise. If no upstream answered at all: the one refusal if there was one attempt,
//! or where every upstream was one for which we refused the request itself, else 503 in the
//! caller's protocol with the channels and how each failed. A `Retry-After` is the
//! shortest that was asked for. [`Terminal::Generic`] says 503 and nothing else instead, but for what is wrong with the request.
//!
//! # Order
//!
//! Outside of what chooses channels and keys, translates, and holds answers back until they are
//! worth showing; inside of everything that is to be done once. It begins the
//! [`Attempt`](crate::context::Attempt)s of the [`Exchange`](crate::context::Exchange), and leaves
//! the [`RequestFacts`](crate::context::RequestFacts) where no layer outside did, holding the
//! principal to its list of models. What the layers inside say of an attempt they say in a `tracing`
//! span, `attempt`, with its number, its channel and its key, masked.
//!
//! # Buffering
//!
//! The body of a request up to `max_replay`, until an answer is handed out; where the model
//! must be known up to [`max_body_bytes`](FailoverLayer::max_body_bytes). Of the answers one failed
//! response, unread: whatever lives in its body (a connection, a permit) lives until the next one
//! takes its place or an answer is handed out.
//!
//! # Cancellation
//!
//! Dropping the response future drops the attempts with it. They are not repeated, and get no
//! fault here; a layer inside may note that the caller left. An attempt that is dropped because
//! another was faster is marked as [`outrun`](crate::context::Attempt::outrun).
//!
//! # Errors
//!
//! Refusals are responses in the caller's protocol: 400 for a body that failed, 403 for a model
//! that the caller may not use, and where his models are limited 400, 413 or 415 for a body whose
//! model cannot be known; 503 where no upstream answered, 504 at the deadline. The service's own
//! error is the inner one's, handed on if the only attempt failed with it.

mod budget;
mod facts;
mod future;
mod hedge;
mod layer;
mod policy;
mod race;
mod run;
mod service;
#[cfg(test)]
mod tests;

pub use budget::{BUDGET_PER_SECOND, BUDGET_RATIO, BUDGET_WINDOW};
pub use future::ResponseFuture;
pub use hedge::{HEDGE_MAX_LATENCY, HEDGE_MIN_SAMPLES, HEDGE_WINDOW, Hedge};
pub use layer::{
    DEFAULT_DEADLINE, DEFAULT_MAX_ATTEMPTS, DEFAULT_MAX_BODY_BYTES, DEFAULT_MAX_REPLAY,
    FailoverLayer, Terminal,
};
pub use policy::Backoff;
pub use service::Failover;
