//! `generationConfig`, read and written.

use bytes::BytesMut;

use super::thinking::{Thinking, read_thinking};
use crate::protocol::Target;
use crate::protocol::gemini::names::camel;
use crate::protocol::gemini::schema::{Adapter, standard};
use crate::protocol::json::{Cursor, JsonStr, Kind, Number, ObjectWriter, Raw, push_str};
use crate::protocol::model::{Logprobs, OutputFormat, Request, Rest, Sampling};
use crate::protocol::report::{Reporter, Severity};
use crate::protocol::wire::{Result, keep, skip};

/// Most stop sequences that Gemini takes.
pub(super) const MAX_STOP_SEQUENCES: usize = 5;

/// The members that together say what form the answer has.
#[derive(Default)]
struct Form<'a> {
    media_type: Option<Raw<'a>>,
    schema: Option<Raw<'a>>,
}

pub(super) fn read<'a>(request: &mut Request<'a>, c: &mut Cursor<'a>) -> Result<()> {
    let mut form = Form::default();
    let mut rest = Rest::default();
    c.object(|key, c| {
        if c.kind()? == Kind::Null {
            return keep(&key, c, &mut rest);
        }
        let sampling = &mut request.sampling;
        match &*camel(&key) {
            "temperature" => sampling.temperature = Some(number(c)?),
            "topP" => sampling.top_p = Some(number(c)?),
            "topK" => sampling.top_k = Some(number(c)?),
            "seed" => sampling.seed = Some(number(c)?),
            "frequencyPenalty" => sampling.frequency_penalty = Some(number(c)?),
            "presencePenalty" => sampling.presence_penalty = Some(number(c)?),
            "candidateCount" => sampling.candidates = Some(number(c)?),
            "stopSequences" => sampling.stop = Some(strings(c)?),
            "maxOutputTokens" => request.max_output_tokens = Some(number(c)?),
            "responseLogprobs" => request.logprobs.enabled = Some(c.bool()?),
            "logprobs" => request.logprobs.top = Some(number(c)?),
            "thinkingConfig" => request.reasoning = read_thinking(c)?,
            "responseMimeType" => {
                let mut word = c.clone();
                word.string()?;
                form.media_type = Some(c.raw()?);
            }
            "responseSchema" => {
                let schema = c.raw()?;
                form.schema = Some(standard(&schema).unwrap_or(schema));
            }
            "responseJsonSchema" | "ResponseJsonSchema" => form.schema = Some(c.raw()?),
            // What every model does by itself.
            "responseModalities" if is_text_alone(c) => skip(c)?,
            _ => keep(&key, c, &mut rest)?,
        }
        Ok(())
    })?;
    request.settings_rest = rest;
    request.output = form.output();
    Ok(())
}

impl<'a> Form<'a> {
    fn output(self) -> Option<OutputFormat<'a>> {
        let word = self.media_type.as_ref().and_then(Raw::as_json_str);
        let word = word.as_ref().map(|word| word.decode());
        Some(match (word.as_deref(), self.schema) {
            (Some("application/json") | None, Some(schema)) => OutputFormat::JsonSchema {
                name: None,
                schema: Some(schema),
                strict: None,
                description: None,
                rest: Rest::default(),
            },
            (Some("application/json"), None) => OutputFormat::JsonObject,
            (Some("text/plain"), _) => OutputFormat::Text,
            _ => OutputFormat::Other(self.media_type?),
        })
    }
}

/// A number, or its text in a string: the JSON of proto files takes both.
pub(super) fn number<'a>(c: &mut Cursor<'a>) -> Result<Number<'a>> {
    if c.kind()? != Kind::String {
        return c.number();
    }
    let at = c.clone();
    let text = c.raw_str()?;
    let mut inner = Cursor::new(text.trim_matches('"'));
    let number = inner.number().map_err(|_| at.error("expected a number"))?;
    inner.end().map_err(|_| at.error("expected a number"))?;
    Ok(number)
}

