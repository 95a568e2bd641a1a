use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::HOST;
use http::{Method, Request, Response, Uri, Version};
use http_body::Body;
use tower_service::Service;

use super::future::ResponseFuture;
use super::headers::{self, Keep};
use super::layer::Config;
use crate::context::PeerAddr;

/// Middleware of [`HopByHopFilterLayer`](super::HopByHopFilterLayer).
#[derive(Debug, Clone)]
pub struct HopByHopFilter<S> {
    inner: S,
    config: Arc<Config>,
}

impl<S> HopByHopFilter<S> {
    pub(super) fn new(inner: S, config: Arc<Config>) -> Self {
        Self { inner, config }
    }

    inner_accessors!();
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for HopByHopFilter<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ReqBody: Body,
    ResBody: Body,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let head = *request.method() == Method::HEAD;
        let keep = self.config.filter(&mut request);
        ResponseFuture::new(self.inner.call(request), keep, head)
    }
}

impl Config {
    /// Makes the request one for the next connection; tells what of the old one was kept.
    fn filter<B: Body>(&self, request: &mut Request<B>) -> Keep {
        let upgrade = self.upgrades
            && headers::asks_for_websocket(request.method(), request.version(), request.headers());
        let keep = Keep { upgrade, trailers: self.trailers };
        let size = request.body().size_hint().exact();
        headers::strip(request.headers_mut(), keep, size);
        headers::strip_expect(request.headers_mut());
        self.point(request);
        for (name, value) in &self.headers {
            match value {
                Some(value) => request.headers_mut().insert(name, value.clone()),
                None => request.headers_mut().remove(name),
            };
        }
        let peer = request.extensions().get::<PeerAddr>().map(|peer| peer.0.ip());
        headers::forward_for(request.headers_mut(), self.forwarded_for, peer);
        keep
    }

    /// Sets URI, `Host` and version.
    fn point<B>(&self, request: &mut Request<B>) {
        *request.version_mut() = Version::HTTP_11;
        if self.preserve_host {
            let uri = request.uri().clone();
            headers::preserve_host(request.headers_mut(), &uri);
        }
        if let Some(target) = &self.target {
            // Only a URI beyond the limit of 64 KiB fails. It must not go where the caller wrote,
            // so a relative one goes on, which every client refuses.
            *request.uri_mut() = target
                .uri_for(request.uri().path(), request.uri().query())
                .unwrap_or_else(|_| Uri::default());
        }
        if !self.preserve_host {
            if let Some(host) = headers::host_of(request.uri()) {
                request.headers_mut().insert(HOST, host);
            }
        }
    }
}
