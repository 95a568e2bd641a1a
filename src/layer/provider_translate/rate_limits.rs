//! What an upstream says of its limits, in the headers that the caller's SDK reads. Pure.
//!
//! Anthropic writes `anthropic-ratelimit-requests-reset: 2026-01-01T00:00:00Z`, OpenAI
//! `x-ratelimit-reset-requests: 6m0s`. The upstream's own headers stay.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::protocol::Protocol;

/// What is limited, and what is said of it.
const LIMITED: [&str; 2] = ["requests", "tokens"];
const SAID: [&str; 3] = ["limit", "remaining", "reset"];

/// Adds the headers of the caller's vendor where the upstream's are there.
pub(super) fn translate(headers: &mut HeaderMap, to: Protocol, now: SystemTime) {
    for what in LIMITED {
        for said in SAID {
            let anthropic = format!("anthropic-ratelimit-{what}-{said}");
            let openai = format!("x-ratelimit-{said}-{what}");
            let is_reset = said == "reset";
            match to {
                Protocol::Anthropic => {
                    copy(headers, &openai, &anthropic, |value| {
                        if is_reset { instant(value, now) } else { Some(value.to_owned()) }
                    });
                }
                Protocol::OpenAiChat | Protocol::OpenAiResponses => {
                    copy(headers, &anthropic, &openai, |value| {
                        if is_reset { wait(value, now) } else { Some(value.to_owned()) }
                    });
                }
                // The others have no such headers.
                _ => {}
            }
        }
    }
}

fn copy(headers: &mut HeaderMap, from: &str, to: &str, form: impl Fn(&str) -> Option<String>) {
    let value = headers.get(from).and_then(|value| value.to_str().ok()).and_then(form);
    let value = value.and_then(|value| HeaderValue::try_from(value).ok());
    if let (Some(value), Ok(name)) = (value, HeaderName::try_from(to)) {
        headers.entry(name).or_insert(value);
    }
}

/// A duration from now as an instant.
fn instant(value: &str, now: SystemTime) -> Option<String> {
    let wait = humantime::parse_duration(value).ok()?;
    Some(humantime::format_rfc3339_seconds(now.checked_add(wait)?).to_string())
}

/// An instant as a duration from now; one that is past is none.
fn wait(value: &str, now: SystemTime) -> Option<String> {
    let reset = humantime::parse_rfc3339(value).ok()?;
    let wait = reset.duration_since(now).unwrap_or(Duration::ZERO);
    Some(format!("{}s", wait.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(pairs: &[(&'static str, &'static str)], to: Protocol) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        translate(&mut headers, to, SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000));
        headers
    }

    #[test]
    fn both_ways() {
        let of_openai = [
            ("x-ratelimit-remaining-requests", "7"),
            ("x-ratelimit-reset-tokens", "6m0s"),
            ("x-ratelimit-reset-requests", "soon"),
        ];
        let headers = translated(&of_openai, Protocol::Anthropic);
        assert_eq!(headers["anthropic-ratelimit-requests-remaining"], "7");
        assert_eq!(headers["anthropic-ratelimit-tokens-reset"], "2023-11-14T22:19:20Z");
        assert!(!headers.contains_key("anthropic-ratelimit-requests-reset"));
        assert_eq!(headers["x-ratelimit-remaining-requests"], "7");

        let of_anthropic = [
            ("anthropic-ratelimit-tokens-limit", "1000"),
            ("anthropic-ratelimit-requests-reset", "2023-11-14T22:14:20Z"),
            ("anthropic-ratelimit-tokens-reset", "2001-01-01T00:00:00Z"),
        ];
        let headers = translated(&of_anthropic, Protocol::OpenAiResponses);
        assert_eq!(headers["x-ratelimit-limit-tokens"], "1000");
        assert_eq!(headers["x-ratelimit-reset-requests"], "60s");
        assert_eq!(headers["x-ratelimit-reset-tokens"], "0s");
        assert_eq!(translated(&of_anthropic, Protocol::Gemini).len(), 3);
    }
}
