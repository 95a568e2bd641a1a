//! Keeps what belongs to one connection on that connection, both ways.
//!
//! Removes the fields of RFC 9110 §7.6.1 and those that `Connection` names, points the request at
//! a target if told one, sets `Host`, `X-Forwarded-For` and headers of the host's choice. It never
//! touches a body: bytes, `Content-Encoding` and a right `Content-Length` pass as they are.
//!
//! ```
//! use http::{Request, Response};
//! use http_body_util::Empty;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_llm_gateway::HopByHopFilterLayer;
//!
//! # tokio_test::block_on(async {
//! let layer = HopByHopFilterLayer::new().target("https://api.example.com/base").unwrap();
//! let service = ServiceBuilder::new().layer(layer).service(service_fn(
//!     |request: Request<Empty<bytes::Bytes>>| async move {
//!         assert_eq!(request.uri(), "https://api.example.com/base/v1/messages?beta=true");
//!         assert_eq!(request.headers()["host"], "api.example.com");
//!         assert!(!request.headers().contains_key("keep-alive"));
//!         Ok::<_, std::convert::Infallible>(Response::new(request.into_body()))
//!     },
//! ));
//! let request = Request::post("/v1/messages?beta=true")
//!     .header("host", "gateway.local")
//!     .header("keep-alive", "timeout=5")
//!     .body(Empty::new())
//!     .unwrap();
//! service.oneshot(request).await.unwrap();
//! # });
//! ```
//!
//! # What is removed
//!
//! | from | fields |
//! |---|---|
//! | both | `connection`, `keep-alive`, `proxy-connection`, `proxy-authenticate`, `proxy-authorization`, `te`, `trailer`, `trailers`, `transfer-encoding`, `upgrade`, and each one named in `Connection` |
//! | requests | `expect: 100-continue`: the server in front has answered it already |
//! | both | `content-length` beside a `transfer-encoding`, or where it contradicts itself or the body |
//!
//! A sender may name any field in `Connection`, and so make a proxy forget a credential, the host
//! or the length of the body. Fields that are never of one connection stay, named or not; see
//! [`END_TO_END`].
//!
//! The version of a message belongs to its connection too: requests and responses go on as
//! HTTP/1.1, which a client for HTTP/2 takes as well.
//!
//! # Order
//!
//! Inside of [`ProviderTranslateLayer`](crate::ProviderTranslateLayer), around the client.
//!
//! # Buffering, Cancellation, Errors
//!
//! None of its own. Errors are those of the inner service.

mod future;
mod headers;
mod layer;
mod service;
#[cfg(test)]
mod tests;

pub use future::ResponseFuture;
pub use headers::{END_TO_END, ForwardedFor};
pub use layer::HopByHopFilterLayer;
pub use service::HopByHopFilter;
