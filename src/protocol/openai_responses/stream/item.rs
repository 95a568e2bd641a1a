//! An item on its way.

use bytes::BytesMut;

use super::message::Message;
use super::reader::{NEXT_SUMMARY, NEXT_THINKING};
use super::thought::Thought;
use crate::protocol::json::{JsonStr, ObjectWriter};
use crate::protocol::model::{Delta, Rest, ToolCallKind};
use crate::protocol::openai_responses::item_writer::{
    Called, Frame, Kept, arguments_member, push_quoted,
};
use crate::protocol::openai_responses::parts_writer::fits;
use crate::protocol::wire::push;

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

/// Where the events inside of an item go.
pub(super) struct Inside<'i> {
    id: &'i JsonStr<'static>,
    at: u64,
    events: &'i mut Events,
    out: &'i mut BytesMut,
}

impl Inside<'_> {
    /// Appends an event of the item; `place` is the index of a part in it.
    pub(super) fn event(
        &mut self,
        name: &str,
        place: Option<(&str, u64)>,
        fill: impl FnOnce(&mut ObjectWriter<'_>),
    ) {
        let Self { id, at, events, out } = self;
        events.write(name, out, |event| {
            event.str("item_id", id);
            event.u64("output_index", *at);
            if let Some((name, place)) = place {
                event.u64(name, place);
            }
            fill(event);
        });
    }
}

/// An item, from its first event to its last, and then what the last event of the stream repeats.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Item {
    id: JsonStr<'static>,
    at: u64,
    kept: Option<Kept<'static>>,
    body: Body,
}

/// What an item counts toward the limit beside its words, so that many empty ones are bounded too.
pub(in crate::protocol::openai_responses) const ITEM_OVERHEAD: usize = size_of::<Item>();

