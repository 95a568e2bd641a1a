//! Memory by count, not by clock: allocations per event, and a long stream that must not grow.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

#[path = "../benches/traffic/mod.rs"]
mod traffic;

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use allocation_counter::measure;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_llm_gateway::context::Upstream;
use tower_llm_gateway::layer::request_log::RequestLog;
use tower_llm_gateway::protocol::Transcode;
use tower_llm_gateway::protocol::translate::{MAX_DEPOSIT, Transcoder};
use tower_llm_gateway::protocol::{Answer, Protocol};
use tower_llm_gateway::record::{Begun, Record, RecordLayer, Sink};
use tower_llm_gateway::store::MemoryRequestLog;
use tower_llm_gateway::{ProviderTranslateLayer, StatsLayer};
use traffic::Kind;

const CHAT_START: &str = r#"data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}

"#;
const CHAT_TEXT: &str = r#"data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":" some words"},"finish_reason":null}]}

"#;
const CHAT_END: &str = r#"data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}

data: [DONE]

"#;

/// What an event may cost.
const MOST_ALLOCATIONS: f64 = 3.0;

/// Allocations per event in the steady state, out buffer and its hand-over included, and how many
/// bytes came out.
fn allocations_per_event(from: Protocol, to: Protocol, kind: Kind) -> (f64, usize) {
    const EVENTS: usize = 1000;
    let mut transcoder = Transcoder::new(from, to, Answer::new("m", 1, 1));
    let mut out = BytesMut::new();
    transcoder.push(traffic::stream_start(from, kind).as_bytes(), &mut out);
    let events: Vec<_> = (0..10 + EVENTS).map(|n| traffic::stream_event(from, kind, n)).collect();
    let mut push = |events: &[String]| {
        let mut written = 0;
        let mut sending = Bytes::new();
        for event in events {
            transcoder.push(event.as_bytes(), &mut out);
            written += out.len();
            // A connection still holds the piece before while this one is written.
            drop(std::mem::replace(&mut sending, out.split().freeze()));
        }
        written
    };
    push(&events[..10]);
    let mut written = 0;
    let counted = measure(|| written = push(&events[10..]));
    assert!(!transcoder.is_done(), "{from} to {to}, {kind:?}: the stream goes on");
    (counted.count_total as f64 / EVENTS as f64, written / EVENTS)
}

#[test]
fn an_event_of_any_pair_costs_at_most_three_allocations() {
    println!("{:<35} {:>9} {:>9} {:>9}", "allocations per event", "text", "arguments", "thinking");
    let mut costly = Vec::new();
    for from in Protocol::ALL {
        for to in Protocol::ALL {
            let counts = Kind::ALL.map(|kind| {
                let (count, written) = allocations_per_event(from, to, kind);
                // Gemini has its calls whole.
                let late = kind == Kind::Arguments && [from, to].contains(&Protocol::Gemini);
                assert!(late || written > 20, "{from} to {to}, {kind:?}: {written} bytes an event");
                count
            });
            let [text, arguments, thinking] = counts;
            let pair = format!("{from} to {to}");
            println!("{pair:<35} {text:>9.2} {arguments:>9.2} {thinking:>9.2}");
            if counts.iter().any(|count| *count > MOST_ALLOCATIONS) {
                costly.push((pair, counts));
            }
        }
    }
    assert!(costly.is_empty(), "{costly:?}");
}

/// The most memory that a stream of so many events holds at once.
fn held(from: Protocol, to: Protocol, kind: Kind, events: usize) -> u64 {
    let counted = measure(|| {
        let mut transcoder = Transcoder::new(from, to, Answer::new("m", 1, 1));
        let mut out = BytesMut::new();
        transcoder.push(traffic::stream_start(from, kind).as_bytes(), &mut out);
        for n in 0..events {
            transcoder.push(traffic::stream_event(from, kind, n).as_bytes(), &mut out);
            drop(out.split());
        }
        assert!(!transcoder.is_done(), "{from} to {to}, {kind:?}: the stream goes on");
    });
    counted.bytes_max
}

