use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame};
use pin_project_lite::pin_project;

use super::keep_alive::KeepAlive;
use crate::protocol::Transcode;

pin_project! {
    /// A body that becomes another one as it is read.
    ///
    /// One frame of the inner body becomes one frame at most, and never waits for the next.
    /// Trailers are passed on at the end.
    ///
    /// The status has been sent when an inner body fails, so the failure becomes what
    /// [`Transcode::abort`] writes and then a regular end: this body itself never fails. The inner
    /// body is dropped when nothing more is wanted of it, also before its end, which cancels the
    /// upstream.
    ///
    /// ```
    /// use bytes::{Bytes, BytesMut};
    /// use http_body_util::{BodyExt, Full};
    /// use tower_llm_gateway::body::TranscodeBody;
    /// use tower_llm_gateway::protocol::Transcode;
    ///
    /// struct Upper;
    ///
    /// impl Transcode for Upper {
    ///     fn push(&mut self, input: &[u8], out: &mut BytesMut) {
    ///         out.extend_from_slice(&input.to_ascii_uppercase());
    ///     }
    ///     fn finish(&mut self, out: &mut BytesMut) {
    ///         out.extend_from_slice(b"!");
    ///     }
    ///     fn abort(&mut self, _: &mut BytesMut) {}
    ///     fn is_done(&self) -> bool {
    ///         false
    ///     }
    /// }
    ///
    /// # tokio_test::block_on(async {
    /// let body = TranscodeBody::new(Full::new(Bytes::from("hello")), Upper);
    /// assert_eq!(body.collect().await.unwrap().to_bytes(), "HELLO!");
    /// # });
    /// ```
    pub struct TranscodeBody<B, T> {
        // None when nothing more is wanted of it.
        #[pin]
        inner: Option<B>,
        transcoder: T,
        out: BytesMut,
        trailers: Option<HeaderMap>,
        keep_alive: Option<KeepAlive>,
    }
}

impl<B, T> TranscodeBody<B, T> {
    /// Reads `inner` through `transcoder`.
    pub fn new(inner: B, transcoder: T) -> Self {
        let out = BytesMut::new();
        Self { inner: Some(inner), transcoder, out, trailers: None, keep_alive: None }
    }

    /// Sends what [`Transcode::keep_alive`] writes whenever nothing was sent for so long. Default
    /// never. Needs a tokio runtime with its timer.
    #[must_use]
    pub fn keep_alive(mut self, interval: Option<Duration>) -> Self {
        self.keep_alive = interval.map(KeepAlive::new);
        self
    }
}

// Neither what waits to be sent nor what the transcoder keeps: both are the caller's.
impl<B: fmt::Debug, T> fmt::Debug for TranscodeBody<B, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TranscodeBody")
            .field("inner", &self.inner)
            .field("out", &self.out.len())
            .field("keep_alive", &self.keep_alive)
            .finish_non_exhaustive()
    }
}

