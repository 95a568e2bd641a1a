//! What is done with the upstream's answer.

use std::borrow::Cow;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Extensions, HeaderMap, Response, StatusCode, response};
use http_body::Body;

use super::ResponseBody;
use super::awaited::Awaited;
use super::estimate::estimate;
use super::headers;
use super::keep::Keeping;
use super::layer::Config;
use super::notes::Notes;
use crate::body::{
    self, Collect, CollectError, Collected, DecodeBody, DecodeError, RewriteBody, is_encoded,
    is_event_stream, media_type,
};
use crate::error::TransportKind;
use crate::protocol::dialect::AnswerPiece;
use crate::protocol::model::{ApiError, Fault, FaultKind, FaultOrigin};
use crate::protocol::report::TranslationReport;
use crate::protocol::translate::{
    Folder, Transcoder, TranslateError, TranslatedAnswer, count_answer, error, models_answer,
    response, response_as_stream,
};
use crate::protocol::{Answer, Protocol, Transcode, retry_after};

/// What the answer's translation must know of the request.
#[derive(Debug)]
pub(super) struct Job {
    /// The caller's protocol.
    pub(super) caller: Protocol,
    /// The upstream's protocol.
    pub(super) upstream: Protocol,
    pub(super) wanted: Wanted,
    /// The caller asked for a stream.
    pub(super) stream: bool,
    pub(super) answer: Answer,
    /// The question for a count, to be estimated where the upstream turns out not to count.
    pub(super) counted: Bytes,
    pub(super) report: TranslationReport,
    pub(super) notes: Notes,
    /// Where what the caller cannot carry is kept.
    pub(super) keeping: Keeping,
    pub(super) config: Arc<Config>,
}

/// What the caller asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// An answer of the model.
    Answer,
    /// The size of a prompt.
    Count,
    /// The models that there are, or one of them.
    Models { one: bool },
}

/// The answer at its headers.
pub(super) enum Begun<C> {
    Done(Response<ResponseBody<C>>),
    /// The body must be read first.
    Read {
        parts: response::Parts,
        collect: Pin<Box<Collect<DecodeBody<C>>>>,
        reading: Reading,
    },
}

/// What a read body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    Error,
    Json,
    Stream,
}

/// What must be known of a request whose answer passes.
#[derive(Debug)]
pub(super) struct Passing {
    pub(super) caller: Option<Protocol>,
    /// A model answers, so that a stream says its end.
    pub(super) answers: bool,
    pub(super) keep_alive: Option<Duration>,
    pub(super) notes: Notes,
}

/// Passes an answer on, with a [`Fault`] beside it where the status tells one.
pub(super) fn pass<C>(mut response: Response<C>, passing: &Passing) -> Response<ResponseBody<C>>
where
    C: Body<Data = Bytes>,
{
    if let Some(fault) = Fault::of_response(&response) {
        response.extensions_mut().insert(fault);
    }
    let guard = passing
        .caller
        .filter(|_| is_event_stream(response.headers()) && !is_encoded(response.headers()))
        .and_then(|caller| Some((caller, event(caller, Transcode::abort)?)));
    response.map(|body| match guard {
        Some((caller, broken)) => {
            let ping = |interval| Some((interval, event(caller, Transcode::keep_alive)?));
            let keep_alive = passing.keep_alive.and_then(ping);
            let must_end = passing.answers.then_some(caller);
            ResponseBody::guarded(body, passing.notes.clone(), broken, must_end, keep_alive)
        }
        None => ResponseBody::plain(RewriteBody::untouched(body)),
    })
}

const ERROR_EVENT: &[u8] = b"event: error\n";

/// An event of the caller's protocol that stands alone: that a passed stream broke, or is alive.
fn event(caller: Protocol, write: impl FnOnce(&mut Transcoder, &mut BytesMut)) -> Option<Bytes> {
    let mut transcoder = Transcoder::new(caller, caller, Answer::new("", 0, 0));
    let mut out = BytesMut::new();
    write(&mut transcoder, &mut out);
    // A writer opens its stream before it fails; the one that passed is open, under another id.
    let opening = out.windows(ERROR_EVENT.len()).position(|window| window == ERROR_EVENT);
    let event = out.split_off(opening.unwrap_or_default());
    (!event.is_empty()).then(|| event.freeze())
}

