//! The conversation of another protocol, under the rules of Gemini.

use std::borrow::Cow;
use std::collections::HashMap;

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

/// Drops what Gemini cannot carry, joins neighbours of one role, and puts all results of a batch
/// of calls, in the order of the calls, into one content right behind it.
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
        let parts = parts.collect();
        push_joined(&mut messages, Message::new(turn.role, parts));
    }
    place_results(messages, writer)
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

fn place_results<'r, 'a>(
    mut messages: Vec<Message<'r, 'a>>,
    writer: &mut PartWriter<'_, '_>,
) -> Vec<Message<'r, 'a>> {
    let batches = take_results(&mut messages, writer);
    let mut placed = Vec::with_capacity(messages.len() + 1);
    for (message, batch) in messages.into_iter().zip(batches) {
        push_joined(&mut placed, message);
        let results = batch.in_order(writer);
        push_joined(&mut placed, Message { results: true, ..Message::new(Role::User, results) });
    }
    placed
}

/// The results of one content's calls, each with the place of its call.
#[derive(Default)]
struct Batch<'r, 'a> {
    results: Vec<(usize, &'r Part<'a>)>,
}

impl<'r, 'a> Batch<'r, 'a> {
    /// The results as their calls stand, then the media that have no place in them.
    fn in_order(mut self, writer: &mut PartWriter<'_, '_>) -> Vec<&'r Part<'a>> {
        self.results.sort_by_key(|(call, _)| *call);
        let mut parts: Vec<_> = self.results.iter().map(|(_, part)| *part).collect();
        if writer.media_in_results {
            return parts;
        }
        for (_, part) in self.results {
            if let Content::ToolResult(result) = &part.content {
                parts.extend(media_beside(result).filter(|part| writer.carries(part)));
            }
        }
        parts
    }
}

/// Takes the results out of the messages; the list says for each message what it called for.
fn take_results<'r, 'a>(
    messages: &mut [Message<'r, 'a>],
    writer: &mut PartWriter<'_, '_>,
) -> Vec<Batch<'r, 'a>> {
    let mut batches: Vec<Batch<'_, '_>> = messages.iter().map(|_| Batch::default()).collect();
    let mut calls: HashMap<Cow<'r, str>, (usize, usize)> = HashMap::new();
    for (index, message) in messages.iter_mut().enumerate() {
        let mut place = 0;
        message.parts.retain(|part| match &part.content {
            Content::ToolCall(call) => {
                calls.insert(call.id.decode(), (index, place));
                place += 1;
                true
            }
            Content::ToolResult(result) => {
                let asked = calls.get(&result.call_id.decode()).copied();
                match asked.and_then(|(at, place)| Some((batches.get_mut(at)?, place))) {
                    Some((batch, place)) => batch.results.push((place, *part)),
                    None => {
                        let id = result.call_id.escaped();
                        writer.lose(id, Severity::Fatal, "a tool result without its call");
                    }
                }
                false
            }
            _ => true,
        });
    }
    batches
}
