//! Streamed answers.
//!
//! ```text
//! message_start
//! ( content_block_start content_block_delta* content_block_stop )*     index 0, 1, 2, …
//! message_delta message_stop
//! ```
//!
//! `ping` may stand anywhere; `error` may replace anything and ends the stream. The `event` field
//! always says the same as the member `type`: official clients skip events without it.

mod block;
mod pieces;
mod reader;
mod writer;

pub use reader::Reader;
pub use writer::Writer;

/// `message_delta` has unknown members on two levels, a stop of the hub on one: those of the event
/// itself stand behind this key, whose value is `null`.
const OF_THE_EVENT: &str = "";
