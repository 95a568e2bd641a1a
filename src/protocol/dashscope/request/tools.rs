//! Tools, and which of them to call: the form of Chat, inside of `parameters`.

use crate::protocol::dashscope::wire::push;
use crate::protocol::json::{Cursor, JsonStr, Kind, ObjectWriter, Raw};
use crate::protocol::model::{CacheMark, Request, Rest, Spelling, Tool, ToolChoice, ToolKind};
use crate::protocol::report::{Reporter, Severity};
use crate::protocol::wire::Result;

/// Reads an item of `tools`; one that is no function is the vendor's.
pub(super) fn read_tool<'a>(c: &mut Cursor<'a>) -> Result<Tool<'a>> {
    let whole = c.clone();
    let mut kind = JsonStr::default();
    let mut tool = None;
    let mut rest = Rest::default();
    c.object(|key, c| {
        match &*key.decode() {
            "type" => kind = c.string()?,
            "function" if c.kind()? == Kind::Object => tool = Some(read_function(c)?),
            _ => rest.keep(key.clone(), c.raw()?),
        }
        Ok(())
    })?;
    Ok(match tool.filter(|_| kind == "function") {
        Some(tool) => Tool { outer_rest: rest, ..tool },
        None => new_tool(ToolKind::Server { kind, raw: c.since(&whole) }),
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

fn read_function<'a>(c: &mut Cursor<'a>) -> Result<Tool<'a>> {
    let mut found = None;
    let mut tool = new_tool(ToolKind::Custom { format: None });
    c.object(|key, c| {
        let kind = c.kind()?;
        match &*key.decode() {
            "name" => tool.name = c.string()?,
            _ if kind == Kind::Null => tool.rest.keep(key.clone(), c.raw()?),
            "description" => tool.description = Some(c.string()?),
            "strict" => tool.strict = Some(c.bool()?),
            "parameters" => found = Some(c.raw()?),
            _ => tool.rest.keep(key.clone(), c.raw()?),
        }
        Ok(())
    })?;
    tool.kind = ToolKind::Function { schema: found, type_name: None };
    Ok(tool)
}

/// Reads `tool_choice`.
pub(super) fn read_choice(raw: Raw<'_>) -> ToolChoice<'_> {
    let word = raw.source_str();
    match word.as_ref().map(|word| word.decode()).as_deref() {
        Some("auto") => ToolChoice::Auto,
        Some("none") => ToolChoice::None,
        Some("required") => ToolChoice::Required,
        _ => named_choice(&raw).map_or(ToolChoice::Other(raw), ToolChoice::Tool),
    }
}

/// The name in `{"type":"function","function":{"name"}}`, if nothing else stands there.
fn named_choice<'a>(raw: &Raw<'a>) -> Option<JsonStr<'a>> {
    let (mut is_function, mut name, mut more) = (false, None, false);
    let walked = raw.source_cursor()?.object(|key, c| match &*key.decode() {
        "type" => {
            is_function = c.raw()?.as_str() == "\"function\"";
            Ok(())
        }
        "function" if c.kind()? == Kind::Object => c.object(|key, c| {
            let raw = c.raw()?;
            match &*key.decode() {
                "name" => name = raw.source_str(),
                _ => more = true,
            }
            Ok(())
        }),
        _ => {
            more = true;
            c.raw().map(drop)
        }
    });
    walked.ok().and(name).filter(|_| is_function && !more)
}

/// Writes `tools`, `tool_choice` and `parallel_tool_calls` as they were.
pub(super) fn write_own(request: &Request<'_>, object: &mut ObjectWriter<'_>) {
    if !request.tools.is_empty() {
        object.array("tools", |items| {
            for tool in &request.tools {
                match &tool.kind {
                    ToolKind::Server { raw, .. } => push(items.item(), &[raw.as_str()]),
                    _ => items.object(|outer| {
                        outer.plain("type", "function");
                        outer.object("function", |inner| {
                            write_function(inner, tool);
                            if let Some(strict) = tool.strict {
                                inner.bool("strict", strict);
                            }
                            tool.rest.write(inner);
                        });
                        tool.outer_rest.write(outer);
                    }),
                }
            }
        });
    }
    match &request.tool_choice {
        Some(ToolChoice::Auto) => object.plain("tool_choice", "auto"),
        Some(ToolChoice::None) => object.plain("tool_choice", "none"),
        Some(ToolChoice::Required) => object.plain("tool_choice", "required"),
        Some(ToolChoice::Tool(name)) => write_named(object, name),
        Some(ToolChoice::Other(raw) | ToolChoice::Allowed { raw, .. }) => {
            object.raw("tool_choice", raw);
        }
        None => {}
    }
    if let Some(parallel) = request.parallel_tool_calls {
        object.bool("parallel_tool_calls", parallel);
    }
}