/// What an item is. Texts in it are escaped.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Body {
    Message(Message),
    Thought(Thought),
    Call(Call),
    /// Complete, as it is written.
    Done(BytesMut),
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

    /// The item as the last event repeats it; `None` as long as it is not complete.
    pub(super) fn complete(&self) -> Option<&[u8]> {
        match &self.body {
            Body::Done(json) => Some(json),
            _ => None,
        }
    }

    /// The item as it is written now.
    fn json(&self, status: &str, out: &mut BytesMut) {
        let frame = Frame { id: &self.id, status, kept: self.kept.as_ref() };
        match &self.body {
            Body::Message(message) => frame.message(out, |list| message.contents(list)),
            Body::Thought(thought) => {
                let (summary, thinking) = thought.texts();
                frame.reasoning(out, thought.seal(), summary, thinking);
            }
            Body::Call(call) => {
                let namespace = call.namespace.as_ref();
                let called = Called { id: &call.call_id, namespace, name: &call.name };
                frame.call(out, call.kind, called, &call.arguments);
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

    /// How many bytes are kept of it, now.
    pub(super) fn held(&self) -> usize {
        let body = match &self.body {
            Body::Message(message) => message.held(),
            Body::Thought(thought) => thought.held(),
            Body::Call(call) => call.held(),
            Body::Done(json) => json.len(),
        };
        let kept = self.kept.as_ref().map_or(0, |kept| kept.item().as_str().len());
        ITEM_OVERHEAD + self.id.escaped().len() + kept + body
    }

    /// Its last event.
    pub(super) fn done(&mut self, status: &str, events: &mut Events, out: &mut BytesMut) {
        let mut json = BytesMut::new();
        self.json(status, &mut json);
        events.write("response.output_item.done", out, |event| {
            event.u64("output_index", self.at);
            event.key("item").extend_from_slice(&json);
        });
        self.kept = None;
        self.body = Body::Done(json);
    }

    /// Begins a text or a refusal of a message.
    pub(super) fn open_words(
        &mut self,
        refusal: bool,
        rest: Rest<'static>,
        events: &mut Events,
        out: &mut BytesMut,
    ) {
        let Self { id, at, body, .. } = self;
        if let Body::Message(message) = body {
            message.open(refusal, rest, &mut Inside { id, at: *at, events, out });
        }
    }

    /// Whether a text of the message is open.
    pub(super) fn is_open(&self) -> bool {
        matches!(&self.body, Body::Message(message) if message.is_open())
    }

    /// More of the item.
    pub(super) fn delta(
        &mut self,
        delta: &Delta<'_>,
        own: bool,
        events: &mut Events,
        out: &mut BytesMut,
    ) {
        let Self { id, at, body, .. } = self;
        let to = &mut Inside { id, at: *at, events, out };
        match (body, delta) {
            (Body::Message(message), Delta::Text(text)) => message.words(text, to),
            (Body::Message(message), Delta::Citation(raw)) => message.cite(raw, own, to),
            (Body::Thought(thought), Delta::Reasoning(text)) => thought.think(text, to),
            (Body::Thought(thought), Delta::Seal(seal)) if fits(seal) => thought.keep_seal(seal),
            (Body::Thought(thought), Delta::Other(raw)) if own => match raw.as_str() {
                NEXT_SUMMARY => thought.next(false, to),
                NEXT_THINKING => thought.next(true, to),
                _ => {}
            },
            (Body::Call(call), Delta::Arguments(text)) => call.arguments(text, to),
            _ => {}
        }
    }

    /// Token probabilities of what was said last.
    pub(super) fn logprobs(&mut self, list: &str, events: &mut Events, out: &mut BytesMut) {
        let Self { id, at, body, .. } = self;
        if let Body::Message(message) = body {
            message.logprobs(list, &mut Inside { id, at: *at, events, out });
        }
    }

    /// Ends what is open inside of the item.
    pub(super) fn close(&mut self, own: bool, events: &mut Events, out: &mut BytesMut) {
        let Self { id, at, body, .. } = self;
        let to = &mut Inside { id, at: *at, events, out };
        match body {
            Body::Message(message) => message.close(to),
            Body::Thought(thought) => thought.close(to),
            Body::Call(call) => call.close(own, to),
            Body::Done(_) => {}
        }
    }
}

/// A call of a tool.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Call {
    kind: ToolCallKind,
    call_id: JsonStr<'static>,
    namespace: Option<JsonStr<'static>>,
    name: JsonStr<'static>,
    arguments: String,
}

impl Call {
    pub(super) fn new(kind: ToolCallKind, call_id: JsonStr<'_>, name: &JsonStr<'_>) -> Self {
        let (call_id, name) = (call_id.into_owned(), name.clone().into_owned());
        Self { kind, call_id, namespace: None, name, arguments: String::new() }
    }

    /// The call of a tool that stands in a namespace.
    pub(super) fn within(self, namespace: &JsonStr<'static>, name: &JsonStr<'static>) -> Self {
        Self { namespace: Some(namespace.clone()), name: name.clone(), ..self }
    }

    fn held(&self) -> usize {
        let namespace = self.namespace.as_ref().map_or(0, |name| name.escaped().len());
        let names = self.call_id.escaped().len() + namespace + self.name.escaped().len();
        names + self.arguments.len()
    }

    fn arguments(&mut self, text: &JsonStr<'_>, to: &mut Inside<'_>) {
        if text.is_empty() {
            return;
        }
        self.arguments.push_str(text.escaped());
        let name = match self.kind {
            ToolCallKind::Function => "response.function_call_arguments.delta",
            ToolCallKind::Custom => "response.custom_tool_call_input.delta",
        };
        to.event(name, None, |event| event.str("delta", text));
    }

    /// Ends the arguments. A function without any gets `{}`: clients parse what they get.
    fn close(&mut self, own: bool, to: &mut Inside<'_>) {
        let is_function = self.kind == ToolCallKind::Function;
        if self.arguments.is_empty() && is_function && !own {
            self.arguments(&JsonStr::from_plain("{}"), to);
        }
        let name = match self.kind {
            ToolCallKind::Function => "response.function_call_arguments.done",
            ToolCallKind::Custom => "response.custom_tool_call_input.done",
        };
        to.event(name, None, |event| {
            // The SDK's type has it, OpenAI's own streams have not always.
            if is_function {
                event.str("name", &self.name);
            }
            push_quoted(event.key(arguments_member(self.kind)), &self.arguments);
        });
    }
}
