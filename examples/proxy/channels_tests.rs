//! Channels before real sockets.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::routing::any;
use http::{Request, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use tower::ServiceExt;
use tower_llm_gateway::upstream::HttpUpstream;

use super::*;
use crate::environment::Environment;
use crate::gateway::Gateway;
use crate::server;

/// What is waited for comes long before; it makes a hanging test fail.
const LIMIT: Duration = Duration::from_secs(20);

/// A running proxy.
struct Proxy {
    url: String,
    folder: Option<PathBuf>,
    running: JoinSet<io::Result<()>>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.folder.iter().for_each(|folder| drop(fs::remove_dir_all(folder)));
    }
}

impl Proxy {
    async fn start(pairs: &[(&str, &str)]) -> Self {
        let settings = Settings::read(&pairs.iter().copied().collect::<Environment>()).unwrap();
        let mut running = JoinSet::new();
        let routing = Routing::start(&settings, &Records::in_memory(), &mut running).await.unwrap();
        let gateway = Gateway::new(&settings, &routing, &Records::in_memory()).unwrap();
        let app = server::routes(&settings, gateway);
        Self { url: serve(app, &mut running).await, folder: None, running }
    }

    /// Before the channels of this file, in a folder of its own.
    async fn of_file(file: &Value, pairs: &[(&str, &str)]) -> Self {
        let folder = folder();
        let path = folder.join("config.json");
        fs::write(&path, file.to_string()).unwrap();
        let file = [("CONFIG_FILE", path.to_str().unwrap())];
        let mut proxy = Self::start(&[&file, pairs].concat()).await;
        proxy.folder = Some(folder);
        proxy
    }

    fn file(&self) -> Value {
        let path = self.folder.as_ref().unwrap().join("config.json");
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    }

