//! One event of a stream, borrowed. Nothing in it is held to be of the right kind: what is not is
//! as good as absent.

use crate::protocol::dashscope::search;
use crate::protocol::dashscope::wire::of_kind;
use crate::protocol::json::{Cursor, JsonStr, Kind, Raw};
use crate::protocol::model::Rest;
use crate::protocol::wire::{Result, is_empty_list, lenient_str};

/// The data of an event.
#[derive(Default)]
pub(super) struct Chunk<'a> {
    pub(super) id: JsonStr<'a>,
    pub(super) model: JsonStr<'a>,
    /// There is an `output`.
    pub(super) has_output: bool,
    /// `output.choices`, unless it is empty.
    pub(super) choices: Option<Raw<'a>>,
    /// `output.text`.
    pub(super) text: Option<JsonStr<'a>>,
    /// `output.finish_reason`.
    pub(super) finish: JsonStr<'a>,
    pub(super) usage: Option<Raw<'a>>,
    /// `output.search_info.search_results`, unless it is empty.
    pub(super) pages: Option<Raw<'a>>,
    /// It has a code or an error that says something.
    pub(super) complains: bool,
    pub(super) rest: Rest<'a>,
}

impl<'a> Chunk<'a> {
    /// Reads an event. What is not understood is kept only if `keep_rest`.
    pub(super) fn read(text: &'a str, keep_rest: bool) -> Result<Self> {
        let mut chunk = Self::default();
        let mut c = Cursor::new(text);
        c.object(|key, c| {
            match &*key.decode() {
                "request_id" => chunk.id = lenient_str(c)?.unwrap_or_default(),
                // Some models begin with an empty one.
                "usage" => {
                    let usage = of_kind(c, Kind::Object)?;
                    chunk.usage = usage.filter(|raw| raw.as_str() != "{}");
                }
                "output" if c.kind()? == Kind::Object => {
                    chunk.has_output = true;
                    c.object(|key, c| chunk.output(&key, c))?;
                }
                name => {
                    let raw = c.raw()?;
                    let says = !matches!(raw.as_str(), "null" | "\"\"" | "0" | "200" | "false");
                    chunk.complains |= says && matches!(name, "code" | "error");
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

    fn output(&mut self, key: &JsonStr<'a>, c: &mut Cursor<'a>) -> Result<()> {
        match &*key.decode() {
            "choices" => {
                self.choices = of_kind(c, Kind::Array)?.filter(|raw| !is_empty_list(raw));
            }
            "search_info" => {
                self.pages = of_kind(c, Kind::Object)?.as_ref().and_then(search::results);
            }
            "text" => self.text = lenient_str(c)?,
            "finish_reason" => self.finish = lenient_str(c)?.unwrap_or_default(),
            "model_name" => self.model = lenient_str(c)?.unwrap_or_default(),
            _ => drop(c.raw()?),
        }
        Ok(())
    }
}

/// An item of `choices`, or the whole of `output` where that holds the words.
#[derive(Default)]
pub(super) struct Choice<'a> {
    /// Absent at most models, which know only one.
    pub(super) index: Option<u64>,
    pub(super) finish: JsonStr<'a>,
    pub(super) logprobs: Option<Raw<'a>>,
    pub(super) message: Piece<'a>,
}

impl<'a> Choice<'a> {
    pub(super) fn read(c: &mut Cursor<'a>) -> Result<Self> {
        let mut choice = Self::default();
        c.object(|key, c| {
            match &*key.decode() {
                "index" => choice.index = c.raw()?.as_u64(),
                "finish_reason" => choice.finish = lenient_str(c)?.unwrap_or_default(),
                "logprobs" => choice.logprobs = of_kind(c, Kind::Object)?,
                "message" | "delta" if c.kind()? == Kind::Object => choice.message.read(c)?,
                _ => drop(c.raw()?),
            }
            Ok(())
        })?;
        Ok(choice)
    }
}

/// What an event says of a message: more of it, or all of it so far.
#[derive(Default)]
pub(super) struct Piece<'a> {
    pub(super) content: JsonStr<'a>,
    /// Pictures and sounds among the content.
    pub(super) media: Vec<(JsonStr<'a>, JsonStr<'a>)>,
    pub(super) reasoning: JsonStr<'a>,
    pub(super) signature: JsonStr<'a>,
    pub(super) calls: Option<Raw<'a>>,
}

impl<'a> Piece<'a> {
    fn read(&mut self, c: &mut Cursor<'a>) -> Result<()> {
        c.object(|key, c| {
            match &*key.decode() {
                "content" if c.kind()? == Kind::Array => self.list(c)?,
                "content" => self.content = lenient_str(c)?.unwrap_or_default(),
                "reasoning_content" => self.reasoning = lenient_str(c)?.unwrap_or_default(),
                "reasoning_signature" => self.signature = lenient_str(c)?.unwrap_or_default(),
                "tool_calls" => self.calls = of_kind(c, Kind::Array)?,
                _ => drop(c.raw()?),
            }
            Ok(())
        })
    }

    /// Reads content as a list; its texts are one.
    fn list(&mut self, c: &mut Cursor<'a>) -> Result<()> {
        c.array(|_, c| {
            if c.kind()? != Kind::Object {
                return c.raw().map(drop);
            }
            c.object(|key, c| {
                match (&*key.decode(), c.kind()?) {
                    ("text", Kind::String) if self.content.is_empty() => {
                        self.content = c.string()?;
                    }
                    ("text", Kind::String) => {
                        let more = c.string()?;
                        let joined = [self.content.escaped(), more.escaped()].concat();
                        self.content = JsonStr::from_escaped(joined);
                    }
                    ("image" | "audio" | "video", Kind::String) => {
                        self.media.push((key.clone(), c.string()?));
                    }
                    _ => drop(c.raw()?),
                }
                Ok(())
            })
        })
    }
}

/// What an event says of a tool call.
pub(super) struct CallPiece<'a> {
    pub(super) index: Option<u64>,
    pub(super) id: JsonStr<'a>,
    pub(super) name: JsonStr<'a>,
    pub(super) arguments: JsonStr<'a>,
}

impl<'a> CallPiece<'a> {
    /// Reads an item of `tool_calls`.
    pub(super) fn read(c: &mut Cursor<'a>) -> Result<Self> {
        let mut call = Self {
            index: None,
            id: JsonStr::default(),
            name: JsonStr::default(),
            arguments: JsonStr::default(),
        };
        c.object(|key, c| {
            match &*key.decode() {
                "index" => call.index = c.raw()?.as_u64(),
                "id" => call.id = lenient_str(c)?.unwrap_or_default(),
                "function" if c.kind()? == Kind::Object => c.object(|key, c| {
                    match &*key.decode() {
                        "name" => call.name = lenient_str(c)?.unwrap_or_default(),
                        "arguments" if c.kind()? == Kind::Object => {
                            call.arguments = JsonStr::from_plain(c.raw()?.as_str().to_owned());
                        }
                        "arguments" => call.arguments = lenient_str(c)?.unwrap_or_default(),
                        _ => drop(c.raw()?),
                    }
                    Ok(())
                })?,
                _ => drop(c.raw()?),
            }
            Ok(())
        })?;
        Ok(call)
    }
}
