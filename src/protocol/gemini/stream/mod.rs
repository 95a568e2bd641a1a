//! Streams of `GenerateContentResponse`: as server-sent events (`alt=sse`), or as one JSON array in
//! pieces, which [`array`](super::array) cuts.
//!
//! ```text
//! data: {"candidates":[{"content":{"parts":[{"text":"Hel"}],"role":"model"},"index":0}], …}
//! data: {"candidates":[{"content":{"parts":[{"text":"lo"}],"role":"model"},"finishReason":"STOP", …
//! ```
//!
//! Nothing ends a stream but its end: a reason to finish may come twice, and the counts of the last
//! event are those that hold.
//!
//! ```
//! use bytes::BytesMut;
//! use tower_llm_gateway::protocol::Answer;
//! use tower_llm_gateway::protocol::gemini::stream::{Reader, Writer};
//! use tower_llm_gateway::sse::Event;
//!
//! let (mut reader, mut writer) = (Reader::new(), Writer::new(Answer::new("gemini", 1, 1)));
//! let mut out = BytesMut::new();
//! let data = r#"{"candidates":[{"content":{"parts":[{"text":"Hi"}]},"finishReason":"STOP"}]}"#;
//! reader.event(&Event { data, ..Event::default() }, &mut |event| writer.write(event, &mut out));
//! reader.finish(&mut |event| writer.write(event, &mut out));
//! assert!(writer.is_done());
//! assert!(out.starts_with(br#"data: {"candidates":[{"content":{"parts":[{"text":"Hi"}]"#));
//! ```

mod calls;
mod frame;
mod open;
mod partial;
mod reader;
mod told;
mod writer;

pub use partial::{MAX_PARTIAL_ARGUMENTS, MAX_PATH_STEPS};
pub use reader::{MAX_CANDIDATES, MAX_KEPT, Reader};
pub use writer::Writer;
