//! The items of a request, page by page. Pure.

use std::borrow::Cow;
use std::collections::HashSet;

use bytes::{Bytes, BytesMut};
use percent_encoding::percent_decode_str;

use crate::protocol::edit::{EditError, Edited, InputItem};
use crate::protocol::json::{JsonStr, ObjectWriter};
use crate::protocol::model::{ApiError, FaultKind};
use crate::store::Turn;

/// Items of a page where the query names no limit, as the API's reference has it.
const DEFAULT_LIMIT: usize = 20;

/// Most items of a page, as the API's reference has it.
const MAX_LIMIT: usize = 100;

/// Which page is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listing {
    limit: usize,
    /// From the first to the last; otherwise the newest come first.
    ascending: bool,
    after: Option<Box<str>>,
    /// No longer in the reference, but older SDKs know it.
    before: Option<Box<str>>,
}

/// A parameter of the query that cannot be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BadParameter {
    name: &'static str,
    code: &'static str,
    message: String,
}

impl BadParameter {
    fn new(name: &'static str, code: &'static str, what: impl std::fmt::Display) -> Self {
        Self { name, code, message: format!("Invalid '{name}': {what}") }
    }

    /// In the words of the API.
    pub(super) fn error(&self) -> ApiError<'_> {
        let mut error = ApiError::new(FaultKind::BadRequest, &*self.message);
        error.param = Some(JsonStr::from_plain(self.name));
        error.code = Some(JsonStr::from_plain(self.code));
        error
    }
}

impl Listing {
    /// Reads the query. Names that are not known are ignored; of one that stands more than once
    /// the last counts, and one without a value does not.
    pub(super) fn read(query: &str) -> Result<Self, BadParameter> {
        let mut listing =
            Self { limit: DEFAULT_LIMIT, ascending: false, after: None, before: None };
        for parameter in query.split('&') {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            if value.is_empty() {
                continue;
            }
            let value = percent_decode_str(value).decode_utf8_lossy();
            match &*percent_decode_str(name).decode_utf8_lossy() {
                "limit" => listing.limit = limit(&value)?,
                "order" => listing.ascending = is_ascending(&value)?,
                "after" => listing.after = Some(value.into()),
                "before" => listing.before = Some(value.into()),
                _ => {}
            }
        }
        Ok(listing)
    }

    /// The page of what `turn`, the one with the answer `id`, was asked with.
    pub(super) fn page(&self, turn: &Turn, id: &str) -> Result<Bytes, BadParameter> {
        let mut items = ids(turn, id);
        if !self.ascending {
            items.reverse();
        }
        let place = |name, cursor: &Option<Box<str>>| {
            let Some(cursor) = cursor else { return Ok(None) };
            let found = items.iter().position(|(_, id)| **id == **cursor);
            let unknown = || BadParameter::new(name, "invalid_value", "no item has this id.");
            found.map(Some).ok_or_else(unknown)
        };
        let begin = place("after", &self.after)?.map_or(0, |at| at + 1);
        let before = place("before", &self.before)?;
        let asked = items.get(begin..before.unwrap_or(items.len())).unwrap_or_default();
        // Going back from `before`, the page is the one that ends there.
        let page = match self.after.is_none() && before.is_some() {
            true => &asked[asked.len().saturating_sub(self.limit)..],
            false => &asked[..asked.len().min(self.limit)],
        };
        Ok(write(page, page.len() < asked.len()))
    }
}

fn limit(value: &str) -> Result<usize, BadParameter> {
    let bad = |code, what| Err(BadParameter::new("limit", code, what));
    let expected = |limit, was: i64| format!("Expected a value {limit}, but got {was} instead.");
    match value.parse::<i64>() {
        Ok(value) if value < 1 => {
            let what = format!("integer below minimum value. {}", expected(">= 1", value));
            bad("integer_below_min_value", what)
        }
        Ok(value) => match usize::try_from(value) {
            Ok(limit) if limit <= MAX_LIMIT => Ok(limit),
            _ => {
                let most = format!("<= {MAX_LIMIT}");
                let what = format!("integer above maximum value. {}", expected(&most, value));
                bad("integer_above_max_value", what)
            }
        },
        Err(_) => bad("invalid_type", "expected an integer.".to_owned()),
    }
}

