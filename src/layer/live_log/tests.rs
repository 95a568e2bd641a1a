use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use futures_core::Stream;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};

use super::*;
use crate::context::{ChannelId, Exchange};
use crate::error::TransportKind;
use crate::protocol::model::{Fault, FaultKind, FaultOrigin};
use crate::record::Clock;
use crate::store::{LogEntry, LogFilter, LogLevel};
use crate::test_helpers::{Frames, Step, step, steps};

/// A clock that stands still.
fn clock() -> Clock {
    Clock::new(|| Duration::from_secs(1_700_000_000))
}

fn layer() -> LiveLogLayer {
    LiveLogLayer::with_clock(clock())
}

/// Sends `POST /v1/messages?key=sk-secret`; the answer is still to be read.
async fn send<F>(
    layer: &LiveLogLayer,
    answer: impl Fn(Exchange) -> F,
) -> Result<Response<crate::record::RecordBody<Frames, LiveLog>>, &'static str>
where
    F: Future<Output = Result<Response<Frames>, &'static str>>,
{
    let service =
        service_fn(|mut request: Request<_>| answer(Exchange::of(request.extensions_mut())));
    let request = Request::post("/v1/messages?key=sk-secret").header("x-request-id", "r-1");
    layer.layer(service).oneshot(request.body(Empty::<Bytes>::new()).unwrap()).await
}

async fn answer(
    status: u16,
    frames: &'static [&'static str],
) -> Result<Response<Frames>, &'static str> {
    let response = Response::builder().status(status).header("content-type", "text/plain");
    Ok(response.body(Frames::new(frames.iter().copied())).unwrap())
}

/// The lines in memory, oldest first: level and message.
fn lines(log: &LiveLog) -> Vec<(LogLevel, String)> {
    let (entries, _) = log.history(&LogFilter::default(), usize::MAX, 0);
    entries.iter().rev().map(|entry| (entry.level, entry.message.clone())).collect()
}

fn filter(query: Value) -> LogFilter {
    serde_json::from_value(query).unwrap()
}

fn say(log: &LiveLog, level: LogLevel, message: &str, path: &str) {
    let at = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let mut entry = LogEntry::new(at, level, message);
    entry.path = Some(path.to_owned());
    log.push(entry).unwrap();
}

/// What a subscription has to tell at once.
fn told(subscription: &mut Subscription) -> Vec<String> {
    let mut told = Vec::new();
    let mut cx = Context::from_waker(Waker::noop());
    while let Poll::Ready(Some(event)) = Pin::new(&mut *subscription).poll_next(&mut cx) {
        told.push(match event {
            LogEvent::Line(entry) => entry.message.clone(),
            LogEvent::Notice(notice) => format!("<{:?}>", notice.kind),
        });
    }
    told
}

async fn next(subscription: &mut Subscription) -> Value {
    let event = std::future::poll_fn(|cx| Pin::new(&mut *subscription).poll_next(cx)).await;
    serde_json::to_value(event.unwrap()).unwrap()
}

use LogLevel::{Error, Info, Warning};

#[tokio::test]
async fn a_request_that_goes_well() {
    let now = Arc::new(AtomicU64::new(1_700_000_000_000_000));
    let clock = now.clone();
    let layer = LiveLogLayer::with_clock(Clock::new(move || {
        Duration::from_micros(clock.load(Ordering::Relaxed))
    }));
    let answer = |_| {
        now.fetch_add(7500, Ordering::Relaxed);
        answer(200, &["hello", "!"])
    };
    steps(send(&layer, answer).await.unwrap().body_mut());
    let log = layer.log();
    let (entries, total) = log.history(&LogFilter::default(), 10, 0);
    assert_eq!(total, 2);
    assert_eq!(
        serde_json::to_value(&entries).unwrap(),
        json!([
            {
                "timestamp": 1_700_000_000.007_5, "level": "INFO",
                "message": "Request completed: POST /v1/messages - 200 (6 bytes, 7.5ms)",
                "path": "/v1/messages", "request_id": "r-1",
                "formatted_time": "2023-11-14 22:13:20", "response_content": null,
            },
            {
                "timestamp": 1_700_000_000.0, "level": "INFO",
                "message": "Request started: POST /v1/messages",
                "path": "/v1/messages", "request_id": "r-1",
                "formatted_time": "2023-11-14 22:13:20", "response_content": null,
            },
        ])
    );
}

