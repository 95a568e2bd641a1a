//! How much of a text was said.

use crate::protocol::json::JsonStr;

/// Counts what was said of a text in UTF-16 units: the count is the same however the text was
/// escaped and wherever it was cut.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(super) struct Said(usize);

impl Said {
    /// More was said.
    pub(super) fn add(&mut self, piece: &JsonStr<'_>) {
        self.0 += piece.utf16_len();
    }

    /// What `whole` says beyond it; empty where nothing is left, or where the cut would fall into a
    /// character.
    pub(super) fn rest<'w>(self, whole: &'w JsonStr<'_>) -> JsonStr<'w> {
        let rest = whole.utf16_offset(self.0).and_then(|at| whole.slice(at..whole.escaped().len()));
        rest.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::json::Cursor;

    fn escaped(text: &'static str) -> JsonStr<'static> {
        Cursor::new(text).string().unwrap()
    }

    #[test]
    fn what_is_left() {
        // said, whole, left
        let rows = [
            (vec![], r#""abc""#, "abc"),
            (vec![r#""a""#], r#""abc""#, "bc"),
            (vec![r#""ab""#, r#""c""#], r#""abc""#, ""),
            (vec![r#""abcd""#], r#""abc""#, ""),
            // Escaped here and plain there.
            (vec![r#""\u00e9\n""#], "\"é\\nx\"", "x"),
            (vec!["\"é\""], r#""\u00e9\u00e9""#, "é"),
            // A pair of surrogates, cut in two.
            (vec![r#""\ud83d""#, r#""\ude00""#], "\"😀!\"", "!"),
            (vec!["\"😀\""], r#""\ud83d\ude00!""#, "!"),
            (vec![r#""\ud83d""#], "\"😀!\"", ""),
        ];
        for (pieces, whole, left) in rows {
            let mut said = Said::default();
            pieces.iter().for_each(|piece| said.add(&escaped(piece)));
            assert_eq!(said.rest(&escaped(whole)).decode(), left, "{whole}");
        }
    }
}
