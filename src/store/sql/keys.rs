//! The states of keys: read once, answered from memory, written from the side.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::Notify;

use super::SqlStore;
use super::database::{Columns, Database};
use super::statement::Statement;
use crate::store::{KeyState, KeyStore, MAX_REMEMBERED_KEYS, MemoryKeys, StoreError};

/// Most keys whose states wait to be written; those of further ones are dropped and counted.
pub const MAX_UNSAVED_KEYS: usize = MAX_REMEMBERED_KEYS;

/// Changes that are written at once.
const CHANGES_PER_WRITE: usize = 100;

/// What pools have saved: what is known, and what of it the database does not have yet.
#[derive(Debug, Default)]
pub(super) struct Keys {
    known: MemoryKeys,
    unsaved: Mutex<Changes>,
    changed: Notify,
    dropped: AtomicU64,
    /// Whether nobody is left who could save, or nothing is written any more.
    closed: AtomicBool,
    ended: Notify,
}

/// By the name of the pool and the id of the key: in one order for all who write, lest two of them
/// wait for each other.
type Changes = BTreeMap<(Box<str>, Box<str>), Change>;

/// What becomes of a key's row: it is removed, written, or first the one, then the other.
#[derive(Debug, Clone, PartialEq)]
struct Change {
    removed: bool,
    state: Option<KeyState>,
}

impl Keys {
    /// What the database knows.
    pub(super) async fn read(database: &Database) -> Result<Self, StoreError> {
        let statement = Statement::new(
            "SELECT pool, key_id, revision, cooling_until, own_fault, failures, cooldowns, \
             cooldown_ms, demotion FROM gateway_key_states ORDER BY saved DESC LIMIT ",
        )
        .int(MAX_REMEMBERED_KEYS as u64);
        let keys = Self::default();
        for (pool, key, state) in database.fetch(statement, read_state).await? {
            keys.known.save(&pool, &key, &state);
        }
        Ok(keys)
    }

    /// Writes all that is unsaved. What was written counts as saved only then, so that nothing is
    /// lost where this ends early.
    pub(super) async fn write(&self, database: &Database) -> Result<(), StoreError> {
        loop {
            let changes: Vec<_> = {
                let unsaved = self.lock();
                let first = unsaved.iter().take(CHANGES_PER_WRITE);
                first.map(|(key, change)| (key.clone(), change.clone())).collect()
            };
            if changes.is_empty() {
                return Ok(());
            }
            let now = millis(SystemTime::now());
            let statements = changes.iter().flat_map(|((pool, key), change)| {
                let gone = change.removed.then(|| delete(pool, key));
                gone.into_iter().chain(change.state.as_ref().map(|s| upsert(pool, key, s, now)))
            });
            database.write(statements.collect()).await?;
            let mut unsaved = self.lock();
            for (key, change) in changes {
                // It may have changed again meanwhile.
                if unsaved.get(&key) == Some(&change) {
                    unsaved.remove(&key);
                }
            }
        }
    }

    /// Waits until there is something to write, or nobody is left to save.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.changed.notify_one();
        self.ended.notify_one();
    }

    pub(super) async fn closed(&self) {
        self.ended.notified().await;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(super) fn unsaved(&self) -> usize {
        self.lock().len()
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn change(&self, pool: &str, key: &str, change: impl FnOnce(&mut Change)) {
        let mut unsaved = self.lock();
        let has_room = unsaved.len() < MAX_UNSAVED_KEYS;
        match unsaved.entry((pool.into(), key.into())) {
            Entry::Occupied(mut entry) => change(entry.get_mut()),
            Entry::Vacant(entry) if has_room => {
                change(entry.insert(Change { removed: false, state: None }));
            }
            Entry::Vacant(_) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
        drop(unsaved);
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Changes> {
        // Plain data, good to use after a panic elsewhere.
        self.unsaved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeyStore for SqlStore {
    fn load(&self, pool: &str, key: &str) -> Option<KeyState> {
        self.keys().known.load(pool, key)
    }

    fn save(&self, pool: &str, key: &str, state: &KeyState) {
        self.keys().known.save(pool, key, state);
        self.keys().change(pool, key, |change| {
            if change.state.as_ref().is_none_or(|kept| kept.revision < state.revision) {
                change.state = Some(state.clone());
            }
        });
    }

    fn remove(&self, pool: &str, key: &str) {
        self.keys().known.remove(pool, key);
        self.keys().change(pool, key, |change| *change = Change { removed: true, state: None });
    }
}

fn delete<'a>(pool: &'a str, key: &'a str) -> Statement<'a> {
    Statement::new("DELETE FROM gateway_key_states WHERE pool = ")
        .text(pool)
        .sql(" AND key_id = ")
        .text(key)
}

/// Two gateways may share the table: the higher revision stays.
fn upsert<'a>(pool: &'a str, key: &'a str, state: &KeyState, now: u64) -> Statement<'a> {
    Statement::new(
        "INSERT INTO gateway_key_states (pool, key_id, revision, cooling_until, own_fault, \
         failures, cooldowns, cooldown_ms, demotion, saved) VALUES (",
    )
    .text(pool)
    .text(key)
    .int(state.revision)
    .int(state.cooling_until.map(millis))
    .flag(state.own_fault)
    .int(u64::from(state.failures))
    .int(u64::from(state.cooldowns))
    .int(u64::try_from(state.cooldown.as_millis()).unwrap_or(u64::MAX))
    .int(state.demotion)
    .int(now)
    .sql(
        ") ON CONFLICT (pool, key_id) DO UPDATE SET revision = excluded.revision, \
         cooling_until = excluded.cooling_until, own_fault = excluded.own_fault, \
         failures = excluded.failures, cooldowns = excluded.cooldowns, \
         cooldown_ms = excluded.cooldown_ms, demotion = excluded.demotion, \
         saved = excluded.saved WHERE gateway_key_states.revision < excluded.revision",
    )
}

fn read_state(row: &dyn Columns) -> sqlx::Result<(String, String, KeyState)> {
    let time = |millis| UNIX_EPOCH.checked_add(Duration::from_millis(millis));
    let state = KeyState {
        revision: row.count("revision")?,
        cooling_until: row.number("cooling_until")?.and_then(time),
        own_fault: row.flag("own_fault")?,
        failures: row.count("failures")?,
        cooldowns: row.count("cooldowns")?,
        cooldown: Duration::from_millis(row.count("cooldown_ms")?),
        demotion: row.count("demotion")?,
    };
    Ok((row.string("pool")?, row.string("key_id")?, state))
}

fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