#[tokio::test]
async fn a_failed_answer_shows_its_body_where_asked_for_and_no_secret() {
    let layer = layer();
    let refuse = |_| answer(529, &["over", "loaded, key sk-ant-REDACTED"]);
    steps(send(&layer, refuse).await.unwrap().body_mut());
    let failed = (Error, "Request failed: POST /v1/messages - 529".to_owned());
    assert_eq!(lines(&layer.log())[1], failed);
    let last = |log: LiveLog| log.history(&LogFilter::default(), 1, 0).0[0].clone();
    assert_eq!(last(layer.log()).response_content, None);

    let layer = layer.error_bodies(true);
    steps(send(&layer, refuse).await.unwrap().body_mut());
    let body = last(layer.log()).response_content.clone().unwrap();
    assert!(body.starts_with("overloaded, key sk-ant"), "{body}");
    assert!(!body.contains("123456789012345678"), "{body}");
    let gateway = send(&layer, |_| answer(502, &[])).await;
    steps(gateway.unwrap().body_mut());
    assert_eq!(lines(&layer.log())[5].1, "Request failed: POST /v1/messages - 502 Bad Gateway");
}

#[tokio::test]
async fn a_broken_answer_a_caller_who_leaves_and_no_answer() {
    let layer = layer();
    let breaks = |_| async {
        Ok(Response::new(Frames::new([Step::from("a"), Step::error("to https://u?key=sk-1")])))
    };
    steps(send(&layer, breaks).await.unwrap().body_mut());
    let mut left = send(&layer, |_| answer(200, &["a", "b"])).await.unwrap();
    step(left.body_mut());
    drop(left);
    let waiting = send(&layer, |_| std::future::pending());
    assert!(tokio_test::task::spawn(waiting).poll().is_pending());
    assert_eq!(send(&layer, |_| async { Err("no") }).await.err(), Some("no"));

    let started = || (Info, "Request started: POST /v1/messages".to_owned());
    let line = |level, text: &str| (level, text.to_owned());
    assert_eq!(
        lines(&layer.log()),
        [
            started(),
            line(Error, "Request failed: POST /v1/messages - 200 the answer broke off"),
            started(),
            line(
                Warning,
                "Client disconnected during response: POST /v1/messages - 200 (1 bytes, 0.0ms)"
            ),
            started(),
            line(
                Warning,
                "Client disconnected before response: POST /v1/messages (0 bytes, 0.0ms)"
            ),
            started(),
            line(Error, "Upstream request failed: POST /v1/messages - transport"),
            line(Error, "Request failed: POST /v1/messages - the service failed"),
        ]
    );
}

