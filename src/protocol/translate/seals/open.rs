//! Seals out of their envelopes, and back to their places.

use bytes::Bytes;

use super::belongs;
use super::entry::Entry;
use crate::protocol::Protocol;
use crate::protocol::json::JsonStr;
use crate::protocol::model::{
    Content, Part, Place as At, ReasoningMode, Request, Rest, Role, Seal, Turn,
};
use crate::protocol::report::{Reporter, Severity};
use crate::protocol::seal::{Envelope, Home, Mark, Place, is_envelope};

/// Gives the upstream back its seals, and drops those that it did not make.
///
/// `recall` finds what was deposited for a call. Within one protocol (`to` speaks the request's
/// own) only envelopes are opened: all other seals stay as they are.
pub(in crate::protocol::translate) fn open(
    request: &mut Request<'_>,
    home: Home,
    recall: &dyn Fn(&str) -> Option<Bytes>,
    report: &mut Reporter<'_>,
) {
    let (origin, to) = (request.origin, home.protocol);
    let forgets = matches!(origin, Protocol::OpenAiChat | Protocol::DashScope);
    if origin == Protocol::Gemini && origin != to {
        join_turns(request);
    }
    for turn in request.turns.iter_mut().filter(|turn| turn.role == Role::Assistant) {
        let entry = (forgets && origin != to).then(|| Entry::of(turn, home, recall)).flatten();
        if entry.as_ref().is_some_and(Entry::has_thinking) {
            // Better than what a client of such a protocol makes of it.
            turn.parts.retain(|part| !matches!(part.content, Content::Reasoning { .. }));
        }
        Opener { origin, to, home, report, calls: Vec::new() }.turn(turn);
        if let Some(entry) = entry {
            entry.restore(turn);
        }
    }
}

/// Whether a seal of the request is in an envelope.
pub(in crate::protocol::translate) fn holds_envelopes(request: &Request<'_>) -> bool {
    request.turns.iter().flat_map(|turn| &turn.parts).any(has_envelope)
}

/// Whether a model that is told to think is to go on behind calls that no thinking led to.
pub(in crate::protocol::translate) fn lacks_thinking(request: &Request<'_>) -> bool {
    let [.., asked, answered] = request.turns.as_slice() else { return false };
    let answers = answered.parts.iter().any(|it| matches!(it.content, Content::ToolResult(_)));
    let thought = asked
        .parts
        .first()
        .is_some_and(|part| matches!(part.content, Content::Reasoning { seal: Some(_), .. }));
    request.reasoning.mode == Some(ReasoningMode::On) && answers && !thought
}

struct Opener<'r, 's, 'a> {
    origin: Protocol,
    to: Protocol,
    /// The upstream, which speaks `to`.
    home: Home,
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
    /// The note that there never was a seal.
    Unsealed,
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
        parts.retain(|part| self.is_worth_sending(part));
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
        let Some(found) = seal.take() else { return out.push(part) };
        let (good, place) = match self.open(found) {
            Opened::Good(good, place) => (good, place),
            // The text of others' thinking is worth nothing without its seal.
            Opened::Bad => {
                if let Some(text) = text.as_ref().filter(|text| !text.is_empty()) {
                    let reason = "thinking sealed by another vendor";
                    self.report.string(text, Severity::Degrade, reason);
                }
                return;
            }
            Opened::Unsealed if self.origin == self.to => return,
            Opened::Unsealed => return out.push(part),
        };
        let in_pieces = self.origin == Protocol::Gemini && self.origin != self.to;
        if in_pieces && matches!(place, Place::Here | Place::Signed(_)) {
            gather(text, out);
        }
        match place {
            Place::Signed(mark)
                if mark != Mark::of(text.as_ref().unwrap_or(&JsonStr::default())) =>
            {
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
            Place::Nowhere => {}
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
            Opened::Bad | Opened::Unsealed => None,
        }
    }

    fn open(&mut self, seal: Seal<'a>) -> Opened<'a> {
        let lost = match Envelope::decode(&seal.data) {
            Some(Ok(Envelope { place: Place::Nowhere, .. })) => return Opened::Unsealed,
            Some(Ok(Envelope { seal, home, place })) => {
                if belongs(seal.vendor, Some(home), self.home) {
                    return Opened::Good(seal, place);
                }
                "a seal of another vendor"
            }
            Some(Err(_)) => "a seal that was damaged on its way",
            None if self.origin == self.to || belongs(seal.vendor, None, self.home) => {
                return Opened::Good(seal, Place::Here);
            }
            None => "a seal of another vendor",
        };
        self.report.string(&seal.data, Severity::Degrade, lost);
        Opened::Bad
    }

    /// Thinking without a seal is nothing to those who seal theirs.
    fn is_worth_sending(&mut self, part: &Part<'a>) -> bool {
        let Content::Reasoning { text, seal: None, .. } = &part.content else { return true };
        let strict = matches!(self.to, Protocol::Anthropic | Protocol::OpenAiResponses);
        if self.origin == self.to || !strict {
            return true;
        }
        if let Some(text) = text.as_ref().filter(|text| !text.is_empty()) {
            let reason = "thinking without a seal of the upstream's vendor";
            self.report.string(text, Severity::Degrade, reason);
        }
        false
    }
}

