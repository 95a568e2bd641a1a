//! The pass over a text.

use std::borrow::Cow;
use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use memchr::memmem;

use super::{is_masks, keys, named};
use crate::redact::{HIDDEN, cover};

/// What must not be seen, and what stands there instead.
pub(super) struct Found {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) instead: Cow<'static, str>,
}

/// Goes over the text once. Whatever looks ahead either goes on behind what it saw or has looked
/// at a bounded number of bytes.
pub(super) struct Scan<'t> {
    text: &'t str,
    at: usize,
    no_jwt_before: usize,
}

/// Most bytes looked at for the `@` of a URL.
const MAX_USERINFO: usize = 1024;

/// How many bytes of its end a mask shows.
const TAIL: usize = 5;

/// Most bytes behind `Basic` that are decoded; what is longer is a credential.
const MAX_BASIC: usize = 512;

/// Longest name of a challenge's parameter with its `=`; what is longer is a credential.
const MAX_PARAMETER: usize = 64;

impl<'t> Scan<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, at: 0, no_jwt_before: 0 }
    }

    fn covered(&self, range: Range<usize>) -> Found {
        let instead = cover(&self.text[range.clone()]);
        Found { start: range.start, end: range.end, instead }
    }

    fn hidden(range: Range<usize>) -> Found {
        Found { start: range.start, end: range.end, instead: Cow::Borrowed(HIDDEN) }
    }

    /// How many letters and digits stand here behind nothing that belongs to a word or to an
    /// escape: where the first begins no secret, none of the others does.
    fn rest_of_word(&self) -> usize {
        let (before, rest) = self.text.as_bytes().split_at(self.at);
        match before.last() {
            Some(b'%' | b'\\') => 0,
            Some(byte) if byte.is_ascii_alphanumeric() => 0,
            _ => rest.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count(),
        }
    }

    /// `scheme://user:password@`, or the value of a name.
    fn separator(&self) -> Option<Found> {
        if let Some(range) = userinfo(self.text, self.at) {
            return Some(Self::hidden(range));
        }
        let range = named::value(self.text, self.at)?;
        let instead = super::named_value(&self.text[range.clone()]);
        Some(Found { start: range.start, end: range.end, instead })
    }

    fn key(&mut self) -> Option<Found> {
        let text = self.text.as_bytes();
        let end = keys::key(text, self.at)
            .or_else(|| keys::jwt(text, self.at, &mut self.no_jwt_before))?;
        // The end that is shown may begin the next one: `sk-…-ya29.…`.
        let shown = end.saturating_sub(TAIL).max(self.at + 1)..end;
        let next = shown.filter(|at| starts(text, *at)).filter_map(|at| keys::key(text, at)).max();
        Some(self.covered(self.at..next.map_or(end, |next| next.max(end))))
    }

    /// `Bearer …`, `Basic …`.
    fn scheme(&self) -> Option<Found> {
        let rest = &self.text.as_bytes()[self.at..];
        let is = |scheme: &[u8]| {
            rest.get(..scheme.len()).is_some_and(|b| b.eq_ignore_ascii_case(scheme))
        };
        let (length, basic) = match rest.first()? {
            b'b' | b'B' if is(b"bearer") => (6, false),
            b'b' | b'B' if is(b"basic") => (5, true),
            _ => return None,
        };
        let space = space(&rest[length..])?;
        let start = self.at + length + space;
        let text = self.text.as_bytes();
        let run = text[start..].iter().take_while(|byte| is_masks(**byte)).count();
        let whole = &self.text[start..start + run];
        // `Bearer realm="…"` is a challenge.
        let challenge =
            run <= MAX_PARAMETER && whole.ends_with('=') && text.get(start + run) == Some(&b'"');
        let token = whole.trim_end_matches(['.', '=']);
        let range = start..start + token.len();
        // Another scheme may stand within the run. It is read again only where the run is short
        // or the rest of it holds no letters.
        let credential = match basic {
            true if run > MAX_BASIC => !token.is_empty(),
            true => is_basic(token),
            false => is_bearer(token),
        };
        (credential && !challenge).then(|| {
            let instead =
                if super::is_masked(token) { Cow::Owned(token.to_owned()) } else { cover(token) };
            Found { start: range.start, end: range.end, instead }
        })
    }

    /// What stands in a PEM block of a private key.
    fn private_key(&self) -> Option<Found> {
        let start = self.at + begins_private_key(&self.text.as_bytes()[self.at..])?;
        let end = memmem::find(&self.text.as_bytes()[start..], b"-----END");
        let end = end.map_or(self.text.len(), |at| start + at);
        Some(Self::hidden(start..end)).filter(|found| found.start < found.end)
    }
}

/// The length of the line that a PEM block of a private key begins with.
pub(super) fn begins_private_key(text: &[u8]) -> Option<usize> {
    const BEGIN: &[u8] = b"-----BEGIN ";
    const KEY: &[u8] = b"PRIVATE KEY-----";
    const LONGEST_TITLE: usize = 64;
    let rest = text.strip_prefix(BEGIN)?;
    let kind = memmem::find(&rest[..rest.len().min(LONGEST_TITLE)], KEY)?;
    // What stands there instead of words is no title, and may be a secret itself.
    let is_title = rest[..kind].iter().all(|byte| byte.is_ascii_uppercase() || *byte == b' ');
    is_title.then_some(BEGIN.len() + kind + KEY.len())
}

