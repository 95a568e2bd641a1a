//! What the words of an error tell where status and protocol leave it open.
//!
//! A 400 is mostly the client's mistake, but some upstreams answer 400 also where a key is wrong,
//! money is gone, or they are out of breath. Loose words such as "invalid", "expired" or "token"
//! are in every other mistake of a client: they count only beside what they are said of.

use super::said::Said;
use crate::protocol::model::FaultKind;

/// The kind that a code tells which no other key or channel can help, in lower case.
pub(super) fn kind_of_final_code(code: &str) -> Option<FaultKind> {
    Some(match code {
        "sensitive_words_detected"
        | "content_policy_violation"
        | "content_filter"
        | "content_blocked"
        | "moderation_blocked" => FaultKind::ContentPolicy,
        "invalid_request" | "invalid_request_error" | "bad_request" => FaultKind::BadRequest,
        _ => return None,
    })
}

/// The kind of an error that blames the key, the quota or the upstream; `None` where it blames
/// the request or nobody.
pub(super) fn class(said: &Said) -> Option<FaultKind> {
    if said.has_param || said.text.lines().any(begins_with_path) {
        return None;
    }
    quota(said).or_else(|| credential(said)).or_else(|| transient(said))
}

/// Whether a message begins with the place in the request that it is about:
/// `messages.0.content.1: …`, `* tools[0].name: …`.
fn begins_with_path(message: &str) -> bool {
    let message = message.strip_prefix("* ").unwrap_or(message);
    let place = message.split_once(": ").map_or("", |(place, _)| place);
    place.contains('.') && place.chars().all(|c| c.is_ascii_alphanumeric() || "._[]-".contains(c))
}

/// The kind of an error that says that something is used up.
pub(super) fn quota(said: &Said) -> Option<FaultKind> {
    let Said { text, type_word, code, .. } = said;
    if has(text, &RATE) || has(type_word, &["rate_limit"]) || has(code, &["rate_limit"]) {
        return Some(FaultKind::RateLimit);
    }
    let by_name = [type_word, code].into_iter().any(|name| {
        has(name, &["quota", "billing", "payment"])
            || (has(name, &["insufficient"]) && !has(name, &NOT_MONEY))
    });
    let used_up = has(text, &USED_UP)
        || word(text, &USED_UP_WORDS)
        || (word(text, &["insufficient"]) && !has(text, &NOT_MONEY))
        || (word(text, &["exceeded"]) && !has(text, &SIZES));
    (by_name || used_up).then_some(FaultKind::Billing)
}

const RATE: [&str; 6] =
    ["rate limit", "rate_limit", "too many requests", "requests per", "per minute", "请求数限制"];

const USED_UP: [&str; 6] = ["quota", "limit exceeded", "积分不足", "余额不足", "额度", "预扣费"];

const USED_UP_WORDS: [&str; 6] =
    ["billing", "payment", "subscription", "balance", "credit", "credits"];

/// What may be insufficient and is no money.
const NOT_MONEY: [&str; 7] =
    ["permission", "scope", "privilege", "capacity", "resource", "memory", "context"];

/// What a request may exceed.
const SIZES: [&str; 12] = [
    "context",
    "length",
    "token",
    "size",
    "maximum",
    "character",
    "depth",
    "number of",
    "file",
    "image",
    "schema",
    "deadline",
];

/// The kind of an error that blames the credential.
fn credential(said: &Said) -> Option<FaultKind> {
    let Said { text, type_word, code, .. } = said;
    let named = |names: &[&str]| has(type_word, names) || has(code, names);
    if named(&["permission"]) {
        return Some(FaultKind::Permission);
    }
    if named(&["authentication", "authorization", "invalid_api_key", "invalid_token", "expired"]) {
        return Some(FaultKind::Auth);
    }
    let of_token = word(text, &["token", "令牌"]) && !has(text, &OTHER_TOKENS);
    let refused = word(text, &["invalid", "expired", "incorrect", "revoked", "denied"]);
    if has(text, &KEYS) || (of_token && refused) {
        return Some(FaultKind::Auth);
    }
    if has(text, &OF_THE_REQUEST) {
        return None;
    }
    if word(text, &["permission", "permissions", "denied"])
        || has(text, &["权限不足"])
        || (word(text, &["forbidden"]) && !has(text, &["extra"]))
    {
        return Some(FaultKind::Permission);
    }
    let expired = word(text, &["expired"]) && word(text, &["key", "account", "plan", "license"]);
    (expired || word(text, &AUTH_WORDS) || has(text, &AUTH)).then_some(FaultKind::Auth)
}

/// What a credential is called.
const KEYS: [&str; 8] = [
    "api key",
    "api-key",
    "api_key",
    "apikey",
    "access key",
    "access token",
    "密钥无效",
    "认证失败",
];

/// Tokens of a text or a list, which may be invalid too.
const OTHER_TOKENS: [&str; 6] = ["json", "unexpected", "parse", "page", "tokens", "token limit"];

const AUTH_WORDS: [&str; 5] =
    ["unauthorized", "unauthenticated", "authentication", "authorization", "credentials"];

const AUTH: [&str; 3] =
    ["organization has been disabled", "account has been disabled", "account has been suspended"];

/// Things in a request to which an access may fail too, whatever the key.
const OF_THE_REQUEST: [&str; 7] =
    ["mcp", "url", "image", "download", "fetch", "file ", "container"];

/// The kind of an error that will pass.
fn transient(said: &Said) -> Option<FaultKind> {
    let Said { text, type_word, .. } = said;
    if has(type_word, &["server_error", "internal_error"]) {
        return Some(FaultKind::Upstream);
    }
    if has(type_word, &["timeout"]) {
        return Some(FaultKind::Timeout);
    }
    if has(type_word, &["service_unavailable", "overloaded"]) {
        return Some(FaultKind::Overloaded);
    }
    if has(text, &OF_THE_REQUEST) {
        return None;
    }
    if has(text, &["timed out", "超时"]) || word(text, &["timeout"]) {
        return Some(FaultKind::Timeout);
    }
    if word(text, &["overloaded", "unavailable", "temporarily"]) || has(text, &["暂时"]) {
        return Some(FaultKind::Overloaded);
    }
    let again = has(text, &AGAIN) && !has(text, &["modify", "修改"]);
    (again || has(text, &["server error", "internal error"])).then_some(FaultKind::Upstream)
}

/// To come again with the same request. "Change it and retry" is for clients.
const AGAIN: [&str; 7] = [
    "again later",
    "retry later",
    "retry after",
    "retry your request",
    "please retry",
    "稍后",
    "重试",
];

fn has(text: &str, phrases: &[&str]) -> bool {
    phrases.iter().any(|phrase| text.contains(phrase))
}

/// Whether one of these stands in the text as a word; `get_balance` is another word.
fn word(text: &str, words: &[&str]) -> bool {
    let in_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    words.iter().any(|word| {
        text.match_indices(word).any(|(at, _)| {
            !text[..at].ends_with(in_word) && !text[at + word.len()..].starts_with(in_word)
        })
    })
}
