use std::io;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tower::{Layer, ServiceExt, service_fn};
use tower_test::mock;

use super::CatchErrorLayer;
use crate::BoxError;
use crate::body::{Collect, RewriteBody};
use crate::context::Exchange;
use crate::error::{Phase, TransportError, TransportKind};
use crate::protocol::Protocol;
use crate::protocol::model::{Fault, FaultKind, FaultOrigin};

type Body = Full<Bytes>;

fn request(path: &str) -> Request<Body> {
    Request::post(path).body(Body::default()).unwrap()
}

/// The answer where the inner service fails.
async fn failed<E: Into<BoxError>>(
    error: fn() -> E,
    request: Request<Body>,
) -> Response<RewriteBody<Body>> {
    let inner = service_fn(move |_: Request<Body>| async move {
        Err::<Response<Body>, BoxError>(error().into())
    });
    CatchErrorLayer::new().layer(inner).oneshot(request).await.unwrap()
}

async fn text(response: Response<RewriteBody<Body>>) -> String {
    let collected = Collect::new(response.into_body(), 1024).await.unwrap();
    String::from_utf8(collected.bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn errors_become_bad_gateways() {
    let response =
        failed(|| io::Error::from(io::ErrorKind::ConnectionReset), request("/v1/messages")).await;
    assert_eq!(response.status(), 502);
    assert_eq!(response.headers()["content-type"], "application/json");
    let fault = *response.extensions().get::<Fault>().unwrap();
    assert_eq!((fault.kind, fault.origin), (FaultKind::Transport, FaultOrigin::Transport));
    let expected = r#"{"type":"error","error":{"type":"api_error","message":"the upstream closed the connection too early"}}"#;
    assert_eq!(text(response).await, expected);
}

#[tokio::test]
async fn timeouts_become_gateway_timeouts() {
    let late = || TransportError::new(TransportKind::Timeout(Phase::Headers));
    let response = failed(late, request("/x")).await;
    assert_eq!(response.status(), 504);
    let fault = *response.extensions().get::<Fault>().unwrap();
    assert_eq!((fault.kind, fault.origin), (FaultKind::Timeout, FaultOrigin::Transport));
    let expected = r#"{"error":"Gateway Timeout","message":"the upstream did not answer in time"}"#;
    assert_eq!(text(response).await, expected);
}

#[tokio::test]
async fn a_request_body_that_fails_is_no_fault_of_the_upstream() {
    let broken = || TransportError::new(TransportKind::RequestBody);
    let response = failed(broken, request("/v1/messages")).await;
    assert_eq!(response.status(), 400);
    let fault = *response.extensions().get::<Fault>().unwrap();
    assert_eq!((fault.kind, fault.origin), (FaultKind::BadRequest, FaultOrigin::Gateway));
    assert!(!fault.moves_on);
    let expected = r#"{"type":"error","error":{"type":"invalid_request_error","message":"the request body could not be read"}}"#;
    assert_eq!(text(response).await, expected);
}

#[tokio::test]
async fn the_upstreams_protocol_is_spoken() {
    let mut sent = request("/v1/messages");
    Exchange::of(sent.extensions_mut())
        .update(|facts| facts.upstream_protocol = Some(Protocol::Gemini));
    let response = failed(|| "broken", sent).await;
    assert_eq!(
        text(response).await,
        r#"{"error":{"code":502,"message":"the request to the upstream failed","status":"INTERNAL"}}"#
    );
}

#[tokio::test]
async fn the_text_of_an_error_is_never_shown() {
    let leak = || io::Error::other("https://user:sk-canary@host/?key=sk-canary");
    let response = failed(leak, request("/v1/messages")).await;
    assert!(!format!("{:?}", response.headers()).contains("sk-canary"));
    assert!(!text(response).await.contains("sk-canary"));
}

#[tokio::test]
async fn answers_are_not_touched() {
    let body = Bytes::from_static(b"hello");
    let pointer = body.as_ptr();
    let inner = service_fn(move |_: Request<Body>| {
        let mut response = Response::new(Body::from(body.clone()));
        *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
        async { Ok::<_, BoxError>(response) }
    });
    let response = CatchErrorLayer::new().layer(inner).oneshot(request("/")).await.unwrap();
    assert_eq!(response.status(), 500);
    assert!(response.extensions().get::<Fault>().is_none());
    let frame = response.into_body().frame().await.unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap().as_ptr(), pointer);
}

#[tokio::test]
async fn a_broken_service_is_told_at_the_call() {
    let (mut service, mut handle) =
        mock::spawn_layer::<Request<Body>, Response<Body>, _>(CatchErrorLayer::new());
    handle.allow(0);
    tokio_test::assert_pending!(service.poll_ready());
    handle.send_error(TransportError::new(TransportKind::Dns));
    tokio_test::assert_ready_ok!(service.poll_ready());
    let response = service.call(request("/x")).await.unwrap();
    assert_eq!(response.status(), 502);
    assert!(text(response).await.contains("could not be resolved"));
}
