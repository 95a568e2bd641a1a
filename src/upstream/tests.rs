//! Over real sockets of the loopback, where a clock cannot be paused: timeouts are short ones.

use std::error::Error as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, Version};
use http_body::Body as _;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use super::{HttpUpstream, HttpUpstreamBuilder, Proxies};
use crate::body::{Collect, CollectError};
use crate::context::Connection;
use crate::error::{Phase, TransportError, TransportKind};
use crate::test_helpers::refusing::Refusing;
use crate::test_helpers::{Frames, Step};

type Client = HttpUpstream<Full<Bytes>>;

const SHORT: Duration = Duration::from_millis(50);

/// What a server answers to the head of a request: bytes, or the end of the connection.
type Answer = fn(&str) -> Option<&'static str>;

/// A server of scripted bytes; it ends with the test.
struct Server {
    addr: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
    _running: JoinSet<()>,
}

impl Server {
    async fn plain(answer: Answer) -> Self {
        Self::start(None, answer).await
    }

    async fn tls(answer: Answer) -> Self {
        Self::start(Some(acceptor(&[])), answer).await
    }

    async fn start(tls: Option<TlsAcceptor>, answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (heads, connections) = (Arc::default(), Arc::new(AtomicUsize::new(0)));
        let mut running = JoinSet::new();
        let (seen, count) = (Arc::clone(&heads), connections.clone());
        running.spawn(async move {
            let mut talks = JoinSet::new();
            while let Ok((tcp, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                let (tls, seen) = (tls.clone(), Arc::clone(&seen));
                talks.spawn(async move {
                    match tls {
                        None => talk(tcp, answer, &seen).await,
                        Some(tls) => {
                            if let Ok(tcp) = tls.accept(tcp).await {
                                talk(tcp, answer, &seen).await;
                            }
                        }
                    }
                });
            }
        });
        Self { addr, heads, connections, _running: running }
    }

    fn uri(&self) -> String {
        format!("http://{}/x?y=%20", self.addr)
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

/// Answers requests without a body until the other side leaves. `CONNECT` opens a tunnel.
async fn talk<I: AsyncRead + AsyncWrite + Unpin>(
    mut io: I,
    answer: Answer,
    heads: &Mutex<Vec<String>>,
) {
    while let Some(head) = read_head(&mut io).await {
        heads.lock().unwrap().push(head.clone());
        let Some(bytes) = answer(&head) else { return };
        io.write_all(bytes.as_bytes()).await.unwrap();
        if bytes.contains("connection: close") {
            return;
        }
        if let Some(target) = head.strip_prefix("CONNECT ").filter(|_| bytes.contains("200")) {
            let mut target = TcpStream::connect(target.split(' ').next().unwrap()).await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut io, &mut target).await;
            return;
        }
    }
}

async fn read_head(io: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(io.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).unwrap().to_ascii_lowercase().replacen("connect", "CONNECT", 1))
}

fn acceptor(alpn: &[&[u8]]) -> TlsAcceptor {
    let own = rcgen::generate_simple_self_signed(["elsewhere.example".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(own.signing_key.serialize_der()).into();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

fn get(uri: &str) -> Request<Full<Bytes>> {
    Request::get(uri).body(Full::default()).unwrap()
}

async fn text(client: &Client, uri: &str) -> Result<String, TransportError> {
    let response = client.clone().oneshot(get(uri)).await?;
    let collected = Collect::new(response.into_body(), 1024).await.unwrap();
    Ok(String::from_utf8(collected.bytes.to_vec()).unwrap())
}

async fn failure(client: &Client, uri: &str) -> TransportKind {
    client.clone().oneshot(get(uri)).await.unwrap_err().kind()
}

#[tokio::test]
async fn names_and_passwords_are_no_part_of_a_request() {
    let server = Server::plain(|_| Some(OK)).await;
    let client = HttpUpstreamBuilder::new().danger_accept_invalid_certs(true).build();
    let uri = server.uri().replace("http://", "http://user:p%40ss@");
    assert_eq!(text(&client, &uri).await.unwrap(), "hello");
    let head = server.heads().remove(0);
    assert!(head.contains(&format!("host: {}", server.addr)) && !head.contains('@'), "{head}");
}

#[tokio::test]
async fn connections_are_kept() {
    let server = Server::plain(|_| Some(OK)).await;
    let client = Client::default();
    for _ in 0..3 {
        assert_eq!(text(&client, &server.uri()).await.unwrap(), "hello");
    }
    assert_eq!(server.connections(), 1);
    let head = &server.heads()[0];
    assert!(head.starts_with("get /x?y=%20 http/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("\r\nhost: {}\r\n", server.addr)), "{head}");
}

#[tokio::test]
async fn redirects_are_relayed() {
    let server = Server::plain(|_| {
        Some("HTTP/1.1 302 Found\r\nlocation: http://elsewhere/\r\ncontent-length: 0\r\n\r\n")
    })
    .await;
    let response = Client::default().oneshot(get(&server.uri())).await.unwrap();
    assert_eq!(response.status(), StatusCode::FOUND);
    assert_eq!(response.headers()["location"], "http://elsewhere/");
    assert!(response.body().is_end_stream());
    assert_eq!(server.heads().len(), 1);
}

#[tokio::test]
async fn requests_of_other_versions_go_as_http_1_1() {
    let server = Server::plain(|_| Some(OK)).await;
    for version in [Version::HTTP_10, Version::HTTP_2] {
        let mut request = get(&server.uri());
        *request.version_mut() = version;
        assert_eq!(Client::default().oneshot(request).await.unwrap().status(), 200);
    }
    assert!(server.heads().iter().all(|head| head.contains(" http/1.1\r\n")));
}

#[tokio::test]
async fn a_request_body_that_fails_is_told_apart() {
    let server = Server::plain(|_| Some("")).await;
    let client: HttpUpstream<Frames> = HttpUpstreamBuilder::new().build();
    let body = Frames::new([Step::from("{"), Step::error("too large")]);
    let request = Request::post(server.uri()).body(body).unwrap();
    let error = client.oneshot(request).await.unwrap_err();
    assert_eq!(error.kind(), TransportKind::RequestBody, "{:?}", error.source());
}

#[tokio::test]
async fn late_headers_are_a_timeout() {
    let server = Server::plain(|_| Some("")).await;
    let client = HttpUpstreamBuilder::new().headers_timeout(SHORT).build();
    let kind = failure(&client, &server.uri()).await;
    assert_eq!(kind, TransportKind::Timeout(Phase::Headers));
    assert_eq!(server.heads().len(), 1, "it was asked");
}

#[tokio::test]
async fn silence_inside_a_body_is_a_timeout() {
    let server = Server::plain(|_| Some("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello")).await;
    let client: Client = HttpUpstreamBuilder::new().idle_timeout(SHORT).build();
    let mut body = client.oneshot(get(&server.uri())).await.unwrap().into_body();
    assert_eq!(body.size_hint().exact(), Some(9));
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "hello");
    let error = body.frame().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), TransportKind::Timeout(Phase::Idle));
}

#[tokio::test]
async fn a_slow_handshake_is_a_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = HttpUpstreamBuilder::new().connect_timeout(SHORT).build();
    let uri = format!("https://{}/", listener.local_addr().unwrap());
    assert_eq!(failure(&client, &uri).await, TransportKind::Timeout(Phase::Connect));
}

#[tokio::test]
async fn early_ends_are_told() {
    let closing = Server::plain(|_| None).await;
    assert_eq!(failure(&Client::default(), &closing.uri()).await, TransportKind::Closed);

    let cutting = Server::plain(|_| {
        Some("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 9\r\n\r\nhello")
    })
    .await;
    let body = Client::default().oneshot(get(&cutting.uri())).await.unwrap().into_body();
    match Collect::new(body, 1024).await.unwrap_err() {
        CollectError::Body(error) => assert_eq!(error.kind(), TransportKind::Closed),
        CollectError::TooLarge => panic!("nine bytes are not too many"),
    }

    let nonsense = Server::plain(|_| Some("SSH-2.0-OpenSSH\r\n\r\n")).await;
    assert_eq!(failure(&Client::default(), &nonsense.uri()).await, TransportKind::Protocol);
}

#[tokio::test]
async fn refused_connections_are_told() {
    let nobody = Refusing::new();
    let uri = format!("http://{}/", nobody.address());
    assert_eq!(failure(&Client::default(), &uri).await, TransportKind::Connect);
}

#[tokio::test]
async fn what_cannot_be_sent_is_an_error() {
    let client = Client::default();
    assert_eq!(failure(&client, "/relative").await, TransportKind::Other);
    // A label may have 63 bytes, so no resolver asks anybody for this one.
    let nobody = format!("http://{}.invalid/", "x".repeat(64));
    assert_eq!(failure(&client, &nobody).await, TransportKind::Dns);
}

#[tokio::test]
async fn certificates_are_checked_unless_told_not_to() {
    let server = Server::tls(|_| Some(OK)).await;
    let uri = format!("https://{}/", server.addr);
    assert_eq!(failure(&Client::default(), &uri).await, TransportKind::Tls);
    let trusting = HttpUpstreamBuilder::new().danger_accept_invalid_certs(true).build();
    assert_eq!(text(&trusting, &uri).await.unwrap(), "hello");
}

#[tokio::test]
async fn one_upstream_may_be_trusted_and_waited_for_in_its_own_way() {
    let server = Server::tls(|_| Some(OK)).await;
    let uri = format!("https://{}/", server.addr);
    let client = Client::default();
    let ask = async |connection: Connection| {
        let mut request = get(&uri);
        request.extensions_mut().insert(connection);
        client.clone().oneshot(request).await.map(|response| response.status())
    };
    let trusting = Connection::default().danger_accept_invalid_certs(true);
    assert_eq!(ask(trusting).await.unwrap(), 200);
    // Nobody else trusts it for that.
    assert_eq!(failure(&client, &uri).await, TransportKind::Tls);

    let silent = Server::plain(|_| Some("")).await;
    let mut request = get(&format!("http://{}/", silent.addr));
    let hasty = Connection::default().headers_timeout(Duration::from_millis(20));
    request.extensions_mut().insert(hasty);
    let error = client.oneshot(request).await.unwrap_err();
    assert_eq!(error.kind(), TransportKind::Timeout(Phase::Headers));
}

#[tokio::test]
async fn plain_requests_go_to_the_proxy_whole() {
    let proxy = Server::plain(|_| Some(OK)).await;
    let proxies = Proxies::all(&format!("http://user:pass@{}", proxy.addr)).unwrap();
    let client = HttpUpstreamBuilder::new().proxies(proxies).build();
    assert_eq!(text(&client, "http://up.invalid/x?y").await.unwrap(), "hello");
    let head = &proxy.heads()[0];
    assert!(head.starts_with("get http://up.invalid/x?y http/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nproxy-authorization: basic dxnlcjpwyxnz\r\n"), "{head}");
    assert!(head.contains("\r\nhost: up.invalid\r\n"), "{head}");
}

#[tokio::test]
async fn secure_requests_go_through_a_tunnel() {
    let server = Server::tls(|_| Some(OK)).await;
    let proxy = Server::plain(|_| Some("HTTP/1.1 200 OK\r\n\r\n")).await;
    let proxies = Proxies::all(&format!("http://user:pass@{}", proxy.addr)).unwrap();
    let client =
        HttpUpstreamBuilder::new().proxies(proxies).danger_accept_invalid_certs(true).build();
    let uri = format!("https://{}/x", server.addr);
    assert_eq!(text(&client, &uri).await.unwrap(), "hello");
    assert!(proxy.heads()[0].contains("\r\nproxy-authorization: basic dxnlcjpwyxnz\r\n"));
    let head = &server.heads()[0];
    assert!(head.starts_with("get /x http/1.1\r\n"), "{head}");
    assert!(!head.contains("proxy-authorization"), "{head}");
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named() {
    let proxy = Server::plain(|_| Some("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")).await;
    let proxies = Proxies::all(&proxy.addr.to_string()).unwrap();
    let client: Client = HttpUpstreamBuilder::new().proxies(proxies).build();
    assert_eq!(failure(&client, "https://up.invalid/").await, TransportKind::Proxy);
}

#[tokio::test]
async fn http2_is_spoken_on_request_and_not_for_a_foreign_host() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("https://{}/", listener.local_addr().unwrap());
    let tls = acceptor(&[b"h2", b"http/1.1"]);
    let mut running = JoinSet::new();
    running.spawn(async move {
        let mut talks = JoinSet::new();
        while let Ok((tcp, _)) = listener.accept().await {
            let tls = tls.clone();
            talks.spawn(async move {
                let echo = hyper::service::service_fn(|request: Request<hyper::body::Incoming>| {
                    let host = request.headers().get("host").cloned();
                    let mut response = http::Response::new(Full::<Bytes>::default());
                    response.headers_mut().extend(host.map(|host| (http::header::HOST, host)));
                    async { Ok::<_, std::convert::Infallible>(response) }
                });
                let io = TokioIo::new(tls.accept(tcp).await.unwrap());
                let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                let _ = server.serve_connection(io, echo).await;
            });
        }
    });
    let builder = HttpUpstreamBuilder::new().danger_accept_invalid_certs(true);
    let ask = |http2: bool, host: Option<&'static str>| {
        let client: Client = builder.clone().http2(http2).build();
        let mut request = get(&uri);
        if let Some(host) = host {
            request.headers_mut().insert("host", http::HeaderValue::from_static(host));
        }
        async { client.oneshot(request).await.unwrap() }
    };
    assert_eq!(ask(false, None).await.version(), Version::HTTP_11);
    assert_eq!(ask(true, None).await.version(), Version::HTTP_2);
    let foreign = ask(true, Some("gateway.example")).await;
    assert_eq!(foreign.version(), Version::HTTP_11);
    assert_eq!(foreign.headers()["host"], "gateway.example");
}

#[test]
fn a_client_is_made_outside_of_a_runtime() {
    let client = Client::default();
    assert!(format!("{client:?}").contains("300s"));
}

#[test]
fn all_can_be_sent_and_shared() {
    fn service<T: Clone + Send + Sync + 'static>() {}
    fn future<T: Send + Sync + 'static>() {}
    fn body<T: Send + Sync + Unpin + 'static>() {}
    service::<Client>();
    future::<super::ResponseFuture>();
    body::<super::IdleTimeoutBody<hyper::body::Incoming>>();
}
