//! A body that follows a script, and the count of bodies under way.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};
use serde_json::{Value, json};
use tokio::time::{Sleep, sleep};

/// One step of a body.
#[derive(Debug)]
pub(super) enum Step {
    Data(String),
    /// The wait before a fragment of text.
    Pace,
    /// The last step; nobody asks for another.
    Trailers(HeaderMap),
    /// What was written goes out before the next step. A connection that dies takes with it what
    /// its server still holds.
    Flush,
    /// The connection dies.
    Cut,
}

/// How many answers there were and are; shown at `/demo/state`.
#[derive(Debug, Default)]
pub(super) struct State {
    requests: AtomicU64,
    live: AtomicU64,
    finished: AtomicU64,
    cancelled: AtomicU64,
}

impl State {
    pub(super) fn json(&self) -> Value {
        json!({
            "requests": self.requests.load(Relaxed),
            "live": self.live.load(Relaxed),
            "finished": self.finished.load(Relaxed),
            "cancelled": self.cancelled.load(Relaxed),
        })
    }
}

/// One answer under way; cancelled when dropped before it is finished.
#[derive(Debug)]
pub(super) struct Live {
    state: Arc<State>,
    number: u64,
    finished: bool,
}

impl Live {
    pub(super) fn begin(state: &Arc<State>) -> Self {
        let number = state.requests.fetch_add(1, Relaxed);
        state.live.fetch_add(1, Relaxed);
        Self { state: state.clone(), number, finished: false }
    }

    /// Which answer of this demo it is; makes ids unique.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn finish(&mut self) {
        self.finished = true;
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let end = if self.finished { &self.state.finished } else { &self.state.cancelled };
        end.fetch_add(1, Relaxed);
        self.state.live.fetch_sub(1, Relaxed);
    }
}

/// Plays a script.
pub(super) struct Script {
    steps: Box<dyn Iterator<Item = Step> + Send>,
    pace: Duration,
    pause: Option<Pin<Box<Sleep>>>,
    live: Live,
}

impl Script {
    pub(super) fn new(
        steps: impl Iterator<Item = Step> + Send + 'static,
        pace: Duration,
        live: Live,
    ) -> Self {
        Self { steps: Box::new(steps), pace, pause: None, live }
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = self.get_mut();
        loop {
            if let Some(pause) = &mut this.pause {
                ready!(pause.as_mut().poll(cx));
                this.pause = None;
            }
            let frame = match this.steps.next() {
                Some(Step::Data(text)) => Ok(Frame::data(text.into())),
                Some(Step::Trailers(trailers)) => {
                    this.live.finish();
                    Ok(Frame::trailers(trailers))
                }
                Some(Step::Pace) => {
                    this.pause = (!this.pace.is_zero()).then(|| Box::pin(sleep(this.pace)));
                    continue;
                }
                Some(Step::Flush) => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Some(Step::Cut) => {
                    this.live.finish();
                    Err(io::Error::from(io::ErrorKind::ConnectionReset))
                }
                None => {
                    this.live.finish();
                    return Poll::Ready(None);
                }
            };
            return Poll::Ready(Some(frame));
        }
    }
}
