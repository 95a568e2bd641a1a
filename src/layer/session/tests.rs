use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};

use super::answer::{ClaimStream, OpenTurn};
use super::{Overflow, ResponseBody, SessionLayer};
use crate::BoxError;
use crate::body::{Collect, DecodeBody, EVENT_STREAM, JSON, RewriteBody};
use crate::context::{Exchange, Principal};
use crate::protocol::Transcode;
use crate::store::{MemorySessions, SessionStore, StoreError, StoreFuture, Turn, TurnKey};
use crate::test_helpers::{Frames, Step, steps};

/// What an upstream was sent, and what it answers.
#[derive(Clone, Default)]
struct Upstream {
    seen: Arc<Mutex<Vec<(Value, http::HeaderMap)>>>,
    answer: Arc<Mutex<Option<Response<Bytes>>>>,
}

impl Upstream {
    fn last(&self) -> Value {
        self.seen.lock().unwrap().last().unwrap().0.clone()
    }

    fn answers(&self, content_type: &str, body: impl Into<Bytes>) {
        let answer = Response::builder().header(CONTENT_TYPE, content_type);
        *self.answer.lock().unwrap() = Some(answer.body(body.into()).unwrap());
    }

    async fn call(
        self,
        request: Request<RewriteBody<Full<Bytes>>>,
    ) -> Result<Response<Full<Bytes>>, BoxError> {
        let (parts, body) = request.into_parts();
        let bytes = Collect::new(body, 1 << 20).await?.bytes;
        let body: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        let turn = self.seen.lock().unwrap().len();
        self.seen.lock().unwrap().push((body, parts.headers));
        if let Some(answer) = self.answer.lock().unwrap().take() {
            return Ok(answer.map(Full::new));
        }
        let body = said(turn).to_string();
        Ok(Response::builder().header(CONTENT_TYPE, JSON).body(Full::from(body))?)
    }
}

fn said(turn: usize) -> Value {
    json!({
        "id": "resp_0", "object": "response", "status": "completed", "store": false,
        "previous_response_id": null,
        "output": [
            {"type": "reasoning", "id": "rs", "summary": []},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": format!("answer {turn}")}]},
        ],
    })
}

/// One gateway in front of one upstream.
struct Gateway {
    layer: SessionLayer,
    upstream: Upstream,
    principal: Option<&'static str>,
}

impl Gateway {
    fn new() -> Self {
        Self::with(SessionLayer::new())
    }

    fn with(layer: SessionLayer) -> Self {
        Self { layer, upstream: Upstream::default(), principal: None }
    }

    async fn send(&self, mut request: Request<Full<Bytes>>) -> Response<ResponseBody<Full<Bytes>>> {
        if let Some(principal) = self.principal {
            Exchange::of(request.extensions_mut())
                .update(|facts| facts.principal = Some(Principal::new(principal)));
        }
        let upstream = self.upstream.clone();
        let inner = service_fn(move |request| upstream.clone().call(request));
        self.layer.layer(inner).oneshot(request).await.unwrap()
    }

    async fn ask(&self, body: Value) -> (StatusCode, Value) {
        let body = Full::from(body.to_string());
        read(self.send(Request::post("/v1/responses").body(body).unwrap()).await).await
    }

    async fn on(&self, method: Method, path: &str) -> (StatusCode, Value) {
        let request = Request::builder().method(method).uri(path);
        read(self.send(request.body(Full::default()).unwrap()).await).await
    }
}

async fn read(response: Response<ResponseBody<Full<Bytes>>>) -> (StatusCode, Value) {
    let status = response.status();
    let body = Collect::new(response.into_body(), 1 << 20).await.unwrap().bytes;
    (status, serde_json::from_slice(&body).unwrap())
}

fn id(answer: &(StatusCode, Value)) -> &str {
    answer.1["id"].as_str().unwrap()
}

