//! Which requests are edited, and how. Pure.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use http::{Extensions, HeaderMap, Uri, request};

use super::layer::Config;
use crate::context::{Exchange, Principal, RequestFacts};
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

/// Why a request does not pass.
pub(super) struct Refusal {
    pub(super) kind: FaultKind,
    pub(super) message: Cow<'static, str>,
}

impl Refusal {
    pub(super) fn new(kind: FaultKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, message: message.into() }
    }
}

impl From<EditError> for Refusal {
    fn from(error: EditError) -> Self {
        Self::new(FaultKind::BadRequest, error.to_string())
    }
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
                Operation::Models => false,
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
        leave_facts(exchange, &facts)?;
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
        let limited =
            exchange.read(|facts| facts.principal.as_ref().is_some_and(Principal::is_limited));
        if limited || self.on_invalid == OnInvalid::Refuse {
            return Err(error.into());
        }
        Ok(Edited::Unchanged)
    }
}

/// Tells the other layers what the request says; refuses a model that is none of the caller's.
fn leave_facts(exchange: &Exchange, facts: &Facts<'_>) -> Result<(), Refusal> {
    let request = RequestFacts::from(facts);
    let allowed = exchange.update(|exchange| {
        let model = exchange.request.insert(request).model.as_deref();
        exchange.principal.as_ref().is_none_or(|principal| {
            model.map_or(!principal.is_limited(), |model| principal.allows_model(model))
        })
    });
    if allowed {
        return Ok(());
    }
    Err(Refusal::new(FaultKind::Permission, "this model is not allowed for this key"))
}
