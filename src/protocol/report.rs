//! What a translation could not carry.

use std::fmt;

use super::json::{Cursor, JsonStr, Kind, Raw, push_pointer_step};
use super::model::{Rest, ServerState};

/// Most losses that one report keeps; further ones are only counted.
pub const MAX_LOSSES: usize = 256;

/// How much a loss matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// It has no effect on the answer: metadata, cache marks, service tier.
    Ignore,
    /// The answer may differ: sampling, seed, several candidates, foreign thinking.
    Degrade,
    /// The answer would be wrong: audio, unknown history, unresolvable media.
    Fatal,
}

/// What to refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Mode {
    /// Refuse [`Severity::Degrade`] and [`Severity::Fatal`].
    Strict,
    /// Refuse only [`Severity::Fatal`].
    #[default]
    Default,
    /// Refuse nothing.
    Lenient,
}

impl Mode {
    /// Whether a loss of this severity is refused.
    #[must_use]
    pub fn refuses(self, severity: Severity) -> bool {
        match self {
            Self::Strict => severity >= Severity::Degrade,
            Self::Default => severity == Severity::Fatal,
            Self::Lenient => false,
        }
    }
}

/// Something that was not carried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// JSON pointer (RFC 6901) into the source document.
    pub pointer: String,
    /// Why, in a few words.
    pub reason: &'static str,
    /// How much it matters.
    pub severity: Severity,
}

/// Everything that one translation could not carry; empty when nothing was lost.
///
/// It is put into the extensions of the response.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TranslationReport {
    losses: Vec<Loss>,
    uncounted: usize,
    worst: Option<Severity>,
}

impl TranslationReport {
    /// The losses, at most [`MAX_LOSSES`], in the order in which they were met.
    #[must_use]
    pub fn losses(&self) -> &[Loss] {
        &self.losses
    }

    /// How many more there were than are kept.
    #[must_use]
    pub fn omitted(&self) -> usize {
        self.uncounted
    }

    /// Whether nothing was lost.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.losses.is_empty()
    }

    /// The first loss that `mode` refuses.
    #[must_use]
    pub fn refused_by(&self, mode: Mode) -> Option<&Loss> {
        self.losses.iter().find(|loss| mode.refuses(loss.severity))
    }

    /// Adds the losses of another translation, such as the response's to the request's.
    pub fn extend(&mut self, other: Self) {
        self.uncounted += other.uncounted;
        for loss in other.losses {
            self.push(loss);
        }
    }

    /// Adds a loss.
    pub fn add(&mut self, loss: Loss) {
        self.push(loss);
    }

    fn push(&mut self, loss: Loss) {
        let worst = self.worst.replace(loss.severity.max(self.worst.unwrap_or(loss.severity)));
        if self.losses.len() < MAX_LOSSES {
            self.losses.push(loss);
            return;
        }
        self.uncounted += 1;
        // A refusal, in whatever mode, must never hide behind the limit.
        if worst < Some(loss.severity) {
            self.losses[MAX_LOSSES - 1] = loss;
        }
    }
}

impl fmt::Display for TranslationReport {
    /// `pointer: reason; pointer: reason`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, loss) in self.losses.iter().enumerate() {
            let separator = if i == 0 { "" } else { "; " };
            write!(f, "{separator}{}: {}", loss.pointer, loss.reason)?;
        }
        Ok(())
    }
}

/// Collects losses while a writer runs.
///
/// Nodes of the hub carry no pointers: what is lost is still a slice of the source document, and
/// where it stood is found only when somebody reports it.
#[derive(Debug)]
pub struct Reporter<'a> {
    source: &'a str,
    anchors: &'a [Anchor<'a>],
    report: TranslationReport,
}

/// Where a member of a request, or an item of its conversation, begins.
///
/// Readers leave these by the way, so that finding the place of a loss does not mean walking
/// through a whole conversation: nearly every request of an agent loses a cache mark or two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor<'a> {
    /// Byte offset of the value.
    pub offset: usize,
    /// Name of the top-level member.
    pub member: JsonStr<'a>,
    /// Index in it, where the anchor is one of its items.
    pub item: Option<usize>,
}

impl<'a> Reporter<'a> {
    /// A reporter on this source document.
    #[must_use]
    pub fn new(source: &'a str) -> Self {
        Self { source, anchors: &[], report: TranslationReport::default() }
    }

