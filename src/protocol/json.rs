//! JSON as the wire has it: slices of the input, never a tree.
//!
//! [`Cursor`] walks a document once. A string comes out as a [`JsonStr`] (the escaped text
//! between its quotes), any other value as a [`Raw`] slice; both are checked when they are cut,
//! so they can be written into another document byte for byte. Decoding happens only where
//! somebody asks for it.
//!
//! Why not `serde_json` here: a translator must know the `type` of a block before it can read its
//! other members, and must keep the unknown ones. With `RawValue` each level of nesting is
//! scanned again (body, message, block: three skims of a text), and a span cannot be had beside
//! a typed read. One pass with spans costs about a third of a `serde_json` skim on long texts
//! (`benches/translate.rs`). The acceptance of both is held equal by a property test.

use std::borrow::Cow;
use std::fmt;

use bytes::BytesMut;

/// Deepest nesting that is read: 128, as in `serde_json`.
pub const MAX_DEPTH: u8 = 128;

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
    fn under(mut self, step: impl FnOnce() -> String) -> Self {
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

/// The text of a JSON string between its quotes, still escaped, and known to be valid.
#[derive(Clone, Default)]
pub struct JsonStr<'a>(Cow<'a, str>);

impl<'a> JsonStr<'a> {
    /// A string from plain text; borrowed when nothing in it needs an escape.
    #[must_use]
    pub fn from_plain(text: impl Into<Cow<'a, str>>) -> Self {
        let text = text.into();
        if find_special(text.as_bytes(), 0) == text.len() {
            return Self(text);
        }
        let mut escaped = String::with_capacity(text.len() + 16);
        escape_to(&text, |piece| escaped.push_str(piece));
        Self(Cow::Owned(escaped))
    }

    /// Pieces of valid strings, joined: still valid, because no piece ends inside an escape.
    pub(crate) fn from_escaped(escaped: String) -> Self {
        Self(Cow::Owned(escaped))
    }

    /// A piece of this string. `None` when the cut is not on a character or falls inside an escape.
    #[must_use]
    pub fn slice(&self, range: std::ops::Range<usize>) -> Option<JsonStr<'_>> {
        let piece = self.0.get(range.clone())?;
        let mut at = 0;
        let bytes = self.0.as_bytes();
        while at < range.end {
            let step = match bytes.get(at) {
                Some(b'\\') if bytes.get(at + 1) == Some(&b'u') => 6,
                Some(b'\\') => 2,
                _ => 1,
            };
            if (at < range.start && at + step > range.start) || at + step > range.end {
                return None;
            }
            at += step;
        }
        Some(JsonStr(Cow::Borrowed(piece)))
    }

    /// The text before and behind the first comma, colon or semicolon `mark`: signs that no
    /// escape contains. `None` where it does not stand unescaped.
    #[must_use]
    pub fn split_once(&self, mark: char) -> Option<(JsonStr<'a>, JsonStr<'a>)> {
        if !matches!(mark, ',' | ':' | ';') {
            return None;
        }
        Some(match &self.0 {
            Cow::Borrowed(text) => {
                let (before, behind) = text.split_once(mark)?;
                (Self(Cow::Borrowed(before)), Self(Cow::Borrowed(behind)))
            }
            Cow::Owned(text) => {
                let (before, behind) = text.split_once(mark)?;
                (Self(Cow::Owned(before.to_owned())), Self(Cow::Owned(behind.to_owned())))
            }
        })
    }

    /// The escaped text, without quotes.
    #[must_use]
    pub fn escaped(&self) -> &str {
        &self.0
    }

    /// The text itself; allocates only when it holds an escape. A lone surrogate becomes U+FFFD.
    #[must_use]
    pub fn decode(&self) -> Cow<'_, str> {
        if memchr::memchr(b'\\', self.0.as_bytes()).is_none() {
            return Cow::Borrowed(&self.0);
        }
        Cow::Owned(unescape(&self.0))
    }

    /// Whether the string is `""`.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same string, borrowed from this one.
    #[must_use]
    pub fn borrow(&self) -> JsonStr<'_> {
        JsonStr(Cow::Borrowed(&self.0))
    }

    /// The same string with a life of its own.
    #[must_use]
    pub fn into_owned(self) -> JsonStr<'static> {
        JsonStr(Cow::Owned(self.0.into_owned()))
    }
}

impl fmt::Debug for JsonStr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0)
    }
}

impl PartialEq for JsonStr<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0 || self.decode() == other.decode()
    }
}

