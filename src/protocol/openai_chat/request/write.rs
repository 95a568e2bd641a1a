use bytes::BytesMut;

use super::{dialect, messages, settings, tools};
use crate::protocol::json::{JsonStr, ObjectWriter, Raw};
use crate::protocol::model::{Request, Sampling, Show, Spelling};
use crate::protocol::report::{Reporter, Severity};
use crate::protocol::wire::write_opt_number;
use crate::protocol::{Protocol, Target, response_format};

/// Most stop sequences that OpenAI takes.
const MAX_STOPS: usize = 4;

/// Longest name of an end user that OpenAI takes, in characters.
const MAX_END_USER: usize = 64;

/// Writes a request.
///
/// A request that came from Chat is written as it was. Of a request of another protocol:
/// - System texts become one leading system message, joined with an empty line.
/// - Tool results become tool messages; their media follow in a user message after the last one.
/// - Several texts of an assistant are joined without a separator.
/// - Thinking goes into `reasoning_content`, but only if no vendor sealed it.
/// - Documents of text go as text; media that Chat cannot carry are [`Severity::Fatal`].
/// - A thinking budget becomes `reasoning_effort` by [`Target::effort_of`].
/// - A stream asks for its usage.
/// - Everything else that Chat cannot say is reported.
pub fn write(
    request: &Request<'_>,
    target: &Target,
    report: &mut Reporter<'_>,
    out: &mut BytesMut,
) {
    let own = request.origin == Protocol::OpenAiChat;
    let mut object = ObjectWriter::begin(out);
    if !(own && request.model.is_empty()) {
        object.str("model", &request.model);
    }
    if !own || request.rest.get("messages").is_none() {
        object.array("messages", |items| messages::write(request, report, items));
    }
    tools::write_tools(request, &mut object, report);
    tools::write_choice(request, &mut object, report);
    if let Some(format) = &request.output {
        let foreign = (!own).then_some(&mut *report);
        response_format::write(format, foreign, &mut object);
    }
    write_limit(request, target, &mut object);
    write_sampling(request, &mut object, report);
    let said = own && dialect::write(&request.reasoning, &mut object);
    let effort = if own {
        request.reasoning.effort.filter(|_| !said)
    } else {
        settings::effort(request, target, report)
    };
    if let Some(effort) = effort {
        object.plain("reasoning_effort", effort.as_str());
    }
    if let Some(enabled) = request.logprobs.enabled {
        object.bool("logprobs", enabled);
    }
    // Alone it is refused.
    if own || request.logprobs.enabled == Some(true) {
        write_opt_number(&mut object, "top_logprobs", request.logprobs.top.as_ref());
    }
    write_stream(request, &mut object);
    if own || request.origin == Protocol::OpenAiResponses {
        write_service(request, &mut object);
    } else {
        report_service(request, report);
    }
    write_end_user(request, target, &mut object, report);
    if own {
        request.rest.write(&mut object);
    } else {
        report_others(request, report);
    }
    object.end();
}

fn string(object: &mut ObjectWriter<'_>, name: &str, value: Option<&JsonStr<'_>>) {
    if let Some(value) = value {
        object.str(name, value);
    }
}

fn write_limit(request: &Request<'_>, target: &Target, object: &mut ObjectWriter<'_>) {
    let legacy = match request.origin {
        Protocol::OpenAiChat => request.spelling.has(Spelling::LEGACY_MAX_TOKENS),
        _ => target.legacy_max_tokens,
    };
    let name = if legacy { "max_tokens" } else { "max_completion_tokens" };
    write_opt_number(object, name, request.max_output_tokens.as_ref());
}

