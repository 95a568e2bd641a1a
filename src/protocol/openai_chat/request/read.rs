use super::dialect::Thinking;
use super::{settings, tools};
use crate::protocol::Protocol;
use crate::protocol::json::{Cursor, JsonError, JsonStr, Kind};
use crate::protocol::model::{
    Content, Instruction, Part, Place, Request, Role, Spelling, ToolCallKind, ToolResult, Turn,
};
use crate::protocol::openai_chat::content::Body;
use crate::protocol::openai_chat::message::{Message, Said};
use crate::protocol::{response_format, sampling};

/// Reads a request. Texts, schemas and media are not copied.
///
/// Adjacent tool messages become one user turn of results; system and developer messages become
/// instructions at the place where they stood. The legacy forms (`functions`, `function_call`,
/// `role: function`, `max_tokens`, `user`) are read as the new ones.
///
/// # Errors
/// When the text is no JSON object or a known member is of another kind than the protocol has; the
/// error names it.
pub fn read(text: &str) -> Result<Request<'_>, JsonError> {
    let mut request = Request::new(Protocol::OpenAiChat);
    let mut c = Cursor::new(text);
    let mut thinking = Thinking::default();
    c.object(|key, c| read_member(&mut request, &mut thinking, &key, c))?;
    c.end()?;
    request.reasoning = thinking.into_reasoning();
    Ok(request)
}

fn read_member<'a>(
    request: &mut Request<'a>,
    thinking: &mut Thinking<'a>,
    key: &JsonStr<'a>,
    c: &mut Cursor<'a>,
) -> Result<(), JsonError> {
    request.anchor(key, None, c)?;
    if c.kind()? == Kind::Null {
        request.rest.keep(key.clone(), c.raw()?);
        return Ok(());
    }
    match &*key.decode() {
        "model" => request.model = c.string()?,
        "messages" => read_messages(request, key, c)?,
        "tools" => {
            c.array(|_, c| {
                request.tools.push(tools::read_tool(c)?);
                Ok(())
            })?;
            if request.tools.is_empty() {
                request.spelling.set(Spelling::EMPTY_LIST);
            }
        }
        "functions" => c.array(|_, c| {
            request.tools.push(tools::read_legacy_tool(c)?);
            Ok(())
        })?,
        "tool_choice" => tools::read_tool_choice(request, c)?,
        "function_call" => {
            request.spelling.set(Spelling::LEGACY_FUNCTIONS);
            tools::read_tool_choice(request, c)?;
        }
        "parallel_tool_calls" => request.parallel_tool_calls = Some(c.bool()?),
        "response_format" => request.output = Some(response_format::read(c.raw()?)),
        name @ ("max_completion_tokens" | "max_tokens") => {
            if request.max_output_tokens.is_some() {
                request.rest.keep(key.clone(), c.raw()?);
            } else {
                request.max_output_tokens = Some(c.number()?);
                if name == "max_tokens" {
                    request.spelling.set(Spelling::LEGACY_MAX_TOKENS);
                }
            }
        }
        "reasoning_effort"
        | "enable_thinking"
        | "thinking_budget"
        | "thinking"
        | "reasoning"
        | "chat_template_kwargs" => {
            if let Some(unknown) = thinking.member(key, c)? {
                request.rest.keep(key.clone(), unknown);
            }
        }
        // Vendors also take a number here for both.
        "logprobs" if c.kind()? == Kind::Bool => request.logprobs.enabled = Some(c.bool()?),
        "top_logprobs" => request.logprobs.top = Some(c.number()?),
        "stream" => request.stream = Some(c.bool()?),
        "stream_options" => settings::read_stream_options(request, key, c)?,
        "store" => request.state.store = Some(c.bool()?),
        name @ ("safety_identifier" | "user") => {
            if request.end_user.is_some() {
                request.rest.keep(key.clone(), c.raw()?);
            } else {
                request.end_user = Some(c.string()?);
                if name == "user" {
                    request.spelling.set(Spelling::LEGACY_USER);
                }
            }
        }
        "metadata" => request.metadata = Some(c.raw()?),
        "service_tier" => request.service_tier = Some(c.string()?),
        "verbosity" => request.verbosity = Some(c.string()?),
        "prompt_cache_key" => request.cache_key = Some(c.string()?),
        name => {
            if !read_sampling(request, name, c)? {
                request.rest.keep(key.clone(), c.raw()?);
            }
        }
    }
    Ok(())
}

