//! The two databases behind one face: a statement goes in, rows come out.

#[cfg(feature = "sqlite")]
use std::io;
#[cfg(feature = "sqlite")]
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

#[cfg(feature = "postgres")]
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgRow};
#[cfg(feature = "sqlite")]
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow,
    SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, ConnectOptions, Row};
#[cfg(feature = "sqlite")]
use tokio::task::spawn_blocking;
#[cfg(feature = "postgres")]
use tracing::subscriber::NoSubscriber;

use super::error::Cause;
#[cfg(feature = "postgres")]
use super::parameters;
use super::statement::{Statement, Value};
use super::{OpenError, migrate};
use crate::store::StoreError;
#[cfg(feature = "sqlite")]
use crate::store::private;

/// Most connections of one store.
pub const MAX_CONNECTIONS: u32 = 4;

/// How long a statement waits for a connection, and in SQLite for another writer.
pub const CONNECTION_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the statements of one call may take together.
pub const STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);

/// What holds a PostgreSQL database while it is brought up to date: any number that others do not
/// use for something else.
#[cfg(feature = "postgres")]
const MIGRATION_LOCK: i64 = 0x746c_6c6d_6777;

#[derive(Clone)]
pub(super) enum Database {
    #[cfg(feature = "sqlite")]
    Sqlite(SqlitePool),
    #[cfg(feature = "postgres")]
    Postgres(PgPool),
}

/// The same with whichever pool it is: the drivers share their shape, not a type.
macro_rules! with_pool {
    ($database:expr, $pool:ident => $act:expr) => {
        match $database {
            #[cfg(feature = "sqlite")]
            Database::Sqlite($pool) => $act,
            #[cfg(feature = "postgres")]
            Database::Postgres($pool) => $act,
        }
    };
}

/// A statement as its driver wants it.
macro_rules! query {
    ($statement:expr, $numbered:expr) => {{
        let statement: Statement<'_> = $statement;
        // Its text is made of literals alone: see `Statement`.
        let query = sqlx::query(AssertSqlSafe(statement.to_sql($numbered)));
        let query = query.persistent(!statement.varies);
        statement.values.into_iter().fold(query, |query, value| match value {
            Value::Int(value) => query.bind(value),
            Value::Text(value) => query.bind(value.map(|text| text.into_owned())),
            Value::Flag(value) => query.bind(value),
        })
    }};
}

impl Database {
    /// Connects and brings the tables up to date.
    pub(super) async fn open(url: &str) -> Result<Self, OpenError> {
        let database = match url.split_once(':').map(|(scheme, _)| scheme) {
            #[cfg(feature = "sqlite")]
            Some("sqlite") => Self::Sqlite(sqlite(url).await?),
            #[cfg(feature = "postgres")]
            Some("postgres" | "postgresql") => Self::Postgres(postgres(url).await?),
            _ => return Err(OpenError::Url),
        };
        if let Err(error) = database.migrate().await {
            // What was begun is undone when this returns, and nobody waits for it.
            database.close().await;
            return Err(error);
        }
        Ok(database)
    }

    async fn migrate(&self) -> Result<(), OpenError> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(pool) => {
                // Writers are kept out from the beginning: who only came to read cannot become one.
                let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
                migrate::run(migrate::SQLITE, &mut *transaction).await?;
                transaction.commit().await?;
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(pool) => {
                let mut transaction = pool.begin().await?;
                let lock = sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(MIGRATION_LOCK);
                lock.execute(&mut *transaction).await?;
                migrate::run(migrate::POSTGRES, &mut *transaction).await?;
                transaction.commit().await?;
            }
        }
        Ok(())
    }

    /// The rows that a statement answers with.
    pub(super) async fn fetch<T>(
        &self,
        statement: Statement<'_>,
        read: fn(&dyn Columns) -> sqlx::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        in_time(async {
            with_pool!(self, pool => {
                let rows = query!(statement, self.numbers()).fetch_all(pool).await?;
                rows.iter().map(|row| read(row)).collect()
            })
        })
        .await
    }

    /// Runs all statements or none. How many rows they changed.
    pub(super) async fn write(&self, statements: Vec<Statement<'_>>) -> Result<u64, StoreError> {
        in_time(async {
            with_pool!(self, pool => {
                let mut changed = 0;
                let mut transaction = pool.begin().await?;
                for statement in statements {
                    let done = query!(statement, self.numbers()).execute(&mut *transaction).await?;
                    changed += done.rows_affected();
                }
                transaction.commit().await?;
                Ok(changed)
            })
        })
        .await
    }

    /// Whether values are `$1`, `$2`, …, and not `?`.
    fn numbers(&self) -> bool {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => false,
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => true,
        }
    }

    /// Closes the connections, once they are back.
    pub(super) async fn close(&self) {
        with_pool!(self, pool => pool.close().await);
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => "sqlite",
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => "postgres",
        }
    }
}

