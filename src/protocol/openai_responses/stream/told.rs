//! What was told of the items of a stream, and what is told of them now.

use super::open::{Item, Kind, MAX_ITEMS, Piece, Shape};
use super::reader::{NEXT_SUMMARY, NEXT_THINKING, Reader};
use crate::protocol::citation;
use crate::protocol::json::{JsonStr, Raw};
use crate::protocol::model::{Delta, PartStart, Rest, StreamEvent};
use crate::protocol::openai_responses::item_writer::{Kept, inside, logprobs_of};
use crate::protocol::openai_responses::output::{self, Body, Call, SEPARATOR, Thought};
use crate::protocol::stream_reader::{Broken, Sink, Step};
use crate::protocol::wire::is_empty_list;

impl Reader {
    /// The open item of an event, a new one where none is known. `None` for one that is done.
    pub(super) fn item(
        &mut self,
        index: Option<u64>,
        shape: Shape,
        sink: Sink<'_>,
    ) -> Step<Option<usize>> {
        self.start(None, sink);
        let here = |item: &Item| {
            item.shape == shape && (index.is_none() || item.index.is_none() || item.index == index)
        };
        if let Some(at) = self.items.iter().rposition(|item| here(item) && !item.done) {
            return Ok(Some(at));
        }
        if index.is_some() && self.items.iter().any(here) {
            return Ok(None);
        }
        self.push(index, shape, None).map(Some)
    }

    pub(super) fn push(
        &mut self,
        index: Option<u64>,
        shape: Shape,
        begun: Option<Raw<'static>>,
    ) -> Step<usize> {
        if self.items.len() == MAX_ITEMS {
            return Err(Broken("the upstream sent too many items"));
        }
        self.items.push(Item { index, shape, done: false, begun, pieces: Vec::new() });
        Ok(self.items.len() - 1)
    }

    /// A piece of an item, a new one where none is known.
    pub(super) fn piece(&mut self, at: usize, place: u64, kind: Kind) -> Step<usize> {
        let pieces = &mut self.items[at].pieces;
        if let Some(nth) = pieces.iter().rposition(|p| p.place == place && p.kind == kind) {
            return Ok(nth);
        }
        if pieces.len() == MAX_ITEMS {
            return Err(Broken("the upstream sent too many parts of an item"));
        }
        pieces.push(Piece::new(place, kind));
        Ok(pieces.len() - 1)
    }

    /// The part of the hub that a piece is of; begins it if need be. `None` where it cannot begin,
    /// or is not told.
    pub(super) fn part(
        &mut self,
        at: usize,
        nth: usize,
        rest: Rest<'_>,
        sink: Sink<'_>,
    ) -> Option<u32> {
        let Piece { kind, part, closed, .. } = self.items[at].pieces[nth];
        if closed || part.is_some() {
            return part.filter(|_| !closed);
        }
        let start = match kind {
            Kind::Text => PartStart::Text { citations: None },
            Kind::Refusal => {
                self.seen.refusal = true;
                PartStart::Refusal
            }
            Kind::Summary | Kind::Thinking => return self.thought(at, nth, sink),
            // It begins with its name.
            Kind::Arguments => return None,
        };
        let index = self.begin(at, start, rest, sink);
        self.items[at].pieces[nth].part = Some(index);
        Some(index)
    }

    /// The part of a thought. Its texts share it, summaries and the thinking itself.
    pub(super) fn thought(&mut self, at: usize, nth: usize, sink: Sink<'_>) -> Option<u32> {
        let kind = self.items[at].pieces[nth].kind;
        let first = self.items[at].pieces.iter().find_map(|piece| piece.part);
        let index = match first {
            Some(index) => {
                // A mark for the writer of this protocol, and an empty line for all others.
                let next = if kind == Kind::Thinking { NEXT_THINKING } else { NEXT_SUMMARY };
                let mark = Delta::Other(Raw::literal(next));
                sink(StreamEvent::Delta { index, delta: mark });
                let line = JsonStr::from_escaped(SEPARATOR.to_owned());
                sink(StreamEvent::Delta { index, delta: Delta::Reasoning(line) });
                index
            }
            None => {
                let (start, is_thinking) =
                    (PartStart::Reasoning { seal: None }, kind == Kind::Thinking);
                let index = self.begin_thought(at, start, is_thinking, sink);
                if is_thinking {
                    // Not every item has what is kept of it, to say so.
                    let mark = Delta::Other(Raw::literal(NEXT_THINKING));
                    sink(StreamEvent::Delta { index, delta: mark });
                }
                index
            }
        };
        self.items[at].pieces[nth].part = Some(index);
        Some(index)
    }

