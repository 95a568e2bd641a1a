//! Values behind a name: `password=…`, `"api_key": "…"`, `x-api-key: …`, `&key=…`.

use std::ops::Range;

use super::scan::{begins_private_key, behind_mask};
use super::{is_masks, keys};
use crate::secret::names::{Named, named};

/// Most bytes of a name, and of what stands between it and the separator.
const MAX_NAME: usize = 64;
const MAX_CLOSERS: usize = 8;

/// Most spaces on each side of a separator.
const MAX_SPACES: usize = 8;

/// Where the secret value stands whose separator is at `at`, if its name and its look say that it
/// is one.
pub(super) fn value(text: &str, at: usize) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let separator = separator(&bytes[at..])?;
    let name = Name::before(text, at)?;
    let named = name.named()?;
    let spaces = count(&bytes[at + separator..], MAX_SPACES, |b| matches!(b, b' ' | b'\t'));
    let start = at + separator + spaces;
    let opening = Opening::of(&bytes[start..]);
    let sure = match named {
        _ if name.in_query => true,
        // `password = read()`: code. As a setting it has no spaces, or quotes.
        Named::Always => opening.is_some() || spaces == 0 || bytes[at] != b'=',
        Named::Member | Named::Text => false,
        Named::Parameter => return None,
    };
    let inside = start + opening.map_or(0, Opening::length);
    // What begins a structure is no value; a block of PEM is found by its own form.
    let structure = opening.is_none() && matches!(bytes.get(inside), Some(b'{' | b'[' | b'('));
    if structure
        || begins_private_key(&bytes[inside..]).is_some()
        || !(sure || looks_secret(&bytes[inside..]))
    {
        return None;
    }
    let end = match opening {
        Some(opening) => opening.closed(&bytes[inside..]),
        None => unquoted(&bytes[inside..], separator == ENCODED, name.is_cookie()),
    };
    let range = without_scheme(text, inside..inside + end);
    let mut value = &text[range.clone()];
    if opening.is_none() {
        // `authorization: password: …`: what stands for a value is the next name.
        value = value.trim_end_matches([':', '=']);
    }
    let range = range.start..range.start + value.len();
    (!value.is_empty() && !NO_VALUES.contains(&value)).then_some(range)
}

/// Words of programs and of JSON for no value.
const NO_VALUES: [&str; 7] = ["null", "true", "false", "None", "True", "False", "undefined"];

/// The length of a percent-encoded separator.
const ENCODED: usize = 3;

/// The length of `=`, `:`, `=>`, `:=`, `%3D`, `%3A`. `==` compares.
fn separator(text: &[u8]) -> Option<usize> {
    match text {
        [b'=', b'=', ..] => None,
        [b'=', b'>', ..] | [b':', b'=', ..] => Some(2),
        [b'=' | b':', ..] => Some(1),
        [b'%', b'3', b'A' | b'a' | b'D' | b'd', ..] => Some(ENCODED),
        _ => None,
    }
}

/// The name before a separator.
struct Name<'t> {
    /// With the word before it, as in `API key`.
    two: &'t str,
    one: &'t str,
    /// Behind `?` or `&`.
    in_query: bool,
}

impl<'t> Name<'t> {
    fn before(text: &'t str, at: usize) -> Option<Self> {
        let bytes = text.as_bytes();
        let spaces = count_back(&bytes[..at], MAX_SPACES, |b| matches!(b, b' ' | b'\t'));
        let closers = |b| matches!(b, b'"' | b'\'' | b'`' | b']' | b')' | b'\\');
        let end = at - spaces;
        let end = end - count_back(&bytes[..end], MAX_CLOSERS, closers);
        let length = count_back(&bytes[..end], MAX_NAME, is_name);
        let start = end - length;
        if length == 0 || behind_mask(bytes, start) {
            return None;
        }
        let (start, mut in_query) = unescape(bytes, start..end);
        in_query |=
            matches!(bytes[..start], [.., b'?' | b'&'] | [.., b'&', b'a', b'm', b'p', b';']);
        let one = &text[start..end];
        in_query |= encoded_query(one);
        let word = match bytes[..start] {
            [.., b' '] => count_back(&bytes[..start - 1], MAX_NAME, is_name) + 1,
            _ => 0,
        };
        let two = if behind_mask(bytes, start - word) { one } else { &text[start - word..end] };
        Some(Self { two, one, in_query })
    }

    fn named(&self) -> Option<Named> {
        let one = named(self.one);
        if one == Some(Named::Always) {
            return one;
        }
        named(self.two).filter(|two| *two == Named::Always).or(one)
    }

