//! Wire to hub.

use super::{settings, tools};
use crate::protocol::Protocol;
use crate::protocol::gemini::names::{camel, is_usual};
use crate::protocol::gemini::parts::{read_part, read_parts};
use crate::protocol::json::{Cursor, JsonError, JsonStr, Kind};
use crate::protocol::model::{Instruction, Part, Place, Request, Rest, Role, Turn};
use crate::protocol::wire::{Result, keep, nullable};

/// Reads a request.
///
/// # Errors
/// When `text` is no JSON object, or a member of the protocol has a shape that it cannot have.
pub fn read(text: &str) -> Result<Request<'_>, JsonError> {
    let mut request = Request::new(Protocol::Gemini);
    let mut cursor = Cursor::new(text);
    let whole = cursor.clone();
    cursor.object(|key, c| member(&mut request, &key, c))?;
    request.rest.keep_source(cursor.since(&whole));
    cursor.end()?;
    Ok(request)
}

fn member<'a>(request: &mut Request<'a>, key: &JsonStr<'a>, c: &mut Cursor<'a>) -> Result<()> {
    request.anchor(key, None, c)?;
    if c.kind()? == Kind::Null {
        return keep(key, c, &mut request.rest);
    }
    match &*camel(key) {
        "model" => request.model = c.string()?,
        "contents" => contents(request, key, c)?,
        "systemInstruction" => {
            let instruction = instruction(c)?;
            request.instructions = vec![instruction];
        }
        "tools" => request.tools = tools::read(c)?,
        "toolConfig" => tools::read_config(request, c)?,
        "generationConfig" => settings::read(request, c)?,
        "safetySettings" => request.safety = Some(c.raw()?).filter(|raw| raw.as_str() != "[]"),
        "cachedContent" => request.state.cached_content = Some(c.string()?),
        "labels" => request.metadata = Some(c.raw()?).filter(|raw| raw.as_str() != "{}"),
        "serviceTier" => request.service_tier = Some(c.string()?),
        "store" => request.state.store = Some(c.bool()?),
        _ => keep(key, c, &mut request.rest)?,
    }
    Ok(())
}

/// A list of contents, or one of them, or a bare text.
fn contents<'a>(request: &mut Request<'a>, key: &JsonStr<'a>, c: &mut Cursor<'a>) -> Result<()> {
    request.turns.clear();
    if c.kind()? != Kind::Array {
        let turn = content(c)?;
        request.turns.push(turn);
        return Ok(());
    }
    c.array(|index, c| {
        request.anchor(key, Some(index), c)?;
        let turn = content(c)?;
        request.turns.push(turn);
        Ok(())
    })
}

/// Reads one content. One that would be written in another form keeps itself whole.
fn content<'a>(c: &mut Cursor<'a>) -> Result<Turn<'a>> {
    let whole = c.clone();
    if c.kind()? == Kind::String {
        let mut turn = Turn { parts: vec![Part::text(c.string()?)], ..Turn::new(Role::User) };
        turn.plain = true;
        turn.rest.keep_source(c.since(&whole));
        return Ok(turn);
    }
    let (mut role, mut parts) = (None, None);
    let mut rest = Rest::default();
    let mut odd = false;
    let at = c.offset();
    c.object(|key, c| {
        match &*camel(&key) {
            "role" => role = nullable(&key, c, &mut rest, Cursor::string)?,
            "parts" => parts = nullable(&key, c, &mut rest, |c| listed_parts(&mut odd, c))?,
            _ => keep(&key, c, &mut rest)?,
        }
        Ok(())
    })?;
    let word = role.as_ref().map(JsonStr::decode);
    odd |= parts.is_none() || !matches!(word.as_deref(), Some("user" | "model"));
    let role = match word.map(|word| word.to_ascii_lowercase()).as_deref() {
        None | Some("" | "user" | "function" | "tool") => Role::User,
        Some("model" | "assistant") => Role::Assistant,
        Some(_) => return Err(JsonError::new("a content's role must be user or model", at)),
    };
    if odd {
        rest.keep_source(c.since(&whole));
    }
    Ok(Turn { parts: parts.unwrap_or_default(), rest, ..Turn::new(role) })
}

/// A list of parts; one part alone and a bare text are taken for a list of one.
fn listed_parts<'a>(odd: &mut bool, c: &mut Cursor<'a>) -> Result<Vec<Part<'a>>> {
    let kind = c.kind()?;
    *odd |= kind != Kind::Array;
    match kind {
        Kind::Array => read_parts(c),
        Kind::String => Ok(vec![Part::text(c.string()?)]),
        _ => Ok(vec![read_part(c)?]),
    }
}

fn instruction<'a>(c: &mut Cursor<'a>) -> Result<Instruction<'a>> {
    let whole = c.clone();
    let mut parts = Vec::new();
    let mut rest = Rest::default();
    let plain = c.kind()? == Kind::String;
    let mut odd = plain;
    if plain {
        parts.push(Part::text(c.string()?));
    } else {
        c.object(|key, c| {
            let name = camel(&key);
            match &*name {
                // Nobody looks at the role of an instruction.
                "role" => {
                    c.raw()?;
                    odd = true;
                }
                "parts" if is_usual(&name) => {
                    let read = |c: &mut Cursor<'a>| listed_parts(&mut odd, c);
                    parts = nullable(&key, c, &mut rest, read)?.unwrap_or_default();
                }
                _ => keep(&key, c, &mut rest)?,
            }
            Ok(())
        })?;
        odd |= parts.is_empty();
    }
    if odd {
        rest.keep_source(c.since(&whole));
    }
    Ok(Instruction { developer: false, place: Place::Top, parts, plain, name: None, rest })
}
