//! The demo's DashScope: reads as strictly as the real one, writes literal JSON.

use axum::body::Body;
use axum::response::Response;
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::generate::{Dialect, Refusal, Turn, json_response, stream_response};
use super::read::{Calls, known, list, media_type, nonempty, one_or_more, text_of};
use super::scenario::{Answer, Asked, Call, Choice, Ending, Stop, Text, Tool, pieces};
use super::stream::Step;

const MEDIA_TYPE: &str = "text/event-stream;charset=UTF-8";

#[derive(Debug)]
pub(super) enum DashScope {}

impl Dialect for DashScope {
    const RETRY_AFTER: bool = false;

    fn read(parts: &Parts, body: &Value) -> Result<Asked, Refusal> {
        known(body, &["input", "model", "parameters", "resources"], "unknown member")?;
        let parameters = &body["parameters"];
        let mut asked = Asked {
            model: body["model"].as_str().ok_or(Refusal::new("Model not exist."))?.to_owned(),
            stream: is_stream(&parts.headers),
            tools: tools(parameters),
            choice: choice(&parameters["tool_choice"])?,
            // The one vendor that calls one tool at a time unless it is told otherwise.
            one_call: parameters["parallel_tool_calls"] != true,
            thinking: parameters["enable_thinking"] == true,
            schema: schema(&parameters["response_format"]),
            max_tokens: parameters["max_tokens"].as_u64(),
            stop: one_or_more(&parameters["stop"]),
            ..Asked::default()
        };
        let layout = Layout::of(parts, body);
        if layout.text_only && !asked.tools.is_empty() {
            return Err(Refusal::new("result_format must be message where there are tools"));
        }
        match (body["input"]["prompt"].as_str(), &body["input"]["messages"]) {
            (Some(prompt), Value::Null) => asked.said.push(prompt.to_owned()),
            (None, messages) => read_messages(messages, layout.multimodal, &mut asked)?,
            _ => return Err(Refusal::new("input.prompt and input.messages exclude each other")),
        }
        Ok(asked)
    }

    fn error(status: u16, message: &str) -> Value {
        let code = match status {
            401 => "InvalidApiKey",
            403 => "AccessDenied",
            404 => "ModelNotFound",
            408 | 504 => "RequestTimeOut",
            429 => "Throttling.RateQuota",
            503 | 529 => "ServiceUnavailable",
            400..=499 => "InvalidParameter",
            _ => "InternalError",
        };
        json!({"code": code, "message": message, "request_id": "demo-request"})
    }

    /// A key is checked at the door; what is wrong with a request is told in its stream.
    fn refusal(parts: &Parts, refusal: &Refusal) -> Response {
        let error = Self::error(refusal.status, &refusal.message);
        if is_stream(&parts.headers) && refusal.status == 400 {
            let event = format!("id:1\nevent:error\n:HTTP_STATUS/400\ndata:{error}\n\n");
            return stream_response(MEDIA_TYPE, Body::from(event));
        }
        let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST);
        json_response(status, &error)
    }

    fn count(tokens: u64) -> Value {
        json!({"output": {}, "usage": {"input_tokens": tokens}, "request_id": "demo-request"})
    }

    fn media_type(_: &Parts) -> &'static str {
        MEDIA_TYPE
    }

    fn whole(turn: &Turn, answer: Answer) -> Value {
        let writer = Writer::new(turn);
        let usage = usage(&turn.asked, &answer, None);
        let calls = answer.calls.iter().enumerate().map(|(index, call)| call_json(index, call));
        let said = Said {
            thinking: answer.thinking.clone(),
            calls: calls.collect(),
            text: answer.text.map(Text::whole).unwrap_or_default(),
        };
        writer.document(&said, finish(&answer.stop), &usage)
    }

    fn events(turn: &Turn, answer: Answer) -> Box<dyn Iterator<Item = Step> + Send> {
        let mut writer = Writer::new(turn);
        let usages = [usage(&turn.asked, &answer, Some(0)), usage(&turn.asked, &answer, None)];
        let mut start = Vec::new();
        for word in answer.thinking.iter().flat_map(|text| text.split_inclusive(' ')) {
            start.push(Part::Said(Said { thinking: Some(word.into()), ..Said::default() }));
        }
        for (index, call) in answer.calls.iter().enumerate() {
            start.extend(call_fragments(index, call));
        }
        let stop = finish(&answer.stop);
        let text = answer.text.map(Text::fragments).into_iter().flatten();
        let deltas = text.map(|text| Part::Said(Said { text, ..Said::default() }));
        let parts: Box<dyn Iterator<Item = Part> + Send> = match answer.ending {
            Ending::Clean => {
                let deltas = deltas.flat_map(|delta| [Part::Step(Step::Pace), delta]);
                Box::new(start.into_iter().chain(deltas).chain([Part::Finish(stop)]))
            }
            Ending::Cut => {
                let cut = [Part::Step(Step::Flush), Part::Step(Step::Cut)];
                Box::new(start.into_iter().chain(deltas.take(2)).chain(cut))
            }
            Ending::Error => Box::new(start.into_iter().chain(deltas.take(2)).chain([Part::Error])),
        };
        Box::new(parts.map(move |part| writer.step(part, &usages)))
    }
}

