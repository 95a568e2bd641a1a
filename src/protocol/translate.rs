//! One reader and one writer joined: requests, answers, errors and streams from any protocol to
//! any other. Nowhere is there a function for one pair.
//!
//! ```
//! use tower_llm_gateway::protocol::Protocol::{Anthropic, OpenAiChat};
//! use tower_llm_gateway::protocol::translate::{RequestOptions, request};
//!
//! let body = br#"{"model":"claude","max_tokens":9,"messages":[{"role":"user","content":"Hi"}]}"#;
//! let translated = request(Anthropic, OpenAiChat, body, &RequestOptions::default())?;
//! assert_eq!(
//!     translated.body,
//!     r#"{"model":"claude","messages":[{"role":"user","content":"Hi"}],"max_completion_tokens":9}"#
//! );
//! assert!(translated.report.is_empty());
//! # Ok::<(), tower_llm_gateway::protocol::translate::TranslateError>(())
//! ```

use std::fmt;
use std::time::Duration;

use bytes::BytesMut;
use http::StatusCode;

use super::fold::Fold;
use super::json::{JsonError, JsonStr, Kind, Raw};
use super::model::{
    ApiError, Candidate, FaultKind, Request, Response, Stop, StopReason, StreamEvent, Usage,
};
use super::play::play;
use super::report::{Loss, Mode, Reporter, TranslationReport};
use super::{Answer, Protocol, Target, Transcode, anthropic, openai_chat};
use crate::sse;

/// The functions of one protocol. [`codec`] is the one match over protocols that translate.
struct Codec {
    read_request: for<'a> fn(&'a str) -> Result<Request<'a>, JsonError>,
    write_request: fn(&Request<'_>, &Target, &mut Reporter<'_>, &mut BytesMut),
    read_response: for<'a> fn(&'a str) -> Result<Response<'a>, JsonError>,
    write_response: fn(&Response<'_>, &mut Answer, &mut Reporter<'_>, &mut BytesMut),
    read_error: for<'a> fn(StatusCode, &'a str) -> ApiError<'a>,
    write_error: fn(&ApiError<'_>, &mut BytesMut),
    error_status: fn(FaultKind, StatusCode) -> StatusCode,
    reader: fn() -> Reader,
    writer: fn(Answer) -> Writer,
}

