//! Chooses a channel for each request: which upstream it goes to.
//!
//! The layer leaves the [`Upstream`](crate::context::Upstream) and the
//! [`ChannelId`](crate::context::ChannelId) in the extensions of the request, for
//! [`ProviderTranslateLayer::from_context`](crate::ProviderTranslateLayer::from_context) and for
//! the key pool, and learns from how the answer fares. It never repeats a request, never holds a
//! key, and never looks at the bytes of an answer.
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Full};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_llm_gateway::ChannelLayer;
//! use tower_llm_gateway::context::{ChannelId, Upstream};
//! use tower_llm_gateway::layer::channel::{Channel, Channels};
//! use tower_llm_gateway::protocol::Protocol;
//!
//! # tokio_test::block_on(async {
//! let upstream = |base| Upstream::new(base, Protocol::Anthropic).unwrap();
//! let channels = Channels::new([
//!     Channel::new("main", upstream("https://main.example.com")).models(["claude-*"]),
//!     Channel::new("spare", upstream("https://spare.example.com")).max_concurrent(10),
//! ])
//! .unwrap();
//! let service = ServiceBuilder::new().layer(ChannelLayer::new(channels.clone())).service_fn(
//!     |request: Request<_>| async move {
//!         let channel = request.extensions().get::<ChannelId>().unwrap().as_str().to_owned();
//!         Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::from(channel)))
//!     },
//! );
//! let request = Request::post("/v1/messages").body(Full::from(r#"{"model":"other"}"#)).unwrap();
//! let answer = service.oneshot(request).await.unwrap();
//! assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "spare");
//! assert_eq!(channels.snapshot(Some(Protocol::Anthropic))[1].success_count, 1);
//! # });
//! ```
//!
//! # Which one
//!
//! Of the channels that are active, serve the caller's protocol and the model, and were not tried
//! in this exchange, the first of:
//!
//! 1. the one of the last attempt after all, where that failed by its key and another key is left,
//!    or by its base URL and another is left;
//! 2. one that is promoted, even tripped; that is then tried by one request at a time, as long as
//!    another is well;
//! 3. the one where the conversation last succeeded (so that its prompt cache is hit);
//! 4. what the [`Strategy`] says, by default the first by priority;
//! 5. where none is well, the one that fails least. So a sole channel is always tried.
//!
//! An attempt that [may return](crate::context::Attempt::may_return) is given one that was tried.
//!
//! 3 and 4 pass over tripped channels. A full channel is passed over for the next; where all that
//! are well are full, the request waits for the first that is free, in the order of arrival.
//!
//! Conversations are told apart by the caller's protocol, the principal, and the id that the
//! protocol has for it: `metadata.user_id` (Messages); the headers `conversation_id`,
//! `session_id`, `x-gemini-api-privileged-user-id`, then `prompt_cache_key`, then
//! `metadata.user_id` (Responses); `prompt_cache_key`, then `user` (all others). Only a hash of
//! it is kept.
//!
//! # Breakers
//!
//! By channel and caller's protocol. When at least [`Policy::min_samples`] of the last
//! [`Policy::window`] results are known and [`Policy::threshold`] of them are failures, the breaker
//! opens for [`Policy::recovery`]; then one request at a time may try, until the head of its answer
//! is good. Any success closes it.
//! Failures are faults of the upstream or the way to it, and those of its last key. Client
//! mistakes, refusals of ours and callers that leave are neither success nor failure. A result is
//! known when the answer has ended, so a stream that breaks counts as failed.
//!
//! # Order
//!
//! Inside of whatever repeats requests, outside of the key pool and of
//! [`ProviderTranslateLayer`](crate::ProviderTranslateLayer). What it needs of the body is in the
//! [`RequestFacts`](crate::context::RequestFacts) where an outer layer has read it.
//!
//! # Buffering
//!
//! Where nobody left the facts, and a channel has a list of models or there are several and
//! conversations stay with theirs, the body is read to its end, up to
//! [`max_body_bytes`](ChannelLayer::max_body_bytes), and the facts are left. Answers pass frame by
//! frame.
//!
//! # Cancellation
//!
//! Dropping the response future or the body gives the place at the channel, or in the queue, back.
//! The place at a channel lasts until the last byte of the answer, that of a failed attempt until
//! its head.
//!
//! # Errors
//!
//! Refusals are responses in the caller's protocol, made before the inner service is called:
//!
//! | status | when |
//! |---|---|
//! | 400 | the body failed; a member that is read stands twice |
//! | 403 | the model is none of the caller's |
//! | 404 | no channel serves the model |
//! | 413 | the body is over the limit |
//! | 415 | the body is encoded, and some channel serves some models only |
//! | 503 | no channel is active (`NO_UPSTREAM`); all were tried; all are full for longer than [`max_wait`](ChannelLayer::max_wait) or for more than [`max_waiting`](ChannelLayer::max_waiting) (with `Retry-After`) |
//!
//! `type Error` is that of the inner service.

mod affinity;
mod ask;
mod breaker;
#[allow(clippy::module_inception, reason = "a channel is what the layer is about")]
mod channel;
mod channels;
mod entry;
mod future;
mod health;
mod latency;
mod layer;
mod observe;
mod policy;
mod probe;
mod schedule;
mod service;
mod shared;
mod snapshot;
mod state;
#[cfg(test)]
mod tests;
mod windows;

pub use ask::RETRY_AFTER;
pub use channel::{Channel, ChannelStatus};
pub use channels::{Channels, DuplicateChannel, UnknownChannel};
pub use entry::UPSTREAM_COOLDOWN;
pub use future::ResponseFuture;
pub use latency::{ASSUMED_LATENCY, LATENCY_DECAY};
pub use layer::{ChannelLayer, DEFAULT_MAX_BODY_BYTES, DEFAULT_MAX_WAIT, DEFAULT_MAX_WAITING};
pub use observe::ResponseObserver;
pub use policy::{
    DEFAULT_AFFINITY_TTL, DEFAULT_MAX_AFFINITIES, DEFAULT_RECOVERY, DEFAULT_THRESHOLD,
    DEFAULT_WINDOW, MAX_WINDOW, MIN_SAMPLES, Policy, Strategy,
};
pub use probe::{ChannelPing, MAX_PINGS_AT_ONCE, PING_TIMEOUT, PROBE_INTERVAL, Ping};
pub use service::ChannelService;
pub use snapshot::{BreakerState, ChannelSnapshot, TimeWindows, WindowSnapshot};
pub use windows::MAX_MINUTES;
