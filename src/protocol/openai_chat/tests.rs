//! The corpus through reader and writer.

mod fold;
pub(crate) mod grammar;
mod streams;
mod words;

use std::path::PathBuf;

use bytes::BytesMut;
use http::StatusCode;
use serde_json::Value;

use super::{fault, request, response};
use crate::protocol::report::Reporter;
use crate::protocol::{Answer, Target};
use crate::test_helpers::corpus::{cases, parse};

/// One recorded exchange.
pub(super) struct Case {
    pub(super) name: String,
    dir: PathBuf,
    meta: Value,
}

impl Case {
    pub(super) fn file(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.dir.join(name)).ok()
    }

    fn status(&self) -> StatusCode {
        let status = self.meta["http"]["status"].as_u64().unwrap_or(200);
        StatusCode::from_u16(status as u16).unwrap()
    }

    pub(super) fn is_clean(&self) -> bool {
        self.meta["grammar"]["ok"] != Value::Bool(false) && !self.status().is_client_error()
    }
}

/// The recordings, or none where the corpus is not at hand.
pub(super) fn corpus() -> Vec<Case> {
    let case = |(name, dir): (String, PathBuf)| {
        let meta = parse(&std::fs::read(dir.join("meta.json")).ok()?);
        Some(Case { name, dir, meta })
    };
    cases("dev/openai-chat").into_iter().filter_map(case).collect()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

pub(super) fn write_request(text: &str) -> Value {
    let read = request::read(text).unwrap();
    let mut report = Reporter::new(text);
    let mut out = BytesMut::new();
    request::write(&read, &Target::default(), &mut report, &mut out);
    assert!(report.finish().is_empty());
    json(std::str::from_utf8(&out).unwrap())
}

fn write_response(text: &str) -> Value {
    let read = response::read(text).unwrap();
    let mut report = Reporter::new(text);
    let mut out = BytesMut::new();
    response::write(&read, &mut Answer::new("m", 1, 1), &mut report, &mut out);
    assert!(report.finish().is_empty());
    json(std::str::from_utf8(&out).unwrap())
}

#[test]
fn requests_survive_the_round_trip() {
    for case in corpus() {
        let Some(text) = case.file("request.json") else { continue };
        assert_eq!(write_request(&text), json(&text), "{}", case.name);
    }
}

#[test]
fn responses_survive_the_round_trip() {
    for case in corpus() {
        let Some(text) = case.file("response.json") else { continue };
        let expected = json(&text);
        if expected.get("choices").is_some() {
            assert_eq!(write_response(&text), expected, "{}", case.name);
        } else {
            let error = fault::read(case.status(), &text);
            let message = expected["error"]["message"].as_str().unwrap();
            assert_eq!(error.message.decode(), message, "{}", case.name);
        }
    }
}
