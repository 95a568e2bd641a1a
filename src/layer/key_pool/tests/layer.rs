//! The layer around a service: who is charged, and that every lease comes back.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Empty;
use tokio_test::{assert_pending, assert_ready_ok, task};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_test::mock;

use super::*;
use crate::body::Collect;
use crate::context::{ChannelId, Exchange, ExchangeFacts, KeyHeaders, Upstream, UpstreamKey};
use crate::layer::key_pool::{KeyPoolLayer, KeyPools, KeyStatus, ResponseBody};
use crate::protocol::Protocol;
use crate::test_helpers::{Frames, Step, step, steps};

type Answer = Response<ResponseBody<Frames>>;

fn request() -> Request<()> {
    Request::post("/v1/messages").body(()).unwrap()
}

fn leased(request: &Request<()>) -> Option<KeyHeaders> {
    match request.extensions().get() {
        Some(UpstreamKey::Ours(key)) => Some(key.clone()),
        _ => None,
    }
}

/// What the layer makes of this answer to a request.
async fn answered(pool: &KeyPool, response: Response<Frames>) -> Answer {
    answered_to(pool, request(), |_| {}, response).await
}

/// As `answered`, where the inner side does something with the request.
async fn answered_to(
    pool: &KeyPool,
    request: Request<()>,
    inner: impl FnOnce(&mut Request<()>),
    response: Response<Frames>,
) -> Answer {
    let mut once = Some((inner, response));
    let service = service_fn(move |mut request: Request<()>| {
        let (inner, response) = once.take().unwrap();
        inner(&mut request);
        async { Ok::<_, Infallible>(response) }
    });
    // A service that is no clone of anything is still called only once.
    let service = Uncloned(Arc::new(Mutex::new(service)));
    KeyPoolLayer::new(pool.clone()).layer(service).oneshot(request).await.unwrap()
}

struct Uncloned<S>(Arc<Mutex<S>>);

impl<S> Clone for Uncloned<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: Service<Request<()>>> Service<Request<()>> for Uncloned<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(
        &mut self,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), S::Error>> {
        self.0.lock().unwrap().poll_ready(cx)
    }

    fn call(&mut self, request: Request<()>) -> S::Future {
        self.0.lock().unwrap().call(request)
    }
}

fn ok(frames: Frames) -> Response<Frames> {
    Response::new(frames)
}

fn status(status: u16) -> Response<Frames> {
    Response::builder().status(status).body(Frames::new(["no"])).unwrap()
}

/// In flight, successes, failures, neutral.
fn book(pool: &KeyPool) -> (usize, u64, u64, u64) {
    let key = key(pool, 0);
    (key.in_flight, key.totals.successes, key.totals.failures, key.totals.neutral)
}

#[tokio::test(start_paused = true)]
async fn the_lease_lasts_as_long_as_the_body() {
    let x = || Step::from("x");
    // The body, how often it is polled, the books by then, the books after it is dropped.
    let rows = [
        (Frames::new([x()]), 2, (0, 1, 0, 0), (0, 1, 0, 0)),
        (Frames::new([x()]), 1, (1, 0, 0, 0), (0, 0, 0, 1)),
        (Frames::new([x(), Step::Pending]), 2, (1, 0, 0, 0), (0, 0, 0, 1)),
        (Frames::new([x(), Step::error("cut")]), 2, (0, 0, 1, 0), (0, 0, 1, 0)),
        (Frames::new([x()]).declaring_end(), 1, (0, 1, 0, 0), (0, 1, 0, 0)),
        (Frames::new([x(), x()]).declaring_end(), 1, (1, 0, 0, 0), (0, 0, 0, 1)),
        (Frames::new([Step::Pending; 0]).declaring_end(), 0, (0, 1, 0, 0), (0, 1, 0, 0)),
        (Frames::new([Step::trailer("a", "b")]), 1, (0, 1, 0, 0), (0, 1, 0, 0)),
    ];
    for (row, (frames, polls, before, after)) in rows.into_iter().enumerate() {
        let pool = pool(Settings::default(), 1);
        let mut body = answered(&pool, ok(frames)).await.into_body();
        for _ in 0..polls {
            step(&mut body);
        }
        assert_eq!(book(&pool), before, "row {row}");
        drop(body);
        assert_eq!(book(&pool), after, "row {row}");
        assert_eq!(key(&pool, 0).status, KeyStatus::Active);
    }
}

