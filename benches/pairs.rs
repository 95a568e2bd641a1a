//! What every pair of protocols costs, in one table.
//!
//! `cargo bench --bench pairs` runs for about half a minute; `-- --long` measures each cell longer.
//! Machines are noisy: a time is the best of many, and what the project holds itself to are the
//! ratios to a `serde_json` skim (top-level members as `RawValue`) of the same bytes in the same
//! run, at most 3, and the allocations per event, at most 3.
//!
//! A name behind `--` runs one cell alone, for a profiler: `-- prose anthropic gemini`.

mod traffic;

use std::collections::HashMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use allocation_counter::measure;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::value::RawValue;
use tower_llm_gateway::protocol::translate::{self, RequestOptions, Transcoder};
use tower_llm_gateway::protocol::{Answer, Head, Protocol, Transcode};
use traffic::{CODE, Kind, PROSE};

const REQUEST: usize = 1 << 20;
const ANSWER: usize = 64 << 10;
const EVENTS: usize = 1000;

/// The yardstick: top-level members found, their values kept as they stand.
fn skim(body: &[u8]) {
    black_box(serde_json::from_slice::<HashMap<&str, &RawValue>>(body).expect("JSON").len());
}

fn request(from: Protocol, to: Protocol, body: &[u8]) {
    let headers = HeaderMap::from_iter([(
        HeaderName::from_static("x-dashscope-sse"),
        HeaderValue::from_static("enable"),
    )]);
    let path = match from {
        Protocol::Gemini => "/v1beta/models/gemini-3-pro:streamGenerateContent",
        Protocol::DashScope => "/api/v1/services/aigc/text-generation/generation",
        // The others say all in the body.
        _ => "",
    };
    let head = Head { path, query: None, headers: &headers };
    let options = RequestOptions { head: Some(head), ..RequestOptions::default() };
    black_box(translate::request(from, to, body, &options).expect("a translation"));
}

fn answer(from: Protocol, to: Protocol, body: &[u8]) {
    let answer = Answer::new("m", 1, 1);
    black_box(translate::response(from, to, body, answer).expect("a translation"));
}

/// A transcoder that is in the midst of a stream.
fn streaming(from: Protocol, to: Protocol, kind: Kind) -> Transcoder {
    let mut transcoder = Transcoder::new(from, to, Answer::new("m", 1, 1));
    let mut out = BytesMut::new();
    transcoder.push(traffic::stream_start(from, kind).as_bytes(), &mut out);
    for n in 0..10 {
        transcoder.push(traffic::stream_event(from, kind, n).as_bytes(), &mut out);
    }
    transcoder
}

fn push(transcoder: &mut Transcoder, events: &[String]) {
    let mut out = BytesMut::new();
    let mut sending = Bytes::new();
    for event in events {
        transcoder.push(event.as_bytes(), &mut out);
        // A connection still holds the piece before while this one is written.
        drop(black_box(std::mem::replace(&mut sending, out.split().freeze())));
    }
}

/// Seconds of the fastest of many runs of each, turn by turn, so that a slow time hits all alike.
fn best<const N: usize>(budget: Duration, mut runs: [&mut dyn FnMut() -> Duration; N]) -> [f64; N] {
    let mut best = [f64::MAX; N];
    let began = Instant::now();
    while began.elapsed() < budget {
        for (run, best) in runs.iter_mut().zip(&mut best) {
            *best = best.min(run().as_secs_f64());
        }
    }
    best
}

fn timed(run: impl FnOnce()) -> Duration {
    let began = Instant::now();
    run();
    began.elapsed()
}

/// Megabytes per second, and times the skim.
fn against_skim(budget: Duration, body: &[u8], translate: &dyn Fn(&[u8])) -> String {
    let [floor, cost] =
        best(budget, [&mut || timed(|| skim(body)), &mut || timed(|| translate(body))]);
    format!("{:>5.0} {:>5.2}", body.len() as f64 / cost / 1e6, cost / floor)
}

/// Nanoseconds and allocations per event.
fn per_event(budget: Duration, from: Protocol, to: Protocol, kind: Kind) -> String {
    let events: Vec<_> = (10..10 + EVENTS).map(|n| traffic::stream_event(from, kind, n)).collect();
    let begun = streaming(from, to, kind);
    let mut transcoder = begun.clone();
    let counted = measure(|| push(&mut transcoder, &events));
    let [time] = best(
        budget,
        [&mut || {
            let mut transcoder = begun.clone();
            timed(|| push(&mut transcoder, &events))
        }],
    );
    let events = EVENTS as f64;
    format!("{:>5.0} {:>4.1}", time * 1e9 / events, counted.count_total as f64 / events)
}

fn table(budget: Duration) {
    println!(
        "{:<35} {:>11} {:>11} {:>11} | {:>10} {:>10} {:>10}",
        "", "prose 1 MiB", "code 1 MiB", "answer", "text", "arguments", "thinking"
    );
    println!(
        "{:<35} {:>11} {:>11} {:>11} | {:>10} {:>10} {:>10}",
        "", "MB/s  skims", "MB/s  skims", "MB/s  skims", "ns  allocs", "ns  allocs", "ns  allocs"
    );
    for from in Protocol::ALL {
        let bodies = [PROSE, CODE].map(|text| traffic::request(from, REQUEST, text));
        let finished = traffic::answer(from, ANSWER, PROSE);
        for to in Protocol::ALL {
            let [prose, code] = bodies
                .each_ref()
                .map(|body| against_skim(budget, body.as_bytes(), &|body| request(from, to, body)));
            let answer = against_skim(budget, finished.as_bytes(), &|body| answer(from, to, body));
            let [text, arguments, thinking] =
                Kind::ALL.map(|kind| per_event(budget, from, to, kind));
            let pair = format!("{} to {}", from.as_str(), to.as_str());
            println!(
                "{pair:<35} {prose:>11} {code:>11} {answer:>11} | {text:>10} {arguments:>10} {thinking:>10}"
            );
        }
    }
}

/// One cell, a few times.
fn cell(what: &str, from: Protocol, to: Protocol) {
    let text = if what == "code" { CODE } else { PROSE };
    let kind = match what {
        "arguments" => Kind::Arguments,
        "thinking" => Kind::Thinking,
        _ => Kind::Text,
    };
    for _ in 0..3 {
        match what {
            "prose" | "code" => {
                request(from, to, traffic::request(from, REQUEST, text).as_bytes());
            }
            "skim" => skim(traffic::request(from, REQUEST, text).as_bytes()),
            "answer" => answer(from, to, traffic::answer(from, ANSWER, text).as_bytes()),
            _ => push(
                &mut streaming(from, to, kind),
                &(0..EVENTS).map(|n| traffic::stream_event(from, kind, n)).collect::<Vec<_>>(),
            ),
        }
    }
}

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).filter(|it| it != "--bench").collect();
    match arguments.as_slice() {
        [what, from, to] => {
            let protocol = |name: &str| name.parse().expect("the name of a protocol");
            cell(what, protocol(from), protocol(to));
        }
        [long] if long == "--long" => table(Duration::from_secs(1)),
        _ => table(Duration::from_millis(150)),
    }
}
