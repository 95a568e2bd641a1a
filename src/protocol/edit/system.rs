//! The system prompt in its five places.
//!
//! | protocol | where | inserted as |
//! |---|---|---|
//! | Messages | `system`: a string or text blocks | `system`, a string |
//! | Chat | the `system` and `developer` messages that lead `messages` | first message |
//! | Responses | `instructions`, then such messages that lead `input` | `instructions` |
//! | Gemini | `systemInstruction.parts` | `systemInstruction` |
//! | DashScope | the `system` messages that lead `input.messages` | first message |
//!
//! System messages in the middle of a conversation are part of it and stay.

use std::sync::Arc;

use bytes::BytesMut;

use super::content::{Content, holds, object, push_block};
use super::outline::Outline;
use super::splice::{Item, Object, Splices};
use super::{EditError, Edited, claude_code};
use crate::protocol::Protocol;
use crate::protocol::json::{JsonStr, Kind, ObjectWriter, push_plain};

/// Most system messages and text blocks that are looked at; a request with more is refused.
pub const MAX_SYSTEM_PLACES: usize = 1024;

/// An edit of the system prompt. An empty text changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SystemEdit {
    /// Leaves it as it is.
    Keep,
    /// Puts the text in the place of the whole prompt, or inserts it. The first place keeps its
    /// form; text blocks become one block that keeps the last of their cache marks.
    Replace(Arc<str>),
    /// Puts the text before the prompt, or inserts it. A string stays one, with an empty line
    /// between; text blocks get a new one without a cache mark.
    Prepend(Arc<str>),
    /// Puts the text behind the prompt, or inserts it; otherwise as [`SystemEdit::Prepend`]. It
    /// stands behind all cache marks, so that a cached prefix stays one.
    Append(Arc<str>),
    /// Unless a text of the prompt holds the keyword (in any case), inserts the text as a block or
    /// message of its own before all others. `instructions` (Responses) can hold no blocks: there
    /// the text is prepended.
    InsertIfAbsent {
        /// What to look for.
        keyword: Arc<str>,
        /// What to insert.
        text: Arc<str>,
    },
    /// Takes the whole prompt out.
    Remove,
    /// The rewrite that upstreams for Claude Code ask for. It touches Messages alone, and only an
    /// array `system` whose first element is an object with a string `text`; everything else
    /// passes. What it changes is written without insignificant white space. The inserted block
    /// brings a cache mark of its own; Messages takes four in a request.
    ClaudeCode {
        /// The text of the leading block.
        text: Arc<str>,
        /// False: the text of the first block is replaced. True: only when it holds
        /// [`CLAUDE_CODE_KEYWORD`](super::CLAUDE_CODE_KEYWORD) in any case; else an ephemerally
        /// cached block is inserted before it.
        insert: bool,
    },
}

pub(super) fn texts<'a>(outline: &Outline<'a>) -> Result<Vec<JsonStr<'a>>, EditError> {
    let system = System::read(outline)?;
    Ok(system.texts().filter(|text| !text.is_empty()).cloned().collect())
}

pub(super) fn apply(outline: &Outline<'_>, edit: &SystemEdit) -> Result<Edited, EditError> {
    let text = match edit {
        SystemEdit::Keep => return Ok(Edited::Unchanged),
        SystemEdit::Remove => return Ok(System::read(outline)?.remove().apply(outline.text)),
        SystemEdit::ClaudeCode { text, insert } => {
            return claude_code::apply(outline, text, *insert);
        }
        SystemEdit::Replace(text)
        | SystemEdit::Prepend(text)
        | SystemEdit::Append(text)
        | SystemEdit::InsertIfAbsent { text, .. } => text,
    };
    if text.is_empty() {
        return Ok(Edited::Unchanged);
    }
    let system = System::read(outline)?;
    let (Some(first), Some(last)) = (system.places.first(), system.places.last()) else {
        return Ok(system.insert(text, "system")?.apply(outline.text));
    };
    let splices = match edit {
        SystemEdit::Replace(_) => system.replace(first, text),
        SystemEdit::Prepend(_) => first.content.prepend(system.protocol(), text),
        SystemEdit::Append(_) => last.content.append(system.protocol(), text),
        SystemEdit::InsertIfAbsent { keyword, .. } if system.holds(keyword) => Splices::default(),
        _ => system.lead(first, text)?,
    };
    Ok(splices.apply(outline.text))
}

