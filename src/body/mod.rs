//! Adapters between [`http_body::Body`] and the sans-IO machines.
//!
//! Nothing here is boxed, spawned or sent over a channel: the reader's poll drives the inner
//! body, and dropping the adapter drops it. Bodies carry [`bytes::Bytes`], so that passing a
//! frame on is no copy.

mod collect;
mod decode;
mod encoding;
mod guard;
mod headers;
mod keep_alive;
mod observe;
mod refuse;
mod rewrite;
mod transcode;

pub use collect::{Collect, CollectError, Collected};
pub use decode::{DecodeBody, DecodeError};
pub use encoding::{ContentEncoding, UnreadableEncoding};
pub use guard::GuardBody;
pub use headers::{
    EVENT_STREAM, JSON, change_body, drop_body_headers, is_encoded, is_event_stream, media_type,
};
pub(crate) use keep_alive::KeepAlive;
pub use observe::{BodyEnd, Observe, ObserveBody};
pub use refuse::{Refusal, refuse, refuse_with_status};
pub use rewrite::RewriteBody;
pub use transcode::TranscodeBody;
