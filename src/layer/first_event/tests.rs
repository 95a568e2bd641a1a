use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::Empty;
use proptest::prelude::*;
use tower::{Layer, ServiceExt, service_fn};

use super::body::ResponseBody;
use super::watch::{End, Watch};
use super::{DEFAULT_COMMIT_AFTER, DEFAULT_MAX_HELD_BYTES, FirstEventLayer};
use crate::BoxError;
use crate::context::{Attempt, Exchange};
use crate::error::{Phase, TransportError, TransportKind};
use crate::protocol::Protocol;
use crate::protocol::classify::{Classifier, Classify, Evidence};
use crate::protocol::model::FaultKind::{self, *};
use crate::protocol::model::{Fault, FaultOrigin};
use crate::test_helpers::{Frames, Step, step, steps};

const SSE: &str = "text/event-stream";
const JSON: &str = "application/json";

/// One call of an upstream.
struct Call {
    path: &'static str,
    status: u16,
    content_type: &'static str,
    encoding: &'static str,
    alternative: bool,
}

const CHAT: Call = Call {
    path: "/v1/chat/completions",
    status: 200,
    content_type: SSE,
    encoding: "identity",
    alternative: true,
};

impl Call {
    async fn run<C>(&self, layer: FirstEventLayer, body: C) -> (Response<ResponseBody<C>>, Exchange)
    where
        C: Body<Data = Bytes> + Unpin,
        C::Error: 'static,
    {
        let mut request = Request::post(self.path).body(Empty::<Bytes>::new()).unwrap();
        let exchange = Exchange::of(request.extensions_mut());
        let id = exchange.attempt_of(request.extensions_mut());
        exchange.update_attempt(id, |attempt| {
            attempt.may_repeat = self.alternative;
            attempt.more_channels = true;
        });
        let response = Response::builder()
            .status(self.status)
            .header("content-type", self.content_type)
            .header("content-encoding", self.encoding)
            .body(body)
            .unwrap();
        let response = std::sync::Mutex::new(Some(response));
        let inner = service_fn(|_: Request<Empty<Bytes>>| {
            let response = response.lock().unwrap().take().unwrap();
            async { Ok::<_, Infallible>(response) }
        });
        (layer.layer(inner).oneshot(request).await.unwrap(), exchange)
    }

    async fn answer(&self, script: impl IntoIterator<Item = Step>) -> Seen {
        let frames = Frames::new(script);
        let (response, exchange) = self.run(FirstEventLayer::new(), frames).await;
        Seen { response, exchange }
    }
}

struct Seen {
    response: Response<ResponseBody<Frames>>,
    exchange: Exchange,
}

impl Seen {
    fn fault(&self) -> Option<FaultKind> {
        self.response.extensions().get::<Fault>().map(|fault| fault.kind)
    }

    fn attempt(&self) -> Attempt {
        attempt(&self.exchange)
    }

    fn attempts_fault(&self) -> Option<FaultKind> {
        self.attempt().fault.map(|fault| fault.kind)
    }

    fn exchanges_fault(&self) -> Option<FaultKind> {
        self.exchange.read(|facts| facts.fault.map(|fault| fault.kind))
    }

    /// The steps that the body makes by now.
    fn read(&mut self) -> Vec<Step> {
        steps(self.response.body_mut())
    }
}

fn attempt(exchange: &Exchange) -> Attempt {
    exchange.read(|facts| facts.attempts[0].clone())
}

const ROLE: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n";
const WORD: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"},\"finish_reason\":null}]}\n\n";
const STOP: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const DONE: &str = "data: [DONE]\n\n";
const ERROR: &str = "data: {\"error\":{\"message\":\"Quota exceeded\",\"type\":\"x\"}}\n\n";

#[tokio::test]
async fn errors_are_read_and_given_back() {
    let body = r#"{"error":{"message":"Quota exceeded"}}"#;
    let call = Call { status: 400, content_type: JSON, alternative: false, ..CHAT };
    let (a, b) = body.split_at(9);
    let script = [a.into(), Step::Pending, b.into(), Step::trailer("x", "y")];
    let mut seen = call.answer(script).await;
    assert_eq!(seen.response.status(), 400);
    assert_eq!(seen.fault(), Some(Billing));
    let attempt = seen.attempt();
    assert_eq!(attempt.status, Some(StatusCode::BAD_REQUEST));
    assert_eq!(attempt.fault.map(|fault| (fault.kind, fault.moves_on)), Some((Billing, true)));
    assert_eq!(seen.read(), [a.into(), b.into(), Step::trailer("x", "y")]);
    assert_eq!(seen.exchanges_fault(), None, "the response tells it");
}

