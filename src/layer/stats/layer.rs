use std::sync::Arc;
use std::time::Duration;

use tower_layer::Layer;

use super::Stats;
use super::clock::Clock;
use super::counters::Shared;
use super::service::StatsService;

/// Counts requests, bytes, times and tokens. See the [module docs](super).
///
/// Clones count into the same books; two layers made by [`new`](Self::new) share nothing.
#[derive(Debug, Clone)]
pub struct StatsLayer {
    shared: Arc<Shared>,
    capture: bool,
}

impl StatsLayer {
    /// Counts from now on, by the system's clock.
    #[must_use]
    pub fn new() -> Self {
        Self { shared: Arc::new(Shared::new(Clock::system())), capture: false }
    }

    /// As [`new`](Self::new) with another clock: the time since the Unix epoch, which must not go
    /// back. For tests.
    #[must_use]
    pub fn with_clock(now: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self { shared: Arc::new(Shared::new(Clock::new(now))), capture: false }
    }

    /// Keeps the beginning of the bodies of error answers, up to
    /// [`MAX_ERROR_BODY`](super::MAX_ERROR_BODY) each, for whoever reads the snapshot. Default
    /// false: an upstream may repeat in them what it was asked, and part of the key it was given.
    #[must_use]
    pub fn capture_error_bodies(mut self, yes: bool) -> Self {
        self.capture = yes;
        self
    }

    /// The handle that reads what was counted.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats::new(self.shared.clone())
    }
}

impl Default for StatsLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for StatsLayer {
    type Service = StatsService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        StatsService::new(inner, self.shared.clone(), self.capture)
    }
}
