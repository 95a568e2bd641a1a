//! The walk over a document.

use std::borrow::Cow;

use super::text::find_special;
use super::{JsonError, JsonStr, Kind, Number, Raw};

/// Deepest nesting that is read: 128, as in `serde_json`.
pub const MAX_DEPTH: u8 = 128;

type Result<T, E = JsonError> = std::result::Result<T, E>;

/// One walk over a JSON document (RFC 8259).
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    text: &'a str,
    at: usize,
    depth: u8,
}

impl<'a> Cursor<'a> {
    /// A cursor before the first byte.
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0, depth: 0 }
    }

    /// Byte offset of the next unread byte.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.at
    }

    /// An error at this place.
    #[must_use]
    pub fn error(&self, reason: impl Into<Cow<'static, str>>) -> JsonError {
        JsonError::new(reason, self.at)
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.byte() {
            self.at += 1;
        }
    }

    /// The kind of the next value.
    ///
    /// # Errors
    /// At the end of the text, or where no value begins.
    pub fn kind(&mut self) -> Result<Kind> {
        self.skip_space();
        let byte = self.byte().ok_or_else(|| self.error("unexpected end of JSON"))?;
        Kind::of(byte).ok_or_else(|| self.error("expected a JSON value"))
    }

    fn expect(&mut self, kind: Kind) -> Result<()> {
        if self.kind()? == kind { Ok(()) } else { Err(self.error(kind.name())) }
    }

    /// Reads a string.
    ///
    /// # Errors
    /// When the next value is no valid string.
    pub fn string(&mut self) -> Result<JsonStr<'a>> {
        self.expect(Kind::String)?;
        let start = self.at + 1;
        self.skip_string()?;
        Ok(JsonStr(Cow::Borrowed(&self.text[start..self.at - 1])))
    }

    /// Reads a number.
    ///
    /// # Errors
    /// When the next value is no valid number.
    pub fn number(&mut self) -> Result<Number<'a>> {
        self.expect(Kind::Number)?;
        let start = self.at;
        self.skip_number()?;
        Ok(Number(Cow::Borrowed(&self.text[start..self.at])))
    }

    /// Reads `true` or `false`.
    ///
    /// # Errors
    /// When the next value is neither.
    pub fn bool(&mut self) -> Result<bool> {
        self.expect(Kind::Bool)?;
        let value = self.byte() == Some(b't');
        self.skip_word(if value { "true" } else { "false" })?;
        Ok(value)
    }

    /// Reads any value and keeps its text.
    ///
    /// # Errors
    /// When the next value is not valid.
    pub fn raw(&mut self) -> Result<Raw<'a>> {
        self.raw_str().map(|text| Raw(Cow::Borrowed(text)))
    }

    /// The value that was read since `start`, a cursor that stood before it. It costs no second
    /// walk, as cloning a cursor and asking that for [`Cursor::raw`] would.
    pub(crate) fn since(&self, start: &Self) -> Raw<'a> {
        let text = self.text.get(start.at..self.at).unwrap_or_default();
        Raw(Cow::Borrowed(text.trim_start_matches([' ', '\n', '\r', '\t'])))
    }

    /// As [`Cursor::raw`], as a bare slice.
    pub(crate) fn raw_str(&mut self) -> Result<&'a str> {
        self.skip_space();
        let start = self.at;
        self.skip_value()?;
        Ok(&self.text[start..self.at])
    }

    /// Walks an object. `member` must read the value that stands behind the key.
    ///
    /// # Errors
    /// When it is no object or a value in it is not valid; the error names the member.
    pub fn object(
        &mut self,
        mut member: impl FnMut(JsonStr<'a>, &mut Self) -> Result<()>,
    ) -> Result<()> {
        self.expect(Kind::Object)?;
        self.enter()?;
        let mut first = true;
        while self.more(b'}', &mut first)? {
            let key = self.string()?;
            self.skip_space();
            if self.byte() != Some(b':') {
                return Err(self.error("expected ':'"));
            }
            self.at += 1;
            member(key.clone(), self).map_err(|e| e.under(|| key.decode().into_owned()))?;
        }
        Ok(())
    }

    /// Looks ahead at a string member of the object that stands next, without moving: `None`
    /// where there is none such. It stops at the member, so a `type` that leads costs nothing.
    #[must_use]
    pub fn peek_str(&self, name: &str) -> Option<JsonStr<'a>> {
        let mut ahead = self.clone();
        ahead.expect(Kind::Object).ok()?;
        ahead.enter().ok()?;
        let mut first = true;
        while ahead.more(b'}', &mut first).ok()? {
            let key = ahead.string().ok()?;
            ahead.skip_space();
            if ahead.byte() != Some(b':') {
                return None;
            }
            ahead.at += 1;
            if key == *name {
                return ahead.string().ok();
            }
            ahead.skip_value().ok()?;
        }
        None
    }

    /// Walks an array. `item` must read the value.
    ///
    /// # Errors
    /// When it is no array or a value in it is not valid; the error names the index.
    pub fn array(&mut self, mut item: impl FnMut(usize, &mut Self) -> Result<()>) -> Result<()> {
        self.expect(Kind::Array)?;
        self.enter()?;
        let mut first = true;
        let mut index = 0;
        while self.more(b']', &mut first)? {
            item(index, self).map_err(|e| e.under(|| index.to_string()))?;
            index += 1;
        }
        Ok(())
    }

    /// Nothing but white space may follow.
    ///
    /// # Errors
    /// When something does.
    pub fn end(mut self) -> Result<()> {
        self.skip_space();
        if self.at == self.text.len() { Ok(()) } else { Err(self.error("trailing characters")) }
    }

    fn enter(&mut self) -> Result<()> {
        if self.depth == MAX_DEPTH {
            return Err(self.error("nested too deeply"));
        }
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    /// Steps over the comma; false once `close` was eaten.
    fn more(&mut self, close: u8, first: &mut bool) -> Result<bool> {
        self.skip_space();
        match self.byte() {
            Some(b) if b == close => {
                self.at += 1;
                self.depth -= 1;
                Ok(false)
            }
            Some(_) if std::mem::take(first) => Ok(true),
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            Some(_) => Err(self.error("expected ',' or the end of the list")),
            None => Err(self.error("unexpected end of JSON")),
        }
    }

    fn skip_value(&mut self) -> Result<()> {
        match self.kind()? {
            Kind::String => self.skip_string(),
            Kind::Number => self.skip_number(),
            Kind::Bool => self.bool().map(drop),
            Kind::Null => self.skip_word("null"),
            // MAX_DEPTH bounds the recursion.
            Kind::Array => self.array(|_, c| c.skip_value()),
            Kind::Object => self.object(|_, c| c.skip_value()),
        }
    }

    fn skip_word(&mut self, word: &str) -> Result<()> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(self.error("expected a JSON value"));
        }
        self.at += word.len();
        Ok(())
    }

    fn skip_digits(&mut self) -> Result<()> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.byte() {
            self.at += 1;
        }
        if self.at == start { Err(self.error("invalid number")) } else { Ok(()) }
    }

    fn skip_number(&mut self) -> Result<()> {
        if self.byte() == Some(b'-') {
            self.at += 1;
        }
        if self.byte() == Some(b'0') {
            self.at += 1;
        } else {
            self.skip_digits()?;
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.skip_digits()?;
        }
        if let Some(b'e' | b'E') = self.byte() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.byte() {
                self.at += 1;
            }
            self.skip_digits()?;
        }
        Ok(())
    }

    fn skip_string(&mut self) -> Result<()> {
        let bytes = self.text.as_bytes();
        let mut at = self.at + 1;
        loop {
            at = find_special(bytes, at);
            // Escapes come in rows (`\n\t\t`): no need to search between them.
            while bytes.get(at) == Some(&b'\\') {
                at += escape_length(bytes, at)?;
            }
            match bytes.get(at) {
                Some(b'"') => {
                    self.at = at + 1;
                    return Ok(());
                }
                Some(0..0x20) => {
                    return Err(JsonError::new("control character in a string", at));
                }
                Some(_) => {}
                None => return Err(JsonError::new("unexpected end of JSON", at)),
            }
        }
    }
}

/// How many bytes the escape at `at` takes.
#[inline]
fn escape_length(bytes: &[u8], at: usize) -> Result<usize> {
    match bytes.get(at + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(2),
        Some(b'u') if bytes.get(at + 2..at + 6).is_some_and(is_hex) => Ok(6),
        _ => Err(JsonError::new("invalid escape", at)),
    }
}

fn is_hex(digits: &[u8]) -> bool {
    digits.iter().all(u8::is_ascii_hexdigit)
}
