//! Finds out whether the texts of a field are pieces of it, or the field so far each time.
//!
//! We ask every upstream for pieces (`incremental_output`). Some models know only the other way,
//! some vendors do not care, and nothing in an event says which it is. Taking one for the other
//! doubles words or swallows them, so the decision needs evidence:
//!
//! - A text that does not begin with the one before it is a piece, and so were all others: a field
//!   so far only grows.
//! - A text that begins with all of the one before it and goes on may be either (`1`, then `10`).
//!   It is held until the next one; two in a row, or one behind a text so long and varied that no
//!   model says it twice in a row, are snapshots.
//! - The same text again may be either, too (`ha`, then `ha`). It is a repetition where something
//!   that comes later in a message moved in the same event.
//! - Arguments are a JSON object, and a `{` stands only at their beginning and where a value may:
//!   behind anything else they never have to wait.
//! - What another field of the stream showed decides where there is doubt.
//! - Doubt that is left at the end of a field: a text that went on is a snapshot, one that came
//!   again is a piece.
//!
//! The first text of a field is never held, and after the decision nothing is.

use crate::protocol::json::JsonStr;

/// Most bytes of a field that are held while it is in doubt. Beyond that the likelier of the two
/// is taken.
pub const MAX_UNDECIDED: usize = 64 << 10;

/// How often the same text may come again before it counts as pieces.
const MAX_SAME: u32 = 8;

/// A text of so many bytes that the next one begins with is no chance, if it is varied.
const SURE_LENGTH: usize = 16;
const SURE_VARIETY: usize = 4;

/// What the texts of a field are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Pieces,
    Snapshots,
}

/// What is known beside the text.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Hints {
    /// What another field of the stream showed.
    pub(super) leaning: Option<Mode>,
    /// Something that comes later in a message moved in the same event.
    pub(super) passed: bool,
    /// The field is a JSON object.
    pub(super) json: bool,
}

/// A field on its way.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Growth {
    mode: Option<Mode>,
    /// The field so far, if the texts are snapshots. Escaped.
    text: String,
    /// How much of it was passed on.
    sent: usize,
    /// What was not passed on, if the texts are pieces. Escaped.
    held: String,
    grown: bool,
    same: u32,
}

