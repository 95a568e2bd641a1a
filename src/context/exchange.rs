use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::Extensions;

use super::attempt::{Attempt, AttemptId, MAX_ATTEMPTS};
use crate::protocol::Protocol;
use crate::protocol::edit::Facts;
use crate::protocol::json::JsonStr;
use crate::protocol::model::{Fault, StopReason, Usage};

/// What the layers of one request know of it. Cloning it clones the handle.
///
/// The outermost of our layers puts it into the request's extensions, inner ones write facts into
/// it, and the outer ones read them when their body ends.
///
/// ```
/// use tower_llm_gateway::context::Exchange;
///
/// let mut request = http::Request::new(());
/// let exchange = Exchange::of(request.extensions_mut());
/// exchange.update(|facts| facts.upstream_model = Some("claude".into()));
/// let same = Exchange::of(request.extensions_mut());
/// assert_eq!(same.read(|facts| facts.upstream_model.clone()).as_deref(), Some("claude"));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Exchange(Arc<Mutex<ExchangeFacts>>);

impl Exchange {
    /// The exchange of a request; makes and leaves one where there is none.
    pub fn of(extensions: &mut Extensions) -> Self {
        extensions.get_or_insert_default::<Self>().clone()
    }

    /// Reads facts.
    pub fn read<T>(&self, read: impl FnOnce(&ExchangeFacts) -> T) -> T {
        read(&self.lock())
    }

    /// Writes facts.
    pub fn update<T>(&self, update: impl FnOnce(&mut ExchangeFacts) -> T) -> T {
        update(&mut self.lock())
    }

    /// Leaves what the body of the request says; false when the caller may not use that model, or
    /// may not use every model and names none.
    #[must_use]
    pub fn admit(&self, request: RequestFacts) -> bool {
        self.update(|facts| {
            let model = facts.request.insert(request).model.as_deref();
            facts.principal.as_ref().is_none_or(|principal| {
                model.map_or(!principal.is_limited(), |model| principal.allows_model(model))
            })
        })
    }

    /// Whether some models are forbidden to the caller, so that the request must be looked at.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.read(|facts| facts.principal.as_ref().is_some_and(Principal::is_limited))
    }

    /// Begins an attempt and leaves its id in the extensions of the request that makes it.
    pub fn begin_attempt(&self, extensions: &mut Extensions) -> AttemptId {
        let id = self.update(|facts| {
            let id = AttemptId::new(facts.attempts.len());
            if facts.attempts.len() < MAX_ATTEMPTS {
                facts.attempts.push(Attempt::begin());
            }
            id
        });
        extensions.insert(id);
        id
    }

    /// The attempt that a request makes; begins one where no outer layer did.
    pub fn attempt_of(&self, extensions: &mut Extensions) -> AttemptId {
        let begun = extensions.get::<AttemptId>().copied();
        begun.unwrap_or_else(|| self.begin_attempt(extensions))
    }

    /// Writes facts of an attempt; nothing happens beyond [`MAX_ATTEMPTS`].
    pub fn update_attempt(&self, id: AttemptId, update: impl FnOnce(&mut Attempt)) {
        self.update(|facts| {
            if let Some(attempt) = facts.attempts.get_mut(id.index()) {
                update(attempt);
                attempt.note_answer();
            }
        });
    }

    fn lock(&self) -> MutexGuard<'_, ExchangeFacts> {
        // A panic in one of the closures leaves plain data behind, still good to read.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The facts of one exchange; all of them may be unknown.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ExchangeFacts {
    /// Who calls.
    pub principal: Option<Principal>,
    /// The protocol that the caller speaks.
    pub client_protocol: Option<Protocol>,
    /// The protocol that the upstream speaks.
    pub upstream_protocol: Option<Protocol>,
    /// Whose the upstream is, where it was [named](super::Upstream::provider).
    pub provider: Option<Arc<str>>,
    /// What the body of the request says.
    pub request: Option<RequestFacts>,
    /// The model asked of the upstream, after mapping.
    pub upstream_model: Option<Arc<str>>,
    /// Whether the request was kept, so that it could be sent again; unknown where nobody would.
    pub replayable: Option<bool>,
    /// Calls to upstreams, at most [`MAX_ATTEMPTS`].
    pub attempts: Vec<Attempt>,
    /// The model that the answer names.
    pub response_model: Option<Arc<str>>,
    /// Whether the first meaningful event of the answer has passed, where [`Observed`] says that
    /// somebody looks.
    pub first_event: bool,
    /// Tokens spent, as far as known.
    pub usage: Option<Usage<'static>>,
    /// Why the answer ended.
    pub stop: Option<StopReason>,
    /// What went wrong, also inside a stream that began with 200.
    pub fault: Option<Fault>,
}

/// What the body of a request says; left by whichever layer first has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestFacts {
    /// The model asked for.
    pub model: Option<Arc<str>>,
    /// Whether a stream is asked for.
    pub stream: bool,
    /// The end user.
    pub user: Option<Arc<str>>,
    /// The prompt cache key.
    pub cache_key: Option<Arc<str>>,
    /// The response to continue.
    pub previous_response_id: Option<Arc<str>>,
}

impl From<&Facts<'_>> for RequestFacts {
    fn from(facts: &Facts<'_>) -> Self {
        let text = |value: &Option<JsonStr<'_>>| value.as_ref().map(|text| text.decode().into());
        Self {
            model: text(&facts.model),
            stream: facts.stream,
            user: text(&facts.user),
            cache_key: text(&facts.cache_key),
            previous_response_id: text(&facts.previous_response_id),
        }
    }
}

/// Who calls, as the verifier of keys knows it.
///
/// It is in the extensions of the request and in the [`Exchange`]. Nothing in it is secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    id: Arc<str>,
    models: Option<Arc<[String]>>,
}

impl Principal {
    /// A principal who may use every model.
    #[must_use]
    pub fn new(id: impl Into<Arc<str>>) -> Self {
        Self { id: id.into(), models: None }
    }

    /// Allows these models only; any other is answered 403 before an upstream is called.
    #[must_use]
    pub fn models(mut self, models: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.models = Some(models.into_iter().map(Into::into).collect());
        self
    }

    /// A name or number that means something to the host.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether some models are forbidden.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.models.is_some()
    }

    /// Whether this model may be used.
    #[must_use]
    pub fn allows_model(&self, model: &str) -> bool {
        self.models.as_ref().is_none_or(|models| models.iter().any(|m| m == model))
    }
}

/// In the extensions of a response: a layer inside reads what passes, and leaves tokens, model, stop
/// and faults in the [`Exchange`] by the time its body has ended. Who is outside need not read the
/// bytes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observed;

/// Address of the peer, put into the extensions by the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerAddr(pub SocketAddr);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_allowed_by_list() {
        let exchange = Exchange::default();
        let admit = |model: Option<&str>| {
            let model = model.map(Into::into);
            exchange.admit(RequestFacts { model, ..RequestFacts::default() })
        };
        assert!(admit(Some("any")) && admit(None) && !exchange.is_limited());
        exchange.update(|facts| facts.principal = Some(Principal::new("team").models(["a"])));
        assert!(admit(Some("a")) && exchange.is_limited());
        assert!(!admit(Some("b")) && !admit(None));
    }
}
