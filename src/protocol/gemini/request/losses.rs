//! Members of other protocols that Gemini has no place for.

use crate::protocol::json::Number;
use crate::protocol::model::Request;
use crate::protocol::report::{Reporter, Severity};

use Severity::{Degrade, Ignore};

/// Reports every top-level member of `request` that is not written.
pub(super) fn report(request: &Request<'_>, report: &mut Reporter<'_>) {
    report.rest(&request.rest);
    report.rest(&request.settings_rest);
    report.rest(&request.input_rest);
    report.rest(&request.reasoning.rest);
    sampling(request, report);
    state(request, report);
    labels(request, report);
    if request.parallel_tool_calls == Some(false) {
        report.member("parallel_tool_calls", Degrade, "Gemini may call several tools at once");
    }
    if let Some(verbosity) = &request.verbosity {
        report.string(verbosity, Degrade, "Gemini has no verbosity");
    }
    if let Some(safety) = &request.safety {
        report.piece(safety.as_str(), Degrade, "safety settings of another protocol");
    }
}

fn sampling(request: &Request<'_>, report: &mut Reporter<'_>) {
    let sampling = &request.sampling;
    let repetition = sampling.repetition_penalty.as_ref();
    if let Some(penalty) = repetition.filter(|n| n.as_f64() != Some(1.0)) {
        report.piece(penalty.as_str(), Degrade, "Gemini has no repetition penalty");
    }
    if let Some(bias) = sampling.logit_bias.as_ref().filter(|bias| bias.as_str() != "{}") {
        report.piece(bias.as_str(), Degrade, "Gemini has no logit bias");
    }
    let unasked = request.logprobs.enabled == Some(false);
    let top = request.logprobs.top.as_ref().filter(|_| unasked);
    if let Some(top) = top.filter(|top| Number::as_u64(top) != Some(0)) {
        report.piece(top.as_str(), Ignore, "no token probabilities are asked for");
    }
}

fn state(request: &Request<'_>, report: &mut Reporter<'_>) {
    if request.state.store == Some(true) {
        report.member("store", Ignore, "Gemini keeps no answers");
    }
    report.server_state(&request.state);
}

fn labels(request: &Request<'_>, report: &mut Reporter<'_>) {
    let strings = [
        (&request.end_user, "Gemini is not told the end user"),
        (&request.cache_key, "Gemini has no cache key"),
        (&request.service_tier, "the service tiers of another vendor"),
    ];
    for (text, reason) in strings {
        if let Some(text) = text {
            report.string(text, Ignore, reason);
        }
    }
    if let Some(metadata) = request.metadata.as_ref().filter(|raw| raw.as_str() != "{}") {
        report.piece(metadata.as_str(), Ignore, "only Vertex takes labels");
    }
    if let Some(mark) = &request.cache {
        report.piece(mark.0.as_str(), Ignore, "Gemini has no cache marks");
    }
}
