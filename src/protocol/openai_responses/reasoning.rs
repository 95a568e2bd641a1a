//! Items of thinking: a summary, the thinking itself where a vendor shows it, and what seals it.

use crate::protocol::json::{Cursor, JsonStr, Kind, ObjectWriter, Raw};
use crate::protocol::model::{Content, Part, Rest, Seal, SealKind, Vendor};
use crate::protocol::wire::{Result, join, keep, nullable, push, skip};

/// Reads an item of type `reasoning`. `None` where it has no list of summaries.
///
/// Several texts become one, with an empty line between them; the list itself is kept beside it.
/// The thinking itself counts only where there is no summary.
pub(super) fn read<'a>(c: &mut Cursor<'a>) -> Result<Option<Part<'a>>> {
    let whole = c.clone();
    let mut rest = Rest::default();
    let (mut id, mut seal, mut odd) = (None, None, false);
    let (mut summary, mut thinking) = (None, None);
    c.object(|key, c| {
        match &*key.decode() {
            "type" => skip(c)?,
            "id" => id = nullable(&key, c, &mut rest, Cursor::string)?,
            "summary" => summary = nullable(&key, c, &mut rest, |c| Texts::read(SUMMARY, c))?,
            "content" if c.kind()? == Kind::Array => {
                thinking = Some(Texts::read("reasoning_text", c)?);
            }
            "encrypted_content" => {
                seal = nullable(&key, c, &mut rest, Cursor::string)?;
                odd |= seal.as_ref().is_some_and(JsonStr::is_empty);
            }
            "status" => {
                skip(c)?;
                odd = true;
            }
            _ => keep(&key, c, &mut rest)?,
        }
        Ok(())
    })?;
    let Some(summary) = summary else { return Ok(None) };
    odd |= thinking.is_some() || !summary.is_usual();
    if odd {
        rest.keep_source(c.since(&whole));
    }
    let told = match thinking {
        Some(thinking) if summary.texts.is_empty() => thinking,
        _ => summary,
    };
    let raw = (told.texts.len() > 1).then_some(told.raw);
    let seal = seal.filter(|data| !data.is_empty()).map(|data| Seal {
        vendor: Vendor::OpenAi,
        kind: SealKind::Encrypted,
        data,
    });
    let content = Content::Reasoning { text: join(told.texts, "\\n\\n"), seal, id, raw };
    Ok(Some(Part { rest, ..Part::new(content) }))
}

const SUMMARY: &str = "summary_text";

/// A list of texts of one type.
struct Texts<'a> {
    texts: Vec<JsonStr<'a>>,
    /// It held anything else.
    more: bool,
    raw: Raw<'a>,
}

impl<'a> Texts<'a> {
    fn read(usual: &str, c: &mut Cursor<'a>) -> Result<Self> {
        let mut ahead = c.clone();
        let (mut texts, mut more) = (Vec::new(), false);
        ahead.array(|_, c| {
            if c.kind()? != Kind::Object {
                more = true;
                return skip(c);
            }
            let (mut kind, mut text) = (JsonStr::default(), None);
            c.object(|key, c| {
                let is_string = c.kind()? == Kind::String;
                match &*key.decode() {
                    "type" if is_string => kind = c.string()?,
                    "text" if is_string => text = Some(c.string()?),
                    _ => {
                        skip(c)?;
                        more = true;
                    }
                }
                Ok(())
            })?;
            more |= kind != *usual || text.as_ref().is_none_or(JsonStr::is_empty);
            texts.extend(text.filter(|text| !text.is_empty()));
            Ok(())
        })?;
        Ok(Self { texts, more, raw: c.raw()? })
    }

    /// Whether it is what is written for its text.
    fn is_usual(&self) -> bool {
        self.texts.len() < 2 && !self.more
    }
}

/// Writes the list of summaries: `raw` where it is one, else `text` as the only one.
pub(super) fn write_summary(
    object: &mut ObjectWriter<'_>,
    text: Option<&JsonStr<'_>>,
    raw: Option<&Raw<'_>>,
) {
    if let Some(raw) = raw.filter(|raw| is_summary(raw)) {
        return push(object.key("summary"), raw.as_str());
    }
    object.array("summary", |list| {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            list.object(|item| {
                item.plain("type", SUMMARY);
                item.str("text", text);
            });
        }
    });
}

/// Whether this is a list of summaries and nothing else.
fn is_summary(raw: &Raw<'_>) -> bool {
    let walked = raw.cursor().array(|_, c| {
        let kind = c.peek_str("type");
        skip(c)?;
        if kind.is_some_and(|kind| kind == SUMMARY) { Ok(()) } else { Err(c.error("another type")) }
    });
    walked.is_ok()
}
