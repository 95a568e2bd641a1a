//! What a caller hears while the upstream is silent.

use std::time::Duration;

use super::*;
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
