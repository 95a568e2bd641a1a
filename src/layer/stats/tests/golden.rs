//! The shapes that dashboards read, by a clock that stands at 2023-11-14 22:13:20 UTC.

use serde::Serialize;

use super::groups::{attempt, open, serve};
use super::*;
use crate::pricing::PriceTable;
use crate::protocol::model::FaultOrigin;
use crate::test_helpers::golden;

const MINUTE: u64 = 60_000;

const ANSWER: &str =
    r#"{"model":"m-1","usage":{"input_tokens":7,"cache_read_input_tokens":3,"output_tokens":3}}"#;

const STREAM: [&str; 4] = [
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"model\":\"m-2\",\"usage\":{\"input_tokens\":5,\"cache_creation_input_tokens\":2,\"output_tokens\":1}}}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"x\"}}\n\n",
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":50}}\n\n",
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
];

/// A day of little traffic: answers, a stream, failures of all sorts, one who left, and two that
/// are still under way.
pub(super) fn day() -> (StatsLayer, Hand, Vec<Response<Watched>>) {
    let (layer, hand) = Hand::layer();
    let prices = r#"{"m-1": {"input": 3, "output": 15, "cache_read": 0.3}}"#;
    let prices = PriceTable::empty().with_json(prices).unwrap();
    let layer = layer.capture_error_bodies(true).prices(prices);

    // Twenty hours ago: an answer after another key of the channel had failed.
    let clock = hand.clone();
    serve(&layer, "/v1/messages?beta=true", |facts| {
        clock.forward(250);
        facts.principal = Some(Principal::new("team"));
        facts.upstream_protocol = Some(Protocol::Anthropic);
        facts.attempts.push(attempt("main", "1", 429, None));
        facts.attempts.push(attempt("main", "2", 200, None));
        typed("application/json", [ANSWER])
    });
    hand.forward(20 * 60 * MINUTE);

    // A stream of a model without a price.
    let clock = hand.clone();
    let mut stream = open(&layer, "/v1/messages", |facts| {
        clock.forward(100);
        facts.principal = Some(Principal::new("team"));
        facts.upstream_protocol = Some(Protocol::Anthropic);
        facts.attempts.push(attempt("spare", "3", 200, None));
        typed("text/event-stream", STREAM)
    });
    while step(stream.body_mut()).is_some() {
        hand.forward(100);
    }
    hand.forward(30 * MINUTE);

    // What fails: the upstream in its answer, a path that is none, a broken answer.
    let clock = hand.clone();
    serve(&layer, "/v1/chat/completions", |facts| {
        clock.forward(40);
        let fault = Fault::new(FaultKind::Overloaded, StatusCode::OK, FaultOrigin::Upstream);
        facts.fault = Some(fault);
        facts.upstream_protocol = Some(Protocol::OpenAiChat);
        let mut broken = attempt("spare", "3", 200, None);
        broken.fault = Some(fault);
        facts.attempts.push(broken);
        typed("application/json", ["{}"])
    });
    post(&layer, "/nowhere", answer(404, ["no such \"thing\""]));
    post(&layer, "/x", Response::new(Frames::new([Step::from("a"), Step::error("cut")])));

    // Who leaves, who hangs, and who is under way.
    let mut left = call(&layer, Method::POST, "/x", answer(200, ["a", "b"]));
    step(left.body_mut());
    drop(left);
    let hanging = call(&layer, Method::GET, "/slow", answer(200, ["x"]));
    hand.forward(6 * MINUTE);
    let pending = call(&layer, Method::GET, "/slow", answer(200, ["x"]));
    hand.forward(1750);
    (layer, hand, vec![hanging, pending])
}

#[test]
fn statistics_of_nothing() {
    let (layer, hand) = Hand::layer();
    hand.forward(1500);
    golden("stats-empty", &layer.stats().snapshot());
}

#[test]
fn statistics() {
    let (layer, _, _open) = day();
    golden("stats", &layer.stats().snapshot());
}

#[derive(Serialize)]
struct Window {
    summary: Summary,
    performance: Performance,
    time_series: TimeSeries,
    recent_requests: Vec<RequestStats>,
}

#[test]
fn statistics_of_a_window() {
    let (layer, _, _open) = day();
    let stats = layer.stats();
    let query = |json: &str| stats.report(&serde_json::from_str::<StatsQuery>(json).unwrap());
    // What a window does not touch is in the file of the whole.
    let window = |json: &str| {
        let report = query(json);
        // Not `json!`: whether it sorts its members is for the whole build to say.
        Window {
            summary: report.summary,
            performance: report.performance,
            time_series: report.time_series,
            recent_requests: report.recent_requests,
        }
    };
    golden("stats-window", &window(r#"{"start_time":1699999990,"end_time":1700000000.5}"#));
    golden("stats-day", &window(r#"{"start_time":1699999990,"limit":2}"#));
    golden("stats-before", &window(r#"{"end_time":1699999000}"#));
    let all = query(r#"{"start_time":0,"limit":0}"#).recent_requests;
    assert_eq!(all.len(), 8);
    assert_eq!(query(r#"{"start_time":0,"limit":-1}"#).recent_requests, all);
    assert_eq!(query(r#"{"start_time":0,"limit":3}"#).recent_requests, all[5..]);
}

#[test]
fn errors() {
    let (layer, _, _open) = day();
    let stats = layer.stats();
    let errors = |json: &str| stats.errors(&serde_json::from_str::<ErrorsQuery>(json).unwrap());
    golden("errors", &errors("{}"));
    golden("errors-page", &errors(r#"{"limit":1,"offset":1}"#));
    golden("errors-filter", &errors(r#"{"path_filter":"CHAT"}"#));
    golden("errors-empty", &errors(r#"{"end_time":1600000000}"#));
    let none = errors(r#"{"limit":0}"#);
    assert_eq!((none.errors.len(), none.pagination.has_more), (0, true));
}
