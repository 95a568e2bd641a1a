//! The service at the bottom.
