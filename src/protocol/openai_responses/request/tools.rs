//! Tools, their groups, and which of them to call.

use std::collections::HashSet;

use super::history::Named;
use crate::protocol::json::{Cursor, JsonError, JsonStr, Kind, Raw};
use crate::protocol::model::{
    Content, GroupPlace, Request, Rest, Spelling, Tool, ToolChoice, ToolGroup, ToolKind,
};
use crate::protocol::openai_responses::namespaces::qualified;
use crate::protocol::wire::{keep, nullable, skip, sole_name};

/// Reads `tools`.
pub(super) fn read_list<'a>(
    request: &mut Request<'a>,
    c: &mut Cursor<'a>,
) -> Result<(), JsonError> {
    let mut alone = 0;
    let mut empty = true;
    c.array(|_, c| {
        empty = false;
        if is_namespace(c) {
            let place = GroupPlace::Tools(alone);
            let raw = c.clone().raw()?;
            read_namespace(request, c)?;
            request.tool_groups.push(ToolGroup { place, raw });
        } else {
            alone += 1;
            request.tools.push(read_tool(c)?);
        }
        Ok(())
    })?;
    if empty {
        request.spelling.set(Spelling::EMPTY_LIST);
    }
    Ok(())
}

/// Reads the tools of an item of type `additional_tools`.
pub(super) fn read_group<'a>(request: &mut Request<'a>, group: &Raw<'a>) -> Result<(), JsonError> {
    let Some(mut c) = group.source_cursor() else { return Ok(()) };
    c.object(|key, c| {
        if key != "tools" || c.kind()? != Kind::Array {
            return skip(c);
        }
        c.array(|_, c| {
            if is_namespace(c) {
                return read_namespace(request, c);
            }
            let mut tool = read_tool(c)?;
            tool.spelling.set(Spelling::IN_GROUP);
            request.tools.push(tool);
            Ok(())
        })
    })
}

fn is_namespace(c: &Cursor<'_>) -> bool {
    c.peek_str("type").is_some_and(|kind| kind == "namespace") && c.peek_str("name").is_some()
}

/// Reads the tools of a namespace, with its name in front of theirs.
fn read_namespace<'a>(request: &mut Request<'a>, c: &mut Cursor<'a>) -> Result<(), JsonError> {
    let namespace = c.peek_str("name").unwrap_or_default();
    c.object(|key, c| {
        if key != "tools" || c.kind()? != Kind::Array {
            return skip(c);
        }
        c.array(|_, c| {
            let mut tool = read_tool(c)?;
            tool.spelling.set(Spelling::IN_GROUP);
            if !tool.name.is_empty() {
                tool.name = qualified(&namespace, &tool.name);
            }
            request.tools.push(tool);
            Ok(())
        })
    })
}

/// Reads one tool; one that is neither a function nor takes free text is the vendor's.
fn read_tool<'a>(c: &mut Cursor<'a>) -> Result<Tool<'a>, JsonError> {
    let kind = c.peek_str("type").unwrap_or_default();
    let mut ahead = c.clone();
    let known = match &*kind.decode() {
        "function" => declaration("parameters", &mut ahead)?,
        "custom" => declaration("format", &mut ahead)?,
        _ => None,
    };
    let raw = c.raw()?;
    Ok(match known {
        Some((mut tool, nested)) => {
            if nested {
                tool.rest.keep_source(raw);
            }
            tool
        }
        None => new_tool(ToolKind::Server { kind: kind.clone(), raw }),
    })
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

/// Reads a declaration, and whether it stood in an inner object, as Chat has it. `None` where it
/// has no name.
fn declaration<'a>(body: &str, c: &mut Cursor<'a>) -> Result<Option<(Tool<'a>, bool)>, JsonError> {
    let mut tool = new_tool(ToolKind::Custom { format: None });
    let (mut name, mut found, mut inner) = (None, None, None);
    c.object(|key, c| {
        let rest = &mut tool.rest;
        match &*key.decode() {
            "type" => skip(c)?,
            "function" | "custom" if c.kind()? == Kind::Object => inner = declaration(body, c)?,
            "name" => name = nullable(&key, c, rest, Cursor::string)?,
            "description" => tool.description = nullable(&key, c, rest, Cursor::string)?,
            "strict" => tool.strict = nullable(&key, c, rest, Cursor::bool)?,
            name if name == body => found = nullable(&key, c, rest, Cursor::raw)?,
            _ => keep(&key, c, rest)?,
        }
        Ok(())
    })?;
    if let (None, Some((inner, _))) = (&name, inner) {
        return Ok(Some((Tool { outer_rest: tool.rest, ..inner }, true)));
    }
    let Some(name) = name else { return Ok(None) };
    let kind = match body {
        "format" => ToolKind::Custom { format: found },
        _ => ToolKind::Function { schema: found, type_name: None },
    };
    Ok(Some((Tool { name, kind, ..tool }, false)))
}

