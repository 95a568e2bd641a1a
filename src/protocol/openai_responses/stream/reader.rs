use http::StatusCode;

use super::event::Event;
use super::open::{self, Item, Shape};
use crate::protocol::json::{JsonStr, Kind, Raw};
use crate::protocol::model::{ApiError, Rest, StreamEvent, ToolCallKind};
use crate::protocol::openai_error;
use crate::protocol::openai_responses::finish::{self, Seen};
use crate::protocol::openai_responses::item_writer::Kept;
use crate::protocol::openai_responses::output::{self, Body};
use crate::protocol::openai_responses::{envelope, tokens};
use crate::protocol::stream_reader::{Broken, Sink, Step, broken};
use crate::protocol::wire::member_of;
use crate::sse;

/// Reads the events of a stream.
///
/// What is told several times counts once: deltas first, then what the events that end a text, an
/// item or the answer say beyond them. So streams are whole that tell only deltas, only whole items
/// or only the answer, whose numbers or ids are missing or change, or whose last event repeats no
/// items. Several texts of one thought, summaries and the thinking itself, are joined with an empty
/// line. A tool that the vendor
/// runs is passed on whole, at its end: it begins without what it was asked and found.
///
/// An answer that failed, an event `error` and a stream that ends without its last event end as an
/// error. Nothing comes after the end or an error.
///
/// Memory: a few words for each item and part, and an item as it began until its first part begins.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Reader {
    started: bool,
    done: bool,
    pub(super) next_part: u32,
    pub(super) items: Vec<Item>,
    pub(super) seen: Seen,
}

impl Reader {
    /// A reader before the first event.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads one event.
    pub fn event(&mut self, event: &sse::Event<'_>, sink: Sink<'_>) {
        let data = event.data.trim();
        if self.done || data.is_empty() {
            return;
        }
        if data.starts_with("[DONE]") {
            return self.finish(sink);
        }
        let Ok(mut read) = Event::read(data) else {
            if event.name == "error" {
                return self.fail(error_of(data, None), sink);
            }
            return self.fail(broken("the upstream sent an event that is no JSON object"), sink);
        };
        if read.kind.is_empty() {
            read.kind = JsonStr::from_plain(event.name);
        }
        let kind = read.kind.clone();
        let kind = &*kind.decode();
        let untyped = kind.is_empty() || kind == "message";
        if kind == "error" || (untyped && (read.error.is_some() || read.complains)) {
            return self.fail(error_of(data, read.error.as_ref()), sink);
        }
        if let Err(Broken(reason)) = self.step(kind, &read, sink) {
            self.fail(broken(reason), sink);
        }
    }

    /// Ends the stream: call it when the upstream ends. An answer is complete when its last event
    /// came; else the stream ends as an error.
    pub fn finish(&mut self, sink: Sink<'_>) {
        if !self.done {
            self.fail(broken("the upstream ended the stream early"), sink);
        }
    }

    fn fail(&mut self, error: ApiError<'_>, sink: Sink<'_>) {
        self.done = true;
        sink(StreamEvent::Error(error));
    }

    fn step(&mut self, kind: &str, event: &Event<'_>, sink: Sink<'_>) -> Step {
        const FUNCTION: Shape = Shape::Call(ToolCallKind::Function);
        const CUSTOM: Shape = Shape::Call(ToolCallKind::Custom);
        let Some(kind) = kind.strip_prefix("response.") else { return Ok(()) };
        match kind {
            "created" | "queued" | "in_progress" => {
                self.start(event.response.as_ref(), sink);
                Ok(())
            }
            "output_text.delta" => self.delta(Shape::Message, open::Kind::Text, event, sink),
            "refusal.delta" => self.delta(Shape::Message, open::Kind::Refusal, event, sink),
            "reasoning_summary_text.delta" | "reasoning_summary.delta" => {
                self.delta(Shape::Reasoning, open::Kind::Summary, event, sink)
            }
            "reasoning_text.delta" | "reasoning.delta" => {
                self.delta(Shape::Reasoning, open::Kind::Thinking, event, sink)
            }
            "function_call_arguments.delta" => {
                self.delta(FUNCTION, open::Kind::Arguments, event, sink)
            }
            "custom_tool_call_input.delta" => {
                self.delta(CUSTOM, open::Kind::Arguments, event, sink)
            }
            "output_text.done" => self.whole(Shape::Message, open::Kind::Text, event, sink),
            "refusal.done" => self.whole(Shape::Message, open::Kind::Refusal, event, sink),
            "reasoning_summary_text.done" => {
                self.whole(Shape::Reasoning, open::Kind::Summary, event, sink)
            }
            "reasoning_text.done" => {
                self.whole(Shape::Reasoning, open::Kind::Thinking, event, sink)
            }
            "function_call_arguments.done" => {
                self.whole(FUNCTION, open::Kind::Arguments, event, sink)
            }
            "custom_tool_call_input.done" => self.whole(CUSTOM, open::Kind::Arguments, event, sink),
            "output_text.annotation.added" => self.annotation(event, sink),
            "content_part.added" => self.part_added(event, sink),
            "content_part.done" => self.part_done(event, sink),
            "output_item.added" => self.item_added(event, sink),
            "output_item.done" => self.item_done(event, sink),
            "completed" | "incomplete" | "done" => self.end(kind, event.response.as_ref(), sink),
            "failed" | "cancelled" => {
                let response = event.response.as_ref();
                usage(response, sink);
                let error = response.and_then(|raw| member_of(raw, "error"));
                self.fail(failure(error.or(event.error.clone()).as_ref()), sink);
                Ok(())
            }
            // The progress of tools that the vendor runs.
            _ => Ok(()),
        }
    }

