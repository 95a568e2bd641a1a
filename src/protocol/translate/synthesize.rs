use std::fmt::Write as _;

use super::codec::{Reader, codec};
use super::framing::Framing;
use crate::protocol::Protocol;
use crate::protocol::dialect::SharedDialect;
use crate::protocol::fold::Fold;
use crate::protocol::json::Raw;
use crate::protocol::model::{Content, FaultKind, Response, ToolArguments};

/// The answer that a stream made, for whoever keeps or logs it. It watches and never fails: what
/// it cannot read it leaves out, and says so.
///
/// Feed it the bytes that pass, in any pieces, then look at what they made:
///
/// ```
/// use tower_llm_gateway::protocol::Protocol;
/// use tower_llm_gateway::protocol::translate::Synthesizer;
///
/// let mut synthesizer = Synthesizer::new(Protocol::OpenAiChat, 1 << 20);
/// synthesizer.push(b"data: {\"choices\":[{\"delta\":{\"content\":\"Hel\"}}]}\n\n");
/// synthesizer.push(b"data: {\"choices\":[{\"delta\":{\"content\":\"lo\"},\"finish_reason\":\"stop\"}]}\n\n");
/// let synthesis = synthesizer.finish();
/// assert_eq!(synthesis.text(), "Hello");
/// assert!(synthesis.complete);
/// # Ok::<(), tower_llm_gateway::protocol::translate::TranslateError>(())
/// ```
#[derive(Debug)]
pub struct Synthesizer {
    framing: Framing,
    reader: Reader,
    fold: Fold,
    skipped: usize,
    too_large: bool,
}

/// What a stream made.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Synthesis {
    /// The answer, as far as it came.
    pub response: Response<'static>,
    /// The stream said that it was complete.
    pub complete: bool,
    /// What went wrong inside of it, or that it grew beyond the limit.
    pub failure: Option<(FaultKind, String)>,
    /// Events that were no JSON; they were passed over.
    pub skipped: usize,
}

impl Synthesizer {
    /// For streams of `protocol`; `limit` bounds what is kept, in bytes. What comes beyond is not
    /// looked at.
    #[must_use]
    pub fn new(protocol: Protocol, limit: usize) -> Self {
        let reader = (codec(protocol).reader)();
        Self {
            framing: Framing::new(reader.takes_arrays()),
            reader,
            fold: Fold::new(protocol, limit),
            skipped: 0,
            too_large: false,
        }
    }

    /// Reads the upstream's own dialect of its protocol.
    #[must_use]
    pub fn speaking(mut self, dialect: Option<&SharedDialect>) -> Self {
        self.reader = self.reader.speaking(dialect);
        self
    }

    /// More of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        let Self { framing, reader, fold, skipped, too_large } = self;
        if *too_large || fold.failure().is_some() {
            return;
        }
        let pushed = framing.push(bytes, &mut |event| {
            if event.data != "[DONE]" && Raw::parse(event.data).is_err() {
                *skipped += 1;
                return;
            }
            reader.event(&event, &mut |event| fold.event(event));
        });
        *too_large = pushed.is_err();
    }

    /// What it made.
    #[must_use]
    pub fn finish(mut self) -> Synthesis {
        let Self { framing, reader, fold, skipped, .. } = &mut self;
        framing.finish(&mut |event| {
            if event.data != "[DONE]" && Raw::parse(event.data).is_err() {
                *skipped += 1;
                return;
            }
            reader.event(&event, &mut |event| fold.event(event));
        });
        reader.finish(&mut |event| fold.event(event));
        let too_large = || (FaultKind::Upstream, "an event is too large".to_owned());
        let failure = self.fold.failure().map(|(kind, message)| (kind, message.to_owned()));
        Synthesis {
            complete: self.fold.is_complete() && !self.too_large,
            failure: failure.or_else(|| self.too_large.then(too_large)),
            skipped: self.skipped,
            response: self.fold.so_far(),
        }
    }
}

