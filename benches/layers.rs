//! What each part costs by itself.
//!
//! `cargo bench --bench layers` runs criterion, and first prints the ratios that the project holds
//! itself to: an edit or a translation against a `serde_json` skim of the same body in the same
//! run (top-level members as `RawValue`), best of many, because machines are noisy.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::hint::black_box;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use allocation_counter::measure;
use bytes::{Bytes, BytesMut};
use criterion::{BenchmarkId, Criterion, Throughput};
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::Full;
use serde_json::value::RawValue;
use tower::{Layer, Service, ServiceExt};
use tower_llm_gateway::context::{ChannelId, Exchange, Principal, Upstream};
use tower_llm_gateway::layer::stats::Stats;
use tower_llm_gateway::protocol::Transcode;
use tower_llm_gateway::protocol::edit::{Outline, SystemEdit};
use tower_llm_gateway::protocol::model::Usage;
use tower_llm_gateway::protocol::translate::{self, RequestOptions, Transcoder};
use tower_llm_gateway::protocol::{Answer, Protocol};
use tower_llm_gateway::record::RecordLayer;
use tower_llm_gateway::store::LogFilter;
use tower_llm_gateway::{
    ApiKeyAuthLayer, CatchErrorLayer, FirstEventLayer, HopByHopFilterLayer, LiveLogLayer,
    ProviderTranslateLayer, StatsLayer, SystemPromptLayer,
};

const SIZES: [(&str, usize); 3] = [("1 KB", 1 << 10), ("100 KB", 100 << 10), ("1 MiB", 1 << 20)];

/// Long texts: prose with a line break now and then.
const PROSE: &str =
    "The quick brown fox jumps over the lazy dog, and the dog does not mind at all. ";

/// Source code in JSON: quotes, backslashes, tabs and line breaks everywhere.
const CODE: &str =
    "\tif name == \"x\" {\n\t\treturn fmt.Errorf(\"bad \\\"%s\\\"\\n\", name)\n\t}\n";

/// A Messages request of about `size` bytes: a system prompt, a tool, and turns of 8 KB at most.
fn request(size: usize, text: &str) -> Vec<u8> {
    let turn = text.repeat((8 << 10) / text.len() + 1);
    let mut messages = Vec::new();
    let mut left = size.saturating_sub(400);
    while left > 0 || messages.is_empty() {
        let end = left.clamp(1, turn.len());
        let content = &turn[..end];
        let role = if messages.len() % 2 == 0 { "user" } else { "assistant" };
        let message = serde_json::json!({"role": role, "content": content});
        left = left.saturating_sub(message.to_string().len());
        messages.push(message);
    }
    let body = serde_json::json!({
        "model": "claude-sonnet", "max_tokens": 1024, "stream": true,
        "system": [{"type": "text", "text": "You are a bench.", "cache_control": {"type": "ephemeral"}}],
        "tools": [{"name": "f", "description": "does it", "input_schema": {"type": "object", "properties": {"a": {"type": "string"}}}}],
        "messages": messages,
    });
    body.to_string().into_bytes()
}

/// The yardstick: top-level members found, their values kept as they stand.
fn skim(body: &[u8]) -> usize {
    serde_json::from_slice::<HashMap<&str, &RawValue>>(body).expect("JSON").len()
}

fn splice(body: &[u8], edit: &SystemEdit) {
    let outline = Outline::read(Protocol::Anthropic, body).expect("JSON");
    let _ = black_box(outline.edit_system(edit).expect("an edit"));
}

fn translate(body: &[u8]) {
    let options = RequestOptions::default();
    let translated = translate::request(Protocol::Anthropic, Protocol::OpenAiChat, body, &options);
    black_box(translated.expect("a translation"));
}

/// Seconds of the fastest of many runs.
fn best(mut run: impl FnMut()) -> f64 {
    let began = Instant::now();
    let mut best = f64::MAX;
    while began.elapsed() < Duration::from_millis(400) {
        let one = Instant::now();
        run();
        best = best.min(one.elapsed().as_secs_f64());
    }
    best
}

