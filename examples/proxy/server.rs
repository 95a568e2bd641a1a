//! The routes, the standard layers around them, and the listener.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::ListenerExt;
use axum::{Extension, Json, Router};
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, header};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowHeaders, AllowMethods, AllowOrigin, CorsLayer, ExposeHeaders};
use tower_http::request_id::{
    MakeRequestId, MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer,
};
use tower_http::trace::{DefaultOnResponse, TraceLayer};
use tower_llm_gateway::context::{PeerAddr, RequestId};
use tower_llm_gateway::redact;

use crate::gateway::Gateway;
use crate::settings::{Cors, Settings};

/// How long open streams may go on after a signal to stop.
const DRAIN: Duration = Duration::from_secs(10);
/// How long it may take to cut those that go on.
const CUT: Duration = Duration::from_secs(2);
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The first of the wanted ports that is free, or any.
pub(crate) async fn bind(settings: &Settings) -> io::Result<TcpListener> {
    for port in [settings.port, settings.fallback_port] {
        match TcpListener::bind((settings.host, port)).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                tracing::warn!(port, "the port is taken");
            }
            done => return done,
        }
    }
    TcpListener::bind((settings.host, 0)).await
}

/// The proxy's own routes; everything else goes to the stack, whatever its method and path.
pub(crate) fn routes(settings: &Settings, gateway: Gateway) -> Router {
    let router = Router::new()
        .route("/health", get(health))
        .merge(gateway.admin)
        .fallback_service(gateway.stack)
        .layer(Extension(Boot::now()));
    let answered = DefaultOnResponse::new().level(tracing::Level::INFO);
    let around = ServiceBuilder::new()
        .map_request(forget_bad_id)
        .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid))
        .layer(TraceLayer::new_for_http().make_span_with(span).on_response(answered))
        .layer(PropagateRequestIdLayer::new(REQUEST_ID))
        .map_request(set_peer)
        .layer(CatchPanicLayer::custom(|_| panic_response()));
    // Wrapped as a whole: `Router::layer` would not see requests before they are routed.
    Router::new().fallback_service(around.service(with_cors(router, &settings.cors)))
}

/// Serves until SIGINT or SIGTERM, calls `stopping`, and lets open streams go on for [`DRAIN`] at
/// most, or until a second signal. No connection is left when it returns: what becomes of requests is recorded by then.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    stopping: impl FnOnce(),
) -> io::Result<()> {
    let cut = async {
        // Whoever asks twice waits no longer.
        let _ = tokio::time::timeout(DRAIN, stop_signal()).await;
    };
    serve_until(listener, router, stop_signal(), stopping, cut).await
}

async fn serve_until(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()>,
    stopping: impl FnOnce(),
    cut: impl Future<Output = ()>,
) -> io::Result<()> {
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "no TCP_NODELAY");
        }
    });
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let (drains, draining) = oneshot::channel::<()>();
    let serving = axum::serve(listener, service).with_graceful_shutdown(async {
        let _ = draining.await;
    });
    // Connections are tasks that nobody has a handle of; the end of their runtime is theirs too.
    let connections = Builder::new_multi_thread().enable_all().build()?;
    let mut serving = connections.spawn(serving.into_future());
    let served = tokio::select! {
        done = &mut serving => Some(done),
        () = stop => {
            stopping();
            drop(drains);
            tokio::select! {
                done = serving => Some(done),
                () = cut => None,
            }
        }
    };
    if served.is_none() {
        tracing::warn!("streams are still open, they are cut");
    }
    spawn_blocking(move || connections.shutdown_timeout(CUT)).await?;
    served.map_or(Ok(()), |done| done?)
}

