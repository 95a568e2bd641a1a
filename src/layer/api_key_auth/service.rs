use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_service::Service;

use super::future::{Caller, Refusal, ResponseFuture};
use super::layer::Rules;
use super::verify::{MAX_KEY_BYTES, VerifyError, VerifyKey};
use crate::body::RewriteBody;

/// Middleware of [`ApiKeyAuthLayer`](super::ApiKeyAuthLayer).
pub struct ApiKeyAuth<S, V> {
    inner: S,
    verifier: Arc<V>,
    rules: Arc<Rules>,
}

impl<S, V> ApiKeyAuth<S, V> {
    pub(super) fn new(inner: S, verifier: Arc<V>, rules: Arc<Rules>) -> Self {
        Self { inner, verifier, rules }
    }

    inner_accessors!();
}

impl<S, V, ReqBody, ResBody> Service<Request<ReqBody>> for ApiKeyAuth<S, V>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    V: VerifyKey,
{
    type Response = Response<RewriteBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, V, ReqBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        if self.rules.exempts(request.uri().path()) {
            return ResponseFuture::call(self.inner.call(request));
        }
        let caller = Caller::of(&mut request);
        let refusal = match self.rules.sources.find(&request) {
            None => Refusal::Missing,
            Some(key) if key.expose().len() > MAX_KEY_BYTES => Refusal::Key(VerifyError::Unknown),
            Some(key) => {
                let verifying = self.verifier.verify(key);
                self.rules.sources.strip(&mut request);
                let clone = self.inner.clone();
                let ready = std::mem::replace(&mut self.inner, clone);
                return ResponseFuture::verify(verifying, ready, request, caller);
            }
        };
        ResponseFuture::refuse(caller, refusal)
    }
}

impl<S: Clone, V> Clone for ApiKeyAuth<S, V> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), self.verifier.clone(), self.rules.clone())
    }
}

impl<S: fmt::Debug, V> fmt::Debug for ApiKeyAuth<S, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKeyAuth")
            .field("inner", &self.inner)
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}
