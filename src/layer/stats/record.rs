//! What is remembered of one request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{Method, StatusCode};

use crate::context::Principal;
use crate::protocol::Route;
use crate::protocol::model::{FaultKind, Usage};

/// A request on its way.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) id: u64,
    pub(super) started: Duration,
    pub(super) method: Method,
    /// Without the query, which may hold a key, and cut.
    pub(super) path: String,
    pub(super) route: Option<Route>,
    pub(super) bytes_in: AtomicU64,
    pub(super) bytes_out: AtomicU64,
    /// When it last moved, in milliseconds since `started`.
    moved: AtomicU64,
}

impl Live {
    pub(super) fn new(
        id: u64,
        started: Duration,
        method: Method,
        path: String,
        route: Option<Route>,
    ) -> Self {
        Self {
            id,
            started,
            method,
            path,
            route,
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            moved: AtomicU64::new(0),
        }
    }

    pub(super) fn moved(&self, now: Duration) {
        let since = now.saturating_sub(self.started).as_millis();
        self.moved.store(u64::try_from(since).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// How long nothing has moved.
    pub(super) fn silent(&self, now: Duration) -> Duration {
        let moved = Duration::from_millis(self.moved.load(Ordering::Relaxed));
        now.saturating_sub(self.started).saturating_sub(moved)
    }
}

/// A request that has ended.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) live: Arc<Live>,
    pub(super) status: Option<StatusCode>,
    pub(super) fault: Option<FaultKind>,
    /// Why it counts as failed.
    pub(super) error: Option<String>,
    /// The client left before the end.
    pub(super) cancelled: bool,
    /// From the start to the headers of the answer.
    pub(super) headers: Option<Duration>,
    /// From the start to the first meaningful event of a stream.
    pub(super) first_event: Option<Duration>,
    /// From the start to the end.
    pub(super) total: Duration,
    pub(super) model: Option<Arc<str>>,
    pub(super) principal: Option<Principal>,
    pub(super) attempts: usize,
    pub(super) usage: Option<Usage<'static>>,
}

impl Record {
    pub(super) fn succeeded(&self) -> bool {
        self.error.is_none() && self.status.is_some_and(|status| status.as_u16() < 400)
    }

    pub(super) fn failed(&self) -> bool {
        self.error.is_some()
    }

    pub(super) fn bytes_out(&self) -> u64 {
        self.live.bytes_out.load(Ordering::Relaxed)
    }

    pub(super) fn bytes_in(&self) -> u64 {
        self.live.bytes_in.load(Ordering::Relaxed)
    }
}
