use std::collections::{BTreeMap, HashSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{
    AttemptRow, LogBatch, LogQuery, MAX_PRINCIPALS, Page, PrincipalCalls, RequestLogStore,
    RequestRow,
};
use crate::store::StoreFuture;

/// Default for [`MemoryRequestLog::max_rows`].
pub const DEFAULT_MAX_ROWS: usize = 10_000;

/// A request log in memory, gone with the process. Its clones share what they keep.
///
/// ```
/// use std::sync::Arc;
/// use tower_llm_gateway::store::{
///     LogBatch, LogQuery, MemoryRequestLog, RequestLogStore, RequestRow,
/// };
///
/// # tokio_test::block_on(async {
/// let log = MemoryRequestLog::new();
/// let mut row = RequestRow::default();
/// row.model = Some("claude".to_owned());
/// log.append(Arc::new(LogBatch { requests: vec![row], attempts: Vec::new() })).await?;
/// let claude = LogQuery { model: Some("claude".to_owned()), ..LogQuery::default() };
/// assert_eq!(log.requests(&claude).await?.total, 1);
/// # Ok::<(), tower_llm_gateway::store::StoreError>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct MemoryRequestLog(Arc<Mutex<Rows>>);

struct Rows {
    max: usize,
    requests: Numbered<RequestRow>,
    attempts: Numbered<AttemptRow>,
}

/// Rows in the order in which they came.
struct Numbered<R> {
    rows: VecDeque<R>,
    /// Of the rows: what comes again is left out.
    names: HashSet<(String, u32)>,
    last_id: u64,
}

/// What rows of both kinds have.
trait Row: Clone {
    /// Under which it is there but once.
    fn name(&self) -> (String, u32);

    /// What is older is less.
    fn age(&self) -> (u64, u64);

    fn set_id(&mut self, id: u64);
}

impl Row for RequestRow {
    fn name(&self) -> (String, u32) {
        (self.uid.clone(), 0)
    }

    fn age(&self) -> (u64, u64) {
        (self.time, self.id)
    }

    fn set_id(&mut self, id: u64) {
        self.id = id;
    }
}

impl Row for AttemptRow {
    fn name(&self) -> (String, u32) {
        (self.uid.clone(), self.number)
    }

    fn age(&self) -> (u64, u64) {
        (self.time, self.id)
    }

    fn set_id(&mut self, id: u64) {
        self.id = id;
    }
}

impl MemoryRequestLog {
    /// An empty log of the default size.
    #[must_use]
    pub fn new() -> Self {
        Self::max_rows(DEFAULT_MAX_ROWS)
    }

    /// An empty log of at most so many requests and as many attempts: those that were written
    /// first go first. Default [`DEFAULT_MAX_ROWS`].
    #[must_use]
    pub fn max_rows(rows: usize) -> Self {
        let (requests, attempts) = (Numbered::default(), Numbered::default());
        Self(Arc::new(Mutex::new(Rows { max: rows, requests, attempts })))
    }

    fn lock(&self) -> MutexGuard<'_, Rows> {
        // Plain data, good to use after a panic elsewhere.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryRequestLog {
    fn default() -> Self {
        Self::new()
    }
}

impl RequestLogStore for MemoryRequestLog {
    fn append(&self, batch: Arc<LogBatch>) -> StoreFuture<()> {
        let mut rows = self.lock();
        let max = rows.max;
        rows.requests.append(&batch.requests, max);
        rows.attempts.append(&batch.attempts, max);
        ready(())
    }

    fn requests(&self, query: &LogQuery) -> StoreFuture<Page<RequestRow>> {
        let rows = self.lock();
        let of_attempts = query.asks_for_attempts().then(|| {
            let attempts = rows.attempts.rows.iter().filter(|row| query.is_of(row));
            attempts.map(|row| row.uid.as_str()).collect::<HashSet<_>>()
        });
        let chosen = rows.requests.rows.iter().filter(|row| {
            let tried = |ids: &HashSet<_>| ids.contains(row.uid.as_str());
            query.admits_request(row) && of_attempts.as_ref().is_none_or(tried)
        });
        ready(page(chosen.collect(), query))
    }

    fn attempts(&self, query: &LogQuery) -> StoreFuture<Page<AttemptRow>> {
        let rows = self.lock();
        let chosen = rows.attempts.rows.iter().filter(|row| query.admits_attempt(row));
        ready(page(chosen.collect(), query))
    }

    fn calls(&self, from: Option<u64>) -> StoreFuture<Vec<PrincipalCalls>> {
        let rows = self.lock();
        let mut calls: BTreeMap<&str, u64> = BTreeMap::new();
        let wanted = |row: &&RequestRow| from.is_none_or(|from| from <= row.time);
        for row in rows.requests.rows.iter().filter(wanted) {
            if let Some(principal) = &row.principal {
                *calls.entry(principal).or_default() += 1;
            }
        }
        let of = |(principal, calls): (&str, u64)| PrincipalCalls {
            principal: principal.to_owned(),
            calls,
        };
        let mut all: Vec<_> = calls.into_iter().map(of).collect();
        // Among equals, the names stay in their order.
        all.sort_by_key(|one| std::cmp::Reverse(one.calls));
        all.truncate(MAX_PRINCIPALS);
        ready(all)
    }

    fn purge(&self, before: u64, most: usize) -> StoreFuture<u64> {
        let mut rows = self.lock();
        let requests = rows.requests.forget(before, most);
        ready(requests + rows.attempts.forget(before, most))
    }
}

impl fmt::Debug for MemoryRequestLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.lock();
        f.debug_struct("MemoryRequestLog")
            .field("requests", &rows.requests.rows.len())
            .field("attempts", &rows.attempts.rows.len())
            .finish_non_exhaustive()
    }
}

