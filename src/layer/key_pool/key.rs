//! One key: whether it may be leased, and what it has learned. Pure.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use super::change::PoolChange;
use super::cooldown::{LONGEST, floor};
use super::judge::{Cost, cost};
use super::pool::Step;
use super::snapshot::{KeySnapshot, KeyStatus, KeyTotals};
use crate::context::KeyHeaders;
use crate::protocol::MAX_RETRY_AFTER;
use crate::protocol::model::{Fault, FaultKind};
use crate::store::KeyState;

/// What of a key never changes.
#[derive(Debug)]
pub(super) struct KeyParts {
    pub(super) id: Arc<str>,
    pub(super) masked: Arc<str>,
    pub(super) headers: KeyHeaders,
}

#[derive(Debug)]
pub(super) struct Key {
    pub(super) parts: Arc<KeyParts>,
    /// Which of all keys that were ever added: one that comes back is another one.
    pub(super) serial: u64,
    /// The number of the last lease; 0 before the first.
    pub(super) used: u64,
    /// 0 in the place that it was given in, else behind all with a lower one.
    pub(super) demotion: u64,
    gate: Gate,
    /// Grows with every cooldown. What a lease of an earlier one has to tell was known by then.
    epoch: u64,
    failures: u32,
    cooldowns: u32,
    cooldown: Duration,
    own_fault: bool,
    last_used: Option<Instant>,
    last_failure: Option<(Instant, FaultKind)>,
    leases: Vec<InFlight>,
    totals: KeyTotals,
    revision: u64,
    /// Whether something worth saving has changed.
    changed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Gate {
    Open,
    /// Until then; afterwards it is half open.
    Cooling {
        until: Instant,
    },
    /// Half open, and this lease has passed.
    Probing {
        lease: u64,
    },
}

#[derive(Debug)]
struct InFlight {
    id: u64,
    epoch: u64,
    kind: LeaseKind,
    pulse: Pulse,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum LeaseKind {
    Usual,
    /// The first one after a cooldown.
    Probe,
    /// Within the cooldown.
    Rescue,
}

/// What a key can do for a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Standing {
    Free(LeaseKind),
    /// Once a lease of it ends, or the probe is answered.
    Busy,
    Cooling {
        until: Instant,
    },
}

/// How a lease ends.
#[derive(Debug, Clone, Copy)]
pub(super) enum Verdict<'a> {
    Neutral,
    Failure(&'a Fault),
    /// With keys that were out of quota for the same request before.
    Success {
        out_of_quota: &'a [Arc<str>],
    },
}

/// The signs of life of a lease, left without a lock.
#[derive(Debug, Clone, Default)]
pub(super) struct Pulse(Arc<Signs>);

#[derive(Debug, Default)]
struct Signs {
    /// The last one, as milliseconds since the pool began.
    last: AtomicU64,
    /// Its answer has begun.
    answered: AtomicBool,
}

impl Pulse {
    pub(super) fn beat(&self, age: Duration) {
        self.0.last.store(u64::try_from(age.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(super) fn answer(&self) {
        self.0.answered.store(true, Ordering::Relaxed);
    }

    fn last(&self) -> Duration {
        Duration::from_millis(self.0.last.load(Ordering::Relaxed))
    }

    fn is_answered(&self) -> bool {
        self.0.answered.load(Ordering::Relaxed)
    }
}

impl Key {
    pub(super) fn new(parts: KeyParts, serial: u64) -> Self {
        Self {
            parts: Arc::new(parts),
            serial,
            used: 0,
            demotion: 0,
            gate: Gate::Open,
            epoch: 0,
            failures: 0,
            cooldowns: 0,
            cooldown: Duration::ZERO,
            own_fault: false,
            last_used: None,
            last_failure: None,
            leases: Vec::new(),
            totals: KeyTotals::default(),
            revision: 0,
            changed: false,
        }
    }

    pub(super) fn id(&self) -> &Arc<str> {
        &self.parts.id
    }

    pub(super) fn standing(&self, now: Instant, max_in_flight: usize) -> Standing {
        let has_room = self.leases.len() < max_in_flight;
        match self.gate {
            Gate::Cooling { until } if until > now => Standing::Cooling { until },
            Gate::Open if has_room => Standing::Free(LeaseKind::Usual),
            Gate::Cooling { .. } if has_room => Standing::Free(LeaseKind::Probe),
            _ => Standing::Busy,
        }
    }

    /// Whether it may be leased within its cooldown.
    pub(super) fn can_rescue(&self, max_in_flight: usize, even_own_fault: bool) -> bool {
        self.leases.len() < max_in_flight && (even_own_fault || !self.own_fault)
    }

    /// When it failed last; a key of which that is not known comes first.
    pub(super) fn last_failed(&self) -> Option<Instant> {
        self.last_failure.map(|(at, _)| at)
    }

    pub(super) fn grant(&mut self, id: u64, kind: LeaseKind, now: Instant, pulse: Pulse) {
        if kind == LeaseKind::Probe {
            self.gate = Gate::Probing { lease: id };
            self.failures = 0;
        }
        self.used = id;
        self.last_used = Some(now);
        self.totals.leases += 1;
        self.leases.push(InFlight { id, epoch: self.epoch, kind, pulse });
    }

    /// An answer has begun well: the key is not the reason to keep others waiting, who may come
    /// now. The backoff is forgotten only when the answer is whole.
    pub(super) fn answered(&mut self, id: u64) {
        let lease = self.leases.iter().find(|lease| lease.id == id);
        let tried = |lease: &InFlight| lease.kind != LeaseKind::Usual && lease.epoch == self.epoch;
        if lease.is_some_and(tried) {
            self.gate = Gate::Open;
        }
    }

    /// A lease ends. Nothing happens for one that is not known any more.
    pub(super) fn end(
        &mut self,
        id: u64,
        verdict: Verdict<'_>,
        step: &mut Step<'_>,
    ) -> Option<PoolChange> {
        let at = self.leases.iter().position(|lease| lease.id == id)?;
        let lease = self.leases.swap_remove(at);
        let change = match verdict {
            Verdict::Success { .. } => {
                self.totals.successes += 1;
                self.succeed(&lease)
            }
            Verdict::Failure(fault) if cost(fault) != Cost::Nothing => {
                self.totals.failures += 1;
                self.last_failure = Some((step.now, fault.kind));
                self.fail(&lease, fault, step)
            }
            Verdict::Failure(_) | Verdict::Neutral => {
                self.totals.neutral += 1;
                None
            }
        };
        if self.gate == (Gate::Probing { lease: id }) {
            // It told nothing, so the next one may try.
            self.gate = Gate::Cooling { until: step.now };
        }
        change
    }

    fn succeed(&mut self, lease: &InFlight) -> Option<PoolChange> {
        if lease.epoch != self.epoch {
            return None;
        }
        self.gate = Gate::Open;
        let had_cooled = self.cooldowns > 0;
        if had_cooled || self.failures > 0 {
            self.forget();
        }
        had_cooled.then(|| PoolChange::Recovered { key: self.id().clone() })
    }

    fn fail(&mut self, lease: &InFlight, fault: &Fault, step: &mut Step<'_>) -> Option<PoolChange> {
        let cost = cost(fault);
        if lease.epoch != self.epoch {
            // Many requests at once fail together, and that is one failure. Yet the upstream's
            // word on how long to wait holds.
            let asked = step.now + floor(fault.retry_after);
            if let Gate::Cooling { until } = &mut self.gate {
                *until = asked.max(*until);
                self.change();
            }
            return None;
        }
        if lease.kind == LeaseKind::Rescue && cost == Cost::Counts {
            // It is cooling for that already; a whole outage's failures are not to add up.
            return None;
        }
        self.failures = self.failures.saturating_add(1);
        self.change();
        let is_due = lease.kind == LeaseKind::Probe
            || cost == Cost::CoolsDown
            || step.rules.cooldown.is_due(self.failures);
        is_due.then(|| self.cool(fault, step))
    }

    fn cool(&mut self, fault: &Fault, step: &mut Step<'_>) -> PoolChange {
        self.cooldowns = self.cooldowns.saturating_add(1);
        self.cooldown = step.rules.cooldown.lasts(self.cooldowns, fault.retry_after, step.rng);
        self.gate = Gate::Cooling { until: step.now + self.cooldown };
        self.own_fault = fault.kind.is_keys();
        self.epoch += 1;
        PoolChange::Cooling { key: self.id().clone(), fault: fault.kind, lasts: self.cooldown }
    }

    /// Forgets all failures.
    fn forget(&mut self) {
        self.gate = Gate::Open;
        self.failures = 0;
        self.cooldowns = 0;
        self.cooldown = Duration::ZERO;
        self.own_fault = false;
        self.change();
    }

    /// As if it were new. Its leases are no longer its own.
    pub(super) fn reset(&mut self) {
        self.forget();
        self.leases.clear();
        self.last_failure = None;
        self.epoch += 1;
    }

    /// A lease that has shown no sign of life for so long, and whether its answer has begun.
    pub(super) fn stuck(&self, age: Duration, silence: Duration) -> Option<(u64, bool)> {
        let is_stuck = |lease: &&InFlight| age.saturating_sub(lease.pulse.last()) >= silence;
        let stuck = self.leases.iter().find(is_stuck)?;
        Some((stuck.id, stuck.pulse.is_answered()))
    }

    /// The age of the pool at which the first of its leases will be stuck.
    pub(super) fn stuck_at(&self, silence: Duration) -> Option<Duration> {
        let last = self.leases.iter().map(|lease| lease.pulse.last()).min()?;
        last.checked_add(silence)
    }

    fn change(&mut self) {
        self.changed = true;
    }

    pub(super) fn has_changed(&self) -> bool {
        self.changed
    }

    /// Puts it behind the keys with a lower number.
    pub(super) fn demote(&mut self, demotion: u64) {
        self.demotion = demotion;
        self.change();
    }

    /// What is to be saved, if that has changed.
    pub(super) fn take_change(&mut self, now: Instant, wall: SystemTime) -> Option<KeyState> {
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        self.revision += 1;
        let cooling_until = match self.gate {
            Gate::Open => None,
            Gate::Cooling { until } => wall.checked_add(until.saturating_duration_since(now)),
            Gate::Probing { .. } => Some(wall),
        };
        Some(KeyState {
            revision: self.revision,
            cooling_until,
            own_fault: self.own_fault,
            failures: self.failures,
            cooldowns: self.cooldowns,
            cooldown: self.cooldown,
            demotion: self.demotion,
        })
    }

    /// Takes what was saved. What no cooldown of ours could be, as when a clock was wrong, is cut.
    pub(super) fn restore(&mut self, state: &KeyState, now: Instant, wall: SystemTime) {
        self.revision = state.revision;
        self.own_fault = state.own_fault;
        self.failures = state.failures;
        self.cooldowns = state.cooldowns;
        self.cooldown = state.cooldown.min(LONGEST);
        self.demotion = state.demotion;
        if let Some(until) = state.cooling_until {
            let left = until.duration_since(wall).unwrap_or_default();
            let most = self.cooldown.max(MAX_RETRY_AFTER);
            self.gate = Gate::Cooling { until: now + left.min(most) };
        }
    }

    pub(super) fn snapshot(&self, now: Instant) -> KeySnapshot {
        let ago = |at: Instant| now.saturating_duration_since(at);
        let cooling_for = match self.gate {
            Gate::Cooling { until } => until.saturating_duration_since(now),
            _ => Duration::ZERO,
        };
        let is_half_open = self.gate != Gate::Open && cooling_for.is_zero();
        let status = match self.gate {
            _ if !self.leases.is_empty() => KeyStatus::InUse,
            _ if is_half_open => KeyStatus::HalfOpen,
            Gate::Open => KeyStatus::Active,
            _ => KeyStatus::CoolingDown,
        };
        KeySnapshot {
            id: self.parts.id.clone(),
            masked: self.parts.masked.clone(),
            status,
            in_flight: self.leases.len(),
            cooling_for,
            failures: if is_half_open { 0 } else { self.failures },
            cooldowns: self.cooldowns,
            cooldown: self.cooldown,
            last_used: self.last_used.map(ago),
            last_failure: self.last_failure.map(|(at, kind)| (ago(at), kind)),
            totals: self.totals,
        }
    }
}
