//! Which channel a request takes. Pure: the time and what is drawn by lot are arguments.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::affinity::AffinityKey;
use super::breaker::Admission;
use super::entry::{Entry, Kind};
use super::health::is_upstreams_fault;
use super::policy::Strategy;
use crate::context::{Attempt, AttemptId, ChannelId, ExchangeFacts};
use crate::protocol::model::FaultOrigin;

/// What a request needs, and where it has been.
#[derive(Debug, Clone, Default)]
pub(super) struct Ask {
    pub(super) kind: Kind,
    model: Option<Arc<str>>,
    pub(super) affinity: Option<AffinityKey>,
    /// Earlier attempts, oldest first.
    tried: Vec<Tried>,
    /// The channel of the last attempt that failed there, if it may do better at once.
    stay: Option<(ChannelId, Stay)>,
    /// Nothing else is left, and there was a pause.
    may_return: bool,
}

#[derive(Debug, Clone)]
struct Tried {
    channel: ChannelId,
    upstreams_fault: bool,
}

/// How the channel of a failed attempt may do better at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stay {
    /// With another key.
    OtherKey,
    /// At another base URL, where it has one that was not tried.
    OtherUpstream,
}

impl Ask {
    /// As the facts of its exchange tell; `current` is the attempt that asks.
    pub(super) fn new(
        kind: Kind,
        affinity: Option<AffinityKey>,
        facts: &ExchangeFacts,
        current: AttemptId,
    ) -> Self {
        let before = &facts.attempts[..current.index().min(facts.attempts.len())];
        let tried = before.iter().filter_map(|attempt| {
            let channel = attempt.channel.clone()?;
            Some(Tried { channel, upstreams_fault: is_upstreams_fault(attempt) })
        });
        let asks = facts.attempts.get(current.index());
        Self {
            kind,
            model: facts.request.as_ref().and_then(|request| request.model.clone()),
            affinity,
            tried: tried.collect(),
            stay: Stay::after(before),
            may_return: asks.is_some_and(|attempt| attempt.may_return),
        }
    }

    fn has_tried(&self, id: &ChannelId) -> bool {
        self.tried.iter().any(|tried| tried.channel == *id)
    }

    /// How many attempts found the upstream of a channel broken.
    fn broken_upstreams(&self, id: &ChannelId) -> usize {
        self.tried.iter().filter(|tried| tried.upstreams_fault && tried.channel == *id).count()
    }

    /// Whether the last attempt failed there, and another one there may do better.
    fn stays_with(&self, entry: &Entry) -> bool {
        let channel = &entry.channel;
        self.stay.as_ref().is_some_and(|(id, stay)| {
            *id == channel.id
                && match stay {
                    Stay::OtherKey => true,
                    Stay::OtherUpstream => {
                        self.broken_upstreams(&channel.id) < channel.upstreams.len()
                    }
                }
        })
    }

    /// Whether a channel takes such requests at all.
    fn is_served_by(&self, entry: &Entry) -> bool {
        entry.channel.is_active()
            && entry.channel.serves_caller(self.kind)
            && self.is_model_of(entry)
    }

    fn is_model_of(&self, entry: &Entry) -> bool {
        self.model.as_ref().is_none_or(|model| entry.channel.serves_model(model))
    }

    fn is_new_to(&self, entry: &Entry) -> bool {
        self.is_served_by(entry) && !self.has_tried(&entry.channel.id)
    }

    /// Whether the request may go there.
    fn may_take(&self, entry: &Entry) -> bool {
        self.is_served_by(entry) && (self.may_return || !self.has_tried(&entry.channel.id))
    }
}

impl Stay {
    /// As the last of these attempts tells that failed at a channel. Others may be on their way
    /// since, or were refused by us; where that was for the same channel, it has nothing to offer.
    fn after(attempts: &[Attempt]) -> Option<(ChannelId, Self)> {
        let failed = |attempt: &Attempt| {
            let fault = attempt.fault.filter(|fault| fault.origin != FaultOrigin::Gateway)?;
            attempt.channel.clone().map(|channel| (channel, fault, attempt.more_keys))
        };
        let refused = attempts.iter().rev().take_while(|attempt| failed(attempt).is_none());
        let (channel, fault, more_keys) = attempts.iter().rev().find_map(failed)?;
        let here = |attempt: &Attempt| attempt.channel.as_ref() == Some(&channel);
        if refused.filter(|attempt| here(attempt)).any(|attempt| attempt.fault.is_some()) {
            return None;
        }
        if fault.kind.is_keys() && more_keys {
            Some((channel, Self::OtherKey))
        } else if fault.kind.is_upstreams() {
            Some((channel, Self::OtherUpstream))
        } else {
            None
        }
    }
}

/// Why a channel was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// The last attempt was there, and failed by its key or by one of several base URLs.
    Stay,
    Promotion,
    Affinity,
    Strategy(Strategy),
    /// None is well; this one fails least.
    Fallback,
}

impl Reason {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Stay => "same_channel",
            Self::Promotion => "promotion_priority",
            Self::Affinity => "trace_affinity",
            Self::Strategy(Strategy::Priority) => "priority_order",
            Self::Strategy(Strategy::Weighted) => "weighted",
            Self::Strategy(Strategy::LeastLatency) => "least_latency",
            Self::Strategy(Strategy::RoundRobin) => "round_robin",
            Self::Fallback => "fallback",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The place of the channel among the entries.
    Chosen(usize, Reason),
    /// One would do, if it were not full.
    Full,
    Nobody(Nobody),
}

