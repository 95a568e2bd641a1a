use bytes::BytesMut;
use http::StatusCode;

use super::MAX_CANDIDATES;
use super::frame::Frame;
use super::piece::Piece;
use super::snapshot::Snapshot;
use crate::protocol::citation;
use crate::protocol::dashscope::content::write_media;
use crate::protocol::dashscope::finish;
use crate::protocol::dashscope::message::is_ours;
use crate::protocol::dashscope::response::{is_carried, is_logprobs};
use crate::protocol::dashscope::search::Pages;
use crate::protocol::dashscope::wire::{push, push_flat};
use crate::protocol::json::{JsonStr, ObjectWriter, Raw, push_u64};
use crate::protocol::model::{
    ApiError, Delta, FaultKind, Media, PartStart, Seal, Stop, StopReason, StreamEvent, Usage,
};
use crate::protocol::{Answer, Protocol};
use crate::sse;

/// Most parts that may be open at a time. A stream with more fails.
pub const MAX_OPEN_PARTS: usize = 1024;

/// Where events repeat the answer, one is written when a part of it is new: one in so many bytes. So
/// what is written grows with the answer, not with its square; short answers get every step.
pub const SNAPSHOT_STEP: usize = 64;

/// Writes a stream.
///
/// How it is laid out says [`Answer::layout`]: each event has more of the answer, or all of it so
/// far; the words stand in a string, in a list, or in `output.text`. Every event has the role and
/// the usage known so far; the last one has the reason to finish, and waits for the last usage. Id
/// and name of a call come once where events have more of it. A refusal goes as words where it has
/// any; else it is an error, as is what a filter stopped. Pages that are cited stand in the
/// last event as `search_info`; other citations and server tools are left out. A ping is a comment.
/// Nothing is written after the end.
///
/// Where the upstream speaks DashScope too ([`Answer::origin`]), its own words, usage and unknown
/// members come back as they stood.
///
/// Memory: a few words for each candidate and open part. Events that repeat the answer cost a copy
/// of it, up to [`Answer::max_accumulated`]; beyond that the stream ends in an error.
#[derive(Debug, Clone, PartialEq)]
pub struct Writer {
    answer: Answer,
    frame: Frame,
    usage: Option<Usage<'static>>,
    candidates: Vec<Candidate>,
    pages: Pages,
    open: Vec<Open>,
    done: bool,
}

#[derive(Debug, Default, Clone, PartialEq)]
struct Candidate {
    begun: bool,
    calls: u64,
    thought: bool,
    refused: bool,
    stop: Option<Stop<'static>>,
    said: Snapshot,
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
    Words,
    Reasoning,
    /// Which of the candidate's.
    Call(u64),
}

impl Writer {
    /// A writer before the first event.
    #[must_use]
    pub fn new(answer: Answer) -> Self {
        Self {
            answer,
            frame: Frame::default(),
            usage: None,
            candidates: Vec::new(),
            pages: Pages::default(),
            open: Vec::new(),
            done: false,
        }
    }

    /// Whether the end or an error was written.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Writes what the event is in DashScope; that may be nothing.
    pub fn write(&mut self, event: StreamEvent<'_>, out: &mut BytesMut) {
        if self.done {
            return;
        }
        match event {
            StreamEvent::Start { id, usage, rest, .. } => {
                self.frame.settle(&id, &mut self.answer);
                if self.native() {
                    self.frame.keep(rest);
                }
                self.see(usage);
            }
            StreamEvent::PartStart { index, candidate, part, .. } => {
                self.part_start(index, candidate, &part, out);
            }
            StreamEvent::Delta { index, delta } => self.delta(index, &delta, out),
            StreamEvent::PartStop { index } => self.close(|open| open.index == index, out),
            StreamEvent::Logprobs { candidate, raw } => self.logprobs(candidate, &raw, out),
            StreamEvent::Stop { candidate, stop, .. } => self.stop(candidate, stop, out),
            StreamEvent::Usage(usage) => self.see(Some(usage)),
            StreamEvent::Ping => sse::comment(out, "ping"),
            StreamEvent::Error(error) => self.error(&error, out),
            StreamEvent::End => self.end(out),
        }
    }

    /// Whether the upstream speaks DashScope too.
    fn native(&self) -> bool {
        self.answer.origin == Some(Protocol::DashScope)
    }

    fn see(&mut self, usage: Option<Usage<'_>>) {
        if let Some(usage) = usage {
            let counts = usage.counts();
            let raw = usage.raw.filter(|_| self.native()).map(Raw::into_owned);
            self.usage = Some(Usage { raw, ..counts });
        }
    }

