//! One durable row for each request and one for each of its attempts.
//!
//! Watches requests and answers pass, and hands what is known of them to a worker, which writes it
//! into a [`RequestLogStore`](crate::store::RequestLogStore). It never changes a byte, and never
//! waits: where the store is too slow or down, requests go on, and rows that find no place are
//! counted as lost.
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Full};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_llm_gateway::RequestLogLayer;
//! use tower_llm_gateway::store::{LogQuery, MemoryRequestLog, RequestLogStore};
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! // Or one that lasts: `let (store, keys) = SqlStore::open("sqlite:data/gateway.db").await?;`
//! let store = MemoryRequestLog::new();
//! let (layer, worker) = RequestLogLayer::new(store.clone());
//! let worker = tokio::spawn(worker.run());
//! let service = ServiceBuilder::new().layer(layer).service(service_fn(|_| async {
//!     let answer = r#"{"model":"gpt-4o-mini","usage":{"input_tokens":7,"output_tokens":3}}"#;
//!     let response = Response::builder().header("content-type", "application/json");
//!     response.body(Full::new(Bytes::from(answer)))
//! }));
//! let request = Request::post("/v1/messages").body(Full::new(Bytes::from("{}"))).unwrap();
//! let response = service.oneshot(request).await.unwrap();
//! response.into_body().collect().await.unwrap();
//!
//! // The worker ends with the last service, when all is written.
//! worker.await.unwrap();
//! let row = &store.requests(&LogQuery::default()).await.unwrap().rows[0];
//! assert_eq!((&*row.path, row.status, row.output_tokens), ("/v1/messages", Some(200), Some(3)));
//! # });
//! ```
//!
//! # What is written
//!
//! What a [`RequestRow`](crate::store::RequestRow) and an [`AttemptRow`](crate::store::AttemptRow)
//! tell; where it comes from, [`record`](crate::record) says. Attempts are what inner layers noted
//! in the [`Exchange`](crate::context::Exchange): without them there are none. Costs are those of a
//! [`PriceTable`](crate::pricing::PriceTable).
//!
//! No query and no header is kept, a key by its mask and its fingerprint alone. Bodies only where
//! [`bodies`](RequestLogLayer::bodies) asks for them: shortened, without secrets that can be told
//! ([`redact`](crate::redact)).
//!
//! # Limits
//!
//! | What | Limit | Beyond it |
//! |---|---|---|
//! | requests that wait for the worker | [`DEFAULT_CAPACITY`] | dropped and counted |
//! | bytes of bodies among them | [`MAX_QUEUED_BYTES`] | dropped and counted |
//! | kept of a body, to be shortened by the worker | [`MAX_BODY`] | its beginning is shown |
//! | requests that are written at once | [`MAX_BATCH`] | the next time |
//! | how long they are collected | [`BATCH_INTERVAL`] | written |
//! | one write | [`WRITE_TIMEOUT`] | tried again |
//! | writes of the same rows | [`MAX_TRIES`] | given up and counted |
//! | writing on after the end | [`FLUSH_TIMEOUT`] | given up and counted |
//! | age of rows | [`DEFAULT_RETENTION`] | forgotten, [`PURGE_STEP`] at a time |
//!
//! # Order
//!
//! Outermost, beside [`StatsLayer`](crate::StatsLayer), so that refusals of other layers are
//! written too. [`RequestLog`] is a [`Sink`](crate::record::Sink): with others in one
//! [`RecordLayer`](crate::record::RecordLayer), a request is watched once for all.
//!
//! # Buffering, Cancellation, Errors
//!
//! As those of [`record`](crate::record): nothing is held back, dropping is an end like any other,
//! errors are those of the inner service. Those of the store are the worker's alone.

mod ids;
mod layer;
mod log;
mod rows;
#[cfg(test)]
mod tests;
mod worker;

pub use layer::{MAX_BODY, RequestLogLayer};
pub use log::{DEFAULT_CAPACITY, MAX_QUEUED_BYTES, RequestLog};
pub use worker::{
    BATCH_INTERVAL, DEFAULT_RETENTION, FLUSH_TIMEOUT, MAX_BATCH, MAX_TRIES, PURGE_EVERY,
    PURGE_STEP, RequestLogWorker, WRITE_TIMEOUT,
};

use crate::record::RecordService;

/// Middleware of [`RequestLogLayer`].
pub type RequestLogService<S> = RecordService<S, RequestLog>;
