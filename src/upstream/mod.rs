//! The service at the bottom: a pooled HTTP client.
//!
//! [`HttpUpstream`] sends requests with absolute URIs over HTTP/1.1, or HTTP/2 where told to, with
//! TLS by rustls, through a proxy where told to, with a timeout for each phase and none for the
//! whole. It follows no redirect, decodes nothing and limits no body.
//!
//! ```
//! use bytes::Bytes;
//! use http_body_util::Full;
//! use tower::ServiceBuilder;
//! use tower_llm_gateway::CatchErrorLayer;
//! use tower_llm_gateway::upstream::{HttpUpstream, HttpUpstreamBuilder, Proxies};
//!
//! let upstream: HttpUpstream<Full<Bytes>> =
//!     HttpUpstreamBuilder::new().proxies(Proxies::from_env()?).build();
//! let service = ServiceBuilder::new().layer(CatchErrorLayer::new()).service(upstream);
//! # let _ = service;
//! # Ok::<(), tower_llm_gateway::upstream::BadProxy>(())
//! ```
//!
//! Calls are made inside a tokio runtime with IO and time. One client has one set of proxies; a host
//! with several of them makes several clients. A [`Connection`](crate::context::Connection) in the
//! extensions of a request gives its upstream timeouts and a TLS policy of its own, with pools of
//! their own.
//!
//! # Timeouts
//!
//! | phase | default | over |
//! |---|---|---|
//! | connect | [`CONNECT_TIMEOUT`] | name, TCP, proxy and TLS |
//! | headers | [`HEADERS_TIMEOUT`] | the call until the headers of the answer, connecting and sending included |
//! | idle | [`IDLE_TIMEOUT`] | each wait for more of the answer's body |
//!
//! # Errors
//!
//! [`TransportError`], from the call and from the body. A request body that fails over HTTP/1.1 is
//! told apart ([`TransportKind::RequestBody`]); over HTTP/2 hyper tells only that the stream ended.
//!
//! # Cancellation
//!
//! Dropping the future or the body ends the exchange. Over HTTP/1.1 that closes the connection.

mod builder;
mod connect;
mod idle;
mod proxy;
mod service;
#[cfg(test)]
mod tests;
mod tls;

pub use builder::{
    CONNECT_TIMEOUT, HEADERS_TIMEOUT, HttpUpstreamBuilder, IDLE_TIMEOUT, MAX_IDLE_PER_HOST,
    POOL_IDLE_TIMEOUT, READ_BUFFER_BYTES,
};
pub use idle::IdleTimeoutBody;
pub use proxy::{BadProxy, Proxies};
pub use service::{HttpUpstream, ResponseFuture};

use std::error::Error as _;

use crate::error::{BoxError, TransportError, TransportKind, chain};

/// Sorts an error of hyper, rustls or the operating system.
fn transport_error(error: impl Into<BoxError>) -> TransportError {
    let error = error.into();
    TransportError::new(kind_of(&*error)).with_source(error)
}

fn kind_of(error: &(dyn std::error::Error + 'static)) -> TransportKind {
    use hyper_util::client::legacy;
    let told = chain(error).find_map(|error| {
        if error.is::<rustls::Error>() {
            return Some(TransportKind::Tls);
        }
        let hyper = error.downcast_ref::<hyper::Error>();
        match hyper {
            // Of what hyper blames us for, only a body comes with a cause.
            Some(e) if e.is_user() && e.source().is_some() => Some(TransportKind::RequestBody),
            Some(e) if e.is_parse() => Some(TransportKind::Protocol),
            Some(e) if e.is_incomplete_message() || e.is_closed() || e.is_canceled() => {
                Some(TransportKind::Closed)
            }
            _ => TransportKind::known(error),
        }
    });
    told.unwrap_or(match error.downcast_ref::<legacy::Error>() {
        Some(error) if error.is_connect() => TransportKind::Connect,
        _ => TransportKind::Other,
    })
}
