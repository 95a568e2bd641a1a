//! The demo's Gemini: reads as strictly as the real one, writes literal JSON. It takes camel and
//! snake case, as the real one does.

mod answer;

use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{StatusCode, header};
use serde_json::{Value, json};

use super::generate::{Dialect, Refusal, Turn};
use super::read::{known, legal, list, nonempty, strings, text_of};
use super::scenario::{Answer, Asked, Choice, Tool};
use super::stream::Step;

/// The signature of all thinking here: bytes in base64, which SDKs may spell in its other alphabet.
const SIGNATURE: &str = "CiQBZGVtbz4+dGhvdWdodD8/c2lnbmVk";
/// What histories of other models have in its place; the vendor takes it, plain or in base64.
const SKIPPED: [&str; 2] =
    ["skip_thought_signature_validator", "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="];
const UNKNOWN: &str = "Invalid JSON payload received. Unknown name, cannot find field";

#[rustfmt::skip]
const MEMBERS: [&str; 11] = [
    "cachedContent", "contents", "generationConfig", "labels", "model", "safetySettings",
    "serviceTier", "store", "systemInstruction", "toolConfig", "tools",
];
#[rustfmt::skip]
const CONFIG: [&str; 25] = [
    "audioTimestamp", "candidateCount", "enableAffectiveDialog", "enableEnhancedCivicAnswers",
    "frequencyPenalty", "imageConfig", "logprobs", "maxOutputTokens", "mediaResolution",
    "modelSelectionConfig", "presencePenalty", "responseFormat", "responseJsonSchema",
    "responseLogprobs", "responseMimeType", "responseModalities", "responseSchema",
    "routingConfig", "seed", "speechConfig", "stopSequences", "temperature", "thinkingConfig",
    "topK", "topP",
];
/// What a schema may hold where it is not named as a JSON schema.
#[rustfmt::skip]
const SCHEMA: [&str; 22] = [
    "anyOf", "default", "description", "enum", "example", "format", "items", "maxItems",
    "maxLength", "maxProperties", "maximum", "minItems", "minLength", "minProperties", "minimum",
    "nullable", "pattern", "properties", "propertyOrdering", "required", "title", "type",
];

#[derive(Debug)]
pub(super) enum Gemini {}

impl Dialect for Gemini {
    const RETRY_AFTER: bool = false;

    fn read(parts: &Parts, body: &Value) -> Result<Asked, Refusal> {
        let body = camel(body);
        known(&body, &MEMBERS, UNKNOWN)?;
        let config = &body["generationConfig"];
        known(config, &CONFIG, UNKNOWN)?;
        let (model, action) = called(parts);
        let thinking = &config["thinkingConfig"];
        if thinking["thinkingLevel"].is_string() && thinking["thinkingBudget"].is_number() {
            return Err(Refusal::new("thinking_level and thinking_budget exclude each other"));
        }
        let mut asked = Asked {
            thinking: thinking["includeThoughts"] == true
                || thinking["thinkingLevel"].is_string()
                || thinking["thinkingBudget"].as_i64().is_some_and(|budget| budget != 0),
            model,
            stream: action == "streamGenerateContent",
            tools: tools(&body)?,
            choice: choice(&body["toolConfig"]["functionCallingConfig"]),
            schema: schema(config)?,
            max_tokens: config["maxOutputTokens"].as_u64(),
            stop: strings(&config["stopSequences"]),
            ..Asked::default()
        };
        if asked.stop.len() > 5 {
            return Err(Refusal::new("at most 5 stop sequences"));
        }
        read_contents(&body["contents"], &mut asked)?;
        Ok(asked)
    }

    fn error(status: u16, message: &str) -> Value {
        let word = match status {
            400 => "INVALID_ARGUMENT",
            401 => "UNAUTHENTICATED",
            403 => "PERMISSION_DENIED",
            404 => "NOT_FOUND",
            429 => "RESOURCE_EXHAUSTED",
            503 | 529 => "UNAVAILABLE",
            504 => "DEADLINE_EXCEEDED",
            402..=499 => "FAILED_PRECONDITION",
            _ => "INTERNAL",
        };
        let mut error = json!({"error": {"code": status, "message": message, "status": word}});
        if status == 429 {
            let kind = "type.googleapis.com/google.rpc.RetryInfo";
            error["error"]["details"] = json!([{"@type": kind, "retryDelay": "1s"}]);
        }
        error
    }

