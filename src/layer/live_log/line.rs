//! What is noted of a request while it passes, and how it is put into words later.

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use http::StatusCode;

use crate::context::{Attempt, ChannelId};
use crate::protocol::model::{FaultKind, FaultOrigin};
use crate::record::{Begun, End, Record};
use crate::store::{LogEntry, LogLevel};

/// A line that is put into words when somebody reads it. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) enum Line {
    Started(Arc<Begun>),
    Ended(Ended),
    AttemptFailed(FailedAttempt),
    /// It has its words already.
    Written(Arc<LogEntry>),
}

/// How a request ended; what else a [`Record`] holds, as bodies, is not kept.
#[derive(Debug, Clone)]
pub(super) struct Ended {
    begun: Arc<Begun>,
    how: How,
    status: Option<StatusCode>,
    total: Duration,
}

#[derive(Debug, Clone)]
enum How {
    Completed,
    Left,
    Failed { error: Cow<'static, str>, body: Option<Arc<str>> },
}

#[derive(Debug, Clone)]
pub(super) struct FailedAttempt {
    begun: Arc<Begun>,
    /// When the request ended, since its beginning.
    total: Duration,
    status: Option<StatusCode>,
    fault: FaultKind,
    who: Option<Who>,
}

/// Which attempt it was. Nothing of it is secret.
#[derive(Debug, Clone)]
struct Who {
    number: usize,
    channel: Option<ChannelId>,
    key: Option<Arc<str>>,
}

impl Line {
    /// How the request ended.
    pub(super) fn ended(record: &Record) -> Self {
        let how = match &record.error {
            Some(error) => How::Failed { error: error.clone(), body: record.error_body.clone() },
            None if record.cancelled() => How::Left,
            None => How::Completed,
        };
        Self::Ended(Ended {
            begun: record.begun.clone(),
            how,
            status: record.status,
            total: record.total,
        })
    }

    /// What failed on the way there.
    pub(super) fn failed_attempts(record: &Record) -> impl Iterator<Item = Self> {
        let named = record.attempts.iter().enumerate();
        let named = named.filter_map(|(index, attempt)| failed(record, index + 1, attempt));
        // Without a layer that tells of attempts, the service's own error is one.
        let refused = record.attempts.is_empty() && record.end == End::Refused;
        let unnamed = refused.then(|| FailedAttempt {
            begun: record.begun.clone(),
            total: record.total,
            status: None,
            fault: record.fault.unwrap_or(FaultKind::Transport),
            who: None,
        });
        named.chain(unnamed).map(Self::AttemptFailed)
    }

    /// In words.
    pub(super) fn entry(&self) -> Arc<LogEntry> {
        Arc::new(match self {
            Self::Started(begun) => {
                let message = about("Request started", begun);
                entry(LogLevel::Info, begun, Duration::ZERO, message)
            }
            Self::Ended(ended) => ended.entry(),
            Self::AttemptFailed(attempt) => attempt.entry(),
            Self::Written(entry) => return entry.clone(),
        })
    }
}

fn failed(record: &Record, number: usize, attempt: &Attempt) -> Option<FailedAttempt> {
    // A refusal of ours asked no upstream, and who was outrun or left did not fail.
    let fault = attempt.fault.filter(|fault| {
        !attempt.outrun
            && fault.origin != FaultOrigin::Gateway
            && fault.kind != FaultKind::ClientCancel
    })?;
    let who = Who { number, channel: attempt.channel.clone(), key: attempt.key.clone() };
    Some(FailedAttempt {
        begun: record.begun.clone(),
        total: record.total,
        status: attempt.status,
        fault: fault.kind,
        who: Some(who),
    })
}

impl Ended {
    fn entry(&self) -> LogEntry {
        let Self { begun, status, total, .. } = self;
        let (level, message) = match (&self.how, status) {
            (How::Completed, _) => (LogLevel::Info, self.told("Request completed")),
            (How::Left, Some(_)) => {
                (LogLevel::Warning, self.told("Client disconnected during response"))
            }
            (How::Left, None) => {
                (LogLevel::Warning, self.told("Client disconnected before response"))
            }
            (How::Failed { error, .. }, _) => (LogLevel::Error, self.failed(error)),
        };
        let mut entry = entry(level, begun, *total, message);
        if let How::Failed { body: Some(body), .. } = &self.how {
            entry.response_content = Some(body.to_string());
        }
        entry
    }

    /// `M P - code (N bytes, X.Xms)`.
    fn told(&self, what: &str) -> String {
        let mut message = about(what, &self.begun);
        if let Some(status) = self.status {
            write(&mut message, format_args!(" - {}", status.as_u16()));
        }
        let millis = self.total.as_secs_f64() * 1000.0;
        write(&mut message, format_args!(" ({} bytes, {millis:.1}ms)", self.begun.bytes_out()));
        message
    }

    /// `M P - code reason`.
    fn failed(&self, error: &str) -> String {
        let mut message = about("Request failed", &self.begun);
        message.push_str(" - ");
        match self.status {
            Some(status) if status.as_u16() >= 400 => push_status(&mut message, status),
            Some(status) => write(&mut message, format_args!("{} {error}", status.as_u16())),
            None => message.push_str(error),
        }
        message
    }
}

impl FailedAttempt {
    fn entry(&self) -> LogEntry {
        let mut message = about("Upstream request failed", &self.begun);
        message.push_str(" - ");
        if let Some(status) = self.status {
            write(&mut message, format_args!("{} ", status.as_u16()));
        }
        message.push_str(self.fault.as_str());
        if let Some(Who { number, channel, key }) = &self.who {
            write(&mut message, format_args!(" (attempt {number}"));
            if let Some(channel) = channel {
                write(&mut message, format_args!(", channel {}", channel.as_str()));
            }
            if let Some(key) = key {
                write(&mut message, format_args!(", key {key}"));
            }
            message.push(')');
        }
        entry(LogLevel::Error, &self.begun, self.total, message)
    }
}

/// A line about a request, so long after its beginning.
fn entry(level: LogLevel, begun: &Begun, since: Duration, message: String) -> LogEntry {
    let at = UNIX_EPOCH.checked_add(begun.started + since).unwrap_or(UNIX_EPOCH);
    let mut entry = LogEntry::new(at, level, message);
    entry.path = Some(begun.path.to_string());
    entry.request_id = Some(begun.request_id.to_string());
    entry
}

/// `what: M P`.
fn about(what: &str, begun: &Begun) -> String {
    format!("{what}: {} {}", begun.method, begun.path)
}

/// `code reason`.
fn push_status(message: &mut String, status: StatusCode) {
    let reason = status.canonical_reason().unwrap_or_default();
    write(message, format_args!("{} {reason}", status.as_u16()));
    message.truncate(message.trim_end().len());
}

fn write(message: &mut String, text: std::fmt::Arguments<'_>) {
    // Into a string it cannot fail.
    let _ = message.write_fmt(text);
}
