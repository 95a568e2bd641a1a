use std::fmt;
use std::pin::Pin;

/// What a store answers with that may have to wait.
pub type StoreFuture<T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send>>;

/// A store that cannot be read or written now. It tells nothing of where the store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreError;

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the store is not available")
    }
}

impl std::error::Error for StoreError {}