#[tokio::test(start_paused = true)]
async fn failures_are_charged_at_the_head() {
    let told = |kind| {
        let mut response = status(200);
        response.extensions_mut().insert(fault(kind));
        response
    };
    let ours = || {
        let mut response = status(503);
        response.extensions_mut().insert(Fault::gateway(FaultKind::Overloaded));
        response
    };
    let rows = [
        (status(401), (0, 0, 1, 0), KeyStatus::CoolingDown),
        (status(403), (0, 0, 1, 0), KeyStatus::CoolingDown),
        (status(402), (0, 0, 1, 0), KeyStatus::CoolingDown),
        (status(429), (0, 0, 1, 0), KeyStatus::CoolingDown),
        (status(500), (0, 0, 1, 0), KeyStatus::Active),
        (status(529), (0, 0, 1, 0), KeyStatus::Active),
        (status(408), (0, 0, 1, 0), KeyStatus::Active),
        (status(400), (0, 0, 0, 1), KeyStatus::Active),
        (status(404), (0, 0, 0, 1), KeyStatus::Active),
        (status(413), (0, 0, 0, 1), KeyStatus::Active),
        (status(304), (0, 0, 0, 1), KeyStatus::Active),
        (told(FaultKind::RateLimit), (0, 0, 1, 0), KeyStatus::CoolingDown),
        (told(FaultKind::ContextTooLong), (0, 0, 0, 1), KeyStatus::Active),
        (ours(), (0, 0, 0, 1), KeyStatus::Active),
    ];
    for (row, (response, expected, status)) in rows.into_iter().enumerate() {
        let pool = pool(Settings::default(), 1);
        let mut answer = answered(&pool, response).await;
        assert_eq!(book(&pool), expected, "row {row}");
        assert_eq!(key(&pool, 0).status, status, "row {row}");
        assert_eq!(steps(answer.body_mut()), ["no".into()], "the answer passes");
    }
}

#[tokio::test(start_paused = true)]
async fn retry_after_of_the_answer_is_the_floor() {
    let pool = pool(Settings::default(), 1);
    let mut response = status(429);
    response.headers_mut().insert("retry-after", 4000.into());
    drop(answered(&pool, response).await);
    assert_eq!(key(&pool, 0).cooling_for.as_secs(), 4000);
}

