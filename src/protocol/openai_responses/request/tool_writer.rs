//! Tools and the choice among them, written.

use super::strict::complies;
use super::tools::type_of;
use crate::protocol::Protocol;
use crate::protocol::json::{ArrayWriter, JsonStr, Kind, ObjectWriter, Raw};
use crate::protocol::model::{
    CacheMark, GroupPlace, Request, Spelling, Tool, ToolChoice, ToolKind,
};
use crate::protocol::report::{Reporter, Severity};
use crate::protocol::wire::{push, write_opt_raw, write_opt_str};

/// Writes the tools of this protocol's own request as they stood.
pub(super) fn write_own(request: &Request<'_>, object: &mut ObjectWriter<'_>) {
    let mut alone =
        request.tools.iter().filter(|tool| !tool.spelling.has(Spelling::IN_GROUP)).peekable();
    let mut groups = request
        .tool_groups
        .iter()
        .filter_map(|group| match group.place {
            GroupPlace::Tools(before) => Some((before, &group.raw)),
            GroupPlace::Messages { .. } => None,
        })
        .peekable();
    if alone.peek().is_none()
        && groups.peek().is_none()
        && !request.spelling.has(Spelling::EMPTY_LIST)
    {
        return;
    }
    object.array("tools", |list| {
        let mut written = 0;
        loop {
            if let Some((_, raw)) = groups.next_if(|(before, _)| *before <= written) {
                push(list.item(), raw.as_str());
            } else if let Some(tool) = alone.next() {
                write_own_tool(tool, list);
                written += 1;
            } else {
                break;
            }
        }
        groups.for_each(|(_, raw)| push(list.item(), raw.as_str()));
    });
}

fn write_own_tool(tool: &Tool<'_>, list: &mut ArrayWriter<'_>) {
    let source = tool.rest.source();
    let raw = match &tool.kind {
        ToolKind::Server { raw, .. } => Some(raw),
        _ => source,
    };
    if let Some(raw) = raw {
        return push(list.item(), raw.as_str());
    }
    list.object(|object| {
        let (kind, name, body) = form(&tool.kind);
        object.plain("type", kind);
        object.str("name", &tool.name);
        write_opt_str(object, "description", tool.description.as_ref());
        write_opt_raw(object, name, body);
        if let Some(strict) = tool.strict {
            object.bool("strict", strict);
        }
        tool.rest.write(object);
    });
}

/// The type of a tool, the name of the member that says what it takes, and that member.
fn form<'t, 'a>(kind: &'t ToolKind<'a>) -> (&'static str, &'static str, Option<&'t Raw<'a>>) {
    match kind {
        ToolKind::Custom { format } => ("custom", "format", format.as_ref()),
        ToolKind::Function { schema, .. } => ("function", "parameters", schema.as_ref()),
        ToolKind::Server { .. } => ("function", "parameters", None),
    }
}

/// Writes the choice of this protocol's own request as it stood.
pub(super) fn write_own_choice(request: &Request<'_>, object: &mut ObjectWriter<'_>) {
    const NAME: &str = "tool_choice";
    let word = match &request.tool_choice {
        None => return,
        Some(ToolChoice::Auto) => "auto",
        Some(ToolChoice::None) => "none",
        Some(ToolChoice::Required) => "required",
        Some(ToolChoice::Allowed { raw, .. } | ToolChoice::Other(raw)) => {
            return object.raw(NAME, raw);
        }
        Some(ToolChoice::Tool(name)) if request.spelling.has(Spelling::NESTED_CHOICE) => {
            let kind = type_of(request, name);
            return object.object(NAME, |it| {
                it.plain("type", kind);
                it.object(kind, |inner| inner.str("name", name));
            });
        }
        Some(ToolChoice::Tool(name)) => {
            return object.object(NAME, |it| write_named(request, name, it));
        }
    };
    if request.spelling.has(Spelling::OBJECT_CHOICE) {
        object.object(NAME, |it| it.plain("type", word));
    } else {
        object.plain(NAME, word);
    }
}

fn write_named(request: &Request<'_>, name: &JsonStr<'_>, object: &mut ObjectWriter<'_>) {
    object.plain("type", type_of(request, name));
    object.str("name", name);
}

/// Writes the tools of a request of another protocol.
pub(super) fn write(
    request: &Request<'_>,
    object: &mut ObjectWriter<'_>,
    report: &mut Reporter<'_>,
) {
    for tool in &request.tools {
        report_tool(tool, report);
    }
    let offered = || request.tools.iter().filter(|tool| is_offered(tool));
    if offered().next().is_some() {
        object.array("tools", |list| {
            offered().for_each(|tool| list.object(|it| write_tool(tool, it, report)));
        });
    }
}

