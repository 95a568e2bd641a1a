//! How much to think: `thinkingConfig`, and the words and counts of other protocols in its terms.

use super::settings::number;
use crate::protocol::gemini::names::camel;
use crate::protocol::json::{Cursor, Kind, Number, ObjectWriter};
use crate::protocol::model::{Effort, Reasoning, ReasoningMode, Request, Show};
use crate::protocol::report::{Reporter, Severity};
use crate::protocol::target::{Target, ThinkingScale};
use crate::protocol::wire::{Result, keep, skip};

pub(super) fn read_thinking<'a>(c: &mut Cursor<'a>) -> Result<Reasoning<'a>> {
    let mut reasoning = Reasoning::default();
    c.object(|key, c| {
        if c.kind()? == Kind::Null {
            return keep(&key, c, &mut reasoning.rest);
        }
        match &*camel(&key) {
            "includeThoughts" => {
                reasoning.show = Some(if c.bool()? { Show::Summary } else { Show::Hidden });
            }
            "thinkingBudget" => {
                let budget = number(c)?;
                reasoning.mode = Some(match budget.as_f64() {
                    Some(0.0) => ReasoningMode::Off,
                    Some(n) if n < 0.0 => ReasoningMode::Adaptive,
                    _ => ReasoningMode::On,
                });
                let said = reasoning.mode == Some(ReasoningMode::On);
                reasoning.budget = Some(budget).filter(|_| said);
            }
            "thinkingLevel" => {
                let word = c.clone().string()?.decode().to_ascii_lowercase();
                match Effort::from_word(&word) {
                    Some(effort) => reasoning.effort = Some(effort),
                    None if word == "thinking_level_unspecified" => {}
                    None => return keep(&key, c, &mut reasoning.rest),
                }
                skip(c)?;
            }
            _ => keep(&key, c, &mut reasoning.rest)?,
        }
        Ok(())
    })?;
    Ok(reasoning)
}

/// What `thinkingConfig` is to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Thinking {
    amount: Option<Amount>,
    show: bool,
}

/// `thinkingBudget` or `thinkingLevel`; Gemini takes never both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Amount {
    Tokens(u64),
    /// As many as the model sees fit.
    Dynamic,
    Level(Effort),
}

impl Thinking {
    /// What was asked for, in the form that the target understands.
    pub(super) fn wanted(
        request: &Request<'_>,
        target: &Target,
        report: &mut Reporter<'_>,
    ) -> Self {
        let reasoning = &request.reasoning;
        let mut degrade =
            |reason| report.member(request.thinking_member(), Severity::Degrade, reason);
        let amount = Amount::wanted(reasoning, target, &mut degrade);
        let off = amount == Some(Amount::Tokens(0));
        let show = request.show().is_some_and(|show| show != Show::Hidden) && !off;
        Self { amount, show }
    }

    pub(super) fn write(self, config: &mut ObjectWriter<'_>) {
        if self == Self::default() {
            return;
        }
        config.object("thinkingConfig", |object| {
            match self.amount {
                Some(Amount::Tokens(budget)) => object.u64("thinkingBudget", budget),
                Some(Amount::Dynamic) => {
                    object.key("thinkingBudget").extend_from_slice(b"-1");
                }
                Some(Amount::Level(effort)) => object.plain("thinkingLevel", level(effort)),
                None => {}
            }
            if self.show {
                object.bool("includeThoughts", true);
            }
        });
    }
}

impl Amount {
    fn wanted(
        reasoning: &Reasoning<'_>,
        target: &Target,
        degrade: &mut dyn FnMut(&'static str),
    ) -> Option<Self> {
        let count = reasoning.budget.as_ref().and_then(Number::as_u64);
        let off = reasoning.mode == Some(ReasoningMode::Off)
            || reasoning.effort == Some(Effort::None)
            || count == Some(0);
        // Words are few; what lies beyond them is said by the nearest.
        let least = target.efforts.0.max(Effort::Minimal);
        let most = target.efforts.1.min(Effort::XHigh).max(least);
        let in_words = target.thinking == ThinkingScale::Words;
        if off && (in_words || !target.can_stop_thinking) {
            degrade("it thinks as little as it can, but it thinks");
        }
        if in_words {
            let wanted = match reasoning.effort {
                _ if off => least,
                Some(effort) => effort,
                None => target.effort_of(count?),
            };
            let said = wanted.max(least).min(most);
            if said != wanted {
                degrade("there is no such level of thinking");
            }
            return Some(Self::Level(said));
        }
        match (count, reasoning.effort) {
            _ if off && target.can_stop_thinking => Some(Self::Tokens(0)),
            _ if off => Some(Self::Tokens(target.budget_of(least))),
            (Some(count), _) => Some(Self::Tokens(count)),
            (None, Some(effort)) => Some(Self::Tokens(target.budget_of(effort))),
            (None, None) => reasoning.mode.map(|_| Self::Dynamic),
        }
    }
}

fn level(effort: Effort) -> &'static str {
    match effort {
        Effort::None | Effort::Minimal => "MINIMAL",
        Effort::Low => "LOW",
        Effort::Medium => "MEDIUM",
        Effort::High => "HIGH",
        Effort::XHigh | Effort::Max => "XHIGH",
    }
}
