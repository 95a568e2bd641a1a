//! Requests, read and written.

mod foreign;
mod golden;
mod hub;
mod roundtrip;

use bytes::BytesMut;
use serde_json::Value;

use super::{read, write};
use crate::protocol::model::Request;
use crate::protocol::report::{Reporter, TranslationReport};
use crate::protocol::target::Target;
use crate::test_helpers::corpus::parse;

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
