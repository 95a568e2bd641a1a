use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tower::{Layer, ServiceExt, service_fn};
use tower_test::mock;

use super::{ApiKeyAuthLayer, KeySource, KeySources, MAX_KEY_BYTES, VerifyError, VerifyKey};
use crate::body::{Collect, RewriteBody};
use crate::context::{Exchange, Principal};
use crate::protocol::Protocol;
use crate::protocol::model::{Fault, FaultKind, FaultOrigin};
use crate::secret::Secret;

type Body = Full<Bytes>;
type Answer = Response<RewriteBody<Body>>;

fn request(path: &str, lines: &[(&str, &str)]) -> Request<Body> {
    let add = |builder: http::request::Builder, (name, value): &(&str, &str)| {
        builder.header(*name, *value)
    };
    lines.iter().fold(Request::post(path), add).body("hello".into()).unwrap()
}

/// Sends a request; the answer of the inner service carries the request's parts as an extension.
async fn send<V: VerifyKey>(layer: ApiKeyAuthLayer<V>, request: Request<Body>) -> Answer {
    let inner = service_fn(|request: Request<Body>| async move {
        let (parts, body) = request.into_parts();
        let mut response = Response::new(body);
        response.extensions_mut().insert(Seen(Arc::new(parts)));
        Ok::<_, Infallible>(response)
    });
    layer.layer(inner).oneshot(request).await.unwrap()
}

#[derive(Clone)]
struct Seen(Arc<http::request::Parts>);

fn seen(answer: &Answer) -> &http::request::Parts {
    &answer.extensions().get::<Seen>().expect("the inner service was called").0
}

async fn text(answer: Answer) -> String {
    let collected = Collect::new(answer.into_body(), 1024).await.unwrap();
    String::from_utf8(collected.bytes.to_vec()).unwrap()
}

fn layer() -> ApiKeyAuthLayer {
    ApiKeyAuthLayer::new(["sk-one", "sk-two"]).unwrap()
}

#[tokio::test]
async fn the_principal_is_left_and_the_keys_are_gone() {
    let lines = [("x-api-key", "sk-two"), ("authorization", "Bearer sk-else"), ("accept", "a/b")];
    let mut sent = request("/v1/messages?a=%2F&key=sk-one&b", &lines);
    let exchange = Exchange::of(sent.extensions_mut());
    let answer = send(layer(), sent).await;
    let parts = seen(&answer);
    assert_eq!(parts.extensions.get::<Principal>().unwrap().id(), "key-2");
    assert_eq!(exchange.read(|facts| facts.principal.clone()).unwrap().id(), "key-2");
    assert_eq!(exchange.read(|facts| facts.client_protocol), Some(Protocol::Anthropic));
    assert_eq!(parts.uri, "/v1/messages?a=%2F&b");
    assert_eq!(parts.headers.len(), 1);
}

#[tokio::test]
async fn the_first_key_counts_even_where_another_is_right() {
    let lines = [("x-api-key", "sk-wrong"), ("authorization", "Bearer sk-one")];
    let answer = send(layer(), request("/v1/messages", &lines)).await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    let only = KeySources::none().with(KeySource::Bearer);
    let answer = send(layer().sources(only), request("/v1/messages", &lines)).await;
    assert_eq!(seen(&answer).headers["x-api-key"], "sk-wrong", "not one of ours");
}

