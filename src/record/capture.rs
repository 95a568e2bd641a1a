//! The beginning of a body, for people.

use bytes::Bytes;
use http::HeaderValue;

use super::names::cut;
use crate::redact;

/// Longest error body that is kept whole, in bytes: 50 KiB.
pub const MAX_ERROR_BODY: usize = 50 << 10;

/// Bytes left free for the mark where a longer body was cut.
const MARK: usize = 100;

/// The beginning of a body as it passed, unredacted: it may hold secrets of the caller and of the
/// vendor. Its `Debug` shows its length only.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CapturedBody {
    /// The first bytes.
    pub bytes: Vec<u8>,
    /// How many there were in all.
    pub total: u64,
    /// What the headers say it is.
    pub content_type: Option<HeaderValue>,
}

impl std::fmt::Debug for CapturedBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CapturedBody").field("total", &self.total).finish_non_exhaustive()
    }
}

/// Keeps the beginning of a body and counts the rest.
pub(super) struct Capture {
    kept: Vec<u8>,
    limit: usize,
    total: u64,
    chars: u64,
}

impl std::fmt::Debug for Capture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Capture").field("total", &self.total).finish_non_exhaustive()
    }
}

impl Capture {
    /// Keeps at most `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self { kept: Vec::new(), limit, total: 0, chars: 0 }
    }

    pub(super) fn data(&mut self, data: &Bytes) {
        let room = self.limit.saturating_sub(self.kept.len());
        self.kept.extend_from_slice(&data[..room.min(data.len())]);
        self.total += data.len() as u64;
        // Each character has one byte that does not continue another.
        self.chars += data.iter().filter(|byte| **byte & 0xC0 != 0x80).count() as u64;
    }

    /// What was kept. `None` for an empty body.
    pub(super) fn body(self, content_type: Option<HeaderValue>) -> Option<CapturedBody> {
        (self.total > 0).then_some(CapturedBody {
            bytes: self.kept,
            total: self.total,
            content_type,
        })
    }

    /// The text without secrets; a longer one than the limit is cut and says so, with both lengths in characters.
    /// `None` for an empty body.
    pub(super) fn text(self) -> Option<String> {
        let kept = String::from_utf8_lossy(&self.kept);
        let text = redact::text(&kept);
        // Bytes that are no text grow when they are shown.
        let whole = self.total <= self.limit as u64 && text.len() <= self.limit;
        if text.is_empty() || whole {
            return (!text.is_empty()).then(|| text.into_owned());
        }
        let shown = cut(&text, self.limit.saturating_sub(MARK));
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
        let mut capture = Capture::new(MAX_ERROR_BODY);
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
    fn a_text_shows_no_secret() {
        let body = r#"{"message":"Incorrect API key provided: sk-1234567890abcdef"}"#;
        let shown = r#"{"message":"Incorrect API key provided: sk-12345***bcdef"}"#;
        assert_eq!(captured(&[body]).unwrap(), shown);
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

    #[test]
    fn what_is_kept_is_bounded() {
        let mut capture = Capture::new(3);
        capture.data(&Bytes::from("ab"));
        capture.data(&Bytes::from("cd"));
        let body = capture.body(None).unwrap();
        assert_eq!((body.bytes.as_slice(), body.total), (&b"abc"[..], 4));
        assert!(!format!("{body:?}").contains("abc"));
        assert_eq!(Capture::new(3).body(None), None);
    }
}