fn is_stream(headers: &HeaderMap) -> bool {
    headers.get("x-dashscope-sse").is_some_and(|value| value == "enable")
}

/// How the caller wants its answer.
#[derive(Debug, Clone, Copy)]
struct Layout {
    multimodal: bool,
    text_only: bool,
    /// Each event repeats what was said before.
    snapshots: bool,
}

impl Layout {
    fn of(parts: &Parts, body: &Value) -> Self {
        let multimodal = parts.uri.path().contains("multimodal-generation");
        let format = body["parameters"]["result_format"].as_str();
        let old = body["input"]["prompt"].is_string();
        Self {
            multimodal,
            text_only: !multimodal && format.map_or(old, |format| format == "text"),
            snapshots: body["parameters"]["incremental_output"] != true,
        }
    }
}

fn read_messages(messages: &Value, multimodal: bool, asked: &mut Asked) -> Result<(), Refusal> {
    let empty = "Role must be user or assistant and Content length must be greater than 0";
    let mut open = Calls::default();
    for message in nonempty(messages, empty)? {
        let role = message["role"].as_str().unwrap_or_default();
        if role != "tool" && !open.are_closed() {
            return Err(Refusal::new("tool_calls must be followed by tool messages"));
        }
        let (mut texts, mut images) = (Vec::new(), Vec::new());
        match &message["content"] {
            Value::String(text) => texts.push(text.clone()),
            content => {
                for part in list(content) {
                    texts.extend(part["text"].as_str().map(str::to_owned));
                    images.extend(part.get("image").map(media_type));
                }
            }
        }
        if !images.is_empty() && !multimodal {
            return Err(Refusal::new("url error, please check url!"));
        }
        asked.images.extend(images);
        match role {
            "system" => {}
            "user" if texts.iter().all(String::is_empty) && asked.images.is_empty() => {
                return Err(Refusal::new(empty));
            }
            "user" => asked.said.extend(texts),
            "assistant" => {
                asked.said.clear();
                asked.results.clear();
                for call in list(&message["tool_calls"]) {
                    if !call["function"]["arguments"].is_string() {
                        return Err(Refusal::new("function.arguments must be a string"));
                    }
                    open.open(&call["id"]);
                }
            }
            "tool" if open.close(&message["tool_call_id"]) => asked.results.push(texts.join(" ")),
            "tool" => return Err(Refusal::new("a tool message must answer one of tool_calls")),
            _ => return Err(Refusal::new(empty)),
        }
    }
    Ok(())
}

fn tools(parameters: &Value) -> Vec<Tool> {
    let tool = |tool: &Value| Tool {
        name: text_of(&tool["function"]["name"]),
        schema: tool["function"]["parameters"].clone(),
        free_text: false,
    };
    list(&parameters["tools"]).iter().map(tool).collect()
}

fn choice(choice: &Value) -> Result<Choice, Refusal> {
    match choice {
        Value::String(word) if word == "none" => Ok(Choice::None),
        Value::String(word) if word != "auto" => {
            Err(Refusal::naming("tool_choice is not supported", word))
        }
        Value::Object(_) => Ok(Choice::One(text_of(&choice["function"]["name"]))),
        _ => Ok(Choice::Auto),
    }
}

fn schema(format: &Value) -> Option<Value> {
    match format["type"].as_str() {
        Some("json_schema") => Some(format["json_schema"]["schema"].clone()),
        Some("json_object") => Some(json!({})),
        _ => None,
    }
}

