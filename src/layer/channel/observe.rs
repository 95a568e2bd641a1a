//! The guard of one request, from its channel to the last byte of its answer.

use bytes::Bytes;
use http::{Request, Response};
use tower_service::Service;

use super::ask::Asking;
use super::health::Outcome;
use super::shared::Lease;
use crate::body::{BodyEnd, Observe};
use crate::context::{Attempt, AttemptId, Exchange};
use crate::error::TransportKind;
use crate::protocol::model::Fault;

/// Holds the place at a channel for as long as an answer lasts, and tells how it went.
#[derive(Debug)]
pub struct ResponseObserver {
    lease: Lease,
    exchange: Exchange,
    attempt: AttemptId,
    /// Whether its answer takes about as long as others.
    timed: bool,
}

impl ResponseObserver {
    /// Calls the inner service with its channel.
    pub(super) fn call<S, B>(
        asking: &Asking,
        lease: Lease,
        inner: &mut S,
        mut request: Request<B>,
    ) -> (S::Future, Self)
    where
        S: Service<Request<B>>,
    {
        let choice = &lease.choice;
        let (channel, reason) = (choice.channel.clone(), choice.reason.as_str());
        tracing::Span::current().record("channel", channel.as_str());
        tracing::debug!(channel = channel.as_str(), reason, "channel chosen");
        request.extensions_mut().insert(choice.upstream.clone());
        request.extensions_mut().insert(channel.clone());
        asking.exchange.update_attempt(asking.attempt, |attempt| {
            attempt.channel = Some(channel);
            attempt.more_channels = choice.more_channels;
        });
        let (exchange, attempt) = (asking.exchange.clone(), asking.attempt);
        let timed = asking.generates();
        (inner.call(request), Self { lease, exchange, attempt, timed })
    }

    /// The head of the answer is here. The observer comes back when it is to last as long as the
    /// body; a failure is the end of it, so that whoever repeats the request may have its place.
    pub(super) fn answered<B>(mut self, response: &Response<B>) -> Option<Self> {
        let status = response.status();
        let told = Fault::of_response(response);
        let (fault, more_keys) = self.tell(|attempt| {
            attempt.status.get_or_insert(status);
            attempt.fault = attempt.fault.or(told);
        });
        if let Some(fault) = told.or(fault) {
            self.lease.end(Outcome::of(fault, more_keys));
            return None;
        }
        self.lease.answered(self.timed);
        Some(self)
    }

    /// The inner service gave an error instead of an answer.
    pub(super) fn failed(mut self) {
        self.broke();
    }

    fn broke(&mut self) {
        let broken = Fault::transport(TransportKind::Other);
        let (fault, more_keys) = self.tell(|attempt| {
            attempt.fault.get_or_insert(broken);
        });
        self.lease.end(Outcome::of(fault.unwrap_or(broken), more_keys));
    }

    /// Writes into the attempt, and reads what is known of it by then: its fault, and whether
    /// there are more keys.
    fn tell(&self, write: impl FnOnce(&mut Attempt)) -> (Option<Fault>, bool) {
        self.exchange.update_attempt(self.attempt, write);
        self.exchange.read(|facts| {
            let attempt = facts.attempts.get(self.attempt.index());
            let more_keys = attempt.is_some_and(|attempt| attempt.more_keys);
            (attempt.and_then(|attempt| attempt.fault), more_keys)
        })
    }
}

impl Drop for ResponseObserver {
    /// Nobody waits for the head of the answer any longer. That the caller left says nothing of
    /// the channel, but whoever gave up on a slow upstream has noted so.
    fn drop(&mut self) {
        if let (Some(fault), more_keys) = self.tell(|_| {}) {
            self.lease.end(Outcome::of(fault, more_keys));
        }
    }
}

impl Observe for ResponseObserver {
    fn data(&mut self, _data: &Bytes) {}

    fn end(&mut self, end: BodyEnd) {
        if end == BodyEnd::Failed {
            return self.broke();
        }
        let outcome = match self.tell(|_| {}) {
            (Some(fault), more_keys) => Outcome::of(fault, more_keys),
            (None, _) if end.is_whole() => Outcome::Success,
            // The caller left, which says nothing of the channel.
            (None, _) => Outcome::Nothing,
        };
        self.lease.end(outcome);
    }
}
