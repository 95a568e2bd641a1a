//! What is kept of a turn for callers that cannot carry it, and how it is put back.

use std::collections::HashMap;

use bytes::{Bytes, BytesMut};

use super::belongs;
use super::keep::MAX_DEPOSIT;
use crate::protocol::json::{Cursor, JsonError, JsonStr, Kind, ObjectWriter};
use crate::protocol::model::{Content, Part, Seal, Turn};
use crate::protocol::seal::{Envelope, Home, Place};

/// Most bytes of a kept entry that are read: what [`MAX_DEPOSIT`] is with envelopes and names around
/// it.
const MAX_WRITTEN: usize = 4 * MAX_DEPOSIT;

/// The sealed pieces of one turn of the model.
///
/// A client of Chat joins the texts of a turn and puts them before its calls. Places are told by
/// what stood before: how many calls, and how many UTF-16 units of text, which no escape changes.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Entry<'a> {
    /// All words of the turn.
    pub(super) units: usize,
    /// Thinking, and seals on an empty text.
    pub(super) inserts: Vec<Insert<'a>>,
    /// Seals on words.
    pub(super) words: Vec<Words<'a>>,
    /// Seals on calls, by their ids.
    pub(super) calls: Vec<(JsonStr<'a>, Seal<'a>)>,
}

/// A part that the client does not send back.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Insert<'a> {
    /// Calls before it.
    pub(super) calls: usize,
    /// Words before it.
    pub(super) at: usize,
    /// It is an empty text, not thinking.
    pub(super) silent: bool,
    pub(super) text: Option<JsonStr<'a>>,
    pub(super) seal: Seal<'a>,
}

/// A seal on words.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Words<'a> {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) seal: Seal<'a>,
}

impl Entry<'_> {
    pub(super) fn has_thinking(&self) -> bool {
        self.inserts.iter().any(|insert| !insert.silent)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.inserts.is_empty() && self.words.is_empty() && self.calls.is_empty()
    }

    /// The entry as it is kept; `None` where a seal is too long.
    pub(super) fn write(&self, home: Home) -> Option<Bytes> {
        let envelope = |seal: &Seal<'_>| {
            let seal = Seal { data: seal.data.borrow(), ..*seal };
            Envelope { seal, home, place: Place::Here }.encode()
        };
        let all = |seals: &mut dyn Iterator<Item = &Seal<'_>>| -> Option<Vec<JsonStr<'static>>> {
            seals.map(envelope).collect()
        };
        let inserts = all(&mut self.inserts.iter().map(|it| &it.seal))?;
        let words = all(&mut self.words.iter().map(|it| &it.seal))?;
        let calls = all(&mut self.calls.iter().map(|(_, seal)| seal))?;
        let mut out = BytesMut::new();
        let mut object = ObjectWriter::begin(&mut out);
        object.u64("units", self.units as u64);
        object.array("inserts", |items| {
            for (it, seal) in self.inserts.iter().zip(&inserts) {
                items.object(|object| {
                    object.u64("calls", it.calls as u64);
                    object.u64("at", it.at as u64);
                    object.bool("silent", it.silent);
                    it.text.iter().for_each(|text| object.str("text", text));
                    object.str("seal", seal);
                });
            }
        });
        object.array("words", |items| {
            for (it, seal) in self.words.iter().zip(&words) {
                items.object(|object| {
                    object.u64("from", it.from as u64);
                    object.u64("to", it.to as u64);
                    object.str("seal", seal);
                });
            }
        });
        object.array("calls", |items| {
            for ((id, _), seal) in self.calls.iter().zip(&calls) {
                items.object(|object| {
                    object.str("id", id);
                    object.str("seal", seal);
                });
            }
        });
        object.end();
        Some(out.freeze())
    }

    /// What was kept for the calls of a turn. What cannot be read is as good as gone.
    pub(super) fn of(
        turn: &Turn<'_>,
        to: Home,
        recall: &dyn Fn(&str) -> Option<Bytes>,
    ) -> Option<Entry<'static>> {
        let mut found: Option<Entry<'static>> = None;
        for part in &turn.parts {
            let Content::ToolCall(call) = &part.content else { continue };
            if call.id.is_empty() {
                continue;
            }
            let kept = recall(&call.id.decode()).filter(|kept| kept.len() <= MAX_WRITTEN);
            let Some(kept) = kept else { continue };
            let Some(entry) = std::str::from_utf8(&kept).ok().and_then(|text| read(text, to))
            else {
                continue;
            };
            let found = found.get_or_insert_default();
            // The entry of the first call tells of the turn, those of all of their seals.
            if found.inserts.is_empty() && found.words.is_empty() {
                found.units = entry.units;
                found.inserts = entry.inserts.into_iter().map(Insert::into_owned).collect();
                found.words = entry.words.into_iter().map(Words::into_owned).collect();
            }
            let calls = entry.calls.into_iter();
            found.calls.extend(calls.map(|(id, seal)| (id.into_owned(), seal.into_owned())));
        }
        found.filter(|entry| !entry.is_empty())
    }
}

