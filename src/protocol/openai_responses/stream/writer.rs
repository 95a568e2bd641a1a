use bytes::BytesMut;

use super::frame::{Head, write_error};
use super::item::{Body, Call, Events, Item};
use super::message::Message;
use super::thought::Thought;
use crate::protocol::citation;
use crate::protocol::json::{JsonStr, Raw};
use crate::protocol::model::{
    ApiError, Delta, FaultKind, Media, PartStart, Rest, Stop, StopReason, StreamEvent, Usage,
};
use crate::protocol::openai_responses::finish::{self, FAILED, State};
use crate::protocol::openai_responses::item_writer::{Frame, Kept, call_prefix, logprobs_inside};
use crate::protocol::openai_responses::namespaces::Namespaces;
use crate::protocol::openai_responses::parts_writer::image_data;
use crate::protocol::wire::push;
use crate::protocol::{Answer, Protocol};
use crate::sse;

/// Writes a stream.
///
/// Items have their numbers in the order in which they begin, and parts that overlap are items that
/// overlap. Texts in a row are one message. An item keeps its id from its first event to the last of
/// the stream, which repeats all items and comes when the usage is known. The last item waits with
/// its end for the reason: an answer that was cut has an incomplete one. Thinking goes as a summary,
/// its seal as `encrypted_content`. Only the first candidate is written; tools that another vendor
/// ran and unknown pieces are left out. A ping is a comment. Nothing is written after the end.
///
/// Where the upstream speaks Responses too ([`Answer::origin`]), ids, usage and unknown members come
/// back as they stood.
///
/// Memory: the items of the answer, up to [`Answer::max_accumulated`] bytes, each byte that is kept
/// counted once and an empty item by its size; beyond it the stream ends with an error.
#[derive(Debug, Clone, PartialEq)]
pub struct Writer {
    answer: Answer,
    namespaces: Namespaces,
    events: Events,
    phase: Phase,
    head: Head,
    items: Vec<Item>,
    /// Parts of the hub and their items.
    open: Vec<(u32, usize)>,
    /// The message that further texts go to.
    message: Option<usize>,
    /// The item that is complete but may be the last.
    ended: Option<usize>,
    /// Bytes that the items keep.
    held: usize,
    refused: bool,
    stop: Option<(Stop<'static>, Rest<'static>)>,
    usage: Option<Usage<'static>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Before `response.created`.
    New,
    /// Items may come.
    Items,
    /// After the last event.
    Done,
}

impl Writer {
    /// A writer before the first event.
    #[must_use]
    pub fn new(answer: Answer) -> Self {
        Self {
            namespaces: Namespaces::of(&answer.echo),
            answer,
            events: Events::default(),
            phase: Phase::New,
            head: Head::default(),
            items: Vec::new(),
            open: Vec::new(),
            message: None,
            ended: None,
            held: 0,
            refused: false,
            stop: None,
            usage: None,
        }
    }

