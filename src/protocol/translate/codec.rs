//! Which functions belong to which protocol.

use std::borrow::Cow;

use bytes::BytesMut;
use http::StatusCode;

use super::count::Count;
use super::models::Models;
use crate::protocol::dialect::{AnswerPiece, SharedDialect};
use crate::protocol::json::{JsonError, one_line};
use crate::protocol::model::{ApiError, FaultKind, Request, Response, StreamEvent};
use crate::protocol::report::Reporter;
use crate::protocol::{
    Answer, Endpoint, Head, Protocol, Target, anthropic, dashscope, gemini, openai_chat,
    openai_responses,
};
use crate::sse;

/// The functions of one protocol. [`codec`] is the one match over protocols that translate.
pub(super) struct Codec {
    pub(super) read_request: for<'a> fn(&'a str) -> Result<Request<'a>, JsonError>,
    /// Completes a request that was read with what stands outside of its body.
    pub(super) read_head: for<'a> fn(&mut Request<'a>, &Head<'a>),
    pub(super) write_request: fn(&Request<'_>, &Target, &mut Reporter<'_>, &mut BytesMut),
    pub(super) endpoint: fn(&Request<'_>, &Target) -> Endpoint,
    /// What the answer repeats of a request; see [`Answer::echo`].
    pub(super) echo: fn(&Request<'_>, &str) -> String,
    pub(super) read_response: for<'a> fn(&'a str) -> Result<Response<'a>, JsonError>,
    pub(super) write_response: fn(&Response<'_>, &mut Answer, &mut Reporter<'_>, &mut BytesMut),
    pub(super) read_error: for<'a> fn(StatusCode, &'a str) -> ApiError<'a>,
    pub(super) write_error: fn(&ApiError<'_>, &mut BytesMut),
    pub(super) error_status: fn(FaultKind, StatusCode) -> StatusCode,
    /// `None` where a protocol does not count prompts.
    pub(super) count: Option<Count>,
    /// `None` where a protocol does not list models.
    pub(super) models: Option<Models>,
    pub(super) reader: fn() -> Reader,
    pub(super) writer: fn(Answer) -> Writer,
}

pub(super) fn codec(protocol: Protocol) -> &'static Codec {
    match protocol {
        Protocol::Anthropic => &Codec {
            read_request: anthropic::request::read,
            read_head: |_, _| {},
            write_request: anthropic::request::write,
            endpoint: |_, _| Endpoint::new("/v1/messages"),
            echo: |_, _| String::new(),
            read_response: anthropic::response::read,
            write_response: anthropic::response::write,
            read_error: anthropic::fault::read,
            write_error: anthropic::fault::write,
            error_status: anthropic::fault::status,
            count: Some(Count {
                unwrap: |text| Ok(text.into()),
                members: anthropic::count::MEMBERS,
                wrap: |_, request, out| out.extend_from_slice(request.as_bytes()),
                endpoint: |_| Endpoint::new("/v1/messages/count_tokens"),
                read_answer: anthropic::count::read_answer,
                write_answer: anthropic::count::write_answer,
            }),
            models: Some(Models {
                path: "/v1/models",
                query: Some("limit=1000"),
                member: "data",
                read: anthropic::models::read,
                write: anthropic::models::write,
                write_list: anthropic::models::write_list,
            }),
            reader: || ReaderOf::Anthropic(anthropic::stream::Reader::new()).into(),
            writer: |answer| Writer::Anthropic(anthropic::stream::Writer::new(answer)),
        },
        Protocol::OpenAiChat => &Codec {
            read_request: openai_chat::request::read,
            read_head: |_, _| {},
            write_request: openai_chat::request::write,
            endpoint: |_, _| Endpoint::new("/v1/chat/completions"),
            echo: |_, _| String::new(),
            read_response: openai_chat::response::read,
            write_response: openai_chat::response::write,
            read_error: openai_chat::fault::read,
            write_error: openai_chat::fault::write,
            error_status: openai_chat::fault::status,
            count: None,
            models: Some(OPENAI_MODELS),
            reader: || ReaderOf::OpenAiChat(openai_chat::stream::Reader::new()).into(),
            writer: |answer| Writer::OpenAiChat(openai_chat::stream::Writer::new(answer)),
        },
        Protocol::OpenAiResponses => &Codec {
            read_request: openai_responses::request::read,
            read_head: |_, _| {},
            write_request: openai_responses::request::write,
            endpoint: |_, _| Endpoint::new("/v1/responses"),
            echo: openai_responses::request::echo,
            read_response: openai_responses::response::read,
            write_response: openai_responses::response::write,
            read_error: openai_responses::fault::read,
            write_error: openai_responses::fault::write,
            error_status: openai_responses::fault::status,
            count: Some(Count {
                unwrap: |text| Ok(text.into()),
                members: openai_responses::count::MEMBERS,
                wrap: |_, request, out| out.extend_from_slice(request.as_bytes()),
                endpoint: |_| Endpoint::new("/v1/responses/input_tokens"),
                read_answer: openai_responses::count::read_answer,
                write_answer: openai_responses::count::write_answer,
            }),
            models: Some(OPENAI_MODELS),
            reader: || ReaderOf::OpenAiResponses(openai_responses::stream::Reader::new()).into(),
            writer: |answer| Writer::OpenAiResponses(openai_responses::stream::Writer::new(answer)),
        },
        Protocol::Gemini => &Codec {
            read_request: gemini::request::read,
            read_head: gemini::request::read_head,
            write_request: gemini::request::write,
            endpoint: gemini::request::endpoint,
            echo: |_, _| String::new(),
            read_response: gemini::response::read,
            write_response: gemini::response::write,
            read_error: gemini::fault::read,
            write_error: gemini::fault::write,
            error_status: gemini::fault::status,
            count: Some(Count {
                unwrap: gemini::count::unwrap,
                members: gemini::count::MEMBERS,
                wrap: gemini::count::wrap,
                endpoint: gemini::count::endpoint,
                read_answer: gemini::count::read_answer,
                write_answer: gemini::count::write_answer,
            }),
            models: Some(Models {
                path: "/v1beta/models",
                query: Some("pageSize=1000"),
                member: "models",
                read: gemini::models::read,
                write: gemini::models::write,
                write_list: gemini::models::write_list,
            }),
            reader: || ReaderOf::Gemini(gemini::stream::Reader::new()).into(),
            writer: |answer| Writer::Gemini(gemini::stream::Writer::new(answer)),
        },
        Protocol::DashScope => &Codec {
            read_request: dashscope::request::read,
            read_head: dashscope::request::read_head,
            write_request: dashscope::request::write,
            endpoint: dashscope::request::endpoint,
            echo: |_, _| String::new(),
            read_response: dashscope::response::read,
            write_response: dashscope::response::write,
            read_error: dashscope::fault::read,
            write_error: dashscope::fault::write,
            error_status: dashscope::fault::status,
            count: None,
            models: None,
            reader: || ReaderOf::DashScope(dashscope::stream::Reader::new()).into(),
            writer: |answer| Writer::DashScope(dashscope::stream::Writer::new(answer)),
        },
    }
}

