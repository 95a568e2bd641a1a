//! One content block on its way, and those that wait for their turn.

use std::collections::VecDeque;

use bytes::BytesMut;

use super::writer::event;
use crate::protocol::anthropic::blocks::{is_ours, valid_call_id};
use crate::protocol::json::{JsonStr, ObjectWriter, Raw, push_str};
use crate::protocol::model::{Delta, PartStart, Rest, Seal, SealKind, ToolCallKind};
use crate::protocol::target::Ids;
use crate::protocol::wire::push;

/// A part of the hub as a block of Messages.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Block {
    part: u32,
    kind: Kind,
    /// The upstream speaks Messages too.
    native: bool,
    /// Its signature has been given; it comes last.
    sealed: bool,
    /// The `content_block` of its start; taken when that is written.
    start: Option<BytesMut>,
    /// Its index, once it has begun.
    index: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Refusal,
    Thinking,
    /// Whole in its start.
    Redacted,
    Tool,
    /// A call of a tool that takes free text; as elsewhere it is the one member `input` of an object.
    FreeText,
    /// Kept as the upstream sent it.
    Other,
}

impl Block {
    /// `None` for a part that Messages has no block for.
    pub(super) fn new(
        part: u32,
        start: &PartStart<'_>,
        rest: &Rest<'_>,
        native: bool,
        ids: &mut Ids,
    ) -> Option<Self> {
        let mut out = BytesMut::new();
        let rest = if native { rest } else { &Rest::default() };
        let kind = match start {
            PartStart::Media(_) => return None,
            PartStart::Other { raw, .. } => {
                if !native {
                    return None;
                }
                push(&mut out, raw.as_str());
                Kind::Other
            }
            start => {
                let mut object = ObjectWriter::begin(&mut out);
                let kind = write_start(&mut object, start, native, ids);
                rest.write(&mut object);
                object.end();
                kind
            }
        };
        let sealed =
            matches!(start, PartStart::Reasoning { seal: Some(seal) } if is_signature(seal));
        Some(Self { part, kind, native, sealed, start: Some(out), index: None })
    }

    /// Its index in the hub.
    pub(super) fn part(&self) -> u32 {
        self.part
    }

    pub(super) fn is_call(&self) -> bool {
        matches!(self.kind, Kind::Tool | Kind::FreeText)
    }

    pub(super) fn is_refusal(&self) -> bool {
        self.kind == Kind::Refusal
    }

    /// Whether it begins only when there is something to show.
    pub(super) fn is_lazy(&self) -> bool {
        let grows = matches!(self.kind, Kind::Text | Kind::Refusal | Kind::Thinking);
        grows && !self.sealed
    }

    /// Bytes that it holds.
    fn size(&self) -> usize {
        size_of::<Self>() + self.start.as_ref().map_or(0, BytesMut::len)
    }

