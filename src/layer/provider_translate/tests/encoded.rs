//! Bodies in an encoding that can be undone.

use super::*;
use crate::test_helpers::encode::{CODINGS, encode, header_of};

fn layer() -> ProviderTranslateLayer {
    ProviderTranslateLayer::to(upstream(Protocol::OpenAiChat))
}

fn answer(status: u16, content_type: &str, coding: &str, steps: Vec<Step>) -> Response<Frames> {
    Response::builder()
        .status(status)
        .header("content-type", content_type)
        .header("content-encoding", header_of(coding))
        .header("content-length", "999")
        .body(Frames::new(steps))
        .unwrap()
}

fn whole(coding: &str, text: &[u8]) -> Bytes {
    encode(coding, [text]).concat().into()
}

#[tokio::test]
async fn answers_and_errors() {
    const ERROR: &str = r#"{"error":{"message":"slow down, please","type":"rate_limit"}}"#;
    for coding in CODINGS {
        let steps = vec![Step::Data(whole(coding, CHAT_ANSWER.as_bytes()))];
        let answered = answer(200, "application/json", coding, steps);
        let (response, _) = send_for(layer(), post("/v1/messages", MESSAGES), answered).await;
        assert_eq!(response.status(), 200, "{coding}");
        for name in ["content-encoding", "content-length"] {
            assert!(!response.headers().contains_key(name), "{coding}: {name}");
        }
        assert_eq!(body_json(response).await["content"][0]["text"], "Hello", "{coding}");

        let steps = vec![Step::Data(whole(coding, ERROR.as_bytes()))];
        let failed = answer(429, "application/json", coding, steps);
        let (response, _) = send_for(layer(), post("/v1/messages", MESSAGES), failed).await;
        assert_eq!(response.status(), 429, "{coding}");
        assert_eq!(body_json(response).await["error"]["message"], "slow down, please", "{coding}");
    }
}

