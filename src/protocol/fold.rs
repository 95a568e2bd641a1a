//! The events of a stream as one finished answer.

use super::Protocol;
use super::json::{JsonStr, Number, Raw};
use super::model::{
    Candidate, Content, Delta, FaultKind, MediaSource, Part, PartStart, Response, Rest, Seal,
    Spelling, Stop, StreamEvent, ToolArguments, ToolCall, Usage,
};
use super::translate::TranslateError;

/// Collects the events of one stream.
///
/// Holds the whole answer, up to the limit that it was made with: what is kept is counted, and what
/// a later event replaces no more.
#[derive(Debug)]
pub struct Fold {
    response: Response<'static>,
    parts: Vec<Open>,
    /// Token probabilities, piece by piece, with their candidates.
    logprobs: Vec<(u32, Raw<'static>)>,
    bytes: usize,
    limit: usize,
    ended: bool,
    failure: Option<(FaultKind, String)>,
}

/// A part that grows; its text is kept escaped.
#[derive(Debug)]
struct Open {
    index: u32,
    candidate: u32,
    start: PartStart<'static>,
    rest: Rest<'static>,
    text: String,
    seal: Option<Seal<'static>>,
    citations: Vec<String>,
}

impl Fold {
    /// An empty answer of protocol `origin`; `limit` bounds what is kept, in bytes.
    #[must_use]
    pub fn new(origin: Protocol, limit: usize) -> Self {
        Self {
            response: Response {
                origin,
                id: JsonStr::default(),
                model: JsonStr::default(),
                created: None,
                candidates: Vec::new(),
                usage: None,
                rest: Rest::default(),
            },
            parts: Vec::new(),
            logprobs: Vec::new(),
            bytes: 0,
            limit,
            ended: false,
            failure: None,
        }
    }

    /// One more event.
    pub fn event(&mut self, event: StreamEvent<'_>) {
        if self.failure.is_some() {
            return;
        }
        match event {
            StreamEvent::Start { id, model, created, usage, rest } => {
                let head = id.escaped().len() + model.escaped().len() + rest.held();
                let kept = size_of_head(&self.response);
                if !self.swap(kept, head + size_of_usage(usage.as_ref())) {
                    return;
                }
                self.response.id = id.into_owned();
                self.response.model = model.into_owned();
                self.response.created = created.map(Number::from);
                self.response.usage = usage.map(Usage::into_owned);
                self.response.rest = rest.into_owned();
            }
            StreamEvent::PartStart { index, candidate, part, rest } => {
                if !self.grow(PART_OVERHEAD + size_of_start(&part) + rest.held()) {
                    return;
                }
                self.parts.push(Open {
                    index,
                    candidate,
                    start: part.into_owned(),
                    rest: rest.into_owned(),
                    text: String::new(),
                    seal: None,
                    citations: Vec::new(),
                });
            }
            StreamEvent::Delta { index, delta } => self.delta(index, delta),
            StreamEvent::Logprobs { candidate, raw } => {
                if self.grow(PART_OVERHEAD + raw.as_str().len()) {
                    self.logprobs.push((candidate, raw.into_owned()));
                }
            }
            StreamEvent::Stop { candidate, stop, rest } => {
                let known = self.response.candidates.iter().find(|c| c.index == candidate);
                let kept = known.map(|c| size_of_stop(c.stop.as_ref(), &c.rest));
                let size = PART_OVERHEAD + size_of_stop(Some(&stop), &rest);
                if !self.swap(kept.map_or(0, |kept| PART_OVERHEAD + kept), size) {
                    return;
                }
                let candidate = self.candidate(candidate);
                candidate.stop = Some(stop.into_owned());
                candidate.rest = rest.into_owned();
            }
            StreamEvent::Usage(usage) => {
                let kept = size_of_usage(self.response.usage.as_ref());
                if self.swap(kept, size_of_usage(Some(&usage))) {
                    self.response.usage = Some(usage.into_owned());
                }
            }
            StreamEvent::PartStop { .. } | StreamEvent::Ping => {}
            StreamEvent::Error(mut error) => {
                error.hide_secrets();
                self.failure = Some((error.kind, error.message.decode().into_owned()));
            }
            StreamEvent::End => self.ended = true,
        }
    }