/// Puts the text of thinking together that came in pieces: a client of a stream of Gemini sends
/// each piece back as it came, and the seal on an empty one behind them.
fn gather<'a>(text: &mut Option<JsonStr<'a>>, out: &mut Vec<Part<'a>>) {
    if text.as_ref().is_some_and(|text| !text.is_empty()) {
        return;
    }
    let unsealed = |part: &&Part<'_>| matches!(part.content, Content::Reasoning { seal: None, .. });
    let count = out.iter().rev().take_while(unsealed).count();
    let mut joined = String::new();
    for part in out.drain(out.len() - count..) {
        if let Content::Reasoning { text: Some(piece), .. } = part.content {
            joined.push_str(piece.escaped());
        }
    }
    if !joined.is_empty() {
        *text = Some(JsonStr::from_escaped(joined));
    }
}

/// Joins neighbours of the model's turns: a client of a stream of Gemini keeps each piece as a
/// content of its own. The others stay, empty, as instructions are placed by the count of turns.
fn join_turns(request: &mut Request<'_>) {
    let Request { turns, instructions, .. } = request;
    let mut at = 0;
    while at < turns.len() {
        let first = at;
        at += 1;
        if turns[first].role != Role::Assistant {
            continue;
        }
        while turns.get(at).is_some_and(|turn| turn.role == Role::Assistant)
            && !instructions.iter().any(|it| it.place == At::Before(at))
        {
            let Turn { parts, rest, .. } =
                std::mem::replace(&mut turns[at], Turn::new(Role::Assistant));
            turns[first].parts.extend(parts);
            turns[first].rest.0.extend(rest.0);
            at += 1;
        }
        if at > first + 1 {
            turns[first].parts = join_words(std::mem::take(&mut turns[first].parts));
        }
    }
}

/// Joins neighbouring words that nothing marks.
fn join_words<'a>(parts: Vec<Part<'a>>) -> Vec<Part<'a>> {
    fn words<'p, 'a>(part: &'p Part<'a>) -> Option<&'p JsonStr<'a>> {
        let bare = part.seal.is_none() && part.cache.is_none() && part.rest.0.is_empty();
        match &part.content {
            Content::Text { text, citations: None } if bare => Some(text),
            _ => None,
        }
    }
    let mut joined = Vec::with_capacity(parts.len());
    let mut parts = parts.into_iter().peekable();
    while let Some(part) = parts.next() {
        let (Some(first), Some(_)) = (words(&part), parts.peek().and_then(words)) else {
            joined.push(part);
            continue;
        };
        let mut text = first.escaped().to_owned();
        while let Some(next) = parts.next_if(|next| words(next).is_some()) {
            text.push_str(words(&next).map_or("", JsonStr::escaped));
        }
        joined.push(Part::text(JsonStr::from_escaped(text)));
    }
    joined
}

fn has_envelope(part: &Part<'_>) -> bool {
    let inner = match &part.content {
        Content::Reasoning { seal, .. } => seal.as_ref(),
        Content::ToolCall(call) => call.seal.as_ref(),
        _ => None,
    };
    part.seal.iter().chain(inner).any(|seal| is_envelope(&seal.data))
}
