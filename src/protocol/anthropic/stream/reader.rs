//! Wire to hub.

use http::StatusCode;

use super::OF_THE_EVENT;
use super::pieces::{BlockKind, BlockStart, read_delta};
use crate::protocol::anthropic::fault;
use crate::protocol::anthropic::response::Ending;
use crate::protocol::anthropic::usage::{self, Counts};
use crate::protocol::json::{Cursor, JsonStr, Raw};
use crate::protocol::model::{ApiError, Delta, FaultKind, PartStart, Rest, StreamEvent};
use crate::protocol::wire::{Result, keep, lenient_str, skip};
use crate::sse;

type Sink<'s> = dyn FnMut(StreamEvent<'_>) + 's;

/// Reads the events of a Messages stream.
///
/// It is forgiving where clones of the protocol are careless: `event` fields may be missing, a
/// block may lack its start or its end, a `[DONE]` is skipped. An event that cannot be read, a
/// second message and an early end are errors. Nothing is emitted after `End` or `Error`.
///
/// ```
/// use tower_llm_gateway::protocol::anthropic::stream::Reader;
/// use tower_llm_gateway::protocol::model::StreamEvent;
/// use tower_llm_gateway::sse::Event;
///
/// let mut reader = Reader::new();
/// let mut ended = false;
/// let data = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"}}"#;
/// reader.event(&Event { data, ..Event::default() }, &mut |_| {});
/// reader.finish(&mut |event| ended = matches!(event, StreamEvent::End));
/// assert!(ended);
/// ```
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Reader {
    /// Id of the message, once it has begun.
    message: Option<String>,
    open: Option<Open>,
    /// Highest wire index of a block so far.
    last_block: Option<u64>,
    /// Hub index of the next part.
    next_part: u32,
    counts: Counts,
    stopped: bool,
    done: bool,
}

#[derive(Debug, Clone, PartialEq)]
struct Open {
    /// Index on the wire.
    block: u64,
    /// Index in the hub.
    part: u32,
    kind: BlockKind,
    /// A whole tool input that stood in the start; deltas that follow replace it.
    input: Option<String>,
}

