//! The tool calls of a message.

use crate::protocol::json::{ArrayWriter, Cursor, JsonError, JsonStr, Kind, ObjectWriter, Raw};
use crate::protocol::model::{
    Content, Part, Rest, Seal, SealKind, Spelling, ToolArguments, ToolCall, ToolCallKind, Vendor,
};
use crate::protocol::wire::lenient;

/// The member of the one call that there was before `tool_calls`.
const LEGACY: &str = "function_call";

/// Reads an item of `tool_calls`.
pub(super) fn read<'a>(c: &mut Cursor<'a>) -> Result<Part<'a>, JsonError> {
    let mut call = new_call();
    let mut rest = Rest::default();
    let (mut raw_function, mut type_word) = (None, None);
    call.spelling.set(Spelling::NO_ID);
    call.spelling.set(Spelling::NO_ARGUMENTS);
    c.object(|key, c| {
        match &*key.decode() {
            "id" => {
                let id = lenient(Kind::String, &key, c, &mut rest, Cursor::string)?;
                call.id = id.unwrap_or_default();
                call.spelling.clear(Spelling::NO_ID);
            }
            "type" => type_word = Some((key.clone(), c.raw()?)),
            name @ ("function" | "custom") if c.kind()? == Kind::Object => {
                call.spelling.clear(Spelling::NO_ARGUMENTS);
                if name == "custom" {
                    call.kind = ToolCallKind::Custom;
                }
                let whole = c.clone();
                if read_inner(c, &mut call)? {
                    raw_function = Some((key.clone(), c.since(&whole)));
                }
            }
            "extra_content" => {
                let raw = c.raw()?;
                call.seal = thought_signature(&raw);
                rest.keep(key.clone(), raw);
            }
            _ => rest.keep(key.clone(), c.raw()?),
        }
        Ok(())
    })?;
    if let Some((key, raw)) = raw_function {
        rest.keep(key, raw);
    }
    // `function` or `custom`: told by the member. Some vendors leave it out or say `"null"`.
    match type_word {
        None => call.spelling.set(Spelling::NO_TYPE),
        Some((_, raw)) if raw.source_str().is_some_and(|word| word == *kind_word(call.kind)) => {}
        Some((key, raw)) => rest.keep(key, raw),
    }
    Ok(Part { rest, ..Part::new(Content::ToolCall(call)) })
}

/// Reads a legacy `function_call`.
pub(super) fn read_legacy<'a>(c: &mut Cursor<'a>) -> Result<Part<'a>, JsonError> {
    let mut call = new_call();
    call.spelling.set(Spelling::LEGACY_FUNCTIONS);
    let mut rest = Rest::default();
    let whole = c.clone();
    if read_inner(c, &mut call)? {
        rest.keep(JsonStr::from_plain(LEGACY), c.since(&whole));
    }
    Ok(Part { rest, ..Part::new(Content::ToolCall(call)) })
}

fn new_call<'a>() -> ToolCall<'a> {
    ToolCall {
        id: JsonStr::default(),
        name: JsonStr::default(),
        arguments: ToolArguments::Text(JsonStr::default()),
        kind: ToolCallKind::Function,
        seal: None,
        item_id: None,
        spelling: Spelling::default(),
    }
}

/// Reads name and arguments; true when there are members beside them, or not both.
fn read_inner<'a>(c: &mut Cursor<'a>, call: &mut ToolCall<'a>) -> Result<bool, JsonError> {
    let (mut more, mut known) = (false, 0);
    c.object(|key, c| {
        let kind = c.kind()?;
        known += 1;
        match &*key.decode() {
            "name" if kind == Kind::String => call.name = c.string()?,
            "arguments" | "input" if kind == Kind::String => {
                call.arguments = ToolArguments::Text(c.string()?);
            }
            "arguments" if kind == Kind::Object => call.arguments = ToolArguments::Json(c.raw()?),
            _ => {
                c.raw()?;
                more = true;
            }
        }
        Ok(())
    })?;
    Ok(more || known < 2)
}

/// The seal that Gemini's own Chat endpoint puts on a call.
pub(super) fn thought_signature<'a>(extra: &Raw<'a>) -> Option<Seal<'a>> {
    let mut found = None;
    let walked = extra.source_cursor()?.object(|key, c| {
        if key != "google" || c.kind()? != Kind::Object {
            return c.raw().map(drop);
        }
        c.object(|key, c| {
            let raw = c.raw()?;
            if key == "thought_signature" {
                found = raw.source_str();
            }
            Ok(())
        })
    });
    walked.ok()?;
    found.map(|data| Seal { vendor: Vendor::Gemini, kind: SealKind::ThoughtSignature, data })
}

