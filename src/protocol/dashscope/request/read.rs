use super::{has_media, parameters};
use crate::protocol::Protocol;
use crate::protocol::dashscope::message::{Message, Said};
use crate::protocol::json::{Cursor, JsonError, JsonStr, Kind, Raw};
use crate::protocol::model::{
    Content, Instruction, Part, Place, Request, Role, Spelling, ToolCallKind, ToolResult, Turn,
};
use crate::protocol::wire::Result;

/// Reads a request. Texts, schemas and media are not copied.
///
/// Adjacent tool messages become one user turn of results, system messages become instructions at
/// the place where they stood. `history` comes before `messages`, `prompt` behind them. How the
/// answer is to be laid out is in [`Request::layout`]: without `incremental_output` a stream
/// repeats itself; without `result_format` a `prompt` gets `output.text`, and messages get
/// messages, as the vendor's newer models do. Whether a stream is asked for, only
/// [`read_head`](super::read_head) knows.
///
/// # Errors
/// When the text is no JSON object or a known member is of another kind than the protocol has; the
/// error names it.
pub fn read(text: &str) -> Result<Request<'_>, JsonError> {
    let mut request = Request::new(Protocol::DashScope);
    request.layout.snapshots = true;
    let mut c = Cursor::new(text);
    c.object(|key, c| read_member(&mut request, &key, c))?;
    c.end()?;
    let prompted = request.turns.iter().any(|turn| turn.spelling.has(Spelling::PROMPT));
    if !request.spelling.has(Spelling::RESULT_FORMAT) {
        request.layout.text_only = prompted;
    }
    request.layout.content_list = request.turns.iter().any(|turn| turn.parts.iter().any(has_media));
    Ok(request)
}

fn read_member<'a>(request: &mut Request<'a>, key: &JsonStr<'a>, c: &mut Cursor<'a>) -> Result<()> {
    request.anchor(key, None, c)?;
    match (&*key.decode(), c.kind()?) {
        (_, Kind::Null) => request.rest.keep(key.clone(), c.raw()?),
        ("model", _) => request.model = c.string()?,
        ("input", _) => read_input(request, key, c)?,
        ("parameters", _) => {
            let start = c.clone();
            c.object(|key, c| parameters::read(request, &key, c))?;
            let raw = c.since(&start);
            if is_empty(&raw) {
                request.rest.keep(key.clone(), raw);
            }
        }
        _ => request.rest.keep(key.clone(), c.raw()?),
    }
    Ok(())
}

fn read_input<'a>(request: &mut Request<'a>, key: &JsonStr<'a>, c: &mut Cursor<'a>) -> Result<()> {
    let whole = c.clone();
    let (mut history, mut prompt) = (Vec::new(), None);
    c.object(|key, c| {
        match (&*key.decode(), c.kind()?) {
            (_, Kind::Null) => request.input_rest.keep(key.clone(), c.raw()?),
            ("messages", _) => {
                let whole = c.clone();
                let before = request.turns.len() + request.instructions.len();
                read_messages(request, c)?;
                if request.turns.len() + request.instructions.len() == before {
                    request.input_rest.keep(key.clone(), c.since(&whole));
                }
            }
            ("history", _) => {
                let whole = c.clone();
                c.array(|_, c| read_exchange(&mut history, c))?;
                if history.is_empty() {
                    request.input_rest.keep(key.clone(), c.since(&whole));
                }
            }
            ("prompt", _) => prompt = Some(c.string()?),
            _ => request.input_rest.keep(key.clone(), c.raw()?),
        }
        Ok(())
    })?;
    let earlier = history.len();
    if earlier > 0 {
        for instruction in &mut request.instructions {
            if let Place::Before(turn) = &mut instruction.place {
                *turn += earlier;
            }
        }
        request.turns.splice(0..0, history);
    }
    request.turns.extend(prompt.map(|text| said(Role::User, text, Spelling::PROMPT)));
    if is_empty(&c.since(&whole)) {
        request.rest.keep(key.clone(), Raw::literal("{}"));
    }
    Ok(())
}

