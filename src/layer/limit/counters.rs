use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Shows what a [`LimitLayer`](super::LimitLayer) and its clones have done.
#[derive(Debug, Clone, Default)]
pub struct Limits(pub(super) Arc<Counters>);

/// The sums so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LimitSnapshot {
    /// Requests let in whose answer has not ended.
    pub in_flight: usize,
    /// Requests that wait for a permit.
    pub waiting: usize,
    /// Refused because too many waited already.
    pub refused_full: u64,
    /// Refused because they had waited too long.
    pub refused_late: u64,
    /// Refused because they came too often.
    pub refused_rate: u64,
    /// Refused because their body was too large.
    pub refused_size: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    in_flight: AtomicUsize,
    waiting: AtomicUsize,
    pub(super) full: AtomicU64,
    pub(super) late: AtomicU64,
    pub(super) rate: AtomicU64,
    pub(super) size: AtomicU64,
}

impl Limits {
    /// The sums so far.
    #[must_use]
    pub fn snapshot(&self) -> LimitSnapshot {
        let counters = &*self.0;
        LimitSnapshot {
            in_flight: counters.in_flight.load(Ordering::Relaxed),
            waiting: counters.waiting.load(Ordering::Relaxed),
            refused_full: counters.full.load(Ordering::Relaxed),
            refused_late: counters.late.load(Ordering::Relaxed),
            refused_rate: counters.rate.load(Ordering::Relaxed),
            refused_size: counters.size.load(Ordering::Relaxed),
        }
    }
}

/// Counts a request for as long as it lives.
#[derive(Debug)]
pub(super) struct Counted {
    counters: Arc<Counters>,
    gauge: fn(&Counters) -> &AtomicUsize,
}

impl Counted {
    pub(super) fn in_flight(counters: &Arc<Counters>) -> Self {
        Self::new(counters, |counters| &counters.in_flight)
    }

    pub(super) fn waiting(counters: &Arc<Counters>) -> Self {
        Self::new(counters, |counters| &counters.waiting)
    }

    fn new(counters: &Arc<Counters>, gauge: fn(&Counters) -> &AtomicUsize) -> Self {
        gauge(counters).fetch_add(1, Ordering::Relaxed);
        Self { counters: Arc::clone(counters), gauge }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        (self.gauge)(&self.counters).fetch_sub(1, Ordering::Relaxed);
    }
}
