use std::sync::Arc;
use std::time::Duration;

use tower_layer::Layer;

use super::channels::Channels;
use super::service::ChannelService;

/// Default for [`ChannelLayer::max_body_bytes`]: 50 MiB.
pub const DEFAULT_MAX_BODY_BYTES: usize = 50 << 20;

/// Default for [`ChannelLayer::max_wait`]: 30 seconds.
pub const DEFAULT_MAX_WAIT: Duration = Duration::from_secs(30);

/// Default for [`ChannelLayer::max_waiting`].
pub const DEFAULT_MAX_WAITING: usize = 1000;

/// Chooses a channel for each request. See the [module docs](super).
#[derive(Debug, Clone)]
pub struct ChannelLayer {
    channels: Channels,
    config: Arc<Config>,
}

#[derive(Debug, Clone)]
pub(super) struct Config {
    pub(super) max_body_bytes: usize,
    pub(super) max_wait: Duration,
    pub(super) max_waiting: usize,
}

impl ChannelLayer {
    /// Chooses among these channels; whoever keeps the handle may change them.
    #[must_use]
    pub fn new(channels: Channels) -> Self {
        let config = Config {
            max_body_bytes: DEFAULT_MAX_BODY_BYTES,
            max_wait: DEFAULT_MAX_WAIT,
            max_waiting: DEFAULT_MAX_WAITING,
        };
        Self { channels, config: Arc::new(config) }
    }

    /// Most bytes of a request body, where the layer has to read it; beyond it 413. Default
    /// [`DEFAULT_MAX_BODY_BYTES`].
    #[must_use]
    pub fn max_body_bytes(self, bytes: usize) -> Self {
        self.map(|config| config.max_body_bytes = bytes)
    }

    /// How long a request waits where all channels are full; beyond it 503. Default
    /// [`DEFAULT_MAX_WAIT`].
    #[must_use]
    pub fn max_wait(self, time: Duration) -> Self {
        self.map(|config| config.max_wait = time)
    }

    /// Most requests that wait for one of these channels; a further one is answered 503 at once.
    /// Default [`DEFAULT_MAX_WAITING`].
    #[must_use]
    pub fn max_waiting(self, requests: usize) -> Self {
        self.map(|config| config.max_waiting = requests)
    }

    /// The handle of the channels.
    #[must_use]
    pub fn channels(&self) -> Channels {
        self.channels.clone()
    }

    fn map(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(Arc::make_mut(&mut self.config));
        self
    }
}

impl<S> Layer<S> for ChannelLayer {
    type Service = ChannelService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ChannelService::new(inner, self.channels.clone(), Arc::clone(&self.config))
    }
}