/// Gives calls the names that their tools have here. A call of a tool that is not declared keeps
/// its own.
pub(super) fn unite_names<'a>(request: &mut Request<'a>, named: Vec<Named<'a>>) {
    if named.is_empty() {
        return;
    }
    let names: HashSet<_> = request.tools.iter().map(|tool| tool.name.decode()).collect();
    for (turn, part, namespace) in named {
        let part = request.turns.get_mut(turn).and_then(|turn| turn.parts.get_mut(part));
        if let Some(Content::ToolCall(call)) = part.map(|part| &mut part.content) {
            let name = qualified(&namespace, &call.name);
            if names.contains(&name.decode()) {
                call.name = name;
            }
        }
    }
}

/// Reads `tool_choice`.
pub(super) fn read_choice<'a>(request: &mut Request<'a>, raw: Raw<'a>) -> ToolChoice<'a> {
    let choice = match raw.kind() {
        Kind::String => raw.source_str().and_then(|word| choice_word(&word.decode())),
        Kind::Object => choice_object(request, &raw),
        _ => None,
    };
    choice.unwrap_or(ToolChoice::Other(raw))
}

fn choice_word<'a>(word: &str) -> Option<ToolChoice<'a>> {
    match word {
        "auto" => Some(ToolChoice::Auto),
        "none" => Some(ToolChoice::None),
        "required" => Some(ToolChoice::Required),
        _ => None,
    }
}

fn choice_object<'a>(request: &mut Request<'a>, raw: &Raw<'a>) -> Option<ToolChoice<'a>> {
    let (mut kind, mut mode, mut tools) = (JsonStr::default(), None, None);
    let (mut name, mut inner, mut more) = (None, None, false);
    let walked = raw.source_cursor()?.object(|key, c| {
        match &*key.decode() {
            "type" => kind = c.string()?,
            "name" => name = Some(c.string()?),
            "mode" => mode = Some(c.string()?),
            "tools" => tools = Some(c.raw()?),
            "function" | "custom" => inner = sole_name(&c.raw()?),
            _ => {
                skip(c)?;
                more = true;
            }
        }
        Ok(())
    });
    if walked.is_err() || more {
        return None;
    }
    let kind = kind.decode();
    match (&*kind, name, inner, mode, tools) {
        (word, Some(name), None, None, None) | (word, None, Some(name), None, None) => {
            // Which of the two it is, the writer learns from the tool.
            if word != type_of(request, &name) {
                return None;
            }
            if raw.member("name").is_none() {
                request.spelling.set(Spelling::NESTED_CHOICE);
            }
            Some(ToolChoice::Tool(name))
        }
        ("allowed_tools", None, None, mode, Some(tools)) => {
            let required = mode.is_some_and(|mode| mode == "required");
            let names = names_of(&tools)?;
            Some(ToolChoice::Allowed { required, names, raw: raw.clone() })
        }
        (word, None, None, None, None) => {
            let choice = choice_word(word)?;
            request.spelling.set(Spelling::OBJECT_CHOICE);
            Some(choice)
        }
        _ => None,
    }
}

/// The `type` that a choice of this tool must repeat.
pub(super) fn type_of(request: &Request<'_>, name: &JsonStr<'_>) -> &'static str {
    let custom =
        |tool: &Tool<'_>| matches!(tool.kind, ToolKind::Custom { .. }) && tool.name == *name;
    let function =
        |tool: &Tool<'_>| matches!(tool.kind, ToolKind::Function { .. }) && tool.name == *name;
    let tools = &request.tools;
    if tools.iter().any(custom) && !tools.iter().any(function) { "custom" } else { "function" }
}

fn names_of<'a>(tools: &Raw<'a>) -> Option<Vec<JsonStr<'a>>> {
    let mut names = Vec::new();
    let walked = tools.source_cursor()?.array(|_, c| {
        names.extend(c.peek_str("name"));
        skip(c)
    });
    walked.ok().map(|()| names)
}
