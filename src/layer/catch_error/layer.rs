use tower_layer::Layer;

use super::service::CatchError;

/// Turns a failed call into a response. See the [module docs](super).
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct CatchErrorLayer;

impl CatchErrorLayer {
    /// There is nothing to configure.
    #[must_use]
    pub fn new() -> Self {
        Self
    }
}

impl<S> Layer<S> for CatchErrorLayer {
    type Service = CatchError<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CatchError::new(inner)
    }
}
