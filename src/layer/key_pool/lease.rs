use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::handle::KeyPool;
use super::key::{LeaseKind, Verdict};
use super::pool::{Grant, Pool, Shortage};
use crate::context::KeyHeaders;
use crate::protocol::model::Fault;

/// How long a caller is asked to wait where nothing tells when a key will be free.
const UNKNOWN_WAIT: Duration = Duration::from_secs(1);

/// The use of a key for one request. It goes back to its pool when this is dropped, which says
/// nothing of the key.
#[must_use = "a lease that is dropped says nothing of its key"]
pub struct Lease {
    pool: KeyPool,
    grant: Grant,
    ended: bool,
}

impl Lease {
    pub(super) fn new(pool: KeyPool, grant: Grant) -> Self {
        Self { pool, grant, ended: false }
    }

    /// The key, as headers carry it.
    #[must_use]
    pub fn key(&self) -> &KeyHeaders {
        &self.grant.key.headers
    }

    /// The id of the key: [`Secret::fingerprint`](crate::secret::Secret::fingerprint).
    #[must_use]
    pub fn id(&self) -> &Arc<str> {
        &self.grant.key.id
    }

    /// The form of the key for people.
    #[must_use]
    pub fn masked(&self) -> &Arc<str> {
        &self.grant.key.masked
    }

    /// Whether another key was free, when this one was leased, that the request had not tried.
    #[must_use]
    pub fn has_more(&self) -> bool {
        self.grant.has_more
    }

    /// A sign of life: see [`Settings::stuck_after`](super::Settings::stuck_after).
    pub fn touch(&self) {
        self.pool.touch(&self.grant);
    }

    /// The answer has begun well. If the key had cooled down, others may have it too from now on.
    pub fn answered(&self) {
        self.grant.pulse.answer();
        if self.grant.kind == LeaseKind::Usual {
            return;
        }
        self.pool.step(|pool, _, _| pool.answered(&self.grant));
    }

    /// The answer came whole. `out_of_quota` names keys that the same request failed with before
    /// because they had spent what they may: they move behind all others.
    pub fn succeed(self, out_of_quota: &[Arc<str>]) {
        self.end(Verdict::Success { out_of_quota });
    }

    /// The request failed. It costs the key what the fault says: nothing, when that was the
    /// caller's or our own.
    pub fn fail(self, fault: &Fault) {
        self.end(Verdict::Failure(fault));
    }

    fn end(mut self, verdict: Verdict<'_>) {
        self.ended = true;
        self.pool.step(|pool, _, step| pool.end(&self.grant, verdict, step));
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.ended {
            self.pool.step(|pool, _, step| pool.end(&self.grant, Verdict::Neutral, step));
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("key", self.id()).finish_non_exhaustive()
    }
}

/// No key could be leased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoKey {
    reason: Reason,
    retry_after: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    Empty,
    Tried,
    Busy,
    Cooling,
    Crowded,
}

impl NoKey {
    pub(super) fn of(shortage: &Shortage, pool: &Pool, now: Instant) -> Self {
        let until = |at: Instant| at.saturating_duration_since(now);
        let (reason, retry_after) = match shortage.release {
            // What a lease may end before is not known to be sooner.
            _ if shortage.busy => (Reason::Busy, Some(UNKNOWN_WAIT)),
            Some(release) => (Reason::Cooling, Some(until(release))),
            None if pool.len() == 0 => (Reason::Empty, None),
            None => (Reason::Tried, pool.next_release(now).map(until)),
        };
        Self { reason, retry_after }
    }

    pub(super) fn crowded() -> Self {
        Self { reason: Reason::Crowded, retry_after: Some(UNKNOWN_WAIT) }
    }

    /// When another try may be worth it, as far as that is known.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl fmt::Display for NoKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.reason {
            Reason::Empty => "there is no key for this upstream",
            Reason::Tried => "every key for this upstream has failed",
            Reason::Busy => "all keys for this upstream are in use",
            Reason::Cooling => "all keys for this upstream are cooling down",
            Reason::Crowded => "too many requests wait for a key of this upstream",
        })
    }
}

impl std::error::Error for NoKey {}
