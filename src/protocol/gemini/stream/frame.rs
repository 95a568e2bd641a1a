//! The pieces of a stream: what stands around every one of them, and those of parts.

use bytes::BytesMut;
use memchr::memchr2;

use crate::protocol::Answer;
use crate::protocol::gemini::response;
use crate::protocol::json::{ArrayWriter, JsonStr, push_u64};
use crate::protocol::model::Rest;

/// Members that every piece has anyway.
const WRITTEN: [&str; 4] = ["candidates", "usageMetadata", "modelVersion", "responseId"];

/// Writes the pieces as events, or as the items of an array.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Frame {
    /// One JSON array in pieces.
    array: bool,
    /// A piece was written.
    begun: bool,
    /// Where the object of the piece in hand begins in what is written.
    start: usize,
    /// The members that all pieces end with; empty before they are known.
    tail: BytesMut,
    /// What the next piece has beside.
    once: BytesMut,
}

impl Frame {
    pub(super) fn new(array: bool) -> Self {
        Self { array, begun: false, start: 0, tail: BytesMut::new(), once: BytesMut::new() }
    }

    /// Settles id and model, unless that is done.
    pub(super) fn settle(
        &mut self,
        id: &JsonStr<'_>,
        model: &JsonStr<'_>,
        rest: &Rest<'_>,
        answer: &mut Answer,
    ) {
        if !self.tail.is_empty() {
            return;
        }
        let model = response::model(model, answer);
        let id = response::id(id, answer);
        for piece in [",\"modelVersion\":\"", model.escaped(), "\",\"responseId\":\"", id.escaped()]
        {
            self.tail.extend_from_slice(piece.as_bytes());
        }
        self.tail.extend_from_slice(b"\"");
        for (key, value) in &rest.0 {
            if !WRITTEN.iter().any(|name| key == name) {
                for piece in [",\"", key.escaped(), "\":", value.as_str()] {
                    self.once.extend_from_slice(piece.as_bytes());
                }
            }
        }
    }

    /// Opens a piece, up to its object.
    pub(super) fn open(&mut self, out: &mut BytesMut) {
        out.extend_from_slice(match (self.array, std::mem::replace(&mut self.begun, true)) {
            (false, _) => b"data: ",
            (true, false) => b"[",
            (true, true) => b",\r\n",
        });
        self.start = out.len();
    }

    /// Closes a piece inside its object, behind members of its own.
    pub(super) fn close_object(&mut self, out: &mut BytesMut) {
        out.extend_from_slice(&self.tail);
        out.extend_from_slice(&std::mem::take(&mut self.once));
        out.extend_from_slice(b"}");
        self.close(out);
    }

    /// Closes a piece, behind its object. Values that stand in it as they stood may hold line ends,
    /// which in JSON are white space only, but would end an event's line.
    pub(super) fn close(&mut self, out: &mut BytesMut) {
        let piece = out.get_mut(std::mem::take(&mut self.start)..).unwrap_or_default();
        let mut at = 0;
        while let Some(found) = memchr2(b'\n', b'\r', &piece[at..]) {
            at += found;
            piece[at] = b' ';
        }
        out.extend_from_slice(if self.array { b"\n" } else { b"\r\n\r\n" });
    }

    /// Writes a piece of words; `text` is escaped.
    pub(super) fn words(
        &mut self,
        candidate: usize,
        text: &str,
        thought: bool,
        out: &mut BytesMut,
    ) {
        self.open_parts(out);
        let mark = if thought { "\",\"thought\":true}]" } else { "\"}]" };
        for piece in ["[{\"text\":\"", text, mark] {
            out.extend_from_slice(piece.as_bytes());
        }
        self.close_parts(candidate, out);
    }

    /// Writes a piece with these parts.
    pub(super) fn parts(
        &mut self,
        candidate: usize,
        out: &mut BytesMut,
        fill: impl FnOnce(&mut ArrayWriter<'_>),
    ) {
        self.open_parts(out);
        let mut parts = ArrayWriter::begin(out);
        fill(&mut parts);
        parts.end();
        self.close_parts(candidate, out);
    }

    fn open_parts(&mut self, out: &mut BytesMut) {
        self.open(out);
        out.extend_from_slice(b"{\"candidates\":[{\"content\":{\"parts\":");
    }

    fn close_parts(&mut self, candidate: usize, out: &mut BytesMut) {
        out.extend_from_slice(b",\"role\":\"model\"},\"index\":");
        push_u64(out, candidate as u64);
        out.extend_from_slice(b"}]");
        self.close_object(out);
    }

    /// Ends the stream.
    pub(super) fn finish(&self, out: &mut BytesMut) {
        if self.array {
            out.extend_from_slice(b"]");
        }
    }

    /// Keeps the line open. Line ends alone: SDKs of Google's take a comment for a broken piece
    /// (google-genai reads any line without `data: ` as JSON), but skip what is empty; in an array
    /// they are white space.
    pub(super) fn ping(out: &mut BytesMut) {
        out.extend_from_slice(b"\r\n\r\n");
    }
}
