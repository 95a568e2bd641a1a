//! What is kept of a request that has ended: less than its record, which may hold bodies.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use crate::context::Principal;
use crate::pricing::Cost;
use crate::protocol::model::{FaultKind, Usage};
use crate::record::{Begun, Record};

#[derive(Debug, Clone)]
pub(super) struct Ended {
    pub(super) begun: Arc<Begun>,
    /// `error`, `cancelled` or `completed`.
    pub(super) outcome: &'static str,
    pub(super) status: Option<StatusCode>,
    pub(super) fault: Option<FaultKind>,
    pub(super) error: Option<Cow<'static, str>>,
    pub(super) headers: Option<Duration>,
    pub(super) first_event: Option<Duration>,
    pub(super) total: Duration,
    pub(super) model: Option<Arc<str>>,
    pub(super) principal: Option<Principal>,
    pub(super) attempts: usize,
    pub(super) input_tokens: Option<u64>,
    pub(super) output_tokens: Option<u64>,
    pub(super) cost: Option<Cost>,
}

/// A failed request and what its answer said.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) ended: Ended,
    pub(super) content: Option<Arc<str>>,
}

impl Ended {
    pub(super) fn of(record: &Record, cost: Option<Cost>) -> Self {
        Self {
            begun: record.begun.clone(),
            outcome: match record {
                _ if record.failed() => "error",
                _ if record.cancelled() => "cancelled",
                _ => "completed",
            },
            status: record.status,
            fault: record.fault,
            error: record.error.clone(),
            headers: record.headers,
            first_event: record.first_event,
            total: record.total,
            model: record.model.clone(),
            principal: record.principal.clone(),
            attempts: record.attempts.len(),
            input_tokens: record.usage.as_ref().map(Usage::input_total),
            output_tokens: record.usage.as_ref().map(Usage::output_total),
            cost,
        }
    }
}
