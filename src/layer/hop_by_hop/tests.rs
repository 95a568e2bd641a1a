use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use http_body::Body as _;
use http_body_util::{Empty, Full};
use tower::{Layer, ServiceExt, service_fn};
use tower_test::mock;

use super::{ForwardedFor, HopByHopFilterLayer};
use crate::context::PeerAddr;

type Body = Full<Bytes>;

/// Sends a request through the layer and tells what came out at the inner side.
async fn seen(layer: HopByHopFilterLayer, request: Request<Body>) -> Request<Body> {
    let (sender, seen) = tokio::sync::oneshot::channel();
    let mut sender = Some(sender);
    let inner = service_fn(move |request: Request<Body>| {
        sender.take().unwrap().send(request).unwrap();
        async { Ok::<_, Infallible>(Response::new(Body::default())) }
    });
    layer.layer(inner).oneshot(request).await.unwrap();
    seen.await.unwrap()
}

/// What a response of the inner service becomes.
async fn answered(
    layer: HopByHopFilterLayer,
    request: Request<Body>,
    response: Response<Body>,
) -> Response<Body> {
    let inner = service_fn(move |_: Request<Body>| {
        let response = response.clone();
        async { Ok::<_, Infallible>(response) }
    });
    layer.layer(inner).oneshot(request).await.unwrap()
}

fn request(lines: &[(&str, &str)]) -> Request<Body> {
    let builder = Request::post("/v1/messages?x=%20&y");
    let add = |builder: http::request::Builder, (name, value): &(&str, &str)| {
        builder.header(*name, *value)
    };
    lines.iter().fold(builder, add).body("hello".into()).unwrap()
}

fn websocket() -> Request<Body> {
    let mut request = request(&[("connection", "Upgrade"), ("upgrade", "websocket")]);
    *request.method_mut() = Method::GET;
    request
}

