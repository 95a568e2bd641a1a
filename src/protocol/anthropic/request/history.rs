//! The conversation of another protocol, under the rules of Messages.

use crate::protocol::anthropic::blocks::BlockWriter;
use crate::protocol::model::{Content, Part, Request, Role};
use crate::protocol::report::Severity;

/// A message to be written: parts of one or more turns of the hub.
#[derive(Debug)]
pub(super) struct Message<'r, 'a> {
    pub(super) role: Role,
    pub(super) parts: Vec<&'r Part<'a>>,
}

/// Drops what Messages cannot carry, and joins neighbours of one role.
pub(super) fn arrange<'r, 'a>(
    request: &'r Request<'a>,
    writer: &mut BlockWriter<'_, '_>,
) -> Vec<Message<'r, 'a>> {
    let mut messages = Vec::new();
    for turn in &request.turns {
        if let Some(name) = &turn.name {
            writer.lose(name.escaped(), Severity::Degrade, "Messages has no names of authors");
        }
        writer.report.rest(&turn.rest);
        let parts = turn.parts.iter().filter(|part| match &part.content {
            // The model would miss what it was told.
            Content::Other { raw, .. } if turn.role == Role::User => {
                writer.lose(raw.as_str(), Severity::Fatal, "Messages has no such content");
                false
            }
            _ => writer.carries(part),
        });
        let parts = parts.collect();
        push_joined(&mut messages, Message { role: turn.role, parts });
    }
    messages
}

fn push_joined<'r, 'a>(messages: &mut Vec<Message<'r, 'a>>, message: Message<'r, 'a>) {
    match messages.last_mut() {
        _ if message.parts.is_empty() => {}
        Some(last) if last.role == message.role => last.parts.extend(message.parts),
        _ => messages.push(message),
    }
}
