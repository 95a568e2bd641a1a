//! Requests.

mod messages;
mod read;
mod settings;
mod write;

pub use read::read;
pub use write::write;
