//! What is wrong with a document, and where.

use std::borrow::Cow;
use std::fmt;

/// A document that is no JSON, or not of the shape its protocol demands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonError {
    reason: Cow<'static, str>,
    offset: usize,
    /// Innermost first while it unwinds.
    path: Vec<String>,
}

impl JsonError {
    /// An error at the place where the cursor stands.
    #[must_use]
    pub fn new(reason: impl Into<Cow<'static, str>>, offset: usize) -> Self {
        Self { reason: reason.into(), offset, path: Vec::new() }
    }

    /// What is wrong, without any of the input's text.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Byte offset in the document.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// JSON pointer (RFC 6901) of the offending value; empty for the document itself.
    #[must_use]
    pub fn pointer(&self) -> String {
        self.path.iter().rev().fold(String::new(), |mut pointer, step| {
            push_pointer_step(&mut pointer, step);
            pointer
        })
    }

    #[must_use]
    pub(super) fn under(mut self, step: impl FnOnce() -> String) -> Self {
        self.path.push(step());
        self
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pointer = self.pointer();
        if pointer.is_empty() {
            write!(f, "{} at byte {}", self.reason, self.offset)
        } else {
            write!(f, "{pointer}: {}", self.reason)
        }
    }
}

impl std::error::Error for JsonError {}

/// Appends `/step` to a JSON pointer, with `~` and `/` escaped (RFC 6901, section 3).
pub(crate) fn push_pointer_step(pointer: &mut String, step: &str) {
    pointer.push('/');
    for c in step.chars() {
        match c {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            c => pointer.push(c),
        }
    }
}
