use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{SealVault, VaultKey};

/// Default for [`MemoryVault::max_entries`].
pub const DEFAULT_MAX_ENTRIES: usize = 10_000;

/// Default for [`MemoryVault::max_bytes`]: 64 MiB.
pub const DEFAULT_MAX_BYTES: usize = 64 << 20;

/// Default for [`MemoryVault::ttl`]: one hour.
pub const DEFAULT_TTL: Duration = Duration::from_secs(60 * 60);

/// What an entry counts beside its value: key, places in both maps.
const OVERHEAD: usize = 256;

/// A vault in memory. Its clones share what they keep, and its limits: one that is given a limit of
/// its own begins anew, empty, and shares nothing with the others.
///
/// An entry is kept until it was not asked for during the time to live: a conversation that goes
/// on keeps its history whole, and with it the vendor's prompt cache. When there are too many, or
/// too large ones, those that were not asked for longest go first.
#[derive(Clone)]
pub struct MemoryVault {
    limits: Limits,
    now: Arc<dyn Fn() -> Duration + Send + Sync>,
    state: Arc<Mutex<State>>,
}

#[derive(Clone, Copy)]
struct Limits {
    max_entries: usize,
    max_bytes: usize,
    ttl: Duration,
}

#[derive(Default)]
struct State {
    entries: HashMap<VaultKey, Entry>,
    /// Keys by the number of their last use: the first is the oldest.
    uses: BTreeMap<u64, VaultKey>,
    next: u64,
    bytes: usize,
}

struct Entry {
    value: Bytes,
    use_number: u64,
    used: Duration,
}

impl MemoryVault {
    /// An empty vault with the defaults.
    #[must_use]
    pub fn new() -> Self {
        let start = Instant::now();
        Self::with_clock(move || start.elapsed())
    }

    /// An empty vault that is told the time: any count that never goes back.
    #[must_use]
    pub fn with_clock(now: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        let limits = Limits {
            max_entries: DEFAULT_MAX_ENTRIES,
            max_bytes: DEFAULT_MAX_BYTES,
            ttl: DEFAULT_TTL,
        };
        Self { limits, now: Arc::new(now), state: Arc::default() }
    }

    /// Most entries. Default [`DEFAULT_MAX_ENTRIES`].
    #[must_use]
    pub fn max_entries(self, entries: usize) -> Self {
        self.limited(|limits| limits.max_entries = entries)
    }

    /// Most bytes, with 256 for each entry beside its value. Default [`DEFAULT_MAX_BYTES`].
    #[must_use]
    pub fn max_bytes(self, bytes: usize) -> Self {
        self.limited(|limits| limits.max_bytes = bytes)
    }

    /// How long an entry is kept that nobody asks for. Default [`DEFAULT_TTL`].
    #[must_use]
    pub fn ttl(self, ttl: Duration) -> Self {
        self.limited(|limits| limits.ttl = ttl)
    }

    fn limited(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.limits);
        Self { state: Arc::default(), ..self }
    }

    /// How many entries there are; those that have run out are not counted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.expired().entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The state without what has run out.
    fn expired(&self) -> MutexGuard<'_, State> {
        let now = (self.now)();
        // Plain data, good to use after a panic elsewhere.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while state.oldest().is_some_and(|used| now.saturating_sub(used) >= self.limits.ttl) {
            state.evict();
        }
        state
    }
}

impl Default for MemoryVault {
    fn default() -> Self {
        Self::new()
    }
}

impl State {
    /// When the oldest entry was last used.
    fn oldest(&self) -> Option<Duration> {
        let (_, key) = self.uses.first_key_value()?;
        self.entries.get(key).map(|entry| entry.used)
    }

    fn evict(&mut self) {
        if let Some((_, key)) = self.uses.pop_first() {
            if let Some(entry) = self.entries.remove(&key) {
                self.bytes -= size(&entry.value);
            }
        }
    }

    fn remove(&mut self, key: &VaultKey) {
        if let Some(entry) = self.entries.remove(key) {
            self.uses.remove(&entry.use_number);
            self.bytes -= size(&entry.value);
        }
    }

