//! Values where they stand in the text, and pieces put in their place.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use super::{EditError, Edited};
use crate::protocol::json::{Cursor, JsonStr, Kind, find_special};

/// A value that is a member of an object or an item of an array, and where it stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item<'a> {
    /// The value, without white space around it.
    pub(super) text: &'a str,
    /// Offset of the value in the document.
    pub(super) start: usize,
    /// End of the item before this one; for the first the place after the bracket.
    cut: usize,
    first: bool,
}

impl<'a> Item<'a> {
    /// A whole document.
    pub(super) fn whole(text: &'a str) -> Self {
        Self { text, start: 0, cut: 0, first: true }
    }

    pub(super) fn range(&self) -> Range<usize> {
        self.start..self.end()
    }

    fn end(&self) -> usize {
        self.start + self.text.len()
    }

    pub(super) fn kind(&self) -> Option<Kind> {
        Cursor::new(self.text).kind().ok()
    }

    pub(super) fn as_str(&self) -> Option<JsonStr<'a>> {
        Cursor::new(self.text).string().ok()
    }

    pub(super) fn is_true(&self) -> bool {
        self.text == "true"
    }

    /// The items of an array, as long as `take` wants more.
    pub(super) fn each(
        &self,
        mut take: impl FnMut(Item<'a>) -> Result<bool, EditError>,
    ) -> Result<(), EditError> {
        let mut outcome = Ok(());
        let mut cut = self.start + 1;
        let walked = Cursor::new(self.text).array(|index, cursor| {
            let item = Item::read(self.start, cut, index == 0, cursor)?;
            cut = item.end();
            match take(item) {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) => outcome = Err(error),
            }
            // The document was found valid as a whole: this error only ends the walk.
            Err(cursor.error("enough"))
        });
        drop(walked);
        outcome
    }

    fn read(
        base: usize,
        cut: usize,
        first: bool,
        cursor: &mut Cursor<'a>,
    ) -> Result<Self, crate::protocol::json::JsonError> {
        let text = cursor.raw_str()?;
        Ok(Self { text, start: base + cursor.offset() - text.len(), cut, first })
    }
}

/// The members of an object that somebody wants to know.
#[derive(Debug, Clone)]
pub(super) struct Object<'a> {
    /// Offset behind the opening bracket.
    open: usize,
    empty: bool,
    /// At most one for each name.
    members: Vec<Member<'a>>,
}

#[derive(Debug, Clone)]
struct Member<'a> {
    name: &'static str,
    item: Item<'a>,
    twice: bool,
}

impl<'a> Object<'a> {
    /// Walks an object that begins at offset `base` of the document.
    pub(super) fn read(
        cursor: &mut Cursor<'a>,
        base: usize,
        names: &[&'static str],
    ) -> Result<Self, EditError> {
        // Finds the bracket; what follows is checked by the walk.
        cursor.kind()?;
        let open = base + cursor.offset() + 1;
        let mut object = Self { open, empty: true, members: Vec::new() };
        let mut cut = open;
        cursor.object(|key, cursor| {
            let item = Item::read(base, cut, object.empty, cursor)?;
            cut = item.end();
            object.empty = false;
            let key = key.decode();
            if let Some(name) = names.iter().find(|name| **name == key) {
                object.keep(name, item);
            }
            Ok(())
        })?;
        Ok(object)
    }

    /// The object that an item is.
    pub(super) fn of(item: &Item<'a>, names: &[&'static str]) -> Result<Self, EditError> {
        Self::read(&mut Cursor::new(item.text), item.start, names)
    }

    fn keep(&mut self, name: &'static str, item: Item<'a>) {
        match self.members.iter_mut().find(|member| member.name == name) {
            Some(member) => (member.item, member.twice) = (item, true),
            None => self.members.push(Member { name, item, twice: false }),
        }
    }

    /// The member `name`.
    pub(super) fn get(&self, name: &'static str) -> Result<Option<Item<'a>>, EditError> {
        match self.members.iter().find(|member| member.name == name) {
            Some(member) if member.twice => Err(EditError::Duplicate(name)),
            found => Ok(found.map(|member| member.item)),
        }
    }
}

/// Pieces to be put in the place of others.
#[derive(Debug, Default)]
pub(super) struct Splices(Vec<(Range<usize>, BytesMut)>);

impl Splices {
    /// Puts `piece` in the place of `range`. Ranges must not overlap.
    pub(super) fn replace(&mut self, range: Range<usize>, piece: BytesMut) {
        self.0.push((range, piece));
    }

