//! How often a caller may come.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};
use http::{HeaderName, HeaderValue, Request};
use tokio::time::Instant;

use crate::context::{Exchange, PeerAddr, Principal};

/// Callers whose rate is counted apart. While there are more, all of them share
/// [`SHARED_RATES`] rates.
pub const MAX_RATES: usize = 100_000;

/// Rates that callers share by chance while there are more than [`MAX_RATES`].
pub const SHARED_RATES: u64 = 4096;

/// Requests after which it is looked whose rate can be forgotten.
const SWEEP_EVERY: u32 = 1024;

/// So many requests in such a time; all of them may come at once.
///
/// ```
/// use std::num::NonZeroU32;
/// use std::time::Duration;
/// use tower_llm_gateway::layer::limit::Rate;
///
/// let requests = NonZeroU32::new(60).unwrap();
/// let rate = Rate { requests, per: Duration::from_secs(60) };
/// # let _ = rate;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Requests.
    pub requests: NonZeroU32,
    /// In this time.
    pub per: Duration,
}

/// Whose requests are counted together. Requests that have no such thing count together too.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum By {
    /// Those of a [`Principal`]; a layer outside must have found it.
    Principal,
    /// Those of a [`PeerAddr`]'s IP address, which the host sets; of IPv6 the first 64 bits, as one
    /// subscriber has all addresses below them.
    Peer,
    /// Those with the same value of this header, such as the caller's key. It is kept as a hash.
    Header(HeaderName),
}

/// What callers are told apart by: a keyed hash, so that no key of a caller is kept.
#[derive(Debug, Default)]
pub(super) struct Hashes(RandomState);

impl Hashes {
    pub(super) fn of<B>(&self, by: &By, request: &Request<B>) -> u64 {
        match by {
            By::Principal => self.principal(request),
            By::Peer => {
                let peer = request.extensions().get::<PeerAddr>();
                self.0.hash_one(peer.map(|peer| subscriber(peer.0.ip())))
            }
            By::Header(name) => {
                self.0.hash_one(request.headers().get(name).map(HeaderValue::as_bytes))
            }
        }
    }

    pub(super) fn principal<B>(&self, request: &Request<B>) -> u64 {
        if let Some(principal) = request.extensions().get::<Principal>() {
            return self.0.hash_one(Some(principal.id()));
        }
        let hash = |exchange: &Exchange| {
            exchange.read(|facts| self.0.hash_one(facts.principal.as_ref().map(Principal::id)))
        };
        let exchange = request.extensions().get::<Exchange>();
        exchange.map_or_else(|| self.0.hash_one(None::<&str>), hash)
    }
}

/// What one subscriber has of the addresses: an IPv4 address, or an IPv6 network of 64 bits.
fn subscriber(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        ip @ IpAddr::V4(_) => ip,
    }
}

/// Tokio's clock, which tests can stop.
#[derive(Debug)]
struct TokioClock(Instant);

impl Clock for TokioClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

/// The rates of all callers.
pub(super) struct Rates {
    pub(super) by: By,
    limiter: RateLimiter<u64, DefaultKeyedStateStore<u64>, TokioClock, NoOpMiddleware<Duration>>,
    /// Requests since the last sweep.
    seen: AtomicU32,
    /// Hashes are taken modulo this, if it is not 0.
    modulo: AtomicU64,
}

impl Rates {
    pub(super) fn new(by: By, rate: Rate) -> Self {
        let requests = rate.requests;
        let quota = Quota::with_period(rate.per / requests.get())
            .map_or_else(|| Quota::per_second(requests), |quota| quota.allow_burst(requests));
        let clock = TokioClock(Instant::now());
        let limiter = RateLimiter::new(quota, DefaultKeyedStateStore::default(), clock);
        Self { by, limiter, seen: AtomicU32::new(0), modulo: AtomicU64::new(0) }
    }

    /// Counts a request, or says when the next one may come.
    pub(super) fn check(&self, hash: u64) -> Result<(), Duration> {
        if self.seen.fetch_add(1, Ordering::Relaxed) >= SWEEP_EVERY {
            self.sweep();
        }
        let modulo = self.modulo.load(Ordering::Relaxed);
        let key = if modulo == 0 { hash } else { hash % modulo };
        self.limiter
            .check_key(&key)
            .map_err(|until| until.wait_time_from(TokioClock::now(self.clock())))
    }

    fn sweep(&self) {
        self.seen.store(0, Ordering::Relaxed);
        // Whoever has not come for so long that he may do all again is as good as new.
        self.limiter.retain_recent();
        let full = self.limiter.len() >= MAX_RATES;
        self.modulo.store(if full { SHARED_RATES } else { 0 }, Ordering::Relaxed);
    }

    fn clock(&self) -> &TokioClock {
        self.limiter.clock()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.limiter.len()
    }
}

impl std::fmt::Debug for Rates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rates").field("by", &self.by).finish_non_exhaustive()
    }
}
