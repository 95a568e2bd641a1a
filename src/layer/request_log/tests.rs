#![expect(clippy::disallowed_methods, reason = "a test is the host, which spawns the worker")]

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::Full;
use tokio::time::{Instant, sleep};
use tower::{Layer, ServiceExt, service_fn};

use super::*;
use crate::context::{ChannelId, Exchange, Principal};
use crate::pricing::PriceTable;
use crate::protocol::Protocol;
use crate::protocol::model::{Fault, FaultKind, FaultOrigin};
use crate::record::{Begun, Clock, Record, RecordLayer, Sink};
use crate::store::{
    AttemptRow, LogBatch, LogQuery, MemoryRequestLog, Page, PrincipalCalls, RequestLogStore,
    RequestRow, StoreError, StoreFuture,
};
use crate::test_helpers::{Frames, step, steps};

const ANSWER: &str = r#"{"model":"m-1","usage":{"input_tokens":7,"output_tokens":3}}"#;

/// A store in memory that can be told to hang or to fail.
#[derive(Clone, Default)]
struct Fickle {
    rows: MemoryRequestLog,
    hangs: Arc<AtomicBool>,
    /// How many writes fail before one goes well.
    failures: Arc<AtomicUsize>,
    /// When writes came, and how many requests they had.
    writes: Arc<Mutex<Vec<(Instant, usize)>>>,
    purges: Arc<Mutex<Vec<(u64, usize)>>>,
}

impl RequestLogStore for Fickle {
    fn append(&self, batch: Arc<LogBatch>) -> StoreFuture<()> {
        self.writes.lock().unwrap().push((Instant::now(), batch.requests.len()));
        if self.hangs.load(Ordering::Relaxed) {
            return Box::pin(std::future::pending());
        }
        let fail = |left: usize| left.checked_sub(1);
        if self.failures.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fail).is_ok() {
            return Box::pin(std::future::ready(Err(StoreError)));
        }
        self.rows.append(batch)
    }

    fn requests(&self, query: &LogQuery) -> StoreFuture<Page<RequestRow>> {
        self.rows.requests(query)
    }

    fn attempts(&self, query: &LogQuery) -> StoreFuture<Page<AttemptRow>> {
        self.rows.attempts(query)
    }

    fn calls(&self, from: Option<u64>) -> StoreFuture<Vec<PrincipalCalls>> {
        self.rows.calls(from)
    }

    fn purge(&self, before: u64, most: usize) -> StoreFuture<u64> {
        self.purges.lock().unwrap().push((before, most));
        self.rows.purge(before, most)
    }
}

impl Fickle {
    fn sizes(&self) -> Vec<usize> {
        self.writes.lock().unwrap().iter().map(|(_, size)| *size).collect()
    }

    async fn requests(&self) -> Vec<RequestRow> {
        self.rows.requests(&LogQuery::default()).await.unwrap().rows
    }
}

fn json(body: &'static str) -> Response<Frames> {
    let response = Response::builder().header("content-type", "application/json");
    response.body(Frames::new([body])).unwrap()
}

fn ask(path: &str) -> Request<Full<Bytes>> {
    Request::post(path).body(Full::new(Bytes::from("{\"model\":\"m\"}"))).unwrap()
}

/// Lets the worker do what it can at this moment.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

/// One request from its beginning to its end.
async fn pass(layer: &RequestLogLayer) {
    let inner = service_fn(|_| async { Ok::<_, Infallible>(json(ANSWER)) });
    let mut response = layer.layer(inner).oneshot(ask("/v1/messages?key=sk-1")).await.unwrap();
    steps(response.body_mut());
}

#[tokio::test(start_paused = true)]
async fn requests_are_collected_and_written() {
    let store = Fickle::default();
    let (layer, worker) = RequestLogLayer::new(store.clone());
    let log = layer.log();
    let worker = tokio::spawn(worker.run());
    for _ in 0..3 {
        pass(&layer).await;
        sleep(BATCH_INTERVAL / 4).await;
    }
    assert_eq!((log.queued(), log.written()), (3, 0));
    sleep(BATCH_INTERVAL).await;
    assert_eq!((log.queued(), log.written(), store.sizes()), (0, 3, vec![3]));
    for _ in 0..MAX_BATCH + 1 {
        pass(&layer).await;
    }
    drop((layer, log));
    worker.await.unwrap();
    assert_eq!(store.sizes(), [3, MAX_BATCH, 1]);
}

