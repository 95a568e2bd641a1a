//! Settings that the model takes.

use crate::protocol::json::Number;
use crate::protocol::model::{Effort, Reasoning, ReasoningMode, Request, ToolChoice};
use crate::protocol::report::{Reporter, Severity};
use crate::protocol::{Accepts, Protocol, Target, ThinkingScale};

use Severity::Degrade;

/// Brings the settings under what the model of the target takes.
pub(super) fn fit(
    request: &mut Request<'_>,
    to: Protocol,
    target: &Target,
    report: &mut Reporter<'_>,
) {
    limit(request, target, report);
    thinking(request, to, target, report);
    forced_tools(request, to, target, report);
    sampling(request, target, report);
    if target.thinks_only_streaming && request.reasoning.mode != Some(ReasoningMode::Off) {
        request.stream = Some(true);
    }
}

fn limit(request: &mut Request<'_>, target: &Target, report: &mut Reporter<'_>) {
    let (Some(wanted), Some(most)) = (&request.max_output_tokens, target.max_output_tokens) else {
        return;
    };
    if wanted.as_f64().is_some_and(|wanted| wanted > most as f64) {
        report.piece(wanted.as_str(), Degrade, "more than the model can write");
        request.max_output_tokens = Some(Number::from(most));
    }
}

/// What is asked about thinking.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Asked {
    Nothing,
    No,
    Yes,
}

fn asked(reasoning: &Reasoning<'_>) -> Asked {
    let Reasoning { mode, effort, budget, .. } = reasoning;
    let budget = budget.as_ref().map(Number::as_u64);
    if *mode == Some(ReasoningMode::Off) || *effort == Some(Effort::None) || budget == Some(Some(0))
    {
        Asked::No
    } else if mode.is_some() || effort.is_some() || budget.is_some() {
        Asked::Yes
    } else {
        Asked::Nothing
    }
}

fn thinking(request: &mut Request<'_>, to: Protocol, target: &Target, report: &mut Reporter<'_>) {
    let asked = asked(&request.reasoning);
    if asked == Asked::Nothing {
        return;
    }
    let member = request.thinking_member();
    let reasoning = &mut request.reasoning;
    if !target.thinks {
        if asked == Asked::Yes {
            report.member(member, Degrade, "nothing can be said about thinking to this model");
        }
        let rest = std::mem::take(&mut reasoning.rest);
        *reasoning = Reasoning { rest, ..Reasoning::default() };
    } else if asked == Asked::No {
        if !stop_thinking(reasoning, to, target) {
            report.member(member, Degrade, "the model always thinks");
        }
    } else if in_words(to, target) {
        think_in_words(reasoning, target, member, report);
    } else {
        think_in_tokens(reasoning, target, report);
    }
}

/// Whether the target is told an effort, not a budget.
fn in_words(to: Protocol, target: &Target) -> bool {
    match to {
        Protocol::OpenAiChat | Protocol::OpenAiResponses => true,
        Protocol::Anthropic | Protocol::Gemini | Protocol::DashScope => {
            target.thinking == ThinkingScale::Words
        }
    }
}

/// No thinking, or the least there is; false where it is the least.
fn stop_thinking(reasoning: &mut Reasoning<'_>, to: Protocol, target: &Target) -> bool {
    let words = in_words(to, target);
    reasoning.budget = None;
    if target.can_stop_thinking {
        let says_none = target.efforts.0 == Effort::None || reasoning.effort == Some(Effort::None);
        let by_word = matches!(to, Protocol::OpenAiChat | Protocol::OpenAiResponses) && says_none;
        reasoning.effort = by_word.then_some(Effort::None);
        reasoning.mode = (!by_word).then_some(ReasoningMode::Off);
    } else if words {
        reasoning.mode = None;
        reasoning.effort = Some(target.efforts.0);
    } else {
        reasoning.mode = None;
        reasoning.effort = None;
        reasoning.budget = Some(Number::from(target.budget_range.0));
    }
    target.can_stop_thinking
}

fn think_in_words(
    reasoning: &mut Reasoning<'_>,
    target: &Target,
    member: &str,
    report: &mut Reporter<'_>,
) {
    let budget = reasoning.budget.take();
    // More than the highest budget is still no demand for all there is.
    let effort_of = |tokens| target.effort_of(tokens).min(Effort::XHigh);
    let of_budget = || budget.as_ref()?.as_u64().map(effort_of);
    let Some(wanted) = reasoning.effort.or_else(of_budget) else { return };
    let (least, most) = target.efforts;
    // No model that knows `none` knows `minimal`.
    let least = if least == Effort::None { Effort::Low } else { least };
    let known = wanted.max(least).min(most);
    reasoning.effort = Some(known);
    match budget {
        Some(budget) => report.piece(budget.as_str(), Degrade, "a token budget became an effort"),
        None if known != wanted => {
            report.member(member, Degrade, "the nearest effort that the model knows");
        }
        None => {}
    }
}