    /// A bad key is no 401 here; without `alt=sse` errors of a stream stand in a list.
    fn refusal(parts: &Parts, refusal: &Refusal) -> Response {
        let (mut status, mut error) =
            (refusal.status, Self::error(refusal.status, &refusal.message));
        if status == 401 {
            status = 400;
            error = Self::error(status, "API key not valid. Please pass a valid API key.");
            let kind = "type.googleapis.com/google.rpc.ErrorInfo";
            error["error"]["details"] = json!([{"@type": kind, "reason": "API_KEY_INVALID"}]);
        }
        if called(parts).1 == "streamGenerateContent" && !is_sse(parts) {
            error = json!([error]);
        }
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
        (status, [(header::CONTENT_TYPE, "application/json")], error.to_string()).into_response()
    }

    fn count(tokens: u64) -> Value {
        let details = json!([{"modality": "TEXT", "tokenCount": tokens}]);
        json!({"totalTokens": tokens, "promptTokensDetails": details})
    }

    fn media_type(parts: &Parts) -> &'static str {
        if is_sse(parts) { "text/event-stream" } else { "application/json; charset=UTF-8" }
    }

    fn whole(turn: &Turn, answer: Answer) -> Value {
        answer::whole(turn, answer)
    }

    fn events(turn: &Turn, answer: Answer) -> Box<dyn Iterator<Item = Step> + Send> {
        answer::events(turn, answer)
    }
}

/// Model and action, from the path.
fn called(parts: &Parts) -> (String, String) {
    let last = parts.uri.path().rsplit('/').next().unwrap_or_default().replace("%3A", ":");
    let (model, action) = last.rsplit_once(':').unwrap_or((last.as_str(), ""));
    (model.to_owned(), action.to_owned())
}

fn is_sse(parts: &Parts) -> bool {
    parts.uri.query().unwrap_or_default().split('&').any(|pair| pair == "alt=sse")
}

/// The members that the vendor defines in camel case; what users named stays as it is.
fn camel(value: &Value) -> Value {
    /// Below these, names are the user's.
    const THEIRS: [&str; 9] = [
        "args",
        "response",
        "parameters",
        "parametersJsonSchema",
        "responseSchema",
        "responseJsonSchema",
        "labels",
        "responseFormat",
        "properties",
    ];
    match value {
        Value::Array(items) => items.iter().map(camel).collect(),
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| {
                let mut words = name.split('_');
                let mut camel_name = words.next().unwrap_or_default().to_owned();
                for word in words {
                    let (first, rest) =
                        word.split_at(word.chars().next().map_or(0, char::len_utf8));
                    camel_name.extend([first.to_uppercase().as_str(), rest]);
                }
                let theirs = THEIRS.contains(&camel_name.as_str());
                let value = if theirs { value.clone() } else { camel(value) };
                (camel_name, value)
            };
            Value::Object(members.iter().map(member).collect())
        }
        other => other.clone(),
    }
}

fn read_contents(contents: &Value, asked: &mut Asked) -> Result<(), Refusal> {
    // The names of the calls of the last turn that are without a response.
    let mut open: Vec<&Value> = Vec::new();
    for content in nonempty(contents, "contents: contents is not specified")? {
        let parts = nonempty(&content["parts"], "contents.parts must not be empty")?;
        match content["role"].as_str().unwrap_or("user") {
            "user" => {
                let named = |part: &Value| part.get("functionResponse").is_some();
                if parts.iter().filter(|part| named(part)).count() != open.len() {
                    return Err(Refusal::new(
                        "Please ensure that the number of function response parts is equal to \
                         the number of function call parts of the function call turn",
                    ));
                }
                read_user(parts, &mut open, asked)?;
            }
            // The official SDK keeps each chunk of a stream as a content of its own.
            "model" => open.extend(read_model(parts, asked)?),
            _ => return Err(Refusal::new("Please use a valid role: user, model.")),
        }
    }
    if open.is_empty() { Ok(()) } else { Err(Refusal::new("a function call without a response")) }
}

