//! Requests: `POST /v1/messages` and its `count_tokens`.
//!
//! What came from Messages is written back as it stood. What came from elsewhere is brought under
//! the rules of Messages: instructions lead in `system`, turns alternate, tool results stand right
//! behind their calls, `max_tokens` is there, thinking fits into it.

mod foreign;
mod history;
mod losses;
mod native;
mod read;
mod thinking;
mod write;

pub use read::read;
pub use write::write;
