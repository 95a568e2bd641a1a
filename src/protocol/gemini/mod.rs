//! Gemini: `POST /v1beta/models/{model}:generateContent`.

pub mod count;
pub mod fault;
pub mod models;
pub mod request;
pub mod response;
pub mod stream;

pub(in crate::protocol) mod path;

#[allow(dead_code)]
mod part_writer;
#[allow(dead_code)]
mod parts;
#[allow(dead_code)]
mod schema;
#[allow(dead_code)]
mod wire;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests;
