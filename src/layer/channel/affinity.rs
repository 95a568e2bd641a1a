//! Which conversation stays with which channel, so that the vendor's prompt cache keeps hitting.
//! Pure.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::Duration;

use http::HeaderMap;
use sha2::{Digest, Sha256};

use super::policy::Policy;
use crate::context::{ChannelId, ExchangeFacts, Principal, RequestFacts};
use crate::protocol::Protocol;

/// Headers that name a conversation of Responses, in their order.
const RESPONSES_HEADERS: [&str; 3] =
    ["conversation_id", "session_id", "x-gemini-api-privileged-user-id"];

/// Whoever may be recognised: a SHA-256 of the caller's protocol, the principal and the id of the
/// conversation. The id itself may tell people apart, so it is not kept.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct AffinityKey([u8; 32]);

impl AffinityKey {
    /// The key of a request; `None` where it names no conversation.
    pub(super) fn of(
        protocol: Protocol,
        headers: &HeaderMap,
        facts: &ExchangeFacts,
    ) -> Option<Self> {
        let id = conversation(protocol, headers, facts.request.as_ref())?;
        let principal = facts.principal.as_ref().map_or("", Principal::id);
        let mut hash = Sha256::new();
        for piece in [protocol.as_str().as_bytes(), principal.as_bytes(), id] {
            // With its length, so that no two triples run into the same bytes.
            hash.update((piece.len() as u64).to_be_bytes());
            hash.update(piece);
        }
        Some(Self(hash.finalize().into()))
    }
}

impl fmt::Debug for AffinityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AffinityKey(..)")
    }
}

/// What a request names its conversation by.
fn conversation<'a>(
    protocol: Protocol,
    headers: &'a HeaderMap,
    request: Option<&'a RequestFacts>,
) -> Option<&'a [u8]> {
    let of_headers = || {
        let named = match protocol {
            Protocol::OpenAiResponses => &RESPONSES_HEADERS[..],
            Protocol::Gemini => &RESPONSES_HEADERS[2..],
            _ => &[],
        };
        let values = named.iter().filter_map(|name| headers.get(*name));
        values.map(|value| value.as_bytes().trim_ascii()).find(|value| !value.is_empty())
    };
    let of_body = || {
        let request = request?;
        let named = match protocol {
            Protocol::Anthropic => [&request.user, &request.cache_key],
            _ => [&request.cache_key, &request.user],
        };
        let mut values = named.into_iter().flatten().map(|value| value.as_bytes());
        values.find(|value| !value.is_empty())
    };
    of_headers().or_else(of_body)
}

/// The channels of conversations, a bounded number of them.
#[derive(Debug, Default)]
pub(super) struct Affinities {
    entries: HashMap<AffinityKey, Entry>,
    /// Keys by the number of their last success: the first is the oldest.
    order: BTreeMap<u64, AffinityKey>,
    next: u64,
}

#[derive(Debug)]
struct Entry {
    channel: ChannelId,
    number: u64,
    succeeded: Duration,
}

impl Affinities {
    /// The channel where the conversation last succeeded, unless that is too long ago. Looking
    /// does not refresh it.
    pub(super) fn get(
        &self,
        key: &AffinityKey,
        policy: &Policy,
        now: Duration,
    ) -> Option<&ChannelId> {
        let entry = self.entries.get(key)?;
        (now.saturating_sub(entry.succeeded) < policy.affinity_ttl).then_some(&entry.channel)
    }

    /// The conversation succeeded there.
    pub(super) fn succeeded(
        &mut self,
        key: AffinityKey,
        channel: &ChannelId,
        policy: &Policy,
        now: Duration,
    ) {
        if !policy.has_affinity() {
            return;
        }
        self.expire(policy, now);
        self.next += 1;
        let entry = Entry { channel: channel.clone(), number: self.next, succeeded: now };
        if let Some(before) = self.entries.insert(key, entry) {
            self.order.remove(&before.number);
        }
        self.order.insert(self.next, key);
        if self.entries.len() > policy.max_affinities {
            self.evict();
        }
    }

    /// How many are remembered; what has run out is not counted.
    pub(super) fn len(&mut self, policy: &Policy, now: Duration) -> usize {
        self.expire(policy, now);
        self.entries.len()
    }

    fn expire(&mut self, policy: &Policy, now: Duration) {
        while self.oldest().is_some_and(|at| now.saturating_sub(at) >= policy.affinity_ttl) {
            self.evict();
        }
    }

    fn oldest(&self) -> Option<Duration> {
        let (_, key) = self.order.first_key_value()?;
        self.entries.get(key).map(|entry| entry.succeeded)
    }

