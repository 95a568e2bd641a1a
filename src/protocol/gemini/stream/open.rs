//! A part on its way to the caller.

use crate::protocol::json::JsonStr;
use crate::protocol::model::{
    Content, Media, MediaSource, Part, PartStart, Rest, Seal, Spelling, ToolArguments, ToolCall,
    Vendor,
};

/// What an open part counts toward the limit of what is held back, beside its text.
const PART_SIZE: usize = 256;

/// A part that is not written to its end.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Open {
    pub(super) index: u32,
    pub(super) kind: Kind,
    /// What is held back of its words or arguments, escaped.
    pub(super) text: String,
    pub(super) seal: Option<Seal<'static>>,
    pub(super) stopped: bool,
    /// What it counts toward the limit.
    pub(super) size: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Text,
    Thought,
    /// Written when it is complete; of a call, the arguments are yet to come.
    Whole(Box<Part<'static>>),
    /// Gemini has no such part.
    Nothing,
}

impl Kind {
    /// The bytes that it brings with its beginning.
    fn size(&self) -> usize {
        let Self::Whole(part) = self else { return 0 };
        match &part.content {
            Content::Media(Media { source: MediaSource::Base64 { data, .. }, .. }) => {
                data.escaped().len()
            }
            Content::Other { raw, .. } => raw.as_str().len(),
            _ => 0,
        }
    }
}

impl Open {
    /// A part that begins. Of parts that only another protocol knows nothing is kept.
    pub(super) fn new(index: u32, part: PartStart<'_>, rest: Rest<'_>, native: bool) -> Self {
        let whole = |content: Content<'_>, rest: Rest<'_>| {
            let part = Part { rest, ..Part::new(content) };
            Kind::Whole(Box::new(part.into_owned()))
        };
        let mut seal = None;
        let kind = match part {
            PartStart::Text { .. } | PartStart::Refusal => Kind::Text,
            PartStart::Reasoning { seal: early } => {
                seal = early.filter(is_ours).map(Seal::into_owned);
                Kind::Thought
            }
            PartStart::ToolCall { id, name, kind, seal, .. } => {
                let arguments = ToolArguments::Text(JsonStr::default());
                let (item_id, spelling) = (None, Spelling::default());
                let call = ToolCall { id, name, arguments, kind, seal, item_id, spelling };
                whole(Content::ToolCall(call), rest)
            }
            PartStart::Media(media) => whole(Content::Media(media), rest),
            PartStart::Other { kind, raw } if native => whole(Content::Other { kind, raw }, rest),
            PartStart::Other { .. } => Kind::Nothing,
        };
        let size = PART_SIZE + kind.size() + seal.as_ref().map_or(0, |it| it.data.escaped().len());
        Self { index, kind, text: String::new(), seal, stopped: false, size }
    }
}

/// Whether a seal may stand in `thoughtSignature`.
pub(super) fn is_ours(seal: &Seal<'_>) -> bool {
    matches!(seal.vendor, Vendor::Gemini | Vendor::Gateway) && !seal.data.is_empty()
}
