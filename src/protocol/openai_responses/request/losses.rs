//! What a request of another protocol says and Responses cannot.

use crate::protocol::Protocol;
use crate::protocol::json::{JsonStr, Number, Raw};
use crate::protocol::model::{CacheMark, Content, Request, Role};
use crate::protocol::report::{Reporter, Severity};

pub(super) fn report(request: &Request<'_>, report: &mut Reporter<'_>) {
    report_sampling(request, report);
    let state = &request.state;
    let mut lost = |piece: Option<&str>, severity, reason| {
        if let Some(piece) = piece {
            report.piece(piece, severity, reason);
        }
    };
    let previous = state.previous_response_id.as_ref().map(JsonStr::escaped);
    lost(previous, Severity::Fatal, "the earlier conversation is at another vendor");
    let conversation = state.conversation.as_ref().map(Raw::as_str);
    lost(conversation, Severity::Fatal, "the conversation is at another vendor");
    let cached = state.cached_content.as_ref().map(JsonStr::escaped);
    lost(cached, Severity::Fatal, "the cached prompt is at another vendor");
    let mark = request.cache.as_ref().map(|CacheMark(mark)| mark.as_str());
    lost(mark, Severity::Ignore, "no cache marks in Responses");
    let safety = request.safety.as_ref().map(Raw::as_str);
    lost(safety, Severity::Degrade, "safety settings of another vendor");
    if state.store == Some(true) {
        report.member("store", Severity::Ignore, "the answer is not kept at the vendor");
    }
    report_prefill(request, report);
    report.rest(&request.reasoning.rest);
    report.rest(&request.settings_rest);
    report.rest(&request.input_rest);
    report.rest(&request.rest);
}

fn report_sampling(request: &Request<'_>, report: &mut Reporter<'_>) {
    let sampling = &request.sampling;
    let several = sampling.candidates.as_ref().filter(|n| n.as_u64() != Some(1));
    let numbers = [
        &sampling.top_k,
        &sampling.seed,
        &sampling.frequency_penalty,
        &sampling.presence_penalty,
        &sampling.repetition_penalty,
    ];
    for number in numbers.into_iter().flatten().chain(several) {
        report.piece(Number::as_str(number), Severity::Degrade, "not in Responses");
    }
    if let Some(bias) = sampling.logit_bias.as_ref().filter(|raw| raw.as_str() != "{}") {
        report.piece(bias.as_str(), Severity::Degrade, "not in Responses");
    }
    for word in sampling.stop.iter().flatten() {
        report.string(word, Severity::Degrade, "no stop sequences in Responses");
    }
}

/// The model never goes on from words of its own: it begins a new message.
fn report_prefill(request: &Request<'_>, report: &mut Reporter<'_>) {
    let last = request.turns.last().filter(|turn| turn.role == Role::Assistant);
    if let Some(Content::Text { text, .. }) =
        last.and_then(|turn| turn.parts.last()).map(|part| &part.content)
    {
        let reason = "an answer of Responses does not go on from the last words";
        report.string(text, Severity::Degrade, reason);
    }
}

/// Where the origin says how much to think.
pub(super) fn thinking_member(origin: Protocol) -> &'static str {
    match origin {
        Protocol::Anthropic => "thinking",
        Protocol::OpenAiChat => "reasoning_effort",
        Protocol::OpenAiResponses => "reasoning",
        Protocol::Gemini => "generationConfig",
        Protocol::DashScope => "parameters",
    }
}
