use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tower_layer::Layer;

use super::service::FirstEvent;
use crate::protocol::classify::{Classifier, Classify};

/// Default of [`FirstEventLayer::commit_after`]: 10 s.
pub const DEFAULT_COMMIT_AFTER: Duration = Duration::from_secs(10);

/// Default of [`FirstEventLayer::max_held_bytes`]: 64 KiB.
pub const DEFAULT_MAX_HELD_BYTES: usize = 64 << 10;

/// Default of [`FirstEventLayer::error_body_timeout`]: 10 s.
pub const DEFAULT_ERROR_BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Holds answers until they have begun well. See the [module docs](super).
#[derive(Debug, Clone)]
pub struct FirstEventLayer {
    config: Arc<Config>,
}

#[derive(Clone)]
pub(super) struct Config {
    pub(super) classify: Arc<dyn Classify>,
    pub(super) commit_after: Duration,
    pub(super) error_body_timeout: Duration,
    pub(super) max_held_bytes: usize,
}

impl FirstEventLayer {
    /// With the default [`Classifier`].
    #[must_use]
    pub fn new() -> Self {
        Self {
            config: Arc::new(Config {
                classify: Arc::new(Classifier::new()),
                commit_after: DEFAULT_COMMIT_AFTER,
                error_body_timeout: DEFAULT_ERROR_BODY_TIMEOUT,
                max_held_bytes: DEFAULT_MAX_HELD_BYTES,
            }),
        }
    }

    /// Who decides whose fault a failure is. Default [`Classifier::new`].
    #[must_use]
    pub fn classify_with(self, classify: Arc<dyn Classify>) -> Self {
        self.map(|config| config.classify = classify)
    }

    /// How long an answer without a meaningful event is held. Default [`DEFAULT_COMMIT_AFTER`].
    #[must_use]
    pub fn commit_after(self, time: Duration) -> Self {
        self.map(|config| config.commit_after = time)
    }

    /// How long the body of an error is waited for. Default [`DEFAULT_ERROR_BODY_TIMEOUT`].
    #[must_use]
    pub fn error_body_timeout(self, time: Duration) -> Self {
        self.map(|config| config.error_body_timeout = time)
    }

    /// How many bytes of an answer are read before it is passed on; the last frame may go beyond
    /// it. Default [`DEFAULT_MAX_HELD_BYTES`].
    #[must_use]
    pub fn max_held_bytes(self, bytes: usize) -> Self {
        self.map(|config| config.max_held_bytes = bytes)
    }

    fn map(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(Arc::make_mut(&mut self.config));
        self
    }
}

impl Default for FirstEventLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for FirstEventLayer {
    type Service = FirstEvent<S>;

    fn layer(&self, inner: S) -> Self::Service {
        FirstEvent::new(inner, Arc::clone(&self.config))
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("commit_after", &self.commit_after)
            .field("error_body_timeout", &self.error_body_timeout)
            .field("max_held_bytes", &self.max_held_bytes)
            .finish_non_exhaustive()
    }
}