#[test]
fn a_long_stream_is_flat_where_the_grammar_repeats_nothing() {
    const SHORT: usize = 1_000;
    const LONG: usize = 10_000;
    for from in Protocol::ALL {
        for to in Protocol::ALL {
            for kind in Kind::ALL {
                let repeats = to == Protocol::OpenAiResponses
                    || (kind == Kind::Arguments && [from, to].contains(&Protocol::Gemini));
                // What thinking must be kept for the next request, up to `MAX_DEPOSIT`.
                let keeps = kind == Kind::Thinking
                    && from != to
                    && matches!(to, Protocol::OpenAiChat | Protocol::DashScope);
                let short = held(from, to, kind, SHORT);
                let long = held(from, to, kind, LONG);
                println!("{from} to {to}, {kind:?}: {short} bytes, {long} of a long stream");
                let more = if keeps { 4 * MAX_DEPOSIT as u64 } else { 1024 };
                assert!(
                    repeats || long <= short + more,
                    "{from} to {to}, {kind:?}: {short} grew to {long}"
                );
            }
        }
    }
}

/// A body that makes its frames as it is read: a start, `events` times one event, an end.
struct Generated {
    start: Option<&'static str>,
    event: &'static str,
    left: usize,
    end: Option<&'static str>,
}

impl Body for Generated {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = if let Some(start) = self.start.take() {
            Some(start)
        } else if self.left > 0 {
            self.left -= 1;
            Some(self.event)
        } else {
            self.end.take()
        };
        Poll::Ready(data.map(|data| Ok(Frame::data(Bytes::from_static(data.as_bytes())))))
    }
}

/// Streams `bytes` of an upstream's answer through stats and translation; gives the most memory
/// that was held at once, in bytes above the start.
fn peak(bytes: usize, path: &'static str, upstream: Protocol) -> u64 {
    let upstream = Upstream::new("http://upstream", upstream).unwrap();
    let mut seen = 0;
    let counted = measure(|| {
        tokio_test::block_on(async {
            let service = ServiceBuilder::new()
                .layer(StatsLayer::new())
                .layer(ProviderTranslateLayer::to(upstream))
                .service(service_fn(async |_request| {
                    let body = Generated {
                        start: Some(CHAT_START),
                        event: CHAT_TEXT,
                        left: bytes / CHAT_TEXT.len(),
                        end: Some(CHAT_END),
                    };
                    let response = Response::builder().header("content-type", "text/event-stream");
                    Ok::<_, Infallible>(response.body(body).unwrap())
                }));
            let body = r#"{"model":"m","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"x"}]}"#;
            let request = Request::post(path).body(Full::new(Bytes::from(body))).unwrap();
            let mut body = std::pin::pin!(service.oneshot(request).await.unwrap().into_body());
            while let Some(frame) = body.frame().await {
                seen += frame.unwrap().into_data().map_or(0, |data| data.len());
            }
        });
    });
    assert!(seen > bytes / 4, "the stream came through: {seen}");
    counted.bytes_max
}

#[test]
fn a_64_mib_stream_is_flat() {
    for (name, path) in [("translated", "/v1/messages"), ("passed", "/v1/chat/completions")] {
        let short = peak(64 << 10, path, Protocol::OpenAiChat);
        let long = peak(64 << 20, path, Protocol::OpenAiChat);
        println!("{name}: {short} bytes at most for 64 KiB, {long} for 64 MiB");
        assert!(long <= short + 4096, "{name}: {short} grew to {long}");
        assert!(long < 256 << 10, "{name}: {long}");
    }
}

/// Who only counts.
struct Nothing;

impl Sink for Nothing {
    type Open = ();

    fn begun(&self, _: &Arc<Begun>, _: &mut HeaderMap) {}

    fn ended(&self, (): (), _: &Arc<Record>) {}
}

/// Requests of one thread, begun and ended.
fn allocations_of_requests(layer: &RecordLayer<impl Sink>, requests: u64) -> u64 {
    let pass = || {
        let inner = service_fn(|_| {
            std::future::ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())))
        });
        let request = Request::post("/v1/messages").body(Full::<Bytes>::default()).unwrap();
        tokio_test::block_on(layer.layer(inner).oneshot(request)).unwrap()
    };
    drop(pass());
    measure(|| (0..requests).for_each(|_| drop(pass()))).count_total
}

/// To log a request is to put a reference into a queue: its blocks of 32 places are all it costs.
#[test]
fn the_request_log_allocates_nothing_for_a_request() {
    const REQUESTS: u64 = 320;
    let (log, _worker) = RequestLog::new(MemoryRequestLog::new());
    let bare = allocations_of_requests(&RecordLayer::new(Nothing), REQUESTS);
    let logged = allocations_of_requests(&RecordLayer::new(log), REQUESTS);
    println!("{REQUESTS} requests: {bare} allocations, with the log {logged}");
    assert!(logged <= bare + REQUESTS / 32 + 2, "{bare} and {logged}");
}