/// The system prompt of one request.
struct System<'o, 'a> {
    outline: &'o Outline<'a>,
    places: Vec<Place<'a>>,
    /// The member of the top level where the prompt goes, if there is one; it may be `null`.
    member: Option<Item<'a>>,
    /// The array of messages.
    messages: Option<Item<'a>>,
}

/// One member or message that is part of it.
struct Place<'a> {
    /// What is taken out with it.
    whole: Item<'a>,
    /// The role of a message; `None` for a member of the top level.
    role: Option<JsonStr<'a>>,
    /// Messages of one run stand side by side.
    run: usize,
    content: Content<'a>,
}

impl<'o, 'a> System<'o, 'a> {
    fn read(outline: &'o Outline<'a>) -> Result<Self, EditError> {
        let mut system = Self { outline, places: Vec::new(), member: None, messages: None };
        let root = &outline.root;
        match outline.protocol {
            Protocol::Anthropic => system.read_member("system", root.get("system")?, None)?,
            Protocol::OpenAiChat => system.read_messages("messages", root.get("messages")?)?,
            Protocol::OpenAiResponses => {
                let name = "instructions";
                let item = root.get(name)?;
                if item.is_some_and(|item| item.kind() == Some(Kind::Array)) {
                    return Err(EditError::Shape(name));
                }
                system.read_member(name, item, None)?;
                let list = root.get("input")?.filter(|item| item.kind() == Some(Kind::Array));
                system.read_messages("input", list)?;
            }
            Protocol::Gemini => {
                let name = "systemInstruction";
                let item = match (root.get(name)?, root.get("system_instruction")?) {
                    (Some(_), Some(_)) => return Err(EditError::Duplicate(name)),
                    (camel, snake) => camel.or(snake),
                };
                system.read_member(name, item, Some("parts"))?;
            }
            Protocol::DashScope => {
                if let Some(input) = root.get("input")? {
                    let input = object(&input, &["messages"], "input")?;
                    system.read_messages("input.messages", input.get("messages")?)?;
                }
            }
        }
        Ok(system)
    }

    fn protocol(&self) -> Protocol {
        self.outline.protocol
    }

    /// A member of the top level; with `inner` the content is that member of it.
    fn read_member(
        &mut self,
        name: &'static str,
        item: Option<Item<'a>>,
        inner: Option<&'static str>,
    ) -> Result<(), EditError> {
        let Some(whole) = item else { return Ok(()) };
        self.member = Some(whole);
        let content = match inner {
            _ if whole.kind() == Some(Kind::Null) => None,
            None => Some(whole),
            Some(inner) => object(&whole, &[inner], name)?
                .get(inner)?
                .filter(|item| item.kind() != Some(Kind::Null)),
        };
        if let Some(content) = content {
            let content = Content::read(&content, name, MAX_SYSTEM_PLACES)?;
            self.places.push(Place { whole, role: None, run: 0, content });
        }
        Ok(())
    }

    /// The leading system messages of an array.
    fn read_messages(
        &mut self,
        name: &'static str,
        list: Option<Item<'a>>,
    ) -> Result<(), EditError> {
        let Some(list) = list else { return Ok(()) };
        if list.kind() != Some(Kind::Array) {
            return Err(EditError::Shape(name));
        }
        self.messages = Some(list);
        let mut left = MAX_SYSTEM_PLACES;
        let mut run = 0;
        list.each(|whole| {
            let (role, content) = match leading(&whole)? {
                Leading::Message(role, content) => (role, content),
                Leading::Tools => {
                    run += 1;
                    return Ok(true);
                }
                Leading::End => return Ok(false),
            };
            let content = Content::read(&content, name, left)?;
            left = left.checked_sub(content.size()).ok_or(EditError::Shape(name))?;
            self.places.push(Place { whole, role: Some(role), run, content });
            Ok(true)
        })
    }

