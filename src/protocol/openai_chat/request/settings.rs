//! Everything in a request but its messages.

use crate::protocol::Protocol;
use crate::protocol::json::{Cursor, JsonError, JsonStr, Kind, ObjectWriter, Raw};
use crate::protocol::model::{
    CacheMark, Effort, OutputFormat, Reasoning, ReasoningMode, Request, Rest, Spelling, Tool,
    ToolChoice, ToolKind,
};
use crate::protocol::openai_chat::wire::{lenient, string_of, write_rest};
use crate::protocol::report::{Reporter, Severity};

/// Reads an item of `tools`; one of a kind that is neither `function` nor `custom` is the vendor's.
pub(super) fn read_tool<'a>(c: &mut Cursor<'a>) -> Result<Tool<'a>, JsonError> {
    let mut whole = c.clone();
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
    Ok(match tool.filter(known) {
        Some(tool) => Tool { cache, outer_rest: rest, ..tool },
        None => new_tool(ToolKind::Server { kind, raw: whole.raw()? }),
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
        Kind::String => string_of(&raw).and_then(|word| choice_word(&word.decode())),
        Kind::Object => choice_object(&raw, &mut request.spelling),
        _ => None,
    };
    request.tool_choice = Some(choice.unwrap_or(ToolChoice::Other(raw)));
    Ok(())
}

fn choice_word<'a>(word: &str) -> Option<ToolChoice<'a>> {
    match word {
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
        ("function" | "custom" | "", Some(name), None) => Some(ToolChoice::Tool(name)),
        ("allowed_tools", None, Some(allowed)) => {
            let (required, names) = allowed_names(&allowed)?;
            Some(ToolChoice::Allowed { required, names, raw: raw.clone() })
        }
        (word, None, None) => {
            let choice = choice_word(word)?;
            spelling.set(Spelling::OBJECT_CHOICE);
            Some(choice)
        }
        _ => None,
    }
}

/// The `name` of an object that has no other member.
fn sole_name<'a>(raw: &Raw<'a>) -> Option<JsonStr<'a>> {
    let (mut name, mut more) = (None, false);
    let walked = raw.source_cursor()?.object(|key, c| {
        let raw = c.raw()?;
        if key == "name" {
            name = string_of(&raw);
        } else {
            more = true;
        }
        Ok(())
    });
    walked.ok().and(name).filter(|_| !more)
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
                    "name" => names.extend(string_of(&raw)),
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

/// Reads `response_format`.
pub(super) fn read_format<'a>(c: &mut Cursor<'a>) -> Result<OutputFormat<'a>, JsonError> {
    let raw = c.raw()?;
    Ok(known_format(&raw).unwrap_or(OutputFormat::Other(raw)))
}

fn known_format<'a>(raw: &Raw<'a>) -> Option<OutputFormat<'a>> {
    let mut kind = JsonStr::default();
    let (mut schema, mut more) = (None, false);
    let walked = raw.source_cursor()?.object(|key, c| {
        match &*key.decode() {
            "type" => kind = c.string()?,
            "json_schema" => schema = Some(c.raw()?),
            _ => {
                c.raw()?;
                more = true;
            }
        }
        Ok(())
    });
    match (&*kind.decode(), schema, more || walked.is_err()) {
        ("text", None, false) => Some(OutputFormat::Text),
        ("json_object", None, false) => Some(OutputFormat::JsonObject),
        ("json_schema", Some(schema), false) => named_schema(&schema),
        _ => None,
    }
}

fn named_schema<'a>(raw: &Raw<'a>) -> Option<OutputFormat<'a>> {
    let (mut name, mut schema, mut strict, mut description) = (None, None, None, None);
    let mut rest = Rest::default();
    let walked = raw.source_cursor()?.object(|key, c| {
        let kind = c.kind()?;
        match &*key.decode() {
            "name" if kind == Kind::String => name = Some(c.string()?),
            "description" if kind == Kind::String => description = Some(c.string()?),
            "strict" if kind == Kind::Bool => strict = Some(c.bool()?),
            "schema" if kind == Kind::Object => schema = Some(c.raw()?),
            _ => rest.keep(key.clone(), c.raw()?),
        }
        Ok(())
    });
    walked.is_ok().then_some(OutputFormat::JsonSchema { name, schema, strict, description, rest })
}

/// Reads `reasoning_effort`; a word yet unknown is kept.
pub(super) fn read_effort<'a>(
    request: &mut Request<'a>,
    key: &JsonStr<'a>,
    c: &mut Cursor<'a>,
) -> Result<(), JsonError> {
    let raw = c.raw()?;
    match string_of(&raw).and_then(|word| Effort::from_word(&word.decode())) {
        Some(effort) => request.reasoning.effort = Some(effort),
        None => request.rest.keep(key.clone(), raw),
    }
    Ok(())
}

