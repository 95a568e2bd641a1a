//! Streams: encodings, splits, silence, cuts, errors inside, callers that leave, buffers.

use std::time::Duration;

use bytes::Bytes;
use http::Response;
use serde_json::Value;
use tower_llm_gateway::protocol::Protocol::{
    self, Anthropic, DashScope, Gemini, OpenAiChat, OpenAiResponses,
};
use tower_llm_gateway::protocol::model::{FaultKind, FaultOrigin};

use crate::ask::question;
use crate::listen;
use crate::speak::{self, INPUT, OUTPUT, THOUGHT, WORDS};
use crate::wire::{Feeder, pass, streaming, to, whole};

/// All pairs of two protocols.
fn pairs() -> impl Iterator<Item = (Protocol, Protocol)> {
    let with = |caller| Protocol::ALL.into_iter().map(move |vendor| (caller, vendor));
    Protocol::ALL.into_iter().flat_map(with).filter(|(caller, vendor)| caller != vendor)
}

/// Forwarded `Accept-Encoding`: the answer comes encoded and is parsed as text. What can be undone
/// is, see `stack`; here nobody can.
#[tokio::test]
async fn trap_10_encoded_answers_are_never_parsed_as_text() {
    for (caller, vendor) in pairs() {
        for (upstream_status, status) in [(200, 502), (429, 429), (503, 503)] {
            let feeder = Feeder::default();
            feeder.push(&b"\x1f\x9d\x90\0\0\0\0\0"[..]);
            feeder.end();
            let answer = Response::builder()
                .status(upstream_status)
                .header("content-type", "text/event-stream")
                .header("content-encoding", "compress")
                .body(feeder.body())
                .unwrap();
            let mut request = question(caller, true);
            request.headers_mut().insert("accept-encoding", "gzip, br, zstd".parse().unwrap());
            let passed = pass(&to(vendor), request, answer).await;
            assert_eq!(passed.request_headers()["accept-encoding"], "identity");
            // Overloaded has a word of its own in Messages.
            let found = passed.status.as_u16();
            assert!(
                found == status || (status == 503 && found == 529),
                "{caller} {vendor} {found}"
            );
            assert!(!passed.headers.contains_key("content-encoding"));
            let fault = passed.exchange.read(|facts| facts.fault).unwrap();
            assert_eq!(fault.origin, FaultOrigin::Upstream);
            let body: Value = serde_json::from_str(&passed.text().await).unwrap();
            let message = listen::refusal(caller, &body);
            assert_eq!(message.contains("encoded"), status == 502, "{message}");
        }
    }
}

/// A character or an event is cut between two reads.
#[tokio::test]
async fn trap_11_pieces_end_anywhere() {
    for (caller, vendor) in pairs() {
        let stream = speak::events(vendor).concat();
        let heard = async |pieces: &mut dyn Iterator<Item = Bytes>| {
            let feeder = Feeder::default();
            pieces.for_each(|piece| feeder.push(piece));
            feeder.end();
            let passed = pass(&to(vendor), question(caller, true), streaming(&feeder)).await;
            listen::stream(caller, &passed.text().await)
        };
        let name = format!("{caller} {vendor}");
        let bytes = Bytes::from(stream);
        let mut single = bytes.chunks(1).map(Bytes::copy_from_slice);
        assert_eq!(heard(&mut single).await.pieces, speak::expected(), "{name}");
        // Each character of several bytes is cut once in each of its places, and with it the events.
        let inside = (1..bytes.len()).filter(|at| bytes[*at] & 0xc0 == 0x80);
        for at in inside.chain([1, 5, bytes.len() - 1]) {
            let mut cut = [bytes.slice(..at), bytes.slice(at..)].into_iter();
            assert_eq!(heard(&mut cut).await.pieces, speak::expected(), "{name} at {at}");
        }
    }
}

