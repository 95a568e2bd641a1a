//! Counts requests, bytes, times, tokens and what they cost.
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
//! It counts in all, and by its path, model, provider and principal. Its attempts count by channel
//! and key: a key that failed before another one answered is charged with that. The attempt that
//! the answer came from has its bytes, tokens and cost. An attempt fails by a fault of whomever,
//! except that the caller left. It is counted as one of the three, so `requests` of a channel or a
//! key is the sum of its successes, failures and cancelled. One that we refused ourselves (no key
//! was free in time, the channel was full, the request could not be read) never got there and is not
//! counted: the request that it belongs to is, and the request log has it.
//!
//! Each of these has sums since the start and of the last 15 minutes, hour, six hours and day:
//! what ended then ([`GroupStats`]). All and models also have percentiles of their times, which are
//! at most one part in 128 too high ([`Distribution`]).
//!
//! Where tokens and models come from, [`record`](crate::record) tells: this layer is one of its
//! sinks, and [`Stats`] may stand beside others in one
//! [`RecordLayer`](crate::record::RecordLayer). What they cost, a
//! [`PriceTable`](crate::pricing::PriceTable) knows: by the name of the model that was asked for,
//! else by the one that answered. What it does not know counts as unknown, not as 0.
//!
//! With the feature `prometheus` the module `prometheus` shows all of it but the windows to Prometheus.
//!
//! # Limits
//!
//! | What | Limit |
//! |---|---|
//! | finished requests | [`MAX_RECENT`] |
//! | failed ones; of their bodies, where asked for | [`MAX_ERRORS`]; [`MAX_ERROR_BODY`](crate::record::MAX_ERROR_BODY) each |
//! | paths, models, providers, principals, channels, keys | [`MAX_PATHS`], [`MAX_MODELS`], [`MAX_PROVIDERS`], [`MAX_PRINCIPALS`], [`MAX_CHANNELS`], [`MAX_KEYS`]; all others together as [`OTHER`] |
//! | length of a name | [`MAX_NAME`]; of a path and a model [`MAX_PATH`](crate::record::MAX_PATH) and [`MAX_MODEL`](crate::record::MAX_MODEL) |
//! | minutes of the time series | [`MAX_MINUTES`] |
//! | minutes and quarters of an hour of the windows | [`MAX_WINDOW_MINUTES`], [`MAX_WINDOW_QUARTERS`] |
//!
//! A path, a model or a principal gets an entry of its own only by a request that succeeded;
//! providers, channels and keys are the gateway's own. A name takes up to 40 KB if something ended in each of
//! its minutes and quarters, and a model 45 KB more for its percentiles: at most 80 MB if all lists
//! are full of names in use around the clock. No query, no header and no key is kept, but the masks
//! of keys; the body of an error answer only where
//! [`capture_error_bodies`](StatsLayer::capture_error_bodies) asks for it, redacted.
//!
//! # Order
//!
//! Outermost, so that refusals of other layers count.
//!
//! # Buffering, Cancellation, Errors
//!
//! As those of [`record`](crate::record): nothing is held back, dropping is an end like any other,
//! errors are those of the inner service.

mod books;
mod counts;
mod ended;
mod errors;
mod group;
mod handle;
mod histogram;
mod layer;
mod names;
#[cfg(feature = "prometheus")]
pub mod prometheus;
mod report;
mod ring;
mod snapshot;
#[cfg(test)]
mod tests;
mod windows;

pub use books::{
    MAX_CHANNELS, MAX_ERRORS, MAX_KEYS, MAX_MINUTES, MAX_MODELS, MAX_PATHS, MAX_PRINCIPALS,
    MAX_PROVIDERS, MAX_RECENT, SHORTEST_STREAM,
};
pub use errors::{ErrorEntry, ErrorReport, ErrorStatistics, ErrorsQuery};
pub use group::{CostStats, GroupStats, Latency, TokenStats, WindowCounts, WindowStats};
pub use handle::Stats;
pub use histogram::{Distribution, Percentiles};
pub use layer::StatsLayer;
pub use names::{MAX_NAME, OTHER};
pub use report::STALE_AFTER;
pub use snapshot::{
    CountStats, PathStats, Performance, Point, RequestStats, Snapshot, StatsQuery, Summary,
    TimeSeries, TotalStats,
};
pub use windows::{MAX_WINDOW_MINUTES, MAX_WINDOW_QUARTERS};

pub use crate::store::Pagination;

use crate::record::RecordService;

/// Middleware of [`StatsLayer`].
pub type StatsService<S> = RecordService<S, Stats>;
