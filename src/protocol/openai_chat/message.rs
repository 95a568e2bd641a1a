//! One message, of a request or of an answer.

use bytes::BytesMut;

use super::content::{self, Body};
use super::reasoning::{self, Thoughts};
use crate::protocol::citation::{self, Span};
use crate::protocol::json::{ArrayWriter, Cursor, JsonError, JsonStr, Kind, ObjectWriter, Raw};
use crate::protocol::model::{
    Content, Part, Rest, Seal, SealKind, Spelling, ToolArguments, ToolCall, ToolCallKind, Vendor,
};
use crate::protocol::wire::{lenient, push_joined};

/// The members of a message, whatever its role.
#[derive(Debug, Default)]
pub(super) struct Message<'a> {
    pub(super) role: JsonStr<'a>,
    pub(super) body: Body<'a>,
    name: Option<Raw<'a>>,
    call_id: Option<Raw<'a>>,
    rest: Rest<'a>,
    refusal: Option<JsonStr<'a>>,
    thoughts: Thoughts<'a>,
    annotations: Option<Raw<'a>>,
    calls: Vec<Part<'a>>,
}

/// What the model said.
#[derive(Default)]
pub(super) struct Said<'a> {
    pub(super) parts: Vec<Part<'a>>,
    pub(super) spelling: Spelling,
    pub(super) rest: Rest<'a>,
}

impl<'a> Message<'a> {
    pub(super) fn read(c: &mut Cursor<'a>) -> Result<Self, JsonError> {
        let mut message = Self::default();
        c.object(|key, c| message.member(&key, c))?;
        Ok(message)
    }

    fn member(&mut self, key: &JsonStr<'a>, c: &mut Cursor<'a>) -> Result<(), JsonError> {
        let rest = &mut self.rest;
        match &*key.decode() {
            "role" => self.role = c.string()?,
            "content" => self.body = content::read(key, c, rest)?,
            "name" => self.name = lenient(Kind::String, key, c, rest, Cursor::raw)?,
            "tool_call_id" => self.call_id = lenient(Kind::String, key, c, rest, Cursor::raw)?,
            "refusal" => {
                self.refusal = lenient(Kind::String, key, c, rest, Cursor::string)?;
                if self.refusal.as_ref().is_some_and(JsonStr::is_empty) {
                    self.refusal = None;
                    rest.keep(key.clone(), Raw::literal("\"\""));
                }
            }
            name @ ("reasoning_content" | "reasoning" | "reasoning_details") => {
                if let Some(raw) = self.thoughts.member(name, c)? {
                    rest.keep(key.clone(), raw);
                }
            }
            "annotations" => {
                self.annotations = lenient(Kind::Array, key, c, rest, Cursor::raw)?;
            }
            "tool_calls" if c.kind()? == Kind::Array => {
                let whole = c.clone();
                c.array(|_, c| {
                    self.calls.push(read_call(c)?);
                    Ok(())
                })?;
                if self.calls.is_empty() {
                    rest.keep(key.clone(), c.since(&whole));
                }
            }
            "function_call" if c.kind()? == Kind::Object => {
                self.calls.push(read_function(c)?);
            }
            _ => rest.keep(key.clone(), c.raw()?),
        }
        Ok(())
    }

    /// Whether it holds what only the model says.
    pub(super) fn is_said(&self) -> bool {
        self.refusal.is_some() || !self.thoughts.is_empty() || !self.calls.is_empty()
    }

    /// The author.
    pub(super) fn take_name(&mut self) -> Option<JsonStr<'a>> {
        self.name.take().as_ref().and_then(Raw::source_str)
    }

    /// The id of the call that it answers.
    pub(super) fn take_call_id(&mut self) -> Option<JsonStr<'a>> {
        let id = self.call_id.as_ref().and_then(Raw::source_str).filter(|id| !id.is_empty())?;
        self.call_id = None;
        Some(id)
    }

    /// The members that nobody took or understood.
    pub(super) fn take_rest(&mut self) -> Rest<'a> {
        let mut rest = std::mem::take(&mut self.rest);
        for (name, raw) in [
            ("name", self.name.take()),
            ("tool_call_id", self.call_id.take()),
            ("annotations", self.annotations.take()),
        ] {
            if let Some(raw) = raw {
                rest.keep(JsonStr::from_plain(name), raw);
            }
        }
        rest
    }

    /// The message of an assistant: thinking, words, refusal, calls, in this order.
    pub(super) fn said(mut self) -> Said<'a> {
        let annotations = self.annotations.take();
        let mut rest = self.take_rest();
        let Self { body, refusal, thoughts, calls, .. } = self;
        let (mut parts, mut spelling) = (Vec::new(), Spelling::default());
        thoughts.into_parts(&mut parts, &mut spelling, &mut rest);
        let words = parts.len();
        match body {
            Body::Absent => {}
            Body::Plain(text) => {
                spelling.set(Spelling::PLAIN_CONTENT);
                if !text.is_empty() {
                    parts.push(Part::text(text));
                }
            }
            Body::Parts(list) => parts.extend(list),
        }
        if let Some(raw) = annotations {
            match &mut parts[words..] {
                [Part { content: Content::Text { citations, .. }, .. }] if raw.as_str() != "[]" => {
                    *citations = Some(raw);
                }
                _ => rest.keep(JsonStr::from_plain("annotations"), raw),
            }
        }
        if parts[words..].iter().any(|part| matches!(part.content, Content::Refusal(_))) {
            spelling.set(Spelling::REFUSAL_PART);
        }
        parts.extend(refusal.map(|text| Part::new(Content::Refusal(text))));
        parts.extend(calls);
        Said { parts, spelling, rest }
    }
}

