//! Seals out of their envelopes, and back to their places.

use bytes::Bytes;

use super::belongs;
use super::entry::Entry;
use crate::protocol::Protocol;
use crate::protocol::json::JsonStr;
use crate::protocol::model::{Content, Part, Request, Rest, Role, Seal, Turn};
use crate::protocol::report::{Reporter, Severity};
use crate::protocol::seal::{Envelope, Mark, Place, is_envelope};

/// Gives the upstream back its seals, and drops those that it did not make.
///
/// `recall` finds what was deposited for the id of a call. Within one protocol (`to` is the
/// request's own) only envelopes are opened: all other seals stay as they are.
pub(in crate::protocol::translate) fn open(
    request: &mut Request<'_>,
    to: Protocol,
    recall: &dyn Fn(&str) -> Option<Bytes>,
    report: &mut Reporter<'_>,
) {
    let origin = request.origin;
    let forgets = matches!(origin, Protocol::OpenAiChat | Protocol::DashScope);
    for turn in request.turns.iter_mut().filter(|turn| turn.role == Role::Assistant) {
        let entry = (forgets && origin != to).then(|| Entry::of(turn, to, recall)).flatten();
        if entry.as_ref().is_some_and(Entry::has_thinking) {
            // Better than what a client of such a protocol makes of it.
            turn.parts.retain(|part| !matches!(part.content, Content::Reasoning { .. }));
        }
        Opener { origin, to, report, calls: Vec::new() }.turn(turn);
        if let Some(entry) = entry {
            entry.restore(turn);
        }
    }
}

struct Opener<'r, 's, 'a> {
    origin: Protocol,
    to: Protocol,
    report: &'r mut Reporter<'s>,
    /// Seals that wait for the call that they belong to.
    calls: Vec<(Mark, Seal<'a>)>,
}

/// What a slot holds.
enum Opened<'a> {
    /// A seal for the upstream, and its place.
    Good(Seal<'a>, Place),
    /// Nothing that the upstream may have.
    Bad,
}

impl<'a> Opener<'_, '_, 'a> {
    fn turn(mut self, turn: &mut Turn<'a>) {
        let mut parts = Vec::with_capacity(turn.parts.len());
        // Where each part went: messages are told by the places of their parts.
        let mut places = Vec::with_capacity(turn.parts.len() + 1);
        for part in turn.parts.drain(..) {
            places.push(parts.len());
            self.part(part, &mut parts);
        }
        places.push(parts.len());
        for message in &mut turn.messages {
            let place = |at: usize| places.get(at).copied().unwrap_or(parts.len());
            message.parts = place(message.parts.start)..place(message.parts.end);
        }
        for part in &mut parts {
            if let Content::ToolCall(call) = &mut part.content {
                let mark = Mark::of(&call.id);
                if let Some(at) = self.calls.iter().position(|(of, _)| *of == mark) {
                    call.seal = Some(self.calls.remove(at).1);
                }
            }
        }
        for (_, seal) in &self.calls {
            let reason = "a seal whose call is gone";
            self.report.string(&seal.data, Severity::Degrade, reason);
        }
        turn.parts = parts;
    }

    fn part(&mut self, mut part: Part<'a>, out: &mut Vec<Part<'a>>) {
        if has_envelope(&part) {
            // It must not be written as it stood.
            part.rest = Rest::new(part.rest.0);
        }
        let sealed = part.seal.is_some();
        part.seal = part.seal.take().and_then(|seal| self.in_place(seal));
        match &mut part.content {
            Content::Reasoning { .. } => return self.thinking(part, out),
            Content::ToolCall(call) => {
                call.seal = call.seal.take().and_then(|seal| self.in_place(seal));
            }
            // It was there for its seal alone.
            Content::Text { text, .. } if sealed && part.seal.is_none() && text.is_empty() => {
                return;
            }
            _ => {}
        }
        out.push(part);
    }

