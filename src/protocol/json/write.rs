//! Writing: pieces, objects, arrays.

use std::borrow::Cow;

use bytes::BytesMut;
use memchr::memchr2;

use super::text::escape_to;
use super::{JsonStr, Number, Raw};

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

/// A document on one line, as an event of a stream must have it. A line break of JSON is white
/// space; as a tab it stays that, and what was no JSON becomes none.
pub(crate) fn one_line(text: &str) -> Cow<'_, str> {
    match memchr2(b'\n', b'\r', text.as_bytes()) {
        None => Cow::Borrowed(text),
        Some(_) => Cow::Owned(text.replace(['\n', '\r'], "\t")),
    }
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