#[tokio::test]
async fn errors_of_every_protocol_are_understood() {
    let rows = [
        (
            "/v1/messages",
            529,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
            Overloaded,
        ),
        ("/v1/responses", 429, r#"{"error":{"message":"m","code":"insufficient_quota"}}"#, Billing),
        (
            "/v1beta/models/g:generateContent",
            400,
            r#"{"error":{"code":400,"message":"API key not valid. Pass one.","status":"INVALID_ARGUMENT"}}"#,
            Auth,
        ),
        (
            "/api/v1/services/aigc/text-generation/generation",
            400,
            r#"{"code":"Arrearage","message":"m"}"#,
            Billing,
        ),
        ("/somewhere", 503, "nonsense", Overloaded),
    ];
    for (path, status, body, kind) in rows {
        let seen = Call { path, status, content_type: JSON, ..CHAT }.answer([body.into()]).await;
        assert_eq!((seen.fault(), seen.attempts_fault()), (Some(kind), Some(kind)), "{body}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_goes_by_status() {
    let gzip = Call { status: 403, encoding: "gzip", ..CHAT };
    let mut seen = gzip.answer(["\u{1f}garbage: quota".into()]).await;
    assert_eq!(seen.fault(), Some(Permission));
    assert_eq!(seen.read(), ["\u{1f}garbage: quota".into()]);

    let broken = Call { status: 500, content_type: JSON, ..CHAT };
    let mut seen = broken.answer(["{\"err".into(), Step::error("cut")]).await;
    assert_eq!(seen.fault(), Some(Upstream));
    assert_eq!(seen.read(), ["{\"err".into(), Step::error("cut")]);

    let redirect = Call { status: 301, ..CHAT }.answer([]).await;
    assert_eq!((redirect.fault(), redirect.attempts_fault()), (None, None));
}

#[tokio::test]
async fn a_large_error_is_read_in_part() {
    let half = Step::Data(Bytes::from(vec![b' '; DEFAULT_MAX_HELD_BYTES / 2]));
    let script: Vec<Step> = std::iter::repeat_n(half, 5).collect();
    let call = Call { status: 500, ..CHAT };
    let mut seen = call.answer(script.clone()).await;
    assert_eq!(seen.fault(), Some(Upstream));
    let held = DEFAULT_MAX_HELD_BYTES as u64;
    assert_eq!(seen.response.body().size_hint().lower(), held);
    assert_eq!(seen.read(), script);
}

#[tokio::test]
async fn a_fault_that_was_found_inside_is_kept() {
    let response = || {
        let mut response = Response::builder().status(502).body(Frames::new(["x"])).unwrap();
        response.extensions_mut().insert(Fault::transport(TransportKind::Timeout(Phase::Headers)));
        response
    };
    let inner =
        service_fn(|_: Request<Empty<Bytes>>| async move { Ok::<_, Infallible>(response()) });
    let mut request = Request::post("/v1/messages").body(Empty::new()).unwrap();
    let exchange = Exchange::of(request.extensions_mut());
    let response = FirstEventLayer::new().layer(inner).oneshot(request).await.unwrap();
    let fault = response.extensions().get::<Fault>().copied();
    assert_eq!(
        fault.map(|fault| (fault.kind, fault.origin)),
        Some((Timeout, FaultOrigin::Transport))
    );
    assert_eq!(attempt(&exchange).fault, fault);
}

#[tokio::test]
async fn an_error_first_is_a_fault() {
    for (status, script) in [
        (200, vec![Step::from(ROLE), Step::Pending, ERROR.into(), DONE.into()]),
        (200, vec![ERROR.into()]),
    ] {
        let mut seen = Call { status, ..CHAT }.answer(script.clone()).await;
        assert_eq!(seen.response.status(), 200);
        assert_eq!((seen.fault(), seen.attempts_fault()), (Some(Billing), Some(Billing)));
        assert_eq!(seen.exchanges_fault(), None, "nobody reads it yet");
        let data: Vec<_> = script.into_iter().filter(|step| *step != Step::Pending).collect();
        assert_eq!(seen.read(), data);
        assert_eq!(seen.exchanges_fault(), Some(Billing));
    }
}

#[tokio::test]
async fn a_good_stream_passes_from_its_first_event() {
    let word = Bytes::from(WORD);
    let script = [ROLE.into(), Step::Pending, Step::Data(word.clone()), STOP.into(), DONE.into()];
    let mut seen = CHAT.answer(script).await;
    assert_eq!(seen.response.body().size_hint().lower(), (ROLE.len() + WORD.len()) as u64);
    let read = seen.read();
    assert_eq!(read, [ROLE.into(), WORD.into(), STOP.into(), DONE.into()]);
    assert!(matches!(&read[1], Step::Data(same) if same.as_ptr() == word.as_ptr()), "uncopied");
    assert_eq!((seen.fault(), seen.attempts_fault(), seen.exchanges_fault()), (None, None, None));
    drop(seen.response);
    assert_eq!(attempt(&seen.exchange).fault, None, "all was read");
}

#[tokio::test]
async fn without_an_alternative_nothing_is_held() {
    for (content_type, script) in
        [(SSE, [ROLE.into(), Step::from(ERROR)]), (JSON, ["{".into(), "}".into()])]
    {
        let seen = Call { content_type, alternative: false, ..CHAT }.answer(script).await;
        assert_eq!(seen.response.body().size_hint().lower(), 0);
        assert_eq!(seen.fault(), None);
    }
}

#[tokio::test]
async fn what_goes_wrong_later_is_written_down() {
    let rows: [(&str, Vec<Step>, Option<FaultKind>); 8] = [
        (SSE, vec![WORD.into(), ERROR.into(), DONE.into()], Some(Billing)),
        (SSE, vec![WORD.into(), Step::error("cut")], Some(Transport)),
        (SSE, vec![WORD.into()], Some(Upstream)),
        (SSE, vec![WORD.into(), DONE.into()], None),
        (SSE, vec![WORD.into(), STOP.into()], None),
        (JSON, vec!["{\"choices\"".into(), Step::error("cut")], Some(Transport)),
        (JSON, vec!["{\"choices\"".into()], Some(Upstream)),
        (JSON, vec!["{\"error\":{\"code\":\"rate_limit_exceeded\"}}".into()], Some(RateLimit)),
    ];
    for (content_type, script, fault) in rows {
        for declares_end in [false, true] {
            let call = Call { content_type, alternative: false, ..CHAT };
            let frames = Frames::new(script.clone());
            let frames = if declares_end { frames.declaring_end() } else { frames };
            let (response, exchange) = call.run(FirstEventLayer::new(), frames).await;
            let mut seen = Seen { response, exchange };
            assert_eq!((seen.fault(), seen.attempts_fault()), (None, None), "{script:?}");
            assert_eq!(seen.read(), script);
            assert_eq!(seen.attempts_fault(), fault, "{script:?}");
            assert_eq!(seen.exchanges_fault(), fault, "{script:?}");
        }
    }
}

#[tokio::test]
async fn a_bad_beginning_is_found_while_held() {
    let rows: [(&str, Vec<Step>, Option<FaultKind>); 9] = [
        (SSE, vec![], Some(Upstream)),
        (SSE, vec![ROLE.into()], Some(Upstream)),
        (SSE, vec![ROLE.into(), Step::error("cut")], Some(Transport)),
        (SSE, vec![ROLE.into(), STOP.into()], None),
        (JSON, vec![], Some(Upstream)),
        (JSON, vec!["{\"choices\":[".into()], Some(Upstream)),
        (JSON, vec!["{\"choices\":[".into(), Step::error("cut")], Some(Transport)),
        (
            JSON,
            vec!["{\"error\":{\"message\":\"Quota".into(), " exceeded\"}}".into()],
            Some(Billing),
        ),
        (JSON, vec!["{\"choices\":".into(), "[]}".into()], None),
    ];
    for (content_type, script, fault) in rows {
        for declares_end in [false, true] {
            let frames = Frames::new(script.clone());
            let frames = if declares_end { frames.declaring_end() } else { frames };
            let call = Call { content_type, ..CHAT };
            let (response, exchange) = call.run(FirstEventLayer::new(), frames).await;
            let mut seen = Seen { response, exchange };
            assert_eq!((seen.fault(), seen.attempts_fault()), (fault, fault), "{script:?}");
            assert_eq!(seen.read(), script);
            assert!(seen.response.body().is_end_stream() || script.contains(&Step::error("cut")));
        }
    }
}

/// A body that stops after its first piece, for good.
struct Stalls(Option<Bytes>);

impl Body for Stalls {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0.take().map_or(Poll::Pending, |data| Poll::Ready(Some(Ok(Frame::data(data)))))
    }
}

#[tokio::test(start_paused = true)]
async fn a_hold_ends_with_its_time() {
    let started = tokio::time::Instant::now();
    let stalls = || Stalls(Some(Bytes::from(ROLE)));
    let (response, exchange) = CHAT.run(FirstEventLayer::new(), stalls()).await;
    assert_eq!(started.elapsed().as_secs(), DEFAULT_COMMIT_AFTER.as_secs());
    assert!(response.extensions().get::<Fault>().is_none());
    assert_eq!(attempt(&exchange).fault, None);
    drop(response);
    assert_eq!(attempt(&exchange).fault.unwrap().kind, ClientCancel);

    let layer = FirstEventLayer::new()
        .commit_after(Duration::from_secs(60))
        .error_body_timeout(Duration::from_secs(3));
    let started = tokio::time::Instant::now();
    let call = Call { status: 429, ..CHAT };
    let (response, _) = call.run(layer, stalls()).await;
    assert_eq!(started.elapsed().as_secs(), 3);
    assert_eq!(response.extensions().get::<Fault>().unwrap().kind, RateLimit);
}

#[tokio::test]
async fn a_hold_ends_with_its_size() {
    let layer = FirstEventLayer::new().max_held_bytes(ROLE.len() + 1);
    let script: Vec<Step> = std::iter::repeat_n(Step::from(ROLE), 5).collect();
    let (response, _) = CHAT.run(layer, Frames::new(script)).await;
    assert_eq!(response.body().size_hint().lower(), 2 * ROLE.len() as u64);

    let comments: Vec<Step> = std::iter::repeat_n(Step::from(":"), 5000).collect();
    let (response, _) = CHAT.run(FirstEventLayer::new(), Frames::new(comments)).await;
    assert_eq!(response.body().size_hint().lower(), 1024);
}

#[tokio::test(start_paused = true)]
async fn one_that_was_outrun_has_no_fault() {
    let mut request = Request::post("/v1/messages").body(Empty::<Bytes>::new()).unwrap();
    let exchange = Exchange::of(request.extensions_mut());
    let inner = service_fn(|_: Request<Empty<Bytes>>| {
        std::future::pending::<Result<Response<Frames>, Infallible>>()
    });
    let mut call = Box::pin(FirstEventLayer::new().layer(inner).oneshot(request));
    assert!(tokio::time::timeout(Duration::from_secs(1), &mut call).await.is_err());
    exchange.update(|facts| facts.attempts[0].outrun = true);
    drop(call);
    assert_eq!(attempt(&exchange).fault, None);
}

#[tokio::test]
async fn what_one_that_was_outrun_said_is_forgotten() {
    for outrun in [false, true] {
        let call = Call { alternative: false, ..CHAT };
        let named = WORD.replace("{\"choices\"", "{\"model\":\"slow\",\"choices\"");
        let mut seen = call.answer([Step::Data(named.into()), Step::Pending, WORD.into()]).await;
        step(seen.response.body_mut());
        seen.exchange.update(|facts| facts.attempts[0].outrun = outrun);
        drop(seen.response);
        let told = seen.exchange.read(|facts| facts.response_model.clone());
        assert_eq!(told.as_deref(), (!outrun).then_some("slow"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_blames_nobody_else() {
    // While the call is out.
    let mut request = Request::post("/v1/messages").body(Empty::<Bytes>::new()).unwrap();
    let exchange = Exchange::of(request.extensions_mut());
    let inner = service_fn(|_: Request<Empty<Bytes>>| {
        std::future::pending::<Result<Response<Frames>, Infallible>>()
    });
    let call = FirstEventLayer::new().layer(inner).oneshot(request);
    let timeout = Duration::from_secs(1);
    assert!(tokio::time::timeout(timeout, call).await.is_err());
    let fault = attempt(&exchange).fault.unwrap();
    assert_eq!((fault.kind, fault.origin), (ClientCancel, FaultOrigin::Gateway));
    assert!(!fault.moves_on);

    // While the answer is held.
    let held = CHAT.run(FirstEventLayer::new(), Stalls(None));
    assert!(tokio::time::timeout(timeout, held).await.is_err());

    // Once a fault is known, leaving it is no cancel: failover does so.
    let seen = CHAT.answer([ERROR.into(), WORD.into()]).await;
    drop(seen.response);
    assert_eq!(attempt(&seen.exchange).fault.unwrap().kind, Billing);
}

#[tokio::test]
async fn errors_of_service_and_body_tell_their_kind() {
    let late = || TransportError::new(TransportKind::Timeout(Phase::Headers));
    let mut request = Request::post("/v1/messages").body(Empty::<Bytes>::new()).unwrap();
    let exchange = Exchange::of(request.extensions_mut());
    let inner =
        service_fn(|_: Request<Empty<Bytes>>| async move { Err::<Response<Frames>, _>(late()) });
    assert!(FirstEventLayer::new().layer(inner).oneshot(request).await.is_err());
    assert_eq!(attempt(&exchange).fault.unwrap().kind, Timeout);
}

#[derive(Debug)]
struct Strict;

impl Classify for Strict {
    fn classify(&self, evidence: &Evidence<'_>) -> Option<Fault> {
        let fault = Classifier::new().classify(evidence)?;
        Some(Fault { moves_on: false, ..fault })
    }
}

#[tokio::test]
async fn the_host_may_classify() {
    let layer = FirstEventLayer::new().classify_with(Arc::new(Strict));
    let call = Call { status: 500, ..CHAT };
    let (response, _) = call.run(layer, Frames::new(["x"])).await;
    assert!(!response.extensions().get::<Fault>().unwrap().moves_on);
}

/// How a stream begins in each protocol, and where it is decided: good, or of this fault.
fn beginnings() -> Vec<(Protocol, String, Option<FaultKind>)> {
    use Protocol::*;
    let event = |name: &str, data: &str| format!("event: {name}\ndata: {data}\n\n");
    let data = |data: &str| format!("data: {data}\r\n\r\n");
    let start = event(
        "message_start",
        r#"{"type":"message_start","message":{"id":"m","role":"assistant","content":[],"stop_reason":null,"usage":{"input_tokens":1,"output_tokens":1}}}"#,
    ) + &event("ping", r#"{"type":"ping"}"#)
        + &event(
            "content_block_start",
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        );
    let created = event(
        "response.created",
        r#"{"type":"response.created","response":{"id":"r","status":"in_progress","error":null,"output":[],"usage":null}}"#,
    ) + &event(
        "response.output_item.added",
        r#"{"type":"response.output_item.added","item":{"type":"message","content":[]}}"#,
    );
    vec![
        (Anthropic, start.clone() + &event("content_block_delta", r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"h\u00e9"}}"#), None),
        (Anthropic, start.clone() + &event("content_block_delta", r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"x"}}"#), None),
        (Anthropic, event("content_block_start", r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"f","input":{}}}"#), None),
        (Anthropic, start + &event("error", r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#), Some(Overloaded)),
        (OpenAiChat, format!(": hello\n\n{ROLE}{WORD}"), None),
        (OpenAiChat, format!("{ROLE}data: {{\"choices\":[{{\"delta\":{{\"tool_calls\":[{{\"index\":0}}]}}}}]}}\n\n"), None),
        (OpenAiChat, format!("{ROLE}data: {{\"choices\":[{{\"delta\":{{\"reasoning_content\":\"x\"}}}}]}}\n\n"), None),
        (OpenAiChat, format!("{ROLE}{ERROR}"), Some(Billing)),
        (OpenAiChat, format!("{ROLE}event: error\ndata: {{\"error\":{{\"code\":429,\"message\":\"m\"}}}}\n\n"), Some(RateLimit)),
        (OpenAiResponses, created.clone() + &event("response.output_text.delta", r#"{"type":"response.output_text.delta","delta":"x"}"#), None),
        (OpenAiResponses, created.clone() + &event("response.failed", r#"{"type":"response.failed","response":{"status":"failed","error":{"code":"rate_limit_exceeded","message":"m"}}}"#), Some(RateLimit)),
        (OpenAiResponses, created + &event("error", r#"{"type":"error","code":"server_is_overloaded","message":"m","sequence_number":1}"#), Some(Overloaded)),
        (Gemini, data(r#"{"candidates":[{"content":{"parts":[{"text":""}]}}]}"#) + &data(r#"{"candidates":[{"content":{"parts":[{"text":"x"}]}}]}"#), None),
        (Gemini, data(r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{}}}]}}]}"#), None),
        (Gemini, data(r#"{"error":{"code":503,"message":"m","status":"UNAVAILABLE"}}"#), Some(Overloaded)),
        (DashScope, "id:1\nevent:result\n:HTTP_STATUS/200\ndata:{\"output\":{\"choices\":[{\"finish_reason\":\"null\",\"message\":{\"role\":\"assistant\",\"content\":\"x\"}}]}}\n\n".into(), None),
        (DashScope, "id:1\nevent:error\n:HTTP_STATUS/429\ndata:{\"code\":\"Throttling\",\"message\":\"m\",\"request_id\":\"r\"}\n\n".into(), Some(RateLimit)),
    ]
}

/// After how many bytes the pieces are decided, and the fault.
fn decided(protocol: Protocol, pieces: &[&[u8]]) -> (Option<usize>, Option<FaultKind>) {
    let mut extensions = http::Extensions::new();
    let exchange = Exchange::of(&mut extensions);
    let id = exchange.attempt_of(&mut extensions);
    let answers = Some(protocol);
    let mut watch = Watch::new(Arc::new(Classifier::new()), (exchange, id), answers, answers);
    let response = Response::builder().header("content-type", SSE).body(()).unwrap();
    watch.answered(&response);
    let mut length = 0;
    for piece in pieces {
        watch.data(&Bytes::copy_from_slice(piece));
        length += piece.len();
        if watch.is_settled() {
            let fault = watch.settle(StatusCode::OK, &HeaderMap::new(), std::iter::empty());
            watch.end(End::Whole);
            return (Some(length), fault.map(|fault| fault.kind));
        }
    }
    (None, None)
}

#[test]
fn a_stream_is_decided_by_its_last_byte() {
    for (protocol, stream, fault) in beginnings() {
        let bytes: Vec<&[u8]> = stream.as_bytes().chunks(1).collect();
        let (at, found) = decided(protocol, &bytes);
        assert_eq!(found, fault, "{stream}");
        // The LF behind a last CR is not waited for.
        assert!(
            at.is_some_and(|at| at + 1 >= stream.len()),
            "{at:?} of {}: {stream}",
            stream.len()
        );
        assert_eq!(decided(protocol, &[stream.as_bytes()]), (Some(stream.len()), fault));
    }
}

proptest! {
    #[test]
    fn every_cut_decides_alike(
        row in 0..beginnings().len(),
        mut cuts in proptest::collection::vec(0.0..1.0f64, 0..8),
    ) {
        let (protocol, stream, fault) = beginnings().swap_remove(row);
        cuts.sort_by(f64::total_cmp);
        let mut pieces = Vec::new();
        let mut rest = stream.as_bytes();
        for cut in cuts {
            let at = (cut * stream.len() as f64) as usize;
            let (piece, behind) = rest.split_at((at + rest.len()).saturating_sub(stream.len()).min(rest.len()));
            pieces.push(piece);
            rest = behind;
        }
        pieces.push(rest);
        let (at, found) = decided(protocol, &pieces);
        prop_assert!(at.is_some());
        prop_assert_eq!(found, fault);
    }
}
