//! Turns what an event says of a message into parts and what is new in them.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::chunk::{CallPiece, Piece};
use super::growth::{Growth, Hints, Mode};
use super::reader::{MAX_MEDIA, Reader, Words};
use crate::protocol::citation;
use crate::protocol::dashscope::wire::media_source;
use crate::protocol::json::{JsonStr, Raw};
use crate::protocol::model::{
    Delta, Media, MediaKind, MediaSource, PartStart, Rest, Seal, SealKind, Spelling, StreamEvent,
    ToolCallKind, Vendor,
};
use crate::protocol::stream_reader::{Broken, Sink, Step, number};

impl Reader {
    /// What an event says of a message: thinking, words, media, calls, in this order.
    pub(super) fn message(&mut self, at: usize, piece: Piece<'_>, sink: Sink<'_>) -> Step {
        let Piece { content, media, reasoning, signature, calls } = piece;
        let calls = calls.filter(|raw| raw.as_str().len() > 2);
        let later = !content.is_empty() || calls.is_some();
        self.words(at, Words::Reasoning, &reasoning, later, sink);
        if !signature.is_empty() && !std::mem::replace(&mut self.candidates[at].sealed, true) {
            let index = self.open(at, Words::Reasoning, sink);
            let (vendor, kind) = (Vendor::DashScope, SealKind::Signature);
            let seal = Seal { vendor, kind, data: signature };
            sink(StreamEvent::Delta { index, delta: Delta::Seal(seal) });
        }
        self.words(at, Words::Text, &content, calls.is_some(), sink);
        for (name, url) in media {
            self.media(at, &name, url, sink);
        }
        match calls {
            Some(calls) => {
                self.each(&calls, CallPiece::read, &mut |reader, call| reader.call(at, &call, sink))
            }
            None => Ok(()),
        }
    }

    /// Words of a candidate: more of them, or all so far.
    fn words(&mut self, at: usize, words: Words, text: &JsonStr<'_>, passed: bool, sink: Sink<'_>) {
        if text.is_empty() {
            return;
        }
        if words == Words::Text {
            self.flush(at, Words::Reasoning, sink);
        }
        let hints = Hints { leaning: self.learnt, passed, json: false };
        self.grow(at, words, sink, |growth, emit| growth.push(text, hints, emit));
    }

    /// Ends the doubt about a field.
    fn flush(&mut self, at: usize, words: Words, sink: Sink<'_>) {
        let leaning = self.learnt;
        self.grow(at, words, sink, |growth, emit| growth.flush(leaning, emit));
    }

