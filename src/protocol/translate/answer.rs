use std::borrow::Cow;
use std::time::Duration;

use bytes::BytesMut;
use http::StatusCode;

use super::codec::{Writer, codec};
use super::seals::{Deposit, Sealer};
use super::stream::Folder;
use super::{TranslateError, utf8};
use crate::protocol::dialect::AnswerPiece;
use crate::protocol::json::{Kind, Raw, one_line};
use crate::protocol::model::{ApiError, Candidate, FaultKind, Response, StopReason, Usage};
use crate::protocol::play::play;
use crate::protocol::report::{Mode, Reporter, TranslationReport};
use crate::protocol::seal::Home;
use crate::protocol::{Answer, Protocol};

/// A finished answer in the caller's protocol, and what others want to know of it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct TranslatedAnswer {
    /// The body to send.
    pub body: BytesMut,
    /// What it could not carry.
    pub report: TranslationReport,
    /// Tokens spent.
    pub usage: Option<Usage<'static>>,
    /// Why the answer ended.
    pub stop: Option<StopReason>,
    /// What is to be kept for the next request of this caller, which cannot carry it.
    pub deposits: Vec<Deposit>,
}

impl TranslatedAnswer {
    fn of(
        response: &Response<'_>,
        body: BytesMut,
        report: TranslationReport,
        deposits: Vec<Deposit>,
    ) -> Self {
        let first = response.candidates.iter().find(|candidate| candidate.index == 0);
        Self {
            body,
            report,
            usage: response.usage.as_ref().map(Usage::counts),
            stop: first.and_then(|c| c.stop.as_ref()).map(|stop| stop.reason),
            deposits,
        }
    }
}

/// Reads an answer that came with a status of success. Some upstreams put an error under one.
fn read_response(from: Protocol, text: &str) -> Result<Response<'_>, TranslateError> {
    let codec = codec(from);
    if text.trim_start().starts_with('[') && (codec.reader)().takes_arrays() {
        // A stream in one piece. It is as large as it is.
        let mut folder = Folder::new(from, usize::MAX);
        folder.push(text.as_bytes());
        return folder.response();
    }
    let read = (codec.read_response)(text);
    let answers = |candidate: &Candidate<'_>| match &candidate.stop {
        // What it says of it tells the kind.
        Some(stop) if stop.reason == StopReason::Error => false,
        stop => stop.is_some() || !candidate.parts.is_empty(),
    };
    let answered = read.as_ref().is_ok_and(|response| response.candidates.iter().any(answers));
    if !answered && complains(&Raw::parse(text)?) {
        let mut error = (codec.read_error)(StatusCode::OK, text);
        error.hide_secrets();
        return Err(TranslateError::Failed(error.kind, error.message.decode().into_owned()));
    }
    Ok(read?)
}

/// Whether a document without an answer says what went wrong, in the protocol's form or a clone's.
fn complains(document: &Raw<'_>) -> bool {
    ["error", "message", "detail"]
        .into_iter()
        .any(|name| document.member(name).is_some_and(|member| member.kind() != Kind::Null))
}

/// Whose fault it is that an answer cannot be told, and what the upstream says of it. Not every
/// protocol has a word for an answer that was refused or filtered away.
fn failure(response: &Response<'_>) -> (FaultKind, Option<String>) {
    let stops = || response.candidates.iter().filter_map(|c| c.stop.as_ref());
    let of = |reasons: &[StopReason]| stops().find(|stop| reasons.contains(&stop.reason));
    let (kind, stop) = match of(&[StopReason::Error]) {
        Some(stop) => (FaultKind::Upstream, stop),
        None => match of(&[StopReason::Refusal, StopReason::ContentFilter]) {
            Some(stop) => (FaultKind::ContentPolicy, stop),
            None => return (FaultKind::Upstream, None),
        },
    };
    let said = |name: &str| {
        let member = stop.details.as_ref()?.member(name)?;
        Some(member.as_json_str()?.decode().into_owned())
    };
    (kind, said("message").or_else(|| said("explanation")))
}

