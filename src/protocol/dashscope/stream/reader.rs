use http::StatusCode;

use super::calls::Calls;
use super::chunk::{Choice, Chunk, Piece};
use super::growth::{Growth, Mode};
use crate::protocol::dashscope::{fault, finish, tokens};
use crate::protocol::json::{Cursor, JsonError, Raw};
use crate::protocol::model::{ApiError, Rest, StreamEvent, Usage};
use crate::protocol::stream_reader::{Broken, Sink, Step, broken, number};
use crate::sse::Event;

/// Most candidates of one stream. A stream with more fails.
pub const MAX_CANDIDATES: usize = 128;

/// Most bytes that are remembered of a stream that repeats itself. A stream with more fails.
pub const MAX_REMEMBERED: usize = 16 << 20;

/// Most bytes of the pages that a search found; a longer list is left out.
pub const MAX_FOUND: usize = 256 << 10;

/// Most pictures and sounds of one candidate; further ones are left out.
pub const MAX_MEDIA: usize = 256;

/// Reads the events of a stream.
///
/// Events may hold more of the answer each, or all of it so far. Which of them an upstream does is
/// found out for each text by itself, and only sound evidence counts: a word that comes twice is
/// not swallowed. In doubt a text is held back until the next event, never the first one.
///
/// Words may stand in `output.choices`, as a string or a list, or in `output.text`. Fragments of
/// calls belong together by their index, as the id is empty in later ones. An error is an event of
/// that name, or any data with a `code`. Data that are no JSON end the stream as an error. Nothing
/// comes after the end or an error.
///
/// Pages that a search found are citations at the end of the first text.
///
/// Memory: a few words for each candidate and call. A stream that repeats itself costs one copy of
/// the answer, up to [`MAX_REMEMBERED`].
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Reader {
    started: bool,
    done: bool,
    pub(super) next_part: u32,
    pub(super) candidates: Vec<Candidate>,
    pub(super) calls: Calls,
    /// The pages that a search found, until the text that cites them is complete.
    pub(super) pages: Option<String>,
    pub(super) cited: bool,
    /// What a field of the stream showed.
    pub(super) learnt: Option<Mode>,
}

#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Candidate {
    pub(super) seen: bool,
    pub(super) stopped: bool,
    pub(super) called: bool,
    pub(super) sealed: bool,
    pub(super) open: Option<(u32, Words)>,
    pub(super) text: Growth,
    pub(super) reasoning: Growth,
    /// Hashes of the media that were passed on: a snapshot repeats them.
    pub(super) media: Vec<u64>,
    /// Words and thoughts that an event of it alone counted.
    spent: Option<(u64, u64)>,
}

/// Kinds of parts that hold words; one at a time is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Words {
    Text,
    Reasoning,
}

impl Candidate {
    pub(super) fn growth(&mut self, words: Words) -> &mut Growth {
        match words {
            Words::Text => &mut self.text,
            Words::Reasoning => &mut self.reasoning,
        }
    }
}

impl Reader {
    /// A reader before the first event.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads one event.
    pub fn event(&mut self, event: &Event<'_>, sink: Sink<'_>) {
        let data = event.data.trim();
        if self.done || data.is_empty() {
            return;
        }
        if data.starts_with("[DONE]") || event.name == "done" {
            return self.finish(sink);
        }
        if event.name == "error" {
            return self.fail(fault::read(StatusCode::OK, data), sink);
        }
        match Chunk::read(data, !self.started) {
            Err(_) => self.fail(broken("the upstream sent an event that is no JSON object"), sink),
            Ok(chunk) if chunk.complains && !says_anything(&chunk) => {
                self.fail(fault::read(StatusCode::OK, data), sink);
            }
            Ok(chunk) => {
                if let Err(Broken(reason)) = self.chunk(chunk, sink) {
                    self.fail(broken(reason), sink);
                }
            }
        }
    }

    /// Ends the stream: call it when the upstream ends. An answer is complete when every candidate
    /// gave its reason to finish; else the stream ends as an error.
    pub fn finish(&mut self, sink: Sink<'_>) {
        if self.done {
            return;
        }
        let mut seen = self.candidates.iter().filter(|candidate| candidate.seen).peekable();
        if seen.peek().is_some() && seen.all(|candidate| candidate.stopped) {
            self.done = true;
            sink(StreamEvent::End);
        } else {
            self.fail(broken("the upstream ended the stream early"), sink);
        }
    }

