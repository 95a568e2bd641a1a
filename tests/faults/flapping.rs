//! A thousand callers before eight upstreams that come and go: each gets an answer or is told why
//! not, and nothing is held afterwards.
//!
//! `FLAPPING_SECONDS=60 cargo test --release --test faults flapping -- --nocapture` is the long
//! run. `FLAPPING_SEED` repeats the choices of another one.

use std::collections::BTreeMap;
use std::env;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use tokio::task::JoinSet;
use tower_llm_gateway::FailoverLayer;
use tower_llm_gateway::context::Connection;
use tower_llm_gateway::layer::channel::{Policy, Strategy};
use tower_llm_gateway::layer::key_pool::Cooldown;
use tower_llm_gateway::protocol::Protocol;

use crate::caller::{Got, HttpClient, Speaks, client};
use crate::gateway::{CALLER_KEY, Gateway, Rules, Way};
use crate::script::{Asked, WORDS};
use crate::vendor::{Script, Step, Vendor};

const CALLERS: usize = 1000;
const CHANNELS: [&str; 8] = ["c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8"];
const KEYS: usize = 3;

/// One caller in so many leaves as soon as an answer has begun.
const LEAVES: usize = 20;

/// No answer takes as long, however busy the machine is.
const HANGS: Duration = Duration::from_secs(60);

const PAUSE: Duration = Duration::from_millis(20);

/// One of these is done for each request.
fn moods(asked: Asked) -> Vec<Script> {
    let error = || {
        let mut script = Asked::nothing();
        script.extend(asked.fails());
        script
    };
    let slow = || asked.answers().into_iter().flat_map(|step| [step, Step::Wait(PAUSE)]).collect();
    let then = |mut script: Script, step| {
        script.push(step);
        script
    };
    vec![
        asked.answers(),
        asked.answers(),
        asked.answers(),
        slow(),
        asked.refuses(529, "overloaded_error", "overloaded", "Overloaded"),
        asked.refuses(429, "rate_limit_error", "rate_limit", "Slow down"),
        vec![Step::Reset],
        then(asked.opens(), Step::Reset),
        error(),
        then(asked.speaks(), Step::Close),
        then(asked.speaks(), Step::Send("0\r\n\r\n".into())),
    ]
}

fn setting<T: FromStr>(name: &str) -> Option<T> {
    env::var(name).ok()?.parse().ok()
}

async fn flapping(seed: u64) -> (Gateway, Vec<Vendor>) {
    let mut vendors = Vec::new();
    let mut ways = Vec::new();
    for (number, id) in CHANNELS.into_iter().enumerate() {
        let protocol = [Protocol::Anthropic, Protocol::OpenAiChat][number % 2];
        let asked = Asked { protocol, stream: true };
        let vendor = Vendor::moody(moods(asked), seed.wrapping_add(number as u64));
        let connection = Connection::default();
        ways.push(Way { id, url: vendor.url(), protocol, keys: KEYS, connection });
        vendors.push(vendor);
    }
    let rules = Rules {
        policy: Policy::default().strategy(Strategy::LeastLatency).recovery(PAUSE),
        cooldown: Cooldown::doubling(PAUSE, 4 * PAUSE),
        failover: FailoverLayer::new(),
        permits: CALLERS,
    };
    (Gateway::start(rules, ways).await, vendors)
}

/// Asks again and again until it is time; how often which end came.
async fn ask(
    client: HttpClient,
    url: Arc<str>,
    number: usize,
    until: Instant,
) -> BTreeMap<String, usize> {
    let mut ends = BTreeMap::new();
    let caller = [Speaks::Messages, Speaks::Chat, Speaks::Responses][number % 3];
    for turn in number.. {
        if Instant::now() >= until {
            break;
        }
        let got = async {
            let response = match client.request(caller.request(&url, CALLER_KEY, true)).await {
                Ok(response) => response,
                Err(error) => return Got::Malformed(format!("{error:?}")),
            };
            if turn % LEAVES == 0 {
                let _ = response.into_body().frame().await;
                return Got::Left;
            }
            caller.judge(response, &WORDS.concat()).await
        };
        let got = tokio::time::timeout(HANGS, got).await;
        let got = got.unwrap_or_else(|_| Got::Malformed("no end".into()));
        *ends.entry(got.to_string()).or_default() += 1;
    }
    ends
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flapping_upstreams_leave_nobody_without_an_end() {
    let seconds = setting("FLAPPING_SECONDS").unwrap_or(4);
    let seed = setting("FLAPPING_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("{CALLERS} callers, {} upstreams, {seconds} s, FLAPPING_SEED={seed}", CHANNELS.len());
    let (gateway, vendors) = flapping(seed).await;
    let url: Arc<str> = gateway.url.as_str().into();
    let began = Instant::now();
    let until = began + Duration::from_secs(seconds);
    let client = client();
    let mut callers = JoinSet::new();
    for number in 0..CALLERS {
        callers.spawn(ask(client.clone(), url.clone(), number, until));
    }
    let mut ends = BTreeMap::new();
    while let Some(caller) = callers.join_next().await {
        for (end, count) in caller.unwrap() {
            *ends.entry(end).or_insert(0) += count;
        }
    }
    let asked: usize = ends.values().sum();
    let attempts: usize = vendors.iter().map(Vendor::requests).sum();
    println!(
        "{asked} requests, {attempts} attempts, {:.1} s: {ends:?}",
        began.elapsed().as_secs_f64()
    );
    let bad = ends.keys().filter(|end| end.starts_with("MALFORMED") || *end == "broken");
    assert_eq!(bad.collect::<Vec<_>>(), Vec::<&String>::new());
    // How many depends on the machine: keys cool and channels trip by the clock.
    assert!(ends["whole"] > asked / 4, "{ends:?}");
    gateway.at_rest().await.unwrap();
    let snapshot = gateway.stats.snapshot();
    assert_eq!(snapshot.totals.requests, asked as u64, "each is counted once");
    for (channel, key) in gateway.keys() {
        let totals = key.totals;
        let ended = totals.successes + totals.failures + totals.neutral;
        assert_eq!(totals.leases, ended, "{channel}: {totals:?}");
    }
}
