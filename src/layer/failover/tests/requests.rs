//! What is sent, and what is not sent again.

use bytes::Bytes;
use http::{HeaderValue, Request};
use http_body::SizeHint;

use super::kit::{BODY, Script, ask, post, send, status, text};
use crate::context::Principal;
use crate::context::{Exchange, RequestFacts};
use crate::layer::failover::FailoverLayer;
use crate::protocol::model::FaultKind;
use crate::test_helpers::{Frames, Step};

#[tokio::test(start_paused = true)]
async fn every_attempt_gets_the_same_request() {
    let script = Script::new([status(500), status(500), status(200)]);
    let data = Bytes::from(BODY);
    let mut request = post("/v1/messages?beta=true", "");
    *request.body_mut() = Frames::new([Step::Data(data.clone())]);
    let (answer, exchange) = send(&FailoverLayer::new(), &script, request).await;
    assert_eq!(answer.unwrap().status(), 200);
    for call in script.calls() {
        assert_eq!(
            (call.path.as_str(), &call.headers["x-caller"]),
            ("/v1/messages", &HeaderValue::from(1))
        );
        assert_eq!(call.body.as_ptr(), data.as_ptr(), "the very bytes, not a copy");
    }
    let facts = exchange.read(|facts| facts.request.clone()).unwrap();
    assert_eq!((facts.model.as_deref(), facts.stream), (Some("m"), true));
    assert_eq!(exchange.read(|facts| facts.replayable), Some(true));
}

#[tokio::test(start_paused = true)]
async fn a_large_request_has_one_attempt_and_streams() {
    let layer = FailoverLayer::new().max_replay(4);
    let declared = Frames::new(["hello"]).hint(SizeHint::with_exact(5));
    for body in [declared, Frames::new(["hel", "lo", " wor", "ld"])] {
        let script = Script::new([status(500), status(200)]);
        let request = Request::post("/v1/messages").body(body).unwrap();
        let (answer, exchange) = send(&layer, &script, request).await;
        assert_eq!(answer.unwrap().status(), 500);
        let calls = script.calls();
        assert_eq!(calls.len(), 1);
        assert!(calls[0].body.starts_with(b"hello") && !calls[0].attempt.may_repeat);
        assert_eq!(exchange.read(|facts| facts.replayable), Some(false));
    }
    let script = Script::new([status(500), status(200)]);
    let (answer, _) = send(&layer, &script, post("/v1/messages", "1234")).await;
    assert_eq!(answer.unwrap().status(), 200, "the limit itself is kept");
}

#[tokio::test(start_paused = true)]
async fn uploads_and_batches_are_not_made_twice() {
    for (code, calls) in [(500, 1), (503, 1), (401, 2), (429, 2)] {
        let script = Script::new([status(code), status(200)]);
        send(&FailoverLayer::new(), &script, post("/v1/messages/batches", "{}")).await.0.unwrap();
        assert_eq!(script.calls().len(), calls, "{code}");
        assert!(!script.calls()[0].attempt.may_repeat);
    }
    let script = Script::new([status(500), status(200)]);
    let request = Request::get("/v1/models").body(Frames::new([""])).unwrap();
    send(&FailoverLayer::new(), &script, request).await.0.unwrap();
    assert_eq!(script.calls().len(), 2);
}

#[tokio::test]
async fn other_requests_pass_unread() {
    use tower::{Layer, ServiceExt, service_fn};
    let inner = service_fn(|request: Request<crate::body::RewriteBody<Frames>>| async move {
        assert!(request.extensions().get::<crate::context::AttemptId>().is_none());
        let mut response = http::Response::new(Frames::new(["bad"]));
        *response.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
        Ok::<_, std::convert::Infallible>(response)
    });
    let request = Request::post("/people").body(Frames::new([Step::Pending])).unwrap();
    let answer = FailoverLayer::new().layer(inner).oneshot(request).await.unwrap();
    assert_eq!(text(answer).await, "bad");
}

#[tokio::test(start_paused = true)]
async fn a_caller_is_held_to_its_models_before_any_attempt() {
    let encoded = || {
        let mut request = post("/v1/messages", r#"{"model":"a"}"#);
        request.headers_mut().insert("content-encoding", HeaderValue::from_static("gzip"));
        request
    };
    let rows = [
        (post("/v1/messages", r#"{"model":"a"}"#), 200),
        (post("/v1/messages", r#"{"model":"b"}"#), 403),
        (post("/v1/messages", r#"{"model":"a","model":"b"}"#), 400),
        (post("/v1/messages", "no json"), 400),
        (post("/v1/messages", "{}"), 403),
        (encoded(), 415),
        (post("/v1/messages", r#"{"model":"a","n":"0123456789"}"#), 413),
        (post("/v1beta/models/b:generateContent", "{}"), 403),
        (post("/v1/embeddings", "{}"), 200),
    ];
    for (mut request, expected) in rows {
        let script = Script::new([status(200)]);
        let name = format!("{} {expected}", request.uri());
        Exchange::of(request.extensions_mut())
            .update(|facts| facts.principal = Some(Principal::new("team").models(["a"])));
        let layer = FailoverLayer::new().max_replay(9).max_body_bytes(26);
        let (answer, exchange) = send(&layer, &script, request).await;
        assert_eq!(answer.unwrap().status(), expected, "{name}");
        assert_eq!(script.calls().len(), usize::from(expected == 200), "{name}");
        assert_eq!(exchange.read(|facts| facts.attempts.len()), script.calls().len());
    }
}

#[tokio::test(start_paused = true)]
async fn facts_that_are_there_are_not_read_again() {
    let mut request = post("/v1/messages", r#"{"model":"other"}"#);
    let exchange = Exchange::of(request.extensions_mut());
    assert!(
        exchange.admit(RequestFacts { model: Some("known".into()), ..RequestFacts::default() })
    );
    send(&FailoverLayer::new(), &Script::new([status(200)]), request).await.0.unwrap();
    let model = exchange.read(|facts| facts.request.clone().unwrap().model);
    assert_eq!(model.as_deref(), Some("known"));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_fails_is_the_callers_fault() {
    let script = Script::new([]);
    let request = Request::post("/v1/messages").body(Frames::new([Step::error("cut")])).unwrap();
    let (answer, exchange) = send(&FailoverLayer::new(), &script, request).await;
    let answer = answer.unwrap();
    assert_eq!((answer.status().as_u16(), exchange.read(|facts| facts.attempts.len())), (400, 0));
    assert!(text(answer).await.contains("could not be read"));
}

#[tokio::test(start_paused = true)]
async fn what_a_failed_attempt_said_is_forgotten() {
    let mut request = post("/v1/messages", BODY);
    let exchange = Exchange::of(request.extensions_mut());
    exchange.update(|facts| {
        facts.fault = Some(crate::protocol::model::Fault::gateway(FaultKind::Timeout));
    });
    let script = Script::new([status(500), status(200)]);
    send(&FailoverLayer::new(), &script, request).await.0.unwrap();
    assert_eq!(exchange.read(|facts| facts.fault), None);
    let (_, exchange) = ask(&FailoverLayer::new(), &Script::new([status(400)])).await;
    assert_eq!(exchange.read(|facts| facts.fault.unwrap().kind), FaultKind::BadRequest);
}
