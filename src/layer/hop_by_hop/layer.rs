use std::fmt;
use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use tower_layer::Layer;

use super::headers::{ForwardedFor, is_settable};
use super::service::HopByHopFilter;
use crate::context::{BadUpstream, Upstream};

/// Keeps the fields of a connection on that connection. See the [module docs](super).
#[derive(Debug, Clone, Default)]
pub struct HopByHopFilterLayer {
    config: Arc<Config>,
}

#[derive(Clone, Default)]
pub(super) struct Config {
    pub(super) target: Option<Upstream>,
    pub(super) preserve_host: bool,
    pub(super) upgrades: bool,
    pub(super) trailers: bool,
    pub(super) forwarded_for: ForwardedFor,
    /// Headers to set, or to remove where there is no value.
    pub(super) headers: Vec<(HeaderName, Option<HeaderValue>)>,
}

impl HopByHopFilterLayer {
    /// A filter that leaves the URI as it is.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sends every request to `base`, such as `https://api.example.com/prefix`, whatever URI the
    /// caller wrote. A client service wants an absolute URI, and without a target the caller
    /// would choose it; behind [`ProviderTranslateLayer`](crate::ProviderTranslateLayer) it is
    /// absolute already. Default: the URI stays.
    ///
    /// The path is joined as [`Upstream::uri_for`] does it: where both carry a version segment
    /// the base's stands, once.
    ///
    /// # Errors
    /// When `base` is no absolute `http` or `https` URL, or carries a query or credentials.
    pub fn target(mut self, base: &str) -> Result<Self, BadUpstream> {
        self.config_mut().target = Some(Upstream::same_protocol(base)?);
        Ok(self)
    }

    /// Passes the caller's `Host` on. Default: `Host` is that of an absolute URI. HTTP/2 has one
    /// name for both, so a client should send such a request over HTTP/1.1.
    #[must_use]
    pub fn preserve_host(mut self, yes: bool) -> Self {
        self.config_mut().preserve_host = yes;
        self
    }

    /// Passes the fields that switch to a WebSocket, on a request that asks for one and on its 101.
    /// Default: no. Joining the two connections after a 101 is up to the host; any other upgrade
    /// is stripped.
    #[must_use]
    pub fn upgrades(mut self, yes: bool) -> Self {
        self.config_mut().upgrades = yes;
        self
    }

    /// Passes `TE: trailers` and `Trailer`, without which HTTP/1.1 sends no trailers. Default: no.
    #[must_use]
    pub fn trailers(mut self, yes: bool) -> Self {
        self.config_mut().trailers = yes;
        self
    }

    /// What becomes of `X-Forwarded-For`. The peer is
    /// [`PeerAddr`](crate::context::PeerAddr); without it nothing is appended. Default:
    /// [`ForwardedFor::Append`].
    #[must_use]
    pub fn forwarded_for(mut self, mode: ForwardedFor) -> Self {
        self.config_mut().forwarded_for = mode;
        self
    }

    /// Sets a request header in place of every such line of the caller. Fields of the connection
    /// and `Content-Length` are left to those who frame the message: they are ignored here.
    #[must_use]
    pub fn set_header(self, name: HeaderName, value: HeaderValue) -> Self {
        self.edit(name, Some(value))
    }

    /// Removes a request header. The same names are ignored as in [`set_header`](Self::set_header).
    #[must_use]
    pub fn remove_header(self, name: HeaderName) -> Self {
        self.edit(name, None)
    }

    fn edit(mut self, name: HeaderName, value: Option<HeaderValue>) -> Self {
        if is_settable(&name) {
            self.config_mut().headers.push((name, value));
        }
        self
    }

    fn config_mut(&mut self) -> &mut Config {
        Arc::make_mut(&mut self.config)
    }
}

impl<S> Layer<S> for HopByHopFilterLayer {
    type Service = HopByHopFilter<S>;

    fn layer(&self, inner: S) -> Self::Service {
        HopByHopFilter::new(inner, self.config.clone())
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values of headers may be secret.
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Config")
            .field("target", &self.target)
            .field("preserve_host", &self.preserve_host)
            .field("upgrades", &self.upgrades)
            .field("trailers", &self.trailers)
            .field("forwarded_for", &self.forwarded_for)
            .field("headers", &names)
            .finish()
    }
}