    /// Its value goes on to the end of the line.
    fn is_cookie(&self) -> bool {
        const COOKIE: &[u8] = b"cookie";
        let (_, end) = self.one.as_bytes().split_at(self.one.len().saturating_sub(COOKIE.len()));
        end.eq_ignore_ascii_case(COOKIE)
    }
}

fn is_name(byte: u8) -> bool {
    keys::is_key(byte) || matches!(byte, b'.' | b'%')
}

/// Where a name begins whose first letters belong to an escape of JSON: `\nkey`, `\u0026key`.
/// And whether that escape stands for `?` or `&`.
fn unescape(text: &[u8], name: Range<usize>) -> (usize, bool) {
    let escaped = matches!(text[..name.start], [.., b'\\']);
    match &text[name.clone()] {
        [b'u', b'0', b'0', a, b, _, ..] if escaped => {
            (name.start + 5, matches!((a, b), (b'2', b'6') | (b'3', b'f' | b'F')))
        }
        [b'n' | b'r' | b't', _, ..] if escaped => (name.start + 1, false),
        _ => (name.start, false),
    }
}

/// Whether the name follows an encoded `?` or `&`.
fn encoded_query(name: &str) -> bool {
    let Some(at) = name.rfind('%') else { return false };
    name.get(at + 1..at + 3)
        .is_some_and(|hex| ["26", "3f"].iter().any(|known| hex.eq_ignore_ascii_case(known)))
}

/// The quote before a value, with backslashes where it stands in a string itself.
#[derive(Clone, Copy)]
struct Opening {
    quote: u8,
    backslashes: usize,
}

impl Opening {
    fn of(text: &[u8]) -> Option<Self> {
        let backslashes = count(text, MAX_CLOSERS, |b| b == b'\\');
        let quote = *text.get(backslashes)?;
        matches!(quote, b'"' | b'\'' | b'`').then_some(Self { quote, backslashes })
    }

    fn length(self) -> usize {
        self.backslashes + 1
    }

    /// Bytes before the closing quote, which has no more backslashes before it than this one.
    fn closed(self, inside: &[u8]) -> usize {
        // An apostrophe may be none of a pair; a line ends it.
        let line = if self.quote == b'"' { b'"' } else { b'\n' };
        for at in memchr::memchr2_iter(self.quote, line, inside) {
            if inside[at] != self.quote {
                return at;
            }
            let before = inside[..at].iter().rev().take_while(|byte| **byte == b'\\').count();
            if before <= self.backslashes {
                return at - before;
            }
        }
        inside.len()
    }
}

/// Bytes of a value without quotes.
fn unquoted(text: &[u8], encoded: bool, is_cookie: bool) -> usize {
    let ends = |at: &usize| match text[*at] {
        b'\n' | b'\r' | b'"' | b'\\' => true,
        b'%' if encoded => text[*at..].starts_with(b"%26"),
        _ if is_cookie => false,
        byte => b" \t'`<>&,;)}]".contains(&byte),
    };
    // Looks no further than it goes: a value that is none is not skipped.
    (0..text.len()).find(ends).unwrap_or(text.len())
}

/// The value behind `Bearer` and its like; all of it where there is none.
fn without_scheme(text: &str, value: Range<usize>) -> Range<usize> {
    const SCHEMES: [&str; 6] = ["bearer", "basic", "token", "apikey", "digest", "negotiate"];
    let rest = &text[value.start..];
    let is = |scheme: &&&str| {
        rest.get(..scheme.len()).is_some_and(|word| word.eq_ignore_ascii_case(scheme))
    };
    let Some(scheme) = SCHEMES.iter().find(is) else { return value };
    let behind = &rest.as_bytes()[scheme.len()..];
    let spaces = count(behind, MAX_SPACES, |b| b == b' ');
    let start = value.start + scheme.len() + spaces;
    if spaces == 0 {
        value
    } else if start < value.end {
        start..value.end
    } else {
        let token = text.as_bytes()[start..].iter().take_while(|byte| is_masks(**byte)).count();
        start..start + token
    }
}

/// A digit among letters, or very long: no word of a language. Only its head is looked at.
fn looks_secret(value: &[u8]) -> bool {
    const LEAST: usize = 8;
    const LONG: usize = 32;
    let head = count(value, LONG, |byte| keys::is_token(byte) || byte == b'%');
    let has = |is: fn(&u8) -> bool| value[..head].iter().any(is);
    head == LONG || (head >= LEAST && has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic))
}

fn count(text: &[u8], most: usize, is: impl Fn(u8) -> bool) -> usize {
    text.iter().take(most).take_while(|byte| is(**byte)).count()
}

fn count_back(text: &[u8], most: usize, is: impl Fn(u8) -> bool) -> usize {
    text.iter().rev().take(most).take_while(|byte| is(**byte)).count()
}
