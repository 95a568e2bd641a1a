use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tower_layer::Layer;

use super::{Clock, MAX_ERROR_BODY, RecordService, Sink};

/// Most bytes that are kept of a body where [`RecordLayer::bodies`] asks for it.
pub const MAX_CAPTURED_BODY: usize = 1 << 20;

/// Tells a [`Sink`] of every request. See the [module docs](super).
pub struct RecordLayer<K> {
    shared: Arc<Shared<K>>,
    keep: Keep,
}

/// What all services of one layer share.
pub(super) struct Shared<K> {
    pub(super) sink: K,
    pub(super) clock: Clock,
    pub(super) next_number: AtomicU64,
}

/// How much is kept of bodies, in bytes; nothing at 0.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Keep {
    pub(super) errors: usize,
    pub(super) bodies: usize,
}

impl<K: Sink> RecordLayer<K> {
    /// Tells `sink`, by the system's clock.
    #[must_use]
    pub fn new(sink: K) -> Self {
        Self::with_clock(sink, Clock::system())
    }

    /// As [`new`](Self::new) with another clock.
    #[must_use]
    pub fn with_clock(sink: K, clock: Clock) -> Self {
        let shared = Shared { sink, clock, next_number: AtomicU64::new(1) };
        Self { shared: Arc::new(shared), keep: Keep::default() }
    }
}

impl<K> RecordLayer<K> {
    /// Keeps the beginning of the bodies of error answers as text, up to [`MAX_ERROR_BODY`] each.
    /// Default false: an upstream may repeat in them what it was asked, and part of the key it was
    /// given.
    #[must_use]
    pub fn error_bodies(mut self, yes: bool) -> Self {
        self.keep.errors = if yes { MAX_ERROR_BODY } else { 0 };
        self
    }

    /// Keeps the beginning of all bodies, both ways: that many bytes of each, at most
    /// [`MAX_CAPTURED_BODY`]. Default 0: none. They are not redacted.
    #[must_use]
    pub fn bodies(mut self, bytes: usize) -> Self {
        self.keep.bodies = bytes.min(MAX_CAPTURED_BODY);
        self
    }

    /// Whoever is told.
    #[must_use]
    pub fn sink(&self) -> &K {
        &self.shared.sink
    }
}

// Not derived: the sink is shared, not cloned.
impl<K> Clone for RecordLayer<K> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), keep: self.keep }
    }
}

impl<K> fmt::Debug for RecordLayer<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordLayer").field("keep", &self.keep).finish_non_exhaustive()
    }
}

impl<S, K> Layer<S> for RecordLayer<K> {
    type Service = RecordService<S, K>;

    fn layer(&self, inner: S) -> Self::Service {
        RecordService::new(inner, self.shared.clone(), self.keep)
    }
}