#[tokio::test(start_paused = true)]
async fn a_fault_within_the_body_is_charged() {
    for (kind, status) in
        [(FaultKind::RateLimit, KeyStatus::CoolingDown), (FaultKind::Overloaded, KeyStatus::Active)]
    {
        // Also when the caller leaves right after it.
        for polls in [1, 3] {
            let pool = pool(Settings::default(), 1);
            let exchange = Exchange::default();
            let mut request = request();
            request.extensions_mut().insert(exchange.clone());
            let id = exchange.attempt_of(request.extensions_mut());
            let response = ok(Frames::new(["event", "error"]));
            let mut body = answered_to(&pool, request, |_| {}, response).await.into_body();
            exchange.update_attempt(id, |attempt| attempt.fault = Some(fault(kind)));
            (0..polls).for_each(|_| drop(step(&mut body)));
            drop(body);
            assert_eq!((book(&pool), key(&pool, 0).status), ((0, 0, 1, 0), status), "{kind:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_service_counts_and_the_next_request_works() {
    let pool = pool(Settings::default(), 2);
    let failed = Arc::new(Mutex::new(None));
    let service = service_fn(move |request: Request<()>| {
        let key = leased(&request).unwrap().plain().to_str().unwrap().to_owned();
        let mut failed = failed.lock().unwrap();
        let fails = *failed.get_or_insert_with(|| key.clone()) == key;
        async move { if fails { Err("reset") } else { Ok(ok(Frames::new(["x"]))) } }
    });
    let service = KeyPoolLayer::new(pool.clone()).layer(service);
    assert_eq!(service.clone().oneshot(request()).await.unwrap_err(), "reset");
    assert_eq!(book(&pool), (0, 0, 1, 0));
    let mut answer = service.clone().oneshot(request()).await.unwrap();
    assert_eq!(steps(answer.body_mut()), ["x".into()]);
    assert_eq!(key(&pool, 1).totals.successes, 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_given_up_frees_its_key() {
    let pool = pool(exclusive(), 1);
    let (mut service, mut inner) =
        mock::spawn_layer::<Request<()>, Response<Frames>, _>(KeyPoolLayer::new(pool.clone()));
    inner.allow(9);
    assert_ready_ok!(service.poll_ready());
    let mut call = task::spawn(service.call(request()));
    assert_pending!(call.poll());
    assert_eq!(book(&pool), (1, 0, 0, 0));
    assert_ready_ok!(service.poll_ready());
    let mut waits = task::spawn(service.call(request()));
    assert_pending!(waits.poll());
    drop(call);
    assert_eq!(book(&pool).3, 1, "nobody is charged");
    assert!(waits.is_woken());
    assert_pending!(waits.poll());
    drop(waits);
    assert_eq!((book(&pool), pool.waiting()), ((0, 0, 0, 2), 0));
    assert!(inner.next_request().await.is_some());
}

#[tokio::test(start_paused = true)]
async fn readiness_is_the_inner_services() {
    let pool = pool(exclusive(), 1);
    let held = pool.try_lease().unwrap();
    let (mut service, mut inner) =
        mock::spawn_layer::<Request<()>, Response<Frames>, _>(KeyPoolLayer::new(pool.clone()));
    inner.allow(0);
    assert_pending!(service.poll_ready());
    inner.allow(1);
    // No key is no reason not to be ready: the wait is in the future.
    assert_ready_ok!(service.poll_ready());
    let mut call = task::spawn(service.call(request()));
    assert_pending!(call.poll());
    drop(held);
    // The ready service went with the request.
    assert_pending!(call.poll());
    let (request, respond) = inner.next_request().await.unwrap();
    assert_eq!(leased(&request).unwrap().plain(), "k0");
    respond.send_response(ok(Frames::new(["x"])));
    assert_ready_ok!(call.poll());
    inner.allow(0);
    assert_pending!(service.poll_ready());
}

#[tokio::test(start_paused = true)]
async fn no_key_is_a_503_in_the_callers_protocol() {
    for (path, told, word) in [
        ("/v1/messages", None, r#""type":"error""#),
        ("/v1/chat/completions", None, r#"{"error":{"message""#),
        ("/v1/messages", Some(Protocol::Gemini), r#""status":"UNAVAILABLE""#),
    ] {
        let pool = pool(Settings::default(), 1);
        pool.try_lease().unwrap().fail(&fault(FaultKind::RateLimit));
        let exchange = Exchange::default();
        exchange.update(|facts| facts.client_protocol = told);
        let mut request = Request::post(path).body(()).unwrap();
        request.extensions_mut().insert(exchange.clone());
        let inner = |_: &mut Request<()>| panic!("it is not called");
        let answer = answered_to(&pool, request, inner, status(200)).await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.headers()["retry-after"], "300");
        let fault = *answer.extensions().get::<Fault>().unwrap();
        assert_eq!((fault.kind, fault.origin), (FaultKind::Overloaded, FaultOrigin::Gateway));
        assert!(fault.moves_on);
        exchange.read(|facts| {
            let attempt = &facts.attempts[0];
            assert_eq!((attempt.fault, attempt.more_keys), (Some(fault), false));
            assert_eq!((attempt.status, &attempt.key), (Some(answer.status()), &None));
        });
        let body = Collect::new(answer.into_body(), 1024).await.unwrap().bytes;
        let body = String::from_utf8(body.to_vec()).unwrap();
        assert!(body.contains(word) && body.contains("cooling down"), "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_long_enough_is_refused() {
    let pool = pool(exclusive(), 1);
    let _held = pool.try_lease().unwrap();
    let began = tokio::time::Instant::now();
    let answer = answered(&pool, status(200)).await;
    assert_eq!((answer.status().as_u16(), began.elapsed()), (503, 5 * SECOND));
    assert_eq!(answer.headers()["retry-after"], "1");
}

/// One more attempt of an exchange.
fn attempt(exchange: &Exchange, channel: Option<&ChannelId>) -> Request<()> {
    let mut request = request();
    request.extensions_mut().insert(exchange.clone());
    exchange.begin_attempt(request.extensions_mut());
    channel.map(|channel| request.extensions_mut().insert(channel.clone()));
    request
}

fn last<T>(exchange: &Exchange, read: impl FnOnce(&crate::context::Attempt) -> T) -> T {
    exchange.read(|facts: &ExchangeFacts| read(facts.attempts.last().unwrap()))
}

#[tokio::test(start_paused = true)]
async fn an_exchange_gets_another_key_each_time() {
    let pool = KeyPool::new(["sk-1234567890abcdef", "sk-abcdef1234567890"]).unwrap();
    let exchange = Exchange::default();
    drop(answered_to(&pool, attempt(&exchange, None), |_| {}, status(429)).await);
    last(&exchange, |attempt| {
        assert_eq!(attempt.key.as_deref(), Some("sk-12345***bcdef"));
        assert_eq!(attempt.status, Some(StatusCode::TOO_MANY_REQUESTS));
        assert_eq!(attempt.fault.unwrap().kind, FaultKind::RateLimit);
        assert!(attempt.more_keys);
    });
    let mut answer =
        answered_to(&pool, attempt(&exchange, None), |_| {}, ok(Frames::new(["x"]))).await;
    last(&exchange, |attempt| {
        assert_eq!(attempt.key.as_deref(), Some("sk-abcde***67890"));
        assert!(!attempt.more_keys && attempt.fault.is_none());
    });
    let before = pool.snapshot()[0].id.clone();
    steps(answer.body_mut());
    assert_eq!(pool.snapshot()[1].id, before, "the one out of quota stands last");
    // The others have failed or were tried: the one without fault is better than none.
    drop(answered_to(&pool, attempt(&exchange, None), |_| {}, status(401)).await);
    assert_eq!(last(&exchange, |attempt| attempt.key.clone()).as_deref(), Some("sk-abcde***67890"));
    let none = |_: &mut Request<()>| panic!("there is no key left");
    let refused = answered_to(&pool, attempt(&exchange, None), none, status(200)).await;
    assert_eq!(refused.status(), 503);
}

#[tokio::test(start_paused = true)]
async fn the_innocent_are_not_moved() {
    let pool = pool(Settings::default(), 2);
    let exchange = Exchange::default();
    let order = |pool: &KeyPool| pool.snapshot().into_iter().map(|key| key.id).collect::<Vec<_>>();
    let before = order(&pool);
    drop(answered_to(&pool, attempt(&exchange, None), |_| {}, status(401)).await);
    let mut answer =
        answered_to(&pool, attempt(&exchange, None), |_| {}, ok(Frames::new(["x"]))).await;
    steps(answer.body_mut());
    assert_eq!(order(&pool), before);
}

#[tokio::test(start_paused = true)]
async fn pools_by_channel() {
    let pools = KeyPools::new();
    let (one, two) = (ChannelId::new("one"), ChannelId::new("two"));
    pools.set(one.clone(), KeyPool::new(["same", "k1"]).unwrap());
    pools.set(two.clone(), KeyPool::new(["same", "k2"]).unwrap());
    let service = service_fn(|request: Request<()>| async move {
        let key = leased(&request).map(|key| key.plain().clone());
        let mut response = Response::builder().status(500);
        response.extensions_mut().unwrap().insert(key);
        Ok::<_, Infallible>(response.body(Empty::<Bytes>::new()).unwrap())
    });
    let service = KeyPoolLayer::by_channel(pools).layer(service);
    let exchange = Exchange::default();
    let mut keys = Vec::new();
    let three = ChannelId::new("three");
    for channel in [Some(&one), Some(&two), Some(&one), Some(&three), None] {
        let answer = service.clone().oneshot(attempt(&exchange, channel)).await.unwrap();
        let key = answer.extensions().get::<Option<http::HeaderValue>>().unwrap().clone();
        keys.push(key.map(|key| key.to_str().unwrap().to_owned()));
    }
    let some = |key: &str| Some(key.to_owned());
    // What one channel tried says nothing of another's keys; none has a pool, it passes.
    assert_eq!(keys, [some("same"), some("same"), some("k1"), None, None]);
}

#[tokio::test(start_paused = true)]
async fn translate_puts_the_leased_key_into_its_header() {
    use crate::ProviderTranslateLayer;
    let upstream = || Upstream::new("http://h", Protocol::Anthropic).unwrap();
    for upstream in [upstream(), upstream().key("other").unwrap(), upstream().no_key()] {
        let inner =
            service_fn(|request: Request<crate::body::RewriteBody<Empty<Bytes>>>| async move {
                assert_eq!(request.headers()["x-api-key"], "k0");
                assert!(request.headers().get("authorization").is_none());
                assert!(request.extensions().get::<UpstreamKey>().is_none(), "it went no farther");
                Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
            });
        let stack = KeyPoolLayer::new(pool(Settings::default(), 1))
            .layer(ProviderTranslateLayer::to(upstream).layer(inner));
        let request = Request::post("/v1/messages")
            .header("authorization", "Bearer caller")
            .body(Empty::new())
            .unwrap();
        assert_eq!(stack.oneshot(request).await.unwrap().status(), 200);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_lives_keeps_its_key() {
    let pool = pool(exclusive().stuck_after(300 * SECOND), 1);
    let frames = (0..9).map(|_| Step::from("x"));
    let mut body = answered(&pool, ok(Frames::new(frames))).await.into_body();
    for _ in 0..9 {
        pass(299).await;
        assert_eq!(step(&mut body), Some("x".into()));
    }
    pass(299).await;
    assert_eq!(book(&pool).0, 1);
    assert_eq!(step(&mut body), None);
    assert_eq!(book(&pool), (0, 1, 0, 0));
}
