use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Serialize, Serializer};

use crate::calendar;
use crate::store::{LogEntry, LogLevel};

/// What a subscription is told.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum LogEvent {
    /// A line.
    Line(#[serde(serialize_with = "line")] Arc<LogEntry>),
    /// Something about the log itself.
    Notice(Notice),
}

impl LogEvent {
    /// As a server-sent event: `data: <JSON>` and an empty line. JSON has no line breaks.
    #[must_use]
    pub fn to_sse(&self) -> Bytes {
        let mut out = BytesMut::from("data: ").writer();
        // Nothing in it can fail: no map with odd keys, no number that JSON has not.
        let written = serde_json::to_writer(&mut out, self);
        debug_assert!(written.is_ok(), "{written:?}");
        let mut out = out.into_inner();
        out.extend_from_slice(b"\n\n");
        out.freeze()
    }
}

fn line<S: Serializer>(entry: &Arc<LogEntry>, to: S) -> Result<S::Ok, S::Error> {
    entry.as_ref().serialize(to)
}

/// An event that is no line.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Notice {
    /// What it is about.
    #[serde(rename = "type")]
    pub kind: NoticeKind,
    /// Of a status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<LogLevel>,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// How many lines were lost, those included that the filter would have left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<u64>,
    /// Unix seconds.
    pub timestamp: f64,
    /// The timestamp in UTC: `2026-01-31 23:59:59`.
    pub formatted_time: String,
}

/// What a [`Notice`] is about; in JSON in snake case, as `system_status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NoticeKind {
    /// The subscription has begun.
    Connection,
    /// How many requests there were.
    SystemStatus,
    /// There was no line for a while.
    Heartbeat,
    /// Lines came faster than they were read.
    Lag,
}

impl Notice {
    fn new(kind: NoticeKind, at: Duration, message: impl Into<Option<String>>) -> Self {
        Self {
            kind,
            level: None,
            message: message.into(),
            lost: None,
            timestamp: at.as_secs_f64(),
            formatted_time: calendar::date_and_time(at),
        }
    }

    pub(super) fn connection(at: Duration) -> Self {
        Self::new(NoticeKind::Connection, at, "Connected to log stream".to_owned())
    }

    pub(super) fn heartbeat(at: Duration) -> Self {
        Self::new(NoticeKind::Heartbeat, at, None)
    }

    pub(super) fn system_status(at: Duration, requests: u64, errors: u64) -> Self {
        let message = format!("System status: {requests} total requests, {errors} errors");
        let level = Some(LogLevel::Info);
        Self { level, ..Self::new(NoticeKind::SystemStatus, at, message) }
    }

    pub(super) fn lag(at: Duration, lost: u64) -> Self {
        let message = format!("{lost} lines came faster than they were read");
        Self { lost: Some(lost), ..Self::new(NoticeKind::Lag, at, message) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_have_their_shapes() {
        let at = Duration::from_millis(1_700_000_000_500);
        let time = r#""timestamp":1700000000.5,"formatted_time":"2023-11-14 22:13:20"}"#;
        for (notice, json) in [
            (
                Notice::connection(at),
                r#"{"type":"connection","message":"Connected to log stream","#,
            ),
            (
                Notice::system_status(at, 7, 2),
                r#"{"type":"system_status","level":"INFO","message":"System status: 7 total requests, 2 errors","#,
            ),
            (Notice::heartbeat(at), r#"{"type":"heartbeat","#),
            (
                Notice::lag(at, 3),
                r#"{"type":"lag","message":"3 lines came faster than they were read","lost":3,"#,
            ),
        ] {
            let sse = LogEvent::Notice(notice).to_sse();
            assert_eq!(sse, format!("data: {json}{time}\n\n"));
        }
    }
}
