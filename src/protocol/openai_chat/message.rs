//! One message, of a request or of an answer.

use bytes::BytesMut;

use super::calls;
use super::content::{self, Body};
use super::reasoning::{self, Thoughts};
use crate::protocol::citation::{self, Span};
use crate::protocol::json::{Cursor, JsonError, JsonStr, Kind, ObjectWriter, Raw};
use crate::protocol::model::{Content, Part, Rest, Spelling, ToolCall};
use crate::protocol::wire::{lenient, push_joined};

/// The members of a message, whatever its role.
#[derive(Debug, Default)]
pub(super) struct Message<'a> {
    pub(super) role: JsonStr<'a>,
    pub(super) body: Body<'a>,
    name: Option<Raw<'a>>,
    call_id: Option<Raw<'a>>,
    rest: Rest<'a>,
    refusal: Option<JsonStr<'a>>,
    thoughts: Thoughts<'a>,
    annotations: Option<Raw<'a>>,
    calls: Vec<Part<'a>>,
}

/// What the model said.
#[derive(Default)]
pub(super) struct Said<'a> {
    pub(super) parts: Vec<Part<'a>>,
    pub(super) spelling: Spelling,
    pub(super) rest: Rest<'a>,
}

impl<'a> Message<'a> {
    pub(super) fn read(c: &mut Cursor<'a>) -> Result<Self, JsonError> {
        let mut message = Self::default();
        c.object(|key, c| message.member(&key, c))?;
        Ok(message)
    }

    fn member(&mut self, key: &JsonStr<'a>, c: &mut Cursor<'a>) -> Result<(), JsonError> {
        let rest = &mut self.rest;
        match &*key.decode() {
            "role" => self.role = c.string()?,
            "content" => self.body = content::read(key, c, rest)?,
            "name" => self.name = lenient(Kind::String, key, c, rest, Cursor::raw)?,
            "tool_call_id" => self.call_id = lenient(Kind::String, key, c, rest, Cursor::raw)?,
            "refusal" => {
                self.refusal = lenient(Kind::String, key, c, rest, Cursor::string)?;
                if self.refusal.as_ref().is_some_and(JsonStr::is_empty) {
                    self.refusal = None;
                    rest.keep(key.clone(), Raw::literal("\"\""));
                }
            }
            name @ ("reasoning_content" | "reasoning" | "reasoning_details") => {
                if let Some(raw) = self.thoughts.member(name, c)? {
                    rest.keep(key.clone(), raw);
                }
            }
            "annotations" => {
                self.annotations = lenient(Kind::Array, key, c, rest, Cursor::raw)?;
            }
            "tool_calls" if c.kind()? == Kind::Array => {
                let whole = c.clone();
                c.array(|_, c| {
                    self.calls.push(calls::read(c)?);
                    Ok(())
                })?;
                if self.calls.is_empty() {
                    rest.keep(key.clone(), c.since(&whole));
                }
            }
            "function_call" if c.kind()? == Kind::Object => {
                self.calls.push(calls::read_legacy(c)?);
            }
            _ => rest.keep(key.clone(), c.raw()?),
        }
        Ok(())
    }

    /// Whether it holds what only the model says.
    pub(super) fn is_said(&self) -> bool {
        self.refusal.is_some() || !self.thoughts.is_empty() || !self.calls.is_empty()
    }

    /// The author.
    pub(super) fn take_name(&mut self) -> Option<JsonStr<'a>> {
        self.name.take().as_ref().and_then(Raw::source_str)
    }

    /// The id of the call that it answers.
    pub(super) fn take_call_id(&mut self) -> Option<JsonStr<'a>> {
        let id = self.call_id.as_ref().and_then(Raw::source_str).filter(|id| !id.is_empty())?;
        self.call_id = None;
        Some(id)
    }

    /// The members that nobody took or understood.
    pub(super) fn take_rest(&mut self) -> Rest<'a> {
        let mut rest = std::mem::take(&mut self.rest);
        for (name, raw) in [
            ("name", self.name.take()),
            ("tool_call_id", self.call_id.take()),
            ("annotations", self.annotations.take()),
        ] {
            if let Some(raw) = raw {
                rest.keep(JsonStr::from_plain(name), raw);
            }
        }
        rest
    }

    /// The message of an assistant: thinking, words, refusal, calls, in this order.
    pub(super) fn said(mut self) -> Said<'a> {
        let annotations = self.annotations.take();
        let mut rest = self.take_rest();
        let Self { body, refusal, thoughts, calls, .. } = self;
        let (mut parts, mut spelling) = (Vec::new(), Spelling::default());
        thoughts.into_parts(&mut parts, &mut spelling, &mut rest);
        let words = parts.len();
        match body {
            Body::Absent => {}
            Body::Plain(text) => {
                spelling.set(Spelling::PLAIN_CONTENT);
                if !text.is_empty() {
                    parts.push(Part::text(text));
                }
            }
            Body::Parts(list) => parts.extend(list),
        }
        if let Some(raw) = annotations {
            match &mut parts[words..] {
                [Part { content: Content::Text { citations, .. }, .. }] if raw.as_str() != "[]" => {
                    *citations = Some(raw);
                }
                _ => rest.keep(JsonStr::from_plain("annotations"), raw),
            }
        }
        if parts[words..].iter().any(|part| matches!(part.content, Content::Refusal(_))) {
            spelling.set(Spelling::REFUSAL_PART);
        }
        parts.extend(refusal.map(|text| Part::new(Content::Refusal(text))));
        parts.extend(calls);
        Said { parts, spelling, rest }
    }
}