    /// Finds places from these anchors on; they are in the order of their offsets.
    #[must_use]
    pub fn anchored(mut self, anchors: &'a [Anchor<'a>]) -> Self {
        self.anchors = anchors;
        self
    }

    /// Reports a top-level member by name.
    pub fn member(&mut self, name: &str, severity: Severity, reason: &'static str) {
        let mut pointer = String::new();
        push_pointer_step(&mut pointer, name);
        self.report.push(Loss { pointer, reason, severity });
    }

    /// Reports what `piece` is a slice of. A piece from elsewhere is reported on the document.
    pub fn piece(&mut self, piece: &str, severity: Severity, reason: &'static str) {
        let offset = (piece.as_ptr() as usize).checked_sub(self.source.as_ptr() as usize);
        let pointer = offset
            .filter(|offset| *offset <= self.source.len())
            .and_then(|offset| self.pointer_at(offset))
            .unwrap_or_default();
        self.report.push(Loss { pointer, reason, severity });
    }

    fn pointer_at(&self, offset: usize) -> Option<String> {
        let mut pointer = String::new();
        let behind = self.anchors.partition_point(|anchor| anchor.offset <= offset);
        let mut start = 0;
        if let Some(anchor) = self.anchors[..behind].last() {
            push_pointer_step(&mut pointer, &anchor.member.decode());
            if let Some(item) = anchor.item {
                push_pointer_step(&mut pointer, &item.to_string());
            }
            start = anchor.offset;
        }
        walk_to(self.source, start, offset, pointer)
    }

    /// Reports a string of the source.
    pub fn string(&mut self, piece: &JsonStr<'_>, severity: Severity, reason: &'static str) {
        self.piece(piece.escaped(), severity, reason);
    }

    /// Reports a declared tool that only its own vendor runs.
    ///
    /// The model goes without it, which is no reason to refuse: agents declare such tools with every
    /// request (`web_search` of Codex), whether or not they are needed.
    pub fn server_tool(&mut self, declaration: &Raw<'_>) {
        self.piece(declaration.as_str(), Severity::Degrade, "a tool that another vendor runs");
    }

    /// Reports what only the source's own vendor can recall, without which the prompt is another.
    pub(super) fn server_state(&mut self, state: &ServerState<'_>) {
        let ServerState { store: _, previous_response_id, conversation, cached_content } = state;
        if let Some(id) = previous_response_id {
            let reason = "the earlier conversation is at another vendor";
            self.string(id, Severity::Fatal, reason);
        }
        if let Some(conversation) = conversation {
            let reason = "the conversation is at another vendor";
            self.piece(conversation.as_str(), Severity::Fatal, reason);
        }
        if let Some(cached) = cached_content {
            self.string(cached, Severity::Fatal, "the cached prompt is at another vendor");
        }
    }

    /// Reports members that only the source's own protocol knows. `null` and what is empty are
    /// no loss.
    pub fn rest(&mut self, rest: &Rest<'_>) {
        for (name, value) in &rest.0 {
            if !matches!(value.as_str(), "null" | "\"\"" | "[]" | "{}") {
                // What is turned off is off elsewhere too.
                let off = value.as_str() == "false";
                let severity =
                    if off { Severity::Ignore } else { severity_of(&name.decode(), value) };
                self.piece(value.as_str(), severity, "unknown to the upstream's protocol");
            }
        }
    }

    /// The finished report.
    #[must_use]
    pub fn finish(self) -> TranslationReport {
        self.report
    }
}

/// How much the loss of a member matters that the hub has no place for. Most are labels and hints;
/// these are heard, seen or searched with, or hold what the model is to know.
fn severity_of(member: &str, value: &Raw<'_>) -> Severity {
    match member {
        // Responses: the prompt is at the vendor.
        "mcp_servers" | "prompt" => Severity::Fatal,
        "audio" | "images" | "web_search_options" | "container" => Severity::Degrade,
        // Of Responses; it is the default that is named.
        "truncation" if value.as_str() == "\"disabled\"" => Severity::Ignore,
        "background" | "truncation" | "context_management" => Severity::Degrade,
        // Of DashScope: ids of tokens to stop at, what is searched and how to translate.
        "stop" | "enable_search" | "translation_options" | "plugins" => Severity::Degrade,
        // Gemini's `generationConfig`, in both of its spellings.
        "responseModalities"
        | "response_modalities"
        | "speechConfig"
        | "speech_config"
        | "imageConfig"
        | "image_config"
        | "mediaResolution"
        | "media_resolution" => Severity::Degrade,
        _ => Severity::Ignore,
    }
}