/// Translates a finished answer to a finished answer.
///
/// # Errors
/// When the body is not of its protocol, says that the upstream failed, or would be wrong in the
/// caller's.
pub fn response(
    from: Protocol,
    to: Protocol,
    body: &[u8],
    mut answer: Answer,
) -> Result<TranslatedAnswer, TranslateError> {
    let text = spoken(body, &answer)?;
    let mut response = read_response(from, &text)?;
    answer.origin = Some(from);
    let deposits = give_back(&mut response, to, &mut answer);
    write_response(&response, &text, to, answer, deposits)
}

/// A whole answer as its protocol has it, whatever the upstream's dialect.
fn spoken<'b>(body: &'b [u8], answer: &Answer) -> Result<Cow<'b, str>, TranslateError> {
    let text = utf8(body)?;
    Ok(match &answer.dialect {
        Some(dialect) => dialect.answer(text, AnswerPiece::Whole),
        None => Cow::Borrowed(text),
    })
}

/// Gives a finished answer what its request had to give up.
pub(super) fn give_back(
    response: &mut Response<'_>,
    to: Protocol,
    answer: &mut Answer,
) -> Vec<Deposit> {
    if response.origin == to {
        return Vec::new();
    }
    let ids = answer.ids.fork();
    answer.restore.with_ids(ids);
    answer.restore.response(response);
    let home = Home { protocol: response.origin, vendor: answer.vendor };
    let mut sealer = Sealer::new(home, to);
    sealer.response(response);
    sealer.take_deposits()
}

pub(super) fn write_response(
    response: &Response<'_>,
    source: &str,
    to: Protocol,
    mut answer: Answer,
    deposits: Vec<Deposit>,
) -> Result<TranslatedAnswer, TranslateError> {
    let mut reporter = Reporter::new(source);
    let mut out = BytesMut::with_capacity(source.len() + 512);
    (codec(to).write_response)(response, &mut answer, &mut reporter, &mut out);
    let report = reporter.finish();
    // An answer cannot be asked for again in another mode: what makes it wrong makes it an error.
    if let Some(loss) = report.refused_by(Mode::Default) {
        let (kind, said) = failure(response);
        let message = said.unwrap_or_else(|| loss.reason.to_owned());
        return Err(TranslateError::Failed(kind, message));
    }
    Ok(TranslatedAnswer::of(response, out, report, deposits))
}

/// Plays a finished answer as a stream, for a caller that asked for one. Its report is that of the
/// same answer in one piece, and what is refused there is refused here.
///
/// # Errors
/// As [`response`].
pub fn response_as_stream(
    from: Protocol,
    to: Protocol,
    body: &[u8],
    mut answer: Answer,
) -> Result<TranslatedAnswer, TranslateError> {
    let text = spoken(body, &answer)?;
    let text = one_line(&text);
    let mut response = read_response(from, &text)?;
    answer.origin = Some(from);
    let deposits = give_back(&mut response, to, &mut answer);
    // Only the writer of finished answers tells what it loses.
    let whole = write_response(&response, &text, to, answer.clone(), deposits)?;
    let mut writer = Writer::new(to, answer);
    let mut body = BytesMut::with_capacity(whole.body.len() + 1024);
    play(&response, &mut |event| writer.write(event, &mut body));
    Ok(TranslatedAnswer { body, ..whole })
}

/// An error answer in the caller's protocol.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct TranslatedError {
    /// The status to answer with.
    pub status: StatusCode,
    /// The body to send.
    pub body: BytesMut,
    /// Whose fault it is.
    pub kind: FaultKind,
    /// How long to wait, where the body said it.
    pub retry_after: Option<Duration>,
}

/// Translates an error answer. A body that nobody understands becomes the message; what looks like
/// a vendor's key in it is left out.
#[must_use]
pub fn error(from: Protocol, to: Protocol, status: StatusCode, body: &[u8]) -> TranslatedError {
    let writer = codec(to);
    let text = String::from_utf8_lossy(body);
    let mut error = (codec(from).read_error)(status, &text);
    error.hide_secrets();
    let mut out = BytesMut::with_capacity(body.len() + 128);
    (writer.write_error)(&error, &mut out);
    TranslatedError {
        status: (writer.error_status)(error.kind, status),
        body: out,
        kind: error.kind,
        retry_after: error.retry_after,
    }
}

/// Reads the body of an error.
pub(in crate::protocol) fn read_error(
    from: Protocol,
    status: StatusCode,
    body: &str,
) -> ApiError<'_> {
    (codec(from).read_error)(status, body)
}
