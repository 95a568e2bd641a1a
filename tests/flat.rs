//! What a million requests leave behind in memory: nothing, once everything that is bounded is
//! full.
//!
//! Paths, models, principals, channels and keys are partly a few hundred and partly new each time;
//! answers succeed, fail, break off and are left. A second passes with each request: more than a
//! day with the first hundred thousand, eleven with a million. Live bytes are counted after those
//! hundred thousand, and at the end.
//!
//! A million in an optimised build (`cargo test --release --test flat`). Else two hundred thousand,
//! because each takes many times as long; `FLAT_REQUESTS=1000000` says otherwise.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::future::{Ready, ready};
use std::ops::Range;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use std::vec::IntoIter;

use allocation_counter::measure;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use tower::{Layer, Service, ServiceExt};
use tower_llm_gateway::RequestLogLayer;
use tower_llm_gateway::context::{ChannelId, Exchange, Principal};
use tower_llm_gateway::layer::live_log::LiveLog;
use tower_llm_gateway::layer::request_log::DEFAULT_CAPACITY;
use tower_llm_gateway::layer::stats::{self, Stats};
use tower_llm_gateway::protocol::Protocol;
use tower_llm_gateway::protocol::model::Usage;
use tower_llm_gateway::record::{Clock, RecordLayer};
use tower_llm_gateway::store::{LogFilter, MemoryRequestLog};

const EVENT: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"some words\"}}]}\n\n";

/// Requests after which all that is bounded should be full.
const FIRST: u64 = 100_000;

/// Live bytes that may come after that, as a part of what was there by then: lists of what ended
/// lately grow by doubling, some of them later than others. Of a million requests it is three
/// bytes each.
const MOST_GROWTH: f64 = 0.1;

/// Names that come again and again; more than are counted one by one.
const KNOWN_NAMES: u64 = 600;

fn requests() -> u64 {
    let count = if cfg!(debug_assertions) { 200_000 } else { 1_000_000 };
    std::env::var("FLAT_REQUESTS").map_or(count, |text| text.parse().expect("a number"))
}

/// Numbers that look random and are the same in every run (SplitMix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.roll() % limit
    }

    fn name(&mut self, what: &str) -> String {
        if self.below(2) == 0 {
            format!("{what}-{}", self.below(KNOWN_NAMES))
        } else {
            format!("{what}-{:x}", self.roll())
        }
    }
}

/// A body of a few frames.
struct Frames(IntoIter<Result<&'static str, &'static str>>);

impl Frames {
    /// A few pieces, and now and then an error behind them.
    fn roll(dice: &mut Dice) -> Self {
        let mut frames = vec![Ok(EVENT); dice.below(5) as usize];
        if dice.below(20) == 0 {
            frames.push(Err("broken"));
        }
        Self(frames.into_iter())
    }
}

impl Body for Frames {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        let data = |text: &'static str| Frame::data(Bytes::from_static(text.as_bytes()));
        Poll::Ready(self.0.next().map(|frame| frame.map(data)))
    }
}

/// The innermost service: what it knows and what it answers is in the dice of the request.
#[derive(Clone)]
struct Upstream;

impl<B> Service<Request<B>> for Upstream {
    type Response = Response<Frames>;
    type Error = &'static str;
    type Future = Ready<Result<Self::Response, &'static str>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let number = request.headers()["x-number"].to_str().unwrap().parse().unwrap();
        let mut dice = Dice(number);
        let status = [200, 200, 200, 200, 200, 404, 429, 500][dice.below(8) as usize];
        let exchange = Exchange::of(request.extensions_mut());
        exchange.update(|facts| {
            facts.principal = Some(Principal::new(dice.name("principal")));
            facts.upstream_model = Some(dice.name("model").into());
            facts.upstream_protocol = Some(Protocol::ALL[dice.below(5) as usize]);
            facts.usage = (dice.below(2) == 0).then(|| Usage {
                input: dice.below(10_000),
                cache_read: dice.below(10_000),
                output: dice.below(1000),
                ..Usage::default()
            });
        });
        for last in (0..=dice.below(3)).rev() {
            let id = exchange.begin_attempt(request.extensions_mut());
            exchange.update_attempt(id, |attempt| {
                attempt.channel = Some(ChannelId::new(dice.name("channel")));
                attempt.key_id = Some(dice.name("key").into());
                attempt.key = Some("sk-***".into());
                attempt.status = StatusCode::from_u16(if last == 0 { status } else { 503 }).ok();
            });
        }
        if dice.below(50) == 0 {
            return ready(Err("no answer"));
        }
        let mut response = Response::builder().status(status);
        if status == 200 {
            let types = ["application/json", "text/event-stream", "text/plain"];
            response = response.header("content-type", types[dice.below(3) as usize]);
        }
        ready(Ok(response.body(Frames::roll(&mut dice)).unwrap()))
    }
}

