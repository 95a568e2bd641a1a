//! Hub to wire: what both kinds of request share.

use bytes::BytesMut;

use crate::protocol::Protocol;
use crate::protocol::anthropic::blocks::BlockWriter;
use crate::protocol::json::{JsonStr, Kind, Number, ObjectWriter, Raw};
use crate::protocol::model::{OutputFormat, Request, Role, Show, Tool, ToolChoice, ToolKind};
use crate::protocol::report::Reporter;
use crate::protocol::target::Target;
use crate::protocol::wire::{write_opt_raw, write_opt_str};

/// Appends the request as a Messages body. What Messages cannot say goes to `report`.
///
/// A request that was read from Messages is written back as it stood. Of any other, whose results
/// must stand behind their calls, instructions are joined in `system`, turns of one role are
/// joined, and thinking is fitted into `max_tokens`.
pub fn write(
    request: &Request<'_>,
    target: &Target,
    report: &mut Reporter<'_>,
    out: &mut BytesMut,
) {
    let native = request.origin == Protocol::Anthropic;
    let blocks = BlockWriter { native, report, ids: None };
    let mut writer = Writer { request, blocks, object: ObjectWriter::begin(out) };
    if native {
        writer.native();
    } else {
        writer.foreign(target);
    }
    writer.object.end();
}

pub(super) struct Writer<'x, 'a, 's> {
    pub(super) request: &'x Request<'a>,
    pub(super) blocks: BlockWriter<'x, 's>,
    pub(super) object: ObjectWriter<'x>,
}

impl Writer<'_, '_, '_> {
    pub(super) fn number(&mut self, name: &str, number: Option<&Number<'_>>) {
        if let Some(number) = number {
            self.object.number(name, number);
        }
    }

    pub(super) fn stream(&mut self) {
        if let Some(stream) = self.request.stream {
            self.object.bool("stream", stream);
        }
    }

    pub(super) fn stop_sequences<'t, 'u: 't>(
        &mut self,
        stop: impl IntoIterator<Item = &'t JsonStr<'u>>,
    ) {
        self.object.array("stop_sequences", |array| {
            for stop in stop {
                crate::protocol::json::push_str(array.item(), stop);
            }
        });
    }

    /// Writes the tools; an empty list only where one stood.
    pub(super) fn tools(&mut self, tools: &[&Tool<'_>], even_empty: bool) {
        if tools.is_empty() && !even_empty {
            return;
        }
        let Self { blocks, object, .. } = self;
        object.array("tools", |array| {
            for tool in tools {
                match &tool.kind {
                    ToolKind::Server { raw, .. } => {
                        crate::protocol::wire::push(array.item(), raw.as_str());
                    }
                    kind => array.object(|object| function_tool(blocks, object, tool, kind)),
                }
            }
        });
    }

    pub(super) fn tool_choice(&mut self, choice: &ToolChoice<'_>, parallel: Option<bool>) {
        self.object.object("tool_choice", |object| {
            match choice {
                ToolChoice::None => object.plain("type", "none"),
                ToolChoice::Required => object.plain("type", "any"),
                ToolChoice::Tool(name) => {
                    object.plain("type", "tool");
                    object.str("name", name);
                }
                _ => object.plain("type", "auto"),
            }
            if let Some(parallel) = parallel {
                object.bool("disable_parallel_tool_use", !parallel);
            }
        });
    }

    /// The end user, and from Messages the members beside it.
    pub(super) fn metadata(&mut self) {
        let user = self.request.end_user.as_ref();
        let others = self.request.metadata.as_ref().filter(|_| self.blocks.native);
        if user.is_none() && others.is_none() {
            return;
        }
        self.object.object("metadata", |object| {
            write_opt_str(object, "user_id", user);
            if let Some(others) = others {
                // The reader kept an object.
                let _ = others.cursor().object(|key, c| {
                    object.raw(key.escaped(), &c.raw()?);
                    Ok(())
                });
            }
        });
    }
}

pub(super) fn role(role: Role) -> &'static str {
    match role {
        Role::User => "user",
        Role::Assistant => "assistant",
    }
}

/// What of the thinking to show; all of it is the default.
pub(super) fn show(object: &mut ObjectWriter<'_>, show: Option<Show>) {
    match show {
        Some(Show::Hidden) => object.plain("display", "omitted"),
        Some(Show::Summary | Show::Full) => object.plain("display", "summarized"),
        None => {}
    }
}

pub(super) fn output_format(
    object: &mut ObjectWriter<'_>,
    name: &str,
    format: &OutputFormat<'_>,
    native: bool,
) {
    match format {
        OutputFormat::JsonSchema { schema, rest, .. } => object.object(name, |object| {
            object.plain("type", "json_schema");
            write_opt_raw(object, "schema", schema.as_ref());
            if native {
                rest.write(object);
            }
        }),
        OutputFormat::Other(raw) => object.raw(name, raw),
        OutputFormat::Text | OutputFormat::JsonObject => {}
    }
}

/// Messages demands a schema; a tool that takes free text takes it under the name `input`.
const NO_INPUT: Raw<'static> = Raw::literal(r#"{"type":"object","properties":{}}"#);
const TEXT_INPUT: Raw<'static> = Raw::literal(
    r#"{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}"#,
);

/// Whether a schema is an object without the `type` that Messages demands.
fn lacks_type(schema: &Raw<'_>) -> bool {
    schema.kind() == Kind::Object && schema.member("type").is_none()
}

fn typed(object: &mut ObjectWriter<'_>, schema: &Raw<'_>) {
    object.plain("type", "object");
    // The reader kept an object.
    let _ = schema.cursor().object(|key, c| {
        object.raw(key.escaped(), &c.raw()?);
        Ok(())
    });
}

fn function_tool(
    blocks: &mut BlockWriter<'_, '_>,
    object: &mut ObjectWriter<'_>,
    tool: &Tool<'_>,
    kind: &ToolKind<'_>,
) {
    use crate::protocol::report::Severity::Degrade;
    let (schema, type_name) = match kind {
        ToolKind::Function { schema, type_name } => (schema.as_ref(), type_name.as_ref()),
        _ => (Some(&TEXT_INPUT), None),
    };
    if let ToolKind::Custom { format: Some(format) } = kind {
        blocks.lose(format.as_str(), Degrade, "Messages holds no tool to a grammar");
    }
    write_opt_str(object, "type", type_name.filter(|_| blocks.native));
    object.str("name", &tool.name);
    write_opt_str(object, "description", tool.description.as_ref());
    match schema {
        None if blocks.native => {}
        Some(schema) if !blocks.native && lacks_type(schema) => {
            object.object("input_schema", |object| typed(object, schema));
        }
        schema => object.raw("input_schema", schema.unwrap_or(&NO_INPUT)),
    }
    if let Some(strict) = tool.strict.filter(|strict| blocks.native || *strict) {
        object.bool("strict", strict);
    }
    blocks.mark(object, tool.cache.as_ref());
    blocks.rest(object, &tool.rest);
    blocks.rest(object, &tool.outer_rest);
}
