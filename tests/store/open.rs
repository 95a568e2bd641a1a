//! How a database is opened: its versions, who comes at the same time, what goes wrong.

use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use tower_llm_gateway::store::sql::OpenError;
use tower_llm_gateway::store::{
    AttemptRow, KeyState, KeyStore, LogBatch, LogQuery, RequestLogStore, RequestRow, SqlStore,
};
use tracing::Level;

use crate::in_sql;
use crate::listen::{Log, listen};
use crate::place::{Place, newest};

in_sql!(
    opens_twice,
    comes_from_every_version,
    refuses_a_newer_one,
    refuses_a_changed_one,
    a_failed_version_leaves_nothing,
    many_open_at_once,
    a_lost_table_is_an_error,
);

/// A request whose uid is a number.
fn one(uid: u64) -> LogBatch {
    let mut row = RequestRow::default();
    row.uid = uid.to_string();
    LogBatch { requests: vec![row], ..LogBatch::default() }
}

async fn opens_twice(place: Place) {
    for n in 1..=3 {
        let store = place.store().await;
        store.append(Arc::new(one(n))).await.unwrap();
        assert_eq!(store.requests(&LogQuery::default()).await.unwrap().total, n);
    }
}

/// The rows of every version survive all that follow, and the database is as good as a new one.
async fn comes_from_every_version(place: Place) {
    for version in 1..=newest() {
        place.made_by(version).await;
        if version == 1 {
            place
                .run(
                    "INSERT INTO gateway_requests (uid, request_id, time, method, path, success, ending, \
                     attempts, total_ms, bytes_in, bytes_out) \
                     VALUES ('u-1', 'r-1', 7, 'POST', '/v1/messages', TRUE, 'whole', 1, 5, 10, 20); \
                     INSERT INTO gateway_attempts (uid, request_id, number, time, key_id, success) \
                     VALUES ('u-1', 'r-1', 1, 7, 'key_sha256_00000000', TRUE)",
                )
                .await;
        }
        if version == 2 {
            place
                .run(
                    "INSERT INTO gateway_key_states VALUES \
                     ('main', 'key_sha256_00000000', 3, 60000, TRUE, 4, 1, 300000, 0, 0)",
                )
                .await;
        }
    }
    let store = place.store().await;
    let by_key = LogQuery { key_id: Some("key_sha256_00000000".into()), ..LogQuery::default() };
    let requests = store.requests(&by_key).await.unwrap();
    assert_eq!((requests.total, &*requests.rows[0].path), (1, "/v1/messages"));
    assert_eq!(store.attempts(&by_key).await.unwrap().rows[0].number, 1);
    let state = KeyState {
        revision: 3,
        cooling_until: Some(UNIX_EPOCH + Duration::from_secs(60)),
        own_fault: true,
        failures: 4,
        cooldowns: 1,
        cooldown: Duration::from_secs(300),
        demotion: 0,
    };
    assert_eq!(store.load("main", "key_sha256_00000000"), Some(state));
}

/// Each version by itself, straight to the newest.
#[tokio::test]
async fn each_version_alone_is_brought_up_to_date() {
    for version in 1..=newest() {
        let mut places = vec![Place::sqlite()];
        places.extend(Place::postgres().await);
        for place in places {
            place.made_by(version).await;
            place
                .run(
                    "INSERT INTO gateway_attempts (uid, request_id, number, time, success) \
                     VALUES ('u-0', 'old', 1, 7, FALSE)",
                )
                .await;
            let store = place.store().await;
            let attempts = vec![AttemptRow::default()];
            store.append(Arc::new(LogBatch { requests: vec![], attempts })).await.unwrap();
            assert_eq!(store.attempts(&LogQuery::default()).await.unwrap().total, 2);
        }
    }
}

async fn refuses_a_newer_one(place: Place) {
    drop(place.store().await);
    let (found, known) = (newest() + 7, newest());
    place
        .run(&format!(
            "INSERT INTO gateway_migrations (version, description, success, checksum, execution_time) \
             SELECT {found}, 'of tomorrow', TRUE, checksum, 0 FROM gateway_migrations WHERE version = 1"
        ))
        .await;
    let refused = place.refusal().await;
    assert_eq!(refused, OpenError::Newer { found, known });
    assert_eq!(refused.to_string(), "the database has version 10, and 3 is the last one known");
    // It is not locked, and nothing was changed.
    assert_eq!(place.refusal().await, refused);
}

async fn refuses_a_changed_one(place: Place) {
    drop(place.store().await);
    place
        .run(
            "UPDATE gateway_migrations SET checksum = \
             (SELECT checksum FROM gateway_migrations WHERE version = 1) WHERE version = 2",
        )
        .await;
    assert_eq!(place.refusal().await, OpenError::Changed(2));
}

/// A host has a table of a name that version 2 wants: versions 1 and 2 are both not there.
async fn a_failed_version_leaves_nothing(place: Place) {
    if let Place::Sqlite { .. } = place {
        place.made_by(0).await;
    }
    place.run("CREATE TABLE gateway_key_states (mine INTEGER)").await;
    let refused = place.refusal().await;
    let OpenError::Database(cause) = &refused else { panic!("{refused:?}") };
    assert!(cause.code().is_some());
    place.run("CREATE TABLE gateway_requests (mine INTEGER); DROP TABLE gateway_requests").await;
    place.run("DROP TABLE gateway_key_states").await;
    place.store().await;
}

