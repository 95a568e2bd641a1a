//! What has to be known of a request before a channel is chosen for it, and what it is told where
//! none is.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Request, Response, StatusCode, request};

use super::affinity::AffinityKey;
use super::channels::Channels;
use super::layer::Config;
use super::schedule::{Ask, Nobody};
use super::state::Given;
use crate::body::{Refusal, RewriteBody, is_encoded, refuse_with_status};
use crate::context::{AttemptId, Exchange, RequestFacts};
use crate::protocol::edit::Outline;
use crate::protocol::model::{ApiError, Fault, FaultKind};
use crate::protocol::{Operation, Protocol, Route};

/// After how long a request is worth repeating that found all channels full.
pub const RETRY_AFTER: Duration = Duration::from_secs(5);

/// A request that wants a channel.
#[derive(Debug)]
pub(super) struct Asking {
    pub(super) channels: Channels,
    pub(super) config: Arc<Config>,
    pub(super) exchange: Exchange,
    pub(super) attempt: AttemptId,
    route: Option<Route>,
}

/// Why there is no channel for a request.
#[derive(Debug, PartialEq)]
pub(super) enum Refused {
    /// It must not be passed on, whichever channels there are.
    Request(Refusal),
    Nobody(Nobody),
    /// All are full, for too long or for too many.
    Full,
}

impl Asking {
    pub(super) fn new<B>(
        channels: Channels,
        config: Arc<Config>,
        request: &mut Request<B>,
    ) -> Self {
        let route = Route::detect(request.method(), request.uri().path(), request.headers());
        let exchange = Exchange::of(request.extensions_mut());
        let attempt = exchange.attempt_of(request.extensions_mut());
        if let Some(route) = route {
            exchange.update(|facts| {
                facts.client_protocol.get_or_insert(route.protocol);
            });
        }
        Self { channels, config, exchange, attempt, route }
    }

    /// The caller's protocol.
    pub(super) fn protocol(&self) -> Option<Protocol> {
        self.route.map(|route| route.protocol)
    }

    /// Whether a model is to answer, as far as anybody knows.
    pub(super) fn generates(&self) -> bool {
        self.route.is_none_or(|route| route.operation == Operation::Generate)
    }

    /// The caller's protocol, where the request asks for a model.
    fn modelled(&self) -> Option<Protocol> {
        let Route { protocol, operation } = self.route?;
        matches!(operation, Operation::Generate | Operation::CountTokens).then_some(protocol)
    }

    /// The caller's protocol, where the body must be read for what nobody has read yet.
    pub(super) fn reads(&self, headers: &HeaderMap) -> Result<Option<Protocol>, Refusal> {
        let Some(protocol) = self.modelled() else { return Ok(None) };
        if self.exchange.read(|facts| facts.request.is_some()) {
            return Ok(None);
        }
        let (lists, affinity) = self.channels.shared.with(|state, _| state.wants());
        match (lists, affinity, is_encoded(headers)) {
            (true, _, true) => {
                let message = "the request body must not have a content-encoding";
                Err(Refusal::new(FaultKind::UnsupportedMedia, message))
            }
            (true, ..) | (_, true, false) => Ok(Some(protocol)),
            _ => Ok(None),
        }
    }

    /// Leaves the facts of a body, and holds the caller to its models.
    pub(super) fn learn(&self, parts: &request::Parts, body: &[u8]) -> Result<(), Refusal> {
        let Some(protocol) = self.modelled() else { return Ok(()) };
        let outline = match Outline::read(protocol, body) {
            Ok(outline) => outline,
            // A model that we cannot read may be one that the caller must not use.
            Err(error) if self.exchange.is_limited() => return Err(error.into()),
            // The upstream says in its own words what is wrong.
            Err(_) => return Ok(()),
        };
        let facts = outline.facts(&parts.uri, &parts.headers)?;
        if self.exchange.admit(RequestFacts::from(&facts)) {
            return Ok(());
        }
        Err(Refusal::new(FaultKind::Permission, "this key may not use this model"))
    }

    /// A channel, a place in the queue, or neither.
    pub(super) fn give(&self, headers: &HeaderMap) -> Given {
        let ask = self.exchange.read(|facts| {
            let affinity =
                self.modelled().and_then(|protocol| AffinityKey::of(protocol, headers, facts));
            Ask::new(self.protocol(), affinity, facts, self.attempt)
        });
        let most = self.config.max_waiting;
        self.channels.shared.with(|state, now| state.give(ask, most, now))
    }

    /// The answer to a request for which there is no channel.
    pub(super) fn refuse<B>(&self, refused: &Refused) -> Response<RewriteBody<B>> {
        let response = refused.response(self.protocol());
        let status = response.status();
        let fault = response.extensions().get::<Fault>().copied();
        self.exchange.update_attempt(self.attempt, |attempt| {
            attempt.status = Some(status);
            attempt.fault = fault;
        });
        response
    }
}

impl Refused {
    fn response<B>(&self, protocol: Option<Protocol>) -> Response<RewriteBody<B>> {
        let unavailable = |message: &'static str, code: Option<&'static str>, wait| {
            let mut error = ApiError::new(FaultKind::Overloaded, message);
            error.code = code.map(crate::protocol::json::JsonStr::from_plain);
            error.retry_after = wait;
            // Also in Messages, whose own overload is the vendor's.
            refuse_with_status(protocol, StatusCode::SERVICE_UNAVAILABLE, &error)
        };
        match self {
            Self::Request(refusal) => refusal.response(protocol),
            Self::Nobody(Nobody::Model) => {
                let message = "no channel serves the model that was asked for";
                Refusal::new(FaultKind::NotFound, message).response(protocol)
            }
            Self::Nobody(Nobody::None) => {
                unavailable("no channel is available (NO_UPSTREAM)", Some("NO_UPSTREAM"), None)
            }
            Self::Nobody(Nobody::Tried) => unavailable("all channels were tried", None, None),
            Self::Full => unavailable("all channels are busy", None, Some(RETRY_AFTER)),
        }
    }
}
