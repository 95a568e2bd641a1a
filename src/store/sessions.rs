use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::error::StoreFuture;
use super::lru::{Bounds, Lru};

/// Default for [`MemorySessions::max_turns`].
pub const DEFAULT_MAX_TURNS: usize = 10_000;

/// Default for [`MemorySessions::max_bytes`]: 256 MiB.
pub const DEFAULT_MAX_SESSION_BYTES: usize = 256 << 20;

/// Default for [`MemorySessions::ttl`]: 24 hours.
pub const DEFAULT_SESSION_TTL: Duration = Duration::from_secs(24 * 60 * 60);

/// What an item counts beside its bytes: its handle and its allocation.
const ITEM_OVERHEAD: usize = 64;

/// Keeps the turns of conversations, so that a caller needs to send only what is new.
///
/// Turns of one principal are never shown to another: it is part of the key. A store may forget
/// what it wants. What it cannot read because it is broken is a
/// [`StoreError`](super::StoreError), which callers are told as 503: it is not their mistake.
pub trait SessionStore: Send + Sync {
    /// The turn `key` and those that it goes on from, the newest first, at most `max_turns`. Empty
    /// where the turn is not known; it ends early where an older one is no longer known.
    fn history(&self, key: &TurnKey, max_turns: usize) -> StoreFuture<Vec<Arc<Turn>>>;

    /// Keeps a turn. Called while the end of an answer is polled, so it must not wait: a store on
    /// a network puts it into a bounded queue that a task of the host writes from, and answers
    /// [`history`](Self::history) from there until it is written.
    fn put(&self, key: TurnKey, turn: Turn);

    /// Forgets a turn; whether there was one.
    fn remove(&self, key: &TurnKey) -> StoreFuture<bool>;
}

/// Whose turn, and the id that its answer has.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TurnKey {
    /// Empty where callers are not told apart.
    pub principal: Arc<str>,
    /// The id of the answer.
    pub id: Arc<str>,
}

/// One request and its answer. `Debug` shows no content.
#[derive(Clone, PartialEq, Eq)]
pub struct Turn {
    /// The id of the answer that it goes on from.
    pub previous: Option<Arc<str>>,
    /// The items of the request, each a JSON object.
    pub input: Vec<Bytes>,
    /// The items of the answer that go into a history, each a JSON object.
    pub output: Vec<Bytes>,
    /// The answer as its caller got it, a JSON object.
    pub response: Bytes,
}

impl Turn {
    /// Bytes of all its content, with 64 for each item.
    #[must_use]
    pub fn size(&self) -> usize {
        let items = self.items().map(|item| item.len().saturating_add(ITEM_OVERHEAD));
        items.fold(self.response.len(), usize::saturating_add)
    }

    /// Its items, in the order of the conversation.
    pub fn items(&self) -> impl DoubleEndedIterator<Item = &Bytes> {
        self.input.iter().chain(&self.output)
    }
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn")
            .field("previous", &self.previous)
            .field("input", &self.input.len())
            .field("output", &self.output.len())
            .finish_non_exhaustive()
    }
}

/// Sessions in memory. Its clones share what they keep, and its limits: one that is given a limit
/// of its own begins anew, empty, and shares nothing with the others.
///
/// A turn is kept until it was not asked for during the time to live; a conversation that goes on
/// asks for all of its turns. When there are too many, or too large ones, those that were not
/// asked for longest go first.
#[derive(Debug, Clone)]
pub struct MemorySessions {
    turns: Lru<TurnKey, Arc<Turn>>,
}

impl MemorySessions {
    /// An empty store with the defaults.
    #[must_use]
    pub fn new() -> Self {
        let start = Instant::now();
        Self::with_clock(move || start.elapsed())
    }

    /// An empty store that is told the time: any count that never goes back.
    #[must_use]
    pub fn with_clock(now: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        let bounds = Bounds {
            entries: DEFAULT_MAX_TURNS,
            bytes: DEFAULT_MAX_SESSION_BYTES,
            ttl: DEFAULT_SESSION_TTL,
        };
        Self { turns: Lru::new(bounds, now) }
    }

    /// Most turns, of all conversations together. Default [`DEFAULT_MAX_TURNS`].
    #[must_use]
    pub fn max_turns(self, turns: usize) -> Self {
        Self { turns: self.turns.bounded(|bounds| bounds.entries = turns) }
    }

