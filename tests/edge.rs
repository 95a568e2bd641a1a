//! The edge as a whole over sockets: what a caller writes byte by byte, and what an upstream reads.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tower::ServiceBuilder;
use tower_llm_gateway::upstream::HttpUpstreamBuilder;
use tower_llm_gateway::{ApiKeyAuthLayer, CatchErrorLayer, HopByHopFilterLayer};

/// No exchange takes so long; it makes a hanging one fail.
const LIMIT: Duration = Duration::from_secs(10);

/// An upstream that answers one request with these bytes, and what it has read by then.
async fn upstream(answer: &'static [u8]) -> (SocketAddr, JoinSet<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let mut running = JoinSet::new();
    running.spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        let mut read = Vec::new();
        while !is_whole(&read) {
            assert!(tcp.read_buf(&mut read).await.unwrap() > 0, "a request ended early");
        }
        tcp.write_all(answer).await.unwrap();
        String::from_utf8(read).unwrap()
    });
    (addr, running)
}

/// Whether a request or response is all there, as its framing says.
fn is_whole(read: &[u8]) -> bool {
    let text = String::from_utf8_lossy(read).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    if head.contains("transfer-encoding: chunked") {
        return body.ends_with("0\r\n\r\n");
    }
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
    body.len() >= length.map_or(0, |length| length.parse().unwrap())
}

/// Sends bytes to a gateway before this upstream and reads until it closes.
async fn exchange(to: SocketAddr, sent: &str) -> String {
    let stack = ServiceBuilder::new()
        .layer(ApiKeyAuthLayer::new(["sk-gateway"]).unwrap().exempt_prefix("/open"))
        .layer(HopByHopFilterLayer::new().target(&format!("http://{to}/base")).unwrap())
        .layer(CatchErrorLayer::new())
        // No TLS is spoken here: that there are no certificates to load makes it fast.
        .service(HttpUpstreamBuilder::new().danger_accept_invalid_certs(true).build::<Body>());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let mut running = JoinSet::new();
    running.spawn(async move {
        let _ = axum::serve(listener, Router::new().fallback_service(stack)).await;
    });
    let mut tcp = TcpStream::connect(addr).await.unwrap();
    tcp.write_all(sent.as_bytes()).await.unwrap();
    let mut read = String::new();
    tcp.read_to_string(&mut read).await.unwrap();
    read
}

/// One request through the gateway: what the upstream read, and what the caller got.
async fn through(sent: &str, answer: &'static [u8]) -> (String, String) {
    let (addr, mut reading) = upstream(answer).await;
    let whole = async {
        let got = exchange(addr, sent).await;
        (reading.join_next().await.unwrap().unwrap(), got)
    };
    let (read, got) = tokio::time::timeout(LIMIT, whole).await.expect("the exchange ends");
    (read.replace(&addr.to_string(), "UPSTREAM"), got)
}

const EMPTY: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

#[tokio::test]
async fn every_method_and_the_raw_query_arrive() {
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"] {
        let sent = format!(
            "{method} /a%2Fb//c?x=%20+&&y HTTP/1.1\r\nhost: g\r\nx-api-key: sk-gateway\r\nconnection: close\r\n\r\n"
        );
        let (read, got) = through(&sent, EMPTY).await;
        let line = format!("{method} /base/a%2Fb//c?x=%20+&&y HTTP/1.1\r\nhost: UPSTREAM\r\n");
        assert!(read.starts_with(&line), "{read}");
        assert!(!read.contains("connection"), "{read}");
        assert!(got.starts_with("HTTP/1.1 200 OK\r\n"), "{got}");
    }
}

