use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::Body;
use pin_project_lite::pin_project;

use super::RewriteBody;
use crate::redact;

pin_project! {
    /// Reads a whole body into memory, up to a limit.
    ///
    /// A body of one data frame is handed on as that frame, without a copy.
    ///
    /// ```
    /// use http_body_util::Full;
    /// use tower_llm_gateway::body::{Collect, CollectError};
    ///
    /// # tokio_test::block_on(async {
    /// let collected = Collect::new(Full::new(bytes::Bytes::from("hello")), 5).await.unwrap();
    /// assert_eq!(collected.bytes, "hello");
    /// let error = Collect::new(Full::new(bytes::Bytes::from("hello")), 4).await.unwrap_err();
    /// assert!(matches!(error, CollectError::TooLarge));
    /// # });
    /// ```
    #[must_use = "futures do nothing unless polled"]
    pub struct Collect<B> {
        #[pin]
        body: B,
        limit: usize,
        single: Bytes,
        joined: BytesMut,
        excess: Bytes,
        trailers: Option<HeaderMap>,
    }
}

/// A body read to its end.
#[derive(Clone, Default)]
pub struct Collected {
    /// All data.
    pub bytes: Bytes,
    /// The trailers, if it had any.
    pub trailers: Option<HeaderMap>,
}

// How much there is, not what: a body is the caller's.
impl fmt::Debug for Collected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collected")
            .field("bytes", &self.bytes.len())
            .field("trailers", &self.trailers.as_ref().map(redact::headers))
            .finish()
    }
}

impl<B: fmt::Debug> fmt::Debug for Collect<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collect")
            .field("body", &self.body)
            .field("limit", &self.limit)
            .field("read", &(self.single.len() + self.joined.len() + self.excess.len()))
            .finish_non_exhaustive()
    }
}

/// Why a body was not read to its end.
#[derive(Debug)]
pub enum CollectError<E> {
    /// It is larger than the limit. At most one frame beyond it was read; see
    /// [`Collect::resume`].
    TooLarge,
    /// It failed.
    Body(E),
}

impl<E: fmt::Display> fmt::Display for CollectError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => f.write_str("body is larger than the limit"),
            Self::Body(error) => error.fmt(f),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for CollectError<E> {}

impl<B> Collect<B> {
    /// Reads `body`; `limit` is in bytes, and a body of exactly so many is still taken.
    pub fn new(body: B, limit: usize) -> Self {
        let (single, excess) = (Bytes::new(), Bytes::new());
        Self { body, limit, single, joined: BytesMut::new(), excess, trailers: None }
    }

    /// The whole body after all, where it was larger than the limit: what was read, and then the
    /// rest of it, frame by frame.
    ///
    /// ```
    /// use http_body_util::{BodyExt, Full};
    /// use tower_llm_gateway::body::{Collect, CollectError};
    ///
    /// # tokio_test::block_on(async {
    /// let mut collect = Collect::new(Full::new(bytes::Bytes::from("hello")), 4);
    /// assert!(matches!((&mut collect).await, Err(CollectError::TooLarge)));
    /// let body = collect.resume().collect().await.unwrap();
    /// assert_eq!(body.to_bytes(), "hello");
    /// # });
    /// ```
    #[must_use]
    pub fn resume(self) -> RewriteBody<B> {
        let read = if self.joined.is_empty() { self.single } else { self.joined.freeze() };
        RewriteBody::resumed([read, self.excess], self.body)
    }
}

impl<B: Body<Data = Bytes>> Future for Collect<B> {
    type Output = Result<Collected, CollectError<B::Error>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        // A declared length beyond the limit is refused before a byte is read.
        if this.body.size_hint().lower() > *this.limit as u64 {
            return Poll::Ready(Err(CollectError::TooLarge));
        }
        while let Some(frame) = ready!(this.body.as_mut().poll_frame(cx)) {
            let frame = frame.map_err(CollectError::Body)?;
            let data = match frame.into_data() {
                Ok(data) => data,
                Err(frame) => {
                    *this.trailers = frame.into_trailers().ok();
                    continue;
                }
            };
            let length = this.single.len() + this.joined.len();
            if data.len() > *this.limit - length {
                *this.excess = data;
                return Poll::Ready(Err(CollectError::TooLarge));
            }
            if length == 0 {
                *this.single = data;
                continue;
            }
            if data.is_empty() {
                continue;
            }
            if this.joined.is_empty() {
                let length = length + data.len();
                let expected = this.body.size_hint().lower().min((*this.limit - length) as u64);
                this.joined.reserve(length + expected as usize);
                this.joined.extend_from_slice(&std::mem::take(this.single));
            }
            this.joined.extend_from_slice(&data);
        }
        let bytes = if this.joined.is_empty() {
            std::mem::take(this.single)
        } else {
            std::mem::take(this.joined).freeze()
        };
        Poll::Ready(Ok(Collected { bytes, trailers: this.trailers.take() }))
    }
}

