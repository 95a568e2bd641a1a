//! The slow side: collects, writes, tries again, forgets.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::ids::Ids;
use super::log::{Counts, Ended};
use super::rows;
use crate::pricing::PriceTable;
use crate::record::Clock;
use crate::store::{LogBatch, RequestLogStore, first};

/// Most requests that are written at once.
pub const MAX_BATCH: usize = 256;

/// How long requests are collected before they are written, unless they would fill half the queue.
pub const BATCH_INTERVAL: Duration = Duration::from_millis(200);

/// How long the store may take for one write.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// How often the same rows are written before they are given up.
pub const MAX_TRIES: u32 = 6;

/// How long the first repetition of a failed write waits; the next ones wait twice as long each.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// How long the worker writes on after it was told to end.
pub const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// How long rows are kept, if nothing else is said: 30 days.
pub const DEFAULT_RETENTION: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How often old rows are looked for: hourly.
pub const PURGE_EVERY: Duration = Duration::from_secs(60 * 60);

/// How many old requests, and as many attempts, are forgotten at once; between two steps the queue
/// is emptied.
pub const PURGE_STEP: usize = 1000;

/// Writes what a [`RequestLog`](super::RequestLog) is told, for the host to spawn.
#[must_use = "nothing is written unless it runs"]
pub struct RequestLogWorker {
    store: Arc<dyn RequestLogStore>,
    queue: mpsc::Receiver<Ended>,
    counts: Arc<Counts>,
    ids: Ids,
    prices: PriceTable,
    retention: Option<Duration>,
    clock: Clock,
}

impl RequestLogWorker {
    pub(super) fn new(
        store: Arc<dyn RequestLogStore>,
        queue: mpsc::Receiver<Ended>,
        counts: Arc<Counts>,
    ) -> Self {
        let (prices, clock) = (PriceTable::default(), Clock::system());
        let (ids, retention) = (Ids::new(), Some(DEFAULT_RETENTION));
        Self { store, queue, counts, ids, prices, retention, clock }
    }

    /// What tokens cost. Default: the small table of [`PriceTable::default`].
    pub fn prices(mut self, prices: PriceTable) -> Self {
        self.prices = prices;
        self
    }

    /// How long rows are kept; `None` for ever. Older ones are forgotten at the start and every
    /// hour ([`PURGE_EVERY`]). Default [`DEFAULT_RETENTION`].
    pub fn retention(mut self, age: impl Into<Option<Duration>>) -> Self {
        self.retention = age.into();
        self
    }

    /// Tells how old rows are. Default the system's clock. For tests.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Writes until the layer, its services and all handles are dropped, and what they left is
    /// written or given up.
    pub async fn run(self) {
        self.run_until(std::future::pending()).await;
    }

    /// As [`run`](Self::run), but ends also when `shutdown` does: what is queued then is written,
    /// which takes at most [`FLUSH_TIMEOUT`]; what comes later is dropped and counted.
    pub async fn run_until(mut self, shutdown: impl Future<Output = ()>) {
        let (close, closing) = watch::channel(false);
        let in_time = {
            let mut work = pin!(self.work(Closing(closing)));
            match first(work.as_mut(), shutdown).await {
                Ok(()) => true,
                Err(()) => {
                    close.send_replace(true);
                    timeout(FLUSH_TIMEOUT, work).await.is_ok()
                }
            }
        };
        if !in_time {
            self.queue.close();
            // Who has a place in it still comes.
            while self.queue.recv().await.is_some() {}
            let lost = self.counts.queued.load(Ordering::Relaxed);
            self.counts.give_up(lost);
            tracing::warn!(requests = lost, "requests are not written in time");
        }
    }

