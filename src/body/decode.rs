use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::encoding::Decoder;
use super::{ContentEncoding, UnreadableEncoding, drop_body_headers};

pin_project! {
    /// A body whose content-encoding is undone as it is read.
    ///
    /// What an inner frame says is handed on before the next one is asked for, in frames of 16 KiB
    /// at most: an event of a stream arrives when its last byte does, and whoever reads with a
    /// limit stops a small body that would become a huge one. A body that is not encoded passes
    /// frame by frame.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use http::HeaderMap;
    /// use http_body_util::Full;
    /// use tower_llm_gateway::body::{Collect, DecodeBody};
    ///
    /// # #[cfg(feature = "decompress")]
    /// # tokio_test::block_on(async {
    /// let zlib = [0x78, 0x9c, 0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x06, 0x2c, 0x02, 0x15];
    /// let mut headers = HeaderMap::from_iter([("content-encoding", "deflate"), ("content-length", "13")]
    ///     .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())));
    /// let body = Full::new(Bytes::copy_from_slice(&zlib));
    /// let body = DecodeBody::new(body, &mut headers).unwrap();
    /// assert_eq!(Collect::new(body, 5).await.unwrap().bytes, "hello");
    /// assert!(headers.is_empty());
    /// # });
    /// ```
    pub struct DecodeBody<B> {
        #[pin]
        body: B,
        // None where the body passes as it is.
        decoder: Option<Decoder>,
        trailers: Option<HeaderMap>,
        input_ended: bool,
        failed: bool,
    }
}

impl<B: fmt::Debug> fmt::Debug for DecodeBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecodeBody")
            .field("body", &self.body)
            .field("decoder", &self.decoder)
            .finish_non_exhaustive()
    }
}

/// Why a body was not decoded to its end.
#[derive(Debug)]
pub enum DecodeError<E> {
    /// It is not what its content-encoding says, or ends too early.
    Malformed,
    /// It failed.
    Body(E),
}

impl<E: fmt::Display> fmt::Display for DecodeError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("body is not what its content-encoding says"),
            Self::Body(error) => error.fmt(f),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for DecodeError<E> {}

impl<B> DecodeBody<B> {
    /// Undoes what `headers` say of `body`. They lose what held only for the encoded bytes; where
    /// nothing is encoded, they stay.
    ///
    /// # Errors
    /// When this build cannot undo it, see [`ContentEncoding::of`]. Then the headers stay.
    pub fn new(body: B, headers: &mut HeaderMap) -> Result<Self, UnreadableEncoding> {
        let decoder = Decoder::new(ContentEncoding::of(headers)?);
        if decoder.is_some() {
            drop_body_headers(headers);
        }
        Ok(Self { body, decoder, trailers: None, input_ended: false, failed: false })
    }
}

impl<B: Body<Data = Bytes>> Body for DecodeBody<B> {
    type Data = Bytes;
    type Error = DecodeError<B::Error>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let mut this = self.project();
        let Some(decoder) = this.decoder else {
            let frame = this.body.poll_frame(cx);
            return frame.map(|frame| frame.map(|frame| frame.map_err(DecodeError::Body)));
        };
        if *this.failed {
            return Poll::Ready(None);
        }
        let error = loop {
            match decoder.pull() {
                Ok(Some(data)) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Ok(None) => {}
                Err(_) => break DecodeError::Malformed,
            }
            if *this.input_ended {
                let trailers = this.trailers.take();
                return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
            }
            match ready!(this.body.as_mut().poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => decoder.push(data),
                    Err(frame) => *this.trailers = frame.into_trailers().ok(),
                },
                Some(Err(error)) => break DecodeError::Body(error),
                None if decoder.is_complete() => *this.input_ended = true,
                None => break DecodeError::Malformed,
            }
        };
        *this.failed = true;
        Poll::Ready(Some(Err(error)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.decoder {
            None => self.body.is_end_stream(),
            Some(_) => self.failed || (self.input_ended && self.trailers.is_none()),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.decoder {
            None => self.body.size_hint(),
            // Nobody knows how much the bytes become.
            Some(_) => SizeHint::default(),
        }
    }
}

#[cfg(feature = "decompress")]
#[cfg(test)]
mod tests;
