//! What a choice costs, among few and among many: nanoseconds and allocations.
//!
//! `cargo bench --bench choosing` prints one table. Best of many runs, because machines are noisy.

use std::hint::black_box;
use std::time::{Duration, Instant};

use allocation_counter::measure;
use tower_llm_gateway::layer::key_pool::{KeyPool, Settings, Strategy};
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

fn main() {
    println!("{:<40} {:>6} {:>12} {:>14}", "a choice", "among", "ns", "allocations");
    key_pools();
}
