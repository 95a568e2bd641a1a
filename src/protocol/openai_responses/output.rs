//! The items of an answer, read one by one.
//!
//! Where a wrong detail must not cost the answer, it counts as absent: servers that speak the
//! protocol are many.

use super::finish::Seen;
use crate::protocol::json::{Cursor, JsonStr, Kind, Raw};
use crate::protocol::model::{
    Content, Part, Rest, Seal, SealKind, Spelling, ToolArguments, ToolCall, ToolCallKind, Vendor,
};
use crate::protocol::wire::{Result, is_empty_list, join, keep, skip};

/// An item of `output`.
pub(super) struct Item<'a> {
    pub(super) id: JsonStr<'a>,
    pub(super) body: Body<'a>,
    /// Members not understood.
    pub(super) rest: Rest<'a>,
    /// The item as it stood.
    pub(super) raw: Raw<'a>,
}

/// What an item is.
pub(super) enum Body<'a> {
    Message(Vec<Piece<'a>>),
    Reasoning(Thought<'a>),
    Call(Call<'a>),
    /// Tools that the vendor runs, and what is yet unknown, by its type.
    Other(JsonStr<'a>),
}

/// A part of a message.
pub(super) struct Piece<'a> {
    pub(super) form: Form,
    pub(super) text: JsonStr<'a>,
    pub(super) annotations: Option<Raw<'a>>,
    pub(super) logprobs: Option<Raw<'a>>,
    pub(super) rest: Rest<'a>,
    pub(super) raw: Raw<'a>,
}

/// What a part of a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    Refusal,
    Other,
}

/// An item of thinking.
#[derive(Default)]
pub(super) struct Thought<'a> {
    pub(super) summary: Texts<'a>,
    /// The thinking itself; OpenAI shows none, clones do.
    pub(super) content: Texts<'a>,
    pub(super) seal: Option<Seal<'a>>,
}

/// The texts of a list.
#[derive(Default)]
pub(super) struct Texts<'a> {
    pub(super) texts: Vec<JsonStr<'a>>,
    raw: Option<Raw<'a>>,
}

/// A call of a tool that the caller runs.
pub(super) struct Call<'a> {
    pub(super) kind: ToolCallKind,
    pub(super) call_id: JsonStr<'a>,
    pub(super) name: JsonStr<'a>,
    pub(super) arguments: JsonStr<'a>,
}

impl<'a> Item<'a> {
    /// Reads an item.
    pub(super) fn read(c: &mut Cursor<'a>) -> Result<Self> {
        let mut ahead = c.clone();
        let raw = c.raw()?;
        let mut item = Self {
            id: JsonStr::default(),
            body: Body::Other(kind_of(&ahead)),
            rest: Rest::default(),
            raw,
        };
        if item.raw.kind() != Kind::Object {
            return Ok(item);
        }
        let Body::Other(kind) = &item.body else { return Ok(item) };
        match &*kind.clone().decode() {
            "message" => item.message(&mut ahead)?,
            "reasoning" => item.reasoning(&mut ahead)?,
            "function_call" => item.call(ToolCallKind::Function, &mut ahead)?,
            "custom_tool_call" => item.call(ToolCallKind::Custom, &mut ahead)?,
            _ => item.id = ahead.peek_str("id").unwrap_or_default(),
        }
        Ok(item)
    }

    /// Reads the item that stands in a list.
    pub(super) fn of(raw: &Raw<'a>) -> Option<Self> {
        Self::read(&mut raw.source_cursor()?).ok()
    }

    fn message(&mut self, c: &mut Cursor<'a>) -> Result<()> {
        let mut pieces = Vec::new();
        c.object(|key, c| {
            match (&*key.decode(), c.kind()?) {
                ("type" | "role" | "status", _) => skip(c)?,
                ("id", Kind::String) => self.id = c.string()?,
                ("content", Kind::Array) => c.array(|_, c| {
                    pieces.push(Piece::read(c)?);
                    Ok(())
                })?,
                // Clones that know only words.
                ("content", Kind::String) => pieces.push(Piece::plain(c)?),
                _ => keep(&key, c, &mut self.rest)?,
            }
            Ok(())
        })?;
        self.body = Body::Message(pieces);
        Ok(())
    }

