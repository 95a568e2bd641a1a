//! The lists of models. Three protocols share the path; they differ by path or header.

use axum::extract::{Path, State as Extract};
use axum::response::Response;
use http::StatusCode;
use http::request::Parts;
use serde_json::{Value, json};

use super::Demo;
use super::chat::Chat;
use super::gemini::Gemini;
use super::generate::{Dialect, Refusal, authorize, json_response};
use super::messages::Messages;

const MODELS: [&str; 4] = ["demo", "demo-tool", "demo-thinking", "demo-slow"];
const CREATED: &str = "2026-11-21T00:00:00Z";

/// Whose list is asked for.
#[derive(Debug, Clone, Copy)]
enum Form {
    Messages,
    OpenAi,
    Gemini,
}

impl Form {
    fn of(parts: &Parts) -> Self {
        let query = parts.uri.query().unwrap_or_default();
        let google = parts.headers.contains_key("x-goog-api-key")
            || query.split('&').any(|pair| pair.starts_with("key="));
        if parts.uri.path().starts_with("/v1beta/") || google {
            Self::Gemini
        } else if parts.headers.contains_key("anthropic-version") {
            Self::Messages
        } else {
            Self::OpenAi
        }
    }

    fn model(self, id: &str) -> Value {
        match self {
            Self::Messages => {
                json!({"type": "model", "id": id, "display_name": id, "created_at": CREATED})
            }
            Self::OpenAi => json!({"id": id, "object": "model", "created": 0, "owned_by": "demo"}),
            Self::Gemini => json!({
                "name": format!("models/{id}"), "displayName": id, "version": "1",
                "inputTokenLimit": 1_048_576, "outputTokenLimit": 65_536,
                "supportedGenerationMethods": ["generateContent", "countTokens"],
            }),
        }
    }

    fn list(self) -> Value {
        let data: Value = MODELS.map(|id| self.model(id)).into_iter().collect();
        match self {
            Self::Messages => {
                json!({"data": data, "has_more": false, "first_id": MODELS[0], "last_id": MODELS[3]})
            }
            Self::OpenAi => json!({"object": "list", "data": data}),
            Self::Gemini => json!({"models": data}),
        }
    }

    fn refusal(self, parts: &Parts, refusal: &Refusal) -> Response {
        match self {
            Self::Messages => Messages::refusal(parts, refusal),
            Self::OpenAi => Chat::refusal(parts, refusal),
            Self::Gemini => Gemini::refusal(parts, refusal),
        }
    }
}

pub(super) async fn all(Extract(demo): Extract<Demo>, parts: Parts) -> Response {
    let form = Form::of(&parts);
    match authorize(&demo, &parts) {
        Ok(()) => json_response(StatusCode::OK, &form.list()),
        Err(refusal) => form.refusal(&parts, &refusal),
    }
}

pub(super) async fn one(
    Extract(demo): Extract<Demo>,
    Path(id): Path<String>,
    parts: Parts,
) -> Response {
    let form = Form::of(&parts);
    let found = authorize(&demo, &parts).and_then(|()| {
        let known = MODELS.contains(&id.as_str());
        known.then_some(()).ok_or(Refusal::new("there is no such model").status(404))
    });
    match found {
        Ok(()) => json_response(StatusCode::OK, &form.model(&id)),
        Err(refusal) => form.refusal(&parts, &refusal),
    }
}
