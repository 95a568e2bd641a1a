//! The states of keys outlive the process.

use std::time::{Duration, UNIX_EPOCH};

use tower_llm_gateway::layer::key_pool::{KeyPool, KeyStatus, Settings};
use tower_llm_gateway::protocol::model::{Fault, FaultKind, FaultOrigin};
use tower_llm_gateway::store::sql::MAX_UNSAVED_KEYS;
use tower_llm_gateway::store::{KeyState, KeyStore, MemoryKeys, SqlStore};

use crate::in_sql;
use crate::place::Place;

in_sql!(
    sql_behaves_as_memory,
    what_was_saved_is_loaded,
    the_newest_revision_stays,
    a_key_that_was_removed_begins_anew,
    cooldowns_outlive_the_process,
    a_shutdown_writes_what_waits,
);

fn state(revision: u64) -> KeyState {
    KeyState {
        revision,
        cooling_until: Some(UNIX_EPOCH + Duration::from_millis(1_700_000_000_123)),
        own_fault: true,
        failures: 3,
        cooldowns: 2,
        cooldown: Duration::from_millis(600_001),
        demotion: revision,
    }
}

/// What every store of keys does, told by the trait.
fn behaves(keys: &dyn KeyStore) {
    assert_eq!(keys.load("a", "1"), None);
    keys.save("a", "1", &state(2));
    keys.save("a", "1", &state(1));
    keys.save("b", "1", &KeyState::default());
    assert_eq!(keys.load("a", "1"), Some(state(2)));
    assert_eq!(keys.load("b", "1"), Some(KeyState::default()));
    keys.remove("a", "1");
    assert_eq!(keys.load("a", "1"), None);
    keys.save("a", "1", &state(1));
    assert_eq!(keys.load("a", "1"), Some(state(1)));
}

#[test]
fn memory() {
    behaves(&MemoryKeys::new());
}

async fn sql_behaves_as_memory(place: Place) {
    behaves(&place.store().await);
}

/// The store of a process that ends well.
async fn closed(store: SqlStore, worker: tokio::task::JoinHandle<()>) {
    drop(store);
    worker.await.unwrap();
}

async fn opened(place: &Place) -> (SqlStore, tokio::task::JoinHandle<()>) {
    let (store, worker) = SqlStore::open(&place.url()).await.unwrap();
    (store, tokio::spawn(worker.run()))
}

async fn what_was_saved_is_loaded(place: Place) {
    let (store, worker) = opened(&place).await;
    // More than one write takes, from a pool whose name is no SQL.
    let pool = "main'; DROP TABLE gateway_key_states; --";
    (0..250).for_each(|n| store.save(pool, &format!("key-{n}"), &state(n)));
    closed(store, worker).await;
    let (store, worker) = opened(&place).await;
    assert_eq!(store.unsaved_keys(), 0);
    assert!((0..250).all(|n| store.load(pool, &format!("key-{n}")) == Some(state(n))));
    assert_eq!(store.load("main", "key-0"), None);
    closed(store, worker).await;
}

async fn the_newest_revision_stays(place: Place) {
    let (ours, our_worker) = opened(&place).await;
    let (theirs, their_worker) = opened(&place).await;
    ours.save("p", "k", &state(5));
    ours.save("p", "k", &state(4));
    closed(ours, our_worker).await;
    theirs.save("p", "k", &state(3));
    closed(theirs, their_worker).await;
    assert_eq!(place.store().await.load("p", "k"), Some(state(5)));
}

async fn a_key_that_was_removed_begins_anew(place: Place) {
    let (store, worker) = opened(&place).await;
    store.save("p", "k", &state(9));
    store.save("p", "gone", &state(9));
    closed(store, worker).await;
    let (store, worker) = opened(&place).await;
    store.remove("p", "k");
    store.remove("p", "gone");
    store.save("p", "k", &state(1));
    closed(store, worker).await;
    let store = place.store().await;
    assert_eq!(store.load("p", "k"), Some(state(1)));
    assert_eq!(store.load("p", "gone"), None);
}

/// Nothing is leased at the start, and who cooled down still does.
async fn cooldowns_outlive_the_process(place: Place) {
    let keys = ["sk-1111-2222-3333", "sk-4444-5555-6666"];
    let (store, worker) = opened(&place).await;
    let pool = KeyPool::with(Settings::new("main").store(store.clone()), keys).unwrap();
    let lease = pool.try_lease().unwrap();
    let status = http::StatusCode::TOO_MANY_REQUESTS;
    let fault = Fault::new(FaultKind::RateLimit, status, FaultOrigin::Upstream);
    lease.fail(&fault);
    let kept = pool.try_lease().unwrap();
    let statuses = |pool: &KeyPool| pool.snapshot().iter().map(|k| k.status).collect::<Vec<_>>();
    assert_eq!(statuses(&pool), [KeyStatus::CoolingDown, KeyStatus::InUse]);
    std::mem::forget(kept);
    drop(pool);
    // As a process ends that is killed with a request on its way: only what is written remains.
    while store.unsaved_keys() > 0 {
        tokio::task::yield_now().await;
    }
    worker.abort();
    let pool = KeyPool::with(Settings::new("main").store(place.store().await), keys).unwrap();
    assert_eq!(statuses(&pool), [KeyStatus::CoolingDown, KeyStatus::Active]);
    let mut all = vec![pool.try_lease().unwrap(), pool.try_lease().unwrap()];
    assert!(all.drain(..).all(|lease| lease.key().bearer() == "Bearer sk-4444-5555-6666"));
}

async fn a_shutdown_writes_what_waits(place: Place) {
    let (store, worker) = SqlStore::open(&place.url()).await.unwrap();
    (0..250).for_each(|n| store.save("p", &n.to_string(), &state(n)));
    assert_eq!(store.unsaved_keys(), 250);
    worker.run_until(std::future::ready(())).await;
    assert_eq!((store.unsaved_keys(), store.dropped_keys()), (0, 0));
    assert_eq!(place.store().await.load("p", "249"), Some(state(249)));
}

#[tokio::test]
async fn what_nobody_writes_is_bounded() {
    let (store, worker) = SqlStore::open("sqlite::memory:").await.unwrap();
    let save = |n: usize, revision| store.save("p", &n.to_string(), &state(revision));
    (0..MAX_UNSAVED_KEYS + 2).for_each(|n| save(n, 1));
    // One that waits already takes no further place.
    save(0, 2);
    assert_eq!((store.unsaved_keys(), store.dropped_keys()), (MAX_UNSAVED_KEYS, 2));
    assert_eq!(format!("{store:?}"), "SqlStore { database: \"sqlite\", unsaved_keys: 10000, .. }");
    drop(worker);
}
