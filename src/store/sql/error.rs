use std::borrow::Cow;
use std::{fmt, io};

use sqlx::error::DatabaseError;

use crate::store::StoreError;

/// Why a database is not opened. It names no host, no user and no path, and holds no password.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenError {
    /// The URL begins neither with `sqlite:` nor with `postgres:`, or with that of a feature that
    /// is not on, or cannot be read.
    Url,
    /// A parameter of the URL of this name is not known, or asks for what the driver does not do,
    /// and would be ignored. What may be a piece of a password that is not percent-encoded is not
    /// named: then it is [`Url`](Self::Url).
    Parameter(Box<str>),
    /// The file, or its directory, cannot be made or written to.
    File(io::ErrorKind),
    /// A later version of this crate has brought the database up to date. It is left as it is.
    Newer {
        /// The first version that is not known here.
        found: i64,
        /// The last one that is.
        known: i64,
    },
    /// This version of the database was made by other statements than those known here.
    Changed(i64),
    /// The database cannot be reached, or does not let itself be brought up to date.
    Database(Cause),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url => f.write_str("not the URL of a database that this build knows"),
            Self::Parameter(name) => {
                write!(f, "the parameter {name} of the database's URL cannot be heeded")
            }
            Self::File(kind) => write!(f, "the file cannot be made: {kind}"),
            Self::Newer { found, known } => {
                write!(f, "the database has version {found}, and {known} is the last one known")
            }
            Self::Changed(version) => {
                write!(f, "version {version} of the database was made by other statements")
            }
            Self::Database(cause) => write!(f, "the database does not serve: {cause}"),
        }
    }
}

impl std::error::Error for OpenError {}

/// What a database complains about, without its words: they may quote rows, hosts and users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    what: &'static str,
    code: Option<Box<str>>,
}

impl Cause {
    /// The database's own code: five characters of PostgreSQL, a number of SQLite.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    pub(super) fn timed_out() -> Self {
        Self { what: "no answer in time", code: None }
    }

    /// Tells whoever reads the logs; callers learn only that there is no answer.
    pub(super) fn log(&self) -> StoreError {
        tracing::warn!(cause = %self, "the database failed");
        StoreError
    }
}

impl From<&sqlx::Error> for Cause {
    fn from(error: &sqlx::Error) -> Self {
        let what = match error {
            sqlx::Error::Configuration(_) => "settings that cannot be read",
            sqlx::Error::Database(_) => "an error of its own",
            sqlx::Error::Io(_) => "the connection failed",
            sqlx::Error::Tls(_) => "TLS failed",
            sqlx::Error::PoolTimedOut => "no connection in time",
            sqlx::Error::PoolClosed => "it is closed",
            sqlx::Error::WorkerCrashed => "its thread is gone",
            sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::ColumnNotFound(_)
            | sqlx::Error::Decode(_) => "rows that cannot be read",
            _ => "it misbehaves",
        };
        let code = error.as_database_error().and_then(DatabaseError::code);
        Self { what, code: code.map(Cow::into_owned).map(Into::into) }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)?;
        self.code.iter().try_for_each(|code| write!(f, " (code {code})"))
    }
}

impl From<StoreError> for OpenError {
    fn from(_: StoreError) -> Self {
        Self::Database(Cause { what: "it cannot be read", code: None })
    }
}

impl From<sqlx::Error> for OpenError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(Cause::from(&error))
    }
}