impl Insert<'_> {
    fn into_owned(self) -> Insert<'static> {
        let Self { calls, at, silent, text, seal } = self;
        let text = text.map(JsonStr::into_owned);
        Insert { calls, at, silent, text, seal: seal.into_owned() }
    }
}

impl Words<'_> {
    fn into_owned(self) -> Words<'static> {
        Words { from: self.from, to: self.to, seal: self.seal.into_owned() }
    }
}

/// Reads an entry; `None` where it is damaged or of another vendor.
fn read(text: &str, to: Home) -> Option<Entry<'_>> {
    let mut entry = Entry::default();
    let mut cursor = Cursor::new(text);
    let walked = cursor.object(|key, c| {
        match &*key.decode() {
            "units" => entry.units = count(c)?,
            list @ ("inserts" | "words" | "calls") => c.array(|_, c| {
                let fields = Fields::read(c, to)?;
                match list {
                    "inserts" => entry.inserts.push(Insert {
                        calls: fields.calls,
                        at: fields.at,
                        silent: fields.silent,
                        text: fields.text,
                        seal: fields.seal,
                    }),
                    "words" => entry.words.push(Words {
                        from: fields.from,
                        to: fields.to,
                        seal: fields.seal,
                    }),
                    _ => entry.calls.push((fields.id, fields.seal)),
                }
                Ok(())
            })?,
            _ => drop(c.raw()?),
        }
        Ok(())
    });
    walked.and_then(|()| cursor.end()).ok().map(|()| entry)
}

struct Fields<'a> {
    calls: usize,
    at: usize,
    from: usize,
    to: usize,
    silent: bool,
    text: Option<JsonStr<'a>>,
    id: JsonStr<'a>,
    seal: Seal<'a>,
}

impl<'a> Fields<'a> {
    fn read(c: &mut Cursor<'a>, upstream: Home) -> Result<Self, JsonError> {
        let (mut calls, mut at, mut from, mut to, mut silent) = (0, 0, 0, 0, false);
        let (mut text, mut id, mut data) = (None, JsonStr::default(), JsonStr::default());
        c.object(|key, c| {
            match &*key.decode() {
                "calls" => calls = count(c)?,
                "at" => at = count(c)?,
                "from" => from = count(c)?,
                "to" => to = count(c)?,
                "silent" => silent = c.bool()?,
                "text" if c.kind()? == Kind::String => text = Some(c.string()?),
                "id" => id = c.string()?,
                "seal" => data = c.string()?,
                _ => drop(c.raw()?),
            }
            Ok(())
        })?;
        let opened = Envelope::decode(&data).and_then(Result::ok);
        let good = opened.filter(|it| belongs(it.seal.vendor, Some(it.home), upstream));
        let seal = good.ok_or_else(|| c.error("no seal of this upstream"))?.seal;
        Ok(Self { calls, at, from, to, silent, text, id, seal })
    }
}

fn count(c: &mut Cursor<'_>) -> Result<usize, JsonError> {
    let number = c.number()?.as_u64().and_then(|n| usize::try_from(n).ok());
    number.ok_or_else(|| c.error("no count"))
}

impl<'a> Entry<'a> {
    /// Puts everything back to its place, in one walk over the turn.
    pub(super) fn restore(self, turn: &mut Turn<'a>) {
        let Self { units, inserts, mut words, calls } = self;
        let told: usize = turn.parts.iter().filter_map(text_of).map(units_of).sum();
        // Where the client changed the words, places among them mean nothing.
        let known = told == units;
        words.sort_by_key(|it| (it.from, it.to));
        let mut parts = std::mem::take(&mut turn.parts);
        if known {
            let cuts = inserts.iter().map(|it| it.at);
            let cuts = cuts.chain(words.iter().flat_map(|it| [it.from, it.to]));
            let mut cuts: Vec<_> = cuts.collect();
            cuts.sort_unstable();
            cuts.dedup();
            parts = cut(parts, &cuts);
        }
        let mut calls: HashMap<_, _> =
            calls.into_iter().rev().map(|(id, seal)| (id.decode().into_owned(), seal)).collect();
        let mut inserts = inserts.into_iter().peekable();
        let mut words = words.into_iter().peekable();
        let (mut said, mut called) = (0, 0);
        for mut part in parts {
            let is_call = matches!(part.content, Content::ToolCall(_));
            let due = |it: &Insert<'_>| {
                let among = if known { said >= it.at } else { it.at == 0 || is_call };
                called >= it.calls && among
            };
            while let Some(insert) = inserts.next_if(due) {
                turn.parts.push(insert.into_part());
            }
            let length = text_of(&part).map_or(0, units_of);
            if length > 0 && known {
                let here = (said, said + length);
                while words.next_if(|it| (it.from, it.to) < here).is_some() {}
                if let Some(sealed) = words.next_if(|it| (it.from, it.to) == here) {
                    part.seal = Some(sealed.seal);
                }
            }
            if let Content::ToolCall(call) = &mut part.content {
                if let Some(seal) = calls.remove(&*call.id.decode()) {
                    call.seal = Some(seal);
                }
                called += 1;
            }
            said += length;
            turn.parts.push(part);
        }
        turn.parts.extend(inserts.map(Insert::into_part));
    }
}

