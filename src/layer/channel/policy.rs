//! What is the same for all channels.

use std::time::Duration;

/// Default for [`Policy::window`].
pub const DEFAULT_WINDOW: usize = 10;

/// Largest [`Policy::window`].
pub const MAX_WINDOW: usize = 1000;

/// Fewest results by which a channel is judged; half of the window where that is more.
pub const MIN_SAMPLES: usize = 3;

/// Default for [`Policy::threshold`].
pub const DEFAULT_THRESHOLD: f64 = 0.5;

/// Default for [`Policy::recovery`]: 15 minutes.
pub const DEFAULT_RECOVERY: Duration = Duration::from_secs(15 * 60);

/// Default for [`Policy::affinity_ttl`]: 30 minutes.
pub const DEFAULT_AFFINITY_TTL: Duration = Duration::from_secs(30 * 60);

/// Default for [`Policy::max_affinities`].
pub const DEFAULT_MAX_AFFINITIES: usize = 10_000;

/// How a channel is chosen where neither a promotion nor an affinity decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Strategy {
    /// The first one by priority. The default.
    #[default]
    Priority,
    /// At random, by weight.
    Weighted,
    /// The faster and less busy one of two at random: by the time to the head of their answers,
    /// of which slow ones are remembered for some seconds, times the requests under way.
    LeastLatency,
    /// One after the other.
    RoundRobin,
}

/// How channels are chosen and judged.
///
/// ```
/// use std::time::Duration;
/// use tower_llm_gateway::layer::channel::{Policy, Strategy};
///
/// let policy = Policy::default().strategy(Strategy::Weighted).recovery(Duration::from_secs(60));
/// assert_eq!(policy.min_samples(), 5);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    pub(super) strategy: Strategy,
    pub(super) window: usize,
    pub(super) threshold: f64,
    pub(super) recovery: Duration,
    pub(super) affinity_ttl: Duration,
    pub(super) max_affinities: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            strategy: Strategy::default(),
            window: DEFAULT_WINDOW,
            threshold: DEFAULT_THRESHOLD,
            recovery: DEFAULT_RECOVERY,
            affinity_ttl: DEFAULT_AFFINITY_TTL,
            max_affinities: DEFAULT_MAX_AFFINITIES,
        }
    }
}

impl Policy {
    /// How a channel is chosen where neither a promotion nor an affinity decides.
    #[must_use]
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.strategy = strategy;
        self
    }

    /// By how many of its last results a channel is judged, 3 to [`MAX_WINDOW`]. Default
    /// [`DEFAULT_WINDOW`].
    #[must_use]
    pub fn window(mut self, results: usize) -> Self {
        self.window = results.clamp(MIN_SAMPLES, MAX_WINDOW);
        self
    }

    /// From which part of failures on a channel is left alone, 0 to 1. Default
    /// [`DEFAULT_THRESHOLD`].
    #[must_use]
    pub fn threshold(mut self, part: f64) -> Self {
        self.threshold = part;
        self
    }

    /// For how long it is left alone. Default [`DEFAULT_RECOVERY`].
    #[must_use]
    pub fn recovery(mut self, time: Duration) -> Self {
        self.recovery = time;
        self
    }

    /// How long a conversation stays with its channel after its last success; zero for no
    /// affinity at all. Default [`DEFAULT_AFFINITY_TTL`].
    #[must_use]
    pub fn affinity_ttl(mut self, ttl: Duration) -> Self {
        self.affinity_ttl = ttl;
        self
    }

    /// Most conversations whose channel is remembered; the one without success for longest goes
    /// first. Default [`DEFAULT_MAX_AFFINITIES`].
    #[must_use]
    pub fn max_affinities(mut self, conversations: usize) -> Self {
        self.max_affinities = conversations;
        self
    }

    /// Fewest results by which a channel is judged.
    #[must_use]
    pub fn min_samples(&self) -> usize {
        MIN_SAMPLES.max(self.window / 2)
    }

    pub(super) fn has_affinity(&self) -> bool {
        !self.affinity_ttl.is_zero() && self.max_affinities > 0
    }
}