fn ratios() {
    println!("{:<28} {:>10} {:>18} {:>22}", "body", "skim µs", "splice / skim", "translate / skim");
    let edit = SystemEdit::Append("Be brief.".into());
    for (kind, text) in [("prose", PROSE), ("code", CODE)] {
        for (name, size) in SIZES {
            let body = request(size, text);
            let floor = best(|| {
                black_box(skim(&body));
            });
            let spliced = best(|| splice(&body, &edit));
            let translated = best(|| translate(&body));
            println!(
                "{:<28} {:>10.2} {:>18.2} {:>22.2}",
                format!("{kind}, {name}"),
                floor * 1e6,
                spliced / floor,
                translated / floor,
            );
        }
    }
    println!("\n{:<28} {:>14} {:>14}", "layer around a ready service", "ns", "allocations");
    let (bare, known) = (cost(&Inner), cost(&Known));
    println!("{:<28} {:>14.0} {:>14.1}", "none", bare.0, bare.1);
    let row = |name: &str, (time, count): (f64, f64)| {
        println!("{name:<28} {:>+14.0} {:>+14.1}", time - bare.0, count - bare.1);
    };
    let upstream = || Upstream::new("http://upstream", Protocol::OpenAiChat).expect("a URL");
    row("StatsLayer", cost(&StatsLayer::new().layer(Inner)));
    let told = |sink: Option<Stats>| cost(&RecordLayer::new(sink).layer(Known));
    let (untold, books) = (told(None), told(Some(Stats::new())));
    row("RecordLayer, all known", (untold.0 - known.0 + bare.0, untold.1 - known.1 + bare.1));
    row("its books, all known", (books.0 - untold.0 + bare.0, books.1 - untold.1 + bare.1));
    let log = LiveLogLayer::new();
    row("LiveLogLayer", cost(&log.layer(Inner)));
    let listener = log.log().subscribe(LogFilter::default()).expect("a subscription");
    row("LiveLogLayer, one listens", cost(&log.layer(Inner)));
    drop(listener);
    row("ApiKeyAuthLayer", cost(&ApiKeyAuthLayer::new(["bench-key"]).expect("a key").layer(Inner)));
    row("SystemPromptLayer, append", cost(&SystemPromptLayer::append("Be brief.").layer(Inner)));
    row("ProviderTranslateLayer, same", cost(&ProviderTranslateLayer::to(upstream()).layer(Inner)));
    row("HopByHopFilterLayer", cost(&HopByHopFilterLayer::new().layer(Inner)));
    row("CatchErrorLayer", cost(&CatchErrorLayer::new().layer(Inner)));
    row("FirstEventLayer", cost(&FirstEventLayer::new().layer(Inner)));
    println!("\n{:<28} {:>14} {:>14}", "stream of 1,000 events", "ns an event", "allocations");
    for (name, (time, count)) in [
        ("none", stream_cost(&Streaming)),
        ("StatsLayer", stream_cost(&StatsLayer::new().layer(Streaming))),
        ("FirstEventLayer", stream_cost(&FirstEventLayer::new().layer(Streaming))),
    ] {
        println!("{name:<28} {:>14.1} {count:>14.1}", time / EVENTS as f64);
    }
    println!();
}

/// Events of a stream.
const EVENTS: usize = 1000;

const CHUNK: &[u8] = b"data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" some words\"},\"finish_reason\":null}]}\n\n";

/// The innermost service of streams.
#[derive(Clone)]
struct Streaming;

impl<B> Service<Request<B>> for Streaming {
    type Response = Response<Events>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        let response = Response::builder().header("content-type", "text/event-stream");
        ready(Ok(response.body(Events { left: EVENTS }).expect("a response")))
    }
}

/// Chunks, and then the mark of the end.
struct Events {
    left: usize,
}

impl http_body::Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(left) = self.left.checked_sub(1) else { return Poll::Ready(None) };
        self.left = left;
        let data: &'static [u8] = if left == 0 { b"data: [DONE]\n\n" } else { CHUNK };
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(data)))))
    }
}

/// Reads one stream, held until its first event as one that could be repeated elsewhere.
fn read_stream<S, C>(service: &S)
where
    S: Service<Request<Full<Bytes>>, Response = Response<C>> + Clone,
    S::Error: std::fmt::Debug,
    C: http_body::Body<Data = Bytes>,
    C::Error: std::fmt::Debug,
{
    let mut request =
        Request::post("/v1/chat/completions").body(Full::default()).expect("a request");
    let exchange = Exchange::of(request.extensions_mut());
    let attempt = exchange.attempt_of(request.extensions_mut());
    exchange.update_attempt(attempt, |attempt| {
        attempt.may_repeat = true;
        attempt.more_channels = true;
    });
    at_once(async {
        let response = service.clone().oneshot(request).await.expect("an answer");
        let mut body = std::pin::pin!(response.into_body());
        while let Some(frame) = http_body_util::BodyExt::frame(&mut body).await {
            black_box(frame.expect("a frame"));
        }
    });
}

/// Nanoseconds and allocations of one stream.
fn stream_cost<S, C>(service: &S) -> (f64, f64)
where
    S: Service<Request<Full<Bytes>>, Response = Response<C>> + Clone,
    S::Error: std::fmt::Debug,
    C: http_body::Body<Data = Bytes>,
    C::Error: std::fmt::Debug,
{
    let allocations = measure(|| read_stream(service)).count_total as f64;
    (best(|| read_stream(service)) * 1e9, allocations)
}

/// The innermost service: ready, and done at once.
#[derive(Clone)]
struct Inner;

impl<B> Service<Request<B>> for Inner {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        let body = Bytes::from_static(br#"{"id":"c","choices":[],"usage":{"prompt_tokens":1}}"#);
        let response = Response::builder().header("content-type", "application/json");
        ready(Ok(response.body(Full::new(body)).expect("a response")))
    }
}

