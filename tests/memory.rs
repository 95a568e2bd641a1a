//! Memory by count, not by clock: allocations per event, and a long stream that must not grow.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use allocation_counter::measure;
use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_llm_gateway::context::Upstream;
use tower_llm_gateway::protocol::Transcode;
use tower_llm_gateway::protocol::translate::Transcoder;
use tower_llm_gateway::protocol::{Answer, Protocol};
use tower_llm_gateway::{ProviderTranslateLayer, StatsLayer};

const CHAT_START: &str = r#"data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}

"#;
const CHAT_TEXT: &str = r#"data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":" some words"},"finish_reason":null}]}

"#;
const CHAT_TOOL: &str = r#"data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":""}}]},"finish_reason":null}]}

"#;
const CHAT_ARGUMENTS: &str = r#"data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\":"}}]},"finish_reason":null}]}

"#;
const CHAT_END: &str = r#"data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}

data: [DONE]

"#;
const MESSAGES_START: &str = r#"event: message_start
data: {"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

"#;
const MESSAGES_TEXT: &str = r#"event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" some words"}}

"#;

const RESPONSES_START: &str = r#"event: response.created
data: {"type":"response.created","response":{"id":"resp_1","model":"m","status":"in_progress","output":[]},"sequence_number":0}

event: response.output_item.added
data: {"type":"response.output_item.added","output_index":0,"item":{"id":"msg_1","type":"message","status":"in_progress","role":"assistant","content":[]},"sequence_number":1}

"#;
const RESPONSES_TEXT: &str = r#"event: response.output_text.delta
data: {"type":"response.output_text.delta","item_id":"msg_1","output_index":0,"content_index":0,"delta":" some words","logprobs":[],"sequence_number":2}

"#;

/// Allocations per event in the steady state, out buffer and its hand-over included.
fn allocations_per_event(from: Protocol, to: Protocol, before: &[&str], event: &str) -> f64 {
    const EVENTS: u32 = 1000;
    let mut transcoder = Transcoder::new(from, to, Answer::new("m", 1, 1)).unwrap();
    let mut out = BytesMut::new();
    for event in before {
        transcoder.push(event.as_bytes(), &mut out);
    }
    let mut push = |events: u32| {
        for _ in 0..events {
            transcoder.push(event.as_bytes(), &mut out);
            assert!(!out.split().freeze().is_empty());
        }
    };
    push(10);
    let counted = measure(|| push(EVENTS));
    counted.count_total as f64 / f64::from(EVENTS)
}

#[test]
fn an_event_costs_at_most_two_allocations() {
    use Protocol::{Anthropic, OpenAiChat, OpenAiResponses};
    let rows = [
        ("Chat text to Messages", OpenAiChat, Anthropic, &[CHAT_START][..], CHAT_TEXT),
        (
            "Chat arguments to Messages",
            OpenAiChat,
            Anthropic,
            &[CHAT_START, CHAT_TOOL],
            CHAT_ARGUMENTS,
        ),
        ("Messages text to Chat", Anthropic, OpenAiChat, &[MESSAGES_START], MESSAGES_TEXT),
        ("Chat text to Responses", OpenAiChat, OpenAiResponses, &[CHAT_START], CHAT_TEXT),
        ("Responses text to Chat", OpenAiResponses, OpenAiChat, &[RESPONSES_START], RESPONSES_TEXT),
    ];
    for (name, from, to, before, event) in rows {
        let count = allocations_per_event(from, to, before, event);
        println!("{name}: {count:.2} allocations per event");
        assert!(count <= 2.0, "{name}: {count}");
    }
}

/// A body that makes its frames as it is read: a start, `events` times one event, an end.
struct Generated {
    start: Option<&'static str>,
    event: &'static str,
    left: usize,
    end: Option<&'static str>,
}

impl Body for Generated {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = if let Some(start) = self.start.take() {
            Some(start)
        } else if self.left > 0 {
            self.left -= 1;
            Some(self.event)
        } else {
            self.end.take()
        };
        Poll::Ready(data.map(|data| Ok(Frame::data(Bytes::from_static(data.as_bytes())))))
    }
}

/// Streams `bytes` of an upstream's answer through stats and translation; gives the most memory
/// that was held at once, in bytes above the start.
fn peak(bytes: usize, path: &'static str, upstream: Protocol) -> u64 {
    let upstream = Upstream::new("http://upstream", upstream).unwrap();
    let mut seen = 0;
    let counted = measure(|| {
        tokio_test::block_on(async {
            let service = ServiceBuilder::new()
                .layer(StatsLayer::new())
                .layer(ProviderTranslateLayer::to(upstream))
                .service(service_fn(async |_request| {
                    let body = Generated {
                        start: Some(CHAT_START),
                        event: CHAT_TEXT,
                        left: bytes / CHAT_TEXT.len(),
                        end: Some(CHAT_END),
                    };
                    let response = Response::builder().header("content-type", "text/event-stream");
                    Ok::<_, Infallible>(response.body(body).unwrap())
                }));
            let body = r#"{"model":"m","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"x"}]}"#;
            let request = Request::post(path).body(Full::new(Bytes::from(body))).unwrap();
            let mut body = std::pin::pin!(service.oneshot(request).await.unwrap().into_body());
            while let Some(frame) = body.frame().await {
                seen += frame.unwrap().into_data().map_or(0, |data| data.len());
            }
        });
    });
    assert!(seen > bytes / 4, "the stream came through: {seen}");
    counted.bytes_max
}

#[test]
fn a_64_mib_stream_is_flat() {
    for (name, path) in [("translated", "/v1/messages"), ("passed", "/v1/chat/completions")] {
        let short = peak(64 << 10, path, Protocol::OpenAiChat);
        let long = peak(64 << 20, path, Protocol::OpenAiChat);
        println!("{name}: {short} bytes at most for 64 KiB, {long} for 64 MiB");
        assert!(long <= short + 4096, "{name}: {short} grew to {long}");
        assert!(long < 256 << 10, "{name}: {long}");
    }
}
