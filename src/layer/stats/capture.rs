//! The beginning of an error's body, for people.

use bytes::Bytes;

use super::names::cut;

/// Longest error body that is kept whole, in bytes: 50 KiB.
pub const MAX_ERROR_BODY: usize = 50 << 10;

/// Bytes left free for the mark where a longer body was cut.
const MARK: usize = 100;

/// Keeps the beginning of a body and counts the rest.
#[derive(Debug, Default)]
pub(super) struct Capture {
    kept: Vec<u8>,
    chars: u64,
}

impl Capture {
    pub(super) fn data(&mut self, data: &Bytes) {
        let room = (MAX_ERROR_BODY + 1).saturating_sub(self.kept.len());
        self.kept.extend_from_slice(&data[..room.min(data.len())]);
        // Each character has one byte that does not continue another.
        self.chars += data.iter().filter(|byte| **byte & 0xC0 != 0x80).count() as u64;
    }

    /// The text; a longer one is cut and says so, with both lengths in characters. `None` for an
    /// empty body.
    pub(super) fn text(self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.kept);
        // Bytes that are no text grow when they are shown.
        let whole = self.kept.len().max(text.len()) <= MAX_ERROR_BODY;
        if text.is_empty() || whole {
            return (!text.is_empty()).then(|| text.into_owned());
        }
        let shown = cut(&text, MAX_ERROR_BODY - MARK);
        Some(format!(
            "{shown}\n\n[响应内容已截断，显示前 {} 字符，总计约 {} 字符]",
            shown.chars().count(),
            self.chars
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(pieces: &[&str]) -> Option<String> {
        let mut capture = Capture::default();
        for piece in pieces {
            capture.data(&Bytes::copy_from_slice(piece.as_bytes()));
        }
        capture.text()
    }

    #[test]
    fn short_bodies_stay_whole() {
        assert_eq!(captured(&[]), None);
        assert_eq!(captured(&["{\"a\"", ":1}"]).unwrap(), "{\"a\":1}");
        let limit = "x".repeat(MAX_ERROR_BODY);
        assert_eq!(captured(&[&limit]).unwrap(), limit);
    }

    #[test]
    fn long_bodies_are_cut_and_say_so() {
        let long = "é".repeat(MAX_ERROR_BODY);
        let text = captured(&["a", &long, &long]).unwrap();
        assert!(text.len() < MAX_ERROR_BODY + MARK);
        let (shown, total) = (1 + (MAX_ERROR_BODY - MARK - 1) / 2, 1 + 2 * MAX_ERROR_BODY);
        let mark = format!("\n\n[响应内容已截断，显示前 {shown} 字符，总计约 {total} 字符]");
        assert!(text.ends_with(&mark), "{}", &text[text.len() - 120..]);
    }
}
