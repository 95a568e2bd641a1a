//! New connections: name, TCP, proxy, TLS.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tower_service::Service;

use super::proxy::Proxies;
use crate::error::{BoxError, Phase, TransportError, TransportKind};

/// Probes keep idle connections alive where a balancer forgets silent ones.
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);

type BoxFuture<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

/// Connects to upstreams. Cheap to clone, which hyper-util does for each request.
#[derive(Clone)]
pub(super) struct Connector(Arc<Parts>);

struct Parts {
    https: HttpsConnector<LinkConnector>,
    timeout: Duration,
}

impl Connector {
    pub(super) fn new(
        tls: &ClientConfig,
        http2: bool,
        proxies: Proxies,
        timeout: Duration,
    ) -> Self {
        let mut tcp = HttpConnector::new_with_resolver(Resolver(GaiResolver::new()));
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(TCP_KEEPALIVE));
        let to_proxy = HttpsConnector::from((tcp.clone(), tls.clone()));
        let link = LinkConnector { tcp, to_proxy, proxies };
        let mut tls = tls.clone();
        if http2 {
            tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        }
        Self(Arc::new(Parts { https: HttpsConnector::from((link, tls)), timeout }))
    }
}

// Every service here is always ready, so none waits before a call.
impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<Link>;
    type Error = BoxError;
    type Future = BoxFuture<Self::Response>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let parts = self.0.clone();
        Box::pin(async move {
            let connecting = parts.https.clone().call(to);
            tokio::time::timeout(parts.timeout, connecting).await.unwrap_or_else(|_| {
                Err(TransportError::new(TransportKind::Timeout(Phase::Connect)).into())
            })
        })
    }
}

/// Opens what requests, or their TLS, run over.
#[derive(Clone)]
struct LinkConnector {
    tcp: HttpConnector<Resolver>,
    to_proxy: HttpsConnector<HttpConnector<Resolver>>,
    proxies: Proxies,
}

impl LinkConnector {
    async fn open(mut self, to: Uri) -> Result<Link, BoxError> {
        let Some(proxy) = self.proxies.intercept(&to) else {
            let tcp = self.tcp.call(to).await?;
            return Ok(Link { io: MaybeHttpsStream::Http(tcp), proxied: false });
        };
        let failed = |error: BoxError| TransportError::new(TransportKind::Proxy).with_source(error);
        if to.scheme() == Some(&Scheme::HTTP) {
            let io = self.to_proxy.call(proxy.uri().clone()).await.map_err(failed)?;
            return Ok(Link { io, proxied: true });
        }
        let mut tunnel = Tunnel::new(proxy.uri().clone(), self.to_proxy);
        if let Some(authorization) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(authorization.clone());
        }
        let io = tunnel.call(to).await.map_err(|error| failed(error.into()))?;
        Ok(Link { io, proxied: false })
    }
}

impl Service<Uri> for LinkConnector {
    type Response = Link;
    type Error = BoxError;
    type Future = BoxFuture<Link>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        Box::pin(self.clone().open(to))
    }
}

/// A connection to an upstream or to a proxy.
pub(super) struct Link {
    io: MaybeHttpsStream<TokioIo<TcpStream>>,
    /// A proxy at its end reads the requests itself, so it needs their whole URIs.
    proxied: bool,
}

impl Connection for Link {
    fn connected(&self) -> Connected {
        self.io.connected().proxy(self.proxied)
    }
}

impl Read for Link {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl Write for Link {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }
}

/// The system's resolver, with errors that say so.
#[derive(Clone)]
struct Resolver(GaiResolver);

impl Service<Name> for Resolver {
    type Response = Box<dyn Iterator<Item = SocketAddr> + Send>;
    type Error = BoxError;
    type Future = BoxFuture<Self::Response>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let resolving = self.0.call(name);
        Box::pin(async move {
            match resolving.await {
                Ok(addresses) => Ok(Box::new(addresses) as Self::Response),
                Err(error) => {
                    Err(TransportError::new(TransportKind::Dns).with_source(error).into())
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::tls;

    #[tokio::test]
    async fn sockets_do_not_delay() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let mut connector =
            Connector::new(&tls::config(false), false, Proxies::none(), Duration::MAX);
        let MaybeHttpsStream::Http(link) = connector.call(uri).await.unwrap() else { panic!() };
        let MaybeHttpsStream::Http(tcp) = link.io else { panic!() };
        assert!(tcp.inner().nodelay().unwrap());
    }
}
