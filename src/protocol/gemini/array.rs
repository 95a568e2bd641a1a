//! A JSON array that comes in pieces, cut into its items.
//!
//! Without `alt=sse` Gemini streams an array: `[{…}`, `,\r\n{…}`, `]`. An item is handed on as soon
//! as its last byte is there.
//!
//! ```
//! use tower_llm_gateway::protocol::gemini::array::Splitter;
//!
//! let mut splitter = Splitter::new();
//! let mut items = Vec::new();
//! for piece in ["[{\"a\":", "1}\n", ",\r\n{\"b\":\"]\"}", "\n]"] {
//!     splitter.push(piece.as_bytes(), &mut |item| items.push(item.to_owned()))?;
//! }
//! assert_eq!(items, [r#"{"a":1}"#, r#"{"b":"]"}"#]);
//! assert!(splitter.is_closed());
//! # Ok::<(), tower_llm_gateway::protocol::gemini::array::ItemTooLong>(())
//! ```

use std::fmt;

use memchr::memchr2;

use crate::sse;

/// Most bytes of one item: as many as an event of server-sent events may have.
pub const MAX_ITEM: usize = sse::DEFAULT_MAX_EVENT;

/// The capacity that the buffer keeps for the next item.
const KEPT_CAPACITY: usize = 64 << 10;

/// An item has more bytes than [`MAX_ITEM`], or than the limit that was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ItemTooLong;

impl fmt::Display for ItemTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("item of a streamed array is longer than the limit")
    }
}

impl std::error::Error for ItemTooLong {}

type OnItem<'a> = &'a mut dyn FnMut(&str);

/// Cuts an array into its items.
///
/// Any cut of the input gives the same items. An item that stands whole in one push is borrowed
/// from it; what is cut between pushes is copied, up to the limit. Items are not checked: whoever
/// reads them does that. Commas are not missed where there is none, and what stands behind the end
/// of the array is ignored. Invalid UTF-8 is read as U+FFFD.
#[derive(Debug, Clone, PartialEq)]
pub struct Splitter {
    limit: usize,
    /// The beginning of an item whose end has not come.
    item: Vec<u8>,
    place: Place,
    /// How many objects and lists are open, inside of the array.
    depth: u32,
    failed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before the `[`.
    Before,
    /// Between items.
    Between,
    /// In an item, outside of its strings.
    Item,
    /// In a string of an item.
    Text,
    /// Behind a backslash in a string.
    Escape,
    /// Behind the `]`.
    Behind,
}

impl Default for Splitter {
    fn default() -> Self {
        Self::with_limit(MAX_ITEM)
    }
}

impl Splitter {
    /// A splitter of items up to [`MAX_ITEM`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A splitter of items of at most `limit` bytes.
    #[must_use]
    pub fn with_limit(limit: usize) -> Self {
        Self { limit, item: Vec::new(), place: Place::Before, depth: 0, failed: false }
    }

    /// Whether the end of the array was read.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.place == Place::Behind
    }

    /// Reads on, and hands each item that is complete to `on_item`.
    ///
    /// # Errors
    /// Beyond the limit; the items before have been handed on. Every later call answers the same.
    pub fn push(&mut self, bytes: &[u8], on_item: OnItem<'_>) -> Result<(), ItemTooLong> {
        if self.failed {
            return Err(ItemTooLong);
        }
        // Where the item in hand begins in `bytes`.
        let mut start = 0;
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            match self.place {
                Place::Before | Place::Between | Place::Behind => {
                    if self.outside(byte) {
                        start = at;
                        continue;
                    }
                    at += 1;
                }
                Place::Escape => {
                    self.place = Place::Text;
                    at += 1;
                }
                Place::Text => match memchr2(b'"', b'\\', &bytes[at..]) {
                    Some(found) if bytes[at + found] == b'\\' => {
                        self.place = Place::Escape;
                        at += found + 1;
                    }
                    Some(found) => {
                        self.place = Place::Item;
                        at += found + 1;
                        if self.depth == 0 {
                            self.end_item(&bytes[start..at], on_item)?;
                        }
                    }
                    None => at = bytes.len(),
                },
                Place::Item => {
                    // A number or a word ends before what follows it.
                    let ends_before = self.depth == 0 && is_outside(byte);
                    if !ends_before {
                        at += 1;
                    }
                    if ends_before || self.inside(byte) {
                        self.end_item(&bytes[start..at], on_item)?;
                    }
                }
            }
        }
        if matches!(self.place, Place::Item | Place::Text | Place::Escape) {
            self.hold(&bytes[start..])?;
        }
        Ok(())
    }

    /// A byte outside of items; true when an item begins with it.
    fn outside(&mut self, byte: u8) -> bool {
        match (self.place, byte) {
            (Place::Before, b'[') => self.place = Place::Between,
            (Place::Between, b']') => self.place = Place::Behind,
            (Place::Between, byte) if !is_outside(byte) => {
                self.place = Place::Item;
                return true;
            }
            _ => {}
        }
        false
    }

    /// A byte of an item outside of its strings; true when the item is complete with it.
    fn inside(&mut self, byte: u8) -> bool {
        match byte {
            b'"' => self.place = Place::Text,
            b'{' | b'[' => self.depth = self.depth.saturating_add(1),
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                return self.depth == 0;
            }
            _ => {}
        }
        false
    }

    fn end_item(&mut self, last: &[u8], on_item: OnItem<'_>) -> Result<(), ItemTooLong> {
        self.place = Place::Between;
        if self.item.is_empty() {
            self.check(last.len())?;
            on_item(&String::from_utf8_lossy(last));
            return Ok(());
        }
        self.hold(last)?;
        on_item(&String::from_utf8_lossy(&self.item));
        self.item.clear();
        self.item.shrink_to(KEPT_CAPACITY);
        Ok(())
    }

    fn hold(&mut self, bytes: &[u8]) -> Result<(), ItemTooLong> {
        self.check(self.item.len() + bytes.len())?;
        self.item.extend_from_slice(bytes);
        Ok(())
    }

    fn check(&mut self, length: usize) -> Result<(), ItemTooLong> {
        self.failed = length > self.limit;
        if self.failed { Err(ItemTooLong) } else { Ok(()) }
    }
}

