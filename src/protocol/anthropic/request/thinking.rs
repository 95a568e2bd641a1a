//! How much to think: the words and counts of other protocols in those of Messages.

use super::history::Message;
use crate::protocol::json::Number;
use crate::protocol::model::{
    Content, Effort, Reasoning, ReasoningMode, Request, Role, ToolChoice, Vendor,
};
use crate::protocol::report::{Reporter, Severity};
use crate::protocol::target::{Target, ThinkingScale};

/// Least `budget_tokens` that Messages takes.
pub(super) const MIN_BUDGET: u64 = 1024;

/// What `thinking` and `output_config.effort` are to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Thinking {
    /// Nothing: the model's default.
    Unsaid,
    Off,
    Budget(u64),
    Adaptive(Option<Effort>),
}

impl Thinking {
    /// What was asked for, in the form that the target understands.
    pub(super) fn wanted(reasoning: &Reasoning<'_>, target: &Target) -> Self {
        let budget = reasoning.budget.as_ref().and_then(Number::as_u64);
        let off = reasoning.mode == Some(ReasoningMode::Off)
            || reasoning.effort == Some(Effort::None)
            || budget == Some(0);
        if off {
            return Self::Off;
        }
        if reasoning.mode.is_none() && reasoning.effort.is_none() && budget.is_none() {
            return Self::Unsaid;
        }
        if target.thinking == ThinkingScale::Words {
            return Self::Adaptive(reasoning.effort.or(budget.map(|n| target.effort_of(n))));
        }
        let effort = reasoning.effort.unwrap_or(Effort::Medium);
        Self::Budget(budget.unwrap_or_else(|| target.budget_of(effort)))
    }
}

/// Thinking and the limit that it has to fit into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) max_tokens: u64,
    pub(super) thinking: Thinking,
}

impl Plan {
    /// Brings what was asked for under the rules of Messages.
    pub(super) fn new(
        request: &Request<'_>,
        target: &Target,
        messages: &[Message<'_, '_>],
        report: &mut Reporter<'_>,
    ) -> Self {
        let limit = request.max_output_tokens.as_ref().and_then(Number::as_u64);
        let max_tokens = limit.unwrap_or(target.default_max_tokens);
        let mut degrade =
            |reason| report.member(request.thinking_member(), Severity::Degrade, reason);
        let wanted = Thinking::wanted(&request.reasoning, target);
        let forced = matches!(
            request.tool_choice,
            Some(
                ToolChoice::Required
                    | ToolChoice::Tool(_)
                    | ToolChoice::Allowed { required: true, .. }
            )
        );
        let unsaid = |max_tokens| Self { max_tokens, thinking: Thinking::Unsaid };
        match wanted {
            Thinking::Budget(_) if forced => {
                degrade("no thinking where a tool must be called");
                unsaid(max_tokens)
            }
            Thinking::Budget(_) if lacks_thinking(messages) => {
                degrade("no thinking, as that before the last tool call is not known");
                unsaid(max_tokens)
            }
            Thinking::Budget(budget) if limit.is_none() => {
                let budget = budget.max(MIN_BUDGET);
                let longest = target.max_output_tokens.unwrap_or(u64::MAX);
                let both = max_tokens.saturating_add(budget);
                if both <= longest {
                    return Self { max_tokens: both, thinking: Thinking::Budget(budget) };
                }
                // The model cannot write that much: a quarter is left for the answer.
                let budget = budget.min(longest - longest / 4);
                Self { max_tokens: longest, thinking: Thinking::Budget(budget) }
            }
            Thinking::Budget(budget) => {
                let capped = budget.min(max_tokens.saturating_sub(1));
                if capped < MIN_BUDGET {
                    degrade("no thinking, as the token limit leaves less than 1024 for it");
                    return unsaid(max_tokens);
                }
                if capped < budget {
                    degrade("less thinking, as it must stay below the token limit");
                }
                Self { max_tokens, thinking: Thinking::Budget(capped) }
            }
            Thinking::Adaptive(Some(Effort::Minimal)) => {
                degrade("low is the least effort of Messages");
                Self { max_tokens, thinking: Thinking::Adaptive(Some(Effort::Low)) }
            }
            thinking => Self { max_tokens, thinking },
        }
    }
}

/// Whether the model is to go on after a tool call whose thinking is gone: Messages refuses that.
fn lacks_thinking(messages: &[Message<'_, '_>]) -> bool {
    let [.., asked, answered] = messages else { return false };
    let leads_with_thinking = asked.parts.first().is_some_and(|part| {
        matches!(&part.content, Content::Reasoning { seal: Some(seal), .. }
            if seal.vendor == Vendor::Anthropic)
    });
    let results = answered.parts.first();
    asked.role == Role::Assistant
        && results.is_some_and(|part| matches!(part.content, Content::ToolResult(_)))
        && !leads_with_thinking
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        use Thinking::*;
        let on = Some(ReasoningMode::On);
        let rows = [
            (None, None, None, Unsaid, Unsaid),
            (Some(ReasoningMode::Off), Some(Effort::High), None, Off, Off),
            (None, Some(Effort::None), None, Off, Off),
            (None, None, Some(0), Off, Off),
            (None, Some(Effort::Minimal), None, Budget(1024), Adaptive(Some(Effort::Minimal))),
            (None, Some(Effort::Low), None, Budget(1024), Adaptive(Some(Effort::Low))),
            (None, Some(Effort::High), None, Budget(24576), Adaptive(Some(Effort::High))),
            (None, Some(Effort::Max), None, Budget(65536), Adaptive(Some(Effort::Max))),
            (on, None, Some(5000), Budget(5000), Adaptive(Some(Effort::Medium))),
            (on, None, None, Budget(8192), Adaptive(None)),
            (on, None, Some(1 << 40), Budget(1 << 40), Adaptive(Some(Effort::Max))),
            (Some(ReasoningMode::Adaptive), None, None, Budget(8192), Adaptive(None)),
        ];
        for (mode, effort, budget, by_budget, adaptive) in rows {
            let budget = budget.map(|n: u64| Number::from(n));
            let reasoning = Reasoning { mode, effort, budget, ..Reasoning::default() };
            let mut target = Target::default();
            assert_eq!(Thinking::wanted(&reasoning, &target), by_budget);
            target.thinking = ThinkingScale::Words;
            assert_eq!(Thinking::wanted(&reasoning, &target), adaptive);
        }
    }
}
