//! What is said.

use serde_json::{Value, json};

pub(crate) const TURNS: usize = 5;

/// What the model does in a turn, in its order.
pub(crate) enum Act {
    Think(&'static str),
    Say(&'static str),
    /// The tool and its arguments.
    Call(&'static str, fn() -> Value),
}

use Act::{Call, Say, Think};

pub(crate) fn acts(turn: usize) -> Vec<Act> {
    match turn {
        0 => vec![Think("The weather: I look it up."), Call("weather", || json!({"city": "Ulm"}))],
        1 => vec![
            Think("Both, then. \u{1f914} \"Quickly\""),
            Call("weather", || json!({"city": "K\u{f6}ln", "days": 2})),
            Call("clock", || json!({})),
        ],
        2 => vec![Think("Now I know."), Say("It is sunny \u{1f600}, "), Say("and noon.")],
        3 => vec![
            Think("Tomorrow is another day."),
            Say("Let me see. \u{1f440}"),
            Think("One more look."),
            Call("weather", || json!({"city": "Ulm", "days": 1})),
        ],
        _ => vec![Think("That is all."), Say("Rain.")],
    }
}

/// What a caller sees of an answer.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Said {
    pub(crate) text: String,
    pub(crate) calls: Vec<CallSeen>,
}

#[derive(Debug, PartialEq)]
pub(crate) struct CallSeen {
    pub(crate) id: Option<String>,
    pub(crate) name: String,
    pub(crate) arguments: Value,
}

pub(crate) fn check(turn: usize, said: &Said, name: &str) {
    let (mut text, mut calls) = (String::new(), Vec::new());
    for act in acts(turn) {
        match act {
            Think(_) => {}
            Say(words) => text.push_str(words),
            Call(tool, arguments) => calls.push((tool.to_owned(), arguments())),
        }
    }
    assert_eq!(said.text, text, "{name}");
    let seen: Vec<_> =
        said.calls.iter().map(|call| (call.name.clone(), call.arguments.clone())).collect();
    assert_eq!(seen, calls, "{name}");
}
