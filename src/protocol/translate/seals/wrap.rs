//! Seals into envelopes, for callers whose protocol has a slot for them.

use crate::protocol::call_id::{hashed, is_word};
use crate::protocol::json::JsonStr;
use crate::protocol::model::{
    ApiError, Content, Delta, FaultKind, Part, PartStart, Rest, Seal, SealKind, StreamEvent, Vendor,
};
use crate::protocol::seal::{Envelope, Home, Mark, Marker, Place};

/// Most parts of a stream that may be open at once.
const MAX_OPEN_PARTS: usize = 1024;

/// The slots of the caller's protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    /// Messages: the signature of thinking, or a block of redacted thinking.
    Thinking,
    /// Responses: the encrypted content of a reasoning item.
    Item,
    /// Gemini: the thought signature of any part, in base64.
    AnyPart,
}

impl Slot {
    /// The kind of an envelope that stands beside text.
    fn kind(self) -> SealKind {
        match self {
            Self::Thinking => SealKind::Signature,
            Self::Item => SealKind::Encrypted,
            Self::AnyPart => SealKind::ThoughtSignature,
        }
    }

    /// The kind of an envelope that stands alone.
    fn kind_alone(self) -> SealKind {
        match self {
            Self::Thinking => SealKind::Redacted,
            Self::Item | Self::AnyPart => self.kind(),
        }
    }
}

/// Puts the seals of one answer into envelopes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wrapper {
    from: Home,
    slot: Slot,
    /// Index of the next part: there are more parts than there were.
    next: u32,
    open: Vec<Open>,
}

/// A part of the stream.
#[derive(Debug, Clone, PartialEq)]
struct Open {
    inner: u32,
    /// Its index to the outside; `None` until it begins there.
    outer: Option<u32>,
    candidate: u32,
    what: What,
    /// A seal that goes out at the end of the part.
    seal: Option<Seal<'static>>,
}

#[derive(Debug, Clone, PartialEq)]
enum What {
    Thinking(Marker),
    Words,
    Call(Mark),
    Other,
}

impl Wrapper {
    pub(super) fn new(from: Home, slot: Slot) -> Self {
        Self { from, slot, next: 0, open: Vec::new() }
    }

    /// The envelope of a seal that stands beside the text that `mark` is of; `None` where there is
    /// nothing to carry, or too much.
    fn beside(&self, seal: &Seal<'_>, mark: impl FnOnce() -> Mark) -> Option<Seal<'static>> {
        // An unaltered text is what the others do not ask for.
        let signs = seal.kind == SealKind::Signature;
        let place = if signs { Place::Signed(mark()) } else { Place::Here };
        self.envelope(seal, place, self.slot.kind())
    }

    /// The envelope of a seal that stands alone.
    fn alone(&self, seal: &Seal<'_>, place: Place) -> Option<Seal<'static>> {
        self.envelope(seal, place, self.slot.kind_alone())
    }

    /// What stands in the slot of readable thinking that came without a seal. Gemini's clients
    /// send such thinking back, and Gemini takes it.
    fn unsealed(&self) -> Option<Seal<'static>> {
        if self.slot == Slot::AnyPart {
            return None;
        }
        let (vendor, kind) = (Vendor::Unknown, SealKind::Signature);
        let seal = Seal { vendor, kind, data: JsonStr::default() };
        self.envelope(&seal, Place::Nowhere, self.slot.kind())
    }

    fn envelope(&self, seal: &Seal<'_>, place: Place, kind: SealKind) -> Option<Seal<'static>> {
        if seal.data.is_empty() && place != Place::Nowhere {
            return None;
        }
        let seal = Seal { data: seal.data.borrow(), ..*seal };
        let envelope = Envelope { seal, home: self.from, place };
        let data = match self.slot {
            Slot::AnyPart => envelope.encode_base64(),
            Slot::Thinking | Slot::Item => envelope.encode(),
        }?;
        Some(Seal { vendor: Vendor::Gateway, kind, data })
    }

    /// The mark of a call's id as the caller will see it.
    fn mark_of(&self, id: &JsonStr<'_>) -> Mark {
        let plain = id.decode();
        if self.slot == Slot::Thinking && !is_word(&plain) {
            return Mark::of(&JsonStr::from_plain(hashed(&plain)));
        }
        Mark::of(id)
    }

    /// Where the seal of thinking without text belongs.
    fn unseen(seal: &Seal<'_>) -> Place {
        if seal.kind == SealKind::Signature {
            Place::Signed(Mark::of(&JsonStr::default()))
        } else {
            Place::Here
        }
    }

    /// Does it for the parts of a finished answer.
    pub(super) fn parts<'a>(&self, parts: &mut Vec<Part<'a>>) {
        let mut wrapped = Vec::with_capacity(parts.len());
        for part in parts.drain(..) {
            self.part(part, &mut wrapped);
        }
        *parts = wrapped;
    }

    fn part<'a>(&self, mut part: Part<'a>, out: &mut Vec<Part<'a>>) {
        match &mut part.content {
            Content::Reasoning { text, seal, .. } => {
                let readable = text.as_ref().filter(|text| !text.is_empty());
                let wrapped = match (seal.take(), readable) {
                    (Some(seal), Some(text)) => self.beside(&seal, || Mark::of(text)),
                    (Some(seal), None) => self.alone(&seal, Self::unseen(&seal)),
                    (None, Some(_)) => self.unsealed(),
                    (None, None) => None,
                };
                if readable.is_none() {
                    *text = None;
                    if wrapped.is_none() {
                        return;
                    }
                }
                *seal = wrapped;
                out.push(part);
            }
            Content::ToolCall(call) if self.slot != Slot::AnyPart => {
                let place = Place::Call(self.mark_of(&call.id));
                let seal = call.seal.take().and_then(|seal| self.alone(&seal, place));
                out.extend(seal.map(carrier));
                out.push(part);
            }
            Content::ToolCall(call) => {
                let seal = call.seal.take();
                call.seal = seal.and_then(|seal| self.alone(&seal, Place::Here));
                out.push(part);
            }
            _ => self.sealed_part(part, out),
        }
    }

