//! Headers that the owner of the proxy adds to every request for an upstream.

use std::fs;
use std::io::ErrorKind;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use tower_llm_gateway::redact;

use crate::environment::Environment;

const DEFAULT_HEADERS_FILE: &str = "env/.env.headers.json";

/// Headers for the upstream from a JSON file. Whatever is wrong with it leaves a warning, and the
/// proxy starts: these headers are an extra.
pub(crate) fn custom_headers(env: &Environment, warnings: &mut Vec<String>) -> HeaderMap {
    let configured = env.text("CUSTOM_HEADERS_FILE");
    let path = configured.unwrap_or(DEFAULT_HEADERS_FILE);
    let text = fs::read_to_string(path);
    // Somebody may have put the headers themselves where their file belongs.
    let path = redact::text(path);
    let text = match text {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound && configured.is_none() => {
            return HeaderMap::new();
        }
        Err(error) => {
            warnings.push(format!("no custom headers, cannot read {path}: {error}"));
            return HeaderMap::new();
        }
    };
    let Ok(Value::Object(members)) = serde_json::from_str(&text) else {
        warnings.push(format!("no custom headers, {path} is not a JSON object"));
        return HeaderMap::new();
    };
    let mut headers = HeaderMap::new();
    for (name, value) in members.iter().filter(|(name, _)| !name.starts_with("__")) {
        match header(name, value) {
            Some((name, value)) => drop(headers.insert(name, value)),
            None => warnings.push(format!("custom header {name:?} of {path} is not valid")),
        }
    }
    headers
}

fn header(name: &str, value: &Value) -> Option<(HeaderName, HeaderValue)> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    };
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some((name.parse().ok()?, value))
}