fn think_in_tokens(reasoning: &mut Reasoning<'_>, target: &Target, report: &mut Reporter<'_>) {
    let (least, most) = target.budget_range;
    let of_effort = reasoning.effort.take().map(|effort| target.budget_of(effort));
    let of_budget = reasoning.budget.as_ref().and_then(Number::as_u64);
    let Some(wanted) = of_budget.or(of_effort) else { return };
    let known = wanted.max(least).min(most);
    if of_budget == Some(known) {
        return;
    }
    if let Some(budget) = &reasoning.budget {
        report.piece(budget.as_str(), Degrade, "the nearest budget that the model takes");
    }
    reasoning.budget = Some(Number::from(known));
}

/// A forced call that the model does not take. Where only thinking forbids it, thinking goes: the
/// caller waits for that call, and the answer is less good, not another one.
fn forced_tools(
    request: &mut Request<'_>,
    to: Protocol,
    target: &Target,
    report: &mut Reporter<'_>,
) {
    let Some(choice) = &mut request.tool_choice else { return };
    let forced = matches!(
        choice,
        ToolChoice::Required | ToolChoice::Tool(_) | ToolChoice::Allowed { required: true, .. }
    );
    let thinks = asked(&request.reasoning) == Asked::Yes;
    match target.forced_tools {
        _ if !forced => return,
        Accepts::Always => return,
        Accepts::NotThinking if !thinks => return,
        Accepts::NotThinking if target.can_stop_thinking => {
            let member = request.thinking_member();
            report.member(member, Degrade, "no thinking where a tool must be called");
            stop_thinking(&mut request.reasoning, to, target);
            return;
        }
        Accepts::NotThinking | Accepts::Never => {}
    }
    const REASON: &str = "the model cannot be forced to call a tool";
    match choice {
        ToolChoice::Tool(name) => report.string(name, Degrade, REASON),
        ToolChoice::Allowed { required, raw, .. } => {
            report.piece(raw.as_str(), Degrade, REASON);
            *required = false;
            return;
        }
        _ => report.member(choice_member(request.origin), Degrade, REASON),
    }
    *choice = ToolChoice::Auto;
}

fn sampling(request: &mut Request<'_>, target: &Target, report: &mut Reporter<'_>) {
    let thinks = asked(&request.reasoning) == Asked::Yes;
    let sampling = &mut request.sampling;
    let reason = match target.sampling {
        Accepts::Never => Some("the model takes no settings of sampling"),
        Accepts::NotThinking if thinks => Some("no settings of sampling while the model thinks"),
        _ => None,
    };
    if let Some(reason) = reason {
        for (value, harmless) in [
            (&mut sampling.temperature, 1.0),
            (&mut sampling.top_p, 1.0),
            // None is harmless.
            (&mut sampling.top_k, f64::NAN),
            (&mut sampling.frequency_penalty, 0.0),
            (&mut sampling.presence_penalty, 0.0),
            (&mut sampling.repetition_penalty, 1.0),
        ] {
            if let Some(number) = value.take().filter(|n| n.as_f64() != Some(harmless)) {
                report.piece(number.as_str(), Degrade, reason);
            }
        }
        if let Some(bias) = sampling.logit_bias.take().filter(|bias| bias.as_str() != "{}") {
            report.piece(bias.as_str(), Degrade, reason);
        }
        let logprobs = std::mem::take(&mut request.logprobs);
        if logprobs.enabled == Some(true) || logprobs.top.is_some() {
            report.member("logprobs", Degrade, reason);
        }
    }
    if target.temperature_or_top_p && sampling.temperature.is_some() {
        let harmless = |n: &Number<'_>| n.as_f64() == Some(1.0);
        if sampling.top_p.is_some() && sampling.temperature.as_ref().is_some_and(harmless) {
            sampling.temperature = None;
        } else if let Some(top_p) = sampling.top_p.take().filter(|top_p| !harmless(top_p)) {
            report.piece(top_p.as_str(), Degrade, "the model takes it only without temperature");
        }
    }
    if !target.stop_sequences {
        for stop in sampling.stop.take().iter().flatten() {
            report.string(stop, Degrade, "the model takes no stop sequences");
        }
    }
}

/// Where the origin says which tool must be called.
fn choice_member(origin: Protocol) -> &'static str {
    match origin {
        Protocol::Gemini => "toolConfig",
        Protocol::DashScope => "parameters",
        Protocol::Anthropic | Protocol::OpenAiChat | Protocol::OpenAiResponses => "tool_choice",
    }
}
