//! A scripted upstream: raw TCP, where a test decides each byte, each silence and each end.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::refusing::Refusing;

/// So little is under way on a socket that a reader who stops is felt at once.
pub(crate) const SOCKET_BUFFER: u32 = 16 << 10;

/// What is done on a connection once a request is there. After the last step the next request is
/// awaited.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Send(String),
    Bytes(&'static [u8]),
    Wait(Duration),
    /// Says nothing until the gateway hangs up.
    Stall,
    Close,
    Reset,
}

pub(crate) type Script = Vec<Step>;

struct Moods {
    scripts: Vec<Script>,
    rng: Mutex<fastrand::Rng>,
}

impl Moods {
    fn next(&self) -> &Script {
        let number = self.rng.lock().unwrap().usize(..self.scripts.len());
        &self.scripts[number]
    }
}

#[derive(Debug, Default)]
struct Counts {
    requests: AtomicUsize,
    open: AtomicUsize,
    accepted: AtomicUsize,
    written: AtomicU64,
}

/// Holds its port and its connections until it is dropped.
pub(crate) struct Vendor {
    address: SocketAddr,
    counts: Arc<Counts>,
    _refusing: Option<Refusing>,
    _serving: JoinSet<()>,
}

impl Vendor {
    /// Answers every request with this script.
    pub(crate) fn start(script: Script) -> Self {
        Self::moody(vec![script], 0)
    }

    /// Answers each request with any of these scripts.
    pub(crate) fn moody(scripts: Vec<Script>, seed: u64) -> Self {
        let moods = Moods { scripts, rng: Mutex::new(fastrand::Rng::with_seed(seed)) };
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        socket.set_send_buffer_size(SOCKET_BUFFER).unwrap();
        let listener = socket.listen(1024).unwrap();
        let address = listener.local_addr().unwrap();
        let counts = Arc::<Counts>::default();
        let mut serving = JoinSet::new();
        serving.spawn(accept(listener, Arc::new(moods), counts.clone()));
        Self { address, counts, _refusing: None, _serving: serving }
    }

    /// Nobody listens there.
    pub(crate) fn refusing() -> Self {
        let refusing = Refusing::new();
        Self {
            address: refusing.address(),
            counts: Arc::default(),
            _refusing: Some(refusing),
            _serving: JoinSet::new(),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Whole requests that have come.
    pub(crate) fn requests(&self) -> usize {
        self.counts.requests.load(Ordering::SeqCst)
    }

    /// Connections there were.
    pub(crate) fn accepted(&self) -> usize {
        self.counts.accepted.load(Ordering::SeqCst)
    }

    /// Connections that are open.
    pub(crate) fn open(&self) -> usize {
        self.counts.open.load(Ordering::SeqCst)
    }

    /// Bytes of answers that the sockets took.
    pub(crate) fn written(&self) -> u64 {
        self.counts.written.load(Ordering::SeqCst)
    }
}

async fn accept(listener: TcpListener, moods: Arc<Moods>, counts: Arc<Counts>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((mut stream, _)) = listener.accept().await else { continue };
        stream.set_nodelay(true).unwrap();
        counts.open.fetch_add(1, Ordering::SeqCst);
        counts.accepted.fetch_add(1, Ordering::SeqCst);
        let (moods, counts) = (moods.clone(), counts.clone());
        connections.spawn(async move {
            // However it ends, the connection is closed.
            let _ = converse(&mut stream, &moods, &counts).await;
            drop(stream);
            counts.open.fetch_sub(1, Ordering::SeqCst);
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn converse(stream: &mut TcpStream, moods: &Moods, counts: &Counts) -> io::Result<()> {
    let mut buffer = Vec::new();
    loop {
        read_request(stream, &mut buffer).await?;
        counts.requests.fetch_add(1, Ordering::SeqCst);
        for step in moods.next() {
            match step {
                Step::Send(text) => send(stream, text.as_bytes(), counts).await?,
                Step::Bytes(bytes) => send(stream, bytes, counts).await?,
                Step::Wait(time) => tokio::time::sleep(*time).await,
                Step::Stall => return hangs_up(stream).await,
                Step::Close => return Ok(()),
                Step::Reset => return stream.set_zero_linger(),
            }
        }
    }
}

async fn send(stream: &mut TcpStream, mut bytes: &[u8], counts: &Counts) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = stream.write(bytes).await?;
        counts.written.fetch_add(written as u64, Ordering::SeqCst);
        bytes = &bytes[written..];
    }
    Ok(())
}

/// The gateway never sends a second request while it waits for an answer.
async fn hangs_up(stream: &mut TcpStream) -> io::Result<()> {
    let read = stream.read_u8().await;
    assert!(read.is_err(), "a request was sent into an unfinished answer");
    Ok(())
}

/// Reads up to the end of one request.
async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<()> {
    const HEAD_END: &[u8] = b"\r\n\r\n";
    const LAST_CHUNK: &[u8] = b"\r\n0\r\n\r\n";
    let ends = |buffer: &[u8], mark: &[u8]| {
        buffer.windows(mark.len()).position(|window| window == mark).map(|at| at + mark.len())
    };
    loop {
        let whole = ends(buffer, HEAD_END).and_then(|head| {
            let text = String::from_utf8_lossy(&buffer[..head]).to_lowercase();
            let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
            match length.map(|length| length.trim().parse::<usize>().unwrap()) {
                Some(length) => (buffer.len() >= head + length).then_some(head + length),
                None => ends(buffer, LAST_CHUNK),
            }
        });
        if let Some(whole) = whole {
            buffer.drain(..whole);
            return Ok(());
        }
        if stream.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}
