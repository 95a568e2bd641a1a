//! Leases a key to every request, and learns from how it fares.
//!
//! A key that is refused, out of quota or limited is left alone for a while, and the others are
//! used; one that has cooled down is tried by a single request before the others follow. What the
//! caller did wrong, or that it left, never hurts a key. The layer never reads a body, and never
//! repeats a request: that is for whoever stands outside, and such a repetition gets another key.
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Full};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_llm_gateway::context::UpstreamKey;
//! use tower_llm_gateway::layer::key_pool::{KeyPool, KeyPoolLayer, KeyStatus};
//!
//! # tokio_test::block_on(async {
//! let pool = KeyPool::new(["sk-spent-1111", "sk-good-2222"]).unwrap();
//! let mut service = ServiceBuilder::new().layer(KeyPoolLayer::new(pool.clone())).service(
//!     service_fn(|request: Request<()>| async move {
//!         let Some(UpstreamKey::Ours(key)) = request.extensions().get() else { panic!() };
//!         let status = if key.plain() == "sk-spent-1111" { 429 } else { 200 };
//!         Ok::<_, std::convert::Infallible>(
//!             Response::builder().status(status).body(Full::<Bytes>::default()).unwrap(),
//!         )
//!     }),
//! );
//! for status in [429, 200, 200, 200] {
//!     let request = Request::post("/v1/messages").body(()).unwrap();
//!     let answer = (&mut service).oneshot(request).await.unwrap();
//!     assert_eq!(answer.status(), status);
//!     answer.into_body().collect().await.unwrap();
//! }
//! let keys = pool.snapshot();
//! assert_eq!(keys[0].status, KeyStatus::CoolingDown);
//! assert_eq!(keys[1].totals.successes, 3);
//! # });
//! ```
//!
//! # What a key learns
//!
//! The [`Fault`](crate::protocol::model::Fault) in the extensions of the answer tells, as a layer
//! inside has classified it, else the status. What comes to light within the body is told by
//! [`Attempt::fault`](crate::context::Attempt::fault).
//!
//! | kind | the key |
//! |---|---|
//! | `Auth`, `Permission`, `Billing`, `RateLimit` | cools down at once |
//! | the same where they are [guessed](crate::protocol::model::Fault::guessed), `Overloaded`, `Upstream`, `Transport`, `Timeout` | cools down when there were [`Cooldown::threshold`] of them without a success between |
//! | any of the caller's, and whatever has [`FaultOrigin::Gateway`](crate::protocol::model::FaultOrigin) | nothing |
//!
//! A [`Cooldown`] lasts 300 s, then 600 s, 1200 s, .. up to 12 hours; `Retry-After` is its floor,
//! as far as 24 hours. Only a success, that is a whole answer, makes the next one short again. Many
//! requests that fail at once are one failure.
//!
//! When a cooldown ends, nothing has to happen: time is compared as keys are leased. Then one
//! request may try the key. When the head of its answer is good, others may come; when it fails,
//! the key cools down twice as long; when it tells nothing, the next one tries.
//!
//! # Which key
//!
//! [`Strategy`] chooses among those that are free and that this exchange has not tried on this
//! channel; failing that, one that it has tried and that was not at fault itself. [`Rescue`] says
//! what happens when all cool down. The key is left in the request's extensions as
//! [`UpstreamKey`](crate::context::UpstreamKey), where
//! [`ProviderTranslateLayer`](crate::ProviderTranslateLayer) puts it into the header that the
//! upstream wants, in place of the upstream's own.
//!
//! # Order
//!
//! Inside of whoever repeats requests or chooses a [`ChannelId`](crate::context::ChannelId),
//! outside of `ProviderTranslateLayer`.
//!
//! # Buffering
//!
//! None. Where no key is free the request waits, at most [`Settings::wait`] and with at most
//! [`Settings::max_waiting`] others, first come, first served; the inner service's readiness is
//! held meanwhile.
//!
//! # Cancellation
//!
//! A lease is in the future and then in the body, and goes back with them, whichever way they end.
//! A request that is given up while it waits leaves the queue, and what was handed to it goes to
//! the next.
//!
//! # Errors
//!
//! 503 in the caller's protocol when no key can be had, with `Retry-After` where that is known. It
//! is a fault of kind `Overloaded` and origin `Gateway`. `type Error` is that of the inner service;
//! its errors count as `Transport`.

mod change;
mod cooldown;
mod future;
mod guard;
mod handle;
mod judge;
mod key;
mod layer;
mod lease;
mod leasing;
mod pool;
mod pools;
mod queue;
mod service;
mod settings;
mod snapshot;
#[cfg(test)]
mod tests;
mod tried;

pub use change::PoolChange;
pub use cooldown::{Cooldown, DEFAULT_COOLDOWN, DEFAULT_MAX_COOLDOWN, DEFAULT_THRESHOLD};
pub use future::ResponseFuture;
pub use guard::LeaseGuard;
pub use handle::{KeyError, KeyPool};
pub use layer::KeyPoolLayer;
pub use lease::{Lease, NoKey};
pub use leasing::Leasing;
pub use pools::KeyPools;
pub use service::KeyPoolService;
pub use settings::{
    DEFAULT_MAX_KEYS, DEFAULT_MAX_WAITING, DEFAULT_STUCK_AFTER, DEFAULT_WAIT, Rescue, Settings,
    Strategy,
};
pub use snapshot::{KeySnapshot, KeyStatus, KeyTotals};
pub use tried::Tried;

use crate::body::{ObserveBody, RewriteBody};

/// The inner service's body with the lease, or a refusal of ours.
pub type ResponseBody<C> = ObserveBody<RewriteBody<C>, LeaseGuard>;
