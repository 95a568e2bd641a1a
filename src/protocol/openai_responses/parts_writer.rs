//! The parts of a finished answer as items.

use bytes::BytesMut;

use super::item_writer::{
    Called, Frame, Kept, TextPart, call_prefix, inside, logprobs_inside, write_words,
};
use super::namespaces::Namespaces;
use crate::protocol::citation::{self, Span};
use crate::protocol::json::{ArrayWriter, JsonStr, Kind, Raw, push_escaped};
use crate::protocol::model::{
    Content, Media, MediaKind, MediaSource, Part, Rest, Seal, ToolArguments, ToolCall,
    ToolCallKind, Vendor,
};
use crate::protocol::report::{Reporter, Severity};
use crate::protocol::target::Ids;
use crate::protocol::wire::push;

/// Writes the items of an answer.
pub(super) struct PartsWriter<'w, 'o, 'p, 's> {
    /// The answer is of this protocol.
    pub(super) own: bool,
    pub(super) list: &'w mut ArrayWriter<'o>,
    pub(super) ids: &'w mut Ids,
    pub(super) report: &'w mut Reporter<'p>,
    /// The candidate's token probabilities; the first text takes them.
    pub(super) logprobs: Option<&'w Raw<'s>>,
    /// The tools of the request that stand in a namespace.
    pub(super) namespaces: &'w Namespaces,
    /// The status of the last item.
    pub(super) last: &'static str,
}