    pub(super) fn begin_thought(
        &mut self,
        at: usize,
        start: PartStart<'_>,
        thinking: bool,
        sink: Sink<'_>,
    ) -> u32 {
        let mut rest = Rest::default();
        self.keep(at, thinking, &mut rest);
        self.start_part(start, rest, sink)
    }

    /// Begins a part of an item; the first one keeps the item as it began.
    pub(super) fn begin(
        &mut self,
        at: usize,
        start: PartStart<'_>,
        mut rest: Rest<'_>,
        sink: Sink<'_>,
    ) -> u32 {
        self.keep(at, false, &mut rest);
        self.start_part(start, rest, sink)
    }

    /// Gives the first part of an item what is kept of it.
    fn keep(&mut self, at: usize, thinking: bool, rest: &mut Rest<'_>) {
        let begun = self.items[at].begun.take();
        if let Some(source) = begun.and_then(|begun| Kept::source(&begun, thinking)) {
            rest.keep_source(source);
        }
    }

    pub(super) fn start_part(
        &mut self,
        part: PartStart<'_>,
        rest: Rest<'_>,
        sink: Sink<'_>,
    ) -> u32 {
        let index = self.next_part;
        self.next_part += 1;
        sink(StreamEvent::PartStart { index, candidate: 0, part, rest });
        index
    }

    pub(super) fn say(&mut self, at: usize, nth: usize, text: &JsonStr<'_>, sink: Sink<'_>) {
        if text.is_empty() {
            return;
        }
        let Some(index) = self.part(at, nth, Rest::default(), sink) else { return };
        let piece = &mut self.items[at].pieces[nth];
        piece.said.add(text);
        let delta = match piece.kind {
            Kind::Text | Kind::Refusal => Delta::Text(text.borrow()),
            Kind::Summary | Kind::Thinking => Delta::Reasoning(text.borrow()),
            Kind::Arguments => Delta::Arguments(text.borrow()),
        };
        sink(StreamEvent::Delta { index, delta });
    }

    /// A whole text: what was not said of it is said now.
    pub(super) fn say_rest(&mut self, at: usize, nth: usize, whole: &JsonStr<'_>, sink: Sink<'_>) {
        let rest = self.items[at].pieces[nth].said.rest(whole);
        self.say(at, nth, &rest, sink);
    }

    /// Token probabilities have the form of Chat's, which the hub knows, but for the list.
    pub(super) fn logprobs(&mut self, at: usize, nth: usize, list: &Raw<'_>, sink: Sink<'_>) {
        let piece = &mut self.items[at].pieces[nth];
        if is_empty_list(list) || piece.part.is_none() {
            return;
        }
        piece.logprobs = true;
        if let Some(raw) = logprobs_of(inside(list)) {
            sink(StreamEvent::Logprobs { candidate: 0, raw });
        }
    }

    pub(super) fn cite(&mut self, at: usize, nth: usize, raw: &Raw<'_>, sink: Sink<'_>) {
        let Some(index) = self.part(at, nth, Rest::default(), sink) else { return };
        self.items[at].pieces[nth].annotations += 1;
        sink(StreamEvent::Delta { index, delta: Delta::Citation(raw.borrow()) });
    }

    /// A part of a message is complete.
    pub(super) fn complete(
        &mut self,
        at: usize,
        place: u64,
        piece: output::Piece<'_>,
        sink: Sink<'_>,
    ) -> Step {
        let Some(kind) = Kind::of(piece.form) else {
            let start = PartStart::Other { kind: piece.kind(), raw: piece.raw.borrow() };
            let index = self.begin(at, start, Rest::default(), sink);
            sink(StreamEvent::PartStop { index });
            return Ok(());
        };
        let nth = self.piece(at, place, kind)?;
        if self.items[at].pieces[nth].closed {
            return Ok(());
        }
        self.part(at, nth, piece.rest, sink);
        self.say_rest(at, nth, &piece.text, sink);
        let (mut count, given) = (0, self.items[at].pieces[nth].annotations);
        if let Some(list) = &piece.annotations {
            citation::each(list, |raw| {
                count += 1;
                if count > given {
                    self.cite(at, nth, &raw, sink);
                }
            });
        }
        if let Some(list) = piece.logprobs.filter(|_| !self.items[at].pieces[nth].logprobs) {
            self.logprobs(at, nth, &list, sink);
        }
        self.close(at, nth, sink);
        Ok(())
    }