    fn next(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

fn size(value: &Bytes) -> usize {
    value.len().saturating_add(OVERHEAD)
}

impl SealVault for MemoryVault {
    fn get(&self, key: &VaultKey) -> Option<Bytes> {
        let used = (self.now)();
        let mut state = self.expired();
        let use_number = state.next();
        let entry = state.entries.get_mut(key)?;
        let before = std::mem::replace(&mut entry.use_number, use_number);
        entry.used = used;
        let value = entry.value.clone();
        state.uses.remove(&before);
        state.uses.insert(use_number, *key);
        Some(value)
    }

    fn put(&self, key: VaultKey, value: Bytes) {
        let used = (self.now)();
        let mut state = self.expired();
        state.remove(&key);
        let Limits { max_entries, max_bytes, .. } = self.limits;
        if size(&value) > max_bytes || max_entries == 0 {
            return;
        }
        while state.entries.len() >= max_entries || state.bytes + size(&value) > max_bytes {
            state.evict();
        }
        state.bytes += size(&value);
        let use_number = state.next();
        state.uses.insert(use_number, key);
        state.entries.insert(key, Entry { value, use_number, used });
    }
}

impl fmt::Debug for MemoryVault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("MemoryVault")
            .field("entries", &state.entries.len())
            .field("bytes", &state.bytes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::protocol::VendorTag;

    fn key(n: usize) -> VaultKey {
        VaultKey::new("p", VendorTag::of("v"), "", &n.to_string())
    }

    fn value(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    /// A vault, and its clock in seconds.
    fn timed() -> (MemoryVault, Arc<AtomicU64>) {
        let clock = Arc::new(AtomicU64::new(0));
        let now = Arc::clone(&clock);
        let vault =
            MemoryVault::with_clock(move || Duration::from_secs(now.load(Ordering::Relaxed)));
        (vault, clock)
    }

    #[test]
    fn a_value_replaces_the_one_before() {
        let vault = MemoryVault::new();
        vault.put(key(1), value("one"));
        vault.clone().put(key(1), value("two"));
        assert_eq!(vault.get(&key(1)), Some(value("two")));
        assert_eq!((vault.len(), vault.get(&key(2))), (1, None));
        assert_eq!(format!("{vault:?}"), "MemoryVault { entries: 1, bytes: 259, .. }");
    }

    #[test]
    fn entries_run_out_after_their_last_use() {
        let (vault, clock) = timed();
        vault.put(key(1), value("asked for"));
        vault.put(key(2), value("forgotten"));
        clock.store(3599, Ordering::Relaxed);
        assert!(vault.get(&key(1)).is_some());
        clock.store(3600, Ordering::Relaxed);
        assert_eq!(vault.len(), 1);
        assert_eq!(vault.get(&key(2)), None);
        clock.store(3599 + 3599, Ordering::Relaxed);
        assert!(vault.get(&key(1)).is_some());
        clock.store(3599 + 3599 + 3600, Ordering::Relaxed);
        assert_eq!(vault.get(&key(1)), None);
        assert!(vault.is_empty());
        assert_eq!(vault.state.lock().unwrap().bytes, 0);
    }

    #[test]
    fn the_oldest_goes_first() {
        let (vault, _) = timed();
        let vault = vault.max_entries(3);
        (0..3).for_each(|n| vault.put(key(n), value("x")));
        assert!(vault.get(&key(0)).is_some());
        vault.put(key(3), value("x"));
        let kept: Vec<_> = (0..4).filter(|n| vault.get(&key(*n)).is_some()).collect();
        assert_eq!(kept, [0, 2, 3]);
    }

    #[test]
    fn bytes_are_bounded() {
        let vault = MemoryVault::new().max_bytes(3 * (OVERHEAD + 10));
        (0..9).for_each(|n| vault.put(key(n), Bytes::from(vec![0; 10])));
        assert_eq!(vault.len(), 3);
        vault.put(key(9), Bytes::from(vec![0; OVERHEAD]));
        assert!(vault.len() < 3 && vault.get(&key(9)).is_some());
        // What is too large by itself drives nothing out.
        let before = vault.len();
        vault.put(key(10), Bytes::from(vec![0; 4 * OVERHEAD]));
        assert_eq!((vault.len(), vault.get(&key(10))), (before, None));
        let state = vault.state.lock().unwrap();
        let bytes: usize = state.entries.values().map(|entry| size(&entry.value)).sum();
        assert_eq!((state.bytes, state.uses.len()), (bytes, state.entries.len()));
    }

    #[test]
    fn a_limit_of_a_clone_is_its_own() {
        let vault = MemoryVault::new();
        (0..3).for_each(|n| vault.put(key(n), value("x")));
        let small = vault.clone().max_entries(1).ttl(Duration::ZERO);
        small.put(key(4), value("x"));
        assert_eq!((vault.len(), vault.get(&key(4)), small.len()), (3, None, 0));
    }

    #[test]
    fn nothing_may_be_kept() {
        let vault = MemoryVault::new().max_entries(0);
        vault.put(key(0), value("x"));
        assert!(vault.is_empty());
    }
}