impl PartsWriter<'_, '_, '_, '_> {
    /// Writes all parts.
    pub(super) fn parts(&mut self, mut parts: &[Part<'_>]) {
        while let Some((first, behind)) = parts.split_first() {
            let kept = Kept::of(&first.rest).filter(|_| self.own);
            if let Some(kept) = kept.as_ref().filter(|kept| kept.whole) {
                push(self.list.item(), kept.item().as_str());
                self.logprobs = None;
                let more = entries(kept.item()).saturating_sub(1).min(behind.len());
                parts = &behind[more..];
                continue;
            }
            let run = 1 + if speaks(first) { self.run(behind) } else { 0 };
            let (now, later) = parts.split_at(run);
            let status = if later.is_empty() { self.last } else { "completed" };
            self.item(now, kept.as_ref(), status);
            parts = later;
        }
        if let Some(raw) = self.logprobs.take().filter(|raw| logprobs_inside(raw).is_empty()) {
            self.report.piece(
                raw.as_str(),
                Severity::Ignore,
                "token probabilities of another form",
            );
        }
    }

    /// How many of the parts go on with a message.
    fn run(&self, parts: &[Part<'_>]) -> usize {
        let goes_on =
            |part: &&Part<'_>| speaks(part) && !(self.own && part.rest.source().is_some());
        parts.iter().take_while(goes_on).count()
    }

    /// Writes the parts of one item.
    fn item(&mut self, parts: &[Part<'_>], kept: Option<&Kept<'_>>, status: &str) {
        if !self.own {
            parts.iter().for_each(|part| self.losses(part));
        }
        let [part, ..] = parts else { return };
        match &part.content {
            Content::Reasoning { text, seal, raw, .. } => {
                self.reasoning(text.as_ref(), seal.as_ref(), raw.as_ref(), kept, status);
            }
            Content::ToolCall(call) => self.call(call, kept, status),
            Content::Media(media) => self.media(media, status),
            Content::Other { raw, .. } if self.own => push(self.list.item(), raw.as_str()),
            // They are reported.
            Content::Other { .. } | Content::ToolResult(_) => {}
            _ => self.message(parts, kept, status),
        }
    }

    fn id(&mut self, kept: Option<&Kept<'_>>, prefix: &str) -> JsonStr<'static> {
        match kept.and_then(Kept::id) {
            Some(id) => id.into_owned(),
            None => JsonStr::from_plain(self.ids.make(prefix)),
        }
    }

    fn message(&mut self, parts: &[Part<'_>], kept: Option<&Kept<'_>>, status: &str) {
        // An empty text of another protocol says nothing; here it would be a message.
        let own = self.own;
        let says = |part: &&Part<'_>| {
            own || !matches!(&part.content, Content::Text { text, .. } if text.is_empty())
        };
        if !parts.iter().any(|part| says(&part)) {
            return;
        }
        let id = self.id(kept, "msg_");
        let frame = Frame { id: &id, status, kept };
        let Self { list, logprobs, .. } = self;
        frame.message(list.item(), |content| {
            for (nth, part) in parts.iter().filter(says).enumerate() {
                let kept = kept.filter(|_| nth == 0);
                let rest = kept.map_or_else(|| part.rest.clone(), |kept| kept.without(&part.rest));
                let rest = own.then_some(&rest);
                write_part(content.item(), part, rest, logprobs, own);
            }
        });
    }

    /// Writes a message with a refusal.
    pub(super) fn refusal(&mut self, words: &JsonStr<'_>) {
        let id = self.id(None, "msg_");
        let frame = Frame { id: &id, status: "completed", kept: None };
        frame.message(self.list.item(), |content| {
            write_words(content.item(), "refusal", "refusal", words.escaped(), None);
        });
    }

    fn reasoning(
        &mut self,
        text: Option<&JsonStr<'_>>,
        seal: Option<&Seal<'_>>,
        raw: Option<&Raw<'_>>,
        kept: Option<&Kept<'_>>,
        status: &str,
    ) {
        let id = self.id(kept, "rs_");
        let frame = Frame { id: &id, status, kept };
        let is_thinking = kept.is_some_and(|kept| kept.thinking);
        let kind = if is_thinking { "reasoning_text" } else { "summary_text" };
        let seal = seal.filter(|seal| fits(seal)).map(|seal| &seal.data);
        let mut texts = BytesMut::new();
        match (raw, text) {
            (Some(raw), _) if self.own => push(&mut texts, inside(raw)),
            (_, Some(text)) if !text.is_empty() => {
                write_words(&mut texts, kind, "text", text.escaped(), None);
            }
            _ => {}
        }
        let (summary, thinking) =
            if is_thinking { (&[][..], &texts[..]) } else { (&texts[..], &[][..]) };
        frame.reasoning(self.list.item(), seal, summary, thinking);
    }

    fn call(&mut self, call: &ToolCall<'_>, kept: Option<&Kept<'_>>, status: &str) {
        let id = self.id(kept, call_prefix(call.kind));
        let call_id = if call.id.is_empty() && !self.own {
            JsonStr::from_plain(self.ids.make("call_"))
        } else {
            call.id.borrow()
        };
        let mut escaped = BytesMut::new();
        let arguments = match &call.arguments {
            ToolArguments::Json(raw) => {
                push_escaped(&mut escaped, raw.as_str());
                std::str::from_utf8(&escaped).unwrap_or_default()
            }
            ToolArguments::Text(text) => text.escaped(),
        };
        let empty = arguments.is_empty() && call.kind == ToolCallKind::Function && !self.own;
        let arguments = if empty { "{}" } else { arguments };
        let frame = Frame { id: &id, status, kept };
        let apart = self.namespaces.split(&call.name).filter(|_| !self.own);
        let (namespace, name) = match apart {
            Some((namespace, name)) => (Some(namespace), name),
            None => (None, &call.name),
        };
        let called = Called { id: &call_id, namespace, name };
        frame.call(self.list.item(), call.kind, called, arguments);
    }

    fn media(&mut self, media: &Media<'_>, status: &str) {
        if let Some(data) = image_data(media) {
            let id = self.id(None, "ig_");
            Frame { id: &id, status, kept: None }.image(self.list.item(), Some(data));
        }
    }

    /// Names what an item of Responses cannot hold.
    fn losses(&mut self, part: &Part<'_>) {
        let report = &mut *self.report;
        report.rest(&part.rest);
        let foreign = "sealed for another vendor";
        if let Some(seal) = &part.seal {
            report.string(&seal.data, Severity::Degrade, foreign);
        }
        match &part.content {
            Content::Reasoning { seal: Some(seal), .. } if !fits(seal) => {
                report.string(&seal.data, Severity::Degrade, foreign);
            }
            Content::ToolCall(ToolCall { seal: Some(seal), .. }) => {
                report.string(&seal.data, Severity::Degrade, foreign);
            }
            Content::Text { citations: Some(list), .. } => {
                citation::each(&list.borrow(), |cited| {
                    if !citation::is_known(&cited) {
                        let reason = "a citation of another form";
                        report.piece(cited.as_str(), Severity::Ignore, reason);
                    }
                });
            }
            Content::Other { raw, .. } => {
                report.piece(raw.as_str(), Severity::Degrade, "no such item in Responses");
            }
            Content::Media(media) if image_data(media).is_none() => {
                let reason = "no such media in an answer of Responses";
                report.piece(media.piece(), Severity::Degrade, reason);
            }
            Content::ToolResult(result) => {
                let reason = "no result of a tool in an answer of Responses";
                report.string(&result.call_id, Severity::Degrade, reason);
            }
            _ => {}
        }
    }
}

/// Whether a part stands in a message.
fn speaks(part: &Part<'_>) -> bool {
    matches!(part.content, Content::Text { .. } | Content::Refusal(_))
}

/// How many parts of the hub an item is.
fn entries(item: &Raw<'_>) -> usize {
    let mut count = 0;
    if item.cursor().peek_str("type").is_none_or(|kind| kind == "message") {
        if let Some(list) = item.member("content").filter(|list| list.kind() == Kind::Array) {
            // The value was checked when it was cut.
            let _ = list.cursor().array(|_, c| {
                count += 1;
                c.raw().map(drop)
            });
        }
    }
    count.max(1)
}

/// Writes a part of a message.
fn write_part(
    out: &mut BytesMut,
    part: &Part<'_>,
    rest: Option<&Rest<'_>>,
    logprobs: &mut Option<&Raw<'_>>,
    own: bool,
) {
    match &part.content {
        Content::Text { text, citations } => {
            let annotations = citations.as_ref().map(|list| annotations(list, text, own));
            let known = logprobs.filter(|raw| !logprobs_inside(raw).is_empty());
            if known.is_some() {
                *logprobs = None;
            }
            let part = TextPart {
                text: text.escaped(),
                annotations: annotations.as_deref().unwrap_or_default(),
                logprobs: known.map(logprobs_inside).unwrap_or_default(),
            };
            part.write(out, rest);
        }
        Content::Refusal(text) => write_words(out, "refusal", "refusal", text.escaped(), rest),
        _ => {}
    }
}

/// The annotations of a text, without their brackets.
fn annotations(list: &Raw<'_>, text: &JsonStr<'_>, own: bool) -> String {
    if own {
        return inside(list).to_owned();
    }
    let mut out = BytesMut::new();
    let span = Span { start: 0, length: text.decode().chars().count() as u64 };
    citation::each(&list.borrow(), |cited| {
        let mut one = BytesMut::new();
        if citation::write_flat(&cited, span, &mut one) {
            if !out.is_empty() {
                push(&mut out, ",");
            }
            out.extend_from_slice(&one);
        }
    });
    String::from_utf8(out.to_vec()).unwrap_or_default()
}

/// Whether a seal goes into `encrypted_content`: OpenAI's own, and ours, which comes back.
pub(super) fn fits(seal: &Seal<'_>) -> bool {
    matches!(seal.vendor, Vendor::OpenAi | Vendor::Gateway) && !seal.data.is_empty()
}

/// The bytes of an image, in base64.
pub(super) fn image_data<'m, 'a>(media: &'m Media<'a>) -> Option<&'m JsonStr<'a>> {
    match (&media.source, media.kind) {
        (MediaSource::Base64 { data, .. }, MediaKind::Image) => Some(data),
        _ => None,
    }
}
