//! Vendors: they issue seals, and answer only to those who bring all of them back.

mod anthropic;
mod dashscope;
mod gemini;
mod openai_chat;
mod openai_responses;

use serde_json::{Map, Value, json};
use tower_llm_gateway::protocol::Protocol::{
    self, Anthropic, DashScope, Gemini, OpenAiChat, OpenAiResponses,
};

use crate::wire::{named, text, unnamed};

pub(crate) struct Vendor {
    protocol: Protocol,
    host: &'static str,
    /// Turns without calls are asked back too.
    keeps_all: bool,
    pub(crate) seals: Vec<String>,
    pub(crate) always_thought: bool,
    issued: Vec<Vec<Value>>,
}

impl Vendor {
    pub(crate) fn new(protocol: Protocol, host: &'static str, keeps_all: bool) -> Self {
        let (seals, issued) = (Vec::new(), Vec::new());
        Self { protocol, host, keeps_all, seals, always_thought: true, issued }
    }

    /// How many seals a vendor must have issued so that the test says anything.
    pub(crate) fn fewest_seals(&self) -> usize {
        match self.protocol {
            OpenAiChat | DashScope => 0,
            _ => self.issued.len(),
        }
    }

    fn seal(&mut self) -> String {
        let (number, host) = (self.seals.len(), self.host);
        let seal = match self.protocol {
            Anthropic => format!("EqoBCkgIAxABGAI+/{number}{host}=="),
            OpenAiResponses => format!("gAAAAABo_{number}-{host}="),
            // Base64, as all of Gemini's.
            _ => format!("CiQB0e2Kb{number:03}{host:m<12}+/AA"),
        };
        self.seals.push(seal.clone());
        seal
    }

    pub(crate) fn answer(
        &mut self,
        path: &str,
        request: &Value,
        turn: usize,
    ) -> Result<(&'static str, String), String> {
        let checked = match self.protocol {
            Anthropic => anthropic::check(self, request),
            OpenAiResponses => openai_responses::check(self, request),
            Gemini => gemini::check(self, request),
            OpenAiChat => openai_chat::check(&request["messages"]),
            _ => openai_chat::check(&request["input"]["messages"]),
        };
        checked.map_err(|reason| format!("{reason}; the request was {request}"))?;
        let stream = match self.protocol {
            Gemini => path.contains(":streamGenerateContent"),
            DashScope => request["parameters"]["incremental_output"] == true,
            _ => request["stream"] == true,
        };
        let native = self.make(request, turn, stream);
        self.issued.push(native.clone());
        if !stream {
            return Ok(("application/json", self.whole(&native).to_string()));
        }
        Ok(("text/event-stream", self.streamed(native)))
    }

    /// The turn in the vendor's own form: blocks, items, parts, or one message.
    fn make(&mut self, request: &Value, turn: usize, stream: bool) -> Vec<Value> {
        match self.protocol {
            Anthropic => anthropic::blocks(self, turn),
            OpenAiResponses => openai_responses::items(self, request, turn),
            Gemini => gemini::parts(self, turn, stream),
            _ => vec![openai_chat::message(self.issued.len(), turn)],
        }
    }

    fn whole(&self, native: &[Value]) -> Value {
        match self.protocol {
            Anthropic => anthropic::whole(native),
            OpenAiResponses => openai_responses::whole(native),
            Gemini => gemini::answer(native, true),
            OpenAiChat => openai_chat::whole(&native[0]),
            _ => dashscope::whole(&native[0]),
        }
    }

    fn streamed(&self, native: Vec<Value>) -> String {
        match self.protocol {
            Anthropic => named(&anthropic::events(&native)),
            OpenAiResponses => named(&openai_responses::events(&native)),
            Gemini => unnamed(&gemini::pieces(native)),
            OpenAiChat => openai_chat::streamed(&native[0]),
            _ => dashscope::streamed(&native[0]),
        }
    }

    /// All turns with calls, and all others where the caller keeps them.
    fn demanded(&self) -> impl Iterator<Item = &Vec<Value>> {
        self.issued.iter().filter(|turn| self.keeps_all || has_call(turn))
    }
}

/// Whether the pieces stand in a row.
fn contains(all: &[Value], pieces: &[Value]) -> bool {
    all.windows(pieces.len()).any(|window| window == pieces)
}

fn has_call(native: &[Value]) -> bool {
    native.iter().any(|it| {
        it["type"] == "tool_use"
            || it["type"] == "function_call"
            || it.get("functionCall").is_some()
            || it.get("tool_calls").is_some()
    })
}

/// Neighbouring texts without a signature as one.
fn joined(parts: Vec<Value>) -> Vec<Value> {
    let is_plain = |part: &Value| {
        let mut keys = part.as_object().into_iter().flat_map(Map::keys);
        part.get("text").is_some() && keys.all(|key| key == "text" || key == "type")
    };
    let mut out: Vec<Value> = Vec::new();
    for part in parts {
        match out.last_mut() {
            Some(last) if is_plain(last) && is_plain(&part) => {
                last["text"] = json!(text(&last["text"]) + &text(&part["text"]));
            }
            _ => out.push(part),
        }
    }
    out
}
