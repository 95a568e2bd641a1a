//! An LLM gateway as composable tower layers.
//!
//! Every layer wraps any `Service<http::Request<B>, Response = http::Response<C>>` and works
//! alone: in front of an axum or hyper app, around an outgoing client, or stacked into a whole
//! proxy, as `examples/proxy` is.
//!
//! # The road of a request
//!
//! Outermost first; the answer comes back the other way.
//!
//! | Layer | Does |
//! |---|---|
//! | [`StatsLayer`] | counts, times, reads the usage out of passing bytes |
//! | `OtelLayer` (feature `otel`) | spans, metrics and trace context for OpenTelemetry |
//! | `RequestLogLayer` (feature `request-log`) | one durable row for each request and each attempt |
//! | [`LiveLogLayer`] | tells in lines what happens, to whoever is listening |
//! | [`ApiKeyAuthLayer`] | who calls; strips the caller's key |
//! | `LimitLayer` (feature `limit`) | requests at once, their rate and their size |
//! | [`SystemPromptLayer`] | splices the system prompt of whatever protocol is spoken |
//! | `SessionLayer` (feature `session`) | keeps the conversations of Responses |
//! | `FailoverLayer` (feature `failover`) | repeats a failed request elsewhere |
//! | `ChannelLayer` (feature `channel`) | which upstream: promotion, affinity, priority, breakers |
//! | `KeyPoolLayer` (feature `key-pool`) | leases a key, learns from how it fares |
//! | [`ProviderTranslateLayer`] | URL, credential, model and protocol of the upstream |
//! | [`HopByHopFilterLayer`] | headers that end at a proxy, `Host`, `X-Forwarded-For` |
//! | `FirstEventLayer` (feature `failover`) | holds an answer until it has begun well; whose fault it is if not |
//! | [`CatchErrorLayer`] | a failed connection becomes a response |
//!
//! They never import each other: they meet in `http` itself and in [`context`], whose values are
//! optional to their reader. A refusal is a response in the protocol that the caller speaks, never
//! a service error.
//!
//! # The house
//!
//! Arrows point down only; `tests/architecture.rs` holds it.
//!
//! ```text
//! layer      one folder per layer: layer.rs, service.rs, future.rs, and its policy
//! upstream   the service at the bottom (feature `upstream`)
//! config     the file of channels (feature `config`)
//! store      what is kept between requests, behind small traits
//! record     what is known of one request, for whoever counts or logs
//! body       http_body adapters around the machines below
//! context    Exchange, Principal, Upstream: how layers talk
//! pricing    what tokens cost
//! protocol   what the wire formats mean: readers, writers, the hub model. Sans-IO
//! sse        bytes to events to bytes. Sans-IO
//! redact     what of headers, URLs, bodies and texts may be shown
//! secret, error, calendar
//! ```
//!
//! # Rules
//!
//! - Same protocol in and out: the bytes of the body are forwarded untouched. An edit is a splice.
//! - Different protocols: what the target cannot carry is named in a
//!   [`TranslationReport`](protocol::report::TranslationReport).
//! - Nothing is buffered unless a layer must see a whole document, and then with a limit. The
//!   caller's poll drives the upstream, and dropping the body cancels it.
//! - Secrets never reach a log, an error, a URL or a `Debug`.
//!
//! # Features
//!
//! None by default. `upstream`: `HttpUpstream`, a pooled client. `key-pool`, `channel`, `session`,
//! `limit`, `otel`: the layer of that name. `failover`: `FailoverLayer` and `FirstEventLayer`.
//! `config`: the file of channels. `decompress`: bodies in gzip, deflate, br and zstd are read where a
//! layer must see them; without it they are refused. `request-log`: `RequestLogLayer` and
//! its store in memory; `sqlite` and `postgres`: stores of it that last, and of the states of keys.
//! `prometheus`: what is counted, for Prometheus.
//! `full`: all.
#![cfg_attr(docsrs, feature(doc_cfg))]

#[macro_use]
mod macros;

pub mod body;
mod calendar;
#[cfg(feature = "config")]
pub mod config;
pub mod context;
pub mod error;
pub mod layer;
pub mod pricing;
pub mod protocol;
pub mod record;
pub mod redact;
pub mod secret;
pub mod sse;
pub mod store;
#[cfg(feature = "upstream")]
pub mod upstream;

#[cfg(test)]
mod test_helpers;

/// The README's stacks compile.
#[cfg(all(
    doctest,
    feature = "channel",
    feature = "failover",
    feature = "key-pool",
    feature = "upstream"
))]
#[doc = include_str!("../README.md")]
pub struct Readme;

pub use error::BoxError;
pub use layer::api_key_auth::ApiKeyAuthLayer;
pub use layer::catch_error::CatchErrorLayer;
#[cfg(feature = "channel")]
pub use layer::channel::ChannelLayer;
#[cfg(feature = "failover")]
pub use layer::failover::FailoverLayer;
#[cfg(feature = "failover")]
pub use layer::first_event::FirstEventLayer;
pub use layer::hop_by_hop::HopByHopFilterLayer;
#[cfg(feature = "key-pool")]
pub use layer::key_pool::KeyPoolLayer;
#[cfg(feature = "limit")]
pub use layer::limit::LimitLayer;
pub use layer::live_log::LiveLogLayer;
#[cfg(feature = "otel")]
pub use layer::otel::OtelLayer;
pub use layer::provider_translate::ProviderTranslateLayer;
#[cfg(feature = "request-log")]
pub use layer::request_log::RequestLogLayer;
#[cfg(feature = "session")]
pub use layer::session::SessionLayer;
pub use layer::stats::StatsLayer;
pub use layer::system_prompt::SystemPromptLayer;