/// Chat Completions and Responses share one list.
const OPENAI_MODELS: Models = Models {
    path: "/v1/models",
    query: None,
    member: "data",
    read: openai_chat::models::read,
    write: openai_chat::models::write,
    write_list: openai_chat::models::write_list,
};

/// Reads a stream, in the upstream's own dialect where it has one.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reader {
    dialect: Option<SharedDialect>,
    of: ReaderOf,
}

impl Reader {
    /// Asks `dialect` about each event before it is read.
    pub(super) fn speaking(mut self, dialect: Option<&SharedDialect>) -> Self {
        self.dialect = dialect.filter(|dialect| dialect.changes_answers()).cloned();
        self
    }

    pub(super) fn event(&mut self, event: &sse::Event<'_>, sink: &mut dyn FnMut(StreamEvent<'_>)) {
        let data = match &self.dialect {
            None => Cow::Borrowed(event.data),
            Some(dialect) => dialect.answer(event.data, AnswerPiece::Event),
        };
        // Slices of it stand in the events that are written.
        self.of.event(&sse::Event { data: &one_line(&data), ..*event }, sink);
    }

    pub(super) fn finish(&mut self, sink: &mut dyn FnMut(StreamEvent<'_>)) {
        self.of.finish(sink);
    }

    /// Whether a stream may be one JSON array in pieces too, not server-sent events.
    pub(super) fn takes_arrays(&self) -> bool {
        matches!(self.of, ReaderOf::Gemini(_))
    }
}

impl From<ReaderOf> for Reader {
    fn from(of: ReaderOf) -> Self {
        Self { dialect: None, of }
    }
}

#[derive(Debug, Clone, PartialEq)]
enum ReaderOf {
    Anthropic(anthropic::stream::Reader),
    OpenAiChat(openai_chat::stream::Reader),
    OpenAiResponses(openai_responses::stream::Reader),
    Gemini(gemini::stream::Reader),
    DashScope(dashscope::stream::Reader),
}

impl ReaderOf {
    fn event(&mut self, event: &sse::Event<'_>, sink: &mut dyn FnMut(StreamEvent<'_>)) {
        match self {
            Self::Anthropic(reader) => reader.event(event, sink),
            Self::OpenAiChat(reader) => reader.event(event, sink),
            Self::OpenAiResponses(reader) => reader.event(event, sink),
            Self::Gemini(reader) => reader.event(event, sink),
            Self::DashScope(reader) => reader.event(event, sink),
        }
    }

    fn finish(&mut self, sink: &mut dyn FnMut(StreamEvent<'_>)) {
        match self {
            Self::Anthropic(reader) => reader.finish(sink),
            Self::OpenAiChat(reader) => reader.finish(sink),
            Self::OpenAiResponses(reader) => reader.finish(sink),
            Self::Gemini(reader) => reader.finish(sink),
            Self::DashScope(reader) => reader.finish(sink),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Writer {
    Anthropic(anthropic::stream::Writer),
    OpenAiChat(openai_chat::stream::Writer),
    OpenAiResponses(openai_responses::stream::Writer),
    Gemini(gemini::stream::Writer),
    DashScope(dashscope::stream::Writer),
}

impl Writer {
    /// The stream writer of this protocol.
    pub(super) fn new(protocol: Protocol, mut answer: Answer) -> Self {
        if let Cow::Owned(echo) = one_line(&answer.echo) {
            answer.echo = echo;
        }
        (codec(protocol).writer)(answer)
    }

    pub(super) fn write(&mut self, event: StreamEvent<'_>, out: &mut BytesMut) {
        match self {
            Self::Anthropic(writer) => writer.write(event, out),
            Self::OpenAiChat(writer) => writer.write(event, out),
            Self::OpenAiResponses(writer) => writer.write(event, out),
            Self::Gemini(writer) => writer.write(event, out),
            Self::DashScope(writer) => writer.write(event, out),
        }
    }

    pub(super) fn is_done(&self) -> bool {
        match self {
            Self::Anthropic(writer) => writer.is_done(),
            Self::OpenAiChat(writer) => writer.is_done(),
            Self::OpenAiResponses(writer) => writer.is_done(),
            Self::Gemini(writer) => writer.is_done(),
            Self::DashScope(writer) => writer.is_done(),
        }
    }
}
