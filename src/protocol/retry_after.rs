//! How long to wait, as the headers of an answer tell it.

use std::time::{Duration, UNIX_EPOCH};

use http::header::{self, HeaderMap};

use super::model::FaultKind;

/// The longest wait that is believed: one day, after which daily quotas are there again.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// How long to wait after a fault of this kind, at most [`MAX_RETRY_AFTER`].
///
/// `retry-after-ms` comes first, then `retry-after` in seconds or as a date. Where a rate limit
/// has neither, it is over when the last of the limits resets that have nothing left:
/// `x-ratelimit-reset-requests: 6m0s` and the like. Dates count from the answer's own `date`, so
/// no clock needs to agree with the upstream's.
pub(crate) fn read(headers: &HeaderMap, kind: FaultKind) -> Option<Duration> {
    let wait = millis(headers).or_else(|| seconds_or_date(headers));
    let wait = if kind == FaultKind::RateLimit { wait.or_else(|| reset(headers)) } else { wait };
    wait.map(|wait| wait.min(MAX_RETRY_AFTER))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

fn millis(headers: &HeaderMap) -> Option<Duration> {
    seconds(text(headers, "retry-after-ms")?).map(|wait| wait / 1000)
}

fn seconds(text: &str) -> Option<Duration> {
    // What is too much for a duration is long enough for the limit.
    let seconds: f64 = text.parse().ok().filter(|n: &f64| n.is_finite() && *n >= 0.0)?;
    Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

fn seconds_or_date(headers: &HeaderMap) -> Option<Duration> {
    let value = text(headers, header::RETRY_AFTER.as_str())?;
    seconds(value).or_else(|| Some(http_date(value)?.saturating_sub(date(headers)?)))
}

/// When the upstream says that it is, since the Unix epoch.
fn date(headers: &HeaderMap) -> Option<Duration> {
    http_date(text(headers, header::DATE.as_str())?)
}

fn http_date(text: &str) -> Option<Duration> {
    httpdate::parse_http_date(text).ok()?.duration_since(UNIX_EPOCH).ok()
}

/// What is limited: what is left of it, and when it is whole again.
const LIMITS: [(&str, &str); 8] = [
    ("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
    ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
    ("anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset"),
    ("anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset"),
    ("anthropic-ratelimit-input-tokens-remaining", "anthropic-ratelimit-input-tokens-reset"),
    ("anthropic-ratelimit-output-tokens-remaining", "anthropic-ratelimit-output-tokens-reset"),
    ("x-ratelimit-remaining", "x-ratelimit-reset"),
    ("ratelimit-remaining", "ratelimit-reset"),
];

fn reset(headers: &HeaderMap) -> Option<Duration> {
    let empty = |name| text(headers, name).is_none_or(|left| left == "0");
    let resets = LIMITS.iter().filter(|(remaining, _)| empty(remaining));
    resets.filter_map(|(_, reset)| wait(text(headers, reset)?, headers)).max()
}

/// A duration, or an instant as RFC 3339 or as seconds or milliseconds since the Unix epoch.
fn wait(value: &str, headers: &HeaderMap) -> Option<Duration> {
    const MILLIS_FROM: Duration = Duration::from_secs(100_000_000_000);
    const EPOCH_FROM: Duration = Duration::from_secs(1_000_000_000);
    let at = match seconds(value) {
        Some(number) if number < EPOCH_FROM => return Some(number),
        Some(number) if number >= MILLIS_FROM => number / 1000,
        Some(number) => number,
        None => match humantime::parse_rfc3339(value) {
            Ok(instant) => instant.duration_since(UNIX_EPOCH).ok()?,
            Err(_) => return humantime::parse_duration(value).ok(),
        },
    };
    Some(at.saturating_sub(date(headers)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_from(pairs: &[(&'static str, &'static str)], kind: FaultKind) -> Option<u128> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, http::HeaderValue::from_static(value));
        }
        read(&headers, kind).map(|wait| wait.as_millis())
    }

    const DATE: (&str, &str) = ("date", "Tue, 14 Nov 2023 22:13:20 GMT");

    #[test]
    fn every_form() {
        let day = MAX_RETRY_AFTER.as_millis();
        let rows: [(&[_], Option<u128>); 23] = [
            (&[], None),
            (&[("retry-after", "7")], Some(7_000)),
            (&[("retry-after", " 0.5 ")], Some(500)),
            (&[("retry-after", "0")], Some(0)),
            (&[("retry-after", "-1")], None),
            (&[("retry-after", "NaN")], None),
            (&[("retry-after", "inf")], None),
            (&[("retry-after", "soon")], None),
            (&[("retry-after", "1e300")], Some(day)),
            (&[("retry-after", "999999999999")], Some(day)),
            (&[("retry-after-ms", "1500"), ("retry-after", "9")], Some(1_500)),
            (&[("retry-after-ms", "x"), ("retry-after", "9")], Some(9_000)),
            (&[("retry-after", "Tue, 14 Nov 2023 22:14:20 GMT"), DATE], Some(60_000)),
            (&[("retry-after", "Tue, 14 Nov 2023 22:10:00 GMT"), DATE], Some(0)),
            (&[("retry-after", "Tue, 14 Nov 2023 22:14:20 GMT")], None),
            (&[("x-ratelimit-reset-requests", "6m0s")], Some(360_000)),
            (&[("x-ratelimit-reset-tokens", "20ms")], Some(20)),
            (
                &[
                    ("x-ratelimit-remaining-requests", "0"),
                    ("x-ratelimit-reset-requests", "1s"),
                    ("x-ratelimit-remaining-tokens", "99"),
                    ("x-ratelimit-reset-tokens", "6m0s"),
                ],
                Some(1_000),
            ),
            (&[("anthropic-ratelimit-requests-reset", "2023-11-14T22:14:20Z"), DATE], Some(60_000)),
            (&[("x-ratelimit-reset", "1700000060000"), DATE], Some(60_000)),
            (&[("x-ratelimit-reset", "1700000060"), DATE], Some(60_000)),
            (&[("ratelimit-reset", "30")], Some(30_000)),
            (&[("x-ratelimit-reset-requests", "6m0s"), ("retry-after", "1")], Some(1_000)),
        ];
        for (pairs, expected) in rows {
            assert_eq!(read_from(pairs, FaultKind::RateLimit), expected, "{pairs:?}");
        }
    }

    #[test]
    fn limits_tell_only_of_limits() {
        // OpenAI sends them with every answer.
        let pairs = [("x-ratelimit-reset-requests", "6m0s")];
        assert_eq!(read_from(&pairs, FaultKind::Upstream), None);
        assert_eq!(read_from(&[("retry-after", "3")], FaultKind::Overloaded), Some(3_000));
    }
}
