//! Watches answers go by: model, usage, stop reason and error, read without holding the answer.
//!
//! An [`Observer`] is fed the bytes of an answer in any pieces. It never alters or fails
//! anything: where the bytes are no answer of the protocol, or too much to hold, it stops looking
//! and what it does not know stays `None`. Its memory is bounded, whatever the answer's length:
//! [`MAX_CAPTURE`] for a document, [`MAX_EVENT`] for a stream.
//!
//! ```
//! use tower_llm_gateway::protocol::Protocol;
//! use tower_llm_gateway::protocol::scan::Observer;
//!
//! let mut observer = Observer::document(Protocol::OpenAiChat);
//! observer.push(br#"{"model":"m","usage":{"prompt_tok"#);
//! observer.push(br#"ens":7,"completion_tokens":3}}"#);
//! observer.finish();
//! let usage = observer.observed().usage.as_ref().unwrap();
//! assert_eq!((usage.input, usage.output), (7, 3));
//! ```

mod facts;
mod paths;
mod scanner;
#[cfg(test)]
mod tests;
mod words;

use std::sync::{Arc, LazyLock};

use facts::Facts;
use memchr::memmem::Finder;
pub use scanner::MAX_CAPTURE;
use scanner::Scanner;

use super::Protocol;
use super::model::{FaultKind, StopReason, Usage};
use crate::sse::{Decoder, Event, Limits};

/// Largest event of a stream that is looked into, in bytes: 1 MiB. A larger one ends the watch.
pub const MAX_EVENT: usize = 1 << 20;

/// Largest event that is kept because it says what went wrong, in bytes: 64 KiB.
pub const MAX_ERROR_EVENT: usize = 64 << 10;

/// What is known of an answer so far.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Observed {
    /// The model that answers, in the upstream's words.
    pub model: Option<Arc<str>>,
    /// Tokens as last reported.
    pub usage: Option<Usage<'static>>,
    /// Why it ended.
    pub stop: Option<StopReason>,
    /// What went wrong, by the answer's own words.
    pub error: Option<FaultKind>,
    /// Whether something meaningful came: content, a tool call, thinking or an error. Role
    /// chunks, pings and `message_start` are not.
    pub first_event: bool,
}

/// Reads the facts of one answer out of its bytes.
#[derive(Debug)]
pub struct Observer {
    input: Input,
    facts: Facts,
    marks: Marks,
}

/// What is noticed of a stream beside its facts.
#[derive(Debug, Default)]
struct Marks {
    /// The event came that has nothing behind it.
    last: bool,
    /// The event that says what went wrong.
    error: Option<String>,
}

#[derive(Debug)]
enum Input {
    Document(Scanner),
    Events {
        decoder: Decoder,
        scanner: Scanner,
        protocol: Protocol,
    },
    /// Something was wrong; nothing more is looked at.
    Blind {
        /// Whether this was a stream, which may go on well unseen.
        stream: bool,
    },
}

impl Observer {
    /// Watches a JSON document: an answer, an error, or a Gemini stream in its array form, of
    /// which each item counts as it completes.
    #[must_use]
    pub fn document(protocol: Protocol) -> Self {
        let scanner = Scanner::new(paths::root(protocol));
        Self::new(Input::Document(scanner), protocol)
    }

    /// Watches server-sent events.
    #[must_use]
    pub fn events(protocol: Protocol) -> Self {
        let decoder = Decoder::with_limits(Limits { line: MAX_EVENT, event: MAX_EVENT });
        let scanner = Scanner::new(paths::root(protocol));
        Self::new(Input::Events { decoder, scanner, protocol }, protocol)
    }

    fn new(input: Input, protocol: Protocol) -> Self {
        Self { input, facts: Facts::new(protocol), marks: Marks::default() }
    }

