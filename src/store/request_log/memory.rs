use std::collections::{HashMap, HashSet, VecDeque};
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
    last_id: u64,
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
        rows.requests.append(&batch.requests, max, |row, id| RequestRow { id, ..row });
        rows.attempts.append(&batch.attempts, max, |row, id| AttemptRow { id, ..row });
        ready(())
    }

    fn requests(&self, query: &LogQuery) -> StoreFuture<Page<RequestRow>> {
        let rows = self.lock();
        let of_attempts = query.asks_for_attempts().then(|| {
            let attempts = rows.attempts.rows.iter().filter(|row| query.is_of(row));
            attempts.map(|row| row.request_id.as_str()).collect::<HashSet<_>>()
        });
        let chosen = rows.requests.rows.iter().filter(|row| {
            let tried = |ids: &HashSet<_>| ids.contains(row.request_id.as_str());
            query.admits_request(row) && of_attempts.as_ref().is_none_or(tried)
        });
        ready(page(chosen.collect(), query, |row| (row.time, row.id)))
    }

    fn attempts(&self, query: &LogQuery) -> StoreFuture<Page<AttemptRow>> {
        let rows = self.lock();
        let chosen = rows.attempts.rows.iter().filter(|row| query.admits_attempt(row));
        ready(page(chosen.collect(), query, |row| (row.time, row.id)))
    }

    fn calls(&self, from: Option<u64>) -> StoreFuture<Vec<PrincipalCalls>> {
        let rows = self.lock();
        let mut ids: HashMap<&str, HashSet<&str>> = HashMap::new();
        for row in rows.requests.rows.iter().filter(|row| from.is_none_or(|from| from <= row.time))
        {
            if let Some(principal) = &row.principal {
                ids.entry(principal).or_default().insert(&row.request_id);
            }
        }
        let calls = |(principal, ids): (&str, HashSet<_>)| PrincipalCalls {
            principal: principal.to_owned(),
            calls: ids.len() as u64,
        };
        let mut all: Vec<_> = ids.into_iter().map(calls).collect();
        all.sort_by(|a, b| b.calls.cmp(&a.calls).then_with(|| a.principal.cmp(&b.principal)));
        all.truncate(MAX_PRINCIPALS);
        ready(all)
    }

    fn purge(&self, before: u64, most: usize) -> StoreFuture<u64> {
        let mut rows = self.lock();
        let requests = forget(&mut rows.requests.rows, before, most, |row| (row.time, row.id));
        let attempts = forget(&mut rows.attempts.rows, before, most, |row| (row.time, row.id));
        ready(requests + attempts)
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

impl<R: Clone> Numbered<R> {
    fn append(&mut self, rows: &[R], max: usize, number: impl Fn(R, u64) -> R) {
        for row in rows {
            self.last_id += 1;
            self.rows.push_back(number(row.clone(), self.last_id));
        }
        self.rows.drain(..self.rows.len().saturating_sub(max));
    }
}

impl<R> Default for Numbered<R> {
    fn default() -> Self {
        Self { rows: VecDeque::new(), last_id: 0 }
    }
}

fn ready<T: Send + 'static>(value: T) -> StoreFuture<T> {
    Box::pin(std::future::ready(Ok(value)))
}

/// Rows are kept as they ended, and shown as they began: the newest by time, then by number.
fn page<R: Clone>(
    mut chosen: Vec<&R>,
    query: &LogQuery,
    age: impl Fn(&R) -> (u64, u64),
) -> Page<R> {
    chosen.sort_by_key(|row| std::cmp::Reverse(age(row)));
    let total = chosen.len() as u64;
    let on_page = query.page();
    let rows = chosen.into_iter().skip(on_page.start).take(on_page.len()).cloned().collect();
    Page { rows, total }
}

fn forget<R>(
    rows: &mut VecDeque<R>,
    before: u64,
    most: usize,
    age: impl Fn(&R) -> (u64, u64),
) -> u64 {
    let mut old: Vec<_> = rows.iter().map(&age).filter(|(time, _)| *time < before).collect();
    old.sort_unstable();
    old.truncate(most);
    let Some(last) = old.last() else { return 0 };
    rows.retain(|row| age(row) > *last);
    old.len() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_bounded() {
        let log = MemoryRequestLog::max_rows(3);
        let batch = LogBatch {
            requests: vec![RequestRow::default(); 5],
            attempts: vec![AttemptRow::default(); 2],
        };
        tokio_test::block_on(log.append(Arc::new(batch))).unwrap();
        assert_eq!(format!("{log:?}"), "MemoryRequestLog { requests: 3, attempts: 2, .. }");
        let page = tokio_test::block_on(log.requests(&LogQuery::default())).unwrap();
        assert_eq!(page.rows.iter().map(|row| row.id).collect::<Vec<_>>(), [5, 4, 3]);
    }
}