/// The counts; with `so_far` those of a stream under way.
fn usage(asked: &Asked, answer: &Answer, so_far: Option<u64>) -> Value {
    let input = asked.input_tokens + asked.cached_tokens;
    let output = so_far.unwrap_or(answer.output_tokens());
    json!({
        "input_tokens": input, "output_tokens": output, "total_tokens": input + output,
        "prompt_tokens_details": {"cached_tokens": asked.cached_tokens},
        "output_tokens_details": {
            "reasoning_tokens": so_far.unwrap_or(answer.thinking_tokens()),
        },
    })
}

fn finish(stop: &Stop) -> &'static str {
    match stop {
        Stop::End | Stop::Sequence(_) => "stop",
        Stop::MaxTokens => "length",
        Stop::Calls => "tool_calls",
    }
}

fn call_json(index: usize, call: &Call) -> Value {
    let function = json!({"name": call.name, "arguments": call.arguments});
    json!({"index": index, "id": call.id, "type": "function", "function": function})
}

/// Name and id come with the first fragment, which has arguments already.
fn call_fragments(index: usize, call: &Call) -> Vec<Part> {
    let fragment = |(at, piece): (usize, String)| {
        let (id, mut function) = (if at == 0 { &call.id } else { "" }, json!({"arguments": piece}));
        if at == 0 {
            function["name"] = json!(call.name);
        }
        let call = json!({"index": index, "id": id, "type": "function", "function": function});
        Part::Said(Said { calls: vec![call], ..Said::default() })
    };
    pieces(&call.arguments).into_iter().enumerate().map(fragment).collect()
}

/// What one event says, or all events until now.
#[derive(Debug, Default)]
struct Said {
    thinking: Option<String>,
    text: String,
    calls: Vec<Value>,
}

impl Said {
    fn add(&mut self, more: &Self) {
        if let Some(thinking) = &more.thinking {
            self.thinking.get_or_insert_default().push_str(thinking);
        }
        self.text.push_str(&more.text);
        for call in &more.calls {
            let same = self.calls.iter_mut().find(|known| known["index"] == call["index"]);
            let Some(known) = same else {
                self.calls.push(call.clone());
                continue;
            };
            let known = &mut known["function"]["arguments"];
            *known = json!(text_of(known) + &text_of(&call["function"]["arguments"]));
        }
    }
}

/// What stands in a stream, before it is numbered.
enum Part {
    Said(Said),
    Finish(&'static str),
    Error,
    Step(Step),
}

struct Writer {
    layout: Layout,
    request_id: String,
    events: u64,
    before: Said,
}

impl Writer {
    fn new(turn: &Turn) -> Self {
        Self {
            layout: Layout::of(&turn.parts, &turn.body),
            request_id: format!("demo-request-{}", turn.number),
            events: 0,
            before: Said::default(),
        }
    }

    fn step(&mut self, part: Part, [early, last]: &[Value; 2]) -> Step {
        let (document, kind, status) = match part {
            Part::Step(step) => return step,
            Part::Error => {
                let error = DashScope::error(500, "the demo fails as it was asked to");
                (error, "error", 500)
            }
            Part::Finish(word) => (self.document_now(&Said::default(), word, last), "result", 200),
            // The word, not the value.
            Part::Said(said) => (self.document_now(&said, "null", early), "result", 200),
        };
        self.events += 1;
        let number = self.events;
        Step::Data(format!("id:{number}\nevent:{kind}\n:HTTP_STATUS/{status}\ndata:{document}\n\n"))
    }

    fn document_now(&mut self, said: &Said, finish: &str, usage: &Value) -> Value {
        if !self.layout.snapshots {
            return self.document(said, finish, usage);
        }
        self.before.add(said);
        self.document(&self.before, finish, usage)
    }

    fn document(&self, said: &Said, finish: &str, usage: &Value) -> Value {
        let output = if self.layout.text_only {
            json!({"text": said.text, "finish_reason": finish})
        } else {
            let content = match (self.layout.multimodal, said.text.as_str()) {
                (false, text) => json!(text),
                (true, "") => json!([]),
                (true, text) => json!([{"text": text}]),
            };
            let mut message = json!({"role": "assistant", "content": content});
            if let Some(thinking) = &said.thinking {
                message["reasoning_content"] = json!(thinking);
            }
            if !said.calls.is_empty() {
                message["tool_calls"] = said.calls.clone().into();
            }
            json!({"choices": [{"message": message, "finish_reason": finish}]})
        };
        json!({"output": output, "usage": usage, "request_id": self.request_id})
    }
}
