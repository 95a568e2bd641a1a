//! Hub to wire.

use bytes::BytesMut;

use super::OF_THE_EVENT;
use super::block::{Block, Parked};
use crate::protocol::Protocol;
use crate::protocol::anthropic::response::{Seen, message_id, message_model, write_stop};
use crate::protocol::anthropic::{fault, usage};
use crate::protocol::json::{JsonStr, ObjectWriter, Raw};
use crate::protocol::model::{
    ApiError, Delta, FaultKind, PartStart, Rest, Stop, StopReason, StreamEvent, Usage,
};
use crate::protocol::target::Answer;
use crate::protocol::wire::push;

/// Writes a Messages stream.
///
/// Blocks of Messages stand in a row, so of parts that overlap the first streams and the others
/// are held back, up to [`Answer::max_accumulated`]; beyond it the stream ends with an error.
/// A block of text or thinking begins with its first words: an empty one would be kept by clients
/// and refused by Messages ever after.
///
/// ```
/// use bytes::BytesMut;
/// use tower_llm_gateway::protocol::anthropic::stream::Writer;
/// use tower_llm_gateway::protocol::model::{ApiError, FaultKind, StreamEvent};
/// use tower_llm_gateway::protocol::Answer;
///
/// let mut writer = Writer::new(Answer::new("claude-haiku-4-5", 0, 0));
/// let mut out = BytesMut::new();
/// writer.write(StreamEvent::Error(ApiError::new(FaultKind::Overloaded, "busy")), &mut out);
/// assert!(writer.is_done());
/// assert!(out.starts_with(b"event: error\ndata: {\"type\":\"error\""));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Writer {
    answer: Answer,
    phase: Phase,
    /// The part whose block stands next or is open.
    open: Option<Block>,
    /// Parts that wait for their turn, in their order.
    parked: Parked,
    /// Index of the next block.
    next: u32,
    seen: Seen,
    usage: Option<Usage<'static>>,
    stop: Option<(Stop<'static>, Rest<'static>)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Before `message_start`.
    New,
    /// Blocks may come.
    Content,
    /// After `message_stop` or `error`.
    Done,
}

impl Writer {
    /// A writer before the first event.
    #[must_use]
    pub fn new(answer: Answer) -> Self {
        Self {
            parked: Parked::new(answer.max_accumulated),
            answer,
            phase: Phase::New,
            open: None,
            next: 0,
            seen: Seen::default(),
            usage: None,
            stop: None,
        }
    }

