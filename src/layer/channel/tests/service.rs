//! The layer around a service.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{Request, Response, StatusCode};
use http_body::Body;
use tower::util::BoxCloneService;
use tower::{Layer, ServiceExt, service_fn};
use tower_test::mock;

use super::*;
use crate::BoxError;
use crate::body::{Collect, ObserveBody, RewriteBody};
use crate::context::Principal;
use crate::layer::channel::{
    BreakerState, ChannelLayer, ChannelSnapshot, Channels, ResponseObserver,
};
use crate::test_helpers::{Frames, Step, steps};

type Seen = Request<RewriteBody<Frames>>;
type Answered = Result<Response<Frames>, BoxError>;

fn answer(status: u16) -> Response<Frames> {
    let mut response = Response::new(Frames::new(["answer"]).declaring_end());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

fn with_fault(fault: Fault) -> Response<Frames> {
    let mut response = answer(fault.status.as_u16());
    response.extensions_mut().insert(fault);
    response
}

fn channels(list: impl IntoIterator<Item = Channel>) -> Channels {
    Channels::new(list).unwrap()
}

fn ab() -> Channels {
    channels([channel("a"), channel("b")])
}

type Answer = Response<ObserveBody<RewriteBody<Frames>, ResponseObserver>>;
type Sut = BoxCloneService<Request<Frames>, Answer, BoxError>;

/// The layer around a service that answers so.
fn around(
    layer: &ChannelLayer,
    answer: impl Fn(&Seen) -> Answered + Clone + Send + Sync + 'static,
) -> Sut {
    let inner = service_fn(move |request: Seen| {
        let answered = answer(&request);
        async move { answered }
    });
    BoxCloneService::new(layer.layer(inner))
}

fn channel_of<B>(request: &Request<B>) -> String {
    request.extensions().get::<ChannelId>().unwrap().as_str().to_owned()
}

fn post(path: &str, body: &'static str) -> Request<Frames> {
    Request::post(path).body(Frames::new([body])).unwrap()
}

/// A request whose body an outer layer has read.
fn known(exchange: &Exchange) -> Request<Frames> {
    exchange.update(|facts| {
        let model = Some("m".into());
        facts.request.get_or_insert(RequestFacts { model, ..RequestFacts::default() });
    });
    let mut request = post("/v1/messages", "{}");
    request.extensions_mut().insert(exchange.clone());
    request
}

async fn text<B: Body<Data = Bytes, Error: std::fmt::Debug>>(body: B) -> String {
    let collected = Collect::new(body, 1024).await.unwrap();
    String::from_utf8(collected.bytes.to_vec()).unwrap()
}

fn of(channels: &Channels, id: &str) -> ChannelSnapshot {
    channels.snapshot(KIND).into_iter().find(|one| one.channel_id == id).unwrap()
}

fn counts(channels: &Channels, id: &str) -> [u64; 3] {
    let one = of(channels, id);
    [one.request_count, one.success_count, one.failure_count]
}

#[tokio::test]
async fn it_says_where_the_request_goes() {
    let channels = ab();
    let sut = around(&ChannelLayer::new(channels.clone()), |request| {
        assert_eq!(channel_of(request), "a");
        let upstream = request.extensions().get::<Upstream>().unwrap();
        assert_eq!(upstream.authority(), "a.example");
        Ok(answer(200))
    });
    let exchange = Exchange::default();
    let response = sut.oneshot(known(&exchange)).await.unwrap();
    let attempt = exchange.read(|facts| facts.attempts[0].clone());
    assert_eq!(attempt.channel, Some(ChannelId::new("a")));
    assert_eq!((attempt.more_channels, attempt.fault), (true, None));
    assert_eq!(attempt.status, Some(StatusCode::OK));

    assert_eq!(of(&channels, "a").active_requests, 1, "until the last byte");
    assert_eq!(counts(&channels, "a"), [0, 0, 0]);
    assert_eq!(text(response.into_body()).await, "answer");
    assert_eq!(of(&channels, "a").active_requests, 0);
    assert_eq!(counts(&channels, "a"), [1, 1, 0]);
}

/// What an inner layer does, and what it means for the channel.
#[tokio::test]
async fn whose_fault_it_was() {
    use FaultKind::*;
    type Inner = fn(&Exchange) -> Answered;
    let rows: [(&str, Inner, [u64; 3]); 13] = [
        ("well", |_| Ok(answer(200)), [1, 1, 0]),
        ("moved", |_| Ok(answer(302)), [1, 1, 0]),
        ("bare 400", |_| Ok(answer(400)), [1, 0, 0]),
        ("bare 404", |_| Ok(answer(404)), [1, 0, 0]),
        ("bare 500", |_| Ok(answer(500)), [1, 0, 1]),
        ("bare 529", |_| Ok(answer(529)), [1, 0, 1]),
        ("last key", |_| Ok(with_fault(upstream_fault(RateLimit))), [1, 0, 1]),
        (
            "one of several keys",
            |exchange| {
                exchange.update(|facts| facts.attempts[0].more_keys = true);
                Ok(with_fault(upstream_fault(Auth)))
            },
            [1, 0, 0],
        ),
        ("a refusal of ours", |_| Ok(with_fault(Fault::gateway(Overloaded))), [1, 0, 0]),
        (
            "policy behind a 500",
            |_| {
                let fault = upstream_fault(ContentPolicy);
                Ok(with_fault(Fault { status: StatusCode::INTERNAL_SERVER_ERROR, ..fault }))
            },
            [1, 0, 0],
        ),
        (
            "an error event in the stream, told of the attempt",
            |exchange| {
                exchange.update(|facts| facts.attempts[0].fault = Some(upstream_fault(Overloaded)));
                Ok(answer(200))
            },
            [1, 0, 1],
        ),
        (
            "broken off",
            |_| Ok(Response::new(Frames::new([Step::from("a"), Step::error("cut")]))),
            [1, 0, 1],
        ),
        ("no answer", |_| Err("no".into()), [1, 0, 1]),
    ];
    for (name, inner, expected) in rows {
        let channels = ab();
        let exchange = Exchange::default();
        let told = exchange.clone();
        let sut = around(&ChannelLayer::new(channels.clone()), move |_| inner(&told));
        if let Ok(response) = sut.oneshot(known(&exchange)).await {
            steps(&mut response.into_body());
        }
        assert_eq!(counts(&channels, "a"), expected, "{name}");
        assert_eq!(of(&channels, "a").active_requests, 0, "{name}");
    }
}

#[tokio::test]
async fn an_error_within_the_stream_counts_at_its_end() {
    let channels = ab();
    let sut = around(&ChannelLayer::new(channels.clone()), |_| Ok(answer(200)));
    let exchange = Exchange::default();
    let response = sut.oneshot(known(&exchange)).await.unwrap();
    let fault = upstream_fault(FaultKind::Overloaded);
    exchange.update(|facts| facts.attempts[0].fault = Some(fault));
    text(response.into_body()).await;
    assert_eq!(counts(&channels, "a"), [1, 0, 1]);
}

#[tokio::test]
async fn a_caller_who_leaves_says_nothing() {
    let channels = ab();
    let layer = ChannelLayer::new(channels.clone());
    let sut = around(&layer, |_| Ok(answer(200)));
    drop(sut.oneshot(known(&Exchange::default())).await.unwrap());
    assert_eq!(counts(&channels, "a"), [1, 0, 0]);

    let silent = service_fn(|_: Seen| std::future::pending::<Answered>());
    let mut call =
        tokio_test::task::spawn(layer.layer(silent).oneshot(known(&Exchange::default())));
    tokio_test::assert_pending!(call.poll());
    assert_eq!(of(&channels, "a").active_requests, 1);
    drop(call);
    assert_eq!(counts(&channels, "a"), [2, 0, 0]);
    assert_eq!(of(&channels, "a").active_requests, 0);
}

#[tokio::test(start_paused = true)]
async fn a_breaker_opens_and_one_request_tries() {
    let channels = ab();
    let seen = Arc::new(Mutex::new(String::new()));
    let status = Arc::new(Mutex::new(500));
    let (log, now) = (seen.clone(), status.clone());
    let sut = around(&ChannelLayer::new(channels.clone()), move |request| {
        let channel = channel_of(request);
        log.lock().unwrap().push_str(&channel);
        Ok(answer(if channel == "a" { *now.lock().unwrap() } else { 200 }))
    });
    let send = || async {
        let response = sut.clone().oneshot(known(&Exchange::default())).await.unwrap();
        text(response.into_body()).await;
    };
    let taken = || std::mem::take(&mut *seen.lock().unwrap());
    for _ in 0..7 {
        send().await;
    }
    assert_eq!(taken(), "aaaaabb");
    assert_eq!(of(&channels, "a").state, BreakerState::Open);
    let opened = of(&channels, "a").circuit_broken_at;

    tokio::time::advance(MINUTE * 15).await;
    assert_eq!(of(&channels, "a").state, BreakerState::HalfOpen);
    send().await;
    send().await;
    assert_eq!(taken(), "ab", "it failed again");
    assert_eq!(of(&channels, "a").circuit_broken_at, opened);

    tokio::time::advance(MINUTE * 15).await;
    *status.lock().unwrap() = 200;
    let sut = &sut;
    let trying = sut.clone().oneshot(known(&Exchange::default())).await.unwrap();
    send().await;
    assert_eq!(taken(), "aa", "its answer has begun well");
    text(trying.into_body()).await;
    assert_eq!(of(&channels, "a").state, BreakerState::Closed);
    assert_eq!((of(&channels, "a").circuit_broken_at, counts(&channels, "a")), (None, [8, 2, 6]));

    channels.reset(&ChannelId::new("a")).unwrap();
    let error = channels.reset(&ChannelId::new("c")).unwrap_err();
    assert_eq!(error.to_string(), "no channel has the id `c`");
    assert_eq!(counts(&channels, "a"), [8, 2, 6], "totals stay");
}

#[tokio::test]
async fn a_channel_that_must_not_trip_does_not() {
    let channels = channels([channel("a").never_trip(true), channel("b")]);
    let sut = around(&ChannelLayer::new(channels.clone()), |_| Ok(answer(500)));
    for _ in 0..20 {
        text(sut.clone().oneshot(known(&Exchange::default())).await.unwrap().into_body()).await;
    }
    assert_eq!(counts(&channels, "a"), [20, 0, 20]);
    assert_eq!(of(&channels, "a").circuit_broken_at, None);
}

#[tokio::test]
async fn attempts_of_one_exchange_go_elsewhere() {
    let channels = channels([channel("a"), channel("b"), channel("c")]);
    let sut = around(&ChannelLayer::new(channels), |request| {
        Ok(answer(if channel_of(request) == "b" { 401 } else { 500 }))
    });
    let exchange = Exchange::default();
    let mut gone = String::new();
    // The second attempt at b is the last: then b has no more keys.
    for (at, more_keys) in [(0, false), (1, true), (2, false), (3, false)] {
        let mut request = known(&exchange);
        let id = exchange.begin_attempt(request.extensions_mut());
        exchange.update_attempt(id, |attempt| attempt.more_keys = more_keys);
        drop(sut.clone().oneshot(request).await.unwrap());
        let attempt = exchange.read(|facts| facts.attempts[at].clone());
        gone.push_str(attempt.channel.unwrap().as_str());
    }
    assert_eq!(gone, "abbc");
    let response = sut.oneshot({
        let mut request = known(&exchange);
        exchange.begin_attempt(request.extensions_mut());
        request
    });
    let response = response.await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(text(response.into_body()).await.contains("all channels were tried"));
    let last = exchange.read(|facts| facts.attempts[4].clone());
    assert_eq!((last.channel, last.more_channels), (None, false));
    assert_eq!(last.fault.unwrap().origin, FaultOrigin::Gateway);
}

#[tokio::test]
async fn a_conversation_stays_where_it_succeeded() {
    let channels = ab();
    let sut = around(&ChannelLayer::new(channels.clone()), |request| {
        Ok(Response::new(Frames::new([if channel_of(request) == "a" { "a" } else { "b" }])))
    });
    let send = |path, body| {
        let sut = sut.clone();
        async move { text(sut.oneshot(post(path, body)).await.unwrap().into_body()).await }
    };
    let messages = r#"{"model":"m","metadata":{"user_id":"u"}}"#;
    let responses = r#"{"model":"m","metadata":{"user_id":"u"},"input":"x"}"#;
    assert_eq!(send("/v1/messages", messages).await, "a");
    channels.replace([channel("b"), channel("a")]).unwrap();
    assert_eq!(send("/v1/messages", messages).await, "a");
    assert_eq!(send("/v1/messages", r#"{"metadata":{"user_id":"v"}}"#).await, "b");
    assert_eq!(send("/v1/responses", responses).await, "b", "another kind");
    assert_eq!(channels.affinities(), 3);
    channels.replace([channel("a"), channel("b")]).unwrap();
    assert_eq!(send("/v1/responses", responses).await, "b");
    assert_eq!(send("/v1/messages", r#"{"model":"m"}"#).await, "a", "no name, no affinity");
}

#[tokio::test]
async fn the_body_is_read_where_somebody_must_know_it() {
    let listed = || channels([channel("a").models(["m"])]);
    let rows = [
        (ab(), "/v1/messages", true),
        (listed(), "/v1/messages", true),
        (listed(), "/v1/messages/count_tokens", true),
        (listed(), "/v1/embeddings", false),
        (channels([channel("a")]), "/v1/messages", false),
    ];
    for (channels, path, read) in rows {
        let sut = around(&ChannelLayer::new(channels), move |request| {
            let facts = request.extensions().get::<Exchange>().unwrap();
            let facts = facts.read(|facts| facts.request.clone());
            let model = facts.and_then(|facts| facts.model);
            assert_eq!(model.as_deref(), read.then_some("m"), "{path}");
            assert_eq!(request.body().size_hint().exact().is_some(), read, "{path}");
            Ok(answer(200))
        });
        let response = sut.oneshot(post(path, r#"{"model":"m"}"#)).await.unwrap();
        assert_eq!(response.status(), 200);
    }
}

#[tokio::test]
async fn what_is_read_passes_unchanged() {
    let seen = Arc::new(Mutex::new(None));
    let log = seen.clone();
    let inner = service_fn(move |request: Seen| {
        *log.lock().unwrap() = Some(request);
        async { Ok::<_, BoxError>(answer(200)) }
    });
    let sut = ChannelLayer::new(ab()).layer(inner);
    let body = "{ \"model\": 1.0, broken";
    sut.oneshot(post("/v1/messages", body)).await.unwrap();
    let request = seen.lock().unwrap().take().unwrap();
    let steps = steps(&mut request.into_body());
    assert!(matches!(&steps[..], [Step::Data(data)] if data.as_ptr() == body.as_ptr()));
}

#[tokio::test]
async fn refusals() {
    let listed = || channels([channel("a").models(["m"])]);
    let off = || channels([channel("a").status(ChannelStatus::Suspended)]);
    let encoded = |mut request: Request<Frames>| {
        request.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
        request
    };
    let limited = |mut request: Request<Frames>| {
        let exchange = Exchange::of(request.extensions_mut());
        exchange.update(|facts| facts.principal = Some(Principal::new("p").models(["x"])));
        request
    };
    let plain = |body| post("/v1/messages", body);
    let rows = [
        (listed(), plain(r#"{"model":"other"}"#), 404, "no channel serves the model"),
        (off(), plain("{}"), 503, "NO_UPSTREAM"),
        (channels([]), plain("{}"), 503, "NO_UPSTREAM"),
        (listed(), encoded(plain("{}")), 415, "content-encoding"),
        (listed(), limited(plain(r#"{"model":"m"}"#)), 403, "may not use this model"),
        (listed(), limited(plain("{")), 400, "not a JSON object"),
        (listed(), plain(r#"{"model":"m","model":"m"}"#), 400, "stands twice"),
        (
            listed(),
            plain(r#"{"model":"m","x":"0123456789012345678901234567890"}"#),
            413,
            "too large",
        ),
    ];
    for (channels, request, status, words) in rows {
        let layer = ChannelLayer::new(channels).max_body_bytes(40);
        let sut = around(&layer, |_| panic!("it is not called"));
        let response = sut.oneshot(request).await.unwrap();
        assert_eq!(response.status(), status, "{words}");
        let fault = *response.extensions().get::<Fault>().unwrap();
        assert_eq!(fault.origin, FaultOrigin::Gateway, "{words}");
        let body = text(response.into_body()).await;
        assert!(body.starts_with(r#"{"type":"error","error":{"type":"#), "{body}");
        assert!(body.contains(words), "{body}");
    }
    // In the words of other callers.
    let sut = around(&ChannelLayer::new(off()), |_| panic!("it is not called"));
    let response = sut.oneshot(post("/v1/chat/completions", "{}")).await.unwrap();
    assert!(text(response.into_body()).await.contains(r#""code":"NO_UPSTREAM""#));
}

#[tokio::test(start_paused = true)]
async fn a_full_channel_is_waited_for() {
    let channels = channels([channel("a").max_concurrent(1)]);
    let layer = ChannelLayer::new(channels.clone()).max_wait(MINUTE).max_waiting(1);
    let sut = around(&layer, |_| Ok(answer(200)));
    let call = || tokio_test::task::spawn(sut.clone().oneshot(known(&Exchange::default())));

    let first = sut.clone().oneshot(known(&Exchange::default())).await.unwrap();
    let mut second = call();
    tokio_test::assert_pending!(second.poll());
    let crowded = sut.clone().oneshot(known(&Exchange::default())).await.unwrap();
    assert_eq!(
        (crowded.status(), &crowded.headers()[RETRY_AFTER]),
        (StatusCode::SERVICE_UNAVAILABLE, &"5".parse().unwrap())
    );
    text(first.into_body()).await;
    assert!(second.is_woken());
    let second = tokio_test::assert_ready!(second.poll()).unwrap();
    assert_eq!(second.status(), 200);

    let mut third = call();
    tokio_test::assert_pending!(third.poll());
    tokio::time::advance(MINUTE * 2).await;
    let third = tokio_test::assert_ready!(third.poll()).unwrap();
    assert_eq!(third.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(text(third.into_body()).await.contains("all channels are busy"));
    assert_eq!(channels.waiting(), 0);

    // Who leaves the queue leaves no gap in it.
    let mut left = call();
    tokio_test::assert_pending!(left.poll());
    drop(left);
    let mut next = call();
    tokio_test::assert_pending!(next.poll());
    drop(second);
    assert!(next.is_woken());
    drop(next);
    assert_eq!((channels.waiting(), of(&channels, "a").active_requests), (0, 0));
}

#[tokio::test]
async fn the_ready_service_is_the_one_that_is_called() {
    let (mut sut, mut handle) =
        mock::spawn_layer::<Seen, Response<Frames>, _>(ChannelLayer::new(ab()));
    handle.allow(0);
    tokio_test::assert_pending!(sut.poll_ready());
    handle.allow(1);
    tokio_test::assert_ready_ok!(sut.poll_ready());
    let read = tokio_test::task::spawn(sut.call(post("/v1/messages", r#"{"model":"m"}"#)));
    let (answered, ()) = tokio::join!(read, async {
        let (request, send) = handle.next_request().await.unwrap();
        assert_eq!(channel_of(&request), "a");
        send.send_response(answer(200));
    });
    assert_eq!(answered.unwrap().status(), 200);
}

#[test]
fn two_of_a_name_are_refused() {
    let error = Channels::new([channel("a"), channel("a")]).unwrap_err();
    assert_eq!(error.to_string(), "two channels have the id `a`");
    let channels = ab();
    assert!(channels.replace([channel("c"), channel("c")]).is_err());
    let ids: Vec<_> = channels.list().iter().map(|one| one.id().as_str().to_owned()).collect();
    assert_eq!(ids.concat(), "ab", "nothing has changed");
}

#[test]
fn one_promotion_among_those_that_serve_the_same_callers() {
    let channels = channels([
        channel("chat").callers([Protocol::OpenAiChat]),
        channel("a").callers([Protocol::Anthropic]),
        channel("b").callers([Protocol::Anthropic]),
    ]);
    let promoted = || {
        let list = channels.list();
        let promoted = list.iter().filter(|one| one.promotion().is_some());
        promoted.map(|one| one.id().as_str().to_owned()).collect::<Vec<_>>().join(" ")
    };
    let promote = |id, time| channels.promote(&ChannelId::new(id), time);
    assert!(promote("chat", MINUTE).and(promote("a", MINUTE)).is_ok());
    assert_eq!(promoted(), "chat a");
    assert!(promote("b", MINUTE).is_ok());
    assert_eq!(promoted(), "chat b");
    assert!(promote("b", Duration::ZERO).is_ok() && promote("c", MINUTE).is_err());
    assert_eq!(promoted(), "chat");
    assert!(promote("a", Duration::MAX).is_ok());
    let json = serde_json::to_string(&channels.snapshot(KIND)).unwrap();
    assert!(json.contains(r#""promotionUntil":"9999-12-31T23:59:59Z""#), "{json}");
    channels.set_status(&ChannelId::new("a"), ChannelStatus::Suspended).unwrap();
    assert_eq!(promoted(), "chat");
    assert_eq!(channels.list()[1].current_status(), ChannelStatus::Suspended);
}

#[test]
fn a_snapshot_tells_the_latency() {
    use crate::layer::channel::snapshot::snapshot;
    let mut scene = Scene::new([channel("a"), channel("b")]);
    scene.fail("a", 5);
    let choice = scene.take(&ask_after(&[], None));
    assert_eq!(choice.channel.as_str(), "b");
    scene.now += Duration::from_millis(1500);
    scene.state.answered(&choice, true, scene.now);
    scene.end(&choice, Outcome::Success);
    let b = scene.state.entry(&ChannelId::new("b")).unwrap();
    let one = snapshot(b, KIND, scene.now);
    assert_eq!((one.latency, one.success_rate, one.error_rate), (1500, 100.0, 0.0));
    assert_eq!(one.last_success_at, Some(scene.wall()));
}
