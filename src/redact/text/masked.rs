//! Keys of which nothing is known but their masks.

use std::borrow::Cow;

use memchr::memmem;

use crate::redact::HIDDEN;

/// The text without the keys that have one of these [masks](crate::redact::mask): whatever stands
/// in one piece, begins as the mask does and ends as it does, is replaced by the mask. So a vendor
/// who repeats the key that it was given is found out by whoever keeps no key. One pass for each
/// mask; one that shows no end of its key finds nothing.
///
/// ```
/// use tower_llm_gateway::redact;
///
/// let said = "no such key: 9e4b7a1fd3c8506e2f91ab64d70c35e8.";
/// let shown = redact::without_keys(said, ["9e4b7a1f***c35e8"]);
/// assert_eq!(shown, "no such key: 9e4b7a1f***c35e8.");
/// ```
#[must_use]
pub fn without_keys<'t, 'm>(
    message: &'t str,
    masks: impl IntoIterator<Item = &'m str>,
) -> Cow<'t, str> {
    let mut shown = Cow::Borrowed(message);
    for mask in masks {
        if let Some(replaced) = replace(&shown, mask) {
            shown = Cow::Owned(replaced);
        }
    }
    shown
}

fn replace(text: &str, mask: &str) -> Option<String> {
    let (head, tail) = mask.split_once(HIDDEN)?;
    if head.is_empty() || tail.is_empty() {
        return None;
    }
    let mut shown = String::new();
    let (mut done, mut looked) = (0, 0);
    for start in memmem::find_iter(text.as_bytes(), head) {
        if start < looked {
            continue;
        }
        let piece = &text[start..];
        let piece = &piece[..piece.find(is_outside).unwrap_or(piece.len())];
        looked = start + piece.len();
        // Behind a beginning without an end, no other beginning in the same piece has one.
        let Some(at) = piece[head.len()..].rfind(tail) else { continue };
        let end = start + head.len() + at + tail.len();
        shown.push_str(&text[done..start]);
        shown.push_str(mask);
        done = end;
    }
    (done > 0).then(|| shown + &text[done..])
}

/// What no key is written with, and what stands around it in text, JSON and markup.
fn is_outside(character: char) -> bool {
    character.is_whitespace() || character.is_control() || "\"'`\\<>()[]{},;".contains(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_by_their_ends() {
        let masks = ["9e4b7a1f***c35e8", "abc***yz", "***"];
        for (said, expected) in [
            ("", ""),
            ("nothing of ours", "nothing of ours"),
            ("9e4b7a1f0011c35e8", "9e4b7a1f***c35e8"),
            ("{\"key\":\"9e4b7a1f0011c35e8\"}", "{\"key\":\"9e4b7a1f***c35e8\"}"),
            ("key=9e4b7a1f0011c35e8&x", "key=9e4b7a1f***c35e8&x"),
            ("\\\"9e4b7a1f00c35e8\\\" and abc123yz!", "\\\"9e4b7a1f***c35e8\\\" and abc***yz!"),
            ("9e4b7a1f00c35e811c35e8", "9e4b7a1f***c35e8"),
            // In pieces it is no key.
            ("9e4b7a1f 0011c35e8", "9e4b7a1f 0011c35e8"),
            ("9e4b7a1f9e4b7a1f 9e4b7a1f1c35e8", "9e4b7a1f9e4b7a1f 9e4b7a1f***c35e8"),
            // The ends of a mask do not overlap in its key.
            ("abcyz", "abc***yz"),
            ("é9e4b7a1féc35e8é", "é9e4b7a1f***c35e8é"),
            ("9e4b7a1f***c35e8", "9e4b7a1f***c35e8"),
        ] {
            assert_eq!(without_keys(said, masks), expected, "{said}");
        }
    }
}
