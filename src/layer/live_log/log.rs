use std::collections::HashMap;
use std::fmt;
#[cfg(feature = "request-log")]
use std::sync::OnceLock;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use http::HeaderMap;

use super::Subscription;
use super::line::Line;
use super::ring::{Ring, Unread};
use crate::context::MAX_REQUEST_ID;
use crate::record::{Begun, Clock, MAX_ERROR_BODY, MAX_PATH, Record, Sink};
use crate::redact;
#[cfg(feature = "request-log")]
use crate::store::daily::DailyFiles;
use crate::store::{LogEntry, LogFilter};

/// Most subscriptions at once.
pub const MAX_SUBSCRIPTIONS: usize = 32;

/// Most old lines that a subscription begins with.
pub const REPLAYED: usize = 20;

/// Longest message of a line of the host's own, in bytes; a longer one is cut.
pub const MAX_MESSAGE: usize = 16 << 10;

/// The lines of a [`LiveLogLayer`](super::LiveLogLayer), or of a
/// [`RecordLayer`](crate::record::RecordLayer) that tells it. Cloning it clones the handle.
#[derive(Clone)]
pub struct LiveLog {
    shared: Arc<Shared>,
}

pub(super) struct Shared {
    clock: Clock,
    state: Mutex<State>,
    #[cfg(feature = "request-log")]
    files: OnceLock<DailyFiles>,
}

struct State {
    lines: Ring<Line>,
    /// The subscriptions, and how to wake those that have read everything.
    readers: HashMap<u64, Option<Waker>>,
    next_reader: u64,
    counts: Counts,
    closed: bool,
}

/// Since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) requests: u64,
    pub(super) errors: u64,
}

/// What a subscription finds.
pub(super) enum Found {
    Lines(Unread<Line>),
    /// Nothing; it will be woken.
    Nothing,
    Closed,
}

impl LiveLog {
    /// An empty log, by the system's clock.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(Clock::system())
    }

    /// An empty log. The clock must be that of the layer.
    #[must_use]
    pub fn with_clock(clock: Clock) -> Self {
        let state = State {
            lines: Ring::new(),
            readers: HashMap::new(),
            next_reader: 0,
            counts: Counts::default(),
            closed: false,
        };
        Self {
            shared: Arc::new(Shared {
                clock,
                state: Mutex::new(state),
                #[cfg(feature = "request-log")]
                files: OnceLock::new(),
            }),
        }
    }

    /// Writes every line into these files too, from now on, through their own bounded queue. The
    /// first files that are given stay.
    #[cfg(feature = "request-log")]
    pub fn persist(&self, files: DailyFiles) {
        if self.shared.files.set(files).is_err() {
            tracing::warn!("the live log has its files already");
        }
    }

    /// Tells the last [`REPLAYED`] lines that match, then all that come.
    ///
    /// # Errors
    /// When there are [`MAX_SUBSCRIPTIONS`], or the log is [closed](Self::close).
    pub fn subscribe(&self, filter: LogFilter) -> Result<Subscription, SubscribeError> {
        let mut state = self.shared.lock();
        if state.closed {
            return Err(SubscribeError::Closed);
        }
        if state.readers.len() >= MAX_SUBSCRIPTIONS {
            return Err(SubscribeError::TooMany);
        }
        let reader = state.next_reader;
        state.next_reader += 1;
        state.readers.insert(reader, None);
        // Both at once: no line falls between what was and what comes.
        let (place, lines) = (state.lines.end(), copy(&state.lines));
        drop(state);
        let old = matching(&lines, &filter).take(REPLAYED).collect();
        Ok(Subscription::new(self.shared.clone(), reader, place, old, filter))
    }

    /// Writes a line of the host's own, as it came but for what looks like a secret or is too long:
    /// a message beyond [`MAX_MESSAGE`], others beyond what is kept of a request.
    ///
    /// # Errors
    /// When there is no message.
    pub fn push(&self, mut entry: LogEntry) -> Result<(), EmptyMessage> {
        if entry.message.trim().is_empty() {
            return Err(EmptyMessage);
        }
        entry.message = shown(&entry.message, MAX_MESSAGE);
        entry.path = entry.path.map(|path| shown(&path, MAX_PATH));
        entry.request_id = entry.request_id.map(|id| shown(&id, MAX_REQUEST_ID));
        entry.response_content = entry.response_content.map(|body| shown(&body, MAX_ERROR_BODY));
        self.shared.push([Line::Written(Arc::new(entry))], |_| {});
        Ok(())
    }

    /// Takes up lines from before, as from files at the start: oldest first, and not told anybody
    /// or written again.
    pub fn restore(&self, entries: impl IntoIterator<Item = LogEntry>) {
        let mut state = self.shared.lock();
        for entry in entries {
            state.lines.push(Line::Written(Arc::new(entry)));
        }
    }

    /// Lines in memory that match, newest first: at most `limit`, after the `offset` newest; and
    /// how many match in all.
    #[must_use]
    pub fn history(
        &self,
        filter: &LogFilter,
        limit: usize,
        offset: usize,
    ) -> (Vec<LogEntry>, usize) {
        let lines = copy(&self.shared.lock().lines);
        let found: Vec<_> = matching(&lines, filter).collect();
        let total = found.len();
        let page = found.into_iter().skip(offset).take(limit);
        (page.map(Arc::unwrap_or_clone).collect(), total)
    }

    /// Forgets all lines. Files keep theirs.
    pub fn clear(&self) {
        self.shared.lock().lines.clear();
    }

    /// Ends all subscriptions and takes no more, as for a server that stops. Lines are still
    /// written.
    pub fn close(&self) {
        let mut state = self.shared.lock();
        state.closed = true;
        let wakers = state.wakers();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// How many subscriptions there are.
    #[must_use]
    pub fn subscriptions(&self) -> usize {
        self.shared.lock().readers.len()
    }
}

