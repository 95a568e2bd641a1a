//! End to end over loopback sockets: what the layers cost, as ratios to a bare hyper proxy built
//! from the same parts in the same run.
//!
//! `cargo bench --bench proxy` prints a table; `-- --seconds 5 --rounds 5` measures longer. The
//! proxy has one thread, upstream and load share another. CPU is what the kernel charged to the
//! proxy's thread. Rounds of all modes are interleaved and the median stands, because machines
//! are noisy.

#![expect(clippy::disallowed_methods, reason = "a server spawns its connections")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceBuilder;
use tower_llm_gateway::context::{ChannelId, Upstream};
use tower_llm_gateway::layer::channel::{Channel, Channels};
use tower_llm_gateway::layer::key_pool::{KeyPool, KeyPools};
use tower_llm_gateway::layer::limit::Concurrency;
use tower_llm_gateway::protocol::Protocol;
use tower_llm_gateway::upstream::HttpUpstream;
use tower_llm_gateway::{
    ApiKeyAuthLayer, BoxError, CatchErrorLayer, ChannelLayer, FailoverLayer, FirstEventLayer,
    HopByHopFilterLayer, KeyPoolLayer, LimitLayer, ProviderTranslateLayer, SessionLayer,
    StatsLayer, SystemPromptLayer,
};

/// Events of one streamed answer.
const EVENTS: usize = 200;
const CONNECTIONS: usize = 64;
const STREAMS: usize = 32;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Proxy {
    Floor,
    Pass,
    Armed,
    Translate,
}

impl Proxy {
    const ALL: [Self; 4] = [Self::Floor, Self::Pass, Self::Armed, Self::Translate];

    fn name(self) -> &'static str {
        match self {
            Self::Floor => "bare hyper",
            Self::Pass => "layers, pass",
            Self::Armed => "all layers, failover armed",
            Self::Translate => "layers, Messages to Chat",
        }
    }

    /// All carry Chat, but for the last one, whose caller speaks Messages.
    fn path(self) -> &'static str {
        if self == Self::Translate { "/v1/messages" } else { "/v1/chat/completions" }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Load {
    /// 1 KB JSON both ways.
    Json,
    /// A stream of [`EVENTS`] events, each its own write.
    Stream,
}

#[derive(Default, Clone)]
struct Sample {
    per_second: f64,
    cpu_micros: f64,
    first_byte_micros: f64,
}

fn main() {
    let mut seconds = 2.0;
    let mut rounds = 5;
    let args: Vec<String> = std::env::args().collect();
    for pair in args.windows(2) {
        match pair[0].as_str() {
            "--seconds" => seconds = pair[1].parse().expect("--seconds takes a number"),
            "--rounds" => rounds = pair[1].parse().expect("--rounds takes a number"),
            _ => {}
        }
    }
    let upstream = serve_upstream();
    let proxies = Proxy::ALL.map(|proxy| serve(proxy, upstream));
    for (load, title, unit) in [
        (Load::Json, "1 KB JSON, 64 connections", "requests/s"),
        (Load::Stream, "streams, 32 at once", "events/s"),
    ] {
        let mut samples = vec![Vec::new(); proxies.len()];
        for _ in 0..rounds {
            for (running, samples) in proxies.iter().zip(&mut samples) {
                samples.push(measure(running, load, Duration::from_secs_f64(seconds)));
            }
        }
        print_table(title, unit, &proxies, &samples);
    }
}

