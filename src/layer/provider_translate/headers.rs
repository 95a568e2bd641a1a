//! Headers of translated requests and answers. Pure.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, Uri};

use super::rate_limits;
use crate::body::{EVENT_STREAM, JSON, drop_body_headers};
use crate::context::{KeyHeaders, UpstreamKey};
use crate::protocol::report::TranslationReport;
use crate::protocol::{Layout, Protocol};
use crate::secret::{Secret, query};

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const X_GOOG_API_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");
const API_KEY: HeaderName = HeaderName::from_static("api-key");
const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");
const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const UPSTREAM_REQUEST_ID: HeaderName = HeaderName::from_static("x-upstream-request-id");
const TOKEN_COUNT: HeaderName = HeaderName::from_static("x-token-count");
const REPORT: HeaderName = HeaderName::from_static("x-translation-report");

/// Longest value of `x-translation-report`.
pub(super) const MAX_REPORT_HEADER: usize = 1024;

/// The version of the Messages API that is asked for where the caller names none.
const DEFAULT_ANTHROPIC_VERSION: HeaderValue = HeaderValue::from_static("2023-06-01");

/// Puts the credential into the form that the upstream wants, and no other with it: none stays in
/// the query, and no cookie.
///
/// `from` and `to` are `None` where the request is of no known protocol.
pub(super) fn set_credential(
    uri: &mut Uri,
    headers: &mut HeaderMap,
    from: Option<Protocol>,
    to: Option<Protocol>,
    key: &UpstreamKey,
) {
    let key = match key {
        UpstreamKey::Caller if from == to => return,
        UpstreamKey::Caller => callers(uri, headers).map(Cow::Owned),
        UpstreamKey::Ours(key) => Some(Cow::Borrowed(key)),
        UpstreamKey::None => None,
    };
    // An unknown endpoint of an unknown vendor: keep to the form that the caller chose.
    let as_api_key = match to {
        Some(protocol) => protocol == Protocol::Anthropic,
        None => headers.contains_key(&X_API_KEY),
    };
    for name in [header::AUTHORIZATION, header::COOKIE, X_API_KEY, X_GOOG_API_KEY, API_KEY] {
        headers.remove(name);
    }
    query::strip_keys(uri);
    let Some(key) = key else { return };
    if to == Some(Protocol::Gemini) {
        headers.insert(X_GOOG_API_KEY, key.plain().clone());
    } else if as_api_key && !is_oauth_token(&key) {
        headers.insert(X_API_KEY, key.plain().clone());
    } else {
        headers.insert(header::AUTHORIZATION, key.bearer().clone());
    }
}

/// Tokens of Anthropic accounts are taken only as a bearer.
fn is_oauth_token(key: &KeyHeaders) -> bool {
    key.plain().as_bytes().starts_with(b"sk-ant-oat")
}

fn callers(uri: &Uri, headers: &HeaderMap) -> Option<KeyHeaders> {
    let text = |name: HeaderName| headers.get(name)?.to_str().ok();
    let bearer = || {
        let value = text(header::AUTHORIZATION)?;
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    };
    // Some SDKs send the header that they have no key for, empty.
    let places = [text(X_API_KEY), bearer(), text(X_GOOG_API_KEY), text(API_KEY)];
    let found = places.into_iter().flatten().find(|key| !key.is_empty()).map(Secret::new);
    KeyHeaders::new(&found.or_else(|| query::find_key(uri))?)
}

/// Whether a header means something to other vendors than those who speak `to`: it names an account,
/// a project or a feature there.
fn is_foreign(name: &HeaderName, to: Protocol) -> bool {
    const OPENAI: [Protocol; 2] = [Protocol::OpenAiChat, Protocol::OpenAiResponses];
    const OWNERS: [(&str, &[Protocol]); 4] = [
        ("anthropic-", &[Protocol::Anthropic]),
        ("openai-", &OPENAI),
        ("x-goog-", &[Protocol::Gemini]),
        ("x-dashscope-", &[Protocol::DashScope]),
    ];
    let owner = OWNERS.iter().find(|(prefix, _)| name.as_str().starts_with(prefix));
    owner.is_some_and(|(_, owners)| !owners.contains(&to))
}

/// Removes the headers of these names.
fn remove(headers: &mut HeaderMap, unwanted: impl Fn(&HeaderName) -> bool) {
    let names: Vec<HeaderName> = headers.keys().filter(|name| unwanted(name)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// Headers of a translated request: what belongs to the caller's protocol goes, and what the
/// upstream's demands comes.
pub(super) fn translate_request(headers: &mut HeaderMap, from: Protocol, to: Protocol) {
    drop_body_headers(headers);
    if from != to {
        remove(headers, |name| is_foreign(name, to));
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
    if to == Protocol::Anthropic {
        headers.entry(ANTHROPIC_VERSION).or_insert(DEFAULT_ANTHROPIC_VERSION);
    }
}

/// Says that a count is an estimate of ours.
pub(super) fn mark_estimate(headers: &mut HeaderMap) {
    headers.insert(TOKEN_COUNT, HeaderValue::from_static("estimate"));
}

/// The answer is to be read: ask for it as it is.
pub(super) fn ask_for_identity(headers: &mut HeaderMap) {
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
}

/// Headers of a translated answer. What the upstream's vendor says of its accounts, and its cookies,
/// are not for the caller; its limits are. Its id moves aside, since the caller's SDK takes the
/// header of its own vendor for the id of this very answer.
pub(super) fn translate_response(
    headers: &mut HeaderMap,
    from: Protocol,
    to: Protocol,
    stream: bool,
    layout: Layout,
) {
    drop_body_headers(headers);
    rate_limits::translate(headers, to, SystemTime::now());
    if from != to {
        let limits = |name: &HeaderName| name.as_str().starts_with("anthropic-ratelimit-");
        remove(headers, |name| {
            *name == header::SET_COOKIE || (is_foreign(name, to) && !limits(name))
        });
    }
    // A stream in the form of one array is JSON in pieces.
    let content_type = if stream && !layout.json_array { EVENT_STREAM } else { JSON };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    if stream {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    }
    let id = headers.remove(REQUEST_ID).or_else(|| headers.remove(X_REQUEST_ID));
    if let Some(id) = id {
        let name = if to == Protocol::Anthropic { REQUEST_ID } else { X_REQUEST_ID };
        headers.insert(name, id.clone());
        headers.insert(UPSTREAM_REQUEST_ID, id);
    }
}

/// Says how long to wait, where the headers do not.
pub(super) fn set_retry_after(headers: &mut HeaderMap, after: Option<Duration>) {
    if let Some(after) = after {
        // A part of a second still is a wait.
        let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
        headers.entry(header::RETRY_AFTER).or_insert_with(|| seconds.into());
    }
}

/// Writes the report, cut at [`MAX_REPORT_HEADER`].
pub(super) fn set_report(headers: &mut HeaderMap, report: &TranslationReport) {
    if report.is_empty() {
        return;
    }
    // Pointers hold the caller's own words; only what a header may hold is written.
    let text: String = report
        .to_string()
        .chars()
        .map(|c| if (' '..='~').contains(&c) { c } else { '?' })
        .take(MAX_REPORT_HEADER)
        .collect();
    if let Ok(value) = HeaderValue::from_str(&text) {
        headers.insert(REPORT, value);
    }
}
