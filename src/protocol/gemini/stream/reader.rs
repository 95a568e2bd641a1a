use http::StatusCode;

use super::partial::Arguments;
use crate::protocol::gemini::chunk::{CandidateHead, Chunk, each};
use crate::protocol::gemini::parts::read_part_leniently;
use crate::protocol::gemini::{fault, finish, tokens};
use crate::protocol::json::{Cursor, JsonError, JsonStr, Kind, Raw};
use crate::protocol::model::{ApiError, Rest, Stop, StreamEvent, Usage};
use crate::protocol::stream_reader::{Broken, Sink, Step, broken, number};
use crate::sse::Event;

/// Most candidates of one stream. A stream with more fails.
pub const MAX_CANDIDATES: usize = 128;

/// Most bytes that are kept of what Gemini says beside an answer (ratings, grounding), for all
/// candidates. What is more is left out.
pub const MAX_KEPT: usize = 1 << 20;

/// Reads the events of a stream.
///
/// Words that come in increments are one part, of their kind, up to one with a signature, which is
/// a part of its own: signatures are never merged and never moved. Calls are whole, or come in
/// pieces (`streamFunctionCallArguments`), out of which their arguments are put together. Why an
/// answer ended, the counts and the end itself are told when the upstream ends; `[DONE]`, which
/// some proxies send, counts as that. An event with an `error`, alone or in a list, and one that is
/// no JSON end the stream as an error. Nothing comes after the end or an error.
///
/// Memory: a few words for each candidate, the last `usageMetadata`, up to [`MAX_KEPT`], and for
/// each call in pieces up to [`MAX_PARTIAL_ARGUMENTS`](super::MAX_PARTIAL_ARGUMENTS).
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Reader {
    started: bool,
    done: bool,
    pub(super) next_part: u32,
    pub(super) candidates: Vec<Candidate>,
    /// How the prompt was blocked.
    blocked: Option<Stop<'static>>,
    /// The last `usageMetadata`, as it stood.
    usage: String,
    counts: Usage<'static>,
    kept: usize,
}

#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Candidate {
    seen: bool,
    /// It calls a tool.
    pub(super) calls: bool,
    pub(super) open: Open,
    /// The last `finishReason`, escaped; empty before.
    word: String,
    /// The last `finishMessage`.
    message: Option<JsonStr<'static>>,
    rest: Rest<'static>,
}

/// The part of a candidate that may go on.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) enum Open {
    #[default]
    Nothing,
    Text(u32),
    Thought(u32),
    Call(u32, Box<Arguments>),
}

/// Kinds of parts that hold words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Words {
    Text,
    Thought,
}

impl Reader {
    /// A reader before the first event.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads one event, or one item of a streamed array.
    pub fn event(&mut self, event: &Event<'_>, sink: Sink<'_>) {
        let data = event.data.trim();
        if self.done || data.is_empty() {
            return;
        }
        if data.starts_with("[DONE]") {
            return self.finish(sink);
        }
        if event.name == "error" {
            return self.fail(fault::read(StatusCode::OK, data), sink);
        }
        let read = each_chunk(data, &mut |chunk| self.chunk(chunk, data, sink));
        if read.is_err() && !self.done {
            self.fail(broken("the upstream sent an event that is no JSON object"), sink);
        }
    }

    /// Ends the stream: call it when the upstream ends. An answer is complete when every candidate
    /// gave its reason to finish, or the prompt was blocked; else the stream ends as an error.
    pub fn finish(&mut self, sink: Sink<'_>) {
        if self.done {
            return;
        }
        let mut seen = self.candidates.iter().filter(|candidate| candidate.seen).peekable();
        let complete = match seen.peek() {
            Some(_) => seen.all(|candidate| !candidate.word.is_empty()),
            None => self.blocked.is_some(),
        };
        if !complete {
            return self.fail(broken("the upstream ended the stream early"), sink);
        }
        self.done = true;
        self.stops(sink);
        if let Ok(raw) = Raw::parse(&self.usage) {
            sink(StreamEvent::Usage(tokens::read(raw)));
        }
        sink(StreamEvent::End);
    }

    fn stops(&mut self, sink: Sink<'_>) {
        if let (None, Some(stop)) = (self.candidates.first(), self.blocked.take()) {
            sink(StreamEvent::Stop { candidate: 0, stop, rest: Rest::default() });
        }
        for at in 0..self.candidates.len() {
            self.close(at, sink);
            let Candidate { seen: true, calls, word, message, rest, .. } = &mut self.candidates[at]
            else {
                continue;
            };
            let word = JsonStr::from_escaped(std::mem::take(word));
            let stop = finish::stop(word, message.as_ref(), *calls);
            let rest = std::mem::take(rest);
            sink(StreamEvent::Stop { candidate: number(at), stop, rest });
        }
    }

    fn fail(&mut self, error: ApiError<'_>, sink: Sink<'_>) {
        self.done = true;
        sink(StreamEvent::Error(error));
    }

