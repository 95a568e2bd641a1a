//! Names from outside, bounded.

use std::collections::HashMap;

use crate::protocol::{Operation, Protocol, Route};

/// Where everything beyond a limit is counted together.
pub const OTHER: &str = "other";

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

/// Totals by name. Only a name that something good happened to gets an entry, and only so many do:
/// callers cannot fill it with inventions.
#[derive(Debug)]
pub(super) struct Named<T> {
    entries: HashMap<String, T>,
    other: T,
    limit: usize,
}

impl<T: Default> Named<T> {
    /// At most `limit` entries; the rest is counted together.
    pub(super) fn new(limit: usize) -> Self {
        Self { entries: HashMap::new(), other: T::default(), limit }
    }

    /// The entry for `name`, or the one for all others.
    pub(super) fn entry(&mut self, name: &str, may_insert: bool) -> &mut T {
        if may_insert && self.entries.len() < self.limit && !self.entries.contains_key(name) {
            self.entries.insert(name.to_owned(), T::default());
        }
        self.entries.get_mut(name).unwrap_or(&mut self.other)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
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
        for name in ["a", "b", "c", "a", "bad"] {
            *named.entry(name, name != "bad") += 1;
        }
        let mut entries: Vec<_> = named.iter().map(|(name, count)| (name, *count)).collect();
        entries.sort_unstable();
        assert_eq!(entries, [("a", 2), ("b", 1), (OTHER, 2)]);
    }
}
