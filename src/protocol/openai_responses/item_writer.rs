//! The items of an answer, written piece by piece: for finished answers and for streams.

use bytes::BytesMut;

use crate::protocol::json::{ArrayWriter, JsonStr, Kind, ObjectWriter, Raw};
use crate::protocol::model::{Rest, ToolCallKind};
use crate::protocol::wire::{push, write_opt_str};

/// Most bytes that are kept of an item of a stream as it began. Of a larger one nothing is kept: it
/// gets a new id, and loses what nobody understands of it.
pub const MAX_KEPT: usize = 4 << 10;

/// What the upstream's item had beside its content, where it speaks this protocol too: its id, and
/// members that nobody understands.
///
/// It is the source of the first part's [`Rest`]: the item as it stood in a finished answer; in a
/// stream the item as it began, in a list, with a second entry where its thinking is told itself and
/// not in summaries. So the one can be put back whole, the other cannot.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Kept<'a> {
    item: Raw<'a>,
    /// The item is complete.
    pub(super) whole: bool,
    /// Thinking is told in `content`, not in `summary`.
    pub(super) thinking: bool,
}

impl<'a> Kept<'a> {
    /// What a part keeps of its item; `None` in any but the first part of an item.
    pub(super) fn of(rest: &Rest<'a>) -> Option<Self> {
        let source = rest.source()?;
        if source.kind() == Kind::Object {
            let listed = |name| source.member(name).is_some_and(|list| list.as_str().len() > 2);
            let thinking = !listed("summary") && listed("content");
            return Some(Self { item: source.clone(), whole: true, thinking });
        }
        let mut entries = Vec::new();
        let walked = source.cursor().array(|_, c| {
            entries.push(c.raw()?.into_owned());
            Ok(())
        });
        walked.ok()?;
        let mut entries = entries.into_iter();
        let item = entries.next()?;
        Some(Self { item, whole: false, thinking: entries.next().is_some() })
    }

    /// What is to be kept of an item that begins, without its content; `None` where that is too
    /// much.
    pub(super) fn begun(item: &Raw<'_>) -> Option<Raw<'static>> {
        const CONTENT: [&str; 4] = ["summary", "encrypted_content", "arguments", "input"];
        let mut out = BytesMut::new();
        let mut object = ObjectWriter::begin(&mut out);
        let walked = item.cursor().object(|key, c| {
            let value = c.raw()?;
            if key == "content" {
                // That it has a list is kept, for thinking.
                object.array("content", |_| {});
            } else if !CONTENT.iter().any(|name| key == *name) {
                object.raw(key.escaped(), &value);
            }
            Ok(())
        });
        walked.ok()?;
        object.end();
        if out.len() > MAX_KEPT {
            return None;
        }
        Raw::parse_owned(String::from_utf8(out.to_vec()).ok()?).ok()
    }

    /// What the first part keeps of an item that began; `thinking` is told itself.
    pub(super) fn source(begun: &Raw<'_>, thinking: bool) -> Option<Raw<'static>> {
        let mark = if thinking { ",\"reasoning_text\"" } else { "" };
        Raw::parse_owned(format!("[{}{mark}]", begun.as_str())).ok()
    }

    pub(super) fn into_owned(self) -> Kept<'static> {
        Kept { item: self.item.into_owned(), whole: self.whole, thinking: self.thinking }
    }

    /// The item as it stood or began.
    pub(super) fn item(&self) -> &Raw<'a> {
        &self.item
    }

    /// What belongs to the part itself of what it keeps: members of the item are its own.
    pub(super) fn without<'r>(&self, rest: &Rest<'r>) -> Rest<'r> {
        let own = |(key, _): &&(JsonStr<'_>, Raw<'_>)| !self.has(&key.decode());
        Rest::new(rest.0.iter().filter(own).cloned().collect())
    }

    /// The id of the item.
    pub(super) fn id(&self) -> Option<JsonStr<'_>> {
        self.item.cursor().peek_str("id").filter(|id| !id.is_empty())
    }

    fn has(&self, name: &str) -> bool {
        self.item.member(name).is_some()
    }

    /// Writes the members that nobody understands.
    fn write(&self, object: &mut ObjectWriter<'_>) {
        const WRITTEN: [&str; 11] = [
            "id",
            "type",
            "status",
            "role",
            "content",
            "summary",
            "encrypted_content",
            "arguments",
            "input",
            "call_id",
            "name",
        ];
        // The value was checked when it was cut.
        let _ = self.item.cursor().object(|key, c| {
            let value = c.raw()?;
            if !WRITTEN.iter().any(|name| key == *name) {
                object.raw(key.escaped(), &value);
            }
            Ok(())
        });
    }
}

/// What stands around the content of an item.
#[derive(Clone, Copy)]
pub(super) struct Frame<'f> {
    pub(super) id: &'f JsonStr<'f>,
    pub(super) status: &'f str,
    pub(super) kept: Option<&'f Kept<'f>>,
}

