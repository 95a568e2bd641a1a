use http::StatusCode;

use super::calls::Calls;
use super::chunk::{CallDelta, Choice, ChoiceDelta, Chunk};
use crate::protocol::json::{Cursor, JsonError, JsonStr, Kind, Raw};
use crate::protocol::model::{ApiError, Content, Delta, PartStart, Rest, SealKind, StreamEvent};
use crate::protocol::openai_chat::finish::{self, Shape};
use crate::protocol::openai_chat::{fault, reasoning, tokens};
use crate::protocol::stream_reader::{Broken, Sink, Step, broken, number};
use crate::protocol::wire::is_empty_list;
use crate::sse::Event;

/// Most candidates of one stream: OpenAI's limit of `n`. A stream with more fails.
pub const MAX_CANDIDATES: usize = 128;

/// Reads the events of a stream.
///
/// All dialects are taken: calls without an index, ids that come again or are empty in later
/// fragments, names that come late, whole calls in one chunk, the legacy `function_call`, thinking
/// in any of its members, usage in any chunk, errors in a chunk or an event of their own. An event
/// that is no JSON ends the stream as an error. Nothing comes after the end or an error.
///
/// Memory: a few words for each candidate and call, and up to [`MAX_HELD`](super::MAX_HELD) for each call whose name
/// has not come.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Reader {
    started: bool,
    done: bool,
    next_part: u32,
    candidates: Vec<Candidate>,
    calls: Calls,
}

#[derive(Debug, Default, Clone, PartialEq)]
struct Candidate {
    seen: bool,
    stopped: bool,
    shape: Shape,
    open: Option<(u32, Words)>,
}

