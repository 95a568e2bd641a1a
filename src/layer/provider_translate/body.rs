use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::keep::Keeping;
use crate::body::{DecodeBody, GuardBody, RewriteBody, TranscodeBody};
use crate::context::{AttemptId, Exchange};
use crate::protocol::Transcode;
use crate::protocol::model::{Fault, FaultOrigin};
use crate::protocol::translate::{StreamFacts, Transcoder};

pin_project! {
    /// An answer: passed on, written whole, or a stream translated as it comes.
    #[derive(Debug)]
    pub struct ResponseBody<C> {
        #[pin]
        inner: Inner<C>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = InnerProj]
    enum Inner<C> {
        Plain { #[pin] body: RewriteBody<C> },
        Guarded { #[pin] body: GuardBody<C> },
        Transcoded { #[pin] body: TranscodeBody<DecodeBody<C>, Reporting> },
    }
}

impl<C> ResponseBody<C> {
    pub(super) fn plain(body: RewriteBody<C>) -> Self {
        Self { inner: Inner::Plain { body } }
    }

    pub(super) fn guarded(
        body: C,
        error_event: Bytes,
        keep_alive: Option<(Duration, Bytes)>,
    ) -> Self {
        let mut body = GuardBody::new(body, error_event);
        if let Some((interval, event)) = keep_alive {
            body = body.keep_alive(interval, event);
        }
        Self { inner: Inner::Guarded { body } }
    }

    pub(super) fn transcoded(
        body: DecodeBody<C>,
        transcoder: Transcoder,
        (exchange, attempt, keeping): (Exchange, Option<AttemptId>, Keeping),
        keep_alive: Option<Duration>,
    ) -> Self {
        let reporting =
            Reporting { transcoder: Box::new((transcoder, keeping)), exchange, attempt };
        let body = TranscodeBody::new(body, reporting).keep_alive(keep_alive);
        Self { inner: Inner::Transcoded { body } }
    }
}

impl<C: Body<Data = Bytes>> Body for ResponseBody<C> {
    type Data = Bytes;
    type Error = C::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, C::Error>>> {
        match self.project().inner.project() {
            InnerProj::Plain { body } => body.poll_frame(cx),
            InnerProj::Guarded { body } => body.poll_frame(cx),
            InnerProj::Transcoded { body } => {
                let frame = body.poll_frame(cx);
                frame.map(|frame| frame.map(|frame| frame.map_err(|never| match never {})))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Inner::Plain { body } => body.is_end_stream(),
            Inner::Guarded { body } => body.is_end_stream(),
            Inner::Transcoded { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Plain { body } => body.size_hint(),
            Inner::Guarded { body } => body.size_hint(),
            Inner::Transcoded { body } => body.size_hint(),
        }
    }
}

/// A transcoder that leaves what it sees in the exchange and in the vault, at once: an outer layer
/// reads it when its own body is dropped, which is before this one is, and the caller may come back
/// as soon as it has the last event.
#[derive(Debug)]
struct Reporting {
    /// Boxed, as it is large and most bodies pass without one.
    transcoder: Box<(Transcoder, Keeping)>,
    exchange: Exchange,
    attempt: Option<AttemptId>,
}

impl Reporting {
    fn report(&mut self) {
        let (transcoder, keeping) = &mut *self.transcoder;
        keeping.keep(transcoder.take_deposits());
        if let Some(facts) = transcoder.take_news() {
            note(&self.exchange, self.attempt, facts);
        }
    }
}

fn note(exchange: &Exchange, attempt: Option<AttemptId>, seen: &StreamFacts) {
    exchange.update(|facts| {
        facts.usage.clone_from(&seen.usage);
        facts.stop = seen.stop;
        if let Some(kind) = seen.fault {
            let fault = Fault::new(kind, kind.status(), FaultOrigin::Upstream);
            facts.fault = Some(fault);
            // Keys and channels learn from it; a layer inside may know it better.
            let attempt = attempt.and_then(|id| facts.attempts.get_mut(id.index()));
            if let Some(attempt) = attempt {
                attempt.fault.get_or_insert(fault);
            }
        }
    });
}

impl Transcode for Reporting {
    fn push(&mut self, input: &[u8], out: &mut BytesMut) {
        self.transcoder.0.push(input, out);
        self.report();
    }

    fn finish(&mut self, out: &mut BytesMut) {
        self.transcoder.0.finish(out);
        self.report();
    }

    fn abort(&mut self, out: &mut BytesMut) {
        self.transcoder.0.abort(out);
        self.report();
    }

    fn is_done(&self) -> bool {
        self.transcoder.0.is_done()
    }

    fn keep_alive(&mut self, out: &mut BytesMut) {
        self.transcoder.0.keep_alive(out);
    }
}
