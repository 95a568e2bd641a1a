use std::time::Duration;

use http_body::Body;
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::connect::Connector;
use super::proxy::Proxies;
use super::service::{Clients, HttpUpstream, Timeouts};
use super::tls;
use crate::context::Connection;

/// Default of [`HttpUpstreamBuilder::connect_timeout`]: 10 s.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Default of [`HttpUpstreamBuilder::headers_timeout`]: 600 s. Models think before they answer.
pub const HEADERS_TIMEOUT: Duration = Duration::from_secs(600);

/// Default of [`HttpUpstreamBuilder::idle_timeout`]: 300 s.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(300);

/// Default of [`HttpUpstreamBuilder::pool_idle_timeout`]: 60 s, less than what servers and
/// balancers keep an idle connection for.
pub const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Default of [`HttpUpstreamBuilder::max_idle_per_host`]: 256 connections.
pub const MAX_IDLE_PER_HOST: usize = 256;

/// How far the read buffer of an HTTP/1.1 connection may grow: 512 KiB. It begins at 8 KiB and
/// doubles while reads fill it. It bounds the headers of an answer too.
pub const READ_BUFFER_BYTES: usize = 512 << 10;

/// Pings to an idle HTTP/2 connection find out that it is dead.
const HTTP2_PING_INTERVAL: Duration = Duration::from_secs(30);
const HTTP2_PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Configures an [`HttpUpstream`].
#[derive(Debug, Clone)]
pub struct HttpUpstreamBuilder {
    connect_timeout: Duration,
    timeouts: Timeouts,
    pool_idle_timeout: Duration,
    max_idle_per_host: usize,
    http2: bool,
    proxies: Proxies,
    accept_invalid_certs: bool,
}

impl HttpUpstreamBuilder {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self {
            connect_timeout: CONNECT_TIMEOUT,
            timeouts: Timeouts { headers: HEADERS_TIMEOUT, idle: IDLE_TIMEOUT },
            pool_idle_timeout: POOL_IDLE_TIMEOUT,
            max_idle_per_host: MAX_IDLE_PER_HOST,
            http2: false,
            proxies: Proxies::none(),
            accept_invalid_certs: false,
        }
    }

    /// How long a new connection may take, with name, proxy and TLS. [`Duration::MAX`] for no
    /// limit. Default [`CONNECT_TIMEOUT`].
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long the headers of an answer may take, counted from the call. [`Duration::MAX`] for
    /// no limit. Default [`HEADERS_TIMEOUT`].
    #[must_use]
    pub fn headers_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts.headers = timeout;
        self
    }

    /// How long the body of an answer may say nothing while somebody waits for it.
    /// [`Duration::MAX`] for no limit. Default [`IDLE_TIMEOUT`].
    #[must_use]
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts.idle = timeout;
        self
    }

    /// How long an unused connection is kept. Default [`POOL_IDLE_TIMEOUT`].
    #[must_use]
    pub fn pool_idle_timeout(mut self, timeout: Duration) -> Self {
        self.pool_idle_timeout = timeout;
        self
    }

    /// How many unused connections to one host are kept. Default [`MAX_IDLE_PER_HOST`].
    #[must_use]
    pub fn max_idle_per_host(mut self, connections: usize) -> Self {
        self.max_idle_per_host = connections;
        self
    }

    /// Speaks HTTP/2 where a TLS server offers it. Default: no.
    ///
    /// All requests to one host then share one connection: a slow reader takes from the window of
    /// all, and beyond the server's limit of streams requests wait unseen. A request whose `Host`
    /// differs from its URI goes over HTTP/1.1, as HTTP/2 has one name for both.
    #[must_use]
    pub fn http2(mut self, yes: bool) -> Self {
        self.http2 = yes;
        self
    }

    /// The proxies to go through. Default [`Proxies::none`]: the environment is not read unasked.
    #[must_use]
    pub fn proxies(mut self, proxies: Proxies) -> Self {
        self.proxies = proxies;
        self
    }

    /// Takes any certificate, for any name, from anybody, proxies included. Default: no.
    ///
    /// # Warning
    ///
    /// Whoever is on the way to the upstream can then read and change everything, keys included.
    /// It is for an upstream of one's own with a self-signed certificate on a trusted network.
    #[must_use]
    pub fn danger_accept_invalid_certs(mut self, yes: bool) -> Self {
        self.accept_invalid_certs = yes;
        self
    }

    /// The client. Reads the certificates that the system trusts; without any, only `http` URIs
    /// work, and TLS fails at the call.
    #[must_use]
    pub fn build<B>(self) -> HttpUpstream<B>
    where
        B: Body + Send,
        B::Data: Send,
    {
        let clients = self.clients(self.accept_invalid_certs);
        HttpUpstream::new(self, clients)
    }

    /// One pool for each version of HTTP, under one policy of trust.
    pub(super) fn clients<B>(&self, accept_invalid_certs: bool) -> Clients<B>
    where
        B: Body + Send,
        B::Data: Send,
    {
        let tls = tls::config(accept_invalid_certs);
        let client = |http2| {
            let connector = Connector::new(&tls, http2, self.proxies.clone(), self.connect_timeout);
            self.client_builder().build(connector)
        };
        Clients { http1: client(false), http2: self.http2.then(|| client(true)) }
    }

    pub(super) fn accepts_invalid_certs(&self) -> bool {
        self.accept_invalid_certs
    }

    pub(super) fn own_proxies(&self) -> &Proxies {
        &self.proxies
    }

    /// The timeouts, where `connection` has none of its own.
    pub(super) fn timeouts(&self, connection: &Connection) -> Timeouts {
        Timeouts {
            headers: connection.headers_timeout.unwrap_or(self.timeouts.headers),
            idle: connection.idle_timeout.unwrap_or(self.timeouts.idle),
        }
    }

    fn client_builder(&self) -> legacy::Builder {
        let mut builder = Client::builder(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(self.pool_idle_timeout)
            .pool_max_idle_per_host(self.max_idle_per_host)
            .http1_max_buf_size(READ_BUFFER_BYTES)
            .http2_adaptive_window(true)
            .http2_keep_alive_interval(HTTP2_PING_INTERVAL)
            .http2_keep_alive_timeout(HTTP2_PING_TIMEOUT);
        builder
    }
}

impl Default for HttpUpstreamBuilder {
    fn default() -> Self {
        Self::new()
    }
}