/// Extends `pointer`, which is that of the value at `base`, to the innermost value that spans the
/// byte at `offset`.
fn walk_to(source: &str, mut base: usize, offset: usize, mut pointer: String) -> Option<String> {
    let mut text = source.get(base..)?;
    loop {
        let mut cursor = Cursor::new(text);
        let mut child = None;
        let within = |range: &std::ops::Range<usize>| {
            base + range.start <= offset && offset < base + range.end
        };
        match cursor.kind().ok()? {
            Kind::Object => cursor.object(|key, c| {
                let range = span(c)?;
                if within(&range) {
                    child = Some((key.decode().into_owned(), range));
                }
                Ok(())
            }),
            Kind::Array => cursor.array(|index, c| {
                let range = span(c)?;
                if within(&range) {
                    child = Some((index.to_string(), range));
                }
                Ok(())
            }),
            _ => return Some(pointer),
        }
        .ok()?;
        let Some((step, range)) = child else { return Some(pointer) };
        push_pointer_step(&mut pointer, &step);
        base += range.start;
        text = &text[range];
    }
}

fn span(cursor: &mut Cursor<'_>) -> Result<std::ops::Range<usize>, super::json::JsonError> {
    cursor.kind()?;
    let start = cursor.offset();
    cursor.raw()?;
    Ok(start..cursor.offset())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_name_the_piece() {
        let source = r#"{"a":[{"b/c":"text"},{"seed":7}],"n":null}"#;
        let mut reporter = Reporter::new(source);
        let at = source.find("text").unwrap();
        reporter.piece(&source[at..at + 4], Severity::Degrade, "x");
        let at = source.find('7').unwrap();
        reporter.piece(&source[at..=at], Severity::Ignore, "y");
        reporter.piece("elsewhere", Severity::Ignore, "z");
        let pointers: Vec<_> = reporter.finish().losses.into_iter().map(|l| l.pointer).collect();
        assert_eq!(pointers, ["/a/0/b~1c", "/a/1/seed", ""]);
    }

    #[test]
    fn anchors_give_the_same_pointers() {
        let source = r#"{"a": [ {"b":"text"}, {"c":"more"} ], "d": {"e":"last"}}"#;
        let at = |piece: &str| source.find(piece).unwrap();
        let anchor = |offset, member: &'static str, item| Anchor {
            offset,
            member: JsonStr::from_plain(member),
            item,
        };
        let anchors = [
            anchor(at("[ {"), "a", None),
            anchor(at(r#"{"b""#), "a", Some(0)),
            anchor(at(r#"{"c""#), "a", Some(1)),
            anchor(at(r#"{"e""#), "d", None),
        ];
        let pointers = |mut reporter: Reporter<'_>| -> Vec<String> {
            for piece in ["text", "more", "last"] {
                reporter.piece(&source[at(piece)..][..4], Severity::Ignore, "x");
            }
            reporter.finish().losses.into_iter().map(|loss| loss.pointer).collect()
        };
        let expected = ["/a/0/b", "/a/1/c", "/d/e"];
        assert_eq!(pointers(Reporter::new(source)), expected);
        assert_eq!(pointers(Reporter::new(source).anchored(&anchors)), expected);
    }

    #[test]
    fn empty_members_are_no_loss() {
        let report = |name, raw| {
            let mut rest = Rest::default();
            rest.keep(JsonStr::from_plain(name), Raw::literal(raw));
            let mut reporter = Reporter::new("{}");
            reporter.rest(&rest);
            reporter.finish().losses.first().map(|loss| loss.severity)
        };
        for raw in ["null", "[]", "{}", "\"\""] {
            assert_eq!(report("mcp_servers", raw), None, "{raw}");
        }
        assert_eq!(report("mcp_servers", "[1]"), Some(Severity::Fatal));
        assert_eq!(report("prompt", r#"{"id":"p"}"#), Some(Severity::Fatal));
        assert_eq!(report("audio", "1"), Some(Severity::Degrade));
        assert_eq!(report("enable_search", "true"), Some(Severity::Degrade));
        assert_eq!(report("enable_search", "false"), Some(Severity::Ignore));
        assert_eq!(report("truncation", "\"auto\""), Some(Severity::Degrade));
        assert_eq!(report("truncation", "\"disabled\""), Some(Severity::Ignore));
        assert_eq!(report("background", "false"), Some(Severity::Ignore));
        assert_eq!(report("other", "1"), Some(Severity::Ignore));
    }

    #[test]
    fn a_fatal_loss_is_kept_beyond_the_limit() {
        let mut reporter = Reporter::new("{}");
        for _ in 0..MAX_LOSSES + 5 {
            reporter.member("m", Severity::Ignore, "x");
        }
        reporter.member("d", Severity::Degrade, "z");
        assert!(reporter.report.refused_by(Mode::Strict).is_some());
        reporter.member("f", Severity::Fatal, "y");
        let report = reporter.finish();
        assert_eq!(report.losses().len(), MAX_LOSSES);
        assert_eq!(report.omitted(), 7);
        assert_eq!(report.refused_by(Mode::Default).unwrap().pointer, "/f");
        assert!(report.refused_by(Mode::Lenient).is_none());
    }
}
