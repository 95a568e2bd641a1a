//! The parts of a turn.

use std::fmt;

use super::{Rest, Spelling, ToolCall, ToolResult};
use crate::protocol::json::{JsonStr, Raw};

/// One piece of a turn.
#[derive(Debug, Clone, PartialEq)]
pub struct Part<'a> {
    /// What it is.
    pub content: Content<'a>,
    /// The prompt cache may cut behind this part.
    pub cache: Option<CacheMark<'a>>,
    /// A seal on words, media and whatever else has no place for one of its own (Gemini).
    pub seal: Option<Seal<'a>>,
    /// Members not understood.
    pub rest: Rest<'a>,
}

impl<'a> Part<'a> {
    /// A part without mark or further members.
    #[must_use]
    pub fn new(content: Content<'a>) -> Self {
        Self { content, cache: None, seal: None, rest: Rest::default() }
    }

    /// A text without citations.
    #[must_use]
    pub fn text(text: JsonStr<'a>) -> Self {
        Self::new(Content::Text { text, citations: None })
    }
}

/// A cache mark as it stood: `{"type":"ephemeral","ttl":"1h"}`.
#[derive(Debug, Clone, PartialEq)]
pub struct CacheMark<'a>(pub Raw<'a>);

/// What a part is.
#[derive(Debug, Clone, PartialEq)]
pub enum Content<'a> {
    /// Words.
    Text {
        /// The words.
        text: JsonStr<'a>,
        /// Citations or annotations in the form of their origin, an array.
        citations: Option<Raw<'a>>,
    },
    /// The model's refusal in words.
    Refusal(JsonStr<'a>),
    /// An image, a document, a sound.
    Media(Media<'a>),
    /// The model's thinking.
    Reasoning {
        /// The readable thinking or its summary; `None` where there is only a seal.
        text: Option<JsonStr<'a>>,
        /// What proves or carries it.
        seal: Option<Seal<'a>>,
        /// Id of the item (Responses).
        id: Option<JsonStr<'a>>,
        /// The list that the text came from, where the text alone does not say it all
        /// (Responses: several summaries, or the thinking itself beside its summary).
        raw: Option<Raw<'a>>,
    },
    /// The model calls a tool.
    ToolCall(ToolCall<'a>),
    /// What the tool answered.
    ToolResult(ToolResult<'a>),
    /// Anything else, whole: server tools and blocks yet unknown.
    Other {
        /// Its `type`.
        kind: JsonStr<'a>,
        /// The block as it stood.
        raw: Raw<'a>,
    },
}

/// An image, a document, a sound.
#[derive(Debug, Clone, PartialEq)]
pub struct Media<'a> {
    /// Which of them.
    pub kind: MediaKind,
    /// Where its bytes are.
    pub source: MediaSource<'a>,
    /// How closely to look (`low`, `high`, `auto`).
    pub detail: Option<JsonStr<'a>>,
    /// File name or title.
    pub title: Option<JsonStr<'a>>,
    /// What the document is about (Messages).
    pub context: Option<JsonStr<'a>>,
    /// Whether to cite it, in the form of its origin.
    pub citations: Option<Raw<'a>>,
    /// Which of two spellings the source used.
    pub spelling: Spelling,
}

impl Content<'_> {
    /// What of the source document it is found by in a report; empty where nothing tells.
    pub(crate) fn piece(&self) -> &str {
        match self {
            Self::Text { text, .. } | Self::Refusal(text) => text.escaped(),
            Self::Media(media) => media.piece(),
            Self::Reasoning { text, seal, .. } => {
                let text = text.as_ref().or(seal.as_ref().map(|seal| &seal.data));
                text.map(JsonStr::escaped).unwrap_or_default()
            }
            Self::ToolCall(call) => call.id.escaped(),
            Self::ToolResult(result) => result.call_id.escaped(),
            Self::Other { raw, .. } => raw.as_str(),
        }
    }
}

impl Media<'_> {
    /// What of the source document it is found by in a report; empty where nothing tells.
    pub(crate) fn piece(&self) -> &str {
        match &self.source {
            MediaSource::Url(text)
            | MediaSource::File(text)
            | MediaSource::Base64 { data: text, .. }
            | MediaSource::Text { data: text, .. } => text.escaped(),
            MediaSource::Other(raw) => raw.as_str(),
            MediaSource::Parts { parts, .. } => {
                parts.first().map(|part| part.content.piece()).unwrap_or_default()
            }
        }
    }
}

/// Kinds of media.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaKind {
    /// A picture.
    Image,
    /// A PDF or text document.
    Document,
    /// Sound.
    Audio,
    /// Moving pictures.
    Video,
}

/// Where the bytes of a medium are.
#[derive(Debug, Clone, PartialEq)]
pub enum MediaSource<'a> {
    /// In the request.
    Base64 {
        /// Media type, such as `image/png`; an audio format where the protocol has only that.
        media_type: JsonStr<'a>,
        /// Base64.
        data: JsonStr<'a>,
    },
    /// At a URL that the vendor fetches.
    Url(JsonStr<'a>),
    /// At the vendor, uploaded before.
    File(JsonStr<'a>),
    /// A document of plain text.
    Text {
        /// Media type, `text/plain`.
        media_type: JsonStr<'a>,
        /// The text.
        data: JsonStr<'a>,
    },
    /// A document made of parts.
    Parts {
        /// Its parts.
        parts: Vec<Part<'a>>,
        /// It was a bare string.
        plain: bool,
    },
    /// A form yet unknown, as it stood.
    Other(Raw<'a>),
}

/// Something that only its maker can read, and only unaltered. Its `Debug` does not show the data.
#[derive(Clone, PartialEq)]
pub struct Seal<'a> {
    /// Who made it: it goes back to no one else.
    pub vendor: Vendor,
    /// Which kind.
    pub kind: SealKind,
    /// The opaque text.
    pub data: JsonStr<'a>,
}

impl fmt::Debug for Seal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { vendor, kind, data } = self;
        write!(f, "Seal({vendor:?}, {kind:?}, {} bytes)", data.escaped().len())
    }
}

/// Makers of seals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Vendor {
    Anthropic,
    OpenAi,
    Gemini,
    DashScope,
    /// Ours: the envelope in which another's seal goes through the slot of a caller's protocol.
    Gateway,
    /// A Chat dialect that does not say.
    Unknown,
}

/// Kinds of seals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealKind {
    /// Signs the readable thinking beside it (Messages `signature`).
    Signature,
    /// Stands for thinking that is not shown (Messages `redacted_thinking`).
    Redacted,
    /// Encrypted thinking beside a summary (Responses `encrypted_content`).
    Encrypted,
    /// Gemini `thoughtSignature`.
    ThoughtSignature,
}