async fn stop_signal() {
    let interrupt = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    let terminate = async {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<()>();
    tokio::select! {
        () = interrupt => {}
        () = terminate => {}
    }
}

/// The gateway's layers know the peer by [`PeerAddr`].
fn set_peer(mut request: Request<Body>) -> Request<Body> {
    if let Some(&ConnectInfo(peer)) = request.extensions().get::<ConnectInfo<SocketAddr>>() {
        request.extensions_mut().insert(PeerAddr(peer));
    }
    request
}

/// An id that no log may hold is not taken: the request gets one of ours, the same everywhere.
fn forget_bad_id(mut request: Request<Body>) -> Request<Body> {
    if request.headers().get(REQUEST_ID).is_some_and(|id| !RequestId::accepts(id)) {
        request.headers_mut().remove(REQUEST_ID);
    }
    request
}

/// The query is left out: some clients put their key there.
fn span(request: &Request<Body>) -> tracing::Span {
    let request_id = request.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok());
    let (method, path) = (request.method(), redact::url(request.uri().path()));
    tracing::info_span!("request", request_id, %method, %path)
}

fn panic_response() -> Response {
    let body = json!({"error": "Internal Server Error", "message": "the gateway failed"});
    (StatusCode::INTERNAL_SERVER_ERROR, Json(body)).into_response()
}

/// Tells one start of the process from the next.
#[derive(Debug, Clone)]
struct Boot {
    id: String,
    started_at: u64,
}

impl Boot {
    fn now() -> Self {
        let uuid = MakeRequestUuid.make_request_id(&Request::new(()));
        let uuid = uuid.as_ref().and_then(|id| id.header_value().to_str().ok());
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            id: uuid.unwrap_or_default().to_owned(),
            started_at: since.map_or(0, |time| time.as_secs()),
        }
    }
}

async fn health(Extension(boot): Extension<Boot>) -> Response {
    let body = json!({
        "status": "healthy",
        "service": env!("CARGO_PKG_NAME"),
        "boot_id": boot.id,
        "started_at": boot.started_at,
    });
    ([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

/// Answers preflights and marks answers for web pages. An `OPTIONS` that is no preflight goes to
/// the upstream, as any method does; the layer alone would answer it. What the upstream lets pages
/// do is taken away: it means other pages, and keys of their own.
fn with_cors(
    router: Router,
    cors: &Cors,
) -> impl Service<Request<Body>, Response = Response, Error = Infallible, Future: Send>
+ Clone
+ Send
+ Sync
+ use<> {
    let shared = cors_layer(cors).map(|layer| {
        ServiceBuilder::new().layer(layer).map_response(forget_cors).service(router.clone())
    });
    service_fn(move |request: Request<Body>| {
        let (router, shared) = (router.clone(), shared.clone());
        async move {
            let preflight = request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
            match shared {
                Some(shared) if preflight || request.method() != Method::OPTIONS => {
                    shared.oneshot(request).await
                }
                _ => router.oneshot(request).await,
            }
        }
    })
}

fn forget_cors(mut response: Response) -> Response {
    let headers = response.headers_mut();
    let of_cors = |name: &&HeaderName| name.as_str().starts_with("access-control-");
    let names: Vec<HeaderName> = headers.keys().filter(of_cors).cloned().collect();
    for name in names {
        headers.remove(name);
    }
    response
}

/// Never `*` with credentials: browsers refuse it, and reflecting every origin instead would let
/// any page act with them.
fn cors_layer(cors: &Cors) -> Option<CorsLayer> {
    let (origins, credentials) = match cors {
        Cors::Off => return None,
        Cors::Any => (AllowOrigin::any(), false),
        Cors::Localhost => (AllowOrigin::predicate(|origin, _| is_localhost(origin)), true),
        Cors::Origins(list) => (AllowOrigin::list(list.iter().cloned()), true),
    };
    let methods = [
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::HEAD,
        Method::OPTIONS,
    ];
    let exposed = ["retry-after", "request-id", "x-request-id"].map(HeaderName::from_static);
    Some(
        CorsLayer::new()
            .allow_origin(origins)
            .allow_credentials(credentials)
            .allow_methods(AllowMethods::list(methods))
            .allow_headers(AllowHeaders::mirror_request())
            .expose_headers(ExposeHeaders::list(exposed)),
    )
}

/// Whether the host of an origin is this machine; `localhost.example.com` is not.
fn is_localhost(origin: &HeaderValue) -> bool {
    let uri = origin.to_str().ok().and_then(|origin| origin.parse::<http::Uri>().ok());
    uri.as_ref().and_then(|uri| uri.host()).is_some_and(is_this_machine)
}

/// Whether a host is `localhost` or an address that leads nowhere else.
pub(crate) fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
