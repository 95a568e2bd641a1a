//! An item on its way.

use bytes::BytesMut;

use super::reader::NEXT_TEXT;
use crate::protocol::json::{JsonStr, ObjectWriter, Raw};
use crate::protocol::model::{Delta, Rest, ToolCallKind};
use crate::protocol::openai_responses::citation;
use crate::protocol::openai_responses::item_writer::{
    Frame, Kept, TextPart, arguments_member, push_list, push_quoted, write_words,
};
use crate::protocol::openai_responses::output::SEPARATOR;
use crate::protocol::openai_responses::parts_writer::{fits, text_type};
use crate::protocol::openai_responses::wire::push;

/// Writes the events of a stream, each with its number.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Events {
    next: u64,
}

impl Events {
    /// Appends an event; `fill` writes the members behind `type` and `sequence_number`.
    pub(super) fn write(
        &mut self,
        name: &str,
        out: &mut BytesMut,
        fill: impl FnOnce(&mut ObjectWriter<'_>),
    ) {
        for piece in ["event: ", name, "\ndata: "] {
            push(out, piece);
        }
        let mut object = ObjectWriter::begin(out);
        object.plain("type", name);
        object.u64("sequence_number", self.next);
        self.next += 1;
        fill(&mut object);
        object.end();
        push(out, "\n\n");
    }
}

/// An item, from its first event to its last, and then what the last event of the stream repeats.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Item {
    id: JsonStr<'static>,
    at: u64,
    kept: Option<Kept<'static>>,
    pub(super) body: Body,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Body {
    Message(Message),
    Thought(Thought),
    Call(Call),
    /// Complete, as it is written.
    Done(BytesMut),
}

/// A message; its texts stand in a row.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Message {
    /// The complete parts, as they are written.
    contents: BytesMut,
    count: u64,
    open: Option<Words>,
}

/// The open text or refusal of a message.
#[derive(Debug, Default, Clone, PartialEq)]
struct Words {
    refusal: bool,
    /// Escaped, as all texts here.
    text: String,
    annotations: String,
    annotated: u64,
    logprobs: String,
    /// Citations that stand for the whole of the text, whose end is not known yet.
    waiting: Vec<Raw<'static>>,
    rest: Rest<'static>,
}

/// An item of thinking.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Thought {
    texts: BytesMut,
    count: u64,
    open: Option<String>,
    /// The next piece only parts two texts.
    skip: bool,
    seal: Option<JsonStr<'static>>,
}

/// A call of a tool.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Call {
    pub(super) kind: ToolCallKind,
    pub(super) call_id: JsonStr<'static>,
    pub(super) name: JsonStr<'static>,
    arguments: String,
}

impl Call {
    pub(super) fn new(kind: ToolCallKind, call_id: JsonStr<'_>, name: &JsonStr<'_>) -> Self {
        let (call_id, name) = (call_id.into_owned(), name.clone().into_owned());
        Self { kind, call_id, name, arguments: String::new() }
    }
}

impl Item {
    pub(super) fn new(
        id: JsonStr<'static>,
        at: u64,
        kept: Option<Kept<'static>>,
        body: Body,
    ) -> Self {
        Self { id, at, kept, body }
    }

    /// The item as it is written now; `status` is its own.
    fn json(&self, status: &str, out: &mut BytesMut) {
        let frame = Frame { id: &self.id, status, kept: self.kept.as_ref() };
        match &self.body {
            Body::Message(message) => frame.message(out, |list| {
                if !message.contents.is_empty() {
                    list.item().extend_from_slice(&message.contents);
                }
            }),
            Body::Thought(thought) => frame.reasoning(out, thought.seal.as_ref(), |list| {
                if !thought.texts.is_empty() {
                    list.item().extend_from_slice(&thought.texts);
                }
            }),
            Body::Call(call) => {
                frame.call(out, call.kind, (&call.call_id, &call.name), &call.arguments);
            }
            Body::Done(json) => out.extend_from_slice(json),
        }
    }