impl<'a> Insert<'a> {
    fn into_part(self) -> Part<'a> {
        if self.silent {
            return Part { seal: Some(self.seal), ..Part::text(JsonStr::default()) };
        }
        let Self { text, seal, .. } = self;
        Part::new(Content::Reasoning { text, seal: Some(seal), id: None, raw: None })
    }
}

fn text_of<'p, 'a>(part: &'p Part<'a>) -> Option<&'p JsonStr<'a>> {
    match &part.content {
        Content::Text { text, .. } => Some(text),
        _ => None,
    }
}

/// Cuts texts apart at these places, which count up.
fn cut<'a>(parts: Vec<Part<'a>>, cuts: &[usize]) -> Vec<Part<'a>> {
    let mut out = Vec::with_capacity(parts.len() + cuts.len());
    let (mut said, mut cuts) = (0, cuts.iter().copied().peekable());
    for mut part in parts {
        if let Content::Text { text, .. } = &mut part.content {
            let end = said + units_of(text);
            let mut places = Vec::new();
            while let Some(at) = cuts.next_if(|at| *at < end) {
                places.extend(at.checked_sub(said).filter(|place| *place > 0));
            }
            said = end;
            let mut pieces = pieces(text, &places);
            if let Some(last) = pieces.pop().filter(|_| !pieces.is_empty()) {
                *text = last;
            }
            out.extend(pieces.into_iter().map(Part::text));
        }
        out.push(part);
    }
    out
}

/// The pieces of a text, cut behind so many units each, which count up. One place is passed over:
/// the inside of a character.
fn pieces(text: &JsonStr<'_>, places: &[usize]) -> Vec<JsonStr<'static>> {
    let escaped = text.escaped();
    let piece = |range| escaped.get(range).map(|it: &str| JsonStr::from_escaped(it.to_owned()));
    let mut places = places.iter().copied().peekable();
    let (mut pieces, mut from, mut at, mut seen) = (Vec::new(), 0, 0, 0);
    for (length, step) in steps(escaped) {
        if places.peek().is_none() {
            break;
        }
        if places.next_if_eq(&seen).is_some() {
            pieces.extend(piece(from..at));
            from = at;
        }
        at += length;
        seen += step;
        while places.next_if(|place| *place < seen).is_some() {}
    }
    if !pieces.is_empty() {
        pieces.extend(piece(from..escaped.len()));
    }
    pieces
}

/// How many UTF-16 units a text has: a surrogate pair is two, however it is written.
pub(super) fn units_of(text: &JsonStr<'_>) -> usize {
    let (mut rest, mut units) = (text.escaped(), 0);
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        let (plain, escape) = rest.split_at(at);
        units += plain_units(plain) + 1;
        let length = if escape.as_bytes().get(1) == Some(&b'u') { 6 } else { 2 };
        rest = escape.get(length..).unwrap_or_default();
    }
    units + plain_units(rest)
}

/// The same without escapes: a character is one unit, one of four bytes two.
fn plain_units(text: &str) -> usize {
    let begins = |byte: &u8| byte & 0xC0 != 0x80;
    let (first, long) = (text.bytes().filter(begins), text.bytes().filter(|byte| *byte >= 0xF0));
    first.count() + long.count()
}

/// Bytes and units of each character or escape.
fn steps(escaped: &str) -> impl Iterator<Item = (usize, usize)> + '_ {
    let mut rest = escaped;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let step = match first {
            '\\' if rest.as_bytes().get(1) == Some(&b'u') => (6, 1),
            '\\' => (2, 1),
            first => (first.len_utf8(), first.len_utf16()),
        };
        rest = rest.get(step.0..).unwrap_or_default();
        Some(step)
    })
}
