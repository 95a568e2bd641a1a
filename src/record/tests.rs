use std::convert::Infallible;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::Full;
use tower::util::BoxCloneSyncService;
use tower::{Layer, ServiceExt, service_fn};

use super::*;
use crate::context::{Exchange, Observed, RequestId};
use crate::protocol::model::{FaultKind, Usage};
use crate::test_helpers::listen::{Log, listen};
use crate::test_helpers::{Frames, step, steps};

/// Writes down all that it is told.
#[derive(Default)]
struct Told {
    records: Mutex<Vec<std::sync::Arc<Record>>>,
    calls: Mutex<Vec<String>>,
}

impl Told {
    fn call(&self, text: String) {
        self.calls.lock().unwrap().push(text);
    }

    fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }

    fn last(&self) -> std::sync::Arc<Record> {
        self.records.lock().unwrap().last().unwrap().clone()
    }
}

impl Sink for Told {
    type Open = u64;

    fn begun(&self, begun: &std::sync::Arc<Begun>, headers: &mut HeaderMap) -> u64 {
        headers.insert("x-sink", "was here".parse().unwrap());
        self.call(format!("begun {}", begun.number));
        begun.number
    }

    fn answered(&self, open: &mut u64, status: StatusCode) {
        self.call(format!("answered {open} {}", status.as_u16()));
    }

    fn ended(&self, open: u64, record: &std::sync::Arc<Record>) {
        self.call(format!("ended {open} {}", record.end.as_str()));
        self.records.lock().unwrap().push(record.clone());
    }
}

type Sinks = std::sync::Arc<Told>;

const STREAM: [&str; 3] = [
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"model\":\"m-1\",\"usage\":{\"input_tokens\":7,\"output_tokens\":1}}}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"hi\"}}\n\n",
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":9}}\n\n",
];

fn stream() -> Response<Frames> {
    let response = Response::builder().header("content-type", "text/event-stream");
    response.body(Frames::new(STREAM)).unwrap()
}

fn ask(id: &str) -> Request<Full<Bytes>> {
    let request = Request::post("/v1/messages").header("x-request-id", id);
    request.body(Full::new(Bytes::from("{\"model\":\"m\"}"))).unwrap()
}

/// Sends a request through `layer`; the body of the answer is still to be read.
async fn send(
    layer: &RecordLayer<Sinks>,
    answer: impl Fn() -> Response<Frames> + Clone + Send + Sync + 'static,
) -> Response<RecordBody<Frames, Sinks>> {
    let inner = service_fn(move |request: Request<crate::body::ObserveBody<_, _>>| {
        let response = answer();
        async move {
            let mut body = request.into_body();
            assert_eq!(steps(&mut body).len(), 1);
            Ok::<_, Infallible>(response)
        }
    });
    layer.layer(inner).oneshot(ask("abc")).await.unwrap()
}

#[tokio::test]
async fn a_sink_is_told_of_begin_answer_and_end() {
    let sink = Sinks::default();
    let layer = RecordLayer::new(sink.clone());
    steps(send(&layer, stream).await.body_mut());
    assert_eq!(sink.calls(), ["begun 1", "answered 1 200", "ended 1 whole"]);
    let record = sink.last();
    assert_eq!(record.begun.request_id.to_string(), "abc");
    assert_eq!(record.usage, Some(Usage { input: 7, output: 9, ..Usage::default() }));
    assert_eq!(record.response_model.as_deref(), Some("m-1"));
    assert!(record.succeeded() && record.stream && record.first_event.is_some());
    let size: usize = STREAM.iter().map(|frame| frame.len()).sum();
    assert_eq!((record.bytes_in(), record.bytes_out()), (13, size as u64));
}