fn is_ascending(value: &str) -> Result<bool, BadParameter> {
    match value {
        "asc" => Ok(true),
        "desc" => Ok(false),
        _ => {
            let what = "supported values are 'asc' and 'desc'.";
            Err(BadParameter::new("order", "invalid_value", what))
        }
    }
}

/// The items with an id for each, no two the same, in the order of the conversation.
///
/// Most callers send items without ids. Theirs are made of the answer's id and of their place: the
/// same for every page, and nothing more needs to be kept.
fn ids<'t>(turn: &'t Turn, answer: &str) -> Vec<(&'t Bytes, String)> {
    let answer = answer.strip_prefix("resp_").unwrap_or(answer);
    let mut taken = HashSet::with_capacity(turn.input.len());
    let id = |(place, item): (usize, &'t Bytes)| {
        let (own, prefix) = own_id(item).unwrap_or((None, "item_"));
        let id = own.filter(|id| !taken.contains(id));
        let id = id.unwrap_or_else(|| format!("{prefix}{answer}{place:05x}"));
        taken.insert(id.clone());
        (item, id)
    };
    turn.input.iter().enumerate().map(id).collect()
}

fn own_id(item: &[u8]) -> Result<(Option<String>, &'static str), EditError> {
    let item = InputItem::read(item)?;
    let id = item.id()?.map(|id| id.decode().into_owned());
    Ok((id, item.id_prefix()?))
}

fn write(page: &[(&Bytes, String)], has_more: bool) -> Bytes {
    let mut out = BytesMut::new();
    let mut object = ObjectWriter::begin(&mut out);
    object.plain("object", "list");
    object.array("data", |data| {
        for (item, id) in page {
            data.item().extend_from_slice(&listed(item, id));
        }
    });
    for (name, item) in [("first_id", page.first()), ("last_id", page.last())] {
        match item {
            Some((_, id)) => object.plain(name, id),
            None => object.null(name),
        }
    }
    object.bool("has_more", has_more);
    object.end();
    out.freeze()
}

