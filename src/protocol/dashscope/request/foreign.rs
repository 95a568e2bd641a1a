//! Writes a request of another protocol.

use super::own::write_stop;
use super::{is_multimodal, messages, thinking, tools};
use crate::protocol::Target;
use crate::protocol::json::{Number, ObjectWriter, Raw};
use crate::protocol::model::Request;
use crate::protocol::report::{Reporter, Severity};
use crate::protocol::response_format;
use crate::protocol::wire::write_opt_number;

/// Most answers to one request.
const MAX_CANDIDATES: u64 = 4;

pub(super) fn write(
    request: &Request<'_>,
    target: &Target,
    report: &mut Reporter<'_>,
    object: &mut ObjectWriter<'_>,
) {
    let lists = is_multimodal(request, target);
    object.object("input", |input| {
        input.array("messages", |items| messages::write(request, lists, report, items));
    });
    object.object("parameters", |parameters| {
        write_parameters(request, target, report, parameters);
    });
    report_others(request, report);
}

fn write_parameters(
    request: &Request<'_>,
    target: &Target,
    report: &mut Reporter<'_>,
    object: &mut ObjectWriter<'_>,
) {
    object.plain("result_format", "message");
    if request.stream == Some(true) {
        object.bool("incremental_output", true);
    }
    write_opt_number(object, "max_tokens", request.max_output_tokens.as_ref());
    write_sampling(request, report, object);
    tools::write_foreign(request, object, report);
    if let Some(format) = &request.output {
        response_format::write(format, Some(report), object);
    }
    thinking::write(&request.reasoning, target, object, report);
    if let Some(enabled) = request.logprobs.enabled {
        object.bool("logprobs", enabled);
    }
    write_opt_number(object, "top_logprobs", request.logprobs.top.as_ref());
}

fn write_sampling(request: &Request<'_>, report: &mut Reporter<'_>, object: &mut ObjectWriter<'_>) {
    let sampling = &request.sampling;
    match &sampling.temperature {
        // The vendor takes anything below 2.
        Some(value) if value.as_f64().is_some_and(|value| value >= 2.0) => {
            object.key("temperature").extend_from_slice(b"1.99");
            report.piece(value.as_str(), Severity::Degrade, "DashScope takes less than 2");
        }
        value => write_opt_number(object, "temperature", value.as_ref()),
    }
    for (name, value) in [
        ("top_p", &sampling.top_p),
        ("top_k", &sampling.top_k),
        ("seed", &sampling.seed),
        ("presence_penalty", &sampling.presence_penalty),
        ("repetition_penalty", &sampling.repetition_penalty),
    ] {
        write_opt_number(object, name, value.as_ref());
    }
    match &sampling.candidates {
        Some(n) if n.as_u64().is_some_and(|n| n > MAX_CANDIDATES) => {
            object.u64("n", MAX_CANDIDATES);
            report.piece(n.as_str(), Severity::Degrade, "more than 4 answers");
        }
        n => write_opt_number(object, "n", n.as_ref()),
    }
    if let Some(stop) = sampling.stop.as_deref().filter(|stop| !stop.is_empty()) {
        write_stop(stop, object);
    }
    let lost = [
        sampling.frequency_penalty.as_ref().map(Number::as_str),
        // The ids of tokens are another model's.
        sampling.logit_bias.as_ref().map(Raw::as_str).filter(|raw| *raw != "{}"),
    ];
    for piece in lost.into_iter().flatten() {
        report.piece(piece, Severity::Degrade, "not in DashScope");
    }
}

/// What a request of another protocol says and DashScope cannot.
fn report_others(request: &Request<'_>, report: &mut Reporter<'_>) {
    report.server_state(&request.state);
    let mut lost = |piece: Option<&str>, severity, reason| {
        if let Some(piece) = piece {
            report.piece(piece, severity, reason);
        }
    };
    let mark = request.cache.as_ref().map(|mark| mark.0.as_str());
    lost(mark, Severity::Ignore, "cache marks stand on content in DashScope");
    let safety = request.safety.as_ref().map(Raw::as_str).filter(|raw| *raw != "[]");
    lost(safety, Severity::Degrade, "safety settings of another vendor");
    let metadata = request.metadata.as_ref().map(Raw::as_str).filter(|raw| *raw != "{}");
    lost(metadata, Severity::Ignore, "labels of another vendor");
    for word in [&request.end_user, &request.service_tier, &request.verbosity, &request.cache_key]
        .into_iter()
        .flatten()
    {
        lost(Some(word.escaped()), Severity::Ignore, "a setting of another vendor");
    }
    if request.state.store == Some(true) {
        report.member("store", Severity::Ignore, "DashScope keeps no answers");
    }
    report.rest(&request.settings_rest);
    report.rest(&request.input_rest);
    report.rest(&request.rest);
}
