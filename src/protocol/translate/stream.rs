use bytes::BytesMut;

use super::TranslateError;
use super::answer::{TranslatedAnswer, give_back, write_response};
use super::codec::{Reader, Writer, codec};
use super::framing::Framing;
use super::losses::StreamLosses;
use super::seals::{Deposit, Sealer};
use crate::protocol::dialect::SharedDialect;
use crate::protocol::fold::Fold;
use crate::protocol::model::{ApiError, FaultKind, Response, StopReason, StreamEvent, Usage};
use crate::protocol::report::TranslationReport;
use crate::protocol::restore::Restore;
use crate::protocol::seal::Home;
use crate::protocol::{Answer, Protocol, Transcode};

/// The room that is made in an output that has little left, so that it does not grow step by step
/// while an event is written. Pieces that are handed on share it.
const ROOM: usize = 4 << 10;

fn make_room(input: &[u8], out: &mut BytesMut) {
    let wanted = input.len() + ROOM / 4;
    if out.capacity() - out.len() < wanted {
        out.reserve(wanted.max(ROOM));
    }
}

/// What was seen in a stream so far.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct StreamFacts {
    /// Tokens spent.
    pub usage: Option<Usage<'static>>,
    /// Why the answer ended.
    pub stop: Option<StopReason>,
    /// What went wrong inside the stream.
    pub fault: Option<FaultKind>,
}

/// A stream of one protocol to a stream of another.
///
/// Any cut of the input gives the same output. Memory is constant, but for what the caller's
/// grammar forces its writer to hold back, up to [`Answer::max_accumulated`]. A stream that stops
/// early ends in the error event of the caller's protocol, never as if it were whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Transcoder {
    framing: Framing,
    reader: Reader,
    back: Back,
    writer: Writer,
    facts: StreamFacts,
    news: bool,
    /// The caller's protocol, and what it could not carry; nothing within one protocol.
    losses: Option<(Protocol, StreamLosses)>,
}

impl Transcoder {
    /// Streams of `from` to streams of `to`.
    #[must_use]
    pub fn new(from: Protocol, to: Protocol, mut answer: Answer) -> Self {
        answer.origin = Some(from);
        let reader = (codec(from).reader)();
        Self {
            framing: Framing::new(reader.takes_arrays()),
            reader: reader.speaking(answer.dialect.as_ref()),
            back: Back::new(from, to, &mut answer),
            writer: Writer::new(to, answer),
            facts: StreamFacts::default(),
            news: false,
            losses: (from != to).then(|| (to, StreamLosses::default())),
        }
    }

    /// What was seen since the last call, if it is more than before.
    pub fn take_news(&mut self) -> Option<&StreamFacts> {
        std::mem::take(&mut self.news).then_some(&self.facts)
    }

    /// What is to be kept for the next request of this caller, since the last call: it is there
    /// before the end of the answer is written.
    pub fn take_deposits(&mut self) -> Vec<Deposit> {
        self.back.0.as_mut().map(|back| back.1.take_deposits()).unwrap_or_default()
    }

    /// What the caller's protocol could not carry so far, by kind: each is there once, and points to
    /// no place. Empty within one protocol.
    #[must_use]
    pub fn losses(&self) -> TranslationReport {
        self.losses.as_ref().map(|(_, losses)| losses.report().clone()).unwrap_or_default()
    }

    /// Ends the output in its protocol's error, unless it is at its end.
    pub(crate) fn fail(&mut self, kind: FaultKind, message: &str, out: &mut BytesMut) {
        if !self.writer.is_done() {
            self.facts.fault = Some(kind);
            self.news = true;
            self.writer.write(StreamEvent::Error(ApiError::new(kind, message)), out);
        }
    }
}

/// Gives a streamed answer what its request had to give up; nothing within one protocol.
#[derive(Debug, Clone, PartialEq)]
struct Back(Option<Box<(Restore, Sealer)>>);

impl Back {
    fn new(from: Protocol, to: Protocol, answer: &mut Answer) -> Self {
        let mut restore = std::mem::take(&mut answer.restore);
        restore.with_ids(answer.ids.fork());
        let home = Home { protocol: from, vendor: answer.vendor };
        Self((from != to).then(|| Box::new((restore, Sealer::new(home, to)))))
    }

    fn event(&mut self, event: StreamEvent<'_>, sink: &mut dyn FnMut(StreamEvent<'_>)) {
        match &mut self.0 {
            Some(back) => {
                let (restore, sealer) = &mut **back;
                restore.event(event, &mut |event| sealer.event(event, sink));
            }
            None => sink(event),
        }
    }
}

