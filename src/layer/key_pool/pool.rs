//! All keys of a pool: which one is leased, and what becomes of it. Pure: no lock, no clock.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::change::PoolChange;
use super::judge;
use super::key::{Key, KeyParts, LeaseKind, Pulse, Standing, Verdict};
use super::settings::{Rescue, Rules, Strategy};
use super::snapshot::KeySnapshot;
use super::tried::Tried;
use crate::store::KeyState;

/// How often leases are looked for that are stuck, where keys are free besides.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Pool {
    /// In the order in which [`Strategy::Failover`] takes them.
    keys: Vec<Key>,
    born: Instant,
    /// When it was last looked for leases that are stuck.
    swept: Instant,
    /// The serial of the last key that was added.
    serial: u64,
    /// The id of the last lease.
    leases: u64,
    /// The serial of the key of the last lease.
    turn: u64,
    /// The highest demotion.
    demotions: u64,
    changes: Vec<PoolChange>,
    /// Whether a key may have changed in a way that is worth saving.
    changed: bool,
}

/// What a step of the machine is told.
#[derive(Debug)]
pub(super) struct Step<'a> {
    pub(super) rules: &'a Rules,
    pub(super) now: Instant,
    pub(super) rng: &'a mut fastrand::Rng,
}

/// A lease as the pool knows it. It must be ended.
#[derive(Debug)]
pub(super) struct Grant {
    pub(super) key: Arc<KeyParts>,
    pub(super) serial: u64,
    pub(super) id: u64,
    pub(super) kind: LeaseKind,
    pub(super) pulse: Pulse,
    /// Whether another key is free that the request has not tried.
    pub(super) has_more: bool,
}

/// Why there is no lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shortage {
    /// A lease that is out may come back at any time.
    pub(super) busy: bool,
    /// The first end of a cooldown.
    pub(super) release: Option<Instant>,
    /// When the first of the leases that are out will be stuck.
    pub(super) stuck: Option<Instant>,
}

impl Pool {
    pub(super) fn new(born: Instant) -> Self {
        Self {
            keys: Vec::new(),
            born,
            swept: born,
            serial: 0,
            leases: 0,
            turn: 0,
            demotions: 0,
            changes: Vec::new(),
            changed: false,
        }
    }

    /// Adds a key behind the others; false when it is there already.
    pub(super) fn add(
        &mut self,
        parts: KeyParts,
        saved: Option<&KeyState>,
        now: Instant,
        wall: SystemTime,
    ) -> bool {
        if self.contains(&parts.id) {
            return false;
        }
        self.serial += 1;
        let mut key = Key::new(parts, self.serial);
        if let Some(saved) = saved {
            key.restore(saved, now, wall);
        }
        self.demotions = self.demotions.max(key.demotion);
        self.keys.push(key);
        // Stable: those with the same number stay in the order in which they came.
        self.keys.sort_by_key(|key| key.demotion);
        true
    }

    /// Takes keys out; their leases end without a trace. Tells which.
    pub(super) fn remove(&mut self, is_gone: impl Fn(&str) -> bool) -> Vec<Arc<str>> {
        let gone = self.keys.iter().map(|key| key.id().clone()).filter(|id| is_gone(id)).collect();
        self.keys.retain(|key| !is_gone(key.id()));
        gone
    }

    pub(super) fn contains(&self, id: &str) -> bool {
        self.keys.iter().any(|key| **key.id() == *id)
    }

