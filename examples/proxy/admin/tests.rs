//! Over real sockets: the gateway before the demo's two vendors, of which the first fails.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::channels::Routing;
use crate::environment::Environment;
use crate::gateway::Gateway;
use crate::records::Records;
use crate::server;
use crate::settings::Settings;

const MAX_ANSWER: usize = 1 << 20;
const KEY: &str = "key-of-the-proxy";
/// Longer than anything here takes, on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(30);

struct Proxy {
    address: SocketAddr,
    client: Client<HttpConnector, Body>,
    records: Option<Records>,
    /// Nothing that is in it outlives the test.
    _running: JoinSet<std::io::Result<()>>,
    _dir: TempDir,
}

impl Proxy {
    /// With these settings; `DIR` in them stands for a folder of its own.
    async fn start(pairs: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_str().unwrap();
        let pairs: Vec<(&str, String)> =
            pairs.iter().map(|(name, value)| (*name, value.replace("DIR", path))).collect();
        let pairs = pairs.iter().map(|(name, value)| (*name, value.as_str()));
        let settings =
            Settings::read(&pairs.chain([("DEMO_PACE_MS", "0")]).collect::<Environment>());
        let settings = settings.unwrap();
        let mut running = JoinSet::new();
        let records = Records::start(&settings.records).await.unwrap();
        let routing = Routing::start(&settings, &records, &mut running).await.unwrap();
        let gateway = Gateway::new(&settings, &routing, &records).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = server::routes(&settings, gateway);
        running.spawn(async move { axum::serve(listener, router).await });
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { address, client, records: Some(records), _running: running, _dir: dir }
    }

    async fn send(&self, method: &str, path: &str, body: impl Into<Body>) -> Response<Incoming> {
        let uri = format!("http://{}{path}", self.address);
        let request = Request::builder().method(method).uri(uri).header("x-api-key", KEY);
        let request = request
            .header("anthropic-version", "2023-06-01")
            .header("content-type", "application/json");
        let sent = self.client.request(request.body(body.into()).unwrap());
        tokio::time::timeout(PATIENCE, sent).await.unwrap().unwrap()
    }

    async fn json(&self, method: &str, path: &str, body: Value) -> (StatusCode, Value) {
        let body = if body.is_null() { Body::empty() } else { body.to_string().into() };
        let response = self.send(method, path, body).await;
        let status = response.status();
        let body = to_bytes(Body::new(response.into_body()), MAX_ANSWER).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.json("GET", path, Value::Null).await
    }

    /// Asks a model, and reads the answer.
    async fn ask(&self, model: &str) -> StatusCode {
        let question = json!({
            "model": model, "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}],
        });
        self.json("POST", "/v1/messages?key=sk-in-the-query", question).await.0
    }

    async fn events(&self, query: &str) -> Events {
        let response = self.send("GET", &format!("/api/logs/stream{query}"), Body::empty()).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Events { body: response.into_body(), text: String::new() }
    }

    /// Stops what writes, so that all of it is written.
    async fn flush(&mut self) {
        self.records.take().unwrap().finish().await;
    }
}

struct Events {
    body: Incoming,
    text: String,
}

