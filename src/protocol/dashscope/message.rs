//! One message, of a request or of an answer.

use super::content::{self, Body, texts};
use crate::protocol::json::{ArrayWriter, Cursor, JsonStr, Kind, ObjectWriter, Raw};
use crate::protocol::model::{
    Content, Part, Rest, Seal, SealKind, Spelling, ToolArguments, ToolCall, ToolCallKind, Vendor,
};
use crate::protocol::wire::{Result, lenient, push_joined};

/// The members of a message, whatever its role.
#[derive(Debug, Default)]
pub(super) struct Message<'a> {
    pub(super) role: Option<JsonStr<'a>>,
    pub(super) body: Body<'a>,
    name: Option<Raw<'a>>,
    call_id: Option<Raw<'a>>,
    /// Some SDKs name the call of a result so.
    id: Option<Raw<'a>>,
    partial: Option<Raw<'a>>,
    reasoning: Option<JsonStr<'a>>,
    signature: Option<JsonStr<'a>>,
    calls: Vec<Part<'a>>,
    rest: Rest<'a>,
}

/// What the model said.
#[derive(Default)]
pub(super) struct Said<'a> {
    pub(super) parts: Vec<Part<'a>>,
    pub(super) spelling: Spelling,
    pub(super) rest: Rest<'a>,
}

impl<'a> Message<'a> {
    pub(super) fn read(c: &mut Cursor<'a>) -> Result<Self> {
        let mut message = Self::default();
        c.object(|key, c| message.member(&key, c))?;
        Ok(message)
    }

    fn member(&mut self, key: &JsonStr<'a>, c: &mut Cursor<'a>) -> Result<()> {
        let rest = &mut self.rest;
        match &*key.decode() {
            "role" => self.role = lenient(Kind::String, key, c, rest, Cursor::string)?,
            "content" => self.body = content::read(key, c, rest)?,
            "name" => self.name = lenient(Kind::String, key, c, rest, Cursor::raw)?,
            "tool_call_id" => self.call_id = lenient(Kind::String, key, c, rest, Cursor::raw)?,
            "id" => self.id = lenient(Kind::String, key, c, rest, Cursor::raw)?,
            "partial" => self.partial = lenient(Kind::Bool, key, c, rest, Cursor::raw)?,
            "reasoning_content" => self.reasoning = said_text(key, c, rest)?,
            "reasoning_signature" => self.signature = said_text(key, c, rest)?,
            "tool_calls" if c.kind()? == Kind::Array => {
                let whole = c.clone();
                c.array(|position, c| {
                    self.calls.push(read_call(position, c)?);
                    Ok(())
                })?;
                if self.calls.is_empty() {
                    rest.keep(key.clone(), c.since(&whole));
                }
            }
            _ => rest.keep(key.clone(), c.raw()?),
        }
        Ok(())
    }

    /// Whether it holds what only the model says.
    pub(super) fn is_said(&self) -> bool {
        self.reasoning.is_some() || !self.calls.is_empty()
    }

