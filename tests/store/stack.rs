//! The layer over a database, outside of a whole stack: what stands in it after requests that
//! failed over and whose callers left.

use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use tower::util::BoxCloneService;
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_llm_gateway::body::Collect;
use tower_llm_gateway::context::{ChannelId, Upstream};
use tower_llm_gateway::layer::channel::{Channel, Channels};
use tower_llm_gateway::layer::key_pool::{KeyPool, KeyPools, Settings};
use tower_llm_gateway::layer::request_log::{RequestLogLayer, RequestLogService};
use tower_llm_gateway::protocol::Protocol;
use tower_llm_gateway::store::{AttemptRow, LogQuery, RequestLogStore, SqlStore};
use tower_llm_gateway::{
    ApiKeyAuthLayer, CatchErrorLayer, ChannelLayer, FailoverLayer, FirstEventLayer,
    HopByHopFilterLayer, KeyPoolLayer, ProviderTranslateLayer,
};

use crate::in_sql;
use crate::place::Place;

in_sql!(each_attempt_of_a_request_has_its_row, whoever_leaves_has_a_row);

const OURS: &str = "sk-of-the-caller-0123456789";
const FIRST: &str = "sk-first-0123456789abcdef";
const SECOND: &str = "sk-second-0123456789abcdef";
const SPARE: &str = "sk-spare-0123456789abcdef";

type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, tower_llm_gateway::BoxError>;
type Stack = BoxCloneService<Request<Full<Bytes>>, Response<Body>, Infallible>;

/// A channel whose two keys are out of requests, and one that serves.
fn stack(store: &SqlStore, layer: &RequestLogLayer) -> Stack {
    let main = Upstream::new("https://main.example", Protocol::Anthropic).unwrap();
    let spare = Upstream::new("https://spare.example", Protocol::OpenAiChat).unwrap();
    let spare = spare.map_model("claude", "gpt-4o-mini");
    let channels = [Channel::new("main", main), Channel::new("spare", spare).priority(1)];
    let keys = KeyPools::new();
    let pool = |name: &'static str, all: &[&str]| {
        let settings = Settings::new(name).store(store.clone());
        keys.set(ChannelId::new(name), KeyPool::with(settings, all.iter().copied()).unwrap());
    };
    pool("main", &[FIRST, SECOND]);
    pool("spare", &[SPARE]);
    let upstream = service_fn(|request: Request<_>| async move {
        let response = Response::builder().header("content-type", "application/json");
        let is_main = request.uri().host() == Some("main.example");
        Ok::<_, tower_llm_gateway::BoxError>(if is_main {
            let refusal = format!(
                "{{\"type\":\"error\",\"error\":{{\"type\":\"rate_limit_error\",\"message\":\"{}\"}}}}",
                credential(request.headers())
            );
            response.status(429).body(Full::from(refusal)).unwrap()
        } else {
            let answer = r#"{"id":"c","object":"chat.completion","created":1,"model":"gpt-4o-mini",
                "choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],
                "usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}}"#;
            response.body(Full::from(answer.to_owned())).unwrap()
        })
    });
    let inner = ServiceBuilder::new()
        .layer(ApiKeyAuthLayer::new([OURS]).unwrap())
        .layer(FailoverLayer::new())
        .layer(ChannelLayer::new(Channels::new(channels).unwrap()))
        .layer(KeyPoolLayer::by_channel(keys))
        .layer(ProviderTranslateLayer::from_context())
        .layer(HopByHopFilterLayer::new())
        .layer(FirstEventLayer::new())
        .layer(CatchErrorLayer::new())
        .service(upstream);
    let service: RequestLogService<_> = layer.layer(inner);
    service
        .map_response(|response| response.map(|body| body.map_err(Into::into).boxed_unsync()))
        .boxed_clone()
}

/// An upstream that repeats the key it was given.
fn credential(headers: &HeaderMap) -> &str {
    headers.get("x-api-key").and_then(|key| key.to_str().ok()).unwrap_or("none")
}

