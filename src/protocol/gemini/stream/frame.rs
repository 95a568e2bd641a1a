//! What stands around every piece of a stream.

use bytes::BytesMut;
use memchr::memchr2;

use crate::protocol::Answer;
use crate::protocol::gemini::response;
use crate::protocol::json::JsonStr;
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

    /// Writes the members that all pieces end with, behind others.
    pub(super) fn tail(&mut self, out: &mut BytesMut) {
        out.extend_from_slice(&self.tail);
        out.extend_from_slice(&std::mem::take(&mut self.once));
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