/// Decides by status and headers.
pub(super) fn begin<C: Body<Data = Bytes>>(response: Response<C>, job: &mut Job) -> Begun<C> {
    if job.wanted == Wanted::Count {
        if let Some(response) = estimate(response.status(), job) {
            return Begun::Done(response);
        }
        if job.caller == job.upstream {
            let (caller, notes) = (Some(job.caller), job.notes.clone());
            let passing = Passing { caller, answers: false, keep_alive: None, notes };
            return Begun::Done(pass(response, &passing));
        }
    }
    let (mut parts, body) = response.into_parts();
    let failed = parts.status.is_client_error() || parts.status.is_server_error();
    if !failed && (!parts.status.is_success() || parts.status == StatusCode::NO_CONTENT) {
        let plain = ResponseBody::plain(RewriteBody::untouched(body));
        return Begun::Done(Response::from_parts(parts, plain));
    }
    let body = match DecodeBody::new(body, &mut parts.headers) {
        Ok(body) => body,
        // Its status, and how long to wait, need no reading.
        Err(_) if failed => return Begun::Done(finish_error(parts, b"", job)),
        Err(_) => {
            let message = "the upstream's answer is encoded, though identity was asked";
            return Begun::Done(job.fail(message));
        }
    };
    let reading = match media_type(&parts.headers) {
        _ if failed => Reading::Error,
        body::EVENT_STREAM => Reading::Stream,
        // Clones forget the header.
        body::JSON | "" => Reading::Json,
        _ => return Begun::Done(job.fail("the upstream's answer is neither JSON nor a stream")),
    };
    if reading == Reading::Stream && job.wanted != Wanted::Answer {
        return Begun::Done(job.fail("the upstream's answer is a stream"));
    }
    if reading == Reading::Stream && job.stream {
        let answer = job.answer.clone();
        let transcoder = Transcoder::new(job.upstream, job.caller, answer);
        job.translate_headers(&mut parts.headers, true);
        job.leave_report(&mut parts);
        let left = (job.notes.clone(), job.keeping.clone());
        let keep_alive = job.config.keep_alive;
        let body = ResponseBody::transcoded(body, transcoder, left, keep_alive);
        return Begun::Done(Response::from_parts(parts, body));
    }
    let collect = Box::pin(Collect::new(body, job.config.max_response_bytes));
    Begun::Read { parts, collect, reading }
}

/// The silence after which a stream begins before its answer is there: the caller asked for one,
/// and the upstream answers in one piece.
pub(super) fn patience(reading: Reading, job: &Job) -> Option<Duration> {
    let streams = job.stream && reading == Reading::Json && job.wanted == Wanted::Answer;
    // The pieces of one document have nothing to show life with.
    job.config.keep_alive.filter(|_| streams && !job.answer.layout.json_array)
}

/// Begins the stream of an answer that is not there yet.
pub(super) fn begin_stream<C>(
    mut parts: response::Parts,
    collect: Pin<Box<Collect<DecodeBody<C>>>>,
    mut job: Box<Job>,
) -> Response<ResponseBody<C>> {
    job.translate_headers(&mut parts.headers, true);
    job.leave_report(&mut parts);
    let interval = job.config.keep_alive.unwrap_or_default();
    let ping = event(job.caller, Transcode::keep_alive).unwrap_or_default();
    let body = Awaited::new(collect, job, interval, ping);
    Response::from_parts(parts, ResponseBody::awaited(body))
}

