//! `tools` and `toolConfig`, read and written.

use bytes::BytesMut;

use super::settings::strings;
use crate::protocol::Target;
use crate::protocol::gemini::names::camel;
use crate::protocol::gemini::schema::{Adapter, is_empty_object, standard};
use crate::protocol::json::{Cursor, JsonStr, Kind, ObjectWriter, Raw, push_str};
use crate::protocol::model::{Request, Rest, Spelling, Tool, ToolChoice, ToolKind};
use crate::protocol::report::{Reporter, Severity};
use crate::protocol::wire::{Result, keep, nullable, write_opt_str};

use Severity::{Degrade, Ignore};

/// Reads the objects of `tools`: each holds a list of functions, or tools of the vendor by name,
/// or both.
pub(super) fn read<'a>(c: &mut Cursor<'a>) -> Result<Vec<Tool<'a>>> {
    let mut tools = Vec::new();
    if c.kind()? != Kind::Array {
        group(&mut tools, c)?;
        return Ok(tools);
    }
    c.array(|_, c| group(&mut tools, c))?;
    Ok(tools)
}

fn group<'a>(tools: &mut Vec<Tool<'a>>, c: &mut Cursor<'a>) -> Result<()> {
    let whole = c.clone();
    let mut served = Vec::new();
    let mut functions = false;
    c.object(|key, c| {
        if camel(&key) != "functionDeclarations" {
            served.push((key, c.raw()?));
            return Ok(());
        }
        functions = true;
        match c.kind()? {
            Kind::Null => c.raw().map(drop),
            Kind::Object => {
                tools.push(declaration(c)?);
                Ok(())
            }
            _ => c.array(|_, c| {
                tools.push(declaration(c)?);
                Ok(())
            }),
        }
    })?;
    served.retain(|(_, value)| value.kind() != Kind::Null);
    let alone = served.len() == 1 && !functions;
    for (key, value) in served {
        let kind = JsonStr::from_plain(camel(&key).into_owned());
        let raw = if alone { c.since(&whole) } else { named(&key, &value) };
        tools.push(tool(JsonStr::default(), ToolKind::Server { kind, raw }));
    }
    Ok(())
}

/// One tool of several in an object, in an object of its own.
fn named(key: &JsonStr<'_>, value: &Raw<'_>) -> Raw<'static> {
    let text = format!("{{\"{}\":{}}}", key.escaped(), value.as_str());
    Raw::parse_owned(text).unwrap_or(Raw::literal("{}"))
}

fn tool<'a>(name: JsonStr<'a>, kind: ToolKind<'a>) -> Tool<'a> {
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

fn declaration<'a>(c: &mut Cursor<'a>) -> Result<Tool<'a>> {
    let (mut name, mut description, mut schema) = (None, None, None);
    let mut rest = Rest::default();
    c.object(|key, c| {
        match &*camel(&key) {
            "name" => name = nullable(&key, c, &mut rest, Cursor::string)?,
            "description" => description = nullable(&key, c, &mut rest, Cursor::string)?,
            "parameters" => {
                schema = nullable(&key, c, &mut rest, Cursor::raw)?
                    .map(|schema| standard(&schema).unwrap_or(schema));
            }
            "parametersJsonSchema" => schema = nullable(&key, c, &mut rest, Cursor::raw)?,
            _ => keep(&key, c, &mut rest)?,
        }
        Ok(())
    })?;
    let kind = ToolKind::Function { schema, type_name: None };
    Ok(Tool { description, rest, ..tool(name.unwrap_or_default(), kind) })
}

/// Which tools may be called. What has no place in the hub is kept with the other members, so
/// that it is said to be lost.
pub(super) fn read_config<'a>(request: &mut Request<'a>, c: &mut Cursor<'a>) -> Result<()> {
    c.object(|key, c| {
        if camel(&key) != "functionCallingConfig" || c.kind()? != Kind::Object {
            return keep(&key, c, &mut request.rest);
        }
        let raw = c.clone().raw()?;
        let (mut mode, mut names) = (None, Vec::new());
        c.object(|key, c| {
            let null = c.kind()? == Kind::Null;
            match &*camel(&key) {
                "mode" if !null => mode = Some((key, c.clone().raw()?, c.string()?)),
                "allowedFunctionNames" if !null => names = strings(c)?,
                _ => keep(&key, c, &mut request.rest)?,
            }
            Ok(())
        })?;
        request.tool_choice = choice(mode, names, raw, &mut request.rest);
        Ok(())
    })
}

