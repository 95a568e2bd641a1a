//! Copies that outlive the document they were read from.

use super::{
    CacheMark, Content, Media, MediaSource, Part, PartStart, Rest, Seal, Stop, ToolArguments,
    ToolCall, ToolResult, Usage,
};
use crate::protocol::json::{JsonStr, Raw};

impl Rest<'_> {
    /// A copy that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> Rest<'static> {
        let own = |(key, raw): (JsonStr<'_>, Raw<'_>)| (key.into_owned(), raw.into_owned());
        Rest(self.0.into_iter().map(own).collect(), self.1.map(Raw::into_owned))
    }
}

impl Seal<'_> {
    /// A copy that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> Seal<'static> {
        Seal { vendor: self.vendor, kind: self.kind, data: self.data.into_owned() }
    }
}

impl Usage<'_> {
    /// A copy that borrows nothing, with the source's object.
    #[must_use]
    pub fn into_owned(self) -> Usage<'static> {
        Usage { raw: self.raw.clone().map(Raw::into_owned), ..self.counts() }
    }
}

impl Stop<'_> {
    /// A copy that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> Stop<'static> {
        Stop {
            reason: self.reason,
            word: self.word.map(JsonStr::into_owned),
            sequence: self.sequence.map(JsonStr::into_owned),
            details: self.details.map(Raw::into_owned),
        }
    }
}

impl Part<'_> {
    /// A copy that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> Part<'static> {
        Part {
            content: self.content.into_owned(),
            cache: self.cache.map(own_mark),
            seal: self.seal.map(Seal::into_owned),
            rest: self.rest.into_owned(),
        }
    }
}

fn own_mark(mark: CacheMark<'_>) -> CacheMark<'static> {
    CacheMark(mark.0.into_owned())
}

fn own_parts(parts: Vec<Part<'_>>) -> Vec<Part<'static>> {
    parts.into_iter().map(Part::into_owned).collect()
}

impl Content<'_> {
    /// A copy that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> Content<'static> {
        match self {
            Self::Text { text, citations } => {
                Content::Text { text: text.into_owned(), citations: citations.map(Raw::into_owned) }
            }
            Self::Refusal(text) => Content::Refusal(text.into_owned()),
            Self::Media(media) => Content::Media(media.into_owned()),
            Self::Reasoning { text, seal, id, raw } => Content::Reasoning {
                text: text.map(JsonStr::into_owned),
                seal: seal.map(Seal::into_owned),
                id: id.map(JsonStr::into_owned),
                raw: raw.map(Raw::into_owned),
            },
            Self::ToolCall(call) => Content::ToolCall(call.into_owned()),
            Self::ToolResult(result) => Content::ToolResult(result.into_owned()),
            Self::Other { kind, raw } => {
                Content::Other { kind: kind.into_owned(), raw: raw.into_owned() }
            }
        }
    }
}

impl ToolCall<'_> {
    /// A copy that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> ToolCall<'static> {
        ToolCall {
            id: self.id.into_owned(),
            name: self.name.into_owned(),
            arguments: match self.arguments {
                ToolArguments::Json(raw) => ToolArguments::Json(raw.into_owned()),
                ToolArguments::Text(text) => ToolArguments::Text(text.into_owned()),
            },
            kind: self.kind,
            seal: self.seal.map(Seal::into_owned),
            item_id: self.item_id.map(JsonStr::into_owned),
            spelling: self.spelling,
        }
    }
}

impl ToolResult<'_> {
    /// A copy that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> ToolResult<'static> {
        ToolResult {
            call_id: self.call_id.into_owned(),
            name: self.name.map(JsonStr::into_owned),
            parts: own_parts(self.parts),
            plain: self.plain,
            is_error: self.is_error,
            kind: self.kind,
            spelling: self.spelling,
        }
    }
}

impl Media<'_> {
    /// A copy that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> Media<'static> {
        Media {
            kind: self.kind,
            source: self.source.into_owned(),
            detail: self.detail.map(JsonStr::into_owned),
            title: self.title.map(JsonStr::into_owned),
            context: self.context.map(JsonStr::into_owned),
            citations: self.citations.map(Raw::into_owned),
            spelling: self.spelling,
        }
    }
}

impl MediaSource<'_> {
    /// A copy that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> MediaSource<'static> {
        match self {
            Self::Base64 { media_type, data } => {
                MediaSource::Base64 { media_type: media_type.into_owned(), data: data.into_owned() }
            }
            Self::Url(url) => MediaSource::Url(url.into_owned()),
            Self::File(id) => MediaSource::File(id.into_owned()),
            Self::Text { media_type, data } => {
                MediaSource::Text { media_type: media_type.into_owned(), data: data.into_owned() }
            }
            Self::Parts { parts, plain } => MediaSource::Parts { parts: own_parts(parts), plain },
            Self::Other(raw) => MediaSource::Other(raw.into_owned()),
        }
    }
}

impl PartStart<'_> {
    /// A copy that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> PartStart<'static> {
        match self {
            Self::Text { citations } => {
                PartStart::Text { citations: citations.map(Raw::into_owned) }
            }
            Self::Refusal => PartStart::Refusal,
            Self::Reasoning { seal } => PartStart::Reasoning { seal: seal.map(Seal::into_owned) },
            Self::ToolCall { id, name, kind, seal, cache } => PartStart::ToolCall {
                id: id.into_owned(),
                name: name.into_owned(),
                kind,
                seal: seal.map(Seal::into_owned),
                cache: cache.map(own_mark),
            },
            Self::Media(media) => PartStart::Media(media.into_owned()),
            Self::Other { kind, raw } => {
                PartStart::Other { kind: kind.into_owned(), raw: raw.into_owned() }
            }
        }
    }
}
