//! Members of other protocols that Messages has no place for.

use crate::protocol::Protocol;
use crate::protocol::json::Number;
use crate::protocol::model::{OutputFormat, Request};
use crate::protocol::report::{Reporter, Severity};

use Severity::{Degrade, Ignore};

/// Reports every top-level member of `request` that is not written.
pub(super) fn report(request: &Request<'_>, report: &mut Reporter<'_>) {
    report.rest(&request.rest);
    report.rest(&request.settings_rest);
    report.rest(&request.reasoning.rest);
    sampling(request, report);
    state(request, report);
    output(request, report);
    if let Some(metadata) = &request.metadata {
        report.piece(metadata.as_str(), Ignore, "Messages has no labels but the user's id");
    }
    if let Some(verbosity) = &request.verbosity {
        report.string(verbosity, Degrade, "Messages has no verbosity");
    }
    if let Some(key) = &request.cache_key {
        report.string(key, Ignore, "Messages has no cache key");
    }
    if let Some(safety) = &request.safety {
        report.piece(safety.as_str(), Degrade, "Messages has no safety settings");
    }
}

fn sampling(request: &Request<'_>, report: &mut Reporter<'_>) {
    let sampling = &request.sampling;
    let mut number = |number: &Option<Number<'_>>, harmless: f64, reason| {
        if let Some(n) = number.as_ref().filter(|n| n.as_f64() != Some(harmless)) {
            report.piece(n.as_str(), Degrade, reason);
        }
    };
    // No seed is harmless.
    number(&sampling.seed, f64::NAN, "Messages has no seed");
    number(&sampling.frequency_penalty, 0.0, "Messages has no penalties");
    number(&sampling.presence_penalty, 0.0, "Messages has no penalties");
    number(&sampling.repetition_penalty, 1.0, "Messages has no penalties");
    number(&sampling.candidates, 1.0, "Messages gives one answer");
    if let Some(bias) = sampling.logit_bias.as_ref().filter(|bias| bias.as_str() != "{}") {
        report.piece(bias.as_str(), Degrade, "Messages has no logit bias");
    }
    if request.logprobs.enabled == Some(true) {
        report.member("logprobs", Degrade, "Messages gives no token probabilities");
    } else if let Some(top) = &request.logprobs.top {
        report.piece(top.as_str(), Degrade, "Messages gives no token probabilities");
    }
}

fn state(request: &Request<'_>, report: &mut Reporter<'_>) {
    if request.state.store == Some(true) {
        report.member("store", Ignore, "Messages keeps no answers");
    }
    report.server_state(&request.state);
}

fn output(request: &Request<'_>, report: &mut Reporter<'_>) {
    let member = match request.origin {
        Protocol::OpenAiResponses => "text",
        Protocol::Gemini => "generationConfig",
        Protocol::DashScope => "parameters",
        Protocol::OpenAiChat | Protocol::Anthropic => "response_format",
    };
    match &request.output {
        Some(OutputFormat::JsonObject) => {
            report.member(member, Degrade, "Messages gives JSON only of a schema");
        }
        Some(OutputFormat::JsonSchema { schema: None, .. }) => {
            report.member(member, Degrade, "a format without its schema");
        }
        Some(OutputFormat::JsonSchema { name, description, rest, .. }) => {
            if let Some(name) = name {
                report.string(name, Ignore, "a format of Messages has no name");
            }
            if let Some(description) = description {
                report.string(description, Ignore, "a format of Messages has no description");
            }
            report.rest(rest);
        }
        Some(OutputFormat::Other(raw)) => {
            report.piece(raw.as_str(), Degrade, "unknown form of output");
        }
        Some(OutputFormat::Text) | None => {}
    }
}
