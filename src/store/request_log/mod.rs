//! What is written down of each request and each attempt, and how it is asked for.

mod memory;
mod query;
mod rows;

use std::sync::Arc;

pub use memory::{DEFAULT_MAX_ROWS, MemoryRequestLog};
pub use query::{DEFAULT_PAGE, LogQuery, MAX_PAGE, Page, PrincipalCalls};
pub use rows::{AttemptRow, BodyText, LogBatch, RequestRow};

use super::StoreFuture;

/// Most principals that [`RequestLogStore::calls`] answers with.
pub const MAX_PRINCIPALS: usize = 1000;

/// Keeps one row for each request and one for each attempt.
///
/// Its writer is the worker of [`RequestLogLayer`](crate::RequestLogLayer), which waits for one
/// batch before it comes with the next; readers are whoever shows the log. A future that is dropped
/// leaves all of its batch behind or nothing.
pub trait RequestLogStore: Send + Sync + 'static {
    /// Keeps the rows of a batch, all or none, and numbers them. A batch that fails may come again,
    /// also where it had arrived and only the answer was lost: a request whose
    /// [`uid`](RequestRow::uid) is there already, and an attempt whose uid and number are, is left
    /// out.
    fn append(&self, batch: Arc<LogBatch>) -> StoreFuture<()>;

    /// Requests, the newest first. [`LogQuery::model`] is the one that was asked for;
    /// [`LogQuery::key_id`] and [`LogQuery::channel`] hold for a request one of whose attempts, found
    /// by its [`uid`](AttemptRow::uid), had both.
    fn requests(&self, query: &LogQuery) -> StoreFuture<Page<RequestRow>>;

    /// Attempts, the newest first. [`LogQuery::model`] is the one that the upstream was asked for.
    fn attempts(&self, query: &LogQuery) -> StoreFuture<Page<AttemptRow>>;

    /// How many requests each principal made since `from` (unix ms); those who made most first,
    /// at most [`MAX_PRINCIPALS`]. Requests of nobody are not counted.
    fn calls(&self, from: Option<u64>) -> StoreFuture<Vec<PrincipalCalls>>;

    /// Forgets rows from before `before` (unix ms), the oldest first: at most `most` requests and as
    /// many attempts, so that no single call holds up the writer. How many were forgotten: 0 says
    /// that there is nothing left to forget.
    fn purge(&self, before: u64, most: usize) -> StoreFuture<u64>;
}
