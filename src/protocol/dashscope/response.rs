//! Finished answers: `output`, `usage`, `request_id`.
//!
//! ```
//! use tower_llm_gateway::protocol::dashscope::response;
//! use tower_llm_gateway::protocol::model::StopReason;
//!
//! let text = r#"{"output":{"text":"Hi","finish_reason":"stop"},"request_id":"r"}"#;
//! let response = response::read(text)?;
//! let stop = response.candidates[0].stop.as_ref().map(|stop| stop.reason);
//! assert_eq!(stop, Some(StopReason::End));
//! # Ok::<(), tower_llm_gateway::protocol::json::JsonError>(())
//! ```

mod read;
mod write;

pub use read::read;
pub use write::write;
pub(in crate::protocol::dashscope) use write::{is_carried, is_logprobs};
