use std::sync::Arc;

use tower_layer::Layer;

use super::policy::{OnInvalid, Policy, PromptRequest};
use super::service::SystemPrompt;
use crate::protocol::Protocol;
use crate::protocol::edit::SystemEdit;

/// Default for [`SystemPromptLayer::max_body_bytes`]: 50 MiB.
pub const DEFAULT_MAX_BODY_BYTES: usize = 50 << 20;

/// Edits the system prompt of requests. See the [module docs](super).
#[derive(Debug, Clone)]
pub struct SystemPromptLayer {
    config: Arc<Config>,
}

#[derive(Debug, Clone)]
pub(super) struct Config {
    pub(super) policy: Policy,
    /// `None` for all.
    pub(super) protocols: Option<Vec<Protocol>>,
    pub(super) max_body_bytes: usize,
    pub(super) on_invalid: OnInvalid,
}

impl SystemPromptLayer {
    /// Puts `text` in the place of the prompt: [`SystemEdit::Replace`].
    #[must_use]
    pub fn replace(text: impl Into<Arc<str>>) -> Self {
        Self::edit(SystemEdit::Replace(text.into()))
    }

    /// Puts `text` before the prompt: [`SystemEdit::Prepend`].
    #[must_use]
    pub fn prepend(text: impl Into<Arc<str>>) -> Self {
        Self::edit(SystemEdit::Prepend(text.into()))
    }

    /// Puts `text` behind the prompt: [`SystemEdit::Append`].
    #[must_use]
    pub fn append(text: impl Into<Arc<str>>) -> Self {
        Self::edit(SystemEdit::Append(text.into()))
    }

    /// Puts `text` before the prompt unless `keyword` is in it: [`SystemEdit::InsertIfAbsent`].
    #[must_use]
    pub fn insert_if_absent(keyword: impl Into<Arc<str>>, text: impl Into<Arc<str>>) -> Self {
        Self::edit(SystemEdit::InsertIfAbsent { keyword: keyword.into(), text: text.into() })
    }

    /// Takes the prompt out: [`SystemEdit::Remove`].
    #[must_use]
    pub fn remove() -> Self {
        Self::edit(SystemEdit::Remove)
    }

    /// The rewrite for upstreams that serve Claude Code: [`SystemEdit::ClaudeCode`]. The text of
    /// the first block becomes `text`; with `insert` only where it is Claude Code's own, else a
    /// block of its own is inserted. An empty text changes nothing.
    #[must_use]
    pub fn claude_code(text: impl Into<Arc<str>>, insert: bool) -> Self {
        Self::edit(SystemEdit::ClaudeCode { text: text.into(), insert })
    }

    /// The same edit for every request.
    #[must_use]
    pub fn edit(edit: SystemEdit) -> Self {
        Self::from_policy(Policy::Same(edit))
    }

    /// Asks `decide` for the edit of each request, after its body was read.
    ///
    /// ```
    /// use tower_llm_gateway::SystemPromptLayer;
    /// use tower_llm_gateway::protocol::edit::SystemEdit;
    ///
    /// let layer = SystemPromptLayer::with(|request| match &request.facts.model {
    ///     Some(model) if *model == "small" => SystemEdit::Prepend("Think step by step.".into()),
    ///     _ => SystemEdit::Keep,
    /// });
    /// # let _ = layer;
    /// ```
    #[must_use]
    pub fn with<F>(decide: F) -> Self
    where
        F: Fn(&PromptRequest<'_>) -> SystemEdit + Send + Sync + 'static,
    {
        Self::from_policy(Policy::Decide(Arc::new(decide)))
    }

    fn from_policy(policy: Policy) -> Self {
        let config = Config {
            policy,
            protocols: None,
            max_body_bytes: DEFAULT_MAX_BODY_BYTES,
            on_invalid: OnInvalid::default(),
        };
        Self { config: Arc::new(config) }
    }

    /// Touches requests of these protocols only. Default: all.
    #[must_use]
    pub fn protocols(self, protocols: impl IntoIterator<Item = Protocol>) -> Self {
        self.map(|config| config.protocols = Some(protocols.into_iter().collect()))
    }

    /// Most bytes of a request body; beyond it 413. Default [`DEFAULT_MAX_BODY_BYTES`].
    #[must_use]
    pub fn max_body_bytes(self, bytes: usize) -> Self {
        self.map(|config| config.max_body_bytes = bytes)
    }

    /// What becomes of a body that is no JSON object. Default [`OnInvalid::Pass`].
    #[must_use]
    pub fn on_invalid(self, what: OnInvalid) -> Self {
        self.map(|config| config.on_invalid = what)
    }

    fn map(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(Arc::make_mut(&mut self.config));
        self
    }
}

impl<S> Layer<S> for SystemPromptLayer {
    type Service = SystemPrompt<S>;

    fn layer(&self, inner: S) -> Self::Service {
        SystemPrompt::new(inner, Arc::clone(&self.config))
    }
}
