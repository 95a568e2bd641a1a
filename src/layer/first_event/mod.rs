//! Holds an answer until it has begun well, and finds out whose fault it is when it has not.
//!
//! It is the layer that sees the bytes of the upstream. Each failure is classified once, by
//! [`Classify`](crate::protocol::classify::Classify), and told to the layers outside: as a
//! [`Fault`](crate::protocol::model::Fault) in the extensions of the response, and in the
//! [`Attempt`](crate::context::Attempt) of the [`Exchange`](crate::context::Exchange). It never
//! changes, drops or adds a byte or a status, and never repeats anything: that is for failover,
//! which reads the fault.
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_llm_gateway::FirstEventLayer;
//! use tower_llm_gateway::protocol::model::{Fault, FaultKind};
//!
//! # tokio_test::block_on(async {
//! let service = ServiceBuilder::new().layer(FirstEventLayer::new()).service(service_fn(
//!     |_: Request<Full<Bytes>>| async {
//!         let body = Full::from(r#"{"error":{"message":"Quota exceeded"}}"#);
//!         Ok::<_, std::convert::Infallible>(Response::builder().status(400).body(body).unwrap())
//!     },
//! ));
//! let request = Request::post("/v1/chat/completions").body(Full::default()).unwrap();
//! let response = service.oneshot(request).await.unwrap();
//! let fault = response.extensions().get::<Fault>().unwrap();
//! assert_eq!((fault.kind, fault.moves_on), (FaultKind::Billing, true));
//! # });
//! ```
//!
//! # What is held
//!
//! | answer | held until |
//! |---|---|
//! | not 2xx | its body is read |
//! | event stream | the first meaningful event: content, a tool call, thinking or an error; not `message_start`, `ping`, `response.created` or a chunk with a role only |
//! | JSON | its document is closed |
//! | other, encoded, or to a request that is for no answer of a model | not |
//!
//! A good answer is held only while its attempt
//! [has an alternative](crate::context::Attempt::has_alternative): else nothing is gained by
//! waiting. Every hold ends after [`max_held_bytes`](FirstEventLayer::max_held_bytes), 1,024 frames
//! and a time: [`commit_after`](FirstEventLayer::commit_after) for good answers,
//! [`error_body_timeout`](FirstEventLayer::error_body_timeout) for others. An encoded error is
//! classified by status and headers. An encoded answer of status 200 is neither held nor scanned: an
//! error in it stays unseen, and nobody is charged.
//!
//! An answer is also at fault that breaks off, or ends before its document is closed or its stream
//! has said why it stops. In the response such a fault stands only if it was found while the
//! answer was held. What comes later goes into the attempt, and as long as somebody reads the
//! answer into the exchange's own fault; where a document that was not held turns out to be an
//! error, only its kind is known. A client that leaves is noted in the attempt.
//!
//! # Order
//!
//! Right outside of [`CatchErrorLayer`](crate::CatchErrorLayer), whose fault is kept; inside of
//! all that chooses, translates or counts. A body guard outside sees all of this in the attempt
//! once its inner body has ended. When it is dropped, it is told before this layer is.
//!
//! # Buffering
//!
//! Waiting needs a tokio runtime with its timer; an answer that is all there at once does not.
//! Frames are held as they came and passed on uncopied; the pieces of an error are joined once.
//! After that one incremental scan looks at what passes, in bounded memory: see
//! [`scan`](crate::protocol::scan).
//!
//! # Cancellation
//!
//! Dropping the future or the body drops the call; the attempt then has the fault
//! [`ClientCancel`](crate::protocol::model::FaultKind::ClientCancel), unless all was there, another
//! one was found before, or another attempt was [faster](crate::context::Attempt::outrun).
//!
//! # Errors
//!
//! `type Error` is that of the inner service. An error of the service or the body passes as it is,
//! a held one behind the frames before it.

mod body;
mod future;
mod layer;
mod service;
#[cfg(test)]
mod tests;
mod watch;

pub use body::ResponseBody;
pub use future::ResponseFuture;
pub use layer::{
    DEFAULT_COMMIT_AFTER, DEFAULT_ERROR_BODY_TIMEOUT, DEFAULT_MAX_HELD_BYTES, FirstEventLayer,
};
pub use service::FirstEvent;