#[tokio::test]
async fn a_caller_who_leaves_has_used_what_passed() {
    let sink = Sinks::default();
    let mut response = send(&RecordLayer::new(sink.clone()), stream).await;
    step(response.body_mut());
    drop(response);
    let record = sink.last();
    assert_eq!((record.end, record.fault), (End::Left, Some(FaultKind::ClientCancel)));
    assert!(record.cancelled() && !record.failed());
    assert_eq!(record.usage, Some(Usage { input: 7, output: 1, ..Usage::default() }));
}

#[tokio::test]
async fn one_of_two_reads_the_answer_and_both_know_it() {
    let (inner, outer) = (Sinks::default(), Sinks::default());
    let within = RecordLayer::new(inner.clone()).layer(service_fn(|_| async {
        let mut response = stream();
        response.headers_mut().insert("x", "y".parse().unwrap());
        Ok::<_, Infallible>(response)
    }));
    let mut response =
        RecordLayer::new(outer.clone()).layer(within).oneshot(ask("abc")).await.unwrap();
    assert!(response.extensions().get::<Observed>().is_some());
    step(response.body_mut());
    step(response.body_mut());
    drop(response);
    for sink in [&inner, &outer] {
        let record = sink.last();
        assert_eq!(record.begun.request_id.to_string(), "abc");
        assert!(record.first_event.is_some());
        assert_eq!(record.usage.as_ref().unwrap().input, 7);
    }
}

#[tokio::test]
async fn who_reads_inside_is_believed() {
    let sink = Sinks::default();
    let service = service_fn(|mut request: Request<_>| async move {
        let exchange = Exchange::of(request.extensions_mut());
        let usage = Usage { input: 1, ..Usage::default() };
        exchange.update(|facts| (facts.usage, facts.first_event) = (Some(usage), true));
        let mut response = stream();
        response.extensions_mut().insert(Observed);
        Ok::<_, Infallible>(response)
    });
    let mut response = RecordLayer::new(sink.clone()).layer(service).oneshot(ask("abc")).await;
    steps(response.as_mut().unwrap().body_mut());
    let record = sink.last();
    assert_eq!(record.usage, Some(Usage { input: 1, ..Usage::default() }));
    assert!(record.first_event.is_some() && record.response_model.is_none());
}

#[tokio::test]
async fn bodies_are_kept_where_asked_for() {
    let sink = Sinks::default();
    let error = || {
        let response = Response::builder().status(529).header("content-type", "text/plain");
        response.body(Frames::new(["over", "loaded"])).unwrap()
    };
    let layer = RecordLayer::new(sink.clone());
    steps(send(&layer, error).await.body_mut());
    let record = sink.last();
    assert_eq!(
        (&record.error_body, &record.request_body, &record.response_body),
        (&None, &None, &None)
    );

    let layer = layer.error_bodies(true).bodies(6);
    steps(send(&layer, error).await.body_mut());
    let record = sink.last();
    assert_eq!(record.error_body.as_deref(), Some("overloaded"));
    assert_eq!(record.request_body.as_ref().unwrap().bytes, b"{\"mode");
    let body = record.response_body.as_ref().unwrap();
    assert_eq!((body.bytes.as_slice(), body.total), (&b"overlo"[..], 10));
    assert_eq!(body.content_type.as_ref().unwrap(), "text/plain");
    assert_eq!(record.error.as_deref(), Some("HTTP 529:"));
}

/// A key of no vendor's form, which its mask alone gives away.
#[tokio::test]
async fn the_body_of_an_error_has_no_key_of_an_attempt() {
    let sink = Sinks::default();
    let service = service_fn(|mut request: Request<_>| async move {
        let exchange = Exchange::of(request.extensions_mut());
        let id = exchange.attempt_of(request.extensions_mut());
        exchange.update_attempt(id, |attempt| attempt.key = Some("9e4b7a1f***c35e8".into()));
        let said = ["nobody has 9e4b7a1f", "d3c8506ec35e8, sorry"];
        Ok::<_, Infallible>(Response::builder().status(401).body(Frames::new(said)).unwrap())
    });
    let layer = RecordLayer::new(sink.clone()).error_bodies(true);
    let mut response = layer.layer(service).oneshot(ask("abc")).await.unwrap();
    steps(response.body_mut());
    let shown = sink.last().error_body.clone();
    assert_eq!(shown.as_deref(), Some("nobody has 9e4b7a1f***c35e8, sorry"));
}

