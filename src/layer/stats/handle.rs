use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use http::HeaderMap;

use super::books::Books;
use super::counts::Counts;
use super::ended::Ended;
use super::errors::{ErrorReport, ErrorsQuery, errors};
use super::report::report;
use super::snapshot::{Snapshot, StatsQuery};
use crate::pricing::{Cost, PriceTable};
use crate::record::{Begun, Clock, Record, Sink};

/// The books of a [`StatsLayer`](super::StatsLayer), or of a
/// [`RecordLayer`](crate::record::RecordLayer) that tells it. Cloning it clones the handle.
#[derive(Clone)]
pub struct Stats {
    shared: Arc<Shared>,
}

/// What all handles of the same books share.
struct Shared {
    clock: Clock,
    started: Duration,
    prices: RwLock<PriceTable>,
    books: Mutex<Books>,
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
        let started = clock.now();
        let (prices, books) = (RwLock::default(), Mutex::default());
        Self { shared: Arc::new(Shared { clock, started, prices, books }) }
    }

    /// What tokens cost from now on. Default: the small table of
    /// [`PriceTable::default`](PriceTable).
    pub fn set_prices(&self, prices: PriceTable) {
        *self.shared.prices.write().unwrap_or_else(PoisonError::into_inner) = prices;
    }

    /// What was counted, with the default [`StatsQuery`]: the last hour where there is a window.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.report(&StatsQuery::default())
    }

    /// What was counted, as asked.
    #[must_use]
    pub fn report(&self, query: &StatsQuery) -> Snapshot {
        report(self, query)
    }

    /// The failed requests that are kept, as asked.
    #[must_use]
    pub fn errors(&self, query: &ErrorsQuery) -> ErrorReport {
        errors(self, query)
    }

    /// Reads the books while nobody writes: to be short, as requests wait for it.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&Books) -> T) -> T {
        self.write(|books| read(books))
    }

    /// Since the Unix epoch.
    pub(crate) fn now(&self) -> Duration {
        self.shared.clock.now()
    }

    /// When counting began, since the Unix epoch.
    pub(crate) fn started(&self) -> Duration {
        self.shared.started
    }

    fn write<T>(&self, write: impl FnOnce(&mut Books) -> T) -> T {
        // Sums of a thread that panicked are still sums.
        write(&mut self.shared.books.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn cost(&self, record: &Record) -> Option<Cost> {
        record.cost(&self.shared.prices.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Default for Stats {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stats").finish_non_exhaustive()
    }
}

impl Sink for Stats {
    type Open = ();

    fn begun(&self, begun: &Arc<Begun>, _: &mut HeaderMap) {
        self.write(|books| books.begin(begun.clone()));
    }

    fn ended(&self, (): (), record: &Arc<Record>) {
        // All that can be done before, so that the lock is short.
        let cost = self.cost(record);
        let (one, ended) = (Counts::of_request(record, cost), Ended::of(record, cost));
        self.write(|books| books.end(record, &one, ended));
    }
}
