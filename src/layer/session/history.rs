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

/// A history that is longer than its limits, or whose beginning is lost, where that is refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

/// The items of `turns`, which come newest first, in the order of the conversation.
///
/// What is trimmed is whole turns, the oldest first; the newest always stays. Instructions of
/// those that go are kept, and what stays begins with words of the user: no vendor takes a history
/// that begins with its model's.
pub(super) fn items(turns: &[Arc<Turn>], limits: &Limits) -> Result<Vec<Bytes>, TooLong> {
    let whole = turns.last().is_some_and(|turn| turn.previous.is_none());
    let fitting = fitting(turns, limits);
    if whole && fitting == turns.len() {
        return Ok(turns.iter().rev().flat_map(|turn| turn.items()).cloned().collect());
    }
    if limits.overflow == Overflow::Refuse {
        return Err(TooLong);
    }
    let asks =
        |turn: &Arc<Turn>| turn.input.iter().any(|item| role(item).as_deref() == Some("user"));
    let begin = turns[..fitting].iter().rposition(asks);
    let (kept, left) = turns.split_at(begin.map_or(fitting, |last| last + 1));
    let before: Vec<&Bytes> = left.iter().rev().flat_map(|turn| turn.items()).collect();
    let is_instruction =
        |item: &&&Bytes| matches!(role(item).as_deref(), Some("system" | "developer"));
    let mut items: Vec<Bytes> = before.iter().filter(is_instruction).copied().cloned().collect();
    if begin.is_none() {
        // One long run of calls: what it is for was said before it.
        let asked = before.iter().rfind(|item| role(item).as_deref() == Some("user"));
        items.extend(asked.copied().cloned());
    }
    items.extend(kept.iter().rev().flat_map(|turn| turn.items()).cloned());
    Ok(without_orphans(items))
}

/// How many of the newest turns are within the limits; one at least.
fn fitting(turns: &[Arc<Turn>], limits: &Limits) -> usize {
    let (mut items, mut bytes) = (0, 0);
    let fits = |turn: &&Arc<Turn>| {
        items += turn.items().count();
        bytes += turn.items().map(|item| text_bytes(item)).sum::<usize>();
        items <= limits.items && bytes / BYTES_PER_TOKEN <= limits.tokens
    };
    turns.iter().take_while(fits).count().max(1).min(turns.len())
}

/// The bytes of an item without its media, which no vendor counts by their size.
fn text_bytes(item: &[u8]) -> usize {
    let mut bytes = item.len();
    let mut rest = item;
    while let Some(at) = memchr::memmem::find(rest, b";base64,") {
        let media = &rest[at..];
        let end = memchr::memchr(b'"', media).unwrap_or(media.len());
        bytes -= end;
        rest = &media[end..];
    }
    bytes
}

/// Who says a message.
fn role(item: &[u8]) -> Option<String> {
    let role = Cursor::new(std::str::from_utf8(item).ok()?).peek_str("role")?;
    Some(role.decode().into_owned())
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

    const ASKED: &str = r#"{"role":"user","content":"why"}"#;

    #[test]
    fn too_many_items_or_tokens_are_trimmed_or_refused() {
        let turns = [turn(Some("1"), &[ASKED]), turn(None, &["1", ASKED])];
        for (max_items, max_tokens) in [(2, 100), (9, ASKED.len() / 4), (0, 0)] {
            let trimmed = items(&turns, &limits(max_items, max_tokens, Overflow::TrimOldest));
            assert_eq!(trimmed, Ok(vec![ASKED.into()]));
            let refused = items(&turns, &limits(max_items, max_tokens, Overflow::Refuse));
            assert_eq!(refused, Err(TooLong));
        }
        assert_eq!(items(&turns, &limits(9, 20, Overflow::TrimOldest)).unwrap().len(), 3);
    }

    #[test]
    fn media_are_not_counted_as_text() {
        let picture = format!(
            r#"{{"role":"user","content":[{{"image_url":"data:image/png;base64,{}"}}]}}"#,
            "A".repeat(1 << 20)
        );
        assert_eq!(text_bytes(picture.as_bytes()), picture.len() - (1 << 20) - 8);
        let turns = [turn(Some("1"), &[ASKED]), turn(None, &[&picture])];
        assert_eq!(items(&turns, &limits(9, 99, Overflow::Refuse)).unwrap().len(), 2);
    }

    #[test]
    fn what_stays_begins_with_the_user_and_keeps_its_instructions() {
        let told = r#"{"role":"developer","content":"be brief"}"#;
        let calls = turn(Some("1"), &[CALL, RESULT]);
        let later = turn(Some("2"), &[ASKED]);
        let turns = [Arc::clone(&later), Arc::clone(&calls), turn(None, &[told, ASKED])];
        let trimmed = |max_items| items(&turns, &limits(max_items, 999, Overflow::TrimOldest));
        assert_eq!(trimmed(3).unwrap(), [told, ASKED]);
        // Nothing but calls since the question: it comes along.
        let turns = [calls, turn(None, &[told, ASKED])];
        let trimmed = items(&turns, &limits(2, 999, Overflow::TrimOldest));
        assert_eq!(trimmed.unwrap(), [told, ASKED, CALL, RESULT]);
    }

    #[test]
    fn a_history_whose_beginning_is_lost_is_refused_where_that_is_wanted() {
        let turns = [turn(Some("lost"), &["2"])];
        assert!(items(&turns, &limits(9, 99, Overflow::TrimOldest)).is_ok());
        assert_eq!(items(&turns, &limits(9, 99, Overflow::Refuse)), Err(TooLong));
    }

    #[test]
    fn results_go_with_their_calls() {
        let last = turn(Some("1"), &[RESULT, CALL, RESULT, ASKED]);
        let turns = [last, turn(None, &[CALL])];
        let whole = items(&turns, &limits(9, 999, Overflow::TrimOldest)).unwrap();
        assert_eq!(whole.len(), 5);
        let trimmed = items(&turns, &limits(4, 999, Overflow::TrimOldest)).unwrap();
        assert_eq!(trimmed, [CALL, RESULT, ASKED]);
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
