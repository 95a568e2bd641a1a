use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::channel::{Channel, ChannelStatus};
use super::entry::{Entry, Kind};
use super::policy::Policy;
use super::shared::Shared;
use super::snapshot::{ChannelSnapshot, snapshot};
use super::state::State;
use crate::context::ChannelId;
use crate::protocol::Protocol;

/// Two channels of one list have the same name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DuplicateChannel(pub ChannelId);

impl fmt::Display for DuplicateChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "two channels have the id `{}`", self.0.as_str())
    }
}

impl std::error::Error for DuplicateChannel {}

/// No channel has that name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownChannel(pub ChannelId);

impl fmt::Display for UnknownChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no channel has the id `{}`", self.0.as_str())
    }
}

impl std::error::Error for UnknownChannel {}

/// The channels, and how they fare. Cloning it clones the handle.
///
/// Reads and changes them while requests pass.
///
/// ```
/// use std::time::Duration;
/// use tower_llm_gateway::context::{ChannelId, Upstream};
/// use tower_llm_gateway::layer::channel::{Channel, ChannelStatus, Channels};
/// use tower_llm_gateway::protocol::Protocol;
///
/// let upstream = || Upstream::new("https://api.example.com", Protocol::Anthropic).unwrap();
/// let channels = Channels::new([Channel::new("a", upstream()), Channel::new("b", upstream())])?;
/// let b = ChannelId::new("b");
/// channels.promote(&b, Duration::from_secs(300))?;
/// channels.set_status(&b, ChannelStatus::Suspended)?;
/// let [_, b] = &channels.snapshot(Some(Protocol::Anthropic))[..] else { unreachable!() };
/// assert_eq!((b.success_rate, b.promotion_until.is_none()), (100.0, true));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Channels {
    pub(super) shared: Arc<Shared>,
}

impl Channels {
    /// These channels, in this order, with the default [`Policy`].
    ///
    /// # Errors
    /// When two have the same id.
    pub fn new(list: impl IntoIterator<Item = Channel>) -> Result<Self, DuplicateChannel> {
        Self::with_policy(Policy::default(), list)
    }

    /// These channels, in this order.
    ///
    /// # Errors
    /// As [`Channels::new`].
    pub fn with_policy(
        policy: Policy,
        list: impl IntoIterator<Item = Channel>,
    ) -> Result<Self, DuplicateChannel> {
        Self::with_rng(policy, list, fastrand::Rng::new())
    }

    pub(super) fn with_rng(
        policy: Policy,
        list: impl IntoIterator<Item = Channel>,
        rng: fastrand::Rng,
    ) -> Result<Self, DuplicateChannel> {
        let channels = Self { shared: Arc::new(Shared::new(State::new(policy, rng))) };
        channels.replace(list)?;
        Ok(channels)
    }

    /// These channels from now on, all at once. One whose id was there before keeps how it fared;
    /// what it is (its status and promotion too) is what is said here. Requests that are under way
    /// end where they are.
    ///
    /// # Errors
    /// When two have the same id; nothing has changed then.
    pub fn replace(&self, list: impl IntoIterator<Item = Channel>) -> Result<(), DuplicateChannel> {
        let list: Vec<Channel> = list.into_iter().collect();
        let mut seen = std::collections::HashSet::new();
        if let Some(twice) = list.iter().find(|channel| !seen.insert(&channel.id)) {
            return Err(DuplicateChannel(twice.id.clone()));
        }
        drop(seen);
        self.shared.with(|state, now| state.replace(list, now));
        Ok(())
    }

    /// The channels as they are now, in the order of their list.
    #[must_use]
    pub fn list(&self) -> Vec<Channel> {
        self.shared.with(|state, _| {
            let mut entries: Vec<_> = state.entries.iter().collect();
            entries.sort_by_key(|entry| entry.index);
            entries.into_iter().map(|entry| entry.channel.clone()).collect()
        })
    }

    /// Closes the breakers of a channel and forgets its last results, not its totals.
    ///
    /// # Errors
    /// When there is no such channel.
    pub fn reset(&self, id: &ChannelId) -> Result<(), UnknownChannel> {
        self.change(id, |entry, _| {
            entry.healths_mut().for_each(|(_, health)| health.breaker.reset());
        })
    }

    /// Puts a channel before all others for so long, even tripped; for no time at all ends that.
    /// Only one is promoted among those that serve the same callers.
    ///
    /// # Errors
    /// When there is no such channel.
    pub fn promote(&self, id: &ChannelId, time: Duration) -> Result<(), UnknownChannel> {
        self.shared.with(|state, now| {
            let found = state.entry(id).map(|entry| entry.channel.clone());
            let channel = found.ok_or_else(|| UnknownChannel(id.clone()))?;
            if !time.is_zero() {
                let rivals = state.entries.iter_mut().map(|entry| &mut entry.channel);
                let rivals = rivals.filter(|rival| rival.shares_callers(&channel));
                rivals.for_each(|rival| rival.promoted_until = None);
            }
            state.change(id, now, |entry| {
                entry.channel.promoted_until = (!time.is_zero()).then(|| now.saturating_add(time));
            });
            Ok(())
        })
    }

    /// Lets a channel take requests, or not; one that does not loses its promotion.
    ///
    /// # Errors
    /// When there is no such channel.
    pub fn set_status(&self, id: &ChannelId, status: ChannelStatus) -> Result<(), UnknownChannel> {
        self.change(id, |entry, _| {
            entry.channel.status = status;
            if status != ChannelStatus::Active {
                entry.channel.promoted_until = None;
            }
        })
    }

    pub(super) fn change(
        &self,
        id: &ChannelId,
        change: impl FnOnce(&mut Entry, Duration),
    ) -> Result<(), UnknownChannel> {
        let known =
            self.shared.with(|state, now| state.change(id, now, |entry| change(entry, now)));
        known.then_some(()).ok_or_else(|| UnknownChannel(id.clone()))
    }

    /// How the channels that serve callers of this protocol fare with them, in the order of the
    /// list; `None` stands for paths of no protocol.
    #[must_use]
    pub fn snapshot(&self, callers: Option<Protocol>) -> Vec<ChannelSnapshot> {
        self.shared.with(|state, now| {
            let serving = |kind: Kind| {
                state.entries.iter().filter(move |entry| entry.channel.serves_caller(kind))
            };
            let mut entries: Vec<_> = serving(callers).collect();
            entries.sort_by_key(|entry| entry.index);
            entries.into_iter().map(|entry| snapshot(entry, callers, now)).collect()
        })
    }

    /// How many requests wait for a place at a channel.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.shared.with(|state, _| state.waiting())
    }

    /// Of how many conversations it is known which channel they stay with.
    #[must_use]
    pub fn affinities(&self) -> usize {
        self.shared.with(|state, now| state.affinities.len(&state.policy, now))
    }
}