/// Reads `stream_options`; with members beside `include_usage` it is also kept whole.
pub(super) fn read_stream_options<'a>(
    request: &mut Request<'a>,
    key: &JsonStr<'a>,
    c: &mut Cursor<'a>,
) -> Result<(), JsonError> {
    let mut whole = c.clone();
    let mut more = false;
    c.object(|key, c| {
        if key == "include_usage" && c.kind()? == Kind::Bool {
            request.include_usage = Some(c.bool()?);
        } else {
            c.raw()?;
            more = true;
        }
        Ok(())
    })?;
    if more || request.include_usage.is_none() {
        request.rest.keep(key.clone(), whole.raw()?);
    }
    Ok(())
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
                match &tool.kind {
                    ToolKind::Server { raw, .. } => {
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
        write_rest(outer, &tool.outer_rest);
    }
}

fn write_declaration(inner: &mut ObjectWriter<'_>, tool: &Tool<'_>, own: bool) {
    inner.str("name", &tool.name);
    if let Some(description) = &tool.description {
        inner.str("description", description);
    }
    match &tool.kind {
        ToolKind::Function { schema: Some(schema), .. } => inner.raw("parameters", schema),
        ToolKind::Custom { format: Some(format) } => inner.raw("format", format),
        _ => {}
    }
    if let Some(strict) = tool.strict {
        inner.bool("strict", strict);
    }
    if own {
        write_rest(inner, &tool.rest);
    }
}

fn report_tool(tool: &Tool<'_>, report: &mut Reporter<'_>) {
    if let ToolKind::Server { raw, .. } = &tool.kind {
        report.piece(raw.as_str(), Severity::Fatal, "a server tool without equivalent");
        return;
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

/// Writes `response_format`.
pub(super) fn write_format(
    format: &OutputFormat<'_>,
    own: bool,
    object: &mut ObjectWriter<'_>,
    report: &mut Reporter<'_>,
) {
    const NAME: &str = "response_format";
    match format {
        OutputFormat::Text => object.object(NAME, |it| it.plain("type", "text")),
        OutputFormat::JsonObject => object.object(NAME, |it| it.plain("type", "json_object")),
        OutputFormat::Other(raw) if own => object.raw(NAME, raw),
        OutputFormat::Other(raw) => {
            report.piece(raw.as_str(), Severity::Degrade, "an unknown output format");
        }
        OutputFormat::JsonSchema { name, schema, strict, description, rest } => {
            object.object(NAME, |it| {
                it.plain("type", "json_schema");
                it.object("json_schema", |inner| {
                    match name {
                        Some(name) => inner.str("name", name),
                        // The protocol demands one.
                        None if !own => inner.plain("name", "response"),
                        None => {}
                    }
                    if let Some(description) = description {
                        inner.str("description", description);
                    }
                    if let Some(schema) = schema {
                        inner.raw("schema", schema);
                    }
                    if let Some(strict) = strict {
                        inner.bool("strict", *strict);
                    }
                    if own {
                        write_rest(inner, rest);
                    }
                });
            });
            if !own {
                report.rest(rest);
            }
        }
    }
}

/// The effort to ask for.
///
/// A word goes as it is. A token budget becomes the smallest effort whose budget holds it, at most
/// `xhigh`. Thinking turned off is not sent: `none` is a 400 at most models, and those that know
/// it mostly do not think unasked.
pub(super) fn effort(
    reasoning: &Reasoning<'_>,
    budgets: &[u64; 6],
    report: &mut Reporter<'_>,
) -> Option<Effort> {
    if reasoning.effort.is_some() {
        return reasoning.effort;
    }
    if reasoning.mode == Some(ReasoningMode::Off) {
        report.member(
            "thinking",
            Severity::Degrade,
            "thinking cannot be turned off at every model",
        );
        return None;
    }
    let budget = reasoning.budget.as_ref()?;
    report.piece(budget.as_str(), Severity::Degrade, "a token budget became an effort");
    Some(effort_of(budget.as_u64()?, budgets))
}

fn effort_of(budget: u64, budgets: &[u64; 6]) -> Effort {
    const EFFORTS: [Effort; 4] = [Effort::Minimal, Effort::Low, Effort::Medium, Effort::High];
    if budget == 0 {
        return Effort::None;
    }
    // The first budget that is enough; where the next effort has the same one, the next, as the
    // higher word is the more widely known.
    let (mut found, mut enough) = (Effort::XHigh, u64::MAX);
    for (effort, limit) in EFFORTS.into_iter().zip(*budgets).rev() {
        if budget <= limit && limit < enough {
            (found, enough) = (effort, limit);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Target;

    #[test]
    fn budgets_become_efforts() {
        let budgets = Target::default().budgets;
        let rows = [
            (0, Effort::None),
            (1, Effort::Low),
            (1024, Effort::Low),
            (1025, Effort::Medium),
            (8192, Effort::Medium),
            (8193, Effort::High),
            (24576, Effort::High),
            (31999, Effort::XHigh),
            (u64::MAX, Effort::XHigh),
        ];
        for (budget, expected) in rows {
            assert_eq!(effort_of(budget, &budgets), expected, "{budget}");
        }
        assert_eq!(effort_of(500, &[512, 1024, 2048, 4096, 8192, 16384]), Effort::Minimal);
    }
}
