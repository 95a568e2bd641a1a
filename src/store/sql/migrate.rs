//! The versions of the tables.
//!
//! A version is a file, and is never changed once it was released: databases remember what they
//! were made by. They are counted as numbers, so that 10 comes after 9.

use sqlx::migrate::{Migrate, MigrateError, Migration, MigrationType, Migrator};
use sqlx::{Acquire, SqlStr};

use super::OpenError;

/// Where a database remembers its version: not sqlx' own place, which the host may use for itself
/// in the same database.
const TABLE: &str = "gateway_migrations";

/// A version, its name and its statements.
type Version = (i64, &'static str, &'static str);

macro_rules! versions {
    ($directory:literal) => {
        &[
            versions!($directory, 1, "0001_requests_and_attempts"),
            versions!($directory, 2, "0002_key_states"),
            versions!($directory, 3, "0003_indexes"),
        ]
    };
    ($directory:literal, $version:literal, $name:literal) => {
        ($version, $name, include_str!(concat!("migrations/", $directory, "/", $name, ".sql")))
    };
}

#[cfg(feature = "sqlite")]
pub(super) const SQLITE: &[Version] = versions!("sqlite");
#[cfg(feature = "postgres")]
pub(super) const POSTGRES: &[Version] = versions!("postgres");

/// Brings a database up to date. `connection` is in a transaction that keeps others out: all that
/// is missing is done, or nothing.
pub(super) async fn run<'a, A>(versions: &[Version], connection: A) -> Result<(), OpenError>
where
    A: Acquire<'a>,
    <A::Connection as std::ops::Deref>::Target: Migrate,
{
    let known = versions.iter().map(|(version, ..)| *version).max().unwrap_or_default();
    migrator(versions).run(connection).await.map_err(|error| match error {
        MigrateError::VersionMissing(found) if found > known => OpenError::Newer { found, known },
        MigrateError::VersionMissing(version) | MigrateError::VersionMismatch(version) => {
            OpenError::Changed(version)
        }
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error.into(),
        _ => sqlx::Error::BeginFailed.into(),
    })
}

fn migrator(versions: &[Version]) -> Migrator {
    let migration = |&(version, name, sql): &Version| {
        let name = name.trim_start_matches(|c: char| c.is_ascii_digit() || c == '_');
        let sql = SqlStr::from_static(sql);
        Migration::new(version, name.into(), MigrationType::Simple, sql, false)
    };
    let mut migrator = Migrator::with_migrations(versions.iter().map(migration).collect());
    // The transaction around it does.
    migrator.set_locking(false);
    migrator.dangerous_set_table_name(TABLE);
    migrator
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_numbers() {
        let versions: [Version; 3] = [(10, "0010_c", "C"), (2, "0002_a", "A"), (9, "0009_b", "B")];
        let order: Vec<_> = migrator(&versions).iter().map(|m| m.version).collect();
        assert_eq!(order, [2, 9, 10]);
    }

    #[cfg(all(feature = "sqlite", feature = "postgres"))]
    #[test]
    fn both_databases_have_the_same_versions() {
        let of = |versions: &[Version]| versions.iter().map(|v| (v.0, v.1)).collect::<Vec<_>>();
        assert_eq!(of(SQLITE), of(POSTGRES));
        let numbers: Vec<_> = SQLITE.iter().map(|v| v.0).collect();
        assert_eq!(numbers, (1..=SQLITE.len() as i64).collect::<Vec<_>>());
    }
}