impl Eq for JsonStr<'_> {}

impl PartialEq<str> for JsonStr<'_> {
    fn eq(&self, other: &str) -> bool {
        self.decode() == other
    }
}

impl PartialEq<&str> for JsonStr<'_> {
    fn eq(&self, other: &&str) -> bool {
        self.decode() == *other
    }
}

/// Any JSON value as it stood, known to be valid, without white space around it.
#[derive(Clone, PartialEq, Eq)]
pub struct Raw<'a>(Cow<'a, str>);

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
pub struct Number<'a>(Cow<'a, str>);

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
    fn of(first: u8) -> Option<Self> {
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

    fn name(self) -> &'static str {
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

/// Index of the next quote, backslash or control character from `at` on, or the length.
///
/// Eight bytes at a time: each test leaves the high bit set in a byte that matches. A borrow can
/// only mark bytes above the first match, so the lowest mark is exact.
#[inline]
pub(crate) fn find_special(bytes: &[u8], mut at: usize) -> usize {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGH: u64 = ONES << 7;
    while let Some(word) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*word);
        let quote = word ^ (ONES * b'"' as u64);
        let slash = word ^ (ONES * b'\\' as u64);
        let found = (quote.wrapping_sub(ONES) & !quote)
            | (slash.wrapping_sub(ONES) & !slash)
            | (word.wrapping_sub(ONES * 0x20) & !word);
        let found = found & HIGH;
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    bytes[at..]
        .iter()
        .position(|b| matches!(b, b'"' | b'\\' | 0..0x20))
        .map_or(bytes.len(), |found| at + found)
}

fn escape_to(text: &str, mut push: impl FnMut(&str)) {
    let bytes = text.as_bytes();
    let mut start = 0;
    loop {
        let at = find_special(bytes, start);
        push(&text[start..at]);
        let Some(byte) = bytes.get(at) else { return };
        match byte {
            b'"' => push("\\\""),
            b'\\' => push("\\\\"),
            b'\n' => push("\\n"),
            b'\r' => push("\\r"),
            b'\t' => push("\\t"),
            other => push(&format!("\\u{other:04x}")),
        }
        start = at + 1;
    }
}

