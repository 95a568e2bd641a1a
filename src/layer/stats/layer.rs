use std::time::Duration;

use tower_layer::Layer;

use super::{Stats, StatsService};
use crate::pricing::PriceTable;
use crate::record::{Clock, RecordLayer};

/// Counts requests, bytes, times and tokens. See the [module docs](super).
///
/// Clones count into the same books; two layers made by [`new`](Self::new) share nothing.
#[derive(Debug, Clone)]
pub struct StatsLayer {
    record: RecordLayer<Stats>,
}

impl StatsLayer {
    /// Counts from now on, by the system's clock.
    #[must_use]
    pub fn new() -> Self {
        Self::by(Clock::system())
    }

    /// As [`new`](Self::new) with another clock: the time since the Unix epoch, which must not go
    /// back. For tests.
    #[must_use]
    pub fn with_clock(now: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self::by(Clock::new(now))
    }

    fn by(clock: Clock) -> Self {
        Self { record: RecordLayer::with_clock(Stats::with_clock(clock.clone()), clock) }
    }

    /// Keeps the beginning of the bodies of error answers, up to
    /// [`MAX_ERROR_BODY`](crate::record::MAX_ERROR_BODY) each, for whoever reads the snapshot.
    /// Default false: an upstream may repeat in them what it was asked, and part of the key it was
    /// given.
    #[must_use]
    pub fn capture_error_bodies(mut self, yes: bool) -> Self {
        self.record = self.record.error_bodies(yes);
        self
    }

    /// What tokens cost. Default: the small table of [`PriceTable::default`](PriceTable).
    #[must_use]
    pub fn prices(self, prices: PriceTable) -> Self {
        self.record.sink().set_prices(prices);
        self
    }

    /// The handle that reads what was counted.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.record.sink().clone()
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
        self.record.layer(inner)
    }
}