    /// The finished answer.
    ///
    /// # Errors
    /// When the stream failed, did not end, or grew beyond the limit.
    pub fn finish(self) -> Result<Response<'static>, TranslateError> {
        if let Some((kind, message)) = self.failure {
            return Err(TranslateError::Failed(kind, message));
        }
        if !self.ended {
            let message = "the upstream ended the stream early".to_owned();
            return Err(TranslateError::Failed(FaultKind::Upstream, message));
        }
        Ok(self.so_far())
    }

    /// Whether the stream has said that it is complete.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.ended && self.failure.is_none()
    }

    /// What went wrong in the stream, or that it grew beyond the limit.
    #[must_use]
    pub fn failure(&self) -> Option<(FaultKind, &str)> {
        self.failure.as_ref().map(|(kind, message)| (*kind, message.as_str()))
    }

    /// What has come, whatever became of the stream.
    #[must_use]
    pub fn so_far(mut self) -> Response<'static> {
        for open in std::mem::take(&mut self.parts) {
            let candidate = open.candidate;
            let part = open.close();
            let parts = &mut self.candidate(candidate).parts;
            if !parts.last_mut().is_some_and(|before| completes(before, &part)) {
                parts.push(part);
            }
        }
        let mut logprobs = std::mem::take(&mut self.logprobs);
        while let Some((candidate, _)) = logprobs.first() {
            let candidate = *candidate;
            let (own, others) = logprobs.into_iter().partition(|(of, _)| *of == candidate);
            self.candidate(candidate).logprobs = joined(own);
            logprobs = others;
        }
        // What ended is an answer, though an empty one: clients look for its first candidate.
        if self.response.candidates.is_empty() {
            self.candidate(0);
        }
        self.response
    }

    fn delta(&mut self, index: u32, delta: Delta<'_>) {
        let size = match &delta {
            Delta::Text(text) | Delta::Reasoning(text) | Delta::Arguments(text) => {
                text.escaped().len()
            }
            Delta::Seal(seal) => seal.data.escaped().len(),
            Delta::Citation(raw) => CITATION_OVERHEAD + raw.as_str().len(),
            // Nobody could write it back into a finished answer.
            Delta::Other(_) => return,
        };
        let Some(at) = self.parts.iter().rposition(|open| open.index == index) else { return };
        let replaced = match (&delta, &self.parts[at].seal) {
            (Delta::Seal(_), Some(seal)) => seal.data.escaped().len(),
            _ => 0,
        };
        if !self.swap(replaced, size) {
            return;
        }
        let open = &mut self.parts[at];
        match delta {
            Delta::Text(text) | Delta::Reasoning(text) | Delta::Arguments(text) => {
                open.text.push_str(text.escaped());
            }
            Delta::Seal(seal) => open.seal = Some(seal.into_owned()),
            Delta::Citation(raw) => open.citations.push(raw.as_str().to_owned()),
            Delta::Other(_) => {}
        }
    }

    /// Whether so many bytes more can be kept.
    fn grow(&mut self, bytes: usize) -> bool {
        self.swap(0, bytes)
    }

    /// Whether so many bytes can be kept in place of others.
    fn swap(&mut self, kept: usize, bytes: usize) -> bool {
        self.bytes = self.bytes - kept + bytes;
        let fits = self.bytes <= self.limit;
        if !fits {
            let message = "the upstream's answer is larger than the limit".to_owned();
            self.failure = Some((FaultKind::Upstream, message));
        }
        fits
    }

    fn candidate(&mut self, index: u32) -> &mut Candidate<'static> {
        let candidates = &mut self.response.candidates;
        let at = candidates.iter().position(|c| c.index == index).unwrap_or_else(|| {
            candidates.push(Candidate {
                index,
                parts: Vec::new(),
                stop: None,
                logprobs: None,
                spelling: Spelling::default(),
                message_rest: Rest::default(),
                rest: Rest::default(),
            });
            candidates.len() - 1
        });
        &mut candidates[at]
    }
}

/// Gives a call its arguments, if `part` is nothing else: some clones send a call in two, first its
/// name, then a call without a name for the arguments.
fn completes(before: &mut Part<'static>, part: &Part<'static>) -> bool {
    let (Content::ToolCall(first), Content::ToolCall(second)) =
        (&mut before.content, &part.content)
    else {
        return false;
    };
    let empty = |call: &ToolCall<'_>| matches!(&call.arguments, ToolArguments::Text(text) if matches!(&*text.decode(), "" | "{}"));
    let same = second.id.is_empty() || second.id == first.id;
    let one = same && second.name.is_empty() && !first.name.is_empty();
    let completes = one && empty(first) && !empty(second);
    if completes {
        first.arguments = second.arguments.clone();
    }
    completes
}