    fn fail(&mut self, error: ApiError<'_>, sink: Sink<'_>) {
        self.done = true;
        sink(StreamEvent::Error(error));
    }

    fn chunk(&mut self, chunk: Chunk<'_>, sink: Sink<'_>) -> Step {
        let Chunk { id, model, has_output, choices, text, finish, usage, pages, rest, .. } = chunk;
        if !self.started && (has_output || usage.is_some()) {
            self.started = true;
            sink(StreamEvent::Start { id, model, created: None, usage: None, rest });
        }
        if let Some(raw) = pages.filter(|raw| !self.cited && raw.as_str().len() <= MAX_FOUND) {
            self.pages = Some(raw.as_str().to_owned());
        }
        let (mut told, mut last) = (0, 0);
        if let Some(choices) = &choices {
            self.each(choices, Choice::read, &mut |reader, choice| {
                last = choice.index.unwrap_or(told);
                told += 1;
                reader.choice(last, choice, sink)
            })?;
        } else if text.is_some() || !finish.is_empty() {
            let message = Piece { content: text.unwrap_or_default(), ..Piece::default() };
            self.choice(0, Choice { finish, message, ..Choice::default() }, sink)?;
        }
        if let Some(raw) = usage {
            self.usage(tokens::read(raw), (told == 1).then_some(last), sink);
        }
        if self.remembered() > MAX_REMEMBERED {
            return Err(Broken("the upstream repeats more of its answer than is remembered"));
        }
        Ok(())
    }

    fn remembered(&self) -> usize {
        let words = self.candidates.iter().flat_map(|it| [&it.text, &it.reasoning]);
        let arguments = self.calls.0.iter().map(|call| &call.arguments);
        words.chain(arguments).map(Growth::remembered).sum()
    }

    /// Where an event has one of several candidates, its usage is that one's.
    fn usage(&mut self, mut usage: Usage<'_>, of: Option<u64>, sink: Sink<'_>) {
        let of = of.and_then(|at| usize::try_from(at).ok());
        if let Some(candidate) = of.and_then(|at| self.candidates.get_mut(at)) {
            candidate.spent = Some((usage.output, usage.reasoning));
            let spent = || self.candidates.iter().filter_map(|it| it.spent);
            if spent().count() > 1 {
                usage.output = spent().map(|(output, _)| output).sum();
                usage.reasoning = spent().map(|(_, reasoning)| reasoning).sum();
                usage.raw = None;
            }
        }
        sink(StreamEvent::Usage(usage));
    }

    /// Reads and handles the items of an array; an item of a wrong form fails the stream.
    pub(super) fn each<'a, T>(
        &mut self,
        list: &Raw<'a>,
        read: impl Fn(&mut Cursor<'a>) -> Result<T, JsonError>,
        handle: &mut dyn FnMut(&mut Self, T) -> Step,
    ) -> Step {
        let Some(mut c) = list.source_cursor() else { return Ok(()) };
        let mut handled = Ok(());
        let walked = c.array(|_, c| {
            let item = read(c)?;
            if handled.is_ok() {
                handled = handle(self, item);
            }
            Ok(())
        });
        handled?;
        walked.map_err(|_| Broken("the upstream sent an event of an unknown form"))
    }

    fn choice(&mut self, index: u64, choice: Choice<'_>, sink: Sink<'_>) -> Step {
        let at = usize::try_from(index).unwrap_or(usize::MAX);
        if at >= MAX_CANDIDATES {
            return Err(Broken("the upstream sent too many choices"));
        }
        if self.candidates.len() <= at {
            self.candidates.resize_with(at + 1, Candidate::default);
        }
        self.candidates[at].seen = true;
        if self.candidates[at].stopped {
            return Ok(());
        }
        self.message(at, choice.message, sink)?;
        if let Some(raw) = choice.logprobs {
            sink(StreamEvent::Logprobs { candidate: number(at), raw });
        }
        let Some(stop) = finish::read(choice.finish, self.candidates[at].called) else {
            return Ok(());
        };
        self.close_all(at, sink)?;
        self.candidates[at].stopped = true;
        sink(StreamEvent::Stop { candidate: number(at), stop, rest: Rest::default() });
        Ok(())
    }
}

/// Whether there is an answer beside a code.
fn says_anything(chunk: &Chunk<'_>) -> bool {
    chunk.choices.is_some() || chunk.text.as_ref().is_some_and(|text| !text.is_empty())
}
