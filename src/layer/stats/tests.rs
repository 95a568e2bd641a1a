mod golden;
mod groups;
#[cfg(feature = "prometheus")]
mod prometheus;

use std::convert::Infallible;
use std::future::{Future, poll_fn, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Empty;
use tower_layer::Layer;
use tower_service::Service;

use super::*;
use crate::body::ObserveBody;
use crate::context::{Exchange, Principal, RequestFacts};
use crate::protocol::Protocol;
use crate::protocol::model::{Fault, FaultKind, Usage};
use crate::record::{MAX_MODEL, MAX_PATH, RecordBody, RequestObserver};
use crate::test_helpers::{Frames, Step, step, steps};

/// A clock that a test moves.
#[derive(Clone)]
struct Hand(Arc<AtomicU64>);

impl Hand {
    fn layer() -> (StatsLayer, Self) {
        let hand = Self(Arc::new(AtomicU64::new(1_700_000_000_000)));
        let clock = hand.clone();
        let layer =
            StatsLayer::with_clock(move || Duration::from_millis(clock.0.load(Ordering::Relaxed)));
        (layer, hand)
    }

    fn forward(&self, millis: u64) {
        self.0.fetch_add(millis, Ordering::Relaxed);
    }
}

/// A service that answers by a function, at once.
#[derive(Clone)]
struct Answer<F>(F);

impl<F, B> Service<Request<B>> for Answer<F>
where
    F: FnMut(Request<B>) -> Result<Response<Frames>, &'static str>,
{
    type Response = Response<Frames>;
    type Error = &'static str;
    type Future = std::future::Ready<Result<Response<Frames>, &'static str>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ready((self.0)(request))
    }
}

type Watched = RecordBody<Frames, Stats>;

fn now<F: Future>(future: F) -> F::Output {
    match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("pending"),
    }
}

fn call(
    layer: &StatsLayer,
    method: Method,
    path: &str,
    answer: Response<Frames>,
) -> Response<Watched> {
    let request = Request::builder().method(method).uri(path).body(Empty::<Bytes>::new());
    let mut answer = Some(answer);
    let mut service = layer.layer(Answer(move |_| Ok(answer.take().unwrap())));
    now(service.call(request.unwrap())).unwrap()
}

fn answer(status: u16, steps: impl IntoIterator<Item = &'static str>) -> Response<Frames> {
    Response::builder().status(status).body(Frames::new(steps)).unwrap()
}

fn typed(content_type: &str, steps: impl IntoIterator<Item = &'static str>) -> Response<Frames> {
    let mut response = answer(200, steps);
    response.headers_mut().insert("content-type", content_type.parse().unwrap());
    response
}

fn post(layer: &StatsLayer, path: &str, answer: Response<Frames>) {
    let mut response = call(layer, Method::POST, path, answer);
    steps(response.body_mut());
}

#[test]
fn a_body_has_four_ends() {
    // successes, failures, cancelled, status, fault
    let expect = |layer: &StatsLayer, counts: (u64, u64, u64), status, fault: Option<&str>| {
        let snapshot = layer.stats().snapshot();
        let totals = snapshot.totals;
        assert_eq!((totals.successes, totals.failures, totals.cancelled), counts);
        assert_eq!((totals.requests, snapshot.in_flight), (1, 0));
        let request = &snapshot.recent_requests[0];
        assert_eq!((request.status, request.fault), (status, fault));
        assert_eq!(snapshot.faults.keys().copied().next(), fault);
    };

    let layer = StatsLayer::new();
    post(&layer, "/x", answer(200, ["a", "bc"]));
    expect(&layer, (1, 0, 0), "completed", None);
    assert_eq!(layer.stats().snapshot().totals.response_bytes, 3);

    let layer = StatsLayer::new();
    let declared = Response::new(Frames::new(["a"]).declaring_end());
    let mut response = call(&layer, Method::POST, "/x", declared);
    step(response.body_mut());
    expect(&layer, (1, 0, 0), "completed", None);

    let layer = StatsLayer::new();
    let broken = Response::new(Frames::new([Step::from("a"), Step::error("cut")]));
    post(&layer, "/x", broken);
    expect(&layer, (0, 1, 0), "error", Some("transport"));

    let layer = StatsLayer::new();
    let mut response = call(&layer, Method::POST, "/x", answer(200, ["a", "b"]));
    step(response.body_mut());
    assert_eq!(layer.stats().snapshot().in_flight, 1);
    assert_eq!(layer.stats().snapshot().recent_requests[0].bytes, 1);
    drop(response);
    expect(&layer, (1, 0, 1), "cancelled", Some("client_cancel"));
}

