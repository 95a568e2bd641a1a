//! Wire to hub.

use bytes::BytesMut;

use crate::protocol::Protocol;
use crate::protocol::anthropic::parts::{Contents, read_contents};
use crate::protocol::json::{Cursor, JsonError, JsonStr, ObjectWriter, Raw};
use crate::protocol::model::{
    CacheMark, Effort, Instruction, OutputFormat, Place, Reasoning, ReasoningMode, Request, Rest,
    Role, Show, Spelling, Tool, ToolChoice, ToolKind, Turn,
};
use crate::protocol::wire::{Result, keep, nullable, skip};

/// Reads a Messages request.
///
/// # Errors
/// When `text` is no JSON object, or a member of the protocol has a shape that it cannot have.
pub fn read(text: &str) -> Result<Request<'_>, JsonError> {
    let mut request = Request::new(Protocol::Anthropic);
    let mut cursor = Cursor::new(text);
    cursor.object(|key, c| member(&mut request, &key, c))?;
    cursor.end()?;
    Ok(request)
}

fn member<'a>(request: &mut Request<'a>, key: &JsonStr<'a>, c: &mut Cursor<'a>) -> Result<()> {
    // Taken out, so that a member can be read into the request and its `null` into the rest.
    request.anchor(key, None, c)?;
    let mut rest = std::mem::take(&mut request.rest);
    let read = known_member(request, key, c, &mut rest);
    request.rest = rest;
    read
}

fn known_member<'a>(
    request: &mut Request<'a>,
    key: &JsonStr<'a>,
    c: &mut Cursor<'a>,
    rest: &mut Rest<'a>,
) -> Result<()> {
    let sampling = &mut request.sampling;
    match &*key.decode() {
        "model" => request.model = c.string()?,
        "max_tokens" => request.max_output_tokens = nullable(key, c, rest, Cursor::number)?,
        "temperature" => sampling.temperature = nullable(key, c, rest, Cursor::number)?,
        "top_p" => sampling.top_p = nullable(key, c, rest, Cursor::number)?,
        "top_k" => sampling.top_k = nullable(key, c, rest, Cursor::number)?,
        "stop_sequences" => sampling.stop = nullable(key, c, rest, strings)?,
        "stream" => request.stream = nullable(key, c, rest, Cursor::bool)?,
        "service_tier" => request.service_tier = nullable(key, c, rest, Cursor::string)?,
        "cache_control" => request.cache = nullable(key, c, rest, Cursor::raw)?.map(CacheMark),
        "system" => {
            if let Some(contents) = nullable(key, c, rest, read_contents)? {
                request.instructions.insert(0, instruction(contents, Place::Top));
            }
        }
        "messages" => {
            nullable(key, c, rest, |c| {
                c.array(|index, c| {
                    request.anchor(key, Some(index), c)?;
                    message(request, c)
                })
            })?;
        }
        "tools" => {
            nullable(key, c, rest, |c| tools(request, c))?;
        }
        "tool_choice" => {
            nullable(key, c, rest, |c| tool_choice(request, c))?;
        }
        // Nothing to understand, but it stood there.
        "thinking" | "output_config" if is_empty_object(c) => keep(key, c, rest)?,
        "thinking" => {
            if let Some(reasoning) = nullable(key, c, rest, thinking)? {
                request.reasoning = Reasoning { effort: request.reasoning.effort, ..reasoning };
            }
        }
        "output_config" => {
            nullable(key, c, rest, |c| output_config(request, c))?;
        }
        "output_format" => {
            if let Some(format) = nullable(key, c, rest, output_format)? {
                request.output = Some(format);
                request.spelling.set(Spelling::BETA_FORMAT);
            }
        }
        "metadata" => {
            nullable(key, c, rest, |c| metadata(request, c))?;
        }
        _ => keep(key, c, rest)?,
    }
    Ok(())
}

fn strings<'a>(c: &mut Cursor<'a>) -> Result<Vec<JsonStr<'a>>> {
    let mut strings = Vec::new();
    c.array(|_, c| {
        strings.push(c.string()?);
        Ok(())
    })?;
    Ok(strings)
}

