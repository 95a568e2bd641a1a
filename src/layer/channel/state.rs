//! All channels, and the requests that wait for one. Plain data: the time is an argument.

use std::collections::{BTreeMap, HashMap};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::affinity::{Affinities, AffinityKey};
use super::breaker::Try;
use super::channel::Channel;
use super::entry::{Entry, Kind};
use super::health::Outcome;
use super::policy::Policy;
use super::schedule::{self, Ask, Lot, Nobody, Reason, Verdict};
use crate::context::{ChannelId, Upstream};

#[derive(Debug)]
pub(super) struct State {
    pub(super) policy: Policy,
    /// By priority.
    pub(super) entries: Vec<Entry>,
    /// Where each channel stands among them.
    places: HashMap<ChannelId, usize>,
    pub(super) affinities: Affinities,
    lot: Lot,
    /// By the number of their arrival.
    waiting: BTreeMap<u64, Waiting>,
    next: u64,
    /// Whoever got a channel and does not know yet.
    pub(super) woken: Vec<Waker>,
}

#[derive(Debug)]
struct Waiting {
    ask: Ask,
    waker: Option<Waker>,
    granted: Option<Choice>,
}

/// A channel for a request, whose place there is taken.
#[derive(Debug, Clone)]
pub(super) struct Choice {
    pub(super) channel: ChannelId,
    pub(super) upstream: Upstream,
    pub(super) reason: Reason,
    pub(super) more_channels: bool,
    pub(super) began: Duration,
    kind: Kind,
    affinity: Option<AffinityKey>,
    serial: u64,
    used: (usize, Option<Try>),
}

/// What becomes of a request.
#[derive(Debug)]
pub(super) enum Given {
    Channel(Choice),
    /// It waits under this number.
    Wait(u64),
    /// It would have to wait, and too many do.
    Crowded,
    Nobody(Nobody),
}

impl State {
    pub(super) fn new(policy: Policy, rng: fastrand::Rng) -> Self {
        Self {
            policy,
            entries: Vec::new(),
            places: HashMap::new(),
            affinities: Affinities::default(),
            lot: Lot::new(rng),
            waiting: BTreeMap::new(),
            next: 0,
            woken: Vec::new(),
        }
    }

    /// Puts these channels in the place of all; those that stay keep how they fared.
    pub(super) fn replace(&mut self, channels: Vec<Channel>, now: Duration) {
        let mut before: HashMap<ChannelId, Entry> = std::mem::take(&mut self.entries)
            .into_iter()
            .map(|entry| (entry.channel.id.clone(), entry))
            .collect();
        let entries = channels.into_iter().enumerate().map(|(index, channel)| {
            if let Some(mut entry) = before.remove(&channel.id) {
                entry.describe(channel, index);
                return entry;
            }
            self.next += 1;
            Entry::new(channel, index, self.next)
        });
        self.entries = entries.collect();
        self.entries.sort_by_key(Entry::order);
        let place = |(at, entry): (usize, &Entry)| (entry.channel.id.clone(), at);
        self.places = self.entries.iter().enumerate().map(place).collect();
        self.serve(usize::MAX, now);
    }

    pub(super) fn entry(&self, id: &ChannelId) -> Option<&Entry> {
        self.entries.get(*self.places.get(id)?)
    }

    /// Changes one channel; false where it is unknown.
    pub(super) fn change(
        &mut self,
        id: &ChannelId,
        now: Duration,
        change: impl FnOnce(&mut Entry),
    ) -> bool {
        let Some(entry) = self.places.get(id).and_then(|at| self.entries.get_mut(*at)) else {
            return false;
        };
        change(entry);
        self.serve(usize::MAX, now);
        true
    }