/// A proxy before us cuts what is silent; a sign of life inside of an event would break it.
#[tokio::test(start_paused = true)]
async fn trap_12_silence_is_broken_between_events() {
    for (caller, vendor) in pairs() {
        let feeder = Feeder::default();
        let layer = to(vendor).keep_alive(Some(Duration::from_secs(10)));
        let mut passed = pass(&layer, question(caller, true), streaming(&feeder)).await;
        let mut out = passed.now();
        for event in speak::events(vendor) {
            // The upstream stops in the midst of an event, twice as long as we may be silent.
            let (head, tail) = event
                .split_at(event.len() / 2 - usize::from(!event.is_char_boundary(event.len() / 2)));
            feeder.push(head.to_owned());
            out += &passed.now();
            let before = out.len();
            tokio::time::advance(Duration::from_secs(11)).await;
            out += &passed.now();
            assert!(out.len() > before || out.is_empty(), "{caller} {vendor}: silent");
            assert!(
                out.is_empty() || out.ends_with("\n\n") || out.ends_with("\r\n\r\n"),
                "{caller} {vendor}: {out}"
            );
            feeder.push(tail.to_owned());
            out += &passed.now();
        }
        feeder.end();
        out += &passed.text().await;
        let heard = listen::stream(caller, &out);
        assert_eq!(heard.pieces, speak::expected(), "{caller} {vendor}");
    }
}

/// The upstream is cut: the caller takes half an answer for a whole one.
#[tokio::test]
async fn trap_13_a_cut_upstream_is_never_a_clean_end() {
    for (caller, vendor) in pairs() {
        let events = speak::events(vendor);
        // Wherever it is cut before it has said that it finished.
        let last = events.iter().rposition(|event| has_finish(vendor, event)).unwrap();
        for kept in 0..last {
            for reset in [false, true] {
                let feeder = Feeder::default();
                events[..kept].iter().for_each(|event| feeder.push(event.clone()));
                if reset {
                    feeder.fail("connection reset");
                }
                feeder.end();
                let passed = pass(&to(vendor), question(caller, true), streaming(&feeder)).await;
                assert_eq!(passed.status, 200);
                let exchange = passed.exchange.clone();
                let out = passed.text().await;
                let heard = listen::stream(caller, &out);
                let name = format!("{caller} {vendor} after {kept}: {out}");
                assert!(heard.error.is_some(), "{name}");
                let fault = exchange.read(|facts| facts.fault).expect(&name);
                let expected = if reset { FaultKind::Transport } else { FaultKind::Upstream };
                assert_eq!(fault.kind, expected, "{name}");
                assert_eq!(exchange.read(|facts| facts.stop), None, "{name}");
            }
        }
    }
}

fn has_finish(vendor: Protocol, event: &str) -> bool {
    match vendor {
        Anthropic => event.contains("\"message_delta\""),
        OpenAiResponses => event.contains("\"response.completed\""),
        Gemini => event.contains("finishReason"),
        _ => event.contains(r#""finish_reason":"tool_calls""#),
    }
}

/// An error in a stream that began with 200.
fn overloaded(vendor: Protocol) -> &'static str {
    match vendor {
        Anthropic => {
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"at capacity\"}}\n\n"
        }
        OpenAiResponses => {
            "event: response.failed\ndata: {\"type\":\"response.failed\",\"sequence_number\":99,\"response\":{\"id\":\"resp_1\",\"object\":\"response\",\"created_at\":1,\"status\":\"failed\",\"model\":\"m\",\"output\":[],\"error\":{\"code\":\"server_is_overloaded\",\"message\":\"at capacity\"}}}\n\n"
        }
        OpenAiChat => {
            "data: {\"error\":{\"message\":\"at capacity\",\"type\":\"overloaded_error\",\"code\":503}}\n\n"
        }
        Gemini => {
            "data: {\"error\":{\"code\":503,\"message\":\"at capacity\",\"status\":\"UNAVAILABLE\"}}\n\n"
        }
        _ => {
            "id:9\nevent:error\n:HTTP_STATUS/503\ndata:{\"code\":\"ModelServingError\",\"message\":\"at capacity\",\"request_id\":\"r1\"}\n\n"
        }
    }
}

