//! Recorded traffic goes through reader and writer and means the same behind them.

use std::fs;
use std::path::PathBuf;

use bytes::BytesMut;
use http::StatusCode;
use serde_json::Value;

use super::fold::fold;
use super::grammar;
use super::writing::rewrite;
use crate::protocol::dashscope::{fault, request, response};
use crate::protocol::model::FaultKind;
use crate::protocol::report::Reporter;
use crate::protocol::{Answer, Layout, Protocol, Target};

/// The recorded cases, by name; none where the corpus is not at hand.
pub(super) fn cases() -> Vec<(String, PathBuf)> {
    let root = std::env::var_os("LLM_CORPUS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"),
        PathBuf::from,
    );
    let Ok(entries) = fs::read_dir(root.join("dev/dashscope")) else {
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
        let read = request::read(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
        let mut report = Reporter::new(&text);
        let mut out = BytesMut::new();
        request::write(&read, &Target::default(), &mut report, &mut out);
        assert_eq!(parse(&out), parse(text.as_bytes()), "{name}");
        assert!(report.finish().is_empty(), "{name}");
        let meta = fs::read(path.join("meta.json")).unwrap();
        let path = parse(&meta)["http"]["path"].as_str().unwrap().to_owned();
        let written = request::endpoint(&read, &Target::default()).path;
        if !path.ends_with("/tokenizer") && read.layout.content_list {
            assert!(path.ends_with(&*written), "{name}: {written}");
        }
    }
}

#[test]
fn answers_come_back() {
    for (name, path) in cases() {
        let Ok(text) = fs::read_to_string(path.join("response.json")) else { continue };
        let value = parse(text.as_bytes());
        if let Some(message) = value["message"].as_str() {
            let error = fault::read(StatusCode::OK, &text);
            assert_eq!(error.message, message, "{name}");
            assert_eq!(error.request_id.unwrap(), value["request_id"].as_str().unwrap(), "{name}");
            assert_ne!(error.kind, FaultKind::Upstream, "{name}");
            continue;
        }
        let read = response::read(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
        let mut report = Reporter::new(&text);
        let mut out = BytesMut::new();
        response::write(&read, &mut Answer::new("m", 0, 0), &mut report, &mut out);
        assert_eq!(parse(&out), value, "{name}");
        assert!(report.finish().is_empty(), "{name}");
    }
}

#[test]
fn streams_come_back() {
    for (name, path) in cases() {
        let Ok(bytes) = fs::read(path.join("response.sse")) else { continue };
        let text = String::from_utf8(bytes.clone()).unwrap();
        let layout = Layout {
            text_only: text.contains("\"text\":") && !text.contains("\"choices\""),
            content_list: text.contains("\"content\":["),
            ..Layout::default()
        };
        for snapshots in [false, true] {
            let mut answer = Answer::new("m", 0, 7);
            answer.layout = Layout { snapshots, ..layout };
            answer.origin = Some(Protocol::DashScope);
            let out = rewrite(answer, &bytes);
            grammar::check(&out, Layout { snapshots, ..layout })
                .unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(fold(&out, snapshots), fold(&bytes, false), "{name} {snapshots}");
            // What repeats itself is read as it was meant.
            let mut answer = Answer::new("m", 0, 7);
            answer.layout = layout;
            let again = rewrite(answer, &out);
            let (mut again, mut first) = (fold(&again, false), fold(&bytes, false));
            again.usage = None;
            first.usage = None;
            assert_eq!(again, first, "{name} {snapshots}");
        }
    }
}
