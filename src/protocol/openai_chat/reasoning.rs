//! Thinking in the dialects of Chat: `reasoning_content` (DeepSeek, Qwen, GLM), `reasoning`, and
//! `reasoning_details`, a list of entries that also carry signatures (OpenRouter).

use crate::protocol::json::{ArrayWriter, Cursor, JsonError, JsonStr, Kind, ObjectWriter, Raw};
use crate::protocol::model::{Content, Part, Rest, Seal, SealKind, Spelling, Vendor};
use crate::protocol::wire::push_joined;

/// The thinking members of one message.
#[derive(Debug, Default)]
pub(super) struct Thoughts<'a> {
    content: Option<Raw<'a>>,
    reasoning: Option<Raw<'a>>,
    details: Option<Raw<'a>>,
}

impl<'a> Thoughts<'a> {
    /// Takes the member if it is one of the three and says anything.
    pub(super) fn member(
        &mut self,
        name: &str,
        c: &mut Cursor<'a>,
    ) -> Result<Option<Raw<'a>>, JsonError> {
        let (slot, kind) = match name {
            "reasoning_content" => (&mut self.content, Kind::String),
            "reasoning" => (&mut self.reasoning, Kind::String),
            _ => (&mut self.details, Kind::Array),
        };
        let raw = c.raw()?;
        if raw.kind() != kind || matches!(raw.as_str(), "\"\"" | "[]") {
            return Ok(Some(raw));
        }
        *slot = Some(raw);
        Ok(None)
    }

    /// Whether there is any.
    pub(super) fn is_empty(&self) -> bool {
        self.content.is_none() && self.reasoning.is_none() && self.details.is_none()
    }

    /// Turns the members into parts. A text that stands twice is taken once; the other stays in
    /// `rest`.
    pub(super) fn into_parts(
        self,
        parts: &mut Vec<Part<'a>>,
        spelling: &mut Spelling,
        rest: &mut Rest<'a>,
    ) {
        let mut keep = |name: &'static str, raw: Raw<'a>| {
            rest.keep(JsonStr::from_plain(name), raw);
        };
        let entries = self.details.as_ref().and_then(entries);
        let detailed = entries.as_ref().is_some_and(|entries| entries.iter().any(has_text));
        if let Some(entries) = entries
            .as_ref()
            .filter(|_| detailed || (self.content.is_none() && self.reasoning.is_none()))
        {
            parts.extend(entries.iter().cloned());
            spelling.set(Spelling::REASONING_DETAILS);
            self.content.into_iter().for_each(|raw| keep("reasoning_content", raw));
            self.reasoning.into_iter().for_each(|raw| keep("reasoning", raw));
            return;
        }
        let text = match (self.content, self.reasoning) {
            (Some(content), reasoning) => {
                reasoning.into_iter().for_each(|raw| keep("reasoning", raw));
                content.source_str()
            }
            (None, Some(reasoning)) => {
                spelling.set(Spelling::REASONING_MEMBER);
                reasoning.source_str()
            }
            (None, None) => None,
        };
        let mut thought = Part::new(Content::Reasoning { text, seal: None, id: None, raw: None });
        match entries.and_then(pair) {
            Some((signed, sealed)) => {
                if let Some(signed) = signed {
                    thought.rest = signed.rest;
                    if let (
                        Content::Reasoning { seal, .. },
                        Content::Reasoning { seal: given, .. },
                    ) = (&mut thought.content, signed.content)
                    {
                        *seal = given;
                    }
                }
                parts.push(thought);
                parts.extend(sealed);
            }
            None => {
                if has_text(&thought) {
                    parts.push(thought);
                }
                self.details.into_iter().for_each(|raw| keep("reasoning_details", raw));
            }
        }
    }
}

fn has_text(part: &Part<'_>) -> bool {
    matches!(part.content, Content::Reasoning { text: Some(_), .. })
}

/// Splits entries without text into the one that signs the text beside them and the others.
/// `None` where several would sign it.
fn pair<'a>(entries: Vec<Part<'a>>) -> Option<(Option<Part<'a>>, Vec<Part<'a>>)> {
    let signs = |part: &Part<'_>| {
        matches!(&part.content, Content::Reasoning { seal, .. }
            if seal.as_ref().is_none_or(|seal| seal.kind == SealKind::Signature))
    };
    let (mut signed, sealed): (Vec<_>, Vec<_>) = entries.into_iter().partition(signs);
    (signed.len() <= 1).then(|| (signed.pop(), sealed))
}

/// The entries of `reasoning_details`; `None` where one is of a kind yet unknown.
fn entries<'a>(details: &Raw<'a>) -> Option<Vec<Part<'a>>> {
    let mut parts = Vec::new();
    let walked = details.source_cursor()?.array(|_, c| {
        let entry = entry(c)?.ok_or_else(|| c.error("unknown entry"))?;
        parts.push(entry);
        Ok(())
    });
    walked.is_ok().then_some(parts)
}

/// The text of `thinking` in an item of content (Mistral): a string, or a list of texts.
pub(super) fn listed<'a>(c: &mut Cursor<'a>) -> Result<JsonStr<'a>, JsonError> {
    match c.kind()? {
        Kind::String => c.string(),
        Kind::Array => {
            let mut texts = Vec::new();
            c.array(|_, c| match c.kind()? {
                Kind::Object => c.object(|key, c| {
                    if key == "text" && c.kind()? == Kind::String {
                        texts.push(c.string()?);
                        return Ok(());
                    }
                    c.raw().map(drop)
                }),
                _ => c.raw().map(drop),
            })?;
            match texts.pop() {
                Some(only) if texts.is_empty() => Ok(only),
                last => {
                    let pieces = texts.iter().chain(&last).map(JsonStr::escaped);
                    Ok(JsonStr::from_escaped(pieces.collect::<String>()))
                }
            }
        }
        _ => c.raw().map(|_| JsonStr::default()),
    }
}

