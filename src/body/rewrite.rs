use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::Collected;
use crate::redact;

pin_project! {
    /// A body that is either the inner one, untouched, or bytes in its place.
    ///
    /// Layers that may replace a request body, or answer in place of the inner service, hand this
    /// on. The untouched arm forwards frames, `size_hint` and `is_end_stream` as they are.
    ///
    /// ```
    /// use http_body::Body;
    /// use http_body_util::Empty;
    /// use tower_llm_gateway::body::RewriteBody;
    ///
    /// let body: RewriteBody<Empty<bytes::Bytes>> = RewriteBody::full("hello");
    /// assert_eq!(body.size_hint().exact(), Some(5));
    /// ```
    #[derive(Debug)]
    pub struct RewriteBody<B> {
        #[pin]
        inner: Inner<B>,
    }
}

pin_project! {
    #[project = InnerProj]
    enum Inner<B> {
        Untouched { #[pin] body: B },
        Full { bytes: Bytes, trailers: Option<Box<HeaderMap>> },
        // Boxed, as it is seldom, and one body wraps the other through all layers.
        Resumed { body: Pin<Box<Resumed<B>>> },
    }
}

pin_project! {
    /// What was read of a body, and the rest of it.
    #[project = ResumedProj]
    struct Resumed<B> {
        read: [Bytes; 2],
        #[pin]
        rest: B,
    }
}

impl<B> RewriteBody<B> {
    /// The inner body, frame by frame.
    #[must_use]
    pub fn untouched(body: B) -> Self {
        Self { inner: Inner::Untouched { body } }
    }

    /// These bytes.
    #[must_use]
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        Self { inner: Inner::Full { bytes: bytes.into(), trailers: None } }
    }

    /// What was read of a body already, and the rest of it.
    pub(super) fn resumed(read: [Bytes; 2], rest: B) -> Self {
        Self { inner: Inner::Resumed { body: Box::pin(Resumed { read, rest }) } }
    }

    /// These bytes and trailers.
    #[must_use]
    pub fn collected(collected: Collected) -> Self {
        Self {
            inner: Inner::Full {
                bytes: collected.bytes,
                trailers: collected.trailers.map(Box::new),
            },
        }
    }
}

// How much there is, not what: a body is the caller's.
impl<B: fmt::Debug> fmt::Debug for Inner<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Untouched { body } => f.debug_tuple("Untouched").field(body).finish(),
            Self::Full { bytes, trailers } => f
                .debug_struct("Full")
                .field("bytes", &bytes.len())
                .field("trailers", &trailers.as_deref().map(redact::headers))
                .finish(),
            Self::Resumed { body } => f
                .debug_struct("Resumed")
                .field("read", &body.read.each_ref().map(Bytes::len))
                .field("body", &body.rest)
                .finish(),
        }
    }
}

impl<B: Body<Data = Bytes>> Body for RewriteBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().inner.project() {
            InnerProj::Untouched { body } => body.poll_frame(cx),
            InnerProj::Full { bytes, trailers } => {
                let data = (!bytes.is_empty()).then(|| Frame::data(std::mem::take(bytes)));
                Poll::Ready(
                    data.or_else(|| trailers.take().map(|trailers| Frame::trailers(*trailers)))
                        .map(Ok),
                )
            }
            InnerProj::Resumed { body } => {
                let ResumedProj { read, rest } = body.as_mut().project();
                match read.iter_mut().find(|bytes| !bytes.is_empty()) {
                    Some(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
                    None => rest.poll_frame(cx),
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Inner::Untouched { body } => body.is_end_stream(),
            Inner::Full { bytes, trailers } => bytes.is_empty() && trailers.is_none(),
            Inner::Resumed { body } => {
                body.read.iter().all(Bytes::is_empty) && body.rest.is_end_stream()
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Untouched { body } => body.size_hint(),
            Inner::Full { bytes, .. } => SizeHint::with_exact(bytes.len() as u64),
            Inner::Resumed { body } => {
                let read = body.read.iter().map(|bytes| bytes.len() as u64).sum::<u64>();
                let rest = body.rest.size_hint();
                let mut hint = SizeHint::new();
                hint.set_lower(rest.lower().saturating_add(read));
                if let Some(upper) = rest.upper() {
                    hint.set_upper(upper.saturating_add(read));
                }
                hint
            }
        }
    }
}

impl<B: Default> Default for RewriteBody<B> {
    fn default() -> Self {
        Self::untouched(B::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_helpers::{Frames, Step, steps};

    #[test]
    fn untouched_is_the_inner_body() {
        let data = Bytes::from("hello");
        let frames = Frames::new([
            Step::Data(data.clone()),
            Step::Pending,
            "".into(),
            Step::trailer("a", "b"),
            Step::error("cut"),
        ]);
        let probe = frames.probe();
        let mut body = RewriteBody::untouched(frames.hint(SizeHint::with_exact(7)));
        assert_eq!(body.size_hint().exact(), Some(7));
        let seen = steps(&mut body);
        assert_eq!(
            seen,
            [
                Step::Data(data.clone()),
                Step::Pending,
                "".into(),
                Step::trailer("a", "b"),
                Step::error("cut")
            ]
        );
        assert!(matches!(&seen[0], Step::Data(same) if same.as_ptr() == data.as_ptr()));
        drop(body);
        assert!(probe.is_dropped());
    }

    #[test]
    fn untouched_declares_its_end() {
        let mut body = RewriteBody::untouched(Frames::new(["x"]).declaring_end());
        assert!(!body.is_end_stream());
        steps(&mut body);
        assert!(body.is_end_stream());
    }

    #[test]
    fn bytes_and_trailers_in_place() {
        let trailers = HeaderMap::from_iter([(http::header::AGE, "1".parse().unwrap())]);
        let rows = [
            ("", None, vec![]),
            ("hello", None, vec![Step::from("hello")]),
            ("", Some(&trailers), vec![Step::trailer("age", "1")]),
            ("hello", Some(&trailers), vec!["hello".into(), Step::trailer("age", "1")]),
        ];
        for (bytes, trailers, expected) in rows {
            let collected = Collected { bytes: bytes.into(), trailers: trailers.cloned() };
            let mut body = RewriteBody::<Frames>::collected(collected);
            assert_eq!(body.size_hint().exact(), Some(bytes.len() as u64));
            assert_eq!(body.is_end_stream(), expected.is_empty());
            assert_eq!(steps(&mut body), expected);
            assert!(body.is_end_stream());
            assert_eq!(body.size_hint().exact(), Some(0));
            assert_eq!(steps(&mut body), []);
        }
    }

    #[test]
    fn debug_shows_lengths_only() {
        let mut trailers = HeaderMap::new();
        trailers.append("x-api-key", "canary-1".parse().unwrap());
        let collected = Collected { bytes: "canary-2".into(), trailers: Some(trailers) };
        assert_eq!(
            format!("{collected:?}"),
            r#"Collected { bytes: 8, trailers: Some({"x-api-key": "***"}) }"#
        );
        assert_eq!(
            format!("{:?}", RewriteBody::<()>::collected(collected)),
            r#"RewriteBody { inner: Full { bytes: 8, trailers: Some({"x-api-key": "***"}) } }"#
        );
        let resumed = RewriteBody::resumed(["canary".into(), "".into()], ());
        assert_eq!(
            format!("{resumed:?}"),
            "RewriteBody { inner: Resumed { read: [6, 0], body: () } }"
        );
    }
}