    /// A part with a seal in no place of its own.
    fn sealed_part<'a>(&self, mut part: Part<'a>, out: &mut Vec<Part<'a>>) {
        let Some(seal) = part.seal.take() else { return out.push(part) };
        if self.slot == Slot::AnyPart {
            part.seal = self.alone(&seal, Place::Here);
            return out.push(part);
        }
        match &part.content {
            Content::Text { text, .. } if text.is_empty() => {
                out.extend(self.alone(&seal, Place::Silence).map(carrier));
            }
            Content::Text { .. } => {
                out.push(part);
                out.extend(self.alone(&seal, Place::Words).map(carrier));
            }
            _ => out.push(part),
        }
    }

    /// Does it for an event.
    pub(super) fn event(&mut self, event: StreamEvent<'_>, sink: &mut dyn FnMut(StreamEvent<'_>)) {
        match event {
            StreamEvent::PartStart { index, candidate, part, rest } => {
                if self.open.len() == MAX_OPEN_PARTS {
                    let error = ApiError::new(FaultKind::Upstream, "too many open parts");
                    return sink(StreamEvent::Error(error));
                }
                self.start(index, candidate, part, rest, sink);
            }
            StreamEvent::Delta { index, delta } => {
                if let Some(at) = self.open.iter().rposition(|open| open.inner == index) {
                    self.delta(at, delta, sink);
                }
            }
            StreamEvent::PartStop { index } => {
                if let Some(at) = self.open.iter().rposition(|open| open.inner == index) {
                    let open = self.open.remove(at);
                    self.stop(open, sink);
                }
            }
            event => sink(event),
        }
    }

    fn start(
        &mut self,
        inner: u32,
        candidate: u32,
        part: PartStart<'_>,
        rest: Rest<'_>,
        sink: &mut dyn FnMut(StreamEvent<'_>),
    ) {
        let mut open = Open { inner, outer: None, candidate, what: What::Other, seal: None };
        let part = match part {
            // These begin with their first words: a seal alone is another part.
            PartStart::Reasoning { seal } => {
                open.what = What::Thinking(Marker::default());
                open.seal = seal.map(Seal::into_owned);
                return self.open.push(open);
            }
            PartStart::Text { citations: None } => {
                open.what = What::Words;
                return self.open.push(open);
            }
            PartStart::ToolCall { id, name, kind, seal, cache } => {
                let mark = self.mark_of(&id);
                open.what = What::Call(mark);
                let seal = match (seal, self.slot) {
                    (Some(seal), Slot::AnyPart) => self.alone(&seal, Place::Here),
                    (Some(seal), _) => {
                        self.carry(&seal, Place::Call(mark), candidate, sink);
                        None
                    }
                    (None, _) => None,
                };
                PartStart::ToolCall { id, name, kind, seal, cache }
            }
            part => part,
        };
        let index = self.index();
        open.outer = Some(index);
        self.open.push(open);
        sink(StreamEvent::PartStart { index, candidate, part, rest });
    }

    fn index(&mut self) -> u32 {
        let index = self.next;
        self.next += 1;
        index
    }

    /// A part of its own for an envelope.
    fn carry(
        &mut self,
        seal: &Seal<'_>,
        place: Place,
        candidate: u32,
        sink: &mut dyn FnMut(StreamEvent<'_>),
    ) {
        let Some(seal) = self.alone(seal, place) else { return };
        let index = self.index();
        let part = PartStart::Reasoning { seal: Some(seal) };
        sink(StreamEvent::PartStart { index, candidate, part, rest: Rest::default() });
        sink(StreamEvent::PartStop { index });
    }

    fn delta(&mut self, at: usize, delta: Delta<'_>, sink: &mut dyn FnMut(StreamEvent<'_>)) {
        let open = &mut self.open[at];
        match &delta {
            Delta::Seal(seal) => {
                open.seal = Some(seal.clone().into_owned());
                return;
            }
            Delta::Reasoning(text) | Delta::Text(text) if text.is_empty() => return,
            Delta::Reasoning(text) => {
                if let What::Thinking(marker) = &mut open.what {
                    marker.push(text);
                }
            }
            _ => {}
        }
        let index = self.begun(at, sink);
        sink(StreamEvent::Delta { index, delta });
    }

    /// The index of a part, which begins now if it has not.
    fn begun(&mut self, at: usize, sink: &mut dyn FnMut(StreamEvent<'_>)) -> u32 {
        if let Some(index) = self.open[at].outer {
            return index;
        }
        let index = self.index();
        let open = &mut self.open[at];
        open.outer = Some(index);
        let part = match open.what {
            What::Thinking(_) => PartStart::Reasoning { seal: None },
            _ => PartStart::Text { citations: None },
        };
        let candidate = open.candidate;
        sink(StreamEvent::PartStart { index, candidate, part, rest: Rest::default() });
        index
    }

    fn stop(&mut self, open: Open, sink: &mut dyn FnMut(StreamEvent<'_>)) {
        let Open { outer, candidate, what, seal, .. } = open;
        let Some(index) = outer else {
            // It never began: there is the seal alone, or nothing.
            let Some(seal) = seal else { return };
            let place = match what {
                What::Thinking(_) => Self::unseen(&seal),
                _ => Place::Silence,
            };
            return self.unbegun(&seal, place, candidate, sink);
        };
        let Some(seal) = seal else {
            let thinks = matches!(what, What::Thinking(_));
            if let Some(seal) = self.unsealed().filter(|_| thinks) {
                sink(StreamEvent::Delta { index, delta: Delta::Seal(seal) });
            }
            return sink(StreamEvent::PartStop { index });
        };
        let (inside, behind) = match &what {
            What::Thinking(marker) => (self.beside(&seal, || marker.mark()), None),
            _ if self.slot == Slot::AnyPart => (self.alone(&seal, Place::Here), None),
            What::Words => (None, Some(Place::Words)),
            What::Call(mark) => (None, Some(Place::Call(*mark))),
            What::Other => (None, None),
        };
        if let Some(seal) = inside {
            sink(StreamEvent::Delta { index, delta: Delta::Seal(seal) });
        }
        sink(StreamEvent::PartStop { index });
        if let Some(place) = behind {
            self.carry(&seal, place, candidate, sink);
        }
    }

    fn unbegun(
        &mut self,
        seal: &Seal<'_>,
        place: Place,
        candidate: u32,
        sink: &mut dyn FnMut(StreamEvent<'_>),
    ) {
        if self.slot != Slot::AnyPart || place != Place::Silence {
            return self.carry(seal, place, candidate, sink);
        }
        // Gemini signs an empty text as any other.
        let Some(seal) = self.alone(seal, Place::Here) else { return };
        let index = self.index();
        let part = PartStart::Text { citations: None };
        sink(StreamEvent::PartStart { index, candidate, part, rest: Rest::default() });
        sink(StreamEvent::Delta { index, delta: Delta::Seal(seal) });
        sink(StreamEvent::PartStop { index });
    }
}

/// A part that is there for an envelope alone.
fn carrier<'a>(seal: Seal<'static>) -> Part<'a> {
    Part::new(Content::Reasoning { text: None, seal: Some(seal), id: None, raw: None })
}
