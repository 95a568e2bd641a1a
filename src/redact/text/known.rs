//! Secrets that are known, wherever they stand and however they look.

use std::borrow::Cow;
use std::fmt::Write;

use memchr::memmem;
use zeroize::Zeroizing;

use super::text;
use crate::redact::cover;
use crate::secret::Secret;

/// Known secrets shorter than this are not looked for: every text would be full of them.
const LEAST: usize = 6;

/// As [`text`], and without these secrets: as they are, percent-encoded, or in a string of JSON.
///
/// ```
/// use tower_llm_gateway::redact;
/// use tower_llm_gateway::secret::Secret;
///
/// let known = [Secret::new("correct horse/battery")];
/// assert_eq!(redact::text_with("no user correct horse/battery", &known), "no user ***");
/// assert_eq!(redact::text_with("GET /correct%20horse%2Fbattery", &known), "GET /***");
/// ```
#[must_use]
pub fn text_with<'t>(message: &'t str, known: &[Secret]) -> Cow<'t, str> {
    let mut shown = Cow::Borrowed(message);
    // The longest first: one may hold another.
    let mut known: Vec<&str> =
        known.iter().map(Secret::expose).filter(|secret| secret.len() >= LEAST).collect();
    known.sort_unstable_by_key(|secret| std::cmp::Reverse(secret.len()));
    for secret in known {
        let instead = cover(secret);
        for form in forms(secret) {
            shown = match replace(&shown, &form, &instead) {
                Some(replaced) => Cow::Owned(replaced),
                None => shown,
            };
        }
    }
    match shown {
        Cow::Borrowed(message) => text(message),
        Cow::Owned(message) => Cow::Owned(text(&message).into_owned()),
    }
}

/// How a secret may be written, each form once.
fn forms(secret: &str) -> Vec<Zeroizing<String>> {
    let mut forms = vec![Zeroizing::new(secret.to_owned())];
    let json = serde_json::to_string(secret).unwrap_or_default();
    let json = Zeroizing::new(json);
    let inside = json.get(1..json.len().saturating_sub(1)).unwrap_or_default();
    for form in [inside.to_owned(), encoded(secret, true), encoded(secret, false)] {
        let form = Zeroizing::new(form);
        if !form.is_empty() && !forms.contains(&form) {
            forms.push(form);
        }
    }
    forms
}

/// Percent-encoded but for what needs no encoding (RFC 3986 §2.3).
fn encoded(secret: &str, capital: bool) -> String {
    secret.bytes().fold(String::with_capacity(3 * secret.len()), |mut form, byte| {
        // Writing to a string cannot fail.
        let _ = match byte {
            b'-' | b'.' | b'_' | b'~' => form.write_char(byte.into()),
            _ if byte.is_ascii_alphanumeric() => form.write_char(byte.into()),
            _ if capital => write!(form, "%{byte:02X}"),
            _ => write!(form, "%{byte:02x}"),
        };
        form
    })
}

fn replace(text: &str, form: &str, instead: &str) -> Option<String> {
    let mut shown = String::new();
    let mut done = 0;
    for at in memmem::find_iter(text.as_bytes(), form) {
        shown.push_str(&text[done..at]);
        shown.push_str(instead);
        done = at + form.len();
    }
    (done > 0).then(|| shown + &text[done..])
}