async fn in_time<T>(work: impl Future<Output = sqlx::Result<T>>) -> Result<T, StoreError> {
    match tokio::time::timeout(STATEMENT_TIMEOUT, work).await {
        Ok(done) => done.map_err(|error| Cause::from(&error).log()),
        Err(_) => Err(Cause::timed_out().log()),
    }
}

#[cfg(feature = "sqlite")]
async fn sqlite(url: &str) -> Result<SqlitePool, OpenError> {
    let options = SqliteConnectOptions::from_str(url).map_err(|_| OpenError::Url)?;
    let in_memory = url.contains(":memory:") || url.contains("mode=memory");
    if !in_memory {
        make(options.get_filename().to_owned()).await?;
    }
    let options = options
        .create_if_missing(true)
        // First, as the other settings may have to wait for a writer too.
        .busy_timeout(CONNECTION_TIMEOUT)
        .journal_mode(SqliteJournalMode::Wal)
        // With a write-ahead log, a crash of the machine may lose the last rows and harms nothing.
        .synchronous(SqliteSynchronous::Normal)
        .foreign_keys(true)
        .disable_statement_logging();
    let pool = SqlitePoolOptions::new().acquire_timeout(CONNECTION_TIMEOUT);
    let pool = if in_memory {
        // It is gone with its last connection, and its connections do not wait for each other.
        pool.max_connections(1).min_connections(1).idle_timeout(None).max_lifetime(None)
    } else {
        pool.max_connections(MAX_CONNECTIONS)
    };
    Ok(pool.connect_with(options).await?)
}

/// Before SQLite would, which lets everybody read; the files beside it get the modes of this one.
#[cfg(feature = "sqlite")]
async fn make(file: PathBuf) -> Result<(), OpenError> {
    let make = move || {
        file.parent().map_or(Ok(()), private::make_dir)?;
        private::append(&file).map(drop)
    };
    let made = spawn_blocking(make).await.unwrap_or_else(|error| Err(io::Error::other(error)));
    made.map_err(|error| OpenError::File(error.kind()))
}

#[cfg(feature = "postgres")]
async fn postgres(url: &str) -> Result<PgPool, OpenError> {
    let ignored = parameters::ignored(url)?;
    if !ignored.is_empty() {
        tracing::warn!(parameters = ?ignored, "parameters of the database's URL are ignored");
    }
    // The driver would log them again, with their values: nobody listens.
    let parse = || PgConnectOptions::from_str(url);
    let options = tracing::subscriber::with_default(NoSubscriber::default(), parse);
    let options = options.map_err(|_| OpenError::Url)?;
    let pool =
        PgPoolOptions::new().acquire_timeout(CONNECTION_TIMEOUT).max_connections(MAX_CONNECTIONS);
    Ok(pool.connect_with(options.disable_statement_logging()).await?)
}

/// The columns of one row, by name.
pub(super) trait Columns {
    fn int(&self, column: &str) -> sqlx::Result<Option<i64>>;
    fn text(&self, column: &str) -> sqlx::Result<Option<String>>;
    fn flag(&self, column: &str) -> sqlx::Result<bool>;
}

impl dyn Columns + '_ {
    /// A number that may be absent; one that does not fit counts as absent.
    pub(super) fn number<T: TryFrom<i64>>(&self, column: &str) -> sqlx::Result<Option<T>> {
        Ok(self.int(column)?.and_then(|value| T::try_from(value).ok()))
    }

    /// A number that is always there.
    pub(super) fn count<T: TryFrom<i64> + Default>(&self, column: &str) -> sqlx::Result<T> {
        Ok(self.number(column)?.unwrap_or_default())
    }

    /// A text that is always there.
    pub(super) fn string(&self, column: &str) -> sqlx::Result<String> {
        Ok(self.text(column)?.unwrap_or_default())
    }
}

macro_rules! columns {
    ($row:ty) => {
        impl Columns for $row {
            fn int(&self, column: &str) -> sqlx::Result<Option<i64>> {
                self.try_get(column)
            }

            fn text(&self, column: &str) -> sqlx::Result<Option<String>> {
                self.try_get(column)
            }

            fn flag(&self, column: &str) -> sqlx::Result<bool> {
                self.try_get(column)
            }
        }
    };
}

#[cfg(feature = "sqlite")]
columns!(SqliteRow);
#[cfg(feature = "postgres")]
columns!(PgRow);