fn codec(protocol: Protocol) -> Result<&'static Codec, TranslateError> {
    match protocol {
        Protocol::Anthropic => Ok(&Codec {
            read_request: anthropic::request::read,
            write_request: anthropic::request::write,
            read_response: anthropic::response::read,
            write_response: anthropic::response::write,
            read_error: anthropic::fault::read,
            write_error: anthropic::fault::write,
            error_status: anthropic::fault::status,
            reader: || Reader::Anthropic(anthropic::stream::Reader::new()),
            writer: |answer| Writer::Anthropic(anthropic::stream::Writer::new(answer)),
        }),
        Protocol::OpenAiChat => Ok(&Codec {
            read_request: openai_chat::request::read,
            write_request: openai_chat::request::write,
            read_response: openai_chat::response::read,
            write_response: openai_chat::response::write,
            read_error: openai_chat::fault::read,
            write_error: openai_chat::fault::write,
            error_status: openai_chat::fault::status,
            reader: || Reader::OpenAiChat(openai_chat::stream::Reader::new()),
            writer: |answer| Writer::OpenAiChat(openai_chat::stream::Writer::new(answer)),
        }),
        Protocol::OpenAiResponses | Protocol::Gemini | Protocol::DashScope => {
            Err(TranslateError::Unsupported(protocol))
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Reader {
    Anthropic(anthropic::stream::Reader),
    OpenAiChat(openai_chat::stream::Reader),
}

impl Reader {
    fn event(&mut self, event: &sse::Event<'_>, sink: &mut dyn FnMut(StreamEvent<'_>)) {
        match self {
            Self::Anthropic(reader) => reader.event(event, sink),
            Self::OpenAiChat(reader) => reader.event(event, sink),
        }
    }

    fn finish(&mut self, sink: &mut dyn FnMut(StreamEvent<'_>)) {
        match self {
            Self::Anthropic(reader) => reader.finish(sink),
            Self::OpenAiChat(reader) => reader.finish(sink),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Writer {
    Anthropic(anthropic::stream::Writer),
    OpenAiChat(openai_chat::stream::Writer),
}

impl Writer {
    fn write(&mut self, event: StreamEvent<'_>, out: &mut BytesMut) {
        match self {
            Self::Anthropic(writer) => writer.write(event, out),
            Self::OpenAiChat(writer) => writer.write(event, out),
        }
    }

    fn is_done(&self) -> bool {
        match self {
            Self::Anthropic(writer) => writer.is_done(),
            Self::OpenAiChat(writer) => writer.is_done(),
        }
    }
}

/// Whether requests and answers of this protocol can be translated.
#[must_use]
pub fn is_supported(protocol: Protocol) -> bool {
    codec(protocol).is_ok()
}

/// Why a document was not translated.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TranslateError {
    /// It is no UTF-8.
    NotUtf8,
    /// It is no JSON, or not of its protocol's shape.
    Malformed(JsonError),
    /// There is no reader and writer for this protocol yet.
    Unsupported(Protocol),
    /// Something would be lost that the mode does not allow to be lost.
    Refused(Loss),
    /// The upstream failed inside an answer that began as a success; what it said about it.
    Failed(FaultKind, String),
}

impl fmt::Display for TranslateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUtf8 => f.write_str("body is not valid UTF-8"),
            Self::Malformed(error) => write!(f, "{error}"),
            Self::Unsupported(protocol) => write!(f, "cannot translate {protocol}"),
            Self::Refused(loss) => write!(f, "{}: {}", loss.pointer, loss.reason),
            Self::Failed(_, message) => f.write_str(message),
        }
    }
}

impl std::error::Error for TranslateError {}

impl From<JsonError> for TranslateError {
    fn from(error: JsonError) -> Self {
        Self::Malformed(error)
    }
}

fn utf8(body: &[u8]) -> Result<&str, TranslateError> {
    std::str::from_utf8(body).map_err(|_| TranslateError::NotUtf8)
}

/// How a request is translated.
#[derive(Clone, Copy)]
pub struct RequestOptions<'o> {
    /// What the models of the upstream need.
    pub target: &'o Target,
    /// What to refuse.
    pub mode: Mode,
    /// The model to ask for instead of the caller's; `None` leaves it.
    pub map_model: &'o dyn Fn(&str) -> Option<String>,
}

impl fmt::Debug for RequestOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestOptions")
            .field("target", &self.target)
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

impl Default for RequestOptions<'_> {
    fn default() -> Self {
        Self { target: &Target::DEFAULT, mode: Mode::default(), map_model: &|_| None }
    }
}

/// A request in the upstream's protocol, and what the answer's writer must know of it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct TranslatedRequest {
    /// The body to send.
    pub body: BytesMut,
    /// What it could not carry.
    pub report: TranslationReport,
    /// The model that the caller asked for.
    pub model: String,
    /// The model that is asked of the upstream.
    pub upstream_model: String,
    /// The caller wants a stream.
    pub stream: bool,
    /// The caller wants the usage at the end of a stream.
    pub include_usage: bool,
    /// The end user.
    pub user: Option<String>,
    /// The prompt cache key.
    pub cache_key: Option<String>,
}

