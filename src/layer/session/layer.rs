use std::fmt;
use std::sync::Arc;

use tower_layer::Layer;

use super::Session;
use super::history::{Limits, Overflow};
use crate::store::{MemorySessions, SessionStore};

/// Default for [`SessionLayer::max_items`].
pub const DEFAULT_MAX_ITEMS: usize = 100;

/// Default for [`SessionLayer::max_tokens`].
pub const DEFAULT_MAX_TOKENS: usize = 100_000;

/// Default for [`SessionLayer::max_request_bytes`]: 50 MiB.
pub const DEFAULT_MAX_REQUEST_BYTES: usize = 50 << 20;

/// Default for [`SessionLayer::max_response_bytes`]: 32 MiB.
pub const DEFAULT_MAX_RESPONSE_BYTES: usize = 32 << 20;

/// Keeps the conversations of Responses. See the [module docs](super).
#[derive(Debug, Clone)]
pub struct SessionLayer {
    config: Arc<Config>,
}

#[derive(Clone)]
pub(super) struct Config {
    pub(super) store: Arc<dyn SessionStore>,
    pub(super) limits: Limits,
    pub(super) max_request_bytes: usize,
    pub(super) max_response_bytes: usize,
    pub(super) passthrough: bool,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("limits", &self.limits)
            .field("max_request_bytes", &self.max_request_bytes)
            .field("max_response_bytes", &self.max_response_bytes)
            .field("passthrough", &self.passthrough)
            .finish_non_exhaustive()
    }
}

impl SessionLayer {
    /// Keeps conversations in memory: [`MemorySessions`] with its defaults, 24 hours among them.
    #[must_use]
    pub fn new() -> Self {
        Self::with_store(Arc::new(MemorySessions::new()))
    }

    /// Keeps conversations there.
    #[must_use]
    pub fn with_store(store: Arc<dyn SessionStore>) -> Self {
        let limits = Limits {
            items: DEFAULT_MAX_ITEMS,
            tokens: DEFAULT_MAX_TOKENS,
            overflow: Overflow::default(),
        };
        let config = Config {
            store,
            limits,
            max_request_bytes: DEFAULT_MAX_REQUEST_BYTES,
            max_response_bytes: DEFAULT_MAX_RESPONSE_BYTES,
            passthrough: false,
        };
        Self { config: Arc::new(config) }
    }

    /// Most items of a history: messages, calls, results, thinking. Default
    /// [`DEFAULT_MAX_ITEMS`].
    #[must_use]
    pub fn max_items(self, items: usize) -> Self {
        self.map(|config| config.limits.items = items)
    }

    /// Most tokens of a history, counted as a quarter of its bytes. Default
    /// [`DEFAULT_MAX_TOKENS`].
    #[must_use]
    pub fn max_tokens(self, tokens: usize) -> Self {
        self.map(|config| config.limits.tokens = tokens)
    }

    /// What becomes of a conversation that is longer, or whose beginning the store has forgotten.
    /// Default [`Overflow::TrimOldest`].
    #[must_use]
    pub fn overflow(self, overflow: Overflow) -> Self {
        self.map(|config| config.limits.overflow = overflow)
    }

    /// Most bytes of a request; beyond it 413. Default [`DEFAULT_MAX_REQUEST_BYTES`].
    #[must_use]
    pub fn max_request_bytes(self, bytes: usize) -> Self {
        self.map(|config| config.max_request_bytes = bytes)
    }

    /// Most bytes of an answer that is to be kept and is no stream; beyond it 502. Default
    /// [`DEFAULT_MAX_RESPONSE_BYTES`].
    #[must_use]
    pub fn max_response_bytes(self, bytes: usize) -> Self {
        self.map(|config| config.max_response_bytes = bytes)
    }

    /// Leaves all of it to the upstream. Right only where there is one, it speaks Responses, and
    /// keeps answers itself.
    #[must_use]
    pub fn passthrough(self) -> Self {
        self.map(|config| config.passthrough = true)
    }

    fn map(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(Arc::make_mut(&mut self.config));
        self
    }
}

impl Default for SessionLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for SessionLayer {
    type Service = Session<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Session::new(inner, Arc::clone(&self.config))
    }
}