fn read_user(parts: &[Value], open: &mut Vec<&Value>, asked: &mut Asked) -> Result<(), Refusal> {
    for part in parts {
        if let Some(response) = part.get("functionResponse") {
            let found = open.iter().position(|name| **name == response["name"]);
            open.remove(found.ok_or(Refusal::new("a function response that no call asked for"))?);
            asked.results.push(result_text(&response["response"])?);
            let media = list(&response["parts"]).iter();
            asked.images.extend(media.map(|part| text_of(&part["inlineData"]["mimeType"])));
        } else if let Some(text) = part["text"].as_str() {
            asked.said.push(text.to_owned());
        } else if let Some(data) = part.get("inlineData").or(part.get("fileData")) {
            let kind = data["mimeType"].as_str().unwrap_or("url");
            asked.images.extend(kind.starts_with("image/").then(|| kind.to_owned()));
        } else {
            return Err(Refusal::new(
                "required oneof field 'data' must have one initialized field",
            ));
        }
    }
    Ok(())
}

/// The names of the calls in it. Where there is thinking, the first call must be signed.
fn read_model<'a>(parts: &'a [Value], asked: &mut Asked) -> Result<Vec<&'a Value>, Refusal> {
    let mut calls = Vec::new();
    for part in parts {
        let signature = part["thoughtSignature"].as_str();
        let ours = |s: &str| s.replace('-', "+").replace('_', "/") == SIGNATURE;
        if signature.is_some_and(|s| !ours(s) && !SKIPPED.contains(&s)) {
            return Err(Refusal::new("Corrupted thought signature."));
        }
        if let Some(call) = part.get("functionCall") {
            let thinks = asked.thinking || asked.model.starts_with("demo-thinking");
            if calls.is_empty() && thinks && signature.is_none() {
                return Err(Refusal::new(
                    "Function call is missing a thought_signature in functionCall parts.",
                ));
            }
            if !call["args"].is_object() && !call["args"].is_null() {
                return Err(Refusal::new("functionCall.args: not an object"));
            }
            calls.push(&call["name"]);
        } else if !part["text"].is_string() {
            return Err(Refusal::new(
                "required oneof field 'data' must have one initialized field",
            ));
        }
    }
    asked.said.clear();
    asked.results.clear();
    Ok(calls)
}

/// The one text in it, or all of it.
fn result_text(response: &Value) -> Result<String, Refusal> {
    let members =
        response.as_object().ok_or(Refusal::new("functionResponse.response: no object"))?;
    let mut values = members.values();
    match (values.next(), values.next()) {
        (Some(Value::String(text)), None) => Ok(text.clone()),
        _ => Ok(response.to_string()),
    }
}

fn tools(body: &Value) -> Result<Vec<Tool>, Refusal> {
    let mut tools = Vec::new();
    for tool in list(&body["tools"]).iter().flat_map(|tool| list(&tool["functionDeclarations"])) {
        legal(&tool["name"], 64, "_.:-")?;
        check_schema(&tool["parameters"])?;
        let schema = tool.get("parametersJsonSchema").unwrap_or(&tool["parameters"]).clone();
        tools.push(Tool { name: text_of(&tool["name"]), schema, free_text: false });
    }
    Ok(tools)
}

/// Refuses words that the vendor's own schema does not know.
fn check_schema(schema: &Value) -> Result<(), Refusal> {
    known(&camel_names(schema), &SCHEMA, UNKNOWN)?;
    let below = schema["properties"].as_object().into_iter().flat_map(|all| all.values());
    let below = below.chain(schema.get("items"));
    below.chain(list(&schema["anyOf"])).try_for_each(check_schema)
}

/// The names of one object alone.
fn camel_names(object: &Value) -> Value {
    let names = object.as_object().into_iter().flat_map(|object| object.keys());
    camel(&names.map(|name| (name.clone(), Value::Null)).collect())
}

fn choice(config: &Value) -> Choice {
    match (config["mode"].as_str(), list(&config["allowedFunctionNames"])) {
        (Some("NONE"), _) => Choice::None,
        (Some("ANY"), [one]) => Choice::One(text_of(one)),
        (Some("ANY"), _) => Choice::Any,
        _ => Choice::Auto,
    }
}

fn schema(config: &Value) -> Result<Option<Value>, Refusal> {
    check_schema(&config["responseSchema"])?;
    let schema = config.get("responseJsonSchema").or(config.get("responseSchema"));
    if schema.is_some() && config["responseMimeType"] != "application/json" {
        return Err(Refusal::new("a response schema needs the mime type application/json"));
    }
    let json = config["responseMimeType"] == "application/json";
    Ok(schema.cloned().or(json.then(|| json!({}))))
}