#[tokio::test]
async fn no_framing_is_smuggled() {
    let post = "POST /open HTTP/1.1\r\nhost: g\r\nconnection: close\r\n";
    let rows = [
        ("connection: content-length, host\r\ncontent-length: 5\r\n\r\nhello", "content-length: 5"),
        ("transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "transfer-encoding: chunked"),
        (
            "content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            "transfer-encoding: chunked",
        ),
        (
            "transfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            "transfer-encoding: chunked",
        ),
        ("expect: 100-continue\r\ncontent-length: 5\r\n\r\nhello", "content-length: 5"),
    ];
    for (rest, framing) in rows {
        let (read, got) = through(&format!("{post}{rest}"), EMPTY).await;
        let (head, body) = read.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(framing), "{rest:?}: {head}");
        assert!(head.contains("\r\nhost: UPSTREAM"), "{rest:?}: {head}");
        let framings = head.matches("content-length").count() + head.matches("transfer-").count();
        assert_eq!(framings, 1, "{rest:?}: {head}");
        assert!(!head.contains("expect"), "{head}");
        assert!(body.contains("hello"), "{rest:?}: {body}");
        assert!(got.contains("HTTP/1.1 200 OK\r\n"), "{rest:?}: {got}");
    }
}

#[tokio::test]
async fn answers_keep_their_framing_and_cookies() {
    let get = "GET /open HTTP/1.1\r\nhost: g\r\nconnection: close\r\n\r\n";
    let (_, got) = through(
        get,
        b"HTTP/1.1 200 OK\r\nset-cookie: a=1\r\nset-cookie: b=2\r\nkeep-alive: 5\r\nconnection: x-gone\r\nx-gone: 1\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\n\x1f\x0b\x01\x02",
    )
    .await;
    assert!(got.contains("set-cookie: a=1\r\nset-cookie: b=2\r\n"), "{got}");
    assert!(got.contains("content-encoding: gzip\r\n") && got.contains("content-length: 4\r\n"));
    assert!(!got.contains("keep-alive") && !got.contains("x-gone"), "{got}");
    assert!(got.ends_with("\r\n\r\n\u{1f}\u{b}\u{1}\u{2}"), "{got:?}");

    let (_, got) = through(
        get,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    )
    .await;
    assert!(got.ends_with("\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), "{got}");
    assert_eq!(got.matches("transfer-encoding").count(), 1);

    let head = get.replace("GET", "HEAD");
    let (_, got) = through(&head, b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n").await;
    assert!(got.contains("content-length: 99\r\n"), "{got}");
    let (_, got) = through(get, b"HTTP/1.1 204 No Content\r\n\r\n").await;
    assert!(got.starts_with("HTTP/1.1 204 No Content\r\n") && got.ends_with("\r\n\r\n"), "{got}");
}

#[tokio::test]
async fn an_old_upstream_does_not_age_the_answer() {
    let sent = "GET /open HTTP/1.1\r\nhost: g\r\nconnection: close\r\n\r\n";
    let (_, got) = through(sent, b"HTTP/1.0 200 OK\r\n\r\nhello").await;
    assert!(got.starts_with("HTTP/1.1 200 OK\r\n") && got.contains("hello"), "{got}");
}

#[tokio::test]
async fn keys_of_the_gateway_stay_here() {
    let sent = "POST /v1/messages?key=sk-gateway&a=b HTTP/1.1\r\nhost: g\r\nconnection: close\r\nauthorization: Bearer sk-gateway\r\nx-api-key: sk-gateway\r\ncontent-length: 2\r\n\r\n{}";
    let (read, got) = through(sent, EMPTY).await;
    assert!(read.starts_with("POST /base/v1/messages?a=b HTTP/1.1\r\n"), "{read}");
    assert!(!read.contains("sk-gateway"), "{read}");
    assert!(got.starts_with("HTTP/1.1 200 OK\r\n"), "{got}");

    let nowhere: SocketAddr = "127.0.0.1:9".parse().unwrap();
    let got = exchange(nowhere, &sent.replace("sk-gateway", "sk-wrong")).await;
    assert!(got.starts_with("HTTP/1.1 401 Unauthorized\r\n"), "{got}");
    assert!(got.contains("www-authenticate: Bearer\r\n"), "{got}");
    assert!(got.contains("authentication_error"), "{got}");
}
