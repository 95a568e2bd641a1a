//! Streams of `chat.completion.chunk`.
//!
//! ```text
//! data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}], …}
//! data: {"choices":[{"index":0,"delta":{"content":"Hel"}}], …}
//! data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}], …}
//! data: {"choices":[],"usage":{…}, …}          only if the caller asked for it
//! data: [DONE]
//! ```
//!
//! ```
//! use bytes::BytesMut;
//! use tower_llm_gateway::protocol::Answer;
//! use tower_llm_gateway::protocol::openai_chat::stream::{Reader, Writer};
//! use tower_llm_gateway::sse::Event;
//!
//! let (mut reader, mut writer) = (Reader::new(), Writer::new(Answer::new("gpt-5", 1, 1)));
//! let mut out = BytesMut::new();
//! for data in [r#"{"id":"c","choices":[{"delta":{"content":"Hi"},"finish_reason":"stop"}]}"#, "[DONE]"] {
//!     let event = Event { data, ..Event::default() };
//!     reader.event(&event, &mut |event| writer.write(event, &mut out));
//! }
//! assert!(writer.is_done());
//! assert!(out.ends_with(b"data: [DONE]\n\n"));
//! ```

mod calls;
mod chunk;
mod frame;
mod reader;
mod writer;

pub use calls::{MAX_HELD, MAX_TOOL_CALLS};
pub use reader::{MAX_CANDIDATES, Reader};
pub use writer::{MAX_OPEN_PARTS, Writer};