/// One request: its answer is read whole, or left at some frame.
async fn exchange<S, C>(service: &S, number: u64)
where
    S: Service<Request<Full<Bytes>>, Response = Response<C>, Error = &'static str> + Clone,
    C: Body<Data = Bytes>,
{
    const ROUTES: [&str; 3] = ["/v1/messages", "/v1/chat/completions", "/v1/responses"];
    let mut dice = Dice(!number);
    let path = match dice.below(2) {
        0 => ROUTES[dice.below(3) as usize].to_owned(),
        _ => format!("/{}", dice.name("path")),
    };
    let mut request = Request::post(path).header("x-number", number);
    if dice.below(2) == 0 {
        request = request.header("x-request-id", format!("{:x}", dice.roll()));
    }
    let request = request.body(Full::from("{}")).unwrap();
    let Ok(response) = service.clone().oneshot(request).await else { return };
    let most = if dice.below(10) == 0 { dice.below(3) } else { u64::MAX };
    let mut body = pin!(response.into_body());
    for _ in 0..most {
        if !matches!(body.frame().await, Some(Ok(_))) {
            return;
        }
    }
}

/// Sends requests through a service and says what they left behind: live bytes after the first
/// of them, and how many more after all.
fn left_behind<S, C>(service: &S, time: &AtomicU64) -> (i64, i64)
where
    S: Service<Request<Full<Bytes>>, Response = Response<C>, Error = &'static str> + Clone,
    C: Body<Data = Bytes>,
{
    let send = |numbers: Range<u64>| {
        let counted = measure(|| {
            tokio_test::block_on(async {
                for number in numbers {
                    time.fetch_add(1000, Ordering::Relaxed);
                    exchange(service, number).await;
                }
            });
        });
        counted.bytes_current
    };
    (send(0..FIRST), send(FIRST..requests()))
}

/// Whatever else keeps something of requests goes here too. Nobody takes anything out: the request
/// log has no worker, the live log a subscriber who never reads.
#[test]
fn a_million_requests_leave_nothing_behind() {
    let time = Arc::new(AtomicU64::new(1_700_000_000_000));
    let hand = time.clone();
    let clock = Clock::new(move || Duration::from_millis(hand.load(Ordering::Relaxed)));
    let (stats, live) = (Stats::with_clock(clock.clone()), LiveLog::with_clock(clock.clone()));
    let (log, _worker) = RequestLogLayer::new(MemoryRequestLog::new());
    let log = log.log();
    let _never_read = live.subscribe(LogFilter::default()).unwrap();
    let sinks = (stats.clone(), live, log.clone());
    let layer = RecordLayer::with_clock(sinks, clock).error_bodies(true);
    let began = Instant::now();
    let (first, rest) = left_behind(&layer.layer(Upstream), &time);
    let all = requests();
    let took = began.elapsed();
    println!("{first} bytes after {FIRST} requests, {rest:+} after {all}, in {took:?}");
    assert_eq!((log.queued(), log.dropped()), (DEFAULT_CAPACITY, all - DEFAULT_CAPACITY as u64));
    let snapshot = stats.snapshot();
    assert_eq!((snapshot.totals.requests, snapshot.in_flight), (all, 0));
    for (groups, limit) in [
        (&snapshot.paths, stats::MAX_PATHS),
        (&snapshot.models, stats::MAX_MODELS),
        (&snapshot.principals, stats::MAX_PRINCIPALS),
        (&snapshot.channels, stats::MAX_CHANNELS),
        (&snapshot.keys, stats::MAX_KEYS),
    ] {
        assert_eq!(groups.len(), limit + 1, "full, and all others");
    }
    assert!(rest as f64 <= first as f64 * MOST_GROWTH, "{first} bytes grew by {rest}");
}
