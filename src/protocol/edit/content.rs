//! One value that holds text: a string or an array of text blocks.

use bytes::BytesMut;

use super::EditError;
use super::splice::{Item, Object, Splices};
use crate::protocol::Protocol;
use crate::protocol::json::{JsonStr, Kind, ObjectWriter, push_escaped, push_plain};

/// What stands between two texts that become one string.
const SEPARATOR: &str = "\n\n";

/// A value that holds text.
pub(super) enum Content<'a> {
    /// A string; `null` counts as an empty one.
    Text(Item<'a>, JsonStr<'a>),
    /// An array of text blocks.
    Blocks(Item<'a>, Vec<Block<'a>>),
}

pub(super) struct Block<'a> {
    item: Item<'a>,
    text: Option<JsonStr<'a>>,
    typed: bool,
    mark: Option<Item<'a>>,
}

impl<'a> Content<'a> {
    /// At most `limit` blocks are taken.
    pub(super) fn read(
        item: &Item<'a>,
        name: &'static str,
        limit: usize,
    ) -> Result<Self, EditError> {
        match item.kind() {
            Some(Kind::String | Kind::Null) => {
                Ok(Self::Text(*item, item.as_str().unwrap_or_default()))
            }
            Some(Kind::Array) => {
                let mut blocks = Vec::new();
                item.each(|item| {
                    if blocks.len() == limit {
                        return Err(EditError::Shape(name));
                    }
                    let block = object(&item, &["type", "text", "cache_control"], name)?;
                    blocks.push(Block {
                        item,
                        text: block.get("text")?.and_then(|text| text.as_str()),
                        typed: block.get("type")?.is_some(),
                        mark: block
                            .get("cache_control")?
                            .filter(|mark| mark.kind() == Some(Kind::Object)),
                    });
                    Ok(true)
                })?;
                Ok(Self::Blocks(*item, blocks))
            }
            _ => Err(EditError::Shape(name)),
        }
    }

    /// How much of [`MAX_SYSTEM_PLACES`] it takes.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Text(..) => 1,
            Self::Blocks(_, blocks) => blocks.len().max(1),
        }
    }

    pub(super) fn texts(&self) -> impl Iterator<Item = &JsonStr<'a>> {
        let (text, blocks) = match self {
            Self::Text(_, text) => (Some(text), &[][..]),
            Self::Blocks(_, blocks) => (None, &blocks[..]),
        };
        text.into_iter().chain(blocks.iter().filter_map(|block| block.text.as_ref()))
    }

    pub(super) fn replace(&self, protocol: Protocol, text: &str, splices: &mut Splices) {
        let mut value = BytesMut::with_capacity(text.len() + 64);
        match self {
            Self::Text(item, _) => {
                push_plain(&mut value, text);
                splices.replace(item.range(), value);
            }
            Self::Blocks(item, blocks) => {
                let mark = blocks.iter().rev().find_map(|block| block.mark);
                value.extend_from_slice(b"[");
                push_block(&mut value, protocol, typed(blocks), text, mark);
                value.extend_from_slice(b"]");
                splices.replace(item.range(), value);
            }
        }
    }

    pub(super) fn prepend(&self, protocol: Protocol, text: &str) -> Splices {
        let mut splices = Splices::default();
        let mut piece = BytesMut::with_capacity(text.len() + 64);
        match self {
            Self::Text(item, present) if present.is_empty() => {
                push_plain(&mut piece, text);
                splices.replace(item.range(), piece);
            }
            Self::Text(item, _) => {
                push_escaped(&mut piece, text);
                push_escaped(&mut piece, SEPARATOR);
                splices.replace(item.start + 1..item.start + 1, piece);
            }
            Self::Blocks(item, blocks) => {
                push_block(&mut piece, protocol, typed(blocks), text, None);
                splices.insert_first(item, piece);
            }
        }
        splices
    }

    pub(super) fn append(&self, protocol: Protocol, text: &str) -> Splices {
        let mut splices = Splices::default();
        let mut piece = BytesMut::with_capacity(text.len() + 64);
        match self {
            Self::Text(item, present) if !present.is_empty() => {
                push_escaped(&mut piece, SEPARATOR);
                push_escaped(&mut piece, text);
                let quote = item.range().end - 1;
                splices.replace(quote..quote, piece);
                splices
            }
            Self::Blocks(_, blocks) => match blocks.last() {
                Some(last) => {
                    push_block(&mut piece, protocol, typed(blocks), text, None);
                    splices.insert_after(&last.item, &piece);
                    splices
                }
                None => self.prepend(protocol, text),
            },
            Self::Text(..) => self.prepend(protocol, text),
        }
    }
}

pub(super) fn object<'a>(
    item: &Item<'a>,
    names: &[&'static str],
    name: &'static str,
) -> Result<Object<'a>, EditError> {
    match item.kind() {
        Some(Kind::Object) => Object::of(item, names),
        _ => Err(EditError::Shape(name)),
    }
}

pub(super) fn holds(text: &JsonStr<'_>, keyword: &str) -> bool {
    text.decode().to_lowercase().contains(&keyword.to_lowercase())
}

/// Whether blocks beside a new one name their type; DashScope has both forms.
fn typed(blocks: &[Block<'_>]) -> bool {
    blocks.first().is_some_and(|block| block.typed)
}

pub(super) fn push_block(
    out: &mut BytesMut,
    protocol: Protocol,
    typed: bool,
    text: &str,
    mark: Option<Item<'_>>,
) {
    let mut block = ObjectWriter::begin(out);
    match protocol {
        Protocol::Anthropic | Protocol::OpenAiChat => block.plain("type", "text"),
        Protocol::OpenAiResponses => block.plain("type", "input_text"),
        Protocol::DashScope if typed => block.plain("type", "text"),
        Protocol::DashScope | Protocol::Gemini => {}
    }
    block.plain("text", text);
    if let Some(mark) = mark {
        block.key("cache_control").extend_from_slice(mark.text.as_bytes());
    }
    block.end();
}
