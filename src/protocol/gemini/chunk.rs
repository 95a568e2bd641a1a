//! One `GenerateContentResponse`: a finished answer, or a piece of a streamed one. Borrowed, and
//! lenient: a member of another kind than the protocol has is as good as unknown.

use crate::protocol::json::{Cursor, JsonError, JsonStr, Kind, Raw};
use crate::protocol::model::Rest;

use super::finish;
use super::names::camel;
use crate::protocol::wire::{Result, is_empty_list, keep};

/// The members of an answer.
#[derive(Default)]
pub(super) struct Chunk<'a> {
    pub(super) id: JsonStr<'a>,
    pub(super) model: JsonStr<'a>,
    /// Unix seconds.
    pub(super) created: Option<u64>,
    pub(super) candidates: Option<Raw<'a>>,
    pub(super) usage: Option<Raw<'a>>,
    /// What the vendor says of the prompt. It is in `rest` too.
    pub(super) feedback: Option<Raw<'a>>,
    pub(super) error: Option<Raw<'a>>,
    pub(super) rest: Rest<'a>,
}

impl<'a> Chunk<'a> {
    pub(super) fn read(c: &mut Cursor<'a>) -> Result<Self> {
        let mut chunk = Self::default();
        c.object(|key, c| chunk.member(&key, c))?;
        Ok(chunk)
    }

    fn member(&mut self, key: &JsonStr<'a>, c: &mut Cursor<'a>) -> Result<()> {
        match (&*camel(key), c.kind()?) {
            ("responseId", Kind::String) => self.id = c.string()?,
            ("modelVersion", Kind::String) => self.model = c.string()?,
            ("candidates", Kind::Array) => {
                let raw = c.raw()?;
                // What is not there is not written: an empty list would be lost.
                if is_empty_list(&raw) {
                    self.rest.keep(key.clone(), raw);
                } else {
                    self.candidates = Some(raw);
                }
            }
            ("usageMetadata", Kind::Object) => self.usage = Some(c.raw()?),
            ("promptFeedback", Kind::Object) => {
                let raw = c.raw()?;
                self.rest.keep(key.clone(), raw.clone());
                self.feedback = Some(raw);
            }
            ("createTime", Kind::String) => {
                let raw = c.raw()?;
                self.created = raw.as_json_str().and_then(|time| unix_seconds(&time.decode()));
                self.rest.keep(key.clone(), raw);
            }
            ("error", Kind::Object | Kind::String) => {
                let raw = c.raw()?;
                self.rest.keep(key.clone(), raw.clone());
                self.error = Some(raw);
            }
            _ => keep(key, c, &mut self.rest)?,
        }
        Ok(())
    }
}

/// An item of `candidates`, with its parts yet unread.
#[derive(Default)]
pub(super) struct CandidateHead<'a> {
    pub(super) index: Option<u32>,
    /// `finishReason`.
    pub(super) word: Option<JsonStr<'a>>,
    /// `finishMessage`. It is in `rest` too.
    pub(super) message: Option<JsonStr<'a>>,
    pub(super) parts: Option<Raw<'a>>,
    pub(super) logprobs: Option<Raw<'a>>,
    pub(super) rest: Rest<'a>,
}

impl<'a> CandidateHead<'a> {
    /// Reads a candidate. One that would be written in another form keeps itself as its source.
    pub(super) fn read(c: &mut Cursor<'a>) -> Result<Self> {
        let whole = c.clone();
        let mut head = Self::default();
        let mut odd = false;
        c.object(|key, c| {
            odd |= head.member(&key, c)?;
            Ok(())
        })?;
        if odd || head.parts.is_none() || head.index.is_none() {
            head.rest.keep_source(c.since(&whole));
        }
        Ok(head)
    }

    /// Reads a member; true where it would be written in another form.
    fn member(&mut self, key: &JsonStr<'a>, c: &mut Cursor<'a>) -> Result<bool> {
        let name = camel(key);
        let odd = !super::names::is_usual(&name);
        let kind = c.kind()?;
        match (&*name, kind) {
            ("index", Kind::Number) => {
                self.index = c.raw()?.as_u64().and_then(|n| u32::try_from(n).ok());
                return Ok(odd);
            }
            ("content", Kind::Object) => return self.content(c),
            ("finishReason", _) => {
                self.word = finish::read_word(c)?;
                return Ok(odd || kind != Kind::String || self.word.is_none());
            }
            ("logprobsResult", Kind::Object) => {
                self.logprobs = Some(c.raw()?);
                return Ok(odd);
            }
            _ => {}
        }
        let raw = c.raw()?;
        if name == "finishMessage" {
            self.message = raw.source_str();
        }
        self.rest.keep(key.clone(), raw);
        Ok(false)
    }

    fn content(&mut self, c: &mut Cursor<'a>) -> Result<bool> {
        let (mut odd, mut has_role) = (false, false);
        c.object(|key, c| {
            match (&*key.decode(), c.kind()?) {
                ("parts", Kind::Array) => {
                    self.parts = Some(c.raw()?).filter(|raw| !is_empty_list(raw));
                }
                ("role", Kind::String) => has_role = c.string()? == "model",
                _ => {
                    odd = true;
                    c.raw()?;
                }
            }
            Ok(())
        })?;
        Ok(odd || !has_role)
    }
}

/// Walks the items of a list; those of another form than `item` reads are the walk's error.
pub(super) fn each<'a>(
    list: &Raw<'a>,
    mut item: impl FnMut(usize, &mut Cursor<'a>) -> Result<()>,
) -> Result<(), JsonError> {
    match list.source_cursor() {
        Some(mut c) => c.array(|at, c| item(at, c)),
        None => Ok(()),
    }
}

/// The whole seconds of an RFC 3339 time in UTC, as Google writes it; `None` for any other.
fn unix_seconds(time: &str) -> Option<u64> {
    let (date, clock) = time.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.splitn(3, '-').map(|part| part.parse::<u64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let clock = clock.split('.').next()?;
    let mut clock = clock.splitn(3, ':').map(|part| part.parse::<u64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let fits = (1970..10_000).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !fits {
        return None;
    }
    // Years begin in March here, so that a leap day is their last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    const BEFORE_1970: u64 = 719_468;
    let days = days.checked_sub(BEFORE_1970)?;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (time, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-02-29T12:00:00Z", Some(951_825_600)),
            ("2026-05-27T16:53:45.443719Z", Some(1_779_900_825)),
            ("2026-13-01T00:00:00Z", None),
            ("2026-01-01T00:00:00+01:00", None),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(unix_seconds(time), expected, "{time}");
        }
    }
}