    fn evict(&mut self) {
        if let Some((_, key)) = self.order.pop_first() {
            self.entries.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    fn facts(cache_key: &str, user: &str) -> RequestFacts {
        let text = |text: &str| (!text.is_empty()).then(|| text.into());
        RequestFacts { cache_key: text(cache_key), user: text(user), ..RequestFacts::default() }
    }

    #[test]
    fn each_protocol_names_its_conversation() {
        use Protocol::{Anthropic, DashScope, Gemini, OpenAiChat, OpenAiResponses};
        let all = headers(&[
            ("conversation_id", "conv"),
            ("session_id", "sess"),
            ("x-gemini-api-privileged-user-id", "gem"),
        ]);
        let session =
            headers(&[("session_id", "sess"), ("x-gemini-api-privileged-user-id", "gem")]);
        let empty = headers(&[("conversation_id", ""), ("session_id", "sess")]);
        let gemini = headers(&[("x-gemini-api-privileged-user-id", "gem")]);
        let none = headers(&[]);
        let rows = [
            (Anthropic, &all, facts("cache", "user"), Some("user")),
            (Anthropic, &all, facts("cache", ""), Some("cache")),
            (Anthropic, &all, facts("", ""), None),
            (OpenAiResponses, &all, facts("cache", "user"), Some("conv")),
            (OpenAiResponses, &session, facts("cache", "user"), Some("sess")),
            (OpenAiResponses, &empty, facts("cache", "user"), Some("sess")),
            (OpenAiResponses, &gemini, facts("cache", "user"), Some("gem")),
            (OpenAiResponses, &none, facts("cache", "user"), Some("cache")),
            (OpenAiResponses, &none, facts("", "user"), Some("user")),
            (OpenAiChat, &all, facts("cache", "user"), Some("cache")),
            (OpenAiChat, &all, facts("", "user"), Some("user")),
            (Gemini, &all, facts("", ""), Some("gem")),
            (Gemini, &none, facts("", "user"), Some("user")),
            (DashScope, &all, facts("", ""), None),
        ];
        for (protocol, headers, facts, expected) in rows {
            let found = conversation(protocol, headers, Some(&facts));
            assert_eq!(found, expected.map(str::as_bytes), "{protocol} {headers:?} {facts:?}");
        }
        let none = conversation(OpenAiResponses, &session, None);
        assert_eq!(none, Some(&b"sess"[..]), "headers do without the body");
    }

    fn key(protocol: Protocol, principal: &str, user: &str) -> AffinityKey {
        let facts = ExchangeFacts {
            principal: Some(Principal::new(principal)),
            request: Some(facts("", user)),
            ..ExchangeFacts::default()
        };
        AffinityKey::of(protocol, &HeaderMap::new(), &facts).unwrap()
    }

    #[test]
    fn keys_tell_protocols_principals_and_ids_apart() {
        let one = key(Protocol::Anthropic, "team", "u");
        assert_eq!(one, key(Protocol::Anthropic, "team", "u"));
        assert_ne!(one, key(Protocol::OpenAiResponses, "team", "u"));
        assert_ne!(one, key(Protocol::Anthropic, "other", "u"));
        assert_ne!(one, key(Protocol::Anthropic, "team", "v"));
        assert_ne!(key(Protocol::Anthropic, "a", "bc"), key(Protocol::Anthropic, "ab", "c"));
        assert_eq!(format!("{one:?}"), "AffinityKey(..)");
    }

    #[test]
    fn only_success_refreshes_it() {
        let (policy, minute) = (Policy::default(), Duration::from_secs(60));
        let (key, channel) = (key(Protocol::Anthropic, "", "u"), ChannelId::new("a"));
        let mut affinities = Affinities::default();
        affinities.succeeded(key, &channel, &policy, minute);
        assert_eq!(affinities.get(&key, &policy, minute * 30), Some(&channel));
        assert_eq!(affinities.get(&key, &policy, minute * 31), None);
        affinities.succeeded(key, &channel, &policy, minute * 30);
        assert_eq!(affinities.get(&key, &policy, minute * 59), Some(&channel));
        assert_eq!(affinities.len(&policy, minute * 59), 1);
        assert_eq!(affinities.len(&policy, minute * 60), 0);
    }

    #[test]
    fn the_oldest_of_too_many_goes() {
        let policy = Policy::default().max_affinities(2);
        let (channel, now) = (ChannelId::new("a"), Duration::ZERO);
        let keys = ["u", "v", "w"].map(|user| key(Protocol::Anthropic, "", user));
        let mut affinities = Affinities::default();
        for key in [0, 1, 0, 2].map(|which| keys[which]) {
            affinities.succeeded(key, &channel, &policy, now);
        }
        let kept = keys.map(|key| affinities.get(&key, &policy, now).is_some());
        assert_eq!((kept, affinities.order.len()), ([true, false, true], 2));
        let never = Policy::default().affinity_ttl(Duration::ZERO);
        affinities.succeeded(keys[1], &channel, &never, now);
        assert_eq!(affinities.get(&keys[1], &policy, now), None);
    }
}
