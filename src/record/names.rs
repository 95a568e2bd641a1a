//! Names from outside, cut.

use std::sync::Arc;

use http::Method;

/// Longest path that is kept, in bytes.
pub const MAX_PATH: usize = 256;

/// Longest name of a model that is kept, in bytes.
pub const MAX_MODEL: usize = 128;

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

pub(super) fn short_model(model: &Arc<str>) -> Arc<str> {
    match cut(model, MAX_MODEL) {
        whole if whole.len() == model.len() => model.clone(),
        short => short.into(),
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
}