    /// Most bytes, with 256 for each turn beside its content. Default
    /// [`DEFAULT_MAX_SESSION_BYTES`].
    #[must_use]
    pub fn max_bytes(self, bytes: usize) -> Self {
        Self { turns: self.turns.bounded(|bounds| bounds.bytes = bytes) }
    }

    /// How long a turn is kept that nobody goes on from. Default [`DEFAULT_SESSION_TTL`].
    #[must_use]
    pub fn ttl(self, ttl: Duration) -> Self {
        Self { turns: self.turns.bounded(|bounds| bounds.ttl = ttl) }
    }

    /// How many turns there are; those that have run out are not counted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.turns.size().0
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Default for MemorySessions {
    fn default() -> Self {
        Self::new()
    }
}

impl SessionStore for MemorySessions {
    fn history(&self, key: &TurnKey, max_turns: usize) -> StoreFuture<Vec<Arc<Turn>>> {
        let principal = Arc::clone(&key.principal);
        let before = |turn: &Arc<Turn>| {
            let id = turn.previous.clone()?;
            Some(TurnKey { principal: Arc::clone(&principal), id })
        };
        let found = self.turns.walk(Some(key.clone()), before, max_turns);
        Box::pin(std::future::ready(Ok(found)))
    }

    fn put(&self, key: TurnKey, turn: Turn) {
        let size = turn.size();
        self.turns.put(key, Arc::new(turn), size);
    }

    fn remove(&self, key: &TurnKey) -> StoreFuture<bool> {
        Box::pin(std::future::ready(Ok(self.turns.remove(key))))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    fn now<T>(future: StoreFuture<T>) -> T {
        tokio_test::block_on(future).unwrap()
    }

    fn key(principal: &str, id: &str) -> TurnKey {
        TurnKey { principal: principal.into(), id: id.into() }
    }

    fn turn(previous: Option<&str>) -> Turn {
        let (input, output) = (vec![Bytes::from_static(b"{}")], vec![Bytes::from_static(b"{}")]);
        let previous = previous.map(Into::into);
        Turn { previous, input, output, response: Bytes::from_static(b"{\"secret\":1}") }
    }

    fn found(store: &MemorySessions, key: &TurnKey, max: usize) -> usize {
        now(store.history(key, max)).len()
    }

    #[test]
    fn a_history_goes_back_to_its_first_turn() {
        let store = MemorySessions::new();
        store.put(key("p", "1"), turn(None));
        store.put(key("p", "2"), turn(Some("1")));
        store.clone().put(key("p", "3"), turn(Some("2")));
        assert_eq!(found(&store, &key("p", "3"), 9), 3);
        assert_eq!(found(&store, &key("p", "3"), 2), 2);
        assert_eq!(found(&store, &key("q", "3"), 9), 0);
        assert!(now(store.remove(&key("p", "2"))));
        assert!(!now(store.remove(&key("p", "2"))));
        assert_eq!(found(&store, &key("p", "3"), 9), 1);
        assert!(!format!("{store:?}{:?}", turn(None)).contains("secret"));
    }

    #[test]
    fn whoever_goes_on_keeps_all_turns() {
        let clock = Arc::new(AtomicU64::new(0));
        let seconds = Arc::clone(&clock);
        let now = move || Duration::from_secs(seconds.load(Ordering::Relaxed));
        let store = MemorySessions::with_clock(now).ttl(Duration::from_secs(10));
        store.put(key("", "1"), turn(None));
        store.put(key("", "2"), turn(Some("1")));
        store.put(key("", "other"), turn(None));
        clock.store(9, Ordering::Relaxed);
        assert_eq!(found(&store, &key("", "2"), 9), 2);
        clock.store(10, Ordering::Relaxed);
        assert_eq!(store.len(), 2);
        clock.store(19, Ordering::Relaxed);
        assert!(store.is_empty());
    }

    #[test]
    fn turns_and_bytes_are_bounded() {
        let store = MemorySessions::new().max_turns(2);
        for id in ["1", "2", "3"] {
            store.put(key("", id), turn(None));
        }
        assert_eq!((store.len(), found(&store, &key("", "1"), 1)), (2, 0));
        let one = turn(None).size() + super::super::lru::OVERHEAD;
        let store = MemorySessions::new().max_bytes(2 * one);
        for id in ["1", "2", "3"] {
            store.put(key("", id), turn(None));
        }
        assert_eq!(store.len(), 2);
        let large = Turn { response: Bytes::from(vec![b' '; 3 * one]), ..turn(None) };
        store.put(key("", "4"), large);
        assert_eq!(store.len(), 2);
    }
}
