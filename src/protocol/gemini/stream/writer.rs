use std::collections::VecDeque;

use bytes::BytesMut;

use super::MAX_CANDIDATES;
use super::frame::Frame;
use super::open::{Kind, Open, is_ours};
use crate::protocol::gemini::finish::Seen;
use crate::protocol::gemini::part_writer::PartWriter;
use crate::protocol::gemini::{fault, response, tokens};
use crate::protocol::json::{ArrayWriter, JsonStr, ObjectWriter, Raw};
use crate::protocol::model::{
    ApiError, Content, Delta, FaultKind, Part, PartStart, Rest, Stop, StopReason, StreamEvent,
    ToolArguments, Usage,
};
use crate::protocol::report::Reporter;
use crate::protocol::{Answer, Protocol};

/// Writes a stream.
///
/// Words are written as they come; a call is written whole when it is complete, as Gemini's own
/// are. Parts of a candidate stand in a row: of those that overlap, all but the first are held
/// back. What is held back is bounded by [`Answer::max_accumulated`]; beyond it the stream ends
/// with an error. A call whose arguments are no object is left out, and its turn ends with
/// `MALFORMED_FUNCTION_CALL`.
///
/// A signature on words comes when they are written already: it stands on an empty part behind
/// them, as it does in Gemini's streams. Clients that send back the parts as they got them
/// (google-genai) send it back at its place.
///
/// The last piece has the reasons to finish and the counts. A ping is an empty line: SDKs of Google
/// take a comment for a broken piece. Server tools and citations of other protocols are left out.
/// With [`Layout::json_array`](crate::protocol::Layout::json_array) the pieces are the items of one
/// array. Nothing is written after the end.
///
/// Where the upstream speaks Gemini too ([`Answer::origin`]), its own words, counts and unknown
/// members come back as they stood.
#[derive(Debug, Clone, PartialEq)]
pub struct Writer {
    answer: Answer,
    frame: Frame,
    candidates: Vec<Candidate>,
    usage: Option<Usage<'static>>,
    /// The upstream speaks Gemini too, and said something of the prompt.
    feedback: bool,
    /// Bytes that are held back.
    held: usize,
    done: bool,
}

#[derive(Debug, Default, Clone, PartialEq)]
struct Candidate {
    begun: bool,
    /// Something was written of it.
    shown: bool,
    seen: Seen,
    /// Open parts in their order; the first may be written.
    open: VecDeque<Open>,
    stop: Option<(Stop<'static>, Rest<'static>)>,
}

impl Writer {
    /// A writer before the first event.
    #[must_use]
    pub fn new(answer: Answer) -> Self {
        Self {
            frame: Frame::new(answer.layout.json_array),
            answer,
            candidates: Vec::new(),
            usage: None,
            feedback: false,
            held: 0,
            done: false,
        }
    }

    /// Whether the end or an error was written.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Writes what the event is in Gemini; that may be nothing.
    pub fn write(&mut self, event: StreamEvent<'_>, out: &mut BytesMut) {
        if self.done {
            return;
        }
        match event {
            StreamEvent::Start { id, model, usage, rest, .. } => {
                let rest = self.kept(rest);
                self.frame.settle(&id, &model, &rest, &mut self.answer);
                self.feedback = response::has_feedback(&rest);
                self.see(usage);
            }
            StreamEvent::PartStart { index, candidate, part, rest } => {
                self.part_start(index, candidate, part, rest, out);
            }
            StreamEvent::Delta { index, delta } => self.delta(index, delta, out),
            StreamEvent::PartStop { index } => self.part_stop(index, out),
            StreamEvent::Logprobs { candidate, raw } => self.logprobs(candidate, &raw, out),
            StreamEvent::Stop { candidate, stop, rest } => self.stop(candidate, stop, rest, out),
            StreamEvent::Usage(usage) => self.see(Some(usage)),
            StreamEvent::Ping => Frame::ping(out),
            StreamEvent::Error(error) => self.error(&error, out),
            StreamEvent::End => self.end(out),
        }
    }

