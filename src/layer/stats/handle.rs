use std::sync::Arc;

use http::HeaderMap;

use super::counters::Shared;
use super::errors::{ErrorReport, ErrorsQuery, errors};
use super::report::report;
use super::snapshot::{Snapshot, StatsQuery};
use crate::record::{Begun, Clock, Record, Sink};

/// The books of a [`StatsLayer`](super::StatsLayer), or of a
/// [`RecordLayer`](crate::record::RecordLayer) that tells it. Cloning it clones the handle.
#[derive(Debug, Clone)]
pub struct Stats {
    shared: Arc<Shared>,
}

impl Stats {
    /// Empty books, by the system's clock.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(Clock::system())
    }

    /// Empty books. The clock must be that of the layer.
    #[must_use]
    pub fn with_clock(clock: Clock) -> Self {
        Self { shared: Arc::new(Shared::new(clock)) }
    }

    /// What was counted, with the default [`StatsQuery`]: the last hour where there is a window.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.report(&StatsQuery::default())
    }

    /// What was counted, as asked.
    #[must_use]
    pub fn report(&self, query: &StatsQuery) -> Snapshot {
        report(&self.shared, query)
    }

    /// The failed requests that are kept, as asked.
    #[must_use]
    pub fn errors(&self, query: &ErrorsQuery) -> ErrorReport {
        errors(&self.shared, query)
    }
}

impl Default for Stats {
    fn default() -> Self {
        Self::new()
    }
}

impl Sink for Stats {
    type Open = ();

    fn begun(&self, begun: &Arc<Begun>, _: &mut HeaderMap) {
        self.shared.books().begin(begun.clone());
    }

    fn ended(&self, (): (), record: &Arc<Record>) {
        self.shared.books().end(record.clone());
    }
}
