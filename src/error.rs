//! Errors that several modules share.

use std::error::Error;
use std::{fmt, io};

use tokio::time::error::Elapsed;

/// Any error of a body or a service.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// An upstream gave no answer, or not all of it.
///
/// Its text is that of its kind alone, so it may be shown to anybody; the source, which may name
/// hosts, is for whoever walks it.
///
/// ```
/// use tower_llm_gateway::error::{Phase, TransportError, TransportKind};
///
/// let error = TransportError::new(TransportKind::Timeout(Phase::Headers));
/// assert_eq!(error.to_string(), "the upstream did not answer in time");
/// ```
pub struct TransportError {
    kind: TransportKind,
    source: Option<BoxError>,
}

impl TransportError {
    /// An error without a source.
    #[must_use]
    pub fn new(kind: TransportKind) -> Self {
        Self { kind, source: None }
    }

    /// What it came from.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> TransportKind {
        self.kind
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl fmt::Debug for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransportError").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl Error for TransportError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

/// What went wrong on the way to an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransportKind {
    /// Its name has no address.
    Dns,
    /// It takes no connection.
    Connect,
    /// The proxy on the way failed or refused.
    Proxy,
    /// TLS failed; its certificate, for instance, is not trusted.
    Tls,
    /// The connection ended too early.
    Closed,
    /// What it sent is not HTTP.
    Protocol,
    /// It took too long.
    Timeout(Phase),
    /// The body of the request failed on its way there.
    RequestBody,
    /// Anything else.
    Other,
}

/// What took too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Connecting, with name, proxy and TLS.
    Connect,
    /// Waiting for the headers of the answer.
    Headers,
    /// Waiting for further bytes of the answer.
    Idle,
}

impl TransportKind {
    /// What an error of anybody's was: the first in its chain of sources that tells. Known are
    /// [`TransportError`], [`io::Error`] and tokio's [`Elapsed`]; a host with timeouts of its own
    /// maps them to the first.
    #[must_use]
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        chain(error).find_map(Self::known).unwrap_or(Self::Other)
    }

    /// What one error of a chain tells.
    pub(crate) fn known(error: &(dyn Error + 'static)) -> Option<Self> {
        if let Some(error) = error.downcast_ref::<TransportError>() {
            return Some(error.kind);
        }
        if error.is::<Elapsed>() {
            return Some(Self::Timeout(Phase::Headers));
        }
        Self::of_io(error.downcast_ref::<io::Error>()?.kind())
    }

    fn of_io(kind: io::ErrorKind) -> Option<Self> {
        use io::ErrorKind as Io;
        match kind {
            Io::TimedOut => Some(Self::Timeout(Phase::Headers)),
            Io::ConnectionRefused
            | Io::HostUnreachable
            | Io::NetworkUnreachable
            | Io::NetworkDown
            | Io::AddrNotAvailable => Some(Self::Connect),
            Io::ConnectionReset
            | Io::ConnectionAborted
            | Io::BrokenPipe
            | Io::NotConnected
            | Io::UnexpectedEof => Some(Self::Closed),
            _ => None,
        }
    }
}

/// An error and its sources, outermost first.
pub(crate) fn chain<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        // What an io::Error wraps is not its source: that is the wrapped one's.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        wrapped.map(|wrapped| wrapped as &(dyn Error + 'static)).or_else(|| error.source())
    })
}

impl fmt::Display for TransportKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dns => "the upstream's name could not be resolved",
            Self::Connect => "the upstream could not be reached",
            Self::Proxy => "the proxy on the way to the upstream failed",
            Self::Tls => "no secure connection to the upstream",
            Self::Closed => "the upstream closed the connection too early",
            Self::Protocol => "the upstream's answer is not valid HTTP",
            Self::Timeout(Phase::Connect) => "connecting to the upstream took too long",
            Self::Timeout(Phase::Headers) => "the upstream did not answer in time",
            Self::Timeout(Phase::Idle) => "the upstream stopped sending",
            Self::RequestBody => "the request body could not be read",
            Self::Other => "the request to the upstream failed",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Outer(BoxError);

    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("outer")
        }
    }

    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&*self.0)
        }
    }

    #[test]
    fn the_first_that_tells_counts() {
        let ours = |kind| TransportError::new(kind);
        let reset = || io::Error::from(io::ErrorKind::ConnectionReset);
        let rows: [(BoxError, TransportKind); 8] = [
            ("text".into(), TransportKind::Other),
            (io::Error::other("text").into(), TransportKind::Other),
            (reset().into(), TransportKind::Closed),
            (Outer(reset().into()).into(), TransportKind::Closed),
            (io::Error::other(Outer(reset().into())).into(), TransportKind::Closed),
            (io::Error::other(ours(TransportKind::Dns)).into(), TransportKind::Dns),
            (ours(TransportKind::Tls).with_source(reset()).into(), TransportKind::Tls),
            (
                Outer(io::Error::from(io::ErrorKind::TimedOut).into()).into(),
                TransportKind::Timeout(Phase::Headers),
            ),
        ];
        for (error, kind) in rows {
            assert_eq!(TransportKind::of(&*error), kind, "{error:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn tokios_timeout_is_known() {
        let late = std::future::pending::<()>();
        let error = tokio::time::timeout(std::time::Duration::from_secs(1), late).await;
        let kind = TransportKind::of(&error.unwrap_err());
        assert_eq!(kind, TransportKind::Timeout(Phase::Headers));
    }

    #[test]
    fn the_text_is_that_of_the_kind() {
        let error =
            TransportError::new(TransportKind::Connect).with_source("https://u:p@host/?key=k");
        assert_eq!(error.to_string(), "the upstream could not be reached");
        assert_eq!(format!("{error:?}"), "TransportError { kind: Connect, .. }");
        assert!(error.source().is_some());
    }
}