    fn grow(
        &mut self,
        at: usize,
        words: Words,
        sink: Sink<'_>,
        step: impl FnOnce(&mut Growth, &mut dyn FnMut(JsonStr<'_>)),
    ) {
        let mut growth = std::mem::take(self.candidates[at].growth(words));
        step(&mut growth, &mut |piece| {
            let index = self.open(at, words, sink);
            let delta = match words {
                Words::Reasoning => Delta::Reasoning(piece),
                Words::Text => Delta::Text(piece),
            };
            sink(StreamEvent::Delta { index, delta });
        });
        self.learn(growth.mode());
        *self.candidates[at].growth(words) = growth;
    }

    /// One field that repeats itself says more than others that do not.
    fn learn(&mut self, mode: Option<Mode>) {
        if mode == Some(Mode::Snapshots) || self.learnt.is_none() {
            self.learnt = mode.or(self.learnt);
        }
    }

    /// A picture or a sound, whole. A snapshot repeats it.
    fn media(&mut self, at: usize, name: &JsonStr<'_>, url: JsonStr<'_>, sink: Sink<'_>) {
        let mut hasher = DefaultHasher::new();
        url.escaped().hash(&mut hasher);
        let hash = hasher.finish();
        let seen = &mut self.candidates[at].media;
        if seen.contains(&hash) || seen.len() == MAX_MEDIA {
            return;
        }
        seen.push(hash);
        self.close_words(at, sink);
        let kind = match &*name.decode() {
            "image" => MediaKind::Image,
            "audio" => MediaKind::Audio,
            _ => MediaKind::Video,
        };
        let media = Media {
            kind,
            source: match media_source(url) {
                // It is at the vendor, but anybody may fetch it.
                MediaSource::File(url) => MediaSource::Url(url),
                source => source,
            },
            detail: None,
            title: None,
            context: None,
            citations: None,
            spelling: Spelling::default(),
        };
        let index = self.start_part(at, PartStart::Media(media), sink);
        sink(StreamEvent::PartStop { index });
    }

    /// The open part of these words; a part of other words is closed.
    fn open(&mut self, at: usize, words: Words, sink: Sink<'_>) -> u32 {
        if let Some((index, open)) = self.candidates[at].open {
            if open == words {
                return index;
            }
        }
        self.close_words(at, sink);
        let part = match words {
            Words::Text => PartStart::Text { citations: None },
            Words::Reasoning => PartStart::Reasoning { seal: None },
        };
        let index = self.start_part(at, part, sink);
        self.candidates[at].open = Some((index, words));
        index
    }

    fn close_words(&mut self, at: usize, sink: Sink<'_>) {
        let Some((index, words)) = self.candidates[at].open.take() else { return };
        if let Some(pages) = self.pages.take_if(|_| words == Words::Text) {
            self.cited = true;
            if let Ok(list) = Raw::parse(&pages) {
                citation::each(&list, |raw| {
                    sink(StreamEvent::Delta { index, delta: Delta::Citation(raw) });
                });
            }
        }
        sink(StreamEvent::PartStop { index });
    }

    fn start_part(&mut self, at: usize, part: PartStart<'_>, sink: Sink<'_>) -> u32 {
        let index = self.next_part;
        self.next_part += 1;
        let (candidate, rest) = (number(at), Rest::default());
        sink(StreamEvent::PartStart { index, candidate, part, rest });
        index
    }

    /// A fragment of a tool call. The part begins when the name is known.
    fn call(&mut self, at: usize, piece: &CallPiece<'_>, sink: Sink<'_>) -> Step {
        self.candidates[at].called = true;
        let hints = Hints { leaning: self.learnt, passed: false, json: true };
        let call = self.calls.of(at, piece)?;
        let mut arguments = std::mem::take(&mut call.arguments);
        if let Some(index) = call.part {
            arguments.push(&piece.arguments, hints, &mut |more| send(index, more, sink));
            call.arguments = arguments;
            return Ok(());
        }
        arguments.push(&piece.arguments, hints, &mut |more| call.held.push_str(more.escaped()));
        call.arguments = arguments;
        call.hold(piece)?;
        if piece.name.is_empty() {
            return Ok(());
        }
        let id = JsonStr::from_escaped(call.id.clone());
        let held = JsonStr::from_escaped(std::mem::take(&mut call.held));
        // Words that were held may need a part of their own, before this one has its number.
        self.flush(at, Words::Reasoning, sink);
        self.flush(at, Words::Text, sink);
        self.close_words(at, sink);
        let kind = ToolCallKind::Function;
        let name = piece.name.borrow();
        let part = PartStart::ToolCall { id, name, kind, seal: None, cache: None };
        let index = self.start_part(at, part, sink);
        self.calls.of(at, piece)?.part = Some(index);
        if !held.is_empty() {
            send(index, held, sink);
        }
        Ok(())
    }

    /// Closes all parts of a candidate.
    pub(super) fn close_all(&mut self, at: usize, sink: Sink<'_>) -> Step {
        self.flush(at, Words::Reasoning, sink);
        self.flush(at, Words::Text, sink);
        self.close_words(at, sink);
        let leaning = self.learnt;
        for call in self.calls.0.iter_mut().filter(|call| call.candidate == at) {
            let Some(index) = call.part else {
                return Err(Broken("a tool call came without its name"));
            };
            call.arguments.flush(leaning, &mut |more| send(index, more, sink));
            sink(StreamEvent::PartStop { index });
        }
        Ok(())
    }
}

fn send(index: u32, piece: JsonStr<'_>, sink: Sink<'_>) {
    sink(StreamEvent::Delta { index, delta: Delta::Arguments(piece) });
}
