//! Permits, and a bounded wait for them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::counters::{Counted, Counters};

/// Default for [`Concurrency::wait`]: a minute.
pub const DEFAULT_WAIT: Duration = Duration::from_secs(60);

/// Default for [`Concurrency::max_waiting`].
pub const DEFAULT_MAX_WAITING: usize = 1024;

/// Principals whose permits are remembered while they have no request; beyond them those are
/// forgotten, which changes nothing for anybody.
pub const MAX_IDLE_GATES: usize = 1024;

/// How many requests run at once, and how many wait for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Concurrency {
    /// Requests at once, until the end of their answers.
    pub permits: usize,
    /// Longest wait for a permit; then 503. Default [`DEFAULT_WAIT`].
    pub wait: Duration,
    /// Most requests that wait at once; a further one is answered 503 at once. Default
    /// [`DEFAULT_MAX_WAITING`].
    pub max_waiting: usize,
}

impl Concurrency {
    /// So many requests at once, with the default wait.
    #[must_use]
    pub fn new(permits: usize) -> Self {
        Self { permits, wait: DEFAULT_WAIT, max_waiting: DEFAULT_MAX_WAITING }
    }
}

/// Why there is no permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Busy {
    /// Too many wait.
    Full,
    /// It took too long.
    Late,
}

/// Where permits are had.
#[derive(Debug)]
pub(super) struct Gate {
    semaphore: Arc<Semaphore>,
    waiting: AtomicUsize,
    limit: Concurrency,
}

/// A permit; the gate lives as long as it.
#[derive(Debug)]
pub(super) struct Permit {
    _permit: OwnedSemaphorePermit,
    _gate: Arc<Gate>,
}

/// A place in the queue.
struct Place<'a>(&'a AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Gate {
    pub(super) fn new(limit: Concurrency) -> Self {
        let permits = limit.permits.min(Semaphore::MAX_PERMITS);
        Self { semaphore: Arc::new(Semaphore::new(permits)), waiting: AtomicUsize::new(0), limit }
    }

    /// A permit, if one is free.
    fn try_enter(self: &Arc<Self>) -> Option<Permit> {
        let permit = Arc::clone(&self.semaphore).try_acquire_owned().ok()?;
        Some(Permit { _permit: permit, _gate: Arc::clone(self) })
    }

    /// A permit, once one is free. Dropping the future leaves the queue.
    async fn enter(self: &Arc<Self>, counters: &Arc<Counters>) -> Result<Permit, Busy> {
        if let Some(permit) = self.try_enter() {
            return Ok(permit);
        }
        let _place = self.place().ok_or(Busy::Full)?;
        let _counted = Counted::waiting(counters);
        let acquire = Arc::clone(&self.semaphore).acquire_owned();
        // The semaphore is never closed.
        let permit = timeout(self.limit.wait, acquire).await.ok().and_then(Result::ok);
        let permit = permit.ok_or(Busy::Late)?;
        Ok(Permit { _permit: permit, _gate: Arc::clone(self) })
    }

    fn place(&self) -> Option<Place<'_>> {
        let most = self.limit.max_waiting;
        let (order, more) = (Ordering::Relaxed, |waiting| (waiting < most).then(|| waiting + 1));
        self.waiting.fetch_update(order, order, more).ok()?;
        Some(Place(&self.waiting))
    }
}

/// The gates that one request must pass: the narrower first, so that who waits there keeps no
/// place of others.
#[derive(Debug, Default)]
pub(super) struct Gates(pub(super) [Option<Arc<Gate>>; 2]);

/// A permit of each gate.
pub(super) type Permits = [Option<Permit>; 2];

impl Gates {
    /// All permits, if all are free.
    pub(super) fn try_enter(&self) -> Option<Permits> {
        let mut permits = Permits::default();
        for (gate, permit) in self.0.iter().zip(&mut permits) {
            if let Some(gate) = gate {
                *permit = Some(gate.try_enter()?);
            }
        }
        Some(permits)
    }

    pub(super) async fn enter(self, counters: Arc<Counters>) -> Result<Permits, Busy> {
        let mut permits = Permits::default();
        for (gate, permit) in self.0.iter().zip(&mut permits) {
            if let Some(gate) = gate {
                *permit = Some(gate.enter(&counters).await?);
            }
        }
        Ok(permits)
    }
}

/// A gate for each key.
#[derive(Debug)]
pub(super) struct KeyedGates {
    limit: Concurrency,
    gates: Mutex<HashMap<u64, Arc<Gate>>>,
}

impl KeyedGates {
    pub(super) fn new(limit: Concurrency) -> Self {
        Self { limit, gates: Mutex::default() }
    }

    pub(super) fn of(&self, key: u64) -> Arc<Gate> {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        if gates.len() >= MAX_IDLE_GATES && !gates.contains_key(&key) {
            // A gate that nobody holds is as good as a new one.
            gates.retain(|_, gate| Arc::strong_count(gate) > 1);
        }
        Arc::clone(gates.entry(key).or_insert_with(|| Arc::new(Gate::new(self.limit))))
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.gates.lock().unwrap().len()
    }
}