impl<R: Row> Numbered<R> {
    fn append(&mut self, rows: &[R], max: usize) {
        for row in rows {
            if self.names.insert(row.name()) {
                self.last_id += 1;
                let mut row = row.clone();
                row.set_id(self.last_id);
                self.rows.push_back(row);
            }
        }
        for row in self.rows.drain(..self.rows.len().saturating_sub(max)) {
            self.names.remove(&row.name());
        }
    }

    fn forget(&mut self, before: u64, most: usize) -> u64 {
        let mut old: Vec<_> = self.rows.iter().map(R::age).filter(|age| age.0 < before).collect();
        old.sort_unstable();
        old.truncate(most);
        let Some(last) = old.last() else { return 0 };
        let names = &mut self.names;
        self.rows.retain(|row| row.age() > *last || !names.remove(&row.name()));
        old.len() as u64
    }
}

impl<R> Default for Numbered<R> {
    fn default() -> Self {
        Self { rows: VecDeque::new(), names: HashSet::new(), last_id: 0 }
    }
}

fn ready<T: Send + 'static>(value: T) -> StoreFuture<T> {
    Box::pin(std::future::ready(Ok(value)))
}

/// Rows are kept as they ended, and shown as they began: the newest by time, then by number.
fn page<R: Row>(mut chosen: Vec<&R>, query: &LogQuery) -> Page<R> {
    chosen.sort_by_key(|row| std::cmp::Reverse(row.age()));
    let total = chosen.len() as u64;
    let on_page = query.page();
    let rows = chosen.into_iter().skip(on_page.start).take(on_page.len()).cloned().collect();
    Page { rows, total }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_bounded() {
        let log = MemoryRequestLog::max_rows(3);
        let request = |n: u32| RequestRow { uid: n.to_string(), ..RequestRow::default() };
        let attempt = |number| AttemptRow { number, ..AttemptRow::default() };
        let (requests, attempts) = ((0..5).map(request).collect(), (0..2).map(attempt).collect());
        tokio_test::block_on(log.append(Arc::new(LogBatch { requests, attempts }))).unwrap();
        let names = |log: &MemoryRequestLog| log.lock().requests.names.len();
        assert_eq!(names(&log), 3);
        assert_eq!(format!("{log:?}"), "MemoryRequestLog { requests: 3, attempts: 2, .. }");
        let page = tokio_test::block_on(log.requests(&LogQuery::default())).unwrap();
        assert_eq!(page.rows.iter().map(|row| row.id).collect::<Vec<_>>(), [5, 4, 3]);
        tokio_test::block_on(log.purge(1, 2)).unwrap();
        assert_eq!(names(&log), 1);
    }
}
