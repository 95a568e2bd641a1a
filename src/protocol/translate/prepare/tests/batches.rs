use proptest::prelude::*;

use super::*;
use crate::protocol::model::{Instruction, Place};
use crate::protocol::translate::prepare::batches::gather;

/// Done twice, as the second time must change nothing.
fn gathered(given: &str, to: Protocol) -> String {
    let mut request = history(given);
    gather(&mut request, to);
    let once = short(&request);
    gather(&mut request, to);
    assert_eq!(short(&request), once);
    once
}

#[test]
fn results_stand_behind_their_calls() {
    for (given, expected) in [
        ("hi|f/1|=1|g/2|=2|bye", "hi|f/1|=1@|g/2|=2@|bye"),
        // Words between two results, in turns of their own or beside a result.
        ("f/1 g/2|=1|hi|=2", "f/1 g/2|=1@ =2@|hi|"),
        ("f/1 g/2|hi =1|ho =2", "f/1 g/2|=1@ =2@ hi|ho"),
        ("f/1 g/2|hi|=1 =2", "f/1 g/2|=1@ =2@ hi|"),
        // A batch in two turns, and one that another batch interrupts.
        ("f/1|g/2|=1 =2 hi", "f/1 g/2||=1@ =2@ hi"),
        ("f/1|hi|g/2|=2 =1", "f/1|=1@ hi|g/2|=2@"),
        ("f/1 h/3|=1|g/2|=2|=3", "f/1 h/3|=1@ =3@|g/2|=2@|"),
        // What is never answered moves nothing.
        ("f/1|hi|g/2|ho|=2", "f/1|hi|g/2|=2@ ho|"),
    ] {
        for to in Protocol::ALL {
            assert_eq!(gathered(given, to), expected, "{given} to {to}");
        }
    }
}

#[test]
fn only_for_gemini_they_are_sorted() {
    for to in Protocol::ALL {
        let sorted = to == Protocol::Gemini;
        let expected = if sorted { "f/1 g/2|=1@ =2@ hi|" } else { "f/1 g/2|=2@ =1@ hi|" };
        assert_eq!(gathered("f/1 g/2|hi =2|=1", to), expected, "{to}");
    }
}

#[test]
fn instructions_do_not_part_them() {
    let places = [
        Place::Top,
        Place::Before(0),
        Place::Before(1),
        Place::Before(2),
        Place::Before(3),
        Place::Before(4),
        Place::Before(5),
    ];
    let mut request = history("hi|f/1|g/2|=1 =2|bye");
    request.instructions.extend(places.map(|place| Instruction {
        developer: false,
        place,
        parts: Vec::new(),
        plain: true,
        name: None,
        rest: Rest::default(),
    }));
    gather(&mut request, Protocol::OpenAiChat);
    let moved: Vec<_> = request.instructions.iter().map(|it| it.place).collect();
    let behind = Place::Before(4);
    assert_eq!(moved, [places[0], places[1], places[2], behind, behind, places[5], places[6]]);
}

#[test]
fn a_result_in_the_models_own_turn_becomes_the_callers() {
    let mut request = history("f/1|=1");
    request.turns[1].role = Role::Assistant;
    gather(&mut request, Protocol::OpenAiChat);
    assert_eq!(short(&request), "f/1||=1@");
    assert_eq!(request.turns[2].role, Role::User);
}

fn turns() -> impl Strategy<Value = Vec<String>> {
    let token = prop_oneof!["[fg]/[0-5]", "=[0-5]", Just("hi".to_owned())];
    let turn = proptest::collection::vec(token, 1..4).prop_map(|tokens| tokens.join(" "));
    proptest::collection::vec(turn, 1..10)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Where no batch is open, what comes later changes nothing of what was before.
    #[test]
    fn a_growing_history_keeps_its_prefix(turns in turns(), cut in 1..10_usize) {
        let paired = |turns: &[String]| {
            let turns = turns.join("|");
            let mut request = history(&turns);
            run(&mut request, Protocol::Gemini, &Target::DEFAULT);
            short(&request)
        };
        let cut = cut.min(turns.len());
        let calls = |turn: &String| turn.contains('/');
        let open = turns[..cut].iter().any(|turn| {
            let ids = turn.split(' ').filter_map(|token| token.split_once('/'));
            ids.into_iter().any(|(_, id)| {
                let answer = format!("={id}");
                turns[cut..].iter().any(|turn| turn.split(' ').any(|token| token == answer))
            })
        });
        prop_assume!(!open && !calls(&turns[cut - 1]));
        let (before, all) = (paired(&turns[..cut]), paired(&turns));
        prop_assert!(all == before || all.starts_with(&format!("{before}|")), "{} / {}", before, all);
    }
}