impl<B: Body<Data = Bytes>, T: Transcode> Body for TranscodeBody<B, T> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let mut this = self.project();
        while let Some(inner) = this.inner.as_mut().as_pin_mut() {
            let Poll::Ready(polled) = inner.poll_frame(cx) else {
                let Some(keep_alive) = this.keep_alive else { return Poll::Pending };
                ready!(keep_alive.poll_silence(cx));
                this.transcoder.keep_alive(this.out);
                if this.out.is_empty() {
                    // Nothing can be said here; the timer must be asked again to wake us.
                    continue;
                }
                return Poll::Ready(Some(Ok(Frame::data(this.out.split().freeze()))));
            };
            let wants_more = match polled {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        this.transcoder.push(&data, this.out);
                        !this.transcoder.is_done()
                    }
                    Err(frame) => {
                        *this.trailers = frame.into_trailers().ok();
                        true
                    }
                },
                Some(Err(_)) => {
                    this.transcoder.abort(this.out);
                    false
                }
                None => {
                    this.transcoder.finish(this.out);
                    false
                }
            };
            if !wants_more {
                this.inner.set(None);
            }
            if !this.out.is_empty() {
                if let Some(keep_alive) = this.keep_alive {
                    keep_alive.sent();
                }
                return Poll::Ready(Some(Ok(Frame::data(this.out.split().freeze()))));
            }
        }
        Poll::Ready(this.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_none() && self.trailers.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_helpers::{Frames, Step, step, steps};

    /// Writes each line that is complete, ends with `.`, aborts with `!`, and is done after a
    /// line `done`.
    #[derive(Default)]
    struct Lines {
        line: Vec<u8>,
        done: bool,
    }

    impl Transcode for Lines {
        fn push(&mut self, input: &[u8], out: &mut BytesMut) {
            assert!(!self.done);
            self.line.extend_from_slice(input);
            while let Some(end) = self.line.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.line.drain(..=end).collect();
                out.extend_from_slice(&line);
                self.done |= line == b"done\n";
            }
        }

        fn finish(&mut self, out: &mut BytesMut) {
            assert!(!self.done);
            self.done = true;
            out.extend_from_slice(b".");
        }

        fn abort(&mut self, out: &mut BytesMut) {
            assert!(!self.done);
            self.done = true;
            out.extend_from_slice(b"!");
        }

        fn is_done(&self) -> bool {
            self.done
        }

        fn keep_alive(&mut self, out: &mut BytesMut) {
            out.extend_from_slice(b"~");
        }
    }

    fn lines(script: impl IntoIterator<Item = Step>) -> TranscodeBody<Frames, Lines> {
        TranscodeBody::new(Frames::new(script), Lines::default())
    }

    #[test]
    fn transcodes() {
        let (a, b, end) = (Step::from("a\n"), Step::from("b\n"), Step::from("."));
        let trailers = Step::trailer("x", "y");
        let rows: Vec<(&str, Vec<Step>, Vec<Step>)> = vec![
            ("nothing", vec![], vec![end.clone()]),
            ("empty frames", vec!["".into(), "".into()], vec![end.clone()]),
            (
                "a frame for a frame",
                vec![a.clone(), b.clone()],
                vec![a.clone(), b.clone(), end.clone()],
            ),
            ("several at once", vec!["a\nb\n".into()], vec!["a\nb\n".into(), end.clone()]),
            (
                "cut",
                vec!["a".into(), Step::Pending, "\nb".into(), "\n".into()],
                vec![Step::Pending, a.clone(), b.clone(), end.clone()],
            ),
            (
                "no waiting for the next",
                vec![a.clone(), Step::Pending, b.clone()],
                vec![a.clone(), Step::Pending, b.clone(), end.clone()],
            ),
            (
                "trailers last",
                vec![a.clone(), trailers.clone(), Step::Pending],
                vec![a.clone(), Step::Pending, end.clone(), trailers.clone()],
            ),
            (
                "an error is written",
                vec![a.clone(), "b".into(), Step::error("cut")],
                vec![a.clone(), "!".into()],
            ),
            ("an error at once", vec![Step::error("cut")], vec!["!".into()]),
            (
                "done early",
                vec![a.clone(), "b\ndone\n".into(), a.clone(), Step::error("cut")],
                vec![a.clone(), "b\ndone\n".into()],
            ),
        ];
        for (name, script, expected) in rows {
            let mut body = lines(script);
            assert!(!body.is_end_stream(), "{name}");
            assert_eq!(steps(&mut body), expected, "{name}");
            assert!(body.is_end_stream(), "{name}");
            assert_eq!(body.size_hint().lower(), 0, "{name}");
            assert_eq!(body.size_hint().upper(), None, "{name}");
            assert_eq!((step(&mut body), step(&mut body)), (None, None), "{name}");
        }
    }

    #[test]
    fn the_last_frame_declares_the_end() {
        let mut body = lines(["a\n".into()]);
        step(&mut body);
        assert!(!body.is_end_stream());
        assert_eq!(step(&mut body), Some(".".into()));
        assert!(body.is_end_stream());

        let mut body = lines([Step::trailer("x", "y")]);
        assert_eq!(step(&mut body), Some(".".into()));
        assert!(!body.is_end_stream());
        assert_eq!(step(&mut body), Some(Step::trailer("x", "y")));
        assert!(body.is_end_stream());
    }

    #[test]
    fn an_inner_end_is_not_the_end() {
        let frames = Frames::new([Step::Pending; 0]).declaring_end();
        let mut body = TranscodeBody::new(frames, Lines::default());
        assert!(!body.is_end_stream());
        assert_eq!(steps(&mut body), [Step::from(".")]);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_broken() {
        let second = Duration::from_secs(1);
        let script = [Step::Pending, Step::Pending, "a\n".into(), Step::Pending, Step::Pending];
        let mut body = lines(script).keep_alive(Some(15 * second));
        assert_eq!(step(&mut body), Some(Step::Pending));
        tokio::time::advance(14 * second).await;
        assert_eq!(step(&mut body), Some(Step::Pending));
        assert_eq!(step(&mut body), Some("a\n".into()));
        tokio::time::advance(2 * second).await;
        assert_eq!(step(&mut body), Some(Step::Pending), "counted from the last frame");
        tokio::time::advance(14 * second).await;
        assert_eq!(step(&mut body), Some("~".into()));
        assert_eq!(steps(&mut body), [Step::from(".")]);
    }

    #[test]
    fn the_upstream_is_let_go() {
        // The script, and how many polls until nothing more is wanted of it.
        let rows = [
            (vec![Step::from("done\n"), Step::Pending], 1),
            (vec!["a\n".into(), Step::error("cut")], 2),
            (vec!["a\n".into()], 2),
        ];
        for (script, polls) in rows {
            let frames = Frames::new(script);
            let probe = frames.probe();
            let mut body = TranscodeBody::new(frames, Lines::default());
            for _ in 0..polls {
                assert!(!probe.is_dropped());
                step(&mut body);
            }
            assert!(probe.is_dropped());
        }
        let frames = Frames::new(["a\n", "b\n"]);
        let probe = frames.probe();
        let mut body = TranscodeBody::new(frames, Lines::default());
        step(&mut body);
        drop(body);
        assert!(probe.is_dropped());
    }

    #[test]
    fn debug_shows_lengths_only() {
        let mut body = TranscodeBody::new((), "canary");
        body.out.extend_from_slice(b"canary");
        let shown = format!("{body:?}");
        assert!(shown.contains("out: 6") && !shown.contains("canary"), "{shown}");
    }
}
