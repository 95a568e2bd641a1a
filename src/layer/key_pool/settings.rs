use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::change::PoolChange;
use super::cooldown::{Cooldown, LONGEST};
use crate::store::KeyStore;

/// Default for [`Settings::wait`]: 5 s.
pub const DEFAULT_WAIT: Duration = Duration::from_secs(5);

/// Default for [`Settings::max_waiting`].
pub const DEFAULT_MAX_WAITING: usize = 1024;

/// Default for [`Settings::max_keys`].
pub const DEFAULT_MAX_KEYS: usize = 1024;

/// Default for [`Settings::stuck_after`]: 15 minutes. That is longer than an upstream may take for
/// its headers (600 s) or between two bytes (300 s), so that whoever hits it is not at work.
pub const DEFAULT_STUCK_AFTER: Duration = Duration::from_secs(15 * 60);

/// Which of the free keys is leased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Strategy {
    /// The one whose last lease began longest ago. The default.
    #[default]
    LeastRecentlyUsed,
    /// The first, in the order in which they were given.
    Failover,
    /// The one behind that of the last lease.
    RoundRobin,
    /// Any.
    Random,
}

/// Which keys are leased although they are cooling down, where all that a request could take are.
/// The one whose failure is the longest ago is taken, and none twice for the same request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Rescue {
    /// None: the request waits, and is answered with 503.
    Never,
    /// Those that cool down for a fault of the upstream: where it falters for all keys, leaving
    /// them alone would only make its outage longer. The default.
    #[default]
    Upstreams,
    /// Also those that were refused or are out of quota.
    Always,
}

/// What the pure part decides by.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    pub(super) strategy: Strategy,
    pub(super) max_in_flight: usize,
    pub(super) cooldown: Cooldown,
    pub(super) rescue: Rescue,
    pub(super) demote: bool,
    pub(super) stuck_after: Duration,
    pub(super) max_keys: usize,
}

/// How a [`KeyPool`](super::KeyPool) behaves.
#[derive(Clone)]
pub struct Settings {
    pub(super) rules: Rules,
    pub(super) name: Arc<str>,
    pub(super) wait: Duration,
    pub(super) max_waiting: usize,
    pub(super) store: Option<Arc<dyn KeyStore>>,
    pub(super) on_change: Option<Arc<OnChange>>,
}

type OnChange = dyn Fn(&str, &PoolChange) + Send + Sync;

impl Settings {
    /// The defaults, for a pool of this name: it is what the store and the hook are told.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Which of the free keys is leased. Default [`Strategy::LeastRecentlyUsed`].
    #[must_use]
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.rules.strategy = strategy;
        self
    }

    /// Most leases of one key at a time; 1 makes them exclusive, 0 counts as 1. Default: no limit.
    #[must_use]
    pub fn max_in_flight(mut self, leases: usize) -> Self {
        self.rules.max_in_flight = leases.max(1);
        self
    }

    /// When a key cools down, and for how long. Default [`Cooldown::default`].
    #[must_use]
    pub fn cooldown(mut self, cooldown: Cooldown) -> Self {
        self.rules.cooldown = cooldown;
        self
    }

    /// What happens when all keys cool down. Default [`Rescue::Upstreams`].
    #[must_use]
    pub fn rescue(mut self, rescue: Rescue) -> Self {
        self.rules.rescue = rescue;
        self
    }

    /// Whether a key that was out of quota is moved behind all others as soon as the same request
    /// has succeeded with another key. Default yes.
    #[must_use]
    pub fn demote(mut self, demote: bool) -> Self {
        self.rules.demote = demote;
        self
    }

    /// After how long without a sign of life a lease is taken back; it counts as a failure of the
    /// key if no answer had begun. A frame of the answer is a sign of life. Leases come back by themselves, also from
    /// requests that were given up: this is for answers that are kept somewhere and neither read
    /// nor dropped. Default [`DEFAULT_STUCK_AFTER`].
    #[must_use]
    pub fn stuck_after(mut self, silence: Duration) -> Self {
        self.rules.stuck_after = silence;
        self
    }

    /// How long a request waits for a key; then 503. Default [`DEFAULT_WAIT`].
    #[must_use]
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait.min(LONGEST);
        self
    }

    /// How many requests wait for a key at a time; a further one is answered with 503 at once.
    /// Default [`DEFAULT_MAX_WAITING`].
    #[must_use]
    pub fn max_waiting(mut self, requests: usize) -> Self {
        self.max_waiting = requests;
        self
    }

    /// Most keys. Default [`DEFAULT_MAX_KEYS`].
    #[must_use]
    pub fn max_keys(mut self, keys: usize) -> Self {
        self.rules.max_keys = keys;
        self
    }

    /// Where the states of keys are kept for the next pool of this name. Default nowhere.
    #[must_use]
    pub fn store(mut self, store: impl KeyStore + 'static) -> Self {
        self.store = Some(Arc::new(store));
        self
    }

    /// Tells the host, with the name of the pool, what has become of a key. Called while a request
    /// or a body is polled or dropped, outside of the pool's lock: it must not wait, nor panic: within a drop
    /// while a request panics, that aborts the process. Default nobody.
    #[must_use]
    pub fn on_change(mut self, hook: impl Fn(&str, &PoolChange) + Send + Sync + 'static) -> Self {
        self.on_change = Some(Arc::new(hook));
        self
    }
}

impl Default for Settings {
    fn default() -> Self {
        let rules = Rules {
            strategy: Strategy::default(),
            max_in_flight: usize::MAX,
            cooldown: Cooldown::default(),
            rescue: Rescue::default(),
            demote: true,
            stuck_after: DEFAULT_STUCK_AFTER,
            max_keys: DEFAULT_MAX_KEYS,
        };
        Self {
            rules,
            name: Arc::from(""),
            wait: DEFAULT_WAIT,
            max_waiting: DEFAULT_MAX_WAITING,
            store: None,
            on_change: None,
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("name", &self.name)
            .field("rules", &self.rules)
            .field("wait", &self.wait)
            .field("max_waiting", &self.max_waiting)
            .finish_non_exhaustive()
    }
}