    pub(super) fn close(&mut self, at: usize, nth: usize, sink: Sink<'_>) {
        let piece = &mut self.items[at].pieces[nth];
        if let Some(index) = piece.part.filter(|_| !std::mem::replace(&mut piece.closed, true)) {
            sink(StreamEvent::PartStop { index });
        }
    }

    /// What is known of a call. It begins when its name is known.
    pub(super) fn call(&mut self, at: usize, call: Call<'_>, last: bool, sink: Sink<'_>) -> Step {
        self.seen.call = true;
        let nth = self.piece(at, 0, Kind::Arguments)?;
        let Call { kind, call_id, name, arguments } = call;
        if self.items[at].pieces[nth].part.is_none() {
            if name.is_empty() {
                let reason = "a tool call came without its name";
                return if last { Err(Broken(reason)) } else { Ok(()) };
            }
            let start = PartStart::ToolCall { id: call_id, name, kind, seal: None, cache: None };
            let index = self.begin(at, start, Rest::default(), sink);
            self.items[at].pieces[nth].part = Some(index);
        }
        self.say_rest(at, nth, &arguments, sink);
        if last {
            self.close(at, nth, sink);
        }
        Ok(())
    }

    /// An item is complete.
    pub(super) fn item_end(&mut self, at: usize, item: output::Item<'_>, sink: Sink<'_>) -> Step {
        let output::Item { body, raw, .. } = item;
        let known = &mut self.items[at];
        if !known.pieces.iter().any(|piece| piece.part.is_some()) && known.shape != Shape::Other {
            // Nothing of it was told: now there is more to keep than when it began.
            known.begun = Kept::begun(&raw);
        }
        match body {
            Body::Message(pieces) => {
                for (place, piece) in (0..).zip(pieces) {
                    self.complete(at, place, piece, sink)?;
                }
                self.end_message(at, sink);
            }
            Body::Reasoning(thought) => self.end_thought(at, &thought, sink)?,
            Body::Call(call) => self.call(at, call, true, sink)?,
            Body::Other(kind) => {
                let start = PartStart::Other { kind, raw };
                let index = self.start_part(start, Rest::default(), sink);
                sink(StreamEvent::PartStop { index });
            }
        }
        self.items[at].done = true;
        Ok(())
    }

    /// Closes what is open of a message. One without parts is an empty text: it was there.
    pub(super) fn end_message(&mut self, at: usize, sink: Sink<'_>) {
        for nth in 0..self.items[at].pieces.len() {
            self.close(at, nth, sink);
        }
        if self.items[at].pieces.is_empty() {
            let start = PartStart::Text { citations: None };
            let index = self.begin(at, start, Rest::default(), sink);
            sink(StreamEvent::PartStop { index });
        }
    }

    pub(super) fn end_thought(&mut self, at: usize, thought: &Thought<'_>, sink: Sink<'_>) -> Step {
        let told = self.items[at].pieces.iter().rfind(|piece| piece.part.is_some());
        let mut lists = [(Kind::Summary, &thought.summary), (Kind::Thinking, &thought.content)];
        if told.is_some_and(|piece| piece.kind == Kind::Thinking) {
            // What was being told goes on first.
            lists.reverse();
        }
        for (kind, list) in lists {
            for (place, text) in (0..).zip(&list.texts) {
                let nth = self.piece(at, place, kind)?;
                self.say_rest(at, nth, text, sink);
            }
        }
        let told = self.items[at].pieces.iter().find_map(|piece| piece.part);
        let index = match told {
            Some(index) => index,
            None => self.begin_thought(at, PartStart::Reasoning { seal: None }, false, sink),
        };
        if let Some(seal) = &thought.seal {
            sink(StreamEvent::Delta { index, delta: Delta::Seal(seal.clone()) });
        }
        self.items[at].pieces.iter_mut().for_each(|piece| piece.closed = true);
        sink(StreamEvent::PartStop { index });
        Ok(())
    }

    /// Closes what no event ended.
    pub(super) fn close_all(&mut self, sink: Sink<'_>) -> Step {
        for at in 0..self.items.len() {
            if self.items[at].done {
                continue;
            }
            match self.items[at].shape {
                Shape::Message => self.end_message(at, sink),
                Shape::Reasoning => self.end_thought(at, &Thought::default(), sink)?,
                Shape::Call(_) => {
                    if self.items[at].pieces.iter().all(|piece| piece.part.is_none()) {
                        return Err(Broken("a tool call came without its name"));
                    }
                    self.close(at, 0, sink);
                }
                Shape::Other => {}
            }
            self.items[at].done = true;
        }
        Ok(())
    }
}
