use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::Request;
use http::header::CONTENT_LENGTH;
use tower_layer::Layer;

use super::counters::Limits;
use super::gate::{Busy, Concurrency, Gate, Gates, KeyedGates};
use super::rate::{By, Hashes, Rate, Rates};
use super::service::Limit;
use crate::protocol::model::{ApiError, FaultKind};

/// What a request that found no permit is told to wait before it comes again.
pub const BUSY_RETRY_AFTER: Duration = Duration::from_secs(5);

/// Limits requests. See the [module docs](super).
#[derive(Debug, Clone, Default)]
pub struct LimitLayer {
    config: Arc<Config>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Config {
    gate: Option<Arc<Gate>>,
    principals: Option<Arc<KeyedGates>>,
    rates: Vec<Arc<Rates>>,
    pub(super) max_body_bytes: Option<u64>,
    hashes: Arc<Hashes>,
    pub(super) limits: Limits,
}

impl LimitLayer {
    /// Nothing is limited.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Limits how many requests run at once. Default: any number.
    #[must_use]
    pub fn concurrency(self, limit: Concurrency) -> Self {
        self.map(|config| config.gate = Some(Arc::new(Gate::new(limit))))
    }

    /// Limits how many requests of one principal run at once. Default: any number.
    #[must_use]
    pub fn concurrency_per_principal(self, limit: Concurrency) -> Self {
        self.map(|config| config.principals = Some(Arc::new(KeyedGates::new(limit))))
    }

    /// Limits how often requests come; may be given several times, and all hold. Default: no
    /// limit.
    #[must_use]
    pub fn rate(self, by: By, rate: Rate) -> Self {
        self.map(|config| config.rates.push(Arc::new(Rates::new(by, rate))))
    }

    /// Limits the bytes of a request body. Default: any number.
    #[must_use]
    pub fn max_body_bytes(self, bytes: u64) -> Self {
        self.map(|config| config.max_body_bytes = Some(bytes))
    }

    /// What this layer and its clones have done.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.config.limits.clone()
    }

    fn map(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(Arc::make_mut(&mut self.config));
        self
    }
}

impl<S> Layer<S> for LimitLayer {
    type Service = Limit<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Limit::new(inner, Arc::clone(&self.config))
    }
}

impl Config {
    /// Refuses what can be refused at once.
    pub(super) fn check<B>(&self, request: &Request<B>) -> Result<(), Box<ApiError<'static>>> {
        let length = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        let length = length.and_then(|length| length.parse().ok()).unwrap_or(0_u64);
        if self.max_body_bytes.is_some_and(|most| length > most) {
            return Err(Box::new(self.too_large()));
        }
        for rates in &self.rates {
            if let Err(wait) = rates.check(self.hashes.of(&rates.by, request)) {
                self.limits.0.rate.fetch_add(1, Ordering::Relaxed);
                let mut error = ApiError::new(FaultKind::RateLimit, "too many requests");
                error.retry_after = Some(wait);
                return Err(Box::new(error));
            }
        }
        Ok(())
    }

    pub(super) fn gates<B>(&self, request: &Request<B>) -> Gates {
        let own = self.principals.as_ref().map(|gates| gates.of(self.hashes.principal(request)));
        Gates([own, self.gate.clone()])
    }

    pub(super) fn too_large(&self) -> ApiError<'static> {
        self.limits.0.size.fetch_add(1, Ordering::Relaxed);
        ApiError::new(FaultKind::TooLarge, "the request body is too large")
    }

    pub(super) fn busy(&self, busy: Busy) -> ApiError<'static> {
        let (counter, message) = match busy {
            Busy::Full => (&self.limits.0.full, "too many requests are waiting for their turn"),
            Busy::Late => (&self.limits.0.late, "the request waited too long for its turn"),
        };
        counter.fetch_add(1, Ordering::Relaxed);
        let mut error = ApiError::new(FaultKind::Overloaded, message);
        error.retry_after = Some(BUSY_RETRY_AFTER);
        error
    }
}
