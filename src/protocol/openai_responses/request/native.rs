//! A request that came from Responses: as it stood.

use super::write::{boolean, strings};
use super::{settings, tool_writer};
use crate::protocol::json::{ArrayWriter, ObjectWriter};
use crate::protocol::model::{
    Content, GroupPlace, Instruction, Part, Place, Request, Rest, Role, Spelling, ToolArguments,
    ToolCallKind, Turn,
};
use crate::protocol::openai_responses::content::{self, Side};
use crate::protocol::openai_responses::reasoning;
use crate::protocol::sampling;
use crate::protocol::wire::{push, write_opt_number, write_opt_raw, write_opt_str};

pub(super) fn write(request: &Request<'_>, object: &mut ObjectWriter<'_>) {
    if !request.model.is_empty() {
        object.str("model", &request.model);
    }
    for top in request.instructions.iter().filter(|it| it.place == Place::Top) {
        match (top.rest.source(), top.parts.as_slice()) {
            (Some(raw), _) => object.raw("instructions", raw),
            (None, [Part { content: Content::Text { text, .. }, .. }]) => {
                object.str("instructions", text);
            }
            _ => {}
        }
    }
    write_input(request, object);
    tool_writer::write_own(request, object);
    tool_writer::write_own_choice(request, object);
    boolean(object, "parallel_tool_calls", request.parallel_tool_calls);
    write_text(request, object);
    write_reasoning(request, object);
    write_opt_number(object, "max_output_tokens", request.max_output_tokens.as_ref());
    write_sampling(request, object);
    write_opt_number(object, "top_logprobs", request.logprobs.top.as_ref());
    if request.rest.get("include").is_none() {
        let encrypted = request.spelling.has(Spelling::ENCRYPTED_THINKING);
        write_include(encrypted, request.logprobs.enabled == Some(true), object);
    }
    boolean(object, "stream", request.stream);
    boolean(object, "store", request.state.store);
    write_opt_str(object, "previous_response_id", request.state.previous_response_id.as_ref());
    write_opt_raw(object, "conversation", request.state.conversation.as_ref());
    let legacy = request.spelling.has(Spelling::LEGACY_USER);
    let user = if legacy { "user" } else { "safety_identifier" };
    write_opt_str(object, user, request.end_user.as_ref());
    write_opt_raw(object, "metadata", request.metadata.as_ref());
    write_opt_str(object, "service_tier", request.service_tier.as_ref());
    write_opt_str(object, "prompt_cache_key", request.cache_key.as_ref());
    request.rest.write(object);
}

fn write_text(request: &Request<'_>, object: &mut ObjectWriter<'_>) {
    let rest = &request.settings_rest;
    if let Some(raw) = rest.source() {
        return object.raw("text", raw);
    }
    if request.output.is_none() && request.verbosity.is_none() && rest.0.is_empty() {
        return;
    }
    object.object("text", |text| {
        if let Some(format) = &request.output {
            settings::write_own_format(format, text);
        }
        write_opt_str(text, "verbosity", request.verbosity.as_ref());
        rest.write(text);
    });
}

fn write_reasoning(request: &Request<'_>, object: &mut ObjectWriter<'_>) {
    let reasoning = &request.reasoning;
    if let Some(raw) = reasoning.rest.source() {
        return object.raw("reasoning", raw);
    }
    let summary = reasoning.show.and_then(settings::summary_word);
    if reasoning.effort.is_none() && summary.is_none() {
        return;
    }
    object.object("reasoning", |it| {
        if let Some(effort) = reasoning.effort {
            it.plain("effort", effort.as_str());
        }
        if let Some(summary) = summary {
            it.plain("summary", summary);
        }
        reasoning.rest.write(it);
    });
}

fn write_sampling(request: &Request<'_>, object: &mut ObjectWriter<'_>) {
    let sampling = &request.sampling;
    sampling::write_numbers(sampling, object);
    match sampling.stop.as_deref() {
        Some([only]) if request.spelling.has(Spelling::PLAIN_STOP) => object.str("stop", only),
        Some(stop) => strings(object, "stop", stop),
        None => {}
    }
}

/// Writes `include` where there is something to ask for.
pub(super) fn write_include(encrypted: bool, logprobs: bool, object: &mut ObjectWriter<'_>) {
    let words = [(encrypted, settings::ENCRYPTED), (logprobs, settings::LOGPROBS)];
    if encrypted || logprobs {
        object.array("include", |list| {
            for (_, word) in words.iter().filter(|(wanted, _)| *wanted) {
                crate::protocol::json::push_plain(list.item(), word);
            }
        });
    }
}

