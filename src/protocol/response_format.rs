//! The form of the answer as Chat asks for it, and DashScope as well: `response_format`.

use super::json::{JsonStr, Kind, ObjectWriter, Raw};
use super::model::{OutputFormat, Rest};
use super::report::{Reporter, Severity};
use super::wire::{write_opt_raw, write_opt_str};

const NAME: &str = "response_format";

/// Reads `response_format`. What is not wholly understood is kept as it stood.
pub(super) fn read(raw: Raw<'_>) -> OutputFormat<'_> {
    known(&raw).unwrap_or(OutputFormat::Other(raw))
}

fn known<'a>(raw: &Raw<'a>) -> Option<OutputFormat<'a>> {
    let mut kind = JsonStr::default();
    let (mut schema, mut more) = (None, false);
    let walked = raw.source_cursor()?.object(|key, c| {
        match &*key.decode() {
            "type" => kind = c.string()?,
            "json_schema" => schema = Some(c.raw()?),
            _ => {
                c.raw()?;
                more = true;
            }
        }
        Ok(())
    });
    match (&*kind.decode(), schema, more || walked.is_err()) {
        ("text", None, false) => Some(OutputFormat::Text),
        ("json_object", None, false) => Some(OutputFormat::JsonObject),
        ("json_schema", Some(schema), false) => named_schema(&schema),
        _ => None,
    }
}

fn named_schema<'a>(raw: &Raw<'a>) -> Option<OutputFormat<'a>> {
    let (mut name, mut schema, mut strict, mut description) = (None, None, None, None);
    let mut rest = Rest::default();
    let walked = raw.source_cursor()?.object(|key, c| {
        let kind = c.kind()?;
        match &*key.decode() {
            "name" if kind == Kind::String => name = Some(c.string()?),
            "description" if kind == Kind::String => description = Some(c.string()?),
            "strict" if kind == Kind::Bool => strict = Some(c.bool()?),
            "schema" if kind == Kind::Object => schema = Some(c.raw()?),
            _ => rest.keep(key.clone(), c.raw()?),
        }
        Ok(())
    });
    walked.is_ok().then_some(OutputFormat::JsonSchema { name, schema, strict, description, rest })
}

/// Writes `response_format`; `report` is there for a request of another protocol.
pub(super) fn write(
    format: &OutputFormat<'_>,
    report: Option<&mut Reporter<'_>>,
    object: &mut ObjectWriter<'_>,
) {
    match (format, report) {
        (OutputFormat::Text, _) => object.object(NAME, |it| it.plain("type", "text")),
        (OutputFormat::JsonObject, _) => {
            object.object(NAME, |it| it.plain("type", "json_object"));
        }
        (OutputFormat::Other(raw), None) => object.raw(NAME, raw),
        (OutputFormat::Other(raw), Some(report)) => {
            report.piece(raw.as_str(), Severity::Degrade, "an unknown output format");
        }
        (OutputFormat::JsonSchema { name, schema, strict, description, rest }, report) => {
            object.object(NAME, |it| {
                it.plain("type", "json_schema");
                it.object("json_schema", |inner| {
                    match name {
                        Some(name) => inner.str("name", name),
                        // The protocol demands one.
                        None if report.is_some() => inner.plain("name", "response"),
                        None => {}
                    }
                    write_opt_str(inner, "description", description.as_ref());
                    write_opt_raw(inner, "schema", schema.as_ref());
                    if let Some(strict) = strict {
                        inner.bool("strict", *strict);
                    }
                    match report {
                        Some(report) => report.rest(rest),
                        None => rest.write(inner),
                    }
                });
            });
        }
    }
}