    /// Takes the next piece of the answer. Any cut gives the same.
    pub fn push(&mut self, bytes: &[u8]) {
        let Self { input, facts, marks } = self;
        let seeing = match input {
            Input::Document(scanner) => {
                scanner.push(bytes, &mut |found| facts.found(found));
                !scanner.is_broken()
            }
            Input::Events { decoder, scanner, protocol } => {
                let look = &mut |event: Event<'_>| look(*protocol, event, scanner, facts, marks);
                decoder.push(bytes, look).is_ok()
            }
            Input::Blind { .. } => true,
        };
        if !seeing {
            self.stop_looking();
        }
    }

    /// The answer has ended.
    pub fn finish(&mut self) {
        let Self { input, facts, marks } = self;
        if let Input::Events { decoder, scanner, protocol } = input {
            // What is left unfinished in the decoder was no event.
            let look = &mut |event: Event<'_>| look(*protocol, event, scanner, facts, marks);
            let _ = decoder.finish(look);
        }
    }

    /// What is known so far.
    #[must_use]
    pub fn observed(&self) -> &Observed {
        self.facts.observed()
    }

    /// Whether the answer has come to its end in the words of its protocol: the document is
    /// closed; in a stream, the answer has said why it stops, or nothing can follow. True for a
    /// stream that was too much to watch.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        match &self.input {
            Input::Document(scanner) => scanner.is_done(),
            Input::Events { .. } => self.observed().stop.is_some() || self.marks.last,
            Input::Blind { stream } => *stream,
        }
    }

    /// The data of the first event that said what went wrong, unless it is beyond
    /// [`MAX_ERROR_EVENT`]. A document is not kept.
    #[must_use]
    pub fn error_event(&self) -> Option<&str> {
        self.marks.error.as_deref()
    }

    fn stop_looking(&mut self) {
        self.input = Input::Blind { stream: matches!(self.input, Input::Events { .. }) };
        self.facts.forget_unfinished();
    }
}

fn look(
    protocol: Protocol,
    event: Event<'_>,
    scanner: &mut Scanner,
    facts: &mut Facts,
    marks: &mut Marks,
) {
    marks.last |= event.data.starts_with("[DONE]") || event.name == "message_stop";
    if event.data.starts_with("[DONE]") || !matters(protocol, event, facts.observed()) {
        return;
    }
    let well = facts.observed().error.is_none();
    scanner.reset();
    scanner.push(event.data.as_bytes(), &mut |found| facts.found(found));
    facts.discard();
    if well && facts.observed().error.is_some() && event.data.len() <= MAX_ERROR_EVENT {
        marks.error = Some(event.data.to_owned());
    }
}

/// Whether an event may say something new. Most of a stream is deltas, of which the first is
/// enough. Gemini and DashScope repeat the usage in each of theirs.
fn matters(protocol: Protocol, event: Event<'_>, known: &Observed) -> bool {
    match protocol {
        Protocol::Anthropic => match event.name {
            "ping" | "content_block_stop" | "message_stop" => false,
            "content_block_start" | "content_block_delta" => !known.first_event,
            _ => true,
        },
        Protocol::OpenAiResponses => !(event.name.ends_with(".delta") && known.first_event),
        Protocol::OpenAiChat => !known.first_event || chunk_matters(event.data.as_bytes()),
        Protocol::Gemini | Protocol::DashScope => true,
    }
}

/// What a chunk of more than words holds. Making a finder costs more than its search.
static TELLING: LazyLock<[Finder<'static>; 3]> =
    LazyLock::new(|| [Finder::new("_tokens\""), Finder::new("\"error\""), Finder::new("_call")]);

static STOP: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"finish_reason\""));

/// Chat does not name its events: whether a chunk holds more than words. It may be wrong in
/// saying yes.
fn chunk_matters(data: &[u8]) -> bool {
    let stops = |at: usize| !data[at + STOP.needle().len()..].starts_with(b":null");
    TELLING.iter().any(|words| words.find(data).is_some()) || STOP.find_iter(data).any(stops)
}
