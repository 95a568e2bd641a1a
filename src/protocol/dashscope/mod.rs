//! DashScope, native: `POST /api/v1/services/aigc/text-generation/generation`.

pub mod fault;
pub mod request;
pub mod response;
pub mod stream;
