use bytes::BytesMut;

use super::MAX_CANDIDATES;
use super::frame::Frame;
use crate::protocol::citation::{self, Span};
use crate::protocol::json::{JsonStr, ObjectWriter, Raw, push_str, push_u64};
use crate::protocol::model::{
    ApiError, Delta, FaultKind, PartStart, Rest, Seal, Stop, StopReason, StreamEvent, ToolCallKind,
    Usage,
};
use crate::protocol::openai_chat::calls::{arguments_word, kind_word, write_extra};
use crate::protocol::openai_chat::finish::{self, Shape};
use crate::protocol::openai_chat::reasoning::write_seal;
use crate::protocol::openai_chat::response::{is_logprobs, refusal_words};
use crate::protocol::openai_chat::{fault, tokens};
use crate::protocol::{Answer, Protocol};
use crate::sse;

/// Most parts that may be open at a time. A stream with more fails.
pub const MAX_OPEN_PARTS: usize = 1024;

/// Writes a stream.
///
/// The first chunk of a candidate has its role; id and model are the same in all chunks; id, type
/// and name of a call come once; the usage comes last and only if the caller asked for it; `[DONE]`
/// ends the stream, after an error too. Thinking goes as `reasoning_content`, its seal as an entry of
/// `reasoning_details`. Citations go only in Chat's own form; server tools and unknown pieces are
/// left out. A ping is a comment. Nothing is written after the end.
///
/// Where the upstream speaks Chat too ([`Answer::origin`]), its own words, usage and unknown members
/// come back as they stood.
///
/// Memory: a few words for each candidate and open part.
#[derive(Debug, Clone, PartialEq)]
pub struct Writer {
    answer: Answer,
    frame: Frame,
    candidates: Vec<Candidate>,
    open: Vec<Open>,
    usage: Option<Usage<'static>>,
    done: bool,
}

#[derive(Debug, Default, Clone, PartialEq)]
struct Candidate {
    begun: bool,
    stopped: bool,
    calls: u64,
    thoughts: u64,
    refused: bool,
}

#[derive(Debug, Clone, PartialEq)]
struct Open {
    index: u32,
    candidate: usize,
    kind: Kind,
    /// A call got arguments.
    filled: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Text,
    Refusal,
    /// Which of the candidate's.
    Reasoning(u64),
    /// Which of the candidate's.
    Call(u64, ToolCallKind),
}

impl Writer {
    /// A writer before the first event.
    #[must_use]
    pub fn new(answer: Answer) -> Self {
        Self {
            frame: Frame::new(answer.include_usage),
            answer,
            candidates: Vec::new(),
            open: Vec::new(),
            usage: None,
            done: false,
        }
    }

    /// Whether the end or an error was written.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Writes what the event is in Chat; that may be nothing.
    pub fn write(&mut self, event: StreamEvent<'_>, out: &mut BytesMut) {
        if self.done {
            return;
        }
        match event {
            StreamEvent::Start { id, model, created, usage, rest } => {
                let rest = self.kept(rest);
                self.frame.settle(&id, &model, created, &rest, &mut self.answer);
                self.see(usage);
            }
            StreamEvent::PartStart { index, candidate, part, .. } => {
                self.part_start(index, candidate, &part, out);
            }
            StreamEvent::Delta { index, delta } => self.delta(index, &delta, out),
            StreamEvent::PartStop { index } => self.close(|open| open.index == index, out),
            StreamEvent::Logprobs { candidate, raw } => self.logprobs(candidate, &raw, out),
            StreamEvent::Stop { candidate, stop, rest } => {
                let rest = self.kept(rest);
                self.stop(candidate, &stop, &rest, out);
            }
            StreamEvent::Usage(usage) => self.see(Some(usage)),
            StreamEvent::Ping => sse::comment(out, "ping"),
            StreamEvent::Error(error) => self.error(&error, out),
            StreamEvent::End => self.end(out),
        }
    }

    /// Whether the upstream speaks Chat too: then what only Chat understands is put back.
    fn native(&self) -> bool {
        self.answer.origin == Some(Protocol::OpenAiChat)
    }