/// The same, and whatever a whole gateway would know of the request.
#[derive(Clone)]
struct Known;

impl<B> Service<Request<B>> for Known {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let exchange = Exchange::of(request.extensions_mut());
        let attempt = exchange.begin_attempt(request.extensions_mut());
        exchange.update(|facts| {
            facts.principal = Some(Principal::new("team"));
            facts.upstream_model = Some("gpt-5-mini-2025-08-07".into());
            facts.upstream_protocol = Some(Protocol::OpenAiChat);
            facts.usage = Some(Usage { input: 1000, output: 100, ..Usage::default() });
        });
        exchange.update_attempt(attempt, |attempt| {
            attempt.channel = Some(ChannelId::new("main"));
            attempt.key = Some("sk-12345***cdef".into());
            attempt.key_id = Some("0123456789abcdef".into());
            attempt.status = Some(StatusCode::OK);
        });
        Inner.call(request)
    }
}

/// Runs what never waits, without what a runtime would cost.
fn at_once(future: impl Future<Output = ()>) {
    let waker = Waker::noop();
    let polled = std::pin::pin!(future).poll(&mut Context::from_waker(waker));
    assert!(polled.is_ready(), "nothing here waits");
}

/// Nanoseconds and allocations of one request of 1 KB, its response body read and all.
fn cost<S, C>(service: &S) -> (f64, f64)
where
    S: Service<Request<Full<Bytes>>, Response = Response<C>> + Clone,
    S::Error: std::fmt::Debug,
    C: http_body::Body<Data = Bytes>,
    C::Error: std::fmt::Debug,
{
    const TIMES: u32 = 200;
    let body = Bytes::from(
        String::from_utf8(request(1 << 10, PROSE)).expect("UTF-8").replace("claude", "gpt"),
    );
    let run = || {
        for _ in 0..TIMES {
            let request = Request::post("/v1/chat/completions")
                .header("authorization", "Bearer bench-key")
                .header("content-type", "application/json")
                .body(Full::new(body.clone()))
                .expect("a request");
            at_once(async {
                let response = service.clone().oneshot(request).await.expect("an answer");
                let mut body = std::pin::pin!(response.into_body());
                while let Some(frame) = http_body_util::BodyExt::frame(&mut body).await {
                    black_box(frame.expect("a frame"));
                }
            });
        }
    };
    let allocations = measure(run).count_total as f64 / f64::from(TIMES);
    (best(run) * 1e9 / f64::from(TIMES), allocations)
}

fn criterion_benches(criterion: &mut Criterion) {
    let edit = SystemEdit::Append("Be brief.".into());
    for (kind, text) in [("prose", PROSE), ("code", CODE)] {
        let mut group = criterion.benchmark_group(format!("request of {kind}"));
        for (name, size) in SIZES {
            let body = request(size, text);
            group.throughput(Throughput::Bytes(body.len() as u64));
            group.bench_with_input(BenchmarkId::new("skim", name), &body, |b, body| {
                b.iter(|| skim(body));
            });
            group.bench_with_input(BenchmarkId::new("splice", name), &body, |b, body| {
                b.iter(|| splice(body, &edit));
            });
            group.bench_with_input(BenchmarkId::new("translate", name), &body, |b, body| {
                b.iter(|| translate(body));
            });
        }
        group.finish();
    }
    stream_benches(criterion);
    let mut group = criterion.benchmark_group("stream passing a layer, by event");
    group.throughput(Throughput::Elements(EVENTS as u64));
    group.bench_function("none", |b| b.iter(|| read_stream(&Streaming)));
    let service = FirstEventLayer::new().layer(Streaming);
    group.bench_function("FirstEventLayer", |b| b.iter(|| read_stream(&service)));
    group.finish();
}

fn stream_benches(criterion: &mut Criterion) {
    let chat = format!(
        "data: {}\n\n",
        r#"{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":" some words"},"finish_reason":null}]}"#
    );
    let messages = format!(
        "event: content_block_delta\ndata: {}\n\n",
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" some words"}}"#
    );
    let messages_start = r#"event: message_start
data: {"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

"#;
    let mut group = criterion.benchmark_group("stream, one event at a time");
    for (name, from, to, start, event) in [
        ("Chat to Messages", Protocol::OpenAiChat, Protocol::Anthropic, chat.as_str(), &chat),
        ("Messages to Chat", Protocol::Anthropic, Protocol::OpenAiChat, messages_start, &messages),
    ] {
        let mut transcoder = Transcoder::new(from, to, Answer::new("m", 1, 1));
        let mut out = BytesMut::new();
        transcoder.push(start.as_bytes(), &mut out);
        group.throughput(Throughput::Bytes(event.len() as u64));
        group.bench_function(name, |b| {
            b.iter(|| {
                transcoder.push(event.as_bytes(), &mut out);
                out.split().freeze()
            });
        });
    }
    group.finish();
}

fn main() {
    ratios();
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20)
        .configure_from_args();
    criterion_benches(&mut criterion);
    criterion.final_summary();
}
