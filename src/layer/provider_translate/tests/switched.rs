//! A conversation that another vendor's answer of before is part of.

use serde_json::json;

use super::*;
use crate::protocol::{Answer, translate};

#[tokio::test]
async fn what_a_switch_of_vendors_costs_is_reported() {
    let gemini = br#"{"candidates":[{"content":{"role":"model","parts":[
        {"functionCall":{"name":"f","args":{}},"thoughtSignature":"c2ln"}]},"finishReason":"STOP"}]}"#;
    let answer = Answer::new("m", 1, 1);
    let answer = translate::response(Protocol::Gemini, Protocol::Anthropic, gemini, answer);
    let said: Value = serde_json::from_slice(&answer.unwrap().body).unwrap();
    let call = said["content"].as_array().unwrap().last().unwrap()["id"].clone();
    let body = json!({"model": "claude-x", "max_tokens": 2048, "messages": [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": said["content"]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call}]}],
        "thinking": {"type": "enabled", "budget_tokens": 1024}});
    let request = || post("/v1/messages", &body.to_string());
    let layer = || {
        let layer = ProviderTranslateLayer::to(upstream(Protocol::Anthropic));
        layer.vendors_change(true).report_header(true)
    };
    let (response, seen) = send(layer(), request(), (200, "application/json", vec![])).await;
    let sent: Value = serde_json::from_slice(&seen.unwrap().1).unwrap();
    assert!(sent.get("thinking").is_none(), "{sent}");
    let report = response.extensions().get::<TranslationReport>().unwrap();
    assert!(report.losses().iter().any(|loss| loss.pointer == "/thinking"), "{report}");
    let header = response.headers()["x-translation-report"].to_str().unwrap();
    assert!(header.contains("/thinking: "), "{header}");
    // Who wants no losses is told before anything is sent.
    let (response, seen) = send(layer().strict(), request(), (200, "", vec![])).await;
    assert!(seen.is_none());
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
}
