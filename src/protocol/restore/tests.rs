use proptest::prelude::*;

use super::*;
use crate::protocol::json::Raw;
use crate::protocol::model::Rest;

fn restore() -> Restore {
    let mut restore = Restore::default();
    restore.wrap("patch".to_owned());
    restore.rename("apply.patch".to_owned(), "patch".to_owned());
    restore.with_ids(Ids::new(7));
    restore
}

fn start(index: u32, id: &str, name: &str) -> StreamEvent<'static> {
    StreamEvent::PartStart {
        index,
        candidate: 0,
        part: PartStart::ToolCall {
            id: JsonStr::from_plain(id.to_owned()),
            name: JsonStr::from_plain(name.to_owned()),
            kind: ToolCallKind::Function,
            seal: None,
            cache: None,
        },
        rest: Rest::default(),
    }
}

/// Streams the arguments of one call, and gives its text with the number of pieces it came in.
fn stream(pieces: &[JsonStr<'_>]) -> (String, usize) {
    let mut restore = restore();
    let (mut escaped, mut count) = (String::new(), 0);
    let mut sink = |event: StreamEvent<'_>| match event {
        StreamEvent::PartStart { part: PartStart::ToolCall { name, kind, .. }, .. } => {
            assert_eq!((name, kind), (JsonStr::from_plain("apply.patch"), ToolCallKind::Custom));
        }
        StreamEvent::Delta { index: 3, delta: Delta::Arguments(text) } => {
            // What comes out must be valid in a document, in each piece.
            assert!(Raw::parse(&format!("\"{}\"", text.escaped())).is_ok(), "{text:?}");
            escaped.push_str(text.escaped());
            count += 1;
        }
        StreamEvent::PartStop { index: 3 } => {}
        other => panic!("{other:?}"),
    };
    restore.event(start(3, "i", "patch"), &mut sink);
    for piece in pieces {
        let delta = Delta::Arguments(piece.clone());
        restore.event(StreamEvent::Delta { index: 3, delta }, &mut sink);
    }
    restore.event(StreamEvent::PartStop { index: 3 }, &mut sink);
    assert!(restore.open.is_empty());
    (JsonStr::from_escaped(escaped).decode().into_owned(), count)
}

