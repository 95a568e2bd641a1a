//! A channel among the others: what its owner says of it and how it fares. Plain data.

use std::time::Duration;

use super::breaker::{Admission, Breaker, Try};
use super::channel::Channel;
use super::health::{Health, Outcome};
use super::policy::Policy;
use crate::context::Upstream;
use crate::protocol::Protocol;

/// How long a base URL that failed is used only where no other is left.
pub const UPSTREAM_COOLDOWN: Duration = Duration::from_secs(30);

/// The caller's protocol; `None` for a path of none.
pub(super) type Kind = Option<Protocol>;

#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) channel: Channel,
    /// Its place in the owner's list.
    pub(super) index: usize,
    /// Told apart from another channel that once had the same name.
    pub(super) serial: u64,
    /// Requests under way, to the last byte of their answers.
    pub(super) in_flight: usize,
    /// By the caller's protocol, those that were seen.
    healths: Vec<(Kind, Health)>,
    /// When each base URL last failed and has not succeeded since.
    failed_at: Vec<Option<Duration>>,
}

impl Entry {
    pub(super) fn new(channel: Channel, index: usize, serial: u64) -> Self {
        let failed_at = vec![None; channel.upstreams.len()];
        Self { channel, index, serial, in_flight: 0, healths: Vec::new(), failed_at }
    }

    /// The owner says something else of it now.
    pub(super) fn describe(&mut self, channel: Channel, index: usize) {
        let before = std::mem::take(&mut self.failed_at);
        let known =
            |upstream: &Upstream| self.channel.upstreams.iter().position(|u| same(u, upstream));
        let failed_at = |upstream| *before.get(known(upstream)?)?;
        self.failed_at = channel.upstreams.iter().map(failed_at).collect();
        (self.channel, self.index) = (channel, index);
    }

    /// Where it stands; lower ones come first.
    pub(super) fn order(&self) -> (u64, usize) {
        let place = self.index as u64;
        let own = u64::from(self.channel.priority);
        (if own == 0 { place } else { own }, self.index)
    }

    pub(super) fn is_full(&self) -> bool {
        self.channel.max_concurrent.is_some_and(|most| self.in_flight >= most)
    }

    pub(super) fn health(&self, kind: Kind) -> Option<&Health> {
        self.healths.iter().find(|(of, _)| *of == kind).map(|(_, health)| health)
    }

    pub(super) fn health_mut(&mut self, kind: Kind) -> &mut Health {
        let at = self.healths.iter().position(|(of, _)| *of == kind).unwrap_or_else(|| {
            self.healths.push((kind, Health::default()));
            self.healths.len() - 1
        });
        &mut self.healths[at].1
    }

    pub(super) fn healths(&self) -> impl Iterator<Item = &(Kind, Health)> {
        self.healths.iter()
    }

    pub(super) fn healths_mut(&mut self) -> impl Iterator<Item = &mut (Kind, Health)> {
        self.healths.iter_mut()
    }

    pub(super) fn admission(&self, kind: Kind, now: Duration) -> Admission {
        match self.health(kind) {
            Some(health) if !self.channel.never_trip => health.breaker.admission(now),
            _ => Admission::Closed,
        }
    }

    /// Whether a request tries it, and no answer has begun yet.
    pub(super) fn is_tried(&self, kind: Kind) -> bool {
        !self.channel.never_trip && self.health(kind).is_some_and(|h| h.breaker.is_tried())
    }

    pub(super) fn failure_rate(&self, kind: Kind) -> f64 {
        self.health(kind).map_or(0.0, |health| health.breaker.failure_rate())
    }

    pub(super) fn cost(&self, kind: Kind) -> f64 {
        let latency = self.health(kind).map(|health| health.latency).unwrap_or_default();
        latency.cost(self.in_flight)
    }

    /// Which base URL to use: the first that works; else the one whose failure is longest ago.
    pub(super) fn upstream(&self, now: Duration) -> usize {
        let works = |failed: &Option<Duration>| failed.is_none();
        if let Some(at) = self.failed_at.iter().position(works) {
            return at;
        }
        let cooled = |failed: &Option<Duration>| {
            failed.is_some_and(|at| now.saturating_sub(at) >= UPSTREAM_COOLDOWN)
        };
        let oldest = || (0..self.failed_at.len()).min_by_key(|at| self.failed_at[*at]);
        self.failed_at.iter().position(cooled).or_else(oldest).unwrap_or_default()
    }

