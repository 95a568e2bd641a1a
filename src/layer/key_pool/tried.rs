use std::sync::Arc;

use crate::context::{AttemptId, ChannelId, ExchangeFacts};

/// The keys that a request was sent with already.
///
/// None of them is leased to it again while another one can be had, and never one that failed by
/// its own fault.
#[derive(Debug, Clone, Default)]
pub struct Tried(Vec<(Arc<str>, bool)>);

impl Tried {
    /// Adds a key by its id; `failed` when it was refused or out of quota.
    pub fn push(&mut self, key: impl Into<Arc<str>>, failed: bool) {
        self.0.push((key.into(), failed));
    }

    /// The keys of earlier attempts at the same channel.
    pub(super) fn of(
        facts: &ExchangeFacts,
        channel: Option<&ChannelId>,
        current: AttemptId,
    ) -> Self {
        let earlier = facts.attempts.iter().take(current.index());
        let same = earlier.filter(|attempt| attempt.channel.as_ref() == channel);
        let key = |attempt: &crate::context::Attempt| {
            let failed = attempt.fault.is_some_and(|fault| fault.kind.is_keys());
            attempt.key_id.clone().map(|key| (key, failed))
        };
        Self(same.filter_map(key).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn contains(&self, key: &str) -> bool {
        self.0.iter().any(|(tried, _)| **tried == *key)
    }

    /// Whether it failed by its own fault.
    pub(super) fn failed(&self, key: &str) -> bool {
        self.0.iter().any(|(tried, failed)| *failed && **tried == *key)
    }
}
