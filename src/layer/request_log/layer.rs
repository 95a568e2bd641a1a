use tower_layer::Layer;

use super::{DEFAULT_CAPACITY, RequestLog, RequestLogService, RequestLogWorker};
use crate::record::RecordLayer;
use crate::redact;
use crate::store::RequestLogStore;

/// Most bytes that are kept of a body until the worker shortens it: 256 KiB. Of a longer one only
/// the beginning is shown.
pub const MAX_BODY: usize = redact::DEFAULT_MAX_INPUT;

/// Writes down every request and every attempt. See the [module docs](super).
#[derive(Debug, Clone)]
pub struct RequestLogLayer {
    record: RecordLayer<RequestLog>,
}

impl RequestLogLayer {
    /// The layer, and the worker that the host spawns: without it nothing is written. At most
    /// [`DEFAULT_CAPACITY`] requests wait for it.
    pub fn new(store: impl RequestLogStore) -> (Self, RequestLogWorker) {
        Self::with_capacity(store, DEFAULT_CAPACITY)
    }

    /// As [`new`](Self::new), with at most so many requests that wait; 0 counts as 1.
    pub fn with_capacity(store: impl RequestLogStore, capacity: usize) -> (Self, RequestLogWorker) {
        let (log, worker) = RequestLog::with_capacity(store, capacity);
        (Self { record: RecordLayer::new(log) }, worker)
    }

    /// Keeps bodies too, both ways, as [`redact::body`] shows them: at most [`MAX_BODY`] of each
    /// until the worker has it. Default false: people's conversations are nobody's business.
    #[must_use]
    pub fn bodies(mut self, yes: bool) -> Self {
        self.record = self.record.bodies(if yes { MAX_BODY } else { 0 });
        self
    }

    /// The handle that tells how the writing goes, and the sink for a [`RecordLayer`] that has
    /// others too. The worker ends only when it is dropped, like the layer and its services.
    #[must_use]
    pub fn log(&self) -> RequestLog {
        self.record.sink().clone()
    }
}

impl<S> Layer<S> for RequestLogLayer {
    type Service = RequestLogService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        self.record.layer(inner)
    }
}
