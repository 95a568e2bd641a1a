use bytes::BytesMut;

use super::content::holds;
use super::outline::Outline;
use super::splice::{Object, Splices};
use super::{EditError, Edited};
use crate::protocol::Protocol;
use crate::protocol::json::{Kind, ObjectWriter, push_plain};

/// What makes [`SystemEdit::ClaudeCode`](super::SystemEdit::ClaudeCode) take a block for Claude
/// Code's own.
pub const CLAUDE_CODE_KEYWORD: &str = "Claude Code";

pub(super) fn apply(outline: &Outline<'_>, text: &str, insert: bool) -> Result<Edited, EditError> {
    if outline.protocol != Protocol::Anthropic || text.is_empty() {
        return Ok(Edited::Unchanged);
    }
    let system = outline.root.get("system")?;
    let Some(system) = system.filter(|system| system.kind() == Some(Kind::Array)) else {
        return Ok(Edited::Unchanged);
    };
    let mut first = None;
    system.each(|item| {
        first = Some(item);
        Ok(false)
    })?;
    let Some(block) = first.filter(|item| item.kind() == Some(Kind::Object)) else {
        return Ok(Edited::Unchanged);
    };
    let Some(place) = Object::of(&block, &["text"])?.get("text")? else {
        return Ok(Edited::Unchanged);
    };
    let Some(present) = place.as_str() else { return Ok(Edited::Unchanged) };
    let mut splices = Splices::default();
    let mut piece = BytesMut::with_capacity(text.len() + 80);
    if insert && !holds(&present, CLAUDE_CODE_KEYWORD) {
        let mut block = ObjectWriter::begin(&mut piece);
        block.plain("type", "text");
        block.plain("text", text);
        block.object("cache_control", |mark| mark.plain("type", "ephemeral"));
        block.end();
        splices.insert_first(&system, piece);
    } else {
        push_plain(&mut piece, text);
        splices.replace(place.range(), piece);
    }
    Ok(splices.apply_compact(outline.text))
}
