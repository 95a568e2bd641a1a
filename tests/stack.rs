//! The whole stack on axum over sockets, with the demo as its upstream: how exchanges end.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

#[path = "../examples/proxy/demo/mod.rs"]
mod demo;
#[path = "../src/test_helpers/refusing.rs"]
mod refusing;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tower::{Layer, ServiceBuilder};
use tower_llm_gateway::context::Upstream;
use tower_llm_gateway::layer::stats::{RequestStats, Stats};
use tower_llm_gateway::protocol::Protocol;
use tower_llm_gateway::sse::Decoder;
use tower_llm_gateway::upstream::HttpUpstreamBuilder;
use tower_llm_gateway::{
    ApiKeyAuthLayer, CatchErrorLayer, HopByHopFilterLayer, ProviderTranslateLayer, StatsLayer,
    SystemPromptLayer,
};

use crate::demo::Demo;
use crate::refusing::Refusing;

const KEY: &str = "sk-team";
const VENDOR_KEY: &str = "sk-vendor";
const MESSAGES: &str = "/v1/messages";
const CHAT: &str = "/v1/chat/completions";
const MAX_REQUEST: usize = 64 << 10;

/// What is waited for comes long before; it makes a hanging test fail.
const LIMIT: Duration = Duration::from_secs(20);

/// The stack before a demo that speaks one protocol.
struct Gateway {
    url: String,
    stats: Stats,
    client: Client<HttpConnector, Full<Bytes>>,
    _running: JoinSet<io::Result<()>>,
}

impl Gateway {
    async fn start(upstream: Protocol) -> Self {
        let mut running = JoinSet::new();
        let vendor = Demo::new().key(VENDOR_KEY).start(&mut running).await.unwrap();
        Self::before(&vendor, upstream, running).await
    }

    async fn before(
        vendor: &str,
        protocol: Protocol,
        mut running: JoinSet<io::Result<()>>,
    ) -> Self {
        let upstream = Upstream::new(vendor, protocol).unwrap().key(VENDOR_KEY).unwrap();
        let layer = StatsLayer::new();
        let stats = layer.stats();
        let stack = ServiceBuilder::new()
            .layer(layer)
            .layer(ApiKeyAuthLayer::new([KEY]).unwrap())
            .layer(SystemPromptLayer::append("Be brief.").max_body_bytes(MAX_REQUEST))
            .layer(ProviderTranslateLayer::to(upstream))
            .layer(HopByHopFilterLayer::new().trailers(true))
            .layer(CatchErrorLayer::new())
            // No TLS is spoken here: that there are no certificates to load makes it fast.
            .service(HttpUpstreamBuilder::new().danger_accept_invalid_certs(true).build());
        let app = Router::new().fallback_service(stack);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        running.spawn(async move { axum::serve(listener, app).await });
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { url, stats, client, _running: running }
    }

