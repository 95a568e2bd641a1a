//! The form of the answer, the effort, the options of a stream.

use crate::protocol::Target;
use crate::protocol::json::{Cursor, JsonError, JsonStr, Kind, ObjectWriter, Raw};
use crate::protocol::model::{Effort, OutputFormat, Reasoning, ReasoningMode, Request, Rest};
use crate::protocol::report::{Reporter, Severity};

/// Reads `response_format`.
pub(super) fn read_format<'a>(c: &mut Cursor<'a>) -> Result<OutputFormat<'a>, JsonError> {
    let raw = c.raw()?;
    Ok(known_format(&raw).unwrap_or(OutputFormat::Other(raw)))
}

fn known_format<'a>(raw: &Raw<'a>) -> Option<OutputFormat<'a>> {
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

/// Reads `stream_options`; with members beside `include_usage` it is also kept whole.
pub(super) fn read_stream_options<'a>(
    request: &mut Request<'a>,
    key: &JsonStr<'a>,
    c: &mut Cursor<'a>,
) -> Result<(), JsonError> {
    let whole = c.clone();
    let mut more = false;
    c.object(|key, c| {
        if key == "include_usage" && c.kind()? == Kind::Bool {
            request.include_usage = Some(c.bool()?);
        } else {
            c.raw()?;
            more = true;
        }
        Ok(())
    })?;
    if more || request.include_usage.is_none() {
        request.rest.keep(key.clone(), c.since(&whole));
    }
    Ok(())
}

/// Writes `response_format`.
pub(super) fn write_format(
    format: &OutputFormat<'_>,
    own: bool,
    object: &mut ObjectWriter<'_>,
    report: &mut Reporter<'_>,
) {
    const NAME: &str = "response_format";
    match format {
        OutputFormat::Text => object.object(NAME, |it| it.plain("type", "text")),
        OutputFormat::JsonObject => object.object(NAME, |it| it.plain("type", "json_object")),
        OutputFormat::Other(raw) if own => object.raw(NAME, raw),
        OutputFormat::Other(raw) => {
            report.piece(raw.as_str(), Severity::Degrade, "an unknown output format");
        }
        OutputFormat::JsonSchema { name, schema, strict, description, rest } => {
            object.object(NAME, |it| {
                it.plain("type", "json_schema");
                it.object("json_schema", |inner| {
                    match name {
                        Some(name) => inner.str("name", name),
                        // The protocol demands one.
                        None if !own => inner.plain("name", "response"),
                        None => {}
                    }
                    if let Some(description) = description {
                        inner.str("description", description);
                    }
                    if let Some(schema) = schema {
                        inner.raw("schema", schema);
                    }
                    if let Some(strict) = strict {
                        inner.bool("strict", *strict);
                    }
                    if own {
                        rest.write(inner);
                    }
                });
            });
            if !own {
                report.rest(rest);
            }
        }
    }
}

/// The effort to ask for, of a request of another protocol.
///
/// A word goes as it is, a token budget by [`Target::effort_of`]. Thinking turned off is not sent
/// unless by the word: `none` is a 400 at most models, and those that know it mostly do not think
/// unasked.
pub(super) fn effort(
    request: &Request<'_>,
    target: &Target,
    report: &mut Reporter<'_>,
) -> Option<Effort> {
    let Reasoning { mode, effort, budget, .. } = &request.reasoning;
    if effort.is_some() {
        return *effort;
    }
    if *mode == Some(ReasoningMode::Off) {
        let reason = "thinking cannot be turned off at every model";
        report.member(request.thinking_member(), Severity::Degrade, reason);
        return None;
    }
    let budget = budget.as_ref()?;
    report.piece(budget.as_str(), Severity::Degrade, "a token budget became an effort");
    Some(target.effort_of(budget.as_u64()?))
}
