//! The object around the items of an answer.

use crate::protocol::json::{Cursor, JsonStr, Kind, ObjectWriter, Raw};
use crate::protocol::model::Rest;

/// Members that the writer writes itself.
pub(super) const OWN: [&str; 9] = [
    "id",
    "object",
    "created_at",
    "status",
    "error",
    "incomplete_details",
    "model",
    "output",
    "usage",
];

/// Members that repeat the request or keep the vendor's books: to another protocol they are no
/// loss.
const BOOKS: [&str; 26] = [
    "background",
    "completed_at",
    "conversation",
    "frequency_penalty",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "parallel_tool_calls",
    "presence_penalty",
    "previous_response_id",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning",
    "safety_identifier",
    "store",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
];

/// Members that clients demand or expect, with what stands there where the request does not say.
const DEFAULTS: [(&str, &str); 14] = [
    ("background", "false"),
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("metadata", "{}"),
    ("parallel_tool_calls", "true"),
    ("previous_response_id", "null"),
    ("reasoning", r#"{"effort":null,"summary":null}"#),
    ("temperature", "null"),
    ("text", r#"{"format":{"type":"text"}}"#),
    ("tool_choice", "\"auto\""),
    ("tools", "[]"),
    ("top_p", "null"),
    ("truncation", "\"disabled\""),
    ("user", "null"),
];

/// Whether another protocol misses the member.
pub(super) fn is_book(name: &str) -> bool {
    BOOKS.contains(&name)
}

/// Members that the types of OpenAI's SDKs demand.
const DEMANDED: [&str; 7] = [
    "instructions",
    "metadata",
    "parallel_tool_calls",
    "temperature",
    "tool_choice",
    "tools",
    "top_p",
];

/// Adds what clients demand and a careless server left out.
pub(super) fn fill(members: &mut Rest<'_>) {
    for (name, value) in DEFAULTS.iter().filter(|(name, _)| DEMANDED.contains(name)) {
        if members.get(name).is_none() {
            members.keep(JsonStr::from_plain(*name), Raw::literal(value));
        }
    }
}

fn is_own(key: &JsonStr<'_>) -> bool {
    OWN.iter().any(|name| key == *name)
}

/// What the answer repeats of the request (see [`Answer::echo`](crate::protocol::Answer::echo)),
/// and what clients demand beside it.
pub(super) fn echoed(echo: &str) -> Rest<'_> {
    let mut members: Vec<(JsonStr<'_>, Raw<'_>)> = DEFAULTS
        .iter()
        .map(|(name, value)| (JsonStr::from_plain(*name), Raw::literal(value)))
        .collect();
    // What is no object says nothing; what was read before a fault stands.
    let _ = Cursor::new(echo).object(|key, c| {
        let value = c.raw()?;
        match members.iter_mut().find(|(name, _)| *name == key) {
            Some((_, slot)) if value.kind() != Kind::Null => *slot = value,
            // Tools of the conversation are known to the writer alone.
            None if !is_own(&key) && key != "additional_tools" => members.push((key, value)),
            _ => {}
        }
        Ok(())
    });
    Rest::new(members)
}

/// The members of an answer of this protocol that its writer puts back, as an object.
pub(super) fn kept(response: &Raw<'_>) -> Option<Raw<'static>> {
    let mut out = bytes::BytesMut::with_capacity(256);
    let mut object = ObjectWriter::begin(&mut out);
    let walked = response.cursor().object(|key, c| {
        let value = c.raw()?;
        if key != "output" && key != "usage" {
            object.raw(key.escaped(), &value);
        }
        Ok(())
    });
    walked.ok()?;
    object.end();
    Raw::parse_owned(String::from_utf8(out.to_vec()).ok()?).ok()
}

/// The members of the first of these objects, and those of the later that it does not have. Of the
/// members that the writer writes itself only the first's `states` are among them.
pub(super) fn merged<'s>(sources: &[&'s Raw<'_>], states: bool) -> Rest<'s> {
    let mut members: Vec<(JsonStr<'s>, Raw<'s>)> = Vec::new();
    for (nth, source) in sources.iter().enumerate() {
        let known = members.len();
        // The values were checked when they were cut.
        let _ = source.cursor().object(|key, c| {
            let value = c.raw()?;
            let state = ["status", "error", "incomplete_details"].iter().any(|name| key == *name);
            let wanted = if is_own(&key) { state && states && nth == 0 } else { true };
            if wanted && !members[..known].iter().any(|(name, _)| *name == key) {
                members.push((key, value));
            }
            Ok(())
        });
    }
    Rest::new(members)
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;

    fn text(rest: &Rest<'_>) -> String {
        let mut out = BytesMut::new();
        let mut object = ObjectWriter::begin(&mut out);
        rest.write(&mut object);
        object.end();
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn the_request_is_repeated() {
        let echo = r#"{"tools":[{"type":"function","name":"f"}],"temperature":0.5,"metadata":null,"store":false,"id":"evil","status":"x"}"#;
        let written = text(&echoed(echo));
        let value: serde_json::Value = serde_json::from_str(&written).unwrap();
        assert_eq!(value["tools"][0]["name"], "f");
        assert_eq!(value["temperature"], 0.5);
        assert_eq!(value["metadata"], serde_json::json!({}));
        assert_eq!(value["store"], false);
        assert_eq!(value["tool_choice"], "auto");
        assert!(value.get("id").is_none() && value.get("status").is_none());
        for nothing in ["", "{}", "[]", "{\"tools\":"] {
            assert_eq!(echoed(nothing).0.len(), DEFAULTS.len(), "{nothing}");
        }
    }

    #[test]
    fn later_members_fill_in() {
        let first = Raw::literal(r#"{"id":"a","status":"completed","top_p":1,"output":[]}"#);
        let second = Raw::literal(r#"{"status":"in_progress","top_p":2,"user":null,"error":null}"#);
        assert_eq!(
            text(&merged(&[&first, &second], true)),
            r#"{"status":"completed","top_p":1,"user":null}"#
        );
        assert_eq!(text(&merged(&[&first, &second], false)), r#"{"top_p":1,"user":null}"#);
        let kept = kept(&first).unwrap();
        assert_eq!(kept.as_str(), r#"{"id":"a","status":"completed","top_p":1}"#);
    }
}
