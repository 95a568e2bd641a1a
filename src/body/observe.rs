use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

/// Sees what passes through an [`ObserveBody`]. It cannot change or fail it.
///
/// An observer is dropped as soon as its body ends, so a permit or a counter that it owns lasts
/// exactly as long.
pub trait Observe {
    /// A data frame passes.
    fn data(&mut self, data: &Bytes);

    /// Trailers pass. They are the last frame.
    fn trailers(&mut self, _trailers: &HeaderMap) {}

    /// The body has ended. Called once, and last.
    fn end(&mut self, end: BodyEnd);
}

/// How a body ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BodyEnd {
    /// It was read to its end.
    Complete,
    /// It said with its last frame that nothing follows, or had no frame at all, as the answer to
    /// HEAD has none. Its reader need not poll again.
    Declared,
    /// It failed.
    Failed,
    /// Its reader left before its end.
    Dropped,
}

impl BodyEnd {
    /// Whether all of the body has passed.
    #[must_use]
    pub fn is_whole(self) -> bool {
        matches!(self, Self::Complete | Self::Declared)
    }
}

pin_project! {
    /// A body whose frames are seen by an observer and pass unchanged.
    ///
    /// Whichever of the four ends comes first is told, once: see [`BodyEnd`]. Trailers count as a
    /// declared end, because readers stop there. What is inside has ended by then: when the body is
    /// dropped, `inner` is dropped first, so that an observer finds what those within have left.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicUsize, Ordering};
    ///
    /// use bytes::Bytes;
    /// use http_body_util::{BodyExt, Full};
    /// use tower_llm_gateway::body::{BodyEnd, Observe, ObserveBody};
    ///
    /// struct Count<'a>(&'a AtomicUsize);
    ///
    /// impl Observe for Count<'_> {
    ///     fn data(&mut self, data: &Bytes) {
    ///         self.0.fetch_add(data.len(), Ordering::Relaxed);
    ///     }
    ///
    ///     fn end(&mut self, end: BodyEnd) {
    ///         assert_eq!(end, BodyEnd::Declared);
    ///     }
    /// }
    ///
    /// # tokio_test::block_on(async {
    /// let bytes = AtomicUsize::new(0);
    /// let body = ObserveBody::new(Full::new(Bytes::from("hello")), Count(&bytes));
    /// assert_eq!(body.collect().await.unwrap().to_bytes(), "hello");
    /// assert_eq!(bytes.into_inner(), 5);
    /// # });
    /// ```
    #[derive(Debug)]
    pub struct ObserveBody<B, O>
    where
        O: Observe,
    {
        // None only while it is dropped.
        #[pin]
        inner: Option<B>,
        // None once the end has been told.
        observer: Option<O>,
    }

    impl<B, O> PinnedDrop for ObserveBody<B, O>
    where
        O: Observe,
    {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            this.inner.set(None);
            end(this.observer, BodyEnd::Dropped);
        }
    }
}

impl<B, O: Observe> ObserveBody<B, O> {
    /// Observes `inner`. One that has no frames ends here: most servers drop it unpolled.
    pub fn new(inner: B, observer: O) -> Self
    where
        B: Body,
    {
        let mut observer = Some(observer);
        if inner.is_end_stream() {
            end(&mut observer, BodyEnd::Declared);
        }
        Self { inner: Some(inner), observer }
    }

    /// Passes `inner` on unseen, where only some of the bodies of one type are observed.
    pub fn unobserved(inner: B) -> Self {
        Self { inner: Some(inner), observer: None }
    }
}

impl<B: Body<Data = Bytes>, O: Observe> Body for ObserveBody<B, O> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        let Some(mut inner) = this.inner.as_pin_mut() else { return Poll::Ready(None) };
        let polled = ready!(inner.as_mut().poll_frame(cx));
        match &polled {
            None => end(this.observer, BodyEnd::Complete),
            Some(Err(_)) => end(this.observer, BodyEnd::Failed),
            Some(Ok(frame)) => {
                if let Some(observer) = this.observer {
                    show(observer, frame);
                }
                if frame.is_trailers() || inner.is_end_stream() {
                    end(this.observer, BodyEnd::Declared);
                }
            }
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}

fn show(observer: &mut impl Observe, frame: &Frame<Bytes>) {
    if let Some(data) = frame.data_ref() {
        observer.data(data);
    } else if let Some(trailers) = frame.trailers_ref() {
        observer.trailers(trailers);
    }
}