async fn many_open_at_once(place: Place) {
    let url: Arc<str> = place.url().into();
    let opened: Vec<_> = (0..8)
        .map(|n| {
            let url = Arc::clone(&url);
            // Threads of their own, as processes have.
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.unwrap().block_on(async {
                    let (store, _) = SqlStore::open(&url).await?;
                    Ok::<_, OpenError>(store.append(Arc::new(one(n))).await.is_ok())
                })
            })
        })
        .collect();
    let opened: Vec<_> = opened.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert_eq!(opened, vec![Ok(true); 8]);
    assert_eq!(place.store().await.requests(&LogQuery::default()).await.unwrap().total, 8);
}

async fn a_lost_table_is_an_error(place: Place) {
    let store = place.store().await;
    place.run("DROP TABLE gateway_attempts").await;
    let batch =
        LogBatch { requests: vec![RequestRow::default()], attempts: vec![AttemptRow::default()] };
    let error = store.append(Arc::new(batch)).await.unwrap_err();
    assert_eq!(error.to_string(), "the store is not available");
    // All of a batch or nothing.
    assert_eq!(store.requests(&LogQuery::default()).await.unwrap().total, 0);
}

#[tokio::test]
async fn what_is_no_database_is_refused() {
    for url in ["", "sqlite", "mysql://host/db", "http://host", "sqlite:a?mode=odd"] {
        assert_eq!(SqlStore::open(url).await.map(drop).unwrap_err(), OpenError::Url, "{url}");
    }
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file");
    std::fs::write(&file, "this is text and no database at all, long enough to have a head")
        .unwrap();
    let text = SqlStore::open(&format!("sqlite:{}", file.display())).await.map(drop);
    assert!(matches!(text, Err(OpenError::Database(_))), "{text:?}");
    let below = SqlStore::open(&format!("sqlite:{}/below/log.db", file.display())).await.map(drop);
    assert!(matches!(below, Err(OpenError::File(_))), "{below:?}");
}

/// Bodies may be in it: nobody else reads them, also not in the files that SQLite puts beside it.
#[cfg(unix)]
#[tokio::test]
async fn the_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::sqlite();
    let store = place.store().await;
    store.append(Arc::new(one(1))).await.unwrap();
    let url = place.url();
    let file = std::path::Path::new(url.strip_prefix("sqlite:").unwrap());
    let directory = file.parent().unwrap();
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(directory), 0o700);
    let files = std::fs::read_dir(directory).unwrap().map(|file| file.unwrap().path());
    let modes: Vec<_> = files.map(|file| (mode(&file), file)).collect();
    assert!(modes.len() == 3 && modes.iter().all(|(mode, _)| *mode == 0o600), "{modes:?}");
}

/// Also not those in parameters, whether the driver knows them or not, and not where a URL is cut
/// wrongly, as its password is not encoded.
#[tokio::test]
async fn errors_and_logs_tell_no_password() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_max_level(Level::TRACE);
    let _listening = listen(subscriber.with_writer(log.clone()).finish());
    tracing::trace!("the log is heard");
    let (unknown, unreadable) = (OpenError::Parameter("sslpassword".into()), OpenError::Url);
    for (url, expected) in [
        (
            "postgres://me:hunter2@127.0.0.1:1/secret-db?options=hunter2&connect_timeout=hunter2&password=hunter2",
            None,
        ),
        ("postgres://me:hunter2@127.0.0.1:1/secret-db?sslpassword=hunter2", Some(&unknown)),
        ("postgres://me:hunter2@127.0.0.1:1/secret-db?sslmode=hunter2", Some(&unreadable)),
        ("postgres://me:hunter2@[::bad/db", Some(&unreadable)),
        ("postgres://me:1?hunter2=1@127.0.0.1:1/secret-db", Some(&unreadable)),
    ] {
        let began = Instant::now();
        let refused = SqlStore::open(url).await.map(drop).unwrap_err();
        assert!(began.elapsed() < Duration::from_secs(30));
        match expected {
            Some(expected) => assert_eq!(refused, *expected, "{url}"),
            None => assert!(matches!(refused, OpenError::Database(_)), "{url}: {refused:?}"),
        }
        for told in [format!("{refused:?}"), refused.to_string(), log.text()] {
            for secret in ["hunter2", "secret-db", "127.0.0.1", "me:"] {
                assert!(!told.contains(secret), "{told}");
            }
        }
    }
    assert!(log.text().contains("the log is heard"));
    assert_eq!(log.text().matches("connect_timeout").count(), 1, "{}", log.text());
}

#[tokio::test]
async fn a_database_in_memory_is_one() {
    let (store, worker) = SqlStore::open("sqlite::memory:").await.unwrap();
    let (other, _worker) = SqlStore::open("sqlite::memory:").await.unwrap();
    let worker = tokio::spawn(worker.run());
    let writers = (0..8).map(|n| tokio::spawn(store.append(Arc::new(one(n)))));
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap().unwrap();
    }
    assert_eq!(store.requests(&LogQuery::default()).await.unwrap().total, 8);
    assert_eq!(other.requests(&LogQuery::default()).await.unwrap().total, 0);
    drop(store);
    worker.await.unwrap();
}
