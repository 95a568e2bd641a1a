//! Recorded traffic goes through reader and writer and means the same behind them.

use std::fs;

use bytes::BytesMut;
use http::StatusCode;

use super::fold::fold;
use super::grammar;
use super::writing::rewrite;
use crate::protocol::dashscope::{fault, request, response};
use crate::protocol::model::FaultKind;
use crate::protocol::report::Reporter;
use crate::protocol::{Answer, Layout, Protocol, Target};
use crate::test_helpers::corpus::{cases, parse};

pub(super) const FOLDER: &str = "dev/dashscope";

#[test]
fn requests_come_back() {
    for (name, path) in cases(FOLDER) {
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
    for (name, path) in cases(FOLDER) {
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
    for (name, path) in cases(FOLDER) {
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
