use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::{HOST, PROXY_AUTHORIZATION};
use http::{Request, Response, Uri, Version};
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::client::legacy::{self, Client};
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use tower_service::Service;

use super::builder::HttpUpstreamBuilder;
use super::connect::Connector;
use super::idle::IdleTimeoutBody;
use super::transport_error;
use crate::context::Connection;
use crate::error::{BoxError, Phase, TransportError, TransportKind};

/// A pooled HTTP client for request bodies `B`. Clones share the pool.
///
/// It wants absolute URIs. See the [module docs](super).
pub struct HttpUpstream<B> {
    shared: Arc<Shared<B>>,
}

struct Shared<B> {
    config: HttpUpstreamBuilder,
    clients: Clients<B>,
    /// For upstreams whose [`Connection`] asks for it; made when the first one does.
    trusting: OnceLock<Clients<B>>,
}

/// The pools of one policy of trust.
pub(super) struct Clients<B> {
    pub(super) http1: Client<Connector, B>,
    pub(super) http2: Option<Client<Connector, B>>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Timeouts {
    pub(super) headers: Duration,
    pub(super) idle: Duration,
}

impl<B> HttpUpstream<B> {
    pub(super) fn new(config: HttpUpstreamBuilder, clients: Clients<B>) -> Self {
        Self { shared: Arc::new(Shared { config, clients, trusting: OnceLock::new() }) }
    }
}

impl<B> Shared<B>
where
    B: Body + Send,
    B::Data: Send,
{
    /// Makes the request one for the client that it returns.
    fn client_for(
        &self,
        request: &mut Request<B>,
        connection: &Connection,
    ) -> &Client<Connector, B> {
        // The version is the connection's, and the client knows it.
        *request.version_mut() = Version::HTTP_11;
        if let Some(authorization) = self.config.own_proxies().authorization(request.uri()) {
            request.headers_mut().insert(PROXY_AUTHORIZATION, authorization);
        }
        let trusts_all = connection.danger_accept_invalid_certs;
        let clients = if trusts_all && !self.config.accepts_invalid_certs() {
            self.trusting.get_or_init(|| self.config.clients(true))
        } else {
            &self.clients
        };
        match &clients.http2 {
            Some(http2) if !has_host_of_its_own(request) => {
                // It is in the URI, from where each version takes it.
                request.headers_mut().remove(HOST);
                http2
            }
            _ => &clients.http1,
        }
    }
}

fn has_host_of_its_own<B>(request: &Request<B>) -> bool {
    let (host, uri) = (request.headers().get(HOST), request.uri());
    let Some((host, authority)) = host.zip(uri.authority()) else { return false };
    // HopByHopFilterLayer leaves a port out that the scheme implies.
    let implied = match (uri.scheme_str(), authority.port_u16()) {
        (Some("https"), Some(443)) | (Some("http"), Some(80)) => authority.host(),
        _ => authority.as_str(),
    };
    *host != *implied && *host != *authority.as_str()
}

impl<B> Service<Request<B>> for HttpUpstream<B>
where
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    type Response = Response<IdleTimeoutBody<Incoming>>;
    type Error = TransportError;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> ResponseFuture {
        strip_userinfo(request.uri_mut());
        let connection = request.extensions().get::<Connection>().copied().unwrap_or_default();
        let Timeouts { headers, idle } = self.shared.config.timeouts(&connection);
        let client = self.shared.client_for(&mut request, &connection);
        ResponseFuture { inner: client.request(request), deadline: sleep(headers), idle }
    }
}

/// RFC 9110 §4.2.4: what stands before the host is no part of a request. The client would write it
/// into its logs, and into `Host`.
fn strip_userinfo(uri: &mut Uri) {
    let Some(authority) = uri.authority() else { return };
    let Some((_, host)) = authority.as_str().rsplit_once('@') else { return };
    let Ok(host) = host.parse() else { return };
    let mut parts = uri.clone().into_parts();
    parts.authority = Some(host);
    if let Ok(stripped) = Uri::from_parts(parts) {
        *uri = stripped;
    }
}

impl<B: Body + Send> Default for HttpUpstream<B>
where
    B::Data: Send,
{
    /// The defaults of [`HttpUpstreamBuilder`].
    fn default() -> Self {
        HttpUpstreamBuilder::new().build()
    }
}

impl<B> Clone for HttpUpstream<B> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<B> fmt::Debug for HttpUpstream<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpUpstream").field("config", &self.shared.config).finish_non_exhaustive()
    }
}

pin_project! {
    /// Response future of [`HttpUpstream`].
    pub struct ResponseFuture {
        #[pin]
        inner: legacy::ResponseFuture,
        #[pin]
        deadline: Sleep,
        idle: Duration,
    }
}

impl Future for ResponseFuture {
    type Output = Result<Response<IdleTimeoutBody<Incoming>>, TransportError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(result) = this.inner.poll(cx) {
            let idle = *this.idle;
            return Poll::Ready(match result {
                Ok(response) => Ok(response.map(|body| IdleTimeoutBody::new(body, idle))),
                Err(error) => Err(transport_error(error)),
            });
        }
        let late = || Err(TransportError::new(TransportKind::Timeout(Phase::Headers)));
        this.deadline.poll(cx).map(|()| late())
    }
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