#[test]
fn a_client_may_leave_before_the_headers() {
    let layer = StatsLayer::new();
    let (mut service, mut handle) = tower_test::mock::spawn_layer::<
        Request<ObserveBody<Empty<Bytes>, RequestObserver>>,
        Response<Frames>,
        _,
    >(layer.clone());
    handle.allow(1);
    assert!(matches!(service.poll_ready::<Request<Empty<Bytes>>>(), Poll::Ready(Ok(()))));
    let future = service.call(Request::new(Empty::new()));
    assert_eq!(layer.stats().snapshot().in_flight, 1);
    drop(future);
    let snapshot = layer.stats().snapshot();
    assert_eq!((snapshot.in_flight, snapshot.totals.cancelled), (0, 1));
    assert_eq!((snapshot.totals.successes, snapshot.totals.failures), (0, 0));
    assert_eq!(snapshot.recent_requests[0].status, "cancelled");
    assert_eq!(snapshot.recent_requests[0].status_code, None);
}

#[test]
fn the_service_may_fail() {
    let layer = StatsLayer::new();
    let mut service = layer.layer(Answer(|_| Err("https://h/?key=secret")));
    let error = now(service.call(Request::new(Empty::<Bytes>::new()))).err();
    assert_eq!(error, Some("https://h/?key=secret"));
    let snapshot = layer.stats().snapshot();
    assert_eq!((snapshot.in_flight, snapshot.totals.failures), (0, 1));
    assert_eq!(snapshot.recent_requests[0].error.as_deref(), Some("the service failed"));
    assert_eq!(snapshot.faults["transport"], 1);
    assert!(!serde_json::to_string(&snapshot).unwrap().contains("secret"));
}

#[test]
fn answers_without_a_body_are_whole() {
    for (method, status) in [(Method::HEAD, 200), (Method::GET, 204), (Method::GET, 304)] {
        let layer = StatsLayer::new();
        drop(call(&layer, method, "/x", answer(status, [])));
        let totals = layer.stats().snapshot().totals;
        assert_eq!((totals.successes, totals.cancelled), (1, 0), "{status}");
    }
    let layer = StatsLayer::new();
    let empty = Response::new(Frames::new([] as [Step; 0]).declaring_end());
    let response = call(&layer, Method::GET, "/x", empty);
    assert_eq!(layer.stats().snapshot().totals.successes, 1);
    drop(response);
    assert_eq!(layer.stats().snapshot().totals.requests, 1);
}

#[test]
fn frames_pass_as_they_are() {
    let layer = StatsLayer::new();
    let script = [Step::from("{\"mo"), Step::Pending, Step::from("x"), Step::trailer("a", "b")];
    let answer = typed("application/json", []).map(|_| Frames::new(script.clone()));
    let mut response = call(&layer, Method::POST, "/v1/messages", answer);
    assert_eq!(steps(response.body_mut()), script);
}

#[test]
fn request_bytes_count_as_they_are_read() {
    let layer = StatsLayer::new();
    let mut service = layer.layer(Answer(|request: Request<ObserveBody<Frames, _>>| {
        let mut body = request.into_body();
        step(&mut body);
        Ok(answer(200, []))
    }));
    let response = now(service.call(Request::new(Frames::new(["abc", "never read"])))).unwrap();
    steps(&mut response.into_body());
    assert_eq!(layer.stats().snapshot().totals.request_bytes, 3);
}

#[test]
fn tokens_are_read_from_passing_bytes() {
    let layer = StatsLayer::new();
    post(
        &layer,
        "/v1/chat/completions",
        typed(
            "application/json; charset=utf-8",
            ["{\"model\":\"m\",\"usage\":{\"prompt_", "tokens\":9,\"completion_tokens\":2}}"],
        ),
    );
    let mut encoded = typed("application/json", ["{\"usage\":{\"prompt_tokens\":9}}"]);
    encoded.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
    post(&layer, "/v1/chat/completions", encoded);
    post(&layer, "/other", typed("application/json", ["{\"usage\":{\"prompt_tokens\":9}}"]));
    post(&layer, "/v1/messages", answer(200, ["{\"usage\":{\"input_tokens\":9}}"]));
    let snapshot = layer.stats().snapshot();
    assert_eq!((snapshot.tokens.known, snapshot.tokens.input, snapshot.tokens.output), (1, 9, 2));
    assert_eq!(snapshot.models["m"].tokens, snapshot.tokens);
    assert_eq!(snapshot.protocols["openai-chat"].count, 2);
    assert_eq!(snapshot.recent_requests[0].input_tokens, Some(9));
    assert_eq!(snapshot.recent_requests[1].input_tokens, None);
}

