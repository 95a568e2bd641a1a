//! Bodies, for people's logs.

mod compact;
mod layout;

use http::HeaderValue;
use serde_json::Value;

use super::cut::{cut, head};
use super::text;

pub use compact::MAX_DEPTH;

/// Most characters of a body that is no JSON, and of a string in one that is.
pub const MAX_TEXT: usize = 500;

/// Default of [`Limits::max_input`]: 256 KiB.
pub const DEFAULT_MAX_INPUT: usize = 256 * 1024;

/// Default of [`Limits::max_output`]: 32 KiB.
pub const DEFAULT_MAX_OUTPUT: usize = 32 * 1024;

/// Bytes behind [`MAX_TEXT`] that are looked at too, so that a secret is seen whole before it is
/// cut.
const MARGIN: usize = 4096;

/// How much of a body is read and written.
///
/// ```
/// use tower_llm_gateway::redact::{Limits, body};
///
/// let limits = Limits::default().max_output(10);
/// assert_eq!(body(b"[1,2,3,4,5,6]", None, &limits), "[1,2,3,4,5... (3 bytes left out)");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    max_input: usize,
    max_output: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_input: DEFAULT_MAX_INPUT, max_output: DEFAULT_MAX_OUTPUT }
    }
}

impl Limits {
    /// Bodies of more bytes are not read as JSON: only their beginning is shown. Default
    /// [`DEFAULT_MAX_INPUT`].
    #[must_use]
    pub fn max_input(mut self, bytes: usize) -> Self {
        self.max_input = bytes;
        self
    }

    /// Most bytes that are written of a body, before the note of how much was left out. Default
    /// [`DEFAULT_MAX_OUTPUT`].
    #[must_use]
    pub fn max_output(mut self, bytes: usize) -> Self {
        self.max_output = bytes;
        self
    }
}

/// A body as a person may read it in a log.
///
/// JSON has one line per member, and one per message, item or choice. Strings are cut at
/// [`MAX_TEXT`] characters, those in contents at 200, seals at 100; tools are their names; of
/// pictures only the kind of their source is told. Members whose name is a secret's are `***`,
/// every string and every name passes [`text`]. Anything else is a text of at most [`MAX_TEXT`]
/// characters; what is no text is told by its length.
///
/// ```
/// use tower_llm_gateway::redact::{Limits, body};
///
/// let request = br#"{
///     "model": "claude-sonnet-4-5", "api_key": "hunter2",
///     "messages": [
///         {"role": "user", "content": [
///             {"type": "image", "source": {"type": "base64", "data": "iVBORw0KGgo="}},
///             {"type": "text", "text": "My key is sk-1234567890abcdef."}]}],
///     "tools": [{"name": "read", "input_schema": {"type": "object"}}]
/// }"#;
/// let shown = body(request, None, &Limits::default());
/// assert_eq!(shown, r#"{
///   "api_key": "***",
///   "messages": [
///     {"content":[{"source":{"type":"base64"},"type":"image"},{"text":"My key is sk-12345***bcdef.","type":"text"}],"role":"user"}
///   ],
///   "model": "claude-sonnet-4-5",
///   "tools": ["read"]
/// }"#);
/// assert_eq!(body(b"Bad gateway", None, &Limits::default()), "Bad gateway");
/// assert_eq!(body(b"\xff\xd8\xff", None, &Limits::default()), "(3 bytes, no text)");
/// ```
#[must_use]
pub fn body(bytes: &[u8], content_type: Option<&HeaderValue>, limits: &Limits) -> String {
    let shown = match json(bytes, content_type, limits) {
        Some(mut value) => {
            compact::compact(&mut value);
            layout::write(&value)
        }
        None => plain(bytes),
    };
    bounded(shown, limits.max_output)
}

/// The tree of a body that is JSON, says so or looks so.
fn json(bytes: &[u8], content_type: Option<&HeaderValue>, limits: &Limits) -> Option<Value> {
    let says = content_type.and_then(|value| value.to_str().ok()).is_some_and(is_json);
    let looks = matches!(bytes.trim_ascii_start().first(), Some(b'{' | b'['));
    if bytes.len() > limits.max_input || !(says || looks) {
        return None;
    }
    serde_json::from_slice(bytes).ok()
}

fn is_json(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    let ends = |end: &str| {
        kind.len()
            .checked_sub(end.len())
            .and_then(|at| kind.get(at..))
            .is_some_and(|last| last.eq_ignore_ascii_case(end))
    };
    ends("/json") || ends("+json")
}

/// A text cut at [`MAX_TEXT`].
fn plain(bytes: &[u8]) -> String {
    // A character has four bytes at most.
    let window = &bytes[..bytes.len().min(4 * MAX_TEXT + MARGIN)];
    let whole = match std::str::from_utf8(window) {
        Ok(text) => text,
        // The window ends within a character.
        Err(error) if error.error_len().is_none() && window.len() < bytes.len() => {
            std::str::from_utf8(&window[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return format!("({} bytes, no text)", bytes.len()),
    };
    let shown = cut(text(whole), MAX_TEXT);
    // What a terminal would obey is not for a log.
    let control = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    let shown = shown.replace(control, "\u{fffd}");
    match bytes.len() - window.len() {
        0 => shown,
        more => format!("{shown} ({more} bytes more)"),
    }
}

fn bounded(shown: String, most: usize) -> String {
    let begin = head(&shown, most);
    if begin.len() == shown.len() {
        return shown;
    }
    format!("{begin}... ({} bytes left out)", shown.len() - begin.len())
}

#[cfg(test)]
mod tests;
