use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::keep_alive::KeepAlive;
use crate::protocol::Protocol;
use crate::protocol::scan::Observer;

/// How much of the end of a stream is kept to see whether it says that it is the end: 4 KiB.
const MAX_TAIL: usize = 4 << 10;

pin_project! {
    /// An event stream that passes as it is, and says so when it breaks.
    ///
    /// When the inner body fails at the border of two events, one last event takes the place of
    /// the failure, so that the reader learns in its own protocol what happened. Inside an event
    /// nothing can be said: the body fails as the inner one did. No byte is changed.
    ///
    /// A body that [must say its end](GuardBody::must_end) and is over before gets that event too,
    /// inside an event behind an empty line: there is no failure that could be handed on.
    #[derive(Debug)]
    pub struct GuardBody<B> {
        #[pin]
        body: B,
        last_words: Option<Bytes>,
        border: Border,
        tail: Option<Tail>,
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

/// The end of what has come so far.
struct Tail {
    protocol: Protocol,
    bytes: Vec<u8>,
    /// It is the whole stream.
    whole: bool,
}

impl fmt::Debug for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tail")
            .field("protocol", &self.protocol)
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

impl Tail {
    fn push(&mut self, data: &[u8]) {
        let over = (self.bytes.len() + data.len()).saturating_sub(MAX_TAIL);
        self.whole &= over == 0;
        self.bytes.drain(..over.min(self.bytes.len()));
        self.bytes.extend_from_slice(&data[data.len().saturating_sub(MAX_TAIL)..]);
    }

    /// Whether the stream would be cut if it ended now. Not where the last whole event is larger
    /// than what is kept of it.
    fn is_cut(&self) -> bool {
        let first = if self.whole { Some(0) } else { first_border(&self.bytes) };
        let Some(events) = first.and_then(|first| self.bytes.get(first..)) else { return false };
        let mut scan = Observer::events(self.protocol);
        scan.push(events);
        scan.finish();
        !events.is_empty() && !scan.is_complete() && scan.observed().error.is_none()
    }
}

/// Where the second event of a piece of a stream begins.
fn first_border(bytes: &[u8]) -> Option<usize> {
    let ends = |mark: &[u8]| memchr::memmem::find(bytes, mark).map(|at| at + mark.len());
    [&b"\n\n"[..], b"\r\n\r\n", b"\r\r"].into_iter().filter_map(ends).min()
}

impl<B> GuardBody<B> {
    /// Guards `body`; `last_words` is one whole event.
    #[must_use]
    pub fn new(body: B, last_words: Bytes) -> Self {
        // Before the first byte is a border too.
        let border = Border { last: *b"\n\n\n\n" };
        let last_words = Some(last_words);
        Self { body, last_words, border, tail: None, ended: false, keep_alive: None }
    }

    /// The stream is one of this protocol, which says its end in its last events. Default: any end
    /// is taken for one.
    #[must_use]
    pub fn must_end(mut self, protocol: Protocol) -> Self {
        self.tail = Some(Tail { protocol, bytes: Vec::new(), whole: true });
        self
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
                    if let Some(tail) = this.tail {
                        tail.push(data);
                    }
                }
            }
            Some(Err(_)) => {
                *this.ended = true;
                if let Some(words) = this.last_words.take().filter(|_| this.border.holds()) {
                    return Poll::Ready(Some(Ok(Frame::data(words))));
                }
            }
            None => {
                *this.ended = true;
                let cut = this.tail.as_ref().is_some_and(Tail::is_cut);
                if let Some(words) = this.last_words.take().filter(|_| cut) {
                    let words = if this.border.holds() { words } else { apart(&words) };
                    return Poll::Ready(Some(Ok(Frame::data(words))));
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        let cut = || self.tail.as_ref().is_some_and(Tail::is_cut);
        self.ended || (self.body.is_end_stream() && !cut())
    }

    fn size_hint(&self) -> SizeHint {
        // Last words may come on top of what the inner body expects.
        let mut hint = SizeHint::new();
        hint.set_lower(if self.ended { 0 } else { self.body.size_hint().lower() });
        hint
    }
}

/// An event, apart from what stands before it.
fn apart(event: &[u8]) -> Bytes {
    [b"\n\n", event].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_helpers::{Frames, Step, step, steps};

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

    #[test]
    fn a_stream_that_is_over_before_its_end_says_so() {
        let start = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
        let stop = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
        let error = "data: {\"error\":{\"message\":\"no\"}}\n\n";
        let long = format!("data: {{\"choices\":[],\"x\":\"{}\"}}\n\n", "x".repeat(MAX_TAIL));
        let long: &'static str = long.leak();
        let half = "data: {\"choi";
        for (pieces, added) in [
            (vec![start], Some("broken")),
            (vec![start, half], Some("\n\nbroken")),
            (vec![start, "data: [DONE]\n\n"], None),
            (vec![start, stop], None),
            (vec![start, error], None),
            (vec![stop, "data: [DO", "NE]\n\n"], None),
            (vec![long, start], Some("broken")),
            // What is larger than the tail may be the end.
            (vec![start, long], None),
            (vec![], None),
        ] {
            let script = || pieces.iter().map(|piece| Step::from(*piece));
            let guard = GuardBody::new(Frames::new(script()), Bytes::from_static(b"broken"));
            let mut guard = guard.must_end(Protocol::OpenAiChat);
            let expected: Vec<Step> = script().chain(added.map(Step::from)).collect();
            assert_eq!(steps(&mut guard), expected, "{pieces:?}");
            assert!(guard.is_end_stream(), "{pieces:?}");
            let mut plain = GuardBody::new(Frames::new(script()), Bytes::from_static(b"broken"));
            assert_eq!(steps(&mut plain), script().collect::<Vec<_>>(), "{pieces:?}");
        }
    }

    #[test]
    fn debug_shows_lengths_only() {
        let tail = Tail { protocol: Protocol::Gemini, bytes: b"canary".to_vec(), whole: true };
        assert_eq!(format!("{tail:?}"), "Tail { protocol: Gemini, bytes: 6, .. }");
    }
}
