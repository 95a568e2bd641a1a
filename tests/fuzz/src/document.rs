//! Whole documents. What is written is JSON, is not much more than what was read, can be read
//! again, and does not change when it goes through its own protocol once more.

use http::{HeaderMap, StatusCode};
use serde::de::IgnoredAny;
use serde_json::Value;
use tower_llm_gateway::protocol::report::Mode;
use tower_llm_gateway::protocol::scan::Observer;
use tower_llm_gateway::protocol::translate::{self, RequestOptions, TranslatedRequest};
use tower_llm_gateway::protocol::{Head, Protocol};

use super::input::{Input, shown};
use super::stream;

/// How many bytes a byte may become: an escape of six, twice where text becomes JSON within JSON.
const MOST_GROWTH: usize = 40;

/// Wrappers, ids and the members that an answer always has.
const MOST_ADDED: usize = 8 << 10;

pub fn assert_json(from: Protocol, to: Protocol, input: &[u8], output: &[u8]) {
    // A number too large for a float is JSON, and is passed as it stood.
    if let Err(error) = serde_json::from_slice::<IgnoredAny>(output) {
        panic!("{from} -> {to}: {error}\n  in  {}\n  out {}", shown(input), shown(output));
    }
    let most = input.len() * MOST_GROWTH + MOST_ADDED;
    assert!(output.len() <= most, "{from} -> {to}: {} became {}", input.len(), output.len());
}

pub fn request(from: Protocol, to: Protocol, input: &Input<'_>) {
    let headers = HeaderMap::new();
    let path = "/v1beta/models/m:generateContent";
    let head = Head { path, query: None, headers: &headers };
    let head = (from == Protocol::Gemini).then_some(head);
    let named = |model: &str| model.is_empty().then(|| "m".to_owned());
    let options =
        RequestOptions { mode: input.mode(), head, map_model: &named, ..RequestOptions::default() };
    let Ok(first) = translate::request(from, to, input.body, &options) else { return };
    assert_json(from, to, input.body, &first.body);
    let again = again(to, &first);
    assert_json(to, to, &first.body, &again.body);
    let what = || {
        let (input, first, again) = (shown(input.body), shown(&first.body), shown(&again.body));
        format!("{from} -> {to}\n  in    {input}\n  out   {first}\n  again {again}")
    };
    assert!(again.report.is_empty(), "{}: {}", what(), again.report);
    assert!(same(&again.body, &first.body), "{}", what());
    assert_eq!(again.model, first.upstream_model, "{}", what());
}

/// What was written, read as the upstream does.
fn again(to: Protocol, first: &TranslatedRequest) -> TranslatedRequest {
    let headers: HeaderMap = first.endpoint.headers.iter().cloned().collect();
    let head = Head { path: &first.endpoint.path, query: first.endpoint.query, headers: &headers };
    let options =
        RequestOptions { mode: Mode::Lenient, head: Some(head), ..RequestOptions::default() };
    translate::request(to, to, &first.body, &options)
        .unwrap_or_else(|error| panic!("{to} is not read again: {error}\n  {}", shown(&first.body)))
}

pub fn answer(from: Protocol, to: Protocol, input: &Input<'_>) {
    observe(from, input);
    if let Ok(played) = translate::response_as_stream(from, to, input.body, input.answer()) {
        stream::assert_stream(from, to, input, &played.body);
    }
    let Ok(first) = translate::response(from, to, input.body, input.answer()) else { return };
    assert_json(from, to, input.body, &first.body);
    let again = translate::response(to, to, &first.body, input.answer());
    let what = || {
        let (input, first) = (shown(input.body), shown(&first.body));
        format!("{from} -> {to}\n  in    {input}\n  out   {first}")
    };
    let again = again.unwrap_or_else(|error| panic!("{}: {error}", what()));
    assert_json(to, to, &first.body, &again.body);
    assert!(same(&again.body, &first.body), "{}\n  again {}", what(), shown(&again.body));
}

/// Any cut shows the same to who only watches.
fn observe(protocol: Protocol, input: &Input<'_>) {
    let mut whole = Observer::document(protocol);
    whole.push(input.body);
    whole.finish();
    let mut cut = Observer::document(protocol);
    input.pieces().into_iter().for_each(|piece| cut.push(piece));
    cut.finish();
    assert_eq!(whole.observed(), cut.observed(), "{protocol}: {}", shown(input.body));
}

pub fn error(from: Protocol, to: Protocol, input: &Input<'_>) {
    let status = StatusCode::from_u16(400 + u16::from(input.flags())).unwrap();
    let first = translate::error(from, to, status, input.body);
    assert_json(from, to, input.body, &first.body);
    assert!(first.status.as_u16() >= 400, "{from} -> {to}: {}", first.status);
    let again = translate::error(to, to, first.status, &first.body);
    assert_json(to, to, &first.body, &again.body);
}

/// Equal in meaning: the order of members is none, and neither is the form of a number.
fn same(a: &[u8], b: &[u8]) -> bool {
    let [a, b] = [a, b].map(serde_json::from_slice::<Value>);
    match (a, b) {
        (Ok(a), Ok(b)) => a == b,
        _ => true, // a number too large for a float
    }
}