impl StreamFacts {
    /// Notes what an event says; true when it says something.
    fn note(&mut self, event: &StreamEvent<'_>) -> bool {
        match event {
            StreamEvent::Start { usage: Some(usage), .. } | StreamEvent::Usage(usage) => {
                self.usage = Some(usage.counts());
            }
            StreamEvent::Stop { candidate: 0, stop, .. } => self.stop = Some(stop.reason),
            StreamEvent::Error(error) => self.fault = Some(error.kind),
            _ => return false,
        }
        true
    }
}

impl Transcode for Transcoder {
    fn push(&mut self, input: &[u8], out: &mut BytesMut) {
        make_room(input, out);
        let Self { framing, reader, back, writer, facts, news, losses } = self;
        let mut sink = |mut event: StreamEvent<'_>| {
            if let StreamEvent::Error(error) = &mut event {
                error.hide_secrets();
            }
            *news |= facts.note(&event);
            if let Some((to, losses)) = losses {
                losses.note(&event, *to);
            }
            writer.write(event, out);
        };
        let framed = framing.push(input, &mut |event| {
            reader.event(&event, &mut |event| back.event(event, &mut sink));
        });
        if framed.is_err() {
            self.fail(FaultKind::Upstream, "the upstream sent an event that is too large", out);
        }
    }

    fn finish(&mut self, out: &mut BytesMut) {
        let Self { framing, reader, back, writer, facts, news, losses } = self;
        let mut write = |event: StreamEvent<'_>| {
            *news |= facts.note(&event);
            if let Some((to, losses)) = losses {
                losses.note(&event, *to);
            }
            writer.write(event, out);
        };
        let mut sink = |event: StreamEvent<'_>| back.event(event, &mut write);
        framing.finish(&mut |event| reader.event(&event, &mut sink));
        reader.finish(&mut sink);
    }

    fn abort(&mut self, out: &mut BytesMut) {
        self.fail(FaultKind::Transport, "the connection to the upstream broke", out);
    }

    fn is_done(&self) -> bool {
        self.writer.is_done()
    }

    fn keep_alive(&mut self, out: &mut BytesMut) {
        self.writer.write(StreamEvent::Ping, out);
    }
}

/// Folds a whole stream into one finished answer, for a caller that did not ask for a stream.
#[derive(Debug)]
pub struct Folder {
    framing: Framing,
    reader: Reader,
    fold: Fold,
    broken: Option<&'static str>,
}

impl Folder {
    /// A folder of streams in protocol `from`; `limit` bounds the folded answer in bytes.
    #[must_use]
    pub fn new(from: Protocol, limit: usize) -> Self {
        let reader = (codec(from).reader)();
        Self {
            framing: Framing::new(reader.takes_arrays()),
            reader,
            fold: Fold::new(from, limit),
            broken: None,
        }
    }

    /// Reads the upstream's own dialect of its protocol.
    #[must_use]
    pub fn speaking(mut self, dialect: Option<&SharedDialect>) -> Self {
        self.reader = self.reader.speaking(dialect);
        self
    }

    /// More of the stream.
    pub fn push(&mut self, input: &[u8]) {
        let (reader, fold) = (&mut self.reader, &mut self.fold);
        let framed = self.framing.push(input, &mut |event| {
            reader.event(&event, &mut |event| fold.event(event));
        });
        if framed.is_err() {
            self.broken = Some("the upstream sent an event that is too large");
        }
    }

    /// The finished answer in protocol `to`.
    ///
    /// # Errors
    /// When the stream was cut, said that it failed, or grew beyond the limit.
    pub fn finish(
        self,
        to: Protocol,
        mut answer: Answer,
    ) -> Result<TranslatedAnswer, TranslateError> {
        let mut response = self.response()?;
        answer.origin = Some(response.origin);
        let deposits = give_back(&mut response, to, &mut answer);
        write_response(&response, "", to, answer, deposits)
    }

    /// The finished answer in the hub.
    pub(super) fn response(mut self) -> Result<Response<'static>, TranslateError> {
        if let Some(reason) = self.broken {
            return Err(TranslateError::Failed(FaultKind::Upstream, reason.to_owned()));
        }
        let (reader, fold) = (&mut self.reader, &mut self.fold);
        self.framing.finish(&mut |event| reader.event(&event, &mut |event| fold.event(event)));
        reader.finish(&mut |event| fold.event(event));
        self.fold.finish()
    }
}
