use std::fmt;
use std::future::pending;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout, timeout_at};

use super::DailySettings;
use super::files::Counts;
use super::writer::Writer;
use crate::store::{LogEntry, first};

/// How often files are looked for that are too old: hourly.
pub const SWEEP_EVERY: Duration = Duration::from_secs(60 * 60);

/// How long the worker writes on after it was told to end, and how long
/// [`DailyFiles::flush`](super::DailyFiles::flush) waits.
pub const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// Most lines that are written at once.
const MAX_BATCH: usize = 256;

/// What the worker is asked to do, in the order in which it does it.
pub(super) enum Order {
    Write(Arc<LogEntry>),
    /// Tells when all before it is done.
    Flush(oneshot::Sender<()>),
    Clear(oneshot::Sender<io::Result<usize>>),
}

/// Writes what a [`DailyFiles`](super::DailyFiles) is given.
#[must_use = "nothing is written unless it runs"]
pub struct DailyWorker {
    settings: DailySettings,
    counts: Arc<Counts>,
    orders: mpsc::Receiver<Order>,
}

impl DailyWorker {
    pub(super) fn new(
        settings: DailySettings,
        counts: Arc<Counts>,
        orders: mpsc::Receiver<Order>,
    ) -> Self {
        Self { settings, counts, orders }
    }

    /// Writes until all handles are dropped and all of their lines are written. It also removes the
    /// files that are too old, at the start and every hour ([`SWEEP_EVERY`]).
    ///
    /// Files are opened and written on tokio's threads for what blocks.
    pub async fn run(self) {
        self.run_until(pending()).await;
    }

    /// As [`run`](Self::run), but ends also when `shutdown` does: what is queued then is written,
    /// which takes at most [`FLUSH_TIMEOUT`]; what comes later is dropped and counted.
    pub async fn run_until(mut self, shutdown: impl Future<Output = ()>) {
        let in_time = {
            let closing = Notify::new();
            let mut work = pin!(self.work(&closing));
            match first(work.as_mut(), shutdown).await {
                Ok(()) => true,
                Err(()) => {
                    closing.notify_one();
                    timeout(FLUSH_TIMEOUT, work).await.is_ok()
                }
            }
        };
        if !in_time {
            self.drop_queued().await;
        }
    }

    /// Counts the lines that are still queued as dropped. Those that are being written count
    /// themselves, whenever that ends.
    async fn drop_queued(mut self) {
        self.orders.close();
        let mut lines = 0;
        while let Some(order) = self.orders.recv().await {
            lines += u64::from(matches!(order, Order::Write(_)));
        }
        self.counts.lock().dropped += lines;
        tracing::warn!(lines, "lines of the live log are not written in time");
    }

    async fn work(&mut self, closing: &Notify) {
        let mut writer = self.writer();
        let mut sweep_at = Instant::now();
        let mut batch = Vec::with_capacity(MAX_BATCH);
        loop {
            if Instant::now() >= sweep_at {
                sweep_at = Instant::now() + SWEEP_EVERY;
                writer = self.with(writer, Writer::sweep).await;
            }
            let received = timeout_at(sweep_at, self.orders.recv_many(&mut batch, MAX_BATCH));
            match first(received, closing.notified()).await {
                Ok(Ok(0)) => return,
                Ok(Ok(_)) => {
                    let orders = std::mem::replace(&mut batch, Vec::with_capacity(MAX_BATCH));
                    writer = self.with(writer, |writer| obey(writer, orders)).await;
                }
                // It is time to sweep.
                Ok(Err(_)) => {}
                Err(()) => self.orders.close(),
            }
        }
    }

    async fn with(
        &self,
        mut writer: Writer,
        run: impl FnOnce(&mut Writer) + Send + 'static,
    ) -> Writer {
        let task = spawn_blocking(move || {
            run(&mut writer);
            writer
        });
        // Only a panic or the end of the runtime keeps the writer; it holds nothing but counts.
        task.await.unwrap_or_else(|_| self.writer())
    }

    fn writer(&self) -> Writer {
        Writer::new(self.settings.clone(), Arc::clone(&self.counts))
    }
}

impl fmt::Debug for DailyWorker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DailyWorker").field("settings", &self.settings).finish_non_exhaustive()
    }
}

fn obey(writer: &mut Writer, orders: Vec<Order>) {
    let mut lines = Vec::new();
    for order in orders {
        match order {
            Order::Write(entry) => lines.push(entry),
            // Whoever asked may no longer listen.
            Order::Flush(done) => {
                writer.write(&std::mem::take(&mut lines));
                let _ = done.send(());
            }
            Order::Clear(done) => {
                writer.write(&std::mem::take(&mut lines));
                let _ = done.send(writer.clear());
            }
        }
    }
    writer.write(&lines);
}