    /// A request goes there: the base URL it takes, and its try where the breaker is half open.
    pub(super) fn begin(&mut self, kind: Kind, now: Duration) -> (usize, Option<Try>) {
        self.in_flight += 1;
        let may_try = !self.channel.never_trip;
        let promoted = self.channel.is_promoted(now);
        let begin = |breaker: &mut Breaker| match promoted {
            true => breaker.begin_early_try(),
            false => breaker.begin_try(now),
        };
        let of = may_try.then(|| begin(&mut self.health_mut(kind).breaker)).flatten();
        (self.upstream(now), of)
    }

    /// How a request ended; true when this opened or closed the breaker.
    pub(super) fn ended(
        &mut self,
        kind: Kind,
        (upstream, of): (usize, Option<Try>),
        outcome: Outcome,
        policy: &Policy,
        now: Duration,
    ) -> bool {
        if let Some(failed) = self.failed_at.get_mut(upstream) {
            match outcome {
                Outcome::Success => *failed = None,
                Outcome::Failure(fault) if fault.is_upstreams() => *failed = Some(now),
                Outcome::Failure(_) | Outcome::Nothing => {}
            }
        }
        let turned = self.health_mut(kind).ended(outcome, of, policy, now);
        turned && !self.channel.never_trip
    }
}

/// Whether what was seen of one holds for the other.
fn same(one: &Upstream, other: &Upstream) -> bool {
    let path = |upstream: &Upstream| upstream.uri_for("", None).ok();
    path(one) == path(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::model::FaultKind;

    fn entry(upstreams: usize) -> Entry {
        let upstream = || Upstream::same_protocol("https://h").unwrap();
        let channel = Channel::new("a", upstream());
        let channel = (1..upstreams).fold(channel, |channel, _| channel.also_at(upstream()));
        Entry::new(channel, 3, 0)
    }

    #[test]
    fn base_urls_take_turns_as_they_fail() {
        let (policy, second) = (Policy::default(), Duration::from_secs(1));
        let mut entry = entry(3);
        let mut ends = |at: usize, outcome, now| {
            entry.ended(None, (at, None), outcome, &policy, now);
            entry.upstream(now)
        };
        let broken = Outcome::Failure(FaultKind::Transport);
        assert_eq!(ends(0, Outcome::Failure(FaultKind::Auth), second), 0, "not the URL's fault");
        assert_eq!(ends(0, broken, second), 1);
        assert_eq!(ends(1, broken, second * 2), 2);
        assert_eq!(ends(2, broken, second * 3), 0, "the oldest failure");
        assert_eq!(ends(0, broken, second * 4), 1);
        assert_eq!(ends(1, broken, second * 40), 0, "the first that cooled down");
        assert_eq!(ends(2, Outcome::Success, second * 40), 2, "what works comes first");
        assert_eq!(ends(0, Outcome::Success, second * 40), 0);
        assert_eq!(ends(9, broken, second * 40), 0, "a URL that is gone");
    }

    #[test]
    fn a_failure_stays_with_its_base_url() {
        let at = |host| Upstream::same_protocol(host).unwrap();
        let (policy, now) = (Policy::default(), Duration::from_secs(1));
        let mut entry =
            Entry::new(Channel::new("a", at("https://a/v")).also_at(at("https://b")), 0, 0);
        entry.ended(None, (0, None), Outcome::Failure(FaultKind::Transport), &policy, now);
        assert_eq!(entry.upstream(now), 1);
        entry.describe(Channel::new("a", at("https://c")).also_at(at("https://a/v")), 0);
        assert_eq!(entry.failed_at, [None, Some(now)]);
        entry.describe(Channel::new("a", at("https://a/w")), 0);
        assert_eq!(entry.failed_at, [None]);
    }

    #[test]
    fn priority_zero_is_the_place() {
        let mut entry = entry(1);
        assert_eq!(entry.order(), (3, 3));
        entry.describe(entry.channel.clone().priority(1), 2);
        assert_eq!(entry.order(), (1, 2));
    }

    #[test]
    fn it_is_judged_by_the_protocol_of_the_caller() {
        let (policy, now) = (Policy::default(), Duration::ZERO);
        let (chat, messages) = (Some(Protocol::OpenAiChat), Some(Protocol::Anthropic));
        let mut entry = entry(1);
        let failure = Outcome::Failure(FaultKind::Upstream);
        let opened = [(); 5].map(|()| entry.ended(chat, (0, None), failure, &policy, now));
        assert_eq!(opened, [false, false, false, false, true]);
        assert_eq!(entry.admission(chat, now), Admission::Open);
        assert_eq!(entry.admission(messages, now), Admission::Closed);
        entry.describe(entry.channel.clone().never_trip(true), 0);
        assert_eq!(entry.admission(chat, now), Admission::Closed);
        assert!(!entry.ended(messages, (0, None), failure, &policy, now));
    }
}
