//! OpenAI Responses: `POST /v1/responses`.

pub mod count;
pub mod fault;
pub mod request;
pub mod response;
pub mod stream;

#[allow(dead_code, reason = "its readers and writers follow")]
mod content;
#[allow(dead_code, reason = "its readers and writers follow")]
mod reasoning;
#[allow(dead_code, reason = "its readers and writers follow")]
mod wire;