/// Whether the thinking stood among the content (Mistral).
pub(super) fn is_listed(part: &Part<'_>) -> bool {
    matches!(part.content, Content::Reasoning { .. }) && part.rest.get("thinking").is_some()
}

/// Reads one entry of `reasoning_details`; `None` for a kind yet unknown.
pub(super) fn entry<'a>(c: &mut Cursor<'a>) -> Result<Option<Part<'a>>, JsonError> {
    let mut kind = JsonStr::default();
    let (mut text, mut signature, mut data, mut format) = (None, None, None, None);
    let mut rest = Rest::default();
    c.object(|key, c| {
        let is_string = c.kind()? == Kind::String;
        match &*key.decode() {
            "type" if is_string => kind = c.string()?,
            "text" | "summary" if is_string => text = Some(c.string()?),
            "signature" if is_string => signature = Some(c.string()?),
            "data" if is_string => data = Some(c.string()?),
            "format" if is_string => format = Some(c.raw()?),
            _ => rest.keep(key.clone(), c.raw()?),
        }
        Ok(())
    })?;
    let vendor =
        format.as_ref().and_then(Raw::source_str).map_or(Vendor::Unknown, |f| vendor(&f.decode()));
    let seal = match (&*kind.decode(), signature, data) {
        ("reasoning.text", signature, None) => {
            signature.map(|data| Seal { vendor, kind: SealKind::Signature, data })
        }
        ("reasoning.summary", None, None) => {
            rest.keep(JsonStr::from_plain("type"), Raw::literal("\"reasoning.summary\""));
            None
        }
        ("reasoning.encrypted", None, Some(data)) => {
            let kind = match vendor {
                Vendor::Anthropic => SealKind::Redacted,
                Vendor::Gemini => SealKind::ThoughtSignature,
                _ => SealKind::Encrypted,
            };
            Some(Seal { vendor, kind, data })
        }
        _ => return Ok(None),
    };
    // The format is told by the seal where there is one.
    if let Some(format) = format.filter(|_| seal.is_none() || vendor == Vendor::Unknown) {
        rest.keep(JsonStr::from_plain("format"), format);
    }
    Ok(Some(Part { rest, ..Part::new(Content::Reasoning { text, seal, id: None, raw: None }) }))
}

const FORMATS: [(Vendor, &str); 3] = [
    (Vendor::Anthropic, "anthropic-claude-v1"),
    (Vendor::OpenAi, "openai-responses-v1"),
    (Vendor::Gemini, "google-gemini-v1"),
];

fn vendor(format: &str) -> Vendor {
    FORMATS.iter().find(|(_, name)| *name == format).map_or(Vendor::Unknown, |(vendor, _)| *vendor)
}

/// Writes the thinking members of a message.
///
/// `own` says that the message came from Chat: it gets back what it had. Any other gets
/// `reasoning_content`, and entries in `reasoning_details` that carry text and seal together where
/// there is a seal, so that a client which sends them back keeps the seal.
pub(super) fn write(
    parts: &[Part<'_>],
    spelling: Spelling,
    own: bool,
    object: &mut ObjectWriter<'_>,
) {
    let detailed = spelling.has(Spelling::REASONING_DETAILS);
    let apart = |part: &&Part<'_>| !(own && is_listed(part));
    let texts = parts.iter().filter(apart).filter_map(|part| match &part.content {
        Content::Reasoning { text: Some(text), .. } => Some(text),
        _ => None,
    });
    if !detailed && texts.clone().next().is_some() {
        let legacy = spelling.has(Spelling::REASONING_MEMBER);
        let name = if legacy { "reasoning" } else { "reasoning_content" };
        // Thoughts of others are whole ones.
        let separator = if own { "" } else { "\\n\\n" };
        push_joined(object.key(name), texts, separator);
    }
    let sealed = |part: &&Part<'_>| match &part.content {
        Content::Reasoning { seal, .. } if apart(part) => {
            detailed || seal.is_some() || (own && !part.rest.0.is_empty())
        }
        _ => false,
    };
    if parts.iter().any(|part| sealed(&part)) {
        object.array("reasoning_details", |entries| {
            let parts = parts.iter().filter(sealed);
            parts.for_each(|part| write_entry(entries, part, detailed || !own, own));
        });
    }
}

fn write_entry(entries: &mut ArrayWriter<'_>, part: &Part<'_>, with_text: bool, own: bool) {
    let Content::Reasoning { text, seal, .. } = &part.content else { return };
    entries.object(|entry| {
        let typed = own && part.rest.get("type").is_some();
        let text = text.as_ref().filter(|_| with_text);
        match seal {
            Some(seal) => write_seal(entry, seal, text),
            None if typed => text.into_iter().for_each(|text| entry.str("summary", text)),
            None => {
                entry.plain("type", "reasoning.text");
                text.into_iter().for_each(|text| entry.str("text", text));
            }
        }
        if own {
            part.rest.write(entry);
        }
    });
}

/// Writes the members of an entry that carries a seal.
pub(super) fn write_seal(
    entry: &mut ObjectWriter<'_>,
    seal: &Seal<'_>,
    text: Option<&JsonStr<'_>>,
) {
    let signs = seal.kind == SealKind::Signature;
    entry.plain("type", if signs { "reasoning.text" } else { "reasoning.encrypted" });
    if let Some(text) = text.filter(|_| signs) {
        entry.str("text", text);
    }
    entry.str(if signs { "signature" } else { "data" }, &seal.data);
    if let Some((_, format)) = FORMATS.iter().find(|(vendor, _)| *vendor == seal.vendor) {
        entry.plain("format", format);
    }
}
