//! OpenAI Responses: `POST /v1/responses`.

pub mod fault;
pub mod request;
pub mod response;
pub mod stream;
