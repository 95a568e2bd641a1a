//! A request that came from another protocol: under the rules of Responses.

use super::native::write_include;
use super::strict::complies;
use super::write::boolean;
use super::{losses, messages, settings, tool_writer};
use crate::protocol::json::{Number, ObjectWriter, Raw};
use crate::protocol::model::{
    Content, Effort, OutputFormat, Reasoning, ReasoningMode, Request, Seal, Vendor,
};
use crate::protocol::report::{Reporter, Severity};
use crate::protocol::wire::{write_opt_number, write_opt_raw, write_opt_str};
use crate::protocol::{Protocol, Target};

/// Fewest tokens that OpenAI lets an answer have.
const MIN_OUTPUT_TOKENS: u64 = 16;

/// Longest name of an end user that OpenAI takes, in characters.
const MAX_END_USER: usize = 64;

pub(super) fn write(
    request: &Request<'_>,
    target: &Target,
    report: &mut Reporter<'_>,
    object: &mut ObjectWriter<'_>,
) {
    object.str("model", &request.model);
    messages::write_instructions(request, object, report);
    object.array("input", |list| messages::write(request, target, report, list));
    tool_writer::write(request, object, report);
    tool_writer::write_choice(request, object, report);
    write_text(request, object, report);
    let thinking = Thinking::of(request, target, report);
    thinking.write(object);
    write_limit(request, object, report);
    write_opt_number(object, "temperature", request.sampling.temperature.as_ref());
    write_opt_number(object, "top_p", request.sampling.top_p.as_ref());
    let logprobs = request.logprobs.enabled == Some(true);
    if logprobs {
        write_opt_number(object, "top_logprobs", request.logprobs.top.as_ref());
    }
    write_include(
        thinking.wanted || (target.thinks && replays_thinking(request)),
        logprobs,
        object,
    );
    boolean(object, "stream", request.stream);
    object.bool("store", false);
    write_service(request, object, report);
    losses::report(request, report);
}

fn write_text(request: &Request<'_>, object: &mut ObjectWriter<'_>, report: &mut Reporter<'_>) {
    let format = request.output.as_ref().filter(|format| !matches!(format, OutputFormat::Other(_)));
    if let Some(OutputFormat::Other(raw)) = &request.output {
        report.piece(raw.as_str(), Severity::Degrade, "an unknown output format");
    }
    if let Some(OutputFormat::JsonSchema { rest, .. }) = format {
        report.rest(rest);
    }
    if format.is_none() && request.verbosity.is_none() {
        return;
    }
    object.object("text", |text| {
        if let Some(format) = format {
            write_format(request, format, text, report);
        }
        write_opt_str(text, "verbosity", request.verbosity.as_ref());
    });
}

fn write_format(
    request: &Request<'_>,
    format: &OutputFormat<'_>,
    text: &mut ObjectWriter<'_>,
    report: &mut Reporter<'_>,
) {
    let OutputFormat::JsonSchema { name, schema, strict, description, .. } = format else {
        return settings::write_own_format(format, text);
    };
    // Where the origin cannot say it, an answer always keeps to the schema.
    let implied = matches!(request.origin, Protocol::Anthropic | Protocol::Gemini);
    let complies = schema.as_ref().is_some_and(complies);
    let strict = strict.or(implied.then_some(complies));
    if implied && !complies {
        let piece = schema.as_ref().map(Raw::as_str).unwrap_or_default();
        let reason = "the schema is not one that OpenAI holds a model to";
        report.piece(piece, Severity::Degrade, reason);
    }
    text.object("format", |it| {
        it.plain("type", "json_schema");
        match name {
            Some(name) => it.str("name", name),
            // The protocol demands one.
            None => it.plain("name", "response"),
        }
        write_opt_str(it, "description", description.as_ref());
        write_opt_raw(it, "schema", schema.as_ref());
        boolean(it, "strict", strict);
    });
}

/// What to ask of the model's thinking.
struct Thinking {
    effort: Option<Effort>,
    summary: Option<&'static str>,
    /// The caller reckons with thinking.
    wanted: bool,
}

