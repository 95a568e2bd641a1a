use Protocol::{Anthropic, DashScope, Gemini, OpenAiChat, OpenAiResponses};
use proptest::prelude::*;

use super::*;
use crate::protocol::report::Severity;
use crate::protocol::translate::prepare::calls;

fn paired(given: &str, to: Protocol) -> (String, TranslationReport) {
    let (mut request, mut report) = (history(given), Reporter::new(""));
    calls::pair(&mut request, to, &Target::DEFAULT, &mut report);
    (short(&request), report.finish())
}

#[test]
fn ids_and_names() {
    let rows = [
        // What has ids keeps them; results get their names.
        ("f/1 g/2|=2 =1", "f/1 g/2|=2@g =1@f"),
        // No ids at all: by name, first come first served, and by order.
        (
            "f/ g/ f/|=@g =@f =@f",
            "f/call_0_0 g/call_0_1 f/call_0_2|=call_0_1@g =call_0_0@f =call_0_2@f",
        ),
        ("f/ g/|= =", "f/call_0_0 g/call_0_1|=call_0_0@f =call_0_1@g"),
        // A name that no call has takes what names have left.
        ("f/ g/|=@x =@f", "f/call_0_0 g/call_0_1|=call_0_1@g =call_0_0@f"),
        // A result without an id for a call with one.
        ("f/1|=@f", "f/1|=1@f"),
        // The latest turn that waits is meant, not one that was never answered.
        ("f/|hi|f/|=@f", "f/call_0_0|hi|f/call_2_0|=call_2_0@f"),
        ("f/|hi|g/|=@f", "f/call_0_0|hi|g/call_2_0|=call_0_0@f"),
        // Ids that are used again in each turn, or within one.
        ("f/0|=0|g/0|=0", "f/0|=0@f|g/call_2_0|=call_2_0@g"),
        ("f/0 g/0|=0 =0", "f/0 g/call_0_1|=0@f =call_0_1@g"),
        // An id that looks like one of ours.
        ("f/call_1_0|g/|=@g =call_1_0", "f/call_1_0|g/call_1_0_|=call_1_0_@g =call_1_0@f"),
        // A result in a later turn than its batch.
        ("f/1 g/2|=1|hi|=2", "f/1 g/2|=1@f|hi|=2@g"),
    ];
    for (given, expected) in rows {
        for to in [Anthropic, OpenAiChat, OpenAiResponses, Gemini, DashScope] {
            let (short, report) = paired(given, to);
            assert_eq!(short, expected, "{given} to {to}");
            assert!(report.is_empty(), "{given}: {report}");
        }
    }
}

#[test]
fn what_has_no_call_is_dropped() {
    use Severity::{Degrade, Fatal};
    let rows = [
        ("=1|f/1", "|f/1", Fatal),
        ("f/1|=2", "f/1|", Fatal),
        ("f/|=@f =@f", "f/call_0_0|=call_0_0@f", Fatal),
        ("hi =", "hi", Fatal),
        ("f/1|=1 =1", "f/1|=1@f", Degrade),
        ("f/1|=1|hi|=1", "f/1|=1@f|hi|", Degrade),
    ];
    for (given, expected, severity) in rows {
        let (short, report) = paired(given, Anthropic);
        assert_eq!(short, expected, "{given}");
        let losses: Vec<_> = report.losses().iter().map(|loss| loss.severity).collect();
        assert_eq!(losses, [severity], "{given}");
    }
}

#[test]
fn a_loss_names_its_place() {
    let body = r#"{"messages":[{"role":"user","content":"a"},
        {"role":"tool","tool_call_id":"t","content":"b"}]}"#;
    let mut request = crate::protocol::openai_chat::request::read(body).unwrap();
    let anchors = std::mem::take(&mut request.anchors);
    let mut report = Reporter::new(body).anchored(&anchors);
    prepare(&mut request, Anthropic, &Target::DEFAULT, &mut report);
    assert_eq!(report.finish().losses()[0].pointer, "/messages/1/tool_call_id");
}

#[test]
fn ids_that_the_target_takes() {
    let (long, odd) = ("t".repeat(65), "functions.f:0");
    let mapped = |id: &str, to, target: &Target| {
        let given = format!("f/{id}|={id}");
        let mut request = history(&given);
        let (_, report) = run(&mut request, to, target);
        assert!(report.is_empty());
        let short = short(&request);
        let (call, result) = short.split_once('|').unwrap();
        assert_eq!(call.strip_prefix("f/"), result[1..].strip_suffix("@f"), "{short}");
        call["f/".len()..].to_owned()
    };
    let target = Target::DEFAULT;
    for (id, to, stays) in [
        (odd, Anthropic, false),
        (&long, Anthropic, true),
        (odd, OpenAiChat, true),
        (&long, OpenAiChat, false),
        (&long, OpenAiResponses, false),
        (&long, Gemini, true),
        (odd, DashScope, true),
    ] {
        let given = mapped(id, to, &target);
        assert_eq!(given == id, stays, "{id} to {to}");
        assert!(stays || (given.len() == 29 && given.starts_with("call_")), "{given}");
    }
    let mut mistral = Target::DEFAULT;
    mistral.short_call_ids = true;
    assert_eq!(mapped("a1B2c3D4e", OpenAiChat, &mistral), "a1B2c3D4e");
    for id in ["", "call_1", odd] {
        let given = mapped(id, OpenAiChat, &mistral);
        assert!(given.len() == 9 && given.bytes().all(|b| b.is_ascii_alphanumeric()), "{given}");
    }
}

fn turns() -> impl Strategy<Value = Vec<String>> {
    let token = prop_oneof![
        "[fg]/[0-2a.]?".prop_map(String::from),
        "=[0-2a.]?".prop_map(String::from),
        "=@[fgh]".prop_map(String::from),
        Just("hi".to_owned()),
    ];
    let turn = proptest::collection::vec(token, 1..4).prop_map(|tokens| tokens.join(" "));
    proptest::collection::vec(turn, 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever the history: ids are there, unlike each other, and every result meets its call.
    #[test]
    fn calls_and_results_meet(turns in turns(), to in proptest::sample::select(&Protocol::ALL[..])) {
        let (done, _) = paired(&turns.join("|"), to);
        let mut waiting = Vec::new();
        let mut ids = std::collections::HashSet::new();
        for token in done.split(['|', ' ']).filter(|token| !token.is_empty()) {
            if let Some((id, name)) = token.strip_prefix('=').and_then(|it| it.split_once('@')) {
                let call = waiting.iter().position(|call| *call == (id, name));
                prop_assert!(call.is_some(), "{} in {}", token, done);
                waiting.swap_remove(call.unwrap_or_default());
            } else if let Some((name, id)) = token.split_once('/') {
                prop_assert!(!id.is_empty() && ids.insert(id), "{} in {}", token, done);
                waiting.push((id, name));
            }
        }
    }

    /// What comes later changes nothing of what was before.
    #[test]
    fn a_growing_history_keeps_its_ids(turns in turns(), cut in 1..8_usize) {
        let cut = cut.min(turns.len());
        let (all, _) = paired(&turns.join("|"), Anthropic);
        // The bare results of a request decide nothing about its calls.
        let (before, _) = paired(&turns[..cut].join("|"), Anthropic);
        prop_assert!(all == before || all.starts_with(&format!("{before}|")), "{} / {}", before, all);
    }
}