fn is_empty(raw: &Raw<'_>) -> bool {
    raw.as_str().strip_prefix('{').is_some_and(|rest| rest.trim_start() == "}")
}

/// A turn of one bare text.
fn said(role: Role, text: JsonStr<'_>, mark: Spelling) -> Turn<'_> {
    let mut turn = Turn { plain: true, spelling: mark, ..Turn::new(role) };
    if !text.is_empty() {
        turn.parts.push(Part::text(text));
    }
    turn
}

/// Reads an item of `history`: what was asked, what was answered.
fn read_exchange<'a>(turns: &mut Vec<Turn<'a>>, c: &mut Cursor<'a>) -> Result<()> {
    let (mut user, mut bot) = (None, None);
    let mut rest = crate::protocol::model::Rest::default();
    c.object(|key, c| {
        match &*key.decode() {
            "user" => user = Some(c.string()?),
            "bot" => bot = Some(c.string()?),
            _ => rest.keep(key.clone(), c.raw()?),
        }
        Ok(())
    })?;
    let mut user = said(Role::User, user.unwrap_or_default(), Spelling::HISTORY);
    user.rest = rest;
    turns.push(user);
    turns.extend(bot.map(|text| said(Role::Assistant, text, Spelling::HISTORY)));
    Ok(())
}

fn read_messages<'a>(request: &mut Request<'a>, c: &mut Cursor<'a>) -> Result<()> {
    // The turn that collects adjacent tool messages is the last one.
    let mut collecting = false;
    c.array(|_, c| {
        let start = c.clone();
        let message = Message::read(c)?;
        let role = message.role.clone().unwrap_or_default();
        let role = &*role.decode();
        if role != "assistant" && message.is_said() {
            return Err(start.error("only an assistant thinks or calls tools"));
        }
        match role {
            "system" => {
                let place = Place::Before(request.turns.len());
                request.instructions.push(instruction(message, place));
            }
            "user" => request.turns.push(user(message)),
            "assistant" => request.turns.push(assistant(message)),
            "tool" => {
                let part = tool_result(message, start)?;
                match request.turns.last_mut().filter(|_| collecting) {
                    Some(turn) => turn.parts.push(part),
                    None => request.turns.push(Turn { parts: vec![part], ..Turn::new(Role::User) }),
                }
            }
            _ => return Err(start.error("unknown role")),
        }
        collecting = role == "tool";
        Ok(())
    })
}

fn instruction(mut message: Message<'_>, place: Place) -> Instruction<'_> {
    let name = message.take_name();
    let rest = message.take_rest();
    let (parts, plain) = message.body.into_parts();
    Instruction { developer: false, place, parts, plain, name, rest }
}

fn user(mut message: Message<'_>) -> Turn<'_> {
    let name = message.take_name();
    let rest = message.take_rest();
    let (parts, plain) = message.body.into_parts();
    Turn { parts, plain, name, rest, ..Turn::new(Role::User) }
}

fn assistant(mut message: Message<'_>) -> Turn<'_> {
    let name = message.take_name();
    let partial = message.take_partial();
    let Said { parts, mut spelling, rest } = message.said();
    let plain = spelling.has(Spelling::PLAIN_CONTENT);
    if partial {
        spelling.set(Spelling::PARTIAL);
    }
    Turn { parts, plain, name, spelling, rest, ..Turn::new(Role::Assistant) }
}

/// A result that names its call in an unusual way is kept whole beside what is understood.
fn tool_result<'a>(mut message: Message<'a>, mut start: Cursor<'a>) -> Result<Part<'a>> {
    let name = message.take_name();
    let (call_id, unusual) = message.take_call_id();
    let mut rest = message.take_rest();
    if unusual {
        rest.keep_source(start.raw()?);
    }
    let (parts, plain) = message.body.into_parts();
    let result = ToolResult {
        call_id,
        name,
        parts,
        plain,
        is_error: None,
        kind: ToolCallKind::Function,
        spelling: Spelling::default(),
    };
    Ok(Part { rest, ..Part::new(Content::ToolResult(result)) })
}