fn print_table(title: &str, unit: &str, proxies: &[Running], samples: &[Vec<Sample>]) {
    let median = |samples: &[Sample], of: fn(&Sample) -> f64| {
        let mut values: Vec<f64> = samples.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    println!("\n{title}");
    println!(
        "{:<26} {:>11} {:>7} {:>12} {:>7} {:>14} {:>7}",
        "", unit, "ratio", "CPU µs each", "ratio", "first byte µs", "ratio"
    );
    let columns: [fn(&Sample) -> f64; 3] =
        [|s| s.per_second, |s| s.cpu_micros, |s| s.first_byte_micros];
    let floor = columns.map(|of| median(&samples[0], of));
    for (running, samples) in proxies.iter().zip(samples) {
        let [rate, cpu, first] = columns.map(|of| median(samples, of));
        println!(
            "{:<26} {:>11.0} {:>7.2} {:>12.2} {:>7.2} {:>14.0} {:>7.2}",
            running.proxy.name(),
            rate,
            rate / floor[0],
            cpu,
            cpu / floor[1],
            first,
            first / floor[2],
        );
    }
    let rate = |proxy| {
        let place = proxies.iter().position(|running| running.proxy == proxy);
        place.map_or(f64::NAN, |at| median(&samples[at], columns[0]))
    };
    let ratio = rate(Proxy::Armed) / rate(Proxy::Pass);
    println!("all layers, failover armed, to the passing layers alone: {ratio:.2} (goal 0.80)");
}

/// A proxy on a thread of its own.
struct Running {
    proxy: Proxy,
    address: SocketAddr,
    thread: String,
}

impl Running {
    /// Nanoseconds of CPU that its thread has had.
    fn cpu(&self) -> u64 {
        let stat =
            std::fs::read_to_string(format!("{}/schedstat", self.thread)).unwrap_or_default();
        stat.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0)
    }
}

fn serve(proxy: Proxy, upstream: SocketAddr) -> Running {
    let (send, receive) = std::sync::mpsc::channel();
    let thread = std::thread::Builder::new().name(proxy.name().to_owned());
    let spawned = thread.spawn(move || {
        let thread = std::fs::read_link("/proc/thread-self").expect("Linux has /proc");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let address = listener.local_addr().expect("an address");
            send.send((address, format!("/proc/{}", thread.display()))).expect("main waits");
            match proxy {
                Proxy::Floor => accept(listener, floor(upstream)).await,
                Proxy::Pass | Proxy::Translate => accept(listener, layers(upstream)).await,
                Proxy::Armed => accept(listener, all_layers(upstream)).await,
            }
        });
    });
    spawned.expect("a thread");
    let (address, thread) = receive.recv().expect("the thread says its address");
    Running { proxy, address, thread }
}

/// The bare proxy: the same server and client without a layer.
fn floor(
    upstream: SocketAddr,
) -> impl tower::Service<
    Request<Incoming>,
    Response = Response<Incoming>,
    Error = hyper_util::client::legacy::Error,
    Future = impl Send,
> + Clone
+ Send {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: Client<_, Incoming> = Client::builder(TokioExecutor::new()).build(connector);
    tower::service_fn(move |mut request: Request<Incoming>| {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let uri = format!("http://{upstream}{path}").parse().expect("a valid URL");
        *request.uri_mut() = uri;
        request.headers_mut().remove(http::header::HOST);
        client.request(request)
    })
}

/// The five layers as a gateway has them: a key on either side, and the example proxy's rule of the
/// system prompt, which reads Messages requests and lets Chat requests pass.
fn layers(
    address: SocketAddr,
) -> impl tower::Service<
    Request<Incoming>,
    Response = Response<impl Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static>,
    Error = Infallible,
    Future = impl Send,
> + Clone
+ Send {
    let upstream = Upstream::new(&format!("http://{address}"), Protocol::OpenAiChat);
    ServiceBuilder::new()
        .layer(StatsLayer::new())
        .layer(ApiKeyAuthLayer::new(["bench-key"]).expect("a good key"))
        .layer(SystemPromptLayer::claude_code("bench", false))
        .layer(ProviderTranslateLayer::to(
            upstream.expect("a good URL").key("upstream-key").expect("a good key"),
        ))
        .layer(HopByHopFilterLayer::new())
        .layer(CatchErrorLayer::new())
        .service(HttpUpstream::default())
}

/// All layers, with two channels of ten keys each, so that every answer is held until it has begun
/// well.
fn all_layers(
    address: SocketAddr,
) -> impl tower::Service<
    Request<Incoming>,
    Response = Response<impl Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static>,
    Error = Infallible,
    Future = impl Send,