    fn reasoning(&mut self, c: &mut Cursor<'a>) -> Result<()> {
        let mut thought = Thought::default();
        c.object(|key, c| {
            match (&*key.decode(), c.kind()?) {
                ("type" | "status", _) => skip(c)?,
                ("id", Kind::String) => self.id = c.string()?,
                ("summary", Kind::Array) => thought.summary = Texts::read(c)?,
                ("content", Kind::Array) => thought.content = Texts::read(c)?,
                ("encrypted_content", Kind::String) => {
                    let data = c.string()?;
                    let (vendor, kind) = (Vendor::OpenAi, SealKind::Encrypted);
                    thought.seal = Some(Seal { vendor, kind, data });
                }
                _ => keep(&key, c, &mut self.rest)?,
            }
            Ok(())
        })?;
        thought.seal = thought.seal.filter(|seal| !seal.data.is_empty());
        self.body = Body::Reasoning(thought);
        Ok(())
    }

    fn call(&mut self, kind: ToolCallKind, c: &mut Cursor<'a>) -> Result<()> {
        let mut call = Call {
            kind,
            call_id: JsonStr::default(),
            name: JsonStr::default(),
            arguments: JsonStr::default(),
        };
        c.object(|key, c| {
            match (&*key.decode(), c.kind()?) {
                ("type" | "status", _) => skip(c)?,
                ("id", Kind::String) => self.id = c.string()?,
                ("call_id", Kind::String) => call.call_id = c.string()?,
                ("name", Kind::String) => call.name = c.string()?,
                ("arguments" | "input", Kind::String) => call.arguments = c.string()?,
                ("arguments" | "input", Kind::Object) => {
                    call.arguments = JsonStr::from_plain(c.raw()?.as_str().to_owned());
                }
                _ => keep(&key, c, &mut self.rest)?,
            }
            Ok(())
        })?;
        // Clones that know one id only.
        if call.call_id.is_empty() {
            call.call_id = self.id.clone();
        }
        self.body = Body::Call(call);
        Ok(())
    }

    /// Appends the item as parts of the hub. Its first part keeps it as it stood.
    pub(super) fn into_parts(self, parts: &mut Vec<Part<'a>>, seen: &mut Seen) {
        let Self { id, body, rest, raw } = self;
        let first = parts.len();
        match body {
            // It is empty, but it was there.
            Body::Message(pieces) if pieces.is_empty() => {
                parts.push(Part::text(JsonStr::default()));
            }
            Body::Message(pieces) => parts.extend(pieces.into_iter().map(|piece| {
                seen.refusal |= piece.form == Form::Refusal;
                piece.into_part()
            })),
            Body::Reasoning(thought) => parts.push(thought.into_part(id)),
            Body::Call(call) => {
                seen.call = true;
                parts.push(call.into_part(id));
            }
            Body::Other(kind) => {
                parts.push(Part::new(Content::Other { kind, raw: raw.clone() }));
            }
        }
        if let Some(part) = parts.get_mut(first) {
            part.rest.0.extend(rest.0);
            part.rest.keep_source(raw);
        }
    }
}

/// The type of an item; a message may stand without.
fn kind_of<'a>(c: &Cursor<'a>) -> JsonStr<'a> {
    let message = || c.peek_str("role").map(|_| JsonStr::from_plain("message"));
    c.peek_str("type").or_else(message).unwrap_or_default()
}

