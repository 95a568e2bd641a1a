//! Gemini: `POST /v1beta/models/{model}:generateContent`.

pub mod fault;
pub mod request;
pub mod response;
pub mod stream;