    /// The author.
    pub(super) fn take_name(&mut self) -> Option<JsonStr<'a>> {
        self.name.take().as_ref().and_then(Raw::source_str)
    }

    /// The id of the call that it answers, and whether that stood under another name.
    pub(super) fn take_call_id(&mut self) -> (JsonStr<'a>, bool) {
        let other = self.call_id.is_none();
        let id = self.call_id.take().or_else(|| self.id.take());
        (id.as_ref().and_then(Raw::source_str).unwrap_or_default(), other)
    }

    /// Whether the model is to go on from here.
    pub(super) fn take_partial(&mut self) -> bool {
        let is_true = self.partial.as_ref().is_some_and(|raw| raw.as_str() == "true");
        if is_true {
            self.partial = None;
        }
        is_true
    }

    /// The members that nobody took or understood.
    pub(super) fn take_rest(&mut self) -> Rest<'a> {
        let mut rest = std::mem::take(&mut self.rest);
        for (name, raw) in [
            ("name", self.name.take()),
            ("tool_call_id", self.call_id.take()),
            ("id", self.id.take()),
            ("partial", self.partial.take()),
        ] {
            if let Some(raw) = raw {
                rest.keep(JsonStr::from_plain(name), raw);
            }
        }
        rest
    }

    /// The message of an assistant: thinking, words, calls, in this order.
    pub(super) fn said(mut self) -> Said<'a> {
        let rest = self.take_rest();
        let Self { body, reasoning, signature, calls, .. } = self;
        let (mut parts, mut spelling) = (Vec::new(), Spelling::default());
        if reasoning.is_some() || signature.is_some() {
            let seal = signature.map(|data| Seal {
                vendor: Vendor::DashScope,
                kind: SealKind::Signature,
                data,
            });
            let content = Content::Reasoning { text: reasoning, seal, id: None, raw: None };
            parts.push(Part::new(content));
        }
        let (words, plain) = body.into_parts();
        if plain {
            spelling.set(Spelling::PLAIN_CONTENT);
        }
        parts.extend(words);
        parts.extend(calls);
        Said { parts, spelling, rest }
    }
}

/// Reads a text; an empty one says nothing and is kept.
fn said_text<'a>(
    key: &JsonStr<'a>,
    c: &mut Cursor<'a>,
    rest: &mut Rest<'a>,
) -> Result<Option<JsonStr<'a>>> {
    let text = lenient(Kind::String, key, c, rest, Cursor::string)?;
    if text.as_ref().is_some_and(JsonStr::is_empty) {
        rest.keep(key.clone(), Raw::literal("\"\""));
        return Ok(None);
    }
    Ok(text)
}

/// Reads an item of `tool_calls`. One in an unusual form is kept whole beside what is understood.
fn read_call<'a>(position: usize, c: &mut Cursor<'a>) -> Result<Part<'a>> {
    let mut call = ToolCall {
        id: JsonStr::default(),
        name: JsonStr::default(),
        arguments: ToolArguments::Text(JsonStr::default()),
        kind: ToolCallKind::Function,
        seal: None,
        item_id: None,
        spelling: Spelling::default(),
    };
    let whole = c.clone();
    let mut rest = Rest::default();
    // Id, type and function: the form that is written back.
    let mut usual = 0;
    call.spelling.set(Spelling::NO_INDEX);
    c.object(|key, c| {
        match &*key.decode() {
            "id" if c.kind()? == Kind::String => {
                call.id = c.string()?;
                usual += 1;
            }
            "type" => {
                let raw = c.raw()?;
                usual += usize::from(raw.as_str() == "\"function\"");
            }
            "index" => {
                let raw = c.raw()?;
                if raw.as_u64() == u64::try_from(position).ok() {
                    call.spelling.clear(Spelling::NO_INDEX);
                } else {
                    usual = usize::MAX / 2;
                }
            }
            "function" if c.kind()? == Kind::Object => {
                usual += usize::from(read_function(c, &mut call)?);
            }
            _ => rest.keep(key.clone(), c.raw()?),
        }
        Ok(())
    })?;
    if usual != 3 {
        rest.keep_source(c.since(&whole));
    }
    Ok(Part { rest, ..Part::new(Content::ToolCall(call)) })
}

/// Reads name and arguments; true when there is nothing else.
fn read_function<'a>(c: &mut Cursor<'a>, call: &mut ToolCall<'a>) -> Result<bool> {
    let (mut known, mut more) = (0, false);
    c.object(|key, c| {
        let kind = c.kind()?;
        match &*key.decode() {
            "name" if kind == Kind::String => {
                call.name = c.string()?;
                known += 1;
            }
            "arguments" if kind == Kind::String => {
                call.arguments = ToolArguments::Text(c.string()?);
                known += 1;
            }
            "arguments" if kind == Kind::Object => {
                call.arguments = ToolArguments::Json(c.raw()?);
                known += 1;
            }
            _ => {
                c.raw()?;
                more = true;
            }
        }
        Ok(())
    })?;
    Ok(known == 2 && !more)
}

