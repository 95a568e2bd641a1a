//! Streams: events of answers, each with all that an answer has.
//!
//! ```text
//! id:1
//! event:result
//! :HTTP_STATUS/200
//! data:{"output":{"choices":[{"message":{"content":"Hel","role":"assistant"},"finish_reason":"null"}]},"usage":{…},"request_id":"…"}
//! ```
//!
//! The last event has another `finish_reason` than the string `null`; no terminator follows. An
//! error is an `event:error` with `{"code","message","request_id"}`.
//!
//! ```
//! use bytes::BytesMut;
//! use tower_llm_gateway::protocol::Answer;
//! use tower_llm_gateway::protocol::dashscope::stream::{Reader, Writer};
//! use tower_llm_gateway::sse::Event;
//!
//! let (mut reader, mut writer) = (Reader::new(), Writer::new(Answer::new("qwen-plus", 1, 1)));
//! let mut out = BytesMut::new();
//! let data = r#"{"output":{"text":"Hi","finish_reason":"stop"},"request_id":"r"}"#;
//! let event = Event { data, ..Event::default() };
//! reader.event(&event, &mut |event| writer.write(event, &mut out));
//! reader.finish(&mut |event| writer.write(event, &mut out));
//! assert!(writer.is_done());
//! assert!(out.starts_with(b"id:1\nevent:result\n:HTTP_STATUS/200\ndata:{\"output\":"));
//! ```

mod calls;
mod chunk;
mod frame;
mod growth;
mod message;
mod piece;
mod reader;
mod snapshot;
mod writer;

pub use calls::{MAX_HELD, MAX_TOOL_CALLS};
pub use growth::MAX_UNDECIDED;
pub use reader::{MAX_CANDIDATES, MAX_FOUND, MAX_MEDIA, MAX_REMEMBERED, Reader};
pub use writer::{MAX_OPEN_PARTS, SNAPSHOT_STEP, Writer};