impl Reader {
    /// A reader before the first event.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads one event.
    pub fn event(&mut self, event: &sse::Event<'_>, sink: &mut dyn FnMut(StreamEvent<'_>)) {
        if self.done || event.data.is_empty() || event.data.starts_with("[DONE]") {
            return;
        }
        if self.read(event, sink).is_err() && !self.done {
            self.fail("the upstream sent an event that cannot be read", sink);
        }
    }

    /// The upstream has ended. A stream that told why the answer stopped is complete.
    pub fn finish(&mut self, sink: &mut dyn FnMut(StreamEvent<'_>)) {
        if self.done {
            return;
        }
        if !self.stopped {
            return self.fail("the upstream ended the stream early", sink);
        }
        self.end(sink);
    }

    fn end(&mut self, sink: &mut Sink<'_>) {
        self.close(sink);
        self.done = true;
        sink(StreamEvent::End);
    }

    fn fail(&mut self, message: &'static str, sink: &mut Sink<'_>) {
        self.done = true;
        sink(StreamEvent::Error(ApiError::new(FaultKind::Upstream, message)));
    }

    fn read(&mut self, event: &sse::Event<'_>, sink: &mut Sink<'_>) -> Result<()> {
        let mut c = Cursor::new(event.data);
        let kind = c.peek_str("type");
        match kind.as_ref().map_or(event.name.into(), JsonStr::decode).as_ref() {
            "message_start" => self.message_start(&mut c, sink)?,
            "content_block_start" => self.block_start(&mut c, sink)?,
            "content_block_delta" => self.block_delta(&mut c, sink)?,
            "content_block_stop" => self.block_stop(&mut c, sink)?,
            "message_delta" => self.message_delta(&mut c, sink)?,
            "message_stop" => self.end(sink),
            "ping" => sink(StreamEvent::Ping),
            "error" => self.error(event.data, sink),
            // Clones send an error without saying so.
            "" if c.clone().raw()?.member("error").is_some() => self.error(event.data, sink),
            // An event yet unknown.
            _ => skip(&mut c)?,
        }
        Ok(())
    }

    fn error(&mut self, data: &str, sink: &mut Sink<'_>) {
        self.done = true;
        sink(StreamEvent::Error(fault::read(StatusCode::OK, data)));
    }

    fn message_start(&mut self, c: &mut Cursor<'_>, sink: &mut Sink<'_>) -> Result<()> {
        let (mut id, mut model) = (JsonStr::default(), JsonStr::default());
        let mut usage = None;
        let mut rest = Rest::default();
        c.object(|key, c| {
            if key != *"message" {
                return skip(c);
            }
            c.object(|key, c| {
                match &*key.decode() {
                    "id" => id = lenient_str(c)?.unwrap_or_default(),
                    "model" => model = lenient_str(c)?.unwrap_or_default(),
                    "usage" => usage = usage::read(c)?,
                    "type" | "role" | "content" | "stop_reason" | "stop_sequence" => skip(c)?,
                    _ => keep(&key, c, &mut rest)?,
                }
                Ok(())
            })
        })?;
        if let Some(first) = &self.message {
            // A retry behind the upstream's own proxy. Once content is out it cannot be taken back.
            if id != **first && self.next_part > 0 {
                self.fail("the upstream began a second message", sink);
            }
            return Ok(());
        }
        self.message = Some(id.decode().into_owned());
        let usage = usage.map(|(counts, raw)| {
            self.counts = counts;
            counts.usage(raw)
        });
        sink(StreamEvent::Start { id, model, created: None, usage, rest });
        Ok(())
    }

    fn block_start(&mut self, c: &mut Cursor<'_>, sink: &mut Sink<'_>) -> Result<()> {
        let mut index = None;
        let mut block = None;
        c.object(|key, c| {
            match &*key.decode() {
                "index" => index = c.number()?.as_u64(),
                "content_block" => block = Some(BlockStart::read(c)?),
                _ => skip(c)?,
            }
            Ok(())
        })?;
        let Some(block) = block else { return Ok(()) };
        let index = index.unwrap_or_else(|| self.last_block.map_or(0, |last| last + 1));
        let part = self.open(index, block.kind, block.start, block.rest, sink);
        for delta in block.deltas.into_iter().flatten() {
            sink(StreamEvent::Delta { index: part, delta });
        }
        if let Some(open) = &mut self.open {
            open.input = block.input;
        }
        Ok(())
    }

    /// Opens a part, and closes the one before it where the upstream forgot to.
    fn open(
        &mut self,
        block: u64,
        kind: BlockKind,
        start: PartStart<'_>,
        rest: Rest<'_>,
        sink: &mut Sink<'_>,
    ) -> u32 {
        self.close(sink);
        let part = self.next_part;
        self.next_part += 1;
        self.last_block = self.last_block.max(Some(block));
        self.open = Some(Open { block, part, kind, input: None });
        sink(StreamEvent::PartStart { index: part, candidate: 0, part: start, rest });
        part
    }

    fn close(&mut self, sink: &mut Sink<'_>) {
        let Some(open) = self.open.take() else { return };
        if let Some(input) = open.input {
            let delta = Delta::Arguments(JsonStr::from_plain(input));
            sink(StreamEvent::Delta { index: open.part, delta });
        }
        sink(StreamEvent::PartStop { index: open.part });
    }

    fn block_delta(&mut self, c: &mut Cursor<'_>, sink: &mut Sink<'_>) -> Result<()> {
        let mut index = None;
        let mut delta = None;
        let whole = self.open.as_ref().is_some_and(|open| open.kind == BlockKind::Other);
        c.object(|key, c| {
            match &*key.decode() {
                "index" => index = c.number()?.as_u64(),
                "delta" => delta = read_delta(c, whole)?,
                _ => skip(c)?,
            }
            Ok(())
        })?;
        let Some(delta) = delta else { return Ok(()) };
        let Some(part) = self.part_for(index, &delta, sink) else { return Ok(()) };
        let Some(open) = &mut self.open else { return Ok(()) };
        if matches!(&delta, Delta::Arguments(text) if !text.is_empty()) {
            open.input = None;
        }
        sink(StreamEvent::Delta { index: part, delta });
        Ok(())
    }

    /// The part that a delta belongs to. Text or thinking that comes without a start, or inside
    /// of the other, gets a part of its own; what fits nowhere is dropped.
    fn part_for(
        &mut self,
        block: Option<u64>,
        delta: &Delta<'_>,
        sink: &mut Sink<'_>,
    ) -> Option<u32> {
        let (kind, start) = match delta {
            Delta::Text(_) => (Some(BlockKind::Text), PartStart::Text { citations: None }),
            Delta::Reasoning(_) => (Some(BlockKind::Thinking), PartStart::Reasoning { seal: None }),
            _ => (None, PartStart::Refusal),
        };
        let open = self.open.as_ref();
        let here = open.filter(|open| block.is_none_or(|block| block == open.block));
        match (here, kind) {
            (Some(open), _) if open.kind.takes(delta) => Some(open.part),
            (Some(Open { kind: BlockKind::Text | BlockKind::Thinking, block, .. }), Some(kind)) => {
                Some(self.open(*block, kind, start, Rest::default(), sink))
            }
            (None, Some(kind)) if block > self.last_block => {
                Some(self.open(block?, kind, start, Rest::default(), sink))
            }
            _ => None,
        }
    }

    fn block_stop(&mut self, c: &mut Cursor<'_>, sink: &mut Sink<'_>) -> Result<()> {
        let mut index = None;
        c.object(|key, c| {
            if key == *"index" {
                index = c.number()?.as_u64();
                return Ok(());
            }
            skip(c)
        })?;
        if self.open.as_ref().is_some_and(|open| index.is_none_or(|index| index == open.block)) {
            self.close(sink);
        }
        Ok(())
    }

    fn message_delta(&mut self, c: &mut Cursor<'_>, sink: &mut Sink<'_>) -> Result<()> {
        let mut ending = Ending::default();
        let mut usage = None;
        let (mut rest, mut outer) = (Rest::default(), Rest::default());
        c.object(|key, c| {
            match &*key.decode() {
                "type" => skip(c)?,
                "usage" => usage = usage::read(c)?,
                "delta" => c.object(|key, c| {
                    if !ending.member(&key, c, &mut rest)? {
                        keep(&key, c, &mut rest)?;
                    }
                    Ok(())
                })?,
                _ => keep(&key, c, &mut outer)?,
            }
            Ok(())
        })?;
        if let Some(stop) = ending.stop(&mut rest).filter(|_| !self.stopped) {
            if !outer.0.is_empty() {
                rest.keep(JsonStr::from_plain(OF_THE_EVENT), Raw::literal("null"));
                rest.0.append(&mut outer.0);
            }
            self.close(sink);
            self.stopped = true;
            sink(StreamEvent::Stop { candidate: 0, stop, rest });
        }
        if let Some((counts, raw)) = usage {
            self.counts = counts.over(self.counts);
            sink(StreamEvent::Usage(self.counts.usage(raw)));
        }
        Ok(())
    }
}