/// Translates a request.
///
/// # Errors
/// When the body is not of its protocol, a protocol has no reader or writer, or the mode refuses
/// a loss.
pub fn request(
    from: Protocol,
    to: Protocol,
    body: &[u8],
    options: &RequestOptions<'_>,
) -> Result<TranslatedRequest, TranslateError> {
    let (reader, writer) = (codec(from)?, codec(to)?);
    let text = utf8(body)?;
    let mut request = (reader.read_request)(text)?;
    let owned = |text: &Option<JsonStr<'_>>| text.as_ref().map(|text| text.decode().into_owned());
    let model = request.model.decode().into_owned();
    let upstream_model = (options.map_model)(&model).unwrap_or_else(|| model.clone());
    if upstream_model != model {
        request.model = JsonStr::from_plain(upstream_model.clone());
    }
    let mut reporter = Reporter::new(text).anchored(&request.anchors);
    // Members that the target adds (an id, a wrapper) are few; the texts decide the size.
    let mut out = BytesMut::with_capacity(body.len() + body.len() / 16 + 256);
    (writer.write_request)(&request, options.target, &mut reporter, &mut out);
    let report = reporter.finish();
    if let Some(loss) = report.refused_by(options.mode) {
        return Err(TranslateError::Refused(loss.clone()));
    }
    Ok(TranslatedRequest {
        body: out,
        report,
        model,
        upstream_model,
        stream: request.stream.unwrap_or(false),
        include_usage: request.include_usage.unwrap_or(false),
        user: owned(&request.end_user),
        cache_key: owned(&request.cache_key),
    })
}

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
}

impl TranslatedAnswer {
    fn of(response: &Response<'_>, body: BytesMut, report: TranslationReport) -> Self {
        let first = response.candidates.iter().find(|candidate| candidate.index == 0);
        Self {
            body,
            report,
            usage: response.usage.as_ref().map(Usage::counts),
            stop: first.and_then(|c| c.stop.as_ref()).map(|stop| stop.reason),
        }
    }
}