    /// The candidate; `None` when it is stopped or one too many.
    fn begin(&mut self, candidate: u32, out: &mut BytesMut) -> Option<usize> {
        let at = usize::try_from(candidate).unwrap_or(usize::MAX);
        if at >= MAX_CANDIDATES {
            self.fail("too many candidates", out);
            return None;
        }
        if self.candidates.len() <= at {
            self.candidates.resize_with(at + 1, Candidate::default);
        }
        let candidate = &mut self.candidates[at];
        candidate.begun = true;
        candidate.stop.is_none().then_some(at)
    }

    fn part_start(&mut self, index: u32, candidate: u32, part: &PartStart<'_>, out: &mut BytesMut) {
        let Some(at) = self.begin(candidate, out) else { return };
        if self.open.len() == MAX_OPEN_PARTS {
            return self.fail("too many open parts", out);
        }
        let kind = match part {
            PartStart::Text { citations } => {
                if let Some(list) = citations {
                    citation::each(&list.borrow(), |cited| {
                        self.pages.add(&cited);
                    });
                }
                Kind::Words
            }
            PartStart::Refusal => {
                self.candidates[at].refused = true;
                Kind::Words
            }
            PartStart::Reasoning { seal } => {
                self.candidates[at].thought = true;
                if let Some(seal) = seal {
                    self.seal(at, seal, out);
                }
                Kind::Reasoning
            }
            PartStart::ToolCall { id, name, .. } => {
                let nth = self.candidates[at].calls;
                self.candidates[at].calls += 1;
                let made =
                    if id.is_empty() { self.answer.ids.make("call_") } else { String::new() };
                let id = if id.is_empty() { &made } else { id.escaped() };
                self.add(at, &Piece::Call { nth, id, name }, out);
                Kind::Call(nth)
            }
            PartStart::Media(media) => return self.media(at, media, out),
            PartStart::Other { .. } => return,
        };
        self.open.push(Open { index, candidate: at, kind, filled: false });
    }

    fn media(&mut self, at: usize, media: &Media<'_>, out: &mut BytesMut) {
        if !self.answer.layout.content_list || !is_carried(media) {
            return;
        }
        let mut item = BytesMut::new();
        let mut object = ObjectWriter::begin(&mut item);
        write_media(&mut object, media);
        object.end();
        if let Ok(item) = std::str::from_utf8(&item) {
            self.add(at, &Piece::Media(item), out);
        }
    }

    fn seal(&mut self, at: usize, seal: &Seal<'_>, out: &mut BytesMut) {
        if is_ours(seal) && !seal.data.is_empty() {
            self.add(at, &Piece::Signature(&seal.data), out);
        }
    }

    fn delta(&mut self, index: u32, delta: &Delta<'_>, out: &mut BytesMut) {
        let Some(open) = self.open.iter_mut().rfind(|open| open.index == index) else { return };
        open.filled |= matches!(delta, Delta::Arguments(text) if !text.is_empty());
        let (at, kind) = (open.candidate, open.kind);
        match (kind, delta) {
            (Kind::Words, Delta::Text(text)) => self.add(at, &Piece::Words(text), out),
            (Kind::Words, Delta::Citation(raw)) => {
                self.pages.add(raw);
            }
            (Kind::Reasoning, Delta::Reasoning(text)) => {
                self.add(at, &Piece::Reasoning(text), out);
            }
            (Kind::Reasoning, Delta::Seal(seal)) => self.seal(at, seal, out),
            (Kind::Call(nth), Delta::Arguments(text)) => {
                self.add(at, &Piece::Arguments { nth, text: text.escaped() }, out);
            }
            _ => {}
        }
    }

    /// Closes the parts. A call without arguments gets `{}`: clients parse what they get.
    fn close(&mut self, closes: impl Fn(&Open) -> bool, out: &mut BytesMut) {
        while let Some(at) = self.open.iter().position(&closes) {
            let Open { candidate, kind, filled, .. } = self.open.remove(at);
            if let (Kind::Call(nth), false) = (kind, filled) {
                self.add(candidate, &Piece::Arguments { nth, text: "{}" }, out);
            }
        }
    }

    fn stop(&mut self, candidate: u32, stop: Stop<'_>, out: &mut BytesMut) {
        let Some(at) = self.begin(candidate, out) else { return };
        if let Some(reason) = finish::error(stop.reason, self.candidates[at].refused) {
            if !self.native() {
                return self.failed(&stop, reason, out);
            }
        }
        self.close(|open| open.candidate == at, out);
        self.candidates[at].stop = Some(stop.into_owned());
    }

    /// An ending that is an error here. What the vendor says of it goes along.
    fn failed(&mut self, stop: &Stop<'_>, reason: &'static str, out: &mut BytesMut) {
        let said = |name: &str| {
            let member = stop.details.as_ref()?.member(name)?;
            Some(member.as_json_str()?.into_owned())
        };
        let kind = match stop.reason {
            StopReason::Error => FaultKind::Upstream,
            _ => FaultKind::ContentPolicy,
        };
        let mut error = ApiError::new(kind, reason);
        if let Some(words) = said("explanation").or_else(|| said("message")) {
            error.message = words;
        }
        self.error(&error, out);
    }

