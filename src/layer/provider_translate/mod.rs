//! Stub.

/// Stub.
#[derive(Debug)]
pub struct ProviderTranslateLayer;
