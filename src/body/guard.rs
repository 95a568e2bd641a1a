use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

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
        Self { body, last_words: Some(last_words), border, ended: false }
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
        let frame = ready!(this.body.poll_frame(cx));
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
