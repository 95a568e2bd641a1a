//! Counts requests, bytes, times and tokens.
//!
//! Watches requests and answers pass, and shows the sums by a [`Stats`] handle. It never changes
//! a byte, and never fails or delays anything.
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Full};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_llm_gateway::StatsLayer;
//!
//! # tokio_test::block_on(async {
//! let layer = StatsLayer::new();
//! let stats = layer.stats();
//! let service = ServiceBuilder::new().layer(layer).service(service_fn(|_| async {
//!     let answer = r#"{"model":"m","usage":{"input_tokens":7,"output_tokens":3}}"#;
//!     let response = Response::builder().header("content-type", "application/json");
//!     response.body(Full::new(Bytes::from(answer)))
//! }));
//! let request = Request::post("/v1/messages").body(Full::new(Bytes::from("{}"))).unwrap();
//! let response = service.oneshot(request).await.unwrap();
//! assert_eq!(stats.snapshot().in_flight, 1);
//! response.into_body().collect().await.unwrap();
//!
//! let snapshot = stats.snapshot();
//! assert_eq!((snapshot.in_flight, snapshot.totals.successes), (0, 1));
//! assert_eq!(snapshot.models["m"].tokens.input, 7);
//! # });
//! ```
//!
//! # What is counted
//!
//! A request is in flight until its answer ends, by whichever of four ends: read, declared, broken
//! off, or left by the client, who may also leave before there is an answer. It succeeded with a
//! status below 400 and no error within; it failed with another one, a broken answer, or none. A
//! client who leaves is no failure.
//!
//! Where tokens and models come from, [`record`](crate::record) tells: this layer is one of its
//! sinks, and [`Stats`] may stand beside others in one
//! [`RecordLayer`](crate::record::RecordLayer).
//!
//! # Limits
//!
//! | What | Limit |
//! |---|---|
//! | finished requests | [`MAX_RECENT`] |
//! | failed ones | [`MAX_ERRORS`] |
//! | of the body of each of both, where asked for | [`MAX_ERROR_BODY`](crate::record::MAX_ERROR_BODY) |
//! | paths, models | [`MAX_PATHS`], [`MAX_MODELS`]; all others together as [`OTHER`] |
//! | length of a path, of a model's name | [`MAX_PATH`](crate::record::MAX_PATH), [`MAX_MODEL`](crate::record::MAX_MODEL) |
//! | minutes of the time series | [`MAX_MINUTES`] |
//!
//! A path or a model gets an entry of its own only by a request that succeeded. No query, no
//! header and no key is kept; the body of an error answer only where
//! [`capture_error_bodies`](StatsLayer::capture_error_bodies) asks for it, as the upstream wrote it.
//!
//! # Order
//!
//! Outermost, so that refusals of other layers count.
//!
//! # Buffering, Cancellation, Errors
//!
//! As those of [`record`](crate::record): nothing is held back, dropping is an end like any other,
//! errors are those of the inner service.

mod counters;
mod errors;
mod handle;
mod histogram;
mod layer;
mod names;
mod report;
mod ring;
mod snapshot;
#[cfg(test)]
mod tests;

pub use counters::{MAX_ERRORS, MAX_MINUTES, MAX_MODELS, MAX_PATHS, MAX_RECENT};
pub use errors::{ErrorEntry, ErrorReport, ErrorStatistics, ErrorsQuery, Pagination};
pub use handle::Stats;
pub use histogram::Percentiles;
pub use layer::StatsLayer;
pub use names::OTHER;
pub use report::STALE_AFTER;
pub use snapshot::{
    CountStats, Latency, ModelStats, PathStats, Performance, Point, RequestStats, Snapshot,
    StatsQuery, Summary, TimeSeries, TokenStats, TotalStats,
};

use crate::record::RecordService;

/// Middleware of [`StatsLayer`].
pub type StatsService<S> = RecordService<S, Stats>;
