//! A map in memory that forgets what was not used for longest.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
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

/// A bounded map. It is told the time: any count that never goes back.
#[derive(Debug)]
pub(super) struct Lru<K, V> {
    entries: HashMap<K, Entry<V>>,
    /// Keys by the number of their last use: the first is the oldest.
    uses: BTreeMap<u64, K>,
    next: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    size: usize,
    use_number: u64,
    used: Duration,
}

impl<K, V> Default for Lru<K, V> {
    fn default() -> Self {
        Self { entries: HashMap::new(), uses: BTreeMap::new(), next: 0, bytes: 0 }
    }
}

impl<K: Hash + Eq + Clone, V> Lru<K, V> {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Forgets what has run out.
    pub(super) fn expire(&mut self, bounds: &Bounds, now: Duration) {
        while self.oldest().is_some_and(|used| now.saturating_sub(used) >= bounds.ttl) {
            self.evict();
        }
    }

    /// A value, which is used by that.
    pub(super) fn get<Q>(&mut self, key: &Q, now: Duration) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let entry = self.entries.get_mut(key)?;
        self.next += 1;
        if let Some(key) = self.uses.remove(&entry.use_number) {
            self.uses.insert(self.next, key);
        }
        (entry.use_number, entry.used) = (self.next, now);
        Some(&entry.value)
    }

    /// Keeps a value of `size` bytes in place of an earlier one; what is too large by itself is
    /// not kept, and drives nothing out.
    pub(super) fn put(&mut self, key: K, value: V, size: usize, bounds: &Bounds, now: Duration) {
        self.remove(&key);
        let size = size.saturating_add(OVERHEAD);
        if size > bounds.bytes || bounds.entries == 0 {
            return;
        }
        while self.entries.len() >= bounds.entries || self.bytes + size > bounds.bytes {
            self.evict();
        }
        self.bytes += size;
        self.next += 1;
        self.uses.insert(self.next, key.clone());
        self.entries.insert(key, Entry { value, size, use_number: self.next, used: now });
    }

    /// Forgets a value and gives it back.
    pub(super) fn remove<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let entry = self.entries.remove(key)?;
        self.uses.remove(&entry.use_number);
        self.bytes -= entry.size;
        Some(entry.value)
    }

    /// When the oldest entry was last used.
    fn oldest(&self) -> Option<Duration> {
        let (_, key) = self.uses.first_key_value()?;
        self.entries.get(key).map(|entry| entry.used)
    }

    fn evict(&mut self) {
        if let Some((_, key)) = self.uses.pop_first() {
            if let Some(entry) = self.entries.remove(&key) {
                self.bytes -= entry.size;
            }
        }
    }
}