    async fn send(&self, method: &str, path: &str, body: impl Into<Bytes>) -> Response<Incoming> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("x-api-key", KEY)
            .header("anthropic-version", "2023-06-01")
            .header("te", "trailers")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body.into()))
            .unwrap();
        within(self.client.request(request)).await.unwrap()
    }

    async fn ask(&self, path: &str, model: &str, stream: bool) -> Response<Incoming> {
        self.send("POST", path, question(model, stream)).await
    }

    /// What the demo counts: answers under way, finished, cancelled.
    async fn demo_state(&self) -> [u64; 3] {
        let body = text(self.send("GET", "/demo/state", "").await.into_body()).await.unwrap();
        let state: Value = serde_json::from_str(&body).unwrap();
        ["live", "finished", "cancelled"].map(|name| state[name].as_u64().unwrap())
    }

    /// Waits until the demo has counted this.
    async fn demo_comes_to(&self, expected: [u64; 3]) {
        within(async {
            while self.demo_state().await != expected {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// Waits until nothing is in flight; the last request to this path.
    async fn at_rest(&self, path: &str) -> RequestStats {
        within(async {
            loop {
                let snapshot = self.stats.snapshot();
                if snapshot.in_flight == 0 {
                    return snapshot.recent_requests;
                }
                tokio::task::yield_now().await;
            }
        })
        .await
        .into_iter()
        .rfind(|request| request.path == path)
        .expect("there was such a request")
    }
}

async fn within<F: Future>(what: F) -> F::Output {
    tokio::time::timeout(LIMIT, what).await.expect("it comes in time")
}

fn question(model: &str, stream: bool) -> String {
    let messages = json!([{"role": "user", "content": "Hello"}]);
    json!({"model": model, "max_tokens": 64, "stream": stream, "messages": messages}).to_string()
}

/// The whole body, or the error that it broke off with.
#[expect(clippy::disallowed_methods, reason = "the demo's answers are short")]
async fn text(body: Incoming) -> Result<String, hyper::Error> {
    let bytes = within(body.collect()).await?.to_bytes();
    Ok(String::from_utf8(bytes.into()).unwrap())
}

/// The `data` of the last event; Chat closes a stream also after an error.
fn last_event(stream: &str) -> String {
    let mut events = Vec::new();
    Decoder::new().push(stream.as_bytes(), &mut |e| events.push(e.data.to_owned())).unwrap();
    events.into_iter().rfind(|data| data != "[DONE]").unwrap_or_default()
}

/// Both callers before both upstreams.
const PAIRS: [(&str, Protocol); 4] = [
    (MESSAGES, Protocol::Anthropic),
    (MESSAGES, Protocol::OpenAiChat),
    (CHAT, Protocol::Anthropic),
    (CHAT, Protocol::OpenAiChat),
];

#[tokio::test]
async fn a_caller_who_leaves_in_mid_stream_closes_the_upstream() {
    for (path, upstream) in PAIRS {
        let gateway = Gateway::start(upstream).await;
        let mut body = gateway.ask(path, "demo-slow", true).await.into_body();
        within(body.frame()).await.unwrap().unwrap();
        assert_eq!(gateway.demo_state().await, [1, 0, 0], "{path} {upstream}");
        drop(body);
        gateway.demo_comes_to([0, 0, 1]).await;
        let seen = gateway.at_rest(path).await;
        assert_eq!((seen.status, seen.fault), ("cancelled", Some("client_cancel")));
    }
}

#[tokio::test]
async fn a_caller_who_leaves_before_the_headers_closes_the_upstream() {
    for (path, upstream) in PAIRS {
        let gateway = Gateway::start(upstream).await;
        let call = gateway.ask(path, "demo-slow", false);
        tokio::select! {
            _ = call => panic!("the answer takes seconds"),
            () = gateway.demo_comes_to([1, 0, 0]) => {}
        }
        gateway.demo_comes_to([0, 0, 1]).await;
        let seen = gateway.at_rest(path).await;
        assert_eq!((seen.status, seen.status_code), ("cancelled", None), "{path} {upstream}");
    }
}

#[tokio::test]
async fn an_upstream_that_dies_in_mid_stream_is_an_error_event() {
    for (path, upstream) in PAIRS {
        for model in ["demo-cut", "demo-error-stream"] {
            let gateway = Gateway::start(upstream).await;
            let response = gateway.ask(path, model, true).await;
            assert_eq!(response.status(), StatusCode::OK, "{model} {path} {upstream}");
            let stream = text(response.into_body()).await.unwrap();
            let last: Value = serde_json::from_str(&last_event(&stream))
                .unwrap_or_else(|_| panic!("{model} {path} {upstream}: {stream}"));
            assert!(last["error"]["message"].is_string(), "{model} {path} {upstream}: {stream}");
            for end in ["message_stop", "\"stop_reason\":\"end_turn", "\"finish_reason\":\"stop"] {
                assert!(!stream.contains(end), "{model} {path} {upstream}: {stream}");
            }
            assert_eq!(gateway.at_rest(path).await.status, "error", "{model} {path} {upstream}");
        }
    }
}

#[tokio::test]
async fn an_upstream_that_dies_in_mid_document_is_no_answer() {
    for (path, upstream) in PAIRS {
        let gateway = Gateway::start(upstream).await;
        let response = gateway.ask(path, "demo-cut", false).await;
        let (status, body) = (response.status(), text(response.into_body()).await);
        match body {
            // Translated, so read before it is answered.
            Ok(body) => {
                assert_eq!(status, StatusCode::BAD_GATEWAY, "{path} {upstream}: {body}");
                assert!(body.contains("error"), "{path} {upstream}: {body}");
            }
            Err(_) => assert_eq!(status, StatusCode::OK, "{path} {upstream}"),
        }
        assert_eq!(gateway.at_rest(path).await.status, "error", "{path} {upstream}");
    }
}

#[tokio::test]
async fn ten_streams_at_once_end_each_for_itself() {
    for (path, upstream) in PAIRS {
        let gateway = Arc::new(Gateway::start(upstream).await);
        let mut slow = Vec::new();
        for _ in 0..10 {
            let mut body = gateway.ask(path, "demo-slow", true).await.into_body();
            within(body.frame()).await.unwrap().unwrap();
            slow.push(body);
        }
        assert_eq!(gateway.stats.snapshot().in_flight, 10, "{path} {upstream}");
        let mut whole = JoinSet::new();
        for _ in 0..10 {
            let gateway = gateway.clone();
            whole.spawn(async move {
                let body = gateway.ask(path, "demo-large-64", true).await.into_body();
                text(body).await.unwrap().matches("0123456789abcde ").count()
            });
        }
        assert_eq!(within(whole.join_all()).await, [64 * 64; 10], "{path} {upstream}");
        assert_eq!(gateway.stats.snapshot().in_flight, 10, "{path} {upstream}");
        for left in (0..10).rev() {
            slow.pop();
            gateway.demo_comes_to([left, 10, 10 - left]).await;
        }
        gateway.at_rest(path).await;
        assert_eq!(gateway.stats.snapshot().totals.cancelled, 10, "{path} {upstream}");
    }
}

#[tokio::test]
async fn empty_answers_and_trailers_pass() {
    let gateway = Gateway::start(Protocol::Anthropic).await;
    for (method, path, status) in [
        ("GET", "/demo/status/204", 204),
        ("GET", "/demo/status/304", 304),
        ("HEAD", "/demo/echo", 200),
        ("POST", "/demo/status/204", 204),
    ] {
        let response = gateway.send(method, path, "").await;
        assert_eq!(response.status().as_u16(), status, "{method} {path}");
        let length = response.headers().get(header::CONTENT_LENGTH).cloned();
        assert_eq!(length.is_some(), method == "HEAD", "{method} {path}: {length:?}");
        assert_eq!(text(response.into_body()).await.unwrap(), "", "{method} {path}");
        assert_eq!(gateway.at_rest(path).await.status, "completed", "{method} {path}");
    }
    let response = gateway.send("GET", "/demo/redirect", "").await;
    assert_eq!(response.status(), StatusCode::FOUND);
    assert_eq!(response.headers()[header::LOCATION], "/demo/echo");

    let response = gateway.send("GET", "/demo/trailers", "").await;
    #[expect(clippy::disallowed_methods, reason = "the demo's answers are short")]
    let collected = within(response.into_body().collect()).await.unwrap();
    let trailers = collected.trailers().cloned().unwrap_or_default();
    assert_eq!(trailers.get("x-demo-trailer"), Some(&HeaderValue::from_static("end")));
    assert_eq!(collected.to_bytes(), "body");
    assert_eq!(gateway.at_rest("/demo/trailers").await.status, "completed");
}

#[tokio::test]
async fn an_encoded_answer_is_decoded_where_it_must_be_read() {
    for (path, upstream, must_be_read) in [
        (MESSAGES, Protocol::OpenAiChat, true),
        (CHAT, Protocol::Anthropic, true),
        (CHAT, Protocol::OpenAiChat, false),
    ] {
        let gateway = Gateway::start(upstream).await;
        let response = gateway.ask(path, "demo-gzip", false).await;
        assert_eq!(response.status(), StatusCode::OK, "{path} {upstream}");
        let encoded = response.headers().contains_key(header::CONTENT_ENCODING);
        assert_eq!(encoded, !must_be_read, "{path} {upstream}");
        if must_be_read {
            let body = text(response.into_body()).await.unwrap();
            let body: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert_eq!(body["model"], "demo-gzip", "{body}");
        }
    }
}

#[tokio::test]
async fn what_is_too_large_never_reaches_the_upstream() {
    for (path, upstream) in PAIRS {
        let gateway = Gateway::start(upstream).await;
        let body = format!(r#"{{"model":"demo","x":"{}"}}"#, "y".repeat(MAX_REQUEST));
        let response = gateway.send("POST", path, body).await;
        assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE, "{path} {upstream}");
        let body = text(response.into_body()).await.unwrap();
        assert!(body.contains("too large"), "{path} {upstream}: {body}");
        let seen = gateway.at_rest(path).await;
        assert_eq!((seen.status, seen.status_code), ("error", Some(413)), "{path} {upstream}");
        assert_eq!(gateway.demo_state().await, [0, 0, 0]);
    }
}

#[tokio::test]
async fn no_upstream_is_a_502_in_the_callers_words() {
    for (path, upstream) in PAIRS {
        let nobody = Refusing::new();
        let vendor = format!("http://{}", nobody.address());
        let gateway = Gateway::before(&vendor, upstream, JoinSet::new()).await;
        for stream in [false, true] {
            let response = gateway.ask(path, "demo", stream).await;
            assert_eq!(response.status(), StatusCode::BAD_GATEWAY, "{path} {upstream}");
            let body = text(response.into_body()).await.unwrap();
            let body: Value = serde_json::from_str(&body).unwrap();
            assert_eq!(body["error"]["message"], "the upstream could not be reached");
            assert_eq!(body["type"] == "error", path == MESSAGES, "{body}");
            assert_eq!(gateway.at_rest(path).await.fault, Some("transport"), "{path} {upstream}");
        }
    }
}

#[tokio::test]
async fn only_the_vendors_key_goes_to_the_vendor() {
    for upstream in [Protocol::Anthropic, Protocol::OpenAiChat, Protocol::Gemini] {
        let gateway = Gateway::start(upstream).await;
        let known = "/demo/echo/v1beta/models/g:generateContent";
        for path in ["/demo/echo", known] {
            if path == known && upstream != Protocol::Gemini {
                continue;
            }
            let asked = format!("{path}?a=1&key={KEY}&%6bey={KEY}");
            let response = gateway.send("POST", &asked, "{}").await;
            let seen = text(response.into_body()).await.unwrap();
            assert!(!seen.contains(KEY) && seen.contains(VENDOR_KEY), "{upstream} {path}: {seen}");
            assert!(seen.contains(r#""query":"a=1""#), "{upstream} {path}: {seen}");
        }
        assert!(!format!("{:?}", gateway.stats.snapshot()).contains(KEY));
    }
}

#[tokio::test]
async fn a_layer_alone_needs_no_other() {
    // The one that reads request bodies, around a service that does not know the others.
    let mut running = JoinSet::new();
    let vendor = Demo::new().start(&mut running).await.unwrap();
    let client: Client<_, _> = Client::builder(TokioExecutor::new()).build_http();
    let service = SystemPromptLayer::prepend("Be brief.").layer(client);
    let request = Request::post(format!("{vendor}{CHAT}"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::<Bytes>::from(question("demo-echo", false)))
        .unwrap();
    let response = within(tower::ServiceExt::oneshot(service, request)).await.unwrap();
    #[expect(clippy::disallowed_methods, reason = "the demo's answers are short")]
    let body = within(response.into_body().collect()).await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&body).contains("Be brief."));
}
