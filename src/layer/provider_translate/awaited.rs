use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};

use super::answer::{self, Job, Reading};
use crate::body::{Collect, DecodeBody, KeepAlive};

/// The stream of a caller whose upstream answers in one piece, and slowly: it has begun, and shows
/// that it is alive until all is there.
#[derive(Debug)]
pub(super) struct Awaited<C> {
    /// `None` when the answer was written.
    waiting: Option<Box<Waiting<C>>>,
}

struct Waiting<C> {
    collect: Pin<Box<Collect<DecodeBody<C>>>>,
    job: Box<Job>,
    keep_alive: KeepAlive,
    ping: Bytes,
}

impl<C> fmt::Debug for Waiting<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").finish_non_exhaustive()
    }
}

impl<C> Awaited<C> {
    pub(super) fn new(
        collect: Pin<Box<Collect<DecodeBody<C>>>>,
        job: Box<Job>,
        interval: Duration,
        ping: Bytes,
    ) -> Self {
        let keep_alive = KeepAlive::new(interval);
        Self { waiting: Some(Box::new(Waiting { collect, job, keep_alive, ping })) }
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.waiting.is_none()
    }
}

impl<C: Body<Data = Bytes>> Awaited<C> {
    /// The next frame. The status has gone out, so what fails ends in the error event of the
    /// caller's protocol.
    pub(super) fn poll_frame<E>(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, E>>> {
        let Some(waiting) = &mut self.waiting else { return Poll::Ready(None) };
        let Waiting { collect, job, keep_alive, ping } = &mut **waiting;
        let Poll::Ready(collected) = collect.as_mut().poll(cx) else {
            return keep_alive.poll_silence(cx).map(|()| Some(Ok(Frame::data(ping.clone()))));
        };
        let stream = answer::stream_of(Reading::Json, collected, job);
        self.waiting = None;
        Poll::Ready(Some(Ok(Frame::data(stream))))
    }
}