impl Iterator for Scan<'_> {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        while let Some(byte) = self.text.as_bytes().get(self.at) {
            let found = match byte {
                b':' | b'=' | b'%' => self.separator(),
                b'-' => self.private_key(),
                _ if byte.is_ascii_alphanumeric() && starts(self.text.as_bytes(), self.at) => {
                    self.key().or_else(|| self.scheme())
                }
                _ => None,
            };
            let Some(found) = found else {
                self.at += self.rest_of_word().max(1);
                continue;
            };
            self.at = found.end;
            if self.text[found.start..found.end] != *found.instead {
                return Some(found);
            }
        }
        None
    }
}

/// White space between a scheme and its credential, also in a query.
fn space(text: &[u8]) -> Option<usize> {
    const MOST: usize = 4;
    if text.starts_with(b"%20") {
        return Some(3);
    }
    let spaces = text.iter().take(MOST).take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    match spaces {
        0 => text.starts_with(b"+").then_some(1),
        spaces => Some(spaces),
    }
}

/// The name and password before the `@` of the URL whose `://` stands at `at`.
pub(crate) fn userinfo(text: &str, at: usize) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let before = bytes.get(at.checked_sub(1)?)?;
    if !bytes[at..].starts_with(b"://") || !before.is_ascii_alphanumeric() {
        return None;
    }
    let start = at + 3;
    let rest = &bytes[start..bytes.len().min(start + MAX_USERINFO)];
    let ends = |byte: &u8| is_no_url(*byte) || matches!(byte, b'/' | b'?' | b'#');
    let authority = &rest[..rest.iter().position(ends).unwrap_or(rest.len())];
    // A password that should have been encoded may hold a slash: what then stands for the port
    // is none.
    let broken = authority.first() != Some(&b'[')
        && memchr::memrchr(b':', authority)
            .is_some_and(|colon| !authority[colon + 1..].iter().all(u8::is_ascii_digit));
    let end = match memchr::memrchr(b'@', authority) {
        Some(end) => end,
        None if broken => {
            let first = memchr::memchr(b'@', rest)
                .filter(|end| !rest[..*end].iter().any(|byte| is_no_url(*byte)))?;
            // It may hold an `@` too.
            let behind = rest[first + 1..].split(ends).next().unwrap_or_default();
            memchr::memrchr(b'@', behind).map_or(first, |last| first + 1 + last)
        }
        None => return None,
    };
    Some(start..start + end)
}

fn is_no_url(byte: u8) -> bool {
    byte.is_ascii_whitespace() || matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'`')
}

/// Whether a word begins at `at`: behind no letter or digit, unless that belongs to an escape.
/// The shown end of a masked secret is no beginning.
pub(super) fn starts(text: &[u8], at: usize) -> bool {
    match text[..at] {
        [] => true,
        [.., b'%', a, b] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => true,
        [.., b'\\', b'n' | b'r' | b't' | b'b' | b'f'] => true,
        [.., b'\\', b'u', b'0', b'0', a, b] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => {
            true
        }
        // What follows is the letter of an escape, and belongs to it.
        [.., b'\\'] if b"nrtbfu".contains(&text[at]) => false,
        [.., last] => !last.is_ascii_alphanumeric() && !behind_mask(text, at),
    }
}

/// Whether the shown end of a masked secret begins at `at`.
pub(super) fn behind_mask(text: &[u8], at: usize) -> bool {
    let Some(from) = at.checked_sub(11) else { return false };
    let is_shown = |piece: &[u8]| piece.iter().all(|byte| keys::is_token(*byte));
    text[..at].ends_with(HIDDEN.as_bytes())
        && is_shown(&text[from..from + 8])
        && text.get(at..at + TAIL).is_some_and(is_shown)
        // What goes on is no end, and may be a whole key.
        && !text.get(at + TAIL).copied().is_some_and(keys::is_key)
}

/// Prose goes on behind "Bearer" with a word; a credential has more than letters or is long.
fn is_bearer(token: &str) -> bool {
    const LONGEST_WORD: usize = 20;
    const LEAST: usize = 6;
    token.len() >= LEAST
        && (token.len() > LONGEST_WORD || !token.bytes().all(|b| b.is_ascii_alphabetic()))
}

/// A name and a password with a colon between, in base64.
fn is_basic(token: &str) -> bool {
    let whole = &token[..token.len() - token.len() % 4];
    super::is_masked(token) || STANDARD_NO_PAD.decode(whole).is_ok_and(|text| text.contains(&b':'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_word_begins_within_what_is_skipped(
            text in r"((sk-|eyJ|\\u00|\\n|%)?[0-9A-Fa-fnu]{0,6}(\*\*\*|[-%\\ :.é])?){0,12}",
        ) {
            for at in 0..text.len() {
                let scan = Scan { text: &text, at, no_jwt_before: 0 };
                for behind in at + 1..at + scan.rest_of_word() {
                    prop_assert!(!starts(text.as_bytes(), behind), "{text} at {at}: {behind}");
                }
            }
        }
    }
}