    /// Writes its start with this index; false if that was done before.
    pub(super) fn begin(&mut self, index: u32, out: &mut BytesMut) -> bool {
        let Some(start) = self.start.take() else { return false };
        self.index = Some(index);
        event(out, "content_block_start", |object| {
            object.u64("index", index.into());
            object.key("content_block").extend_from_slice(&start);
        });
        if self.is_call() {
            // As Messages itself does: a call without arguments has this delta alone.
            input(index, out, &JsonStr::default());
        }
        if self.kind == Kind::FreeText {
            input(index, out, &JsonStr::from_plain(r#"{"input":""#));
        }
        true
    }

    /// Whether the delta has a form in this block, and says something.
    pub(super) fn shows(&self, delta: &Delta<'_>) -> bool {
        match (self.kind, delta) {
            _ if self.sealed => false,
            (Kind::Text | Kind::Refusal, Delta::Text(text))
            | (Kind::Thinking, Delta::Reasoning(text))
            | (Kind::Tool | Kind::FreeText, Delta::Arguments(text)) => !text.is_empty(),
            (Kind::Thinking, Delta::Seal(seal)) => is_signature(seal),
            // Those of another protocol have another form.
            (Kind::Text, Delta::Citation(_)) => self.native,
            (Kind::Other, Delta::Other(_)) => true,
            _ => false,
        }
    }

    /// Writes a delta that it [`shows`](Self::shows).
    pub(super) fn delta(&mut self, delta: &Delta<'_>, out: &mut BytesMut) {
        let Some(index) = self.index else { return };
        match delta {
            Delta::Text(text) => delta_event(index, out, "text_delta", "text", text),
            Delta::Reasoning(text) => delta_event(index, out, "thinking_delta", "thinking", text),
            // JSON within JSON: what is escaped once is so once more.
            Delta::Arguments(text) if self.kind == Kind::FreeText => {
                input(index, out, &JsonStr::from_plain(text.escaped()));
            }
            Delta::Arguments(text) => input(index, out, text),
            Delta::Seal(seal) => {
                self.sealed = true;
                delta_event(index, out, "signature_delta", "signature", &seal.data);
            }
            Delta::Citation(raw) => block_event(index, out, |object| {
                object.plain("type", "citations_delta");
                object.raw("citation", raw);
            }),
            Delta::Other(raw) => event(out, "content_block_delta", |object| {
                object.u64("index", index.into());
                object.raw("delta", raw);
            }),
        }
    }

    /// Ends it; nothing is written for one that never began.
    pub(super) fn end(self, out: &mut BytesMut) {
        if let Some(index) = self.index {
            if self.kind == Kind::FreeText {
                input(index, out, &JsonStr::from_plain(r#""}"#));
            }
            event(out, "content_block_stop", |object| object.u64("index", index.into()));
        }
    }
}

fn is_signature(seal: &Seal<'_>) -> bool {
    seal.kind == SealKind::Signature && is_ours(seal)
}

fn write_start(
    object: &mut ObjectWriter<'_>,
    start: &PartStart<'_>,
    native: bool,
    ids: &mut Ids,
) -> Kind {
    match start {
        PartStart::Text { citations } => {
            object.plain("type", "text");
            object.plain("text", "");
            if let Some(citations) = citations.as_ref().filter(|_| native) {
                object.raw("citations", citations);
            }
            Kind::Text
        }
        PartStart::Reasoning { seal: Some(seal) }
            if seal.kind == SealKind::Redacted && is_ours(seal) =>
        {
            object.plain("type", "redacted_thinking");
            object.str("data", &seal.data);
            Kind::Redacted
        }
        PartStart::Reasoning { seal } => {
            object.plain("type", "thinking");
            object.plain("thinking", "");
            let signature = seal.as_ref().filter(|seal| is_signature(seal));
            object.str("signature", signature.map_or(&JsonStr::default(), |seal| &seal.data));
            Kind::Thinking
        }
        PartStart::ToolCall { id, name, kind, cache, .. } => {
            object.plain("type", "tool_use");
            object.str("id", &call_id(id, ids));
            object.str("name", name);
            object.object("input", |_| {});
            if let Some(cache) = cache.as_ref().filter(|_| native) {
                object.raw("cache_control", &cache.0);
            }
            if *kind == ToolCallKind::Custom { Kind::FreeText } else { Kind::Tool }
        }
        PartStart::Refusal | PartStart::Media(_) | PartStart::Other { .. } => {
            object.plain("type", "text");
            object.plain("text", "");
            Kind::Refusal
        }
    }
}

fn call_id<'a>(id: &'a JsonStr<'_>, ids: &mut Ids) -> JsonStr<'a> {
    if id.is_empty() { JsonStr::from_plain(ids.make("toolu_")) } else { valid_call_id(id) }
}

fn block_event(index: u32, out: &mut BytesMut, fill: impl FnOnce(&mut ObjectWriter<'_>)) {
    event(out, "content_block_delta", |object| {
        object.u64("index", index.into());
        object.object("delta", fill);
    });
}

fn input(index: u32, out: &mut BytesMut, text: &JsonStr<'_>) {
    delta_event(index, out, "input_json_delta", "partial_json", text);
}

fn delta_event(index: u32, out: &mut BytesMut, kind: &str, member: &str, text: &JsonStr<'_>) {
    block_event(index, out, |object| {
        object.plain("type", kind);
        push_str(object.key(member), text);
    });
}

/// Parts that wait for their turn.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Parked {
    parts: VecDeque<ParkedPart>,
    /// Bytes held.
    held: usize,
    /// Most bytes that may be held.
    limit: usize,
}

/// One of them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ParkedPart {
    pub(super) block: Block,
    pub(super) deltas: Vec<Delta<'static>>,
    pub(super) stopped: bool,
}

impl Parked {
    pub(super) fn new(limit: usize) -> Self {
        Self { parts: VecDeque::new(), held: 0, limit }
    }

    pub(super) fn is_over(&self) -> bool {
        self.held > self.limit
    }

    pub(super) fn push(&mut self, block: Block) {
        self.held += block.size();
        self.parts.push_back(ParkedPart { block, deltas: Vec::new(), stopped: false });
    }

    pub(super) fn delta(&mut self, part: u32, delta: Delta<'_>) {
        let Some(parked) = self.find(part) else { return };
        if !parked.stopped && parked.block.shows(&delta) {
            let size = size_of_delta(&delta);
            parked.deltas.push(owned(delta));
            self.held += size;
        }
    }

    pub(super) fn stop(&mut self, part: u32) {
        if let Some(parked) = self.find(part) {
            parked.stopped = true;
        }
    }

    /// Parts count up, so they stand in order.
    fn find(&mut self, part: u32) -> Option<&mut ParkedPart> {
        let at = self.parts.binary_search_by_key(&part, |parked| parked.block.part).ok()?;
        self.parts.get_mut(at)
    }

    pub(super) fn pop(&mut self) -> Option<ParkedPart> {
        let parked = self.parts.pop_front()?;
        let deltas: usize = parked.deltas.iter().map(size_of_delta).sum();
        self.held = self.held.saturating_sub(parked.block.size() + deltas);
        Some(parked)
    }
}

fn size_of_delta(delta: &Delta<'_>) -> usize {
    let text = match delta {
        Delta::Text(text) | Delta::Reasoning(text) | Delta::Arguments(text) => text.escaped(),
        Delta::Seal(seal) => seal.data.escaped(),
        Delta::Citation(raw) | Delta::Other(raw) => raw.as_str(),
    };
    size_of::<Delta<'_>>() + text.len()
}

fn owned(delta: Delta<'_>) -> Delta<'static> {
    match delta {
        Delta::Text(text) => Delta::Text(text.into_owned()),
        Delta::Reasoning(text) => Delta::Reasoning(text.into_owned()),
        Delta::Arguments(text) => Delta::Arguments(text.into_owned()),
        Delta::Seal(Seal { vendor, kind, data }) => {
            Delta::Seal(Seal { vendor, kind, data: data.into_owned() })
        }
        Delta::Citation(raw) => Delta::Citation(Raw::into_owned(raw)),
        Delta::Other(raw) => Delta::Other(Raw::into_owned(raw)),
    }
}