    /// By turns one step of forgetting, when it is time for it, and one batch.
    async fn work(&mut self, mut closing: Closing) {
        let mut purge_at = Instant::now();
        let mut ended = Vec::with_capacity(MAX_BATCH);
        loop {
            if closing.is_asked() {
                // What is queued is still received.
                self.queue.close();
                if self.queue.recv_many(&mut ended, MAX_BATCH).await == 0 {
                    return;
                }
            } else {
                if Instant::now() >= purge_at {
                    purge_at = first(self.purge(), closing.asked()).await.unwrap_or(purge_at);
                }
                let receiving = timeout_at(purge_at, self.queue.recv_many(&mut ended, MAX_BATCH));
                match first(receiving, closing.asked()).await {
                    Ok(Ok(0)) => return,
                    Ok(Ok(_)) => self.collect(&mut ended, &mut closing).await,
                    Ok(Err(_)) | Err(()) => continue,
                }
            }
            self.write(&mut ended, &mut closing).await;
        }
    }

    /// Lets others come, so that few writes take many. It sleeps: to be woken for each of them
    /// would cost the requests more than all the rest of their log.
    async fn collect(&mut self, ended: &mut Vec<Ended>, closing: &mut Closing) {
        if ended.len() < MAX_BATCH && self.queue.is_empty() {
            let crowded = timeout(BATCH_INTERVAL, self.counts.crowded.notified());
            let _ = first(crowded, closing.asked()).await;
        }
        while ended.len() < MAX_BATCH {
            let Ok(one) = self.queue.try_recv() else { return };
            ended.push(one);
        }
    }

    async fn write(&mut self, ended: &mut Vec<Ended>, closing: &mut Closing) {
        let requests = ended.len();
        let batch = Arc::new(self.batch(ended).await);
        let mut wait = FIRST_RETRY;
        for tries_left in (0..MAX_TRIES).rev() {
            let written = timeout(WRITE_TIMEOUT, self.store.append(Arc::clone(&batch))).await;
            if let Ok(Ok(())) = written {
                self.counts.wrote(requests);
                return;
            }
            if tries_left == 0 || closing.is_asked() {
                break;
            }
            // Told to end, it tries once more, at once.
            let _ = first(sleep(wait), closing.asked()).await;
            wait *= 2;
        }
        self.counts.give_up(requests);
        tracing::warn!(requests, "the request log does not take these requests");
    }

    async fn batch(&mut self, ended: &mut Vec<Ended>) -> LogBatch {
        let mut batch = LogBatch::default();
        for one in ended.drain(..) {
            rows::add(&mut batch, self.ids.next(), &one, &self.prices);
            let bytes = one.bytes();
            self.counts.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            if bytes > 0 {
                // To read bodies takes a while, and others have work to do.
                yield_now().await;
            }
        }
        batch
    }

    /// Forgets some of the rows that are too old. When to go on.
    async fn purge(&self) -> Instant {
        let Some(retention) = self.retention else { return Instant::now() + PURGE_EVERY };
        let before = self.clock.now().saturating_sub(retention).as_millis();
        let before = u64::try_from(before).unwrap_or(u64::MAX);
        let purging = timeout(WRITE_TIMEOUT, self.store.purge(before, PURGE_STEP));
        match purging.await {
            Ok(Ok(forgotten)) if forgotten > 0 => Instant::now(),
            Ok(Ok(_)) => Instant::now() + PURGE_EVERY,
            Ok(Err(_)) | Err(_) => {
                tracing::warn!("the request log does not forget old rows");
                Instant::now() + PURGE_EVERY
            }
        }
    }
}

impl fmt::Debug for RequestLogWorker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestLogWorker").field("counts", &self.counts).finish_non_exhaustive()
    }
}

/// Whether the worker is told to end.
struct Closing(watch::Receiver<bool>);

impl Closing {
    fn is_asked(&self) -> bool {
        *self.0.borrow()
    }

    async fn asked(&mut self) {
        if self.0.wait_for(|asked| *asked).await.is_err() {
            // Nobody is left who could ask.
            std::future::pending::<()>().await;
        }
    }
}
