//! Recorded traffic goes through reader and writer and means the same behind them.

use std::fs;

use bytes::BytesMut;

use crate::protocol::anthropic::{request, response};
use crate::protocol::report::Reporter;
use crate::protocol::target::{Answer, Target};
use crate::test_helpers::corpus::{cases, parse};

pub(super) const FOLDER: &str = "dev/anthropic";

#[test]
fn requests_come_back() {
    for (name, path) in cases(FOLDER) {
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
    for (name, path) in cases(FOLDER) {
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
