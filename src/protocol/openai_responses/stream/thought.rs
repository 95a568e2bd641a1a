//! Thinking on its way.

use bytes::BytesMut;

use super::item::Inside;
use crate::protocol::json::{ArrayWriter, JsonStr};
use crate::protocol::model::Seal;
use crate::protocol::openai_responses::item_writer::{Kept, push_quoted, write_words};
use crate::protocol::openai_responses::output::SEPARATOR;
use crate::protocol::openai_responses::parts_writer::text_type;
use crate::protocol::openai_responses::wire::push;

/// An item of thinking: a list of summaries, or, where the upstream has it so, of the thinking
/// itself.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Thought {
    /// The complete texts, as they are written.
    texts: BytesMut,
    count: u64,
    /// The open text, escaped.
    open: Option<String>,
    /// The next piece only parts two texts.
    skip: bool,
    seal: Option<JsonStr<'static>>,
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

fn names(kept: Option<&Kept<'_>>) -> &'static Names {
    if text_type(kept) == THINKING.kind { &THINKING } else { &SUMMARY }
}

impl Thought {
    /// Writes its complete texts.
    pub(super) fn texts(&self, list: &mut ArrayWriter<'_>) {
        if !self.texts.is_empty() {
            list.item().extend_from_slice(&self.texts);
        }
    }

    /// What seals it.
    pub(super) fn seal(&self) -> Option<&JsonStr<'static>> {
        self.seal.as_ref()
    }

    /// Keeps what seals it. Gives how many bytes that is.
    pub(super) fn keep_seal(&mut self, seal: &Seal<'_>) -> usize {
        self.seal = Some(seal.data.clone().into_owned());
        seal.data.escaped().len()
    }

    /// The next text begins with the next piece but one, which only parts the two.
    pub(super) fn next(&mut self, kept: Option<&Kept<'_>>, to: &mut Inside<'_>) -> usize {
        self.close(kept, to);
        self.skip = true;
        0
    }

    /// More of the open text. Gives how many bytes more are kept.
    pub(super) fn think(
        &mut self,
        text: &JsonStr<'_>,
        kept: Option<&Kept<'_>>,
        to: &mut Inside<'_>,
    ) -> usize {
        let parts_two = std::mem::take(&mut self.skip) && text.escaped() == SEPARATOR;
        if text.is_empty() || parts_two {
            return 0;
        }
        let names = names(kept);
        let place = Some((names.place, self.count));
        if self.open.is_none() {
            to.event(names.added, place, |event| {
                write_words(event.key("part"), names.kind, "text", "", None);
            });
        }
        self.open.get_or_insert_default().push_str(text.escaped());
        to.event(names.delta, place, |event| event.str("delta", text));
        text.escaped().len()
    }

    /// Ends the open text.
    pub(super) fn close(&mut self, kept: Option<&Kept<'_>>, to: &mut Inside<'_>) {
        let Some(text) = self.open.take() else { return };
        let names = names(kept);
        let place = Some((names.place, self.count));
        if self.count > 0 {
            push(&mut self.texts, ",");
        }
        self.count += 1;
        write_words(&mut self.texts, names.kind, "text", &text, None);
        to.event(names.done, place, |event| push_quoted(event.key("text"), &text));
        to.event(names.part_done, place, |event| {
            write_words(event.key("part"), names.kind, "text", &text, None);
        });
    }
}
