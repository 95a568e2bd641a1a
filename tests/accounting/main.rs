//! Statistics add up: mixed requests over real sockets, counted by the callers and by the vendors,
//! and compared with the books of the gateway to the last token and byte.
//!
//! All five protocols before all five, streams and documents, failing vendors and keys, refusals
//! of ours, and callers who leave. `cargo test --release --test accounting -- --nocapture` sends
//! 100,000 requests and prints the table; `ACCOUNTING_REQUESTS` sets another number.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests are tests")]

#[path = "../../examples/proxy/demo/mod.rs"]
mod demo;

mod ask;
mod books;
mod caller;
mod entry;
mod gateway;
mod rows;
mod tokens;
mod vendor;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::ask::{Ask, TEAMS};
use crate::books::Books;
use crate::caller::{Caller, Seen};
use crate::gateway::Gateway;
use crate::vendor::Ledger;

/// Requests under way at a time.
const AT_ONCE: usize = 64;

/// All comes long before; it makes a hanging test fail.
const LIMIT: Duration = Duration::from_secs(1800);

/// How many requests: an unoptimised build is slow.
fn count() -> u64 {
    let default = if cfg!(debug_assertions) { 2_000 } else { 100_000 };
    std::env::var("ACCOUNTING_REQUESTS").ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_counter_is_exact() {
    tokio::time::timeout(LIMIT, run(count())).await.expect("it comes to an end");
}

async fn run(count: u64) {
    let began = Instant::now();
    let ledger = Arc::new(Ledger::default());
    let gateway = Gateway::start(&ledger).await;
    let caller = Caller::new(gateway.urls(), ledger.clone());
    let mut seen = Vec::new();
    for (ticket, team) in (count..).zip(TEAMS) {
        let ask = Ask::good(ticket, team);
        seen.push((ask.clone(), caller.send(&ask).await));
    }
    seen.extend(send_all(count, &caller).await);
    gateway.at_rest(&ledger).await;

    let mut expected = Books::default();
    let mut wrong = Vec::new();
    let records = gateway.records();
    for (ask, seen) in &seen {
        let calls = ledger.calls(ask.ticket);
        let entry = entry::of(ask, seen, &calls);
        wrong.extend(entry::differences(ask, &entry, records.get(&ask.ticket)));
        expected.add(ask, &entry, &calls);
    }
    let mut counted = Books::of(&gateway.stats.snapshot());
    rows::count(&gateway.store, &mut counted).await;
    let (table, rows) = expected.compare(&counted);
    println!("{table}");
    println!("{count} requests in {:.1} s, {rows} numbers compared", began.elapsed().as_secs_f64());
    let few: Vec<_> = wrong.iter().take(20).collect();
    assert!(wrong.is_empty(), "{} records differ: {few:#?}", wrong.len());
    assert!(expected == counted, "the books differ");
    assert_eq!(records.len(), seen.len());
}

/// Sends all requests, so many at a time.
async fn send_all(count: u64, caller: &Caller) -> Vec<(Ask, Seen)> {
    let permits = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    let mut seen = Vec::new();
    for ticket in 0..count {
        let permit = permits.clone().acquire_owned().await.unwrap();
        let caller = caller.clone();
        running.spawn(async move {
            let ask = Ask::nth(ticket);
            let got = caller.send(&ask).await;
            drop(permit);
            (ask, got)
        });
        while let Some(done) = running.try_join_next() {
            seen.push(done.unwrap());
        }
    }
    while let Some(done) = running.join_next().await {
        seen.push(done.unwrap());
    }
    seen
}