> + Clone
+ Send {
    let pools = KeyPools::new();
    let channels = ["first", "second"].map(|id| {
        let keys = (0..10).map(|number| format!("{id}-upstream-key-{number}"));
        pools.set(ChannelId::new(id), KeyPool::new(keys).expect("good keys"));
        let upstream = Upstream::new(&format!("http://{address}"), Protocol::OpenAiChat);
        Channel::new(id, upstream.expect("a good URL"))
    });
    ServiceBuilder::new()
        .layer(StatsLayer::new())
        .layer(ApiKeyAuthLayer::new(["bench-key"]).expect("a good key"))
        .layer(LimitLayer::new().concurrency(Concurrency::new(1000)).max_body_bytes(50 << 20))
        .layer(SystemPromptLayer::claude_code("bench", false))
        .layer(SessionLayer::new())
        .layer(FailoverLayer::new())
        .layer(ChannelLayer::new(Channels::new(channels).expect("two names")))
        .layer(KeyPoolLayer::by_channel(pools))
        .layer(ProviderTranslateLayer::from_context())
        .layer(HopByHopFilterLayer::new())
        .layer(FirstEventLayer::new())
        .layer(CatchErrorLayer::new())
        .service(HttpUpstream::default())
}

async fn accept<S, B>(listener: TcpListener, service: S)
where
    S: tower::Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        stream.set_nodelay(true).expect("nodelay");
        let service = TowerToHyperService::new(service.clone());
        tokio::task::spawn(async move {
            let connection = hyper::server::conn::http1::Builder::new();
            let _ = connection.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// An upstream that costs next to nothing: raw HTTP/1.1, answers by the `x-load` header.
fn serve_upstream() -> SocketAddr {
    let (send, receive) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            send.send(listener.local_addr().expect("an address")).expect("main waits");
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                stream.set_nodelay(true).expect("nodelay");
                tokio::task::spawn(answer(stream));
            }
        });
    });
    receive.recv().expect("the thread says its address")
}

async fn answer(mut stream: TcpStream) {
    let text = "word ".repeat(160);
    let json = format!(
        r#"{{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"m","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}","refusal":null}},"logprobs":null,"finish_reason":"stop"}}],"usage":{{"prompt_tokens":5,"completion_tokens":160,"total_tokens":165}}}}"#
    );
    let whole = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{json}",
        json.len()
    );
    let chunk = |data: &str| {
        let event = format!("data: {data}\n\n");
        format!("{:x}\r\n{event}\r\n", event.len())
    };
    let delta = chunk(
        r#"{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":" word"},"finish_reason":null}]}"#,
    );
    let last = chunk(
        r#"{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
    ) + &chunk("[DONE]")
        + "0\r\n\r\n";
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut buffer = Vec::new();
    while let Some(head_end) = read_head(&mut stream, &mut buffer).await {
        let headers = String::from_utf8_lossy(&buffer[..head_end]).to_lowercase();
        let body = content_length(&headers);
        while buffer.len() < head_end + body {
            if stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
                return;
            }
        }
        buffer.drain(..head_end + body);
        if !headers.contains("x-load: stream") {
            if stream.write_all(whole.as_bytes()).await.is_err() {
                return;
            }
            continue;
        }
        let mut parts = vec![head];
        parts.extend(std::iter::repeat_n(delta.as_str(), EVENTS));
        parts.push(&last);
        for part in parts {
            if stream.write_all(part.as_bytes()).await.is_err() {
                return;
            }
            tokio::task::yield_now().await;
        }
    }
}

