use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use http::{HeaderValue, Response, header};
use http_body::{Body, Frame};

use super::event::{LogEvent, Notice};
use super::line::Line;
use super::log::{Found, Shared};
use crate::body::{EVENT_STREAM, KeepAlive};
use crate::store::{LogEntry, LogFilter, LogLevel};

/// How long there is no line before a subscription is told that it is alive.
pub const HEARTBEAT_AFTER: Duration = Duration::from_secs(30);

/// How often a subscription is told how many requests there were.
pub const STATUS_EVERY: Duration = Duration::from_secs(30);

/// Lines that are taken at once: the log is locked for no longer.
const AT_ONCE: usize = 64;

/// Who listens to a [`LiveLog`](super::LiveLog): a stream of events, or the body of a response of
/// server-sent events. It ends when the log is closed, else when it is dropped.
pub struct Subscription {
    shared: Arc<Shared>,
    reader: u64,
    /// Number of the next line in the log.
    place: u64,
    filter: LogFilter,
    /// Events before all lines that are yet to be read.
    ready: VecDeque<LogEvent>,
    /// Lines that are yet to be put into words and filtered.
    unread: VecDeque<Line>,
    silence: KeepAlive,
    status: KeepAlive,
}

impl Subscription {
    /// `old` newest first.
    pub(super) fn new(
        shared: Arc<Shared>,
        reader: u64,
        place: u64,
        old: Vec<Arc<LogEntry>>,
        filter: LogFilter,
    ) -> Self {
        let connection = LogEvent::Notice(Notice::connection(shared.now()));
        let old = old.into_iter().rev().map(LogEvent::Line);
        Self {
            reader,
            place,
            filter,
            ready: std::iter::once(connection).chain(old).collect(),
            unread: VecDeque::new(),
            silence: KeepAlive::new(HEARTBEAT_AFTER),
            status: KeepAlive::new(STATUS_EVERY),
            shared,
        }
    }

    /// A response with these events: `text/event-stream`, not to be kept or held back by anybody.
    #[must_use]
    pub fn into_response(self) -> Response<LogBody> {
        let mut response = Response::new(LogBody { events: self });
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
        response
    }

    /// The next event that is there without a look at the log.
    fn next_ready(&mut self) -> Option<LogEvent> {
        if let Some(event) = self.ready.pop_front() {
            return Some(event);
        }
        while let Some(line) = self.unread.pop_front() {
            let entry = line.entry();
            if self.filter.matches(&entry) {
                return Some(LogEvent::Line(entry));
            }
        }
        None
    }

    /// A filter for another level than that of a status leaves it out; one for paths does not, as
    /// it is about all of them.
    fn wants_status(&self) -> bool {
        self.filter.level.is_none_or(|level| level == LogLevel::Info)
    }

    /// What is due without any line.
    fn poll_timers(&mut self, cx: &mut Context<'_>) -> Poll<LogEvent> {
        if self.wants_status() && self.status.poll_silence(cx).is_ready() {
            let counts = self.shared.counts();
            let (requests, errors) = (counts.requests, counts.errors);
            let notice = Notice::system_status(self.shared.now(), requests, errors);
            return Poll::Ready(LogEvent::Notice(notice));
        }
        let silent = self.silence.poll_silence(cx);
        silent.map(|()| LogEvent::Notice(Notice::heartbeat(self.shared.now())))
    }
}

impl Stream for Subscription {
    type Item = LogEvent;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<LogEvent>> {
        let this = self.get_mut();
        let mut event = this.next_ready();
        if event.is_none() {
            match this.shared.read(this.reader, &mut this.place, AT_ONCE, cx.waker()) {
                Found::Lines(unread) => {
                    if unread.lost > 0 {
                        let lag = Notice::lag(this.shared.now(), unread.lost);
                        this.ready.push_back(LogEvent::Notice(lag));
                    }
                    this.unread = unread.values;
                    event = this.next_ready();
                    if event.is_none() {
                        // All were left out. There may be more, after others had their turn.
                        cx.waker().wake_by_ref();
                    }
                }
                Found::Nothing => {}
                Found::Closed => return Poll::Ready(None),
            }
        }
        if event.is_some() {
            this.silence.sent();
            return Poll::Ready(event);
        }
        this.poll_timers(cx).map(Some)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.shared.leave(self.reader);
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("filter", &self.filter).finish_non_exhaustive()
    }
}

/// A [`Subscription`] as a body: each frame is one server-sent event.
#[derive(Debug)]
pub struct LogBody {
    events: Subscription,
}

impl Body for LogBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let event = Pin::new(&mut self.events).poll_next(cx);
        event.map(|event| event.map(|event| Ok(Frame::data(event.to_sse()))))
    }
}