    /// What of a request's body would help: its model, its conversation.
    pub(super) fn wants(&self) -> (bool, bool) {
        let lists = self.entries.iter().any(|entry| entry.channel.models.is_some());
        // Where there is no choice nothing has to be remembered.
        (lists, self.entries.len() > 1 && self.policy.has_affinity())
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Gives a request a channel, or a place in the queue.
    pub(super) fn give(&mut self, ask: Ask, max_waiting: usize, now: Duration) -> Given {
        match self.choose(&ask, now) {
            Ok(choice) => Given::Channel(choice),
            Err(Verdict::Nobody(why)) => Given::Nobody(why),
            Err(_) if self.waiting.len() >= max_waiting => Given::Crowded,
            Err(_) => {
                self.next += 1;
                let waiting = Waiting { ask, waker: None, granted: None };
                self.waiting.insert(self.next, waiting);
                Given::Wait(self.next)
            }
        }
    }

    fn choose(&mut self, ask: &Ask, now: Duration) -> Result<Choice, Verdict> {
        let sticky = ask.affinity.as_ref().and_then(|key| {
            let channel = self.affinities.get(key, &self.policy, now)?;
            self.places.get(channel).copied()
        });
        let entries = &mut self.entries;
        let strategy = self.policy.strategy;
        let verdict = schedule::choose(entries, ask, sticky, strategy, &mut self.lot, now);
        let Verdict::Chosen(at, reason) = verdict else { return Err(verdict) };
        let more_channels = schedule::has_more(entries, ask, at);
        let entry = &mut entries[at];
        let used = entry.begin(ask.kind, now);
        Ok(Choice {
            channel: entry.channel.id.clone(),
            upstream: entry.channel.upstreams[used.0].clone(),
            reason,
            more_channels,
            began: now,
            kind: ask.kind,
            affinity: ask.affinity,
            serial: entry.serial,
            used,
        })
    }

    /// Asks again for those that wait, first come, first served, until so many got a channel.
    fn serve(&mut self, mut most: usize, now: Duration) {
        let mut from = 0;
        while most > 0 {
            let mut unserved = self.waiting.range(from..).filter(|(_, w)| w.granted.is_none());
            let Some((number, ask)) = unserved.next().map(|(n, w)| (*n, w.ask.clone())) else {
                return;
            };
            from = number + 1;
            let Ok(choice) = self.choose(&ask, now) else { continue };
            if let Some(waiting) = self.waiting.get_mut(&number) {
                waiting.granted = Some(choice);
                self.woken.extend(waiting.waker.take());
            }
            most -= 1;
        }
    }

    /// Whether the request of this number has a channel by now.
    pub(super) fn poll_given(&mut self, number: u64, cx: &mut Context<'_>) -> Poll<Option<Choice>> {
        let Some(waiting) = self.waiting.get_mut(&number) else { return Poll::Ready(None) };
        if waiting.granted.is_none() {
            let current = waiting.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
            if !current {
                // The old one is woken for nothing: to drop it here, behind the lock, could run
                // code that wants the lock.
                self.woken.extend(waiting.waker.replace(cx.waker().clone()));
            }
            return Poll::Pending;
        }
        Poll::Ready(self.waiting.remove(&number).and_then(|waiting| waiting.granted))
    }

    /// The request of this number waits no longer.
    pub(super) fn leave(&mut self, number: u64, now: Duration) {
        let Some(waiting) = self.waiting.remove(&number) else { return };
        // Woken for nothing, as in `poll_given`.
        self.woken.extend(waiting.waker);
        if let Some(choice) = waiting.granted {
            self.return_unused(&choice, now);
        }
    }

    /// The channel was not called.
    fn return_unused(&mut self, choice: &Choice, now: Duration) {
        if let Some(entry) = self.entry_of(choice) {
            if let (_, Some(of)) = choice.used {
                entry.health_mut(choice.kind).breaker.free_try(of);
            }
        }
        self.release(choice, now);
    }

    /// The answer has begun, and not with a fault; `timed` where it takes about as long as others.
    pub(super) fn answered(&mut self, choice: &Choice, timed: bool, now: Duration) {
        let Some(entry) = self.entry_of(choice) else { return };
        let health = entry.health_mut(choice.kind);
        if timed {
            health.latency.answered(now.saturating_sub(choice.began), now);
        }
        if let (_, Some(of)) = choice.used {
            // The rest may take long: the next may try now.
            health.breaker.free_try(of);
            self.serve(1, now);
        }
    }

    /// How a request fared.
    pub(super) fn ended(&mut self, choice: &Choice, outcome: Outcome, now: Duration) {
        let policy = self.policy.clone();
        let Some(entry) = self.entry_of(choice) else { return };
        let turned = entry.ended(choice.kind, choice.used, outcome, &policy, now);
        if let (Outcome::Success, Some(key)) = (outcome, choice.affinity) {
            self.affinities.succeeded(key, &choice.channel, &policy, now);
        }
        if turned {
            let channel = choice.channel.as_str();
            match outcome {
                Outcome::Success => tracing::info!(channel, "the channel is well again"),
                _ => tracing::warn!(channel, "the channel fails and is left alone"),
            }
            // Those who wait may go where they could not have gone before.
            self.serve(usize::MAX, now);
        }
    }

    /// The last byte of its answer is gone: its place is free.
    pub(super) fn release(&mut self, choice: &Choice, now: Duration) {
        if let Some(entry) = self.entry_of(choice) {
            entry.in_flight = entry.in_flight.saturating_sub(1);
            self.serve(1, now);
        }
    }

    /// The channel as it was chosen, unless it is gone.
    fn entry_of(&mut self, choice: &Choice) -> Option<&mut Entry> {
        let at = *self.places.get(&choice.channel)?;
        self.entries.get_mut(at).filter(|entry| entry.serial == choice.serial)
    }
}
