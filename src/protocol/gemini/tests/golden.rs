//! What other projects make of the same requests, where they agree with the recordings.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value};

use crate::protocol::gemini::names::camel;
use crate::protocol::json::JsonStr;
use crate::protocol::profile::Profiles;
use crate::protocol::report::Mode;
use crate::protocol::translate::RequestOptions;
use crate::protocol::{Protocol, Target, translate};
use crate::test_helpers::corpus::{cases, parse};

const FOLDERS: [(&str, Protocol); 3] = [
    ("anthropic-to-gemini", Protocol::Anthropic),
    ("openai-chat-to-gemini", Protocol::OpenAiChat),
    ("openai-responses-to-gemini", Protocol::OpenAiResponses),
];

/// It leaves the results of one turn in several contents; Gemini refuses that, as others found.
const WRONG: [&str; 1] = ["cliproxy--groups-non-contiguous-parallel-tool-outputs"];

fn translated(from: Protocol, path: &Path) -> Value {
    let target = Target { json_schema: false, ..Target::default() };
    let (profiles, mode) = (Profiles::always(target), Mode::Lenient);
    let options = RequestOptions { profiles: &profiles, mode, ..RequestOptions::default() };
    let body = fs::read(path.join("input.json")).unwrap();
    let translated = translate::request(from, Protocol::Gemini, &body, &options);
    parse(&translated.unwrap_or_else(|e| panic!("{path:?}: {e}")).body)
}

/// Names in camel case, types in small letters, without what nobody agrees about: how a result is
/// wrapped, whether ids are sent, how many tokens an effort is.
fn plain(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut plain_members = Map::new();
            for (name, value) in members {
                let name = camel(&JsonStr::from_plain(name.as_str())).into_owned();
                let value = match (name.as_str(), value) {
                    ("id" | "temperature" | "thinkingConfig", _) => continue,
                    ("response", _) => Value::Null,
                    ("type", Value::String(word)) => Value::String(word.to_ascii_lowercase()),
                    (_, value) => plain(value),
                };
                plain_members.insert(name, value);
            }
            plain_members.retain(|name, value| {
                name != "generationConfig" || value != &Value::Object(Map::new())
            });
            Value::Object(plain_members)
        }
        Value::Array(items) => Value::Array(items.iter().map(plain).collect()),
        other => other.clone(),
    }
}

#[test]
fn requests_mean_the_same() {
    for (folder, from) in FOLDERS {
        for (name, path) in cases(&format!("golden/{folder}/request")) {
            let expected = parse(&fs::read(path.join("expected.json")).unwrap());
            assert_eq!(plain(&translated(from, &path)), plain(&expected), "{name}");
        }
    }
}

fn at<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.').try_fold(value, |value, step| match value {
        Value::Array(items) => items.get(step.parse::<usize>().ok()?),
        value => value.get(step),
    })
}

#[test]
fn assertions_hold() {
    for (folder, from) in FOLDERS {
        for (name, path) in cases(&format!("golden/{folder}/request-assert")) {
            if WRONG.contains(&name.as_str()) {
                continue;
            }
            let value = translated(from, &path);
            let assertions = parse(&fs::read(path.join("assertions.json")).unwrap());
            for assertion in assertions.as_array().unwrap() {
                let place = assertion["path"].as_str().unwrap();
                let usual = camel(&JsonStr::from_plain(place)).into_owned();
                let found = at(&value, &usual);
                let wanted = &assertion["value"];
                let holds = match assertion["op"].as_str().unwrap() {
                    // Only under this very name.
                    "absent" => at(&value, place).is_none(),
                    "exists" => found.is_some(),
                    "count" => {
                        let length = found.and_then(Value::as_array).map(Vec::len);
                        length.map(Value::from).as_ref() == Some(wanted)
                    }
                    _ => found == Some(wanted),
                };
                assert!(holds, "{name}: {assertion} of {value}");
            }
        }
    }
}
