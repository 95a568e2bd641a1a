//! What a layer, its clones and its handles share, and the guards of what is taken out of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use super::health::Outcome;
use super::state::{Choice, State};

/// The state, its lock and its clock.
#[derive(Debug)]
pub(super) struct Shared {
    clock: Clock,
    state: Mutex<State>,
}

/// Tells the time since the Unix epoch, and never goes back.
#[derive(Debug)]
struct Clock {
    wall: Duration,
    start: Instant,
}

impl Clock {
    fn now(&self) -> Duration {
        self.wall + self.start.elapsed()
    }
}

impl Shared {
    pub(super) fn new(state: State) -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { clock: Clock { wall, start: Instant::now() }, state: Mutex::new(state) }
    }

    /// Works on the state, and then wakes whoever got a channel by it.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut State, Duration) -> T) -> T {
        let mut state = self.lock();
        let done = work(&mut state, self.clock.now());
        let woken = std::mem::take(&mut state.woken);
        drop(state);
        woken.into_iter().for_each(Waker::wake);
        done
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Plain data, good to use after a panic elsewhere.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place at a channel: taken until it has ended or is dropped.
#[derive(Debug)]
pub(super) struct Lease {
    shared: Arc<Shared>,
    pub(super) choice: Choice,
    ended: bool,
}

impl Lease {
    pub(super) fn new(shared: Arc<Shared>, choice: Choice) -> Self {
        Self { shared, choice, ended: false }
    }

    /// The answer has begun, and not with a fault; `timed` where it takes about as long as others.
    pub(super) fn answered(&self, timed: bool) {
        self.shared.with(|state, now| state.answered(&self.choice, timed, now));
    }

    /// Gives the place back and tells how it fared; what is said first counts.
    pub(super) fn end(&mut self, outcome: Outcome) {
        if !std::mem::replace(&mut self.ended, true) {
            self.shared.with(|state, now| {
                state.ended(&self.choice, outcome, now);
                state.release(&self.choice, now);
            });
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.end(Outcome::Nothing);
    }
}

/// A place in the queue: taken until it is dropped or led to a channel.
#[derive(Debug)]
pub(super) struct Ticket {
    shared: Arc<Shared>,
    number: u64,
}

impl Ticket {
    pub(super) fn new(shared: Arc<Shared>, number: u64) -> Self {
        Self { shared, number }
    }

    /// `None` when the number has been called already.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Lease>> {
        let given = self.shared.with(|state, _| state.poll_given(self.number, cx));
        given.map(|choice| choice.map(|choice| Lease::new(self.shared.clone(), choice)))
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.shared.with(|state, now| state.leave(self.number, now));
    }
}
