//! Seals on their way through a protocol that has no place for them.

use crate::protocol::Protocol;
use crate::protocol::model::{Request, Response, StreamEvent};
use crate::protocol::report::Reporter;

/// Takes seals out of their envelopes, and drops those that the upstream did not make.
pub(super) fn open(_request: &mut Request<'_>, _to: Protocol, _report: &mut Reporter<'_>) {}

/// Puts the seals of an answer of `from` into envelopes that a caller of `to` sends back.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sealer {
    from: Protocol,
    to: Protocol,
}

impl Sealer {
    pub(super) fn new(from: Protocol, to: Protocol) -> Self {
        Self { from, to }
    }

    /// Does it for a finished answer.
    pub(super) fn response(&mut self, _response: &mut Response<'_>) {
        let _ = (self.from, self.to);
    }

    /// Does it for an event of a streamed answer.
    pub(super) fn event(&mut self, event: StreamEvent<'_>, sink: &mut dyn FnMut(StreamEvent<'_>)) {
        sink(event);
    }
}
