//! Requests that were generated: each goes to its own protocol and back to itself, and to every
//! other, where each of its leaves arrives or is reported, and from there back.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests are tests")]

mod choices;
mod generate;

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::Value;
use serde_json::value::RawValue;
use tower_llm_gateway::protocol::Protocol;
use tower_llm_gateway::protocol::report::{Mode, TranslationReport};
use tower_llm_gateway::protocol::translate::{self, RequestOptions, TranslateError};

use choices::Choices;

/// What is not looked for: the id of an item of Responses names it at its vendor, and means nothing
/// to another.
const NOT_LOOKED_FOR: &[&str] = &["/id"];

fn translate(
    from: Protocol,
    to: Protocol,
    body: &str,
    mode: Mode,
) -> Result<(String, TranslationReport), TranslateError> {
    let options = RequestOptions { mode, ..RequestOptions::default() };
    let translated = translate::request(from, to, body.as_bytes(), &options)?;
    let body = String::from_utf8(translated.body.to_vec()).unwrap();
    Ok((body, translated.report))
}

/// The leaves that can be found again: marked strings and names, and numbers like no other.
fn marks(value: &Value, pointer: &str, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                let step = name.replace('~', "~0").replace('/', "~1");
                let pointer = format!("{pointer}/{step}");
                found.extend(marks_in(name).map(|mark| (pointer.clone(), mark)));
                marks(value, &pointer, found);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                marks(item, &format!("{pointer}/{index}"), found);
            }
        }
        Value::String(text) => found.extend(marks_in(text).map(|mark| (pointer.to_owned(), mark))),
        Value::Number(number) => {
            let number = number.to_string();
            if number.len() >= 5 {
                found.push((pointer.to_owned(), number));
            }
        }
        Value::Bool(_) | Value::Null => {}
    }
}

/// `Wd7k` and `Dt7k`.
fn marks_in(text: &str) -> impl Iterator<Item = String> {
    let starts = text.match_indices("Wd").chain(text.match_indices("Dt"));
    starts.filter_map(|(at, kind)| {
        let rest = &text[at + 2..];
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        (digits > 0 && rest[digits..].starts_with('k'))
            .then(|| format!("{kind}{}k", &rest[..digits]))
    })
}

fn is_reported(report: &TranslationReport, pointer: &str) -> bool {
    report.omitted() > 0
        || report.losses().iter().any(|loss| {
            let behind = pointer.strip_prefix(&*loss.pointer);
            behind.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
}

/// Every mark arrives or is reported, and every word arrives; what arrives.
fn arrives(from: Protocol, to: Protocol, body: &str) -> Result<String, TestCaseError> {
    let name = format!("{from} to {to}");
    let (out, report) = translate(from, to, body, Mode::Lenient)
        .map_err(|error| TestCaseError::fail(format!("{name}: {error} in {body}")))?;
    let parsed: Result<Value, _> = serde_json::from_str(&out);
    prop_assert!(parsed.is_ok(), "{name}: no JSON: {out}");
    let (mut planted, mut arrived) = (Vec::new(), Vec::new());
    marks(&serde_json::from_str(body).unwrap(), "", &mut planted);
    marks(&parsed.unwrap(), "", &mut arrived);
    for (pointer, mark) in planted {
        let found = arrived.iter().any(|(_, other)| *other == mark);
        let excused = NOT_LOOKED_FOR.iter().any(|end| pointer.ends_with(end));
        let may_be_lost = !mark.starts_with("Wd") && is_reported(&report, &pointer);
        prop_assert!(
            found || excused || may_be_lost,
            "{name}: {mark} at {pointer} is gone\n  report {report}\n  from {body}\n  to   {out}"
        );
    }
    Ok(out)
}

/// The members of a JSON object, each as it stands.
fn members(body: &str) -> BTreeMap<String, Box<RawValue>> {
    serde_json::from_str(body).unwrap()
}

/// The turns of a request as they stand, and what stands before them for the model to read.
fn read_by_model(protocol: Protocol, body: &str) -> (Vec<String>, Vec<Option<String>>) {
    let mut outer = members(body);
    let mut path = generate::turns(protocol).split('/').skip(1);
    let mut turns = outer.remove(path.next().unwrap()).unwrap();
    if let Some(inner) = path.next() {
        turns = members(turns.get()).remove(inner).unwrap();
    }
    let turns: Vec<Box<RawValue>> = serde_json::from_str(turns.get()).unwrap();
    if let Some(settings) = outer.remove("parameters") {
        outer.extend(members(settings.get()));
    }
    let lead = ["tools", "system", "instructions", "systemInstruction"];
    let lead = lead.map(|name| outer.get(name).map(|raw| raw.get().to_owned()));
    (turns.iter().map(|turn| turn.get().to_owned()).collect(), lead.to_vec())
}

/// The same request, and the next one of the same conversation: what caches compare is the same.
fn prefix_stays(from: Protocol, to: Protocol, body: &str) -> Result<(), TestCaseError> {
    let mut next: Value = serde_json::from_str(body).unwrap();
    generate::extend(from, &mut next);
    let written = |body: &str| translate(from, to, body, Mode::Lenient).unwrap().0;
    let first = written(body);
    prop_assert_eq!(&first, &written(body), "the same, in other bytes");
    let (turns, lead) = read_by_model(to, &first);
    let (more, same_lead) = read_by_model(to, &written(&next.to_string()));
    prop_assert_eq!(lead, same_lead, "{} to {}", from, to);
    prop_assert!(more.len() > turns.len());
    prop_assert_eq!(&turns[..], &more[..turns.len()], "{} to {}", from, to);
    Ok(())
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..200)
}

fn every_other(
    from: Protocol,
    bytes: &[u8],
    check: fn(Protocol, Protocol, &str) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    let body = generate::request(from, &mut Choices::new(bytes.to_vec())).to_string();
    Protocol::ALL.into_iter().filter(|to| *to != from).try_for_each(|to| check(from, to, &body))
}

fn there_and_back(from: Protocol, to: Protocol, body: &str) -> Result<(), TestCaseError> {
    let there = arrives(from, to, body)?;
    arrives(to, from, &there).map(drop)
}

fn same_again(from: Protocol, bytes: &[u8]) -> Result<(), TestCaseError> {
    let source = generate::request(from, &mut Choices::new(bytes.to_vec()));
    let (out, report) = translate(from, from, &source.to_string(), Mode::Strict)
        .map_err(|error| TestCaseError::fail(format!("{error} in {source}")))?;
    prop_assert!(report.is_empty(), "{report} of {source}");
    let out: Value = serde_json::from_str(&out).unwrap();
    prop_assert_eq!(source, out);
    Ok(())
}

macro_rules! for_each_protocol {
    ($($module:ident = $protocol:expr;)*) => {$(
        mod $module {
            use super::*;

            proptest! {
                #![proptest_config(ProptestConfig::with_cases(96))]

                #[test]
                fn its_own_protocol_loses_nothing(bytes in bytes()) {
                    same_again($protocol, &bytes)?;
                }

                #[test]
                fn every_leaf_arrives_or_is_reported(bytes in bytes()) {
                    every_other($protocol, &bytes, there_and_back)?;
                }

                #[test]
                fn the_prefix_of_a_conversation_stays(bytes in bytes()) {
                    every_other($protocol, &bytes, prefix_stays)?;
                }
            }
        }
    )*};
}

for_each_protocol! {
    anthropic = Protocol::Anthropic;
    openai_chat = Protocol::OpenAiChat;
    openai_responses = Protocol::OpenAiResponses;
    gemini = Protocol::Gemini;
    dashscope = Protocol::DashScope;
}
