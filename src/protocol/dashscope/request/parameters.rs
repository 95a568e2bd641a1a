//! Reads `parameters`.

use super::tools;
use crate::protocol::json::{Cursor, JsonStr, Kind};
use crate::protocol::model::{Effort, ReasoningMode, Request, Spelling};
use crate::protocol::wire::Result;
use crate::protocol::{response_format, sampling};

/// Reads a member of `parameters`; what is not understood is kept.
pub(super) fn read<'a>(
    request: &mut Request<'a>,
    key: &JsonStr<'a>,
    c: &mut Cursor<'a>,
) -> Result<()> {
    let kind = c.kind()?;
    if kind == Kind::Null {
        request.settings_rest.keep(key.clone(), c.raw()?);
        return Ok(());
    }
    match &*key.decode() {
        "result_format" => read_result_format(request, key, c)?,
        "incremental_output" => {
            request.layout.snapshots = !c.bool()?;
            request.spelling.set(Spelling::INCREMENTAL_OUTPUT);
        }
        name @ ("max_tokens" | "max_completion_tokens") => {
            if request.max_output_tokens.is_some() {
                request.settings_rest.keep(key.clone(), c.raw()?);
            } else {
                request.max_output_tokens = Some(c.number()?);
                if name == "max_tokens" {
                    request.spelling.set(Spelling::LEGACY_MAX_TOKENS);
                }
            }
        }
        "tools" => {
            let mut whole = c.clone();
            c.array(|_, c| {
                request.tools.push(tools::read_tool(c)?);
                Ok(())
            })?;
            if request.tools.is_empty() {
                request.settings_rest.keep(key.clone(), whole.raw()?);
            }
        }
        "tool_choice" => request.tool_choice = Some(tools::read_choice(c.raw()?)),
        "parallel_tool_calls" => request.parallel_tool_calls = Some(c.bool()?),
        "response_format" => request.output = Some(response_format::read(c.raw()?)),
        "enable_thinking" => {
            let on = c.bool()?;
            request.reasoning.mode = Some(if on { ReasoningMode::On } else { ReasoningMode::Off });
        }
        "thinking_budget" => request.reasoning.budget = Some(c.number()?),
        "reasoning_effort" => {
            let raw = c.raw()?;
            match raw.source_str().and_then(|word| Effort::from_word(&word.decode())) {
                Some(effort) => request.reasoning.effort = Some(effort),
                None => request.settings_rest.keep(key.clone(), raw),
            }
        }
        "logprobs" => request.logprobs.enabled = Some(c.bool()?),
        "top_logprobs" => request.logprobs.top = Some(c.number()?),
        name => {
            if !read_sampling(request, name, c)? {
                request.settings_rest.keep(key.clone(), c.raw()?);
            }
        }
    }
    Ok(())
}

fn read_result_format<'a>(
    request: &mut Request<'a>,
    key: &JsonStr<'a>,
    c: &mut Cursor<'a>,
) -> Result<()> {
    let mut whole = c.clone();
    match &*c.string()?.decode() {
        "text" => request.layout.text_only = true,
        "message" => request.layout.text_only = false,
        _ => {
            request.settings_rest.keep(key.clone(), whole.raw()?);
            return Ok(());
        }
    }
    request.spelling.set(Spelling::RESULT_FORMAT);
    Ok(())
}

/// Reads a member that says how to sample; false for any other.
fn read_sampling<'a>(request: &mut Request<'a>, name: &str, c: &mut Cursor<'a>) -> Result<bool> {
    match name {
        "n" => request.sampling.candidates = Some(c.number()?),
        "logit_bias" => request.sampling.logit_bias = Some(c.raw()?),
        "stop" => return read_stop(request, c),
        _ => return sampling::read_number(request, name, c),
    }
    Ok(true)
}

/// Reads `stop`: a string or strings. Ids of tokens are understood by nobody else, and kept.
fn read_stop<'a>(request: &mut Request<'a>, c: &mut Cursor<'a>) -> Result<bool> {
    if c.kind()? == Kind::String {
        request.spelling.set(Spelling::PLAIN_STOP);
        request.sampling.stop = Some(vec![c.string()?]);
        return Ok(true);
    }
    let mut words = Vec::new();
    let mut ids = false;
    c.clone().array(|_, c| {
        match c.kind()? {
            Kind::String => words.push(c.string()?),
            Kind::Number | Kind::Array => {
                ids = true;
                c.raw()?;
            }
            _ => return Err(c.error("expected strings or ids of tokens")),
        }
        Ok(())
    })?;
    if !ids {
        c.raw()?;
        request.sampling.stop = Some(words);
    }
    Ok(!ids)
}
