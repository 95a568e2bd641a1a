use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::counters::Counted;
use super::gate::Permits;
use crate::BoxError;
use crate::body::{BodyEnd, Observe, ObserveBody, RewriteBody};

/// An answer, and the permits that end with it.
pub type ResponseBody<B> = ObserveBody<RewriteBody<B>, Held>;

/// Permits of a request. They are free again when this is dropped.
#[derive(Debug)]
pub struct Held {
    pub(super) _permits: Permits,
    pub(super) _in_flight: Counted,
}

impl Observe for Held {
    fn data(&mut self, _data: &Bytes) {}

    fn end(&mut self, _end: BodyEnd) {}
}

pin_project! {
    /// A request body that fails beyond a limit.
    #[derive(Debug)]
    pub struct LimitedBody<B> {
        #[pin]
        body: B,
        limit: Option<Limit>,
    }
}

#[derive(Debug)]
struct Limit {
    left: u64,
    exceeded: Exceeded,
}

/// Whether a body was found too large on its way.
#[derive(Debug, Clone, Default)]
pub(super) struct Exceeded(Arc<AtomicBool>);

impl Exceeded {
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The request body is larger than the limit.
#[derive(Debug, Clone, Copy)]
struct TooLarge;

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("request body is larger than the limit")
    }
}

impl std::error::Error for TooLarge {}

impl<B> LimitedBody<B> {
    pub(super) fn unlimited(body: B) -> Self {
        Self { body, limit: None }
    }

    pub(super) fn new(body: B, bytes: u64, exceeded: Exceeded) -> Self {
        Self { body, limit: Some(Limit { left: bytes, exceeded }) }
    }
}

impl<B: Body<Data = Bytes, Error: Into<BoxError>>> Body for LimitedBody<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        let frame = ready!(this.body.poll_frame(cx)).transpose().map_err(Into::into)?;
        if let (Some(frame), Some(limit)) = (&frame, this.limit) {
            let length = frame.data_ref().map_or(0, |data| data.len() as u64);
            let Some(left) = limit.left.checked_sub(length) else {
                limit.left = 0;
                limit.exceeded.0.store(true, Ordering::Relaxed);
                return Poll::Ready(Some(Err(TooLarge.into())));
            };
            limit.left = left;
        }
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
