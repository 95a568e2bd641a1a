//! One chunk of a stream, borrowed. Nothing in it is held to be of the right kind: what is not is
//! as good as absent.

use crate::protocol::json::{Cursor, JsonError, JsonStr, Kind, Raw};
use crate::protocol::model::{Rest, ToolCallKind};

type Read<T> = Result<T, JsonError>;

/// A chunk.
#[derive(Default)]
pub(super) struct Chunk<'a> {
    pub(super) id: JsonStr<'a>,
    pub(super) model: JsonStr<'a>,
    pub(super) created: Option<u64>,
    pub(super) choices: Option<Raw<'a>>,
    pub(super) usage: Option<Raw<'a>>,
    pub(super) error: Option<Raw<'a>>,
    /// It says `message` or `detail`, as error bodies of other servers do.
    pub(super) complains: bool,
    pub(super) rest: Rest<'a>,
}

impl<'a> Chunk<'a> {
    /// Reads a chunk. What is not understood is kept only if `keep_rest`.
    pub(super) fn read(text: &'a str, keep_rest: bool) -> Read<Self> {
        let mut chunk = Self::default();
        let mut c = Cursor::new(text);
        c.object(|key, c| {
            match &*key.decode() {
                "id" => chunk.id = string(c)?.unwrap_or_default(),
                "model" => chunk.model = string(c)?.unwrap_or_default(),
                "created" => chunk.created = c.raw()?.as_u64(),
                "choices" => chunk.choices = of_kind(c, Kind::Array)?,
                "usage" => chunk.usage = of_kind(c, Kind::Object)?,
                "error" => {
                    let raw = c.raw()?;
                    let says = matches!(raw.kind(), Kind::Object | Kind::String);
                    chunk.error = Some(raw).filter(|raw| says && raw.as_str() != "\"\"");
                }
                "object" | "obfuscation" => drop(c.raw()?),
                name => {
                    chunk.complains |= matches!(name, "message" | "detail");
                    let raw = c.raw()?;
                    if keep_rest {
                        chunk.rest.keep(key.clone(), raw);
                    }
                }
            }
            Ok(())
        })?;
        c.end()?;
        Ok(chunk)
    }
}

/// An item of `choices`.
#[derive(Default)]
pub(super) struct Choice<'a> {
    /// Absent in some dialects that know only one.
    pub(super) index: u64,
    pub(super) finish_reason: JsonStr<'a>,
    pub(super) logprobs: Option<Raw<'a>>,
    /// What a router says of its upstream.
    pub(super) error: Option<Raw<'a>>,
    pub(super) delta: ChoiceDelta<'a>,
}

impl<'a> Choice<'a> {
    pub(super) fn read(c: &mut Cursor<'a>) -> Read<Self> {
        let mut choice = Self::default();
        c.object(|key, c| {
            match &*key.decode() {
                "index" => choice.index = c.raw()?.as_u64().unwrap_or(0),
                "finish_reason" => choice.finish_reason = string(c)?.unwrap_or_default(),
                "logprobs" => choice.logprobs = of_kind(c, Kind::Object)?,
                "error" => choice.error = of_kind(c, Kind::Object)?,
                // A server that does not stream sends the message in one chunk.
                "delta" | "message" if c.kind()? == Kind::Object => choice.delta.read(c)?,
                _ => drop(c.raw()?),
            }
            Ok(())
        })?;
        Ok(choice)
    }
}

/// What a chunk adds to a message.
#[derive(Default)]
pub(super) struct ChoiceDelta<'a> {
    pub(super) content: JsonStr<'a>,
    /// `content` as a list (Mistral).
    pub(super) list: Option<Raw<'a>>,
    pub(super) refusal: JsonStr<'a>,
    pub(super) reasoning: JsonStr<'a>,
    pub(super) details: Option<Raw<'a>>,
    pub(super) annotations: Option<Raw<'a>>,
    pub(super) tool_calls: Option<Raw<'a>>,
    pub(super) function_call: Option<Raw<'a>>,
}

impl<'a> ChoiceDelta<'a> {
    fn read(&mut self, c: &mut Cursor<'a>) -> Read<()> {
        c.object(|key, c| {
            match &*key.decode() {
                "content" if c.kind()? == Kind::Array => self.list = Some(c.raw()?),
                "content" => self.content = string(c)?.unwrap_or_default(),
                "refusal" => self.refusal = string(c)?.unwrap_or_default(),
                // The same text may stand in both.
                "reasoning_content" | "reasoning" => {
                    let text = string(c)?.unwrap_or_default();
                    if self.reasoning.is_empty() {
                        self.reasoning = text;
                    }
                }
                "reasoning_details" => self.details = of_kind(c, Kind::Array)?,
                "annotations" => self.annotations = of_kind(c, Kind::Array)?,
                "tool_calls" => self.tool_calls = of_kind(c, Kind::Array)?,
                "function_call" => self.function_call = of_kind(c, Kind::Object)?,
                _ => drop(c.raw()?),
            }
            Ok(())
        })
    }
}

/// A fragment of a tool call.
pub(super) struct CallDelta<'a> {
    pub(super) index: Option<u64>,
    pub(super) id: JsonStr<'a>,
    pub(super) name: JsonStr<'a>,
    pub(super) arguments: JsonStr<'a>,
    pub(super) kind: ToolCallKind,
    pub(super) extra: Option<Raw<'a>>,
}

impl<'a> CallDelta<'a> {
    fn new() -> Self {
        Self {
            index: None,
            id: JsonStr::default(),
            name: JsonStr::default(),
            arguments: JsonStr::default(),
            kind: ToolCallKind::Function,
            extra: None,
        }
    }

    /// Reads an item of `tool_calls`.
    pub(super) fn read(c: &mut Cursor<'a>) -> Read<Self> {
        let mut call = Self::new();
        c.object(|key, c| {
            match &*key.decode() {
                "index" => call.index = c.raw()?.as_u64(),
                "id" => call.id = string(c)?.unwrap_or_default(),
                "function" if c.kind()? == Kind::Object => call.inner(c)?,
                "custom" if c.kind()? == Kind::Object => {
                    call.kind = ToolCallKind::Custom;
                    call.inner(c)?;
                }
                "extra_content" => call.extra = of_kind(c, Kind::Object)?,
                _ => drop(c.raw()?),
            }
            Ok(())
        })?;
        Ok(call)
    }

    /// Reads a legacy `function_call`.
    pub(super) fn read_legacy(c: &mut Cursor<'a>) -> Read<Self> {
        let mut call = Self::new();
        call.inner(c)?;
        Ok(call)
    }

    fn inner(&mut self, c: &mut Cursor<'a>) -> Read<()> {
        c.object(|key, c| {
            match &*key.decode() {
                "name" => self.name = string(c)?.unwrap_or_default(),
                "arguments" | "input" if c.kind()? == Kind::Object => {
                    self.arguments = JsonStr::from_plain(c.raw()?.as_str().to_owned());
                }
                "arguments" | "input" => self.arguments = string(c)?.unwrap_or_default(),
                _ => drop(c.raw()?),
            }
            Ok(())
        })
    }
}

fn string<'a>(c: &mut Cursor<'a>) -> Read<Option<JsonStr<'a>>> {
    if c.kind()? == Kind::String {
        return c.string().map(Some);
    }
    c.raw().map(|_| None)
}

fn of_kind<'a>(c: &mut Cursor<'a>, kind: Kind) -> Read<Option<Raw<'a>>> {
    let raw = c.raw()?;
    Ok(Some(raw).filter(|raw| raw.kind() == kind))
}