pub(super) fn strings<'a>(c: &mut Cursor<'a>) -> Result<Vec<JsonStr<'a>>> {
    let mut strings = Vec::new();
    if c.kind()? == Kind::String {
        strings.push(c.string()?);
        return Ok(strings);
    }
    c.array(|_, c| {
        strings.push(c.string()?);
        Ok(())
    })?;
    Ok(strings)
}

fn is_text_alone(c: &Cursor<'_>) -> bool {
    let mut text = true;
    let walked = c.clone().array(|_, c| {
        text &= c.string()?.decode().eq_ignore_ascii_case("text");
        Ok(())
    });
    walked.is_ok() && text
}

/// Writes the settings of another protocol, unless there are none.
pub(super) fn write(
    request: &Request<'_>,
    target: &Target,
    schemas: &mut Adapter,
    report: &mut Reporter<'_>,
    object: &mut ObjectWriter<'_>,
) {
    let mut settings = BytesMut::new();
    let mut config = ObjectWriter::begin(&mut settings);
    if let Some(limit) = &request.max_output_tokens {
        config.number("maxOutputTokens", limit);
    }
    sampling(&request.sampling, report, &mut config);
    logprobs(&request.logprobs, &mut config);
    output(request, target, schemas, report, &mut config);
    Thinking::wanted(request, target, report).write(&mut config);
    config.end();
    if &settings[..] != b"{}" {
        object.key("generationConfig").extend_from_slice(&settings);
    }
}

fn sampling(sampling: &Sampling<'_>, report: &mut Reporter<'_>, config: &mut ObjectWriter<'_>) {
    let numbers = [
        ("temperature", &sampling.temperature),
        ("topP", &sampling.top_p),
        ("topK", &sampling.top_k),
        ("seed", &sampling.seed),
        ("frequencyPenalty", &sampling.frequency_penalty),
        ("presencePenalty", &sampling.presence_penalty),
        ("candidateCount", &sampling.candidates),
    ];
    for (name, number) in numbers {
        if let Some(number) = number {
            config.number(name, number);
        }
    }
    let mut stop: Vec<_> = sampling.stop.iter().flatten().collect();
    stop.retain(|stop| !stop.is_empty());
    for surplus in stop.iter().skip(MAX_STOP_SEQUENCES) {
        report.string(surplus, Severity::Degrade, "Gemini takes at most five stop sequences");
    }
    stop.truncate(MAX_STOP_SEQUENCES);
    if !stop.is_empty() {
        config.array("stopSequences", |array| {
            stop.iter().for_each(|stop| push_str(array.item(), stop));
        });
    }
}

fn logprobs(logprobs: &Logprobs<'_>, config: &mut ObjectWriter<'_>) {
    // Gemini refuses a count where they are not asked for.
    let top = logprobs.top.as_ref();
    if logprobs.enabled.unwrap_or(top.is_some_and(|top| top.as_u64() != Some(0))) {
        config.bool("responseLogprobs", true);
        if let Some(top) = top {
            config.number("logprobs", top);
        }
    }
}

fn output(
    request: &Request<'_>,
    target: &Target,
    schemas: &mut Adapter,
    report: &mut Reporter<'_>,
    config: &mut ObjectWriter<'_>,
) {
    match &request.output {
        Some(OutputFormat::JsonObject) => config.plain("responseMimeType", "application/json"),
        Some(OutputFormat::JsonSchema { name, schema, description, rest, .. }) => {
            config.plain("responseMimeType", "application/json");
            match schema {
                Some(schema) if target.json_schema => config.raw("responseJsonSchema", schema),
                Some(schema) => schemas.write(schema, report, config.key("responseSchema")),
                None => {}
            }
            if let Some(name) = name {
                report.string(name, Severity::Ignore, "a format of Gemini has no name");
            }
            if let Some(description) = description {
                let reason = "a format of Gemini has no description";
                report.string(description, Severity::Ignore, reason);
            }
            report.rest(rest);
        }
        Some(OutputFormat::Other(raw)) => {
            report.piece(raw.as_str(), Severity::Degrade, "unknown form of output");
        }
        Some(OutputFormat::Text) | None => {}
    }
}
