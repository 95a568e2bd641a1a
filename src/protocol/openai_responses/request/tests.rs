//! Requests, read and written.

mod foreign;
mod golden;
mod hub;
mod roundtrip;

use std::fs;
use std::path::PathBuf;

use bytes::BytesMut;
use serde_json::Value;

use super::{read, write};
use crate::protocol::model::Request;
use crate::protocol::report::{Reporter, TranslationReport};
use crate::protocol::target::Target;

/// Recorded cases below this folder of the corpus, by name; none where it is not at hand.
fn cases(folder: &str) -> Vec<(String, PathBuf)> {
    let root = std::env::var_os("LLM_CORPUS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"),
        PathBuf::from,
    );
    let Ok(entries) = fs::read_dir(root.join(folder)) else {
        println!("skipped: no corpus");
        return Vec::new();
    };
    let mut cases: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), path))
        .collect();
    cases.sort();
    cases
}

fn parse(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes)
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(bytes)))
}

/// Writes a request that was read from `source`.
fn written(request: &Request<'_>, source: &str, target: &Target) -> (Value, TranslationReport) {
    let mut report = Reporter::new(source);
    let mut out = BytesMut::new();
    write(request, target, &mut report, &mut out);
    (parse(&out), report.finish())
}

/// What comes back of a request of this protocol, read and written; `None` where it is refused.
fn back(text: &str) -> Option<Value> {
    let request = read(text).ok()?;
    let (body, report) = written(&request, text, &Target::default());
    assert!(report.is_empty(), "{text}: {report}");
    Some(body)
}