    fn kept<'a>(&self, rest: Rest<'a>) -> Rest<'a> {
        if self.native() { rest } else { Rest::default() }
    }

    fn see(&mut self, usage: Option<Usage<'_>>) {
        if let Some(usage) = usage {
            let counts = usage.counts();
            let raw = usage.raw.filter(|_| self.native()).map(Raw::into_owned);
            self.usage = Some(Usage { raw, ..counts });
        }
    }

    /// Opens a chunk of a candidate, up to the members of its delta.
    fn open_chunk(&mut self, candidate: usize, out: &mut BytesMut) {
        let none = JsonStr::default();
        self.frame.settle(&none, &none, None, &Rest::default(), &mut self.answer);
        self.frame.open_choice(candidate, out);
    }

    /// Closes a chunk of a candidate that goes on.
    fn close_chunk(&self, out: &mut BytesMut) {
        self.frame.close_choice("null", None, &Rest::default(), out);
    }

    /// Writes a chunk whose delta has the one member `name`.
    fn chunk(
        &mut self,
        candidate: usize,
        name: &str,
        out: &mut BytesMut,
        value: impl FnOnce(&mut BytesMut),
    ) {
        self.open_chunk(candidate, out);
        for piece in ["\"", name, "\":"] {
            out.extend_from_slice(piece.as_bytes());
        }
        value(out);
        self.close_chunk(out);
    }

    /// The candidate, begun with its role; `None` when it is stopped or one too many.
    fn begin(&mut self, candidate: u32, with_text: bool, out: &mut BytesMut) -> Option<usize> {
        let at = usize::try_from(candidate).unwrap_or(usize::MAX);
        if at >= MAX_CANDIDATES {
            self.error(&ApiError::new(FaultKind::Upstream, "too many candidates"), out);
            return None;
        }
        if self.candidates.len() <= at {
            self.candidates.resize_with(at + 1, Candidate::default);
        }
        if self.candidates[at].stopped {
            return None;
        }
        if !std::mem::replace(&mut self.candidates[at].begun, true) {
            self.open_chunk(at, out);
            let content = if with_text { "\"\"" } else { "null" };
            for piece in ["\"role\":\"assistant\",\"content\":", content, ",\"refusal\":null"] {
                out.extend_from_slice(piece.as_bytes());
            }
            self.close_chunk(out);
        }
        Some(at)
    }

    fn part_start(&mut self, index: u32, candidate: u32, part: &PartStart<'_>, out: &mut BytesMut) {
        if matches!(part, PartStart::Media(_) | PartStart::Other { .. }) {
            return;
        }
        let with_text = matches!(part, PartStart::Text { .. });
        let Some(at) = self.begin(candidate, with_text, out) else { return };
        if self.open.len() == MAX_OPEN_PARTS {
            return self.error(&ApiError::new(FaultKind::Upstream, "too many open parts"), out);
        }
        let kind = match part {
            PartStart::Text { .. } => Kind::Text,
            PartStart::Refusal => {
                self.candidates[at].refused = true;
                Kind::Refusal
            }
            PartStart::Reasoning { seal } => {
                let nth = next(&mut self.candidates[at].thoughts);
                if let Some(seal) = seal {
                    self.seal(at, nth, seal, out);
                }
                Kind::Reasoning(nth)
            }
            PartStart::ToolCall { id, name, kind, seal, .. } => {
                let nth = next(&mut self.candidates[at].calls);
                self.call(at, nth, (id, name, *kind, seal.as_ref()), out);
                Kind::Call(nth, *kind)
            }
            PartStart::Media(_) | PartStart::Other { .. } => return,
        };
        self.open.push(Open { index, candidate: at, kind, filled: false });
    }

    /// The first fragment of a call.
    fn call(
        &mut self,
        at: usize,
        nth: u64,
        (id, name, kind, seal): (&JsonStr<'_>, &JsonStr<'_>, ToolCallKind, Option<&Seal<'_>>),
        out: &mut BytesMut,
    ) {
        let made = if id.is_empty() { self.answer.ids.make("call_") } else { String::new() };
        self.chunk(at, "tool_calls", out, |out| {
            out.extend_from_slice(b"[");
            let mut call = ObjectWriter::begin(out);
            call.u64("index", nth);
            if id.is_empty() {
                call.plain("id", &made);
            } else {
                call.str("id", id);
            }
            call.plain("type", kind_word(kind));
            call.object(kind_word(kind), |inner| {
                inner.str("name", name);
                inner.plain(arguments_word(kind), "");
            });
            if let Some(seal) = seal {
                write_extra(&mut call, seal);
            }
            call.end();
            out.extend_from_slice(b"]");
        });
    }

    fn seal(&mut self, at: usize, nth: u64, seal: &Seal<'_>, out: &mut BytesMut) {
        self.chunk(at, "reasoning_details", out, |out| {
            out.extend_from_slice(b"[");
            let mut entry = ObjectWriter::begin(out);
            entry.u64("index", nth);
            write_seal(&mut entry, seal, None);
            entry.end();
            out.extend_from_slice(b"]");
        });
    }

    /// Closes the parts. A call without arguments gets `{}`: Messages sends none for a tool that
    /// takes none, and clients of Chat parse what they get.
    fn close(&mut self, closes: impl Fn(&Open) -> bool, out: &mut BytesMut) {
        while let Some(at) = self.open.iter().position(&closes) {
            let Open { candidate, kind, filled, .. } = self.open.remove(at);
            if let Kind::Call(nth, kind @ ToolCallKind::Function) = kind {
                if !filled && !self.candidates[candidate].stopped {
                    self.arguments(candidate, nth, kind, "{}", out);
                }
            }
        }
    }

    /// A later fragment of a call; `text` is escaped.
    fn arguments(
        &mut self,
        at: usize,
        nth: u64,
        kind: ToolCallKind,
        text: &str,
        out: &mut BytesMut,
    ) {
        self.chunk(at, "tool_calls", out, |out| {
            out.extend_from_slice(b"[{\"index\":");
            push_u64(out, nth);
            let (kind, name) = (kind_word(kind), arguments_word(kind));
            for piece in [",\"", kind, "\":{\"", name, "\":\"", text, "\"}}]"] {
                out.extend_from_slice(piece.as_bytes());
            }
        });
    }

    fn delta(&mut self, index: u32, delta: &Delta<'_>, out: &mut BytesMut) {
        let Some(open) = self.open.iter_mut().rfind(|open| open.index == index) else { return };
        open.filled |= matches!(delta, Delta::Arguments(text) if !text.is_empty());
        let (at, kind) = (open.candidate, open.kind);
        if self.candidates[at].stopped {
            return;
        }
        match (kind, delta) {
            (Kind::Text, Delta::Text(text)) => {
                self.chunk(at, "content", out, |out| push_str(out, text));
            }
            (Kind::Refusal, Delta::Text(text)) => {
                self.chunk(at, "refusal", out, |out| push_str(out, text));
            }
            (Kind::Reasoning(_), Delta::Reasoning(text)) => {
                self.chunk(at, "reasoning_content", out, |out| push_str(out, text));
            }
            (Kind::Reasoning(nth), Delta::Seal(seal)) if !seal.data.is_empty() => {
                self.seal(at, nth, seal, out);
            }
            (Kind::Call(nth, kind), Delta::Arguments(text)) if !text.is_empty() => {
                self.arguments(at, nth, kind, text.escaped(), out);
            }
            (Kind::Text, Delta::Citation(raw)) => self.annotation(at, raw, out),
            _ => {}
        }
    }

    /// A citation: Chat's own as it stood, another's where it says which words it is for.
    fn annotation(&mut self, at: usize, raw: &Raw<'_>, out: &mut BytesMut) {
        let own = self.native();
        if !own && !citation::has_span(raw) {
            return;
        }
        self.chunk(at, "annotations", out, |out| {
            out.extend_from_slice(b"[");
            if own {
                out.extend_from_slice(raw.as_str().as_bytes());
            } else {
                citation::write_nested(raw, Span::default(), out);
            }
            out.extend_from_slice(b"]");
        });
    }

    fn logprobs(&mut self, candidate: u32, raw: &Raw<'_>, out: &mut BytesMut) {
        if !self.native() && !is_logprobs(raw) {
            return;
        }
        let Some(at) = self.begin(candidate, true, out) else { return };
        self.open_chunk(at, out);
        self.frame.close_choice(raw.as_str(), None, &Rest::default(), out);
    }

    fn stop(&mut self, candidate: u32, stop: &Stop<'_>, rest: &Rest<'_>, out: &mut BytesMut) {
        if stop.reason == StopReason::Error && !self.native() {
            // OpenAI has no word for it, and an end would hide it.
            let message = "the model failed to answer";
            return self.error(&ApiError::new(FaultKind::Upstream, message), out);
        }
        let Some(at) = self.begin(candidate, true, out) else { return };
        self.close(|open| open.candidate == at, out);
        let Candidate { calls, refused, .. } = self.candidates[at];
        let shape = Shape { calls: calls > 0, refusal: refused };
        let kept = stop.word.as_ref().filter(|_| self.native());
        let word = kept.map_or_else(|| finish::word(stop, shape), JsonStr::borrow);
        let words = refusal_words(stop).filter(|_| stop.reason == StopReason::Refusal && !refused);
        if let Some(words) = words {
            self.chunk(at, "refusal", out, |out| push_str(out, &words));
        }
        self.open_chunk(at, out);
        self.frame.close_choice("null", Some(&word), rest, out);
        self.candidates[at].stopped = true;
    }

    fn error(&mut self, error: &ApiError<'_>, out: &mut BytesMut) {
        out.extend_from_slice(b"data: ");
        fault::write(error, out);
        out.extend_from_slice(b"\n\n");
        self.finish(out);
    }

    fn end(&mut self, out: &mut BytesMut) {
        // Whatever came, a client waits for a reason from every candidate.
        let begun = |candidate: &Candidate| candidate.begun;
        let last = self.candidates.iter().rposition(begun).unwrap_or(0);
        for at in 0..=last {
            if at == last || self.candidates[at].begun {
                self.stop(at as u32, &Stop::new(StopReason::End), &Rest::default(), out);
            }
        }
        if let Some(usage) = self.usage.take().filter(|_| self.answer.include_usage) {
            self.frame.open(out);
            out.extend_from_slice(b",\"choices\":[],\"usage\":");
            match &usage.raw {
                Some(raw) => out.extend_from_slice(raw.as_str().as_bytes()),
                None => {
                    let mut object = ObjectWriter::begin(out);
                    tokens::write(&usage, &mut object);
                    object.end();
                }
            }
            out.extend_from_slice(b"}\n\n");
        }
        self.finish(out);
    }

    fn finish(&mut self, out: &mut BytesMut) {
        out.extend_from_slice(b"data: [DONE]\n\n");
        self.done = true;
    }
}

fn next(count: &mut u64) -> u64 {
    let nth = *count;
    *count += 1;
    nth
}
