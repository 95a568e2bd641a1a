//! How much to think.

use crate::protocol::json::{Number, ObjectWriter};
use crate::protocol::model::{Effort, Reasoning, ReasoningMode, Show};
use crate::protocol::report::{Reporter, Severity};
use crate::protocol::{Target, ThinkingScale};

/// Writes how much to think for a request of another protocol. A word becomes a budget by the
/// target's table, or goes as it is where the model wants words.
pub(super) fn write(
    reasoning: &Reasoning<'_>,
    target: &Target,
    object: &mut ObjectWriter<'_>,
    report: &mut Reporter<'_>,
) {
    let Reasoning { mode, effort, budget, show, rest } = reasoning;
    let tokens = budget.as_ref().and_then(Number::as_u64);
    let off = *mode == Some(ReasoningMode::Off)
        || *effort == Some(Effort::None)
        || (mode.is_none() && effort.is_none() && tokens == Some(0));
    if off {
        object.bool("enable_thinking", false);
    } else if mode.is_some() || effort.is_some() || budget.is_some() {
        object.bool("enable_thinking", true);
        match (budget, effort) {
            (Some(budget), _) if tokens.is_some() => object.number("thinking_budget", budget),
            (_, Some(effort)) if target.thinking == ThinkingScale::Words => {
                object.plain("reasoning_effort", effort.as_str());
            }
            (_, Some(effort)) => object.u64("thinking_budget", target.budget_of(*effort)),
            // Gemini's -1: as much as it takes.
            (_, None) => {}
        }
    }
    if matches!(show, Some(Show::Hidden | Show::Summary)) {
        report.member("thinking", Severity::Ignore, "the upstream decides what thinking it shows");
    }
    report.rest(rest);
}