    fn thinking(&mut self, mut part: Part<'a>, out: &mut Vec<Part<'a>>) {
        let Content::Reasoning { text, seal, .. } = &mut part.content else { return };
        let Some(found) = seal.take() else {
            if self.takes_unsealed(text.as_ref()) {
                out.push(part);
            }
            return;
        };
        let empty = JsonStr::default();
        let (good, place) = match self.open(found) {
            Opened::Good(good, place) => (good, place),
            // The text of others' thinking is worth nothing without its seal.
            Opened::Bad => return,
        };
        match place {
            Place::Signed(mark) if mark != Mark::of(text.as_ref().unwrap_or(&empty)) => {
                let reason = "thinking that was altered behind its signature";
                self.report.string(&good.data, Severity::Degrade, reason);
            }
            Place::Here | Place::Signed(_) => {
                *seal = Some(good);
                out.push(part);
            }
            Place::Call(mark) => self.calls.push((mark, good)),
            Place::Words => match out.last_mut() {
                Some(Part { content: Content::Text { .. }, seal, .. }) => *seal = Some(good),
                _ => {
                    let reason = "a seal whose words are gone";
                    self.report.string(&good.data, Severity::Degrade, reason);
                }
            },
            Place::Silence => {
                out.push(Part { seal: Some(good), ..Part::text(JsonStr::default()) });
            }
        }
    }

    /// A seal that stands on its own part.
    fn in_place(&mut self, seal: Seal<'a>) -> Option<Seal<'a>> {
        match self.open(seal) {
            Opened::Good(seal, Place::Here) => Some(seal),
            Opened::Good(seal, _) => {
                let reason = "a seal in a place that is not its own";
                self.report.string(&seal.data, Severity::Degrade, reason);
                None
            }
            Opened::Bad => None,
        }
    }

    fn open(&mut self, seal: Seal<'a>) -> Opened<'a> {
        let lost = match Envelope::decode(&seal.data) {
            Some(Ok(Envelope { seal, upstream, place })) => {
                if belongs(seal.vendor, Some(upstream), self.to) {
                    return Opened::Good(seal, place);
                }
                "a seal of another vendor"
            }
            Some(Err(_)) => "a seal that was damaged on its way",
            None if self.origin == self.to || belongs(seal.vendor, None, self.to) => {
                return Opened::Good(seal, Place::Here);
            }
            None if is_stand_in(&seal.data) => return Opened::Bad,
            None => "a seal of another vendor",
        };
        self.report.string(&seal.data, Severity::Degrade, lost);
        Opened::Bad
    }

    /// Whether thinking without a seal may go to the upstream.
    fn takes_unsealed(&mut self, text: Option<&JsonStr<'a>>) -> bool {
        let strict = matches!(self.to, Protocol::Anthropic | Protocol::OpenAiResponses);
        if self.origin == self.to || !strict {
            return true;
        }
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            let reason = "thinking without a seal of the upstream's vendor";
            self.report.string(text, Severity::Degrade, reason);
        }
        false
    }
}

fn has_envelope(part: &Part<'_>) -> bool {
    let inner = match &part.content {
        Content::Reasoning { seal, .. } => seal.as_ref(),
        Content::ToolCall(call) => call.seal.as_ref(),
        _ => None,
    };
    part.seal.iter().chain(inner).any(|seal| is_envelope(&seal.data))
}

/// What Google documents for calls whose signature is not known, as it stands in JSON and as
/// bytes: no loss, it says nothing.
fn is_stand_in(data: &JsonStr<'_>) -> bool {
    const STAND_INS: [&str; 4] = [
        "skip_thought_signature_validator",
        "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I=",
        "context_engineering_is_the_way_to_go",
        "Y29udGV4dF9lbmdpbmVlcmluZ19pc190aGVfd2F5X3RvX2dv",
    ];
    STAND_INS.contains(&data.escaped())
}
