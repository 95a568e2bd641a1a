//! Free text: messages of vendors, of transports, of databases.

mod keys;
mod known;
mod masked;
mod named;
mod scan;

use std::borrow::Cow;

pub use known::text_with;
pub use masked::without_keys;

use self::scan::Scan;
use super::{HIDDEN, cover};

pub(super) use scan::userinfo;

/// The text without the secrets that can be told: see the table of [`redact`](super).
///
/// One pass of the bytes. What it writes it leaves as it is.
///
/// ```
/// use tower_llm_gateway::redact;
///
/// let message = "Incorrect API key provided: sk-proj-1234567890abcdef.";
/// assert_eq!(redact::text(message), "Incorrect API key provided: sk-proj-***bcdef.");
/// assert_eq!(redact::text("postgres://u:p@db:5432/log"), "postgres://***@db:5432/log");
/// assert_eq!(redact::text("password=hunter2 user=bob"), "password=*** user=bob");
/// assert_eq!(redact::text("the model is overloaded"), "the model is overloaded");
/// ```
#[must_use]
pub fn text(text: &str) -> Cow<'_, str> {
    shown(text, |found| found)
}

/// As [`text`], and no end of a secret is shown: for whoever should not even know which key it
/// was, as a caller of whom a vendor speaks about the gateway's key.
///
/// ```
/// let message = "Incorrect API key provided: sk-proj-1234567890abcdef.";
/// let hidden = tower_llm_gateway::redact::text_hidden(message);
/// assert_eq!(hidden, "Incorrect API key provided: ***.");
/// ```
#[must_use]
pub fn text_hidden(text: &str) -> Cow<'_, str> {
    shown(text, |_| Cow::Borrowed(HIDDEN))
}

/// The text with `instead` of each secret, which is given as [`cover`] shows it.
fn shown(text: &str, instead: impl Fn(Cow<'static, str>) -> Cow<'static, str>) -> Cow<'_, str> {
    let mut shown = String::new();
    let mut done = 0;
    for found in Scan::new(text) {
        shown.push_str(&text[done..found.start]);
        shown.push_str(&instead(found.instead));
        done = found.end;
    }
    if done == 0 {
        return Cow::Borrowed(text);
    }
    shown.push_str(&text[done..]);
    Cow::Owned(shown)
}

/// The value of a name that says it is a secret. Its ends are shown where it has the form of a
/// vendor's key.
pub(super) fn named_value(value: &str) -> Cow<'static, str> {
    if value.is_empty() || is_masked(value) {
        Cow::Owned(value.to_owned())
    } else if keys::key(value.as_bytes(), 0) == Some(value.len()) {
        cover(value)
    } else {
        Cow::Borrowed(HIDDEN)
    }
}

/// What [`cover`] writes.
fn is_masked(value: &str) -> bool {
    value == HIDDEN
        || (value.len() == 16 && value.get(8..11) == Some(HIDDEN) && value.bytes().all(is_masks))
}

/// Characters of what is shown with its ends.
fn is_masks(byte: u8) -> bool {
    keys::is_token(byte) || byte == b'*'
}

#[cfg(test)]
mod tests;
