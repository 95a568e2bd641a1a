//! What is kept of a turn for callers that cannot carry it, and how it is put back.

use bytes::{Bytes, BytesMut};

use super::belongs;
use crate::protocol::Protocol;
use crate::protocol::json::{Cursor, JsonError, JsonStr, Kind, ObjectWriter};
use crate::protocol::model::{Content, Part, Seal, Turn};
use crate::protocol::seal::{Envelope, Place};

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
    pub(super) fn write(&self, upstream: Protocol) -> Option<Bytes> {
        let envelope = |seal: &Seal<'_>| {
            let seal = Seal { data: seal.data.borrow(), ..*seal };
            Envelope { seal, upstream, place: Place::Here }.encode()
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
        to: Protocol,
        recall: &dyn Fn(&str) -> Option<Bytes>,
    ) -> Option<Entry<'static>> {
        let mut found: Option<Entry<'static>> = None;
        for part in &turn.parts {
            let Content::ToolCall(call) = &part.content else { continue };
            if call.id.is_empty() {
                continue;
            }
            let Some(kept) = recall(&call.id.decode()) else { continue };
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
fn read(text: &str, to: Protocol) -> Option<Entry<'_>> {
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
    fn read(c: &mut Cursor<'a>, upstream: Protocol) -> Result<Self, JsonError> {
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
        let good = opened.filter(|it| belongs(it.seal.vendor, Some(it.upstream), upstream));
        let seal = good.ok_or_else(|| c.error("no seal of this upstream"))?.seal;
        Ok(Self { calls, at, from, to, silent, text, id, seal })
    }
}

fn count(c: &mut Cursor<'_>) -> Result<usize, JsonError> {
    let number = c.number()?.as_u64().and_then(|n| usize::try_from(n).ok());
    number.ok_or_else(|| c.error("no count"))
}

impl<'a> Entry<'a> {
    /// Puts everything back to its place.
    pub(super) fn restore(self, turn: &mut Turn<'a>) {
        let Self { units, inserts, words, calls } = self;
        let told: usize = turn.parts.iter().filter_map(text_of).map(units_of).sum();
        // Where the client changed the words, places among them mean nothing.
        let known = told == units;
        let cuts = inserts.iter().map(|it| it.at);
        let cuts: Vec<_> = cuts.chain(words.iter().flat_map(|it| [it.from, it.to])).collect();
        let parts = std::mem::take(&mut turn.parts);
        let parts = if known { cut(parts, &cuts) } else { parts };
        let mut calls = calls;
        let mut inserts = inserts.into_iter().peekable();
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
            let here = |it: &&Words<'_>| it.from == said && it.to == said + length;
            if length > 0 && known {
                if let Some(sealed) = words.iter().find(here) {
                    part.seal = Some(sealed.seal.clone());
                }
            }
            if let Content::ToolCall(call) = &mut part.content {
                if let Some(at) = calls.iter().position(|(id, _)| *id == call.id) {
                    call.seal = Some(calls.swap_remove(at).1);
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

/// Cuts texts apart at these places.
fn cut<'a>(parts: Vec<Part<'a>>, cuts: &[usize]) -> Vec<Part<'a>> {
    let mut out = Vec::with_capacity(parts.len());
    let mut said = 0;
    for mut part in parts {
        while let Some(text) = text_of(&part) {
            let length = units_of(text);
            let next = cuts.iter().filter(|at| (said + 1..said + length).contains(at)).min();
            let pieces = next.and_then(|at| split(text, *at - said));
            let Some((head, tail)) = pieces else {
                said += length;
                break;
            };
            said += units_of(&head);
            out.push(Part::text(head));
            if let Content::Text { text, .. } = &mut part.content {
                *text = tail;
            }
        }
        out.push(part);
    }
    out
}

fn split(text: &JsonStr<'_>, units: usize) -> Option<(JsonStr<'static>, JsonStr<'static>)> {
    let at = offset_of(text, units)?;
    let head = text.slice(0..at)?.into_owned();
    Some((head, text.slice(at..text.escaped().len())?.into_owned()))
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

/// The byte behind so many units.
fn offset_of(text: &JsonStr<'_>, units: usize) -> Option<usize> {
    let (mut at, mut seen) = (0, 0);
    for (length, step) in steps(text.escaped()) {
        if seen >= units {
            break;
        }
        at += length;
        seen += step;
    }
    (seen == units).then_some(at)
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
