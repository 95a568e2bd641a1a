use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::worker::Order;
use super::{DailySettings, DailyWorker, FLUSH_TIMEOUT, LogHistory, Page, history};
use crate::store::{LogEntry, LogFilter};

/// Most lines that wait to be written; further ones are dropped and counted.
pub const MAX_QUEUED_LINES: usize = 1000;

/// Most readers of the history at once; others wait.
pub const MAX_READERS: usize = 2;

/// The live log in files. Its clones are handles of the same files.
///
/// See the [module docs](super) for an example.
#[derive(Clone)]
pub struct DailyFiles {
    settings: Arc<DailySettings>,
    counts: Arc<Counts>,
    orders: mpsc::Sender<Order>,
    readers: Arc<Semaphore>,
}

impl DailyFiles {
    /// The handle, and the worker that the host spawns: without it nothing is written.
    pub fn new(settings: DailySettings) -> (Self, DailyWorker) {
        let counts = Arc::new(Counts::default());
        let (orders, queue) = mpsc::channel(MAX_QUEUED_LINES);
        let worker = DailyWorker::new(settings.clone(), Arc::clone(&counts), queue);
        let readers = Arc::new(Semaphore::new(MAX_READERS));
        (Self { settings: Arc::new(settings), counts, orders, readers }, worker)
    }

    /// Hands a line to the worker. It waits for nothing and never fails: where the queue is full
    /// ([`MAX_QUEUED_LINES`]), or the worker is gone, the line is dropped and counted.
    pub fn write(&self, entry: impl Into<Arc<LogEntry>>) {
        if self.orders.try_send(Order::Write(entry.into())).is_err() {
            self.counts.lock().dropped += 1;
        }
    }

    /// Waits until all lines before it are written or given up.
    ///
    /// # Errors
    /// When the worker is gone, or has not done it within [`FLUSH_TIMEOUT`].
    pub async fn flush(&self) -> io::Result<()> {
        timeout(FLUSH_TIMEOUT, self.ask(Order::Flush)).await?
    }

    /// Removes all daily files; lines that come later begin new ones. What was lost stays
    /// counted. Tells how many files there were. Files of other names stay.
    ///
    /// # Errors
    /// When a file cannot be removed, or the worker is gone.
    pub async fn clear(&self) -> io::Result<usize> {
        self.ask(Order::Clear).await?
    }

    async fn ask<T>(&self, order: impl FnOnce(oneshot::Sender<T>) -> Order) -> io::Result<T> {
        let gone = || io::Error::new(ErrorKind::BrokenPipe, "the worker of the files is gone");
        let (done, answer) = oneshot::channel();
        self.orders.send(order(done)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())
    }

    /// The lines that match, newest first. Lines that still wait to be written are not among them.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub async fn history(&self, filter: LogFilter, page: Page) -> io::Result<LogHistory> {
        let permit = Arc::clone(&self.readers).acquire_owned().await.map_err(io::Error::other)?;
        let settings = Arc::clone(&self.settings);
        let read = spawn_blocking(move || {
            // Kept by the reader itself, as it goes on when nobody waits for it.
            let _permit = permit;
            history::read(&settings.dir, &filter, page)
        });
        read.await.map_err(io::Error::other)?
    }

    /// How they fare.
    #[must_use]
    pub fn status(&self) -> DailyStatus {
        self.counts.lock().clone()
    }
}

impl fmt::Debug for DailyFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DailyFiles")
            .field("settings", &self.settings)
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

/// What has become of the lines. What was lost is counted since the start, and never less.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DailyStatus {
    /// Lines that were written, since the start or since the files were
    /// [cleared](DailyFiles::clear).
    pub written: u64,
    /// Lines that found the queue full, or the worker gone, and those that it left in the queue.
    pub dropped: u64,
    /// Lines above the [limit of their day](DailySettings::daily_limit).
    pub over_limit: u64,
    /// Lines above [`MAX_LINE_BYTES`](super::MAX_LINE_BYTES).
    pub too_long: u64,
    /// Lines that could not be written.
    pub failed: u64,
    /// Why the last attempt to write failed; none once one has succeeded.
    pub error: Option<String>,
}

impl DailyStatus {
    /// Lines that are in no file, for whatever reason.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.dropped + self.over_limit + self.too_long + self.failed
    }
}

/// What the handles and the worker count together.
#[derive(Default)]
pub(super) struct Counts(Mutex<DailyStatus>);

impl Counts {
    pub(super) fn lock(&self) -> MutexGuard<'_, DailyStatus> {
        // Plain numbers, good to use after a panic elsewhere.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So many lines could not be written.
    pub(super) fn failed(&self, error: &io::Error, lines: usize) {
        let mut status = self.lock();
        status.failed += lines as u64;
        let is_first = status.error.replace(error.to_string()).is_none();
        drop(status);
        if is_first {
            tracing::warn!(%error, "the files of the live log cannot be written");
        }
    }

    /// There are no lines any more. What was lost stays: who watches it as a counter would take
    /// less for a new start.
    pub(super) fn cleared(&self) {
        let mut status = self.lock();
        (status.written, status.error) = (0, None);
    }

    pub(super) fn succeeded(&self) {
        if self.lock().error.take().is_some() {
            tracing::info!("the files of the live log can be written again");
        }
    }
}