    pub(super) fn start(&mut self, response: Option<&Raw<'_>>, sink: Sink<'_>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        let mut rest = Rest::default();
        let member = |name| response.and_then(|raw| member_of(raw, name));
        let text = |name| member(name).and_then(|raw| raw.source_str()).unwrap_or_default();
        if let Some(response) = response {
            rest.keep_source(response.borrow());
        }
        sink(StreamEvent::Start {
            id: text("id"),
            model: text("model"),
            created: member("created_at").and_then(|raw| raw.as_u64()),
            usage: None,
            rest,
        });
    }

    /// More of a text, of thinking or of arguments.
    fn delta(&mut self, shape: Shape, kind: open::Kind, event: &Event<'_>, sink: Sink<'_>) -> Step {
        let Some(at) = self.item(event.output_index, shape, sink)? else { return Ok(()) };
        let nth = self.piece(at, event.place, kind)?;
        self.say(at, nth, event.piece(), sink);
        if let Some(list) = &event.logprobs {
            self.logprobs(at, nth, list, sink);
        }
        Ok(())
    }

    fn whole(&mut self, shape: Shape, kind: open::Kind, event: &Event<'_>, sink: Sink<'_>) -> Step {
        let Some(at) = self.item(event.output_index, shape, sink)? else { return Ok(()) };
        let nth = self.piece(at, event.place, kind)?;
        self.say_rest(at, nth, &event.whole, sink);
        if let Some(list) = event.logprobs.as_ref().filter(|_| !self.items[at].pieces[nth].logprobs)
        {
            self.logprobs(at, nth, list, sink);
        }
        Ok(())
    }

    fn annotation(&mut self, event: &Event<'_>, sink: Sink<'_>) -> Step {
        let Some(at) = self.item(event.output_index, Shape::Message, sink)? else { return Ok(()) };
        let nth = self.piece(at, event.place, open::Kind::Text)?;
        if let Some(raw) = &event.annotation {
            self.cite(at, nth, raw, sink);
        }
        Ok(())
    }

    fn part_added(&mut self, event: &Event<'_>, sink: Sink<'_>) -> Step {
        let Some(piece) = piece_of(event) else { return Ok(()) };
        let Some(kind) = open::Kind::of(piece.form) else { return Ok(()) };
        let Some(at) = self.item(event.output_index, Shape::Message, sink)? else { return Ok(()) };
        let nth = self.piece(at, event.place, kind)?;
        self.part(at, nth, piece.rest, sink);
        self.say_rest(at, nth, &piece.text, sink);
        Ok(())
    }

    fn part_done(&mut self, event: &Event<'_>, sink: Sink<'_>) -> Step {
        let Some(piece) = piece_of(event).filter(|piece| open::Kind::of(piece.form).is_some())
        else {
            return Ok(());
        };
        let Some(at) = self.item(event.output_index, Shape::Message, sink)? else { return Ok(()) };
        self.complete(at, event.place, piece, sink)
    }

    fn item_added(&mut self, event: &Event<'_>, sink: Sink<'_>) -> Step {
        self.start(None, sink);
        let Some(item) = event.item.as_ref().and_then(output::Item::of) else { return Ok(()) };
        let shape = Shape::of(&item.body);
        let same = |known: &Item| {
            !known.done
                && known.shape == shape
                && known.index.is_some()
                && known.index == event.output_index
        };
        if self.items.iter().any(same) {
            return Ok(());
        }
        let begun = Kept::begun(&item.raw).filter(|_| shape != Shape::Other);
        let at = self.push(event.output_index, shape, begun)?;
        if let Body::Call(call) = item.body {
            self.call(at, call, false, sink)?;
        }
        Ok(())
    }