/// An overloaded vendor says so inside of a 200, at once or in the midst; it counts as a success.
#[tokio::test]
async fn trap_14_an_error_inside_of_a_stream_is_an_error() {
    for (caller, vendor) in pairs() {
        let events = speak::events(vendor);
        for kept in [0, speak::preamble(vendor) + 2] {
            let feeder = Feeder::default();
            events[..kept].iter().for_each(|event| feeder.push(event.clone()));
            feeder.push(overloaded(vendor));
            feeder.end();
            let passed = pass(&to(vendor), question(caller, true), streaming(&feeder)).await;
            let exchange = passed.exchange.clone();
            let out = passed.text().await;
            let heard = listen::stream(caller, &out);
            let name = format!("{caller} {vendor} after {kept}: {out}");
            assert_eq!(heard.error.as_deref(), Some("at capacity"), "{name}");
            let fault = exchange.read(|facts| facts.fault).expect(&name);
            assert_eq!(fault.kind, FaultKind::Overloaded, "{name}");
            assert_eq!(fault.origin, FaultOrigin::Upstream, "{name}");
        }
        // The same under a 200 that is no stream.
        let data = overloaded(vendor).lines().find_map(|line| line.strip_prefix("data:")).unwrap();
        let data: Value = serde_json::from_str(data).unwrap();
        let data = data.get("response").unwrap_or(&data).to_string();
        let answer = whole(200, "application/json", data.clone());
        let passed = pass(&to(vendor), question(caller, false), answer).await;
        assert!(passed.status.is_server_error(), "{caller} {vendor}: {} {data}", passed.status);
        assert!(passed.exchange.read(|facts| facts.fault).is_some());
        let body: Value = serde_json::from_str(&passed.text().await).unwrap();
        assert_eq!(listen::refusal(caller, &body), "at capacity");
    }
}

/// The caller is gone, and the upstream goes on, unbilled.
#[tokio::test]
async fn trap_15_a_caller_that_leaves_cancels_the_upstream() {
    for (caller, vendor) in pairs() {
        let feeder = Feeder::default();
        let events = speak::events(vendor);
        // Of these three the usage comes before the end.
        let tells_early = matches!(vendor, Anthropic | Gemini | DashScope);
        let mut passed = pass(&to(vendor), question(caller, true), streaming(&feeder)).await;
        for event in &events[..speak::preamble(vendor) + 2] {
            feeder.push(event.clone());
            passed.now();
        }
        assert!(!feeder.is_dropped());
        let exchange = passed.exchange.clone();
        drop(passed);
        assert!(feeder.is_dropped(), "{caller} {vendor}");
        let usage = exchange.read(|facts| facts.usage.clone());
        if tells_early {
            assert_eq!(usage.unwrap().input, INPUT, "{caller} {vendor}");
        }
        assert_eq!(exchange.read(|facts| facts.stop), None, "{caller} {vendor}");
    }
}

/// A gateway that reads the whole answer before it says a word.
#[tokio::test]
async fn trap_16_nothing_is_buffered() {
    for (caller, vendor) in pairs() {
        let name = format!("{caller} {vendor}");
        let feeder = Feeder::default();
        let events = speak::events(vendor);
        let mut passed = pass(&to(vendor), question(caller, true), streaming(&feeder)).await;
        let mut out = String::new();
        for (at, event) in events.iter().enumerate() {
            assert_eq!(passed.next_now(), None, "{name}: more than was there");
            feeder.push(event.clone());
            let now = passed.now();
            // Every word is on its way before the next one exists.
            for word in THOUGHT.iter().chain(&WORDS) {
                let quoted = serde_json::to_string(word).unwrap();
                let quoted = quoted.trim_matches('"');
                let is_delta = event.contains(quoted) && !out.contains(quoted);
                assert!(!is_delta || now.contains(quoted), "{name} keeps event {at}: {event}");
            }
            out += &now;
        }
        feeder.end();
        out += &passed.text().await;
        let heard = listen::stream(caller, &out);
        assert_eq!(heard.pieces, speak::expected(), "{name}");
        assert_eq!(heard.usage, Some((INPUT, OUTPUT)), "{name}");
    }
}
