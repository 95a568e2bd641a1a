use std::sync::Arc;

use super::counters::Shared;
use super::errors::{ErrorReport, ErrorsQuery, errors};
use super::report::report;
use super::snapshot::{Snapshot, StatsQuery};

/// Reads what a [`StatsLayer`](super::StatsLayer) counted. Cloning it clones the handle.
#[derive(Debug, Clone)]
pub struct Stats {
    shared: Arc<Shared>,
}

impl Stats {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
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