#[tokio::test]
async fn a_conversation_goes_on_by_ids() {
    let gateway = Gateway::new();
    let first = gateway.ask(json!({"input": "one", "instructions": "i"})).await;
    assert!(id(&first).starts_with("resp_") && id(&first) != "resp_0");
    assert_eq!(first.1["store"], true);
    assert_eq!(first.1["previous_response_id"], Value::Null);
    assert_eq!(
        gateway.upstream.last(),
        json!({"input": "one", "instructions": "i", "store": false})
    );

    let second = gateway.ask(json!({"input": [{"role": "developer", "content": "two"}], "previous_response_id": id(&first)})).await;
    assert_eq!(second.1["previous_response_id"], id(&first));
    let expected = json!({"store": false, "previous_response_id": null, "input": [
        {"type": "message", "role": "user", "content": "one"},
        said(0)["output"][1],
        {"role": "developer", "content": "two"},
    ]});
    assert_eq!(gateway.upstream.last(), expected);

    let third = gateway.ask(json!({"input": "three", "previous_response_id": id(&second)})).await;
    assert_eq!(gateway.upstream.last()["input"].as_array().unwrap().len(), 5);
    assert_eq!(third.1["previous_response_id"], id(&second));
    // Every turn can be gone on from again.
    gateway.ask(json!({"input": "again", "previous_response_id": id(&first)})).await;
    assert_eq!(gateway.upstream.last()["input"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn unknown_ids_are_the_callers_mistake() {
    let gateway = Gateway::new();
    let (status, body) =
        gateway.ask(json!({"input": "x", "previous_response_id": "resp_nope"})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(body["error"]["code"], "previous_response_not_found");
    assert_eq!(body["error"]["param"], "previous_response_id");
    assert_eq!(body["error"]["message"], "Previous response with id 'resp_nope' not found.");
    assert!(gateway.upstream.seen.lock().unwrap().is_empty());
    let (status, _) = gateway.on(Method::GET, "/v1/responses/resp_nope").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn nobody_goes_on_from_anothers_answer() {
    let mut gateway = Gateway::new();
    gateway.principal = Some("a");
    let first = gateway.ask(json!({"input": "one"})).await;
    let path = format!("/v1/responses/{}", id(&first));
    gateway.principal = Some("b");
    let (status, _) = gateway.ask(json!({"input": "x", "previous_response_id": id(&first)})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(gateway.on(Method::GET, &path).await.0, StatusCode::NOT_FOUND);
    assert_eq!(gateway.on(Method::DELETE, &path).await.0, StatusCode::NOT_FOUND);
    gateway.principal = Some("a");
    assert_eq!(gateway.on(Method::GET, &path).await.0, StatusCode::OK);
}

#[tokio::test]
async fn what_is_not_to_be_stored_is_not() {
    let gateway = Gateway::new();
    let answer = gateway.ask(json!({"input": "one", "store": false})).await;
    // Not touched at all: it is not ours.
    assert_eq!(id(&answer), "resp_0");
    assert_eq!(gateway.upstream.last(), json!({"input": "one", "store": false}));
    let first = gateway.ask(json!({"input": "one"})).await;
    let request = json!({"input": "x", "store": false, "previous_response_id": id(&first)});
    let second = gateway.ask(request).await;
    assert_eq!(second.1["store"], false);
    let (status, _) = gateway.ask(json!({"input": "y", "previous_response_id": id(&second)})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn answers_are_shown_and_deleted() {
    let gateway = Gateway::new();
    let first = gateway.ask(json!({"input": "one"})).await;
    let path = format!("/v1/responses/{}", id(&first));
    assert_eq!(gateway.on(Method::GET, &path).await, first);
    let items = gateway.on(Method::GET, &format!("{path}/input_items")).await.1;
    let item = format!("msg_{}00000", &id(&first)[5..]);
    let content = json!([{"type": "input_text", "text": "one"}]);
    let data = json!([{"type": "message", "role": "user", "content": content, "id": item, "status": "completed"}]);
    let page = json!({"object": "list", "data": data, "first_id": item, "last_id": item, "has_more": false});
    assert_eq!(items, page);
    let deleted = gateway.on(Method::DELETE, &path).await.1;
    assert_eq!(deleted, json!({"id": id(&first), "object": "response", "deleted": true}));
    assert_eq!(gateway.on(Method::GET, &path).await.0, StatusCode::NOT_FOUND);
    assert_eq!(gateway.upstream.seen.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn input_items_come_in_pages() {
    let gateway = Gateway::new();
    let said: Vec<Value> =
        (0..7).map(|n| json!({"role": "user", "content": n.to_string()})).collect();
    let first = gateway.ask(json!({"input": said})).await;
    // Ids are for the listing alone.
    assert_eq!(gateway.upstream.last()["input"], Value::from(said));
    let path = format!("/v1/responses/{}/input_items", id(&first));
    let mut seen = Vec::new();
    let mut query = "limit=3&include[]=message.input_image.image_url".to_owned();
    loop {
        let (status, page) = gateway.on(Method::GET, &format!("{path}?{query}")).await;
        assert_eq!(status, StatusCode::OK);
        seen.extend(
            page["data"].as_array().unwrap().iter().map(|item| item["content"][0]["text"].clone()),
        );
        query = format!("limit=3&after={}", page["last_id"].as_str().unwrap());
        if page["has_more"] == false {
            break;
        }
    }
    assert_eq!(seen, ["6", "5", "4", "3", "2", "1", "0"]);

    for (query, param) in [("limit=0", "limit"), ("order=up", "order"), ("after=msg_x", "after")] {
        let (status, body) = gateway.on(Method::GET, &format!("{path}?{query}")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        let error = &body["error"];
        assert_eq!(
            (&error["param"], &error["type"]),
            (&json!(param), &json!("invalid_request_error"))
        );
    }
    let (status, _) = gateway.on(Method::GET, "/v1/responses/resp_nope/input_items").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn long_conversations_are_trimmed_or_refused() {
    for (overflow, status) in
        [(Overflow::TrimOldest, StatusCode::OK), (Overflow::Refuse, StatusCode::BAD_REQUEST)]
    {
        let gateway = Gateway::with(SessionLayer::new().max_items(3).overflow(overflow));
        let first = gateway.ask(json!({"input": "one"})).await;
        let second = gateway.ask(json!({"input": "two", "previous_response_id": id(&first)})).await;
        let third =
            gateway.ask(json!({"input": "three", "previous_response_id": id(&second)})).await;
        assert_eq!(third.0, status);
        if status == StatusCode::OK {
            assert_eq!(gateway.upstream.last()["input"][0]["content"], "two");
        }
    }
}

#[tokio::test]
async fn counts_see_the_history() {
    let gateway = Gateway::new();
    let first = gateway.ask(json!({"input": "one"})).await;
    let body = json!({"input": "two", "previous_response_id": id(&first)}).to_string();
    gateway.upstream.answers(JSON, r#"{"object":"response.input_tokens","input_tokens":7}"#);
    let request = Request::post("/v1/responses/input_tokens").body(Full::from(body)).unwrap();
    assert_eq!(read(gateway.send(request).await).await.1["input_tokens"], 7);
    let seen = gateway.upstream.last();
    assert_eq!((seen["input"].as_array().unwrap().len(), &seen["store"]), (3, &Value::Null));
}

#[tokio::test]
async fn lengths_and_encodings_are_right() {
    let gateway = Gateway::new();
    let body = r#"{"input":"one"}"#;
    let request = Request::post("/v1/responses")
        .header(CONTENT_LENGTH, body.len())
        .header(ACCEPT_ENCODING, "gzip");
    gateway.send(request.body(Full::from(body)).unwrap()).await;
    let headers = gateway.upstream.seen.lock().unwrap()[0].1.clone();
    assert_eq!(headers[CONTENT_LENGTH], (body.len() + r#""store":false,"#.len()).to_string());
    assert_eq!(headers[ACCEPT_ENCODING], "identity");

    let request = Request::post("/v1/responses").header(CONTENT_ENCODING, "compress");
    let response = gateway.send(request.body(Full::from(body)).unwrap()).await;
    assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let encoded =
        Response::builder().header(CONTENT_TYPE, JSON).header(CONTENT_ENCODING, "gzip, br");
    *gateway.upstream.answer.lock().unwrap() = Some(encoded.body(Bytes::new()).unwrap());
    assert_eq!(gateway.ask(json!({"input": "x"})).await.0, StatusCode::BAD_GATEWAY);
}

#[tokio::test]
async fn errors_and_other_protocols_pass() {
    let gateway = Gateway::new();
    let error = Response::builder().status(429).header(CONTENT_TYPE, JSON);
    *gateway.upstream.answer.lock().unwrap() =
        Some(error.body(Bytes::from_static(b"{\"error\":{}}")).unwrap());
    let (status, body) = gateway.ask(json!({"input": "x"})).await;
    assert_eq!((status.as_u16(), body), (429, json!({"error": {}})));
    let request = Request::post("/v1/messages").body(Full::from("{\"store\":true}")).unwrap();
    gateway.send(request).await;
    assert_eq!(gateway.upstream.last(), json!({"store": true}));
    let passing = Gateway::with(SessionLayer::new().passthrough());
    let request = json!({"input": "x", "previous_response_id": "theirs"});
    assert_eq!(passing.ask(request.clone()).await.0, StatusCode::OK);
    assert_eq!(passing.upstream.last(), request);
    let (status, _) = gateway.ask(json!([])).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_model_that_is_not_allowed_is_refused() {
    let gateway = Gateway::new();
    let body = Full::from(r#"{"model":"big","input":"x"}"#);
    let mut request = Request::post("/v1/responses").body(body).unwrap();
    Exchange::of(request.extensions_mut())
        .update(|facts| facts.principal = Some(Principal::new("p").models(["small"])));
    assert_eq!(gateway.send(request).await.status(), StatusCode::FORBIDDEN);
}

struct Broken;

impl SessionStore for Broken {
    fn history(&self, _: &TurnKey, _: usize) -> StoreFuture<Vec<Arc<Turn>>> {
        Box::pin(std::future::ready(Err(StoreError)))
    }

    fn put(&self, _: TurnKey, _: Turn) {}

    fn remove(&self, _: &TurnKey) -> StoreFuture<bool> {
        Box::pin(std::future::ready(Err(StoreError)))
    }
}

#[tokio::test]
async fn a_broken_store_is_not_the_callers_mistake() {
    let gateway = Gateway::with(SessionLayer::with_store(Arc::new(Broken)));
    let (status, _) = gateway.ask(json!({"input": "x", "previous_response_id": "r"})).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    for method in [Method::GET, Method::DELETE] {
        let (status, _) = gateway.on(method, "/v1/responses/r").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    }
    assert_eq!(gateway.ask(json!({"input": "x"})).await.0, StatusCode::OK);
}

const STREAM: &str = concat!(
    ": hello\r\n\r\n",
    "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_0\",\"status\":\"in_progress\",\"output\":[]},\"sequence_number\":0}\n\n",
    "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"say \\\"response\\\"\"}\n\n",
    "event: response.completed\r\ndata: {\"type\":\"response.completed\",\"response\":{\"id\":\"resp_0\",\"store\":false,\"status\":\"completed\",\"output\":[{\"type\":\"message\",\"role\":\"assistant\"}]}}\r\n\r\n",
);

fn claimed(id: &str) -> String {
    STREAM.replace("\"resp_0\"", &format!("\"{id}\"")).replace("\"store\":false", "\"store\":true")
}

#[tokio::test]
async fn streams_are_kept_when_they_end() {
    let gateway = Gateway::new();
    gateway.upstream.answers(EVENT_STREAM, STREAM);
    let body = Full::from(r#"{"input":"one","stream":true}"#);
    let response = gateway.send(Request::post("/v1/responses").body(body).unwrap()).await;
    let text = Collect::new(response.into_body(), 1 << 20).await.unwrap().bytes;
    let text = String::from_utf8(text.to_vec()).unwrap();
    let at = text.find("\"id\":\"").unwrap() + 6;
    let id = &text[at..at + 37];
    assert_eq!(text, claimed(id));
    gateway.ask(json!({"input": "two", "previous_response_id": id})).await;
    assert_eq!(gateway.upstream.last()["input"].as_array().unwrap().len(), 3);
    let (_, shown) = gateway.on(Method::GET, &format!("/v1/responses/{id}")).await;
    assert_eq!((&shown["id"], &shown["status"]), (&json!(id), &json!("completed")));
}

fn open(store: &MemorySessions) -> OpenTurn {
    OpenTurn {
        store: Arc::new(store.clone()),
        key: TurnKey { principal: "".into(), id: "resp_ours".into() },
        previous: None,
        input: Vec::new(),
        stored: true,
    }
}

#[test]
fn every_cut_gives_the_same_stream() {
    for at in 0..=STREAM.len() {
        let store = MemorySessions::new();
        let (mut claim, mut out) = (ClaimStream::new(open(&store)), BytesMut::new());
        claim.push(&STREAM.as_bytes()[..at], &mut out);
        claim.push(&STREAM.as_bytes()[at..], &mut out);
        claim.finish(&mut out);
        assert_eq!(out, claimed("resp_ours").as_bytes(), "{at}");
        assert_eq!(store.len(), 1);
    }
    let store = MemorySessions::new();
    let (mut claim, mut out) = (ClaimStream::new(open(&store)), BytesMut::new());
    for byte in STREAM.trim_end().as_bytes() {
        claim.push(&[*byte], &mut out);
    }
    assert!(store.is_empty());
    claim.finish(&mut out);
    assert_eq!(out, claimed("resp_ours").trim_end().as_bytes());
    assert_eq!(store.len(), 1);
}

#[test]
fn data_on_several_lines_is_claimed_too() {
    let store = MemorySessions::new();
    let (mut claim, mut out) = (ClaimStream::new(open(&store)), BytesMut::new());
    claim.push(b"event: e\ndata: {\"response\":\ndata: {\"id\":\"r\"}}\n\n", &mut out);
    assert_eq!(out, "event: e\ndata: {\"response\":\ndata: {\"id\":\"resp_ours\"}}\n\n");
}

#[tokio::test]
async fn what_only_the_vendor_keeps_is_refused_by_name() {
    let gateway = Gateway::new();
    for (member, body) in [
        ("item_reference", json!({"input": [{"type": "item_reference", "id": "msg_1"}]})),
        ("conversation", json!({"input": "x", "conversation": "conv_1"})),
        ("background", json!({"input": "x", "background": true})),
    ] {
        let (status, body) = gateway.ask(body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(body["error"]["message"].as_str().unwrap().contains(member), "{body}");
    }
    assert!(gateway.upstream.seen.lock().unwrap().is_empty());
}

#[test]
fn items_come_from_their_own_events_where_the_last_leaves_them_out() {
    for output in ["", ",\"output\":[]"] {
        let store = MemorySessions::new();
        let (mut claim, mut out) = (ClaimStream::new(open(&store)), BytesMut::new());
        let stream = format!(
            "data: {{\"type\":\"response.created\",\"response\":{{\"output\":[]}}}}\n\n\
             data: {{\"type\":\"response.output_item.done\",\"item\":{{\"type\":\"message\"}}}}\n\n\
             data: {{\"type\":\"response.completed\",\"response\":{{\"id\":\"r\"{output}}}}}\n\n"
        );
        claim.push(stream.as_bytes(), &mut out);
        let key = TurnKey { principal: "".into(), id: "resp_ours".into() };
        let turns = tokio_test::block_on(store.history(&key, 9)).unwrap();
        assert_eq!(turns[0].output, [r#"{"type":"message"}"#]);
        // What breaks behind the end takes nothing from the answer.
        let before = out.len();
        claim.abort(&mut out);
        assert_eq!(out.len(), before);
    }
}

#[test]
fn an_event_that_cannot_be_claimed_ends_the_stream() {
    let store = MemorySessions::new();
    let (mut claim, mut out) = (ClaimStream::new(open(&store)), BytesMut::new());
    claim.push(b"data: {\"response\":{\"id\":\"a\",\"id\":\"b\"}}\n\ndata: more\n\n", &mut out);
    assert!(claim.is_done() && out.starts_with(b"event: error"));
    let event = [b"data: {\"response\":".as_slice(), &vec![b' '; 17 << 20], b"{}}\n\n"].concat();
    let (mut claim, mut out) = (ClaimStream::new(open(&store)), BytesMut::new());
    claim.push(&event, &mut out);
    assert!(claim.is_done() && out.starts_with(b"event: error"));
    assert!(!format!("{claim:?}").contains("data"));
}

#[test]
fn a_stream_that_breaks_says_so_and_is_not_kept() {
    let store = MemorySessions::new();
    let frames = Frames::new([Step::from(&STREAM[..STREAM.len() - 4]), Step::error("cut")]);
    let body = DecodeBody::new(frames, &mut http::HeaderMap::new()).unwrap();
    let mut body = ResponseBody::stream(body, open(&store));
    let steps = steps(&mut body);
    let Some(Step::Data(last)) = steps.last() else { panic!("{steps:?}") };
    assert!(last.starts_with(b"event: error\ndata: {\"type\":\"error\""));
    assert!(store.is_empty());
}

#[test]
fn an_event_without_end_is_cut() {
    let store = MemorySessions::new();
    let (mut claim, mut out) = (ClaimStream::new(open(&store)), BytesMut::new());
    let chunk = vec![b'x'; 1 << 20];
    for _ in 0..17 {
        if !claim.is_done() {
            claim.push(&chunk, &mut out);
        }
    }
    assert!(claim.is_done() && out.starts_with(b"event: error"));
}