#[test]
fn a_stream_has_a_first_event_and_may_fail_within() {
    let (layer, hand) = Hand::layer();
    let stream = typed(
        "text/event-stream",
        [
            "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"model\":\"c\",",
            "\"usage\":{\"input_tokens\":5,\"output_tokens\":1}}}\n\n",
            "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"x\"}}\n\n",
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}\n\n",
        ],
    );
    let mut response = call(&layer, Method::POST, "/v1/messages", stream);
    while step(response.body_mut()).is_some() {
        hand.forward(100);
    }
    let snapshot = layer.stats().snapshot();
    let request = &snapshot.recent_requests[0];
    assert_eq!(request.first_event_ms.unwrap().round() as u64, 200);
    assert_eq!(request.duration_ms.unwrap().round() as u64, 400);
    assert_eq!((request.status, request.fault), ("error", Some("overloaded")));
    assert_eq!(request.error.as_deref(), Some("error within the answer: overloaded"));
    assert_eq!((request.input_tokens, request.output_tokens), (Some(5), Some(1)));
    let first = snapshot.latency.first_event_ms.p50;
    assert!((200.0..=225.0).contains(&first), "{first}");
}

#[test]
fn facts_of_inner_layers_come_first() {
    let layer = StatsLayer::new();
    let mut service = layer.layer(Answer(|mut request: Request<_>| {
        Exchange::of(request.extensions_mut()).update(|facts| {
            assert_eq!(facts.client_protocol, Some(Protocol::OpenAiChat));
            facts.principal = Some(Principal::new("team"));
            facts.request =
                Some(RequestFacts { model: Some("asked".into()), ..RequestFacts::default() });
            facts.upstream_model = Some("mapped".into());
            facts.usage = Some(Usage { input: 100, ..Usage::default() });
            facts.attempts.push(crate::context::Attempt::default());
        });
        Ok(typed("application/json", ["{\"model\":\"said\",\"usage\":{\"prompt_tokens\":9}}"]))
    }));
    let request = Request::post("/v1/chat/completions").body(Empty::<Bytes>::new()).unwrap();
    steps(now(service.call(request)).unwrap().body_mut());
    let snapshot = layer.stats().snapshot();
    let request = &snapshot.recent_requests[0];
    assert_eq!(request.model.as_deref(), Some("mapped"));
    assert_eq!(request.principal.as_deref(), Some("team"));
    assert_eq!((request.attempts, request.input_tokens), (Some(1), Some(100)));
    assert_eq!(snapshot.models["mapped"].tokens.input, 100);
}

#[test]
fn errors_keep_what_they_said_where_asked() {
    let layer = StatsLayer::new();
    post(&layer, "/v1/messages", answer(400, ["your prompt: secret"]));
    assert_eq!(layer.stats().snapshot().recent_requests[0].response_content, None);

    let layer = StatsLayer::new().capture_error_bodies(true);
    let mut refused = answer(429, ["{\"error\"", ":\"slow\"}"]);
    let fault = Fault::gateway(FaultKind::Billing);
    refused.extensions_mut().insert(fault);
    post(&layer, "/v1/messages?key=secret", refused);
    let mut encoded = answer(500, ["gzip"]);
    encoded.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
    post(&layer, "/v1/messages", encoded);
    let snapshot = layer.stats().snapshot();
    let [refused, encoded] = &snapshot.recent_requests[..] else { panic!() };
    assert_eq!(refused.error.as_deref(), Some("HTTP 429: Too Many Requests"));
    assert_eq!(refused.response_content.as_deref(), Some("{\"error\":\"slow\"}"));
    assert_eq!((refused.fault, refused.path.as_str()), (Some("billing"), "/v1/messages"));
    assert_eq!(encoded.response_content, None);
    assert_eq!(encoded.fault, Some("upstream"));
    assert_eq!((snapshot.status_classes["4xx"], snapshot.status_classes["5xx"]), (1, 1));
}

