//! Keeps the conversations of Responses, so that callers need to send only what is new.
//!
//! `previous_response_id` and `store` mean something at one vendor only, and there only for answers
//! that it gave itself: behind a gateway with several upstreams they would break at the first
//! change. So the gateway owns them. A request that goes on from an earlier answer gets that
//! history put before its input and goes to the upstream with `store: false` and no
//! `previous_response_id`, whatever the upstream speaks; its answer gets an id of ours and is kept
//! in a [`SessionStore`](crate::store::SessionStore), for the same principal only.
//! `GET` and `DELETE /v1/responses/{id}` and `GET /v1/responses/{id}/input_items` are answered from
//! there, the answers never as streams. A request that neither stores nor goes on passes with its
//! body untouched, and so does its answer. Other protocols are not looked at.
//!
//! `input_items` lists what the one request was sent, without its history, in pages: `limit` (1 to
//! 100, default 20), `order` (`desc`, the newest first, is the default, or `asc`), `after` and
//! `before` (the id of an item; `before` has left the API's reference, but older SDKs send it). An
//! item keeps its own id; one without gets one that stays the same (`msg_…`). A message's text is
//! listed as a part, as the vendor does. `include` is taken and changes nothing: an item is listed
//! with all that it was sent with, so whatever `include` could ask for is there already.
//!
//! As at the vendor, `instructions` are not inherited, and every turn can be gone on from, more than
//! once. An item keeps its role. Thinking without its seal is not replayed: it could not be
//! verified. A conversation that grows too long loses its oldest turns, but not its instructions.
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Full};
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//! use tower_llm_gateway::{BoxError, SessionLayer, body::RewriteBody};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! // An upstream that answers with the number of items it was sent.
//! let upstream = service_fn(|request: Request<RewriteBody<Full<Bytes>>>| async move {
//!     # #[allow(clippy::disallowed_methods)]
//!     let body = request.into_body().collect().await?.to_bytes();
//!     let body: serde_json::Value = serde_json::from_slice(&body)?;
//!     let items = body["input"].as_array().map_or(1, Vec::len);
//!     let answer = format!(
//!         r#"{{"id":"theirs","status":"completed","output":[{{"type":"message","role":"assistant",
//!             "content":[{{"type":"output_text","text":"{items}"}}]}}]}}"#
//!     );
//!     let response = Response::builder().header("content-type", "application/json");
//!     Ok::<_, BoxError>(response.body(Full::new(Bytes::from(answer)))?)
//! });
//! let mut service = ServiceBuilder::new().layer(SessionLayer::new()).service(upstream);
//! let mut ask = async |body: String| {
//!     let request = Request::post("/v1/responses").body(Full::new(Bytes::from(body)))?;
//!     let response = service.ready().await?.call(request).await?;
//!     # #[allow(clippy::disallowed_methods)]
//!     let answer = response.into_body().collect().await?.to_bytes();
//!     Ok::<serde_json::Value, BoxError>(serde_json::from_slice(&answer)?)
//! };
//!
//! let first = ask(r#"{"input":"Hello"}"#.to_owned()).await?;
//! let id = first["id"].as_str().unwrap();
//! let second = ask(format!(r#"{{"input":"And?","previous_response_id":"{id}"}}"#)).await?;
//! assert_eq!(second["output"][0]["content"][0]["text"], "3");
//! # Ok(())
//! # }
//! ```
//!
//! # Order
//! Inside auth and the system prompt, outside of everything that chooses, repeats or translates:
//! all attempts of one request get the same history.
//!
//! # Buffering
//! Requests to Responses are read whole (50 MiB, then 413), and the answers that are kept too, if
//! they are no streams (32 MiB, then 502). A stream passes event by event; only those events are
//! changed that carry the response itself.
//!
//! # Cancellation
//! Dropping the future or the body drops the inner one; what has not ended is not kept.
//!
//! # Errors
//! Responses in the words of OpenAI: 400 for what only the vendor's store could serve
//! (`conversation`, `background`, `item_reference`), for an id that is not known (`previous_response_not_found`),
//! for a conversation that is too long ([`Overflow::Refuse`]) and for a page that cannot be (`param` names
//! what is wrong with it), 404 for an answer that is to be shown and is not known,
//! 415 for an encoding that cannot be undone, 503 when the store does not answer. The service's own error is the
//! inner one's.

mod answer;
mod body;
mod future;
mod history;
mod layer;
mod listing;
mod service;
mod stored;
#[cfg(test)]
mod tests;

pub use body::ResponseBody;
pub use future::ResponseFuture;
pub use history::Overflow;
pub use layer::{
    DEFAULT_MAX_ITEMS, DEFAULT_MAX_REQUEST_BYTES, DEFAULT_MAX_RESPONSE_BYTES, DEFAULT_MAX_TOKENS,
    SessionLayer,
};
pub use service::Session;
