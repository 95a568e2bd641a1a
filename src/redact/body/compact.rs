//! A JSON body made short: pure, of a tree.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::MAX_TEXT;
use crate::redact::HIDDEN;
use crate::redact::cut::cut;
use crate::redact::text::{named_value, text};
use crate::secret::names::{Named, named};

/// Deeper values are `...`.
pub const MAX_DEPTH: usize = 32;

/// Most characters of a text among contents, of arguments and of results.
const MAX_CONTENT: usize = 200;

/// Most characters of a seal: encrypted thinking, a signature.
const MAX_SEAL: usize = 100;

/// Stands for what is left out.
const LEFT_OUT: &str = "...";

/// Makes a body short and takes its secrets out.
pub(super) fn compact(body: &mut Value) {
    value(body, MAX_TEXT, MAX_DEPTH);
}

/// `limit` is that of strings here.
fn value(value: &mut Value, limit: usize, depth: usize) {
    if depth == 0 && (value.is_array() || value.is_object()) {
        *value = LEFT_OUT.into();
        return;
    }
    match value {
        Value::String(string) => shorten(string, limit),
        Value::Array(items) => {
            items.iter_mut().for_each(|item| self::value(item, limit, depth - 1));
        }
        Value::Object(members) => object(members, limit, depth),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn object(members: &mut Map<String, Value>, limit: usize, depth: usize) {
    let limit = match members.get("type").and_then(Value::as_str).unwrap_or_default() {
        "image"
        | "image_url"
        | "input_image"
        | "input_audio"
        | "document"
        | "file"
        | "input_file"
        | "image_generation_call" => return picture(members),
        "text"
        | "input_text"
        | "output_text"
        | "summary_text"
        | "thinking"
        | "reasoning"
        | "tool_use"
        | "server_tool_use"
        | "tool_result"
        | "function_call"
        | "function_call_output" => MAX_CONTENT,
        _ => limit,
    };
    for (name, member) in members.iter_mut() {
        if named(name).is_some_and(|named| named <= Named::Member) {
            hide(member);
            continue;
        }
        match name.as_str() {
            "tools" => tools(member, depth),
            "encrypted_content" | "signature" | "thoughtSignature" | "thought_signature" => {
                value(member, MAX_SEAL, depth - 1);
            }
            "arguments" | "output" | "parts" | "functionCall" | "functionResponse" => {
                value(member, limit.min(MAX_CONTENT), depth - 1);
            }
            "inlineData" | "inline_data" => blob(member, depth),
            "b64_json" => *member = LEFT_OUT.into(),
            _ => value(member, limit, depth - 1),
        }
    }
    names_of(members);
}

/// A key may stand for a name: `{"limits": {"sk-…": 5}}`.
fn names_of(members: &mut Map<String, Value>) {
    if members.keys().any(|name| matches!(text(name), Cow::Owned(_))) {
        let all = std::mem::take(members).into_iter();
        members.extend(all.map(|(name, member)| (text(&name).into_owned(), member)));
    }
}

/// Redacted first: half a secret has no form.
fn shorten(string: &mut String, limit: usize) {
    if let Some(head) = data_url(string) {
        // A head may be anything that stands before the mark.
        *string = format!("{}{LEFT_OUT}", text(head));
        return;
    }
    let shown = cut(text(string), limit);
    if let Cow::Owned(shown) = shown {
        *string = shown;
    }
}

/// The beginning of `data:image/png;base64,…`.
fn data_url(string: &str) -> Option<&str> {
    const MARK: &str = ";base64,";
    const LONGEST_HEAD: usize = 128;
    let at = string.strip_prefix("data:")?.find(MARK)? + "data:".len() + MARK.len();
    (at <= LONGEST_HEAD).then(|| &string[..at])
}

/// Only what kind of thing it is.
fn picture(members: &mut Map<String, Value>) {
    let source = members.get("source").and_then(|source| source.get("type")).cloned();
    members.retain(|name, _| name == "type");
    if let Some(Value::String(mut source)) = source {
        shorten(&mut source, MAX_SEAL);
        members.insert("source".into(), serde_json::json!({"type": source}));
    }
}

/// Gemini's bytes: their type.
fn blob(member: &mut Value, depth: usize) {
    if let Some(data) = member.get_mut("data") {
        *data = LEFT_OUT.into();
    }
    value(member, MAX_SEAL, depth - 1);
}

/// All that a secret's name holds. `null` and truth values tell nothing.
fn hide(member: &mut Value) {
    match member {
        Value::String(string) => *string = named_value(string).into_owned(),
        Value::Number(_) => *member = HIDDEN.into(),
        Value::Array(items) => items.iter_mut().for_each(hide),
        Value::Object(members) => {
            members.values_mut().for_each(hide);
            names_of(members);
        }
        Value::Null | Value::Bool(_) => {}
    }
}

/// Tools become their names, where all of them have one.
fn tools(member: &mut Value, depth: usize) {
    let names: Option<Vec<_>> =
        member.as_array().and_then(|tools| tools.iter().map(names).collect());
    if let Some(names) = names {
        *member = names.into_iter().flatten().map(|name| cut(text(name), MAX_CONTENT)).collect();
    } else {
        value(member, MAX_CONTENT, depth - 1);
    }
}

/// What a tool is called in any of the protocols; Gemini has several in one. A tool of the vendor
/// may have only a type, or be a member of that name.
fn names(tool: &Value) -> Option<Vec<&str>> {
    let tool = tool.as_object()?;
    if let Some(name) = tool.get("name").and_then(Value::as_str) {
        return Some(vec![name]);
    }
    if let Some(name) = tool.get("function").and_then(|function| function.get("name")) {
        return name.as_str().map(|name| vec![name]);
    }
    let declared = tool.get("functionDeclarations").or_else(|| tool.get("function_declarations"));
    if let Some(declared) = declared.and_then(Value::as_array) {
        return declared.iter().map(|tool| tool.get("name")?.as_str()).collect();
    }
    let kind = tool.get("type").and_then(Value::as_str);
    kind.or_else(|| tool.keys().next().map(String::as_str)).map(|kind| vec![kind])
}