fn ask() -> Request<Full<Bytes>> {
    let body = r#"{"model":"claude","max_tokens":5,"messages":[{"role":"user","content":"hi"}]}"#;
    Request::post("/v1/messages?api_key=in-the-query")
        .header("x-api-key", OURS)
        .header("x-request-id", "req-1")
        .header("content-type", "application/json")
        .body(Full::from(body))
        .unwrap()
}

async fn each_attempt_of_a_request_has_its_row(place: Place) {
    let store = place.store().await;
    let (layer, worker) = RequestLogLayer::new(store.clone());
    let layer = layer.bodies(true);
    let worker = tokio::spawn(worker.run());
    let response = stack(&store, &layer).oneshot(ask()).await.unwrap();
    assert_eq!(response.status(), 200);
    Collect::new(response.into_body(), 1 << 16).await.unwrap();
    drop(layer);
    worker.await.unwrap();

    let by_spare = LogQuery { channel: Some("spare".into()), ..LogQuery::default() };
    let requests = store.requests(&by_spare).await.unwrap();
    let row = &requests.rows[0];
    assert_eq!((requests.total, &*row.request_id, row.status), (1, "req-1", Some(200)));
    assert_eq!((row.success, row.attempts, row.model.as_deref()), (true, 3, Some("claude")));
    assert_eq!((row.input_tokens, row.output_tokens), (Some(7), Some(3)));
    assert!(row.cost_nanos.is_some() && row.principal.is_some());
    let mut attempts = store.attempts(&LogQuery::default()).await.unwrap().rows;
    attempts.sort_by_key(|row| row.number);
    let told = |row: &AttemptRow| {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        (text(&row.channel), text(&row.key), text(&row.model), row.status, row.success)
    };
    let row = |channel: &str, key: &str, model: &str, status, success| {
        (channel.to_owned(), key.to_owned(), model.to_owned(), Some(status), success)
    };
    assert_eq!(
        attempts.iter().map(told).collect::<Vec<_>>(),
        [
            row("main", "sk-first***bcdef", "claude", 429, false),
            row("main", "sk-secon***bcdef", "claude", 429, false),
            row("spare", "sk-spare***bcdef", "gpt-4o-mini", 200, true),
        ]
    );
    assert!(attempts.iter().all(|row| row.principal == attempts[0].principal));

    // No key stands anywhere, whoever repeated it; in SQLite the file itself is searched.
    let mut all = format!("{requests:?}{attempts:?}").into_bytes();
    let bodies = |row: &tower_llm_gateway::store::RequestRow| {
        [&row.request_body, &row.response_body].map(|body| body.as_ref().unwrap().0.clone())
    };
    requests.rows.iter().for_each(|row| all.extend(bodies(row).concat().into_bytes()));
    if let Place::Sqlite { home } = &place {
        for file in ["log.db", "log.db-wal"] {
            all.extend(std::fs::read(home.path().join("made/for/it").join(file)).unwrap());
        }
    }
    let all = String::from_utf8_lossy(&all);
    for secret in [OURS, FIRST, SECOND, SPARE, "in-the-query"] {
        assert!(!all.contains(secret), "{secret}");
    }
    assert!(all.contains("sk-first***bcdef"));
}

async fn whoever_leaves_has_a_row(place: Place) {
    let store = place.store().await;
    let (layer, worker) = RequestLogLayer::new(store.clone());
    let worker = tokio::spawn(worker.run());
    let response = stack(&store, &layer).oneshot(ask()).await.unwrap();
    drop((response, layer));
    worker.await.unwrap();
    let row = &store.requests(&LogQuery::default()).await.unwrap().rows[0];
    assert_eq!((&*row.end, row.fault.as_deref()), ("left", Some("client_cancel")));
    assert_eq!((row.status, row.attempts, row.bytes_out), (Some(200), 3, 0));
}