fn unescape(escaped: &str) -> String {
    let mut out = String::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        out.push_str(&rest[..at]);
        let mut step = at + 2;
        match rest.as_bytes().get(at + 1) {
            Some(b'n') => out.push('\n'),
            Some(b'r') => out.push('\r'),
            Some(b't') => out.push('\t'),
            Some(b'b') => out.push('\u{8}'),
            Some(b'f') => out.push('\u{c}'),
            Some(b'u') => {
                let (c, used) = unescape_unicode(&rest[at..]);
                out.push(c);
                step = at + used;
            }
            Some(other) => out.push(*other as char),
            None => step = rest.len(),
        }
        rest = rest.get(step..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// The character of `\uXXXX` (or of a surrogate pair) and how many bytes it took.
fn unescape_unicode(text: &str) -> (char, usize) {
    let unit = |at: usize| {
        let hex = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u32::from_str_radix(hex, 16).ok()
    };
    let Some(first) = unit(0) else { return (char::REPLACEMENT_CHARACTER, text.len()) };
    if let (0xD800..0xDC00, Some(second @ 0xDC00..0xE000)) = (first, unit(6)) {
        let code = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
        return (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 12);
    }
    (char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), 6)
}

/// Appends `text` escaped, without quotes.
pub fn push_escaped(out: &mut BytesMut, text: &str) {
    escape_to(text, |piece| out.extend_from_slice(piece.as_bytes()));
}

/// Appends a quoted string.
pub fn push_str(out: &mut BytesMut, text: &JsonStr<'_>) {
    out.extend_from_slice(b"\"");
    out.extend_from_slice(text.escaped().as_bytes());
    out.extend_from_slice(b"\"");
}

/// Appends plain text as a quoted string.
pub fn push_plain(out: &mut BytesMut, text: &str) {
    out.extend_from_slice(b"\"");
    push_escaped(out, text);
    out.extend_from_slice(b"\"");
}

/// Appends an unsigned number.
pub fn push_u64(out: &mut BytesMut, mut n: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Writes the commas and the closing bracket of an object.
///
/// ```
/// use bytes::BytesMut;
/// use tower_llm_gateway::protocol::json::{JsonStr, ObjectWriter};
///
/// let mut out = BytesMut::new();
/// let mut object = ObjectWriter::begin(&mut out);
/// object.str("role", &JsonStr::from_plain("user"));
/// object.u64("n", 1);
/// object.end();
/// assert_eq!(out, r#"{"role":"user","n":1}"#);
/// ```
#[derive(Debug)]
pub struct ObjectWriter<'w> {
    out: &'w mut BytesMut,
    first: bool,
}

impl<'w> ObjectWriter<'w> {
    /// Opens the object.
    pub fn begin(out: &'w mut BytesMut) -> Self {
        out.extend_from_slice(b"{");
        Self { out, first: true }
    }

    /// Writes `"name":` and gives the place where its value goes. `name` must need no escape.
    pub fn key(&mut self, name: &str) -> &mut BytesMut {
        if !std::mem::take(&mut self.first) {
            self.out.extend_from_slice(b",");
        }
        self.out.extend_from_slice(b"\"");
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    /// A string member.
    pub fn str(&mut self, name: &str, value: &JsonStr<'_>) {
        push_str(self.key(name), value);
    }

    /// A string member from plain text.
    pub fn plain(&mut self, name: &str, value: &str) {
        push_plain(self.key(name), value);
    }

    /// A member as it stood.
    pub fn raw(&mut self, name: &str, value: &Raw<'_>) {
        self.key(name).extend_from_slice(value.as_str().as_bytes());
    }

    /// A number by its text.
    pub fn number(&mut self, name: &str, value: &Number<'_>) {
        self.key(name).extend_from_slice(value.as_str().as_bytes());
    }

    /// An unsigned number.
    pub fn u64(&mut self, name: &str, value: u64) {
        push_u64(self.key(name), value);
    }

    /// `true` or `false`.
    pub fn bool(&mut self, name: &str, value: bool) {
        self.key(name).extend_from_slice(if value { b"true" } else { b"false" });
    }

    /// `null`.
    pub fn null(&mut self, name: &str) {
        self.key(name).extend_from_slice(b"null");
    }

    /// An array member; `fill` writes its items.
    pub fn array(&mut self, name: &str, fill: impl FnOnce(&mut ArrayWriter<'_>)) {
        let mut array = ArrayWriter::begin(self.key(name));
        fill(&mut array);
        array.end();
    }

    /// An object member; `fill` writes its members.
    pub fn object(&mut self, name: &str, fill: impl FnOnce(&mut ObjectWriter<'_>)) {
        let mut object = ObjectWriter::begin(self.key(name));
        fill(&mut object);
        object.end();
    }

    /// Closes the object.
    pub fn end(self) {
        self.out.extend_from_slice(b"}");
    }
}

/// Writes the commas and the closing bracket of an array.
#[derive(Debug)]
pub struct ArrayWriter<'w> {
    out: &'w mut BytesMut,
    first: bool,
}

impl<'w> ArrayWriter<'w> {
    /// Opens the array.
    pub fn begin(out: &'w mut BytesMut) -> Self {
        out.extend_from_slice(b"[");
        Self { out, first: true }
    }

    /// The place where the next item goes.
    pub fn item(&mut self) -> &mut BytesMut {
        if !std::mem::take(&mut self.first) {
            self.out.extend_from_slice(b",");
        }
        self.out
    }

    /// An object item; `fill` writes its members.
    pub fn object(&mut self, fill: impl FnOnce(&mut ObjectWriter<'_>)) {
        let mut object = ObjectWriter::begin(self.item());
        fill(&mut object);
        object.end();
    }

    /// Closes the array.
    pub fn end(self) {
        self.out.extend_from_slice(b"]");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn accepts(text: &str) -> bool {
        Raw::parse(text).is_ok()
    }

    #[test]
    fn accepts_what_serde_json_accepts() {
        let texts = [
            "{}",
            "[]",
            " [1, 2.5e-3, -0, 0.1] ",
            "\"\\u00e9\\\"\"",
            "01",
            "1.",
            ".5",
            "-",
            "+1",
            "nul",
            "nulll",
            "[1,]",
            "{,}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "\"\n\"",
            "\"\\x\"",
            "\"\\u12g4\"",
            "",
            " ",
            "[",
            "]",
            "{\"a\":1}}",
            "true false",
            "1e5",
            "1e",
            "1E+2",
            "\"\u{7f}\u{80}é\"",
            "\"abcdefgh\u{1}\"",
            "[[[[]]]]",
            "{\"a\":{\"b\":[null,true,false]}}",
            "\"\\",
            "\"\\u12",
            "tru",
            "-1",
            "--1",
            "\u{feff}{}",
        ];
        for text in texts {
            let theirs = serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok();
            assert_eq!(accepts(text), theirs, "{text:?}");
        }
    }

    #[test]
    fn depth_is_limited() {
        let nested = |n: usize| "[".repeat(n) + &"]".repeat(n);
        assert!(accepts(&nested(MAX_DEPTH as usize)));
        let error = Raw::parse(&nested(MAX_DEPTH as usize + 1)).unwrap_err();
        assert_eq!(error.reason(), "nested too deeply");
    }

    #[test]
    fn errors_name_the_place() {
        let error = Cursor::new(r#"{"a/b":[1,{"c":"x"}]}"#)
            .object(|_, c| {
                c.array(|_, c| {
                    if c.kind()? == Kind::Object {
                        c.object(|_, c| c.bool().map(drop))
                    } else {
                        c.raw().map(drop)
                    }
                })
            })
            .unwrap_err();
        assert_eq!(error.pointer(), "/a~1b/1/c");
        assert_eq!(error.to_string(), "/a~1b/1/c: expected true or false");
    }

    #[test]
    fn decodes_escapes() {
        let text = r#""a\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00\ud800""#;
        let string = Cursor::new(text).string().unwrap();
        assert_eq!(string.decode(), "a\"\\/\u{8}\u{c}\n\r\té😀\u{fffd}");
    }

    #[test]
    fn slices_never_cut_an_escape() {
        let s = Cursor::new(r#""a\nb\u00e9c""#).string().unwrap();
        assert_eq!(s.slice(1..3).unwrap(), "\n");
        assert!(s.slice(2..3).is_none());
        assert!(s.slice(0..2).is_none());
        assert_eq!(s.slice(4..11).unwrap(), "éc");
        assert!(s.slice(5..11).is_none());
    }

    #[test]
    fn peeks_at_a_member() {
        for (text, expected) in [
            (r#"{"type":"a","x":1}"#, Some("a")),
            (r#" { "x" : {"type":"no"} , "type" : "a" } "#, Some("a")),
            (r#"{"type":1}"#, None),
            (r#"{"x":1}"#, None),
            (r#"{"x""#, None),
            ("[]", None),
            ("", None),
        ] {
            let cursor = Cursor::new(text);
            assert_eq!(
                cursor.peek_str("type").map(|s| s.decode().into_owned()).as_deref(),
                expected
            );
            assert_eq!(cursor.offset(), 0);
        }
    }

    #[test]
    fn splits_keep_escapes() {
        let s = Cursor::new(r#""data:image\/png;base64,AA\/A""#).string().unwrap();
        let (head, data) = s.split_once(',').unwrap();
        assert_eq!((head.escaped(), data.escaped()), (r"data:image\/png;base64", r"AA\/A"));
        assert!(s.split_once('/').is_none());
    }

    #[test]
    fn numbers_keep_their_text() {
        let mut c = Cursor::new("[12345678901234567890, 1.0, 1.5, -1]");
        let mut seen = Vec::new();
        c.array(|_, c| {
            let n = c.number()?;
            seen.push((n.as_str().to_owned(), n.as_u64()));
            Ok(())
        })
        .unwrap();
        assert_eq!(seen[0], ("12345678901234567890".to_owned(), Some(12_345_678_901_234_567_890)));
        assert_eq!(seen[1].1, Some(1));
        assert_eq!(seen[2].1, None);
        assert_eq!(seen[3].1, None);
    }

    proptest! {
        #[test]
        fn plain_text_survives(text in any::<String>()) {
            let string = JsonStr::from_plain(text.as_str());
            prop_assert_eq!(string.decode(), text.as_str());
            let quoted = format!("\"{}\"", string.escaped());
            prop_assert_eq!(serde_json::from_str::<String>(&quoted).unwrap(), text);
        }

        #[test]
        fn agrees_with_serde_json(text in r#"[\[\]{}",:\\a0-9eE.tru+ -]{0,24}"#) {
            let theirs = serde_json::from_str::<&serde_json::value::RawValue>(&text).is_ok();
            prop_assert_eq!(accepts(&text), theirs);
        }

        #[test]
        fn finds_the_first_special(bytes in prop::collection::vec(any::<u8>(), 0..64), at in 0usize..64) {
            let at = at.min(bytes.len());
            let slow = bytes[at..].iter().position(|b| *b == b'"' || *b == b'\\' || *b < 0x20).map_or(bytes.len(), |i| at + i);
            prop_assert_eq!(find_special(&bytes, at), slow);
        }
    }
}