impl Thinking {
    fn of(request: &Request<'_>, target: &Target, report: &mut Reporter<'_>) -> Self {
        let reasoning = &request.reasoning;
        let effort = effort(request, target, report);
        let asked = match (reasoning.mode, effort) {
            (Some(ReasoningMode::Off), _) | (_, Some(Effort::None)) => false,
            (mode, effort) => mode.is_some() || effort.is_some(),
        };
        let off = reasoning.mode == Some(ReasoningMode::Off) || effort == Some(Effort::None);
        let summary = request.show().filter(|_| !off).and_then(settings::summary_word);
        Self { effort, summary, wanted: asked || summary.is_some() }
    }

    fn write(&self, object: &mut ObjectWriter<'_>) {
        if self.effort.is_none() && self.summary.is_none() {
            return;
        }
        object.object("reasoning", |it| {
            if let Some(effort) = self.effort {
                it.plain("effort", effort.as_str());
            }
            if let Some(summary) = self.summary {
                it.plain("summary", summary);
            }
        });
    }
}

/// The effort to ask for. A word goes as it is, a budget by [`Target::effort_of`]. Thinking turned
/// off is `none` where the model knows that: at the others it is a 400.
fn effort(request: &Request<'_>, target: &Target, report: &mut Reporter<'_>) -> Option<Effort> {
    let Reasoning { mode, effort, budget, .. } = &request.reasoning;
    if effort.is_some() && *mode != Some(ReasoningMode::Off) {
        return *effort;
    }
    let tokens = budget.as_ref().and_then(Number::as_u64);
    if *mode == Some(ReasoningMode::Off) || tokens == Some(0) {
        if target.can_stop_thinking && target.efforts.0 == Effort::None {
            return Some(Effort::None);
        }
        let reason = "thinking cannot be turned off at every model";
        report.member(request.thinking_member(), Severity::Degrade, reason);
        return None;
    }
    let piece = budget.as_ref()?;
    report.piece(piece.as_str(), Severity::Degrade, "a token budget became an effort");
    Some(target.effort_of(tokens?))
}

/// Whether thinking that OpenAI sealed is sent back: then the model thinks.
fn replays_thinking(request: &Request<'_>) -> bool {
    request.turns.iter().flat_map(|turn| &turn.parts).any(|part| {
        matches!(
            part.content,
            Content::Reasoning { seal: Some(Seal { vendor: Vendor::OpenAi, .. }), .. }
        )
    })
}

fn write_limit(request: &Request<'_>, object: &mut ObjectWriter<'_>, report: &mut Reporter<'_>) {
    const NAME: &str = "max_output_tokens";
    match &request.max_output_tokens {
        Some(limit) if limit.as_u64().is_some_and(|n| n < MIN_OUTPUT_TOKENS) => {
            let reason = "an answer of Responses has room for 16 tokens at least";
            report.piece(limit.as_str(), Severity::Degrade, reason);
            object.u64(NAME, MIN_OUTPUT_TOKENS);
        }
        limit => write_opt_number(object, NAME, limit.as_ref()),
    }
}

/// Members that Chat and Responses share, and what others have of them.
fn write_service(request: &Request<'_>, object: &mut ObjectWriter<'_>, report: &mut Reporter<'_>) {
    if let Some(user) = &request.end_user {
        if user.decode().chars().count() <= MAX_END_USER {
            object.str("safety_identifier", user);
        } else {
            report.string(user, Severity::Ignore, "longer than 64 characters");
        }
    }
    if let Some(metadata) = request.metadata.as_ref().filter(|raw| raw.as_str() != "{}") {
        if request.origin == Protocol::OpenAiChat {
            object.raw("metadata", metadata);
        } else {
            report.piece(metadata.as_str(), Severity::Ignore, "labels of another vendor");
        }
    }
    if let Some(tier) = &request.service_tier {
        match tier_word(request.origin, &tier.decode()) {
            Some(word) => object.plain("service_tier", word),
            None if request.origin == Protocol::OpenAiChat => object.str("service_tier", tier),
            None => report.string(tier, Severity::Ignore, "a service tier of another vendor"),
        }
    }
    write_opt_str(object, "prompt_cache_key", request.cache_key.as_ref());
}

/// The service tier in the words of OpenAI.
fn tier_word(origin: Protocol, word: &str) -> Option<&'static str> {
    match (origin, word) {
        (Protocol::Anthropic | Protocol::OpenAiChat, "auto") => Some("auto"),
        (Protocol::Anthropic, "standard_only") | (Protocol::Gemini, "standard") => Some("default"),
        (Protocol::Gemini, "flex") => Some("flex"),
        (Protocol::Gemini, "priority") => Some("priority"),
        _ => None,
    }
}
