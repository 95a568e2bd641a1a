//! Whole values and numbers by their text.

use std::borrow::Cow;
use std::fmt;

use super::{Cursor, JsonError, JsonStr};

/// Any JSON value as it stood, known to be valid, without white space around it.
#[derive(Clone, PartialEq, Eq)]
pub struct Raw<'a>(pub(super) Cow<'a, str>);

impl<'a> Raw<'a> {
    /// Checks `text` as one JSON value and keeps it.
    ///
    /// # Errors
    /// When the text is not exactly one JSON value.
    pub fn parse(text: &'a str) -> Result<Self, JsonError> {
        let mut cursor = Cursor::new(text);
        let raw = cursor.raw()?;
        cursor.end()?;
        Ok(raw)
    }

    /// As [`Raw::parse`] for text that is owned, such as a decoded string.
    ///
    /// # Errors
    /// When the text is not exactly one JSON value.
    pub fn parse_owned(text: String) -> Result<Raw<'static>, JsonError> {
        let trimmed = Raw::parse(&text)?.0.len();
        if trimmed == text.len() {
            return Ok(Raw(Cow::Owned(text)));
        }
        Ok(Raw(Cow::Owned(text.trim_matches([' ', '\t', '\n', '\r']).to_owned())))
    }

    /// A value that the caller knows to be valid JSON: literals of our own.
    #[must_use]
    pub const fn literal(text: &'static str) -> Raw<'static> {
        Raw(Cow::Borrowed(text))
    }

    /// The text of the value.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What kind of value it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.0.as_bytes().first().and_then(|b| Kind::of(*b)).unwrap_or(Kind::Null)
    }

    /// Walks the value.
    #[must_use]
    pub fn cursor(&self) -> Cursor<'_> {
        Cursor::new(&self.0)
    }

    /// Walks a borrowed value with the life of the document; `None` when it is owned.
    #[must_use]
    pub fn source_cursor(&self) -> Option<Cursor<'a>> {
        match &self.0 {
            Cow::Borrowed(text) => Some(Cursor::new(text)),
            Cow::Owned(_) => None,
        }
    }

    /// The member `name` of an object.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<Raw<'_>> {
        let mut found = None;
        let walked = self.cursor().object(|key, value| {
            let raw = value.raw()?;
            if key == *name {
                found = Some(raw);
            }
            Ok(())
        });
        walked.ok().and(found)
    }

    /// The value as a string.
    #[must_use]
    pub fn as_json_str(&self) -> Option<JsonStr<'_>> {
        let text = self.0.strip_prefix('"')?.strip_suffix('"')?;
        Some(JsonStr(Cow::Borrowed(text)))
    }

    /// A borrowed string with the life of the document; `None` for any other value.
    #[must_use]
    pub(crate) fn source_str(&self) -> Option<JsonStr<'a>> {
        let Cow::Borrowed(text) = self.0 else {
            return None;
        };
        let text = text.strip_prefix('"')?.strip_suffix('"')?;
        Some(JsonStr(Cow::Borrowed(text)))
    }

    /// The value as an unsigned number.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        Number(Cow::Borrowed(&self.0)).as_u64()
    }

    /// The same value, borrowed from this one.
    #[must_use]
    pub fn borrow(&self) -> Raw<'_> {
        Raw(Cow::Borrowed(&self.0))
    }

    /// The same value with a life of its own.
    #[must_use]
    pub fn into_owned(self) -> Raw<'static> {
        Raw(Cow::Owned(self.0.into_owned()))
    }
}

impl fmt::Debug for Raw<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A JSON number by its text, so that `1.0` stays `1.0` and a 20-digit id stays whole.
#[derive(Clone, PartialEq, Eq)]
pub struct Number<'a>(pub(super) Cow<'a, str>);

impl Number<'_> {
    /// The text of the number.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As an unsigned integer; `1.0` and `1e3` count, `1.5` and `-1` do not.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        if let Ok(n) = self.0.parse() {
            return Some(n);
        }
        let n = self.as_f64()?;
        // Above 2^53 a float no longer names one integer.
        (n >= 0.0 && n.fract() == 0.0 && n <= 9_007_199_254_740_992.0).then_some(n as u64)
    }

    /// As a float.
    #[must_use]
    pub fn as_f64(&self) -> Option<f64> {
        self.0.parse().ok()
    }

    /// The same number with a life of its own.
    #[must_use]
    pub fn into_owned(self) -> Number<'static> {
        Number(Cow::Owned(self.0.into_owned()))
    }
}

impl From<u64> for Number<'static> {
    fn from(n: u64) -> Self {
        Self(Cow::Owned(n.to_string()))
    }
}

impl fmt::Debug for Number<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The six kinds of JSON values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Kind {
    Object,
    Array,
    String,
    Number,
    Bool,
    Null,
}

impl Kind {
    pub(super) fn of(first: u8) -> Option<Self> {
        Some(match first {
            b'{' => Self::Object,
            b'[' => Self::Array,
            b'"' => Self::String,
            b'-' | b'0'..=b'9' => Self::Number,
            b't' | b'f' => Self::Bool,
            b'n' => Self::Null,
            _ => return None,
        })
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Object => "expected an object",
            Self::Array => "expected an array",
            Self::String => "expected a string",
            Self::Number => "expected a number",
            Self::Bool => "expected true or false",
            Self::Null => "expected null",
        }
    }
}