impl Synthesis {
    /// The words of the answer, then a line `Tool Call: name(arguments) [ID: id]` for each call.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        let mut calls = String::new();
        let first = self.response.candidates.iter().find(|candidate| candidate.index == 0);
        for part in first.into_iter().flat_map(|candidate| &candidate.parts) {
            match &part.content {
                Content::Text { text: words, .. } | Content::Refusal(words) => {
                    text.push_str(&words.decode());
                }
                Content::ToolCall(call) => {
                    let arguments = match &call.arguments {
                        ToolArguments::Text(text) => text.decode(),
                        ToolArguments::Json(raw) => raw.as_str().into(),
                    };
                    let arguments = if arguments.is_empty() { "{}".into() } else { arguments };
                    let (name, id) = (call.name.decode(), call.id.decode());
                    // A string takes whatever is written.
                    let _ = write!(calls, "\nTool Call: {name}({arguments}) [ID: {id}]");
                }
                _ => {}
            }
        }
        text + &calls
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn synthesize(protocol: Protocol, stream: &str) -> Synthesis {
        let mut whole = Synthesizer::new(protocol, 1 << 20);
        whole.push(stream.as_bytes());
        let whole = whole.finish();
        let mut bytes = Synthesizer::new(protocol, 1 << 20);
        stream.as_bytes().chunks(1).for_each(|byte| bytes.push(byte));
        assert_eq!(bytes.finish().text(), whole.text());
        whole
    }

    #[test]
    fn every_protocol() {
        let anthropic = concat!(
            "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"x\",\"content\":[],\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}}\n\n",
            "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"tool_use\",\"id\":\"t1\",\"name\":\"f\",\"input\":{}}}\n\n",
            "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"a\\\":1}\"}}\n\n",
            "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
            "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\"},\"usage\":{\"output_tokens\":5}}\n\n",
            "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
        );
        let gemini = "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Hi\"}],\"role\":\"model\"},\"finishReason\":\"STOP\"}]}\n\n";
        let rows = [
            (Protocol::Anthropic, anthropic, "\nTool Call: f({\"a\":1}) [ID: t1]"),
            (Protocol::Gemini, gemini, "Hi"),
        ];
        for (protocol, stream, expected) in rows {
            let found = synthesize(protocol, stream);
            assert_eq!(found.text(), expected, "{protocol}");
            assert!(found.complete, "{protocol}");
        }
    }

    #[test]
    fn what_is_no_json_is_passed_over() {
        let found = synthesize(
            Protocol::OpenAiChat,
            "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\ndata: {oh\n\n\
             data: {\"choices\":[{\"delta\":{\"content\":\"b\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
        );
        assert_eq!((found.text().as_str(), found.skipped, found.complete), ("ab", 1, true));
    }

    #[test]
    fn a_cut_stream_is_what_came_of_it() {
        let found = synthesize(
            Protocol::OpenAiChat,
            "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n",
        );
        assert_eq!((found.text().as_str(), found.complete), ("a", false));
        assert!(found.failure.is_some());
    }

    #[test]
    fn a_call_in_two_is_one() {
        let found = synthesize(
            Protocol::OpenAiChat,
            "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]}}]}\n\n\
             data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":1,\"function\":{\"arguments\":\"{}\"}}]}}]}\n\n\
             data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":2,\"id\":\"d\",\"function\":{\"name\":\"g\",\"arguments\":\"{\\\"a\\\":1}\"}}]},\"finish_reason\":\"tool_calls\"}]}\n\n",
        );
        assert!(found.text().contains("Tool Call: g({\"a\":1}) [ID: d]"), "{}", found.text());
        assert_eq!(found.text().matches("Tool Call: f(").count(), 1);
    }

    #[test]
    fn a_dialect_is_read() {
        let dialect = SharedDialect::new(crate::protocol::dialect::Completions);
        let synthesizer = Synthesizer::new(Protocol::OpenAiChat, 1 << 20);
        let mut synthesizer = synthesizer.speaking(Some(&dialect));
        synthesizer.push(b"data: {\"object\":\"text_completion\",\"choices\":[{\"text\":\"Hi\",\"index\":0,\"finish_reason\":\"stop\"}]}\n\n");
        assert_eq!(synthesizer.finish().text(), "Hi");
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut synthesizer = Synthesizer::new(Protocol::OpenAiChat, 4000);
        for _ in 0..10_000 {
            synthesizer.push(b"data: {\"choices\":[{\"delta\":{\"content\":\"0123456789\"}}]}\n\n");
        }
        let found = synthesizer.finish();
        assert!(found.text().len() <= 4000 && !found.complete);
        assert!(found.failure.is_some());
    }
}
