//! What holds a lease from the call to the last byte of the answer.

use std::sync::Arc;

use bytes::Bytes;
use http::{Extensions, Response};

use super::judge;
use super::lease::Lease;
use super::tried::Tried;
use crate::body::{BodyEnd, Observe};
use crate::context::{Attempt, AttemptId, ChannelId, Exchange, UpstreamKey};
use crate::protocol::model::{Fault, FaultOrigin};

/// The attempt that a request makes, as far as keys have to do with it.
#[derive(Debug, Clone)]
pub(super) struct Trying {
    exchange: Exchange,
    attempt: AttemptId,
    channel: Option<ChannelId>,
}

impl Trying {
    pub(super) fn new(extensions: &mut Extensions) -> Self {
        let channel = extensions.get::<ChannelId>().cloned();
        let exchange = Exchange::of(extensions);
        let attempt = exchange.attempt_of(extensions);
        exchange.update_attempt(attempt, |attempt| {
            attempt.channel = attempt.channel.take().or_else(|| channel.clone());
        });
        Self { exchange, attempt, channel }
    }

    pub(super) fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    pub(super) fn tried(&self) -> Tried {
        self.exchange.read(|facts| Tried::of(facts, self.channel.as_ref(), self.attempt))
    }

    /// Leaves the key with the request, and says which one it is.
    pub(super) fn begin(self, lease: Lease, extensions: &mut Extensions) -> LeaseGuard {
        extensions.insert(UpstreamKey::Ours(lease.key().clone()));
        tracing::Span::current().record("key", &**lease.masked());
        self.update(|attempt| {
            attempt.key = Some(lease.masked().clone());
            attempt.key_id = Some(lease.id().clone());
            attempt.more_keys = lease.has_more();
        });
        LeaseGuard { lease: Some(lease), trying: self }
    }

    /// Says how it went, unless a layer inside has.
    pub(super) fn note(&self, response: &Response<impl Sized>, fault: Option<Fault>) {
        self.update(|attempt| {
            attempt.status.get_or_insert(response.status());
            attempt.fault = attempt.fault.or(fault);
        });
    }

    fn update(&self, update: impl FnOnce(&mut Attempt)) {
        self.exchange.update_attempt(self.attempt, update);
    }

    fn fault(&self) -> Option<Fault> {
        self.exchange.read(|facts| facts.attempts.get(self.attempt.index())?.fault)
    }

    /// Keys of the same channel that were out of quota before.
    fn out_of_quota(&self) -> Vec<Arc<str>> {
        let spent = |attempt: &&Attempt| {
            let quota =
                |fault: Fault| fault.kind.is_quota() && fault.origin != FaultOrigin::Gateway;
            attempt.channel == self.channel && attempt.fault.is_some_and(quota)
        };
        self.exchange.read(|facts| {
            let earlier = facts.attempts.iter().take(self.attempt.index());
            earlier.filter(spent).filter_map(|attempt| attempt.key_id.clone()).collect()
        })
    }
}

/// Holds the lease, and ends it as the answer ends.
#[derive(Debug)]
#[must_use = "a guard that is dropped ends its lease"]
pub struct LeaseGuard {
    /// `None` once it has ended.
    lease: Option<Lease>,
    trying: Trying,
}

impl LeaseGuard {
    /// The head of the answer is here. The guard comes back when the lease is to last as long as
    /// the body; a failure is the end of it.
    pub(super) fn answered<B>(mut self, response: &Response<B>) -> Option<Self> {
        let fault = Fault::of_response(response);
        self.trying.note(response, fault);
        let lease = self.lease.take()?;
        if let Some(fault) = fault {
            lease.fail(&fault);
            return None;
        }
        if !response.status().is_success() {
            return None;
        }
        lease.answered();
        self.lease = Some(lease);
        Some(self)
    }

    /// The inner service gave an error instead of an answer.
    pub(super) fn broke(mut self) {
        self.fail(judge::broken());
    }

    fn fail(&mut self, fault: Fault) {
        let Some(lease) = self.lease.take() else { return };
        self.trying.update(|attempt| attempt.fault = attempt.fault.or(Some(fault)));
        lease.fail(&fault);
    }
}

impl Drop for LeaseGuard {
    /// Nobody waits for the head of the answer any longer. That the caller left costs the key
    /// nothing, but whoever gave up on a slow upstream has noted so.
    fn drop(&mut self) {
        if self.lease.is_some() {
            if let Some(fault) = self.trying.fault() {
                self.fail(fault);
            }
        }
    }
}

impl Observe for LeaseGuard {
    fn data(&mut self, _data: &Bytes) {
        if let Some(lease) = &self.lease {
            lease.touch();
        }
    }

    fn end(&mut self, end: BodyEnd) {
        match self.trying.fault() {
            Some(fault) => self.fail(fault),
            None if end == BodyEnd::Failed => self.fail(judge::broken()),
            None if end.is_whole() => {
                if let Some(lease) = self.lease.take() {
                    lease.succeed(&self.trying.out_of_quota());
                }
            }
            // The caller left, which is nobody's fault: the lease is dropped.
            None => {}
        }
    }
}