    fn chunk(&mut self, chunk: Chunk<'_>, data: &str, sink: Sink<'_>) {
        if self.done {
            return;
        }
        let says_nothing =
            chunk.candidates.is_none() && chunk.usage.is_none() && chunk.feedback.is_none();
        let complains = || ["message", "detail"].iter().any(|name| chunk.rest.get(name).is_some());
        if chunk.error.is_some() || (says_nothing && complains()) {
            return self.fail(fault::read(StatusCode::OK, data), sink);
        }
        if says_nothing {
            return;
        }
        if let Err(Broken(reason)) = self.answer(chunk, sink) {
            self.fail(broken(reason), sink);
        }
    }

    fn answer(&mut self, chunk: Chunk<'_>, sink: Sink<'_>) -> Step {
        let Chunk { id, model, created, candidates, usage, feedback, rest, .. } = chunk;
        let usage = usage.map(tokens::read);
        if !std::mem::replace(&mut self.started, true) {
            self.counts = usage.as_ref().map(Usage::counts).unwrap_or_default();
            let usage = usage.as_ref().map(Usage::counts);
            sink(StreamEvent::Start { id, model, created, usage, rest });
        }
        if let Some(stop) = feedback.as_ref().and_then(finish::blocked) {
            self.blocked = Some(stop);
        }
        if let Some(list) = &candidates {
            self.each(list, CandidateHead::read, &mut |reader, position, head| {
                reader.candidate(position, head, sink)
            })?;
        }
        if let Some(usage) = usage {
            self.count(&usage, sink);
        }
        Ok(())
    }

    /// The counts so far. Whoever is cut off in the midst knows them, so they are told at once.
    fn count(&mut self, usage: &Usage<'_>, sink: Sink<'_>) {
        if let Some(raw) = &usage.raw {
            self.usage.clear();
            self.usage.push_str(raw.as_str());
        }
        let counts = usage.counts();
        if counts != self.counts {
            self.counts = counts.counts();
            sink(StreamEvent::Usage(counts));
        }
    }

    /// Reads and handles the items of a list; an item of a wrong form fails the stream.
    fn each<'a, T>(
        &mut self,
        list: &Raw<'a>,
        read: impl Fn(&mut Cursor<'a>) -> Result<T, JsonError>,
        handle: &mut dyn FnMut(&mut Self, usize, T) -> Step,
    ) -> Step {
        let mut handled = Ok(());
        let walked = each(list, |position, c| {
            let item = read(c)?;
            if handled.is_ok() {
                handled = handle(self, position, item);
            }
            Ok(())
        });
        handled?;
        walked.map_err(|_| Broken("the upstream sent an event of an unknown form"))
    }

    fn candidate(&mut self, position: usize, head: CandidateHead<'_>, sink: Sink<'_>) -> Step {
        let CandidateHead { index, word, message, parts, logprobs, rest } = head;
        let at = index.map_or(position, |index| usize::try_from(index).unwrap_or(usize::MAX));
        if at >= MAX_CANDIDATES {
            return Err(Broken("the upstream sent too many candidates"));
        }
        if self.candidates.len() <= at {
            self.candidates.resize_with(at + 1, Candidate::default);
        }
        self.candidates[at].seen = true;
        if let Some(parts) = &parts {
            self.each(parts, read_part_leniently, &mut |reader, _, part| {
                reader.part(at, part, sink)
            })?;
        }
        if let Some(raw) = logprobs {
            sink(StreamEvent::Logprobs { candidate: number(at), raw });
        }
        let candidate = &mut self.candidates[at];
        if let Some(word) = word {
            candidate.word.clear();
            candidate.word.push_str(word.escaped());
        }
        if let Some(message) = message {
            candidate.message = Some(message.into_owned());
        }
        self.keep(at, rest);
        Ok(())
    }

    /// Keeps what a candidate says beside its parts; what comes again replaces what came before,
    /// unless it is empty.
    fn keep(&mut self, at: usize, rest: Rest<'_>) {
        for (key, value) in rest.0 {
            if matches!(value.as_str(), "null" | "{}" | "[]") {
                continue;
            }
            let members = &mut self.candidates[at].rest.0;
            let known = members.iter().position(|(known, _)| *known == key);
            let before = known.map_or(0, |known| members[known].1.as_str().len());
            let after = self.kept - before + value.as_str().len();
            let kept = if known.is_none() { after + key.escaped().len() } else { after };
            if kept > MAX_KEPT {
                continue;
            }
            self.kept = kept;
            match known {
                Some(known) => members[known].1 = value.into_owned(),
                None => members.push((key.into_owned(), value.into_owned())),
            }
        }
    }
}

/// Reads the objects in the data of an event: one, or a list of them.
fn each_chunk<'a>(data: &'a str, handle: &mut dyn FnMut(Chunk<'a>)) -> Result<(), JsonError> {
    let mut c = Cursor::new(data);
    match c.kind()? {
        Kind::Array => c.array(|_, c| {
            handle(Chunk::read(c)?);
            Ok(())
        })?,
        _ => handle(Chunk::read(&mut c)?),
    }
    c.end()
}