#[tokio::test]
async fn refusals_speak_the_callers_protocol() {
    let rows = [
        (
            "/v1/messages",
            r#"{"type":"error","error":{"type":"authentication_error","message":"missing access key"}}"#,
        ),
        (
            "/v1/chat/completions",
            r#"{"error":{"message":"missing access key","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}"#,
        ),
        (
            "/v1beta/models/g:generateContent",
            r#"{"error":{"code":401,"message":"missing access key","status":"UNAUTHENTICATED"}}"#,
        ),
        ("/api/stats", r#"{"error":"Unauthorized","message":"missing access key"}"#),
    ];
    for (path, expected) in rows {
        let mut sent = request(path, &[]);
        let exchange = Exchange::of(sent.extensions_mut());
        let answer = send(layer(), sent).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(answer.headers()["www-authenticate"], "Bearer");
        let fault = *answer.extensions().get::<Fault>().unwrap();
        assert_eq!((fault.kind, fault.origin), (FaultKind::Auth, FaultOrigin::Gateway));
        assert_eq!(exchange.read(|facts| facts.fault), Some(fault));
        assert_eq!(text(answer).await, expected);
    }
}

#[tokio::test]
async fn each_reason_has_its_status() {
    for (error, status, fault) in [
        (VerifyError::Unknown, 401, FaultKind::Auth),
        (VerifyError::Forbidden, 403, FaultKind::Permission),
        (VerifyError::Unavailable, 503, FaultKind::Overloaded),
    ] {
        for path in ["/v1/messages", "/v1/responses", "/other"] {
            let layer = ApiKeyAuthLayer::with_verifier(move |_: Secret| async move {
                tokio::task::yield_now().await;
                Err(error)
            });
            let answer = send(layer, request(path, &[("api-key", "sk-canary")])).await;
            assert_eq!(answer.status(), status, "{path}");
            assert_eq!(answer.headers().contains_key("www-authenticate"), status == 401);
            assert_eq!(answer.extensions().get::<Fault>().unwrap().kind, fault);
            assert!(!text(answer).await.contains("sk-canary"));
        }
    }
}

#[tokio::test]
async fn empty_and_overlong_keys_never_reach_the_verifier() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let layer = ApiKeyAuthLayer::with_verifier(move |_: Secret| {
        count.fetch_add(1, Ordering::Relaxed);
        async { Ok(Principal::new("anybody")) }
    });
    let long = "k".repeat(MAX_KEY_BYTES + 1);
    for key in ["", " ", &long] {
        let answer = send(layer.clone(), request("/v1/messages", &[("x-api-key", key)])).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    }
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    send(layer, request("/v1/messages", &[("x-api-key", &long[1..])])).await;
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn exempt_paths_pass_untouched() {
    let layer = layer().exempt_path("/health");
    let sent = request("/health?key=k", &[("authorization", "Bearer other")]);
    let answer = send(layer, sent).await;
    assert_eq!(seen(&answer).uri, "/health?key=k");
    assert_eq!(seen(&answer).headers["authorization"], "Bearer other");
    assert!(seen(&answer).extensions.get::<Principal>().is_none());
}

#[tokio::test]
async fn a_model_list_is_still_geminis_without_its_key() {
    let mut sent = request("/v1beta/models", &[("x-goog-api-key", "sk-one")]);
    *sent.method_mut() = Method::GET;
    let exchange = Exchange::of(sent.extensions_mut());
    send(layer(), sent).await;
    assert_eq!(exchange.read(|facts| facts.client_protocol), Some(Protocol::Gemini));
}

#[tokio::test]
async fn bodies_are_not_touched() {
    let sent = request("/v1/messages", &[("x-api-key", "sk-one")]);
    let pointer = sent.body().clone().frame().await.unwrap().unwrap().into_data().unwrap().as_ptr();
    let answer = send(layer(), sent).await;
    let collected = Collect::new(answer.into_body(), 1024).await.unwrap();
    assert_eq!(collected.bytes.as_ptr(), pointer);
}

#[tokio::test]
async fn the_ready_service_is_the_one_called() {
    let (mut service, mut handle) = mock::spawn_layer::<Request<Body>, Response<Body>, _>(layer());
    handle.allow(0);
    tokio_test::assert_pending!(service.poll_ready());
    handle.allow(1);
    tokio_test::assert_ready_ok!(service.poll_ready());
    let answer = service.call(request("/v1/messages", &[("x-api-key", "sk-one")]));
    let mut answer = tokio_test::task::spawn(answer);
    tokio_test::assert_pending!(answer.poll());
    let (_, inner) = handle.next_request().await.unwrap();
    inner.send_error("broken");
    assert_eq!(answer.await.unwrap_err().to_string(), "broken");
}

#[tokio::test]
async fn leaving_drops_the_verifier() {
    let alive = Arc::new(());
    let held = alive.clone();
    let layer = ApiKeyAuthLayer::with_verifier(move |_: Secret| {
        let held = held.clone();
        async move {
            let _held = held;
            std::future::pending::<Result<Principal, VerifyError>>().await
        }
    });
    let sent = request("/v1/messages", &[("x-api-key", "sk-one")]);
    let mut answer = tokio_test::task::spawn(send(layer, sent));
    tokio_test::assert_pending!(answer.poll());
    assert!(Arc::strong_count(&alive) > 1);
    drop(answer);
    assert_eq!(Arc::strong_count(&alive), 1);
}

#[test]
fn debug_hides_keys() {
    assert!(!format!("{:?}", layer()).contains("sk-"));
}