/// Kinds of parts that hold words; one at a time is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Words {
    Text,
    Refusal,
    Reasoning,
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
        if data.starts_with("[DONE]") {
            return self.finish(sink);
        }
        if event.name == "error" {
            return self.fail(fault::read(StatusCode::OK, data), sink);
        }
        match Chunk::read(data, !self.started) {
            Err(_) => self.fail(broken("the upstream sent a chunk that is no JSON object"), sink),
            Ok(Chunk { error: Some(error), .. }) => self.fail(fault::read_member(&error), sink),
            Ok(Chunk { complains: true, choices: None, usage: None, .. }) => {
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
    /// gave its reason to finish, whether `[DONE]` came or not; else the stream ends as an error.
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
        let Chunk { id, model, created, choices, usage, rest, .. } = chunk;
        let choices = choices.filter(|raw| !is_empty_list(raw));
        // Azure's first chunk has its filter's verdict only, and often no model.
        if !self.started && (choices.is_some() || usage.is_some()) {
            self.started = true;
            sink(StreamEvent::Start { id, model, created, usage: None, rest });
        }
        if let Some(choices) = &choices {
            self.each(choices, Choice::read, &mut |reader, choice| reader.choice(choice, sink))?;
        }
        if let Some(usage) = usage.filter(|_| !self.done) {
            sink(StreamEvent::Usage(tokens::read(usage)));
        }
        Ok(())
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
        walked.map_err(|_| Broken("the upstream sent a chunk of an unknown form"))
    }

    fn choice(&mut self, choice: Choice<'_>, sink: Sink<'_>) -> Step {
        let Choice { index, finish_reason, logprobs, error, delta } = choice;
        if self.done {
            return Ok(());
        }
        if let Some(error) = error {
            self.fail(fault::read_member(&error), sink);
            return Ok(());
        }
        let at = usize::try_from(index).unwrap_or(usize::MAX);
        if at >= MAX_CANDIDATES {
            return Err(Broken("the upstream sent too many choices"));
        }
        if self.candidates.len() <= at {
            self.candidates.resize_with(at + 1, Candidate::default);
        }
        self.candidates[at].seen = true;
        // Some vendors repeat the last chunk, with usage.
        if self.candidates[at].stopped {
            return Ok(());
        }
        self.delta(at, delta, sink)?;
        if let Some(raw) = logprobs {
            sink(StreamEvent::Logprobs { candidate: number(at), raw });
        }
        match finish::read(finish_reason, self.candidates[at].shape) {
            Some(stop) => {
                self.close_all(at, sink)?;
                self.candidates[at].stopped = true;
                let rest = Rest::default();
                sink(StreamEvent::Stop { candidate: number(at), stop, rest });
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn delta(&mut self, at: usize, delta: ChoiceDelta<'_>, sink: Sink<'_>) -> Step {
        let has_text = !delta.reasoning.is_empty();
        self.words(at, Words::Reasoning, delta.reasoning, sink);
        if let Some(details) = delta.details {
            self.each(&details, reasoning::entry, &mut |reader, entry| {
                if let Some(entry) = entry {
                    reader.detail(at, entry.content, !has_text, sink);
                }
                Ok(())
            })?;
        }
        if let Some(list) = delta.list {
            self.each(&list, content_piece, &mut |reader, (words, text)| {
                reader.words(at, words, text, sink);
                Ok(())
            })?;
        }
        self.words(at, Words::Text, delta.content, sink);
        self.words(at, Words::Refusal, delta.refusal, sink);
        if let Some(annotations) = delta.annotations {
            self.each(&annotations, Cursor::raw, &mut |reader, raw| {
                let index = reader.open(at, Words::Text, sink);
                sink(StreamEvent::Delta { index, delta: Delta::Citation(raw) });
                Ok(())
            })?;
        }
        if let Some(call) = delta.function_call {
            let call = call.source_cursor().and_then(|mut c| CallDelta::read_legacy(&mut c).ok());
            if let Some(call) = call {
                self.call(at, call, sink)?;
            }
        }
        match delta.tool_calls {
            Some(calls) => {
                self.each(&calls, CallDelta::read, &mut |reader, call| reader.call(at, call, sink))
            }
            None => Ok(()),
        }
    }

    /// More words of a candidate.
    fn words(&mut self, at: usize, words: Words, piece: JsonStr<'_>, sink: Sink<'_>) {
        if piece.is_empty() {
            return;
        }
        let index = self.open(at, words, sink);
        let delta = match words {
            Words::Reasoning => Delta::Reasoning(piece),
            Words::Text | Words::Refusal => Delta::Text(piece),
        };
        sink(StreamEvent::Delta { index, delta });
    }

    /// An entry of `reasoning_details`. Its text may stand beside it already.
    fn detail(&mut self, at: usize, content: Content<'_>, with_text: bool, sink: Sink<'_>) {
        let Content::Reasoning { text, seal, .. } = content else { return };
        if let Some(text) = text.filter(|_| with_text) {
            self.words(at, Words::Reasoning, text, sink);
        }
        match seal {
            Some(seal) if seal.kind == SealKind::Signature => {
                let index = self.open(at, Words::Reasoning, sink);
                sink(StreamEvent::Delta { index, delta: Delta::Seal(seal) });
                self.close_words(at, sink);
            }
            Some(seal) => {
                self.close_words(at, sink);
                self.start_part(at, PartStart::Reasoning { seal: Some(seal) }, sink);
                sink(StreamEvent::PartStop { index: self.next_part - 1 });
            }
            None => {}
        }
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
            Words::Refusal => PartStart::Refusal,
            Words::Reasoning => PartStart::Reasoning { seal: None },
        };
        let index = self.start_part(at, part, sink);
        let candidate = &mut self.candidates[at];
        candidate.open = Some((index, words));
        candidate.shape.refusal |= words == Words::Refusal;
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
    fn call(&mut self, at: usize, delta: CallDelta<'_>, sink: Sink<'_>) -> Step {
        self.candidates[at].shape.calls = true;
        let call = self.calls.of(at, &delta)?;
        if let Some(index) = call.part {
            send_arguments(index, delta.arguments, sink);
            return Ok(());
        }
        call.hold(&delta)?;
        if delta.name.is_empty() {
            return Ok(());
        }
        let index = self.next_part;
        call.part = Some(index);
        let part = PartStart::ToolCall {
            id: JsonStr::from_escaped(call.id.clone()),
            name: delta.name,
            kind: call.kind,
            seal: call.seal.take(),
            cache: None,
        };
        let held = JsonStr::from_escaped(std::mem::take(&mut call.held));
        self.close_words(at, sink);
        self.start_part(at, part, sink);
        send_arguments(index, held, sink);
        Ok(())
    }

    /// Closes all parts of a candidate.
    fn close_all(&mut self, at: usize, sink: Sink<'_>) -> Step {
        self.close_words(at, sink);
        for call in self.calls.of_candidate(at) {
            match call.part {
                Some(index) => sink(StreamEvent::PartStop { index }),
                None => return Err(Broken("a tool call came without its name")),
            }
        }
        Ok(())
    }
}

fn send_arguments(index: u32, piece: JsonStr<'_>, sink: Sink<'_>) {
    if !piece.is_empty() {
        sink(StreamEvent::Delta { index, delta: Delta::Arguments(piece) });
    }
}

/// The text of a piece in a list of content: `{"type":"text","text"}`, or Mistral's
/// `{"type":"thinking","thinking":[{"text"}]}`.
fn content_piece<'a>(c: &mut Cursor<'a>) -> Result<(Words, JsonStr<'a>), JsonError> {
    let (mut words, mut text) = (Words::Text, JsonStr::default());
    c.object(|key, c| {
        match (&*key.decode(), c.kind()?) {
            ("text", Kind::String) => text = c.string()?,
            ("thinking", _) => {
                words = Words::Reasoning;
                text = reasoning::listed(c)?;
            }
            _ => drop(c.raw()?),
        }
        Ok(())
    })?;
    Ok((words, text))
}
