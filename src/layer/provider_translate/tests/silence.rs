//! What a caller hears while the upstream is silent.

use std::task::Poll;
use std::time::Duration;

use tower::Service;

use super::*;
use crate::BoxError;
use crate::test_helpers::step;

fn streaming(body: &str) -> String {
    body.replacen('{', r#"{"stream":true,"#, 1)
}

async fn silent(layer: ProviderTranslateLayer) -> ResponseBody<Frames> {
    let mut script =
        vec![Step::Data(Bytes::from(chunk(r#"{"role":"assistant","content":"Hel"}"#, "null")))];
    script.extend((0..9).map(|_| Step::Pending));
    let answer = (200, "text/event-stream", script);
    let (response, _) = send(layer, post("/v1/messages", &streaming(MESSAGES)), answer).await;
    response.into_body()
}

#[tokio::test(start_paused = true)]
async fn a_translated_stream_pings() {
    let layer = ProviderTranslateLayer::to(upstream(Protocol::OpenAiChat));
    for (layer, pings) in [(layer.clone(), true), (layer.keep_alive(None), false)] {
        let mut body = silent(layer).await;
        assert!(matches!(step(&mut body), Some(Step::Data(_))));
        assert_eq!(step(&mut body), Some(Step::Pending));
        tokio::time::advance(Duration::from_secs(16)).await;
        let expected = Step::from("event: ping\ndata: {\"type\":\"ping\"}\n\n");
        assert_eq!(step(&mut body), Some(if pings { expected } else { Step::Pending }));
    }
}

#[tokio::test(start_paused = true)]
async fn a_passed_stream_pings_only_where_told() {
    let base = Upstream::same_protocol("http://upstream").unwrap();
    let layer = ProviderTranslateLayer::to(base);
    let told = layer.clone().keep_passed_alive(Some(Duration::from_secs(5)));
    for (layer, pings) in [(layer, false), (told, true)] {
        let mut body = silent(layer).await;
        assert!(matches!(step(&mut body), Some(Step::Data(_))));
        assert_eq!(step(&mut body), Some(Step::Pending));
        tokio::time::advance(Duration::from_secs(6)).await;
        let expected = Step::from(": ping\n\n");
        assert_eq!(step(&mut body), Some(if pings { expected } else { Step::Pending }));
    }
}

/// The stream of a caller whose upstream says the head of an answer in one piece, and then nothing
/// for four polls. The response comes with the second.
async fn slow(end: Vec<Step>) -> ResponseBody<Frames> {
    let mut script = vec![Step::from(&CHAT_ANSWER[..40])];
    script.extend((0..4).map(|_| Step::Pending));
    script.extend(end);
    let inner = service_fn(move |_: Request<RewriteBody<Full<Bytes>>>| {
        let answer = Response::builder()
            .header("content-type", "application/json")
            .header("content-length", CHAT_ANSWER.len())
            .body(Frames::new(script.clone()));
        std::future::ready(Ok::<_, BoxError>(answer.unwrap()))
    });
    let mut service = ProviderTranslateLayer::to(upstream(Protocol::OpenAiChat)).layer(inner);
    let request = post("/v1/messages", &streaming(MESSAGES));
    let mut call = tokio_test::task::spawn(service.call(request));
    assert!(call.poll().is_pending());
    tokio::time::advance(Duration::from_secs(16)).await;
    let Poll::Ready(Ok(response)) = call.poll() else { panic!("the stream should begin") };
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert!(!response.headers().contains_key("content-length"));
    let mut body = response.into_body();
    assert_eq!(step(&mut body), Some(Step::Pending));
    tokio::time::advance(Duration::from_secs(16)).await;
    assert_eq!(step(&mut body), Some(Step::from(": ping\n\n")));
    body
}

#[tokio::test(start_paused = true)]
async fn a_stream_begins_before_a_slow_answer_is_there() {
    let mut body = slow(vec![Step::from(&CHAT_ANSWER[40..])]).await;
    let said = text(steps(&mut body));
    assert!(said.starts_with("event: message_start"), "{said}");
    assert!(said.contains("Hello"), "{said}");
    assert!(said.ends_with("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"), "{said}");
    assert!(body.is_end_stream());
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_that_fails_ends_in_the_callers_error_event() {
    for (end, reason) in [
        (vec![Step::error("reset")], "the connection to the upstream broke"),
        (vec![Step::from("}{")], "the upstream's answer could not be read"),
    ] {
        let mut body = slow(end).await;
        let said = text(steps(&mut body));
        let last = said.rsplit("event: ").next().unwrap();
        assert!(last.starts_with("error\n") && last.contains(reason), "{said}");
        assert!(!said.contains("message_stop"), "{said}");
    }
}
