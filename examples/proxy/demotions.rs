//! Writes down in which order the keys of a channel stand, after one of them was out of quota.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tower_llm_gateway::config::{ConfigError, ConfigFile};
use tower_llm_gateway::secret::Secret;

/// The last order of the keys of each channel that is not yet written.
type Orders = BTreeMap<String, Vec<Arc<str>>>;

/// What requests note and a worker writes. It holds one order for a channel at most.
#[derive(Debug, Clone, Default)]
pub(crate) struct Demotions(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    orders: Mutex<Orders>,
    noted: Notify,
}

impl Demotions {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Notes the order of all keys of a channel, by their ids. Waits for nothing.
    pub(crate) fn note(&self, channel: &str, order: &[Arc<str>]) {
        let mut orders = self.0.orders.lock().unwrap_or_else(PoisonError::into_inner);
        orders.insert(channel.to_owned(), order.to_vec());
        drop(orders);
        self.0.noted.notify_one();
    }

    /// Writes what is noted into the file, until it is dropped.
    pub(crate) async fn write_to(self, file: ConfigFile) -> io::Result<()> {
        loop {
            self.0.noted.notified().await;
            let orders = self.take();
            let channels: Vec<_> = orders.keys().cloned().collect();
            let file = file.clone();
            match spawn_blocking(move || reorder(&file, &orders)).await? {
                Ok(()) => tracing::info!(?channels, "keys without quota stand last in the file"),
                Err(error) => {
                    tracing::warn!(?channels, %error, "the new order of keys is not in the file");
                }
            }
        }
    }

    fn take(&self) -> Orders {
        std::mem::take(&mut *self.0.orders.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The file is read again: somebody may have changed it since the start.
fn reorder(file: &ConfigFile, orders: &Orders) -> Result<(), ConfigError> {
    let mut config = file.load()?.config;
    let lists = [&mut config.upstream, &mut config.responses_upstream, &mut config.gemini_upstream];
    for channel in lists.into_iter().flatten() {
        let Some(order) = orders.get(&channel.id) else { continue };
        let place = |key: &Secret| {
            let id = Secret::new(key.expose().trim()).fingerprint();
            order.iter().position(|known| **known == *id).unwrap_or(order.len())
        };
        channel.api_keys.sort_by_cached_key(place);
    }
    file.save(&config)
}
