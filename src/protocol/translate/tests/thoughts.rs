//! A caller that asks a model to think, in a protocol that shows what it thinks, gets to see it: the
//! upstream is asked for it where it does not show it unasked.

use Protocol::{Anthropic, DashScope, Gemini, OpenAiChat, OpenAiResponses};
use http::HeaderMap;
use serde_json::{Value, json};

use crate::protocol::report::Mode;
use crate::protocol::translate::{RequestOptions, request};
use crate::protocol::{Head, Protocol};

/// A request with these settings, for a model that every upstream knows to think.
fn asking(protocol: Protocol, settings: &Value) -> Value {
    let said = json!([{"role": "user", "content": "Hi"}]);
    let mut request = match protocol {
        Gemini => json!({"contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
            "generationConfig": settings}),
        DashScope => json!({"model": "m", "input": {"messages": said}, "parameters": settings}),
        OpenAiResponses => json!({"model": "m", "input": said}),
        _ => json!({"model": "m", "max_tokens": 9000, "messages": said}),
    };
    if !matches!(protocol, Gemini | DashScope) {
        request.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    }
    request
}

/// Whether the upstream is asked to show its thoughts.
fn asks(from: Protocol, to: Protocol, settings: &Value) -> bool {
    let path = match from {
        Gemini => "/v1beta/models/m:generateContent",
        _ => "/",
    };
    let headers = HeaderMap::new();
    let head = Head { path, query: None, headers: &headers };
    let options = RequestOptions { head: Some(head), mode: Mode::Lenient, ..Default::default() };
    let body = asking(from, settings).to_string();
    let translated = request(from, to, body.as_bytes(), &options).unwrap();
    let body: Value = serde_json::from_slice(&translated.body).unwrap();
    match to {
        Gemini => body["generationConfig"]["thinkingConfig"]["includeThoughts"] == true,
        _ => !body["reasoning"]["summary"].is_null(),
    }
}

#[test]
fn of_upstreams_that_do_not_show_them_unasked() {
    // from, settings, whether the caller is to see thoughts
    let rows = [
        (Anthropic, json!({"thinking": {"type": "enabled", "budget_tokens": 5000}}), true),
        (Anthropic, json!({"thinking": {"type": "adaptive"}}), true),
        (Anthropic, json!({"thinking": {"type": "adaptive", "display": "omitted"}}), false),
        (Anthropic, json!({"thinking": {"type": "disabled"}}), false),
        (Anthropic, json!({}), false),
        (OpenAiChat, json!({"reasoning_effort": "low"}), true),
        (OpenAiChat, json!({"reasoning_effort": "none"}), false),
        (OpenAiChat, json!({"enable_thinking": true}), true),
        (OpenAiChat, json!({"enable_thinking": false}), false),
        (OpenAiChat, json!({"thinking": {"type": "enabled"}}), true),
        (OpenAiChat, json!({"thinking_budget": 2000}), true),
        (OpenAiChat, json!({"reasoning": {"effort": "high"}}), true),
        (OpenAiChat, json!({"reasoning": {"effort": "high", "exclude": true}}), false),
        (OpenAiChat, json!({}), false),
        (DashScope, json!({"enable_thinking": true}), true),
        (DashScope, json!({"enable_thinking": true, "thinking_budget": 2000}), true),
        (DashScope, json!({"enable_thinking": false}), false),
        (DashScope, json!({}), false),
        // They say it themselves.
        (OpenAiResponses, json!({"reasoning": {"effort": "high"}}), false),
        (OpenAiResponses, json!({"reasoning": {"effort": "high", "summary": "auto"}}), true),
        (Gemini, json!({"thinkingConfig": {"thinkingBudget": 2000}}), false),
        (Gemini, json!({"thinkingConfig": {"includeThoughts": true}}), true),
    ];
    for (from, settings, shown) in rows {
        for to in [OpenAiResponses, Gemini] {
            if to != from {
                assert_eq!(asks(from, to, &settings), shown, "{from} to {to}: {settings}");
            }
        }
    }
}