fn is_offered(tool: &Tool<'_>) -> bool {
    !matches!(tool.kind, ToolKind::Server { .. })
}

fn report_tool(tool: &Tool<'_>, report: &mut Reporter<'_>) {
    if let ToolKind::Server { raw, .. } = &tool.kind {
        report.server_tool(raw);
        return;
    }
    if let Some(CacheMark(mark)) = &tool.cache {
        report.piece(mark.as_str(), Severity::Ignore, "no cache marks in Responses");
    }
    report.rest(&tool.rest);
    report.rest(&tool.outer_rest);
}

const NO_INPUT: Raw<'static> = Raw::literal(r#"{"type":"object","properties":{}}"#);

fn write_tool(tool: &Tool<'_>, object: &mut ObjectWriter<'_>, report: &mut Reporter<'_>) {
    let (kind, _, body) = form(&tool.kind);
    object.plain("type", kind);
    object.str("name", &tool.name);
    write_opt_str(object, "description", tool.description.as_ref());
    if kind == "custom" {
        if let Some(format) = body {
            write_grammar(format, object);
        }
        return;
    }
    match body {
        Some(schema) if schema.kind() == Kind::Object && schema.member("type").is_none() => {
            object.object("parameters", |object| {
                object.plain("type", "object");
                copy_members(schema, object);
            });
        }
        schema => object.raw("parameters", schema.unwrap_or(&NO_INPUT)),
    }
    let wanted = tool.strict == Some(true);
    let strict = wanted && body.is_none_or(complies);
    if wanted && !strict {
        let reason = "the schema is not one that OpenAI holds a model to";
        report.string(&tool.name, Severity::Degrade, reason);
    }
    object.bool("strict", strict);
}

/// Chat keeps a grammar in an object of its own; here its members stand beside the type.
fn write_grammar(format: &Raw<'_>, object: &mut ObjectWriter<'_>) {
    let Some(grammar) = format.member("grammar").filter(|raw| raw.kind() == Kind::Object) else {
        return object.raw("format", format);
    };
    object.object("format", |object| {
        object.plain("type", "grammar");
        copy_members(&grammar, object);
    });
}

fn copy_members(raw: &Raw<'_>, object: &mut ObjectWriter<'_>) {
    // The readers kept an object.
    let _ = raw.cursor().object(|key, c| {
        object.raw(key.escaped(), &c.raw()?);
        Ok(())
    });
}

/// Writes the choice of a request of another protocol, and whether several tools may be called.
/// Without tools OpenAI refuses both.
pub(super) fn write_choice(
    request: &Request<'_>,
    object: &mut ObjectWriter<'_>,
    report: &mut Reporter<'_>,
) {
    const NAME: &str = "tool_choice";
    if !request.tools.iter().any(is_offered) {
        if matches!(request.tool_choice, Some(ToolChoice::Required | ToolChoice::Tool(_))) {
            let reason = "a tool must be called, but none can be declared";
            report.member(choice_member(request.origin), Severity::Degrade, reason);
        }
        return;
    }
    match &request.tool_choice {
        None => {}
        Some(ToolChoice::Auto) => object.plain(NAME, "auto"),
        Some(ToolChoice::None) => object.plain(NAME, "none"),
        Some(ToolChoice::Required) => object.plain(NAME, "required"),
        Some(ToolChoice::Tool(name)) => object.object(NAME, |it| write_named(request, name, it)),
        Some(ToolChoice::Allowed { required, names, .. }) => object.object(NAME, |it| {
            it.plain("type", "allowed_tools");
            it.plain("mode", if *required { "required" } else { "auto" });
            it.array("tools", |list| {
                names.iter().for_each(|name| list.object(|it| write_named(request, name, it)));
            });
        }),
        Some(ToolChoice::Other(raw)) => {
            report.piece(raw.as_str(), Severity::Degrade, "an unknown tool choice");
        }
    }
    if let Some(parallel) = request.parallel_tool_calls {
        object.bool("parallel_tool_calls", parallel);
    }
}

/// Where the origin says which tool to call.
fn choice_member(origin: Protocol) -> &'static str {
    match origin {
        Protocol::Gemini => "toolConfig",
        Protocol::DashScope => "parameters",
        _ => "tool_choice",
    }
}