impl Frame<'_> {
    fn begin(&self, object: &mut ObjectWriter<'_>, kind: &str) {
        object.str("id", self.id);
        object.plain("type", kind);
    }

    fn end(&self, object: &mut ObjectWriter<'_>) {
        if let Some(kept) = self.kept {
            kept.write(object);
        }
    }

    /// Writes a message; `content` writes its parts.
    pub(super) fn message(&self, out: &mut BytesMut, content: impl FnOnce(&mut ArrayWriter<'_>)) {
        let mut object = ObjectWriter::begin(out);
        self.begin(&mut object, "message");
        object.plain("status", self.status);
        object.plain("role", "assistant");
        object.array("content", content);
        self.end(&mut object);
        object.end();
    }

    /// Writes an item of thinking; `summary` and `thinking` are the items of its lists.
    pub(super) fn reasoning(
        &self,
        out: &mut BytesMut,
        seal: Option<&JsonStr<'_>>,
        summary: &[u8],
        thinking: &[u8],
    ) {
        let list = |out: &mut BytesMut, items: &[u8]| {
            push(out, "[");
            out.extend_from_slice(items);
            push(out, "]");
        };
        let mut object = ObjectWriter::begin(out);
        self.begin(&mut object, "reasoning");
        // OpenAI says it of no thinking, some clones do.
        if self.kept.is_none_or(|kept| kept.has("status")) {
            object.plain("status", self.status);
        }
        list(object.key("summary"), summary);
        let has_content = |kept: &Kept<'_>| kept.thinking || kept.has("content");
        if !thinking.is_empty() || self.kept.is_some_and(has_content) {
            list(object.key("content"), thinking);
        }
        if let Some(seal) = seal {
            object.str("encrypted_content", seal);
        }
        self.end(&mut object);
        object.end();
    }

    /// Writes a call of a tool; `arguments` is escaped.
    pub(super) fn call(
        &self,
        out: &mut BytesMut,
        kind: ToolCallKind,
        called: Called<'_>,
        arguments: &str,
    ) {
        let mut object = ObjectWriter::begin(out);
        self.begin(&mut object, call_type(kind));
        object.plain("status", self.status);
        push_quoted(object.key(arguments_member(kind)), arguments);
        object.str("call_id", called.id);
        object.str("name", called.name);
        write_opt_str(&mut object, "namespace", called.namespace);
        self.end(&mut object);
        object.end();
    }

    /// Writes an image that the model made; `None` while it makes it.
    pub(super) fn image(&self, out: &mut BytesMut, data: Option<&JsonStr<'_>>) {
        let mut object = ObjectWriter::begin(out);
        self.begin(&mut object, "image_generation_call");
        object.plain("status", self.status);
        match data {
            Some(data) => object.str("result", data),
            None => object.null("result"),
        }
        object.end();
    }
}

/// What a call names.
#[derive(Clone, Copy)]
pub(super) struct Called<'c> {
    pub(super) id: &'c JsonStr<'c>,
    pub(super) namespace: Option<&'c JsonStr<'c>>,
    pub(super) name: &'c JsonStr<'c>,
}

/// The `type` of a call.
fn call_type(kind: ToolCallKind) -> &'static str {
    match kind {
        ToolCallKind::Function => "function_call",
        ToolCallKind::Custom => "custom_tool_call",
    }
}

/// The member with the arguments of a call.
pub(super) fn arguments_member(kind: ToolCallKind) -> &'static str {
    match kind {
        ToolCallKind::Function => "arguments",
        ToolCallKind::Custom => "input",
    }
}

/// The prefix of the id of a call's item.
pub(super) fn call_prefix(kind: ToolCallKind) -> &'static str {
    match kind {
        ToolCallKind::Function => "fc_",
        ToolCallKind::Custom => "ctc_",
    }
}

/// What a part of a message holds; the lists are the items between their brackets.
#[derive(Clone, Copy)]
pub(super) struct TextPart<'t> {
    /// Escaped.
    pub(super) text: &'t str,
    pub(super) annotations: &'t str,
    pub(super) logprobs: &'t str,
}

impl TextPart<'_> {
    /// Writes an `output_text`.
    pub(super) fn write(&self, out: &mut BytesMut, rest: Option<&Rest<'_>>) {
        let mut object = ObjectWriter::begin(out);
        object.plain("type", "output_text");
        push_quoted(object.key("text"), self.text);
        push_list(object.key("annotations"), self.annotations);
        push_list(object.key("logprobs"), self.logprobs);
        if let Some(rest) = rest {
            rest.write(&mut object);
        }
        object.end();
    }
}

/// Writes a part of a message or of thinking that is a text alone; `text` is escaped.
pub(super) fn write_words(
    out: &mut BytesMut,
    kind: &str,
    member: &str,
    text: &str,
    rest: Option<&Rest<'_>>,
) {
    let mut object = ObjectWriter::begin(out);
    object.plain("type", kind);
    push_quoted(object.key(member), text);
    if let Some(rest) = rest {
        rest.write(&mut object);
    }
    object.end();
}

/// Appends an escaped text in quotes.
pub(super) fn push_quoted(out: &mut BytesMut, text: &str) {
    push(out, "\"");
    push(out, text);
    push(out, "\"");
}

/// Appends the items of a list in their brackets.
pub(super) fn push_list(out: &mut BytesMut, items: &str) {
    push(out, "[");
    push(out, items);
    push(out, "]");
}

/// The items of a list without their brackets.
pub(super) fn inside<'r>(list: &'r Raw<'_>) -> &'r str {
    let inner = list.as_str().strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
    inner.unwrap_or_default().trim()
}

/// The token probabilities in what a candidate keeps of them: OpenAI's form of both protocols.
/// Empty where they have another form.
pub(super) fn logprobs_inside<'r>(raw: &'r Raw<'_>) -> &'r str {
    let mut list = "";
    let walked = raw.cursor().object(|key, c| {
        let text = c.raw_str()?;
        if key == "content" {
            list = text;
        }
        Ok(())
    });
    let inner = list.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
    walked.ok().and(inner).unwrap_or_default().trim()
}

/// A list of them in that form.
pub(super) fn logprobs_of(items: &str) -> Option<Raw<'static>> {
    Raw::parse_owned(format!("{{\"content\":[{items}],\"refusal\":null}}")).ok()
}
