//! Names from outside, bounded.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::protocol::{Operation, Protocol, Route};
use crate::record::cut;

/// Where everything beyond a limit is counted together.
pub const OTHER: &str = "other";

/// Longest name that is counted by itself, in bytes; a longer one is cut.
pub const MAX_NAME: usize = 256;

/// One name for all paths of a route, where there is one: a model in the path is no path of its own.
pub(super) fn template(route: Route) -> Option<&'static str> {
    use Operation::{CountTokens, Generate, Models, Other};
    Some(match (route.protocol, route.operation) {
        (_, Other) => return None,
        (Protocol::Gemini, Models) => "/v1beta/models",
        (_, Models) => "/v1/models",
        (Protocol::Anthropic, Generate) => "/v1/messages",
        (Protocol::Anthropic, CountTokens) => "/v1/messages/count_tokens",
        (Protocol::OpenAiChat, Generate | CountTokens) => "/v1/chat/completions",
        (Protocol::OpenAiResponses, Generate) => "/v1/responses",
        (Protocol::OpenAiResponses, CountTokens) => "/v1/responses/input_tokens",
        (Protocol::Gemini, Generate) => "/v1beta/models/{model}:generateContent",
        (Protocol::Gemini, CountTokens) => "/v1beta/models/{model}:countTokens",
        (Protocol::DashScope, Generate | CountTokens) => {
            "/api/v1/services/aigc/text-generation/generation"
        }
    })
}

/// The name without control characters: they could be anything in a terminal, and one NUL makes
/// Prometheus refuse a whole page.
fn printable(name: &str) -> Cow<'_, str> {
    let is_plain = name.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if !is_plain && name.contains(char::is_control) {
        return name.replace(char::is_control, "\u{fffd}").into();
    }
    name.into()
}

/// Totals by name, at most so many; the rest is counted together.
#[derive(Debug)]
pub(crate) struct Named<T> {
    entries: BTreeMap<String, T>,
    other: T,
    limit: usize,
}

impl<T: Default> Named<T> {
    /// At most `limit` entries of their own.
    pub(super) fn new(limit: usize) -> Self {
        Self { entries: BTreeMap::new(), other: T::default(), limit }
    }

    /// The entry for a name from outside, or the one for all others. Only a name that something
    /// good happened to gets one: callers cannot fill it with inventions.
    pub(super) fn entry(&mut self, name: &str, is_good: bool) -> &mut T {
        let limit = if is_good { self.limit } else { 0 };
        self.insert(name, limit, T::default)
    }

    /// The entry for a name of ours, or the one for all others.
    pub(super) fn own(&mut self, name: &str, new: impl FnOnce() -> T) -> &mut T {
        self.insert(name, self.limit, new)
    }

    fn insert(&mut self, name: &str, limit: usize, new: impl FnOnce() -> T) -> &mut T {
        let name = printable(name);
        let name = cut(&name, MAX_NAME);
        if name == OTHER {
            return &mut self.other;
        }
        if !self.entries.contains_key(name) {
            if self.entries.len() >= limit {
                return &mut self.other;
            }
            self.entries.insert(name.to_owned(), new());
        }
        self.entries.get_mut(name).unwrap_or(&mut self.other)
    }

    /// All of them by name, the one for all others last.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        let named = self.entries.iter().map(|(name, value)| (name.as_str(), value));
        named.chain(std::iter::once((OTHER, &self.other)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded() {
        let mut named: Named<u64> = Named::new(2);
        for name in ["a", "bad", "b", "c", "a", "other"] {
            *named.entry(name, name != "bad") += 1;
        }
        *named.own("ours", || 10) += 1;
        let mut entries: Vec<_> = named.iter().map(|(name, count)| (name, *count)).collect();
        entries.sort_unstable();
        assert_eq!(entries, [("a", 2), ("b", 1), (OTHER, 4)]);
    }

    #[test]
    fn names_are_printable() {
        let mut named: Named<u64> = Named::new(9);
        for name in ["a\0b", "a\nb", "a\u{85}b", "a\u{fffd}b"] {
            *named.entry(name, true) += 1;
        }
        assert_eq!(named.iter().next(), Some(("a\u{fffd}b", &4)));
    }

    #[test]
    fn names_are_cut() {
        let mut named: Named<u64> = Named::new(9);
        let long = "x".repeat(MAX_NAME);
        *named.own(&format!("{long}1"), || 10) += 1;
        *named.entry(&format!("{long}2"), true) += 1;
        assert_eq!(named.iter().next(), Some((long.as_str(), &12)));
    }
}
