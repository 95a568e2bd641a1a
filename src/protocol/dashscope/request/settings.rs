//! The form of the answer, and how much to think.

use crate::protocol::Target;
use crate::protocol::ThinkingScale;
use crate::protocol::json::{JsonStr, Kind, ObjectWriter, Raw};
use crate::protocol::model::{Effort, OutputFormat, Reasoning, ReasoningMode, Rest, Show};
use crate::protocol::report::{Reporter, Severity};

const FORMAT: &str = "response_format";

/// Reads `response_format`.
pub(super) fn read_format(raw: Raw<'_>) -> OutputFormat<'_> {
    known_format(&raw).unwrap_or(OutputFormat::Other(raw))
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

/// Writes `response_format`; `report` is there for a request of another protocol.
pub(super) fn write_format(
    format: &OutputFormat<'_>,
    report: Option<&mut Reporter<'_>>,
    object: &mut ObjectWriter<'_>,
) {
    match (format, report) {
        (OutputFormat::Text, _) => object.object(FORMAT, |it| it.plain("type", "text")),
        (OutputFormat::JsonObject, _) => {
            object.object(FORMAT, |it| it.plain("type", "json_object"));
        }
        (OutputFormat::Other(raw), None) => object.raw(FORMAT, raw),
        (OutputFormat::Other(raw), Some(report)) => {
            report.piece(raw.as_str(), Severity::Degrade, "an unknown output format");
        }
        (OutputFormat::JsonSchema { name, schema, strict, description, rest }, report) => {
            object.object(FORMAT, |it| {
                it.plain("type", "json_schema");
                it.object("json_schema", |inner| {
                    match name {
                        Some(name) => inner.str("name", name),
                        // The protocol demands one.
                        None if report.is_some() => inner.plain("name", "response"),
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
                    match report {
                        Some(report) => report.rest(rest),
                        None => rest.write(inner),
                    }
                });
            });
        }
    }
}

/// Writes how much to think for a request of another protocol. A word becomes a budget by the
/// target's table, or goes as it is where the model wants words.
pub(super) fn write_thinking(
    reasoning: &Reasoning<'_>,
    target: &Target,
    object: &mut ObjectWriter<'_>,
    report: &mut Reporter<'_>,
) {
    let Reasoning { mode, effort, budget, show, rest } = reasoning;
    let tokens = budget.as_ref().and_then(crate::protocol::json::Number::as_u64);
    let off = *mode == Some(ReasoningMode::Off)
        || *effort == Some(Effort::None)
        || (mode.is_none() && effort.is_none() && tokens == Some(0));
    if off {
        object.bool("enable_thinking", false);
    } else if mode.is_some() || effort.is_some() || budget.is_some() {
        object.bool("enable_thinking", true);
        match (budget, effort) {
            (Some(budget), _) if tokens.is_some() => object.number("thinking_budget", budget),
            (_, Some(effort)) if target.thinking == ThinkingScale::Words => {
                object.plain("reasoning_effort", effort.as_str());
            }
            (_, Some(effort)) => object.u64("thinking_budget", target.budget_of(*effort)),
            // Gemini's -1: as much as it takes.
            (_, None) => {}
        }
    }
    if matches!(show, Some(Show::Hidden | Show::Summary)) {
        report.member("thinking", Severity::Ignore, "the upstream decides what thinking it shows");
    }
    report.rest(rest);
}
