//! What is asked, and how it must end: by hand, so that the code under test excuses nothing.

use fastrand::Rng;
use http::Method;
use serde_json::{Value, json};
use tower_llm_gateway::protocol::Protocol;

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scenario {
    /// A text.
    Plain,
    /// Thinking before it.
    Thinking,
    /// A text of 4 KiB.
    Large,
    /// A document, whatever was asked for.
    Whole,
    /// A stream, whatever was asked for.
    Streamed,
    /// An encoded document.
    Gzip,
    /// An error of this status from every vendor.
    Error(u16),
    /// An error event after two words.
    ErrorInStream,
    /// A connection that dies in the middle.
    Cut,
    /// The caller leaves after two words.
    LeavesInStream,
    /// The caller leaves before there is an answer.
    LeavesEarly,
    /// Nobody's key.
    BadKey,
    /// A model that this caller may not use.
    ForbiddenModel,
    /// A body that is no JSON.
    NoJson,
    /// A body that is too large.
    TooLarge,
    /// A path that no vendor has.
    UnknownPath,
    /// An answer without a body.
    Empty,
}

use Scenario::*;

/// How many of a hundred.
const MIX: [(u32, Scenario); 23] = [
    (36, Plain),
    (8, Thinking),
    (4, Large),
    (3, Whole),
    (3, Streamed),
    (3, Gzip),
    (2, Error(400)),
    (1, Error(404)),
    (1, Error(413)),
    (2, Error(500)),
    (1, Error(503)),
    (1, Error(504)),
    (4, Error(529)),
    (4, ErrorInStream),
    (4, Cut),
    (5, LeavesInStream),
    (3, LeavesEarly),
    (4, BadKey),
    (2, ForbiddenModel),
    (2, NoJson),
    (2, TooLarge),
    (3, UnknownPath),
    (2, Empty),
];

/// Models that answer with a text.
const MODELS: u32 = 12;

/// Largest request that the gateway takes.
pub(crate) const MAX_REQUEST: usize = 32 << 10;

pub(crate) const TEAMS: [(&str, &str); 2] =
    [("team-one", "sk-caller-one-0123456789"), ("team-two", "sk-caller-two-0123456789")];
/// May use one model only, which nobody asks for.
pub(crate) const LIMITED: (&str, &str) = ("team-limited", "sk-caller-limited-0123456789");

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    /// Stands in what is asked, so that callers and vendors know which request they speak of.
    pub(crate) ticket: u64,
    pub(crate) caller: Protocol,
    pub(crate) upstream: Protocol,
    pub(crate) scenario: Scenario,
    pub(crate) stream: bool,
    pub(crate) model: String,
    /// Who calls, and with which key.
    pub(crate) team: (&'static str, &'static str),
    /// Part of the prompt is cached, Chat tells the usage of its streams, Responses is stored.
    marked: bool,
}

