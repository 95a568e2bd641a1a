//! What is asked of the proxies, and what is measured of them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::server::Running;
use crate::wire::{content_length, read_head};
use crate::{EVENTS, Proxy};

/// Clients at once, of whole answers and of streams.
const CONNECTIONS: usize = 64;
const STREAMS: usize = 32;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Load {
    /// 1 KB JSON both ways.
    Json,
    /// A stream of [`EVENTS`] events, each its own write.
    Stream,
}

impl Load {
    /// As the command line has it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Stream => "streams",
        }
    }

    pub(crate) fn title(self) -> String {
        match self {
            Self::Json => format!("1 KB JSON, {CONNECTIONS} connections"),
            Self::Stream => format!("streams, {STREAMS} at once"),
        }
    }

    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::Json => "requests/s",
            Self::Stream => "events/s",
        }
    }
}

#[derive(Default, Clone)]
pub(crate) struct Sample {
    pub(crate) per_second: f64,
    pub(crate) cpu_micros: f64,
    pub(crate) first_byte_micros: f64,
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
pub(crate) fn measure(running: &Running, load: Load, time: Duration) -> Sample {
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
