use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::watch::{End, Watch};
use crate::error::{BoxError, TransportError, TransportKind};
use crate::protocol::model::Fault;

/// Most frames that are held, however small.
const MAX_HELD_FRAMES: usize = 1024;

pin_project! {
    /// The body of an answer: what was held, then the rest as it comes. No byte is changed.
    pub struct ResponseBody<C>
    where
        C: Body,
    {
        #[pin]
        inner: Inner<C>,
        held: Held<C::Error>,
        watch: Box<Watch>,
    }
}

pin_project! {
    #[project = InnerProj]
    enum Inner<C> {
        Plain { #[pin] body: C },
        // It was polled before it was handed on, and must not move any more.
        Boxed { body: Pin<Box<C>> },
    }
}

/// What was read of a body and not handed on yet.
struct Held<E> {
    frames: VecDeque<Frame<Bytes>>,
    bytes: usize,
    /// The failure behind the frames.
    failure: Option<E>,
    /// The inner body must not be polled again.
    ended: bool,
}

impl<E> Default for Held<E> {
    fn default() -> Self {
        Self { frames: VecDeque::new(), bytes: 0, failure: None, ended: false }
    }
}

/// A body that is held.
pub(super) struct Hold<C: Body> {
    body: Pin<Box<C>>,
    held: Held<C::Error>,
    watch: Box<Watch>,
}

impl<C> Hold<C>
where
    C: Body<Data = Bytes>,
    C::Error: 'static,
{
    pub(super) fn new(body: C, watch: Box<Watch>) -> Self {
        Self { body: Box::pin(body), held: Held::default(), watch }
    }

    /// Reads on until more would tell nothing, or `limit` bytes are there.
    pub(super) fn poll_settled(&mut self, cx: &mut Context<'_>, limit: usize) -> Poll<()> {
        let Self { body, held, watch } = self;
        while !watch.is_settled() && held.bytes < limit && held.frames.len() < MAX_HELD_FRAMES {
            match ready!(poll_watched(body.as_mut(), watch, held, cx)) {
                Some(Ok(frame)) => held.push(frame),
                Some(Err(failure)) => held.failure = Some(failure),
                None => {}
            }
            if held.ended {
                break;
            }
        }
        Poll::Ready(())
    }

    /// Holding is over. The fault that was found.
    pub(super) fn settle(&mut self, status: StatusCode, headers: &HeaderMap) -> Option<Fault> {
        let data = self.held.frames.iter().filter_map(Frame::data_ref);
        self.watch.settle(status, headers, data)
    }

    pub(super) fn is_observing(&self) -> bool {
        self.watch.is_observing()
    }

    pub(super) fn into_body(self) -> ResponseBody<C> {
        ResponseBody { inner: Inner::Boxed { body: self.body }, held: self.held, watch: self.watch }
    }
}

impl<C: Body> ResponseBody<C> {
    /// A body that passes at once.
    pub(super) fn passing(body: C, watch: Box<Watch>) -> Self {
        Self { inner: Inner::Plain { body }, held: Held::default(), watch }
    }
}

impl<C> Body for ResponseBody<C>
where
    C: Body<Data = Bytes>,
    C::Error: 'static,
{
    type Data = Bytes;
    type Error = C::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, C::Error>>> {
        let this = self.project();
        let polled = if let Some(frame) = this.held.pop() {
            Some(Ok(frame))
        } else if let Some(failure) = this.held.failure.take() {
            Some(Err(failure))
        } else if this.held.ended {
            None
        } else {
            ready!(match this.inner.project() {
                InnerProj::Plain { body } => poll_watched(body, this.watch, this.held, cx),
                InnerProj::Boxed { body } => poll_watched(body.as_mut(), this.watch, this.held, cx),
            })
        };
        this.watch.publish();
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        let held = &self.held;
        held.frames.is_empty()
            && held.failure.is_none()
            && (held.ended || self.inner().is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let rest = if self.held.ended { SizeHint::with_exact(0) } else { self.inner().size_hint() };
        let held = self.held.bytes as u64;
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(held));
        if let Some(upper) = rest.upper().and_then(|upper| upper.checked_add(held)) {
            hint.set_upper(upper);
        }
        hint
    }
}

impl<C: Body> ResponseBody<C> {
    fn inner(&self) -> &C {
        match &self.inner {
            Inner::Plain { body } => body,
            Inner::Boxed { body } => body,
        }
    }
}

impl<E> Held<E> {
    fn push(&mut self, frame: Frame<Bytes>) {
        if frame.data_ref().is_some_and(Bytes::is_empty) {
            return;
        }
        self.bytes += length(&frame);
        self.frames.push_back(frame);
    }

    fn pop(&mut self) -> Option<Frame<Bytes>> {
        let frame = self.frames.pop_front()?;
        self.bytes -= length(&frame);
        Some(frame)
    }
}

fn length(frame: &Frame<Bytes>) -> usize {
    frame.data_ref().map_or(0, Bytes::len)
}

fn poll_watched<C>(
    mut body: Pin<&mut C>,
    watch: &mut Watch,
    held: &mut Held<C::Error>,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, C::Error>>>
where
    C: Body<Data = Bytes>,
    C::Error: 'static,
{
    let polled = ready!(body.as_mut().poll_frame(cx));
    let end = match &polled {
        None => Some(End::Whole),
        Some(Err(error)) => Some(End::Broken(kind_of(error))),
        Some(Ok(frame)) => {
            if let Some(data) = frame.data_ref() {
                watch.data(data);
            }
            // Most readers do not poll again.
            (frame.is_trailers() || body.is_end_stream()).then_some(End::Whole)
        }
    };
    if let Some(end) = end {
        held.ended = true;
        watch.end(end);
    }
    Poll::Ready(polled)
}

/// What an error of a service or body was; nothing can be said of types unknown here.
pub(super) fn kind_of<E: 'static>(error: &E) -> TransportKind {
    let error: &dyn Any = error;
    if let Some(error) = error.downcast_ref::<TransportError>() {
        return error.kind();
    }
    let boxed = error.downcast_ref::<BoxError>();
    boxed.map_or(TransportKind::Other, |error| TransportKind::of(&**error))
}

impl<C: Body> fmt::Debug for ResponseBody<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").finish_non_exhaustive()
    }
}
