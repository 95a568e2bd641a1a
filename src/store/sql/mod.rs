//! The request log and the states of keys in SQLite or PostgreSQL.
//!
//! One set of statements for both databases; what differs is the DDL of the versions, in
//! `migrations`.

mod database;
mod error;
mod keys;
mod log;
mod migrate;
#[cfg(feature = "postgres")]
mod parameters;
mod statement;
mod worker;

use std::fmt;
use std::sync::Arc;

pub use database::{CONNECTION_TIMEOUT, MAX_CONNECTIONS, STATEMENT_TIMEOUT};
pub use error::{Cause, OpenError};
pub use keys::MAX_UNSAVED_KEYS;
pub use worker::{FLUSH_TIMEOUT, SqlWorker};

use database::Database;
use keys::Keys;

/// A [`RequestLogStore`](super::RequestLogStore) and [`KeyStore`](super::KeyStore) in SQLite
/// (feature `sqlite`) or PostgreSQL (feature `postgres`). Its clones share their connections.
///
/// What it answers of keys it answers from memory, as it was when the database was opened and has
/// been saved since. What is saved waits for the [`SqlWorker`], at most [`MAX_UNSAVED_KEYS`] keys
/// of it, the newest state of each: nothing that a request does waits for the database.
///
/// Its tables begin with `gateway_`, so that it may share a database. Several processes may share
/// it; what one learns of a key, another one knows when it starts.
///
/// ```
/// # #[cfg(feature = "sqlite")]
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use tower_llm_gateway::store::{LogQuery, RequestLogStore, SqlStore};
///
/// let (store, worker) = SqlStore::open("sqlite::memory:").await?;
/// let worker = tokio::spawn(worker.run());
/// assert_eq!(store.requests(&LogQuery::default()).await?.total, 0);
/// // The worker ends with the last clone.
/// drop(store);
/// worker.await?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct SqlStore(Arc<Shared>);

struct Shared {
    database: Database,
    keys: Arc<Keys>,
}

impl SqlStore {
    /// Opens a database and brings its tables up to date, all at once or not at all; whoever else
    /// opens it at the same time waits.
    ///
    /// - `sqlite:path/to/file.db`, with its directories, made where they are not there, for their
    ///   owner alone. `sqlite::memory:` is gone with the store.
    /// - `postgres://user:password@host/database`, with `?` and parameters of libpq, of which sqlx
    ///   knows the most usual ones, as `sslmode` and `application_name`. Those that merely tune, as
    ///   `connect_timeout`, `keepalives`, `target_session_attrs` or `gssencmode=disable`, are ignored
    ///   with one warning in the log. Others are refused: one that is misspelt and ignored may be the
    ///   one that asks for TLS.
    ///
    /// The worker writes the states of keys: spawn it, or they are forgotten. The rows of the log do
    /// not need it. Needs a tokio runtime.
    ///
    /// # Errors
    /// When the URL is none or has a parameter that is refused, the database is not there, or a later
    /// version of this crate has changed it.
    pub async fn open(url: &str) -> Result<(Self, SqlWorker), OpenError> {
        let database = Database::open(url).await?;
        let keys = Arc::new(Keys::read(&database).await?);
        let worker = SqlWorker::new(database.clone(), Arc::clone(&keys));
        Ok((Self(Arc::new(Shared { database, keys })), worker))
    }

    /// How many keys have states that are not written yet.
    #[must_use]
    pub fn unsaved_keys(&self) -> usize {
        self.keys().unsaved()
    }

    /// How many states of keys were dropped, because [`MAX_UNSAVED_KEYS`] others waited.
    #[must_use]
    pub fn dropped_keys(&self) -> u64 {
        self.keys().dropped()
    }

    fn database(&self) -> &Database {
        &self.0.database
    }

    fn keys(&self) -> &Keys {
        &self.0.keys
    }
}

impl fmt::Debug for SqlStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlStore")
            .field("database", &self.database().name())
            .field("unsaved_keys", &self.unsaved_keys())
            .finish_non_exhaustive()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.keys.close();
    }
}
