//! Writes a request that came from DashScope as it was.

use bytes::BytesMut;

use super::tools;
use crate::protocol::dashscope::content::{self, texts};
use crate::protocol::dashscope::message;
use crate::protocol::dashscope::wire::push;
use crate::protocol::json::{ArrayWriter, JsonStr, ObjectWriter, push_str};
use crate::protocol::model::{
    Content, Instruction, Part, Place, ReasoningMode, Request, Rest, Role, Spelling, Turn,
};
use crate::protocol::wire::{push_joined, write_opt_number};
use crate::protocol::{response_format, sampling};

pub(super) fn write(request: &Request<'_>, object: &mut ObjectWriter<'_>) {
    if !request.model.is_empty() {
        object.str("model", &request.model);
    }
    let has_input = !request.turns.is_empty()
        || !request.instructions.is_empty()
        || !request.input_rest.0.is_empty();
    if has_input {
        object.object("input", |input| write_input(request, input));
    }
    let mut parameters = BytesMut::new();
    let mut inner = ObjectWriter::begin(&mut parameters);
    write_parameters(request, &mut inner);
    inner.end();
    if parameters != "{}" {
        object.key("parameters").extend_from_slice(&parameters);
    }
    request.rest.write(object);
}

fn write_input(request: &Request<'_>, input: &mut ObjectWriter<'_>) {
    let marked = |mark| move |turn: &&Turn<'_>| turn.spelling.has(mark);
    let mut history = request.turns.iter().filter(marked(Spelling::HISTORY)).peekable();
    if history.peek().is_some() {
        input.array("history", |items| {
            while let Some(user) = history.next() {
                let answer = history.next_if(|turn| turn.role == Role::Assistant);
                write_exchange(user, answer, items);
            }
        });
    }
    let listed = |turn: &Turn<'_>| {
        !turn.spelling.has(Spelling::HISTORY) && !turn.spelling.has(Spelling::PROMPT)
    };
    if !request.instructions.is_empty() || request.turns.iter().any(listed) {
        input.array("messages", |items| {
            let mut between = request.instructions.iter().peekable();
            for (index, turn) in request.turns.iter().enumerate() {
                while let Some(it) = between.next_if(|it| it.place <= Place::Before(index)) {
                    write_instruction(it, items);
                }
                if listed(turn) {
                    write_turn(turn, items);
                }
            }
            between.for_each(|it| write_instruction(it, items));
        });
    }
    if let Some(turn) = request.turns.iter().find(marked(Spelling::PROMPT)) {
        push_joined(input.key("prompt"), texts(&turn.parts), "");
    }
    request.input_rest.write(input);
}

fn write_exchange(user: &Turn<'_>, answer: Option<&Turn<'_>>, items: &mut ArrayWriter<'_>) {
    items.object(|entry| {
        push_joined(entry.key("user"), texts(&user.parts), "");
        if let Some(answer) = answer {
            push_joined(entry.key("bot"), texts(&answer.parts), "");
        }
        user.rest.write(entry);
    });
}

fn write_instruction(it: &Instruction<'_>, items: &mut ArrayWriter<'_>) {
    items.object(|message| {
        message.plain("role", "system");
        content::write_own(message, &it.parts, it.plain);
        write_members(message, it.name.as_ref(), &it.rest);
    });
}

fn write_turn(turn: &Turn<'_>, items: &mut ArrayWriter<'_>) {
    if turn.role == Role::Assistant {
        return items.object(|message| {
            message.plain("role", "assistant");
            message::write_own(message, &turn.parts, turn.plain);
            if turn.spelling.has(Spelling::PARTIAL) {
                message.bool("partial", true);
            }
            write_members(message, turn.name.as_ref(), &turn.rest);
        });
    }
    let is_result = |part: &Part<'_>| matches!(part.content, Content::ToolResult(_));
    if turn.parts.iter().any(is_result) {
        return turn.parts.iter().for_each(|part| write_result(part, items));
    }
    items.object(|message| {
        message.plain("role", "user");
        content::write_own(message, &turn.parts, turn.plain);
        write_members(message, turn.name.as_ref(), &turn.rest);
    });
}

fn write_result(part: &Part<'_>, items: &mut ArrayWriter<'_>) {
    let Content::ToolResult(result) = &part.content else { return };
    if let Some(source) = part.rest.source() {
        return push(items.item(), &[source.as_str()]);
    }
    items.object(|message| {
        message.plain("role", "tool");
        message.str("tool_call_id", &result.call_id);
        content::write_own(message, &result.parts, result.plain);
        write_members(message, result.name.as_ref(), &part.rest);
    });
}

fn write_members(message: &mut ObjectWriter<'_>, name: Option<&JsonStr<'_>>, rest: &Rest<'_>) {
    if let Some(name) = name {
        message.str("name", name);
    }
    rest.write(message);
}

fn write_parameters(request: &Request<'_>, object: &mut ObjectWriter<'_>) {
    let spelling = request.spelling;
    if spelling.has(Spelling::RESULT_FORMAT) {
        let word = if request.layout.text_only { "text" } else { "message" };
        object.plain("result_format", word);
    }
    if spelling.has(Spelling::INCREMENTAL_OUTPUT) {
        object.bool("incremental_output", !request.layout.snapshots);
    }
    let legacy = spelling.has(Spelling::LEGACY_MAX_TOKENS);
    let limit = if legacy { "max_tokens" } else { "max_completion_tokens" };
    write_opt_number(object, limit, request.max_output_tokens.as_ref());
    write_sampling(request, object);
    tools::write_own(request, object);
    if let Some(format) = &request.output {
        response_format::write(format, None, object);
    }
    if let Some(mode) = request.reasoning.mode {
        object.bool("enable_thinking", mode != ReasoningMode::Off);
    }
    write_opt_number(object, "thinking_budget", request.reasoning.budget.as_ref());
    if let Some(effort) = request.reasoning.effort {
        object.plain("reasoning_effort", effort.as_str());
    }
    if let Some(enabled) = request.logprobs.enabled {
        object.bool("logprobs", enabled);
    }
    write_opt_number(object, "top_logprobs", request.logprobs.top.as_ref());
    request.settings_rest.write(object);
}

fn write_sampling(request: &Request<'_>, object: &mut ObjectWriter<'_>) {
    let sampling = &request.sampling;
    sampling::write_numbers(sampling, object);
    write_opt_number(object, "n", sampling.candidates.as_ref());
    if let Some(bias) = &sampling.logit_bias {
        object.raw("logit_bias", bias);
    }
    match sampling.stop.as_deref() {
        Some([only]) if request.spelling.has(Spelling::PLAIN_STOP) => object.str("stop", only),
        Some(stop) => write_stop(stop, object),
        None => {}
    }
}

pub(super) fn write_stop(stop: &[JsonStr<'_>], object: &mut ObjectWriter<'_>) {
    object.array("stop", |items| stop.iter().for_each(|word| push_str(items.item(), word)));
}
