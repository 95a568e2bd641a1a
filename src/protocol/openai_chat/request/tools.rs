//! Tools, and which of them to call.

use crate::protocol::Protocol;
use crate::protocol::json::{Cursor, JsonError, JsonStr, Kind, ObjectWriter, Raw};
use crate::protocol::model::{CacheMark, Request, Rest, Spelling, Tool, ToolChoice, ToolKind};
use crate::protocol::report::{Reporter, Severity};
use crate::protocol::wire::{lenient, sole_name};

/// Reads an item of `tools`; one of a kind that is neither `function` nor `custom` is the vendor's.
pub(super) fn read_tool<'a>(c: &mut Cursor<'a>) -> Result<Tool<'a>, JsonError> {
    let whole = c.clone();
    let mut kind = JsonStr::default();
    let mut tool = None;
    let mut cache = None;
    let mut rest = Rest::default();
    c.object(|key, c| {
        match &*key.decode() {
            "type" => kind = c.string()?,
            "function" if c.kind()? == Kind::Object => tool = Some(read_function(c)?),
            "custom" if c.kind()? == Kind::Object => tool = Some(read_custom(c)?),
            "cache_control" => {
                cache = lenient(Kind::Object, &key, c, &mut rest, Cursor::raw)?.map(CacheMark);
            }
            _ => rest.keep(key.clone(), c.raw()?),
        }
        Ok(())
    })?;
    let known = |tool: &Tool<'_>| match tool.kind {
        ToolKind::Custom { .. } => kind == "custom",
        _ => kind == "function",
    };
    if let Some(tool) = tool.filter(known) {
        return Ok(Tool { cache, outer_rest: rest, ..tool });
    }
    let flat = flat_tool(&kind, &mut whole.clone())?;
    let raw = c.since(&whole);
    Ok(match flat {
        Some(mut tool) => {
            tool.outer_rest.keep_source(raw);
            tool
        }
        None => new_tool(ToolKind::Server { kind, raw }),
    })
}

/// Reads a tool in the form that Responses has for it, without an inner object: some clients send
/// these here. `None` where it is no such.
fn flat_tool<'a>(kind: &JsonStr<'_>, c: &mut Cursor<'a>) -> Result<Option<Tool<'a>>, JsonError> {
    let body = match &*kind.decode() {
        "function" => "parameters",
        "custom" => "format",
        _ => return Ok(None),
    };
    if c.peek_str("name").is_none() {
        return Ok(None);
    }
    let mut found = None;
    let mut tool = read_declaration(c, body, &mut found)?;
    tool.rest.0.retain(|(name, _)| name != "type");
    tool.kind = match body {
        "format" => ToolKind::Custom { format: found },
        _ => ToolKind::Function { schema: found, type_name: None },
    };
    Ok(Some(tool))
}

fn new_tool(kind: ToolKind<'_>) -> Tool<'_> {
    Tool {
        name: JsonStr::default(),
        kind,
        description: None,
        strict: None,
        cache: None,
        rest: Rest::default(),
        outer_rest: Rest::default(),
        spelling: Spelling::default(),
    }
}

/// Reads an item of the legacy `functions`.
pub(super) fn read_legacy_tool<'a>(c: &mut Cursor<'a>) -> Result<Tool<'a>, JsonError> {
    let mut tool = read_function(c)?;
    tool.spelling.set(Spelling::LEGACY_FUNCTIONS);
    Ok(tool)
}

fn read_function<'a>(c: &mut Cursor<'a>) -> Result<Tool<'a>, JsonError> {
    let mut found = None;
    let mut tool = read_declaration(c, "parameters", &mut found)?;
    tool.kind = ToolKind::Function { schema: found, type_name: None };
    Ok(tool)
}

fn read_custom<'a>(c: &mut Cursor<'a>) -> Result<Tool<'a>, JsonError> {
    let mut found = None;
    let mut tool = read_declaration(c, "format", &mut found)?;
    tool.kind = ToolKind::Custom { format: found };
    Ok(tool)
}

fn read_declaration<'a>(
    c: &mut Cursor<'a>,
    body: &str,
    found: &mut Option<Raw<'a>>,
) -> Result<Tool<'a>, JsonError> {
    let mut tool = new_tool(ToolKind::Custom { format: None });
    c.object(|key, c| {
        let kind = c.kind()?;
        match &*key.decode() {
            "name" => tool.name = c.string()?,
            _ if kind == Kind::Null => tool.rest.keep(key.clone(), c.raw()?),
            "description" => tool.description = Some(c.string()?),
            "strict" => tool.strict = Some(c.bool()?),
            name if name == body => *found = Some(c.raw()?),
            _ => tool.rest.keep(key.clone(), c.raw()?),
        }
        Ok(())
    })?;
    Ok(tool)
}