/// What may stand between items.
fn is_outside(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b',' | b']')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(pieces: &[&[u8]]) -> (Vec<String>, bool) {
        let mut splitter = Splitter::new();
        let mut items = Vec::new();
        for piece in pieces {
            splitter.push(piece, &mut |item| items.push(item.to_owned())).unwrap();
        }
        (items, splitter.is_closed())
    }

    #[test]
    fn items() {
        let rows: &[(&str, &[&str], bool)] = &[
            ("", &[], false),
            ("[", &[], false),
            ("[]", &[], true),
            (" \r\n[ ]x[{}]", &[], true),
            ("[{}]", &["{}"], true),
            ("[{}\n,\r\n{\"a\":[1,{}]}\n]", &["{}", "{\"a\":[1,{}]}"], true),
            ("[{\"a\":\"}]\\\"\\\\\"},{}", &["{\"a\":\"}]\\\"\\\\\"}", "{}"], false),
            ("[{}{}]", &["{}", "{}"], true),
            ("[1,\"a,b\" ,null,[2]]", &["1", "\"a,b\"", "null", "[2]"], true),
            ("[{\"a\":\"\u{e9}\u{1f600}\"}]", &["{\"a\":\"\u{e9}\u{1f600}\"}"], true),
            ("[}]", &["}"], true),
        ];
        for (text, expected, closed) in rows {
            let whole = split(&[text.as_bytes()]);
            assert_eq!((&*whole.0, whole.1), (&*expected.map_owned(), *closed), "{text}");
            for at in 0..=text.len() {
                let (left, right) = text.as_bytes().split_at(at);
                assert_eq!(split(&[left, right]), whole, "{text} at {at}");
            }
            let bytes: Vec<_> = text.as_bytes().chunks(1).collect();
            assert_eq!(split(&bytes), whole, "{text} by bytes");
        }
    }

    trait MapOwned {
        fn map_owned(&self) -> Vec<String>;
    }

    impl MapOwned for &[&str] {
        fn map_owned(&self) -> Vec<String> {
            self.iter().map(|text| (*text).to_owned()).collect()
        }
    }

    #[test]
    fn an_item_is_not_waited_for() {
        assert_eq!(split(&[b"[{}"]).0, ["{}"]);
    }

    #[test]
    fn items_are_bounded() {
        for pieces in [&["[123456789"][..], &["[1234", "56789,"], &["[\"1234567\"]"]] {
            let mut splitter = Splitter::with_limit(8);
            let pushed: Result<Vec<_>, _> =
                pieces.iter().map(|piece| splitter.push(piece.as_bytes(), &mut |_| {})).collect();
            assert_eq!(pushed, Err(ItemTooLong), "{pieces:?}");
            assert_eq!(splitter.push(b"", &mut |_| {}), Err(ItemTooLong));
        }
        let mut splitter = Splitter::with_limit(8);
        assert_eq!(splitter.push(b"[12345678,12345678]", &mut |_| {}), Ok(()));
    }
}