impl Shared {
    pub(super) fn now(&self) -> Duration {
        self.clock.now()
    }

    pub(super) fn counts(&self) -> Counts {
        self.lock().counts
    }

    /// At most `most` lines from `place` on; else `waker` is called when there are some.
    pub(super) fn read(&self, reader: u64, place: &mut u64, most: usize, waker: &Waker) -> Found {
        let mut state = self.lock();
        if state.closed {
            return Found::Closed;
        }
        if let Some(unread) = state.lines.read(place, most) {
            return Found::Lines(unread);
        }
        if let Some(waiting) = state.readers.get_mut(&reader) {
            match waiting {
                Some(waiting) => waiting.clone_from(waker),
                None => *waiting = Some(waker.clone()),
            }
        }
        Found::Nothing
    }

    /// A subscription is gone.
    pub(super) fn leave(&self, reader: u64) {
        let waker = self.lock().readers.remove(&reader);
        // Not under the lock: it may be the last owner of a task.
        drop(waker);
    }

    fn push(&self, lines: impl IntoIterator<Item = Line>, count: impl FnOnce(&mut Counts)) {
        #[cfg(feature = "request-log")]
        if let Some(files) = self.files.get() {
            // Put into words once, for the files and for all, and before the log is locked.
            let lines: Vec<_> = lines.into_iter().map(|line| persisted(&line, files)).collect();
            return self.add(lines, count);
        }
        self.add(lines, count);
    }

    fn add(&self, lines: impl IntoIterator<Item = Line>, count: impl FnOnce(&mut Counts)) {
        let mut state = self.lock();
        count(&mut state.counts);
        for line in lines {
            state.lines.push(line);
        }
        let wakers = state.wakers();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Plain data, good to use after a panic elsewhere.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Of those who wait; allocates nothing where nobody does.
    fn wakers(&mut self) -> Vec<Waker> {
        self.readers.values_mut().filter_map(Option::take).collect()
    }
}

impl Sink for LiveLog {
    type Open = ();

    fn begun(&self, begun: &Arc<Begun>, _: &mut HeaderMap) {
        self.shared.push([Line::Started(begun.clone())], |counts| counts.requests += 1);
    }

    fn ended(&self, (): (), record: &Arc<Record>) {
        let lines = Line::failed_attempts(record).chain([Line::ended(record)]);
        self.shared.push(lines, |counts| counts.errors += u64::from(record.failed()));
    }
}

impl Default for LiveLog {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for LiveLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.lock();
        f.debug_struct("LiveLog")
            .field("lines", &state.lines.values().len())
            .field("subscriptions", &state.readers.len())
            .finish_non_exhaustive()
    }
}

#[cfg(feature = "request-log")]
fn persisted(line: &Line, files: &DailyFiles) -> Line {
    let entry = line.entry();
    files.write(entry.clone());
    Line::Written(entry)
}

/// Oldest first. They are put into words when the lock is free again.
fn copy(lines: &Ring<Line>) -> Vec<Line> {
    lines.values().cloned().collect()
}

/// Newest first.
fn matching(lines: &[Line], filter: &LogFilter) -> impl Iterator<Item = Arc<LogEntry>> {
    lines.iter().rev().map(Line::entry).filter(|entry| filter.matches(entry))
}

/// At most `limit` bytes of a text, without what looks like a secret.
fn shown(text: &str, limit: usize) -> String {
    let end = (0..=limit.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    redact::text(&text[..end.unwrap_or(0)]).into_owned()
}

/// Why there is no subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubscribeError {
    /// There are [`MAX_SUBSCRIPTIONS`] already.
    TooMany,
    /// The log is [closed](LiveLog::close).
    Closed,
}

impl fmt::Display for SubscribeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooMany => "too many are subscribed to the live log",
            Self::Closed => "the live log is closed",
        })
    }
}

impl std::error::Error for SubscribeError {}

/// A line without a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmptyMessage;

impl fmt::Display for EmptyMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("message is empty")
    }
}

impl std::error::Error for EmptyMessage {}