/// Whose fault it is that there is no answer, and what to say of it.
type Failure = (Fault, Cow<'static, str>);

fn of_upstream(kind: FaultKind) -> Fault {
    Fault::new(kind, kind.status(), FaultOrigin::Upstream)
}

fn read<E>(collected: Result<Collected, CollectError<DecodeError<E>>>) -> Result<Bytes, Failure> {
    collected.map(|collected| collected.bytes).map_err(|error| match error {
        CollectError::TooLarge => {
            // By our own limit, which holds for the next upstream too.
            let fault = Fault { moves_on: false, ..Fault::gateway(FaultKind::Upstream) };
            (fault, "the upstream's answer is too large".into())
        }
        CollectError::Body(DecodeError::Malformed) => {
            let fault = of_upstream(FaultKind::Upstream);
            (fault, "the upstream's answer is not encoded as it says".into())
        }
        CollectError::Body(DecodeError::Body(_)) => {
            let fault = Fault::transport(TransportKind::Closed);
            (fault, "the connection to the upstream broke".into())
        }
    })
}

/// The answer in the caller's protocol; leaves what it says for others.
fn answer_of(reading: Reading, body: &[u8], job: &Job) -> Result<TranslatedAnswer, Failure> {
    let mut translated = translate(reading, body, job).map_err(|error| match error {
        TranslateError::Failed(kind, message) => (of_upstream(kind), message.into()),
        _ => {
            let fault = of_upstream(FaultKind::Upstream);
            (fault, "the upstream's answer could not be read".into())
        }
    })?;
    job.keeping.keep(std::mem::take(&mut translated.deposits));
    job.notes.exchange.update(|facts| {
        facts.usage = translated.usage.take();
        facts.stop = translated.stop;
    });
    Ok(translated)
}

/// All of a stream that has begun: the answer that was awaited, or the error that came of it.
pub(super) fn stream_of<E>(
    reading: Reading,
    collected: Result<Collected, CollectError<DecodeError<E>>>,
    job: &Job,
) -> Bytes {
    let answered = read(collected).and_then(|body| answer_of(reading, &body, job));
    let (fault, message) = match answered {
        Ok(translated) => {
            log_losses(&translated.report);
            return translated.body.freeze();
        }
        Err(failure) => failure,
    };
    // The response has gone out: keys and channels look into the attempt.
    job.notes.fault(fault);
    let mut out = BytesMut::new();
    let mut stream = Transcoder::new(job.upstream, job.caller, job.answer.clone());
    stream.fail(fault.kind, &message, &mut out);
    out.freeze()
}

/// Translates a body that was read.
pub(super) fn finish<C, E>(
    mut parts: response::Parts,
    reading: Reading,
    collected: Result<Collected, CollectError<DecodeError<E>>>,
    job: &mut Job,
) -> Response<ResponseBody<C>> {
    // A layer inside may have read better what the answer says.
    let told = parts.extensions.get::<Fault>().copied();
    let body = match read(collected) {
        Ok(body) => body,
        // Its status, and how long to wait, need no reading.
        Err(_) if reading == Reading::Error => return finish_error(parts, b"", job),
        Err((fault, message)) if fault.origin == FaultOrigin::Transport => {
            // Or how the body broke.
            let known = told.or_else(|| job.notes.transport()).unwrap_or(fault);
            return job.refuse(known, &message);
        }
        Err((fault, message)) => return job.refuse(fault, &message),
    };
    if reading == Reading::Error {
        return finish_error(parts, &body, job);
    }
    if job.wanted != Wanted::Answer {
        return finish_listed(parts, &body, job);
    }
    match answer_of(reading, &body, job) {
        Ok(translated) => {
            job.translate_headers(&mut parts.headers, job.stream);
            job.report.extend(translated.report);
            job.leave_report(&mut parts);
            let body = RewriteBody::full(translated.body.freeze());
            Response::from_parts(parts, ResponseBody::plain(body))
        }
        Err((fault, message)) => job.refuse(told.unwrap_or(fault), &message),
    }
}

fn translate(reading: Reading, body: &[u8], job: &Job) -> Result<TranslatedAnswer, TranslateError> {
    let answer = job.answer.clone();
    match reading {
        Reading::Stream => {
            let folder = Folder::new(job.upstream, job.config.max_response_bytes);
            let mut folder = folder.speaking(answer.dialect.as_ref());
            folder.push(body);
            folder.finish(job.caller, answer)
        }
        _ if job.stream => response_as_stream(job.upstream, job.caller, body, answer),
        _ => response(job.upstream, job.caller, body, answer),
    }
}

/// A count, or a list of models.
fn finish_listed<C>(
    mut parts: response::Parts,
    body: &[u8],
    job: &mut Job,
) -> Response<ResponseBody<C>> {
    let translated = match job.wanted {
        Wanted::Models { one } => models_answer(job.upstream, job.caller, body, one),
        _ => count_answer(job.upstream, job.caller, body),
    };
    let Ok(body) = translated else { return job.fail("the upstream's answer could not be read") };
    job.translate_headers(&mut parts.headers, false);
    job.leave_report(&mut parts);
    Response::from_parts(parts, ResponseBody::plain(RewriteBody::full(body.freeze())))
}

fn finish_error<C>(
    mut parts: response::Parts,
    body: &[u8],
    job: &mut Job,
) -> Response<ResponseBody<C>> {
    let body = match &job.answer.dialect {
        Some(dialect) => {
            let text = String::from_utf8_lossy(body);
            Cow::Owned(dialect.answer(&text, AnswerPiece::Error).into_owned().into_bytes())
        }
        None => Cow::Borrowed(body),
    };
    let translated = error(job.upstream, job.caller, parts.status, &body);
    job.translate_headers(&mut parts.headers, false);
    headers::set_retry_after(&mut parts.headers, translated.retry_after);
    // A layer inside, such as CatchErrorLayer, knows better whose fault it is.
    let fault = *parts.extensions.get_or_insert_with(|| Fault {
        retry_after: retry_after::read(&parts.headers, translated.kind),
        ..Fault::new(translated.kind, parts.status, FaultOrigin::Upstream)
    });
    job.notes.exchange.update(|facts| facts.fault = Some(fault));
    parts.status = translated.status;
    job.leave_report(&mut parts);
    let body = RewriteBody::full(translated.body.freeze());
    Response::from_parts(parts, ResponseBody::plain(body))
}

/// Puts the losses beside an answer, for other layers and, where it is wanted, for the caller.
pub(super) fn leave_report(
    report: TranslationReport,
    in_header: bool,
    headers: &mut HeaderMap,
    extensions: &mut Extensions,
) {
    if in_header {
        headers::set_report(headers, &report);
    }
    log_losses(&report);
    extensions.insert(report);
}

impl Job {
    pub(super) fn new(
        caller: Protocol,
        upstream: Protocol,
        wanted: Wanted,
        notes: Notes,
        keeping: Keeping,
        config: Arc<Config>,
    ) -> Self {
        Self {
            caller,
            upstream,
            wanted,
            stream: false,
            answer: Answer::new("", 0, 0),
            counted: Bytes::new(),
            report: TranslationReport::default(),
            notes,
            keeping,
            config,
        }
    }

    fn translate_headers(&self, headers: &mut HeaderMap, stream: bool) {
        let layout = self.answer.layout;
        headers::translate_response(headers, self.upstream, self.caller, stream, layout);
    }

    fn leave_report(&mut self, parts: &mut response::Parts) {
        let report = std::mem::take(&mut self.report);
        leave_report(report, self.config.report_header, &mut parts.headers, &mut parts.extensions);
    }

    /// A 502: the upstream's answer is of no use.
    fn fail<C>(&self, message: &str) -> Response<ResponseBody<C>> {
        self.refuse(of_upstream(FaultKind::Upstream), message)
    }

    fn refuse<C>(&self, fault: Fault, message: &str) -> Response<ResponseBody<C>> {
        let mut error = ApiError::new(fault.kind, message);
        error.retry_after = fault.retry_after;
        let mut response = body::refuse(Some(self.caller), &error);
        response.extensions_mut().insert(fault);
        self.notes.fault(fault);
        response.map(ResponseBody::plain)
    }
}

pub(super) fn log_losses(report: &TranslationReport) {
    if !report.is_empty() {
        tracing::debug!(losses = %report, omitted = report.omitted(), "translation lost something");
    }
}