fn choice<'a>(
    mode: Option<(JsonStr<'a>, Raw<'a>, JsonStr<'a>)>,
    mut names: Vec<JsonStr<'a>>,
    raw: Raw<'a>,
    rest: &mut Rest<'a>,
) -> Option<ToolChoice<'a>> {
    let (key, value, word) = mode?;
    let word = word.decode().to_ascii_uppercase();
    Some(match (word.as_str(), names.len()) {
        ("AUTO", _) => ToolChoice::Auto,
        ("NONE", _) => ToolChoice::None,
        ("ANY", 0) => ToolChoice::Required,
        ("ANY", 1) => ToolChoice::Tool(names.remove(0)),
        ("ANY", _) => ToolChoice::Allowed { required: true, names, raw },
        ("VALIDATED", 0) => {
            rest.keep(key, value);
            ToolChoice::Auto
        }
        ("VALIDATED", _) => {
            rest.keep(key, value);
            ToolChoice::Allowed { required: false, names, raw }
        }
        ("MODE_UNSPECIFIED" | "", _) => return None,
        _ => ToolChoice::Other(raw),
    })
}

/// Writes the tools of another protocol that can be declared and may be called.
pub(super) fn write(
    request: &Request<'_>,
    target: &Target,
    schemas: &mut Adapter,
    report: &mut Reporter<'_>,
    object: &mut ObjectWriter<'_>,
) {
    let mut functions = Vec::new();
    for tool in &request.tools {
        match &tool.kind {
            ToolKind::Server { raw, .. } => {
                report.server_tool(raw);
            }
            _ if is_hidden(request, &tool.name) => {}
            _ => functions.push(tool),
        }
    }
    if !functions.is_empty() {
        object.array("tools", |array| {
            array.object(|object| {
                object.array("functionDeclarations", |array| {
                    for tool in &functions {
                        array.object(|object| function(tool, target, schemas, report, object));
                    }
                });
            });
        });
    }
    tool_config(request, !functions.is_empty(), report, object);
}

/// A choice among some tools without a need to call one is said by leaving out the others: the
/// names are taken only where a call is forced.
fn is_hidden(request: &Request<'_>, name: &JsonStr<'_>) -> bool {
    match &request.tool_choice {
        Some(ToolChoice::Allowed { required: false, names, .. }) => !names.contains(name),
        _ => false,
    }
}

/// A tool that takes free text takes it under the name `input`.
const TEXT_INPUT: Raw<'static> = Raw::literal(
    r#"{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}"#,
);

fn function(
    tool: &Tool<'_>,
    target: &Target,
    schemas: &mut Adapter,
    report: &mut Reporter<'_>,
    object: &mut ObjectWriter<'_>,
) {
    let schema = match &tool.kind {
        ToolKind::Function { schema, .. } => schema.as_ref(),
        ToolKind::Custom { format } => {
            if let Some(format) = format {
                report.piece(format.as_str(), Degrade, "Gemini holds no tool to a grammar");
            }
            Some(&TEXT_INPUT)
        }
        ToolKind::Server { .. } => None,
    };
    object.str("name", &tool.name);
    write_opt_str(object, "description", tool.description.as_ref());
    match schema.filter(|schema| schema.kind() == Kind::Object) {
        Some(schema) if target.json_schema => object.raw("parametersJsonSchema", schema),
        // Gemini refuses an object without properties.
        Some(schema) if !is_empty_object(schema) => {
            schemas.write(schema, report, object.key("parameters"));
        }
        _ => {}
    }
    if tool.strict == Some(true) {
        report.string(&tool.name, Degrade, "Gemini holds no call strictly to its schema");
    }
    if let Some(mark) = &tool.cache {
        report.piece(mark.0.as_str(), Ignore, "Gemini has no cache marks");
    }
    report.rest(&tool.rest);
    report.rest(&tool.outer_rest);
}

fn tool_config(
    request: &Request<'_>,
    has_tools: bool,
    report: &mut Reporter<'_>,
    object: &mut ObjectWriter<'_>,
) {
    let (mode, names): (_, &[JsonStr<'_>]) = match &request.tool_choice {
        Some(ToolChoice::None) => ("NONE", &[]),
        Some(ToolChoice::Required) => ("ANY", &[]),
        Some(ToolChoice::Tool(name)) => ("ANY", std::slice::from_ref(name)),
        Some(ToolChoice::Allowed { required: true, names, .. }) => ("ANY", names),
        Some(ToolChoice::Other(raw)) => {
            return report.piece(raw.as_str(), Degrade, "unknown tool choice");
        }
        Some(ToolChoice::Auto | ToolChoice::Allowed { required: false, .. }) | None => return,
    };
    if !has_tools {
        if mode == "ANY" {
            let reason = "a tool must be called, but none can be declared";
            report.member("tool_choice", Degrade, reason);
        }
        return;
    }
    let mut config = BytesMut::new();
    let mut calling = ObjectWriter::begin(&mut config);
    calling.plain("mode", mode);
    if !names.is_empty() {
        calling.array("allowedFunctionNames", |array| {
            names.iter().for_each(|name| push_str(array.item(), name));
        });
    }
    calling.end();
    object.object("toolConfig", |object| {
        object.key("functionCallingConfig").extend_from_slice(&config);
    });
}