fn write_input(request: &Request<'_>, object: &mut ObjectWriter<'_>) {
    if let Some(raw) = request.input_rest.source() {
        return object.raw("input", raw);
    }
    let listed = || request.instructions.iter().filter(|it| it.place != Place::Top);
    let groups = || {
        request.tool_groups.iter().filter_map(|group| match group.place {
            GroupPlace::Messages { turns, instructions } => Some((turns, instructions, &group.raw)),
            GroupPlace::Tools(_) => None,
        })
    };
    if request.turns.is_empty() && listed().next().is_none() && groups().next().is_none() {
        return;
    }
    object.array("input", |list| {
        let (mut told, mut groups) = (0, groups().peekable());
        let mut listed = listed().peekable();
        for at in 0..=request.turns.len() {
            loop {
                let group =
                    groups.next_if(|(turns, told_before, _)| *turns <= at && *told_before <= told);
                if let Some((_, _, raw)) = group {
                    push(list.item(), raw.as_str());
                } else if let Some(it) = listed.next_if(|it| it.place <= Place::Before(at)) {
                    write_instruction(it, list);
                    told += 1;
                } else {
                    break;
                }
            }
            if let Some(turn) = request.turns.get(at) {
                write_turn(turn, list);
            }
        }
    });
}

fn write_instruction(it: &Instruction<'_>, list: &mut ArrayWriter<'_>) {
    let role = if it.developer { "developer" } else { "system" };
    write_message(role, Side::Input, &it.parts, it.plain, &it.rest, list);
}

fn write_message(
    role: &str,
    side: Side,
    parts: &[Part<'_>],
    plain: bool,
    rest: &Rest<'_>,
    list: &mut ArrayWriter<'_>,
) {
    if let Some(raw) = rest.source() {
        return push(list.item(), raw.as_str());
    }
    list.object(|message| {
        message.plain("type", "message");
        message.plain("role", role);
        match parts {
            [Part { content: Content::Text { text, .. }, .. }] if plain => {
                message.str("content", text);
            }
            parts => message.array("content", |list| {
                parts.iter().for_each(|part| content::write_own(side, list, part));
            }),
        }
        rest.write(message);
    });
}

/// Writes the items of a turn. A message stands as it did; whatever else there is in words or
/// media makes another.
fn write_turn(turn: &Turn<'_>, list: &mut ArrayWriter<'_>) {
    let mut messages = turn.messages.iter().peekable();
    let mut at = 0;
    while at <= turn.parts.len() {
        if let Some(message) = messages.next_if(|message| message.parts.start <= at) {
            push(list.item(), message.raw.as_str());
            at = at.max(message.parts.end);
            continue;
        }
        let Some(part) = turn.parts.get(at) else { return };
        if is_said(part) {
            let limit = messages.peek().map_or(turn.parts.len(), |message| message.parts.start);
            let run = turn.parts[at..limit].iter().take_while(|part| is_said(part)).count();
            let (role, side) = match turn.role {
                Role::User => ("user", Side::Input),
                Role::Assistant => ("assistant", Side::Output),
            };
            let rest = Rest::default();
            write_message(role, side, &turn.parts[at..at + run], false, &rest, list);
            at += run;
        } else {
            write_item(part, list);
            at += 1;
        }
    }
}

fn is_said(part: &Part<'_>) -> bool {
    matches!(part.content, Content::Text { .. } | Content::Refusal(_) | Content::Media(_))
}

fn write_item(part: &Part<'_>, list: &mut ArrayWriter<'_>) {
    if let (Some(raw), _) | (None, Content::Other { raw, .. }) = (part.rest.source(), &part.content)
    {
        return push(list.item(), raw.as_str());
    }
    list.object(|item| {
        match &part.content {
            Content::ToolCall(call) => {
                let custom = call.kind == ToolCallKind::Custom;
                item.plain("type", if custom { "custom_tool_call" } else { "function_call" });
                write_opt_str(item, "id", call.item_id.as_ref());
                item.str("call_id", &call.id);
                item.str("name", &call.name);
                let name = if custom { "input" } else { "arguments" };
                match &call.arguments {
                    ToolArguments::Text(text) => item.str(name, text),
                    ToolArguments::Json(raw) => item.plain(name, raw.as_str()),
                }
            }
            Content::ToolResult(result) => {
                item.plain(
                    "type",
                    match result.kind {
                        ToolCallKind::Function => "function_call_output",
                        ToolCallKind::Custom => "custom_tool_call_output",
                    },
                );
                item.str("call_id", &result.call_id);
                match result.parts.as_slice() {
                    [Part { content: Content::Text { text, .. }, .. }] if result.plain => {
                        item.str("output", text);
                    }
                    parts => item.array("output", |list| {
                        parts.iter().for_each(|p| content::write_own(Side::Input, list, p));
                    }),
                }
            }
            Content::Reasoning { text, seal, id, raw } => {
                item.plain("type", "reasoning");
                write_opt_str(item, "id", id.as_ref());
                reasoning::write_summary(item, text.as_ref(), raw.as_ref());
                let sealed = seal.as_ref().map(|seal| &seal.data);
                write_opt_str(item, "encrypted_content", sealed);
            }
            _ => {}
        }
        part.rest.write(item);
    });
}