impl Events {
    /// `None` at the end of the stream.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let event = serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap();
                self.text = rest.to_owned();
                return Some(event);
            }
            let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await.unwrap()?;
            let data = frame.unwrap().into_data().unwrap();
            self.text += std::str::from_utf8(&data).unwrap();
        }
    }

    async fn message(&mut self) -> String {
        self.next().await.unwrap()["message"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn the_stream_replays_then_follows_and_filters() {
    let proxy = Proxy::start(&[]).await;
    assert_eq!(proxy.ask("claude-demo").await, StatusCode::OK);
    let mut all = proxy.events("").await;
    let connection = all.next().await.unwrap();
    assert_eq!(connection["type"], "connection");
    assert_eq!(connection["message"], "Connected to log stream");
    assert_eq!(all.message().await, "Request started: POST /v1/messages");
    let failed = all.message().await;
    assert!(failed.starts_with("Upstream request failed: POST /v1/messages - "), "{failed}");
    assert!(failed.contains("(attempt 1, channel demo-a"), "{failed}");
    let completed = all.message().await;
    assert!(completed.starts_with("Request completed: POST /v1/messages - 200 ("), "{completed}");

    let mut errors = proxy.events("?level_filter=error&path_filter=V1").await;
    assert_eq!(errors.next().await.unwrap()["type"], "connection");
    assert_eq!(errors.message().await, failed);
    for (level, message) in [("INFO", "mine"), ("ERROR", "mine too")] {
        let said = json!({"level": level, "message": message, "path": "/v1/x", "request_id": "r"});
        let (status, answer) = proxy.json("POST", "/api/admin/logs/broadcast", said).await;
        assert_eq!((status, &answer["success"]), (StatusCode::OK, &json!(true)));
    }
    assert_eq!(all.message().await, "mine");
    let last = errors.next().await.unwrap();
    assert_eq!((&last["message"], &last["request_id"]), (&json!("mine too"), &json!("r")));

    proxy.records.as_ref().unwrap().log.close();
    assert_eq!(all.message().await, "mine too");
    assert_eq!(all.next().await, None);
    assert_eq!(proxy.get("/api/logs/stream").await.0, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn the_history_comes_from_files_and_is_cleared_by_key_holders_alone() {
    let files = ("LOG_STORAGE_PATH", "DIR/logs");
    let keys = [("PROXY_ACCESS_KEY", KEY), ("UPSTREAM_API_KEY", "sk-vendor")];
    let proxy = Proxy::start(&[files, keys[0], keys[1]]).await;
    assert_eq!(proxy.ask("claude-demo").await, StatusCode::OK);
    let records = proxy.records.as_ref().unwrap();
    records.files.as_ref().unwrap().flush().await.unwrap();
    let (_, page) = proxy.get("/api/logs/history?limit=1&offset=1").await;
    let pagination = json!({"total": 3, "limit": 1, "offset": 1, "has_more": true});
    assert_eq!(page["pagination"], pagination);
    assert_eq!(page["logs"][0]["level"], "ERROR");
    let (_, errors) = proxy.get("/api/admin/logs/history?level=error&path_filter=messages").await;
    assert_eq!(errors["logs"], page["logs"]);
    for query in ["limit=x", "level=loud", "start_time=yesterday"] {
        let (status, answer) = proxy.get(&format!("/api/logs/history?{query}")).await;
        assert_eq!((status, &answer["error"]), (StatusCode::BAD_REQUEST, &json!("Bad Request")));
    }

    let (status, answer) = proxy.json("DELETE", "/api/logs/clear", Value::Null).await;
    assert_eq!((status, &answer["message"]), (StatusCode::OK, &json!("日志已清空")));
    assert_eq!(proxy.get("/api/logs/history").await.1["pagination"]["total"], 0);
    let mut events = proxy.events("").await;
    assert_eq!(events.next().await.unwrap()["type"], "connection");
    proxy.json("POST", "/api/logs/broadcast", json!({"message": "after"})).await;
    assert_eq!(events.message().await, "after");

    let open = Proxy::start(&[]).await;
    let (status, answer) = open.get("/api/logs/history").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer["message"], "Log persistence is disabled");
    for method in ["DELETE", "POST"] {
        let (status, _) = open.json(method, "/api/logs/clear", Value::Null).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
    }
}

#[tokio::test]
async fn lines_of_the_host_must_say_something() {
    let proxy = Proxy::start(&[]).await;
    for (body, status) in [
        (json!({"message": " "}), StatusCode::BAD_REQUEST),
        (json!({"level": "INFO"}), StatusCode::BAD_REQUEST),
        (json!({"message": "x", "level": "loud"}), StatusCode::BAD_REQUEST),
        (json!({"message": "x".repeat(100 << 10)}), StatusCode::PAYLOAD_TOO_LARGE),
    ] {
        let (answered, answer) = proxy.json("POST", "/api/logs/broadcast", body).await;
        assert_eq!(answered, status, "{answer}");
        assert!(answer["message"].is_string(), "{answer}");
    }
}

#[tokio::test]
async fn errors_come_page_by_page() {
    let proxy = Proxy::start(&[]).await;
    for _ in 0..3 {
        proxy.json("POST", "/v1/messages", json!({"model": "demo-error-400"})).await;
    }
    for prefix in ["/api", "/api/admin"] {
        let path = format!("{prefix}/errors?limit=2&offset=1&path_filter=MESS");
        let (_, page) = proxy.get(&path).await;
        let pagination = json!({"total": 3, "limit": 2, "offset": 1, "has_more": false});
        assert_eq!(page["pagination"], pagination, "{page}");
        assert_eq!(page["statistics"]["total_errors"], 3);
        assert_eq!(page["errors"].as_array().unwrap().len(), 2);
    }
    assert_eq!(proxy.get("/api/errors?limit=many").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(proxy.get("/api/stats?start_time=then").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(proxy.get("/api/admin/stats").await.1["summary"]["failed_requests"], 3);
}

#[tokio::test]
async fn the_request_log_has_a_row_for_each_attempt() {
    let mut proxy = Proxy::start(&[("REQUEST_LOG_URL", "sqlite:DIR/requests.db")]).await;
    assert_eq!(proxy.ask("claude-demo").await, StatusCode::OK);
    proxy.flush().await;
    let (status, page) = proxy.get("/api/request_logs").await;
    assert_eq!((status, &page["total"]), (StatusCode::OK, &json!(2)), "{page}");
    let of = |row: &Value, name: &str| row[name].clone();
    let rows: Vec<_> = page["logs"].as_array().unwrap().iter().collect();
    assert_eq!(of(rows[0], "request_id"), of(rows[1], "request_id"));
    assert_eq!(
        (of(rows[0], "channel"), of(rows[1], "channel")),
        (json!("demo-b"), json!("demo-a"))
    );
    assert_eq!((of(rows[0], "is_success"), of(rows[1], "is_success")), (json!(true), json!(false)));
    assert_eq!(
        (of(rows[0], "attempt"), of(rows[0], "model_name")),
        (json!(2), json!("claude-demo"))
    );

    for (query, total) in [
        ("is_success=true&model_name=claude-demo", 1),
        ("is_success=false&channel=demo-b", 0),
        ("request_time_start=2020-01-01&request_time_end=2099-01-01T00:00:00Z", 2),
        ("request_time_end=2020-01-01T00:00:00%2B02:00", 0),
        ("key_identifier=&auth_key_alias=&limit=1", 2),
    ] {
        let (_, page) = proxy.get(&format!("/api/admin/request-logs?{query}")).await;
        assert_eq!(page["total"], total, "{query}: {page}");
    }
    for query in ["is_success=maybe", "request_time_start=now", "limit=-1"] {
        let (status, _) = proxy.get(&format!("/api/request_logs?{query}")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{query}");
    }
    let none = Proxy::start(&[]).await.get("/api/request_logs").await.0;
    assert_eq!(none, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn metrics_are_text_that_prometheus_reads() {
    let proxy = Proxy::start(&[("LOG_STORAGE_PATH", "DIR/logs")]).await;
    assert_eq!(proxy.ask("claude-demo").await, StatusCode::OK);
    let response = proxy.send("GET", "/metrics", Body::empty()).await;
    let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    let text = to_bytes(Body::new(response.into_body()), MAX_ANSWER).await.unwrap();
    let text = std::str::from_utf8(&text).unwrap();
    assert!(text.ends_with("# EOF\n"));
    assert!(text.contains("llm_gateway_live_log_dropped_total 0\n"), "{text}");
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (_, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
    }
}

#[tokio::test]
async fn strangers_read_nothing() {
    let routes = [
        ("GET", "/api/stats"),
        ("GET", "/api/errors"),
        ("GET", "/api/logs/stream"),
        ("GET", "/api/logs/history"),
        ("POST", "/api/logs/broadcast"),
        ("DELETE", "/api/logs/clear"),
        ("POST", "/api/logs/clear"),
        ("GET", "/api/request_logs"),
        ("GET", "/api/request-logs"),
        ("GET", "/metrics"),
        ("GET", "/api/ping"),
    ];
    let other = [("PROXY_ACCESS_KEY", "another"), ("UPSTREAM_API_KEY", "sk-vendor")];
    let locked = Proxy::start(&other).await;
    // Nobody's but open to the network, or to every page.
    let open = Proxy::start(&[("HOST", "0.0.0.0")]).await;
    let pages = Proxy::start(&[("CORS_ORIGIN", "*")]).await;
    for (method, path) in routes {
        let admin = path.replace("/api/", "/api/admin/");
        let paths = if path.contains("ping") || path == "/metrics" {
            vec![path]
        } else {
            vec![path, &admin]
        };
        for path in paths {
            let refused = locked.json(method, path, Value::Null).await.0;
            assert_eq!(refused, StatusCode::UNAUTHORIZED, "{method} {path}");
            for open in [&open, &pages] {
                let refused = open.json(method, path, Value::Null).await.0;
                assert_eq!(refused, StatusCode::FORBIDDEN, "{method} {path}");
            }
        }
    }
}

/// The name of a page may be made to point at this machine: its browser still says the name.
#[tokio::test]
async fn who_names_another_host_reads_nothing() {
    let proxy = Proxy::start(&[]).await;
    let locked =
        Proxy::start(&[("PROXY_ACCESS_KEY", KEY), ("UPSTREAM_API_KEY", "sk-vendor")]).await;
    let status = async |proxy: &Proxy, path: &str, host: &str| {
        let uri = format!("http://{}{path}", proxy.address);
        let request = Request::get(uri).header("x-api-key", KEY).header("host", host);
        let sent = proxy.client.request(request.body(Body::empty()).unwrap());
        tokio::time::timeout(PATIENCE, sent).await.unwrap().unwrap().status()
    };
    for path in ["/api/stats", "/api/admin/errors", "/metrics", "/api/ping/demo-a"] {
        for host in ["localhost", "LOCALHOST:8088", "127.0.0.1:1", "[::1]:8088"] {
            assert_ne!(status(&proxy, path, host).await, StatusCode::FORBIDDEN, "{path} {host}");
        }
        for host in ["evil.example:8088", "localhost.evil.example", "10.0.0.1", "a@b@c", ""] {
            assert_eq!(status(&proxy, path, host).await, StatusCode::FORBIDDEN, "{path} {host}");
        }
        assert_ne!(status(&locked, path, "proxy.example").await, StatusCode::FORBIDDEN, "{path}");
    }
}