    /// Its first event.
    pub(super) fn added(&self, events: &mut Events, out: &mut BytesMut) {
        events.write("response.output_item.added", out, |event| {
            event.u64("output_index", self.at);
            self.json("in_progress", event.key("item"));
        });
    }

    /// Its last event. Gives how many bytes are kept of it.
    pub(super) fn done(&mut self, status: &str, events: &mut Events, out: &mut BytesMut) -> usize {
        let mut json = BytesMut::new();
        self.json(status, &mut json);
        events.write("response.output_item.done", out, |event| {
            event.u64("output_index", self.at);
            event.key("item").extend_from_slice(&json);
        });
        let size = json.len();
        self.body = Body::Done(json);
        size
    }

    /// Starts an event inside of the item.
    fn event(
        &self,
        name: &str,
        place: Option<(&str, u64)>,
        events: &mut Events,
        out: &mut BytesMut,
        fill: impl FnOnce(&mut ObjectWriter<'_>),
    ) {
        events.write(name, out, |event| {
            event.str("item_id", &self.id);
            event.u64("output_index", self.at);
            if let Some((name, place)) = place {
                event.u64(name, place);
            }
            fill(event);
        });
    }

    /// Begins a text or a refusal of a message.
    pub(super) fn open_words(
        &mut self,
        refusal: bool,
        rest: Rest<'static>,
        events: &mut Events,
        out: &mut BytesMut,
    ) {
        let Body::Message(message) = &mut self.body else { return };
        let words = Words { refusal, rest, ..Words::default() };
        let place = message.count;
        message.open = Some(words.clone());
        self.event("response.content_part.added", content(place), events, out, |event| {
            words.json(event.key("part"));
        });
    }

    /// Whether a text of the message is open.
    pub(super) fn is_open(&self) -> bool {
        matches!(&self.body, Body::Message(Message { open: Some(_), .. }))
    }

    /// More of the item. Gives how many bytes are kept of it.
    pub(super) fn delta(
        &mut self,
        delta: &Delta<'_>,
        own: bool,
        events: &mut Events,
        out: &mut BytesMut,
    ) -> usize {
        match (&self.body, delta) {
            (Body::Message(_), Delta::Text(text)) => self.words(text, events, out),
            (Body::Message(_), Delta::Citation(raw)) => self.cite(raw, own, events, out),
            (Body::Thought(_), Delta::Reasoning(text)) => self.think(text, events, out),
            (Body::Thought(_), Delta::Seal(seal)) if fits(seal) => {
                let Body::Thought(thought) = &mut self.body else { return 0 };
                let data = seal.data.clone().into_owned();
                let size = data.escaped().len();
                thought.seal = Some(data);
                size
            }
            (Body::Thought(_), Delta::Other(raw)) if own && raw.as_str() == NEXT_TEXT => {
                self.close_thought(events, out);
                let Body::Thought(thought) = &mut self.body else { return 0 };
                thought.skip = true;
                0
            }
            (Body::Call(_), Delta::Arguments(text)) => self.arguments(text, events, out),
            _ => 0,
        }
    }

    fn words(&mut self, text: &JsonStr<'_>, events: &mut Events, out: &mut BytesMut) -> usize {
        let Body::Message(Message { open: Some(words), count, .. }) = &mut self.body else {
            return 0;
        };
        if text.is_empty() {
            return 0;
        }
        words.text.push_str(text.escaped());
        let (place, refusal) = (content(*count), words.refusal);
        if refusal {
            self.event("response.refusal.delta", place, events, out, |e| e.str("delta", text));
        } else {
            self.event("response.output_text.delta", place, events, out, |event| {
                event.str("delta", text);
                event.array("logprobs", |_| {});
            });
        }
        text.escaped().len()
    }

    /// Token probabilities come behind their text: they go with an empty one.
    pub(super) fn logprobs(
        &mut self,
        list: &str,
        events: &mut Events,
        out: &mut BytesMut,
    ) -> usize {
        let Body::Message(Message { open: Some(words), count, .. }) = &mut self.body else {
            return 0;
        };
        if words.refusal || list.is_empty() {
            return 0;
        }
        if !words.logprobs.is_empty() {
            words.logprobs.push(',');
        }
        words.logprobs.push_str(list);
        let place = content(*count);
        self.event("response.output_text.delta", place, events, out, |event| {
            event.plain("delta", "");
            push_list(event.key("logprobs"), list);
        });
        list.len()
    }

    fn cite(&mut self, raw: &Raw<'_>, own: bool, events: &mut Events, out: &mut BytesMut) -> usize {
        let mut json = BytesMut::new();
        if own {
            push(&mut json, raw.as_str());
        } else if citation::has_span(raw) {
            citation::write(raw, 0, &mut json);
        } else if citation::is_known(raw) {
            let Body::Message(Message { open: Some(words), .. }) = &mut self.body else { return 0 };
            words.waiting.push(raw.clone().into_owned());
            return raw.as_str().len();
        }
        self.annotate(&json, events, out)
    }

    fn annotate(&mut self, json: &BytesMut, events: &mut Events, out: &mut BytesMut) -> usize {
        let Body::Message(Message { open: Some(words), count, .. }) = &mut self.body else {
            return 0;
        };
        let text = std::str::from_utf8(json).unwrap_or_default();
        if words.refusal || text.is_empty() {
            return 0;
        }
        if words.annotated > 0 {
            words.annotations.push(',');
        }
        words.annotations.push_str(text);
        let nth = words.annotated;
        words.annotated += 1;
        let place = content(*count);
        self.event("response.output_text.annotation.added", place, events, out, |event| {
            event.u64("annotation_index", nth);
            push(event.key("annotation"), text);
        });
        text.len()
    }

    /// Ends the open text of a message.
    fn close_words(&mut self, events: &mut Events, out: &mut BytesMut) {
        let Body::Message(Message { open: Some(words), .. }) = &mut self.body else { return };
        let waiting = std::mem::take(&mut words.waiting);
        let length = match waiting.is_empty() {
            true => 0,
            false => JsonStr::from_escaped(words.text.clone()).decode().chars().count() as u64,
        };
        for raw in waiting {
            let mut json = BytesMut::new();
            citation::write(&raw, length, &mut json);
            self.annotate(&json, events, out);
        }
        let Body::Message(message) = &mut self.body else { return };
        let Some(words) = message.open.take() else { return };
        let place = content(message.count);
        message.count += 1;
        if !message.contents.is_empty() {
            push(&mut message.contents, ",");
        }
        words.json(&mut message.contents);
        if words.refusal {
            self.event("response.refusal.done", place, events, out, |event| {
                push_quoted(event.key("refusal"), &words.text);
            });
        } else {
            self.event("response.output_text.done", place, events, out, |event| {
                push_quoted(event.key("text"), &words.text);
                push_list(event.key("logprobs"), &words.logprobs);
            });
        }
        self.event("response.content_part.done", place, events, out, |event| {
            words.json(event.key("part"));
        });
    }

    /// The name of an event of thinking, and where its text stands.
    fn of_thought(
        &self,
        summary: &'static str,
        thinking: &'static str,
    ) -> (&'static str, &'static str) {
        match text_type(self.kept.as_ref()) {
            "reasoning_text" => (thinking, "content_index"),
            _ => (summary, "summary_index"),
        }
    }

    fn think(&mut self, text: &JsonStr<'_>, events: &mut Events, out: &mut BytesMut) -> usize {
        let Body::Thought(thought) = &mut self.body else { return 0 };
        let parts_two = std::mem::take(&mut thought.skip) && text.escaped() == SEPARATOR;
        if text.is_empty() || parts_two {
            return 0;
        }
        let place = thought.count;
        let begins = thought.open.is_none();
        thought.open.get_or_insert_default().push_str(text.escaped());
        let kind = text_type(self.kept.as_ref());
        if begins {
            let (name, member) = self
                .of_thought("response.reasoning_summary_part.added", "response.content_part.added");
            self.event(name, Some((member, place)), events, out, |event| {
                write_words(event.key("part"), kind, "text", "", None);
            });
        }
        let (name, member) = self
            .of_thought("response.reasoning_summary_text.delta", "response.reasoning_text.delta");
        self.event(name, Some((member, place)), events, out, |event| event.str("delta", text));
        text.escaped().len()
    }

    /// Ends the open text of a thought.
    fn close_thought(&mut self, events: &mut Events, out: &mut BytesMut) {
        let kind = text_type(self.kept.as_ref());
        let Body::Thought(thought) = &mut self.body else { return };
        let Some(text) = thought.open.take() else { return };
        let place = thought.count;
        thought.count += 1;
        if !thought.texts.is_empty() {
            push(&mut thought.texts, ",");
        }
        write_words(&mut thought.texts, kind, "text", &text, None);
        let (name, member) =
            self.of_thought("response.reasoning_summary_text.done", "response.reasoning_text.done");
        self.event(name, Some((member, place)), events, out, |event| {
            push_quoted(event.key("text"), &text);
        });
        let (name, member) =
            self.of_thought("response.reasoning_summary_part.done", "response.content_part.done");
        self.event(name, Some((member, place)), events, out, |event| {
            write_words(event.key("part"), kind, "text", &text, None);
        });
    }

    fn arguments(&mut self, text: &JsonStr<'_>, events: &mut Events, out: &mut BytesMut) -> usize {
        let Body::Call(call) = &mut self.body else { return 0 };
        if text.is_empty() {
            return 0;
        }
        call.arguments.push_str(text.escaped());
        let name = match call.kind {
            ToolCallKind::Function => "response.function_call_arguments.delta",
            ToolCallKind::Custom => "response.custom_tool_call_input.delta",
        };
        self.event(name, None, events, out, |event| event.str("delta", text));
        text.escaped().len()
    }

    /// Ends the arguments of a call. A function without any gets `{}`: clients parse what they get.
    fn close_call(&mut self, own: bool, events: &mut Events, out: &mut BytesMut) {
        let Body::Call(call) = &self.body else { return };
        let kind = call.kind;
        if call.arguments.is_empty() && kind == ToolCallKind::Function && !own {
            self.arguments(&JsonStr::from_plain("{}"), events, out);
        }
        let Body::Call(call) = &self.body else { return };
        let name = match kind {
            ToolCallKind::Function => "response.function_call_arguments.done",
            ToolCallKind::Custom => "response.custom_tool_call_input.done",
        };
        self.event(name, None, events, out, |event| {
            // The SDK's type has it, OpenAI's own streams have not always.
            if kind == ToolCallKind::Function {
                event.str("name", &call.name);
            }
            push_quoted(event.key(arguments_member(kind)), &call.arguments);
        });
    }

    /// Ends what is open inside of the item.
    pub(super) fn close(&mut self, own: bool, events: &mut Events, out: &mut BytesMut) {
        match &self.body {
            Body::Message(_) => self.close_words(events, out),
            Body::Thought(_) => self.close_thought(events, out),
            Body::Call(_) => self.close_call(own, events, out),
            Body::Done(_) => {}
        }
    }
}

fn content(place: u64) -> Option<(&'static str, u64)> {
    Some(("content_index", place))
}

impl Words {
    fn json(&self, out: &mut BytesMut) {
        let rest = (!self.rest.0.is_empty()).then_some(&self.rest);
        if self.refusal {
            return write_words(out, "refusal", "refusal", &self.text, rest);
        }
        let Self { text, annotations, logprobs, .. } = self;
        TextPart { text, annotations, logprobs }.write(out, rest);
    }
}
