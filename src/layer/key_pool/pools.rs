use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::handle::KeyPool;
use crate::context::ChannelId;

/// The pools of all channels. Cloning it clones the handle; pools can be replaced at any time, and
/// leases go back to the pool that they came from.
///
/// ```
/// use tower_llm_gateway::context::ChannelId;
/// use tower_llm_gateway::layer::key_pool::{KeyPool, KeyPools};
///
/// let pools = KeyPools::new();
/// pools.set(ChannelId::new("main"), KeyPool::new(["sk-1", "sk-2"])?);
/// assert!(pools.get(Some(&ChannelId::new("main"))).is_some());
/// assert!(pools.get(Some(&ChannelId::new("other"))).is_none());
/// # Ok::<(), tower_llm_gateway::layer::key_pool::KeyError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct KeyPools(Arc<RwLock<Pools>>);

#[derive(Debug, Default)]
struct Pools {
    by_channel: HashMap<ChannelId, KeyPool>,
    without_channel: Option<KeyPool>,
}

impl KeyPools {
    /// No pools yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The pool of a channel, in place of the one that it had.
    pub fn set(&self, channel: ChannelId, pool: KeyPool) {
        self.write().by_channel.insert(channel, pool);
    }

    /// Takes the pool of a channel away.
    pub fn remove(&self, channel: &ChannelId) {
        self.write().by_channel.remove(channel);
    }

    /// The pool for requests without a channel. It never serves those of a channel that has no
    /// pool: its keys belong to another upstream.
    pub fn set_default(&self, pool: Option<KeyPool>) {
        self.write().without_channel = pool;
    }

    /// The pool for a request.
    #[must_use]
    pub fn get(&self, channel: Option<&ChannelId>) -> Option<KeyPool> {
        let pools = self.read();
        match channel {
            Some(channel) => pools.by_channel.get(channel).cloned(),
            None => pools.without_channel.clone(),
        }
    }

    /// The pools of all channels, in no order.
    #[must_use]
    pub fn all(&self) -> Vec<(ChannelId, KeyPool)> {
        let pools = self.read();
        pools.by_channel.iter().map(|(id, pool)| (id.clone(), pool.clone())).collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, Pools> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Pools> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_one_upstream_never_go_to_another() {
        let pools = KeyPools::new();
        let (a, b) = (ChannelId::new("a"), ChannelId::new("b"));
        pools.set_default(Some(KeyPool::new(["default"]).unwrap()));
        pools.set(a.clone(), KeyPool::new(["one"]).unwrap());
        let key = |channel: Option<&ChannelId>| {
            let lease = pools.get(channel)?.try_lease().unwrap();
            Some(lease.key().plain().to_str().unwrap().to_owned())
        };
        assert_eq!(key(None).as_deref(), Some("default"));
        assert_eq!(key(Some(&a)).as_deref(), Some("one"));
        assert_eq!(key(Some(&b)), None);
        pools.set(a.clone(), KeyPool::new(["two"]).unwrap());
        assert_eq!(key(Some(&a)).as_deref(), Some("two"));
        assert_eq!(pools.all().len(), 1);
        pools.remove(&a);
        assert_eq!(key(Some(&a)), None);
    }
}
