use tower_layer::Layer;

use super::{LiveLog, LiveLogService};
use crate::record::{Clock, RecordLayer};

/// Tells a [`LiveLog`] of every request. See the [module docs](super).
///
/// Clones write into the same log; two layers made by [`new`](Self::new) share nothing.
#[derive(Debug, Clone)]
pub struct LiveLogLayer {
    record: RecordLayer<LiveLog>,
}

impl LiveLogLayer {
    /// Begins an empty log, by the system's clock.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(Clock::system())
    }

    /// As [`new`](Self::new) with another clock. For tests.
    #[must_use]
    pub fn with_clock(clock: Clock) -> Self {
        Self { record: RecordLayer::with_clock(LiveLog::with_clock(clock.clone()), clock) }
    }

    /// Shows the beginning of the bodies of error answers, up to
    /// [`MAX_ERROR_BODY`](crate::record::MAX_ERROR_BODY) each, without what looks like a secret.
    /// Default false: an upstream may repeat in them what it was asked.
    #[must_use]
    pub fn error_bodies(mut self, yes: bool) -> Self {
        self.record = self.record.error_bodies(yes);
        self
    }

    /// The handle that reads what was written.
    #[must_use]
    pub fn log(&self) -> LiveLog {
        self.record.sink().clone()
    }
}

impl Default for LiveLogLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for LiveLogLayer {
    type Service = LiveLogService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        self.record.layer(inner)
    }
}