/// The token probabilities of a stream in one: the lists of OpenAI's form in a row. Of another form
/// the last one counts.
fn joined(pieces: Vec<(u32, Raw<'static>)>) -> Option<Raw<'static>> {
    let of = |name: &str| -> Vec<String> {
        let lists = pieces.iter().filter_map(|(_, piece)| piece.member(name));
        let inner = lists.filter_map(|list| {
            let inner = list.as_str().strip_prefix('[')?.strip_suffix(']')?.trim();
            (!inner.is_empty()).then(|| inner.to_owned())
        });
        inner.collect()
    };
    let list = |items: &[String]| match items {
        [] => "null".to_owned(),
        items => format!("[{}]", items.join(",")),
    };
    let (content, refusal) = (of("content"), of("refusal"));
    if pieces.len() == 1 || (content.is_empty() && refusal.is_empty()) {
        return pieces.into_iter().next_back().map(|(_, piece)| piece);
    }
    let whole = format!(r#"{{"content":{},"refusal":{}}}"#, list(&content), list(&refusal));
    Raw::parse_owned(whole).ok()
}

/// What the head of an answer keeps, with its usage.
fn size_of_head(response: &Response<'_>) -> usize {
    let names = response.id.escaped().len() + response.model.escaped().len();
    names + response.rest.held() + size_of_usage(response.usage.as_ref())
}

fn size_of_usage(usage: Option<&Usage<'_>>) -> usize {
    usage.and_then(|usage| usage.raw.as_ref()).map_or(0, |raw| raw.as_str().len())
}

fn size_of_stop(stop: Option<&Stop<'_>>, rest: &Rest<'_>) -> usize {
    let Some(stop) = stop else { return rest.held() };
    let texts = [&stop.word, &stop.sequence].into_iter().flatten();
    let details = stop.details.as_ref().map_or(0, |raw| raw.as_str().len());
    texts.map(|text| text.escaped().len()).sum::<usize>() + details + rest.held()
}

/// What a part brings whole.
fn size_of_start(start: &PartStart<'_>) -> usize {
    match start {
        PartStart::Text { citations } => citations.as_ref().map_or(0, |raw| raw.as_str().len()),
        PartStart::Refusal => 0,
        PartStart::Reasoning { seal } => seal.as_ref().map_or(0, |seal| seal.data.escaped().len()),
        PartStart::ToolCall { id, name, seal, .. } => {
            let seal = seal.as_ref().map_or(0, |seal| seal.data.escaped().len());
            id.escaped().len() + name.escaped().len() + seal
        }
        PartStart::Media(media) => match &media.source {
            MediaSource::Base64 { data, .. } | MediaSource::Text { data, .. } => {
                data.escaped().len()
            }
            MediaSource::Url(text) | MediaSource::File(text) => text.escaped().len(),
            MediaSource::Parts { .. } => 0,
            MediaSource::Other(raw) => raw.as_str().len(),
        },
        PartStart::Other { raw, .. } => raw.as_str().len(),
    }
}

/// What an empty part or candidate counts toward the limit, so that many empty ones are bounded too.
const PART_OVERHEAD: usize = 256;

/// What an empty citation counts.
const CITATION_OVERHEAD: usize = size_of::<String>();

impl Open {
    fn close(self) -> Part<'static> {
        // Pieces never cut an escape, so their join is valid too.
        let text = JsonStr::from_escaped(self.text);
        let mut on_part = None;
        let content = match self.start {
            PartStart::Text { citations } => {
                on_part = self.seal;
                Content::Text {
                    text,
                    citations: if self.citations.is_empty() {
                        citations
                    } else {
                        Raw::parse_owned(format!("[{}]", self.citations.join(","))).ok()
                    },
                }
            }
            PartStart::Refusal => Content::Refusal(text),
            PartStart::Reasoning { seal } => Content::Reasoning {
                text: (!text.is_empty() || seal.is_none()).then_some(text),
                seal: seal.or(self.seal),
                id: None,
                raw: None,
            },
            PartStart::ToolCall { id, name, kind, seal, .. } => Content::ToolCall(ToolCall {
                id,
                name,
                arguments: ToolArguments::Text(text),
                kind,
                seal: seal.or(self.seal),
                item_id: None,
                spelling: Spelling::default(),
            }),
            PartStart::Media(media) => {
                on_part = self.seal;
                Content::Media(media)
            }
            PartStart::Other { kind, raw } => {
                on_part = self.seal;
                Content::Other { kind, raw }
            }
        };
        Part { seal: on_part, rest: self.rest, ..Part::new(content) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::model::{SealKind, StopReason, Vendor};

    #[test]
    fn token_probabilities_are_joined() {
        // given, joined
        let rows: [(&[&'static str], &str); 4] = [
            (&[r#"{"content":[1]}"#], r#"{"content":[1]}"#),
            (
                &[r#"{"content":[1],"refusal":null}"#, r#"{"content":[]}"#, r#"{"content":[2,3]}"#],
                r#"{"content":[1,2,3],"refusal":null}"#,
            ),
            (&[r#"{"content":[1]}"#, r#"{"refusal":[2]}"#], r#"{"content":[1],"refusal":[2]}"#),
            (&[r#"{"avg":1}"#, r#"{"avg":2}"#], r#"{"avg":2}"#),
        ];
        for (given, expected) in rows {
            let mut fold = Fold::new(Protocol::OpenAiChat, 1 << 20);
            for raw in given {
                // Another candidate's stand apart.
                for (candidate, raw) in [(1, Raw::literal(raw)), (0, Raw::literal("{}"))] {
                    fold.event(StreamEvent::Logprobs { candidate, raw });
                }
            }
            fold.event(StreamEvent::End);
            let response = fold.finish().unwrap();
            let of = |index| {
                let candidate = response.candidates.iter().find(|c| c.index == index).unwrap();
                candidate.logprobs.as_ref().map(Raw::as_str)
            };
            assert_eq!((of(1), of(0)), (Some(expected), Some("{}")));
        }
    }

    /// Each event with what it adds to what is kept.
    fn sized() -> Vec<(StreamEvent<'static>, usize)> {
        let text = |text: &'static str| JsonStr::from_plain(text);
        let rest = || Rest::new(vec![(text("k"), Raw::literal("true"))]);
        let usage = |raw| Usage { raw: Some(Raw::literal(raw)), ..Usage::default() };
        let seal =
            |data| Seal { vendor: Vendor::OpenAi, kind: SealKind::Encrypted, data: text(data) };
        let start = |usage| StreamEvent::Start {
            id: text("id"),
            model: text("model"),
            created: None,
            usage,
            rest: rest(),
        };
        let part = |index, part| StreamEvent::PartStart { index, candidate: 0, part, rest: rest() };
        let stop = |word: &'static str| {
            let stop = Stop { word: Some(text(word)), ..Stop::new(StopReason::End) };
            StreamEvent::Stop { candidate: 7, stop, rest: rest() }
        };
        let delta = |index, delta| StreamEvent::Delta { index, delta };
        vec![
            (start(None), 2 + 5 + 5),
            // What is replaced is not counted twice.
            (start(Some(usage("{}"))), 2),
            (StreamEvent::Usage(usage(r#"{"a":1}"#)), 5),
            (part(0, PartStart::Text { citations: None }), PART_OVERHEAD + 5),
            (delta(0, Delta::Text(text("Hello"))), 5),
            (delta(0, Delta::Citation(Raw::literal("{}"))), CITATION_OVERHEAD + 2),
            (part(1, PartStart::Reasoning { seal: None }), PART_OVERHEAD + 5),
            (delta(1, Delta::Seal(seal("long seal"))), 9),
            (delta(1, Delta::Text(text("x"))), 1),
            // Of no part: nothing is kept.
            (delta(9, Delta::Text(text("lost"))), 0),
            (StreamEvent::Logprobs { candidate: 0, raw: Raw::literal("{}") }, PART_OVERHEAD + 2),
            (stop("stop"), PART_OVERHEAD + 4 + 5),
            (stop("stopped"), 3),
        ]
    }

    #[test]
    fn each_byte_that_is_kept_counts_once() {
        let events = sized();
        for last in 0..events.len() {
            let limit: usize = events[..=last].iter().map(|(_, size)| size).sum();
            let fails = |limit| {
                let mut fold = Fold::new(Protocol::OpenAiChat, limit);
                events[..=last].iter().for_each(|(event, _)| fold.event(event.clone()));
                fold.failure().is_some()
            };
            assert!(!fails(limit), "{:?} at the limit", events[last].0);
            assert!(fails(limit - 1), "{:?} above it", events[last].0);
        }
    }
}
