//! The events of a stream as one finished answer.

use super::Protocol;
use super::json::{JsonStr, Number, Raw};
use super::model::{
    Candidate, Content, Delta, FaultKind, MediaSource, Part, PartStart, Response, Rest, Seal,
    Spelling, StreamEvent, ToolArguments, ToolCall, Usage,
};
use super::translate::TranslateError;

/// Collects the events of one stream.
///
/// Holds the whole answer, up to the limit that it was made with.
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
    /// An empty answer of protocol `origin`; `limit` bounds its texts in bytes.
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
                self.response.id = id.into_owned();
                self.response.model = model.into_owned();
                self.response.created = created.map(Number::from);
                self.response.usage = usage.map(Usage::into_owned);
                self.response.rest = rest.into_owned();
            }
            StreamEvent::PartStart { index, candidate, part, rest } => {
                self.grow(PART_OVERHEAD + size_of_start(&part) + size_of_rest(&rest));
                if self.failure.is_some() {
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
                self.grow(PART_OVERHEAD + raw.as_str().len());
                if self.failure.is_none() {
                    self.logprobs.push((candidate, raw.into_owned()));
                }
            }
            StreamEvent::Stop { candidate, stop, rest } => {
                let candidate = self.candidate(candidate);
                candidate.stop = Some(stop.into_owned());
                candidate.rest = rest.into_owned();
            }
            StreamEvent::Usage(usage) => self.response.usage = Some(usage.into_owned()),
            StreamEvent::PartStop { .. } | StreamEvent::Ping => {}
            StreamEvent::Error(error) => {
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
            self.candidate(candidate).parts.push(part);
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
            Delta::Citation(raw) => raw.as_str().len(),
            // Nobody could write it back into a finished answer.
            Delta::Other(_) => return,
        };
        self.grow(size);
        let open = self.parts.iter_mut().rev().find(|open| open.index == index);
        let (Some(open), None) = (open, &self.failure) else { return };
        match delta {
            Delta::Text(text) | Delta::Reasoning(text) | Delta::Arguments(text) => {
                open.text.push_str(text.escaped());
            }
            Delta::Seal(seal) => open.seal = Some(seal.into_owned()),
            Delta::Citation(raw) => open.citations.push(raw.as_str().to_owned()),
            Delta::Other(_) => {}
        }
    }

    fn grow(&mut self, bytes: usize) {
        self.bytes += bytes;
        if self.bytes > self.limit {
            let message = "the upstream's answer is larger than the limit".to_owned();
            self.failure = Some((FaultKind::Upstream, message));
        }
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

fn size_of_rest(rest: &Rest<'_>) -> usize {
    rest.0.iter().map(|(key, raw)| key.escaped().len() + raw.as_str().len()).sum()
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

/// What an empty part counts toward the limit, so that many empty ones are bounded too.
const PART_OVERHEAD: usize = 256;

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
}
