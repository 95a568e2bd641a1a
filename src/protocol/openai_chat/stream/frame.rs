//! What stands around every chunk.

use bytes::BytesMut;

use crate::protocol::Answer;
use crate::protocol::json::{JsonStr, ObjectWriter, push_u64};
use crate::protocol::model::Rest;

/// Most bytes of unknown members that come again in every chunk; longer ones stand in the first
/// alone.
const MAX_REPEATED: usize = 512;

/// Members of a chunk and of a choice that are written anyway.
const OF_CHUNKS: [&str; 6] = ["id", "object", "created", "model", "choices", "usage"];
const OF_CHOICES: [&str; 4] = ["index", "delta", "logprobs", "finish_reason"];

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Frame {
    /// What every chunk begins with, up to its choices; empty before the first.
    head: BytesMut,
    /// What the next chunk has beside.
    once: BytesMut,
    /// What every chunk ends with.
    tail: &'static [u8],
}

impl Frame {
    pub(super) fn new(include_usage: bool) -> Self {
        let tail: &[u8] = if include_usage { b",\"usage\":null}\n\n" } else { b"}\n\n" };
        Self { head: BytesMut::new(), once: BytesMut::new(), tail }
    }

    /// Settles id and model, unless that is done.
    pub(super) fn settle(
        &mut self,
        id: &JsonStr<'_>,
        model: &JsonStr<'_>,
        created: Option<u64>,
        rest: &Rest<'_>,
        answer: &mut Answer,
    ) {
        if !self.head.is_empty() {
            return;
        }
        self.head.extend_from_slice(b"data: ");
        let mut object = ObjectWriter::begin(&mut self.head);
        if id.is_empty() {
            object.plain("id", &answer.ids.make("chatcmpl-"));
        } else {
            object.str("id", id);
        }
        object.plain("object", "chat.completion.chunk");
        object.u64("created", created.unwrap_or(answer.created));
        if model.is_empty() {
            object.plain("model", &answer.model);
        } else {
            object.str("model", model);
        }
        push_rest(&mut self.once, rest, &OF_CHUNKS);
        if self.once.len() <= MAX_REPEATED {
            self.head.extend_from_slice(&std::mem::take(&mut self.once));
        }
    }

    /// Opens a chunk, up to its choices.
    pub(super) fn open(&mut self, out: &mut BytesMut) {
        out.extend_from_slice(&self.head);
        out.extend_from_slice(&std::mem::take(&mut self.once));
    }

    /// Opens a chunk of a candidate, up to the members of its delta.
    pub(super) fn open_choice(&mut self, candidate: usize, out: &mut BytesMut) {
        self.open(out);
        out.extend_from_slice(b",\"choices\":[{\"index\":");
        push_u64(out, candidate as u64);
        out.extend_from_slice(b",\"delta\":{");
    }

    /// Closes the delta and the chunk of a candidate.
    pub(super) fn close_choice(
        &self,
        logprobs: &str,
        finish: Option<&JsonStr<'_>>,
        rest: &Rest<'_>,
        out: &mut BytesMut,
    ) {
        let (quote, word) = finish.map_or(("", "null"), |word| ("\"", word.escaped()));
        for piece in ["},\"logprobs\":", logprobs, ",\"finish_reason\":", quote, word, quote] {
            out.extend_from_slice(piece.as_bytes());
        }
        push_rest(out, rest, &OF_CHOICES);
        out.extend_from_slice(b"}]");
        out.extend_from_slice(self.tail);
    }
}

fn push_rest(out: &mut BytesMut, rest: &Rest<'_>, written: &[&str]) {
    for (key, value) in &rest.0 {
        if !written.iter().any(|name| key == name) {
            for piece in [",\"", key.escaped(), "\":", value.as_str()] {
                out.extend_from_slice(piece.as_bytes());
            }
        }
    }
}