/// The worker sleeps while requests are collected, but not until there is no room for more.
#[tokio::test(start_paused = true)]
async fn a_queue_that_fills_is_not_waited_for() {
    let store = Fickle::default();
    let (layer, worker) = RequestLogLayer::with_capacity(store.clone(), 4);
    let log = layer.log();
    let worker = tokio::spawn(worker.run());
    let before = Instant::now();
    for _ in 0..20 {
        pass(&layer).await;
        settle().await;
    }
    assert_eq!((before.elapsed(), log.dropped()), (Duration::ZERO, 0));
    drop((layer, log));
    worker.await.unwrap();
    assert_eq!(store.sizes().iter().sum::<usize>(), 20);
    assert!(store.sizes().len() >= 9, "{:?}", store.sizes());
}

/// Nor where a slow write has left more than half a queue behind.
#[tokio::test(start_paused = true)]
async fn what_is_left_of_a_slow_write_is_crowded_too() {
    let store = Fickle::default();
    store.failures.store(1, Ordering::Relaxed);
    let (layer, worker) = RequestLogLayer::with_capacity(store.clone(), 4);
    let log = layer.log();
    let worker = tokio::spawn(worker.run());
    for _ in 0..2 {
        pass(&layer).await;
        settle().await;
    }
    for _ in 0..4 {
        pass(&layer).await;
    }
    // The write is tried again, and the four are taken.
    sleep(Duration::from_secs(1)).await;
    settle().await;
    let before = Instant::now();
    assert!(log.written() >= 2);
    for _ in 0..8 {
        pass(&layer).await;
        settle().await;
    }
    assert_eq!((before.elapsed(), log.dropped()), (Duration::ZERO, 0));
    drop((layer, log));
    worker.await.unwrap();
    assert_eq!(store.requests().await.len(), 14);
}

