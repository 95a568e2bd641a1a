use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::Full;
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};
use tower_test::mock;

use super::*;
use crate::body::{Collect, RewriteBody};
use crate::context::{Exchange, Principal, RequestFacts, Upstream};
use crate::protocol::Protocol;
use crate::protocol::model::{Fault, FaultKind, FaultOrigin, StopReason};
use crate::protocol::report::TranslationReport;
use crate::test_helpers::{Frames, Step, steps};

mod dialects;
#[cfg(feature = "decompress")]
mod encoded;
mod listed;
mod profiles;
mod silence;
mod switched;
mod vendors;

const MESSAGES: &str =
    r#"{"model":"claude-x","max_tokens":9,"messages":[{"role":"user","content":"Hi"}]}"#;
const CHAT: &str = r#"{ "model": "gpt-x", "messages": [{"role":"user","content":"Hi"}] }"#;
const CHAT_ANSWER: &str = r#"{"id":"c1","object":"chat.completion","created":1,"model":"gpt-x","choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#;

fn chunk(delta: &str, finish: &str) -> String {
    format!(
        "data: {{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"gpt-x\",\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}]}}\n\n"
    )
}

fn chat_stream() -> Vec<Step> {
    let text = |text: String| Step::Data(Bytes::from(text));
    vec![
        text(chunk(r#"{"role":"assistant","content":"Hel"}"#, "null")),
        Step::Pending,
        text(chunk(r#"{"content":"lo"}"#, "null")),
        text(chunk("{}", r#""stop""#)),
        text("data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"gpt-x\",\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5}}\n\ndata: [DONE]\n\n".to_owned()),
    ]
}

fn upstream(protocol: Protocol) -> Upstream {
    Upstream::new("http://upstream/base", protocol).unwrap().key("upstream-key").unwrap()
}

fn post(path: &str, body: &str) -> Request<Full<Bytes>> {
    Request::post(path)
        .header("content-type", "application/json")
        .header("content-length", body.len())
        .header("authorization", "Bearer callers-key")
        .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
        .unwrap()
}

type Seen = (http::request::Parts, Bytes);

/// Sends `request` through the layer; the inner service answers with status, content type, body.
async fn send(
    layer: ProviderTranslateLayer,
    request: Request<Full<Bytes>>,
    answer: (u16, &'static str, Vec<Step>),
) -> (Response<ResponseBody<Frames>>, Option<Seen>) {
    let answer = Response::builder()
        .status(answer.0)
        .header("content-type", answer.1)
        .header("x-request-id", "req_1")
        .header("content-length", "999")
        .body(Frames::new(answer.2))
        .unwrap();
    send_for(layer, request, answer).await
}

async fn send_for(
    layer: ProviderTranslateLayer,
    request: Request<Full<Bytes>>,
    answer: Response<Frames>,
) -> (Response<ResponseBody<Frames>>, Option<Seen>) {
    let seen = Arc::new(Mutex::new(None));
    let answer = Arc::new(Mutex::new(Some(answer)));
    let inner = {
        let seen = Arc::clone(&seen);
        service_fn(move |request: Request<RewriteBody<Full<Bytes>>>| {
            let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
            async move {
                let (parts, body) = request.into_parts();
                let body = Collect::new(body, 1 << 20).await.unwrap().bytes;
                *seen.lock().unwrap() = Some((parts, body));
                Ok::<_, Infallible>(answer.lock().unwrap().take().expect("called once"))
            }
        })
    };
    let response = layer.layer(inner).oneshot(request).await.unwrap();
    let seen = seen.lock().unwrap().take();
    (response, seen)
}

fn text(steps: Vec<Step>) -> String {
    let mut text = String::new();
    for step in steps {
        match step {
            Step::Data(data) => text.push_str(std::str::from_utf8(&data).unwrap()),
            Step::Pending => {}
            other => panic!("unexpected {other:?}"),
        }
    }
    text
}

async fn body_json(response: Response<ResponseBody<Frames>>) -> Value {
    serde_json::from_str(&text(steps(&mut response.into_body()))).unwrap()
}

#[tokio::test]
async fn a_messages_caller_on_a_chat_upstream() {
    let mut request = post("/v1/messages?beta=true", MESSAGES);
    request.headers_mut().insert("anthropic-version", "2023-06-01".parse().unwrap());
    request.headers_mut().insert("anthropic-beta", "x".parse().unwrap());
    let exchange = Exchange::of(request.extensions_mut());
    exchange.begin_attempt(request.extensions_mut());
    let layer = ProviderTranslateLayer::to(
        upstream(Protocol::OpenAiChat).map_model("claude", "gpt-x").provider("acme").unwrap(),
    );
    let (response, seen) =
        send(layer, request, (200, "application/json", vec![CHAT_ANSWER.into()])).await;

    let (parts, body) = seen.unwrap();
    assert_eq!(parts.uri, "http://upstream/base/v1/chat/completions");
    assert_eq!(parts.headers["authorization"], "Bearer upstream-key");
    assert_eq!(parts.headers["accept-encoding"], "identity");
    for gone in ["anthropic-version", "anthropic-beta", "content-length"] {
        assert!(!parts.headers.contains_key(gone), "{gone}");
    }
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["model"], "gpt-x");
    assert_eq!(body["messages"], json!([{"role": "user", "content": "Hi"}]));

    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(response.headers()["request-id"], "req_1");
    assert!(!response.headers().contains_key("content-length"));
    assert!(response.extensions().get::<TranslationReport>().unwrap().is_empty());
    exchange.read(|facts| {
        assert_eq!(facts.client_protocol, Some(Protocol::Anthropic));
        assert_eq!(facts.upstream_protocol, Some(Protocol::OpenAiChat));
        assert_eq!(facts.upstream_model.as_deref(), Some("gpt-x"));
        let attempt = &facts.attempts[0];
        assert_eq!(attempt.upstream_protocol, facts.upstream_protocol);
        assert_eq!(
            (attempt.provider.as_deref(), facts.provider.as_deref()),
            (Some("acme"), Some("acme"))
        );
        assert_eq!(attempt.upstream_model, facts.upstream_model);
        assert_eq!(facts.request.as_ref().unwrap().model.as_deref(), Some("claude-x"));
        assert_eq!(facts.usage.as_ref().unwrap().input, 3);
        assert_eq!(facts.stop, Some(StopReason::End));
    });
    let body = body_json(response).await;
    assert_eq!(body["content"], json!([{"type": "text", "text": "Hello"}]));
    assert_eq!(body["stop_reason"], "end_turn");
    assert_eq!(body["usage"]["output_tokens"], 2);
}

#[tokio::test]
async fn a_stream_is_translated_as_it_comes() {
    let body = MESSAGES.replace(r#""max_tokens":9"#, r#""max_tokens":9,"stream":true"#);
    let mut request = post("/v1/messages", &body);
    let exchange = Exchange::of(request.extensions_mut());
    let layer = ProviderTranslateLayer::to(upstream(Protocol::OpenAiChat));
    let (response, seen) = send(layer, request, (200, "text/event-stream", chat_stream())).await;
    let sent: Value = serde_json::from_slice(&seen.unwrap().1).unwrap();
    assert_eq!(sent["stream_options"]["include_usage"], true);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut body = response.into_body();
    assert!(!body.is_end_stream());
    let steps = steps(&mut body);
    assert!(body.is_end_stream());
    // The first piece did not wait for the second.
    let pending = steps.iter().position(|step| *step == Step::Pending).unwrap();
    assert!(matches!(&steps[0], Step::Data(data) if data.windows(3).any(|w| w == b"Hel")));
    assert!(pending > 0);
    let text = text(steps);
    let names: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    assert_eq!(names.first(), Some(&"message_start"));
    assert_eq!(names.last(), Some(&"message_stop"));
    exchange.read(|facts| {
        assert_eq!(facts.usage.as_ref().unwrap().output, 2);
        assert_eq!(facts.stop, Some(StopReason::End));
        assert_eq!(facts.fault, None);
    });
}

#[tokio::test]
async fn a_stream_that_breaks_ends_in_an_error_event() {
    for (last, kind) in
        [(None, FaultKind::Upstream), (Some(Step::error("reset")), FaultKind::Transport)]
    {
        let body = MESSAGES.replace(r#""max_tokens":9"#, r#""max_tokens":9,"stream":true"#);
        let mut request = post("/v1/messages", &body);
        let exchange = Exchange::of(request.extensions_mut());
        exchange.begin_attempt(request.extensions_mut());
        let layer = ProviderTranslateLayer::to(upstream(Protocol::OpenAiChat));
        let stream = chat_stream().into_iter().take(3).chain(last).collect();
        let (response, _) = send(layer, request, (200, "text/event-stream", stream)).await;
        let text = text(steps(&mut response.into_body()));
        assert!(text.contains("event: error\n"), "{text}");
        assert!(!text.contains("message_stop"), "{text}");
        exchange.read(|facts| {
            assert_eq!(facts.fault.unwrap().kind, kind);
            assert_eq!(facts.attempts[0].fault, facts.fault, "keys and channels hear of it");
        });
    }
}

#[tokio::test]
async fn the_same_protocol_passes_untouched() {
    let layer = ProviderTranslateLayer::to(upstream(Protocol::OpenAiChat));
    let request = post("/v1/chat/completions?a=%2F&b", CHAT);
    let sent = request.body().clone();
    let answer = Bytes::from_static(CHAT_ANSWER.as_bytes());
    let (response, seen) =
        send(layer, request, (200, "application/json", vec![Step::Data(answer.clone())])).await;
    let (parts, body) = seen.unwrap();
    assert_eq!(parts.uri, "http://upstream/base/v1/chat/completions?a=%2F&b");
    assert_eq!(parts.headers["content-length"], CHAT.len().to_string());
    assert_eq!(body, CHAT);
    let first = Collect::new(sent, 1 << 20).await.unwrap().bytes;
    assert_eq!(body.as_ptr(), first.as_ptr(), "the very same bytes");
    let Some(Step::Data(data)) = steps(&mut response.into_body()).pop() else { panic!("no data") };
    assert_eq!(data.as_ptr(), answer.as_ptr(), "the very same bytes");
}

#[tokio::test]
async fn a_mapped_model_is_spliced_and_nothing_else() {
    let layer =
        ProviderTranslateLayer::to(upstream(Protocol::OpenAiChat).map_model("gpt-x", "gpt-y"));
    let (_, seen) =
        send(layer, post("/v1/chat/completions", CHAT), (200, "application/json", vec![])).await;
    let (parts, body) = seen.unwrap();
    assert_eq!(body, CHAT.replace("gpt-x", "gpt-y"));
    assert!(!parts.headers.contains_key("content-length"));
}

#[tokio::test]
async fn unknown_paths_pass() {
    let layer = ProviderTranslateLayer::to(upstream(Protocol::OpenAiChat));
    let (_, seen) =
        send(layer, post("/v1/files?x", "\u{1}no json"), (200, "text/plain", vec![])).await;
    let (parts, body) = seen.unwrap();
    assert_eq!(parts.uri, "http://upstream/base/v1/files?x");
    assert_eq!(body, "\u{1}no json");
}

#[tokio::test]
async fn a_stripped_key_does_not_change_the_protocol_of_a_model_list() {
    for (told, status) in [(Some(Protocol::Anthropic), 200), (None, 502)] {
        let layer = ProviderTranslateLayer::to(upstream(Protocol::Anthropic));
        let mut request = Request::get("/v1/models").body(Full::default()).unwrap();
        let exchange = Exchange::of(request.extensions_mut());
        exchange.update(|facts| facts.client_protocol = told);
        let (response, seen) = send(layer, request, (200, "application/json", vec![])).await;
        // The empty answer passes, or is no list that could be translated.
        assert_eq!((response.status().as_u16(), seen.is_some()), (status, true));
        let caller = exchange.read(|facts| facts.client_protocol);
        assert_eq!(caller, told.or(Some(Protocol::OpenAiChat)));
    }
}

#[tokio::test]
async fn an_upstream_in_the_extensions_wins() {
    let layer = ProviderTranslateLayer::to(upstream(Protocol::Anthropic));
    let mut request = post("/v1/chat/completions", CHAT);
    request.extensions_mut().insert(Upstream::same_protocol("http://other").unwrap().no_key());
    let (_, seen) = send(layer, request, (200, "application/json", vec![])).await;
    let (parts, _) = seen.unwrap();
    assert_eq!(parts.uri, "http://other/v1/chat/completions");
    assert!(!parts.headers.contains_key("authorization"));

    let request = post("/v1/chat/completions", CHAT);
    let layer = ProviderTranslateLayer::from_context();
    let (response, seen) = send(layer, request, (200, "application/json", vec![])).await;
    assert_eq!((response.status(), seen.is_none()), (StatusCode::BAD_GATEWAY, true));
}

#[tokio::test]
async fn the_callers_credential_takes_the_upstreams_form() {
    let upstream = Upstream::new("http://u", Protocol::Anthropic).unwrap();
    let layer = ProviderTranslateLayer::to(upstream);
    let (_, seen) =
        send(layer, post("/v1/chat/completions", CHAT), (200, "application/json", vec![])).await;
    let headers = seen.unwrap().0.headers;
    assert_eq!(headers["x-api-key"], "callers-key");
    assert!(headers["x-api-key"].is_sensitive());
    assert_eq!(headers["anthropic-version"], "2023-06-01");
    assert!(!headers.contains_key("authorization"));
}

#[tokio::test]
async fn an_empty_header_is_no_credential() {
    let layer =
        ProviderTranslateLayer::to(Upstream::new("http://u", Protocol::OpenAiChat).unwrap());
    for (key, bearer, expected) in
        [("", "Bearer b", Some("Bearer b")), ("a", "Bearer ", Some("Bearer a")), ("", "", None)]
    {
        let mut request = post("/v1/messages", MESSAGES);
        request.headers_mut().insert("x-api-key", key.parse().unwrap());
        request.headers_mut().insert("authorization", bearer.parse().unwrap());
        let (_, seen) = send(layer.clone(), request, (200, "application/json", vec![])).await;
        let headers = seen.unwrap().0.headers;
        let sent = headers.get("authorization").map(|value| value.to_str().unwrap());
        assert_eq!(sent, expected, "{key:?} {bearer:?}");
        assert!(!headers.contains_key("x-api-key"));
    }
}

#[tokio::test]
async fn a_key_in_the_query_is_the_callers_too() {
    let gemini = "/v1beta/models/g:generateContent?alt=sse&key=callers-key";
    let base = || Upstream::new("http://u", Protocol::Gemini).unwrap();
    for (upstream, sent) in [
        (base(), Some("alt=sse&key=callers-key")),
        (base().key("ours").unwrap(), Some("alt=sse")),
        (base().no_key(), Some("alt=sse")),
    ] {
        let layer = ProviderTranslateLayer::to(upstream);
        for path in [gemini, "/v1beta/files?alt=sse&key=callers-key"] {
            let answer = (200, "application/json", vec![]);
            let (_, seen) = send(layer.clone(), post(path, "{}"), answer).await;
            assert_eq!(seen.unwrap().0.uri.query(), sent, "{path}");
        }
    }
}

#[tokio::test]
async fn a_limited_key_goes_only_where_its_model_is_seen() {
    let layer = ProviderTranslateLayer::to(upstream(Protocol::OpenAiChat));
    for (method, path, status) in [
        ("POST", "/v1/completions", 403),
        ("POST", "/v1/chat/%63ompletions", 403),
        ("GET", "/v1/files", 200),
        ("GET", "/v1/realtime?model=gpt-y", 403),
        ("GET", "/v1/models", 200),
    ] {
        let mut request = Request::builder().method(method).uri(path);
        if path.contains("realtime") {
            request = request.header("upgrade", "websocket");
        }
        let mut request = request.body(Full::from("{}")).unwrap();
        let principal = Some(Principal::new("team").models(["gpt-x"]));
        Exchange::of(request.extensions_mut()).update(|facts| facts.principal = principal);
        let (response, seen) =
            send(layer.clone(), request, (200, "application/json", vec![])).await;
        assert_eq!((response.status().as_u16(), seen.is_some()), (status, status == 200), "{path}");
    }
}

#[tokio::test]
async fn bad_requests_are_refused_before_the_call() {
    let translate = || ProviderTranslateLayer::to(upstream(Protocol::OpenAiChat));
    let encoded = |mut request: Request<Full<Bytes>>| {
        request.headers_mut().insert("content-encoding", "gzip, br".parse().unwrap());
        request
    };
    let limited = |mut request: Request<Full<Bytes>>| {
        let principal = Principal::new("p").models(["other"]);
        Exchange::of(request.extensions_mut()).update(|facts| facts.principal = Some(principal));
        request
    };
    let lossy = MESSAGES.replace(r#""max_tokens":9"#, r#""max_tokens":9,"top_k":5"#);
    let rows = [
        ("no JSON", translate(), post("/v1/messages", "{"), 400),
        (
            "no UTF-8",
            translate(),
            post("/v1/messages", "{}").map(|_| Full::new(Bytes::from_static(b"\"\xff\""))),
            400,
        ),
        ("wrong type", translate(), post("/v1/messages", r#"{"model":1}"#), 400),
        ("encoded", translate(), encoded(post("/v1/messages", MESSAGES)), 415),
        (
            "too large",
            translate().max_request_bytes(MESSAGES.len() - 1),
            post("/v1/messages", MESSAGES),
            413,
        ),
        ("strict", translate().strict(), post("/v1/messages", &lossy), 400),
        ("not allowed", translate(), limited(post("/v1/messages", MESSAGES)), 403),
        (
            "not allowed, same protocol",
            translate(),
            limited(post("/v1/chat/completions", CHAT)),
            403,
        ),
        ("no such endpoint", translate(), post("/v1/messages/batches", MESSAGES), 404),
        ("no input", translate(), post("/v1/responses", "[]"), 400),
    ];
    for (name, layer, request, status) in rows {
        let (response, seen) = send(layer, request, (200, "application/json", vec![])).await;
        assert!(seen.is_none(), "{name}: the upstream was called");
        assert_eq!(response.status(), status, "{name}");
        let fault = response.extensions().get::<Fault>().expect("a fault beside it");
        assert_eq!(fault.origin, FaultOrigin::Gateway, "{name}");
        let body = body_json(response).await;
        assert!(body["error"]["message"].as_str().is_some_and(|m| m.len() > 5), "{name}: {body}");
    }
}

#[tokio::test]
async fn the_limit_is_exact() {
    let layer = ProviderTranslateLayer::to(upstream(Protocol::OpenAiChat))
        .max_request_bytes(MESSAGES.len())
        .max_response_bytes(CHAT_ANSWER.len());
    let answer = (200, "application/json", vec![CHAT_ANSWER.into()]);
    let (response, _) = send(layer.clone(), post("/v1/messages", MESSAGES), answer.clone()).await;
    assert_eq!(response.status(), 200);
    let layer = layer.max_response_bytes(CHAT_ANSWER.len() - 1);
    let (response, _) = send(layer, post("/v1/messages", MESSAGES), answer).await;
    assert_eq!(response.status(), 502);
}

#[tokio::test]
async fn losses_are_reported() {
    let lossy = MESSAGES.replace(r#""max_tokens":9"#, r#""max_tokens":9,"top_k":5"#);
    let layer = ProviderTranslateLayer::to(upstream(Protocol::OpenAiChat)).report_header(true);
    let answer = (200, "application/json", vec![CHAT_ANSWER.into()]);
    let (response, _) = send(layer, post("/v1/messages", &lossy), answer).await;
    let report = response.extensions().get::<TranslationReport>().unwrap();
    assert_eq!(report.losses()[0].pointer, "/top_k");
    let header = response.headers()["x-translation-report"].to_str().unwrap();
    assert!(header.starts_with("/top_k: "), "{header}");
}

#[tokio::test]
async fn errors_come_in_the_callers_words() {
    let body =
        r#"{"error":{"message":"slow down","type":"rate_limit_error","param":null,"code":null}}"#;
    let mut request = post("/v1/messages", MESSAGES);
    let exchange = Exchange::of(request.extensions_mut());
    let answer = Response::builder()
        .status(429)
        .header("content-type", "application/json")
        .header("retry-after", "7")
        .body(Frames::new([body]))
        .unwrap();
    let layer = ProviderTranslateLayer::to(upstream(Protocol::OpenAiChat));
    let (response, _) = send_for(layer, request, answer).await;
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()["retry-after"], "7");
    let fault = *response.extensions().get::<Fault>().unwrap();
    assert_eq!((fault.kind, fault.origin), (FaultKind::RateLimit, FaultOrigin::Upstream));
    assert_eq!(fault.retry_after.unwrap().as_secs(), 7);
    assert_eq!(exchange.read(|facts| facts.fault), Some(fault));
    let body = body_json(response).await;
    assert_eq!(body["type"], "error");
    assert_eq!(body["error"], json!({"type": "rate_limit_error", "message": "slow down"}));
}

#[tokio::test]
async fn a_fault_that_is_known_inside_stays() {
    let known = Fault { origin: FaultOrigin::Transport, ..Fault::gateway(FaultKind::Timeout) };
    let mut answer = Response::new(Frames::new(["{}"]));
    *answer.status_mut() = StatusCode::GATEWAY_TIMEOUT;
    answer.extensions_mut().insert(known);
    let mut request = post("/v1/messages", MESSAGES);
    let exchange = Exchange::of(request.extensions_mut());
    let layer = ProviderTranslateLayer::to(upstream(Protocol::OpenAiChat));
    let (response, _) = send_for(layer, request, answer).await;
    assert_eq!(response.extensions().get::<Fault>(), Some(&known));
    assert_eq!(exchange.read(|facts| facts.fault), Some(known));
}

#[tokio::test]
async fn a_fault_that_was_read_inside_a_200_stays() {
    let limited = FaultKind::RateLimit;
    let known = Fault {
        retry_after: Some(std::time::Duration::from_secs(7)),
        guessed: true,
        ..Fault::new(limited, limited.status(), FaultOrigin::Upstream)
    };
    let error = r#"{"error":{"message":"slow down"}}"#;
    let mut answer = Response::new(Frames::new([error]));
    answer.extensions_mut().insert(known);
    let mut request = post("/v1/messages", MESSAGES);
    let exchange = Exchange::of(request.extensions_mut());
    let attempt = exchange.begin_attempt(request.extensions_mut());
    let layer = ProviderTranslateLayer::to(upstream(Protocol::OpenAiChat));
    let (response, _) = send_for(layer, request, answer).await;
    assert_eq!(
        (response.status(), &response.headers()["retry-after"]),
        (limited.status(), &"7".parse().unwrap())
    );
    assert_eq!(response.extensions().get::<Fault>(), Some(&known));
    assert_eq!(exchange.read(|facts| facts.fault), Some(known));
    assert_eq!(exchange.read(|facts| facts.attempts[attempt.index()].fault), Some(known));
}

#[tokio::test]
async fn an_answer_beyond_our_limit_is_charged_to_nobody() {
    let mut request = post("/v1/messages", MESSAGES);
    let exchange = Exchange::of(request.extensions_mut());
    let attempt = exchange.begin_attempt(request.extensions_mut());
    let layer = ProviderTranslateLayer::to(upstream(Protocol::OpenAiChat)).max_response_bytes(16);
    let answer = Response::new(Frames::new([CHAT_ANSWER]));
    let (response, _) = send_for(layer, request, answer).await;
    assert_eq!(response.status(), 502);
    let fault = *response.extensions().get::<Fault>().unwrap();
    assert_eq!((fault.origin, fault.moves_on), (FaultOrigin::Gateway, false));
    assert_eq!(exchange.read(|facts| facts.attempts[attempt.index()].fault), Some(fault));
}

#[tokio::test]
async fn only_what_nobody_can_read_stays_here() {
    let embed = r#"{"model":"m","input":"x"}"#;
    let rows = [
        // What a strict upstream would lose, another may take.
        ("/v1/chat/completions", CHAT.replace("{ ", r#"{"logit_bias":{"1":2},"#), 400, true),
        ("/v1/embeddings", embed.to_owned(), 404, true),
        ("/v1/chat/completions", "{".to_owned(), 400, false),
    ];
    for (path, body, status, moves_on) in rows {
        let layer = ProviderTranslateLayer::to(upstream(Protocol::Anthropic));
        let layer = layer.mode(crate::protocol::report::Mode::Strict);
        let answer = Response::new(Frames::new(["{}"]));
        let (response, seen) = send_for(layer, post(path, &body), answer).await;
        assert!(seen.is_none(), "{body}");
        assert_eq!(response.status(), status, "{body}");
        let fault = *response.extensions().get::<Fault>().unwrap();
        assert_eq!((fault.origin, fault.moves_on), (FaultOrigin::Gateway, moves_on), "{body}");
    }
}

#[tokio::test]
async fn the_upstreams_model_is_that_of_this_attempt() {
    let rows = [
        // Translated, passed unseen, and passed where a layer outside has read the request.
        (Protocol::OpenAiChat, None, Some("claude-x")),
        (Protocol::Anthropic, None, None),
        (Protocol::Anthropic, Some("claude-x"), Some("claude-x")),
    ];
    for (protocol, read, expected) in rows {
        let mut request = post("/v1/messages", MESSAGES);
        let exchange = Exchange::of(request.extensions_mut());
        exchange.update(|facts| facts.upstream_model = Some("of-a-loser".into()));
        if let Some(model) = read {
            let model = Some(model.into());
            assert!(exchange.admit(RequestFacts { model, ..RequestFacts::default() }));
        }
        let layer = ProviderTranslateLayer::to(upstream(protocol));
        let answer = Response::new(Frames::new([CHAT_ANSWER]));
        send_for(layer, request, answer).await;
        assert_eq!(exchange.read(|facts| facts.upstream_model.clone()).as_deref(), expected);
    }
}

#[tokio::test]
async fn answers_that_cannot_be_read_are_a_502() {
    let stream = MESSAGES.replace(r#""max_tokens":9"#, r#""max_tokens":9,"stream":true"#);
    let rows = [
        ("HTML", "text/html", vec!["<html>".into()]),
        ("cut JSON", "application/json", vec![r#"{"id":"#.into()]),
        ("broken", "application/json", vec!["{".into(), Step::error("reset")]),
        ("an error under a 200", "application/json", vec![r#"{"error":{"message":"no"}}"#.into()]),
    ];
    for (name, content_type, frames) in rows {
        for body in [MESSAGES, &stream] {
            let layer = ProviderTranslateLayer::to(upstream(Protocol::OpenAiChat));
            let answer = (200, content_type, frames.clone());
            let (response, _) = send(layer, post("/v1/messages", body), answer).await;
            assert_eq!(response.status(), 502, "{name}");
            let body = body_json(response).await;
            assert_eq!(body["type"], "error", "{name}: {body}");
        }
    }
}

#[tokio::test]
async fn an_answer_in_an_unknown_encoding_is_never_parsed() {
    for (upstream_status, status) in [(200, 502), (429, 429)] {
        let answer = Response::builder()
            .status(upstream_status)
            .header("content-type", "text/event-stream")
            .header("content-encoding", "compress")
            .header("retry-after", "7")
            .body(Frames::new(["\u{1f}"]))
            .unwrap();
        let layer = ProviderTranslateLayer::to(upstream(Protocol::OpenAiChat));
        let (response, _) = send_for(layer, post("/v1/messages", MESSAGES), answer).await;
        assert_eq!(response.status(), status);
        assert!(!response.headers().contains_key("content-encoding"));
        assert_eq!(response.headers().contains_key("retry-after"), status == 429);
        let body = body_json(response).await;
        let message = body["error"]["message"].as_str().unwrap();
        assert_eq!(message.contains("encoded"), status == 502, "{body}");
        assert!(!message.is_empty(), "{body}");
    }
}

#[tokio::test]
async fn what_the_upstream_answers_decides_what_is_read() {
    // A stream for a caller that did not ask for one is folded.
    let layer = ProviderTranslateLayer::to(upstream(Protocol::OpenAiChat));
    let request = post("/v1/messages", MESSAGES);
    let (response, _) =
        send(layer.clone(), request, (200, "text/event-stream", chat_stream())).await;
    assert_eq!(response.headers()["content-type"], "application/json");
    let body = body_json(response).await;
    assert_eq!(body["content"], json!([{"type": "text", "text": "Hello"}]));
    assert_eq!(body["usage"]["input_tokens"], 3);
    // One document for a caller that asked for a stream is played.
    let body = MESSAGES.replace(r#""max_tokens":9"#, r#""max_tokens":9,"stream":true"#);
    let answer = (200, "application/json", vec![CHAT_ANSWER.into()]);
    let (response, _) = send(layer.clone(), post("/v1/messages", &body), answer).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let text = text(steps(&mut response.into_body()));
    assert!(text.contains("Hello") && text.contains("event: message_stop"), "{text}");
    // A stream that breaks while it is folded is a 502: no header has been sent.
    let request = post("/v1/messages", MESSAGES);
    let cut = chat_stream().into_iter().take(2).collect();
    let (response, _) = send(layer, request, (200, "text/event-stream", cut)).await;
    assert_eq!(response.status(), 502);
}

#[tokio::test]
async fn a_passed_stream_that_breaks_says_so() {
    let layer = ProviderTranslateLayer::to(upstream(Protocol::Anthropic));
    let event = "event: ping\ndata: {\"type\": \"ping\"}\n\n";
    let body = MESSAGES.replace(r#""max_tokens":9"#, r#""max_tokens":9,"stream":true"#);
    let answer = (200, "text/event-stream", vec![event.into(), Step::error("reset")]);
    let mut request = post("/v1/messages", &body);
    let exchange = Exchange::of(request.extensions_mut());
    exchange.begin_attempt(request.extensions_mut());
    let (response, _) = send(layer.clone(), request, answer).await;
    let passed = text(steps(&mut response.into_body()));
    assert!(passed.starts_with(event) && passed.contains("event: error\n"), "{passed}");
    // To the reader the body is whole, to keys and channels it is not.
    exchange.read(|facts| {
        assert_eq!(facts.fault.unwrap().kind, FaultKind::Transport);
        assert_eq!(facts.attempts[0].fault, facts.fault);
    });
    // Inside an event nothing can be said.
    let answer = (200, "text/event-stream", vec!["event: pi".into(), Step::error("reset")]);
    let (response, _) = send(layer, post("/v1/messages", &body), answer).await;
    assert_eq!(steps(&mut response.into_body()), ["event: pi".into(), Step::error("reset")]);
}

#[tokio::test]
async fn a_passed_stream_is_not_begun_a_second_time() {
    for (path, protocol, error) in [
        ("/v1/messages", Protocol::Anthropic, "event: error\n"),
        ("/v1/chat/completions", Protocol::OpenAiChat, "data: {\"error\""),
        ("/v1/responses", Protocol::OpenAiResponses, "event: error\n"),
        ("/v1/models/m:streamGenerateContent", Protocol::Gemini, "data: {\"error\""),
        ("/api/v1/services/aigc/text-generation/generation", Protocol::DashScope, "id:"),
    ] {
        let layer = ProviderTranslateLayer::to(upstream(protocol));
        let answer = (200, "text/event-stream", vec!["data: {}\n\n".into(), Step::error("reset")]);
        let (response, _) = send(layer, post(path, "{}"), answer).await;
        let passed = text(steps(&mut response.into_body()));
        let words = passed.strip_prefix("data: {}\n\n").unwrap();
        assert!(words.starts_with(error), "{protocol}: {words}");
        assert!(!words.contains("response.created"), "{words}");
    }
}

#[tokio::test]
async fn the_pieces_of_one_document_are_no_events() {
    let layer = ProviderTranslateLayer::to(upstream(Protocol::OpenAiChat));
    let body = r#"{"contents":[{"parts":[{"text":"Hi"}]}]}"#;
    for (query, kind) in [("", "application/json"), ("?alt=sse", "text/event-stream")] {
        let path = format!("/v1beta/models/m:streamGenerateContent{query}");
        let answer = (200, "text/event-stream", chat_stream());
        let (response, _) = send(layer.clone(), post(&path, body), answer).await;
        assert_eq!(response.headers()["content-type"], kind);
        let text = text(steps(&mut response.into_body()));
        assert_eq!(text.starts_with('['), query.is_empty(), "{text}");
    }
}

#[tokio::test]
async fn trailers_and_empty_answers_stay() {
    let layer = ProviderTranslateLayer::to(upstream(Protocol::OpenAiChat));
    let body = MESSAGES.replace(r#""max_tokens":9"#, r#""max_tokens":9,"stream":true"#);
    let stream = chat_stream().into_iter().chain([Step::trailer("x-sum", "1")]).collect();
    let (response, _) =
        send(layer.clone(), post("/v1/messages", &body), (200, "text/event-stream", stream)).await;
    let last = steps(&mut response.into_body()).pop();
    // The upstream is let go at `[DONE]`; a trailer behind it would hold up the caller.
    assert!(matches!(last, Some(Step::Data(_) | Step::Trailers(_))));
    let (response, _) =
        send(layer, post("/v1/messages", MESSAGES), (204, "application/json", vec![])).await;
    assert_eq!(response.status(), 204);
    assert!(steps(&mut response.into_body()).is_empty());
}

#[tokio::test]
async fn dropping_the_body_drops_the_upstream() {
    let frames = Frames::new(chat_stream());
    let probe = frames.probe();
    let answer =
        Response::builder().header("content-type", "text/event-stream").body(frames).unwrap();
    let body = MESSAGES.replace(r#""max_tokens":9"#, r#""max_tokens":9,"stream":true"#);
    let layer = ProviderTranslateLayer::to(upstream(Protocol::OpenAiChat));
    let (response, _) = send_for(layer, post("/v1/messages", &body), answer).await;
    let mut body = response.into_body();
    assert!(crate::test_helpers::step(&mut body).is_some());
    assert!(!probe.is_dropped());
    drop(body);
    assert!(probe.is_dropped());
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the test is both caller and upstream")]
async fn the_ready_service_is_the_one_that_is_called() {
    type Sent = Request<RewriteBody<Full<Bytes>>>;
    let layer = ProviderTranslateLayer::to(upstream(Protocol::OpenAiChat));
    let (mut service, mut handle) =
        mock::spawn_with::<Sent, Response<Frames>, _, _>(|inner| layer.layer(inner));
    handle.allow(0);
    assert!(service.poll_ready().is_pending());
    handle.allow(1);
    assert!(service.poll_ready().is_ready());
    let call = tokio::spawn(service.call(post("/v1/messages", MESSAGES)));
    let (request, send) = handle.next_request().await.unwrap();
    assert_eq!(request.uri().path(), "/base/v1/chat/completions");
    send.send_error("inner");
    assert_eq!(call.await.unwrap().unwrap_err().to_string(), "inner");
}