/// Reads an item of `tool_calls`.
fn read_call<'a>(c: &mut Cursor<'a>) -> Result<Part<'a>, JsonError> {
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

/// The member of the one call that there was before `tool_calls`.
const LEGACY: &str = "function_call";

/// Reads a legacy `function_call`.
fn read_function<'a>(c: &mut Cursor<'a>) -> Result<Part<'a>, JsonError> {
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

/// Writes the members of the model's message beside its role. `own` says that it came from Chat.
pub(super) fn write_said(
    object: &mut ObjectWriter<'_>,
    parts: &[Part<'_>],
    spelling: Spelling,
    own: bool,
    mut id_of: impl FnMut(&ToolCall<'_>) -> Option<String>,
) {
    write_words(object, parts, spelling, own);
    reasoning::write(parts, spelling, own, object);
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

/// The texts of the parts.
pub(super) fn texts<'p, 'a>(
    parts: &'p [Part<'a>],
) -> impl Iterator<Item = &'p JsonStr<'a>> + Clone {
    parts.iter().filter_map(|part| match &part.content {
        Content::Text { text, .. } => Some(text),
        _ => None,
    })
}

/// Writes `content`, `refusal` and `annotations`.
fn write_words(object: &mut ObjectWriter<'_>, parts: &[Part<'_>], spelling: Spelling, own: bool) {
    let refusals = parts.iter().filter_map(|part| match &part.content {
        Content::Refusal(text) => Some(text),
        _ => None,
    });
    if own && spelling.has(Spelling::PLAIN_CONTENT) {
        push_joined(object.key("content"), texts(parts), "");
    } else if own {
        write_list(object, parts, spelling);
    } else if texts(parts).any(|text| !text.is_empty()) {
        push_joined(object.key("content"), texts(parts), "");
    } else {
        object.null("content");
    }
    if refusals.clone().next().is_some() && !(own && spelling.has(Spelling::REFUSAL_PART)) {
        push_joined(object.key("refusal"), refusals, "");
    }
    let citations = parts.iter().find_map(|part| match &part.content {
        Content::Text { citations, .. } => citations.as_ref(),
        _ => None,
    });
    if own {
        if let Some(citations) = citations {
            object.raw("annotations", citations);
        }
    } else {
        write_annotations(object, parts);
    }
}

/// Writes what texts of another protocol cite, where Chat can say it; nothing where they cite
/// nothing. The texts are one here: a later one counts its characters behind those before.
fn write_annotations(object: &mut ObjectWriter<'_>, parts: &[Part<'_>]) {
    let cites = |part: &Part<'_>| matches!(part.content, Content::Text { citations: Some(_), .. });
    if !parts.iter().any(cites) {
        // Characters are not counted for nothing: a text may be long.
        return;
    }
    let (mut start, mut list) = (0, BytesMut::new());
    for part in parts {
        let Content::Text { text, citations } = &part.content else { continue };
        let span = Span { start, length: text.decode().chars().count() as u64 };
        start += span.length;
        if let Some(citations) = citations {
            citation::each(&citations.borrow(), |cited| {
                let begun = list.len();
                if begun > 0 {
                    list.extend_from_slice(b",");
                }
                if !citation::write_nested(&cited, span, &mut list) {
                    list.truncate(begun);
                }
            });
        }
    }
    if !list.is_empty() {
        object.array("annotations", |items| items.item().extend_from_slice(&list));
    }
}

/// Writes `content` as the list that it was, if it was one.
fn write_list(object: &mut ObjectWriter<'_>, parts: &[Part<'_>], spelling: Spelling) {
    let listed = |part: &&Part<'_>| match part.content {
        Content::Text { .. } | Content::Media(_) | Content::Other { .. } => true,
        Content::Refusal(_) => spelling.has(Spelling::REFUSAL_PART),
        _ => reasoning::is_listed(part),
    };
    if parts.iter().any(|part| listed(&part)) {
        object.array("content", |items| {
            parts.iter().filter(listed).for_each(|part| content::write_own(items, part));
        });
    }
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

fn write_inner(inner: &mut ObjectWriter<'_>, call: &ToolCall<'_>, own: bool) {
    inner.str("name", &call.name);
    let name = if call.kind == ToolCallKind::Custom { "input" } else { "arguments" };
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
