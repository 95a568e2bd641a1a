use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tower::retry::budget;
use tower_layer::Layer;

use super::budget::Budget;
use super::hedge::{Hedge, Latencies};
use super::policy::Backoff;
use super::service::Failover;
use crate::context::MAX_ATTEMPTS;

/// Default for [`FailoverLayer::max_attempts`].
pub const DEFAULT_MAX_ATTEMPTS: usize = 3;

/// Default for [`FailoverLayer::max_replay`]: 8 MiB.
pub const DEFAULT_MAX_REPLAY: usize = 8 << 20;

/// Default for [`FailoverLayer::deadline`]: 15 minutes. Longer than an upstream may take for its
/// headers (ten minutes by default), so that one that hangs leaves time for another.
pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(900);

/// Default for [`FailoverLayer::max_body_bytes`]: 50 MiB.
pub const DEFAULT_MAX_BODY_BYTES: usize = 50 << 20;

/// Repeats failed requests. See the [module docs](super).
#[derive(Debug, Clone)]
pub struct FailoverLayer {
    config: Arc<Config>,
}

/// What the caller is told when every attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Terminal {
    /// The most telling answer of an upstream, as it is; where none answered, 503 with the names
    /// of the channels and how each failed. The default.
    #[default]
    Upstream,
    /// Always the same 503, which tells nothing of the upstreams.
    Generic,
}

#[derive(Debug, Clone)]
pub(super) struct Config {
    pub(super) max_attempts: usize,
    pub(super) max_replay: usize,
    pub(super) max_body_bytes: usize,
    pub(super) deadline: Option<Duration>,
    pub(super) backoff: Option<Backoff>,
    pub(super) terminal: Terminal,
    /// Of all requests together; clones of the layer share it.
    pub(super) budget: Option<Arc<Budget>>,
    pub(super) latencies: Option<Arc<Latencies>>,
}

impl FailoverLayer {
    /// Three attempts, a budget of one repeat for each request, no hedging.
    #[must_use]
    pub fn new() -> Self {
        let config = Config {
            max_attempts: DEFAULT_MAX_ATTEMPTS,
            max_replay: DEFAULT_MAX_REPLAY,
            max_body_bytes: DEFAULT_MAX_BODY_BYTES,
            deadline: Some(DEFAULT_DEADLINE),
            backoff: None,
            terminal: Terminal::default(),
            budget: Some(Arc::default()),
            latencies: None,
        };
        Self { config: Arc::new(config) }
    }

    /// Most attempts for one request, the first and hedges included: from 1 to
    /// [`MAX_ATTEMPTS`]. Default [`DEFAULT_MAX_ATTEMPTS`].
    #[must_use]
    pub fn max_attempts(self, attempts: usize) -> Self {
        self.map(|config| config.max_attempts = attempts.clamp(1, MAX_ATTEMPTS))
    }

    /// Most bytes of a request body that are kept for a repeat. A larger one has one attempt, and
    /// streams on with what was read of it. Default [`DEFAULT_MAX_REPLAY`].
    #[must_use]
    pub fn max_replay(self, bytes: usize) -> Self {
        self.map(|config| config.max_replay = bytes)
    }

    /// Most bytes of a request body whose model must be known, because the caller may not use every
    /// model and nobody outside has looked; beyond it 413. Default [`DEFAULT_MAX_BODY_BYTES`].
    #[must_use]
    pub fn max_body_bytes(self, bytes: usize) -> Self {
        self.map(|config| config.max_body_bytes = bytes)
    }

    /// Time from the whole request to the commit point, over all attempts; what is on its way then
    /// is dropped, and has timed out if it had at least its share of the time, which is the same
    /// for each of [`max_attempts`](Self::max_attempts). `None` for no limit. Default
    /// [`DEFAULT_DEADLINE`].
    #[must_use]
    pub fn deadline(self, deadline: impl Into<Option<Duration>>) -> Self {
        let deadline = deadline.into();
        self.map(|config| config.deadline = deadline)
    }

    /// Asks the same upstream again after a pause, where there is no other and the fault may pass.
    /// Default: the caller gets the answer at once.
    #[must_use]
    pub fn backoff(self, backoff: Backoff) -> Self {
        self.map(|config| config.backoff = Some(backoff))
    }

    /// What all requests together may repeat. Default a
    /// [`TpsBudget`](tower::retry::budget::TpsBudget) of [`BUDGET_RATIO`](super::BUDGET_RATIO) and
    /// [`BUDGET_PER_SECOND`](super::BUDGET_PER_SECOND) in a window of
    /// [`BUDGET_WINDOW`](super::BUDGET_WINDOW): an outage at most doubles the traffic.
    #[must_use]
    pub fn budget(self, budget: impl budget::Budget + Send + Sync + 'static) -> Self {
        self.map(|config| config.budget = Some(Arc::new(Budget::new(budget))))
    }

    /// Repeats without a budget.
    #[must_use]
    pub fn no_budget(self) -> Self {
        self.map(|config| config.budget = None)
    }

    /// Starts a second attempt beside a slow one. Default never.
    #[must_use]
    pub fn hedge(self, hedge: Hedge) -> Self {
        let latencies = Latencies::new(hedge, Instant::now());
        self.map(|config| config.latencies = Some(Arc::new(latencies)))
    }

    /// What the caller is told when every attempt failed. Default [`Terminal::Upstream`].
    #[must_use]
    pub fn terminal(self, terminal: Terminal) -> Self {
        self.map(|config| config.terminal = terminal)
    }

    fn map(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(Arc::make_mut(&mut self.config));
        self
    }
}

impl Default for FailoverLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for FailoverLayer {
    type Service = Failover<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Failover::new(inner, Arc::clone(&self.config))
    }
}
