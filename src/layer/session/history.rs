//! The history of a conversation, within its limits. Pure.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;

use crate::protocol::json::Cursor;
use crate::store::Turn;

/// What one token is counted as, in bytes of JSON: the usual rule of thumb for English text.
const BYTES_PER_TOKEN: usize = 4;

/// What becomes of a conversation that is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overflow {
    /// Its oldest turns are left out. The default.
    #[default]
    TrimOldest,
    /// The request is refused with 400.
    Refuse,
}

/// How much of a history is sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) items: usize,
    pub(super) tokens: usize,
    pub(super) overflow: Overflow,
}

/// A history that is longer than its limits, where that is refused; or whose last turn alone is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

/// The items of `turns`, which come newest first, in the order of the conversation.
pub(super) fn items(turns: &[Arc<Turn>], limits: &Limits) -> Result<Vec<Bytes>, TooLong> {
    let (mut items, mut bytes, mut kept) = (0, 0, 0_usize);
    for turn in turns {
        items += turn.items().count();
        bytes += turn.items().map(Bytes::len).sum::<usize>();
        if items > limits.items || bytes / BYTES_PER_TOKEN > limits.tokens {
            break;
        }
        kept += 1;
    }
    let begins = turns.get(kept.wrapping_sub(1)).is_some_and(|turn| turn.previous.is_none());
    if kept == 0 || (limits.overflow == Overflow::Refuse && !begins) {
        return Err(TooLong);
    }
    let kept = turns[..kept].iter().rev().flat_map(|turn| turn.items());
    let kept: Vec<Bytes> = kept.cloned().collect();
    // What begins with the first turn is whole.
    Ok(if begins { kept } else { without_orphans(kept) })
}

/// Without the results of calls that were left out: no vendor takes them.
fn without_orphans(items: Vec<Bytes>) -> Vec<Bytes> {
    let mut calls = HashSet::new();
    let mut kept = items;
    kept.retain(|item| match call(item) {
        Some((id, true)) => calls.contains(&id),
        Some((id, false)) => {
            calls.insert(id);
            true
        }
        None => true,
    });
    kept
}

/// The call that an item makes or, if true, answers.
fn call(item: &[u8]) -> Option<(String, bool)> {
    let cursor = Cursor::new(std::str::from_utf8(item).ok()?);
    let id = cursor.peek_str("call_id")?.decode().into_owned();
    Some((id, cursor.peek_str("type")?.escaped().ends_with("_output")))
}

/// Whether an item of an answer can be sent again: thinking of a vendor that neither sealed it nor
/// showed it raw would be looked up by its id, where nothing was stored.
pub(super) fn can_be_replayed(item: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(item) else { return false };
    let cursor = Cursor::new(text);
    if cursor.peek_str("type").is_none_or(|kind| kind != *"reasoning") {
        return true;
    }
    let mut replayed = cursor.peek_str("encrypted_content").is_some();
    let walked = Cursor::new(text).object(|key, value| {
        let raw = value.raw()?;
        replayed |= key == *"content" && !matches!(raw.as_str(), "null" | "[]");
        Ok(())
    });
    walked.is_ok() && replayed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(previous: Option<&str>, items: &[&str]) -> Arc<Turn> {
        let input = items.iter().map(|item| Bytes::copy_from_slice(item.as_bytes())).collect();
        let previous = previous.map(Into::into);
        Arc::new(Turn { previous, input, output: Vec::new(), response: Bytes::new() })
    }

    fn limits(items: usize, tokens: usize, overflow: Overflow) -> Limits {
        Limits { items, tokens, overflow }
    }

    const CALL: &str = r#"{"type":"function_call","call_id":"c","name":"f"}"#;
    const RESULT: &str = r#"{"type":"function_call_output","call_id":"c","output":""}"#;

    #[test]
    fn the_oldest_turn_comes_first() {
        let turns = [turn(Some("1"), &["3"]), turn(None, &["1", "2"])];
        let items = items(&turns, &limits(3, 100, Overflow::Refuse)).unwrap();
        assert_eq!(items, ["1", "2", "3"]);
    }

    #[test]
    fn too_many_items_or_tokens_are_trimmed_or_refused() {
        let turns = [turn(Some("1"), &["33333333"]), turn(None, &["1", "2"])];
        for (max_items, max_tokens) in [(2, 100), (9, 1)] {
            let trimmed = items(&turns, &limits(max_items, max_tokens, Overflow::TrimOldest));
            assert_eq!(
                trimmed,
                if max_tokens == 1 { Err(TooLong) } else { Ok(vec!["33333333".into()]) }
            );
            let refused = items(&turns, &limits(max_items, max_tokens, Overflow::Refuse));
            assert_eq!(refused, Err(TooLong));
        }
        assert_eq!(items(&turns, &limits(9, 2, Overflow::TrimOldest)).unwrap().len(), 3);
    }

    #[test]
    fn a_history_whose_beginning_is_lost_is_refused_where_that_is_wanted() {
        let turns = [turn(Some("lost"), &["2"])];
        assert!(items(&turns, &limits(9, 99, Overflow::TrimOldest)).is_ok());
        assert_eq!(items(&turns, &limits(9, 99, Overflow::Refuse)), Err(TooLong));
    }

    #[test]
    fn results_go_with_their_calls() {
        let last = turn(Some("1"), &[RESULT, CALL, RESULT, "{}"]);
        let turns = [last, turn(None, &[CALL])];
        let whole = items(&turns, &limits(9, 999, Overflow::TrimOldest)).unwrap();
        assert_eq!(whole.len(), 5);
        let trimmed = items(&turns, &limits(4, 999, Overflow::TrimOldest)).unwrap();
        assert_eq!(trimmed, [CALL, RESULT, "{}"]);
    }

    #[test]
    fn thinking_needs_its_seal_or_its_text() {
        for (item, replayed) in [
            (r#"{"type":"message"}"#, true),
            (r#"{"type":"reasoning","id":"rs","summary":[]}"#, false),
            (r#"{"type":"reasoning","encrypted_content":null}"#, false),
            (r#"{"type":"reasoning","encrypted_content":"x"}"#, true),
            (r#"{"type":"reasoning","content":[{}]}"#, true),
            (r#"{"type":"reasoning","content":[]}"#, false),
        ] {
            assert_eq!(can_be_replayed(item.as_bytes()), replayed, "{item}");
        }
    }
}