impl Ask {
    /// The request of this number, always the same one.
    pub(crate) fn nth(ticket: u64) -> Self {
        // Neighbours must not look alike.
        let mut rng = Rng::with_seed(ticket.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let all: u32 = MIX.iter().map(|(share, _)| *share).sum();
        let mut of_hundred = rng.u32(..all);
        let mut scenario = Plain;
        for (share, of) in MIX {
            if of_hundred < share {
                scenario = of;
                break;
            }
            of_hundred -= share;
        }
        let team = match scenario {
            BadKey => ("", "sk-nobody-0123456789"),
            ForbiddenModel => LIMITED,
            _ => TEAMS[rng.usize(..TEAMS.len())],
        };
        let stream = match scenario {
            ErrorInStream | LeavesInStream => true,
            LeavesEarly | Gzip => false,
            _ => rng.bool(),
        };
        Self {
            ticket,
            caller: Protocol::ALL[rng.usize(..5)],
            upstream: Protocol::ALL[rng.usize(..5)],
            scenario,
            stream,
            model: scenario.model(&mut rng),
            team,
            marked: rng.bool(),
        }
    }

    /// A good request of one of the teams, so that its name is known before anything fails.
    pub(crate) fn good(ticket: u64, team: (&'static str, &'static str)) -> Self {
        let [caller, ..] = Protocol::ALL;
        let (upstream, model) = (caller, "demo-m0".to_owned());
        let (scenario, stream, marked) = (Plain, false, false);
        Self { ticket, caller, upstream, scenario, stream, model, team, marked }
    }

    pub(crate) fn method(&self) -> Method {
        if matches!(self.scenario, UnknownPath | Empty) { Method::GET } else { Method::POST }
    }

    pub(crate) fn path(&self) -> String {
        match self.scenario {
            UnknownPath => format!("/nowhere/ticket-{}", self.ticket),
            Empty => format!("/demo/status/204?ticket-{}", self.ticket),
            _ => self.path_of_protocol(),
        }
    }

    fn path_of_protocol(&self) -> String {
        match (self.caller, self.stream) {
            (Protocol::Gemini, true) => {
                format!("/v1beta/models/{}:streamGenerateContent?alt=sse", self.model)
            }
            (Protocol::Gemini, false) => format!("/v1beta/models/{}:generateContent", self.model),
            _ => self.path_name().to_owned(),
        }
    }

    /// What the books call the path; where it never succeeds, it is one of the others.
    pub(crate) fn path_name(&self) -> &'static str {
        match self.caller {
            _ if self.scenario == UnknownPath => "other",
            _ if self.scenario == Empty => "/demo/status/204",
            Protocol::Anthropic => "/v1/messages",
            Protocol::OpenAiChat => "/v1/chat/completions",
            Protocol::OpenAiResponses => "/v1/responses",
            Protocol::Gemini => "/v1beta/models/{model}:generateContent",
            Protocol::DashScope => "/api/v1/services/aigc/text-generation/generation",
            _ => unreachable!("there are five"),
        }
    }

