use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// Most keys that a [`MemoryKeys`] remembers; what is saved of others is forgotten at once.
pub const MAX_REMEMBERED_KEYS: usize = 10_000;

/// Keeps what pools of keys learn of their keys, so that a key in its cooldown stays there when
/// the process or its configuration starts anew.
///
/// A pool asks once for each key that it is given, and saves a key whenever one of these facts
/// changes: at a failure, at the success after one, when the key is moved, when it is reset. A
/// request that goes well saves nothing.
///
/// `save` and `remove` are called while a request or a body is polled or dropped, outside of the
/// pool's lock: they must not wait. A database behind it reads its table before the pool is built,
/// so that `load` answers from memory, and takes what is saved through a bounded queue that a task
/// of the host empties. Two saves of one key may come out of order: the higher
/// [`revision`](KeyState::revision) is the later one, and what is older is to be ignored, lest a
/// stale state revives a key.
///
/// Neither may panic: a lease that is dropped while its request panics saves too, and a panic
/// within a panic aborts the process.
pub trait KeyStore: Send + Sync {
    /// What was saved last of the key with this id.
    fn load(&self, pool: &str, key: &str) -> Option<KeyState>;

    /// Keeps the state of a key, in place of one with a lower revision.
    fn save(&self, pool: &str, key: &str, state: &KeyState);

    /// The key was taken out of the pool.
    fn remove(&self, pool: &str, key: &str);
}

/// What is worth keeping of a key. There is nothing secret in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyState {
    /// Grows with every change.
    pub revision: u64,
    /// The end of its cooldown. One that has passed says that it has not proven itself since.
    pub cooling_until: Option<SystemTime>,
    /// Whether the fault that it cools for was its own, and not its upstream's.
    pub own_fault: bool,
    /// Failures since it was last well.
    pub failures: u32,
    /// Cooldowns since its last success.
    pub cooldowns: u32,
    /// How long the last of them was.
    pub cooldown: Duration,
    /// 0 for a key in the place that it was given in; else it stands behind all with a lower one.
    pub demotion: u64,
}

/// A [`KeyStore`] in memory. Its clones share what they keep.
///
/// It carries the state of keys from one pool to the next of the same name, as when the
/// configuration is read again. Bounded by [`MAX_REMEMBERED_KEYS`].
///
/// ```
/// use tower_llm_gateway::store::{KeyState, KeyStore, MemoryKeys};
///
/// let keys = MemoryKeys::new();
/// let state = |revision, failures| KeyState { revision, failures, ..KeyState::default() };
/// keys.save("main", "key_sha256_0123abcd", &state(2, 5));
/// keys.save("main", "key_sha256_0123abcd", &state(1, 4));
/// assert_eq!(keys.load("main", "key_sha256_0123abcd").unwrap().failures, 5);
/// assert_eq!(keys.load("other", "key_sha256_0123abcd"), None);
/// ```
#[derive(Clone, Default)]
pub struct MemoryKeys(Arc<Mutex<States>>);

/// By the name of the pool and the id of the key.
type States = HashMap<(Box<str>, Box<str>), KeyState>;

impl MemoryKeys {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, States> {
        // Plain data, good to use after a panic elsewhere.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeyStore for MemoryKeys {
    fn load(&self, pool: &str, key: &str) -> Option<KeyState> {
        self.lock().get(&(pool.into(), key.into())).cloned()
    }

    fn save(&self, pool: &str, key: &str, state: &KeyState) {
        let mut states = self.lock();
        let has_room = states.len() < MAX_REMEMBERED_KEYS;
        match states.entry((pool.into(), key.into())) {
            Entry::Occupied(mut kept) if kept.get().revision < state.revision => {
                kept.insert(state.clone());
            }
            Entry::Vacant(place) if has_room => {
                place.insert(state.clone());
            }
            Entry::Occupied(_) | Entry::Vacant(_) => {}
        }
    }

    fn remove(&self, pool: &str, key: &str) {
        self.lock().remove(&(pool.into(), key.into()));
    }
}

impl fmt::Debug for MemoryKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryKeys").field("keys", &self.lock().len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_bounded_and_removed() {
        let keys = MemoryKeys::new();
        for n in 0..=MAX_REMEMBERED_KEYS {
            keys.save("p", &n.to_string(), &KeyState::default());
        }
        assert_eq!(format!("{keys:?}"), "MemoryKeys { keys: 10000 }");
        keys.remove("p", "0");
        assert_eq!(keys.load("p", "0"), None);
        assert!(keys.load("p", "1").is_some());
    }
}
