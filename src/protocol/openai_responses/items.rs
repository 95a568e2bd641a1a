//! The items of a conversation, read one by one.

use super::content::{self, Contents, Side};
use super::reasoning;
use crate::protocol::json::{Cursor, JsonStr, Kind, Raw};
use crate::protocol::model::{
    Content, Part, Rest, Role, Spelling, ToolArguments, ToolCall, ToolCallKind, ToolResult,
};
use crate::protocol::wire::{Result, keep, nullable, skip};

/// One item.
#[derive(Debug)]
pub(super) enum Item<'a> {
    /// Words and media.
    Message(Message<'a>),
    /// Anything else that one side said or did; a call of a tool with its namespace.
    Part(Role, Part<'a>, Option<JsonStr<'a>>),
    /// Tools that may be called from here on.
    Tools(Raw<'a>),
}

/// An item of type `message`, or an easy one without a type.
#[derive(Debug)]
pub(super) struct Message<'a> {
    pub(super) author: Author,
    pub(super) contents: Contents<'a>,
    /// Members not understood. Its source is there where it does not stand as it would be written.
    pub(super) rest: Rest<'a>,
    pub(super) raw: Raw<'a>,
}

/// Who a message is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Author {
    User,
    Assistant,
    System,
    Developer,
}

impl Author {
    fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "user" => Self::User,
            "assistant" => Self::Assistant,
            "system" => Self::System,
            "developer" => Self::Developer,
            _ => return None,
        })
    }
}

/// Reads one item. One of an unknown type, or without what its type demands, is kept whole.
pub(super) fn read<'a>(c: &mut Cursor<'a>) -> Result<Item<'a>> {
    let kind = kind_of(c);
    let word = kind.decode();
    let mut ahead = c.clone();
    let known = match &*word {
        "message" => {
            let message = message(&mut ahead)?;
            if message.is_some() {
                *c = ahead;
            }
            message.map(Item::Message)
        }
        "additional_tools" => return Ok(Item::Tools(c.raw()?)),
        _ => part(&word, &mut ahead)?.map(|(part, namespace)| {
            *c = ahead;
            Item::Part(side_of(&word), part, namespace)
        }),
    };
    match known {
        Some(item) => Ok(item),
        None => {
            let raw = c.raw()?;
            let role = side_of(&word);
            let kind = kind.clone();
            Ok(Item::Part(role, Part::new(Content::Other { kind, raw }), None))
        }
    }
}

/// The type of the item; a message and a reference may stand without.
fn kind_of<'a>(c: &Cursor<'a>) -> JsonStr<'a> {
    c.peek_str("type").unwrap_or_else(|| {
        JsonStr::from_plain(match (c.peek_str("role"), c.peek_str("id")) {
            (Some(_), _) => "message",
            (None, Some(_)) => "item_reference",
            (None, None) => "",
        })
    })
}

/// Which side did what the type names. What is not surely the model's counts as the caller's: the
/// model would miss what it was told, and a writer of another protocol says so.
fn side_of(kind: &str) -> Role {
    match kind {
        "reasoning" | "mcp_list_tools" | "mcp_approval_request" => Role::Assistant,
        kind if kind.ends_with("_call") => Role::Assistant,
        _ => Role::User,
    }
}

fn message<'a>(c: &mut Cursor<'a>) -> Result<Option<Message<'a>>> {
    let author = c.peek_str("role").and_then(|role| Author::from_word(&role.decode()));
    let Some(author) = author else { return Ok(None) };
    let side = if author == Author::Assistant { Side::Output } else { Side::Input };
    let start = c.clone();
    let mut rest = Rest::default();
    let (mut contents, mut typed, mut odd) = (None, false, false);
    c.object(|key, c| {
        match &*key.decode() {
            "type" => {
                typed = true;
                skip(c)?;
            }
            "role" => skip(c)?,
            "content" => contents = nullable(&key, c, &mut rest, |c| content::read(side, c))?,
            // They name the item at the vendor, and mean nothing to anybody else.
            "id" | "status" => {
                odd = true;
                skip(c)?;
            }
            _ => keep(&key, c, &mut rest)?,
        }
        Ok(())
    })?;
    let raw = c.since(&start);
    if odd || !typed || contents.is_none() {
        rest.keep_source(raw.clone());
    }
    Ok(Some(Message { author, contents: contents.unwrap_or_default(), rest, raw }))
}

