//! Recorded traffic goes through reader and writer and means the same behind them.

use std::fs;
use std::path::PathBuf;

use bytes::BytesMut;
use serde_json::Value;

use crate::protocol::anthropic::{request, response};
use crate::protocol::report::Reporter;
use crate::protocol::target::{Answer, Target};

/// The recorded cases of Messages, by name; none where the corpus is not at hand.
pub(super) fn cases() -> Vec<(String, PathBuf)> {
    let root = std::env::var_os("LLM_CORPUS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"),
        PathBuf::from,
    );
    let Ok(entries) = fs::read_dir(root.join("dev/anthropic")) else {
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

pub(super) fn parse(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes)
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(bytes)))
}

#[test]
fn requests_come_back() {
    for (name, path) in cases() {
        let Ok(text) = fs::read_to_string(path.join("request.json")) else { continue };
        let request = request::read(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
        let mut report = Reporter::new(&text);
        let mut out = BytesMut::new();
        request::write(&request, &Target::default(), &mut report, &mut out);
        assert_eq!(parse(&out), parse(text.as_bytes()), "{name}");
        assert!(report.finish().is_empty(), "{name}");
    }
}

#[test]
fn answers_come_back() {
    for (name, path) in cases() {
        let Ok(text) = fs::read_to_string(path.join("response.json")) else { continue };
        if parse(text.as_bytes())["type"] == "error" {
            continue;
        }
        let response = response::read(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
        let mut report = Reporter::new(&text);
        let mut out = BytesMut::new();
        response::write(&response, &mut Answer::new("m", 0, 0), &mut report, &mut out);
        assert_eq!(parse(&out), parse(text.as_bytes()), "{name}");
        assert!(report.finish().is_empty(), "{name}");
    }
}
