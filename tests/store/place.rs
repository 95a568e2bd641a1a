//! An empty database of its own for each test.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::migrate::Migrator;
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};
use tempfile::TempDir;
use tower_llm_gateway::store::SqlStore;
use tower_llm_gateway::store::sql::OpenError;

use crate::cluster::{Cluster, cluster};

pub(crate) enum Place {
    Sqlite { home: TempDir },
    Postgres { schema: String, cluster: Arc<Cluster> },
}

/// Two tests of each test: in SQLite and in PostgreSQL.
#[macro_export]
macro_rules! in_sql {
    ($($test:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $test() {
                super::$test($crate::place::Place::sqlite()).await;
            })+
        }
        mod postgres {
            $(#[tokio::test]
            async fn $test() {
                if let Some(place) = $crate::place::Place::postgres().await {
                    super::$test(place).await;
                }
            })+
        }
    };
}

impl Place {
    pub(crate) fn sqlite() -> Self {
        Self::Sqlite { home: tempfile::tempdir().unwrap() }
    }

    /// A schema of its own, so that nothing is asked for but the right to make one.
    pub(crate) async fn postgres() -> Option<Self> {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let cluster = tokio::task::spawn_blocking(cluster).await.unwrap()?;
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let schema = format!("test_{}_{number}", std::process::id());
        let mut connection = PgConnection::connect(&cluster.url).await.unwrap();
        let create = format!("CREATE SCHEMA {schema}");
        sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut connection).await.unwrap();
        Some(Self::Postgres { schema, cluster })
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::Sqlite { home } => {
                format!("sqlite:{}", home.path().join("made/for/it/log.db").display())
            }
            Self::Postgres { schema, cluster } => {
                let sign = if cluster.url.contains('?') { '&' } else { '?' };
                format!("{}{sign}options[search_path]={schema}", cluster.url)
            }
        }
    }

    /// The store, whose worker runs until it is dropped.
    pub(crate) async fn store(&self) -> SqlStore {
        let (store, worker) = SqlStore::open(&self.url()).await.unwrap();
        tokio::spawn(worker.run());
        store
    }

    pub(crate) async fn refusal(&self) -> OpenError {
        SqlStore::open(&self.url()).await.map(drop).unwrap_err()
    }

    /// Runs statements past the store.
    pub(crate) async fn run(&self, sql: &str) {
        let (url, sql) = (self.url(), AssertSqlSafe(sql.to_owned()));
        match self {
            Self::Sqlite { .. } => {
                let mut connection = SqliteConnection::connect(&url).await.unwrap();
                sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
                connection.close().await.unwrap();
            }
            Self::Postgres { .. } => {
                let mut connection = PgConnection::connect(&url).await.unwrap();
                sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
                connection.close().await.unwrap();
            }
        }
    }

    /// A database as an earlier version of the crate left it, made by the files themselves.
    pub(crate) async fn made_by(&self, version: i64) {
        let name = match self {
            Self::Sqlite { home } => {
                std::fs::create_dir_all(home.path().join("made/for/it")).unwrap();
                let file = home.path().join("made/for/it/log.db");
                std::fs::OpenOptions::new().create(true).append(true).open(file).unwrap();
                "sqlite"
            }
            Self::Postgres { .. } => "postgres",
        };
        let mut migrator = Migrator::new(migrations(name).as_path()).await.unwrap();
        migrator.dangerous_set_table_name("gateway_migrations");
        let url = self.url();
        match self {
            Self::Sqlite { .. } => {
                let mut connection = SqliteConnection::connect(&url).await.unwrap();
                migrator.run_to(version, &mut connection).await.unwrap();
                connection.close().await.unwrap();
            }
            Self::Postgres { .. } => {
                let mut connection = PgConnection::connect(&url).await.unwrap();
                migrator.run_to(version, &mut connection).await.unwrap();
                connection.close().await.unwrap();
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Self::Postgres { schema, cluster } = self else { return };
        let (url, drop) = (cluster.url.clone(), format!("DROP SCHEMA {schema} CASCADE"));
        // A database of the developer's is left as it was.
        let done = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let mut connection = PgConnection::connect(&url).await?;
                sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut connection).await
            })
        });
        let _ = done.join();
    }
}

pub(crate) fn migrations(name: &str) -> std::path::PathBuf {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("src/store/sql/migrations").join(name)
}

/// The last version: one file for each.
pub(crate) fn newest() -> i64 {
    std::fs::read_dir(migrations("sqlite")).unwrap().count() as i64
}