#[cfg(test)]
mod tests {
    use http_body::SizeHint;
    use http_body_util::Full;

    use super::*;
    use crate::BoxError;
    use crate::test_helpers::{Frames, Step, steps};

    fn collect(frames: Frames, limit: usize) -> Result<Collected, CollectError<BoxError>> {
        tokio_test::block_on(Collect::new(frames, limit))
    }

    fn is_too_large(result: &Result<Collected, CollectError<BoxError>>) -> bool {
        matches!(result, Err(CollectError::TooLarge))
    }

    #[test]
    fn joins_up_to_the_limit() {
        let rows: &[(&[&'static str], &str)] = &[
            (&[], ""),
            (&[""], ""),
            (&["hello"], "hello"),
            (&["hel", "lo"], "hello"),
            (&["", "h", "", "ell", "o", ""], "hello"),
        ];
        for (frames, expected) in rows {
            let frames = || Frames::new(frames.iter().copied());
            let length = expected.len();
            let collected = collect(frames(), length).unwrap();
            assert_eq!((&*collected.bytes, collected.trailers), (expected.as_bytes(), None));
            assert_eq!(collect(frames(), usize::MAX).unwrap().bytes, *expected);
            if length > 0 {
                assert!(is_too_large(&collect(frames(), length - 1)), "{expected:?}");
            }
        }
    }

    #[test]
    fn what_is_too_large_can_go_on() {
        let script = || [Step::from("hel"), "lo".into(), " wor".into(), Step::Pending, "ld".into()];
        let trailer = Step::trailer("x", "y");
        for limit in 0..11 {
            let frames = Frames::new(script().into_iter().chain([trailer.clone()]));
            let mut collect = Collect::new(frames, limit);
            let result = tokio_test::block_on(&mut collect);
            assert!(is_too_large(&result), "{limit}");
            let mut body = collect.resume();
            assert!(!body.is_end_stream());
            let steps = steps(&mut body);
            let data = steps.iter().filter_map(|step| match step {
                Step::Data(data) => Some(&data[..]),
                _ => None,
            });
            assert_eq!(data.collect::<Vec<_>>().concat(), b"hello world", "{limit}");
            assert_eq!(steps.last(), Some(&trailer));
        }
    }

    #[test]
    fn a_resumed_body_knows_its_length() {
        let mut collect = Collect::new(Full::new(Bytes::from("hello")), 3);
        assert!(tokio_test::block_on(&mut collect).is_err());
        assert_eq!(collect.resume().size_hint().exact(), Some(5));
    }

    #[test]
    fn waits_and_keeps_trailers() {
        let frames = [
            "a".into(),
            Step::Pending,
            "b".into(),
            Step::Pending,
            "c".into(),
            Step::trailer("x", "y"),
        ];
        let collected = collect(Frames::new(frames), 3).unwrap();
        assert_eq!(collected.bytes, "abc");
        assert_eq!(collected.trailers.unwrap()["x"], "y");
    }

    #[test]
    fn one_frame_is_not_copied() {
        let data = Bytes::from("hello");
        let steps = [Step::from(""), Step::Data(data.clone()), Step::from("")];
        for frames in [Frames::new([Step::Data(data.clone())]), Frames::new(steps)] {
            assert_eq!(collect(frames, 5).unwrap().bytes.as_ptr(), data.as_ptr());
        }
    }

    #[test]
    fn a_declared_length_is_refused_unread() {
        let hint = |lower| {
            let mut hint = SizeHint::new();
            hint.set_lower(lower);
            hint
        };
        let unread = || Frames::new([Step::error("read")]);
        assert!(is_too_large(&collect(unread().hint(hint(6)), 5)));
        let read = collect(unread().hint(hint(5)), 5);
        assert!(matches!(read, Err(CollectError::Body(error)) if error.to_string() == "read"));
    }

    #[test]
    fn a_false_declaration_does_no_harm() {
        for declared in [0, 1, 100] {
            let frames = Frames::new(["hel", "lo"]).hint(SizeHint::with_exact(declared));
            assert_eq!(collect(frames, 100).unwrap().bytes, "hello", "{declared}");
        }
        let frames = Frames::new(["hel", "lo"]).hint(SizeHint::with_exact(0));
        assert!(is_too_large(&collect(frames, 4)));
    }

    #[test]
    fn fails_with_the_body() {
        let result = collect(Frames::new(["a".into(), Step::error("cut")]), 9);
        assert_eq!(result.unwrap_err().to_string(), "cut");
        assert_eq!(CollectError::<BoxError>::TooLarge.to_string(), "body is larger than the limit");
    }

    #[test]
    fn debug_shows_lengths_only() {
        let mut collect = Collect::new((), 9);
        collect.single = "canary".into();
        assert_eq!(format!("{collect:?}"), "Collect { body: (), limit: 9, read: 6, .. }");
    }
}
