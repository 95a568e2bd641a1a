//! Texts that are too long.

use std::borrow::Cow;

/// At most so many characters, with `...` behind them if there were more.
pub(super) fn cut(text: Cow<'_, str>, most: usize) -> Cow<'_, str> {
    match text.char_indices().nth(most) {
        Some((at, _)) => Cow::Owned(format!("{}...", &text[..at])),
        None => text,
    }
}

/// The beginning of a text: at most so many bytes, whole characters.
pub(super) fn head(text: &str, most: usize) -> &str {
    // What `str::floor_char_boundary` will do.
    let end = (0..=most.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    &text[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_stay_whole() {
        assert_eq!(cut("äöü".into(), 3), "äöü");
        assert_eq!(cut("äöü".into(), 2), "äö...");
        assert_eq!(cut("".into(), 0), "");
        assert_eq!(head("äöü", 3), "ä");
        assert_eq!(head("äöü", 6), "äöü");
        assert_eq!(head("ä", 1), "");
        assert_eq!(head("a", 9), "a");
    }
}
