//! The conversation of another protocol, under the rules of Messages.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::protocol::anthropic::blocks::BlockWriter;
use crate::protocol::model::{Content, Part, Request, Role};
use crate::protocol::report::{Reporter, Severity};

/// A message to be written: parts of one or more turns of the hub.
#[derive(Debug)]
pub(super) struct Message<'r, 'a> {
    pub(super) role: Role,
    pub(super) parts: Vec<&'r Part<'a>>,
}

/// Drops what Messages cannot carry, joins neighbours of one role, and puts all results of a
/// batch of calls at the head of the user message right behind it.
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
    place_results(messages, writer.report)
}

fn push_joined<'r, 'a>(messages: &mut Vec<Message<'r, 'a>>, message: Message<'r, 'a>) {
    match messages.last_mut() {
        _ if message.parts.is_empty() => {}
        Some(last) if last.role == message.role => last.parts.extend(message.parts),
        _ => messages.push(message),
    }
}

fn place_results<'r, 'a>(
    mut messages: Vec<Message<'r, 'a>>,
    report: &mut Reporter<'_>,
) -> Vec<Message<'r, 'a>> {
    let batches = take_results(&mut messages, report);
    let mut placed = Vec::with_capacity(messages.len() + 1);
    let mut behind = Vec::new();
    for (mut message, results) in messages.into_iter().zip(batches) {
        if message.role == Role::User {
            behind.append(&mut message.parts);
            message.parts = std::mem::take(&mut behind);
        } else {
            let parts = std::mem::take(&mut behind);
            push_joined(&mut placed, Message { role: Role::User, parts });
        }
        push_joined(&mut placed, message);
        behind = results;
    }
    push_joined(&mut placed, Message { role: Role::User, parts: behind });
    placed
}

/// Takes the results out of the messages; the list says for each message which it called for.
fn take_results<'r, 'a>(
    messages: &mut [Message<'r, 'a>],
    report: &mut Reporter<'_>,
) -> Vec<Vec<&'r Part<'a>>> {
    let mut batches: Vec<Vec<&Part<'_>>> = messages.iter().map(|_| Vec::new()).collect();
    let mut calls: HashMap<Cow<'r, str>, usize> = HashMap::new();
    for (index, message) in messages.iter_mut().enumerate() {
        message.parts.retain(|part| match &part.content {
            Content::ToolCall(call) => {
                calls.insert(call.id.decode(), index);
                true
            }
            Content::ToolResult(result) => {
                let asked = calls.get(&result.call_id.decode());
                match asked.and_then(|index| batches.get_mut(*index)) {
                    Some(batch) => batch.push(part),
                    None => report.string(
                        &result.call_id,
                        Severity::Fatal,
                        "a tool result without its call",
                    ),
                }
                false
            }
            _ => true,
        });
    }
    batches
}
