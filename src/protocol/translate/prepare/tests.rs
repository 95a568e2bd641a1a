//! Each pass alone, over requests built by hand.

mod batches;
mod cache;
mod calls;
mod custom;
mod fit;
mod names;

use super::prepare;
use crate::protocol::json::{JsonStr, Raw};
use crate::protocol::model::{
    Content, Part, Request, Rest, Role, Spelling, Tool, ToolArguments, ToolCall, ToolCallKind,
    ToolKind, ToolResult, Turn,
};
use crate::protocol::report::{Reporter, TranslationReport};
use crate::protocol::restore::Restore;
use crate::protocol::{Protocol, Target};

fn text(text: &str) -> JsonStr<'_> {
    JsonStr::from_plain(text)
}

fn call<'a>(name: &'a str, id: &'a str) -> ToolCall<'a> {
    ToolCall {
        id: text(id),
        name: text(name),
        arguments: ToolArguments::Json(Raw::literal("{}")),
        kind: ToolCallKind::Function,
        seal: None,
        item_id: None,
        spelling: Spelling::default(),
    }
}

fn result<'a>(id: &'a str, name: Option<&'a str>) -> ToolResult<'a> {
    ToolResult {
        call_id: text(id),
        name: name.map(text),
        parts: vec![Part::text(text("said"))],
        plain: true,
        is_error: None,
        kind: ToolCallKind::Function,
        spelling: Spelling::default(),
    }
}

fn tool<'a>(name: &'a str, kind: ToolKind<'a>) -> Tool<'a> {
    Tool {
        name: text(name),
        kind,
        description: None,
        strict: None,
        cache: None,
        rest: Rest::default(),
        outer_rest: Rest::default(),
        spelling: Spelling::default(),
    }
}

fn function(name: &str) -> Tool<'_> {
    tool(name, ToolKind::Function { schema: None, type_name: None })
}

/// A history in short: turns are parted by `|`; `f/1` calls `f` with the id 1, `=1` is the result
/// of that id, `=@f` one of a name without an id, `=` one without either; anything else is words.
fn history(short: &str) -> Request<'_> {
    let mut request = Request::new(Protocol::OpenAiChat);
    for turn in short.split('|') {
        let parts: Vec<_> = turn.split_whitespace().map(part).collect();
        let called = parts.iter().any(|part| matches!(part.content, Content::ToolCall(_)));
        let role = if called { Role::Assistant } else { Role::User };
        request.turns.push(Turn { parts, ..Turn::new(role) });
    }
    request
}

fn part(token: &str) -> Part<'_> {
    if let Some(id) = token.strip_prefix('=') {
        let name = id.strip_prefix('@');
        return Part::new(Content::ToolResult(result(name.map_or(id, |_| ""), name)));
    }
    match token.split_once('/') {
        Some((name, id)) => Part::new(Content::ToolCall(call(name, id))),
        None => Part::text(text(token)),
    }
}

/// The history of a request in short; results with id and name.
fn short(request: &Request<'_>) -> String {
    let part = |part: &Part<'_>| match &part.content {
        Content::ToolCall(call) => format!("{}/{}", call.name.decode(), call.id.decode()),
        Content::ToolResult(result) => {
            let name = result.name.as_ref().map(JsonStr::decode).unwrap_or_default();
            format!("={}@{name}", result.call_id.decode())
        }
        Content::Text { text, .. } => text.decode().into_owned(),
        other => panic!("{other:?}"),
    };
    let turn = |turn: &Turn<'_>| turn.parts.iter().map(part).collect::<Vec<_>>().join(" ");
    request.turns.iter().map(turn).collect::<Vec<_>>().join("|")
}

fn run(request: &mut Request<'_>, to: Protocol, target: &Target) -> (Restore, TranslationReport) {
    let mut report = Reporter::new("");
    let restore = prepare(request, to, target, &mut report);
    (restore, report.finish())
}