type Called<'a> = Option<(Part<'a>, Option<JsonStr<'a>>)>;

fn part<'a>(kind: &str, c: &mut Cursor<'a>) -> Result<Called<'a>> {
    let alone = |part: Option<Part<'a>>| part.map(|part| (part, None));
    match kind {
        "function_call" => call(ToolCallKind::Function, c),
        "custom_tool_call" => call(ToolCallKind::Custom, c),
        "function_call_output" => output(ToolCallKind::Function, c).map(alone),
        "custom_tool_call_output" => output(ToolCallKind::Custom, c).map(alone),
        "reasoning" => reasoning::read(c).map(alone),
        _ => Ok(None),
    }
}

/// Reads a call of a tool that the caller runs, and the namespace that it names.
pub(super) fn call<'a>(kind: ToolCallKind, c: &mut Cursor<'a>) -> Result<Called<'a>> {
    let whole = c.clone();
    let mut rest = Rest::default();
    let (mut id, mut name, mut item_id, mut namespace) = (None, None, None, None);
    let (mut arguments, mut odd) = (None, false);
    c.object(|key, c| {
        match (&*key.decode(), kind) {
            ("type", _) => skip(c)?,
            ("call_id", _) => id = nullable(&key, c, &mut rest, Cursor::string)?,
            ("name", _) => name = nullable(&key, c, &mut rest, Cursor::string)?,
            ("id", _) => item_id = nullable(&key, c, &mut rest, Cursor::string)?,
            ("namespace", _) => namespace = nullable(&key, c, &mut rest, Cursor::string)?,
            ("status", _) => {
                odd = true;
                skip(c)?;
            }
            ("arguments", ToolCallKind::Function) if c.kind()? == Kind::Object => {
                odd = true;
                arguments = Some(ToolArguments::Json(c.raw()?));
            }
            ("arguments", ToolCallKind::Function) | ("input", ToolCallKind::Custom) => {
                let text = nullable(&key, c, &mut rest, Cursor::string)?;
                arguments = text.map(ToolArguments::Text);
            }
            _ => keep(&key, c, &mut rest)?,
        }
        Ok(())
    })?;
    let (Some(id), Some(name)) = (id, name) else { return Ok(None) };
    if odd || arguments.is_none() || namespace.is_some() {
        rest.keep_source(c.since(&whole));
    }
    let call = ToolCall {
        id,
        name,
        arguments: arguments.unwrap_or(ToolArguments::Text(JsonStr::default())),
        kind,
        seal: None,
        item_id,
        spelling: Spelling::default(),
    };
    let part = Part { rest, ..Part::new(Content::ToolCall(call)) };
    Ok(Some((part, namespace)))
}

fn output<'a>(kind: ToolCallKind, c: &mut Cursor<'a>) -> Result<Option<Part<'a>>> {
    let whole = c.clone();
    let mut rest = Rest::default();
    let (mut call_id, mut contents, mut odd) = (None, None, false);
    c.object(|key, c| {
        match &*key.decode() {
            "type" => skip(c)?,
            "call_id" => call_id = nullable(&key, c, &mut rest, Cursor::string)?,
            "output" => {
                contents = nullable(&key, c, &mut rest, |c| content::read(Side::Input, c))?;
            }
            "id" | "status" => {
                odd = true;
                skip(c)?;
            }
            _ => keep(&key, c, &mut rest)?,
        }
        Ok(())
    })?;
    let Some(call_id) = call_id else { return Ok(None) };
    if odd || contents.is_none() {
        rest.keep_source(c.since(&whole));
    }
    let Contents { parts, plain } = contents.unwrap_or_default();
    let result = ToolResult {
        call_id,
        name: None,
        parts,
        plain,
        is_error: None,
        kind,
        spelling: Spelling::default(),
    };
    Ok(Some(Part { rest, ..Part::new(Content::ToolResult(result)) }))
}
