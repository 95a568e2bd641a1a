//! What a request of another protocol says and Responses cannot.

use crate::protocol::json::Raw;
use crate::protocol::model::{CacheMark, Content, Request, Role};
use crate::protocol::report::{Reporter, Severity};

pub(super) fn report(request: &Request<'_>, report: &mut Reporter<'_>) {
    report_sampling(request, report);
    report.server_state(&request.state);
    let mut lost = |piece: Option<&str>, severity, reason| {
        if let Some(piece) = piece {
            report.piece(piece, severity, reason);
        }
    };
    let mark = request.cache.as_ref().map(|CacheMark(mark)| mark.as_str());
    lost(mark, Severity::Ignore, "no cache marks in Responses");
    let safety = request.safety.as_ref().map(Raw::as_str);
    lost(safety, Severity::Degrade, "safety settings of another vendor");
    if request.state.store == Some(true) {
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
    // With the value that asks for nothing.
    let numbers = [
        (&sampling.top_k, f64::NAN),
        (&sampling.seed, f64::NAN),
        (&sampling.frequency_penalty, 0.0),
        (&sampling.presence_penalty, 0.0),
        (&sampling.repetition_penalty, 1.0),
        (&sampling.candidates, 1.0),
    ];
    for (number, harmless) in numbers {
        if let Some(number) = number.as_ref().filter(|n| n.as_f64() != Some(harmless)) {
            report.piece(number.as_str(), Severity::Degrade, "not in Responses");
        }
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
    let last = last.and_then(|turn| turn.parts.last()).map(|part| &part.content);
    if let Some(Content::Text { text, .. }) = last
        && !text.is_empty()
    {
        let reason = "an answer of Responses does not go on from the last words";
        report.string(text, Severity::Degrade, reason);
    }
}