    /// Whether the end or an error was written.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.phase == Phase::Done
    }

    /// Writes what the event is in Responses; that may be nothing.
    pub fn write(&mut self, event: StreamEvent<'_>, out: &mut BytesMut) {
        match event {
            _ if self.is_done() => {}
            StreamEvent::Start { id, model, created, usage, rest } => {
                self.start(&id, &model, created, &rest, out);
                self.see(usage);
            }
            StreamEvent::PartStart { index, candidate: 0, part, rest } => {
                self.part_start(index, &part, &rest, out);
            }
            StreamEvent::Delta { index, delta } => self.delta(index, &delta, out),
            StreamEvent::PartStop { index } => self.part_stop(index, out),
            StreamEvent::Logprobs { candidate: 0, raw } => self.logprobs(&raw, out),
            StreamEvent::Stop { candidate: 0, stop, rest } => self.stop(stop, rest, out),
            StreamEvent::Usage(usage) => self.see(Some(usage)),
            StreamEvent::Ping => sse::comment(out, "ping"),
            StreamEvent::Error(error) => self.error(&error, out),
            StreamEvent::End => self.end(out),
            StreamEvent::PartStart { .. }
            | StreamEvent::Logprobs { .. }
            | StreamEvent::Stop { .. } => {}
        }
    }

    /// Whether the upstream speaks Responses too: then what only it understands is put back.
    fn own(&self) -> bool {
        self.answer.origin == Some(Protocol::OpenAiResponses)
    }

    fn see(&mut self, usage: Option<Usage<'_>>) {
        if let Some(usage) = usage {
            let counts = usage.counts();
            let raw = usage.raw.filter(|_| self.own()).map(Raw::into_owned);
            self.usage = Some(Usage { raw, ..counts });
        }
    }

    fn start(
        &mut self,
        id: &JsonStr<'_>,
        model: &JsonStr<'_>,
        created: Option<u64>,
        rest: &Rest<'_>,
        out: &mut BytesMut,
    ) {
        if self.phase != Phase::New {
            return;
        }
        self.phase = Phase::Items;
        let own = self.own();
        self.head = Head::new((id, model), created, rest, own, &mut self.answer);
        self.head.first(&mut self.events, out);
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
        if self.stop.is_some() {
            return;
        }
        let kept = Kept::of(rest).filter(|_| self.own());
        match part {
            PartStart::Text { citations } => {
                self.words(index, false, kept, rest, out);
                if let Some(list) = citations {
                    citation::each(&list.borrow(), |raw| {
                        self.delta(index, &Delta::Citation(raw), out);
                    });
                }
            }
            PartStart::Refusal => {
                self.refused = true;
                self.words(index, true, kept, rest, out);
            }
            PartStart::Reasoning { seal } => {
                let is_thinking = kept.as_ref().is_some_and(|kept| kept.thinking);
                let at = self.push("rs_", kept, Body::Thought(Thought::new(is_thinking)), out);
                self.open.push((index, at));
                if let Some(seal) = seal {
                    self.delta(index, &Delta::Seal(seal.clone()), out);
                }
            }
            PartStart::ToolCall { id, name, kind, .. } => {
                let id = if id.is_empty() && !self.own() {
                    JsonStr::from_plain(self.answer.ids.make("call_"))
                } else {
                    id.borrow()
                };
                let call = Call::new(*kind, id, name);
                let call = match self.namespaces.split(name).filter(|_| !self.own()) {
                    Some((namespace, name)) => call.within(namespace, name),
                    None => call,
                };
                let at = self.push(call_prefix(*kind), kept, Body::Call(call), out);
                self.open.push((index, at));
            }
            PartStart::Media(media) => self.media(media, out),
            PartStart::Other { raw, .. } if self.own() => {
                self.whole(raw.as_str(), raw.as_str(), out);
            }
            PartStart::Other { .. } => {}
        }
        self.check_limit(out);
    }

    /// Begins an item, behind the end of those that waited to be the last.
    fn push(
        &mut self,
        prefix: &str,
        kept: Option<Kept<'_>>,
        body: Body,
        out: &mut BytesMut,
    ) -> usize {
        self.settle("completed", out);
        let id = match kept.as_ref().and_then(Kept::id) {
            Some(id) => id.into_owned(),
            None => JsonStr::from_plain(self.answer.ids.make(prefix)),
        };
        let at = self.items.len();
        let kept = kept.map(Kept::into_owned);
        let item = Item::new(id, at as u64, kept, body);
        self.held += item.held();
        item.added(&mut self.events, out);
        self.items.push(item);
        at
    }

    /// Changes an item, and counts what is kept of it now.
    fn change(&mut self, at: usize, change: impl FnOnce(&mut Item, &mut Events)) {
        let item = &mut self.items[at];
        self.held -= item.held();
        change(item, &mut self.events);
        self.held += item.held();
    }

    /// Ends the items that are complete; `status` is the last one's.
    fn settle(&mut self, status: &str, out: &mut BytesMut) {
        if let Some(at) = self.message.filter(|at| !self.items[*at].is_open()) {
            self.message = None;
            self.finish(at, status, out);
        }
        // An open message ends when its text does.
        self.message = None;
        if let Some(at) = self.ended.take() {
            self.finish(at, status, out);
        }
    }

    fn finish(&mut self, at: usize, status: &str, out: &mut BytesMut) {
        let is_last = at + 1 == self.items.len();
        let status = if is_last { status } else { "completed" };
        self.change(at, |item, events| item.done(status, events, out));
    }

    /// Begins a text or a refusal, in the message before it where that is open to it.
    fn words(
        &mut self,
        index: u32,
        refusal: bool,
        kept: Option<Kept<'_>>,
        rest: &Rest<'_>,
        out: &mut BytesMut,
    ) {
        let own_rest = match &kept {
            Some(kept) => kept.without(rest),
            None => Rest::new(rest.0.clone()),
        };
        let rest = if self.own() { own_rest.into_owned() } else { Rest::default() };
        let goes_on = self.message.filter(|at| kept.is_none() && !self.items[*at].is_open());
        let at = match goes_on {
            Some(at) => at,
            None => self.push("msg_", kept, Body::Message(Message::default()), out),
        };
        self.message = Some(at);
        self.open.push((index, at));
        self.change(at, |item, events| item.open_words(refusal, rest, events, out));
    }

    fn media(&mut self, media: &Media<'_>, out: &mut BytesMut) {
        let Some(data) = image_data(media) else { return };
        let id = JsonStr::from_plain(self.answer.ids.make("ig_"));
        let (mut begun, mut done) = (BytesMut::new(), BytesMut::new());
        Frame { id: &id, status: "in_progress", kept: None }.image(&mut begun, None);
        Frame { id: &id, status: "completed", kept: None }.image(&mut done, Some(data));
        let text = |json: &BytesMut| String::from_utf8(json.to_vec()).unwrap_or_default();
        self.whole(&text(&begun), &text(&done), out);
    }

    /// An item that is complete as it begins.
    fn whole(&mut self, begun: &str, done: &str, out: &mut BytesMut) {
        self.settle("completed", out);
        let at = self.items.len() as u64;
        for (name, json) in
            [("response.output_item.added", begun), ("response.output_item.done", done)]
        {
            self.events.write(name, out, |event| {
                event.u64("output_index", at);
                push(event.key("item"), json);
            });
        }
        let item = Item::new(JsonStr::default(), at, None, Body::Done(BytesMut::from(done)));
        self.held += item.held();
        self.items.push(item);
    }

    fn delta(&mut self, index: u32, delta: &Delta<'_>, out: &mut BytesMut) {
        if self.is_done() {
            return;
        }
        let Some(&(_, at)) = self.open.iter().rfind(|(part, _)| *part == index) else { return };
        let own = self.own();
        self.change(at, |item, events| item.delta(delta, own, events, out));
        self.check_limit(out);
    }

    fn logprobs(&mut self, raw: &Raw<'_>, out: &mut BytesMut) {
        if let Some(at) = self.message {
            self.change(at, |item, events| item.logprobs(logprobs_inside(raw), events, out));
            self.check_limit(out);
        }
    }

    fn check_limit(&mut self, out: &mut BytesMut) {
        if self.held > self.answer.max_accumulated && !self.is_done() {
            let message = "the answer is larger than the gateway repeats";
            self.error(&ApiError::new(FaultKind::Upstream, message), out);
        }
    }

    fn part_stop(&mut self, index: u32, out: &mut BytesMut) {
        if self.is_done() {
            return;
        }
        let Some(nth) = self.open.iter().rposition(|(part, _)| *part == index) else { return };
        let (_, at) = self.open.remove(nth);
        let own = self.own();
        self.change(at, |item, events| item.close(own, events, out));
        if self.message != Some(at) {
            if at + 1 == self.items.len() {
                self.ended = Some(at);
            } else {
                self.finish(at, "completed", out);
            }
        }
        self.check_limit(out);
    }

    fn stop(&mut self, stop: Stop<'_>, rest: Rest<'_>, out: &mut BytesMut) {
        self.ensure_started(out);
        if self.stop.is_some() {
            return;
        }
        if stop.reason == StopReason::Error {
            let message = finish::failure_words(&stop).unwrap_or(JsonStr::from_plain(FAILED));
            let message = message.decode().into_owned();
            return self.error(&ApiError::new(FaultKind::Upstream, message), out);
        }
        while let Some((part, _)) = self.open.first().copied() {
            self.part_stop(part, out);
            if self.is_done() {
                return;
            }
        }
        let own = self.own();
        if let Some(words) = finish::refusal_words(&stop).filter(|_| !own && !self.refused) {
            self.refused = true;
            self.words(u32::MAX, true, None, &Rest::default(), out);
            self.delta(u32::MAX, &Delta::Text(words), out);
            self.part_stop(u32::MAX, out);
        }
        if self.is_done() {
            return;
        }
        let status = State::of(Some(&stop), self.refused, own).of_last_item();
        self.settle(status, out);
        self.check_limit(out);
        let rest = if own { rest.into_owned() } else { Rest::default() };
        self.stop = Some((stop.into_owned(), rest));
    }

    fn end(&mut self, out: &mut BytesMut) {
        self.stop(Stop::new(StopReason::End), Rest::default(), out);
        if self.is_done() {
            return;
        }
        let Some((stop, rest)) = self.stop.take() else { return };
        self.head.update(&rest);
        let state = State::of(Some(&stop), self.refused, self.own());
        self.last(&state, out);
    }

    /// Items that were not complete are not ended: a client might run half a call.
    fn error(&mut self, error: &ApiError<'_>, out: &mut BytesMut) {
        self.ensure_started(out);
        let state = write_error(error, &mut self.events, out);
        self.last(&state, out);
    }

    fn last(&mut self, state: &State<'_>, out: &mut BytesMut) {
        self.phase = Phase::Done;
        let items = std::mem::take(&mut self.items);
        self.head.last(state, &items, self.usage.as_ref(), &mut self.events, out);
    }
}