/// Why no channel is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nobody {
    /// There is no active one for such callers.
    None,
    /// There is, but none serves the model.
    Model,
    /// All were tried.
    Tried,
}

/// What changes from one request to the next where all else is equal.
#[derive(Debug)]
pub(super) struct Lot {
    rng: fastrand::Rng,
    turns: HashMap<Kind, usize>,
}

impl Lot {
    pub(super) fn new(rng: fastrand::Rng) -> Self {
        Self { rng, turns: HashMap::new() }
    }
}

/// Chooses. `entries` stand in the order of their priority, `sticky` is the place of the
/// conversation's channel.
///
/// A full channel is passed over for the next one that is well. Where the well ones are all full
/// the request had better wait: it goes to a tripped one only when no other is left.
pub(super) fn choose(
    entries: &[Entry],
    ask: &Ask,
    sticky: Option<usize>,
    strategy: Strategy,
    lot: &mut Lot,
    now: Duration,
) -> Verdict {
    let full = Cell::new(false);
    let has_room = |entry: &Entry| {
        full.set(full.get() || entry.is_full());
        !entry.is_full()
    };
    let is_well =
        |entry: &Entry| ask.may_take(entry) && entry.admission(ask.kind, now) != Admission::Open;

    let stays = |e: &Entry| ask.stays_with(e) && ask.is_served_by(e) && has_room(e);
    if let Some(at) = entries.iter().position(stays) {
        return Verdict::Chosen(at, Reason::Stay);
    }
    // A tripped one is tried by one request at a time, as long as the others have a better place.
    let is_better = |e: &Entry| is_well(e) && !e.is_full();
    let may_try = |e: &Entry| !e.is_tried(ask.kind) || !entries.iter().any(is_better);
    let promoted =
        |e: &Entry| e.channel.is_promoted(now) && ask.may_take(e) && may_try(e) && has_room(e);
    if let Some(at) = entries.iter().position(promoted) {
        return Verdict::Chosen(at, Reason::Promotion);
    }
    let sticks = |at: &usize| entries.get(*at).is_some_and(|e| is_well(e) && has_room(e));
    if let Some(at) = sticky.filter(sticks) {
        return Verdict::Chosen(at, Reason::Affinity);
    }
    let well = || entries.iter().enumerate().filter(|(_, e)| is_well(e) && has_room(e));
    if let Some(at) = pick(well, ask.kind, strategy, lot) {
        return Verdict::Chosen(at, Reason::Strategy(strategy));
    }
    if full.get() {
        return Verdict::Full;
    }
    let left = entries.iter().enumerate().filter(|(_, e)| ask.may_take(e) && has_room(e));
    let rate = |entry: &Entry| entry.failure_rate(ask.kind);
    match left.min_by(|(_, a), (_, b)| rate(a).total_cmp(&rate(b))) {
        Some((at, _)) => Verdict::Chosen(at, Reason::Fallback),
        None if full.get() => Verdict::Full,
        None => Verdict::Nobody(nobody(entries, ask)),
    }
}

/// Picks one of the channels that are well.
fn pick<'a, I>(well: impl Fn() -> I, kind: Kind, strategy: Strategy, lot: &mut Lot) -> Option<usize>
where
    I: Iterator<Item = (usize, &'a Entry)>,
{
    let nth = |n: usize| well().nth(n);
    match strategy {
        Strategy::Priority => nth(0),
        Strategy::Weighted => {
            let weight = |entry: &Entry| u64::from(entry.channel.weight);
            let total: u64 = well().map(|(_, entry)| weight(entry)).sum();
            // Those of no weight are there for when no other is.
            let mut drawn =
                if total == 0 { return nth(0).map(|(at, _)| at) } else { lot.rng.u64(..total) };
            well().find(|(_, entry)| {
                let here = drawn < weight(entry);
                drawn = drawn.saturating_sub(weight(entry));
                here
            })
        }
        Strategy::LeastLatency => match well().count() {
            0 => None,
            1 => nth(0),
            count => {
                let first = lot.rng.usize(..count);
                let second = (first + lot.rng.usize(1..count)) % count;
                let [first, second] = [nth(first), nth(second)];
                let cost = |one: &Option<(usize, &Entry)>| {
                    one.map_or(f64::INFINITY, |(_, entry)| entry.cost(kind))
                };
                if cost(&second) < cost(&first) { second } else { first }
            }
        },
        Strategy::RoundRobin => match well().count() {
            0 => None,
            count => {
                let turn = lot.turns.entry(kind).or_default();
                let at = *turn % count;
                *turn = turn.wrapping_add(1);
                nth(at)
            }
        },
    }
    .map(|(at, _)| at)
}

/// Whether the exchange could go on elsewhere if the chosen channel failed.
pub(super) fn has_more(entries: &[Entry], ask: &Ask, chosen: usize) -> bool {
    entries.iter().enumerate().any(|(at, entry)| {
        if at == chosen {
            let channel = &entry.channel;
            ask.broken_upstreams(&channel.id) + 1 < channel.upstreams.len()
        } else {
            ask.is_new_to(entry)
        }
    })
}

fn nobody(entries: &[Entry], ask: &Ask) -> Nobody {
    if entries.iter().any(|entry| ask.is_served_by(entry)) {
        return Nobody::Tried;
    }
    let takes = |e: &Entry| e.channel.is_active() && e.channel.serves_caller(ask.kind);
    if entries.iter().any(takes) { Nobody::Model } else { Nobody::None }
}