/// Reads `tool_choice`, or the legacy `function_call`, whose object has no `type`.
pub(super) fn read_tool_choice<'a>(
    request: &mut Request<'a>,
    c: &mut Cursor<'a>,
) -> Result<(), JsonError> {
    let raw = c.raw()?;
    let choice = match raw.kind() {
        Kind::String => {
            raw.source_str().and_then(|word| choice_word(&word.decode(), &mut request.spelling))
        }
        Kind::Object => choice_object(&raw, &mut request.spelling),
        _ => None,
    };
    request.tool_choice = Some(choice.unwrap_or(ToolChoice::Other(raw)));
    Ok(())
}

fn choice_word<'a>(word: &str, spelling: &mut Spelling) -> Option<ToolChoice<'a>> {
    match word {
        // Mistral's word for it.
        "any" => {
            spelling.set(Spelling::ANY_CHOICE);
            Some(ToolChoice::Required)
        }
        "auto" => Some(ToolChoice::Auto),
        "none" => Some(ToolChoice::None),
        "required" => Some(ToolChoice::Required),
        _ => None,
    }
}

fn choice_object<'a>(raw: &Raw<'a>, spelling: &mut Spelling) -> Option<ToolChoice<'a>> {
    let mut kind = JsonStr::default();
    let (mut name, mut allowed, mut more) = (None, None, false);
    let walked = raw.source_cursor()?.object(|key, c| {
        match &*key.decode() {
            "type" => kind = c.string()?,
            "name" => name = Some(c.string()?),
            "function" | "custom" => name = sole_name(&c.raw()?),
            "allowed_tools" => allowed = Some(c.raw()?),
            _ => {
                c.raw()?;
                more = true;
            }
        }
        Ok(())
    });
    if walked.is_err() || more {
        return None;
    }
    match (&*kind.decode(), name, allowed) {
        ("function" | "custom", Some(name), None) => Some(ToolChoice::Tool(name)),
        ("", Some(name), None) if spelling.has(Spelling::LEGACY_FUNCTIONS) => {
            Some(ToolChoice::Tool(name))
        }
        ("allowed_tools", None, Some(allowed)) => {
            let (required, names) = allowed_names(&allowed)?;
            Some(ToolChoice::Allowed { required, names, raw: raw.clone() })
        }
        (word, None, None) => {
            let choice = choice_word(word, spelling)?;
            spelling.set(Spelling::OBJECT_CHOICE);
            Some(choice)
        }
        _ => None,
    }
}

fn allowed_names<'a>(allowed: &Raw<'a>) -> Option<(bool, Vec<JsonStr<'a>>)> {
    let (mut required, mut names) = (false, Vec::new());
    let walked = allowed.source_cursor()?.object(|key, c| match &*key.decode() {
        "mode" => {
            required = c.string()? == "required";
            Ok(())
        }
        "tools" => c.array(|_, c| {
            c.object(|key, c| {
                let raw = c.raw()?;
                match &*key.decode() {
                    "name" => names.extend(raw.source_str()),
                    "function" | "custom" => names.extend(sole_name(&raw)),
                    _ => {}
                }
                Ok(())
            })
        }),
        _ => c.raw().map(drop),
    });
    walked.is_ok().then_some((required, names))
}

/// Writes `tools` and the legacy `functions`.
pub(super) fn write_tools(
    request: &Request<'_>,
    object: &mut ObjectWriter<'_>,
    report: &mut Reporter<'_>,
) {
    let own = request.origin == Protocol::OpenAiChat;
    let legacy = |tool: &&Tool<'_>| own && tool.spelling.has(Spelling::LEGACY_FUNCTIONS);
    if request.tools.iter().any(|tool| legacy(&tool)) {
        object.array("functions", |items| {
            for tool in request.tools.iter().filter(legacy) {
                items.object(|inner| write_declaration(inner, tool, own));
            }
        });
    }
    let carried =
        |tool: &&Tool<'_>| !legacy(tool) && (own || !matches!(tool.kind, ToolKind::Server { .. }));
    let empty = own && request.tools.is_empty() && request.spelling.has(Spelling::EMPTY_LIST);
    if empty || request.tools.iter().any(|tool| carried(&tool)) {
        object.array("tools", |items| {
            for tool in request.tools.iter().filter(carried) {
                match (&tool.kind, tool.outer_rest.source().filter(|_| own)) {
                    (ToolKind::Server { raw, .. }, _) | (_, Some(raw)) => {
                        items.item().extend_from_slice(raw.as_str().as_bytes());
                    }
                    _ => items.object(|outer| write_tool(outer, tool, own)),
                }
            }
        });
    }
    if !own {
        request.tools.iter().for_each(|tool| report_tool(tool, report));
    }
}

fn write_tool(outer: &mut ObjectWriter<'_>, tool: &Tool<'_>, own: bool) {
    let kind = match tool.kind {
        ToolKind::Custom { .. } => "custom",
        _ => "function",
    };
    outer.plain("type", kind);
    outer.object(kind, |inner| write_declaration(inner, tool, own));
    if own {
        if let Some(CacheMark(mark)) = &tool.cache {
            outer.raw("cache_control", mark);
        }
        tool.outer_rest.write(outer);
    }
}

