//! Texts of white space alone.

use crate::protocol::json::JsonStr;

/// Whether the text holds nothing but white space; Messages refuses such text blocks.
pub(super) fn is_blank(text: &JsonStr<'_>) -> bool {
    let mut rest = text.escaped();
    loop {
        rest = rest.trim_start();
        match ["\\n", "\\r", "\\t"].iter().find_map(|escape| rest.strip_prefix(escape)) {
            Some(after) => rest = after,
            None => return rest.is_empty(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_texts() {
        for (text, blank) in [
            ("", true),
            (" \n\t\r ", true),
            ("\u{a0}", true),
            (" a ", false),
            ("\\", false),
            ("\n\"", false),
        ] {
            assert_eq!(is_blank(&JsonStr::from_plain(text)), blank, "{text:?}");
        }
    }
}