    async fn send(&self, request: http::request::Builder, body: String) -> (StatusCode, String) {
        let client: HttpUpstream<Body> = HttpUpstream::default();
        let headers = [("content-type", "application/json"), ("anthropic-version", "2023-06-01")];
        let request =
            headers.iter().fold(request, |made, (name, value)| made.header(*name, *value));
        let request = request.body(Body::from(body));
        let answer = timeout(LIMIT, client.oneshot(request.unwrap())).await.unwrap().unwrap();
        let status = answer.status();
        let body = to_bytes(Body::new(answer.into_body()), 1 << 20).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn post(&self, path: &str, body: &Value) -> (StatusCode, String) {
        self.send(Request::post(format!("{}{path}", self.url)), body.to_string()).await
    }

    async fn stream(&self, path: &str, body: &Value) -> (StatusCode, String) {
        // DashScope has no member for it.
        let request = Request::post(format!("{}{path}", self.url));
        self.send(request.header("x-dashscope-sse", "enable"), body.to_string()).await
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        let request = Request::get(format!("{}{path}", self.url));
        let (status, body) = self.send(request, String::new()).await;
        (status, serde_json::from_str(&body).unwrap_or_default())
    }

    /// How many upstreams the last request asked.
    async fn attempts(&self) -> u64 {
        let (_, stats) = self.get("/api/stats").await;
        let requests = stats["recent_requests"].as_array().unwrap();
        requests.last().unwrap()["attempts"].as_u64().unwrap()
    }
}

fn folder() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("gateway-channels-{}-{number}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}

async fn serve(app: Router, running: &mut JoinSet<io::Result<()>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    running.spawn(async move { axum::serve(listener, app).await });
    url
}

/// An upstream that answers everything so.
async fn fixed(
    running: &mut JoinSet<io::Result<()>>,
    status: u16,
    body: &'static str,
    after: Duration,
) -> String {
    let answer = move || async move {
        tokio::time::sleep(after).await;
        let headers = [("content-type", "application/json")];
        (StatusCode::from_u16(status).unwrap(), headers, body)
    };
    serve(Router::new().fallback(any(answer)), running).await
}

fn channel(id: &str, url: &str, keys: &[&str]) -> Value {
    json!({"id": id, "serviceType": "openai", "baseUrl": url, "apiKeys": keys, "status": "active"})
}

fn chat(stream: bool) -> Value {
    json!({"model": "demo", "stream": stream, "messages": [{"role": "user", "content": "ping"}]})
}

/// A question in each protocol, and the path that wants a stream for it.
fn questions(stream: bool) -> [(&'static str, Value); 5] {
    let messages = json!([{"role": "user", "content": "ping"}]);
    let gemini = if stream {
        "/v1beta/models/demo:streamGenerateContent?alt=sse"
    } else {
        "/v1beta/models/demo:generateContent"
    };
    let messages_body =
        json!({"model": "demo", "max_tokens": 99, "stream": stream, "messages": messages});
    [
        ("/v1/messages", messages_body),
        ("/v1/chat/completions", chat(stream)),
        ("/v1/responses", json!({"model": "demo", "stream": stream, "input": "ping"})),
        (gemini, json!({"contents": [{"role": "user", "parts": [{"text": "ping"}]}]})),
        (
            "/api/v1/services/aigc/text-generation/generation",
            json!({"model": "demo", "input": {"messages": messages}}),
        ),
    ]
}

async fn every_caller_gets_a_whole_answer(proxy: &Proxy) {
    for stream in [false, true] {
        for (path, body) in questions(stream) {
            let (status, answer) = match stream {
                true => proxy.stream(path, &body).await,
                false => proxy.post(path, &body).await,
            };
            assert_eq!(status, StatusCode::OK, "{path} {stream}: {answer}");
            assert!(answer.contains("ping"), "{path} {stream}: {answer}");
            assert!(!answer.contains("error\":{"), "{path} {stream}: {answer}");
            assert_eq!(proxy.attempts().await, 2, "{path} {stream}");
        }
    }
}

#[tokio::test]
async fn nothing_configured_shows_failover() {
    every_caller_gets_a_whole_answer(&Proxy::start(&[("DEMO_PACE_MS", "0")]).await).await;
}

#[tokio::test]
async fn a_file_of_channels_serves_all_callers_though_one_channel_fails() {
    for service in ["claude", "openai", "responses", "gemini", "dashscope"] {
        let mut running = JoinSet::new();
        let bad = Demo::new().key("sk-one").failing().start(&mut running).await.unwrap();
        let good = Demo::new().key("sk-two").start(&mut running).await.unwrap();
        let mut channels = [channel("a", &bad, &["sk-one"]), channel("b", &good, &["sk-two"])];
        for channel in &mut channels {
            channel["serviceType"] = json!(service);
            channel["neverTrip"] = json!(true);
        }
        let proxy = Proxy::of_file(&json!({"upstream": channels}), &[]).await;
        every_caller_gets_a_whole_answer(&proxy).await;
    }
}

#[tokio::test]
async fn each_list_serves_its_callers() {
    let mut running = JoinSet::new();
    let mut named = async |id: &str, body| {
        channel(id, &fixed(&mut running, 422, body, Duration::ZERO).await, &["k"])
    };
    let mut file = json!({
        "upstream": [named("common", "from common").await],
        "responsesUpstream": [named("second", "").await, named("first", "from responses").await],
        "geminiUpstream": [],
    });
    file["responsesUpstream"][0]["priority"] = json!(9);
    let proxy = Proxy::of_file(&file, &[]).await;
    for (path, body) in questions(false) {
        let whose = if path == "/v1/responses" { "from responses" } else { "from common" };
        let (status, answer) = proxy.post(path, &body).await;
        assert!(status.is_client_error(), "{answer}");
        assert!(answer.contains(whose), "{path}: {answer}");
    }
}

#[tokio::test]
async fn a_refused_key_gives_way_to_the_next() {
    let mut running = JoinSet::new();
    let vendor = Demo::new().key("sk-good").start(&mut running).await.unwrap();
    let file = json!({"upstream": [channel("only", &vendor, &["sk-bad", "sk-good"])]});
    let keys = ("UPSTREAM_API_KEY", "sk-bad, sk-good");
    for proxy in [
        Proxy::of_file(&file, &[]).await,
        Proxy::start(&[("UPSTREAM_URL", &vendor), ("UPSTREAM_PROTOCOL", "openai-chat"), keys])
            .await,
    ] {
        for attempts in [2, 1] {
            let (status, answer) = proxy.post("/v1/chat/completions", &chat(false)).await;
            assert_eq!(status, StatusCode::OK, "{answer}");
            assert_eq!(proxy.attempts().await, attempts, "the bad key cools down");
        }
    }
}

#[tokio::test]
async fn a_key_without_quota_stands_last_in_the_file() {
    async fn by_key(request: Request<Body>) -> (StatusCode, &'static str) {
        match request.headers()["authorization"].to_str().unwrap() {
            "Bearer sk-spent" => (
                StatusCode::TOO_MANY_REQUESTS,
                r#"{"error":{"message":"You exceeded your quota","type":"insufficient_quota","code":"insufficient_quota"}}"#,
            ),
            _ => (StatusCode::OK, r#"{"choices":[]}"#),
        }
    }
    let mut running = JoinSet::new();
    let vendor = serve(Router::new().fallback(any(by_key)), &mut running).await;
    let file = json!({
        "kept": {"x": 1},
        "upstream": [channel("other", "http://127.0.0.1:9", &[]), channel("main", &vendor, &["sk-spent", "sk-fresh"])],
    });
    let proxy = Proxy::of_file(&file, &[]).await;
    assert_eq!(proxy.file()["upstream"][0]["status"], "suspended");
    let (status, answer) = proxy.post("/v1/chat/completions", &chat(false)).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let written = async {
        while proxy.file()["upstream"][1]["apiKeys"] != json!(["sk-fresh", "sk-spent"]) {
            tokio::task::yield_now().await;
        }
    };
    timeout(LIMIT, written).await.unwrap();
    assert_eq!(proxy.file()["kept"], json!({"x": 1}));
}

#[tokio::test]
async fn certificates_and_timeouts_are_each_channels_own() {
    let mut running = JoinSet::new();
    let slow = fixed(&mut running, 200, "{}", Duration::from_secs(3600)).await;
    let signed_by_itself = tls(&mut running).await;
    let mut channels = [
        channel("slow", &slow, &["k"]),
        channel("strict", &signed_by_itself, &["k"]),
        channel("trusting", &signed_by_itself, &["k"]),
    ];
    channels[0]["headersTimeoutMs"] = json!(100);
    channels[2]["insecureSkipVerify"] = json!(true);
    let proxy = Proxy::of_file(&json!({"upstream": channels}), &[]).await;
    let began = Instant::now();
    let (status, answer) = proxy.post("/v1/chat/completions", &chat(false)).await;
    assert_eq!((status, answer.as_str()), (StatusCode::OK, TLS_ANSWER));
    assert!(began.elapsed() >= Duration::from_millis(100));
    assert_eq!(proxy.attempts().await, 3);

    // The same holds where a channel is asked from the side.
    let (_, strict) = proxy.get("/api/ping/strict").await;
    assert_eq!((&strict["success"], &strict["status"]), (&json!(false), &json!("error")));
    let (_, trusting) = proxy.get("/api/ping/trusting").await;
    assert_eq!(trusting["success"], json!(true), "{trusting}");
}

const TLS_ANSWER: &str = r#"{"choices":[]}"#;

/// A server whose certificate nobody knows.
async fn tls(running: &mut JoinSet<io::Result<()>>) -> String {
    let own = rcgen::generate_simple_self_signed(["elsewhere.example".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(own.signing_key.serialize_der()).into();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let app = Router::new().fallback(any(|| async { TLS_ANSWER }));
    running.spawn(async move {
        loop {
            let Ok(stream) = acceptor.accept(listener.accept().await?.0).await else { continue };
            let service = hyper_util::service::TowerToHyperService::new(app.clone());
            let io = hyper_util::rt::TokioIo::new(stream);
            let served = hyper::server::conn::http1::Builder::new().serve_connection(io, service);
            // One caller after the other, and no connection is kept.
            drop(timeout(Duration::from_millis(200), served).await);
        }
    });
    url
}

#[tokio::test]
async fn fuzzy_files_move_on_whatever_is_said() {
    let mut running = JoinSet::new();
    let bad = fixed(&mut running, 404, r#"{"error":"the secret of A"}"#, Duration::ZERO).await;
    let worse = fixed(&mut running, 400, r#"{"error":"the secret of B"}"#, Duration::ZERO).await;
    for (fuzzy, status, attempts) in [(false, 404, 1), (true, 503, 2)] {
        let channels = [channel("a", &bad, &["k"]), channel("b", &worse, &["k"])];
        let file = json!({"upstream": channels, "fuzzyModeEnabled": fuzzy});
        let proxy = Proxy::of_file(&file, &[]).await;
        let (answered, answer) = proxy.post("/v1/chat/completions", &chat(false)).await;
        assert_eq!(answered.as_u16(), status, "{answer}");
        assert_eq!(answer.contains("secret"), !fuzzy, "{answer}");
        assert_eq!(proxy.attempts().await, attempts);
    }
}

#[tokio::test]
async fn callers_get_the_words_of_the_last_upstream_that_failed() {
    let mut running = JoinSet::new();
    let (first, last) = (r#"{"error":{"message":"first"}}"#, r#"{"error":{"message":"last"}}"#);
    let first = fixed(&mut running, 500, first, Duration::ZERO).await;
    let second = fixed(&mut running, 503, last, Duration::ZERO).await;
    let gone = "http://127.0.0.1:9";
    for (urls, status, words) in [
        ([&*first, &*second], 503, "last"),
        // One that said nothing tells less.
        ([&*first, gone], 500, "first"),
        ([gone, gone], 503, "tried a: transport, b: transport"),
    ] {
        let channels = [channel("a", urls[0], &["k"]), channel("b", urls[1], &["k"])];
        let proxy = Proxy::of_file(&json!({"upstream": channels}), &[]).await;
        let (answered, answer) = proxy.post("/v1/chat/completions", &chat(false)).await;
        assert_eq!(answered.as_u16(), status, "{answer}");
        assert!(answer.contains(words), "{answer}");
        assert_eq!(proxy.attempts().await, 2);
    }
}

#[tokio::test]
async fn conversations_are_kept_by_the_gateway() {
    let proxy = Proxy::start(&[("DEMO_PACE_MS", "0")]).await;
    let (_, first) = proxy.post("/v1/responses", &json!({"model": "demo", "input": "ping"})).await;
    let first: Value = serde_json::from_str(&first).unwrap();
    let next = json!({"model": "demo-echo", "input": "pong", "previous_response_id": first["id"]});
    let (status, second) = proxy.post("/v1/responses", &next).await;
    assert_eq!(status, StatusCode::OK, "{second}");
    assert!(second.contains("ping") && second.contains("pong"), "{second}");
    let (status, _) = proxy.get(&format!("/v1/responses/{}", first["id"].as_str().unwrap())).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn sessions_are_left_to_an_upstream_that_can_keep_them() {
    for (pairs, needed) in [
        (&[("UPSTREAM_URL", "http://h")][..], false),
        (&[("UPSTREAM_URL", "http://h"), ("UPSTREAM_PROTOCOL", "openai-responses")], false),
        (&[("UPSTREAM_URL", "http://h"), ("UPSTREAM_PROTOCOL", "openai-chat")], true),
        (&[], true),
    ] {
        let settings = Settings::read(&pairs.iter().copied().collect::<Environment>()).unwrap();
        let routing =
            Routing::start(&settings, &Records::in_memory(), &mut JoinSet::new()).await.unwrap();
        assert_eq!(routing.needs_sessions(), needed, "{pairs:?}");
    }
}

#[tokio::test]
async fn requests_are_limited_as_configured() {
    let rate = [("ENABLE_RATE_LIMIT", "true"), ("RATE_LIMIT_MAX_REQUESTS", "1")];
    let proxy = Proxy::start(&rate).await;
    let statuses = [
        proxy.post("/v1/chat/completions", &chat(false)).await.0,
        proxy.post("/v1/chat/completions", &chat(false)).await.0,
    ];
    assert_eq!(statuses, [StatusCode::OK, StatusCode::TOO_MANY_REQUESTS]);
    assert_eq!(proxy.get("/api/stats").await.0, StatusCode::OK, "not limited");
}

#[tokio::test]
async fn channels_are_pinged() {
    let mut running = JoinSet::new();
    let up = fixed(&mut running, 404, "", Duration::ZERO).await;
    let mut channels = [channel("up", &up, &["k"]), channel("down", "http://127.0.0.1:9", &["k"])];
    channels[0]["name"] = json!("Up");
    let proxy = Proxy::of_file(&json!({"upstream": channels}), &[]).await;
    let (status, pings) = proxy.get("/api/ping").await;
    assert_eq!(status, StatusCode::OK);
    let row = |at: usize| ["id", "name", "status"].map(|name| pings[at][name].as_str().unwrap());
    assert_eq!([row(0), row(1)], [["up", "Up", "healthy"], ["down", "down", "error"]]);
    assert!(pings[0]["latency"].is_u64() && pings[1]["error"].is_string());
    let (_, one) = proxy.get("/api/ping/up").await;
    assert_eq!((&one["success"], &one["status"]), (&json!(true), &json!("healthy")));
    assert_eq!(proxy.get("/api/ping/other").await.0, StatusCode::NOT_FOUND);

    let locked = Proxy::start(&[("PROXY_ACCESS_KEY", "a")]).await;
    for path in ["/api/ping", "/api/ping/demo-a"] {
        assert_eq!(locked.get(path).await.0, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn a_named_file_is_made() {
    let folder = folder();
    let path = folder.join("made/channels.json");
    let mut proxy = Proxy::start(&[("CONFIG_FILE", path.to_str().unwrap())]).await;
    proxy.folder = Some(folder);
    assert!(path.exists());
    let (status, answer) = proxy.post("/v1/chat/completions", &chat(false)).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{answer}");
    assert!(answer.contains("NO_UPSTREAM"), "{answer}");
    assert!(!proxy.running.is_empty());
}
