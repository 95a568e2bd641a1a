//! All that a candidate said so far, for callers whose events repeat it.

use bytes::BytesMut;

use crate::protocol::dashscope::wire::push;
use crate::protocol::json::push_u64;

/// All that a candidate said so far; every text is escaped.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Snapshot {
    pub(super) content: String,
    pub(super) reasoning: String,
    pub(super) signature: String,
    /// Items of the list of content beside its words, with a comma before each.
    pub(super) media: String,
    pub(super) calls: Vec<Call>,
    /// Bytes that no event has shown yet.
    pub(super) fresh: usize,
}

#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Call {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) arguments: String,
}

impl Snapshot {
    pub(super) fn len(&self) -> usize {
        let call = |call: &Call| call.id.len() + call.name.len() + call.arguments.len();
        self.content.len()
            + self.reasoning.len()
            + self.signature.len()
            + self.media.len()
            + self.calls.iter().map(call).sum::<usize>()
    }

    /// Writes the members of the message but its role.
    pub(super) fn write(&self, lists: bool, out: &mut BytesMut) {
        if lists {
            write_list(&self.content, &self.media, out);
        } else {
            push(out, &["\"content\":\"", &self.content, "\""]);
        }
        for (name, text) in
            [("reasoning_content", &self.reasoning), ("reasoning_signature", &self.signature)]
        {
            if !text.is_empty() {
                push(out, &[",\"", name, "\":\"", text, "\""]);
            }
        }
        if self.calls.is_empty() {
            return;
        }
        push(out, &[",\"tool_calls\":["]);
        for (index, call) in self.calls.iter().enumerate() {
            push(out, &[if index > 0 { "," } else { "" }]);
            write_call(index as u64, &call.id, Some(&call.name), &call.arguments, out);
        }
        push(out, &["]"]);
    }
}

/// Writes `content` as a list of one text, if there is any, and of media.
pub(super) fn write_list(text: &str, media: &str, out: &mut BytesMut) {
    push(out, &["\"content\":["]);
    let mut media = media;
    if text.is_empty() {
        media = media.strip_prefix(',').unwrap_or(media);
    } else {
        push(out, &["{\"text\":\"", text, "\"}"]);
    }
    push(out, &[media, "]"]);
}

/// Writes an item of `tool_calls`; only the first of a call names its tool.
pub(super) fn write_call(
    index: u64,
    id: &str,
    name: Option<&str>,
    arguments: &str,
    out: &mut BytesMut,
) {
    push(out, &["{\"index\":"]);
    push_u64(out, index);
    push(out, &[",\"id\":\"", id, "\",\"type\":\"function\",\"function\":{"]);
    if let Some(name) = name {
        push(out, &["\"name\":\"", name, "\","]);
    }
    push(out, &["\"arguments\":\"", arguments, "\"}}"]);
}