#[tokio::test]
async fn both_ways_lose_the_fields_of_the_connection() {
    let lines =
        [("connection", "close, x-named"), ("x-named", "1"), ("keep-alive", "5"), ("x-kept", "1")];
    let layer = HopByHopFilterLayer::new();
    let out = seen(layer.clone(), request(&lines)).await;
    assert_eq!(out.headers().keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-kept"]);

    let mut response = Response::new(Body::default());
    *response.headers_mut() = request(&lines).headers().clone();
    response.headers_mut().append("set-cookie", HeaderValue::from_static("a=1"));
    response.headers_mut().append("set-cookie", HeaderValue::from_static("b=2"));
    let out = answered(layer, request(&[]), response).await;
    assert!(!out.headers().contains_key("x-named") && !out.headers().contains_key("connection"));
    assert_eq!(out.headers().get_all("set-cookie").iter().collect::<Vec<_>>(), ["a=1", "b=2"]);
}

#[tokio::test]
async fn without_a_target_uri_and_host_stay() {
    let out = seen(HopByHopFilterLayer::new(), request(&[("host", "gateway")])).await;
    assert_eq!(out.uri(), "/v1/messages?x=%20&y");
    assert_eq!(out.headers()["host"], "gateway");
}

#[tokio::test]
async fn the_target_replaces_what_the_caller_wrote() {
    let layer = HopByHopFilterLayer::new().target("https://up.example:8443/base/v1").unwrap();
    let mut sent = request(&[("host", "gateway")]);
    *sent.uri_mut() = "http://169.254.169.254/v1/messages?x".parse().unwrap();
    *sent.version_mut() = Version::HTTP_2;
    let out = seen(layer.clone(), sent).await;
    assert_eq!(out.uri(), "https://up.example:8443/base/v1/messages?x");
    assert_eq!(out.headers()["host"], "up.example:8443");
    assert_eq!(out.version(), Version::HTTP_11);

    let mut sent = request(&[]);
    *sent.uri_mut() = format!("/{}", "x".repeat(65_530)).parse().unwrap();
    let out = seen(layer, sent).await;
    assert!(out.uri().authority().is_none(), "too long for one URI, so no client may take it");
    assert!(HopByHopFilterLayer::new().target("up.example/v1").is_err());
}

#[tokio::test]
async fn host_is_preserved_on_request() {
    let layer =
        HopByHopFilterLayer::new().target("https://up.example").unwrap().preserve_host(true);
    let out = seen(layer.clone(), request(&[("host", "gateway:1")])).await;
    assert_eq!(out.headers()["host"], "gateway:1");
    assert_eq!(out.uri().authority().unwrap(), "up.example");

    let mut sent = request(&[]);
    *sent.uri_mut() = "https://gateway.example/v1/messages".parse().unwrap();
    *sent.version_mut() = Version::HTTP_2;
    let out = seen(layer, sent).await;
    assert_eq!(out.headers()["host"], "gateway.example");
    assert_eq!(out.version(), Version::HTTP_11);
}

#[tokio::test]
async fn headers_of_the_host_win() {
    let name = HeaderName::from_static;
    let mut secret = HeaderValue::from_static("sk-secret");
    secret.set_sensitive(true);
    let layer = HopByHopFilterLayer::new()
        .set_header(name("user-agent"), HeaderValue::from_static("ours"))
        .set_header(name("x-token"), secret)
        .set_header(name("transfer-encoding"), HeaderValue::from_static("chunked"))
        .set_header(name("content-length"), HeaderValue::from_static("1"))
        .remove_header(name("x-gone"));
    assert!(!format!("{layer:?}").contains("sk-secret"));
    let lines = [
        ("User-Agent", "a"),
        ("user-agent", "b"),
        ("connection", "x-token"),
        ("x-gone", "1"),
        ("content-length", "5"),
    ];
    let out = seen(layer, request(&lines)).await;
    assert_eq!(out.headers().get_all("user-agent").iter().collect::<Vec<_>>(), ["ours"]);
    assert_eq!(out.headers()["x-token"], "sk-secret");
    assert_eq!(out.headers()["content-length"], "5");
    assert!(
        !out.headers().contains_key("x-gone") && !out.headers().contains_key("transfer-encoding")
    );
}

#[tokio::test]
async fn the_peer_is_forwarded() {
    let peer: SocketAddr = "192.0.2.7:1234".parse().unwrap();
    for (mode, expected) in [
        (ForwardedFor::Append, "a, 192.0.2.7"),
        (ForwardedFor::Trust(0), "192.0.2.7"),
        (ForwardedFor::Off, "a"),
    ] {
        let mut sent = request(&[("X-Forwarded-For", "a"), ("connection", "x-forwarded-for")]);
        sent.extensions_mut().insert(PeerAddr(peer));
        let out = seen(HopByHopFilterLayer::new().forwarded_for(mode), sent).await;
        let found: Vec<_> = out.headers().get_all("x-forwarded-for").iter().collect();
        assert_eq!(found, [expected]);
    }
}

#[tokio::test]
async fn bodies_are_not_touched() {
    let body = Bytes::from_static(b"hello");
    let mut sent = request(&[("content-encoding", "gzip"), ("content-length", "5")]);
    *sent.body_mut() = body.clone().into();
    let out = seen(HopByHopFilterLayer::new(), sent).await;
    assert_eq!(out.headers()["content-encoding"], "gzip");
    assert_eq!(out.headers()["content-length"], "5");
    assert_eq!(out.body().size_hint().exact(), Some(5));
    let collected = http_body_util::BodyExt::frame(&mut out.into_body()).await.unwrap().unwrap();
    assert_eq!(collected.into_data().unwrap().as_ptr(), body.as_ptr());
}

#[tokio::test]
async fn lengths_are_right_or_absent() {
    let rows = [
        (Method::POST, StatusCode::OK, "5", true),
        (Method::POST, StatusCode::OK, "7", false),
        (Method::HEAD, StatusCode::OK, "7", true),
        (Method::GET, StatusCode::NOT_MODIFIED, "7", true),
    ];
    for (method, status, length, stays) in rows {
        let mut sent = request(&[]);
        *sent.method_mut() = method.clone();
        let mut response = Response::new(Body::from("hello"));
        *response.status_mut() = status;
        response.headers_mut().insert("content-length", length.parse().unwrap());
        let out = answered(HopByHopFilterLayer::new(), sent, response).await;
        assert_eq!(
            out.headers().contains_key("content-length"),
            stays,
            "{method} {status} {length}"
        );
    }
    let out = seen(HopByHopFilterLayer::new(), request(&[("content-length", "4")])).await;
    assert!(!out.headers().contains_key("content-length"));
}

#[tokio::test]
async fn websockets_pass_only_when_asked() {
    let out = seen(HopByHopFilterLayer::new(), websocket()).await;
    assert_eq!(out.headers(), &HeaderMap::new());

    let layer = HopByHopFilterLayer::new().upgrades(true);
    let out = seen(layer.clone(), websocket()).await;
    assert_eq!(out.headers()["connection"], "upgrade");
    assert_eq!(out.headers()["upgrade"], "websocket");

    let mut response = Response::new(Body::default());
    response.headers_mut().insert("connection", HeaderValue::from_static("Upgrade"));
    response.headers_mut().insert("upgrade", HeaderValue::from_static("websocket"));
    let refused = answered(layer.clone(), websocket(), response.clone()).await;
    assert!(!refused.headers().contains_key("upgrade"), "200 switches nothing");
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let switched = answered(layer.clone(), websocket(), response.clone()).await;
    assert_eq!(switched.headers()["upgrade"], "websocket");
    let unasked = answered(layer, request(&[]), response).await;
    assert!(!unasked.headers().contains_key("upgrade"));
}

#[tokio::test]
async fn expectations_end_here() {
    let out = seen(HopByHopFilterLayer::new(), request(&[("expect", "100-Continue")])).await;
    assert!(!out.headers().contains_key("expect"));
}

#[tokio::test]
async fn readiness_is_the_inner_services() {
    let (mut service, mut handle) =
        mock::spawn_layer::<Request<Empty<Bytes>>, Response<Empty<Bytes>>, _>(
            HopByHopFilterLayer::new(),
        );
    handle.allow(0);
    tokio_test::assert_pending!(service.poll_ready());
    handle.allow(1);
    tokio_test::assert_ready_ok!(service.poll_ready());
    let answer = service.call(Request::new(Empty::new()));
    let (_, send) = handle.next_request().await.unwrap();
    send.send_error("broken");
    assert_eq!(answer.await.unwrap_err().to_string(), "broken");
}