    /// Puts the keys into an order by their ids, and forgets who was demoted.
    pub(super) fn arrange(&mut self, order: &HashMap<Arc<str>, usize>) {
        self.keys.sort_by_key(|key| order.get(key.id()).copied());
        self.changed = true;
        for key in self.keys.iter_mut().filter(|key| key.demotion > 0) {
            key.demote(0);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn ids(&self) -> Vec<Arc<str>> {
        self.keys.iter().map(|key| key.id().clone()).collect()
    }

    /// A lease of a free key, or of one that is to be tried in its cooldown.
    pub(super) fn lease(&mut self, tried: &Tried, step: &mut Step<'_>) -> Option<Grant> {
        let mut found = self.find(tried, step);
        if found.is_none() && self.sweep(step) {
            found = self.find(tried, step);
        }
        let (at, kind) = found.or_else(|| self.rescue(tried, step.now, step.rules))?;
        let (now, max) = (step.now, step.rules.max_in_flight);
        let is_more = |(other, key): (usize, &Key)| {
            other != at && is_free(key, now, max) && !tried.contains(key.id())
        };
        let has_more = self.keys.iter().enumerate().any(is_more);
        let key = self.keys.get_mut(at)?;
        self.leases += 1;
        self.turn = key.serial;
        let pulse = Pulse::default();
        pulse.beat(now.saturating_duration_since(self.born));
        key.grant(self.leases, kind, now, pulse.clone());
        let (key, serial) = (Arc::clone(&key.parts), key.serial);
        Some(Grant { key, serial, id: self.leases, kind, pulse, has_more })
    }

    /// A free key that was not tried, else one that was and did not fail by its own fault.
    fn find(&self, tried: &Tried, step: &mut Step<'_>) -> Option<(usize, LeaseKind)> {
        let (now, max) = (step.now, step.rules.max_in_flight);
        let at = self.choose(step, |key| is_free(key, now, max) && !tried.contains(key.id()));
        let at = match at {
            None if !tried.is_empty() => {
                self.choose(step, |key| is_free(key, now, max) && !tried.failed(key.id()))
            }
            found => found,
        }?;
        match self.keys.get(at)?.standing(now, max) {
            Standing::Free(kind) => Some((at, kind)),
            _ => None,
        }
    }

    fn choose(&self, step: &mut Step<'_>, may: impl Fn(&Key) -> bool) -> Option<usize> {
        let candidates = || self.keys.iter().enumerate().filter(|(_, key)| may(key));
        let found = match step.rules.strategy {
            Strategy::Failover => candidates().next(),
            Strategy::LeastRecentlyUsed => candidates().min_by_key(|(_, key)| key.used),
            Strategy::RoundRobin => {
                let behind = |key: &Key| key.serial <= self.turn;
                candidates().min_by_key(|(_, key)| (behind(key), key.serial))
            }
            Strategy::Random => {
                let count = candidates().count();
                let nth = if count > 1 { step.rng.usize(..count) } else { 0 };
                candidates().nth(nth)
            }
        };
        found.map(|(at, _)| at)
    }

    /// Where all keys that the request could take are cooling down: the one that failed longest
    /// ago. Where one is only busy, that is waited for.
    fn rescue(&self, tried: &Tried, now: Instant, rules: &Rules) -> Option<(usize, LeaseKind)> {
        let even_own_fault = match rules.rescue {
            Rescue::Never => return None,
            Rescue::Upstreams => false,
            Rescue::Always => true,
        };
        let max = rules.max_in_flight;
        let untried = || self.keys.iter().enumerate().filter(|(_, key)| !tried.contains(key.id()));
        let is_cooling = |key: &Key| matches!(key.standing(now, max), Standing::Cooling { .. });
        if !untried().all(|(_, key)| is_cooling(key)) {
            return None;
        }
        let may = untried().filter(|(_, key)| key.can_rescue(max, even_own_fault));
        may.min_by_key(|(_, key)| key.last_failed()).map(|(at, _)| (at, LeaseKind::Rescue))
    }

    /// What a request waits for that was given no lease.
    pub(super) fn shortage(&self, tried: &Tried, step: &Step<'_>) -> Shortage {
        let mut shortage = Shortage { busy: false, release: None, stuck: None };
        for key in self.keys.iter().filter(|key| !tried.failed(key.id())) {
            if let Standing::Cooling { until } = key.standing(step.now, step.rules.max_in_flight) {
                shortage.release = earlier(shortage.release, until);
                continue;
            }
            shortage.busy = true;
            let stuck = key.stuck_at(step.rules.stuck_after);
            if let Some(stuck) = stuck.and_then(|age| self.born.checked_add(age)) {
                shortage.stuck = earlier(shortage.stuck, stuck);
            }
        }
        shortage
    }

    /// The first end of a cooldown.
    pub(super) fn next_release(&self, now: Instant) -> Option<Instant> {
        let until = |key: &Key| match key.standing(now, usize::MAX) {
            Standing::Cooling { until } => Some(until),
            _ => None,
        };
        self.keys.iter().filter_map(until).min()
    }

    /// As [`Self::sweep`], unless that was done a moment ago.
    pub(super) fn sweep_at_times(&mut self, step: &mut Step<'_>) {
        if step.now.saturating_duration_since(self.swept) >= SWEEP_INTERVAL {
            self.sweep(step);
        }
    }

    /// Takes back the leases that are stuck; tells whether there were any. Where an answer has
    /// begun nobody reads it, which costs the key nothing.
    fn sweep(&mut self, step: &mut Step<'_>) -> bool {
        self.swept = step.now;
        let age = step.now.saturating_duration_since(self.born);
        let mut found = false;
        for key in &mut self.keys {
            while let Some((id, answered)) = key.stuck(age, step.rules.stuck_after) {
                found = true;
                let fault = judge::stuck();
                let verdict = if answered { Verdict::Neutral } else { Verdict::Failure(&fault) };
                self.changes.extend(key.end(id, verdict, step));
            }
        }
        self.changed |= found;
        found
    }

    /// An answer has begun well.
    pub(super) fn answered(&mut self, grant: &Grant) {
        if let Some(key) = self.keys.iter_mut().find(|key| key.serial == grant.serial) {
            key.answered(grant.id);
        }
    }

    /// A lease ends. Nothing happens when the key was taken out, or the lease taken back.
    pub(super) fn end(&mut self, grant: &Grant, verdict: Verdict<'_>, step: &mut Step<'_>) {
        let Some(key) = self.keys.iter_mut().find(|key| key.serial == grant.serial) else { return };
        self.changes.extend(key.end(grant.id, verdict, step));
        self.changed |= key.has_changed();
        if let Verdict::Success { out_of_quota } = verdict {
            if step.rules.demote {
                self.demote(out_of_quota);
            }
        }
    }

    /// Moves keys behind all others.
    fn demote(&mut self, ids: &[Arc<str>]) {
        if ids.is_empty() {
            return;
        }
        let before = self.ids();
        for id in ids {
            let Some(at) = self.keys.iter().position(|key| key.id() == id) else { continue };
            self.keys[at..].rotate_left(1);
            self.demotions += 1;
            if let Some(key) = self.keys.last_mut() {
                key.demote(self.demotions);
            }
        }
        self.changed = true;
        let order = self.ids();
        if order != before {
            self.changes.push(PoolChange::Demoted { order });
        }
    }

    /// Makes keys as if they were new; tells whether there are any.
    pub(super) fn reset(&mut self, is_meant: impl Fn(&str) -> bool) -> bool {
        let mut found = false;
        for key in self.keys.iter_mut().filter(|key| is_meant(key.id())) {
            key.reset();
            found = true;
        }
        self.changed |= found;
        found
    }

    pub(super) fn snapshot(&self, now: Instant) -> Vec<KeySnapshot> {
        self.keys.iter().map(|key| key.snapshot(now)).collect()
    }

    pub(super) fn take_changes(&mut self) -> Vec<PoolChange> {
        std::mem::take(&mut self.changes)
    }

    /// The states that are to be saved.
    pub(super) fn take_states(
        &mut self,
        now: Instant,
        wall: SystemTime,
    ) -> Vec<(Arc<str>, KeyState)> {
        if !std::mem::take(&mut self.changed) {
            return Vec::new();
        }
        let state = |key: &mut Key| Some((key.parts.id.clone(), key.take_change(now, wall)?));
        self.keys.iter_mut().filter_map(state).collect()
    }
}

fn is_free(key: &Key, now: Instant, max_in_flight: usize) -> bool {
    matches!(key.standing(now, max_in_flight), Standing::Free(_))
}

fn earlier(one: Option<Instant>, other: Instant) -> Option<Instant> {
    Some(one.map_or(other, |one| one.min(other)))
}
