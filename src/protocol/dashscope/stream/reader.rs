use std::hash::{DefaultHasher, Hash, Hasher};

use http::StatusCode;

use super::calls::Calls;
use super::chunk::{CallPiece, Choice, Chunk, Piece};
use super::growth::{Growth, Hints, Mode};
use crate::protocol::dashscope::wire::media_source;
use crate::protocol::dashscope::{fault, finish, tokens};
use crate::protocol::json::{Cursor, JsonError, JsonStr, Raw};
use crate::protocol::model::{
    ApiError, Delta, FaultKind, Media, MediaKind, MediaSource, PartStart, Rest, Seal, SealKind,
    Spelling, StreamEvent, ToolCallKind, Usage, Vendor,
};
use crate::sse::Event;

/// Most candidates of one stream. A stream with more fails.
pub const MAX_CANDIDATES: usize = 128;

/// Most bytes that are remembered of a stream that repeats itself. A stream with more fails.
pub const MAX_REMEMBERED: usize = 16 << 20;

/// Most pictures and sounds of one candidate; further ones are left out.
pub const MAX_MEDIA: usize = 256;

type Sink<'s> = &'s mut dyn FnMut(StreamEvent<'_>);

/// Why a stream cannot be read on.
pub(super) struct Broken(pub(super) &'static str);

pub(super) type Step = Result<(), Broken>;

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
/// Memory: a few words for each candidate and call. A stream that repeats itself costs one copy of
/// the answer, up to [`MAX_REMEMBERED`].
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Reader {
    started: bool,
    done: bool,
    next_part: u32,
    candidates: Vec<Candidate>,
    calls: Calls,
    /// What a field of the stream showed.
    learnt: Option<Mode>,
}

#[derive(Debug, Default, Clone, PartialEq)]
struct Candidate {
    seen: bool,
    stopped: bool,
    called: bool,
    sealed: bool,
    open: Option<(u32, Words)>,
    text: Growth,
    reasoning: Growth,
    /// Hashes of the media that were passed on: a snapshot repeats them.
    media: Vec<u64>,
    /// Words and thoughts that an event of it alone counted.
    spent: Option<(u64, u64)>,
}

/// Kinds of parts that hold words; one at a time is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Words {
    Text,
    Reasoning,
}

impl Candidate {
    fn growth(&mut self, words: Words) -> &mut Growth {
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
        let Chunk { id, model, has_output, choices, text, finish, usage, rest, .. } = chunk;
        if !self.started && (has_output || usage.is_some()) {
            self.started = true;
            sink(StreamEvent::Start { id, model, created: None, usage: None, rest });
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
    fn each<'a, T>(
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

    /// What an event says of a message: thinking, words, media, calls, in this order.
    fn message(&mut self, at: usize, piece: Piece<'_>, sink: Sink<'_>) -> Step {
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
        if let Some((index, _)) = self.candidates[at].open.take() {
            sink(StreamEvent::PartStop { index });
        }
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
    fn close_all(&mut self, at: usize, sink: Sink<'_>) -> Step {
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

/// Whether there is an answer beside a code.
fn says_anything(chunk: &Chunk<'_>) -> bool {
    chunk.choices.is_some() || chunk.text.as_ref().is_some_and(|text| !text.is_empty())
}

fn send(index: u32, piece: JsonStr<'_>, sink: Sink<'_>) {
    sink(StreamEvent::Delta { index, delta: Delta::Arguments(piece) });
}

fn broken(message: &'static str) -> ApiError<'static> {
    ApiError::new(FaultKind::Upstream, message)
}

fn number(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