#[tokio::test]
async fn each_attempt_that_failed_is_told_of() {
    let layer = layer();
    let tries = |exchange: Exchange| {
        let attempt = |fault: Option<Fault>, status: Option<u16>, outrun| {
            let id = exchange.begin_attempt(&mut http::Extensions::new());
            exchange.update_attempt(id, |attempt| {
                attempt.channel = Some(ChannelId::new("a"));
                attempt.key = Some("sk-ant-1***56789".into());
                attempt.status = status.map(|status| StatusCode::from_u16(status).unwrap());
                (attempt.fault, attempt.outrun) = (fault, outrun);
            });
        };
        let of = |kind: FaultKind| Fault::new(kind, kind.status(), FaultOrigin::Upstream);
        attempt(Some(of(FaultKind::RateLimit)), Some(429), false);
        attempt(Some(Fault::gateway(FaultKind::Overloaded)), Some(503), false);
        attempt(Some(of(FaultKind::Overloaded)), Some(529), true);
        attempt(Some(Fault::transport(TransportKind::Connect)), None, false);
        attempt(None, Some(200), false);
        answer(200, &["ok"])
    };
    steps(send(&layer, tries).await.unwrap().body_mut());
    let said = lines(&layer.log());
    let about = "Upstream request failed: POST /v1/messages";
    assert_eq!(
        said[1..],
        [
            (
                Error,
                format!("{about} - 429 rate_limit (attempt 1, channel a, key sk-ant-1***56789)")
            ),
            (Error, format!("{about} - transport (attempt 4, channel a, key sk-ant-1***56789)")),
            (Info, "Request completed: POST /v1/messages - 200 (2 bytes, 0.0ms)".to_owned()),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn first_what_was_then_what_is() {
    let log = LiveLog::with_clock(clock());
    for number in 0..30 {
        say(&log, Info, &format!("old {number}"), "/x");
    }
    let mut subscription = log.subscribe(LogFilter::default()).unwrap();
    say(&log, Info, "new", "/x");
    let told = told(&mut subscription);
    assert_eq!(told.len(), 1 + REPLAYED + 1);
    assert_eq!(told[..2], ["<Connection>", "old 10"]);
    assert_eq!(told[REPLAYED..], ["old 29", "new"]);
}

#[tokio::test(start_paused = true)]
async fn only_what_matches_is_told() {
    let log = LiveLog::new();
    for (query, wanted) in [
        (json!({}), &["one", "two", "three"][..]),
        (json!({"level_filter": "error"}), &["three"]),
        (json!({"path_filter": "/V1/M"}), &["one", "three"]),
        (json!({"level_filter": "INFO", "path_filter": "models"}), &["two"]),
        (json!({"level_filter": "WARNING"}), &[]),
    ] {
        log.clear();
        let mut before = log.subscribe(filter(query.clone())).unwrap();
        assert_eq!(told(&mut before), ["<Connection>"]);
        say(&log, Info, "one", "/v1/messages");
        say(&log, Info, "two", "/v1beta/models");
        say(&log, Error, "three", "/v1/messages");
        let mut after = log.subscribe(filter(query.clone())).unwrap();
        assert_eq!(told(&mut before), wanted, "{query}");
        assert_eq!(told(&mut after)[1..], *wanted, "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_subscription_shows_that_it_is_alive() {
    let layer = layer();
    steps(send(&layer, |_| answer(500, &["no"])).await.unwrap().body_mut());
    let log = layer.log();
    let began = tokio::time::Instant::now();
    let mut all = log.subscribe(LogFilter::default()).unwrap();
    let mut errors = log.subscribe(filter(json!({"level": "ERROR", "path_filter": "x"}))).unwrap();
    let mut paths = log.subscribe(filter(json!({"level": "info", "path_filter": "x"}))).unwrap();
    assert_eq!(told(&mut all).len(), 3);
    assert_eq!((told(&mut errors).len(), told(&mut paths).len()), (1, 1));

    let status = next(&mut all).await;
    assert_eq!(began.elapsed(), STATUS_EVERY);
    assert_eq!(status["type"], "system_status");
    assert_eq!(status["message"], "System status: 1 total requests, 1 errors");
    let heartbeat = next(&mut all).await;
    assert_eq!(began.elapsed(), HEARTBEAT_AFTER);
    let mut members: Vec<_> = heartbeat.as_object().unwrap().keys().collect();
    // serde_json keeps them in order or sorts them, as the whole build wants it.
    members.sort_unstable();
    assert_eq!(members, ["formatted_time", "timestamp", "type"]);
    assert_eq!(heartbeat["type"], "heartbeat");

    assert_eq!(told(&mut errors), ["<Heartbeat>"]);
    assert_eq!(told(&mut paths), ["<SystemStatus>", "<Heartbeat>"]);
    // A line begins the silence again, a status does not.
    tokio::time::advance(Duration::from_secs(10)).await;
    say(&log, Info, "line", "/");
    assert_eq!(told(&mut all), ["line"]);
    assert_eq!(next(&mut all).await["type"], "system_status");
    assert_eq!(began.elapsed(), 2 * STATUS_EVERY);
    assert_eq!(next(&mut all).await["type"], "heartbeat");
    assert_eq!(began.elapsed(), Duration::from_secs(70));
}

#[tokio::test(start_paused = true)]
async fn who_does_not_read_loses_lines_and_holds_up_nobody() {
    let log = LiveLog::new();
    let mut asleep = log.subscribe(LogFilter::default()).unwrap();
    let mut awake = log.subscribe(filter(json!({"level": "ERROR"}))).unwrap();
    told(&mut awake);
    for number in 0..2000 {
        say(&log, if number % 500 == 0 { Error } else { Info }, &format!("{number}"), "/");
        if number % 500 == 0 {
            assert_eq!(next(&mut awake).await["message"], number.to_string());
        }
    }
    assert_eq!(lines(&log).len(), MAX_LINES);
    assert_eq!(next(&mut asleep).await["type"], "connection");
    let lag = next(&mut asleep).await;
    assert_eq!((&lag["type"], &lag["lost"]), (&json!("lag"), &json!(1000)));
    let rest = told(&mut asleep);
    assert_eq!((rest.len(), rest[0].as_str(), rest[999].as_str()), (MAX_LINES, "1000", "1999"));
}

#[tokio::test(start_paused = true)]
async fn a_waiting_reader_is_woken() {
    let log = LiveLog::new();
    let mut subscription = log.subscribe(filter(json!({"level": "ERROR"}))).unwrap();
    told(&mut subscription);
    let mut reading =
        tokio_test::task::spawn(async { next(&mut subscription).await["message"].clone() });
    assert!(reading.poll().is_pending());
    // It is woken, and finds nothing that it wants.
    say(&log, Info, "a", "/");
    assert!(reading.is_woken() && reading.poll().is_pending());
    assert!(reading.is_woken() && reading.poll().is_pending());
    assert!(!reading.is_woken());
    say(&log, Error, "b", "/");
    assert!(reading.is_woken());
    assert_eq!(reading.poll(), Poll::Ready(json!("b")));
}

#[test]
fn subscriptions_are_bounded_and_leave() {
    let log = LiveLog::new();
    let subscribe = || log.subscribe(LogFilter::default());
    let mut all: Vec<_> = (0..MAX_SUBSCRIPTIONS).map(|_| subscribe().unwrap()).collect();
    assert_eq!(subscribe().err(), Some(SubscribeError::TooMany));
    all.pop();
    assert_eq!(log.subscriptions(), MAX_SUBSCRIPTIONS - 1);
    all.push(subscribe().unwrap());
    all.clear();
    assert_eq!(log.subscriptions(), 0);
}

#[tokio::test]
async fn a_closed_log_ends_its_streams() {
    let log = LiveLog::new();
    let mut body = log.subscribe(LogFilter::default()).unwrap().into_response().into_body();
    assert!(body.frame().await.is_some());
    let mut reading = tokio_test::task::spawn(body.frame());
    assert!(reading.poll().is_pending());
    log.close();
    assert!(reading.is_woken());
    assert!(matches!(reading.poll(), Poll::Ready(None)));
    assert_eq!(log.subscribe(LogFilter::default()).err(), Some(SubscribeError::Closed));
    say(&log, Info, "still written", "/");
    assert_eq!(lines(&log).len(), 1);
}

#[tokio::test]
async fn events_go_out_as_one_line_each() {
    let log = LiveLog::new();
    say(&log, Info, "two\nlines", "/");
    let response = log.subscribe(LogFilter::default()).unwrap().into_response();
    assert_eq!(response.headers()["cache-control"], "no-cache");
    assert_eq!(response.headers()["x-accel-buffering"], "no");
    let mut body = response.into_body();
    body.frame().await.unwrap().unwrap();
    let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
    let text = std::str::from_utf8(&frame).unwrap();
    let json = text.strip_prefix("data: ").and_then(|text| text.strip_suffix("\n\n")).unwrap();
    assert!(!json.contains('\n'));
    assert_eq!(serde_json::from_str::<LogEntry>(json).unwrap().message, "two\nlines");
}

#[test]
fn lines_of_the_host() {
    let log = LiveLog::new();
    assert_eq!(log.push(LogEntry::new(UNIX_EPOCH, Info, " \n")), Err(EmptyMessage));
    let long = format!("key=sk-ant-REDACTED {}", "é".repeat(MAX_MESSAGE));
    log.push(LogEntry::new(UNIX_EPOCH, Warning, long)).unwrap();
    let said = lines(&log);
    assert!(said[0].1.len() <= MAX_MESSAGE && said[0].1.ends_with('é'));
    assert!(!said[0].1.contains("123456789012345678"));

    log.restore([LogEntry::new(UNIX_EPOCH, Info, "from yesterday")]);
    let (page, total) = log.history(&LogFilter::default(), 1, 1);
    assert_eq!((page.len(), total, page[0].level), (1, 2, Warning));
    log.clear();
    assert_eq!(lines(&log), []);
}

#[cfg(feature = "request-log")]
#[expect(clippy::disallowed_methods, reason = "a test is the host, which spawns the worker")]
#[tokio::test]
async fn every_line_goes_to_the_files_too() {
    use crate::store::daily::{DailyFiles, DailySettings, Page};

    let dir = tempfile::tempdir().unwrap();
    let (files, worker) = DailyFiles::new(DailySettings::new(dir.path()));
    tokio::spawn(worker.run());
    let layer = layer();
    let log = layer.log();
    log.persist(files.clone());
    steps(send(&layer, |_| answer(200, &["hello"])).await.unwrap().body_mut());
    say(&log, Info, "mine", "/");
    files.flush().await.unwrap();
    let written = files.history(LogFilter::default(), Page::default()).await.unwrap();
    let in_memory = log.history(&LogFilter::default(), 10, 0).0;
    assert_eq!(written.logs, in_memory);
    assert_eq!(written.logs.len(), 3);
}

#[tokio::test]
async fn the_host_may_keep_several_sinks() {
    let log = LiveLog::new();
    let layer = crate::record::RecordLayer::new((log.clone(), None::<LiveLog>));
    let service = layer.layer(service_fn(|_: Request<_>| async {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("x"))))
    }));
    let request = Request::get("/").body(Empty::<Bytes>::new()).unwrap();
    steps(service.oneshot(request).await.unwrap().body_mut());
    assert_eq!(lines(&log).len(), 2);
}