    /// What is said of the protocol: paths of nobody have none.
    pub(crate) fn protocol_name(&self) -> Option<&'static str> {
        (!matches!(self.scenario, UnknownPath | Empty)).then(|| self.caller.as_str())
    }

    pub(crate) fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = vec![
            ("content-type", "application/json".to_owned()),
            ("x-api-key", self.team.1.to_owned()),
            ("x-request-id", format!("ticket-{}", self.ticket)),
            ("anthropic-version", "2023-06-01".to_owned()),
        ];
        if self.is_unread() {
            // A server closes what it has not read to the end; no other request may be under way
            // on that connection.
            headers.push(("connection", "close".to_owned()));
        }
        if self.caller == Protocol::DashScope && self.stream {
            headers.push(("x-dashscope-sse", "enable".to_owned()));
        }
        headers
    }

    pub(crate) fn body(&self) -> String {
        let text = format!("ticket-{}", self.ticket);
        match self.scenario {
            UnknownPath | Empty => String::new(),
            NoJson => format!("{{\"model\": {text} is no JSON"),
            TooLarge => self.json(&format!("{text} {}", "x".repeat(MAX_REQUEST))).to_string(),
            _ => self.json(&text).to_string(),
        }
    }

    fn json(&self, text: &str) -> Value {
        let (model, stream) = (&self.model, self.stream);
        let messages = json!([{"role": "user", "content": text}]);
        match self.caller {
            Protocol::Anthropic => {
                let mut block = json!({"type": "text", "text": text});
                if self.marked {
                    block["cache_control"] = json!({"type": "ephemeral"});
                }
                let messages = json!([{"role": "user", "content": [block]}]);
                json!({"model": model, "max_tokens": 64, "stream": stream, "messages": messages})
            }
            Protocol::OpenAiChat => {
                let mut body = json!({"model": model, "stream": stream, "messages": messages});
                if stream && self.marked {
                    body["stream_options"] = json!({"include_usage": true});
                }
                body
            }
            Protocol::OpenAiResponses => {
                json!({"model": model, "stream": stream, "input": text, "store": self.marked})
            }
            Protocol::Gemini => {
                json!({"contents": [{"role": "user", "parts": [{"text": text}]}]})
            }
            Protocol::DashScope => json!({
                "model": model, "input": {"messages": messages},
                "parameters": {"result_format": "message", "incremental_output": self.marked},
            }),
            _ => unreachable!("there are five"),
        }
    }

    /// The model that the books know the request by: only who has read a body knows it.
    pub(crate) fn known_model(&self) -> Option<&str> {
        let unread = matches!(self.scenario, BadKey | NoJson | TooLarge | UnknownPath | Empty);
        // The path tells it where the body cannot.
        (!unread).then_some(self.model.as_str())
    }

    /// Whether the gateway refuses it by the head alone.
    fn is_unread(&self) -> bool {
        matches!(self.scenario, BadKey | TooLarge)
    }

    /// Bytes of the request that pass the gateway.
    pub(crate) fn bytes_in(&self) -> u64 {
        if self.is_unread() { 0 } else { self.body().len() as u64 }
    }

    /// Whether the gateway must read the answer: it speaks another protocol than the caller, or is
    /// kept for what the caller asks next.
    pub(crate) fn must_be_read(&self) -> bool {
        let kept = self.caller == Protocol::OpenAiResponses && self.marked;
        self.caller != self.upstream || kept
    }

    pub(crate) fn is_no_json(&self) -> bool {
        self.scenario == NoJson
    }

    /// Whether the gateway finds out only at a channel that the vendor cannot be asked this. Whoever
    /// keeps conversations has read the request before.
    pub(crate) fn is_refused_at_a_channel(&self) -> bool {
        let conversation = self.caller == Protocol::OpenAiResponses;
        self.scenario == NoJson && self.caller != self.upstream && !conversation
    }

    /// What the demo says in a stream that fails.
    pub(crate) fn error_event(&self) -> &'static str {
        match self.upstream {
            Protocol::Anthropic | Protocol::Gemini => "overloaded",
            _ => "upstream",
        }
    }

    /// What the books must call the fault.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        match self.scenario {
            Plain | Thinking | Large | Whole | Streamed | Gzip | Empty => None,
            // The demo says of an unknown path, in Chat's words, that the request is invalid. In
            // Messages these are words too, and they count for more than the status.
            UnknownPath if self.upstream == Protocol::Anthropic => Some("bad_request"),
            Error(404) | UnknownPath => Some("not_found"),
            // The demo's DashScope has no other word for it.
            Error(413) if self.upstream == Protocol::DashScope => Some("bad_request"),
            Error(413) | TooLarge => Some("too_large"),
            Error(400) | NoJson => Some("bad_request"),
            Error(503 | 529) => Some("overloaded"),
            Error(504) => Some("timeout"),
            Error(_) => Some("upstream"),
            ErrorInStream => Some(self.error_event()),
            Cut => Some("transport"),
            LeavesInStream | LeavesEarly => Some("client_cancel"),
            BadKey => Some("auth"),
            ForbiddenModel => Some("permission"),
        }
    }
}

impl Scenario {
    /// No model both succeeds and fails, so that the books do not depend on what came first.
    fn model(self, rng: &mut Rng) -> String {
        let name = match self {
            Thinking => "demo-thinking",
            Large => "demo-large-4",
            Whole => "demo-whole",
            Streamed => "demo-streamed",
            Gzip => "demo-gzip",
            Error(status) => return format!("demo-error-{status}"),
            ErrorInStream => "demo-error-stream",
            Cut => "demo-cut",
            LeavesInStream => "demo-hold",
            LeavesEarly => "demo-mute",
            ForbiddenModel => "demo-forbidden",
            _ => return format!("demo-m{}", rng.u32(..MODELS)),
        };
        name.to_owned()
    }
}