    /// Whether the stream has been ended; further events are ignored.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.phase == Phase::Done
    }

    /// Appends what the event means on the wire; often nothing.
    pub fn write(&mut self, event: StreamEvent<'_>, out: &mut BytesMut) {
        match event {
            _ if self.is_done() => {}
            StreamEvent::Start { id, model, usage, rest, .. } => {
                self.start(&id, &model, usage.as_ref(), &rest, out);
            }
            StreamEvent::PartStart { index, candidate: 0, part, rest } => {
                self.part_start(index, &part, &rest, out);
            }
            StreamEvent::Delta { index, delta } => self.delta(index, delta, out),
            StreamEvent::PartStop { index } => self.part_stop(index, out),
            StreamEvent::Stop { candidate: 0, stop, rest } => self.stop(stop, rest, out),
            StreamEvent::Usage(usage) => self.usage(&usage),
            StreamEvent::Ping => self.ping(out),
            StreamEvent::Error(error) => self.error(&error, out),
            StreamEvent::End => self.end(out),
            StreamEvent::PartStart { .. } | StreamEvent::Stop { .. } => {}
            StreamEvent::Logprobs { .. } => {}
        }
    }

    /// Whether the upstream speaks Messages too: then unknown members are put back.
    fn native(&self) -> bool {
        self.answer.origin == Some(Protocol::Anthropic)
    }

    fn start(
        &mut self,
        id: &JsonStr<'_>,
        model: &JsonStr<'_>,
        usage: Option<&Usage<'_>>,
        rest: &Rest<'_>,
        out: &mut BytesMut,
    ) {
        if self.phase != Phase::New {
            return;
        }
        self.phase = Phase::Content;
        let native = self.native();
        self.usage = usage.map(Usage::counts);
        let id = message_id(id, native, &mut self.answer);
        let model = message_model(model, &self.answer);
        event(out, "message_start", |object| {
            object.object("message", |object| {
                object.str("id", &id);
                object.plain("type", "message");
                object.plain("role", "assistant");
                object.str("model", &model);
                object.array("content", |_| {});
                object.null("stop_reason");
                object.null("stop_sequence");
                usage::write(object, usage, native);
                if native {
                    rest.write(object);
                }
            });
        });
    }

    fn ensure_started(&mut self, out: &mut BytesMut) {
        let none = JsonStr::default();
        self.start(&none, &none, None, &Rest::default(), out);
    }

    fn part_start(
        &mut self,
        index: u32,
        part: &PartStart<'_>,
        rest: &Rest<'_>,
        out: &mut BytesMut,
    ) {
        self.ensure_started(out);
        let native = self.native();
        let Some(block) = Block::new(index, part, rest, native, &mut self.answer.ids) else {
            return;
        };
        if self.open.is_some() {
            self.parked.push(block);
            return self.check_limit(out);
        }
        self.turn(block, out);
    }

    /// Makes it the open block. Tool calls and whole blocks are shown at once.
    fn turn(&mut self, mut block: Block, out: &mut BytesMut) {
        if !block.is_lazy() {
            self.begin(&mut block, out);
        }
        self.open = Some(block);
    }

    fn begin(&mut self, block: &mut Block, out: &mut BytesMut) {
        if block.begin(self.next, out) {
            self.next += 1;
            self.seen.call |= block.is_call();
            self.seen.refusal |= block.is_refusal();
        }
    }

    fn delta(&mut self, part: u32, delta: Delta<'_>, out: &mut BytesMut) {
        match &mut self.open {
            Some(block) if block.part() == part => self.open_delta(&delta, out),
            _ => {
                self.parked.delta(part, delta);
                self.check_limit(out);
            }
        }
    }

    fn open_delta(&mut self, delta: &Delta<'_>, out: &mut BytesMut) {
        let Some(mut block) = self.open.take() else { return };
        if block.shows(delta) {
            self.begin(&mut block, out);
            block.delta(delta, out);
        }
        self.open = Some(block);
    }

    fn part_stop(&mut self, part: u32, out: &mut BytesMut) {
        if self.open.as_ref().is_none_or(|block| block.part() != part) {
            return self.parked.stop(part);
        }
        self.close(out);
        // The next in line, and those behind it as long as they are complete.
        while let Some(next) = self.parked.pop() {
            self.turn(next.block, out);
            for delta in &next.deltas {
                self.open_delta(delta, out);
            }
            if !next.stopped {
                return;
            }
            self.close(out);
        }
    }

    fn close(&mut self, out: &mut BytesMut) {
        if let Some(block) = self.open.take() {
            block.end(out);
        }
    }

    fn check_limit(&mut self, out: &mut BytesMut) {
        if self.parked.is_over() {
            let message = "too much of the answer had to be held back";
            self.error(&ApiError::new(FaultKind::Upstream, message), out);
        }
    }

    fn stop(&mut self, stop: Stop<'_>, rest: Rest<'_>, out: &mut BytesMut) {
        if self.stop.is_some() {
            return;
        }
        if stop.reason == StopReason::Error {
            // Messages has no word for it, and an end would hide it.
            let message = "the model failed to answer";
            return self.error(&ApiError::new(FaultKind::Upstream, message), out);
        }
        let native = self.native();
        let rest = if native { rest } else { Rest::default() };
        self.stop = Some((owned_stop(stop, native), rest.into_owned()));
    }

    fn usage(&mut self, usage: &Usage<'_>) {
        let raw = usage.raw.as_ref().filter(|_| self.native());
        let raw = raw.map(|raw| raw.borrow().into_owned());
        self.usage = Some(Usage { raw, ..usage.counts() });
    }

    /// The reason and the usage are held until here: other protocols tell usage last.
    fn end(&mut self, out: &mut BytesMut) {
        self.ensure_started(out);
        while let Some(part) = self.open.as_ref().map(Block::part) {
            self.part_stop(part, out);
        }
        self.phase = Phase::Done;
        let native = self.native();
        let (stop, mut rest) =
            self.stop.take().unwrap_or((Stop::new(StopReason::End), Rest::default()));
        let outer = split_outer(&mut rest);
        event(out, "message_delta", |object| {
            object.object("delta", |object| {
                write_stop(object, Some(&stop), self.seen, native);
                rest.write(object);
            });
            usage::write(object, self.usage.as_ref(), native);
            outer.write(object);
        });
        event(out, "message_stop", |_| {});
    }

    fn ping(&mut self, out: &mut BytesMut) {
        // Clients expect `message_start` before any event; a comment they skip.
        if self.phase == Phase::New {
            crate::sse::comment(out, "ping");
        } else {
            event(out, "ping", |_| {});
        }
    }

    fn error(&mut self, error: &ApiError<'_>, out: &mut BytesMut) {
        self.phase = Phase::Done;
        push(out, "event: error\ndata: ");
        fault::write(error, out);
        push(out, "\n\n");
    }
}

/// Appends one event; `fill` writes the members behind `type`.
pub(super) fn event(out: &mut BytesMut, name: &str, fill: impl FnOnce(&mut ObjectWriter<'_>)) {
    push(out, "event: ");
    push(out, name);
    push(out, "\ndata: ");
    let mut object = ObjectWriter::begin(out);
    object.plain("type", name);
    fill(&mut object);
    object.end();
    push(out, "\n\n");
}

/// Takes the members of the event itself out of those of its `delta`.
fn split_outer<'a>(rest: &mut Rest<'a>) -> Rest<'a> {
    let divide = rest.0.iter().position(|(key, _)| key == OF_THE_EVENT);
    let outer = rest.0.split_off(divide.unwrap_or(rest.0.len()));
    Rest::new(outer.into_iter().skip(1).collect())
}

fn owned_stop(stop: Stop<'_>, native: bool) -> Stop<'static> {
    Stop {
        reason: stop.reason,
        word: stop.word.filter(|_| native).map(JsonStr::into_owned),
        sequence: stop.sequence.map(JsonStr::into_owned),
        details: stop.details.filter(|_| native).map(Raw::into_owned),
    }
}