/// Reads a member that says how to sample; false for any other.
fn read_sampling<'a>(
    request: &mut Request<'a>,
    name: &str,
    c: &mut Cursor<'a>,
) -> Result<bool, JsonError> {
    match name {
        "n" => request.sampling.candidates = Some(c.number()?),
        "logit_bias" => request.sampling.logit_bias = Some(c.raw()?),
        "stop" => sampling::read_stop(request, c)?,
        _ => return sampling::read_number(request, name, c),
    }
    Ok(true)
}

fn read_messages<'a>(
    request: &mut Request<'a>,
    key: &JsonStr<'a>,
    c: &mut Cursor<'a>,
) -> Result<(), JsonError> {
    // The turn that collects adjacent tool messages is the last one.
    let mut collecting = false;
    c.array(|index, c| {
        request.anchor(key, Some(index), c)?;
        let start = c.clone();
        let message = Message::read(c)?;
        let role = message.role.clone();
        let role = &*role.decode();
        let result = matches!(role, "tool" | "function");
        if role != "assistant" && message.is_said() {
            return Err(start.error("only an assistant refuses, thinks or calls tools"));
        }
        match role {
            "system" | "developer" => {
                let place = Place::Before(request.turns.len());
                request.instructions.push(instruction(message, role == "developer", place));
            }
            "user" => request.turns.push(user(message)),
            "assistant" => request.turns.push(assistant(message)),
            "tool" | "function" => {
                let part = tool_result(message, role == "function");
                match request.turns.last_mut().filter(|_| collecting) {
                    Some(turn) => turn.parts.push(part),
                    None => request.turns.push(Turn { parts: vec![part], ..Turn::new(Role::User) }),
                }
            }
            _ => return Err(start.error("unknown role")),
        }
        collecting = result;
        Ok(())
    })
}

/// The parts of a content, and whether it was a bare string.
fn parts(body: Body<'_>) -> (Vec<Part<'_>>, bool) {
    match body {
        Body::Absent => (Vec::new(), false),
        Body::Plain(text) if text.is_empty() => (Vec::new(), true),
        Body::Plain(text) => (vec![Part::text(text)], true),
        Body::Parts(parts) => (parts, false),
    }
}

fn instruction(mut message: Message<'_>, developer: bool, place: Place) -> Instruction<'_> {
    let name = message.take_name();
    let rest = message.take_rest();
    let (parts, plain) = parts(message.body);
    Instruction { developer, place, parts, plain, name, rest }
}

fn user(mut message: Message<'_>) -> Turn<'_> {
    let name = message.take_name();
    let rest = message.take_rest();
    let (parts, plain) = parts(message.body);
    Turn { parts, plain, name, rest, ..Turn::new(Role::User) }
}

fn assistant(mut message: Message<'_>) -> Turn<'_> {
    let name = message.take_name();
    let plain = matches!(message.body, Body::Plain(_));
    let Said { parts, spelling, rest } = message.said();
    Turn { parts, plain, name, spelling, rest, ..Turn::new(Role::Assistant) }
}

fn tool_result(mut message: Message<'_>, legacy: bool) -> Part<'_> {
    let (name, call_id) = (message.take_name(), message.take_call_id());
    let rest = message.take_rest();
    let (parts, plain) = parts(message.body);
    let mut spelling = Spelling::default();
    if legacy {
        spelling.set(Spelling::LEGACY_FUNCTIONS);
    }
    let result = ToolResult {
        call_id: call_id.unwrap_or_default(),
        name,
        parts,
        plain,
        is_error: None,
        kind: ToolCallKind::Function,
        spelling,
    };
    Part { rest, ..Part::new(Content::ToolResult(result)) }
}
