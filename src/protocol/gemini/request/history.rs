//! The conversation of another protocol, under the rules of Gemini.

use crate::protocol::gemini::part_writer::{PartWriter, media_beside};
use crate::protocol::model::{Content, Part, Request, Role};
use crate::protocol::report::Severity;

/// A content to be written: parts of one or more turns of the hub.
#[derive(Debug)]
pub(super) struct Message<'r, 'a> {
    pub(super) role: Role,
    pub(super) parts: Vec<&'r Part<'a>>,
    /// It answers calls. What the user says beside that stands in a content of its own, as in all
    /// traffic that was seen.
    results: bool,
}

impl<'r, 'a> Message<'r, 'a> {
    pub(super) fn new(role: Role, parts: Vec<&'r Part<'a>>) -> Self {
        Self { role, parts, results: false }
    }
}

/// Drops what Gemini cannot carry, joins neighbours of one role, and parts the results of tools
/// from what the user says beside them.
pub(super) fn arrange<'r, 'a>(
    request: &'r Request<'a>,
    writer: &mut PartWriter<'_, '_>,
) -> Vec<Message<'r, 'a>> {
    let mut messages = Vec::new();
    for turn in &request.turns {
        if let Some(name) = &turn.name {
            writer.lose(name.escaped(), Severity::Degrade, "Gemini has no names of authors");
        }
        writer.report.rest(&turn.rest);
        let parts = turn.parts.iter().filter(|part| match &part.content {
            // The model would miss what it was told.
            Content::Other { raw, .. } if turn.role == Role::User => {
                writer.lose(raw.as_str(), Severity::Fatal, "Gemini has no such content");
                false
            }
            _ => writer.carries(part),
        });
        let (results, parts) = parts.partition(|part| is_result(part));
        let results = with_media(results, writer);
        push_joined(&mut messages, Message { results: true, ..Message::new(turn.role, results) });
        push_joined(&mut messages, Message::new(turn.role, parts));
    }
    messages
}

fn is_result(part: &Part<'_>) -> bool {
    matches!(part.content, Content::ToolResult(_))
}

/// The results, then the media that have no place in them.
fn with_media<'r, 'a>(
    mut parts: Vec<&'r Part<'a>>,
    writer: &mut PartWriter<'_, '_>,
) -> Vec<&'r Part<'a>> {
    if writer.media_in_results {
        return parts;
    }
    for at in 0..parts.len() {
        if let Content::ToolResult(result) = &parts[at].content {
            parts.extend(media_beside(result).filter(|part| writer.carries(part)));
        }
    }
    parts
}

fn push_joined<'r, 'a>(messages: &mut Vec<Message<'r, 'a>>, message: Message<'r, 'a>) {
    match messages.last_mut() {
        _ if message.parts.is_empty() => {}
        Some(last) if last.role == message.role && last.results == message.results => {
            last.parts.extend(message.parts);
        }
        _ => messages.push(message),
    }
}
