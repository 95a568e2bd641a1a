mod golden;
mod probe;
mod schedule;
mod service;
mod waiting;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::health::Outcome;
use super::policy::Policy;
use super::schedule::Ask;
use super::state::{Choice, Given, State};
use super::{Channel, ChannelStatus};
use crate::context::{Attempt, ChannelId, Exchange, RequestFacts, Upstream};
use crate::protocol::Protocol;
use crate::protocol::model::{Fault, FaultKind, FaultOrigin};

const KIND: Option<Protocol> = Some(Protocol::Anthropic);
const MINUTE: Duration = Duration::from_secs(60);
const BROKEN: Outcome = Outcome::Failure(FaultKind::Upstream);

fn channel(id: &str) -> Channel {
    let upstream = Upstream::new(&format!("https://{id}.example"), Protocol::Anthropic);
    Channel::new(id, upstream.unwrap())
}

fn upstream_fault(kind: FaultKind) -> Fault {
    Fault::new(kind, kind.status(), FaultOrigin::Upstream)
}

/// What asks after these attempts failed.
fn ask_after(attempts: &[Attempt], model: Option<&str>) -> Ask {
    let exchange = Exchange::default();
    let mut extensions = http::Extensions::new();
    for attempt in attempts {
        let id = exchange.begin_attempt(&mut extensions);
        exchange.update_attempt(id, |told| *told = attempt.clone());
    }
    let current = exchange.begin_attempt(&mut extensions);
    let model = model.map(Into::into);
    exchange.update(|facts| facts.request = Some(RequestFacts { model, ..Default::default() }));
    exchange.read(|facts| Ask::new(KIND, None, facts, current))
}

/// An attempt that failed so.
fn failed(channel: &str, kind: FaultKind, more_keys: bool) -> Attempt {
    Attempt {
        channel: Some(ChannelId::new(channel)),
        fault: Some(upstream_fault(kind)),
        more_keys,
        ..Attempt::default()
    }
}

/// A state and the time in it.
struct Scene {
    state: State,
    now: Duration,
}

impl Scene {
    fn new(channels: impl IntoIterator<Item = Channel>) -> Self {
        Self::with(Policy::default(), channels)
    }

    fn with(policy: Policy, channels: impl IntoIterator<Item = Channel>) -> Self {
        let mut state = State::new(policy, fastrand::Rng::with_seed(7));
        state.replace(channels.into_iter().collect(), MINUTE);
        Self { state, now: MINUTE }
    }

    fn wall(&self) -> SystemTime {
        UNIX_EPOCH + self.now
    }

    fn give(&mut self, ask: &Ask) -> Given {
        self.state.give(ask.clone(), 0, self.now)
    }

    fn take(&mut self, ask: &Ask) -> Choice {
        match self.give(ask) {
            Given::Channel(choice) => choice,
            other => panic!("no channel: {other:?}"),
        }
    }

    fn end(&mut self, choice: &Choice, outcome: Outcome) {
        self.state.ended(choice, outcome, self.now);
        self.state.release(choice, self.now);
    }

    /// Where a request would go, and why; it leaves at once.
    fn chosen(&mut self, ask: &Ask) -> (String, &'static str) {
        let choice = self.take(ask);
        self.end(&choice, Outcome::Nothing);
        (choice.channel.as_str().to_owned(), choice.reason.as_str())
    }

    fn first(&mut self) -> (String, &'static str) {
        self.chosen(&ask_after(&[], None))
    }

    /// Makes a channel fail so often.
    fn fail(&mut self, id: &str, times: usize) {
        let (policy, now) = (self.state.policy.clone(), self.now);
        assert!(self.state.change(&ChannelId::new(id), now, |entry| {
            for _ in 0..times {
                entry.ended(KIND, (0, None), BROKEN, &policy, now);
            }
        }));
    }

    fn set(&mut self, id: &str, status: ChannelStatus) {
        let now = self.now;
        assert!(self.state.change(&ChannelId::new(id), now, |entry| {
            entry.channel.status = status;
        }));
    }
}
