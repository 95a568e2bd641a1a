//! Ids of tool calls, where a protocol does not take the one that there is.

use sha2::{Digest, Sha256};

const DIGITS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// `count` letters and digits that stand for `text`: always the same ones.
pub(crate) fn digest(text: &str, count: usize) -> String {
    let hash = Sha256::digest(text.as_bytes());
    hash.iter().take(count).map(|byte| char::from(DIGITS[usize::from(byte % 32)])).collect()
}

/// The id that stands for `id` where that cannot stay: a call and its result get the same.
pub(crate) fn hashed(id: &str) -> String {
    format!("call_{}", digest(id, 24))
}

/// Whether an id is one of letters, digits, `_` and `-`: Messages takes no other.
pub(crate) fn is_word(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_stay() {
        // Ids stand in histories: another one tomorrow would miss the prompt cache.
        assert_eq!(hashed("functions.get:0"), hashed("functions.get:0"));
        assert_ne!(hashed("functions.get:0"), hashed("functions.get:1"));
        assert_eq!(hashed(""), "call_dqecy44u23uizpzehobee3tm");
        assert_eq!(digest("", 9).len(), 9);
    }

    #[test]
    fn words() {
        for (id, is) in [("toolu_01-A", true), ("", false), ("a.b", false), ("é", false)] {
            assert_eq!(is_word(id), is, "{id}");
        }
    }
}