/// Writes the calls among the parts. `own` says that they came from Chat.
pub(super) fn write(
    object: &mut ObjectWriter<'_>,
    parts: &[Part<'_>],
    own: bool,
    mut id_of: impl FnMut(&ToolCall<'_>) -> Option<String>,
) {
    if let Some(legacy) = calls(parts).find(|(_, call)| is_legacy(call, own)) {
        let (part, call) = legacy;
        match part.rest.get(LEGACY) {
            Some(raw) => object.raw(LEGACY, raw),
            None => object.object(LEGACY, |inner| write_inner(inner, call, own)),
        }
    }
    if calls(parts).any(|(_, call)| !is_legacy(call, own)) {
        object.array("tool_calls", |items| {
            for (part, call) in calls(parts).filter(|(_, call)| !is_legacy(call, own)) {
                write_call(items, part, call, id_of(call), own);
            }
        });
    }
}

fn is_legacy(call: &ToolCall<'_>, own: bool) -> bool {
    own && call.spelling.has(Spelling::LEGACY_FUNCTIONS)
}

fn calls<'p, 'a>(parts: &'p [Part<'a>]) -> impl Iterator<Item = (&'p Part<'a>, &'p ToolCall<'a>)> {
    parts.iter().filter_map(|part| match &part.content {
        Content::ToolCall(call) => Some((part, call)),
        _ => None,
    })
}

fn write_call(
    items: &mut ArrayWriter<'_>,
    part: &Part<'_>,
    call: &ToolCall<'_>,
    id: Option<String>,
    own: bool,
) {
    items.object(|object| {
        match id {
            Some(id) => object.plain("id", &id),
            None if own
                && (call.spelling.has(Spelling::NO_ID) || part.rest.get("id").is_some()) => {}
            None => object.str("id", &call.id),
        }
        let kind = kind_word(call.kind);
        if !own || !(call.spelling.has(Spelling::NO_TYPE) || part.rest.get("type").is_some()) {
            object.plain("type", kind);
        }
        if !own || !(call.spelling.has(Spelling::NO_ARGUMENTS) || part.rest.get(kind).is_some()) {
            object.object(kind, |inner| write_inner(inner, call, own));
        }
        if own {
            part.rest.write(object);
        } else if let Some(seal) = &call.seal {
            write_extra(object, seal);
        }
    });
}

/// The `type` of a call, and the name of the member that holds it.
pub(super) fn kind_word(kind: ToolCallKind) -> &'static str {
    match kind {
        ToolCallKind::Function => "function",
        ToolCallKind::Custom => "custom",
    }
}

/// The name of the member that holds the arguments.
pub(super) fn arguments_word(kind: ToolCallKind) -> &'static str {
    match kind {
        ToolCallKind::Function => "arguments",
        ToolCallKind::Custom => "input",
    }
}

fn write_inner(inner: &mut ObjectWriter<'_>, call: &ToolCall<'_>, own: bool) {
    inner.str("name", &call.name);
    let name = arguments_word(call.kind);
    match &call.arguments {
        ToolArguments::Json(raw) if own => inner.raw(name, raw),
        // Clients parse what stands here.
        _ if !own && call.kind == ToolCallKind::Function && says_nothing(&call.arguments) => {
            inner.plain(name, "{}");
        }
        ToolArguments::Text(text) => inner.str(name, text),
        ToolArguments::Json(raw) => inner.plain(name, raw.as_str()),
    }
}

fn says_nothing(arguments: &ToolArguments<'_>) -> bool {
    match arguments {
        ToolArguments::Text(text) => text.is_empty(),
        ToolArguments::Json(raw) => raw.kind() == Kind::Null,
    }
}

/// Writes Gemini's seal where Gemini's own Chat endpoint has it.
pub(super) fn write_extra(object: &mut ObjectWriter<'_>, seal: &Seal<'_>) {
    if seal.vendor == Vendor::Gemini {
        object.object("extra_content", |extra| {
            extra.object("google", |google| google.str("thought_signature", &seal.data));
        });
    }
}
