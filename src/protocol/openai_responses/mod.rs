//! OpenAI Responses: `POST /v1/responses`.

pub mod count;
pub mod fault;
pub mod request;
pub mod response;
pub mod stream;

mod content;
mod items;
mod reasoning;
mod wire;
