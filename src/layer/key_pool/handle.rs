use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant, SystemTime};

use super::change::PoolChange;
use super::key::KeyParts;
use super::lease::{Lease, NoKey};
use super::leasing::Leasing;
use super::pool::{Grant, Pool, Step};
use super::queue::Queue;
use super::settings::Settings;
use super::snapshot::KeySnapshot;
use super::tried::Tried;
use crate::context::KeyHeaders;
use crate::secret::Secret;
use crate::store::{KeyState, KeyStore};

/// A pool of keys of one upstream. Cloning it clones the handle.
///
/// ```
/// use tower_llm_gateway::layer::key_pool::{KeyPool, KeyStatus};
///
/// let pool = KeyPool::new(["sk-1111-2222-3333", "sk-4444-5555-6666"])?;
/// let lease = pool.try_lease()?;
/// assert_eq!(lease.key().bearer(), "Bearer sk-1111-2222-3333");
/// assert_eq!(pool.snapshot()[0].status, KeyStatus::InUse);
/// drop(lease);
/// assert_eq!(pool.snapshot()[0].status, KeyStatus::Active);
/// assert_eq!(&*pool.snapshot()[0].masked, "sk-***33");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct KeyPool(Arc<Shared>);

struct Shared {
    settings: Settings,
    born: Instant,
    state: Mutex<State>,
}

struct State {
    pool: Pool,
    queue: Queue,
    rng: fastrand::Rng,
}

/// Why nothing is done with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyError {
    /// It is empty or holds characters that no header may.
    Invalid,
    /// It is there already.
    Duplicate,
    /// The pool holds as many as it may: [`Settings::max_keys`].
    Full,
    /// There is none with this id.
    Unknown,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Invalid => "key is empty or holds characters that no header may",
            Self::Duplicate => "key is in the pool already",
            Self::Full => "pool is full",
            Self::Unknown => "no key of the pool has this id",
        })
    }
}

impl std::error::Error for KeyError {}

impl KeyPool {
    /// A pool of these keys with the default settings.
    ///
    /// # Errors
    /// When a key is none, or stands twice, or there are too many.
    pub fn new(keys: impl IntoIterator<Item = impl Into<Secret>>) -> Result<Self, KeyError> {
        Self::with(Settings::default(), keys)
    }

    /// A pool of these keys. What the store of the settings knows of them holds.
    ///
    /// # Errors
    /// As [`KeyPool::new`].
    pub fn with(
        settings: Settings,
        keys: impl IntoIterator<Item = impl Into<Secret>>,
    ) -> Result<Self, KeyError> {
        let born = now();
        let state = Mutex::new(State {
            pool: Pool::new(born),
            queue: Queue::default(),
            rng: fastrand::Rng::new(),
        });
        let pool = Self(Arc::new(Shared { settings, born, state }));
        for key in keys {
            pool.add(key)?;
        }
        Ok(pool)
    }

    /// The settings, as they were given.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Adds a key behind the others and tells its id.
    ///
    /// # Errors
    /// When it is none, or there already, or the pool is full.
    pub fn add(&self, key: impl Into<Secret>) -> Result<Arc<str>, KeyError> {
        let parts = parts(&key.into())?;
        let id = parts.id.clone();
        let saved = self.saved(&id);
        let max = self.settings().rules.max_keys;
        self.step(|pool, _, step| {
            if pool.len() >= max && !pool.contains(&id) {
                return Err(KeyError::Full);
            }
            let added = pool.add(parts, saved.as_ref(), step.now, SystemTime::now());
            if added { Ok(id) } else { Err(KeyError::Duplicate) }
        })
    }

    /// Takes a key out by its id. Requests that have it go on; what becomes of them is no longer
    /// noted.
    ///
    /// # Errors
    /// When it is not there.
    pub fn remove(&self, id: &str) -> Result<(), KeyError> {
        let gone = self.step(|pool, _, _| pool.remove(|key| key == id));
        self.unsave(&gone);
        if gone.is_empty() { Err(KeyError::Unknown) } else { Ok(()) }
    }

    /// Makes these the keys of the pool, in this order, all at once or not at all. Those that were
    /// there keep their leases and their states.
    ///
    /// # Errors
    /// As [`KeyPool::new`]; nothing is changed then.
    pub fn set_keys(
        &self,
        keys: impl IntoIterator<Item = impl Into<Secret>>,
    ) -> Result<(), KeyError> {
        let mut order = HashMap::new();
        let mut wanted = Vec::new();
        for key in keys {
            if wanted.len() >= self.settings().rules.max_keys {
                return Err(KeyError::Full);
            }
            let parts = parts(&key.into())?;
            if order.insert(parts.id.clone(), order.len()).is_some() {
                return Err(KeyError::Duplicate);
            }
            let saved = self.saved(&parts.id);
            wanted.push((parts, saved));
        }
        let gone = self.step(|pool, _, step| {
            let gone = pool.remove(|id| !order.contains_key(id));
            for (parts, saved) in wanted {
                pool.add(parts, saved.as_ref(), step.now, SystemTime::now());
            }
            pool.arrange(&order);
            gone
        });
        self.unsave(&gone);
        Ok(())
    }

    /// A lease of a free key, without waiting.
    ///
    /// # Errors
    /// When no key is free.
    pub fn try_lease(&self) -> Result<Lease, NoKey> {
        self.try_lease_but(&Tried::default())
    }