#[test]
fn rings_forget_the_oldest() {
    let layer = StatsLayer::new().capture_error_bodies(true);
    for _ in 0..MAX_RECENT + 5 {
        post(&layer, "/x", answer(400, ["no"]));
    }
    let all = StatsQuery { limit: 0, ..StatsQuery::default() };
    let snapshot = layer.stats().report(&all);
    assert_eq!(snapshot.totals.failures, (MAX_RECENT + 5) as u64);
    assert_eq!(snapshot.summary.failed_requests, (MAX_RECENT + 5) as u64);
    assert_eq!(snapshot.recent_requests.len(), MAX_RECENT);
    let with_body = snapshot.recent_requests.iter().filter(|r| r.response_content.is_some());
    assert_eq!(with_body.count(), MAX_ERRORS);
    let errors = ErrorsQuery { limit: usize::MAX, ..ErrorsQuery::default() };
    assert_eq!(layer.stats().errors(&errors).errors.len(), MAX_ERRORS);
    assert_eq!(layer.stats().snapshot().recent_requests.len(), 100);
}

#[test]
fn inventions_do_not_fill_the_books() {
    let layer = StatsLayer::new();
    for i in 0..10_000 {
        post(&layer, &format!("/{i}"), answer(404, []));
    }
    let snapshot = layer.stats().snapshot();
    assert_eq!(snapshot.top_paths.len(), 1);
    assert_eq!(snapshot.top_paths[OTHER].errors, 10_000);
    let long = "M".repeat(100_000).parse().unwrap();
    call(&layer, long, "/", answer(400, []));
    assert_eq!(layer.stats().snapshot().recent_requests.last().unwrap().method.len(), 32);
    let long = format!("/{}é", "x".repeat(MAX_PATH - 2));
    post(&layer, &long, answer(200, []));
    assert_eq!(layer.stats().snapshot().recent_requests.last().unwrap().path.len(), MAX_PATH - 1);

    let long = "é".repeat(MAX_MODEL);
    for i in 0..10_000 {
        let mut service = layer.layer(Answer(|mut request: Request<_>| {
            let model = format!("{i}{long}");
            Exchange::of(request.extensions_mut())
                .update(|facts| facts.upstream_model = Some(model.into()));
            Ok(answer(200, []))
        }));
        let request = Request::post(format!("/ok/{i}")).body(Empty::<Bytes>::new()).unwrap();
        steps(now(service.call(request)).unwrap().body_mut());
    }
    let snapshot = layer.stats().snapshot();
    assert_eq!(snapshot.models.len(), MAX_MODELS + 1);
    assert!(snapshot.models.keys().all(|name| name.len() <= MAX_MODEL));
    assert_eq!(snapshot.models.values().map(|model| model.requests).sum::<u64>(), 10_000);
}

#[test]
fn paths_of_a_protocol_are_one() {
    let layer = StatsLayer::new();
    for model in ["a", "b"] {
        let path = format!("/v1beta/models/{model}:generateContent");
        post(&layer, &path, answer(200, []));
    }
    let paths = layer.stats().snapshot().top_paths;
    assert_eq!(paths["/v1beta/models/{model}:generateContent"].count, 2);
}

#[test]
fn what_does_not_move_is_stale() {
    let (layer, hand) = Hand::layer();
    let mut response = call(&layer, Method::POST, "/x", answer(200, ["a", "b"]));
    hand.forward(STALE_AFTER.as_millis() as u64);
    step(response.body_mut());
    hand.forward(STALE_AFTER.as_millis() as u64);
    assert_eq!(layer.stats().snapshot().stale, 0);
    hand.forward(1);
    let snapshot = layer.stats().snapshot();
    assert_eq!((snapshot.in_flight, snapshot.stale), (1, 1));
    assert_eq!(snapshot.recent_requests[0].status, "stale");
    steps(response.body_mut());
    let snapshot = layer.stats().snapshot();
    assert_eq!((snapshot.stale, snapshot.totals.successes), (0, 1));
}

#[test]
fn a_window_shows_its_minutes() {
    let (layer, hand) = Hand::layer();
    for _ in 0..3 {
        post(&layer, "/x", answer(200, ["ab"]));
        hand.forward(60_000);
    }
    let query = |start, end| {
        let query =
            StatsQuery { start_time: Some(start), end_time: Some(end), ..StatsQuery::default() };
        layer.stats().report(&query)
    };
    let first = query(1_699_999_990.0, 1_700_000_000.0);
    assert_eq!((first.summary.total_requests, first.recent_requests.len()), (1, 1));
    assert_eq!(first.time_series.bytes_per_minute[0].count, 2);
    let all = layer.stats().snapshot();
    let times: Vec<u64> = all.time_series.requests_per_minute.iter().map(|p| p.time).collect();
    assert_eq!(times, [1_699_999_980, 1_700_000_040, 1_700_000_100]);
    // A day later the same place holds another minute.
    hand.forward(MAX_MINUTES as u64 * 60_000 - 180_000);
    post(&layer, "/x", answer(200, []));
    assert_eq!(query(1_699_999_990.0, 1_700_000_000.0).summary.total_requests, 0);
    assert_eq!(layer.stats().snapshot().summary.total_requests, 1);
    assert_eq!(layer.stats().snapshot().totals.requests, 4);
}

