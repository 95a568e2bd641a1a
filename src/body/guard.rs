use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::keep_alive::KeepAlive;

pin_project! {
    /// An event stream that passes as it is, and says so when it breaks.
    ///
    /// When the inner body fails at the border of two events, one last event takes the place of
    /// the failure, so that the reader learns in its own protocol what happened. Inside an event
    /// nothing can be said: the body fails as the inner one did. No byte is changed.
    #[derive(Debug)]
    pub struct GuardBody<B> {
        #[pin]
        body: B,
        last_words: Option<Bytes>,
        border: Border,
        ended: bool,
        keep_alive: Option<(KeepAlive, Bytes)>,
    }
}

/// Whether the bytes so far end with an empty line.
#[derive(Debug, Clone, Copy)]
struct Border {
    last: [u8; 4],
}

impl Border {
    fn push(&mut self, data: &[u8]) {
        let keep = data.len().min(self.last.len());
        self.last.rotate_left(keep);
        let at = self.last.len() - keep;
        self.last[at..].copy_from_slice(&data[data.len() - keep..]);
    }

    fn holds(self) -> bool {
        let last = &self.last;
        last.ends_with(b"\n\n") || last == b"\r\n\r\n" || last.ends_with(b"\r\r")
    }
}

impl<B> GuardBody<B> {
    /// Guards `body`; `last_words` is one whole event.
    #[must_use]
    pub fn new(body: B, last_words: Bytes) -> Self {
        // Before the first byte is a border too.
        let border = Border { last: *b"\n\n\n\n" };
        Self { body, last_words: Some(last_words), border, ended: false, keep_alive: None }
    }

    /// Sends `event`, a whole event or comment, between two events whenever nothing was sent for
    /// so long. Default never. Needs a tokio runtime with its timer.
    #[must_use]
    pub fn keep_alive(mut self, interval: Duration, event: Bytes) -> Self {
        self.keep_alive = Some((KeepAlive::new(interval), event));
        self
    }
}

impl<B: Body<Data = Bytes>> Body for GuardBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        if *this.ended {
            return Poll::Ready(None);
        }
        let Poll::Ready(frame) = this.body.poll_frame(cx) else {
            let Some((keep_alive, event)) = this.keep_alive else { return Poll::Pending };
            loop {
                ready!(keep_alive.poll_silence(cx));
                if this.border.holds() {
                    return Poll::Ready(Some(Ok(Frame::data(event.clone()))));
                }
            }
        };
        if let Some((keep_alive, _)) = this.keep_alive {
            keep_alive.sent();
        }
        match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    this.border.push(data);
                }
            }
            Some(Err(_)) => {
                *this.ended = true;
                if let Some(words) = this.last_words.take().filter(|_| this.border.holds()) {
                    return Poll::Ready(Some(Ok(Frame::data(words))));
                }
            }
            None => *this.ended = true,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // Last words may come on top of what the inner body expects.
        let mut hint = SizeHint::new();
        hint.set_lower(if self.ended { 0 } else { self.body.size_hint().lower() });
        hint
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_helpers::{Frames, Step, step};

    fn guarded(script: impl IntoIterator<Item = Step>) -> GuardBody<Frames> {
        let interval = Duration::from_secs(15);
        GuardBody::new(Frames::new(script), Bytes::from_static(b"broken"))
            .keep_alive(interval, Bytes::from_static(b": ping\n\n"))
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_broken_only_between_events() {
        let script: [Step; 5] =
            ["data: a\n\n".into(), Step::Pending, "data:".into(), Step::Pending, " b\n\n".into()];
        let mut body = guarded(script);
        assert_eq!(step(&mut body), Some("data: a\n\n".into()));
        assert_eq!(step(&mut body), Some(Step::Pending));
        tokio::time::advance(Duration::from_secs(16)).await;
        assert_eq!(step(&mut body), Some("data:".into()), "what comes goes first");
        assert_eq!(step(&mut body), Some(Step::Pending));
        tokio::time::advance(Duration::from_secs(40)).await;
        assert_eq!(step(&mut body), Some(" b\n\n".into()));
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_that_is_cut_is_not_cut_by_us() {
        let pending = || (0..50).map(|_| Step::Pending);
        let mut between = guarded([Step::from("data: a\n\n")].into_iter().chain(pending()));
        let mut inside = guarded([Step::from("data: a")].into_iter().chain(pending()));
        for body in [&mut between, &mut inside] {
            assert!(step(body).is_some());
            assert_eq!(step(body), Some(Step::Pending));
        }
        tokio::time::advance(Duration::from_secs(16)).await;
        assert_eq!(step(&mut between), Some(": ping\n\n".into()));
        assert_eq!(step(&mut between), Some(Step::Pending), "once in an interval");
        assert_eq!(step(&mut inside), Some(Step::Pending));
        tokio::time::advance(Duration::from_secs(16)).await;
        assert_eq!(step(&mut between), Some(": ping\n\n".into()));
    }
}