    /// Whether the upstream speaks Gemini too: then what only Gemini understands is put back.
    fn native(&self) -> bool {
        self.answer.origin == Some(Protocol::Gemini)
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

    /// The candidate, unless it is stopped or one too many.
    fn candidate(&mut self, candidate: u32, out: &mut BytesMut) -> Option<usize> {
        let at = usize::try_from(candidate).unwrap_or(usize::MAX);
        if at >= MAX_CANDIDATES {
            self.error(&ApiError::new(FaultKind::Upstream, "too many candidates"), out);
            return None;
        }
        if self.candidates.len() <= at {
            self.candidates.resize_with(at + 1, Candidate::default);
        }
        self.candidates[at].begun = true;
        self.candidates[at].stop.is_none().then_some(at)
    }

    fn part_start(
        &mut self,
        index: u32,
        candidate: u32,
        part: PartStart<'_>,
        rest: Rest<'_>,
        out: &mut BytesMut,
    ) {
        let Some(at) = self.candidate(candidate, out) else { return };
        let open = Open::new(index, part, self.kept(rest), self.native());
        let size = open.size;
        self.candidates[at].open.push_back(open);
        self.grow(size, out);
    }

    /// Counts what is held back.
    fn grow(&mut self, size: usize, out: &mut BytesMut) {
        self.held += size;
        if self.held > self.answer.max_accumulated {
            let message = "too much of the answer had to be held back";
            self.error(&ApiError::new(FaultKind::Upstream, message), out);
        }
    }

    /// Where an open part is: its candidate, and its place in the row.
    fn find(&self, index: u32) -> Option<(usize, usize)> {
        let place =
            |candidate: &Candidate| candidate.open.iter().rposition(|open| open.index == index);
        self.candidates.iter().enumerate().find_map(|(at, it)| place(it).map(|place| (at, place)))
    }

    fn delta(&mut self, index: u32, delta: Delta<'_>, out: &mut BytesMut) {
        let Some((at, place)) = self.find(index) else { return };
        let Some(open) = self.candidates[at].open.get_mut(place) else { return };
        let size = match (&open.kind, delta) {
            (Kind::Text, Delta::Text(text)) | (Kind::Thought, Delta::Reasoning(text)) => {
                if place == 0 {
                    let thought = open.kind == Kind::Thought;
                    return self.words(at, text.escaped(), thought, out);
                }
                open.text.push_str(text.escaped());
                text.escaped().len()
            }
            (Kind::Whole(_), Delta::Arguments(text)) => {
                open.text.push_str(text.escaped());
                text.escaped().len()
            }
            (_, Delta::Seal(seal)) if is_ours(&seal) => {
                let size = seal.data.escaped().len();
                open.seal = Some(seal.into_owned());
                size
            }
            _ => return,
        };
        open.size += size;
        self.grow(size, out);
    }

    fn part_stop(&mut self, index: u32, out: &mut BytesMut) {
        let Some((at, place)) = self.find(index) else { return };
        if let Some(open) = self.candidates[at].open.get_mut(place) {
            open.stopped = true;
        }
        self.turn(at, out);
    }

    /// Writes the parts at the head of the row that are complete, and what is held back of the
    /// words of the next one.
    fn turn(&mut self, at: usize, out: &mut BytesMut) {
        while let Some(open) = self.candidates[at].open.front_mut() {
            if matches!(open.kind, Kind::Text | Kind::Thought) {
                let thought = open.kind == Kind::Thought;
                let text = std::mem::take(&mut open.text);
                self.words(at, &text, thought, out);
            }
            let row = &mut self.candidates[at].open;
            if row.front().is_none_or(|open| !open.stopped) {
                return;
            }
            let Some(open) = row.pop_front() else { return };
            self.held = self.held.saturating_sub(open.size);
            self.part_end(at, open, out);
        }
    }

    /// Writes what a part ends with.
    fn part_end(&mut self, at: usize, open: Open, out: &mut BytesMut) {
        let Open { kind, text, seal, .. } = open;
        match kind {
            Kind::Nothing => {}
            Kind::Text | Kind::Thought => {
                let Some(seal) = seal else { return };
                self.piece(at, out, |parts| {
                    parts.object(|part| {
                        part.plain("text", "");
                        if kind == Kind::Thought {
                            part.bool("thought", true);
                        }
                        part.str("thoughtSignature", &seal.data);
                    });
                });
            }
            Kind::Whole(mut part) => {
                match &mut part.content {
                    Content::ToolCall(call) => {
                        self.candidates[at].seen.call = true;
                        call.arguments = ToolArguments::Text(JsonStr::from_escaped(text));
                        call.seal = seal.or(call.seal.take());
                    }
                    _ => part.seal = seal,
                }
                self.whole(at, &part, out);
            }
        }
    }

    fn whole(&mut self, at: usize, part: &Part<'_>, out: &mut BytesMut) {
        let Some(part) = response::callable(part) else {
            self.candidates[at].seen.malformed = true;
            return;
        };
        let native = self.native();
        // Nobody asks for the report of a stream.
        let mut report = Reporter::new("");
        let report = &mut report;
        let mut writer = PartWriter { native, to_client: true, media_in_results: false, report };
        if writer.carries(&part) {
            self.piece(at, out, |parts| writer.part(&part, None, parts));
        }
    }

    /// Writes a piece of words; `text` is escaped.
    fn words(&mut self, at: usize, text: &str, thought: bool, out: &mut BytesMut) {
        if text.is_empty() {
            return;
        }
        self.show(at);
        self.frame.words(at, text, thought, out);
    }

    /// Writes a piece with these parts.
    fn piece(&mut self, at: usize, out: &mut BytesMut, fill: impl FnOnce(&mut ArrayWriter<'_>)) {
        self.show(at);
        self.frame.parts(at, out, fill);
    }

    fn show(&mut self, at: usize) {
        self.settle();
        self.candidates[at].shown = true;
    }

    /// Id and model, where no start has told them.
    fn settle(&mut self) {
        let none = JsonStr::default();
        self.frame.settle(&none, &none, &Rest::default(), &mut self.answer);
    }

    fn logprobs(&mut self, candidate: u32, raw: &Raw<'_>, out: &mut BytesMut) {
        if !self.native() {
            return;
        }
        let Some(at) = self.candidate(candidate, out) else { return };
        self.settle();
        self.frame.open(out);
        let mut object = ObjectWriter::begin(out);
        object.array("candidates", |candidates| {
            candidates.object(|object| {
                write_empty_content(object);
                object.u64("index", at as u64);
                object.raw("logprobsResult", raw);
            });
        });
        self.frame.close_object(out);
    }

    fn stop(&mut self, candidate: u32, stop: Stop<'_>, rest: Rest<'_>, out: &mut BytesMut) {
        let native = self.native();
        if stop.reason == StopReason::Error && !native {
            return self.error(&failure(&stop), out);
        }
        let Some(at) = self.candidate(candidate, out) else { return };
        for open in &mut self.candidates[at].open {
            open.stopped = true;
        }
        self.turn(at, out);
        let stop = Stop {
            word: stop.word.filter(|_| native).map(JsonStr::into_owned),
            ..Stop::new(stop.reason)
        };
        let rest = self.kept(rest).into_owned();
        self.candidates[at].stop = Some((stop, rest));
    }

    fn error(&mut self, error: &ApiError<'_>, out: &mut BytesMut) {
        self.frame.open(out);
        fault::write(error, out);
        self.frame.close(out);
        self.finish(out);
    }

    /// The last piece: reasons and counts wait for here, as other protocols tell the counts last.
    fn end(&mut self, out: &mut BytesMut) {
        // Whatever came, a client waits for a reason from every candidate.
        let begun = |candidate: &Candidate| candidate.begun;
        let last = self.candidates.iter().rposition(begun).unwrap_or(0);
        for at in 0..=last {
            if at == last || self.candidates[at].begun {
                self.stop(at as u32, Stop::new(StopReason::End), Rest::default(), out);
            }
        }
        self.settle();
        let native = self.native();
        self.frame.open(out);
        let mut object = ObjectWriter::begin(out);
        if !(native && self.is_blocked()) {
            object.array("candidates", |array| {
                for (at, candidate) in self.candidates.iter().enumerate() {
                    if let Some((stop, rest)) = &candidate.stop {
                        array.object(|object| {
                            write_empty_content(object);
                            let word = response::stop_word(stop, candidate.seen, native);
                            object.str("finishReason", &word);
                            object.u64("index", at as u64);
                            rest.write(object);
                        });
                    }
                }
            });
        }
        match &self.usage {
            Some(usage) => tokens::write(&mut object, usage, native),
            None => tokens::write(&mut object, &Usage::default(), native),
        }
        self.frame.close_object(out);
        self.finish(out);
    }

    /// Whether nothing was answered because the prompt was blocked.
    fn is_blocked(&self) -> bool {
        let [Candidate { shown: false, stop: Some((stop, _)), .. }] = self.candidates.as_slice()
        else {
            return false;
        };
        self.feedback && response::is_of_prompt(stop)
    }

    fn finish(&mut self, out: &mut BytesMut) {
        self.frame.finish(out);
        self.candidates = Vec::new();
        self.done = true;
    }
}

/// Gemini has no word for an answer of another protocol that failed, and an end would hide it.
fn failure<'s>(stop: &'s Stop<'_>) -> ApiError<'s> {
    let told = stop.details.as_ref().and_then(|details| details.member("message"));
    let told = told.as_ref().and_then(Raw::as_json_str).map(|text| text.decode().into_owned());
    let message = told.unwrap_or_else(|| "the model failed to answer".to_owned());
    ApiError::new(FaultKind::Upstream, message)
}

/// Clients look into the first part of whatever piece they get.
fn write_empty_content(object: &mut ObjectWriter<'_>) {
    object.object("content", |content| {
        content.array("parts", |parts| parts.object(|part| part.plain("text", "")));
        content.plain("role", "model");
    });
}
