//! Seals on their way through a protocol that has no place for them.
//!
//! A seal goes back to the vendor that made it, unaltered, to the place where it was, and to no
//! one else. A caller of Messages, Responses or Gemini keeps it for us in the slot of its own
//! protocol, in an [`Envelope`](crate::protocol::seal::Envelope). Chat and DashScope have no such
//! slot: what their callers cannot carry becomes a [`Deposit`], found again by the ids of calls.

mod entry;
mod keep;
mod open;
#[cfg(test)]
mod tests;
mod wrap;

pub use keep::{Deposit, MAX_DEPOSIT};
pub(super) use open::{holds_envelopes, lacks_thinking, open};

use keep::Keeper;
use wrap::{Slot, Wrapper};

use crate::protocol::Protocol;
use crate::protocol::model::{Response, StreamEvent, Vendor};
use crate::protocol::seal::Home;

/// Whether the upstream `to` may be given a seal of `vendor` that came from the upstream `from`,
/// where that is known. One without an envelope tells no more than its protocol.
fn belongs(vendor: Vendor, from: Option<Home>, to: Home) -> bool {
    if from.is_some_and(|from| from.vendor != to.vendor) {
        return false;
    }
    match to.protocol {
        Protocol::Anthropic => vendor == Vendor::Anthropic,
        Protocol::OpenAiResponses => vendor == Vendor::OpenAi,
        Protocol::Gemini => vendor == Vendor::Gemini,
        // Dialects of these carry the seals of others, but no seal tells of which dialect it is.
        Protocol::OpenAiChat | Protocol::DashScope => from == Some(to),
    }
}

/// Lets the seals of an answer come back with the next request. Its calls have ids already.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sealer(Way);

#[derive(Debug, Clone, PartialEq)]
enum Way {
    Wrap(Wrapper),
    Keep(Keeper),
}

impl Sealer {
    /// For an answer of the upstream `from` to a caller of `to`.
    pub(super) fn new(from: Home, to: Protocol) -> Self {
        Self(match to {
            Protocol::Anthropic => Way::Wrap(Wrapper::new(from, Slot::Thinking)),
            Protocol::OpenAiResponses => Way::Wrap(Wrapper::new(from, Slot::Item)),
            Protocol::Gemini => Way::Wrap(Wrapper::new(from, Slot::AnyPart)),
            Protocol::OpenAiChat | Protocol::DashScope => Way::Keep(Keeper::new(from)),
        })
    }

    /// Does it for a finished answer.
    pub(super) fn response(&mut self, response: &mut Response<'_>) {
        for candidate in &mut response.candidates {
            match &mut self.0 {
                Way::Wrap(wrapper) => wrapper.parts(&mut candidate.parts),
                Way::Keep(keeper) => keeper.parts(candidate.index, &candidate.parts),
            }
        }
    }

    /// Does it for an event of a streamed answer.
    pub(super) fn event(&mut self, event: StreamEvent<'_>, sink: &mut dyn FnMut(StreamEvent<'_>)) {
        match &mut self.0 {
            Way::Wrap(wrapper) => wrapper.event(event, sink),
            Way::Keep(keeper) => {
                keeper.event(&event);
                sink(event);
            }
        }
    }

    /// What is to be kept until the caller comes back, since the last call.
    pub(super) fn take_deposits(&mut self) -> Vec<Deposit> {
        match &mut self.0 {
            Way::Wrap(_) => Vec::new(),
            Way::Keep(keeper) => keeper.take_deposits(),
        }
    }
}