#[test]
fn two_layers_share_nothing() {
    let (one, two) = (StatsLayer::new(), StatsLayer::new());
    post(&one, "/x", answer(200, []));
    assert_eq!(one.clone().stats().snapshot().totals.requests, 1);
    assert_eq!(two.stats().snapshot().totals.requests, 0);
}

#[test]
fn many_at_once_sum_up() {
    let layer = StatsLayer::new();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for i in 0..500 {
                    post(&layer, "/x", answer(if i % 5 == 0 { 500 } else { 200 }, ["abc"]));
                }
            });
        }
    });
    let snapshot = layer.stats().snapshot();
    let totals = snapshot.totals;
    assert_eq!((totals.requests, totals.successes, totals.failures), (4000, 3200, 800));
    assert_eq!((totals.response_bytes, snapshot.in_flight), (12_000, 0));
    assert_eq!(snapshot.summary.failed_requests, 800);
    assert_eq!(snapshot.faults["upstream"], 800);
}

#[tokio::test]
async fn readiness_is_that_of_the_inner_service() {
    let (mut service, mut handle) = tower_test::mock::spawn_layer::<
        Request<ObserveBody<Empty<Bytes>, RequestObserver>>,
        Response<Frames>,
        _,
    >(StatsLayer::new());
    handle.allow(0);
    assert!(service.poll_ready::<Request<Empty<Bytes>>>().is_pending());
    handle.allow(1);
    assert!(service.poll_ready::<Request<Empty<Bytes>>>().is_ready());
    let future = service.call(Request::new(Empty::new()));
    let (_, send) = handle.next_request().await.unwrap();
    send.send_response(answer(200, ["x"]));
    let response = future.await.unwrap();
    assert_eq!(steps(&mut response.into_body()), [Step::from("x")]);
}

#[tokio::test]
async fn services_of_tower_take_it() {
    let layer = StatsLayer::new();
    let mut service = layer.layer(tower::service_fn(|request: Request<_>| async move {
        Ok::<_, Infallible>(Response::new(request.into_body()))
    }));
    poll_fn(|cx| Service::<Request<Empty<Bytes>>>::poll_ready(&mut service, cx)).await.unwrap();
    let response: Pin<Box<_>> = Box::pin(service.call(Request::new(Empty::<Bytes>::new())));
    assert_eq!(response.await.unwrap().status(), StatusCode::OK);
}

#[test]
fn an_empty_snapshot_is_well_formed() {
    let (layer, _) = Hand::layer();
    let summary = layer.stats().snapshot().summary;
    assert_eq!((summary.success_rate, summary.avg_response_time), (1.0, 0.0));
    let query: StatsQuery = serde_json::from_str("{\"limit\":-1}").unwrap();
    assert_eq!(layer.stats().report(&query).recent_requests, []);
}

#[test]
fn errors_are_listed_page_by_page() {
    let (layer, hand) = Hand::layer();
    let layer = layer.capture_error_bodies(true);
    for path in ["/a", "/B", "/b", "/a/b"] {
        post(&layer, path, answer(500, ["no"]));
        hand.forward(1000);
    }
    post(&layer, "/b", answer(200, []));
    let query =
        ErrorsQuery { limit: 2, path_filter: Some("B".to_owned()), ..ErrorsQuery::default() };
    let report = layer.stats().errors(&query);
    let paths: Vec<_> = report.errors.iter().map(|error| error.path.as_str()).collect();
    assert_eq!((paths, report.pagination.has_more), (vec!["/a/b", "/b"], true));
    let last = layer.stats().errors(&ErrorsQuery { offset: 2, ..query });
    assert_eq!((last.errors.len(), last.pagination.has_more), (1, false));
    let query: ErrorsQuery = serde_json::from_str("{\"end_time\":1700000000.5}").unwrap();
    assert_eq!(layer.stats().errors(&query).pagination.total, 1);
    assert_eq!(StatsLayer::new().stats().errors(&query).statistics.error_rate, 0.0);
}