    fn fail(&mut self, message: &'static str, out: &mut BytesMut) {
        self.error(&ApiError::new(FaultKind::Upstream, message), out);
    }

    fn error(&mut self, error: &ApiError<'_>, out: &mut BytesMut) {
        self.frame
            .settle(error.request_id.as_ref().unwrap_or(&JsonStr::default()), &mut self.answer);
        self.frame.error(error, out);
        self.done = true;
    }

    fn logprobs(&mut self, candidate: u32, raw: &Raw<'_>, out: &mut BytesMut) {
        // Where events repeat themselves, these would have to be repeated too.
        if self.answer.layout.snapshots || !is_logprobs(raw) {
            return;
        }
        let Some(at) = self.begin(candidate, out) else { return };
        self.event(at, &Piece::Nothing, None, Some(raw), out);
    }

    fn end(&mut self, out: &mut BytesMut) {
        // Whatever came, a client waits for a reason from every candidate.
        if self.candidates.iter().all(|candidate| !candidate.begun) {
            self.candidates.resize_with(1, Candidate::default);
            self.candidates[0].begun = true;
        }
        self.close(|_| true, out);
        for at in 0..self.candidates.len() {
            if self.candidates[at].begun && !self.done {
                let stop = self.candidates[at].stop.take();
                let native = self.native();
                let word = match &stop {
                    Some(Stop { word: Some(word), .. }) if native => word.borrow(),
                    Some(stop) => finish::word(stop),
                    None => JsonStr::from_plain("stop"),
                };
                self.event(at, &Piece::Nothing, Some(&word), None, out);
            }
        }
        self.done = true;
    }

    /// Adds to the answer of a candidate: writes it, or what was said so far with it.
    fn add(&mut self, at: usize, piece: &Piece<'_>, out: &mut BytesMut) {
        if self.done || self.candidates[at].stop.is_some() || piece.is_empty() {
            return;
        }
        let beside = matches!(piece, Piece::Reasoning(_) | Piece::Signature(_));
        if beside && self.is_bare(at) {
            return;
        }
        if !self.answer.layout.snapshots {
            return self.event(at, piece, None, None, out);
        }
        let before = self.candidates[at].said.len();
        piece.keep(&mut self.candidates[at].said);
        let said = &mut self.candidates[at].said;
        let now = said.len();
        said.fresh += now - before;
        let due = said.fresh >= now / SNAPSHOT_STEP;
        let total: usize = self.candidates.iter().map(|it| it.said.len()).sum();
        if total > self.answer.max_accumulated {
            return self.fail("the answer is longer than can be repeated in each event", out);
        }
        if due {
            self.event(at, &Piece::Nothing, None, None, out);
        }
    }

    /// Whether the words of a candidate stand in `output.text`. Only the first one's can, and a call
    /// can only stand in a message.
    fn is_bare(&self, at: usize) -> bool {
        let layout = self.answer.layout;
        at == 0 && layout.text_only && !layout.content_list && self.candidates[at].calls == 0
    }

    /// Writes an event of a candidate: the piece, or all that was said so far.
    fn event(
        &mut self,
        at: usize,
        piece: &Piece<'_>,
        word: Option<&JsonStr<'_>>,
        logprobs: Option<&Raw<'_>>,
        out: &mut BytesMut,
    ) {
        self.frame.settle(&JsonStr::default(), &mut self.answer);
        self.frame.begin("result", StatusCode::OK, out);
        let pages = word.and_then(|_| self.pages.value());
        let word = word.map_or("null", |word| word.escaped());
        let (layout, bare) = (self.answer.layout, self.is_bare(at));
        let candidate = &mut self.candidates[at];
        candidate.said.fresh = 0;
        if bare {
            push(out, &["{\"output\":{\"finish_reason\":\"", word, "\",\"text\":\""]);
            let text = match piece {
                Piece::Words(text) => text.escaped(),
                _ => &candidate.said.content,
            };
            push(out, &[text, "\""]);
        } else {
            push(out, &["{\"output\":{\"choices\":[{\"message\":{"]);
            if layout.snapshots {
                candidate.said.write(layout.content_list, out);
            } else {
                piece.write(layout.content_list, candidate.thought, out);
            }
            push(out, &[",\"role\":\"assistant\"},\"index\":"]);
            push_u64(out, at as u64);
            push(out, &[",\"finish_reason\":\"", word, "\""]);
            if let Some(raw) = logprobs {
                push(out, &[",\"logprobs\":"]);
                push_flat(out, raw);
            }
            push(out, &["}]"]);
        }
        if let Some(info) = pages {
            push(out, &[",\"search_info\":"]);
            out.extend_from_slice(&info);
        }
        push(out, &["}"]);
        self.frame.end(self.usage.as_ref(), out);
    }
}
