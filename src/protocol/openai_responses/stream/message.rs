//! A message on its way.

use bytes::BytesMut;

use super::item::Inside;
use crate::protocol::citation::{self, Span};
use crate::protocol::json::{ArrayWriter, JsonStr, Raw};
use crate::protocol::model::Rest;
use crate::protocol::openai_responses::item_writer::{
    TextPart, push_list, push_quoted, write_words,
};
use crate::protocol::wire::push;

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
    /// Escaped.
    text: String,
    annotations: String,
    annotated: u64,
    logprobs: String,
    /// Citations that stand for the whole of the text, whose end is not known yet.
    waiting: Vec<Raw<'static>>,
    rest: Rest<'static>,
    /// Bytes of the last two.
    beside: usize,
}

impl Message {
    /// Writes its complete parts.
    pub(super) fn contents(&self, list: &mut ArrayWriter<'_>) {
        if !self.contents.is_empty() {
            list.item().extend_from_slice(&self.contents);
        }
    }

    /// Whether a text is open.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// How many bytes are kept.
    pub(super) fn held(&self) -> usize {
        self.contents.len() + self.open.as_ref().map_or(0, Words::held)
    }

    /// Begins a text or a refusal.
    pub(super) fn open(&mut self, refusal: bool, rest: Rest<'static>, to: &mut Inside<'_>) {
        let words = self.open.insert(Words::new(refusal, rest));
        to.event("response.content_part.added", place(self.count), |event| {
            words.json(event.key("part"));
        });
    }

    /// More of the open text.
    pub(super) fn words(&mut self, text: &JsonStr<'_>, to: &mut Inside<'_>) {
        let Some(words) = self.open.as_mut().filter(|_| !text.is_empty()) else { return };
        words.text.push_str(text.escaped());
        if words.refusal {
            to.event("response.refusal.delta", place(self.count), |e| e.str("delta", text));
        } else {
            to.event("response.output_text.delta", place(self.count), |event| {
                event.str("delta", text);
                event.array("logprobs", |_| {});
            });
        }
    }

    /// Token probabilities come behind their text: they go with an empty one.
    pub(super) fn logprobs(&mut self, list: &str, to: &mut Inside<'_>) {
        let Some(words) = &mut self.open else { return };
        if words.refusal || list.is_empty() {
            return;
        }
        if !words.logprobs.is_empty() {
            words.logprobs.push(',');
        }
        words.logprobs.push_str(list);
        to.event("response.output_text.delta", place(self.count), |event| {
            event.plain("delta", "");
            push_list(event.key("logprobs"), list);
        });
    }

    /// A citation. One that does not say which words it is for waits for the end of the text.
    pub(super) fn cite(&mut self, raw: &Raw<'_>, own: bool, to: &mut Inside<'_>) {
        let Some(words) = &mut self.open else { return };
        let mut json = BytesMut::new();
        if own {
            push(&mut json, raw.as_str());
        } else if citation::has_span(raw) {
            citation::write_flat(raw, Span::default(), &mut json);
        } else if citation::is_known(raw) {
            words.beside += raw.as_str().len();
            words.waiting.push(raw.clone().into_owned());
            return;
        }
        self.annotate(&json, to);
    }

    fn annotate(&mut self, json: &[u8], to: &mut Inside<'_>) {
        let annotation = std::str::from_utf8(json).unwrap_or_default();
        let Some(words) = &mut self.open else { return };
        if words.refusal || annotation.is_empty() {
            return;
        }
        if words.annotated > 0 {
            words.annotations.push(',');
        }
        words.annotations.push_str(annotation);
        let nth = words.annotated;
        words.annotated += 1;
        to.event("response.output_text.annotation.added", place(self.count), |event| {
            event.u64("annotation_index", nth);
            push(event.key("annotation"), annotation);
        });
    }

    /// Ends the open text.
    pub(super) fn close(&mut self, to: &mut Inside<'_>) {
        let Some(words) = &mut self.open else { return };
        let waiting = std::mem::take(&mut words.waiting);
        if !waiting.is_empty() {
            let text = JsonStr::from_escaped(words.text.clone());
            let span = Span { start: 0, length: text.decode().chars().count() as u64 };
            for raw in waiting {
                let mut json = BytesMut::new();
                citation::write_flat(&raw, span, &mut json);
                self.annotate(&json, to);
            }
        }
        let Some(words) = self.open.take() else { return };
        let place = place(self.count);
        if self.count > 0 {
            push(&mut self.contents, ",");
        }
        self.count += 1;
        words.json(&mut self.contents);
        if words.refusal {
            to.event("response.refusal.done", place, |event| {
                push_quoted(event.key("refusal"), &words.text);
            });
        } else {
            to.event("response.output_text.done", place, |event| {
                push_quoted(event.key("text"), &words.text);
                push_list(event.key("logprobs"), &words.logprobs);
            });
        }
        to.event("response.content_part.done", place, |event| words.json(event.key("part")));
    }
}

fn place(count: u64) -> Option<(&'static str, u64)> {
    Some(("content_index", count))
}

impl Words {
    fn new(refusal: bool, rest: Rest<'static>) -> Self {
        let beside = rest.held();
        Self { refusal, rest, beside, ..Self::default() }
    }

    fn held(&self) -> usize {
        self.text.len() + self.annotations.len() + self.logprobs.len() + self.beside
    }

    fn json(&self, out: &mut BytesMut) {
        let rest = (!self.rest.0.is_empty()).then_some(&self.rest);
        if self.refusal {
            return write_words(out, "refusal", "refusal", &self.text, rest);
        }
        let Self { text, annotations, logprobs, .. } = self;
        TextPart { text, annotations, logprobs }.write(out, rest);
    }
}
