//! What stands inside of the events of a stream.

use crate::protocol::anthropic::parts::seal;
use crate::protocol::json::{Cursor, JsonStr, Kind, Raw};
use crate::protocol::model::{CacheMark, Delta, PartStart, Rest, SealKind, ToolCallKind};
use crate::protocol::wire::{Result, keep, lenient_str, nullable, skip};

/// What may follow the start of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BlockKind {
    Text,
    Thinking,
    Redacted,
    ToolUse,
    Other,
}

impl BlockKind {
    /// Whether a block of this kind can have the delta.
    pub(super) fn takes(self, delta: &Delta<'_>) -> bool {
        matches!(
            (self, delta),
            (Self::Text, Delta::Text(_) | Delta::Citation(_) | Delta::Other(_))
                | (Self::Thinking, Delta::Reasoning(_) | Delta::Seal(_) | Delta::Other(_))
                | (Self::ToolUse, Delta::Arguments(_) | Delta::Other(_))
                | (Self::Other, Delta::Other(_))
        )
    }
}

/// The `content_block` of a start.
pub(super) struct BlockStart<'a> {
    pub(super) kind: BlockKind,
    pub(super) start: PartStart<'a>,
    pub(super) rest: Rest<'a>,
    /// What of its content stood in the start already.
    pub(super) deltas: [Option<Delta<'a>>; 2],
    pub(super) input: Option<String>,
}

impl<'a> BlockStart<'a> {
    /// Reads one; an unknown type is kept whole.
    pub(super) fn read(c: &mut Cursor<'a>) -> Result<Self> {
        let kind = c.peek_str("type").unwrap_or_default();
        match &*kind.decode() {
            "text" => Self::text(c),
            "thinking" => Self::thinking(c),
            "redacted_thinking" => Self::redacted_thinking(c),
            "tool_use" => Self::tool_use(c),
            _ => {
                let start = PartStart::Other { kind: kind.clone(), raw: c.raw()? };
                Ok(Self::new(BlockKind::Other, start))
            }
        }
    }

    fn new(kind: BlockKind, start: PartStart<'a>) -> Self {
        Self { kind, start, rest: Rest::default(), deltas: [None, None], input: None }
    }

    fn text(c: &mut Cursor<'a>) -> Result<Self> {
        let (mut text, mut citations) = (None, None);
        let mut rest = Rest::default();
        c.object(|key, c| {
            match &*key.decode() {
                "type" => skip(c)?,
                "text" => text = lenient_str(c)?,
                "citations" => citations = nullable(&key, c, &mut rest, Cursor::raw)?,
                _ => keep(&key, c, &mut rest)?,
            }
            Ok(())
        })?;
        let deltas = [text.filter(|text| !text.is_empty()).map(Delta::Text), None];
        Ok(Self { rest, deltas, ..Self::new(BlockKind::Text, PartStart::Text { citations }) })
    }

    fn thinking(c: &mut Cursor<'a>) -> Result<Self> {
        let (mut text, mut signature) = (None, None);
        let mut rest = Rest::default();
        c.object(|key, c| {
            match &*key.decode() {
                "type" => skip(c)?,
                "thinking" => text = lenient_str(c)?,
                "signature" => signature = lenient_str(c)?,
                _ => keep(&key, c, &mut rest)?,
            }
            Ok(())
        })?;
        let text = text.filter(|text| !text.is_empty()).map(Delta::Reasoning);
        let seal = signature.and_then(|data| seal(SealKind::Signature, data)).map(Delta::Seal);
        let start = PartStart::Reasoning { seal: None };
        Ok(Self { rest, deltas: [text, seal], ..Self::new(BlockKind::Thinking, start) })
    }

    fn redacted_thinking(c: &mut Cursor<'a>) -> Result<Self> {
        let mut data = None;
        let mut rest = Rest::default();
        c.object(|key, c| {
            match &*key.decode() {
                "type" => skip(c)?,
                "data" => data = lenient_str(c)?,
                _ => keep(&key, c, &mut rest)?,
            }
            Ok(())
        })?;
        let seal = data.and_then(|data| seal(SealKind::Redacted, data));
        Ok(Self { rest, ..Self::new(BlockKind::Redacted, PartStart::Reasoning { seal }) })
    }

    fn tool_use(c: &mut Cursor<'a>) -> Result<Self> {
        let (mut id, mut name) = (JsonStr::default(), JsonStr::default());
        let (mut cache, mut input) = (None, None);
        let mut rest = Rest::default();
        c.object(|key, c| {
            match &*key.decode() {
                "type" => skip(c)?,
                "id" => id = lenient_str(c)?.unwrap_or_default(),
                "name" => name = lenient_str(c)?.unwrap_or_default(),
                "input" => input = whole_input(&c.raw()?),
                "cache_control" => {
                    cache = nullable(&key, c, &mut rest, Cursor::raw)?.map(CacheMark);
                }
                _ => keep(&key, c, &mut rest)?,
            }
            Ok(())
        })?;
        let kind = ToolCallKind::Function;
        let start = PartStart::ToolCall { id, name, kind, seal: None, cache };
        Ok(Self { rest, input, ..Self::new(BlockKind::ToolUse, start) })
    }
}

/// An input that is more than the customary `{}`.
fn whole_input(input: &Raw<'_>) -> Option<String> {
    let mut members = 0;
    let walked = input.cursor().object(|_, c| {
        members += 1;
        skip(c)
    });
    (walked.is_ok() && members > 0).then(|| input.as_str().to_owned())
}

/// Reads a delta; `None` for one that says nothing. `whole` keeps it as it stands.
pub(super) fn read_delta<'a>(c: &mut Cursor<'a>, whole: bool) -> Result<Option<Delta<'a>>> {
    let kind = c.peek_str("type").filter(|_| !whole).unwrap_or_default();
    let wanted = match &*kind.decode() {
        "text_delta" => "text",
        "thinking_delta" => "thinking",
        "signature_delta" => "signature",
        "input_json_delta" => "partial_json",
        "citations_delta" => "citation",
        _ => return c.raw().map(|raw| Some(Delta::Other(raw))),
    };
    let (mut text, mut citation) = (None, None);
    c.object(|key, c| {
        match (key == *wanted, c.kind()?) {
            (true, Kind::String) => text = Some(c.string()?),
            (true, Kind::Object) => citation = Some(c.raw()?),
            _ => skip(c)?,
        }
        Ok(())
    })?;
    Ok(match (wanted, text, citation) {
        ("text", Some(text), _) => Some(Delta::Text(text)),
        ("thinking", Some(text), _) => Some(Delta::Reasoning(text)),
        ("partial_json", Some(text), _) => Some(Delta::Arguments(text)),
        ("signature", Some(data), _) => seal(SealKind::Signature, data).map(Delta::Seal),
        ("citation", _, Some(citation)) => Some(Delta::Citation(citation)),
        _ => None,
    })
}