/// What a caller wrote for a model's name is kept by many, and shown.
#[tokio::test]
async fn names_of_models_are_cut_and_hold_no_secret() {
    let sink = Sinks::default();
    let service = service_fn(|mut request: Request<_>| async move {
        let exchange = Exchange::of(request.extensions_mut());
        let id = exchange.attempt_of(request.extensions_mut());
        let model: std::sync::Arc<str> = format!("sk-1234567890abcdef {}", "m".repeat(1000)).into();
        exchange.update_attempt(id, |attempt| attempt.upstream_model = Some(model.clone()));
        exchange.update(|facts| {
            (facts.upstream_model, facts.response_model) = (Some(model.clone()), Some(model));
        });
        Ok::<_, Infallible>(stream())
    });
    let mut response = RecordLayer::new(sink.clone()).layer(service).oneshot(ask("abc")).await;
    steps(response.as_mut().unwrap().body_mut());
    let record = sink.last();
    for model in [&record.model, &record.response_model, &record.attempts[0].upstream_model] {
        let model = model.as_deref().unwrap();
        assert!(model.starts_with("sk-12345***bcdef mmm") && model.len() == MAX_MODEL, "{model}");
    }
}

#[tokio::test]
async fn sinks_together_and_absent() {
    let (one, two) = (Sinks::default(), Sinks::default());
    let sinks = (one.clone(), Some(two.clone()), None::<Sinks>);
    let clock = Clock::new(|| Duration::from_secs(5));
    let layer = RecordLayer::with_clock(sinks, clock);
    let service = layer.layer(service_fn(|request: Request<_>| async move {
        assert_eq!(request.headers()["x-sink"], "was here");
        assert_eq!(request.extensions().get::<RequestId>().unwrap().to_string(), "5000-1");
        Err::<Response<Frames>, _>("no")
    }));
    let request = Request::get("/x").body(Full::<Bytes>::default()).unwrap();
    assert_eq!(service.oneshot(request).await.unwrap_err(), "no");
    for sink in [one, two] {
        assert_eq!(sink.calls(), ["begun 1", "ended 1 refused"]);
        assert_eq!(sink.last().fault, Some(FaultKind::Transport));
    }
}

/// Says something when it is polled, and when it is dropped.
struct Talking(Frames);

impl http_body::Body for Talking {
    type Data = Bytes;
    type Error = crate::BoxError;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        tracing::info!("polled");
        std::pin::Pin::new(&mut self.0).poll_frame(cx)
    }
}

impl Drop for Talking {
    fn drop(&mut self) {
        tracing::info!("dropped");
    }
}

#[tokio::test]
async fn every_line_has_the_id_of_its_request() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).with_ansi(false);
    let _listening = listen(subscriber.finish());
    let inner = service_fn(|_| async {
        tracing::info!("called");
        tokio::task::yield_now().await;
        tracing::info!("resumed");
        Ok::<_, Infallible>(stream().map(Talking))
    });
    let service = RecordLayer::new(Sinks::default()).layer(inner);
    let service = BoxCloneSyncService::new(service);
    let mut response = service.oneshot(ask("id-7")).await.unwrap();
    step(response.body_mut());
    drop(response);
    let text = log.text();
    let said: Vec<&str> = text.lines().collect();
    assert_eq!(said.len(), 4, "{text}");
    for (line, word) in said.iter().zip(["called", "resumed", "polled", "dropped"]) {
        assert!(line.contains(word) && line.contains("request_id=id-7"), "{line}");
    }
}
