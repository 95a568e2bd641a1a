use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tower_layer::Layer;

use super::ProviderTranslate;
use crate::context::Upstream;
use crate::protocol::report::Mode;
use crate::store::{MemoryVault, SealVault};

/// Default for [`ProviderTranslateLayer::max_request_bytes`]: 50 MiB.
pub const DEFAULT_MAX_REQUEST_BYTES: usize = 50 << 20;

/// Default for [`ProviderTranslateLayer::keep_alive`]: 15 seconds.
pub const DEFAULT_KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Default for [`ProviderTranslateLayer::max_response_bytes`]: 32 MiB.
pub const DEFAULT_MAX_RESPONSE_BYTES: usize = 32 << 20;

/// Lets a caller of one protocol talk to an upstream of another.
///
/// See the [module docs](crate::layer::provider_translate).
#[derive(Debug, Clone)]
pub struct ProviderTranslateLayer {
    config: Arc<Config>,
}

#[derive(Clone)]
pub(super) struct Config {
    pub(super) upstream: Option<Upstream>,
    pub(super) mode: Mode,
    pub(super) max_request_bytes: usize,
    pub(super) max_response_bytes: usize,
    pub(super) report_header: bool,
    pub(super) keep_alive: Option<Duration>,
    pub(super) keep_passed_alive: Option<Duration>,
    pub(super) vault: Option<Arc<dyn SealVault>>,
    pub(super) vendors_change: bool,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("upstream", &self.upstream)
            .field("mode", &self.mode)
            .field("max_request_bytes", &self.max_request_bytes)
            .field("max_response_bytes", &self.max_response_bytes)
            .field("report_header", &self.report_header)
            .field("keep_alive", &self.keep_alive)
            .field("keep_passed_alive", &self.keep_passed_alive)
            .field("vault", &self.vault.is_some())
            .field("vendors_change", &self.vendors_change)
            .finish()
    }
}

impl ProviderTranslateLayer {
    /// Sends every request to this upstream, unless its extensions name another.
    #[must_use]
    pub fn to(upstream: Upstream) -> Self {
        Self::with(Some(upstream))
    }

    /// Sends every request to the upstream in its extensions; without one it is answered 502.
    #[must_use]
    pub fn from_context() -> Self {
        Self::with(None)
    }

    fn with(upstream: Option<Upstream>) -> Self {
        // The upstream of a context is another one whenever somebody thinks so.
        let vendors_change = upstream.is_none();
        let config = Config {
            upstream,
            mode: Mode::default(),
            max_request_bytes: DEFAULT_MAX_REQUEST_BYTES,
            max_response_bytes: DEFAULT_MAX_RESPONSE_BYTES,
            report_header: false,
            keep_alive: Some(DEFAULT_KEEP_ALIVE),
            keep_passed_alive: None,
            vault: Some(Arc::new(MemoryVault::new())),
            vendors_change,
        };
        Self { config: Arc::new(config) }
    }

    /// Which losses are refused. Default [`Mode::Default`]: those that would make the answer wrong.
    #[must_use]
    pub fn mode(self, mode: Mode) -> Self {
        self.map(|config| config.mode = mode)
    }

    /// Refuses every loss that may change the answer: [`Mode::Strict`].
    #[must_use]
    pub fn strict(self) -> Self {
        self.mode(Mode::Strict)
    }

    /// Most bytes of a request that must be read; beyond it 413. Default
    /// [`DEFAULT_MAX_REQUEST_BYTES`].
    #[must_use]
    pub fn max_request_bytes(self, bytes: usize) -> Self {
        self.map(|config| config.max_request_bytes = bytes)
    }

    /// Most bytes of an answer that must be read; beyond it 502. Default
    /// [`DEFAULT_MAX_RESPONSE_BYTES`].
    #[must_use]
    pub fn max_response_bytes(self, bytes: usize) -> Self {
        self.map(|config| config.max_response_bytes = bytes)
    }

    /// Writes the translation report into the header `x-translation-report` too, cut at 1 KiB.
    /// Default false.
    #[must_use]
    pub fn report_header(self, write: bool) -> Self {
        self.map(|config| config.report_header = write)
    }

    /// Shows the caller of a translated stream that it is alive, by a comment or a `ping` in its
    /// protocol, whenever the upstream was silent for so long; `None` for never. Default
    /// [`DEFAULT_KEEP_ALIVE`].
    ///
    /// Needs a tokio runtime with its timer.
    #[must_use]
    pub fn keep_alive(self, interval: Option<Duration>) -> Self {
        self.map(|config| config.keep_alive = interval)
    }

    /// The same for streams that pass untouched: their bytes stay, something stands between them.
    /// Default never.
    #[must_use]
    pub fn keep_passed_alive(self, interval: Option<Duration>) -> Self {
        self.map(|config| config.keep_passed_alive = interval)
    }

    /// Where the sealed thinking of vendors waits for callers of Chat Completions and DashScope,
    /// which have no place for it. Default a [`MemoryVault`] that the clones of the layer share.
    #[must_use]
    pub fn vault(self, vault: Arc<dyn SealVault>) -> Self {
        self.map(|config| config.vault = Some(vault))
    }

    /// Keeps nothing between requests: what such callers cannot carry is lost, and Messages does
    /// not think after a tool call of theirs.
    #[must_use]
    pub fn without_vault(self) -> Self {
        self.map(|config| config.vault = None)
    }

    /// Whether a conversation may have been with another upstream before. If so, what this layer left
    /// in its history for that one is taken out also where both sides speak the same protocol;
    /// for that the request is read, and passed on byte for byte where there is nothing of the
    /// kind. Default true for [`from_context`](Self::from_context), else false.
    #[must_use]
    pub fn vendors_change(self, change: bool) -> Self {
        self.map(|config| config.vendors_change = change)
    }

    fn map(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(Arc::make_mut(&mut self.config));
        self
    }
}

impl<S> Layer<S> for ProviderTranslateLayer {
    type Service = ProviderTranslate<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ProviderTranslate::new(inner, Arc::clone(&self.config))
    }
}
