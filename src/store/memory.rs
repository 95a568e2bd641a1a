use std::fmt;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::lru::{Bounds, Lru};
use super::{SealVault, VaultKey};

/// Default for [`MemoryVault::max_entries`].
pub const DEFAULT_MAX_ENTRIES: usize = 10_000;

/// Default for [`MemoryVault::max_bytes`]: 64 MiB.
pub const DEFAULT_MAX_BYTES: usize = 64 << 20;

/// Default for [`MemoryVault::ttl`]: one hour.
pub const DEFAULT_TTL: Duration = Duration::from_secs(60 * 60);

/// A vault in memory. Its clones share what they keep, and its limits: one that is given a limit of
/// its own begins anew, empty, and shares nothing with the others.
///
/// An entry is kept until it was not asked for during the time to live: a conversation that goes
/// on keeps its history whole, and with it the vendor's prompt cache. When there are too many, or
/// too large ones, those that were not asked for longest go first.
#[derive(Clone)]
pub struct MemoryVault {
    values: Lru<VaultKey, Bytes>,
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
        let bounds =
            Bounds { entries: DEFAULT_MAX_ENTRIES, bytes: DEFAULT_MAX_BYTES, ttl: DEFAULT_TTL };
        Self { values: Lru::new(bounds, now) }
    }

    /// Most entries. Default [`DEFAULT_MAX_ENTRIES`].
    #[must_use]
    pub fn max_entries(self, entries: usize) -> Self {
        Self { values: self.values.bounded(|bounds| bounds.entries = entries) }
    }

    /// Most bytes, with 256 for each entry beside its value. Default [`DEFAULT_MAX_BYTES`].
    #[must_use]
    pub fn max_bytes(self, bytes: usize) -> Self {
        Self { values: self.values.bounded(|bounds| bounds.bytes = bytes) }
    }

    /// How long an entry is kept that nobody asks for. Default [`DEFAULT_TTL`].
    #[must_use]
    pub fn ttl(self, ttl: Duration) -> Self {
        Self { values: self.values.bounded(|bounds| bounds.ttl = ttl) }
    }

    /// How many entries there are; those that have run out are not counted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.size().0
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Default for MemoryVault {
    fn default() -> Self {
        Self::new()
    }
}

impl SealVault for MemoryVault {
    fn get(&self, key: &VaultKey) -> Option<Bytes> {
        self.values.get(key)
    }

    fn put(&self, key: VaultKey, value: Bytes) {
        let size = value.len();
        self.values.put(key, value, size);
    }
}

impl fmt::Debug for MemoryVault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (entries, bytes) = self.values.size();
        f.debug_struct("MemoryVault")
            .field("entries", &entries)
            .field("bytes", &bytes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::super::lru::OVERHEAD;
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
        assert_eq!(vault.values.size(), (0, 0));
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
