//! A map in memory that forgets what was not used for longest.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What an entry counts beside its value: key, places in both maps.
pub(super) const OVERHEAD: usize = 256;

/// How much is kept, and how long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) entries: usize,
    /// Of the values, with [`OVERHEAD`] for each.
    pub(super) bytes: usize,
    /// Since the last use.
    pub(super) ttl: Duration,
}

/// A bounded map that its clones share, and with it its bounds: one that is given other bounds
/// begins anew, empty, and shares nothing. It is told the time: any count that never goes back.
pub(super) struct Lru<K, V> {
    bounds: Bounds,
    now: Arc<dyn Fn() -> Duration + Send + Sync>,
    entries: Arc<Mutex<Entries<K, V>>>,
}

impl<K: Hash + Eq + Clone, V> Lru<K, V> {
    pub(super) fn new(bounds: Bounds, now: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self { bounds, now: Arc::new(now), entries: Arc::default() }
    }

    pub(super) fn bounded(mut self, change: impl FnOnce(&mut Bounds)) -> Self {
        change(&mut self.bounds);
        Self { entries: Arc::default(), ..self }
    }

    /// How many there are, and the bytes that they count.
    pub(super) fn size(&self) -> (usize, usize) {
        self.with(|entries, _| (entries.map.len(), entries.bytes))
    }

    pub(super) fn get(&self, key: &K) -> Option<V>
    where
        V: Clone,
    {
        self.walk(Some(key.clone()), |_| None, 1).pop()
    }

    /// The value of `key`, and of each key that `next` finds in the one before, at most `most`.
    pub(super) fn walk(&self, key: Option<K>, next: impl Fn(&V) -> Option<K>, most: usize) -> Vec<V>
    where
        V: Clone,
    {
        self.with(|entries, now| {
            let (mut key, mut keys, mut found) = (key, Vec::new(), Vec::new());
            while let Some(this) = key.filter(|_| found.len() < most) {
                let Some(entry) = entries.map.get(&this) else { break };
                key = next(&entry.value);
                found.push(entry.value.clone());
                keys.push(this);
            }
            // Whoever goes on names the first: it stays longest.
            keys.iter().rev().for_each(|key| entries.touch(key, now));
            found
        })
    }

    /// Keeps a value of `size` bytes in place of an earlier one; what is too large by itself is
    /// not kept, and drives nothing out.
    pub(super) fn put(&self, key: K, value: V, size: usize) {
        let size = size.saturating_add(OVERHEAD);
        let Bounds { entries: most, bytes, .. } = self.bounds;
        self.with(|entries, now| {
            entries.remove(&key);
            if size > bytes || most == 0 {
                return;
            }
            while entries.map.len() >= most || entries.bytes + size > bytes {
                entries.evict();
            }
            entries.insert(key, value, size, now);
        });
    }

    /// Forgets a value; whether there was one.
    #[cfg(feature = "session")]
    pub(super) fn remove(&self, key: &K) -> bool {
        self.with(|entries, _| entries.remove(key))
    }

    /// The entries without what has run out.
    fn with<T>(&self, act: impl FnOnce(&mut Entries<K, V>, Duration) -> T) -> T {
        let now = (self.now)();
        // Plain data, good to use after a panic elsewhere.
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        while entries.oldest().is_some_and(|used| now.saturating_sub(used) >= self.bounds.ttl) {
            entries.evict();
        }
        act(&mut entries, now)
    }
}

impl<K, V> Clone for Lru<K, V> {
    fn clone(&self) -> Self {
        let (now, entries) = (Arc::clone(&self.now), Arc::clone(&self.entries));
        Self { bounds: self.bounds, now, entries }
    }
}

impl<K: Hash + Eq + Clone, V> fmt::Debug for Lru<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (entries, bytes) = self.size();
        write!(f, "{entries} entries, {bytes} bytes")
    }
}

struct Entries<K, V> {
    map: HashMap<K, Entry<V>>,
    /// Keys by the number of their last use: the first is the oldest.
    uses: BTreeMap<u64, K>,
    next: u64,
    bytes: usize,
}

struct Entry<V> {
    value: V,
    size: usize,
    use_number: u64,
    used: Duration,
}

impl<K, V> Default for Entries<K, V> {
    fn default() -> Self {
        Self { map: HashMap::new(), uses: BTreeMap::new(), next: 0, bytes: 0 }
    }
}

impl<K: Hash + Eq + Clone, V> Entries<K, V> {
    /// Counts as used now.
    fn touch(&mut self, key: &K, now: Duration) {
        let Some(entry) = self.map.get_mut(key) else { return };
        self.next += 1;
        if let Some(key) = self.uses.remove(&entry.use_number) {
            self.uses.insert(self.next, key);
        }
        (entry.use_number, entry.used) = (self.next, now);
    }

    fn insert(&mut self, key: K, value: V, size: usize, used: Duration) {
        self.bytes += size;
        self.next += 1;
        self.uses.insert(self.next, key.clone());
        self.map.insert(key, Entry { value, size, use_number: self.next, used });
    }

    fn remove(&mut self, key: &K) -> bool {
        let Some(entry) = self.map.remove(key) else { return false };
        self.uses.remove(&entry.use_number);
        self.bytes -= entry.size;
        true
    }

    /// When the oldest entry was last used.
    fn oldest(&self) -> Option<Duration> {
        let (_, key) = self.uses.first_key_value()?;
        self.map.get(key).map(|entry| entry.used)
    }

    fn evict(&mut self) {
        if let Some((_, key)) = self.uses.pop_first() {
            if let Some(entry) = self.map.remove(&key) {
                self.bytes -= entry.size;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_keeps_the_first_longest() {
        let bounds = Bounds { entries: 4, bytes: usize::MAX, ttl: Duration::MAX };
        let lru = Lru::new(bounds, || Duration::ZERO);
        (0..4).for_each(|n| lru.put(n, n, 0));
        assert_eq!(lru.walk(Some(3), |n: &u32| n.checked_sub(1), 9), [3, 2, 1, 0]);
        lru.put(4, 4, 0);
        assert_eq!(lru.walk(Some(4), |n| n.checked_sub(1), 9), [4, 3, 2, 1]);
    }

    #[test]
    fn what_is_counted_is_what_is_there() {
        let bounds = Bounds { entries: 9, bytes: 3 * (OVERHEAD + 10), ttl: Duration::MAX };
        let lru = Lru::new(bounds, || Duration::ZERO);
        for n in 0..30 {
            lru.put(n % 7, n, (n % 5) * 5);
            lru.get(&(n % 6));
            lru.with(|entries, _| {
                let bytes: usize = entries.map.values().map(|entry| entry.size).sum();
                assert_eq!((entries.bytes, entries.uses.len()), (bytes, entries.map.len()));
                assert!(bytes <= bounds.bytes);
            });
        }
    }
}
