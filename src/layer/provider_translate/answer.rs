//! What is done with the upstream's answer.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Response, StatusCode, response};
use http_body::Body;

use super::ResponseBody;
use super::headers;
use super::keep::Keeping;
use super::layer::Config;
use super::notes::Notes;
use crate::body::{
    self, Collect, CollectError, Collected, DecodeBody, DecodeError, Refusal, RewriteBody,
    is_encoded, is_event_stream, media_type,
};
use crate::protocol::dialect::AnswerPiece;
use crate::protocol::model::{Fault, FaultKind, FaultOrigin};
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
    pub(super) report: TranslationReport,
    pub(super) notes: Notes,
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
        collect: Collect<DecodeBody<C>>,
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

/// Passes an answer on, with a [`Fault`] beside it where the status tells one.
pub(super) fn pass<C>(
    mut response: Response<C>,
    caller: Option<Protocol>,
    keep_alive: Option<Duration>,
    notes: &Notes,
) -> Response<ResponseBody<C>>
where
    C: Body<Data = Bytes>,
{
    if let Some(fault) = Fault::of_response(&response) {
        response.extensions_mut().insert(fault);
    }
    let guard = caller
        .filter(|_| is_event_stream(response.headers()) && !is_encoded(response.headers()))
        .and_then(|caller| Some((caller, event(caller, Transcode::abort)?)));
    response.map(|body| match guard {
        Some((caller, broken)) => {
            let ping = |interval| Some((interval, event(caller, Transcode::keep_alive)?));
            ResponseBody::guarded(body, notes.clone(), broken, keep_alive.and_then(ping))
        }
        None => ResponseBody::plain(RewriteBody::untouched(body)),
    })
}

const ERROR_EVENT: &[u8] = b"event: error\n";

/// An event of the caller's protocol that stands alone: that a passed stream broke, or is alive.
fn event(caller: Protocol, write: impl FnOnce(&mut Transcoder, &mut BytesMut)) -> Option<Bytes> {
    let mut transcoder = Transcoder::new(caller, caller, Answer::new("", 0, 0)).ok()?;
    let mut out = BytesMut::new();
    write(&mut transcoder, &mut out);
    // A writer opens its stream before it fails; the one that passed is open, under another id.
    let opening = out.windows(ERROR_EVENT.len()).position(|window| window == ERROR_EVENT);
    let event = out.split_off(opening.unwrap_or_default());
    (!event.is_empty()).then(|| event.freeze())
}

/// Decides by status and headers.
pub(super) fn begin<C: Body<Data = Bytes>>(response: Response<C>, job: &mut Job) -> Begun<C> {
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
        return Begun::Done(match Transcoder::new(job.upstream, job.caller, answer) {
            Ok(transcoder) => {
                headers::translate_response(
                    &mut parts.headers,
                    job.caller,
                    true,
                    job.answer.layout,
                );
                job.leave_report(&mut parts);
                let left = (job.notes.clone(), job.keeping());
                let keep_alive = job.config.keep_alive;
                let body = ResponseBody::transcoded(body, transcoder, left, keep_alive);
                Response::from_parts(parts, body)
            }
            Err(error) => job.fail(&error.to_string()),
        });
    }
    let collect = Collect::new(body, job.config.max_response_bytes);
    Begun::Read { parts, collect, reading }
}

/// Translates a body that was read.
pub(super) fn finish<C, E>(
    mut parts: response::Parts,
    reading: Reading,
    collected: Result<Collected, CollectError<DecodeError<E>>>,
    job: &mut Job,
) -> Response<ResponseBody<C>> {
    let body = match collected {
        Ok(collected) => collected.bytes,
        // Its status, and how long to wait, need no reading.
        Err(_) if reading == Reading::Error => return finish_error(parts, b"", job),
        Err(CollectError::TooLarge) => return job.fail("the upstream's answer is too large"),
        Err(CollectError::Body(DecodeError::Malformed)) => {
            return job.fail("the upstream's answer is not encoded as it says");
        }
        Err(CollectError::Body(DecodeError::Body(_))) => {
            return job.refuse(FaultKind::Transport, "the connection to the upstream broke");
        }
    };
    if reading == Reading::Error {
        return finish_error(parts, &body, job);
    }
    if job.wanted != Wanted::Answer {
        return finish_listed(parts, &body, job);
    }
    let translated = translate(reading, &body, job);
    match translated {
        Ok(translated) => {
            headers::translate_response(
                &mut parts.headers,
                job.caller,
                job.stream,
                job.answer.layout,
            );
            job.report.extend(translated.report);
            job.leave_report(&mut parts);
            job.keeping().keep(translated.deposits);
            job.notes.exchange.update(|facts| {
                facts.usage = translated.usage;
                facts.stop = translated.stop;
            });
            let body = RewriteBody::full(translated.body.freeze());
            Response::from_parts(parts, ResponseBody::plain(body))
        }
        Err(TranslateError::Failed(kind, message)) => job.refuse(kind, &message),
        Err(_) => job.fail("the upstream's answer could not be read"),
    }
}

fn translate(reading: Reading, body: &[u8], job: &Job) -> Result<TranslatedAnswer, TranslateError> {
    let answer = job.answer.clone();
    match reading {
        Reading::Stream => {
            let folder = Folder::new(job.upstream, job.config.max_response_bytes)?;
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
    headers::translate_response(&mut parts.headers, job.caller, false, job.answer.layout);
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
    let Ok(translated) = error(job.upstream, job.caller, parts.status, &body) else {
        return job.fail("the upstream's error could not be read");
    };
    headers::translate_response(&mut parts.headers, job.caller, false, job.answer.layout);
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

impl Job {
    pub(super) fn new(
        caller: Protocol,
        upstream: Protocol,
        wanted: Wanted,
        notes: Notes,
        config: Arc<Config>,
    ) -> Self {
        Self {
            caller,
            upstream,
            wanted,
            stream: false,
            answer: Answer::new("", 0, 0),
            report: TranslationReport::default(),
            notes,
            config,
        }
    }

    fn keeping(&self) -> Keeping {
        Keeping::new(&self.config, &self.notes.exchange, self.upstream)
    }

    fn leave_report(&mut self, parts: &mut response::Parts) {
        let report = std::mem::take(&mut self.report);
        if self.config.report_header {
            headers::set_report(&mut parts.headers, &report);
        }
        if !report.is_empty() {
            tracing::debug!(losses = %report, omitted = report.omitted(), "translation lost something");
        }
        parts.extensions.insert(report);
    }

    /// A 502: the upstream's answer is of no use.
    fn fail<C>(&self, message: &str) -> Response<ResponseBody<C>> {
        self.refuse(FaultKind::Upstream, message)
    }

    fn refuse<C>(&self, kind: FaultKind, message: &str) -> Response<ResponseBody<C>> {
        let mut response = Refusal::new(kind, message.to_owned()).response(Some(self.caller));
        let fault = Fault { origin: FaultOrigin::Upstream, ..Fault::gateway(kind) };
        response.extensions_mut().insert(fault);
        self.notes.exchange.update(|facts| facts.fault = Some(fault));
        response.map(ResponseBody::plain)
    }
}
