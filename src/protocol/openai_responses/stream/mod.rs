//! Streams of semantic events.
//!
//! ```text
//! response.created  response.in_progress
//! ( response.output_item.added  …what is in the item…  response.output_item.done )*
//! response.completed | response.incomplete | response.failed
//! ```
//!
//! ```
//! use bytes::BytesMut;
//! use tower_llm_gateway::protocol::Answer;
//! use tower_llm_gateway::protocol::openai_responses::stream::{Reader, Writer};
//! use tower_llm_gateway::sse::Event;
//!
//! let (mut reader, mut writer) = (Reader::new(), Writer::new(Answer::new("gpt-5", 1, 1)));
//! let mut out = BytesMut::new();
//! for data in [
//!     r#"{"type":"response.created","response":{"id":"resp_1","output":[]}}"#,
//!     r#"{"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"Hi"}"#,
//!     r#"{"type":"response.completed","response":{"id":"resp_1","status":"completed"}}"#,
//! ] {
//!     let event = Event { data, ..Event::default() };
//!     reader.event(&event, &mut |event| writer.write(event, &mut out));
//! }
//! assert!(writer.is_done());
//! let text = std::str::from_utf8(&out)?;
//! assert!(text.starts_with("event: response.created\n"));
//! assert!(text.contains("event: response.output_text.delta\n"));
//! # Ok::<(), std::str::Utf8Error>(())
//! ```

mod event;
mod frame;
mod item;
mod message;
mod open;
mod reader;
mod said;
mod thought;
mod told;
mod writer;

pub use super::item_writer::MAX_KEPT;
#[cfg(test)]
pub(super) use item::ITEM_OVERHEAD;
pub use open::MAX_ITEMS;
pub use reader::Reader;
pub use writer::Writer;
