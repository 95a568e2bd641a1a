use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, header};
use http_body::Body;
use tower_service::Service;

use super::answer::Passing;
use super::future::ResponseFuture;
use super::headers;
use super::layer::Config;
use super::notes::Notes;
use super::plan::{self, Plan};
use super::prepare::passes_model;
use super::{ProviderTranslateLayer, ResponseBody};
use crate::body::{ContentEncoding, Refusal, RewriteBody};
use crate::context::{Connection, Exchange, Upstream, UpstreamKey};
use crate::protocol::model::FaultKind;
use crate::protocol::{Operation, Route};

/// The service of [`ProviderTranslateLayer`].
#[derive(Debug, Clone)]
pub struct ProviderTranslate<S> {
    inner: S,
    config: Arc<Config>,
}

impl<S> ProviderTranslate<S> {
    pub(super) fn new(inner: S, config: Arc<Config>) -> Self {
        Self { inner, config }
    }

    /// A layer with this upstream.
    #[must_use]
    pub fn layer(upstream: Upstream) -> ProviderTranslateLayer {
        ProviderTranslateLayer::to(upstream)
    }

    inner_accessors!();
}

impl<S, B, C> Service<Request<B>> for ProviderTranslate<S>
where
    S: Service<Request<RewriteBody<B>>, Response = Response<C>> + Clone,
    B: Body<Data = Bytes>,
    C: Body<Data = Bytes>,
{
    type Response = Response<ResponseBody<C>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, B, C>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let route = Route::detect(request.method(), request.uri().path(), request.headers());
        let exchange = Exchange::of(request.extensions_mut());
        let route = route.map(|route| as_told(route, &exchange));
        let caller = route.map(|route| route.protocol);
        let named = request.extensions().get::<Upstream>();
        let Some(upstream) = named.or(self.config.upstream.as_ref()).cloned() else {
            let error = Refusal::new(FaultKind::Upstream, "no upstream is configured");
            return ResponseFuture::refuse(caller, &error);
        };
        if upstream.own_connection() != Connection::default() {
            request.extensions_mut().insert(upstream.own_connection());
        }
        exchange.update(|facts| {
            facts.client_protocol = caller;
            facts.upstream_protocol = upstream.protocol().or(caller);
            facts.provider = upstream.own_provider();
            // That of an attempt before this one.
            facts.upstream_model = None;
        });
        let seen = route.is_some_and(|route| route.operation != Operation::Other);
        // A question makes no model speak, unless it opens a channel of its own (Realtime).
        let asks = request.method().is_safe() && !request.headers().contains_key(header::UPGRADE);
        if !seen && exchange.is_limited() && !asks {
            // It may name a model where nobody here looks.
            let error = Refusal::new(FaultKind::Permission, "this key may not use this path");
            return ResponseFuture::refuse(caller, &error);
        }
        // What cannot be decoded is none of ours.
        let readable = ContentEncoding::of(request.headers()).is_ok();
        let may_hold_seals = self.config.vendors_change && readable;
        let see_body = exchange.is_limited() || !upstream.model_map().is_empty() || may_hold_seals;
        let plan = plan::plan(route, &upstream, see_body, readable);
        if let Plan::Refuse(error) = &plan {
            return ResponseFuture::refuse(caller, error);
        }
        if plan.keeps_path() {
            if plan::climbs(request.uri().path()) {
                return ResponseFuture::refuse(caller, &plan::bad_path());
            }
            match plan::uri(route, &upstream, request.uri()) {
                Ok(uri) => *request.uri_mut() = uri,
                Err(_) => return ResponseFuture::refuse(caller, &plan::bad_path()),
            }
        }
        let spoken = upstream.protocol().or(caller);
        let leased = request.extensions_mut().remove::<UpstreamKey>();
        let credential = leased.as_ref().unwrap_or(upstream.credential());
        let (mut parts, body) = request.into_parts();
        let (uri, headers) = (&mut parts.uri, &mut parts.headers);
        headers::set_credential(uri, headers, caller, spoken, credential);
        let request = Request::from_parts(parts, body);
        match plan {
            Plan::Translate { .. } | Plan::Count { .. } | Plan::Models { .. } | Plan::Edit(_) => {
                // The ready service goes with the request; its clone waits for the next.
                let clone = self.inner.clone();
                let ready = std::mem::replace(&mut self.inner, clone);
                let config = Arc::clone(&self.config);
                ResponseFuture::read(ready, request, plan, config, upstream, exchange)
            }
            Plan::Pass | Plan::Refuse(_) => {
                exchange.update(passes_model);
                let passing = Passing {
                    caller,
                    answers: route.is_some_and(|route| route.operation == Operation::Generate),
                    keep_alive: self.config.keep_passed_alive,
                    notes: Notes::of(&exchange, request.extensions()),
                };
                passing.notes.called();
                let future = self.inner.call(request.map(RewriteBody::untouched));
                ResponseFuture::pass(future, passing)
            }
        }
    }
}

/// The lists of models differ by the caller's key alone. Where a layer has taken the key away, it
/// has left word of the protocol.
fn as_told(route: Route, exchange: &Exchange) -> Route {
    let told = exchange.read(|facts| facts.client_protocol);
    match (route.operation, told) {
        (Operation::Models, Some(protocol)) => Route { protocol, ..route },
        _ => route,
    }
}
