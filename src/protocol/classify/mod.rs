//! Whose fault a failure is: from what an upstream answered, or failed to, to a [`Fault`].
//!
//! Keys, channels, failover and stats all decide by it, so it is decided once, by whoever sees the
//! bytes of the upstream. [`Classifier`] is the default; a host that knows its upstreams better
//! gives its own [`Classify`].
//!
//! ```
//! use http::{HeaderMap, StatusCode};
//! use tower_llm_gateway::protocol::Protocol;
//! use tower_llm_gateway::protocol::classify::{Classifier, Classify, Evidence};
//! use tower_llm_gateway::protocol::model::FaultKind;
//!
//! let classify = |status, body: &'static str| {
//!     Classifier::new().classify(&Evidence::Answer {
//!         protocol: Some(Protocol::OpenAiChat),
//!         status,
//!         headers: &HeaderMap::new(),
//!         body: Some(body.as_bytes()),
//!     })
//! };
//! let fault = classify(StatusCode::BAD_REQUEST, r#"{"error":{"message":"Quota exceeded"}}"#);
//! assert_eq!(fault.map(|fault| (fault.kind, fault.moves_on)), Some((FaultKind::Billing, true)));
//! let fault = classify(StatusCode::BAD_REQUEST, r#"{"error":{"message":"No messages"}}"#);
//! assert_eq!(fault.map(|fault| (fault.kind, fault.moves_on)), Some((FaultKind::BadRequest, false)));
//! assert_eq!(classify(StatusCode::OK, "{}"), None);
//! ```

mod classifier;
mod said;
#[cfg(test)]
mod tests;
mod words;

pub use classifier::Classifier;
use http::{HeaderMap, Response, StatusCode};

use super::Protocol;
use super::model::Fault;
use crate::error::TransportKind;

/// Decides whose fault a failure is.
pub trait Classify: Send + Sync {
    /// The fault, or `None` where nothing is wrong.
    fn classify(&self, evidence: &Evidence<'_>) -> Option<Fault>;
}

/// What is known of an answer that may have failed.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Evidence<'a> {
    /// The upstream answered.
    Answer {
        /// The protocol that the upstream speaks.
        protocol: Option<Protocol>,
        /// The status of the answer.
        status: StatusCode,
        /// Its headers.
        headers: &'a HeaderMap,
        /// Its body or the beginning of it; `None` where that cannot be read.
        body: Option<&'a [u8]>,
    },
    /// An answer that began with 200 turned out to be an error.
    InBand {
        /// The protocol that the upstream speaks.
        protocol: Option<Protocol>,
        /// The JSON document that says so: the data of an event, or the whole body.
        data: &'a [u8],
    },
    /// There is no answer, or it broke.
    Transport(TransportKind),
    /// The answer ended before its end without breaking.
    Truncated,
    /// The client left.
    ClientLeft,
}

impl Fault {
    /// The fault that an answer carries in its extensions; where no layer left one, what status
    /// and headers tell. `None` where nothing is wrong.
    ///
    /// ```
    /// use http::Response;
    /// use tower_llm_gateway::protocol::model::{Fault, FaultKind};
    ///
    /// let response = Response::builder().status(429).header("retry-after", "7").body(()).unwrap();
    /// let fault = Fault::of_response(&response).unwrap();
    /// assert_eq!((fault.kind, fault.retry_after.unwrap().as_secs()), (FaultKind::RateLimit, 7));
    /// ```
    #[must_use]
    pub fn of_response<B>(response: &Response<B>) -> Option<Self> {
        response.extensions().get().copied().or_else(|| {
            Classifier::new().classify(&Evidence::Answer {
                protocol: None,
                status: response.status(),
                headers: response.headers(),
                body: None,
            })
        })
    }
}
