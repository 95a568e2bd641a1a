use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

use super::transport_error;
use crate::error::{BoxError, Phase, TransportError, TransportKind};

pin_project! {
    /// A body that fails when it says nothing for too long.
    ///
    /// Only the time in which a reader waits counts, so that a slow reader is not taken for a
    /// silent upstream. Each frame starts it anew. All else passes as it is.
    pub struct IdleTimeoutBody<B> {
        #[pin]
        inner: B,
        idle: Duration,
        // Made at the first wait, and boxed so that the body stays `Unpin`.
        timer: Option<Pin<Box<Sleep>>>,
        waiting: bool,
        failed: bool,
    }
}

impl<B> IdleTimeoutBody<B> {
    /// Fails after so long a silence; never with [`Duration::MAX`].
    #[must_use]
    pub fn new(inner: B, idle: Duration) -> Self {
        Self { inner, idle, timer: None, waiting: false, failed: false }
    }
}

impl<B> Body for IdleTimeoutBody<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Data = B::Data;
    type Error = TransportError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, TransportError>>> {
        let this = self.project();
        if *this.failed {
            return Poll::Ready(None);
        }
        if let Poll::Ready(frame) = this.inner.poll_frame(cx) {
            *this.waiting = false;
            return Poll::Ready(frame.map(|frame| frame.map_err(transport_error)));
        }
        if !*this.waiting {
            let Some(deadline) = Instant::now().checked_add(*this.idle) else {
                return Poll::Pending;
            };
            match this.timer {
                Some(timer) => timer.as_mut().reset(deadline),
                None => *this.timer = Some(Box::pin(sleep_until(deadline))),
            }
            *this.waiting = true;
        }
        if let Some(timer) = this.timer {
            ready!(timer.as_mut().poll(cx));
        }
        *this.failed = true;
        Poll::Ready(Some(Err(TransportError::new(TransportKind::Timeout(Phase::Idle)))))
    }

    fn is_end_stream(&self) -> bool {
        self.failed || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<B> fmt::Debug for IdleTimeoutBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdleTimeoutBody").field("idle", &self.idle).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderMap;
    use http_body_util::{BodyExt, Full};
    use tokio::sync::mpsc;

    use super::*;

    /// Frames from a channel.
    struct Fed(mpsc::Receiver<Frame<Bytes>>);

    impl Body for Fed {
        type Data = Bytes;
        type Error = BoxError;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            self.0.poll_recv(cx).map(|frame| frame.map(Ok))
        }
    }

    const IDLE: Duration = Duration::from_secs(300);

    fn fed() -> (mpsc::Sender<Frame<Bytes>>, IdleTimeoutBody<Fed>) {
        let (sender, receiver) = mpsc::channel(4);
        (sender, IdleTimeoutBody::new(Fed(receiver), IDLE))
    }

    fn data() -> Frame<Bytes> {
        Frame::data(Bytes::from_static(b"x"))
    }

    #[tokio::test(start_paused = true)]
    async fn silence_fails_once_and_each_frame_starts_anew() {
        let (sender, mut body) = fed();
        for _ in 0..3 {
            let mut frame = tokio_test::task::spawn(body.frame());
            tokio_test::assert_pending!(frame.poll());
            tokio::time::advance(IDLE - Duration::from_secs(1)).await;
            tokio_test::assert_pending!(frame.poll());
            sender.send(data()).await.unwrap();
            assert!(tokio_test::assert_ready!(frame.poll()).unwrap().unwrap().is_data());
        }
        let start = Instant::now();
        let error = body.frame().await.unwrap().unwrap_err();
        assert_eq!(error.kind(), TransportKind::Timeout(Phase::Idle));
        assert_eq!(start.elapsed(), IDLE);
        assert!(body.is_end_stream());
        assert!(body.frame().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_is_no_silence() {
        let (sender, mut body) = fed();
        sender.send(data()).await.unwrap();
        body.frame().await.unwrap().unwrap();
        tokio::time::advance(IDLE * 2).await;
        let mut frame = tokio_test::task::spawn(body.frame());
        tokio_test::assert_pending!(frame.poll());
    }

    #[tokio::test(start_paused = true)]
    async fn all_else_passes() {
        let (sender, mut body) = fed();
        sender.send(Frame::trailers(HeaderMap::new())).await.unwrap();
        drop(sender);
        assert!(body.frame().await.unwrap().unwrap().is_trailers());
        assert!(body.frame().await.is_none());

        let full = IdleTimeoutBody::new(Full::new(Bytes::from_static(b"hello")), IDLE);
        assert_eq!(full.size_hint().exact(), Some(5));
        assert!(!full.is_end_stream());
        assert!(IdleTimeoutBody::new(Full::<Bytes>::default(), IDLE).is_end_stream());

        let (sender, receiver) = mpsc::channel(1);
        let mut endless = IdleTimeoutBody::new(Fed(receiver), Duration::MAX);
        tokio_test::assert_pending!(tokio_test::task::spawn(endless.frame()).poll());
        drop(sender);
    }
}