/// Reads an answer that came with a status of success. Some upstreams put an error under one.
fn read_response(from: Protocol, text: &str) -> Result<Response<'_>, TranslateError> {
    let codec = codec(from)?;
    let read = (codec.read_response)(text);
    let answers =
        |candidate: &Candidate<'_>| !candidate.parts.is_empty() || candidate.stop.is_some();
    let answered = read.as_ref().is_ok_and(|response| response.candidates.iter().any(answers));
    if !answered && complains(&Raw::parse(text)?) {
        let error = (codec.read_error)(StatusCode::OK, text);
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

/// What the upstream says of a candidate that failed.
fn failure(response: &Response<'_>) -> Option<String> {
    let failed = |stop: &&Stop<'_>| stop.reason == StopReason::Error;
    let stop = response.candidates.iter().filter_map(|c| c.stop.as_ref()).find(failed)?;
    let message = stop.details.as_ref()?.member("message")?;
    Some(message.as_json_str()?.decode().into_owned())
}

/// Translates a finished answer to a finished answer.
///
/// # Errors
/// When the body is not of its protocol, or a protocol has no reader or writer.
pub fn response(
    from: Protocol,
    to: Protocol,
    body: &[u8],
    mut answer: Answer,
) -> Result<TranslatedAnswer, TranslateError> {
    let text = utf8(body)?;
    let response = read_response(from, text)?;
    answer.origin = Some(from);
    write_response(&response, text, to, answer)
}

fn write_response(
    response: &Response<'_>,
    source: &str,
    to: Protocol,
    mut answer: Answer,
) -> Result<TranslatedAnswer, TranslateError> {
    let mut reporter = Reporter::new(source);
    let mut out = BytesMut::with_capacity(source.len() + 512);
    (codec(to)?.write_response)(response, &mut answer, &mut reporter, &mut out);
    let report = reporter.finish();
    // An answer cannot be asked for again in another mode: what makes it wrong makes it an error.
    if let Some(loss) = report.refused_by(Mode::Default) {
        let message = failure(response).unwrap_or_else(|| loss.reason.to_owned());
        return Err(TranslateError::Failed(FaultKind::Upstream, message));
    }
    Ok(TranslatedAnswer::of(response, out, report))
}

/// Plays a finished answer as a stream, for a caller that asked for one.
///
/// # Errors
/// When the body is not of its protocol, or a protocol has no reader or writer.
pub fn response_as_stream(
    from: Protocol,
    to: Protocol,
    body: &[u8],
    mut answer: Answer,
) -> Result<TranslatedAnswer, TranslateError> {
    let response = read_response(from, utf8(body)?)?;
    answer.origin = Some(from);
    let mut writer = (codec(to)?.writer)(answer);
    let mut out = BytesMut::with_capacity(body.len() + 1024);
    play(&response, &mut |event| writer.write(event, &mut out));
    Ok(TranslatedAnswer::of(&response, out, TranslationReport::default()))
}

/// Folds a whole stream into one finished answer, for a caller that did not ask for a stream.
#[derive(Debug)]
pub struct Folder {
    decoder: sse::Decoder,
    reader: Reader,
    fold: Fold,
    broken: Option<&'static str>,
}

impl Folder {
    /// A folder of streams in protocol `from`; `limit` bounds the folded answer in bytes.
    ///
    /// # Errors
    /// When the protocol has no reader.
    pub fn new(from: Protocol, limit: usize) -> Result<Self, TranslateError> {
        Ok(Self {
            decoder: sse::Decoder::new(),
            reader: (codec(from)?.reader)(),
            fold: Fold::new(from, limit),
            broken: None,
        })
    }

    /// More of the stream.
    pub fn push(&mut self, input: &[u8]) {
        let (reader, fold) = (&mut self.reader, &mut self.fold);
        let decoded = self.decoder.push(input, &mut |event| {
            reader.event(&event, &mut |event| fold.event(event));
        });
        if decoded.is_err() {
            self.broken = Some("the upstream sent an event that is too large");
        }
    }

    /// The finished answer in protocol `to`.
    ///
    /// # Errors
    /// When the stream was cut, said that it failed, or grew beyond the limit.
    pub fn finish(
        mut self,
        to: Protocol,
        mut answer: Answer,
    ) -> Result<TranslatedAnswer, TranslateError> {
        if let Some(reason) = self.broken {
            return Err(TranslateError::Failed(FaultKind::Upstream, reason.to_owned()));
        }
        let (reader, fold) = (&mut self.reader, &mut self.fold);
        // An error here can only repeat one that `push` has met.
        let _ =
            self.decoder.finish(&mut |event| reader.event(&event, &mut |event| fold.event(event)));
        reader.finish(&mut |event| fold.event(event));
        let response = self.fold.finish()?;
        answer.origin = Some(response.origin);
        write_response(&response, "", to, answer)
    }
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

/// Translates an error answer. Never fails: a body that nobody understands becomes the message.
///
/// # Errors
/// When a protocol has no reader or writer.
pub fn error(
    from: Protocol,
    to: Protocol,
    status: StatusCode,
    body: &[u8],
) -> Result<TranslatedError, TranslateError> {
    let writer = codec(to)?;
    let text = String::from_utf8_lossy(body);
    let error = (codec(from)?.read_error)(status, &text);
    let mut out = BytesMut::with_capacity(body.len() + 128);
    (writer.write_error)(&error, &mut out);
    Ok(TranslatedError {
        status: (writer.error_status)(error.kind, status),
        body: out,
        kind: error.kind,
        retry_after: error.retry_after,
    })
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
    decoder: sse::Decoder,
    reader: Reader,
    writer: Writer,
    facts: StreamFacts,
    news: bool,
}

impl Transcoder {
    /// Streams of `from` to streams of `to`.
    ///
    /// # Errors
    /// When a protocol has no reader or writer.
    pub fn new(from: Protocol, to: Protocol, mut answer: Answer) -> Result<Self, TranslateError> {
        answer.origin = Some(from);
        Ok(Self {
            decoder: sse::Decoder::new(),
            reader: (codec(from)?.reader)(),
            writer: (codec(to)?.writer)(answer),
            facts: StreamFacts::default(),
            news: false,
        })
    }

    /// What was seen since the last call, if it is more than before.
    pub fn take_news(&mut self) -> Option<&StreamFacts> {
        std::mem::take(&mut self.news).then_some(&self.facts)
    }

    fn fail(&mut self, kind: FaultKind, message: &'static str, out: &mut BytesMut) {
        if !self.writer.is_done() {
            self.facts.fault = Some(kind);
            self.news = true;
            self.writer.write(StreamEvent::Error(ApiError::new(kind, message)), out);
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
        let Self { decoder, reader, writer, facts, news } = self;
        let decoded = decoder.push(input, &mut |event| {
            reader.event(&event, &mut |event| {
                *news |= facts.note(&event);
                writer.write(event, out);
            });
        });
        if decoded.is_err() {
            self.fail(FaultKind::Upstream, "the upstream sent an event that is too large", out);
        }
    }

    fn finish(&mut self, out: &mut BytesMut) {
        let Self { decoder, reader, writer, facts, news } = self;
        let mut sink = |event: StreamEvent<'_>| {
            *news |= facts.note(&event);
            writer.write(event, out);
        };
        // An error here can only repeat one that `push` has met.
        let _ = decoder.finish(&mut |event| reader.event(&event, &mut sink));
        reader.finish(&mut sink);
    }

    fn abort(&mut self, out: &mut BytesMut) {
        self.fail(FaultKind::Transport, "the connection to the upstream broke", out);
    }

    fn is_done(&self) -> bool {
        self.writer.is_done()
    }
}

#[cfg(test)]
mod tests {
    use Protocol::{Anthropic, OpenAiChat};

    use super::*;

    fn answer() -> Answer {
        Answer::new("m", 1, 1)
    }

    fn fold(
        from: Protocol,
        to: Protocol,
        stream: &str,
    ) -> Result<TranslatedAnswer, TranslateError> {
        let mut folder = Folder::new(from, 1 << 20)?;
        folder.push(stream.as_bytes());
        folder.finish(to, answer())
    }

    #[test]
    fn an_error_under_a_success_is_an_error() {
        use FaultKind::{Overloaded, RateLimit, Upstream};
        let rows = [
            (
                Anthropic,
                r#"{"type":"error","error":{"type":"overloaded_error","message":"m"}}"#,
                Overloaded,
            ),
            (OpenAiChat, r#"{"error":{"message":"m","code":429},"user_id":"u"}"#, RateLimit),
            (OpenAiChat, r#"{"object":"error","message":"m","type":"X","code":1}"#, Upstream),
            (OpenAiChat, r#"{"detail":"m"}"#, Upstream),
            (
                OpenAiChat,
                r#"{"choices":[{"error":{"message":"m","code":502},"finish_reason":"error","message":{"content":""}}]}"#,
                Upstream,
            ),
        ];
        for (from, body, kind) in rows {
            let to = if from == Anthropic { OpenAiChat } else { Anthropic };
            let failed = TranslateError::Failed(kind, "m".to_owned());
            assert_eq!(response(from, to, body.as_bytes(), answer()), Err(failed), "{body}");
        }
        let fine = r#"{"choices":[],"error":null,"message":null}"#;
        assert!(response(OpenAiChat, Anthropic, fine.as_bytes(), answer()).is_ok());
    }

    #[test]
    fn an_error_of_a_choice_ends_the_stream() {
        let stream = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n\
             data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"error\",\
             \"error\":{\"message\":\"m\",\"code\":429}}],\"usage\":{}}\n\n";
        let failed = TranslateError::Failed(FaultKind::RateLimit, "m".to_owned());
        assert_eq!(fold(OpenAiChat, Anthropic, stream), Err(failed));
    }

    #[test]
    fn a_folded_answer_has_a_choice() {
        let stream = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{}}\n\n\
             event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
        let folded = fold(Anthropic, OpenAiChat, stream).unwrap();
        let body = Raw::parse(std::str::from_utf8(&folded.body).unwrap()).unwrap();
        assert!(body.member("choices").unwrap().as_str().starts_with(r#"[{"index":0"#));
    }

    #[test]
    fn losses_behind_the_messages_are_found() {
        let body = br#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"a"}],
            "tools":[{"name":"f","input_schema":{},"defer_loading":true}],"top_k":5}"#;
        let report =
            request(Anthropic, OpenAiChat, body, &RequestOptions::default()).unwrap().report;
        let pointers: Vec<_> = report.losses().iter().map(|loss| &*loss.pointer).collect();
        assert_eq!(pointers, ["/tools/0/defer_loading", "/top_k"]);
    }
}