fn end(observer: &mut Option<impl Observe>, end: BodyEnd) {
    if let Some(mut observer) = observer.take() {
        observer.end(end);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::test_helpers::{Frames, Step, step, steps};

    #[derive(Debug, Clone, PartialEq)]
    enum Seen {
        Data(Bytes),
        Trailers(HeaderMap),
        End(BodyEnd),
    }

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<Seen>>>);

    impl Log {
        fn push(&self, seen: Seen) {
            self.0.lock().unwrap().push(seen);
        }

        fn seen(&self) -> Vec<Seen> {
            self.0.lock().unwrap().clone()
        }

        fn ends(&self) -> Vec<BodyEnd> {
            let ends = |seen| if let Seen::End(end) = seen { Some(end) } else { None };
            self.seen().into_iter().filter_map(ends).collect()
        }
    }

    impl Observe for Log {
        fn data(&mut self, data: &Bytes) {
            self.push(Seen::Data(data.clone()));
        }

        fn trailers(&mut self, trailers: &HeaderMap) {
            self.push(Seen::Trailers(trailers.clone()));
        }

        fn end(&mut self, end: BodyEnd) {
            self.push(Seen::End(end));
        }
    }

    fn observed(frames: Frames) -> (ObserveBody<Frames, Log>, Log) {
        let log = Log::default();
        (ObserveBody::new(frames, log.clone()), log)
    }

    #[test]
    fn frames_pass_unchanged() {
        let data = Bytes::from("hello");
        let script = [Step::Data(data.clone()), Step::Pending, "".into(), Step::trailer("a", "b")];
        let hint = SizeHint::with_exact(5);
        let (mut body, log) = observed(Frames::new(script.clone()).hint(hint));
        assert_eq!(body.size_hint().exact(), Some(5));
        let passed = steps(&mut body);
        assert_eq!(passed, script);
        assert!(matches!(&passed[0], Step::Data(same) if same.as_ptr() == data.as_ptr()));
        let Step::Trailers(trailers) = &script[3] else { unreachable!() };
        let expected = [
            Seen::Data(data),
            Seen::Data(Bytes::new()),
            Seen::Trailers(trailers.clone()),
            Seen::End(BodyEnd::Declared),
        ];
        assert_eq!(log.seen(), expected);
    }

    #[test]
    fn each_end_is_told_once() {
        use BodyEnd::{Complete, Declared, Dropped, Failed};
        let x = || Step::from("x");
        // The body, how often it is polled, its end by then, its end after it is dropped.
        let rows: [(Frames, usize, Option<BodyEnd>, BodyEnd); 14] = [
            (Frames::new([x()]), 2, Some(Complete), Complete),
            (Frames::new([x()]), 1, None, Dropped),
            (Frames::new([x()]), 0, None, Dropped),
            (Frames::new([x(), Step::Pending]), 2, None, Dropped),
            (Frames::new([Step::Pending; 0]), 0, None, Dropped),
            (Frames::new([Step::Pending; 0]), 1, Some(Complete), Complete),
            (Frames::new([x(), Step::error("cut")]), 2, Some(Failed), Failed),
            (Frames::new([x()]).declaring_end(), 0, None, Dropped),
            (Frames::new([x()]).declaring_end(), 1, Some(Declared), Declared),
            (Frames::new([x()]).declaring_end(), 2, Some(Declared), Declared),
            (Frames::new([x(), x()]).declaring_end(), 1, None, Dropped),
            (Frames::new([Step::Pending; 0]).declaring_end(), 0, Some(Declared), Declared),
            (Frames::new([Step::Pending; 0]).declaring_end(), 1, Some(Declared), Declared),
            (Frames::new([Step::trailer("a", "b")]), 1, Some(Declared), Declared),
        ];
        for (row, (frames, polls, before, after)) in rows.into_iter().enumerate() {
            let (mut body, log) = observed(frames);
            for _ in 0..polls {
                step(&mut body);
            }
            assert_eq!(log.ends(), Vec::from_iter(before), "row {row}");
            drop(body);
            assert_eq!(log.ends(), [after], "row {row}");
        }
    }

    #[test]
    fn what_the_observer_owns_ends_with_the_body() {
        let log = Log::default();
        let mut body = ObserveBody::new(Frames::new(["x"]).declaring_end(), log.clone());
        assert_eq!(Arc::strong_count(&log.0), 2);
        step(&mut body);
        assert_eq!(Arc::strong_count(&log.0), 1);
        assert!(body.is_end_stream());
    }

    #[test]
    fn a_body_that_is_dropped_ends_before_its_observer_is_told() {
        struct Outer(Log);
        impl Observe for Outer {
            fn data(&mut self, _: &Bytes) {}
            fn end(&mut self, end: BodyEnd) {
                assert_eq!(self.0.ends(), [end]);
            }
        }
        let (inner, log) = observed(Frames::new(["x", "y"]));
        let mut body = ObserveBody::new(inner, Outer(log.clone()));
        step(&mut body);
        drop(body);
        assert_eq!(log.ends(), [BodyEnd::Dropped]);
    }

    #[test]
    fn unobserved_passes_all_on() {
        let script = [Step::from("x"), Step::trailer("a", "b"), Step::error("cut")];
        let frames = Frames::new(script.clone());
        let probe = frames.probe();
        let mut body = ObserveBody::<_, Log>::unobserved(frames);
        assert_eq!(steps(&mut body), script);
        drop(body);
        assert!(probe.is_dropped());
    }

    #[test]
    fn whole() {
        let whole = |end: BodyEnd| end.is_whole();
        assert!(whole(BodyEnd::Complete) && whole(BodyEnd::Declared));
        assert!(!whole(BodyEnd::Failed) && !whole(BodyEnd::Dropped));
    }
}