fn write_declaration(inner: &mut ObjectWriter<'_>, tool: &Tool<'_>, own: bool) {
    inner.str("name", &tool.name);
    if let Some(description) = &tool.description {
        inner.str("description", description);
    }
    match &tool.kind {
        ToolKind::Function { schema: Some(schema), .. } => inner.raw("parameters", schema),
        ToolKind::Custom { format: Some(format) } if own => inner.raw("format", format),
        ToolKind::Custom { format: Some(format) } => write_format(inner, format),
        _ => {}
    }
    if let Some(strict) = tool.strict {
        inner.bool("strict", strict);
    }
    if own {
        tool.rest.write(inner);
    }
}

/// Responses keeps the members of a grammar beside its type, Chat in an object of their own.
fn write_format(inner: &mut ObjectWriter<'_>, format: &Raw<'_>) {
    let grammar = format.member("type").is_some_and(|kind| kind.as_str() == "\"grammar\"");
    if !grammar || format.member("grammar").is_some() {
        return inner.raw("format", format);
    }
    inner.object("format", |object| {
        object.plain("type", "grammar");
        object.object("grammar", |object| {
            // It was read as an object.
            let _ = format.cursor().object(|key, c| {
                let value = c.raw()?;
                if key != "type" {
                    object.raw(key.escaped(), &value);
                }
                Ok(())
            });
        });
    });
}

fn report_tool(tool: &Tool<'_>, report: &mut Reporter<'_>) {
    if let ToolKind::Server { raw, .. } = &tool.kind {
        return report.server_tool(raw);
    }
    if let Some(CacheMark(mark)) = &tool.cache {
        report.piece(mark.as_str(), Severity::Ignore, "no cache marks in Chat Completions");
    }
    report.rest(&tool.rest);
    report.rest(&tool.outer_rest);
}

/// Writes `tool_choice` or the legacy `function_call`, and `parallel_tool_calls`. Without tools
/// OpenAI refuses both, so a request of another protocol goes without.
pub(super) fn write_choice(
    request: &Request<'_>,
    object: &mut ObjectWriter<'_>,
    report: &mut Reporter<'_>,
) {
    let own = request.origin == Protocol::OpenAiChat;
    if request.tools.is_empty() && !own {
        return;
    }
    let legacy = own && request.spelling.has(Spelling::LEGACY_FUNCTIONS);
    let name = if legacy { "function_call" } else { "tool_choice" };
    match &request.tool_choice {
        Some(ToolChoice::Tool(tool)) if legacy => object.object(name, |it| it.str("name", tool)),
        Some(ToolChoice::Other(raw)) if !own => {
            report.piece(raw.as_str(), Severity::Degrade, "an unknown tool choice");
        }
        Some(choice) => write_one_choice(request, choice, name, object),
        None => {}
    }
    if let Some(parallel) = request.parallel_tool_calls {
        object.bool("parallel_tool_calls", parallel);
    }
}

fn write_one_choice(
    request: &Request<'_>,
    choice: &ToolChoice<'_>,
    name: &str,
    object: &mut ObjectWriter<'_>,
) {
    let own = request.origin == Protocol::OpenAiChat;
    let word = match choice {
        ToolChoice::Auto => "auto",
        ToolChoice::None => "none",
        ToolChoice::Required if own && request.spelling.has(Spelling::ANY_CHOICE) => "any",
        ToolChoice::Required => "required",
        ToolChoice::Tool(tool) => {
            return object.object(name, |it| write_named(request, tool, it));
        }
        ToolChoice::Allowed { raw, .. } if own => return object.raw(name, raw),
        ToolChoice::Allowed { required, names, .. } => {
            return object.object(name, |it| {
                it.plain("type", "allowed_tools");
                it.object("allowed_tools", |allowed| {
                    allowed.plain("mode", if *required { "required" } else { "auto" });
                    allowed.array("tools", |tools| {
                        names.iter().for_each(|n| tools.object(|it| write_named(request, n, it)));
                    });
                });
            });
        }
        ToolChoice::Other(raw) => return object.raw(name, raw),
    };
    if own && request.spelling.has(Spelling::OBJECT_CHOICE) {
        object.object(name, |it| it.plain("type", word));
    } else {
        object.plain(name, word);
    }
}

/// Names a tool with its type, which a choice must repeat.
fn write_named(request: &Request<'_>, name: &JsonStr<'_>, object: &mut ObjectWriter<'_>) {
    let custom = request
        .tools
        .iter()
        .any(|tool| tool.name == *name && matches!(tool.kind, ToolKind::Custom { .. }));
    let kind = if custom { "custom" } else { "function" };
    object.plain("type", kind);
    object.object(kind, |it| it.str("name", name));
}
