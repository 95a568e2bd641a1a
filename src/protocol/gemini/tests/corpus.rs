//! Recorded traffic goes through reader and writer and means the same behind them.

use std::fs;

use bytes::BytesMut;
use serde_json::Value;

use crate::protocol::gemini::request;
use crate::protocol::report::Reporter;
use crate::protocol::target::Target;
use crate::test_helpers::corpus::{cases, parse};

#[test]
fn requests_come_back() {
    for (name, path) in cases("dev/gemini") {
        let Ok(text) = fs::read_to_string(path.join("request.json")) else { continue };
        let request = request::read(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
        let mut report = Reporter::new(&text);
        let mut out = BytesMut::new();
        request::write(&request, &Target::default(), &mut report, &mut out);
        assert_eq!(parse(&out), parse(text.as_bytes()), "{name}");
        assert!(report.finish().is_empty(), "{name}");
    }
}

/// Without what is kept for the own protocol the conversation has to come out of the hub.
#[test]
fn the_hub_holds_the_conversation() {
    for (name, path) in cases("dev/gemini") {
        let Ok(text) = fs::read_to_string(path.join("request.json")) else { continue };
        let mut request = request::read(&text).unwrap();
        for turn in &mut request.turns {
            turn.rest = Default::default();
            for part in &mut turn.parts {
                part.rest = Default::default();
            }
        }
        request.rest = Default::default();
        let mut out = BytesMut::new();
        request::write(&request, &Target::default(), &mut Reporter::new(&text), &mut out);
        let (written, source) = (parse(&out), parse(text.as_bytes()));
        let texts = |value: &Value| {
            let mut texts = String::new();
            for content in value["contents"].as_array().into_iter().flatten() {
                for part in content["parts"].as_array().into_iter().flatten() {
                    let call = ["functionCall", "function_call"].map(|name| &part[name]["name"]);
                    for text in std::iter::once(&part["text"]).chain(call) {
                        texts.push_str(text.as_str().unwrap_or_default());
                    }
                }
            }
            texts
        };
        assert_eq!(texts(&written), texts(&source), "{name}");
    }
}
