//! Which requests are edited, and how. Pure.

use std::fmt;
use std::sync::Arc;

use http::{Extensions, HeaderMap, Uri, request};

use super::layer::Config;
use crate::body::Refusal;
use crate::context::{Exchange, RequestFacts};
use crate::protocol::edit::{EditError, Edited, Facts, Outline, SystemEdit};
use crate::protocol::json::JsonStr;
use crate::protocol::model::FaultKind;
use crate::protocol::{Operation, Protocol, Route};

/// What becomes of a body that is no JSON object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnInvalid {
    /// It passes unchanged; the upstream may refuse it in its own words. The default.
    #[default]
    Pass,
    /// It is answered 400.
    Refuse,
}

/// A request as the closure of [`SystemPromptLayer::with`](super::SystemPromptLayer::with) sees it.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct PromptRequest<'a> {
    /// Its protocol and what it wants.
    pub route: Route,
    /// Where it goes.
    pub uri: &'a Uri,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// What outer layers left, such as the [`Principal`](crate::context::Principal).
    pub extensions: &'a Extensions,
    /// What its body says of itself.
    pub facts: &'a Facts<'a>,
    /// The texts of its system prompt, in their order.
    pub system: &'a [JsonStr<'a>],
}

type Decide = dyn Fn(&PromptRequest<'_>) -> SystemEdit + Send + Sync;

#[derive(Clone)]
pub(super) enum Policy {
    Same(SystemEdit),
    Decide(Arc<Decide>),
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // A prompt may be a trade secret.
            Self::Same(_) => f.write_str("Same(..)"),
            Self::Decide(_) => f.write_str("Decide(..)"),
        }
    }
}

impl Policy {
    /// Whether it may change a request of this kind.
    fn touches(&self, route: Route) -> bool {
        match self {
            Self::Same(SystemEdit::Keep) => false,
            Self::Same(SystemEdit::ClaudeCode { text, .. }) => {
                let messages = (Protocol::Anthropic, Operation::Generate);
                !text.is_empty() && (route.protocol, route.operation) == messages
            }
            Self::Same(_) | Self::Decide(_) => match route.operation {
                Operation::Generate => true,
                // Counts what will be sent; Gemini's has no place for a prompt.
                Operation::CountTokens => route.protocol != Protocol::Gemini,
                Operation::Models | Operation::Other => false,
            },
        }
    }
}

impl Config {
    /// Whether the body of such a request must be read.
    pub(super) fn touches(&self, route: Route) -> bool {
        let listed = |protocols: &Vec<Protocol>| protocols.contains(&route.protocol);
        self.protocols.as_ref().is_none_or(listed) && self.policy.touches(route)
    }

    /// Leaves the facts of a request, holds the caller to its models and edits the body.
    pub(super) fn apply(
        &self,
        route: Route,
        parts: &request::Parts,
        exchange: &Exchange,
        body: &[u8],
    ) -> Result<Edited, Refusal> {
        let outline = match Outline::read(route.protocol, body) {
            Ok(outline) => outline,
            Err(error) => return self.invalid(exchange, error),
        };
        let facts = outline.facts(&parts.uri, &parts.headers)?;
        if !exchange.admit(RequestFacts::from(&facts)) {
            return Err(Refusal::new(FaultKind::Permission, "this key may not use this model"));
        }
        Ok(self.edit(route, parts, &outline, &facts)?)
    }

    fn edit(
        &self,
        route: Route,
        parts: &request::Parts,
        outline: &Outline<'_>,
        facts: &Facts<'_>,
    ) -> Result<Edited, EditError> {
        match &self.policy {
            Policy::Same(edit) => outline.edit_system(edit),
            Policy::Decide(decide) => {
                let edit = decide(&PromptRequest {
                    route,
                    uri: &parts.uri,
                    headers: &parts.headers,
                    extensions: &parts.extensions,
                    facts,
                    system: &outline.system_texts()?,
                });
                outline.edit_system(&edit)
            }
        }
    }

    fn invalid(&self, exchange: &Exchange, error: EditError) -> Result<Edited, Refusal> {
        // A model that we cannot read may be one that the caller must not use.
        if exchange.is_limited() || self.on_invalid == OnInvalid::Refuse {
            return Err(error.into());
        }
        Ok(Edited::Unchanged)
    }
}
