//! Thinking on its way.

use bytes::BytesMut;

use super::item::Inside;
use crate::protocol::json::JsonStr;
use crate::protocol::model::Seal;
use crate::protocol::openai_responses::item_writer::{push_quoted, write_words};
use crate::protocol::openai_responses::output::SEPARATOR;
use crate::protocol::wire::push;

/// An item of thinking: a list of summaries, and, where the upstream tells it, one of the thinking
/// itself.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Thought {
    summary: Texts,
    thinking: Texts,
    /// The open text, escaped.
    open: Option<String>,
    /// It is of the thinking itself.
    is_thinking: bool,
    /// The next piece only parts two texts.
    skip: bool,
    seal: Option<JsonStr<'static>>,
}

/// The complete texts of a list.
#[derive(Debug, Default, Clone, PartialEq)]
struct Texts {
    /// As they are written.
    json: BytesMut,
    count: u64,
}

/// Names of the events of a text, and the member with its place.
struct Names {
    kind: &'static str,
    place: &'static str,
    added: &'static str,
    delta: &'static str,
    done: &'static str,
    part_done: &'static str,
}

const SUMMARY: Names = Names {
    kind: "summary_text",
    place: "summary_index",
    added: "response.reasoning_summary_part.added",
    delta: "response.reasoning_summary_text.delta",
    done: "response.reasoning_summary_text.done",
    part_done: "response.reasoning_summary_part.done",
};

const THINKING: Names = Names {
    kind: "reasoning_text",
    place: "content_index",
    added: "response.content_part.added",
    delta: "response.reasoning_text.delta",
    done: "response.reasoning_text.done",
    part_done: "response.content_part.done",
};

impl Thought {
    /// An item that begins with the thinking itself, or with a summary of it.
    pub(super) fn new(is_thinking: bool) -> Self {
        Self { is_thinking, ..Self::default() }
    }

    /// Its complete summaries, as they are written, and those of the thinking itself.
    pub(super) fn texts(&self) -> (&[u8], &[u8]) {
        (&self.summary.json, &self.thinking.json)
    }

    /// What seals it.
    pub(super) fn seal(&self) -> Option<&JsonStr<'static>> {
        self.seal.as_ref()
    }

    /// How many bytes are kept.
    pub(super) fn held(&self) -> usize {
        let open = self.open.as_ref().map_or(0, String::len);
        let seal = self.seal.as_ref().map_or(0, |seal| seal.escaped().len());
        self.summary.json.len() + self.thinking.json.len() + open + seal
    }

    /// Keeps what seals it.
    pub(super) fn keep_seal(&mut self, seal: &Seal<'_>) {
        self.seal = Some(seal.data.clone().into_owned());
    }

    /// The next text is of the thinking itself, or a summary. Behind another text it begins with the
    /// next piece but one, which only parts the two.
    pub(super) fn next(&mut self, is_thinking: bool, to: &mut Inside<'_>) {
        self.close(to);
        self.is_thinking = is_thinking;
        self.skip = self.summary.count + self.thinking.count > 0;
    }

    /// More of the open text.
    pub(super) fn think(&mut self, text: &JsonStr<'_>, to: &mut Inside<'_>) {
        let parts_two = std::mem::take(&mut self.skip) && text.escaped() == SEPARATOR;
        if text.is_empty() || parts_two {
            return;
        }
        let (names, texts) = self.list();
        let place = Some((names.place, texts.count));
        if self.open.is_none() {
            to.event(names.added, place, |event| {
                write_words(event.key("part"), names.kind, "text", "", None);
            });
        }
        self.open.get_or_insert_default().push_str(text.escaped());
        to.event(names.delta, place, |event| event.str("delta", text));
    }

    /// Ends the open text.
    pub(super) fn close(&mut self, to: &mut Inside<'_>) {
        let Some(text) = self.open.take() else { return };
        let (names, texts) = self.list();
        let place = Some((names.place, texts.count));
        if texts.count > 0 {
            push(&mut texts.json, ",");
        }
        texts.count += 1;
        write_words(&mut texts.json, names.kind, "text", &text, None);
        to.event(names.done, place, |event| push_quoted(event.key("text"), &text));
        to.event(names.part_done, place, |event| {
            write_words(event.key("part"), names.kind, "text", &text, None);
        });
    }

    /// The list that the open text goes to.
    fn list(&mut self) -> (&'static Names, &mut Texts) {
        if self.is_thinking {
            (&THINKING, &mut self.thinking)
        } else {
            (&SUMMARY, &mut self.summary)
        }
    }
}
