//! Names from outside, cut and without secrets.

use std::borrow::Cow;
use std::sync::Arc;

use http::Method;

use crate::redact;

/// Longest path that is kept, in bytes.
pub const MAX_PATH: usize = 256;

/// Longest name of a model that is kept, in bytes.
pub const MAX_MODEL: usize = 128;

/// How much of a model's name is searched for secrets: enough that one is seen whole before it is
/// cut.
const MAX_SEARCHED: usize = 8 * MAX_MODEL;

/// Longest method that is kept, in bytes. Those of the standard are shorter, but callers may
/// invent their own.
const MAX_METHOD: usize = 32;

/// `text` up to `limit` bytes, on a character.
pub(crate) fn cut(text: &str, limit: usize) -> &str {
    let end = (0..=limit.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}

pub(super) fn short_method(method: &Method) -> Method {
    match method.as_str() {
        name if name.len() > MAX_METHOD => cut(name, MAX_METHOD).parse().unwrap_or_default(),
        _ => method.clone(),
    }
}

/// A caller may write anything where a model should stand, and records are shown.
pub(super) fn short_model(model: &Arc<str>) -> Arc<str> {
    match redact::text(cut(model, MAX_SEARCHED)) {
        Cow::Borrowed(_) if model.len() <= MAX_MODEL => model.clone(),
        shown => cut(&shown, MAX_MODEL).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_fall_on_characters() {
        assert_eq!(cut("aéz", 2), "a");
        assert_eq!(cut("aéz", 3), "aé");
        assert_eq!(cut("aéz", 9), "aéz");
        assert_eq!(cut("", 0), "");
    }

    #[test]
    fn names_of_models_are_short_and_hold_no_secret() {
        let short = |name: &str| short_model(&name.into()).to_string();
        let key = "sk-1234567890abcdef";
        assert_eq!(short("gpt-5"), "gpt-5");
        assert_eq!(short(key), "sk-12345***bcdef");
        assert_eq!(short(&"m".repeat(MAX_SEARCHED + 1)), "m".repeat(MAX_MODEL));
        let before = "m ".repeat(MAX_MODEL / 2 - 8);
        assert_eq!(short(&format!("{before}{key}")), format!("{before}sk-12345***bcdef"));
        let name: Arc<str> = "claude-sonnet-4-5".into();
        assert!(Arc::ptr_eq(&short_model(&name), &name));
    }
}
