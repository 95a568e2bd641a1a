//! Which functions belong to which protocol.

use bytes::BytesMut;
use http::StatusCode;

use super::TranslateError;
use crate::protocol::json::JsonError;
use crate::protocol::model::{ApiError, FaultKind, Request, Response, StreamEvent};
use crate::protocol::report::Reporter;
use crate::protocol::{Answer, Protocol, Target, anthropic, openai_chat};
use crate::sse;

/// The functions of one protocol. [`codec`] is the one match over protocols that translate.
pub(super) struct Codec {
    pub(super) read_request: for<'a> fn(&'a str) -> Result<Request<'a>, JsonError>,
    pub(super) write_request: fn(&Request<'_>, &Target, &mut Reporter<'_>, &mut BytesMut),
    pub(super) read_response: for<'a> fn(&'a str) -> Result<Response<'a>, JsonError>,
    pub(super) write_response: fn(&Response<'_>, &mut Answer, &mut Reporter<'_>, &mut BytesMut),
    pub(super) read_error: for<'a> fn(StatusCode, &'a str) -> ApiError<'a>,
    pub(super) write_error: fn(&ApiError<'_>, &mut BytesMut),
    pub(super) error_status: fn(FaultKind, StatusCode) -> StatusCode,
    pub(super) reader: fn() -> Reader,
    pub(super) writer: fn(Answer) -> Writer,
}

pub(super) fn codec(protocol: Protocol) -> Result<&'static Codec, TranslateError> {
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
pub(super) enum Reader {
    Anthropic(anthropic::stream::Reader),
    OpenAiChat(openai_chat::stream::Reader),
}

impl Reader {
    pub(super) fn event(&mut self, event: &sse::Event<'_>, sink: &mut dyn FnMut(StreamEvent<'_>)) {
        match self {
            Self::Anthropic(reader) => reader.event(event, sink),
            Self::OpenAiChat(reader) => reader.event(event, sink),
        }
    }

    pub(super) fn finish(&mut self, sink: &mut dyn FnMut(StreamEvent<'_>)) {
        match self {
            Self::Anthropic(reader) => reader.finish(sink),
            Self::OpenAiChat(reader) => reader.finish(sink),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Writer {
    Anthropic(anthropic::stream::Writer),
    OpenAiChat(openai_chat::stream::Writer),
}

impl Writer {
    pub(super) fn write(&mut self, event: StreamEvent<'_>, out: &mut BytesMut) {
        match self {
            Self::Anthropic(writer) => writer.write(event, out),
            Self::OpenAiChat(writer) => writer.write(event, out),
        }
    }

    pub(super) fn is_done(&self) -> bool {
        match self {
            Self::Anthropic(writer) => writer.is_done(),
            Self::OpenAiChat(writer) => writer.is_done(),
        }
    }
}