#[tokio::test]
async fn streams_are_translated_event_by_event() {
    let asked = MESSAGES.replace(r#""max_tokens":9"#, r#""max_tokens":9,"stream":true"#);
    let plain: Vec<Bytes> = chat_stream()
        .into_iter()
        .filter_map(|step| if let Step::Data(data) = step { Some(data) } else { None })
        .collect();
    for coding in CODINGS {
        let frames = encode(coding, plain.iter().map(|event| &event[..]));
        let script = frames.iter().flat_map(|frame| [Step::Data(frame.clone()), Step::Pending]);
        let streamed = answer(200, "text/event-stream", coding, script.collect());
        let (response, _) = send_for(layer(), post("/v1/messages", &asked), streamed).await;
        assert!(!response.headers().contains_key("content-encoding"));
        let seen = steps(&mut response.into_body());
        let first = seen.iter().position(|step| *step == Step::Pending).unwrap();
        let begun = text(seen[..first].to_vec());
        assert!(begun.contains("Hel") && !begun.contains("\"lo\""), "{coding}: {begun}");
        let all = text(seen);
        assert!(all.contains("event: message_stop"), "{coding}: {all}");

        // Cut: the caller is told, in its protocol, as in a stream that is not encoded.
        let script = vec![Step::Data(frames[0].clone())];
        let cut = answer(200, "text/event-stream", coding, script);
        let (response, _) = send_for(layer(), post("/v1/messages", &asked), cut).await;
        let all = text(steps(&mut response.into_body()));
        assert!(all.contains("Hel") && all.contains("event: error"), "{coding}: {all}");

        // For a caller that did not ask for a stream it is folded.
        let script = vec![Step::Data(frames.concat().into())];
        let streamed = answer(200, "text/event-stream", coding, script);
        let (response, _) = send_for(layer(), post("/v1/messages", MESSAGES), streamed).await;
        assert_eq!(body_json(response).await["content"][0]["text"], "Hello", "{coding}");
    }
}

#[tokio::test]
async fn what_cannot_be_decoded_is_said() {
    for coding in CODINGS {
        let bytes = whole(coding, CHAT_ANSWER.as_bytes());
        let bomb = whole(coding, &[b' '; 1 << 20]);
        let (theirs, ours) = (FaultOrigin::Upstream, FaultOrigin::Gateway);
        for (name, body, message, origin) in [
            ("cut", bytes.slice(..bytes.len() - 1), "not encoded as it says", theirs),
            ("garbage", Bytes::from_static(b"\x07{}"), "not encoded as it says", theirs),
            ("bomb", bomb.clone(), "too large", ours),
        ] {
            let encoded = answer(200, "application/json", coding, vec![Step::Data(body)]);
            let layer = layer().max_response_bytes(10_000);
            let (response, _) = send_for(layer, post("/v1/messages", MESSAGES), encoded).await;
            assert_eq!(response.status(), 502, "{coding} {name}");
            let fault = *response.extensions().get::<Fault>().unwrap();
            assert_eq!((fault.kind, fault.origin), (FaultKind::Upstream, origin));
            let body = body_json(response).await;
            let said = body["error"]["message"].as_str().unwrap();
            assert!(said.contains(message), "{coding} {name}: {said}");
        }
        // An error keeps its status, whatever its body is.
        let failed = answer(529, "application/json", coding, vec![Step::Data(bomb)]);
        let layer = layer().max_response_bytes(10_000);
        let (response, _) = send_for(layer, post("/v1/messages", MESSAGES), failed).await;
        assert_eq!(response.status(), 529, "{coding}");
    }
}

#[tokio::test]
async fn requests() {
    for coding in CODINGS {
        let encoded = |path: &str, body: &[u8]| {
            let mut request = post(path, "").map(|_| Full::new(whole(coding, body)));
            let headers = request.headers_mut();
            headers.insert("content-encoding", header_of(coding).parse().unwrap());
            headers.insert("content-length", whole(coding, body).len().into());
            request
        };
        let answered = || (200, "application/json", vec![Step::from(CHAT_ANSWER)]);
        let request = encoded("/v1/messages", MESSAGES.as_bytes());
        let (response, seen) = send(layer(), request, answered()).await;
        assert_eq!(response.status(), 200, "{coding}");
        let (parts, body) = seen.unwrap();
        assert!(!parts.headers.contains_key("content-encoding"), "{coding}");
        assert!(serde_json::from_slice::<Value>(&body).is_ok(), "{coding}");

        // The same protocol with a list of models: read, passed on decoded, or refused.
        for (model, status) in [("gpt-x", 200), ("other", 403)] {
            let mut request = encoded("/v1/chat/completions", CHAT.as_bytes());
            let principal = Principal::new("p").models([model]);
            Exchange::of(request.extensions_mut())
                .update(|facts| facts.principal = Some(principal));
            let (response, seen) = send(layer(), request, answered()).await;
            assert_eq!(response.status(), status, "{coding}");
            if let Some((parts, body)) = seen {
                assert_eq!(body, CHAT, "{coding}");
                assert!(!parts.headers.contains_key("content-encoding"), "{coding}");
            }
        }
        // Where nobody must look, no byte changes.
        let request = encoded("/v1/chat/completions", CHAT.as_bytes());
        let (_, seen) = send(layer(), request, answered()).await;
        let (parts, body) = seen.unwrap();
        assert_eq!(body, whole(coding, CHAT.as_bytes()), "{coding}");
        assert_eq!(parts.headers["content-encoding"], header_of(coding));

        let request = encoded("/v1/messages", &[b' '; 1 << 20]);
        let small = layer().max_request_bytes(10_000);
        let (response, seen) = send(small, request, answered()).await;
        assert_eq!((response.status().as_u16(), seen.is_some()), (413, false), "{coding}");
        let mut garbage = encoded("/v1/messages", b"");
        *garbage.body_mut() = Full::from(&b"\x07{}"[..]);
        let (response, seen) = send(layer(), garbage, answered()).await;
        assert_eq!((response.status().as_u16(), seen.is_some()), (400, false), "{coding}");
    }
}
