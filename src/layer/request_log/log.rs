//! The hot side: what has ended goes into the queue, or is counted as dropped.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use http::HeaderMap;
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::time::Instant;

use super::RequestLogWorker;
use crate::record::{Begun, CapturedBody, Record, Sink};
use crate::store::RequestLogStore;

/// Most requests that wait for the worker, if nothing else is said.
pub const DEFAULT_CAPACITY: usize = 10_000;

/// Most bytes of bodies that wait for the worker: 64 MiB. A request whose bodies find no room is
/// dropped.
pub const MAX_QUEUED_BYTES: usize = 64 << 20;

/// Hands requests to the worker, and tells how the writing goes. Cloning it clones the handle.
///
/// All numbers are of requests; their attempts share their fate. At any moment those that have
/// ended are `written + failed + dropped + queued`.
#[derive(Clone)]
pub struct RequestLog {
    queue: mpsc::Sender<Ended>,
    counts: Arc<Counts>,
}

/// A request that has ended, on its way to the worker.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) record: Arc<Record>,
    /// When: attempts tell their beginning by the same clock.
    pub(super) at: Instant,
}

/// What the handles and the worker count together.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) queued: AtomicUsize,
    pub(super) queued_bytes: AtomicUsize,
    /// The worker, which sleeps while requests are collected, is to come before the queue is full.
    pub(super) crowded: Notify,
    written: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
}

impl Counts {
    /// Counts a request as queued, if its bodies find room in a queue of `capacity`.
    fn take(&self, bytes: usize, capacity: usize) -> bool {
        let waiting = self.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        let fits = bytes == 0 || waiting.saturating_add(bytes) <= MAX_QUEUED_BYTES;
        if fits {
            let queued = self.queued.fetch_add(1, Ordering::Relaxed) + 1;
            if queued >= capacity.div_ceil(2) || waiting + bytes > MAX_QUEUED_BYTES / 2 {
                self.crowded.notify_one();
            }
        } else {
            self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
        fits
    }

    pub(super) fn wrote(&self, requests: usize) {
        self.written.fetch_add(requests as u64, Ordering::Relaxed);
        self.queued.fetch_sub(requests, Ordering::Relaxed);
    }

    pub(super) fn give_up(&self, requests: usize) {
        self.failed.fetch_add(requests as u64, Ordering::Relaxed);
        self.queued.fetch_sub(requests, Ordering::Relaxed);
    }
}

impl RequestLog {
    /// The sink alone and its worker, for a [`RecordLayer`](crate::record::RecordLayer) that has
    /// others too. At most [`DEFAULT_CAPACITY`] requests wait.
    pub fn new(store: impl RequestLogStore) -> (Self, RequestLogWorker) {
        Self::with_capacity(store, DEFAULT_CAPACITY)
    }

    /// As [`new`](Self::new), with at most so many requests that wait; 0 counts as 1.
    pub fn with_capacity(store: impl RequestLogStore, capacity: usize) -> (Self, RequestLogWorker) {
        let (queue, ended) = mpsc::channel(capacity.clamp(1, Semaphore::MAX_PERMITS));
        let counts = Arc::new(Counts::default());
        let worker = RequestLogWorker::new(Arc::new(store), ended, Arc::clone(&counts));
        (Self { queue, counts }, worker)
    }

    /// Requests that are in the store.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.counts.written.load(Ordering::Relaxed)
    }

    /// Requests that the store did not take, however often it was asked.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.counts.failed.load(Ordering::Relaxed)
    }

    /// Requests that found the queue full, or the worker gone.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.counts.dropped.load(Ordering::Relaxed)
    }

    /// Requests that wait, or are being written.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.counts.queued.load(Ordering::Relaxed)
    }
}

impl Sink for RequestLog {
    type Open = ();

    fn begun(&self, _: &Arc<Begun>, _: &mut HeaderMap) {}

    /// One count up, one reference to the record: rows are made on the other side.
    fn ended(&self, (): (), record: &Arc<Record>) {
        let ended = Ended { record: Arc::clone(record), at: Instant::now() };
        let bytes = ended.bytes();
        // It has its place before it is counted: what finds none was never among the queued.
        match self.queue.try_reserve() {
            Ok(place) if self.counts.take(bytes, self.queue.max_capacity()) => place.send(ended),
            _ => {
                self.counts.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl Ended {
    /// What the record keeps of bodies.
    pub(super) fn bytes(&self) -> usize {
        let size = |body: &Option<CapturedBody>| body.as_ref().map_or(0, |body| body.bytes.len());
        size(&self.record.request_body) + size(&self.record.response_body)
    }
}

impl fmt::Debug for RequestLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestLog").field("counts", &self.counts).finish_non_exhaustive()
    }
}
