//! What one event adds to the answer of a candidate.

use bytes::BytesMut;

use super::snapshot::{Call, Snapshot, write_call, write_list};
use crate::protocol::dashscope::wire::push;
use crate::protocol::json::JsonStr;

/// What an event adds.
pub(super) enum Piece<'p> {
    Words(&'p JsonStr<'p>),
    Reasoning(&'p JsonStr<'p>),
    Signature(&'p JsonStr<'p>),
    /// An item of the list of content.
    Media(&'p str),
    Call {
        nth: u64,
        id: &'p str,
        name: &'p JsonStr<'p>,
    },
    Arguments {
        nth: u64,
        text: &'p str,
    },
    Nothing,
}

impl Piece<'_> {
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Words(text) | Self::Reasoning(text) | Self::Signature(text) => text.is_empty(),
            Self::Arguments { text, .. } => text.is_empty(),
            Self::Media(_) | Self::Call { .. } => false,
            Self::Nothing => true,
        }
    }

    /// Keeps the piece with what was said before it.
    pub(super) fn keep(&self, said: &mut Snapshot) {
        match self {
            Self::Words(text) => said.content.push_str(text.escaped()),
            Self::Reasoning(text) => said.reasoning.push_str(text.escaped()),
            Self::Signature(text) => said.signature.push_str(text.escaped()),
            Self::Media(item) => {
                said.media.push(',');
                said.media.push_str(item);
            }
            Self::Call { id, name, .. } => {
                let (id, name) = ((*id).to_owned(), name.escaped().to_owned());
                said.calls.push(Call { id, name, arguments: String::new() });
            }
            Self::Arguments { nth, text } => {
                let nth = usize::try_from(*nth).unwrap_or(usize::MAX);
                if let Some(call) = said.calls.get_mut(nth) {
                    call.arguments.push_str(text);
                }
            }
            Self::Nothing => {}
        }
    }

    /// Writes the members of the message but its role.
    pub(super) fn write(&self, lists: bool, thought: bool, out: &mut BytesMut) {
        let (words, media) = match self {
            Self::Words(text) => (text.escaped(), ""),
            Self::Media(item) => ("", *item),
            _ => ("", ""),
        };
        if lists {
            write_list(words, media, out);
        } else {
            push(out, &["\"content\":\"", words, "\""]);
        }
        match self {
            Self::Reasoning(text) => {
                push(out, &[",\"reasoning_content\":\"", text.escaped(), "\""]);
            }
            _ if thought && !lists => push(out, &[",\"reasoning_content\":\"\""]),
            _ => {}
        }
        match self {
            Self::Signature(text) => {
                push(out, &[",\"reasoning_signature\":\"", text.escaped(), "\""]);
            }
            Self::Call { nth, id, name } => {
                push(out, &[",\"tool_calls\":["]);
                write_call(*nth, id, Some(name.escaped()), "", out);
                push(out, &["]"]);
            }
            Self::Arguments { nth, text } => {
                push(out, &[",\"tool_calls\":["]);
                write_call(*nth, "", None, text, out);
                push(out, &["]"]);
            }
            _ => {}
        }
    }
}