fn write_function(inner: &mut ObjectWriter<'_>, tool: &Tool<'_>) {
    inner.str("name", &tool.name);
    if let Some(description) = &tool.description {
        inner.str("description", description);
    }
    if let ToolKind::Function { schema: Some(schema), .. } = &tool.kind {
        inner.raw("parameters", schema);
    }
}

fn write_named(object: &mut ObjectWriter<'_>, name: &JsonStr<'_>) {
    object.object("tool_choice", |choice| {
        choice.plain("type", "function");
        choice.object("function", |function| function.str("name", name));
    });
}

/// Writes the tools of a request of another protocol. All of them may be called at once there, so
/// that is asked for.
pub(super) fn write_foreign(
    request: &Request<'_>,
    object: &mut ObjectWriter<'_>,
    report: &mut Reporter<'_>,
) {
    request.tools.iter().for_each(|tool| report_tool(tool, report));
    let tools = offered(request);
    if tools.is_empty() {
        return;
    }
    object.array("tools", |items| {
        for tool in &tools {
            items.object(|outer| {
                outer.plain("type", "function");
                outer.object("function", |inner| write_function(inner, tool));
            });
        }
    });
    if let Some(choice) = &request.tool_choice {
        write_choice(choice, &tools, object, report);
    }
    object.bool("parallel_tool_calls", request.parallel_tool_calls.unwrap_or(true));
}

/// The functions that may be called: where a choice allows some of them, those.
fn offered<'r, 'a>(request: &'r Request<'a>) -> Vec<&'r Tool<'a>> {
    let allowed = |tool: &&Tool<'_>| match &request.tool_choice {
        Some(ToolChoice::Allowed { names, .. }) => names.contains(&tool.name),
        _ => true,
    };
    let functions =
        request.tools.iter().filter(|tool| matches!(tool.kind, ToolKind::Function { .. }));
    functions.filter(allowed).collect()
}

/// Any call can be forced only by its name.
fn write_choice(
    choice: &ToolChoice<'_>,
    tools: &[&Tool<'_>],
    object: &mut ObjectWriter<'_>,
    report: &mut Reporter<'_>,
) {
    let forced = match choice {
        ToolChoice::Auto => return object.plain("tool_choice", "auto"),
        ToolChoice::None => return object.plain("tool_choice", "none"),
        ToolChoice::Tool(name) => return write_named(object, name),
        ToolChoice::Other(raw) => {
            return report.piece(raw.as_str(), Severity::Degrade, "an unknown tool choice");
        }
        ToolChoice::Allowed { required, .. } => *required,
        ToolChoice::Required => true,
    };
    match tools {
        [only] if forced => write_named(object, &only.name),
        _ => {
            object.plain("tool_choice", "auto");
            if forced {
                let reason = "a call cannot be forced unless the tool is named";
                report.member("tool_choice", Severity::Degrade, reason);
            }
        }
    }
}

fn report_tool(tool: &Tool<'_>, report: &mut Reporter<'_>) {
    match &tool.kind {
        ToolKind::Function { .. } => {}
        ToolKind::Custom { .. } => {
            let reason = "a tool of free text, and DashScope has none";
            report.string(&tool.name, Severity::Fatal, reason);
        }
        ToolKind::Server { raw, .. } => {
            return report.server_tool(raw);
        }
    }
    if tool.strict == Some(true) {
        report.string(&tool.name, Severity::Degrade, "DashScope holds no model to a schema");
    }
    if let Some(CacheMark(mark)) = &tool.cache {
        report.piece(mark.as_str(), Severity::Ignore, "no cache marks on tools in DashScope");
    }
    report.rest(&tool.rest);
    report.rest(&tool.outer_rest);
}
