use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::database::Database;
use super::keys::Keys;
use crate::store::first;

/// How long the worker writes on after it was told to end.
pub const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a failed write waits for its first repetition; the next ones wait twice as long each.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// The longest such wait.
const LONGEST_RETRY: Duration = Duration::from_secs(60);

/// Writes the states of keys that a [`SqlStore`](super::SqlStore) was told. For the host to spawn.
#[must_use = "without it no state of a key is written"]
pub struct SqlWorker {
    database: Database,
    keys: Arc<Keys>,
}

impl SqlWorker {
    pub(super) fn new(database: Database, keys: Arc<Keys>) -> Self {
        Self { database, keys }
    }

    /// Writes until all clones of the store are dropped and what they saved is written, or cannot
    /// be. Then it closes the connections.
    pub async fn run(self) {
        self.write_on().await;
        self.database.close().await;
    }

    /// As [`run`](Self::run), but ends also when `shutdown` does, and what is unsaved then is
    /// written, which takes at most [`FLUSH_TIMEOUT`].
    pub async fn run_until(self, shutdown: impl Future<Output = ()>) {
        let mut work = pin!(self.write_on());
        let ended = first(work.as_mut(), shutdown).await.is_ok();
        // A write that is on its way goes on, and is followed by the last one.
        self.keys.close();
        if !ended && timeout(FLUSH_TIMEOUT, work).await.is_err() {
            tracing::warn!(keys = self.keys.unsaved(), "states of keys are not written in time");
        }
    }

    async fn write_on(&self) {
        let mut wait = FIRST_RETRY;
        loop {
            // Asked before, so that what was saved last is written too.
            let closed = self.keys.is_closed();
            let written = self.keys.write(&self.database).await;
            match written {
                _ if closed => return,
                Ok(()) => {
                    wait = FIRST_RETRY;
                    self.keys.changed().await;
                }
                Err(_) => {
                    // At the end there is one more try, at once.
                    let _ = timeout(wait, self.keys.closed()).await;
                    wait = (wait * 2).min(LONGEST_RETRY);
                }
            }
        }
    }
}

impl fmt::Debug for SqlWorker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlWorker").finish_non_exhaustive()
    }
}