    /// As [`KeyPool::try_lease`], for a request that was sent with other keys before.
    ///
    /// # Errors
    /// When no key is free that could serve it.
    pub fn try_lease_but(&self, tried: &Tried) -> Result<Lease, NoKey> {
        let leased = self.step(|pool, _, step| match pool.lease(tried, step) {
            Some(grant) => Ok(grant),
            None => Err(NoKey::of(&pool.shortage(tried, step), pool, step.now)),
        });
        leased.map(|grant| Lease::new(self.clone(), grant))
    }

    /// A lease, as soon as a key is free: at most [`Settings::wait`] from now, first come, first
    /// served. A wait that cannot end in time is not begun. Needs a tokio runtime with its timer.
    pub fn lease(&self, tried: Tried) -> Leasing {
        Leasing::new(self.clone(), tried)
    }

    /// All keys at this moment, in their order.
    #[must_use]
    pub fn snapshot(&self) -> Vec<KeySnapshot> {
        let now = now();
        self.lock().pool.snapshot(now)
    }

    /// How many requests wait for a key.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.lock().queue.len()
    }

    /// How long until the first cooldown ends; `None` when no key cools down.
    #[must_use]
    pub fn next_release(&self) -> Option<Duration> {
        let now = now();
        let until = self.lock().pool.next_release(now)?;
        Some(until.saturating_duration_since(now))
    }

    /// Forgets the failures of the key with this id, and its leases.
    ///
    /// # Errors
    /// When it is not there.
    pub fn reset(&self, id: &str) -> Result<(), KeyError> {
        let found = self.step(|pool, _, _| pool.reset(|key| key == id));
        if found { Ok(()) } else { Err(KeyError::Unknown) }
    }

    /// Forgets the failures and leases of all keys.
    pub fn reset_all(&self) {
        self.step(|pool, _, _| pool.reset(|_| true));
    }

    pub(super) fn touch(&self, grant: &Grant) {
        let age = now().saturating_duration_since(self.0.born);
        grant.pulse.beat(age);
    }

    fn saved(&self, id: &str) -> Option<KeyState> {
        self.settings().store.as_ref()?.load(&self.settings().name, id)
    }

    fn unsave(&self, gone: &[Arc<str>]) {
        if let Some(store) = &self.settings().store {
            gone.iter().for_each(|id| store.remove(&self.settings().name, id));
        }
    }

    /// One step of the machine under the lock. Whoever waits is served before, so that nobody who
    /// comes later is faster, and after, with what the step made free.
    pub(super) fn step<T>(&self, act: impl FnOnce(&mut Pool, &mut Queue, &mut Step<'_>) -> T) -> T {
        let settings = self.settings();
        let (result, effects) = {
            let mut state = self.lock();
            let State { pool, queue, rng } = &mut *state;
            let mut step = Step { rules: &settings.rules, now: now(), rng };
            pool.sweep_at_times(&mut step);
            queue.serve(pool, &mut step);
            let result = act(pool, queue, &mut step);
            queue.serve(pool, &mut step);
            (result, Effects::take(pool, queue, settings, step.now))
        };
        effects.run(self);
        result
    }

    /// Saves the state of a key, unless it is gone by now. Looked at afterwards: whoever takes it
    /// out meanwhile removes what was saved, before or after us.
    fn save(&self, store: &dyn KeyStore, key: &str, state: &KeyState) {
        store.save(&self.settings().name, key, state);
        if !self.lock().pool.contains(key) {
            store.remove(&self.settings().name, key);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No step panics half-way; if one did, no key would be served worse than by a dead pool.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for KeyPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPool")
            .field("name", &self.settings().name)
            .field("keys", &self.lock().pool.len())
            .finish_non_exhaustive()
    }
}

/// What is to be done once the lock is free.
struct Effects {
    woken: Vec<Waker>,
    /// Dropping one runs code of its task.
    retired: Vec<Waker>,
    changes: Vec<PoolChange>,
    states: Vec<(Arc<str>, KeyState)>,
}

impl Effects {
    fn take(pool: &mut Pool, queue: &mut Queue, settings: &Settings, now: Instant) -> Self {
        let changes = pool.take_changes();
        let is_short = |change: &PoolChange| matches!(change, PoolChange::Cooling { lasts, .. } if *lasts < settings.wait);
        if changes.iter().any(is_short) {
            // A key comes back sooner than its waiters knew.
            queue.wake_all();
        }
        let states = match settings.store {
            Some(_) => pool.take_states(now, SystemTime::now()),
            None => Vec::new(),
        };
        let (woken, retired) = queue.take_wakers();
        Self { woken, retired, changes, states }
    }

    fn run(self, handle: &KeyPool) {
        let settings = handle.settings();
        self.woken.into_iter().for_each(Waker::wake);
        drop(self.retired);
        if let Some(store) = &settings.store {
            self.states.iter().for_each(|(key, state)| handle.save(&**store, key, state));
        }
        for change in &self.changes {
            if let PoolChange::Cooling { key, fault, lasts } = change {
                let (pool, fault) = (&*settings.name, fault.as_str());
                tracing::warn!(pool, %key, fault, seconds = lasts.as_secs(), "a key cools down");
            }
            if let Some(hook) = &settings.on_change {
                hook(&settings.name, change);
            }
        }
    }
}

/// Tokio's clock, which tests can stop.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

fn parts(key: &Secret) -> Result<KeyParts, KeyError> {
    let headers = KeyHeaders::new(key).ok_or(KeyError::Invalid)?;
    Ok(KeyParts { id: key.fingerprint().into(), masked: key.masked().into(), headers })
}
