//! How the events of a stream stand in its bytes.

use crate::protocol::gemini::array::Splitter;
use crate::sse::{Decoder, Event};

/// What may stand before the first event of a stream: white space, and the bytes of a BOM.
const LEADING: &[u8] = b" \t\r\n\xEF\xBB\xBF";

/// Cuts the bytes of a stream into events.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Framing {
    /// Server-sent events.
    Events(Decoder),
    /// The first byte has not come.
    Undecided,
    /// One JSON array in pieces, each item an event.
    Array(Splitter),
}

/// An event has more bytes than the limit.
pub(super) struct TooLarge;

impl Framing {
    /// A framing of server-sent events, or, where `arrays` may come too, of what the first byte
    /// tells: an upstream may pass over the wish for events.
    pub(super) fn new(arrays: bool) -> Self {
        if arrays { Self::Undecided } else { Self::Events(Decoder::new()) }
    }

    /// Reads on, and hands each event that is complete to `on_event`.
    pub(super) fn push(
        &mut self,
        bytes: &[u8],
        on_event: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), TooLarge> {
        match self {
            Self::Events(decoder) => decoder.push(bytes, on_event).map_err(|_| TooLarge),
            Self::Array(splitter) => splitter
                .push(bytes, &mut |data| on_event(Event { data, ..Event::default() }))
                .map_err(|_| TooLarge),
            Self::Undecided => {
                let first = bytes.iter().position(|byte| !LEADING.contains(byte));
                let Some(bytes) = first.and_then(|first| bytes.get(first..)) else {
                    return Ok(());
                };
                *self = match bytes {
                    [b'[', ..] => Self::Array(Splitter::new()),
                    _ => Self::Events(Decoder::new()),
                };
                self.push(bytes, on_event)
            }
        }
    }

    /// Ends the stream: a last event without its blank line counts as complete.
    pub(super) fn finish(&mut self, on_event: &mut dyn FnMut(Event<'_>)) {
        if let Self::Events(decoder) = self {
            // An error here can only repeat one that `push` has met.
            let _ = decoder.finish(on_event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(arrays: bool, pieces: &[&[u8]]) -> Vec<String> {
        let mut framing = Framing::new(arrays);
        let mut seen = Vec::new();
        let mut push = |event: Event<'_>| seen.push(event.data.to_owned());
        for piece in pieces {
            assert!(framing.push(piece, &mut push).is_ok());
        }
        framing.finish(&mut push);
        seen
    }

    #[test]
    fn the_first_byte_tells() {
        for (text, expected) in [
            ("data: {}\r\n\r\ndata: 1", &["{}", "1"][..]),
            ("\u{feff}\r\n[{}\n,\r\n{\"a\":1}\n]", &["{}", "{\"a\":1}"]),
            ("\u{feff}data: [1]\n\n", &["[1]"]),
            ("", &[]),
            (" \r\n", &[]),
        ] {
            for at in 0..=text.len() {
                let (left, right) = text.as_bytes().split_at(at);
                assert_eq!(events(true, &[left, right]), expected, "{text} at {at}");
            }
        }
        assert!(events(false, &[b"[{}]"]).is_empty());
    }
}
