//! What a channel is, as its owner describes it.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::context::{ChannelId, Upstream};
use crate::protocol::Protocol;

/// One way to a vendor: where it is, what it serves and when it is chosen.
///
/// ```
/// use tower_llm_gateway::context::Upstream;
/// use tower_llm_gateway::layer::channel::Channel;
/// use tower_llm_gateway::protocol::Protocol;
///
/// let upstream = Upstream::new("https://api.example.com", Protocol::OpenAiChat)?;
/// let channel = Channel::new("main", upstream)
///     .also_at(Upstream::new("https://eu.example.com", Protocol::OpenAiChat)?)
///     .models(["gpt-*"])
///     .max_concurrent(50);
/// assert!(channel.serves_model("gpt-5") && !channel.serves_model("claude"));
/// # Ok::<(), tower_llm_gateway::context::BadUpstream>(())
/// ```
#[derive(Debug, Clone)]
pub struct Channel {
    pub(super) id: ChannelId,
    /// Never empty.
    pub(super) upstreams: Vec<Upstream>,
    pub(super) priority: u32,
    pub(super) weight: u32,
    pub(super) models: Option<Arc<[String]>>,
    pub(super) kinds: Option<Arc<[Protocol]>>,
    pub(super) status: ChannelStatus,
    /// Since the Unix epoch.
    pub(super) promoted_until: Option<Duration>,
    pub(super) never_trip: bool,
    pub(super) max_concurrent: Option<usize>,
}

/// Whether a channel takes requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ChannelStatus {
    /// It does. The default.
    #[default]
    Active,
    /// It does not for now.
    Suspended,
    /// It does not, and is not counted among those there are.
    Disabled,
}

impl Channel {
    /// An active channel. `id` stays with it for as long as it exists, wherever it stands.
    #[must_use]
    pub fn new(id: impl Into<Arc<str>>, upstream: Upstream) -> Self {
        Self {
            id: ChannelId::new(id),
            upstreams: vec![upstream],
            priority: 0,
            weight: 1,
            models: None,
            kinds: None,
            status: ChannelStatus::Active,
            promoted_until: None,
            never_trip: false,
            max_concurrent: None,
        }
    }

    /// Another base URL of the same vendor, for the same keys. The first is used for as long as it
    /// works, then the next.
    #[must_use]
    pub fn also_at(mut self, upstream: Upstream) -> Self {
        self.upstreams.push(upstream);
        self
    }

    /// Lower ones are chosen first. Default 0, which stands for the place in the list.
    #[must_use]
    pub fn priority(mut self, priority: u32) -> Self {
        self.priority = priority;
        self
    }

    /// Its share with [`Strategy::Weighted`](super::Strategy::Weighted). Default 1.
    #[must_use]
    pub fn weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// Serves these models only, as callers name them; a `*` at the end stands for any rest.
    /// Default: all.
    #[must_use]
    pub fn models(mut self, models: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.models = Some(models.into_iter().map(Into::into).collect());
        self
    }

    /// Serves callers of these protocols only. Default: all, and unknown paths.
    #[must_use]
    pub fn callers(mut self, protocols: impl IntoIterator<Item = Protocol>) -> Self {
        self.kinds = Some(protocols.into_iter().collect());
        self
    }

    /// Whether it takes requests. Default [`ChannelStatus::Active`].
    #[must_use]
    pub fn status(mut self, status: ChannelStatus) -> Self {
        self.status = status;
        self
    }

    /// Until then it comes before all others, even tripped. Default never.
    #[must_use]
    pub fn promoted_until(mut self, until: SystemTime) -> Self {
        self.promoted_until = until.duration_since(UNIX_EPOCH).ok();
        self
    }

    /// Its breaker never opens, however it fares. Default false.
    #[must_use]
    pub fn never_trip(mut self, yes: bool) -> Self {
        self.never_trip = yes;
        self
    }

    /// Most requests at once, each until the last byte of its answer. Default: no limit. 0 counts
    /// as 1: a channel that takes nothing is suspended.
    #[must_use]
    pub fn max_concurrent(mut self, requests: usize) -> Self {
        self.max_concurrent = Some(requests.max(1));
        self
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> &ChannelId {
        &self.id
    }

    /// Where it is; at least one.
    #[must_use]
    pub fn upstreams(&self) -> &[Upstream] {
        &self.upstreams
    }

    /// Whether it takes requests.
    #[must_use]
    pub fn current_status(&self) -> ChannelStatus {
        self.status
    }

    /// When its promotion ends or ended.
    #[must_use]
    pub fn promotion(&self) -> Option<SystemTime> {
        UNIX_EPOCH.checked_add(self.promoted_until?)
    }

    /// Whether it may be asked for this model.
    #[must_use]
    pub fn serves_model(&self, model: &str) -> bool {
        let fits = |entry: &String| match entry.strip_suffix('*') {
            Some(prefix) => model.starts_with(prefix),
            None => model == entry,
        };
        self.models.as_ref().is_none_or(|models| models.iter().any(fits))
    }

    /// Whether it serves callers of a protocol; `None` for a path of none.
    #[must_use]
    pub fn serves_caller(&self, protocol: Option<Protocol>) -> bool {
        let listed = |kinds: &Arc<[Protocol]>| protocol.is_some_and(|kind| kinds.contains(&kind));
        self.kinds.as_ref().is_none_or(listed)
    }

    /// Whether some caller is served by both.
    pub(super) fn shares_callers(&self, other: &Self) -> bool {
        match (&self.kinds, &other.kinds) {
            (Some(ours), Some(theirs)) => ours.iter().any(|kind| theirs.contains(kind)),
            _ => true,
        }
    }

    pub(super) fn is_active(&self) -> bool {
        self.status == ChannelStatus::Active
    }

    pub(super) fn is_promoted(&self, now: Duration) -> bool {
        self.promoted_until.is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel() -> Channel {
        Channel::new("a", Upstream::same_protocol("https://h").unwrap())
    }

    #[test]
    fn models_are_exact_or_prefixes() {
        let listed = channel().models(["gpt-5", "claude-*"]);
        for (model, served) in [
            ("gpt-5", true),
            ("gpt-5-mini", false),
            ("claude-", true),
            ("claude-sonnet", true),
            ("claude", false),
            ("", false),
        ] {
            assert_eq!(listed.serves_model(model), served, "{model}");
            assert!(channel().serves_model(model));
            assert!(channel().models(["*"]).serves_model(model));
        }
    }

    #[test]
    fn callers() {
        let (chat, messages) = (Protocol::OpenAiChat, Protocol::Anthropic);
        let limited = channel().callers([chat]);
        assert!(limited.serves_caller(Some(chat)));
        assert!(!limited.serves_caller(Some(messages)) && !limited.serves_caller(None));
        assert!(channel().serves_caller(Some(messages)) && channel().serves_caller(None));
        assert!(limited.shares_callers(&channel()) && channel().shares_callers(&limited));
        assert!(!limited.shares_callers(&channel().callers([messages])));
    }

    #[test]
    fn a_promotion_ends() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let promoted = channel().promoted_until(at(10));
        assert_eq!(promoted.promotion(), Some(at(10)));
        assert!(promoted.is_promoted(Duration::from_secs(9)));
        assert!(!promoted.is_promoted(Duration::from_secs(10)));
        assert!(!channel().is_promoted(Duration::ZERO));
    }

    #[test]
    fn a_limit_of_none_is_one() {
        assert_eq!(channel().max_concurrent(0).max_concurrent, Some(1));
    }
}
