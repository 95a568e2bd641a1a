use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{Method, StatusCode};

use super::CapturedBody;
use crate::context::{Attempt, Principal, RequestId};
use crate::pricing::{Cost, PriceTable};
use crate::protocol::model::{FaultKind, StopReason, Usage};
use crate::protocol::{Protocol, Route};
use crate::redact;

/// A request that has arrived.
#[derive(Debug)]
#[non_exhaustive]
pub struct Begun {
    /// What it is called in logs.
    pub request_id: RequestId,
    /// Counts the requests of one layer and its clones.
    pub number: u64,
    /// Since the Unix epoch.
    pub started: Duration,
    /// At most 32 bytes of it.
    pub method: Method,
    /// Without the query, which may hold a key; at most [`MAX_PATH`](super::MAX_PATH) bytes.
    pub path: Box<str>,
    /// Which protocol and operation, where it is one that we know.
    pub route: Option<Route>,
    pub(super) bytes_in: AtomicU64,
    pub(super) bytes_out: AtomicU64,
    /// When it last moved, in milliseconds since `started`.
    pub(super) moved: AtomicU64,
}

impl Begun {
    /// Bytes of the request's body, so far.
    #[must_use]
    pub fn bytes_in(&self) -> u64 {
        self.bytes_in.load(Ordering::Relaxed)
    }

    /// Bytes of the answer's body, so far.
    #[must_use]
    pub fn bytes_out(&self) -> u64 {
        self.bytes_out.load(Ordering::Relaxed)
    }

    /// How long nothing has moved, neither way; `now` since the Unix epoch.
    #[must_use]
    pub fn silent(&self, now: Duration) -> Duration {
        let moved = Duration::from_millis(self.moved.load(Ordering::Relaxed));
        now.saturating_sub(self.started).saturating_sub(moved)
    }

    pub(super) fn moved(&self, now: Duration) {
        let since = now.saturating_sub(self.started).as_millis();
        self.moved.store(u64::try_from(since).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum End {
    /// The answer was read to its end.
    Whole,
    /// The answer broke off.
    Broken,
    /// The inner service gave an error instead of an answer.
    Refused,
    /// The caller left before the end, or before there was an answer.
    Left,
}

impl End {
    /// In one word: `whole`, `broken`, `refused` or `left`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Broken => "broken",
            Self::Refused => "refused",
            Self::Left => "left",
        }
    }
}

/// A request that has ended, and all that is known of it. Times are since its beginning. Names of
/// models, also of the attempts, have at most [`MAX_MODEL`](super::MAX_MODEL) bytes and are as
/// [`redact::text`] shows them.
#[derive(Debug)]
#[non_exhaustive]
pub struct Record {
    /// How it began.
    pub begun: Arc<Begun>,
    /// How it ended.
    pub end: End,
    /// The status of the answer.
    pub status: Option<StatusCode>,
    /// What went wrong, whosever fault it is; [`FaultKind::ClientCancel`] when only the caller
    /// left.
    pub fault: Option<FaultKind>,
    /// Why it counts as failed, in words that hold nothing of anybody's.
    pub error: Option<Cow<'static, str>>,
    /// Until the headers of the answer.
    pub headers: Option<Duration>,
    /// Until the first meaningful event of a stream.
    pub first_event: Option<Duration>,
    /// Until the end.
    pub total: Duration,
    /// Whether the answer is an event stream.
    pub stream: bool,
    /// The model that the caller asked for.
    pub requested_model: Option<Arc<str>>,
    /// The model asked of the upstream, else of the gateway, else the one that answers.
    pub model: Option<Arc<str>>,
    /// The model that the answer names.
    pub response_model: Option<Arc<str>>,
    /// Who called.
    pub principal: Option<Principal>,
    /// The protocol that the upstream speaks.
    pub upstream_protocol: Option<Protocol>,
    /// Whose the upstream is, where it was [named](crate::context::Upstream::provider).
    pub provider: Option<Arc<str>>,
    /// Tokens spent, where somebody says so; of an answer that broke off, what had passed.
    pub usage: Option<Usage<'static>>,
    /// Why the model stopped.
    pub stop: Option<StopReason>,
    /// Calls to upstreams.
    pub attempts: Vec<Attempt>,
    /// The beginning of the body of an error, where
    /// [`error_bodies`](super::RecordLayer::error_bodies) asks for it, as
    /// [`redact::text`](crate::redact::text) shows it, and without the keys of the attempts.
    pub error_body: Option<Arc<str>>,
    /// The beginning of the request's body, where [`bodies`](super::RecordLayer::bodies) asks for
    /// it; unredacted.
    pub request_body: Option<CapturedBody>,
    /// The beginning of the answer's body, likewise.
    pub response_body: Option<CapturedBody>,
}

impl Record {
    /// Whether it was answered with a status below 400 and without an error within. One whose
    /// caller left is no failure, and a success only if there was an answer.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.error.is_none() && self.status.is_some_and(|status| status.as_u16() < 400)
    }

    /// The place of the attempt whose answer the caller got. Where nobody chose, it is the last one
    /// with the status of the answer; one that something was wrong with only if there is no other.
    #[must_use]
    pub fn answered_by(&self) -> Option<usize> {
        let status = self.status?;
        let last = |is: &dyn Fn(&Attempt) -> bool| self.attempts.iter().rposition(is);
        let gave = |attempt: &Attempt| attempt.status == Some(status) && !attempt.outrun;
        last(&|attempt| attempt.chosen)
            .or_else(|| last(&|attempt| gave(attempt) && attempt.fault.is_none()))
            .or_else(|| last(&gave))
    }

    /// Whether it was answered with a status from 400 on, an error within, a broken answer, or
    /// none.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.error.is_some()
    }

    /// Whether the caller left before the end.
    #[must_use]
    pub fn cancelled(&self) -> bool {
        self.end == End::Left
    }

    /// What its tokens cost, by the name that was asked for, which may have a price of its own;
    /// else by the one that answered. `None` where tokens or prices are not known.
    #[must_use]
    pub fn cost(&self, prices: &PriceTable) -> Option<Cost> {
        let usage = self.usage.as_ref()?;
        let names = [&self.model, &self.response_model].into_iter().flatten();
        names.into_iter().find_map(|name| prices.price(name))?.cost(usage)
    }

    /// The protocol that the caller speaks.
    #[must_use]
    pub fn client_protocol(&self) -> Option<Protocol> {
        self.begun.route.map(|route| route.protocol)
    }

    /// A text of this request, as what its answer said, without the keys that upstreams were given.
    #[must_use]
    pub fn without_keys<'t>(&self, text: &'t str) -> Cow<'t, str> {
        redact::without_keys(
            text,
            self.attempts.iter().filter_map(|attempt| attempt.key.as_deref()),
        )
    }

    /// Bytes of the request's body.
    #[must_use]
    pub fn bytes_in(&self) -> u64 {
        self.begun.bytes_in()
    }

    /// Bytes of the answer's body.
    #[must_use]
    pub fn bytes_out(&self) -> u64 {
        self.begun.bytes_out()
    }
}
