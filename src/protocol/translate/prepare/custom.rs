//! Tools of free text, for protocols and models that know only functions.

use crate::protocol::json::{JsonStr, Raw};
use crate::protocol::model::{
    Content, Request, Tool, ToolArguments, ToolCall, ToolCallKind, ToolKind,
};
use crate::protocol::report::{Reporter, Severity};
use crate::protocol::{Protocol, Target};

/// Wraps tools of free text as functions of one string, `{"input": text}`, and their calls in the
/// history likewise; gives their names.
///
/// A grammar cannot be held to any more: the description of the string tells it.
pub(super) fn wrap<'a>(
    request: &mut Request<'a>,
    to: Protocol,
    target: &Target,
    report: &mut Reporter<'_>,
) -> Vec<JsonStr<'a>> {
    let native = matches!(to, Protocol::OpenAiChat | Protocol::OpenAiResponses);
    if native && target.custom_tools {
        return Vec::new();
    }
    let mut names = Vec::new();
    for tool in &mut request.tools {
        if let ToolKind::Custom { format } = &tool.kind {
            let schema = schema(format.as_ref(), report);
            tool.kind = ToolKind::Function { schema: Some(schema), type_name: None };
            names.push(tool.name.clone());
        }
    }
    for part in request.turns.iter_mut().flat_map(|turn| &mut turn.parts) {
        match &mut part.content {
            Content::ToolCall(call) if call.kind == ToolCallKind::Custom => wrap_call(call),
            Content::ToolResult(result) => result.kind = ToolCallKind::Function,
            _ => {}
        }
    }
    names
}

fn wrap_call(call: &mut ToolCall<'_>) {
    call.kind = ToolCallKind::Function;
    if let ToolArguments::Text(text) = &call.arguments {
        // Valid text in an object of ours: it parses.
        if let Ok(object) = Raw::parse_owned(format!(r#"{{"input":"{}"}}"#, text.escaped())) {
            call.arguments = ToolArguments::Json(object);
        }
    }
}

fn schema(format: Option<&Raw<'_>>, report: &mut Reporter<'_>) -> Raw<'static> {
    const PLAIN: Raw<'static> = Raw::literal(
        r#"{"type":"object","properties":{"input":{"type":"string","description":"The input of the tool, as free text."}},"required":["input"],"additionalProperties":false}"#,
    );
    let Some(format) = format else { return PLAIN };
    // Chat puts the grammar into a member, Responses beside the type.
    let inner = format.member("grammar");
    let grammar = inner.as_ref().unwrap_or(format);
    let text = |name: &str| grammar.member(name).filter(|raw| raw.as_json_str().is_some());
    let Some(definition) = text("definition") else { return PLAIN };
    report.piece(format.as_str(), Severity::Degrade, "the tool cannot be held to its grammar");
    let syntax = text("syntax");
    let word = |raw: &Raw<'_>| raw.as_json_str().map(|text| text.escaped().to_owned());
    let described = format!(
        r#"The input of the tool, as free text of this {} grammar:\n\n{}"#,
        syntax.as_ref().and_then(word).unwrap_or_default(),
        word(&definition).unwrap_or_default(),
    );
    let schema = format!(
        r#"{{"type":"object","properties":{{"input":{{"type":"string","description":"{described}"}}}},"required":["input"],"additionalProperties":false}}"#,
    );
    Raw::parse_owned(schema).unwrap_or(PLAIN)
}

/// Whether a tool is run by the vendor, and so not by name.
pub(super) fn is_server(tool: &Tool<'_>) -> bool {
    matches!(tool.kind, ToolKind::Server { .. })
}
