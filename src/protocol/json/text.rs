//! Strings by their escaped text.

use std::borrow::Cow;
use std::fmt;

/// The text of a JSON string between its quotes, still escaped, and known to be valid.
#[derive(Clone, Default)]
pub struct JsonStr<'a>(pub(super) Cow<'a, str>);

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

    /// What stands behind `prefix`, the escaped text of another string, which is therefore no cut
    /// inside of an escape; `None` where the string does not begin with it.
    pub(crate) fn behind(&self, prefix: &str) -> Option<JsonStr<'_>> {
        self.0.strip_prefix(prefix).map(|rest| JsonStr(Cow::Borrowed(rest)))
    }

    /// What stands behind the characters that the string has in common with `other`, the escaped
    /// text of another string. A pair of surrogates is not cut apart.
    pub(crate) fn behind_common(&self, other: &str) -> JsonStr<'_> {
        let (mut at, mut whole) = (0, 0);
        while let Some(step) = unit(&self.0[at..]) {
            if !other[at..].starts_with(&self.0[at..at + step]) {
                break;
            }
            at += step;
            let half = step == 6 && matches!(self.0.as_bytes()[at - 4], b'd' | b'D');
            let high = half
                && matches!(self.0.as_bytes()[at - 3], b'8'..=b'9' | b'a'..=b'b' | b'A'..=b'B');
            if !high {
                whole = at;
            }
        }
        JsonStr(Cow::Borrowed(&self.0[whole..]))
    }

    /// The escaped text, without quotes.
    #[must_use]
    pub fn escaped(&self) -> &str {
        &self.0
    }

    /// How many UTF-16 units the text has: the same however it is escaped, and wherever it was cut.
    pub(crate) fn utf16_len(&self) -> usize {
        chars(&self.0).map(|(_, units)| units).sum()
    }

    /// Where in the escaped text so many UTF-16 units end; `None` where it has fewer, or where that
    /// is within a character.
    pub(crate) fn utf16_offset(&self, units: usize) -> Option<usize> {
        let (mut at, mut left) = (0, units);
        for (bytes, units) in chars(&self.0) {
            if left == 0 {
                break;
            }
            at += bytes;
            left = left.checked_sub(units)?;
        }
        (left == 0).then_some(at)
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

/// How many bytes the first character or escape of an escaped text takes.
fn unit(escaped: &str) -> Option<usize> {
    match escaped.as_bytes() {
        [b'\\', b'u', ..] => Some(6.min(escaped.len())),
        [b'\\', ..] => Some(2.min(escaped.len())),
        _ => escaped.chars().next().map(char::len_utf8),
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

/// The characters of an escaped text: how many bytes and how many UTF-16 units each has. An escape
/// of half a surrogate pair is one unit.
fn chars(escaped: &str) -> impl Iterator<Item = (usize, usize)> {
    let mut rest = escaped;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let step = match rest.as_bytes() {
            [b'\\', b'u', ..] => (6, 1),
            [b'\\', ..] => (2, 1),
            _ => (first.len_utf8(), first.len_utf16()),
        };
        rest = rest.get(step.0..).unwrap_or_default();
        Some(step)
    })
}

/// Index of the next quote, backslash or control character from `at` on, or the length.
#[inline]
pub(crate) fn find_special(bytes: &[u8], mut at: usize) -> usize {
    while let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let found = specials(*chunk);
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
        // Where one word was plain a long run of plain text may follow: four at a time.
        while let Some(block) = bytes.get(at..).and_then(|rest| rest.first_chunk::<32>()) {
            let plain = |from: usize| {
                block[from..].first_chunk::<8>().is_some_and(|chunk| specials(*chunk) == 0)
            };
            if !(plain(0) & plain(8) & plain(16) & plain(24)) {
                break;
            }
            at += 32;
        }
    }
    let is_special = |b: &u8| matches!(b, b'"' | b'\\' | 0..0x20);
    bytes[at..].iter().position(is_special).map_or(bytes.len(), |found| at + found)
}

/// The high bit of each of eight bytes that is a quote, a backslash or a control character.
///
/// A borrow can only mark bytes above the first match, so the lowest mark is exact.
fn specials(bytes: [u8; 8]) -> u64 {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGH: u64 = ONES << 7;
    let word = u64::from_le_bytes(bytes);
    let quote = word ^ (ONES * b'"' as u64);
    let slash = word ^ (ONES * b'\\' as u64);
    let found = (quote.wrapping_sub(ONES) & !quote)
        | (slash.wrapping_sub(ONES) & !slash)
        | (word.wrapping_sub(ONES * 0x20) & !word);
    found & HIGH
}

pub(super) fn escape_to(text: &str, mut push: impl FnMut(&str)) {
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
