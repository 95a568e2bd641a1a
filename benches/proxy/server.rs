//! A proxy on a thread of its own, so that the kernel tells what it costs.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tower_llm_gateway::BoxError;

use crate::stacks::{all_layers, counted, floor, layers};
use crate::{Proxy, watchers};

/// A proxy on a thread of its own.
pub(crate) struct Running {
    pub(crate) proxy: Proxy,
    pub(crate) address: SocketAddr,
    thread: String,
}

impl Running {
    /// Nanoseconds of CPU that its thread has had.
    pub(crate) fn cpu(&self) -> u64 {
        let stat =
            std::fs::read_to_string(format!("{}/schedstat", self.thread)).unwrap_or_default();
        stat.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0)
    }
}

pub(crate) fn serve(proxy: Proxy, upstream: SocketAddr) -> Running {
    let (send, receive) = std::sync::mpsc::channel();
    let thread = std::thread::Builder::new().name(proxy.name().to_owned());
    let spawned = thread.spawn(move || {
        let thread = std::fs::read_link("/proc/thread-self").expect("Linux has /proc");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let address = listener.local_addr().expect("an address");
            send.send((address, format!("/proc/{}", thread.display()))).expect("main waits");
            match proxy {
                Proxy::Floor => accept(listener, floor(upstream)).await,
                Proxy::Pass | Proxy::Translate => {
                    accept(listener, layers(upstream, counted())).await;
                }
                Proxy::Watched => {
                    let watchers = watchers::all();
                    accept(listener, layers(upstream, watchers.layer.clone())).await;
                }
                Proxy::Armed => accept(listener, all_layers(upstream, counted(), None)).await,
                Proxy::Everything => {
                    let watchers = watchers::all();
                    let (layer, calls) = (watchers.layer.clone(), watchers.calls.clone());
                    accept(listener, all_layers(upstream, layer, Some(calls))).await;
                }
            }
        });
    });
    spawned.expect("a thread");
    let (address, thread) = receive.recv().expect("the thread says its address");
    Running { proxy, address, thread }
}

async fn accept<S, B>(listener: TcpListener, service: S)
where
    S: tower::Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        stream.set_nodelay(true).expect("nodelay");
        let service = TowerToHyperService::new(service.clone());
        tokio::task::spawn(async move {
            let connection = hyper::server::conn::http1::Builder::new();
            let _ = connection.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