    fn texts(&self) -> impl Iterator<Item = &JsonStr<'a>> {
        self.places.iter().flat_map(|place| place.content.texts())
    }

    fn holds(&self, keyword: &str) -> bool {
        self.texts().any(|text| holds(text, keyword))
    }

    /// Puts the text where there is no prompt yet.
    fn insert(&self, text: &str, role: &str) -> Result<Splices, EditError> {
        let mut splices = Splices::default();
        let mut value = BytesMut::with_capacity(text.len() + 64);
        let name = match self.protocol() {
            Protocol::OpenAiChat | Protocol::DashScope => {
                let missing = EditError::Shape(match self.protocol() {
                    Protocol::DashScope => "input.messages",
                    _ => "messages",
                });
                let list = self.messages.as_ref().ok_or(missing)?;
                let mut message = ObjectWriter::begin(&mut value);
                message.plain("role", role);
                message.plain("content", text);
                message.end();
                splices.insert_first(list, value);
                return Ok(splices);
            }
            Protocol::Anthropic => "system",
            Protocol::OpenAiResponses => "instructions",
            Protocol::Gemini => "systemInstruction",
        };
        if self.protocol() == Protocol::Gemini {
            let mut content = ObjectWriter::begin(&mut value);
            content.array("parts", |parts| parts.object(|part| part.plain("text", text)));
            content.end();
        } else {
            push_plain(&mut value, text);
        }
        match &self.member {
            Some(item) => splices.replace(item.range(), value),
            None => splices.insert_member(&self.outline.root, name, &value),
        }
        Ok(splices)
    }

    /// Puts the text before all else, apart from it where the form allows that.
    fn lead(&self, first: &Place<'a>, text: &str) -> Result<Splices, EditError> {
        match (&first.role, &first.content) {
            (Some(role), _) => self.insert(text, &role.decode()),
            (None, Content::Text(item, present))
                if self.protocol() == Protocol::Anthropic && !present.is_empty() =>
            {
                let mut splices = Splices::default();
                let mut before = BytesMut::from("[");
                push_block(&mut before, self.protocol(), true, text, None);
                before.extend_from_slice(br#",{"type":"text","text":"#);
                let range = item.range();
                splices.replace(range.start..range.start, before);
                splices.replace(range.end..range.end, "}]".into());
                Ok(splices)
            }
            (None, content) => Ok(content.prepend(self.protocol(), text)),
        }
    }

    fn replace(&self, first: &Place<'a>, text: &str) -> Splices {
        let mut splices = self.remove_all(1);
        first.content.replace(self.protocol(), text, &mut splices);
        splices
    }

    fn remove(&self) -> Splices {
        self.remove_all(0)
    }

    /// Takes out all places but the first `kept`.
    fn remove_all(&self, kept: usize) -> Splices {
        let mut splices = Splices::default();
        let places = self.places.get(kept..).unwrap_or_default();
        let members = places.iter().filter(|place| place.role.is_none());
        for member in members {
            splices.remove(self.outline.text, &member.whole, &member.whole);
        }
        let first = places.iter().take_while(|place| place.role.is_none()).count();
        for run in places[first..].chunk_by(|one, next| one.run == next.run) {
            if let [first, ..] = run {
                let last = run.last().unwrap_or(first);
                splices.remove(self.outline.text, &first.whole, &last.whole);
            }
        }
        splices
    }
}

/// What leads a conversation.
enum Leading<'a> {
    /// Role and content of a system message.
    Message(JsonStr<'a>, Item<'a>),
    /// Tools that the system adds (Responses `additional_tools`): no words of it.
    Tools,
    /// Anybody else speaks.
    End,
}

fn leading<'a>(message: &Item<'a>) -> Result<Leading<'a>, EditError> {
    if message.kind() != Some(Kind::Object) {
        return Ok(Leading::End);
    }
    let message = Object::of(message, &["role", "content", "type"])?;
    let role = message.get("role")?.and_then(|role| role.as_str());
    let Some(role) = role.filter(|role| *role == "system" || *role == "developer") else {
        return Ok(Leading::End);
    };
    let kind = message.get("type")?.and_then(|kind| kind.as_str());
    match message.get("content")? {
        Some(content) => Ok(Leading::Message(role, content)),
        None if kind.is_some_and(|kind| kind == "additional_tools") => Ok(Leading::Tools),
        None => Err(EditError::Shape("content")),
    }
}