fn instruction(contents: Contents<'_>, place: Place) -> Instruction<'_> {
    Instruction {
        developer: false,
        place,
        parts: contents.parts,
        plain: contents.plain,
        name: None,
        rest: Rest::default(),
    }
}

fn message<'a>(request: &mut Request<'a>, c: &mut Cursor<'a>) -> Result<()> {
    let mut contents = None;
    let mut role = None;
    let mut rest = Rest::default();
    let at = c.offset();
    c.object(|key, c| {
        match &*key.decode() {
            "role" => role = Some(c.string()?),
            "content" => contents = nullable(&key, c, &mut rest, read_contents)?,
            _ => keep(&key, c, &mut rest)?,
        }
        Ok(())
    })?;
    let contents = contents.unwrap_or_default();
    let role = match role.as_ref().map(JsonStr::decode).as_deref() {
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some("system") => {
            let place = Place::Before(request.turns.len());
            request.instructions.push(Instruction { rest, ..instruction(contents, place) });
            return Ok(());
        }
        _ => return Err(JsonError::new("a message's role must be user, assistant or system", at)),
    };
    request.turns.push(Turn {
        parts: contents.parts,
        plain: contents.plain,
        rest,
        ..Turn::new(role)
    });
    Ok(())
}

fn tools<'a>(request: &mut Request<'a>, c: &mut Cursor<'a>) -> Result<()> {
    c.array(|_, c| {
        request.tools.push(tool(c)?);
        Ok(())
    })?;
    if request.tools.is_empty() {
        request.spelling.set(Spelling::EMPTY_LIST);
    }
    Ok(())
}

fn tool<'a>(c: &mut Cursor<'a>) -> Result<Tool<'a>> {
    match (c.peek_str("type"), c.peek_str("name")) {
        (type_name, Some(_)) if type_name.as_ref().is_none_or(|kind| *kind == "custom") => {
            function_tool(c, type_name)
        }
        (kind, name) => server_tool(c, kind.unwrap_or_default(), name.unwrap_or_default()),
    }
}

/// One that the vendor runs, or that is no tool yet known.
fn server_tool<'a>(c: &mut Cursor<'a>, kind: JsonStr<'a>, name: JsonStr<'a>) -> Result<Tool<'a>> {
    let raw = c.raw()?;
    Ok(new_tool(name, ToolKind::Server { kind, raw }))
}

fn new_tool<'a>(name: JsonStr<'a>, kind: ToolKind<'a>) -> Tool<'a> {
    Tool {
        name,
        kind,
        description: None,
        strict: None,
        cache: None,
        rest: Rest::default(),
        outer_rest: Rest::default(),
        spelling: Spelling::default(),
    }
}

fn function_tool<'a>(c: &mut Cursor<'a>, type_name: Option<JsonStr<'a>>) -> Result<Tool<'a>> {
    let typed = type_name.is_some();
    let mut tool = new_tool(JsonStr::default(), ToolKind::Custom { format: None });
    let mut schema = None;
    c.object(|key, c| {
        let rest = &mut tool.rest;
        match &*key.decode() {
            "type" if typed => skip(c)?,
            "name" => tool.name = c.string()?,
            "description" => tool.description = nullable(&key, c, rest, Cursor::string)?,
            "input_schema" => schema = nullable(&key, c, rest, Cursor::raw)?,
            "strict" => tool.strict = nullable(&key, c, rest, Cursor::bool)?,
            "cache_control" => tool.cache = nullable(&key, c, rest, Cursor::raw)?.map(CacheMark),
            _ => keep(&key, c, rest)?,
        }
        Ok(())
    })?;
    tool.kind = ToolKind::Function { schema, type_name };
    Ok(tool)
}

/// A choice with anything that the hub has no place for is kept whole.
fn tool_choice<'a>(request: &mut Request<'a>, c: &mut Cursor<'a>) -> Result<()> {
    let (mut kind, mut name, mut disable_parallel) = (None, None, None);
    let mut rest = Rest::default();
    let mut ahead = c.clone();
    ahead.object(|key, c| {
        match &*key.decode() {
            "type" => kind = Some(c.string()?),
            "name" => name = nullable(&key, c, &mut rest, Cursor::string)?,
            "disable_parallel_tool_use" => {
                disable_parallel = nullable(&key, c, &mut rest, Cursor::bool)?;
            }
            _ => keep(&key, c, &mut rest)?,
        }
        Ok(())
    })?;
    let raw = c.raw()?;
    let choice = match (kind.unwrap_or_default().decode().as_ref(), name) {
        _ if !rest.0.is_empty() => None,
        ("auto", None) => Some(ToolChoice::Auto),
        ("any", None) => Some(ToolChoice::Required),
        ("none", None) => Some(ToolChoice::None),
        ("tool", Some(name)) => Some(ToolChoice::Tool(name)),
        _ => None,
    };
    if choice.is_some() {
        request.parallel_tool_calls = disable_parallel.map(|disabled| !disabled);
    }
    request.tool_choice = Some(choice.unwrap_or(ToolChoice::Other(raw)));
    Ok(())
}

