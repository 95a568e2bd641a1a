//! Server-sent events: bytes to events to bytes. Sans-IO.
//!
//! [`Decoder`] reads a stream in any cut, [`encode`] writes one.
//!
//! ```
//! use bytes::BytesMut;
//! use tower_llm_gateway::sse::{Decoder, Event, encode};
//!
//! let mut bytes = BytesMut::new();
//! encode(&mut bytes, &Event { name: "greeting", data: "hello", ..Event::default() });
//! let mut names = Vec::new();
//! Decoder::new().push(&bytes, &mut |event| names.push(event.name.to_owned()))?;
//! assert_eq!(names, ["greeting"]);
//! # Ok::<(), tower_llm_gateway::sse::SseError>(())
//! ```
//!
//! # Why own code
//!
//! A gateway wants four things, of which no crate of the field has more than one (sse-parse 0.1.0,
//! sse-core 0.2.3, sseer 0.3.1, sse-stream 0.3.0, eventsource-stream 0.2.3):
//!
//! - Limits that are on by default and answer with an error. Only sse-core has that, 512 KiB for
//!   each value; sse-parse has a limit that is off by default, and drops and counts the events
//!   beyond it; the others hold whatever comes.
//! - Events without an allocation. Theirs own their texts: `String`s, and in sseer, which comes
//!   close, counted slices of the input.
//! - The last event without its blank line, as model servers end. All five throw it away, as
//!   the standard tells browsers to.
//! - To know whether an event may be appended to the raw bytes. None tells.
//!
//! All are of version 0.x. Three read events from async streams only, where we need a plain machine,
//! and one of these, eventsource-stream, panics on a byte order mark.

mod decoder;
mod encoder;
#[cfg(feature = "session")]
mod ends;

pub use decoder::{DEFAULT_MAX_EVENT, DEFAULT_MAX_LINE, Decoder, Limits, SseError};
pub use encoder::{comment, encode};
#[cfg(feature = "session")]
pub(crate) use ends::EventEnds;

/// One event of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Event<'a> {
    /// The `event` field; empty where there was none.
    pub name: &'a str,
    /// The `data` lines, joined with `\n`.
    pub data: &'a str,
    /// The `id` field of this event, if it had one.
    pub id: Option<&'a str>,
    /// The `retry` field in milliseconds.
    pub retry: Option<u64>,
}
