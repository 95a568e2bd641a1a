//! Turns a failed call of the upstream into a response.
//!
//! An error becomes 504 if it was a timeout and 502 if not, in the protocol that the upstream would
//! have spoken, with a [`Fault`](crate::protocol::model::Fault) of origin `Transport` in the
//! extensions. A request body that failed ([`TransportKind::RequestBody`]) becomes 400 and is a
//! fault of origin `Gateway`: neither key nor channel pays for it. Layers outside then see one kind of outcome. It never touches a response, nor an
//! error inside a body, and never shows the text of an error, which may hold a URL or a key.
//!
//! ```
//! use http::{Request, Response};
//! use http_body_util::Empty;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_llm_gateway::CatchErrorLayer;
//!
//! # tokio_test::block_on(async {
//! let service = ServiceBuilder::new().layer(CatchErrorLayer::new()).service(service_fn(
//!     |_: Request<Empty<bytes::Bytes>>| async {
//!         Err::<Response<Empty<bytes::Bytes>>, _>(std::io::Error::other("https://host/?key=k"))
//!     },
//! ));
//! let request = Request::post("/v1/messages").body(Empty::new()).unwrap();
//! assert_eq!(service.oneshot(request).await.unwrap().status(), 502);
//! # });
//! ```
//!
//! # Order
//!
//! Right around the upstream.
//!
//! # Buffering, Cancellation, Errors
//!
//! Nothing is buffered. There is no error left; one of `poll_ready` is answered at the next call.
//!
//! [`TransportKind::RequestBody`]: crate::error::TransportKind::RequestBody

mod future;
mod layer;
mod service;
#[cfg(test)]
mod tests;

pub use future::ResponseFuture;
pub use layer::CatchErrorLayer;
pub use service::CatchError;