type Emit<'s> = &'s mut dyn FnMut(JsonStr<'_>);

impl Growth {
    pub(super) fn mode(&self) -> Option<Mode> {
        self.mode
    }

    /// Bytes that it keeps.
    pub(super) fn remembered(&self) -> usize {
        self.text.len() + self.held.len()
    }

    /// One more text; what is new in it is passed on.
    pub(super) fn push(&mut self, text: &JsonStr<'_>, hints: Hints, emit: Emit<'_>) {
        if text.is_empty() {
            return;
        }
        match self.mode {
            Some(Mode::Pieces) => emit(text.borrow()),
            Some(Mode::Snapshots) => self.snapshot(text, emit),
            None if self.text.is_empty() => {
                self.text.push_str(text.escaped());
                self.sent = self.text.len();
                emit(text.borrow());
            }
            None => match self.judge(text, hints) {
                Some(mode) => self.decide(mode, text, emit),
                None => self.hold(text),
            },
        }
    }

    fn judge(&self, text: &JsonStr<'_>, hints: Hints) -> Option<Mode> {
        let Some(more) = text.behind(&self.text) else { return Some(Mode::Pieces) };
        let sure = hints.leaning == Some(Mode::Snapshots)
            || (hints.json && self.text.starts_with('{') && !object_may_follow(&self.text))
            || if more.is_empty() { hints.passed } else { self.grown || is_varied(&self.text) };
        if sure {
            return Some(Mode::Snapshots);
        }
        let often =
            more.is_empty() && (hints.leaning == Some(Mode::Pieces) || self.same >= MAX_SAME);
        if often || self.held.len() + text.escaped().len() > MAX_UNDECIDED {
            return Some(self.likelier(hints.leaning));
        }
        None
    }

    fn likelier(&self, leaning: Option<Mode>) -> Mode {
        let seen = if self.grown { Mode::Snapshots } else { Mode::Pieces };
        leaning.unwrap_or(seen)
    }

    fn hold(&mut self, text: &JsonStr<'_>) {
        self.held.push_str(text.escaped());
        if text.escaped().len() > self.text.len() {
            self.grown = true;
            self.text.clear();
            self.text.push_str(text.escaped());
        } else {
            self.same += 1;
        }
    }

    fn decide(&mut self, mode: Mode, text: &JsonStr<'_>, emit: Emit<'_>) {
        self.mode = Some(mode);
        let held = std::mem::take(&mut self.held);
        match mode {
            Mode::Pieces => {
                self.text = String::new();
                if !held.is_empty() {
                    emit(JsonStr::from_escaped(held));
                }
                emit(text.borrow());
            }
            Mode::Snapshots => {
                self.text.truncate(self.sent);
                self.snapshot(text, emit);
            }
        }
    }

    /// Passes on what a snapshot has more than was passed on. One that has something else instead
    /// (a character that was cut, a change of mind) goes on behind what they have in common; one
    /// that went back waits.
    fn snapshot(&mut self, text: &JsonStr<'_>, emit: Emit<'_>) {
        if let Some(more) = text.behind(&self.text) {
            if !more.is_empty() {
                self.text.push_str(more.escaped());
                emit(more);
            }
        } else if !self.text.starts_with(text.escaped()) {
            emit(text.behind_common(&self.text));
            self.text.clear();
            self.text.push_str(text.escaped());
        }
    }

    /// The field is complete: doubt ends.
    pub(super) fn flush(&mut self, leaning: Option<Mode>, emit: Emit<'_>) {
        if self.mode.is_some() || self.held.is_empty() {
            return;
        }
        let mode = self.likelier(leaning);
        self.mode = Some(mode);
        let held = std::mem::take(&mut self.held);
        match mode {
            Mode::Pieces => {
                self.text = String::new();
                emit(JsonStr::from_escaped(held));
            }
            Mode::Snapshots => {
                let text = JsonStr::from_escaped(self.text.clone());
                if let Some(more) = text.behind(&self.text[..self.sent]) {
                    if !more.is_empty() {
                        emit(more);
                    }
                }
            }
        }
    }
}

/// Whether a text is too long and too varied to be said twice in a row by chance.
fn is_varied(text: &str) -> bool {
    let mut seen = [false; 256];
    text.bytes().for_each(|byte| seen[usize::from(byte)] = true);
    text.len() >= SURE_LENGTH && seen.iter().filter(|seen| **seen).count() >= SURE_VARIETY
}

/// Whether the next piece of such arguments may begin with an object.
fn object_may_follow(arguments: &str) -> bool {
    let escaped_space = |text: &str| text.trim_end_matches("\\n").trim_end().len();
    let end = escaped_space(arguments);
    arguments[..end].ends_with([':', ',', '['])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is passed on of these texts, step by step, and at the end.
    fn steps(texts: &[&str], hints: Hints) -> Vec<String> {
        let mut growth = Growth::default();
        let mut all = Vec::new();
        for text in texts {
            let mut step = String::new();
            let text = JsonStr::from_plain(*text);
            growth.push(&text, hints, &mut |piece| step.push_str(&piece.decode()));
            all.push(step);
        }
        let mut step = String::new();
        growth.flush(hints.leaning, &mut |piece| step.push_str(&piece.decode()));
        all.push(step);
        all
    }

    #[test]
    fn evidence() {
        let none = Hints::default();
        let leaning = |mode| Hints { leaning: Some(mode), ..none };
        let (pieces, snapshots) = (leaning(Mode::Pieces), leaning(Mode::Snapshots));
        let json = Hints { json: true, ..none };
        let passed = Hints { passed: true, ..none };
        let rows: &[(&[&str], Hints, &[&str])] = &[
            (&["你", "你好"], none, &["你", "", "好"]),
            (&["你", "你好", "你好吗"], none, &["你", "", "好吗", ""]),
            (&["你", "你好", ""], none, &["你", "", "", "好"]),
            (&["ha", "ha"], none, &["ha", "", "ha"]),
            (&["ha", "ha", "!"], none, &["ha", "", "ha!", ""]),
            (&["ha", "haha", "!"], none, &["ha", "", "haha!", ""]),
            (&["1", "10", "1"], none, &["1", "", "101", ""]),
            (&["1", "+", "1", "1"], none, &["1", "+", "1", "1", ""]),
            (&["a", "ab"], pieces, &["a", "", "ab"]),
            (&["ha", "ha"], pieces, &["ha", "ha", ""]),
            (&["a", "ab"], snapshots, &["a", "b", ""]),
            (&["a", "a"], snapshots, &["a", "", ""]),
            (&["same", "same"], passed, &["same", "", ""]),
            (&["Once upon a time", "Once upon a time in"], none, &["Once upon a time", " in", ""]),
            (&["================", "================="], none, &["================", "", "="]),
            (&["{", "{\"a\"", "{\"a\":1}"], json, &["{", "\"a\"", ":1}", ""]),
            (&["{}", "{}"], json, &["{}", "", ""]),
            (&["{\"a", "\":1}"], json, &["{\"a", "\":1}", ""]),
            (&["abc", "abcd", "abcde", "xyz"], none, &["abc", "", "de", "xyz", ""]),
            (&["abc", "abcd", "abcde", "ab", "abcdef"], none, &["abc", "", "de", "", "f", ""]),
            (&["abc", "abcd", "abcde", "abcx"], none, &["abc", "", "de", "x", ""]),
            (
                &["a\u{fffd}", "a\u{fffd}b", "a\u{fffd}bc", "a😀bc"],
                none,
                &["a\u{fffd}", "", "bc", "😀bc", ""],
            ),
        ];
        for (texts, hints, expected) in rows {
            assert_eq!(steps(texts, *hints), *expected, "{texts:?}");
        }
    }

    #[test]
    fn doubt_has_an_end() {
        let many = ["ha"; 12];
        let joined: Vec<_> = steps(&many, Hints::default());
        assert_eq!(joined.concat(), "ha".repeat(12));
        assert_ne!(joined[9], "", "it does not wait for the end");
        let long = "-".repeat(MAX_UNDECIDED / 2 + 1);
        let mut growth = Growth::default();
        for _ in 0..3 {
            growth.push(&JsonStr::from_plain(long.as_str()), Hints::default(), &mut |_| {});
            assert!(growth.remembered() <= 2 * MAX_UNDECIDED);
        }
        assert_eq!(growth.mode(), Some(Mode::Pieces));
    }

    proptest! {
        #[test]
        fn snapshots_are_cut_into_what_is_new(
            pieces in prop::collection::vec("[a-c\"\\\\\n 你é😀]{0,4}", 0..12),
        ) {
            let mut so_far = String::new();
            let snapshots: Vec<_> = pieces
                .iter()
                .map(|piece| {
                    so_far.push_str(piece);
                    so_far.clone()
                })
                .collect();
            let texts: Vec<_> = snapshots.iter().map(String::as_str).collect();
            // Two texts may be the same piece twice: then it takes more than one field to know.
            let distinct = texts.iter().collect::<std::collections::BTreeSet<_>>();
            let distinct = distinct.iter().filter(|text| !text.is_empty()).count();
            let leaning = (distinct < 2).then_some(Mode::Snapshots);
            let hints = Hints { leaning, ..Hints::default() };
            prop_assert_eq!(steps(&texts, hints).concat(), so_far);
        }

        #[test]
        fn words_are_not_swallowed(
            first in "[a-e]{1,3}",
            second in "[f-j]{1,3}",
            pieces in prop::collection::vec("[a-j ]{0,4}", 0..12),
        ) {
            let mut texts = vec![first.as_str(), second.as_str()];
            texts.extend(pieces.iter().map(String::as_str));
            prop_assert_eq!(steps(&texts, Hints::default()).concat(), texts.concat());
        }
    }
}
