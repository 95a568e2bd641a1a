//! What the tests of several modules share.

pub(crate) mod corpus;
#[cfg(feature = "decompress")]
pub(crate) mod encode;
mod golden;
pub(crate) mod listen;
#[cfg(feature = "upstream")]
pub(crate) mod refusing;

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::{Body, Frame, SizeHint};

pub(crate) use golden::golden;

use crate::BoxError;

/// What a body does when it is polled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Data(Bytes),
    Trailers(HeaderMap),
    Error(String),
    /// Wakes the reader and is ready at its next poll.
    Pending,
}

impl From<&'static str> for Step {
    fn from(data: &'static str) -> Self {
        Self::Data(Bytes::from_static(data.as_bytes()))
    }
}

impl Step {
    pub(crate) fn trailer(name: &'static str, value: &'static str) -> Self {
        let name = HeaderName::from_static(name);
        Self::Trailers(HeaderMap::from_iter([(name, HeaderValue::from_static(value))]))
    }

    pub(crate) fn error(text: &str) -> Self {
        Self::Error(text.to_owned())
    }
}

/// A body that follows a script. It panics when it is polled after its end.
#[derive(Debug)]
pub(crate) struct Frames {
    steps: VecDeque<Step>,
    hint: SizeHint,
    declares_end: bool,
    ended: bool,
    probe: DropProbe,
}

impl Frames {
    pub(crate) fn new(steps: impl IntoIterator<Item = impl Into<Step>>) -> Self {
        Self {
            steps: steps.into_iter().map(Into::into).collect(),
            hint: SizeHint::default(),
            declares_end: false,
            ended: false,
            probe: DropProbe::default(),
        }
    }

    /// Answers `size_hint` so, whatever the script.
    pub(crate) fn hint(mut self, hint: SizeHint) -> Self {
        self.hint = hint;
        self
    }

    /// Answers `is_end_stream` with `true` after the last step; else it never does.
    pub(crate) fn declaring_end(mut self) -> Self {
        self.declares_end = true;
        self
    }

    /// Tells when the body is gone.
    pub(crate) fn probe(&self) -> DropProbe {
        self.probe.clone()
    }
}

impl Body for Frames {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        assert!(!self.ended, "polled after the end");
        Poll::Ready(match self.steps.pop_front() {
            Some(Step::Data(data)) => Some(Ok(Frame::data(data))),
            Some(Step::Trailers(trailers)) => Some(Ok(Frame::trailers(trailers))),
            Some(Step::Error(text)) => {
                self.ended = true;
                Some(Err(text.into()))
            }
            Some(Step::Pending) => {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            None => {
                self.ended = true;
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.declares_end && self.steps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        self.hint
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        self.probe.0.store(true, Ordering::Relaxed);
    }
}

/// Whether a [`Frames`] is gone.
#[derive(Debug, Clone, Default)]
pub(crate) struct DropProbe(Arc<AtomicBool>);

impl DropProbe {
    pub(crate) fn is_dropped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Polls a body once; `None` is its end. Panics if it is pending and has not woken its reader.
pub(crate) fn step<B>(body: &mut B) -> Option<Step>
where
    B: Body<Data = Bytes, Error: ToString> + Unpin,
{
    let woken = Arc::new(Woken::default());
    match Pin::new(body).poll_frame(&mut Context::from_waker(&woken.clone().into())) {
        Poll::Pending => {
            assert!(woken.0.load(Ordering::Relaxed), "pending without a wake-up");
            Some(Step::Pending)
        }
        Poll::Ready(None) => None,
        Poll::Ready(Some(Err(error))) => Some(Step::Error(error.to_string())),
        Poll::Ready(Some(Ok(frame))) => Some(match frame.into_data() {
            Ok(data) => Step::Data(data),
            Err(frame) => Step::Trailers(frame.into_trailers().ok()?),
        }),
    }
}

/// Reads a body to its end or its error, and writes down what it did.
pub(crate) fn steps<B>(body: &mut B) -> Vec<Step>
where
    B: Body<Data = Bytes, Error: ToString> + Unpin,
{
    let mut steps = Vec::new();
    while let Some(step) = step(body) {
        let failed = matches!(step, Step::Error(_));
        steps.push(step);
        if failed {
            break;
        }
    }
    steps
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}