fn thinking<'a>(c: &mut Cursor<'a>) -> Result<Reasoning<'a>> {
    let mut reasoning = Reasoning::default();
    c.object(|key, c| {
        let name = key.decode();
        let word = if matches!(&*name, "type" | "display") { word(c) } else { None };
        match (&*name, word.as_deref()) {
            ("type", Some("enabled")) => reasoning.mode = Some(ReasoningMode::On),
            ("type", Some("adaptive")) => reasoning.mode = Some(ReasoningMode::Adaptive),
            ("type", Some("disabled")) => reasoning.mode = Some(ReasoningMode::Off),
            ("display", Some("summarized")) => reasoning.show = Some(Show::Summary),
            ("display", Some("omitted")) => reasoning.show = Some(Show::Hidden),
            ("budget_tokens", _) => {
                reasoning.budget = nullable(&key, c, &mut reasoning.rest, Cursor::number)?;
                return Ok(());
            }
            _ => return keep(&key, c, &mut reasoning.rest),
        }
        skip(c)
    })?;
    Ok(reasoning)
}

fn is_empty_object(c: &Cursor<'_>) -> bool {
    let mut empty = true;
    let walked = c.clone().object(|_, c| {
        empty = false;
        skip(c)
    });
    walked.is_ok() && empty
}

/// The string that stands next, without moving.
fn word(c: &Cursor<'_>) -> Option<String> {
    c.clone().string().ok().map(|word| word.decode().into_owned())
}

fn output_config<'a>(request: &mut Request<'a>, c: &mut Cursor<'a>) -> Result<()> {
    c.object(|key, c| {
        let rest = &mut request.settings_rest;
        match &*key.decode() {
            "effort" => match word(c).and_then(|word| Effort::from_word(&word)) {
                Some(effort) => {
                    request.reasoning.effort = Some(effort);
                    skip(c)?;
                }
                None => keep(&key, c, rest)?,
            },
            "format" => {
                if let Some(format) = nullable(&key, c, rest, output_format)? {
                    request.output = Some(format);
                }
            }
            _ => keep(&key, c, rest)?,
        }
        Ok(())
    })
}

fn output_format<'a>(c: &mut Cursor<'a>) -> Result<OutputFormat<'a>> {
    if c.peek_str("type").is_none_or(|kind| kind != "json_schema") {
        return c.raw().map(OutputFormat::Other);
    }
    let mut schema = None;
    let mut rest = Rest::default();
    c.object(|key, c| {
        match &*key.decode() {
            "type" => skip(c)?,
            "schema" => schema = nullable(&key, c, &mut rest, Cursor::raw)?,
            _ => keep(&key, c, &mut rest)?,
        }
        Ok(())
    })?;
    Ok(OutputFormat::JsonSchema { name: None, schema, strict: None, description: None, rest })
}

/// The end user has a place in the hub; the other members stay an object.
fn metadata<'a>(request: &mut Request<'a>, c: &mut Cursor<'a>) -> Result<()> {
    let mut others = Rest::default();
    c.object(|key, c| {
        match &*key.decode() {
            "user_id" => request.end_user = nullable(&key, c, &mut others, Cursor::string)?,
            _ => keep(&key, c, &mut others)?,
        }
        Ok(())
    })?;
    if request.end_user.is_none() || !others.0.is_empty() {
        request.metadata = Some(object_of(&others, c)?);
    }
    Ok(())
}

fn object_of(members: &Rest<'_>, c: &Cursor<'_>) -> Result<Raw<'static>> {
    let mut out = BytesMut::new();
    let mut object = ObjectWriter::begin(&mut out);
    members.write(&mut object);
    object.end();
    let text = String::from_utf8(out.into()).map_err(|_| c.error("invalid UTF-8"))?;
    Raw::parse_owned(text)
}
