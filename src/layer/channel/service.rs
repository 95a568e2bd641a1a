use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::ask::{Asking, Refused};
use super::channels::Channels;
use super::future::{PendingCall, ResponseFuture};
use super::layer::Config;
use super::observe::ResponseObserver;
use super::shared::Lease;
use super::state::Given;
use crate::body::{ObserveBody, RewriteBody};

/// Middleware of [`ChannelLayer`](super::ChannelLayer).
#[derive(Debug, Clone)]
pub struct ChannelService<S> {
    inner: S,
    channels: Channels,
    config: Arc<Config>,
}

impl<S> ChannelService<S> {
    pub(super) fn new(inner: S, channels: Channels, config: Arc<Config>) -> Self {
        Self { inner, channels, config }
    }

    inner_accessors!();
}

impl<S, B, C> Service<Request<B>> for ChannelService<S>
where
    S: Service<Request<RewriteBody<B>>, Response = Response<C>> + Clone,
    B: Body<Data = Bytes>,
    C: Body<Data = Bytes>,
{
    type Response = Response<ObserveBody<RewriteBody<C>, ResponseObserver>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let asking = Asking::new(self.channels.clone(), Arc::clone(&self.config), &mut request);
        match asking.reads(request.headers()) {
            Ok(None) => {}
            Ok(Some(_)) => return ResponseFuture::read(self.take_ready(), request, asking),
            Err(refusal) => return ResponseFuture::refuse(asking, Refused::Request(refusal)),
        }
        let given = asking.give(request.headers());
        let request = request.map(RewriteBody::untouched);
        if let Given::Channel(choice) = given {
            let lease = Lease::new(self.channels.shared.clone(), choice);
            let called = ResponseObserver::call(&asking, lease, &mut self.inner, request);
            return ResponseFuture::called(called);
        }
        let (parts, body) = request.into_parts();
        let call = PendingCall { service: self.take_ready(), parts, asking };
        ResponseFuture::given(call, body, given)
    }
}

impl<S: Clone> ChannelService<S> {
    /// The ready service goes with the request; its clone waits for the next.
    fn take_ready(&mut self) -> S {
        let clone = self.inner.clone();
        std::mem::replace(&mut self.inner, clone)
    }
}
