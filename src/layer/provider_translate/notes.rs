use bytes::Bytes;
use http::Extensions;

use crate::body::{BodyEnd, Observe};
use crate::context::{AttemptId, Exchange};
use crate::protocol::model::{Fault, FaultKind, FaultOrigin};
use crate::protocol::translate::StreamFacts;

/// Where what is seen of a stream is written, at once: an outer layer may read it before this one's
/// body is dropped.
#[derive(Debug, Clone)]
pub(super) struct Notes {
    pub(super) exchange: Exchange,
    /// Which of the exchange's attempts it is, where somebody counts them.
    attempt: Option<AttemptId>,
}

impl Notes {
    pub(super) fn of(exchange: &Exchange, request: &Extensions) -> Self {
        Self { exchange: exchange.clone(), attempt: request.get().copied() }
    }

    /// The upstream is called: what is asked of it stands in the attempt too, as another one beside
    /// it may write its own into the exchange before this one answers.
    pub(super) fn called(&self) {
        let Some(id) = self.attempt else { return };
        self.exchange.update(|facts| {
            if let Some(attempt) = facts.attempts.get_mut(id.index()) {
                attempt.upstream_protocol = facts.upstream_protocol;
                attempt.provider.clone_from(&facts.provider);
                attempt.upstream_model.clone_from(&facts.upstream_model);
            }
        });
    }

    pub(super) fn stream(&self, seen: &StreamFacts) {
        self.exchange.update(|facts| {
            facts.usage.clone_from(&seen.usage);
            facts.stop = seen.stop;
        });
        if let Some(kind) = seen.fault {
            self.fault(Fault::new(kind, kind.status(), FaultOrigin::Upstream));
        }
    }

    /// How the way to the upstream failed, where a layer inside has said so.
    pub(super) fn transport(&self) -> Option<Fault> {
        let fault = self.exchange.read(|facts| facts.attempts.get(self.attempt?.index())?.fault)?;
        (fault.origin == FaultOrigin::Transport).then_some(fault)
    }

    /// Keys and channels learn from the fault of the attempt; a layer inside may know it better.
    pub(super) fn fault(&self, fault: Fault) {
        self.exchange.update(|facts| facts.fault = Some(fault));
        if let Some(attempt) = self.attempt {
            self.exchange.update_attempt(attempt, |attempt| {
                attempt.fault.get_or_insert(fault);
            });
        }
    }
}

/// Of a stream that passes as it is: that it broke, which the guard around it turns into an event.
impl Observe for Notes {
    fn data(&mut self, _data: &Bytes) {}

    fn end(&mut self, end: BodyEnd) {
        if end == BodyEnd::Failed {
            let kind = FaultKind::Transport;
            self.fault(Fault::new(kind, kind.status(), FaultOrigin::Transport));
        }
    }
}
