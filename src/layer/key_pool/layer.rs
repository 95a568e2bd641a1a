use tower_layer::Layer;

use super::handle::KeyPool;
use super::pools::KeyPools;
use super::service::KeyPoolService;
use crate::context::ChannelId;

/// Leases keys for requests. See the [module docs](super).
#[derive(Debug, Clone)]
pub struct KeyPoolLayer {
    source: Source,
}

#[derive(Debug, Clone)]
pub(super) enum Source {
    One(KeyPool),
    ByChannel(KeyPools),
}

impl KeyPoolLayer {
    /// Leases keys of this pool to all requests: they all go to one upstream.
    #[must_use]
    pub fn new(pool: KeyPool) -> Self {
        Self { source: Source::One(pool) }
    }

    /// Leases keys of the pool that belongs to the request's
    /// [`ChannelId`](crate::context::ChannelId). Where there is none, the request passes as it is.
    #[must_use]
    pub fn by_channel(pools: KeyPools) -> Self {
        Self { source: Source::ByChannel(pools) }
    }
}

impl Source {
    pub(super) fn pool(&self, channel: Option<&ChannelId>) -> Option<KeyPool> {
        match self {
            Self::One(pool) => Some(pool.clone()),
            Self::ByChannel(pools) => pools.get(channel),
        }
    }
}

impl<S> Layer<S> for KeyPoolLayer {
    type Service = KeyPoolService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        KeyPoolService::new(inner, self.source.clone())
    }
}
