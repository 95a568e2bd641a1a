//! Streams.

use bytes::BytesMut;

use crate::protocol::Answer;
use crate::protocol::model::StreamEvent;
use crate::sse;

/// Reads a stream.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Reader {}

impl Reader {
    /// A reader before the first event.
    #[must_use]
    pub fn new() -> Self {
        Self {}
    }

    /// Reads an event.
    pub fn event(&mut self, _event: &sse::Event<'_>, _sink: &mut dyn FnMut(StreamEvent<'_>)) {}

    /// The stream has ended.
    pub fn finish(&mut self, _sink: &mut dyn FnMut(StreamEvent<'_>)) {}
}

/// Writes a stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Writer {
    answer: Answer,
}

impl Writer {
    /// A writer before the first event.
    #[must_use]
    pub fn new(answer: Answer) -> Self {
        Self { answer }
    }

    /// Writes an event.
    pub fn write(&mut self, _event: StreamEvent<'_>, _out: &mut BytesMut) {
        let _ = &self.answer;
    }

    /// Whether the end or an error was written.
    #[must_use]
    pub fn is_done(&self) -> bool {
        false
    }
}
