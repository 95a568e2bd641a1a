use crate::protocol::Protocol;
use crate::protocol::dashscope::message::{self, Message, Said};
use crate::protocol::dashscope::{finish, search, tokens};
use crate::protocol::json::{Cursor, JsonError, JsonStr, Kind, Raw};
use crate::protocol::model::{Candidate, Content, Part, Response, Rest, Spelling, Stop};
use crate::protocol::wire::{Result, lenient};

/// Reads an answer, with its words in `output.choices` or in `output.text`.
///
/// Members of another kind than the protocol has are kept as unknown: an upstream may be careless
/// with what nobody needs.
///
/// # Errors
/// When the text is no JSON object, or `output`, a message or its content is of another kind.
pub fn read(text: &str) -> Result<Response<'_>, JsonError> {
    let mut response = Response {
        origin: Protocol::DashScope,
        id: JsonStr::default(),
        model: JsonStr::default(),
        created: None,
        candidates: Vec::new(),
        usage: None,
        rest: Rest::default(),
    };
    let mut c = Cursor::new(text);
    let mut output = Output::default();
    c.object(|key, c| {
        let rest = &mut response.rest;
        match &*key.decode() {
            "request_id" => {
                let id = lenient(Kind::String, &key, c, rest, Cursor::string)?;
                response.id = id.unwrap_or_default();
            }
            "usage" => {
                let usage = lenient(Kind::Object, &key, c, rest, Cursor::raw)?;
                response.usage = usage.map(tokens::read);
            }
            "output" if c.kind()? != Kind::Null => c.object(|key, c| output.member(&key, c))?,
            _ => rest.keep(key.clone(), c.raw()?),
        }
        Ok(())
    })?;
    c.end()?;
    output.finish(&mut response);
    // What stood beside the candidates has no place of its own in the hub.
    if output.cite(&mut response) || !output.rest.0.is_empty() {
        response.rest.0.append(&mut output.rest.0);
        response.rest.keep_source(Raw::parse(text)?);
    }
    Ok(response)
}

/// What `output` holds.
#[derive(Default)]
struct Output<'a> {
    candidates: Vec<Candidate<'a>>,
    text: Option<Raw<'a>>,
    word: Option<Raw<'a>>,
    model: Option<JsonStr<'a>>,
    rest: Rest<'a>,
}

impl<'a> Output<'a> {
    fn member(&mut self, key: &JsonStr<'a>, c: &mut Cursor<'a>) -> Result<()> {
        match &*key.decode() {
            "choices" if c.kind()? == Kind::Array => c.array(|position, c| {
                self.candidates.push(read_candidate(position, c)?);
                Ok(())
            }),
            "text" => {
                self.text = lenient(Kind::String, key, c, &mut self.rest, Cursor::raw)?;
                Ok(())
            }
            "finish_reason" => {
                self.word = Some(c.raw()?);
                Ok(())
            }
            "model_name" => {
                let raw = c.raw()?;
                self.model = raw.source_str();
                self.rest.keep(key.clone(), raw);
                Ok(())
            }
            _ => {
                self.rest.keep(key.clone(), c.raw()?);
                Ok(())
            }
        }
    }

    /// The pages that a search found are what the text cites; true where they are its citations.
    fn cite(&mut self, response: &mut Response<'a>) -> bool {
        let [Candidate { parts, .. }] = &mut response.candidates[..] else { return false };
        let mut texts = parts.iter_mut().filter_map(|part| match &mut part.content {
            Content::Text { citations, .. } => Some(citations),
            _ => None,
        });
        let (Some(citations), None) = (texts.next(), texts.next()) else { return false };
        *citations = self.rest.get("search_info").and_then(search::results);
        if citations.is_some() {
            self.rest.0.retain(|(name, _)| name != "search_info");
        }
        citations.is_some()
    }

    fn keep(&mut self, name: &'static str, value: Option<Raw<'a>>) {
        self.rest.0.extend(value.map(|raw| (JsonStr::from_plain(name), raw)));
    }

    /// Moves the candidates into the response; `output.text` is one.
    fn finish(&mut self, response: &mut Response<'a>) {
        response.model = self.model.take().unwrap_or_default();
        response.candidates = std::mem::take(&mut self.candidates);
        if !response.candidates.is_empty() {
            self.keep("finish_reason", self.word.clone());
            return self.keep("text", self.text.clone());
        }
        let Some(text) = self.text.as_ref().and_then(Raw::source_str) else {
            return self.keep("finish_reason", self.word.clone());
        };
        let mut spelling = Spelling::default();
        spelling.set(Spelling::TEXT_OUTPUT);
        let parts = if text.is_empty() { Vec::new() } else { vec![Part::text(text)] };
        let mut rest = Rest::default();
        let stop = read_stop(self.word.take(), &parts, &mut rest);
        response.candidates.push(Candidate {
            index: 0,
            parts,
            stop,
            logprobs: None,
            spelling,
            message_rest: Rest::default(),
            rest,
        });
    }
}

fn read_candidate<'a>(position: usize, c: &mut Cursor<'a>) -> Result<Candidate<'a>> {
    let mut rest = Rest::default();
    let mut index = u32::try_from(position).unwrap_or(u32::MAX);
    let mut spelling = Spelling::default();
    spelling.set(Spelling::NO_INDEX);
    let (mut message, mut word, mut logprobs) = (None, None, None);
    c.object(|key, c| {
        match &*key.decode() {
            "index" => {
                let raw = c.raw()?;
                match raw.as_u64().and_then(|n| u32::try_from(n).ok()) {
                    Some(n) => {
                        index = n;
                        spelling.clear(Spelling::NO_INDEX);
                    }
                    None => rest.keep(key.clone(), raw),
                }
            }
            "message" if c.kind()? != Kind::Null => message = Some(Message::read(c)?),
            "finish_reason" => word = Some(c.raw()?),
            "logprobs" => logprobs = lenient(Kind::Object, &key, c, &mut rest, Cursor::raw)?,
            _ => rest.keep(key.clone(), c.raw()?),
        }
        Ok(())
    })?;
    match &message {
        None => spelling.set(Spelling::NO_MESSAGE),
        Some(message) if message.role.is_none() => spelling.set(Spelling::NO_ROLE),
        Some(_) => {}
    }
    let Said { parts, spelling: said, rest: message_rest } =
        message.map(Message::said).unwrap_or_default();
    if said.has(Spelling::PLAIN_CONTENT) {
        spelling.set(Spelling::PLAIN_CONTENT);
    }
    let stop = read_stop(word, &parts, &mut rest);
    Ok(Candidate { index, parts, stop, logprobs, spelling, message_rest, rest })
}

/// Reads a `finish_reason`; one that says nothing is kept.
fn read_stop<'a>(
    word: Option<Raw<'a>>,
    parts: &[Part<'a>],
    rest: &mut Rest<'a>,
) -> Option<Stop<'a>> {
    let word = word?;
    let calls = message::calls(parts).next().is_some();
    let stop = word.source_str().and_then(|word| finish::read(word, calls));
    if stop.is_none() {
        rest.keep(JsonStr::from_plain("finish_reason"), word);
    }
    stop
}
