//! What a choice costs, among few and among many: nanoseconds and allocations.
//!
//! `cargo bench --bench choosing` prints one table. Best of many runs, because machines are noisy.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use allocation_counter::measure;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer, Service};
use tower_llm_gateway::ChannelLayer;
use tower_llm_gateway::context::{Exchange, RequestFacts, Upstream};
use tower_llm_gateway::layer::channel::{self, Channel, Channels, Policy};
use tower_llm_gateway::layer::key_pool::{KeyPool, Settings, Strategy};
use tower_llm_gateway::protocol::Protocol;
use tower_llm_gateway::protocol::model::{Fault, FaultKind, FaultOrigin};

const COUNTS: [usize; 3] = [1, 10, 1000];

/// How many choices are measured at a time.
const TIMES: u32 = 100;

/// Nanoseconds and allocations of one run.
fn cost(mut run: impl FnMut()) -> (f64, f64) {
    let mut many = || (0..TIMES).for_each(|_| run());
    // What grows once has grown by then.
    many();
    let allocations = measure(&mut many).count_total as f64 / f64::from(TIMES);
    let began = Instant::now();
    let mut best = f64::MAX;
    while began.elapsed() < Duration::from_millis(400) {
        let one = Instant::now();
        many();
        best = best.min(one.elapsed().as_secs_f64());
    }
    (best * 1e9 / f64::from(TIMES), allocations)
}

fn row(name: &str, count: usize, run: impl FnMut()) {
    let (time, allocations) = cost(run);
    println!("{name:<40} {count:>6} {time:>12.0} {allocations:>14.1}");
}

fn pool(strategy: Strategy, count: usize) -> KeyPool {
    let keys = (0..count).map(|n| format!("sk-bench-{n:08}"));
    KeyPool::with(Settings::default().strategy(strategy), keys).expect("keys")
}

fn key_pools() {
    for (name, strategy) in [
        ("key, least recently used", Strategy::LeastRecentlyUsed),
        ("key, failover", Strategy::Failover),
        ("key, round robin", Strategy::RoundRobin),
        ("key, random", Strategy::Random),
    ] {
        for count in COUNTS {
            let pool = pool(strategy, count);
            // Leased, answered, given back after a success: all that a request does.
            row(name, count, || {
                let lease = black_box(pool.try_lease().expect("a key"));
                lease.answered();
                lease.succeed(&[]);
            });
        }
    }
    for count in COUNTS {
        let pool = pool(Strategy::Failover, count);
        for _ in 0..count {
            let kind = FaultKind::RateLimit;
            let fault = Fault::new(kind, kind.status(), FaultOrigin::Upstream);
            pool.try_lease().expect("a key").fail(&fault);
        }
        row("key, all of them cooling down", count, || {
            black_box(pool.try_lease().expect_err("no key"));
        });
    }
}

/// Answers at once, with nothing.
#[derive(Clone)]
struct Inner;

impl<B> Service<Request<B>> for Inner {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        black_box(request);
        ready(Ok(Response::new(Full::default())))
    }
}

/// A request of a conversation, whose body an outer layer has read.
fn request(exchange: &Exchange) -> Request<Full<Bytes>> {
    exchange.update(|facts| facts.attempts.clear());
    let mut request = Request::post("/v1/messages").body(Full::default()).expect("a request");
    request.extensions_mut().insert(exchange.clone());
    request
}

/// One request through a service that never waits.
fn through<S>(service: &mut S, exchange: &Exchange)
where
    S: Service<Request<Full<Bytes>>>,
{
    let call = pin!(service.call(request(exchange)));
    let done = call.poll(&mut Context::from_waker(Waker::noop()));
    assert!(done.is_ready(), "it never waits");
}

fn channels() {
    let conversation = |user: Option<&str>| {
        let exchange = Exchange::default();
        let user = user.map(Into::into);
        exchange.update(|facts| facts.request = Some(RequestFacts { user, ..Default::default() }));
        exchange
    };
    let (anybody, somebody) = (conversation(None), conversation(Some("user")));
    row("no layer at all", 0, || through(&mut Inner, &anybody));
    for (name, strategy, exchange) in [
        ("channel, priority", channel::Strategy::Priority, &anybody),
        ("channel, affinity", channel::Strategy::Priority, &somebody),
        ("channel, weighted", channel::Strategy::Weighted, &anybody),
        ("channel, least latency", channel::Strategy::LeastLatency, &anybody),
        ("channel, round robin", channel::Strategy::RoundRobin, &anybody),
    ] {
        for count in COUNTS {
            let list = (0..count).map(|n| {
                let base = format!("https://h{n}.example");
                Channel::new(
                    format!("c{n}"),
                    Upstream::new(&base, Protocol::Anthropic).expect("a URL"),
                )
            });
            let policy = Policy::default().strategy(strategy);
            let channels = Channels::with_policy(policy, list).expect("channels");
            let mut service = ChannelLayer::new(channels).layer(Inner);
            // Chosen, called, answered and judged: all that a request does.
            row(name, count, || through(&mut service, exchange));
        }
    }
}

fn main() {
    println!("{:<40} {:>6} {:>12} {:>14}", "a choice", "among", "ns", "allocations");
    key_pools();
    channels();
}
