//! What is known of one request, written down once, for everybody who counts or logs.
//!
//! [`RecordLayer`] watches a request from its arrival to the last byte of its answer, whichever
//! way it ends, and tells a [`Sink`]: [`StatsLayer`](crate::StatsLayer) is one over the books of
//! its statistics. Sinks of your own, as one for billing, go the same way; several at once cost
//! one watching.
//!
//! ```
//! use std::sync::{Arc, Mutex};
//!
//! use bytes::Bytes;
//! use http::{HeaderMap, Request, Response};
//! use http_body_util::{BodyExt, Full};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_llm_gateway::record::{Begun, Record, RecordLayer, Sink};
//!
//! #[derive(Default)]
//! struct Bill(Mutex<u64>);
//!
//! impl Sink for Bill {
//!     type Open = ();
//!
//!     fn begun(&self, _: &Arc<Begun>, _: &mut HeaderMap) {}
//!
//!     fn ended(&self, (): (), record: &Arc<Record>) {
//!         let tokens = record.usage.as_ref().map_or(0, |usage| usage.output_total());
//!         *self.0.lock().unwrap() += tokens;
//!     }
//! }
//!
//! # tokio_test::block_on(async {
//! let bill = Arc::new(Bill::default());
//! let layer = RecordLayer::new((bill.clone(), None::<Arc<Bill>>));
//! let service = ServiceBuilder::new().layer(layer).service(service_fn(|_| async {
//!     let answer = r#"{"model":"m","usage":{"input_tokens":7,"output_tokens":3}}"#;
//!     let response = Response::builder().header("content-type", "application/json");
//!     response.body(Full::new(Bytes::from(answer)))
//! }));
//! let request = Request::post("/v1/messages").body(Full::new(Bytes::from("{}"))).unwrap();
//! let response = service.oneshot(request).await.unwrap();
//! response.into_body().collect().await.unwrap();
//! assert_eq!(*bill.0.lock().unwrap(), 3);
//! # });
//! ```
//!
//! # Where it comes from
//!
//! Status and times are seen here. Principal, models, attempts and faults come from the
//! [`Exchange`](crate::context::Exchange), where inner layers left them. So do tokens where a layer
//! inside reads the answer ([`Observed`](crate::context::Observed)); else they are read here, by
//! [`protocol::scan`](crate::protocol::scan), from the streams and the documents of all five
//! protocols. Of an answer whose caller leaves, what has passed counts. Where nobody says it, as in
//! an encoded answer, it is unknown, not 0.
//!
//! # Order
//!
//! Outermost, so that refusals of other layers are seen. It puts the
//! [`Exchange`](crate::context::Exchange) and the [`RequestId`](crate::context::RequestId) into the
//! request, and all that is inside runs in a `tracing` span, `llm_request`, with that id.
//!
//! # Buffering, Cancellation, Errors
//!
//! Nothing is held back or changed. What is read out of passing bytes is bounded, what is kept of
//! bodies too, and only where asked for. Dropping the future or the body is an end like any other.
//! Errors are those of the inner service.

mod body;
mod capture;
mod clock;
mod future;
mod layer;
mod names;
mod observe;
#[expect(clippy::module_inception, reason = "it is what the module is named after")]
mod record;
mod service;
mod sink;
#[cfg(test)]
mod tests;

pub use body::RecordBody;
pub use capture::{CapturedBody, MAX_ERROR_BODY};
pub use clock::Clock;
pub use future::ResponseFuture;
pub use layer::{MAX_CAPTURED_BODY, RecordLayer};
pub(crate) use names::cut;
pub use names::{MAX_MODEL, MAX_PATH};
pub use observe::RequestObserver;
pub use record::{Begun, End, Record};
pub use service::RecordService;
pub use sink::Sink;
