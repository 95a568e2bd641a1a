//! Who waits for a key: first come, first served. Pure, but for the wakers that it keeps.

use std::collections::BTreeMap;
use std::task::Waker;

use super::pool::{Grant, Pool, Step};
use super::tried::Tried;

#[derive(Debug, Default)]
pub(super) struct Queue {
    /// By the number of their arrival.
    waiting: BTreeMap<u64, Waiter>,
    arrivals: u64,
    /// To be woken when the lock is free.
    woken: Vec<Waker>,
    /// To be dropped when the lock is free.
    retired: Vec<Waker>,
}

#[derive(Debug)]
struct Waiter {
    tried: Tried,
    waker: Waker,
    /// Handed over, so that nobody who comes later can take it first.
    grant: Option<Grant>,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Takes a place at the end.
    pub(super) fn enter(&mut self, tried: Tried, waker: Waker) -> u64 {
        self.arrivals += 1;
        self.waiting.insert(self.arrivals, Waiter { tried, waker, grant: None });
        self.arrivals
    }

    /// Wakes another task for this place.
    pub(super) fn renew(&mut self, place: u64, waker: &Waker) {
        if let Some(waiter) = self.waiting.get_mut(&place) {
            if !waiter.waker.will_wake(waker) {
                self.retired.push(std::mem::replace(&mut waiter.waker, waker.clone()));
            }
        }
    }

    /// What was handed to this place. The place is given up then.
    pub(super) fn take(&mut self, place: u64) -> Option<Grant> {
        self.waiting.get(&place)?.grant.as_ref()?;
        self.leave(place)
    }

    /// Gives a place up; what was handed to it must be ended.
    pub(super) fn leave(&mut self, place: u64) -> Option<Grant> {
        let waiter = self.waiting.remove(&place)?;
        self.retired.push(waiter.waker);
        waiter.grant
    }

    /// Hands out what is free.
    pub(super) fn serve(&mut self, pool: &mut Pool, step: &mut Step<'_>) {
        for waiter in self.waiting.values_mut().filter(|waiter| waiter.grant.is_none()) {
            waiter.grant = pool.lease(&waiter.tried, step);
            if waiter.grant.is_some() {
                self.woken.push(waiter.waker.clone());
            } else if waiter.tried.is_empty() {
                // There is nothing for one who takes any key, so there is nothing for the others.
                break;
            }
        }
    }

    /// Has everybody look again how long to wait.
    pub(super) fn wake_all(&mut self) {
        self.woken.extend(self.waiting.values().map(|waiter| waiter.waker.clone()));
    }

    /// Those to wake, and those to drop.
    pub(super) fn take_wakers(&mut self) -> (Vec<Waker>, Vec<Waker>) {
        (std::mem::take(&mut self.woken), std::mem::take(&mut self.retired))
    }
}
