use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::answer::log_losses;
use super::awaited::Awaited;
use super::keep::Keeping;
use super::notes::Notes;
use crate::body::{DecodeBody, GuardBody, ObserveBody, RewriteBody, TranscodeBody};
use crate::protocol::translate::Transcoder;
use crate::protocol::{Protocol, Transcode};

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
        // Streams are boxed: they are large, and few beside the answers that pass.
        Guarded { body: Pin<Box<GuardBody<ObserveBody<C, Notes>>>> },
        Transcoded { body: Pin<Box<TranscodeBody<DecodeBody<C>, Reporting>>> },
        Awaited { body: Awaited<C> },
    }
}

impl<C> ResponseBody<C> {
    pub(super) fn plain(body: RewriteBody<C>) -> Self {
        Self { inner: Inner::Plain { body } }
    }

    pub(super) fn awaited(body: Awaited<C>) -> Self {
        Self { inner: Inner::Awaited { body } }
    }

    pub(super) fn guarded(
        body: C,
        notes: Notes,
        error_event: Bytes,
        must_end: Option<Protocol>,
        keep_alive: Option<(Duration, Bytes)>,
    ) -> Self
    where
        C: Body,
    {
        let mut body = GuardBody::new(ObserveBody::new(body, notes), error_event);
        if let Some(protocol) = must_end {
            body = body.must_end(protocol);
        }
        if let Some((interval, event)) = keep_alive {
            body = body.keep_alive(interval, event);
        }
        Self { inner: Inner::Guarded { body: Box::pin(body) } }
    }

    pub(super) fn transcoded(
        body: DecodeBody<C>,
        transcoder: Transcoder,
        (notes, keeping): (Notes, Keeping),
        keep_alive: Option<Duration>,
    ) -> Self {
        let reporting = Reporting { transcoder, keeping, notes };
        let body = TranscodeBody::new(body, reporting).keep_alive(keep_alive);
        Self { inner: Inner::Transcoded { body: Box::pin(body) } }
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
            InnerProj::Guarded { body } => body.as_mut().poll_frame(cx),
            InnerProj::Transcoded { body } => {
                let frame = body.as_mut().poll_frame(cx);
                frame.map(|frame| frame.map(|frame| frame.map_err(|never| match never {})))
            }
            InnerProj::Awaited { body } => body.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Inner::Plain { body } => body.is_end_stream(),
            Inner::Guarded { body } => body.is_end_stream(),
            Inner::Transcoded { body } => body.is_end_stream(),
            Inner::Awaited { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Plain { body } => body.size_hint(),
            Inner::Guarded { body } => body.size_hint(),
            Inner::Transcoded { body } => body.size_hint(),
            Inner::Awaited { .. } => SizeHint::default(),
        }
    }
}

/// A transcoder that leaves what it sees in the exchange and in the vault, at once: the caller may
/// come back as soon as it has the last event.
#[derive(Debug)]
struct Reporting {
    transcoder: Transcoder,
    keeping: Keeping,
    notes: Notes,
}

impl Reporting {
    fn report(&mut self) {
        self.keeping.keep(self.transcoder.take_deposits());
        if let Some(facts) = self.transcoder.take_news() {
            self.notes.stream(facts);
        }
    }
}

impl Drop for Reporting {
    fn drop(&mut self) {
        log_losses(&self.transcoder.losses());
    }
}

impl Transcode for Reporting {
    fn push(&mut self, input: &[u8], out: &mut BytesMut) {
        self.transcoder.push(input, out);
        self.report();
    }

    fn finish(&mut self, out: &mut BytesMut) {
        self.transcoder.finish(out);
        self.report();
    }

    fn abort(&mut self, out: &mut BytesMut) {
        self.transcoder.abort(out);
        self.report();
    }

    fn is_done(&self) -> bool {
        self.transcoder.is_done()
    }

    fn keep_alive(&mut self, out: &mut BytesMut) {
        self.transcoder.keep_alive(out);
    }
}
