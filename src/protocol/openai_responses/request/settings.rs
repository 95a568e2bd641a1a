//! The form of the answer, thinking, and what to include.

use crate::protocol::json::{Cursor, JsonError, JsonStr, Kind, ObjectWriter, Raw};
use crate::protocol::model::{Effort, OutputFormat, Request, Rest, Show, Spelling};
use crate::protocol::wire::{keep, nullable, skip, write_opt_raw, write_opt_str};

pub(super) const ENCRYPTED: &str = "reasoning.encrypted_content";
pub(super) const LOGPROBS: &str = "message.output_text.logprobs";

/// Reads `text`: the form of the answer and how long it should be.
pub(super) fn read_text<'a>(
    request: &mut Request<'a>,
    c: &mut Cursor<'a>,
) -> Result<(), JsonError> {
    let raw = c.clone().raw()?;
    let rest = &mut request.settings_rest;
    c.object(|key, c| {
        match &*key.decode() {
            "format" => request.output = nullable(&key, c, rest, read_format)?,
            "verbosity" => request.verbosity = nullable(&key, c, rest, Cursor::string)?,
            _ => keep(&key, c, rest)?,
        }
        Ok(())
    })?;
    if request.output.is_none() && request.verbosity.is_none() && rest.0.is_empty() {
        rest.keep_source(raw);
    }
    Ok(())
}

fn read_format<'a>(c: &mut Cursor<'a>) -> Result<OutputFormat<'a>, JsonError> {
    let raw = c.raw()?;
    Ok(known_format(&raw).unwrap_or(OutputFormat::Other(raw)))
}

/// The format, where it has nothing but what its type has.
fn known_format<'a>(raw: &Raw<'a>) -> Option<OutputFormat<'a>> {
    let mut kind = JsonStr::default();
    let (mut name, mut schema, mut strict, mut description) = (None, None, None, None);
    let mut rest = Rest::default();
    let walked = raw.source_cursor()?.object(|key, c| {
        match &*key.decode() {
            "type" => kind = c.string()?,
            "name" => name = nullable(&key, c, &mut rest, Cursor::string)?,
            "schema" => schema = nullable(&key, c, &mut rest, Cursor::raw)?,
            "strict" => strict = nullable(&key, c, &mut rest, Cursor::bool)?,
            "description" => description = nullable(&key, c, &mut rest, Cursor::string)?,
            _ => keep(&key, c, &mut rest)?,
        }
        Ok(())
    });
    walked.ok()?;
    let bare = rest.0.is_empty()
        && (&name, &schema, &strict, &description) == (&None, &None, &None, &None);
    match &*kind.decode() {
        "text" if bare => Some(OutputFormat::Text),
        "json_object" if bare => Some(OutputFormat::JsonObject),
        "json_schema" => Some(OutputFormat::JsonSchema { name, schema, strict, description, rest }),
        _ => None,
    }
}

/// Writes the format of this protocol's own request as it stood.
pub(super) fn write_own_format(format: &OutputFormat<'_>, text: &mut ObjectWriter<'_>) {
    match format {
        OutputFormat::Text => text.object("format", |it| it.plain("type", "text")),
        OutputFormat::JsonObject => text.object("format", |it| it.plain("type", "json_object")),
        OutputFormat::Other(raw) => text.raw("format", raw),
        OutputFormat::JsonSchema { name, schema, strict, description, rest } => {
            text.object("format", |it| {
                it.plain("type", "json_schema");
                write_opt_str(it, "name", name.as_ref());
                write_opt_str(it, "description", description.as_ref());
                write_opt_raw(it, "schema", schema.as_ref());
                if let Some(strict) = strict {
                    it.bool("strict", *strict);
                }
                rest.write(it);
            });
        }
    }
}

/// Reads `reasoning`.
pub(super) fn read_reasoning<'a>(
    request: &mut Request<'a>,
    c: &mut Cursor<'a>,
) -> Result<(), JsonError> {
    let raw = c.clone().raw()?;
    let reasoning = &mut request.reasoning;
    let mut odd = false;
    c.object(|key, c| {
        let name = key.decode();
        let value = c.raw()?;
        let word = value.source_str();
        let word = word.as_ref().map(JsonStr::decode);
        match (&*name, word.as_deref()) {
            ("effort", Some(word)) if Effort::from_word(word).is_some() => {
                reasoning.effort = Effort::from_word(word);
            }
            ("summary" | "generate_summary", Some(word)) if show(word).is_some() => {
                // The older name loses against the newer one.
                odd |= name != "summary" || word == "concise";
                if name == "summary" || reasoning.show.is_none() {
                    reasoning.show = show(word);
                }
            }
            _ => reasoning.rest.keep(key.clone(), value),
        }
        Ok(())
    })?;
    if odd || (reasoning.effort.is_none() && reasoning.show.is_none()) {
        reasoning.rest.keep_source(raw);
    }
    Ok(())
}

fn show(word: &str) -> Option<Show> {
    match word {
        "auto" | "concise" => Some(Show::Summary),
        "detailed" => Some(Show::Full),
        _ => None,
    }
}

/// The word for what to show.
pub(super) fn summary_word(show: Show) -> Option<&'static str> {
    match show {
        Show::Hidden => None,
        Show::Summary => Some("auto"),
        Show::Full => Some("detailed"),
    }
}

/// Reads `include`; with anything beside the two words that the hub knows it is also kept whole.
pub(super) fn read_include<'a>(
    request: &mut Request<'a>,
    key: &JsonStr<'a>,
    c: &mut Cursor<'a>,
) -> Result<(), JsonError> {
    let raw = c.clone().raw()?;
    let (mut encrypted, mut logprobs, mut usual) = (false, false, true);
    c.array(|_, c| {
        if c.kind()? != Kind::String {
            usual = false;
            return skip(c);
        }
        match &*c.string()?.decode() {
            ENCRYPTED if !encrypted && !logprobs => encrypted = true,
            LOGPROBS if !logprobs => logprobs = true,
            _ => usual = false,
        }
        Ok(())
    })?;
    if logprobs {
        request.logprobs.enabled = Some(true);
    }
    if encrypted {
        request.spelling.set(Spelling::ENCRYPTED_THINKING);
    }
    if !usual || !(encrypted || logprobs) {
        request.rest.keep(key.clone(), raw);
    }
    Ok(())
}