/// What cannot be read is shown as it stood.
fn listed<'i>(item: &'i Bytes, id: &str) -> Cow<'i, [u8]> {
    match InputItem::read(item).and_then(|item| item.listed(id)) {
        Ok(Edited::Changed(bytes)) => Cow::Owned(bytes.to_vec()),
        _ => Cow::Borrowed(item),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn turn(items: &[&str]) -> Turn {
        let input = items.iter().map(|item| Bytes::copy_from_slice(item.as_bytes())).collect();
        Turn { previous: None, input, output: Vec::new(), response: Bytes::new() }
    }

    fn page(turn: &Turn, query: &str) -> Value {
        let bytes = Listing::read(query).unwrap().page(turn, "resp_ab").unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    /// The ids of a page and whether there are more.
    fn ids_of(turn: &Turn, query: &str) -> (Vec<String>, bool) {
        let page = page(turn, query);
        let data = page["data"].as_array().unwrap();
        let ids: Vec<_> = data.iter().map(|i| i["id"].as_str().unwrap().to_owned()).collect();
        assert_eq!(page["first_id"].as_str(), ids.first().map(String::as_str));
        assert_eq!(page["last_id"].as_str(), ids.last().map(String::as_str));
        assert_eq!(page["object"], "list");
        (ids, page["has_more"].as_bool().unwrap())
    }

    const ITEMS: [&str; 5] =
        [r#"{"id":"a"}"#, r#"{"id":"b"}"#, r#"{"id":"c"}"#, r#"{"id":"d"}"#, r#"{"id":"e"}"#];

    #[test]
    fn pages_begin_and_end_where_they_are_asked_to() {
        let turn = turn(&ITEMS);
        for (query, ids, more) in [
            ("", "edcba", false),
            ("order=asc", "abcde", false),
            ("limit=2", "ed", true),
            ("limit=2&after=d", "cb", true),
            ("limit=2&after=b", "a", false),
            ("after=a", "", false),
            ("limit=5", "edcba", false),
            ("order=asc&limit=3&after=b", "cde", false),
            ("order=asc&before=d", "abc", false),
            ("order=asc&before=d&limit=2", "bc", true),
            ("order=asc&before=a", "", false),
            ("limit=1&before=c", "d", true),
            ("order=asc&after=a&before=e&limit=2", "bc", true),
            ("order=asc&after=d&before=b", "", false),
            ("order=asc&order=desc&limit=1", "e", true),
            ("limit=&order&after=&include[]=x&include=y&%6cimit=1", "e", true),
        ] {
            let ids: Vec<_> = ids.chars().map(String::from).collect();
            assert_eq!(ids_of(&turn, query), (ids, more), "{query}");
        }
    }

    #[test]
    fn a_page_has_twenty_items_and_at_most_a_hundred() {
        let turn = turn(&[r#"{"role":"user","content":"x"}"#; 101]);
        assert_eq!(ids_of(&turn, "").0.len(), 20);
        let (ids, more) = ids_of(&turn, "limit=100");
        assert_eq!((ids.len(), more), (100, true));
        let last = ids.last().unwrap();
        assert_eq!(ids_of(&turn, &format!("after={last}")).0, ["msg_ab00000"]);
    }

    #[test]
    fn no_two_items_have_the_same_id() {
        let turn = turn(&[
            r#"{"id":"x"}"#,
            r#"{"type":"message","id":"x"}"#,
            r#"{"type":"function_call","id":null}"#,
            r#"{"role":"user"}"#,
            r#"{"id":"a \"b\" &"}"#,
        ]);
        let ids = ["x", "msg_ab00001", "fc_ab00002", "msg_ab00003", "a \"b\" &"];
        assert_eq!(ids_of(&turn, "order=asc").0, ids);
        assert_eq!(ids_of(&turn, "order=asc&after=x&limit=1").0, ["msg_ab00001"]);
        assert_eq!(ids_of(&turn, "after=a%20%22b%22%20%26&limit=1").0, ["msg_ab00003"]);
    }

    #[test]
    fn what_cannot_be_read_is_shown_as_it_stood() {
        let turn = turn(&["7", r#"{"id":1,"id":2}"#]);
        let page = page(&turn, "order=asc");
        assert_eq!(page["data"][0], 7);
        assert_eq!(
            (&page["first_id"], &page["last_id"]),
            (&"item_ab00000".into(), &"item_ab00001".into())
        );
    }

    #[test]
    fn bad_parameters_are_named() {
        let below = "Invalid 'limit': integer below minimum value. \
                     Expected a value >= 1, but got 0 instead.";
        let above = "Invalid 'limit': integer above maximum value. \
                     Expected a value <= 100, but got 101 instead.";
        for (query, name, code, message) in [
            ("limit=0", "limit", "integer_below_min_value", below),
            ("limit=101", "limit", "integer_above_max_value", above),
            ("limit=ten", "limit", "invalid_type", "Invalid 'limit': expected an integer."),
            (
                "order=up",
                "order",
                "invalid_value",
                "Invalid 'order': supported values are 'asc' and 'desc'.",
            ),
            ("after=z", "after", "invalid_value", "Invalid 'after': no item has this id."),
            ("before=z", "before", "invalid_value", "Invalid 'before': no item has this id."),
        ] {
            let turn = turn(&ITEMS);
            let bad = Listing::read(query).and_then(|listing| listing.page(&turn, "resp_ab"));
            assert_eq!(bad, Err(BadParameter { name, code, message: message.to_owned() }));
        }
    }
}