/// The calls among the parts.
pub(super) fn calls<'p, 'a>(
    parts: &'p [Part<'a>],
) -> impl Iterator<Item = (&'p Part<'a>, &'p ToolCall<'a>)> {
    parts.iter().filter_map(|part| match &part.content {
        Content::ToolCall(call) => Some((part, call)),
        _ => None,
    })
}

/// Writes the members of a message of the model that came from DashScope, beside its role.
pub(super) fn write_own(object: &mut ObjectWriter<'_>, parts: &[Part<'_>], plain: bool) {
    if plain {
        push_joined(object.key("content"), texts(parts), "");
    } else {
        let listed = |part: &&Part<'_>| {
            !matches!(part.content, Content::Reasoning { .. } | Content::ToolCall(_))
        };
        if parts.iter().any(|part| listed(&part)) {
            object.array("content", |list| {
                parts.iter().filter(listed).for_each(|part| content::write_part(list, part));
            });
        }
    }
    write_thoughts(object, parts);
    write_calls(object, parts, true, |_| None);
}

/// Writes `reasoning_content`, and the seal that is on it.
pub(super) fn write_thoughts(object: &mut ObjectWriter<'_>, parts: &[Part<'_>]) {
    let thoughts = || {
        parts.iter().filter_map(|part| match &part.content {
            Content::Reasoning { text, seal, .. } => Some((text.as_ref(), seal.as_ref())),
            _ => None,
        })
    };
    if thoughts().any(|(text, _)| text.is_some()) {
        let texts = thoughts().filter_map(|(text, _)| text);
        push_joined(object.key("reasoning_content"), texts, "\\n");
    }
    if let Some(seal) = thoughts().filter_map(|(_, seal)| seal).find(|seal| is_ours(seal)) {
        object.str("reasoning_signature", &seal.data);
    }
}

/// Whether a seal may stand in `reasoning_signature`: the SDK passes on what it finds there.
pub(super) fn is_ours(seal: &Seal<'_>) -> bool {
    matches!(seal.vendor, Vendor::DashScope | Vendor::Gateway)
}

/// Writes `tool_calls`, if there are any.
pub(super) fn write_calls(
    object: &mut ObjectWriter<'_>,
    parts: &[Part<'_>],
    own: bool,
    mut id_of: impl FnMut(&ToolCall<'_>) -> Option<String>,
) {
    if calls(parts).next().is_none() {
        return;
    }
    object.array("tool_calls", |items| {
        for (index, (part, call)) in calls(parts).enumerate() {
            match part.rest.source().filter(|_| own) {
                Some(source) => items.item().extend_from_slice(source.as_str().as_bytes()),
                None => write_call(items, index, call, id_of(call), own, &part.rest),
            }
        }
    });
}

fn write_call(
    items: &mut ArrayWriter<'_>,
    index: usize,
    call: &ToolCall<'_>,
    id: Option<String>,
    own: bool,
    rest: &Rest<'_>,
) {
    items.object(|object| {
        if !(own && call.spelling.has(Spelling::NO_INDEX)) {
            object.u64("index", index as u64);
        }
        match id {
            Some(id) => object.plain("id", &id),
            None => object.str("id", &call.id),
        }
        object.plain("type", "function");
        object.object("function", |inner| {
            inner.str("name", &call.name);
            match &call.arguments {
                ToolArguments::Json(raw) if own => inner.raw("arguments", raw),
                ToolArguments::Json(raw) if raw.kind() != Kind::Null => {
                    inner.plain("arguments", raw.as_str());
                }
                ToolArguments::Text(text) if own || !text.is_empty() => {
                    inner.str("arguments", text);
                }
                // Clients parse what stands here.
                _ => inner.plain("arguments", "{}"),
            }
        });
        if own {
            rest.write(object);
        }
    });
}