impl<'a> Piece<'a> {
    pub(super) fn read(c: &mut Cursor<'a>) -> Result<Self> {
        let mut ahead = c.clone();
        let mut piece = Self {
            form: Form::Other,
            text: JsonStr::default(),
            annotations: None,
            logprobs: None,
            rest: Rest::default(),
            raw: c.raw()?,
        };
        if piece.raw.kind() != Kind::Object {
            return Ok(piece);
        }
        piece.form = match ahead.peek_str("type") {
            Some(kind) if kind == "output_text" || kind == "text" => Form::Text,
            Some(kind) if kind == "refusal" => Form::Refusal,
            None if ahead.peek_str("text").is_some() => Form::Text,
            _ => return Ok(piece),
        };
        ahead.object(|key, c| {
            match (&*key.decode(), c.kind()?) {
                ("type", _) => skip(c)?,
                ("text" | "refusal", Kind::String) => piece.text = c.string()?,
                ("annotations", Kind::Array) => piece.annotations = Some(c.raw()?),
                ("logprobs", Kind::Array) => piece.logprobs = Some(c.raw()?),
                _ => keep(&key, c, &mut piece.rest)?,
            }
            Ok(())
        })?;
        piece.annotations = piece.annotations.filter(|raw| !is_empty_list(raw));
        piece.logprobs = piece.logprobs.filter(|raw| !is_empty_list(raw));
        Ok(piece)
    }

    fn plain(c: &mut Cursor<'a>) -> Result<Self> {
        let mut ahead = c.clone();
        Ok(Self {
            form: Form::Text,
            text: ahead.string()?,
            annotations: None,
            logprobs: None,
            rest: Rest::default(),
            raw: c.raw()?,
        })
    }

    /// Its `type`.
    pub(super) fn kind(&self) -> JsonStr<'a> {
        let kind = self.raw.source_cursor().and_then(|c| c.peek_str("type"));
        kind.unwrap_or_default()
    }

    fn into_part(self) -> Part<'a> {
        let content = match self.form {
            Form::Text => Content::Text { text: self.text, citations: self.annotations },
            Form::Refusal => Content::Refusal(self.text),
            Form::Other => Content::Other { kind: self.kind(), raw: self.raw },
        };
        Part { rest: self.rest, ..Part::new(content) }
    }
}

impl<'a> Texts<'a> {
    fn read(c: &mut Cursor<'a>) -> Result<Self> {
        let mut texts = Vec::new();
        let mut ahead = c.clone();
        ahead.array(|_, c| {
            let item = c.raw()?;
            let text = item.source_cursor().and_then(|c| c.peek_str("text"));
            texts.push(text.or_else(|| item.source_str()).unwrap_or_default());
            Ok(())
        })?;
        Ok(Self { texts, raw: Some(c.raw()?) })
    }
}

impl<'a> Thought<'a> {
    fn into_part(self, id: JsonStr<'a>) -> Part<'a> {
        let Self { summary, content, seal } = self;
        // A list is kept beside its text where it is the only one and has several.
        let raw = match (summary.texts.len(), content.texts.len()) {
            (2.., 0) => summary.raw,
            (0, 2..) => content.raw,
            _ => None,
        };
        // Summaries first, as in the item; then the thinking itself, where a vendor shows it.
        let texts = summary.texts.into_iter().chain(content.texts);
        Part::new(Content::Reasoning {
            text: join(texts.collect(), SEPARATOR),
            seal,
            id: (!id.is_empty()).then_some(id),
            raw,
        })
    }
}

/// What stands between several texts of thinking: an empty line, escaped.
pub(super) const SEPARATOR: &str = "\\n\\n";

impl<'a> Call<'a> {
    fn into_part(self, id: JsonStr<'a>) -> Part<'a> {
        Part::new(Content::ToolCall(ToolCall {
            id: self.call_id,
            name: self.name,
            arguments: ToolArguments::Text(self.arguments),
            kind: self.kind,
            seal: None,
            item_id: (!id.is_empty()).then_some(id),
            spelling: Spelling::default(),
        }))
    }
}
