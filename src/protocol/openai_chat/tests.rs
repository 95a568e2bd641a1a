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
    let root = std::env::var_os("LLM_CORPUS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"),
        PathBuf::from,
    );
    let Ok(entries) = std::fs::read_dir(root.join("dev/openai-chat")) else {
        eprintln!("skipped: no corpus");
        return Vec::new();
    };
    let mut cases: Vec<_> = entries
        .filter_map(|entry| {
            let dir = entry.ok()?.path();
            let meta = std::fs::read_to_string(dir.join("meta.json")).ok()?;
            let name = dir.file_name()?.to_string_lossy().into_owned();
            Some(Case { name, dir, meta: serde_json::from_str(&meta).unwrap() })
        })
        .collect();
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    cases
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
