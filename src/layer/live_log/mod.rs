//! Tells in lines what happens, to whoever is listening.
//!
//! [`LiveLogLayer`] writes a few [`LogEntry`](crate::store::LogEntry)s about each request into a
//! [`LiveLog`], and each [`Subscription`] of it is a stream of server-sent events for a dashboard:
//! first what was, then what is. It never changes a byte, and never fails or delays anything.
//!
//! ```
//! use std::convert::Infallible;
//!
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Full};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_llm_gateway::LiveLogLayer;
//! use tower_llm_gateway::store::LogFilter;
//!
//! # tokio_test::block_on(async {
//! let layer = LiveLogLayer::new();
//! let log = layer.log();
//! let service = ServiceBuilder::new().layer(layer).service(service_fn(|_| async {
//!     Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("hello"))))
//! }));
//! let request = Request::get("/x").body(Full::<Bytes>::default()).unwrap();
//! service.oneshot(request).await.unwrap().into_body().collect().await.unwrap();
//!
//! // What a handler of `GET /logs/stream` returns.
//! let response = log.subscribe(LogFilter::default()).unwrap().into_response();
//! assert_eq!(response.headers()["content-type"], "text/event-stream");
//! let mut body = response.into_body();
//! let mut text = String::new();
//! for _ in 0..3 {
//!     let data = body.frame().await.unwrap().unwrap().into_data().unwrap();
//!     text += std::str::from_utf8(&data).unwrap();
//! }
//! assert!(text.starts_with(r#"data: {"type":"connection","#));
//! assert!(text.contains("Request started: GET /x"));
//! assert!(text.contains("Request completed: GET /x - 200 (5 bytes, "));
//! # });
//! ```
//!
//! # The lines
//!
//! | Level | Message | When |
//! |---|---|---|
//! | INFO | `Request started: M P` | it has arrived |
//! | INFO | `Request completed: M P - code (N bytes, X.Xms)` | its answer was read; the time is that of all of it |
//! | ERROR | `Request failed: M P - code reason` | its answer is an error, holds one, broke off or never came |
//! | ERROR | `Upstream request failed: M P - code fault (attempt N, channel C, key K)` | likewise, for each attempt that failed, also where another one did better |
//! | WARNING | `Client disconnected during response: M P - code (N bytes, X.Xms)` | the caller left |
//!
//! Each names the path without its query and the id of its request. A failed one shows the
//! beginning of the answer's body where [`error_bodies`](LiveLogLayer::error_bodies) asks for it,
//! without what looks like a secret. Attempts are told of when their request has ended.
//!
//! # The events
//!
//! Each is one line `data: <JSON>`: a [`LogEntry`](crate::store::LogEntry), or a [`Notice`], which
//! has a `type`. First comes `connection`, then the last [`REPLAYED`] lines that match, oldest
//! first, then lines as they come, none left out and none twice. `heartbeat` comes after
//! [`HEARTBEAT_AFTER`] without a line, `system_status` every [`STATUS_EVERY`] unless the filter wants
//! another level than INFO.
//!
//! # Limits
//!
//! | What | Limit |
//! |---|---|
//! | lines that are kept | [`MAX_LINES`] |
//! | subscriptions at once | [`MAX_SUBSCRIPTIONS`] |
//! | message of a line of the host's own | [`MAX_MESSAGE`] |
//! | body of a failed answer, where asked for | [`MAX_ERROR_BODY`](crate::record::MAX_ERROR_BODY) |
//!
//! All read from the same lines: a reader that is slower than these are replaced loses lines, is
//! told how many by a notice `lag`, and holds up nobody.
//!
//! # Order
//!
//! Outermost, so that refusals of other layers are told. [`LiveLog`] may also stand beside other
//! sinks in one [`RecordLayer`](crate::record::RecordLayer).
//!
//! # Buffering, Cancellation, Errors
//!
//! As those of [`record`](crate::record): nothing is held back, dropping is an end like any other,
//! errors are those of the inner service. A request costs two entries in a list; lines are put into
//! words when they are read.

mod event;
mod layer;
mod line;
mod log;
mod ring;
mod subscription;
#[cfg(test)]
mod tests;

pub use event::{LogEvent, Notice, NoticeKind};
pub use layer::LiveLogLayer;
pub use log::{EmptyMessage, LiveLog, MAX_MESSAGE, MAX_SUBSCRIPTIONS, REPLAYED, SubscribeError};
pub use ring::MAX_LINES;
pub use subscription::{HEARTBEAT_AFTER, LogBody, STATUS_EVERY, Subscription};

use crate::record::RecordService;

/// Middleware of [`LiveLogLayer`].
pub type LiveLogService<S> = RecordService<S, LiveLog>;