/// Arguments as an upstream writes them, and the text that the caller must get.
const ARGUMENTS: [(&str, &str); 17] = [
    (
        r#"{"input":"*** Begin\n+\"a\" \\ \u00e9é\ud83d\ude00/\/"}"#,
        "*** Begin\n+\"a\" \\ éé\u{1F600}//",
    ),
    (r#" { "input" : "a" } "#, "a"),
    (r#"{"input":""}"#, ""),
    ("", ""),
    // Cut by the limit of tokens: what there is.
    (r#"{"input":"abc"#, "abc"),
    (r#"{"input":"abc\"#, "abc"),
    (r#"{"input":"abc\u00"#, "abc"),
    // Not quite JSON.
    ("{\"input\":\"a\nb\\qc\"}", "a\nb\\qc"),
    // Members beside it.
    (r#"{"input":"a","more":"b"}"#, "a"),
    (r#"{"more":"b","input":"a\n"}"#, "a\n"),
    // None that is ours: as it is.
    ("plain text", "plain text"),
    ("{}", "{}"),
    (r#"{"input":7}"#, r#"{"input":7}"#),
    (r#"{"in":"é"}"#, r#"{"in":"é"}"#),
    ("{\"i", "{\"i"),
    (r#"["input"]"#, r#"["input"]"#),
    ("{ broken", "{ broken"),
];

#[test]
fn streamed_text_is_unwrapped_at_every_cut() {
    for (arguments, expected) in ARGUMENTS {
        let whole = JsonStr::from_plain(arguments);
        assert_eq!(stream(&[whole.borrow()]).0, expected, "{arguments}");
        let length = whole.escaped().len();
        for at in 0..=length {
            let (Some(one), Some(two)) = (whole.slice(0..at), whole.slice(at..length)) else {
                continue;
            };
            assert_eq!(stream(&[one, two]).0, expected, "{arguments} cut at {at}");
        }
        let bytes: Vec<_> = pieces(&whole, 1);
        assert_eq!(stream(&bytes).0, expected, "{arguments} byte by byte");
    }
}

/// Pieces of about so many bytes.
fn pieces<'t>(whole: &'t JsonStr<'_>, size: usize) -> Vec<JsonStr<'t>> {
    let length = whole.escaped().len();
    let (mut pieces, mut from) = (Vec::new(), 0);
    for to in 1..=length {
        if to - from >= size || to == length {
            if let Some(piece) = whole.slice(from..to) {
                pieces.push(piece);
                from = to;
            }
        }
    }
    pieces
}

#[test]
fn text_comes_as_it_is_written() {
    let text = JsonStr::from_plain(r#"{"input":"one two three four five"}"#);
    let (joined, count) = stream(&pieces(&text, 4));
    assert_eq!(joined, "one two three four five");
    assert!(count >= 5, "{count} pieces");
}

#[test]
fn half_of_a_pair_of_escapes_waits_for_nothing() {
    // The upstream escapes its JSON, and cuts between the halves of a character.
    let halves = [r#"{\"input\":\"\ud83d"#, r#"\ude00\"}"#];
    let halves = halves.map(|half| JsonStr::from_escaped(half.to_owned()));
    assert_eq!(stream(&halves).0, "\u{1F600}");
}

#[test]
fn a_long_other_form_passes_as_it_is() {
    let piece = JsonStr::from_plain("x".repeat(MAX_HELD_INPUT / 4));
    let (text, count) = stream(&vec![piece; 6]);
    assert_eq!(text.len(), MAX_HELD_INPUT / 4 * 6);
    assert_eq!(count, 2);
    // The limit is that of all calls together.
    let mut restore = restore();
    let mut seen = 0;
    for index in 0..8 {
        restore.event(start(index, "i", "patch"), &mut |_| {});
        let delta = Delta::Arguments(JsonStr::from_plain("x".repeat(MAX_HELD_INPUT / 4)));
        restore.event(StreamEvent::Delta { index, delta }, &mut |_| seen += 1);
    }
    assert!(seen >= 4, "{seen}");
    assert!(restore.open.iter().map(|(_, open)| open.held()).sum::<usize>() <= MAX_HELD_INPUT);
}

#[test]
fn calls_get_ids_and_others_stay() {
    let mut restore = restore();
    let mut seen = Vec::new();
    let mut sink = |event: StreamEvent<'_>| {
        if let StreamEvent::PartStart { part: PartStart::ToolCall { id, name, kind, .. }, .. } =
            event
        {
            seen.push((id.decode().into_owned(), name.decode().into_owned(), kind));
        }
    };
    for (index, id) in [(0, ""), (1, ""), (2, "mine")] {
        restore.event(start(index, id, "f"), &mut sink);
    }
    assert!(seen.iter().all(|(id, name, kind)| {
        !id.is_empty() && name == "f" && *kind == ToolCallKind::Function
    }));
    assert_ne!(seen[0].0, seen[1].0);
    assert_eq!(seen[2].0, "mine");
    let delta =
        || StreamEvent::Delta { index: 0, delta: Delta::Arguments(JsonStr::from_plain("{\"")) };
    let mut passed = None;
    restore.event(delta(), &mut |event| passed = Some(event == delta()));
    assert_eq!(passed, Some(true));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any text that was wrapped comes back, however it is cut, streamed or finished.
    #[test]
    fn what_was_wrapped_comes_back(text in "[ -~\n\t\u{1}é\u{1F600}]{0,40}", size in 1..9_usize) {
        let arguments = format!("{{\"input\":\"{}\"}}", JsonStr::from_plain(text.as_str()).escaped());
        let whole = JsonStr::from_plain(arguments);
        prop_assert_eq!(&stream(&pieces(&whole, size)).0, &text);
        let finished = unwrap::text(&ToolArguments::Text(whole.borrow())).into_owned();
        prop_assert_eq!(finished.decode(), text);
    }

    /// What no model should write is passed on all the same.
    #[test]
    fn anything_streams(text in "[{}\":,input\\\\ua0 ]{0,30}", size in 1..9_usize) {
        let whole = JsonStr::from_plain(text);
        let (streamed, _) = stream(&pieces(&whole, size));
        let (at_once, _) = stream(&[whole.borrow()]);
        prop_assert_eq!(streamed, at_once);
    }
}
