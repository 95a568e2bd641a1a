use super::{history, settings, tools};
use crate::protocol::Protocol;
use crate::protocol::json::{Cursor, JsonError, JsonStr, Kind};
use crate::protocol::model::{Request, Spelling};
use crate::protocol::sampling;

/// Reads a request. Texts, schemas and media are not copied.
///
/// Adjacent items of the model (messages, thinking, calls) become one turn; so do adjacent results
/// of tools. System and developer messages become instructions at the place where they stood.
/// Tools of a `namespace` and those that the conversation adds are read as any others, the former
/// with the name of their namespace in front. What `previous_response_id`, `conversation` or an
/// `item_reference` name is only at the vendor.
///
/// # Errors
/// When the text is no JSON object or a known member is of another kind than the protocol has; the
/// error names it.
pub fn read(text: &str) -> Result<Request<'_>, JsonError> {
    let mut request = Request::new(Protocol::OpenAiResponses);
    let (mut named, mut choice, mut added) = (Vec::new(), None, 0..0);
    let mut c = Cursor::new(text);
    c.object(|key, c| {
        request.anchor(&key, None, c)?;
        match &*key.decode() {
            _ if c.kind()? == Kind::Null => request.rest.keep(key.clone(), c.raw()?),
            "instructions" => history::read_instructions(&mut request, c)?,
            "input" => {
                let before = request.tools.len();
                named = history::read_input(&mut request, &key, c)?;
                added = before..request.tools.len();
            }
            "tools" => tools::read_list(&mut request, c)?,
            "tool_choice" => choice = Some(c.raw()?),
            name => read_member(&mut request, &key, name, c)?,
        }
        Ok(())
    })?;
    c.end()?;
    // Tools that join on the way stand behind the declared ones, wherever `tools` stood: what
    // leads a prompt stays what it was.
    request.tools[added.start..].rotate_left(added.len());
    tools::unite_names(&mut request, named);
    request.tool_choice = choice.map(|raw| tools::read_choice(&mut request, raw));
    Ok(request)
}

fn read_member<'a>(
    request: &mut Request<'a>,
    key: &JsonStr<'a>,
    name: &str,
    c: &mut Cursor<'a>,
) -> Result<(), JsonError> {
    match name {
        "model" => request.model = c.string()?,
        "parallel_tool_calls" => request.parallel_tool_calls = Some(c.bool()?),
        "text" => settings::read_text(request, c)?,
        "reasoning" => settings::read_reasoning(request, c)?,
        "include" => settings::read_include(request, key, c)?,
        "max_output_tokens" => request.max_output_tokens = Some(c.number()?),
        "top_logprobs" => request.logprobs.top = Some(c.number()?),
        "stream" => request.stream = Some(c.bool()?),
        "store" => request.state.store = Some(c.bool()?),
        "previous_response_id" => request.state.previous_response_id = Some(c.string()?),
        "conversation" => request.state.conversation = Some(c.raw()?),
        "safety_identifier" | "user" if request.end_user.is_none() => {
            request.end_user = Some(c.string()?);
            if name == "user" {
                request.spelling.set(Spelling::LEGACY_USER);
            }
        }
        "metadata" => request.metadata = Some(c.raw()?),
        "service_tier" => request.service_tier = Some(c.string()?),
        "prompt_cache_key" => request.cache_key = Some(c.string()?),
        // OpenAI knows only two of these here, but other vendors of this protocol take them from a
        // caller who knows.
        "stop" => sampling::read_stop(request, c)?,
        _ => {
            if !sampling::read_number(request, name, c)? {
                request.rest.keep(key.clone(), c.raw()?);
            }
        }
    }
    Ok(())
}
