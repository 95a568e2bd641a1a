use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use tokio::time::Sleep;

use super::handle::KeyPool;
use super::key::Verdict;
use super::lease::{Lease, NoKey};
use super::pool::{Grant, Pool, Step};
use super::queue::Queue;
use super::tried::Tried;

/// Future of [`KeyPool::lease`]. Dropping it gives its place in the queue up.
#[must_use = "futures do nothing unless polled"]
pub struct Leasing {
    pool: KeyPool,
    tried: Tried,
    /// Where it waits, and until when at most.
    place: Option<Place>,
}

struct Place {
    number: u64,
    deadline: Instant,
    /// Boxed, as most leases are had without waiting.
    sleep: Pin<Box<Sleep>>,
}

/// What one look at the pool yields.
enum Look {
    Granted(Grant),
    Refused(NoKey),
    /// The place in the queue, its deadline, and when to look again if nobody calls before.
    Wait(u64, Instant, Instant),
}

impl Leasing {
    pub(super) fn new(pool: KeyPool, tried: Tried) -> Self {
        Self { pool, tried, place: None }
    }

    fn look(&self, waker: &Waker) -> Look {
        let place = self.place.as_ref().map(|place| (place.number, place.deadline));
        self.pool.step(|pool, queue, step| {
            if let Some(grant) = place.and_then(|(number, _)| queue.take(number)) {
                return Look::Granted(grant);
            }
            let found = pool.lease(&self.tried, step);
            let looked = match found {
                Some(grant) => Look::Granted(grant),
                None => self.queue(place, waker, pool, queue, step),
            };
            if let (Some((number, _)), Look::Granted(_) | Look::Refused(_)) = (place, &looked) {
                queue.leave(number);
            }
            looked
        })
    }

    /// There is no key: takes a place in the queue, or keeps the one that it has, if a key may come
    /// in time.
    fn queue(
        &self,
        place: Option<(u64, Instant)>,
        waker: &Waker,
        pool: &Pool,
        queue: &mut Queue,
        step: &Step<'_>,
    ) -> Look {
        let settings = self.pool.settings();
        let shortage = pool.shortage(&self.tried, step);
        let deadline = place.map_or_else(|| step.now + settings.wait, |(_, deadline)| deadline);
        let in_time = shortage.busy || shortage.release.is_some_and(|at| at <= deadline);
        if !in_time || step.now >= deadline {
            return Look::Refused(NoKey::of(&shortage, pool, step.now));
        }
        let number = match place {
            Some((number, _)) => {
                queue.renew(number, waker);
                number
            }
            None if queue.len() >= settings.max_waiting => {
                return Look::Refused(NoKey::crowded());
            }
            None => queue.enter(self.tried.clone(), waker.clone()),
        };
        let again = [shortage.release, shortage.stuck].into_iter().flatten().min();
        Look::Wait(number, deadline, again.map_or(deadline, |again| again.min(deadline)))
    }
}

impl Future for Leasing {
    type Output = Result<Lease, NoKey>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match self.look(cx.waker()) {
                Look::Granted(grant) => {
                    self.place = None;
                    return Poll::Ready(Ok(Lease::new(self.pool.clone(), grant)));
                }
                Look::Refused(no_key) => {
                    self.place = None;
                    return Poll::Ready(Err(no_key));
                }
                Look::Wait(number, deadline, again) => {
                    let again = again.into();
                    let sleep = || Box::pin(tokio::time::sleep_until(again));
                    let place = self.place.get_or_insert_with(|| Place {
                        number,
                        deadline,
                        sleep: sleep(),
                    });
                    if place.sleep.deadline() != again {
                        place.sleep.as_mut().reset(again);
                    }
                    if place.sleep.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                }
            }
        }
    }
}

impl Drop for Leasing {
    fn drop(&mut self) {
        let Some(place) = self.place.take() else { return };
        self.pool.step(|pool, queue, step| {
            if let Some(grant) = queue.leave(place.number) {
                pool.end(&grant, Verdict::Neutral, step);
            }
        });
    }
}

impl fmt::Debug for Leasing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leasing").field("waits", &self.place.is_some()).finish_non_exhaustive()
    }
}
