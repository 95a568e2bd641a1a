//! Errors that several modules share.

/// Any error of a body or a service.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
