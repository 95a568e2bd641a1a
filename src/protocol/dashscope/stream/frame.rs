//! What stands around the output in each event of a stream.

use bytes::BytesMut;
use http::StatusCode;

use crate::protocol::Answer;
use crate::protocol::dashscope::wire::{push, push_flat};
use crate::protocol::dashscope::{fault, tokens};
use crate::protocol::json::{JsonStr, push_u64};
use crate::protocol::model::{ApiError, Rest, Usage};

/// The events of one stream: they are counted, and all have one id.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Frame {
    /// The id, escaped; empty before the first event.
    id: String,
    /// Unknown members that the first event has beside.
    rest: Rest<'static>,
    /// Events written.
    events: u64,
}

impl Frame {
    /// Settles the id, once; where there is none, one is made.
    pub(super) fn settle(&mut self, id: &JsonStr<'_>, answer: &mut Answer) {
        if self.id.is_empty() {
            self.id.push_str(id.escaped());
            if self.id.is_empty() {
                self.id = answer.ids.make("");
            }
        }
    }

    /// Keeps members for the first event.
    pub(super) fn keep(&mut self, rest: Rest<'_>) {
        self.rest = rest.into_owned();
    }

    /// Begins an event.
    pub(super) fn begin(&mut self, name: &str, status: StatusCode, out: &mut BytesMut) {
        self.events += 1;
        push(out, &["id:"]);
        push_u64(out, self.events);
        push(out, &["\nevent:", name, "\n:HTTP_STATUS/", status.as_str(), "\ndata:"]);
    }

    /// Ends an event behind its output.
    pub(super) fn end(&mut self, usage: Option<&Usage<'_>>, out: &mut BytesMut) {
        push(out, &[",\"usage\":"]);
        tokens::write(usage, out);
        push(out, &[",\"request_id\":\"", &self.id, "\""]);
        for (key, value) in std::mem::take(&mut self.rest).0 {
            push(out, &[",\"", key.escaped(), "\":"]);
            push_flat(out, &value);
        }
        push(out, &["}\n\n"]);
    }

    /// Writes the event of an error.
    pub(super) fn error(&mut self, error: &ApiError<'_>, out: &mut BytesMut) {
        let mut error = error.clone();
        error.request_id = Some(JsonStr::from_escaped(self.id.clone()));
        self.begin("error", fault::status(error.kind, StatusCode::OK), out);
        fault::write(&error, out);
        push(out, &["\n\n"]);
    }
}