fn write_sampling(request: &Request<'_>, object: &mut ObjectWriter<'_>, report: &mut Reporter<'_>) {
    let own = request.origin == Protocol::OpenAiChat;
    let Sampling { stop, logit_bias, top_k, repetition_penalty, .. } = &request.sampling;
    let sampling = &request.sampling;
    write_opt_number(object, "temperature", sampling.temperature.as_ref());
    write_opt_number(object, "top_p", sampling.top_p.as_ref());
    write_opt_number(object, "seed", sampling.seed.as_ref());
    write_opt_number(object, "frequency_penalty", sampling.frequency_penalty.as_ref());
    write_opt_number(object, "presence_penalty", sampling.presence_penalty.as_ref());
    write_opt_number(object, "n", sampling.candidates.as_ref());
    if let Some(bias) = logit_bias {
        object.raw("logit_bias", bias);
    }
    // Not OpenAI's, but many vendors take them from a caller who knows.
    for (name, value) in [("top_k", top_k), ("repetition_penalty", repetition_penalty)] {
        match value {
            Some(value) if own => object.number(name, value),
            Some(value) => {
                report.piece(value.as_str(), Severity::Degrade, "not in Chat Completions");
            }
            None => {}
        }
    }
    match stop.as_deref() {
        Some([only]) if own && request.spelling.has(Spelling::PLAIN_STOP) => {
            object.str("stop", only);
        }
        Some(stop) if own || !stop.is_empty() => {
            let kept = if own { stop.len() } else { stop.len().min(MAX_STOPS) };
            object.array("stop", |items| {
                stop[..kept]
                    .iter()
                    .for_each(|word| crate::protocol::json::push_str(items.item(), word));
            });
            for word in &stop[kept..] {
                report.string(word, Severity::Degrade, "more than 4 stop sequences");
            }
        }
        _ => {}
    }
}

fn write_stream(request: &Request<'_>, object: &mut ObjectWriter<'_>) {
    let Some(stream) = request.stream else { return write_stream_options(request, object) };
    object.bool("stream", stream);
    if stream && request.origin != Protocol::OpenAiChat {
        object.object("stream_options", |options| options.bool("include_usage", true));
    } else {
        write_stream_options(request, object);
    }
}

fn write_stream_options(request: &Request<'_>, object: &mut ObjectWriter<'_>) {
    // Options beside this one are kept whole among the members not understood.
    if let Some(include) =
        request.include_usage.filter(|_| request.rest.get("stream_options").is_none())
    {
        object.object("stream_options", |options| options.bool("include_usage", include));
    }
}

/// Members that Chat and Responses share.
fn write_service(request: &Request<'_>, object: &mut ObjectWriter<'_>) {
    if let Some(store) = request.state.store {
        object.bool("store", store);
    }
    if let Some(metadata) = &request.metadata {
        object.raw("metadata", metadata);
    }
    string(object, "service_tier", request.service_tier.as_ref());
    string(object, "verbosity", request.verbosity.as_ref());
    string(object, "prompt_cache_key", request.cache_key.as_ref());
}

fn report_service(request: &Request<'_>, report: &mut Reporter<'_>) {
    if let Some(metadata) = request.metadata.as_ref().filter(|raw| raw.as_str() != "{}") {
        report.piece(metadata.as_str(), Severity::Ignore, "labels of another vendor");
    }
    for word in
        [&request.service_tier, &request.verbosity, &request.cache_key].into_iter().flatten()
    {
        report.string(word, Severity::Ignore, "a setting of another vendor");
    }
}

fn write_end_user(
    request: &Request<'_>,
    target: &Target,
    object: &mut ObjectWriter<'_>,
    report: &mut Reporter<'_>,
) {
    let Some(user) = &request.end_user else { return };
    let own = request.origin == Protocol::OpenAiChat;
    let legacy =
        if own { request.spelling.has(Spelling::LEGACY_USER) } else { target.legacy_max_tokens };
    if own || user.decode().chars().count() <= MAX_END_USER {
        object.str(if legacy { "user" } else { "safety_identifier" }, user);
    } else {
        report.string(user, Severity::Ignore, "longer than 64 characters");
    }
}

/// What a request of another protocol says and Chat cannot.
fn report_others(request: &Request<'_>, report: &mut Reporter<'_>) {
    report.server_state(&request.state);
    let mut lost = |piece: Option<&str>, severity, reason| {
        if let Some(piece) = piece {
            report.piece(piece, severity, reason);
        }
    };
    let mark = request.cache.as_ref().map(|mark| mark.0.as_str());
    lost(mark, Severity::Ignore, "no cache marks in Chat Completions");
    let safety = request.safety.as_ref().map(Raw::as_str);
    lost(safety, Severity::Degrade, "safety settings of another vendor");
    if matches!(request.reasoning.show, Some(Show::Hidden | Show::Summary)) {
        let reason = "the upstream decides what thinking it shows";
        report.member(request.thinking_member(), Severity::Ignore, reason);
    }
    report.rest(&request.reasoning.rest);
    report.rest(&request.settings_rest);
    report.rest(&request.input_rest);
    report.rest(&request.rest);
}
