//! Settings of sampling under the names that OpenAI and DashScope share.

use super::json::{Cursor, Kind, ObjectWriter};
use super::model::{Request, Sampling, Spelling};
use super::wire::{Result, write_opt_number};

/// Reads a setting that is a number; false for any other member.
pub(super) fn read_number<'a>(
    request: &mut Request<'a>,
    name: &str,
    c: &mut Cursor<'a>,
) -> Result<bool> {
    let sampling = &mut request.sampling;
    let slot = match name {
        "temperature" => &mut sampling.temperature,
        "top_p" => &mut sampling.top_p,
        "top_k" => &mut sampling.top_k,
        "seed" => &mut sampling.seed,
        "frequency_penalty" => &mut sampling.frequency_penalty,
        "presence_penalty" => &mut sampling.presence_penalty,
        "repetition_penalty" => &mut sampling.repetition_penalty,
        _ => return Ok(false),
    };
    *slot = Some(c.number()?);
    Ok(true)
}

/// Reads `stop` as OpenAI has it: a string, or a list of them.
pub(super) fn read_stop<'a>(request: &mut Request<'a>, c: &mut Cursor<'a>) -> Result<()> {
    if c.kind()? == Kind::String {
        request.spelling.set(Spelling::PLAIN_STOP);
        request.sampling.stop = Some(vec![c.string()?]);
        return Ok(());
    }
    let stop = request.sampling.stop.insert(Vec::new());
    c.array(|_, c| {
        stop.push(c.string()?);
        Ok(())
    })
}

/// Writes the settings that are numbers, as they stood.
pub(super) fn write_numbers(sampling: &Sampling<'_>, object: &mut ObjectWriter<'_>) {
    for (name, value) in [
        ("temperature", &sampling.temperature),
        ("top_p", &sampling.top_p),
        ("top_k", &sampling.top_k),
        ("seed", &sampling.seed),
        ("frequency_penalty", &sampling.frequency_penalty),
        ("presence_penalty", &sampling.presence_penalty),
        ("repetition_penalty", &sampling.repetition_penalty),
    ] {
        write_opt_number(object, name, value.as_ref());
    }
}