/// Writes the members of the model's message beside its role. `own` says that it came from Chat.
pub(super) fn write_said(
    object: &mut ObjectWriter<'_>,
    parts: &[Part<'_>],
    spelling: Spelling,
    own: bool,
    id_of: impl FnMut(&ToolCall<'_>) -> Option<String>,
) {
    write_words(object, parts, spelling, own);
    reasoning::write(parts, spelling, own, object);
    calls::write(object, parts, own, id_of);
}

/// The texts of the parts.
pub(super) fn texts<'p, 'a>(
    parts: &'p [Part<'a>],
) -> impl Iterator<Item = &'p JsonStr<'a>> + Clone {
    parts.iter().filter_map(|part| match &part.content {
        Content::Text { text, .. } => Some(text),
        _ => None,
    })
}

/// Writes `content`, `refusal` and `annotations`.
fn write_words(object: &mut ObjectWriter<'_>, parts: &[Part<'_>], spelling: Spelling, own: bool) {
    let refusals = parts.iter().filter_map(|part| match &part.content {
        Content::Refusal(text) => Some(text),
        _ => None,
    });
    if own && spelling.has(Spelling::PLAIN_CONTENT) {
        push_joined(object.key("content"), texts(parts), "");
    } else if own {
        write_list(object, parts, spelling);
    } else if texts(parts).any(|text| !text.is_empty()) {
        push_joined(object.key("content"), texts(parts), "");
    } else {
        object.null("content");
    }
    if refusals.clone().next().is_some() && !(own && spelling.has(Spelling::REFUSAL_PART)) {
        push_joined(object.key("refusal"), refusals, "");
    }
    let citations = parts.iter().find_map(|part| match &part.content {
        Content::Text { citations, .. } => citations.as_ref(),
        _ => None,
    });
    if own {
        if let Some(citations) = citations {
            object.raw("annotations", citations);
        }
    } else {
        write_annotations(object, parts);
    }
}

/// Writes what texts of another protocol cite, where Chat can say it; nothing where they cite
/// nothing. The texts are one here: a later one counts its characters behind those before.
fn write_annotations(object: &mut ObjectWriter<'_>, parts: &[Part<'_>]) {
    let cites = |part: &Part<'_>| matches!(part.content, Content::Text { citations: Some(_), .. });
    if !parts.iter().any(cites) {
        // Characters are not counted for nothing: a text may be long.
        return;
    }
    let (mut start, mut list) = (0, BytesMut::new());
    for part in parts {
        let Content::Text { text, citations } = &part.content else { continue };
        let span = Span { start, length: text.decode().chars().count() as u64 };
        start += span.length;
        if let Some(citations) = citations {
            citation::each(&citations.borrow(), |cited| {
                let begun = list.len();
                if begun > 0 {
                    list.extend_from_slice(b",");
                }
                if !citation::write_nested(&cited, span, &mut list) {
                    list.truncate(begun);
                }
            });
        }
    }
    if !list.is_empty() {
        object.array("annotations", |items| items.item().extend_from_slice(&list));
    }
}

/// Writes `content` as the list that it was, if it was one.
fn write_list(object: &mut ObjectWriter<'_>, parts: &[Part<'_>], spelling: Spelling) {
    let listed = |part: &&Part<'_>| match part.content {
        Content::Text { .. } | Content::Media(_) | Content::Other { .. } => true,
        Content::Refusal(_) => spelling.has(Spelling::REFUSAL_PART),
        _ => reasoning::is_listed(part),
    };
    if parts.iter().any(|part| listed(&part)) {
        object.array("content", |items| {
            parts.iter().filter(listed).for_each(|part| content::write_own(items, part));
        });
    }
}