/// Index behind the blank line; `None` when the peer is gone.
async fn read_head(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<usize> {
    loop {
        if let Some(at) = memchr::memmem::find(buffer, b"\r\n\r\n") {
            return Some(at + 4);
        }
        if stream.read_buf(buffer).await.unwrap_or(0) == 0 {
            return None;
        }
    }
}

fn content_length(headers: &str) -> usize {
    let line = headers.lines().find_map(|line| line.strip_prefix("content-length:"));
    line.and_then(|n| n.trim().parse().ok()).unwrap_or(0)
}

fn request_bytes(proxy: Proxy, load: Load) -> Vec<u8> {
    let text = "word ".repeat(160);
    let (stream, load) = match load {
        Load::Json => ("", "json"),
        Load::Stream => (r#","stream":true"#, "stream"),
    };
    let body = format!(
        r#"{{"model":"m","max_tokens":512{stream},"messages":[{{"role":"user","content":"{text}"}}]}}"#
    );
    let path = proxy.path();
    format!(
        "POST {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer bench-key\r\ncontent-type: application/json\r\naccept: application/json\r\nuser-agent: bench\r\nx-load: {load}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Loads one proxy for a while.
fn measure(running: &Running, load: Load, time: Duration) -> Sample {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let request: Arc<[u8]> = request_bytes(running.proxy, load).into();
    let first_byte = runtime.block_on(first_byte(running.address, &request));
    let stop = Arc::new(AtomicBool::new(false));
    let done = Arc::new(AtomicU64::new(0));
    let (clients, each) = match load {
        Load::Json => (CONNECTIONS, 1),
        Load::Stream => (STREAMS, EVENTS as u64),
    };
    let (cpu, began) = (running.cpu(), Instant::now());
    runtime.block_on(async {
        let clients: Vec<_> = (0..clients)
            .map(|_| {
                let (request, stop, done) = (request.clone(), stop.clone(), done.clone());
                tokio::task::spawn(client(running.address, request, stop, done))
            })
            .collect();
        tokio::time::sleep(time).await;
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            client.await.expect("a client ends well");
        }
    });
    let units = (done.load(Ordering::Relaxed) * each) as f64;
    Sample {
        per_second: units / began.elapsed().as_secs_f64(),
        cpu_micros: (running.cpu() - cpu) as f64 / 1000.0 / units,
        first_byte_micros: first_byte,
    }
}

async fn client(
    address: SocketAddr,
    request: Arc<[u8]>,
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
) {
    let mut stream = TcpStream::connect(address).await.expect("the proxy accepts");
    stream.set_nodelay(true).expect("nodelay");
    let mut buffer = Vec::with_capacity(64 << 10);
    while !stop.load(Ordering::Relaxed) {
        stream.write_all(&request).await.expect("the proxy reads");
        read_answer(&mut stream, &mut buffer).await;
        done.fetch_add(1, Ordering::Relaxed);
    }
}

async fn read_answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) {
    let head = read_head(stream, buffer).await.expect("an answer");
    assert!(buffer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(buffer));
    let headers = String::from_utf8_lossy(&buffer[..head]).to_lowercase();
    let length = content_length(&headers);
    let chunked = headers.contains("chunked");
    while if chunked { !buffer.ends_with(b"\r\n0\r\n\r\n") } else { buffer.len() < head + length } {
        // Only the end of a stream matters; what came before it may go.
        if chunked && buffer.len() > 32 << 10 {
            let keep = buffer.len() - 16;
            buffer.drain(..keep);
        }
        assert_ne!(stream.read_buf(buffer).await.expect("the proxy writes"), 0, "cut short");
    }
    buffer.clear();
}

/// Median microseconds from a lone request to the first byte of its answer.
async fn first_byte(address: SocketAddr, request: &[u8]) -> f64 {
    let mut stream = TcpStream::connect(address).await.expect("the proxy accepts");
    stream.set_nodelay(true).expect("nodelay");
    let mut buffer = Vec::with_capacity(64 << 10);
    let mut times = Vec::new();
    for _ in 0..300 {
        let began = Instant::now();
        stream.write_all(request).await.expect("the proxy reads");
        stream.read_buf(&mut buffer).await.expect("an answer");
        times.push(began.elapsed().as_secs_f64() * 1e6);
        read_answer(&mut stream, &mut buffer).await;
    }
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
