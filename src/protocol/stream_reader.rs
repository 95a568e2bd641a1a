//! What the readers of streams share: where their events go, and why they cannot read on.

use super::model::{ApiError, FaultKind, StreamEvent};

/// Takes the events of a stream.
pub(super) type Sink<'s> = &'s mut dyn FnMut(StreamEvent<'_>);

/// Why a stream cannot be read on.
#[derive(Debug)]
pub(super) struct Broken(pub(super) &'static str);

pub(super) type Step<T = ()> = Result<T, Broken>;

/// The error that a stream ends with which cannot be read on.
pub(super) fn broken(message: &'static str) -> ApiError<'static> {
    ApiError::new(FaultKind::Upstream, message)
}

/// The number of a candidate.
pub(super) fn number(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
