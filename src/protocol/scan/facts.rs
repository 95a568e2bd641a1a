//! From found values to what they say of the answer.

use std::sync::Arc;

use super::paths::{Count, Field};
use super::scanner::Found;
use super::{Observed, words};
use crate::protocol::Protocol;
use crate::protocol::model::{FaultKind, StopReason, Usage};

/// What all documents of one answer said so far.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    protocol: Protocol,
    observed: Observed,
    /// As the protocol said it, before a tool call or refusal explains it better.
    stop: Option<StopReason>,
    tool: bool,
    refused: bool,
    counts: Counts,
    draft: Draft,
}

/// What the document that is being read says. It counts only once the document is complete.
#[derive(Debug, Clone, Default)]
struct Draft {
    model: Option<Arc<str>>,
    stop: Option<StopReason>,
    incomplete: Option<StopReason>,
    tool: bool,
    refused: bool,
    content: bool,
    failed: bool,
    hint: Option<FaultKind>,
    counts: Counts,
}

impl Facts {
    pub(super) fn new(protocol: Protocol) -> Self {
        Self {
            protocol,
            observed: Observed::default(),
            stop: None,
            tool: false,
            refused: false,
            counts: Counts::default(),
            draft: Draft::default(),
        }
    }

    pub(super) fn observed(&self) -> &Observed {
        &self.observed
    }

    /// Numbers and reasons that may not be the last ones are worse than none.
    pub(super) fn forget_unfinished(&mut self) {
        self.observed.usage = None;
        self.observed.stop = None;
    }

    pub(super) fn discard(&mut self) {
        self.draft = Draft::default();
    }

    pub(super) fn found(&mut self, found: Found<'_>) {
        match found {
            Found::Text(field, text) => self.text(field, text),
            Found::Number(Field::Tokens(count), number) => self.draft.counts.set(count, number),
            Found::Number(field @ (Field::ErrorCode | Field::FlatCode), number) => {
                self.text(field, number);
            }
            Found::Number(..) => {}
            Found::Filled(field) => self.filled(field),
            Found::Complete => self.commit(),
        }
    }

    fn text(&mut self, field: Field, text: &str) {
        let draft = &mut self.draft;
        match field {
            Field::Model => {
                if self.observed.model.as_deref() != Some(text) {
                    draft.model = Some(text.into());
                }
            }
            Field::EventType => {
                draft.failed |= text == "error" || text == "response.failed";
                draft.content |= text.ends_with(".delta");
            }
            Field::BlockType => draft.content |= !matches!(text, "text" | "thinking"),
            Field::ItemType => draft.item(text),
            Field::Stop | Field::Status => {
                draft.failed |= field == Field::Status && text == "failed";
                draft.stop = words::stop_reason(text).or(draft.stop);
            }
            Field::IncompleteReason => draft.incomplete = words::stop_reason(text),
            Field::BlockReason => draft.stop = Some(StopReason::ContentFilter),
            Field::ErrorCode | Field::FlatCode => draft.hint(words::fault_of_code(text)),
            Field::ErrorMessage | Field::FlatMessage => draft.hint(words::fault_of_message(text)),
            Field::Content | Field::Tool | Field::Tokens(_) => {}
        }
        draft.failed |= matches!(field, Field::ErrorCode | Field::ErrorMessage);
    }

    fn filled(&mut self, field: Field) {
        match field {
            Field::Tool => {
                self.draft.tool = true;
                self.draft.content = true;
            }
            Field::Content => self.draft.content = true,
            Field::ErrorCode | Field::ErrorMessage => self.draft.failed = true,
            _ => {}
        }
    }

    fn commit(&mut self) {
        let draft = std::mem::take(&mut self.draft);
        if draft.model.is_some() {
            self.observed.model = draft.model;
        }
        if draft.failed {
            let kind = draft.hint.unwrap_or(FaultKind::Upstream);
            self.observed.error = Some(words::better(self.observed.error, kind));
        }
        self.observed.first_event |= draft.content || draft.failed;
        self.tool |= draft.tool;
        self.refused |= draft.refused;
        // "incomplete" itself is no reason; the details say it.
        self.stop = draft.incomplete.or(draft.stop).or(self.stop);
        self.observed.stop = match self.stop {
            Some(StopReason::End) if self.tool => Some(StopReason::ToolUse),
            Some(StopReason::End) if self.refused => Some(StopReason::Refusal),
            stop => stop,
        };
        if draft.counts != Counts::default() {
            // The last event of a Messages stream repeats only some of the counts.
            let base =
                if self.protocol == Protocol::Anthropic { self.counts } else { Counts::default() };
            self.counts = draft.counts.over(base);
            self.observed.usage = Some(self.counts.usage(self.protocol));
        }
    }
}

impl Draft {
    fn hint(&mut self, kind: Option<FaultKind>) {
        if let Some(kind) = kind {
            self.hint = Some(words::better(self.hint, kind));
        }
    }

    fn item(&mut self, kind: &str) {
        self.tool |= matches!(kind, "function_call" | "custom_tool_call");
        self.refused |= kind == "refusal";
        self.content |= !matches!(kind, "message" | "reasoning");
    }
}

/// Counts by their name, as reported.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Counts([Option<u64>; 8]);

impl Counts {
    fn set(&mut self, count: Count, number: &str) {
        // A negative count is some vendor's mistake for none.
        let value = number.parse().or_else(|_| number.parse::<f64>().map(|n| n as u64));
        self.0[count as usize] = value.ok();
    }

    /// These counts, and those of `base` where there are none.
    fn over(self, base: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i].or(base.0[i])))
    }

    fn get(&self, count: Count) -> u64 {
        self.0[count as usize].unwrap_or(0)
    }

    /// So that no token is in two fields. Cached input that some vendor reports larger than all
    /// input is cut.
    fn usage(&self, protocol: Protocol) -> Usage<'static> {
        let [input, cache_read, cache_write, cache_write_1h, output, reasoning] = [
            Count::Input,
            Count::CacheRead,
            Count::CacheWrite,
            Count::CacheWrite1h,
            Count::Output,
            Count::Reasoning,
        ]
        .map(|count| self.get(count));
        let mut usage =
            Usage { input, cache_read, cache_write, cache_write_1h, output, reasoning, raw: None };
        if protocol != Protocol::Anthropic {
            usage.cache_read = cache_read.min(input);
            usage.cache_write = cache_write.min(input - usage.cache_read);
            usage.input = input - usage.cache_read - usage.cache_write;
        }
        if protocol == Protocol::Gemini {
            usage.input = usage.input.saturating_add(self.get(Count::ToolInput));
        } else if !self.thinks_beside() {
            usage.output = output - reasoning;
        }
        usage
    }

    /// xAI counts thinking beside the output, everybody else of its protocol inside.
    fn thinks_beside(&self) -> bool {
        let [input, output, reasoning, total] =
            [Count::Input, Count::Output, Count::Reasoning, Count::Total].map(|c| self.get(c));
        let sum = input.saturating_add(output).saturating_add(reasoning);
        reasoning > output || (reasoning > 0 && total == sum)
    }
}
