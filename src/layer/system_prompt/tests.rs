use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::Full;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_test::mock;

use super::{OnInvalid, SystemPromptLayer};
use crate::body::{Collect, RewriteBody};
use crate::context::{Exchange, Principal};
use crate::protocol::Protocol;
use crate::protocol::edit::SystemEdit;
use crate::protocol::model::{Fault, FaultOrigin};
use crate::test_helpers::{Frames, Step, steps};

fn data(pieces: &[&'static str]) -> Frames {
    Frames::new(pieces.iter().copied())
}

fn data_then(pieces: &[&'static str], last: impl IntoIterator<Item = Step>) -> Frames {
    Frames::new(pieces.iter().copied().map(Step::from).chain(last))
}

type Seen = Request<RewriteBody<Frames>>;
type Answer = Response<RewriteBody<Full<Bytes>>>;

/// Sends a request through the layer: what the inner service saw, if it was called, and the answer.
async fn send(layer: SystemPromptLayer, request: Request<Frames>) -> (Option<Seen>, Answer) {
    let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
    let inner = service_fn(move |request: Seen| {
        sender.try_send(request).unwrap();
        async { Ok::<_, Infallible>(Response::new(Full::from("answer"))) }
    });
    let answer = layer.layer(inner).oneshot(request).await.unwrap();
    (receiver.try_recv().ok(), answer)
}

fn post(path: &str, body: Frames) -> Request<Frames> {
    Request::post(path).body(body).unwrap()
}

async fn text<B: Body<Data = Bytes>>(body: B) -> String
where
    B::Error: std::fmt::Debug,
{
    let collected = Collect::new(body, 1024).await.unwrap();
    String::from_utf8(collected.bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn an_edit_changes_body_length_and_digests() {
    let mut request = post("/v1/messages?beta=true", data(&[r#"{"system""#, r#": "a"}"#]));
    for name in
        ["content-length", "digest", "content-digest", "repr-digest", "content-md5", "x-kept"]
    {
        request.headers_mut().insert(name, HeaderValue::from_static("15"));
    }
    let (seen, answer) = send(SystemPromptLayer::append("b"), request).await;
    let seen = seen.unwrap();
    assert_eq!(seen.uri(), "/v1/messages?beta=true");
    assert_eq!(seen.headers().len(), 2);
    assert_eq!(seen.headers()["content-length"], "20");
    assert_eq!(seen.headers()["x-kept"], "15");
    assert_eq!(seen.body().size_hint().exact(), Some(20));
    assert_eq!(text(seen.into_body()).await, r#"{"system": "a\n\nb"}"#);
    assert_eq!(text(answer.into_body()).await, "answer");
}

#[tokio::test]
async fn a_body_without_a_length_gets_none() {
    let mut request = post("/v1/messages", data(&["{}"]));
    request.headers_mut().insert("transfer-encoding", HeaderValue::from_static("chunked"));
    let (seen, _) = send(SystemPromptLayer::append("b"), request).await;
    assert!(!seen.unwrap().headers().contains_key("content-length"));
}

#[tokio::test]
async fn an_unchanged_body_is_the_very_same() {
    let body = r#"{ "system": "has KEY in it" }"#;
    let trailer = Step::trailer("x-trailer", "1");
    let frames = data_then(&[body], [trailer.clone()]);
    let mut request = post("/v1/messages", frames);
    request.headers_mut().insert("content-length", HeaderValue::from_static("29"));
    request.headers_mut().insert("digest", HeaderValue::from_static("d"));
    let headers = request.headers().clone();

    let (seen, _) = send(SystemPromptLayer::insert_if_absent("key", "text"), request).await;
    let seen = seen.unwrap();
    assert_eq!(seen.headers(), &headers);
    let mut body_seen = seen.into_body();
    let steps = steps(&mut body_seen);
    let [Step::Data(data), last] = &steps[..] else { panic!("{steps:?}") };
    assert_eq!(data.as_ptr(), body.as_ptr());
    assert_eq!(*last, trailer);
    assert!(body_seen.is_end_stream());
}

#[tokio::test]
async fn other_requests_pass_unread() {
    let rows = [
        ("POST", "/v1/embeddings", SystemPromptLayer::replace("x")),
        ("GET", "/v1/models", SystemPromptLayer::replace("x")),
        ("HEAD", "/v1/messages", SystemPromptLayer::replace("x")),
        ("POST", "/v1beta/models/g:countTokens", SystemPromptLayer::replace("x")),
        ("POST", "/v1/messages", SystemPromptLayer::edit(SystemEdit::Keep)),
        ("POST", "/v1/messages", SystemPromptLayer::claude_code("", true)),
        ("POST", "/v1/messages/count_tokens", SystemPromptLayer::claude_code("x", true)),
        ("POST", "/v1/chat/completions", SystemPromptLayer::claude_code("x", true)),
        ("POST", "/v1/messages", SystemPromptLayer::replace("x").protocols([Protocol::Gemini])),
    ];
    for (method, path, layer) in rows {
        // A body that never ends shows that nobody waits for it.
        let mut request = post(path, data_then(&["{}"], [Step::Pending]));
        *request.method_mut() = method.parse().unwrap();
        request.headers_mut().insert("content-encoding", HeaderValue::from_static("gzip"));
        let (seen, answer) = send(layer.max_body_bytes(0), request).await;
        assert_eq!(answer.status(), StatusCode::OK, "{method} {path}");
        let seen = seen.unwrap();
        assert!(!seen.body().is_end_stream());
        assert!(seen.extensions().get::<Exchange>().is_none());
    }
}

#[tokio::test]
async fn counts_of_tokens_are_edited_too() {
    let layer = SystemPromptLayer::replace("x");
    let (seen, _) = send(layer, post("/v1/messages/count_tokens", data(&["{}"]))).await;
    assert_eq!(text(seen.unwrap().into_body()).await, r#"{"system":"x"}"#);
}

async fn refused(layer: SystemPromptLayer, request: Request<Frames>) -> (StatusCode, String) {
    let (seen, answer) = send(layer, request).await;
    assert!(seen.is_none(), "the inner service must not be called");
    let fault = *answer.extensions().get::<Fault>().unwrap();
    assert_eq!((fault.origin, fault.status), (FaultOrigin::Gateway, answer.status()));
    assert_eq!(answer.headers()["content-type"], "application/json");
    (answer.status(), text(answer.into_body()).await)
}

#[tokio::test]
async fn the_limit_is_exact() {
    let layer = || SystemPromptLayer::append("b").max_body_bytes(4);
    let (seen, _) = send(layer(), post("/v1/messages", data(&["{  ", "}"]))).await;
    assert!(seen.is_some());
    let request = post("/v1/messages", data_then(&["{  ", " }"], [Step::Pending]));
    let (status, body) = refused(layer(), request).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(
        body,
        r#"{"type":"error","error":{"type":"request_too_large","message":"the request body is too large"}}"#
    );
}

#[tokio::test]
async fn a_body_in_an_unknown_encoding_never_passes_the_policy_unseen() {
    let mut request = post("/v1/chat/completions", data_then(&["\u{1f}"], [Step::Pending]));
    request.headers_mut().insert("content-encoding", HeaderValue::from_static("gzip, br"));
    let (status, _) = refused(SystemPromptLayer::remove(), request).await;
    assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[cfg(feature = "decompress")]
#[tokio::test]
async fn an_encoded_body_is_decoded_for_the_policy() {
    use crate::test_helpers::encode::{CODINGS, encode, header_of};

    const BODY: &[u8] = br#"{"system": "a", "n": 1.0}"#;
    let layer = || SystemPromptLayer::append("b").max_body_bytes(BODY.len());
    for coding in CODINGS {
        let sent = |bytes: Bytes| {
            let length = HeaderValue::from(bytes.len());
            let mut request = post("/v1/messages", Frames::new([Step::Data(bytes)]));
            let name = HeaderValue::from_str(header_of(coding)).unwrap();
            request.headers_mut().insert("content-encoding", name);
            request.headers_mut().insert("content-length", length);
            request
        };
        let bytes = Bytes::from(encode(coding, [BODY]).concat());
        for (layer, expected) in [
            (layer(), r#"{"system": "a\n\nb", "n": 1.0}"#),
            // What need not change goes on decoded too.
            (SystemPromptLayer::insert_if_absent("a", "b"), std::str::from_utf8(BODY).unwrap()),
        ] {
            let seen = send(layer, sent(bytes.clone())).await.0.unwrap();
            assert!(seen.headers().is_empty(), "{coding}: {:?}", seen.headers());
            assert_eq!(seen.body().size_hint().exact(), Some(expected.len() as u64), "{coding}");
            assert_eq!(text(seen.into_body()).await, expected, "{coding}");
        }
        let cut = bytes.slice(..bytes.len() - 1);
        assert_eq!(refused(layer(), sent(cut)).await.0, StatusCode::BAD_REQUEST, "{coding}");
        let bomb = Bytes::from(encode(coding, [&[b' '; 1 << 20][..]]).concat());
        assert_eq!(refused(layer(), sent(bomb)).await.0, StatusCode::PAYLOAD_TOO_LARGE, "{coding}");
    }
}

#[tokio::test]
async fn a_body_that_breaks_is_a_bad_request() {
    let body = data_then(&["{"], [Step::error("secret cause")]);
    let (status, body) = refused(SystemPromptLayer::remove(), post("/v1/responses", body)).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(body.contains("could not be read") && !body.contains("secret"), "{body}");
}

#[tokio::test]
async fn what_is_no_json_passes_or_not() {
    let request = || post("/v1/messages", data(&["{\"system\": "]));
    let (seen, _) = send(SystemPromptLayer::remove(), request()).await;
    assert_eq!(text(seen.unwrap().into_body()).await, "{\"system\": ");
    let layer = SystemPromptLayer::remove().on_invalid(OnInvalid::Refuse);
    assert_eq!(refused(layer, request()).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn duplicates_and_malformed_prompts_are_refused() {
    for body in
        [r#"{"system":"a","system":"b"}"#, r#"{"system":7}"#, r#"{"model":"a","model":"b"}"#]
    {
        let layer = SystemPromptLayer::append("x");
        let (status, _) = refused(layer, post("/v1/messages", data(&[body]))).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
    }
}

fn limited(path: &str, body: &'static str) -> Request<Frames> {
    let mut request = post(path, data(&[body]));
    let exchange = Exchange::of(request.extensions_mut());
    exchange.update(|facts| facts.principal = Some(Principal::new("team").models(["good"])));
    request
}

#[tokio::test]
async fn callers_are_held_to_their_models() {
    let layer = || SystemPromptLayer::append("x");
    for (path, body) in [
        ("/v1/messages", r#"{"model":"good"}"#),
        ("/v1beta/models/good:generateContent", r#"{"model":"bad"}"#),
    ] {
        assert!(send(layer(), limited(path, body)).await.0.is_some(), "{path}");
    }
    for (path, body, status) in [
        ("/v1/messages", r#"{"model":"bad"}"#, 403),
        ("/v1/messages", "{}", 403),
        ("/v1beta/models/bad:generateContent", r#"{"model":"good"}"#, 403),
        ("/v1/messages", "no json", 400),
    ] {
        let request = limited(path, body);
        let exchange = request.extensions().get::<Exchange>().unwrap().clone();
        assert_eq!(refused(layer(), request).await.0, status, "{path} {body}");
        assert_eq!(exchange.read(|facts| facts.request.is_some()), status == 403);
    }
}

#[tokio::test]
async fn facts_are_left_for_others() {
    let body = r#"{"model":"m","stream":true,"user":"u","prompt_cache_key":"k","messages":[]}"#;
    let request = post("/v1/chat/completions", data(&[body]));
    let (seen, _) = send(SystemPromptLayer::append("x"), request).await;
    let exchange = seen.unwrap().extensions().get::<Exchange>().unwrap().clone();
    exchange.read(|facts| {
        assert_eq!(facts.client_protocol, Some(Protocol::OpenAiChat));
        let request = facts.request.as_ref().unwrap();
        assert!(request.stream);
        assert_eq!(request.model.as_deref(), Some("m"));
        assert_eq!(request.user.as_deref(), Some("u"));
        assert_eq!(request.cache_key.as_deref(), Some("k"));
    });
}

#[tokio::test]
async fn a_closure_decides_by_request() {
    let layer = SystemPromptLayer::with(|request| {
        assert_eq!(request.route.protocol, Protocol::Anthropic);
        assert_eq!(request.headers["x-team"], "t");
        let joined: Vec<_> = request.system.iter().map(|text| text.decode()).collect();
        match request.facts.stream {
            true => SystemEdit::Replace(joined.concat().into()),
            false => SystemEdit::Keep,
        }
    });
    for (body, expected) in [
        (
            r#"{"stream":true,"system":[{"text":"a"},{"text":"b"}]}"#,
            r#"{"stream":true,"system":[{"type":"text","text":"ab"}]}"#,
        ),
        (r#"{"stream":false,"system":"a"}"#, r#"{"stream":false,"system":"a"}"#),
    ] {
        let mut request = post("/v1/messages", data(&[body]));
        request.headers_mut().insert("x-team", HeaderValue::from_static("t"));
        let (seen, _) = send(layer.clone(), request).await;
        assert_eq!(text(seen.unwrap().into_body()).await, expected);
    }
}

#[tokio::test]
async fn errors_of_the_inner_service_stay_its_own() {
    let inner = service_fn(|_: Seen| async { Err::<Response<Full<Bytes>>, _>("inner broke") });
    let request = post("/v1/messages", data(&["{}"]));
    let error = SystemPromptLayer::append("x").layer(inner).oneshot(request).await.unwrap_err();
    assert_eq!(error, "inner broke");
}

#[tokio::test]
async fn dropping_the_future_drops_the_body_and_calls_nobody() {
    let body = data_then(&["{"], [Step::Pending]);
    let probe = body.probe();
    let (inner, mut handle) = mock::pair::<Seen, Response<Full<Bytes>>>();
    handle.allow(1);
    let mut service = SystemPromptLayer::append("x").layer(inner);
    service.ready().await.unwrap();
    let mut future = tokio_test::task::spawn(service.call(post("/v1/messages", body)));
    assert!(future.poll().is_pending());
    assert!(!probe.is_dropped());
    drop(future);
    assert!(probe.is_dropped());
    drop(service);
    assert!(handle.next_request().await.is_none());
}

#[tokio::test]
async fn the_ready_service_goes_with_the_request() {
    let layer = SystemPromptLayer::append("x");
    let (mut service, mut handle) =
        mock::spawn_with(|inner: mock::Mock<Seen, Response<Full<Bytes>>>| layer.layer(inner));
    handle.allow(0);
    assert!(service.poll_ready().is_pending());
    handle.allow(1);
    assert!(service.poll_ready().is_ready());

    let body = data(&["{", "}"]);
    let mut answer = tokio_test::task::spawn(service.call(post("/v1/messages", body)));
    assert!(answer.poll().is_pending());
    let (seen, send) = handle.next_request().await.unwrap();
    assert_eq!(text(seen.into_body()).await, r#"{"system":"x"}"#);
    send.send_response(Response::new(Full::from("answer")));
    assert!(answer.is_woken());
    assert_eq!(answer.await.unwrap().status(), StatusCode::OK);
    // The clone that was left behind has no readiness of its own yet.
    assert!(service.poll_ready().is_pending());
}

#[tokio::test]
async fn answers_pass_frame_by_frame() {
    let script = ["a".into(), Step::Pending, "b".into(), Step::error("cut")];
    for path in ["/v1/messages", "/other"] {
        let frames = script.clone();
        let inner = service_fn(move |_: Seen| {
            let answer = Frames::new(frames.clone());
            async { Ok::<_, Infallible>(Response::new(answer)) }
        });
        let request = post(path, data(&["{}"]));
        let answer = SystemPromptLayer::append("x").layer(inner).oneshot(request).await.unwrap();
        assert_eq!(steps(&mut answer.into_body()), script);
    }
}

#[test]
fn debug_hides_the_prompt() {
    let layer = SystemPromptLayer::replace("trade secret");
    assert!(!format!("{layer:?}").contains("trade secret"));
}