    /// Makes a member the first of its object.
    pub(super) fn insert_member(&mut self, object: &Object<'_>, name: &str, value: &[u8]) {
        let mut piece = BytesMut::with_capacity(name.len() + value.len() + 5);
        let first = object.open..object.open;
        // Of an empty object only what was inserted before stands there.
        if object.empty && self.0.iter().any(|(range, _)| *range == first) {
            piece.extend_from_slice(b",");
        }
        piece.extend_from_slice(b"\"");
        piece.extend_from_slice(name.as_bytes());
        piece.extend_from_slice(b"\":");
        piece.extend_from_slice(value);
        if !object.empty {
            piece.extend_from_slice(b",");
        }
        self.replace(first, piece);
    }

    /// Makes a value the first of an array.
    pub(super) fn insert_first(&mut self, array: &Item<'_>, mut value: BytesMut) {
        let empty = array.text.as_bytes().get(1..).is_none_or(|rest| rest.trim_ascii() == b"]");
        if !empty {
            value.extend_from_slice(b",");
        }
        self.replace(array.start + 1..array.start + 1, value);
    }

    /// Puts a value after an item of an array.
    pub(super) fn insert_after(&mut self, item: &Item<'_>, value: &[u8]) {
        let mut piece = BytesMut::with_capacity(value.len() + 1);
        piece.extend_from_slice(b",");
        piece.extend_from_slice(value);
        self.replace(item.end()..item.end(), piece);
    }

    /// Takes neighbours from `first` to `last` out of `document`, with the comma that goes too.
    pub(super) fn remove(&mut self, document: &str, first: &Item<'_>, last: &Item<'_>) {
        let mut end = last.end();
        if first.first {
            let rest = document.as_bytes().get(end..).unwrap_or_default();
            let space = rest.len() - rest.trim_ascii_start().len();
            if rest.get(space) == Some(&b',') {
                end += space + 1;
            }
        }
        self.replace(first.cut..end, BytesMut::new());
    }

    /// Carries the splices out; all bytes around them stay.
    pub(super) fn apply(mut self, document: &str) -> Edited {
        self.0.retain(|(range, piece)| document.as_bytes().get(range.clone()) != Some(&piece[..]));
        if self.0.is_empty() {
            return Edited::Unchanged;
        }
        Edited::Changed(self.join(document, |out, kept| out.extend_from_slice(kept.as_bytes())))
    }

    /// As [`Splices::apply`], with insignificant white space stripped.
    pub(super) fn apply_compact(self, document: &str) -> Edited {
        let edited = self.join(document, push_compact);
        if edited == document { Edited::Unchanged } else { Edited::Changed(edited) }
    }

    fn join(mut self, document: &str, push: impl Fn(&mut BytesMut, &str)) -> Bytes {
        self.0.sort_by_key(|(range, _)| (range.start, range.end));
        let added: usize = self.0.iter().map(|(_, piece)| piece.len()).sum();
        let removed: usize = self.0.iter().map(|(range, _)| range.len()).sum();
        let mut out = BytesMut::with_capacity(document.len() + added - removed);
        let mut at = 0;
        for (range, piece) in &self.0 {
            push(&mut out, document.get(at..range.start).unwrap_or_default());
            out.extend_from_slice(piece);
            at = range.end;
        }
        push(&mut out, document.get(at..).unwrap_or_default());
        out.freeze()
    }
}

/// Appends a piece of a valid document, cut outside of strings, without white space. What has
/// none is copied in one go.
fn push_compact(out: &mut BytesMut, piece: &str) {
    let bytes = piece.as_bytes();
    let (mut copied, mut at) = (0, 0);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at = end_of_string(bytes, at + 1),
            b' ' | b'\n' | b'\r' | b'\t' => {
                out.extend_from_slice(&bytes[copied..at]);
                at += 1;
                copied = at;
            }
            _ => at += 1,
        }
    }
    out.extend_from_slice(bytes.get(copied..).unwrap_or_default());
}

/// Offset behind the quote that ends a valid string.
fn end_of_string(bytes: &[u8], mut at: usize) -> usize {
    loop {
        at = find_special(bytes, at);
        match bytes.get(at) {
            Some(b'\\') => at = (at + 2).min(bytes.len()),
            Some(_) => return at + 1,
            None => return at,
        }
    }
}
