//! Upstreams that speak a protocol in their own way.

use super::*;
use crate::protocol::dialect::{Completions, Dialect, DialectError, GeminiOpenAi, Outgoing};

const COMPLETION: &str = r#"{"id":"cmpl-1","object":"text_completion","created":1,"model":"old","choices":[{"text":"Hello","index":0,"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#;

fn old() -> ProviderTranslateLayer {
    ProviderTranslateLayer::to(upstream(Protocol::OpenAiChat).dialect(Completions))
}

#[tokio::test]
async fn completions_answer_every_caller() {
    for (path, body) in [("/v1/chat/completions", CHAT), ("/v1/messages", MESSAGES)] {
        let answer = (200, "application/json", vec![COMPLETION.into()]);
        let (response, seen) = send(old(), post(path, body), answer).await;
        let (parts, sent) = seen.unwrap();
        assert_eq!(parts.uri, "http://upstream/base/v1/completions");
        let sent: Value = serde_json::from_slice(&sent).unwrap();
        assert_eq!(sent["prompt"], "Hi");
        assert!(sent.get("messages").is_none());
        let found = body_json(response).await;
        let said = if path == "/v1/messages" {
            &found["content"][0]["text"]
        } else {
            &found["choices"][0]["message"]["content"]
        };
        assert_eq!(said, "Hello", "{found}");
    }
}

#[tokio::test]
async fn completions_stream() {
    let piece = |text: &str, finish: &str| {
        let data = format!(
            r#"{{"id":"c","object":"text_completion","created":1,"model":"old","choices":[{{"text":"{text}","index":0,"finish_reason":{finish}}}]}}"#
        );
        Step::Data(Bytes::from(format!("data: {data}\n\n")))
    };
    let script =
        || vec![piece("Hel", "null"), piece("lo", r#""stop""#), Step::from("data: [DONE]\n\n")];
    let body = MESSAGES.replacen('{', r#"{"stream":true,"#, 1);
    let answer = (200, "text/event-stream", script());
    let (response, _) = send(old(), post("/v1/messages", &body), answer).await;
    let said = text(steps(&mut response.into_body()));
    assert!(said.contains(r#""text":"Hel""#) && said.contains(r#""text":"lo""#), "{said}");
    assert!(said.ends_with("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"), "{said}");

    let body = CHAT.replacen('{', r#"{"stream":true,"#, 1);
    let answer = (200, "text/event-stream", script());
    let (response, _) = send(old(), post("/v1/chat/completions", &body), answer).await;
    let said = text(steps(&mut response.into_body()));
    assert!(said.contains(r#""content":"Hel""#), "{said}");
    assert!(said.ends_with("data: [DONE]\n\n"), "{said}");
}

#[tokio::test]
async fn completions_have_no_tools() {
    let body = CHAT.replacen('{', r#"{"tools":[{"type":"function","function":{"name":"f"}}],"#, 1);
    let (response, seen) =
        send(old(), post("/v1/chat/completions", &body), (200, "", vec![])).await;
    assert!(seen.is_none());
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert_eq!(body_json(response).await["error"]["message"], "Completions has no tools");
}

#[tokio::test]
async fn a_strict_caller_is_told_what_a_dialect_drops() {
    let body = CHAT.replacen('{', r#"{"reasoning_effort":"low","#, 1);
    let request = || post("/v1/chat/completions", &body);
    let (response, _) = send(old().strict(), request(), (200, "", vec![])).await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    let answer = (200, "application/json", vec![COMPLETION.into()]);
    let (response, _) = send(old(), request(), answer).await;
    let report = response.extensions().get::<TranslationReport>().unwrap();
    assert_eq!(report.losses()[0].pointer, "/reasoning_effort");
}

#[tokio::test]
async fn geminis_chat_endpoint() {
    let base = Upstream::new("http://g/v1beta/openai#", Protocol::OpenAiChat).unwrap();
    let layer = ProviderTranslateLayer::to(base.dialect(GeminiOpenAi));
    let layer = layer.vendors_change(true).report_header(true);
    let body = CHAT.replacen('{', r#"{"seed":7,"thinking_budget":100,"#, 1);
    let answer = (200, "application/json", vec![CHAT_ANSWER.into()]);
    let (response, seen) = send(layer, post("/v1/chat/completions", &body), answer).await;
    let (parts, sent) = seen.unwrap();
    assert_eq!(parts.uri, "http://g/v1beta/openai/chat/completions");
    let sent: Value = serde_json::from_slice(&sent).unwrap();
    assert!(sent.get("seed").is_none());
    assert_eq!(sent["extra_body"]["google"]["thinking_config"]["thinking_budget"], 100);
    // Its answers are Chat's own, and pass untouched, but for word of what was lost.
    let report = response.extensions().get::<TranslationReport>().unwrap();
    assert_eq!(report.losses()[0].pointer, "/seed");
    let header = response.headers()["x-translation-report"].to_str().unwrap();
    assert!(header.starts_with("/seed: "), "{header}");
    assert_eq!(text(steps(&mut response.into_body())), CHAT_ANSWER);
}

/// Lives elsewhere, and has no word for a count, or has.
#[derive(Debug)]
struct Elsewhere {
    counts: bool,
}

impl Dialect for Elsewhere {
    fn request(&self, request: &mut Outgoing<'_>) -> Result<(), DialectError> {
        let path = request.uri.path().to_owned();
        match path.strip_prefix("/base/v1/messages") {
            Some("/count_tokens") if self.counts => request.set_path("/count_tokens", "/count"),
            _ => request.set_path("/v1/messages", "/ask"),
        }
    }
}

#[tokio::test]
async fn counts_go_in_the_dialect_or_are_estimated() {
    let ours = r#"{"model":"m","messages":[{"role":"user","content":"Hi"}]}"#;
    let gemini = r#"{"contents":[{"parts":[{"text":"Hi"}]}]}"#;
    for (path, body) in
        [("/v1/messages/count_tokens", ours), ("/v1beta/models/g:countTokens", gemini)]
    {
        for counts in [true, false] {
            let upstream = upstream(Protocol::Anthropic).dialect(Elsewhere { counts });
            let answer = (200, "application/json", vec![r#"{"input_tokens":7}"#.into()]);
            let layer = ProviderTranslateLayer::to(upstream);
            let (response, seen) = send(layer, post(path, body), answer).await;
            let sent = seen.map(|seen| seen.0.uri.path().to_owned());
            assert_eq!(sent.as_deref(), counts.then_some("/base/v1/messages/count"), "{path}");
            assert_eq!(response.headers().contains_key("x-token-count"), !counts, "{path}");
            assert_eq!(response.status(), 200);
        }
    }
}
