//! What a stream says piece by piece, as the parts of the hub.

use super::reader::{Open, Reader, Words};
use crate::protocol::json::JsonStr;
use crate::protocol::model::{Content, Delta, Part, PartStart, Rest, Seal, StreamEvent};
use crate::protocol::stream_reader::{Sink, Step, number};

impl Reader {
    pub(super) fn part(&mut self, at: usize, part: Part<'_>, sink: Sink<'_>) -> Step {
        let Part { content, seal, rest, .. } = part;
        match content {
            Content::Text { text, .. } => self.words(at, Words::Text, text, seal, sink),
            Content::Reasoning { text, seal, .. } => {
                self.words(at, Words::Thought, text.unwrap_or_default(), seal, sink);
            }
            Content::ToolCall(call) => return self.call(at, call, rest, sink),
            Content::Media(media) => self.whole(at, PartStart::Media(media), rest, seal, sink),
            Content::Other { kind, raw } => {
                self.whole(at, PartStart::Other { kind, raw }, rest, seal, sink);
            }
            // A model does not answer with one.
            Content::ToolResult(_) | Content::Refusal(_) => {}
        }
        Ok(())
    }

    /// More words of a candidate. Those with a seal stand alone.
    fn words(
        &mut self,
        at: usize,
        words: Words,
        piece: JsonStr<'_>,
        seal: Option<Seal<'_>>,
        sink: Sink<'_>,
    ) {
        if piece.is_empty() && seal.is_none() {
            return;
        }
        if seal.is_some() {
            self.close(at, sink);
        }
        let index = self.open(at, words, sink);
        if !piece.is_empty() {
            let delta = match words {
                Words::Text => Delta::Text(piece),
                Words::Thought => Delta::Reasoning(piece),
            };
            sink(StreamEvent::Delta { index, delta });
        }
        if let Some(seal) = seal {
            sink(StreamEvent::Delta { index, delta: Delta::Seal(seal) });
            self.close(at, sink);
        }
    }

    /// The open part of these words; any other is closed.
    fn open(&mut self, at: usize, words: Words, sink: Sink<'_>) -> u32 {
        match (&self.candidates[at].open, words) {
            (Open::Text(index), Words::Text) | (Open::Thought(index), Words::Thought) => {
                return *index;
            }
            _ => self.close(at, sink),
        }
        let part = match words {
            Words::Text => PartStart::Text { citations: None },
            Words::Thought => PartStart::Reasoning { seal: None },
        };
        let index = self.start_part(at, part, Rest::default(), sink);
        self.candidates[at].open = match words {
            Words::Text => Open::Text(index),
            Words::Thought => Open::Thought(index),
        };
        index
    }

    /// Closes the open part, with its arguments where it is a call in pieces.
    pub(super) fn close(&mut self, at: usize, sink: Sink<'_>) {
        let index = match std::mem::take(&mut self.candidates[at].open) {
            Open::Nothing => return,
            Open::Text(index) | Open::Thought(index) => index,
            Open::Call(index, arguments) => {
                let text = JsonStr::from_plain(arguments.to_json());
                sink(StreamEvent::Delta { index, delta: Delta::Arguments(text) });
                index
            }
        };
        sink(StreamEvent::PartStop { index });
    }

    pub(super) fn start_part(
        &mut self,
        at: usize,
        part: PartStart<'_>,
        rest: Rest<'_>,
        sink: Sink<'_>,
    ) -> u32 {
        let index = self.next_part;
        self.next_part += 1;
        sink(StreamEvent::PartStart { index, candidate: number(at), part, rest });
        index
    }

    /// A part that comes in one.
    fn whole(
        &mut self,
        at: usize,
        part: PartStart<'_>,
        rest: Rest<'_>,
        seal: Option<Seal<'_>>,
        sink: Sink<'_>,
    ) {
        self.close(at, sink);
        let index = self.start_part(at, part, rest, sink);
        if let Some(seal) = seal {
            sink(StreamEvent::Delta { index, delta: Delta::Seal(seal) });
        }
        sink(StreamEvent::PartStop { index });
    }
}