    fn item_done(&mut self, event: &Event<'_>, sink: Sink<'_>) -> Step {
        let Some(item) = event.item.as_ref().and_then(output::Item::of) else { return Ok(()) };
        match self.item(event.output_index, Shape::of(&item.body), sink)? {
            Some(at) => self.item_end(at, item, sink),
            None => Ok(()),
        }
    }

    /// The last event. Items that it repeats and that nobody told are told now.
    fn end(&mut self, kind: &str, response: Option<&Raw<'_>>, sink: Sink<'_>) -> Step {
        self.start(response, sink);
        let member = |name| response.and_then(|raw| member_of(raw, name));
        let status = member("status").and_then(|raw| raw.source_str());
        let status = status.unwrap_or_else(|| {
            let word = if kind == "incomplete" { "incomplete" } else { "completed" };
            JsonStr::from_plain(word)
        });
        if status == "failed" || status == "cancelled" {
            usage(response, sink);
            self.fail(failure(member("error").as_ref()), sink);
            return Ok(());
        }
        if let Some(list) = member("output") {
            self.fill(&list, sink)?;
        }
        self.close_all(sink)?;
        let known = finish::read(status, member("incomplete_details"), None, self.seen);
        // A status that is none of an end (`in_progress`) stands in the wrong event.
        let fallback = JsonStr::from_plain("completed");
        let stop = known.or_else(|| finish::read(fallback, None, None, self.seen));
        let mut rest = Rest::default();
        if let Some(kept) = response.and_then(envelope::kept) {
            rest.keep_source(kept);
        }
        if let Some(stop) = stop {
            sink(StreamEvent::Stop { candidate: 0, stop, rest });
        }
        usage(response, sink);
        self.done = true;
        sink(StreamEvent::End);
        Ok(())
    }

    /// Items stand in their order; where all were told before, numbers that do not fit say nothing.
    fn fill(&mut self, list: &Raw<'_>, sink: Sink<'_>) -> Step {
        let Some(mut c) = list.source_cursor() else { return Ok(()) };
        let mut listed = Vec::new();
        // The value was checked when it was cut.
        let _ = c.array(|_, c| {
            listed.push(c.raw()?);
            Ok(())
        });
        let some_are_missing =
            self.items.len() < listed.len() && self.items.iter().all(|item| item.index.is_some());
        for (index, raw) in (0..).zip(&listed) {
            let Some(item) = output::Item::of(raw) else { continue };
            let known = self.items.iter().position(|known| known.index == Some(index));
            match known {
                Some(at) if self.items[at].done => {}
                Some(at) if self.items[at].shape == Shape::of(&item.body) => {
                    self.item_end(at, item, sink)?;
                }
                None if some_are_missing => {
                    let at = self.push(Some(index), Shape::of(&item.body), None)?;
                    self.item_end(at, item, sink)?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Tells the writer of this protocol that the next summary of a thought begins.
pub(super) const NEXT_SUMMARY: &str = r#"{"type":"response.reasoning_summary_part.added"}"#;

/// Tells it that the next text of the thinking itself begins.
pub(super) const NEXT_THINKING: &str = r#"{"type":"response.content_part.added"}"#;

/// Tells the usage in an answer; one that failed has cost something too.
fn usage(response: Option<&Raw<'_>>, sink: Sink<'_>) {
    let usage = response.and_then(|raw| member_of(raw, "usage"));
    if let Some(usage) = usage.filter(|raw| raw.kind() == Kind::Object) {
        sink(StreamEvent::Usage(tokens::read(usage)));
    }
}

/// The part of a message in an event.
fn piece_of<'a>(event: &Event<'a>) -> Option<output::Piece<'a>> {
    output::Piece::read(&mut event.part.as_ref()?.source_cursor()?).ok()
}

/// An event `error`: OpenAI's own stands flat or in a member.
fn error_of<'a>(data: &'a str, member: Option<&Raw<'a>>) -> ApiError<'a> {
    let mut error = match member {
        Some(member) => openai_error::read_member(member),
        None => openai_error::read(StatusCode::OK, data),
    };
    // The type of the event is none of the error.
    error.type_word = error.type_word.filter(|word| word != "error");
    error
}

/// The `error` of an answer that failed.
fn failure<'a>(error: Option<&Raw<'a>>) -> ApiError<'a> {
    match error.filter(|raw| raw.as_str() != "null") {
        Some(error) => openai_error::read_member(error),
        None => broken(finish::FAILED),
    }
}