#[tokio::test(start_paused = true)]
async fn a_row_tells_all_that_is_known() {
    let store = Fickle::default();
    let (layer, worker) = RequestLogLayer::new(store.clone());
    let prices = PriceTable::default().with_json(r#"{"m-1":{"input":1,"output":2}}"#).unwrap();
    let worker = tokio::spawn(worker.prices(prices).run());
    pass(&layer).await;
    drop(layer);
    worker.await.unwrap();
    let row = &store.requests().await[0];
    assert_eq!((&*row.method, &*row.path, &*row.end), ("POST", "/v1/messages", "whole"));
    assert_eq!(row.client_protocol.as_deref(), Some("anthropic"));
    assert_eq!(row.operation.as_deref(), Some("generate"));
    assert_eq!((row.status, row.success, row.fault.as_deref()), (Some(200), true, None));
    assert_eq!((row.bytes_out, row.input_tokens), (ANSWER.len() as u64, Some(7)));
    assert_eq!((row.output_tokens, row.cache_read_tokens), (Some(3), Some(0)));
    assert_eq!(row.cost_nanos, Some(13_000));
    assert_eq!((&row.request_body, &row.response_body), (&None, &None));
    assert!(row.headers_ms.is_some() && row.error.is_none());
}

/// Two attempts fail, at two channels and with two keys, and the third one goes well.
#[tokio::test(start_paused = true)]
async fn one_that_was_outrun_is_no_success() {
    let store = Fickle::default();
    let (log, worker) = RequestLog::new(store.clone());
    let layer = RecordLayer::new(log);
    let worker = tokio::spawn(worker.retention(None).run());
    let inner = service_fn(|mut request: Request<_>| async move {
        let exchange = Exchange::of(request.extensions_mut());
        for outrun in [true, false] {
            let id = exchange.begin_attempt(request.extensions_mut());
            exchange.update_attempt(id, |attempt| {
                (attempt.status, attempt.outrun) = (Some(StatusCode::OK), outrun);
            });
        }
        Ok::<_, Infallible>(json(ANSWER))
    });
    let mut response = layer.layer(inner).oneshot(ask("/v1/messages")).await.unwrap();
    steps(response.body_mut());
    drop((response, layer));
    worker.await.unwrap();
    let attempts = store.attempts(&LogQuery::default()).await.unwrap().rows;
    let mut told: Vec<_> = attempts.iter().map(|r| (r.number, r.outrun, r.success)).collect();
    told.sort_unstable();
    assert_eq!(told, [(1, true, false), (2, false, true)]);
}

#[tokio::test(start_paused = true)]
async fn each_attempt_has_its_row() {
    let store = Fickle::default();
    let now = || Duration::from_secs(1_000);
    let started = Instant::now();
    let (log, worker) = RequestLog::new(store.clone());
    let clock = Clock::new(move || now() + started.elapsed());
    let layer = RecordLayer::with_clock(log, clock.clone());
    let worker = tokio::spawn(worker.clock(clock).retention(None).run());
    let inner = service_fn(|mut request: Request<_>| async move {
        let exchange = Exchange::of(request.extensions_mut());
        exchange.update(|facts| facts.principal = Some(Principal::new("team")));
        let tries =
            [("a", Some(FaultKind::RateLimit)), ("a", Some(FaultKind::Upstream)), ("b", None)];
        for ((channel, fault), number) in tries.into_iter().zip(1_u64..) {
            let id = exchange.begin_attempt(request.extensions_mut());
            sleep(Duration::from_millis(100 * number)).await;
            exchange.update_attempt(id, |attempt| {
                attempt.channel = Some(ChannelId::new(channel));
                attempt.key = Some("sk-***".into());
                attempt.key_id = Some(format!("key_sha256_{number}").into());
                attempt.upstream_protocol = Some(Protocol::OpenAiChat);
                attempt.upstream_model = Some("up".into());
                let status = fault.map_or(StatusCode::OK, FaultKind::status);
                attempt.status = Some(status);
                attempt.fault = fault.map(|kind| Fault::new(kind, status, FaultOrigin::Upstream));
            });
        }
        Ok::<_, Infallible>(json(ANSWER))
    });
    let mut response = layer.layer(inner).oneshot(ask("/v1/messages")).await.unwrap();
    sleep(Duration::from_millis(50)).await;
    steps(response.body_mut());
    drop((response, layer));
    worker.await.unwrap();

    let requests = store.requests().await;
    let [request] = requests.as_slice() else { panic!("one request: {requests:?}") };
    assert_eq!((request.attempts, request.success, request.total_ms), (3, true, 650));
    assert_eq!((request.time, request.principal.as_deref()), (1_000_000, Some("team")));
    let query = LogQuery { request_id: Some(request.request_id.clone()), ..LogQuery::default() };
    let mut attempts = store.attempts(&query).await.unwrap().rows;
    attempts.reverse();
    let told = |row: &AttemptRow| {
        (row.number, row.time, row.duration_ms, row.status, row.fault.clone(), row.success)
    };
    let told: Vec<_> = attempts.iter().map(told).collect();
    let fault = |kind: FaultKind| Some(kind.as_str().into());
    assert_eq!(
        told,
        [
            (1, 1_000_000, Some(100), Some(429), fault(FaultKind::RateLimit), false),
            (2, 1_000_100, Some(200), Some(502), fault(FaultKind::Upstream), false),
            (3, 1_000_300, Some(300), Some(200), None, true),
        ]
    );
    let last = &attempts[2];
    assert_eq!((last.channel.as_deref(), last.key.as_deref()), (Some("b"), Some("sk-***")));
    assert_eq!((last.principal.as_deref(), last.model.as_deref()), (Some("team"), Some("up")));
    assert_eq!(last.upstream_protocol.as_deref(), Some("openai-chat"));
    assert_eq!(last.key_id.as_deref(), Some("key_sha256_3"));
}

#[tokio::test(start_paused = true)]
async fn whoever_leaves_is_written_too() {
    let store = Fickle::default();
    let (layer, worker) = RequestLogLayer::new(store.clone());
    let worker = tokio::spawn(worker.run());
    let waits = service_fn(|_| async {
        std::future::pending::<()>().await;
        Ok::<_, Infallible>(json(ANSWER))
    });
    let _ = tokio::time::timeout(
        Duration::from_secs(1),
        layer.layer(waits).oneshot(ask("/v1/messages")),
    )
    .await;
    let streams = service_fn(|_| async {
        let response = Response::builder().header("content-type", "text/event-stream");
        Ok::<_, Infallible>(response.body(Frames::new(["data: 1\n\n", "data: 2\n\n"])).unwrap())
    });
    let mut response = layer.layer(streams).oneshot(ask("/v1/messages")).await.unwrap();
    step(response.body_mut());
    drop((response, layer));
    worker.await.unwrap();
    let rows = store.requests().await;
    let told = |row: &RequestRow| {
        (row.end.clone(), row.status, row.success, row.fault.clone(), row.bytes_out)
    };
    let cancel = || Some(FaultKind::ClientCancel.as_str().into());
    let told: Vec<_> = rows.iter().map(told).collect();
    assert!(told.contains(&("left".into(), None, false, cancel(), 0)), "{told:?}");
    assert!(told.contains(&("left".into(), Some(200), true, cancel(), 9)), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_holds_up_nobody() {
    let store = Fickle::default();
    store.hangs.store(true, Ordering::Relaxed);
    let (layer, worker) = RequestLogLayer::with_capacity(store.clone(), 10);
    let log = layer.log();
    let worker = tokio::spawn(worker.run());
    pass(&layer).await;
    sleep(BATCH_INTERVAL * 2).await;
    assert_eq!(store.sizes(), [1]);
    let before = Instant::now();
    for _ in 0..25 {
        pass(&layer).await;
    }
    assert_eq!(before.elapsed(), Duration::ZERO);
    assert_eq!((log.written(), log.queued(), log.dropped()), (0, 11, 15));
    // It comes back to life before the row is given up.
    store.hangs.store(false, Ordering::Relaxed);
    sleep(WRITE_TIMEOUT * 2).await;
    assert_eq!((log.written(), log.queued(), log.dropped(), log.failed()), (11, 0, 15, 0));
    worker.abort();
    // Without a worker, all is dropped once the place is taken.
    let _ = worker.await;
    pass(&layer).await;
    assert_eq!((log.queued(), log.dropped()), (0, 16));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_is_tried_again_and_given_up() {
    let store = Fickle::default();
    store.failures.store(2, Ordering::Relaxed);
    let (layer, worker) = RequestLogLayer::new(store.clone());
    let log = layer.log();
    tokio::spawn(worker.run());
    pass(&layer).await;
    sleep(Duration::from_secs(10)).await;
    assert_eq!((log.written(), log.failed(), store.sizes()), (1, 0, vec![1, 1, 1]));
    let at = |n: usize| store.writes.lock().unwrap()[n].0;
    assert_eq!(at(1) - at(0), Duration::from_secs(1));
    assert_eq!(at(2) - at(1), Duration::from_secs(2));

    store.failures.store(MAX_TRIES as usize, Ordering::Relaxed);
    pass(&layer).await;
    sleep(Duration::from_secs(60)).await;
    assert_eq!((log.written(), log.failed(), log.queued()), (1, 1, 0));
    // The next one finds it well again.
    pass(&layer).await;
    sleep(BATCH_INTERVAL * 2).await;
    assert_eq!((log.written(), log.failed(), store.requests().await.len()), (2, 1, 2));
}

#[tokio::test(start_paused = true)]
async fn what_is_queued_at_shutdown_is_written() {
    let store = Fickle::default();
    let (layer, worker) = RequestLogLayer::new(store.clone());
    let log = layer.log();
    for _ in 0..2 * MAX_BATCH + 5 {
        pass(&layer).await;
    }
    worker.run_until(std::future::ready(())).await;
    assert_eq!((log.written(), log.queued()), (2 * MAX_BATCH as u64 + 5, 0));
    pass(&layer).await;
    assert_eq!((log.dropped(), log.queued()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_wakes_who_waits_to_try_again() {
    let store = Fickle::default();
    store.failures.store(4, Ordering::Relaxed);
    let (layer, worker) = RequestLogLayer::new(store.clone());
    let log = layer.log();
    let worker = tokio::spawn(worker.run_until(sleep(Duration::from_secs(10))));
    pass(&layer).await;
    let began = Instant::now();
    worker.await.unwrap();
    assert_eq!(began.elapsed(), Duration::from_secs(10));
    assert_eq!((log.written(), log.failed(), store.sizes().len()), (1, 0, 5));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_has_an_end() {
    let store = Fickle::default();
    store.hangs.store(true, Ordering::Relaxed);
    let (layer, worker) = RequestLogLayer::new(store.clone());
    let log = layer.log();
    for _ in 0..MAX_BATCH + 5 {
        pass(&layer).await;
    }
    let began = Instant::now();
    worker.run_until(std::future::ready(())).await;
    assert_eq!(began.elapsed(), FLUSH_TIMEOUT);
    assert_eq!((log.written(), log.queued(), log.failed()), (0, 0, MAX_BATCH as u64 + 5));
}

/// One that has passed.
fn record() -> Arc<Record> {
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Option<Arc<Record>>>>);

    impl Sink for Kept {
        type Open = ();

        fn begun(&self, _: &Arc<Begun>, _: &mut HeaderMap) {}

        fn ended(&self, (): (), record: &Arc<Record>) {
            *self.0.lock().unwrap() = Some(Arc::clone(record));
        }
    }

    let kept = Kept::default();
    let inner = service_fn(|_| async { Ok::<_, Infallible>(json(ANSWER)) });
    let passing = RecordLayer::new(kept.clone()).layer(inner).oneshot(ask("/v1/messages"));
    drop(tokio_test::block_on(passing));
    kept.0.lock().unwrap().take().unwrap()
}

/// Two threads go on while the worker gives up: each request is counted once, and none is owed.
#[test]
fn what_finds_no_place_was_never_queued() {
    let store = Fickle::default();
    store.hangs.store(true, Ordering::Relaxed);
    let (log, worker) = RequestLog::with_capacity(store, 1);
    let record = record();
    let ended = |times| (0..times).for_each(|_| log.ended((), &record));
    let most = std::thread::scope(|scope| {
        let threads = [(); 2].map(|()| scope.spawn(|| ended(20_000)));
        let mut most = 0;
        while !threads.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            most = most.max(log.queued());
        }
        most
    });
    assert!(most <= 1, "{most} in a queue of one");
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| ended(20_000));
        runtime.block_on(worker.run_until(std::future::ready(())));
    });
    assert_eq!((log.queued(), log.written()), (0, 0));
    assert_eq!(log.failed() + log.dropped(), 60_000);
}

#[tokio::test(start_paused = true)]
async fn old_rows_are_forgotten_step_by_step() {
    let store = Fickle::default();
    let row = |time: u64| {
        let mut row = RequestRow::default();
        (row.uid, row.time) = (time.to_string(), time);
        row
    };
    let day = 24 * 60 * 60 * 1000;
    let requests = (0..PURGE_STEP as u64 + 1).map(row).chain([row(31 * day)]).collect();
    store.append(Arc::new(LogBatch { requests, ..LogBatch::default() })).await.unwrap();
    let (layer, worker) = RequestLogLayer::new(store.clone());
    let started = Instant::now();
    let clock = Clock::new(move || Duration::from_secs(60 * 24 * 60 * 60) + started.elapsed());
    tokio::spawn(worker.clock(clock).run());
    sleep(Duration::from_secs(1)).await;
    let purges = || store.purges.lock().unwrap().clone();
    assert_eq!(purges(), vec![(30 * day, PURGE_STEP); 3]);
    assert_eq!(store.requests().await.len(), 1);
    sleep(PURGE_EVERY * 2).await;
    assert_eq!(purges().len(), 5);
    drop(layer);
}

#[tokio::test(start_paused = true)]
async fn bodies_are_shown_where_asked_for_and_without_secrets() {
    let store = Fickle::default();
    let (layer, worker) = RequestLogLayer::new(store.clone());
    let worker = tokio::spawn(worker.run());
    let layer = layer.bodies(true);
    let inner = service_fn(|request: Request<crate::body::ObserveBody<Full<Bytes>, _>>| async {
        let mut body = request.into_body();
        steps(&mut body);
        Ok::<_, Infallible>(json(r#"{"error":{"message":"no such key: sk-1234567890abcdef1234"}}"#))
    });
    let asked = r#"{"model":"m","api_key":"hunter2","messages":[{"role":"user","content":"hi"}]}"#;
    let request = Request::post("/v1/messages")
        .header("content-type", "application/json")
        .header("x-request-id", "sk-1234567890abcdef1234")
        .body(Full::new(Bytes::from(asked)))
        .unwrap();
    let mut response = layer.layer(inner).oneshot(request).await.unwrap();
    steps(response.body_mut());
    drop((response, layer));
    worker.await.unwrap();
    let row = &store.requests().await[0];
    let (asked, answered) =
        (row.request_body.as_ref().unwrap(), row.response_body.as_ref().unwrap());
    assert!(asked.0.contains("\"hi\"") && answered.0.contains("no such key"), "{asked:?}");
    let all = format!("{row:?}{}{}", asked.0, answered.0);
    for secret in ["hunter2", "sk-1234567890abcdef1234"] {
        assert!(!all.contains(secret), "{all}");
    }
}

/// What waits is bounded by its bytes too.
#[tokio::test(start_paused = true)]
async fn bodies_that_wait_are_bounded() {
    let store = Fickle::default();
    let (layer, worker) = RequestLogLayer::new(store);
    let (layer, log) = (layer.clone().bodies(true), layer.log());
    let body = Bytes::from(vec![b' '; MAX_BODY]);
    let inner = service_fn(move |_| {
        let body = Full::new(body.clone());
        async move { Ok::<_, Infallible>(Response::new(body)) }
    });
    for _ in 0..MAX_QUEUED_BYTES / MAX_BODY + 3 {
        let mut response = layer.layer(inner.clone()).oneshot(ask("/v1/messages")).await.unwrap();
        steps(response.body_mut());
    }
    assert_eq!((log.queued(), log.dropped()), (MAX_QUEUED_BYTES / MAX_BODY, 3));
    worker.run_until(std::future::ready(())).await;
    assert_eq!(log.written(), (MAX_QUEUED_BYTES / MAX_BODY) as u64);
}
