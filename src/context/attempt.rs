use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;

use crate::protocol::Protocol;
use crate::protocol::model::Fault;

/// Most attempts that one exchange remembers; later ones are not kept.
pub const MAX_ATTEMPTS: usize = 64;

/// One call to an upstream, as far as the layers that took part in it have told.
///
/// One that has neither status nor fault is still on its way, or was given up: the caller left, or
/// another attempt was faster ([`outrun`](Self::outrun)).
///
/// Each layer writes its own members: who repeats requests says whether it would once more, who
/// chooses a channel or a key says which and whether others are left, who sees the answer says how
/// it went. So a layer inside knows whether anything would be gained by holding an answer back.
///
/// ```
/// use tower_llm_gateway::context::Exchange;
///
/// let mut request = http::Request::new(());
/// let exchange = Exchange::of(request.extensions_mut());
/// let id = exchange.attempt_of(request.extensions_mut());
/// exchange.update_attempt(id, |attempt| {
///     attempt.may_repeat = true;
///     attempt.more_keys = true;
/// });
/// assert!(exchange.read(|facts| facts.attempts[id.index()].has_alternative()));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempt {
    /// When it began.
    pub started: Option<Instant>,
    /// From its beginning until its status or its fault was known.
    pub answered: Option<Duration>,
    /// Which channel.
    pub channel: Option<ChannelId>,
    /// The protocol that the upstream speaks.
    pub upstream_protocol: Option<Protocol>,
    /// Whose the upstream is, where it was [named](super::Upstream::provider).
    pub provider: Option<Arc<str>>,
    /// The model asked of the upstream, after mapping.
    pub upstream_model: Option<Arc<str>>,
    /// Which key, masked.
    pub key: Option<Arc<str>>,
    /// Which key, by its id: [`Secret::fingerprint`](crate::secret::Secret::fingerprint).
    pub key_id: Option<Arc<str>>,
    /// How it answered.
    pub status: Option<StatusCode>,
    /// What went wrong, also inside a stream that began with 200.
    pub fault: Option<Fault>,
    /// Whether the request would be repeated if this attempt failed before its commit point.
    pub may_repeat: bool,
    /// Whether a channel is left that this exchange has not tried.
    pub more_channels: bool,
    /// Whether the channel has a key left that is free and that this exchange has not tried.
    pub more_keys: bool,
    /// Whether it may go where the exchange has been before: nothing else was left, and there was
    /// a pause.
    pub may_return: bool,
    /// Whether another attempt was faster, and this one was dropped: its end is nobody's fault.
    pub outrun: bool,
    /// Whether the caller gets its answer, good or bad; unknown, and so false, where nobody chooses
    /// among attempts.
    pub chosen: bool,
}

impl Attempt {
    pub(super) fn begin() -> Self {
        Self { started: Some(now()), ..Self::default() }
    }

    /// Notes the time once it is known how the attempt went.
    pub(super) fn note_answer(&mut self) {
        let known = self.status.is_some() || self.fault.is_some();
        if let Some(started) = self.started.filter(|_| known && self.answered.is_none()) {
            self.answered = Some(now().saturating_duration_since(started));
        }
    }

    /// Whether another attempt could follow, and elsewhere than this one. Where all that is left is
    /// another key of its channel, that is so only if the key is at fault.
    #[must_use]
    pub fn has_alternative(&self) -> bool {
        self.may_repeat && (self.more_channels || self.more_keys)
    }
}

/// The runtime's time, which tests hold still.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Which attempt of its [`Exchange`](super::Exchange) a request makes; in its extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AttemptId(usize);

impl AttemptId {
    pub(super) fn new(index: usize) -> Self {
        Self(index)
    }

    /// Its place among [`ExchangeFacts::attempts`](super::ExchangeFacts::attempts); beyond them
    /// for one that is not remembered.
    #[must_use]
    pub fn index(self) -> usize {
        self.0
    }
}

/// The stable name of a channel: in the extensions of a request whose channel is chosen.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelId(Arc<str>);

impl ChannelId {
    /// A name that stays with the channel for as long as it exists.
    #[must_use]
    pub fn new(id: impl Into<Arc<str>>) -> Self {
        Self(id.into())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Exchange;
    use crate::protocol::model::FaultKind;

    #[tokio::test(start_paused = true)]
    async fn the_time_of_the_first_answer_stays() {
        let exchange = Exchange::default();
        let id = exchange.begin_attempt(&mut http::Extensions::new());
        let answered = || exchange.read(|facts| facts.attempts[0].answered);
        tokio::time::advance(Duration::from_secs(1)).await;
        exchange.update_attempt(id, |attempt| attempt.more_keys = true);
        assert_eq!(answered(), None);
        tokio::time::advance(Duration::from_secs(1)).await;
        exchange.update_attempt(id, |attempt| attempt.status = Some(StatusCode::OK));
        tokio::time::advance(Duration::from_secs(1)).await;
        exchange
            .update_attempt(id, |attempt| attempt.fault = Some(Fault::gateway(FaultKind::Timeout)));
        assert_eq!(answered(), Some(Duration::from_secs(2)));
    }

    #[test]
    fn attempts_are_bounded() {
        let exchange = Exchange::default();
        let mut extensions = http::Extensions::new();
        let first = exchange.attempt_of(&mut extensions);
        assert_eq!(exchange.attempt_of(&mut extensions), first);
        for _ in 0..MAX_ATTEMPTS {
            exchange.begin_attempt(&mut extensions);
        }
        let last = exchange.attempt_of(&mut extensions);
        exchange.update_attempt(last, |_| panic!("it is not remembered"));
        assert_eq!(exchange.read(|facts| facts.attempts.len()), MAX_ATTEMPTS);
    }
}
