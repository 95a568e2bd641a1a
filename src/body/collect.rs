use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::Body;
use pin_project_lite::pin_project;

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
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Collect<B> {
        #[pin]
        body: B,
        limit: usize,
        single: Bytes,
        joined: BytesMut,
        trailers: Option<HeaderMap>,
    }
}

/// A body read to its end.
#[derive(Debug, Clone, Default)]
pub struct Collected {
    /// All data.
    pub bytes: Bytes,
    /// The trailers, if it had any.
    pub trailers: Option<HeaderMap>,
}

/// Why a body was not read to its end.
#[derive(Debug)]
pub enum CollectError<E> {
    /// It is larger than the limit. Nothing beyond the limit was kept.
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
        Self { body, limit, single: Bytes::new(), joined: BytesMut::new(), trailers: None }
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
                return Poll::Ready(Err(CollectError::TooLarge));
            }
            if length == 0 {
                *this.single = data;
                continue;
            }
            if this.joined.is_empty() {
                let expected = this.body.size_hint().lower().min((*this.limit - length) as u64);
                this.joined.reserve(length + data.len().max(expected as usize));
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
