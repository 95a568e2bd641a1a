//! The form of a secret for people.

/// `***` up to 5 characters, 3 + `***` + 2 up to 17, else 8 + `***` + 5; nothing of nothing.
///
/// It tells one key from another and is meant for the keys of vendors, which are long. Older
/// gateways show 8 + 5 from 11 characters on, which of 13 hides none.
///
/// ```
/// use tower_llm_gateway::redact::mask;
///
/// assert_eq!(mask("abc12"), "***");
/// assert_eq!(mask("abc123"), "abc***23");
/// assert_eq!(mask("sk-1234567890abcdef"), "sk-12345***bcdef");
/// ```
#[must_use]
pub fn mask(secret: &str) -> String {
    let count = secret.chars().count();
    let (head, tail) = match count {
        0 => return String::new(),
        1..=5 => (0, 0),
        6..=17 => (3, 2),
        _ => (8, 5),
    };
    let place = |nth| secret.char_indices().nth(nth).map_or(secret.len(), |(place, _)| place);
    format!("{}***{}", &secret[..place(head)], &secret[place(count - tail)..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_counts_characters() {
        for (secret, masked) in [
            ("", ""),
            ("a", "***"),
            ("abc12", "***"),
            ("abc123", "abc***23"),
            ("abcdefghij", "abc***ij"),
            ("sk-1234567890abcdef", "sk-12345***bcdef"),
            ("ключ1", "***"),
            ("ключи1", "клю***и1"),
            ("sk-1234567890", "sk-***90"),
            ("sk-1234567890abcd", "sk-***cd"),
            ("ключключключключклю", "ключключ***ючклю"),
        ] {
            assert_eq!(mask(secret), masked);
        }
    }
}
