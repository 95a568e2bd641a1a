//! The envelope in which a seal travels through the slot of another vendor's protocol.
//!
//! ```text
//! llmx1.<vendor><upstream><kind><place>:<home>:<mark>:<check>:<data>
//! ```
//!
//! Four letters, three marks of 16 hexadecimal digits (the second may be empty), and the seal
//! exactly as its maker wrote it. `home` tells the upstream's [`VendorTag`], `mark` which text or
//! call the seal belongs to, `check` finds damage: none is a secret, as a seal proves itself to its
//! maker. Gemini takes base64 alone: there the whole envelope is encoded once more.

use std::borrow::Cow;
use std::fmt;
use std::sync::LazyLock;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use memchr::memmem::Finder;
use sha2::{Digest, Sha256};

use super::Protocol;
use super::json::JsonStr;
use super::model::{Seal, SealKind, Vendor};

/// What every envelope begins with. Nothing else is ever opened.
pub(crate) const PREFIX: &str = "llmx1.";

/// [`PREFIX`] in base64: six bytes are eight digits, whatever follows.
pub(crate) const ENCODED_PREFIX: &str = "bGxteDEu";

/// Longest seal that is put into an envelope, and most bytes of one that is opened: 1 MiB.
pub(crate) const MAX_ENVELOPE: usize = 1 << 20;

/// Clients re-encode what they take for bytes: with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Where a seal belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// To the part in whose slot the envelope stands.
    Here,
    /// To the thinking in whose slot it stands, if its text is still this one.
    Signed(Mark),
    /// To the call with this id.
    Call(Mark),
    /// To the words right before.
    Words,
    /// To a text without words, right here.
    Silence,
    /// There is none: the thinking in whose slot the envelope stands came without. Whoever seals
    /// theirs would refuse it.
    Nowhere,
}

/// A seal and what must be known to give it back.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Envelope<'a> {
    pub(crate) seal: Seal<'a>,
    pub(crate) home: Home,
    pub(crate) place: Place,
}

/// An upstream as seals know it: they go back to the one that they came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Home {
    pub(crate) protocol: Protocol,
    pub(crate) vendor: VendorTag,
}

/// Tells vendors apart, so that none is sent what another one sealed.
///
/// It is the head of a hash of the vendor's name, and goes out to callers: not a secret, and it
/// says nothing to who does not know the name. The default is that of a host with one vendor only.
///
/// ```
/// use tower_llm_gateway::protocol::VendorTag;
///
/// assert_eq!(VendorTag::of("api.example.com"), VendorTag::of("API.Example.com"));
/// assert_ne!(VendorTag::of("api.example.com"), VendorTag::default());
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct VendorTag(Mark);

impl VendorTag {
    /// The tag of a vendor by its name; letter case makes no difference.
    #[must_use]
    pub fn of(name: &str) -> Self {
        Self(Mark::from(Sha256::new_with_prefix(name.to_ascii_lowercase())))
    }

    /// The eight bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 8] {
        &self.0.0
    }
}

impl fmt::Display for VendorTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whether a seal is in an envelope, as far as its first bytes tell.
pub(crate) fn is_envelope(data: &JsonStr<'_>) -> bool {
    [PREFIX, ENCODED_PREFIX].iter().any(|prefix| data.escaped().starts_with(prefix))
}

/// What envelopes begin with. Making a finder costs more than its search.
static BEGINNINGS: LazyLock<[Finder<'static>; 2]> =
    LazyLock::new(|| [PREFIX, ENCODED_PREFIX].map(Finder::new));

/// Whether a document may hold an envelope anywhere.
pub(crate) fn may_hold_envelope(document: &[u8]) -> bool {
    BEGINNINGS.iter().any(|beginning| beginning.find(document).is_some())
}

/// It has our prefix, but is none of ours or was changed on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Damaged;

impl<'a> Envelope<'a> {
    /// The text of the envelope; `None` where the seal is too long.
    pub(crate) fn encode(&self) -> Option<JsonStr<'static>> {
        let data = self.seal.data.escaped();
        if data.len() > MAX_ENVELOPE - HEADER {
            return None;
        }
        let (place, mark) = match self.place {
            Place::Here => ('h', None),
            Place::Signed(mark) => ('s', Some(mark)),
            Place::Call(mark) => ('c', Some(mark)),
            Place::Words => ('w', None),
            Place::Silence => ('e', None),
            Place::Nowhere => ('n', None),
        };
        let tag = [
            letter(&VENDORS, self.seal.vendor),
            letter(&UPSTREAMS, self.home.protocol),
            letter(&KINDS, self.seal.kind),
            place,
        ];
        let tag = format!("{}:{}", String::from_iter(tag), self.home.vendor);
        let mark = mark.map(|mark| mark.to_string()).unwrap_or_default();
        let check = check(&tag, &mark, &self.seal.data);
        Some(JsonStr::from_escaped(format!("{PREFIX}{tag}:{mark}:{check}:{data}")))
    }

    /// The envelope as base64, for Gemini.
    pub(crate) fn encode_base64(&self) -> Option<JsonStr<'static>> {
        let text = self.encode()?;
        Some(JsonStr::from_escaped(BASE64.encode(text.decode().as_bytes())))
    }

    /// Opens an envelope; `None` for what is none.
    pub(crate) fn decode(text: &JsonStr<'a>) -> Option<Result<Self, Damaged>> {
        if text.escaped().starts_with(PREFIX) {
            return Some(Self::open(text));
        }
        if text.escaped().starts_with(ENCODED_PREFIX) {
            return Some(from_base64(text).and_then(|text| Self::open(&text)));
        }
        None
    }

    fn open(text: &JsonStr<'a>) -> Result<Self, Damaged> {
        if text.escaped().len() > MAX_ENVELOPE {
            return Err(Damaged);
        }
        let mut next = text.clone();
        let mut field = || {
            let (field, rest) = next.split_once(':').ok_or(Damaged)?;
            next = rest;
            Ok(field)
        };
        let (letters, vendor, mark, given) = (field()?, field()?, field()?, field()?);
        let data = next;
        let letters = letters.escaped().strip_prefix(PREFIX).ok_or(Damaged)?;
        let tag = format!("{letters}:{}", vendor.escaped());
        if given.escaped() != check(&tag, mark.escaped(), &data).to_string() {
            return Err(Damaged);
        }
        let vendor = VendorTag(Mark::parse(vendor.escaped()).ok_or(Damaged)?);
        let letters: Vec<char> = letters.chars().collect();
        let [maker, upstream, kind, place] = letters[..] else { return Err(Damaged) };
        let mark = || Mark::parse(mark.escaped()).ok_or(Damaged);
        let place = match place {
            'h' => Place::Here,
            's' => Place::Signed(mark()?),
            'c' => Place::Call(mark()?),
            'w' => Place::Words,
            'e' => Place::Silence,
            'n' => Place::Nowhere,
            _ => return Err(Damaged),
        };
        let seal = Seal { vendor: named(&VENDORS, maker)?, kind: named(&KINDS, kind)?, data };
        let home = Home { protocol: named(&UPSTREAMS, upstream)?, vendor };
        Ok(Self { seal, home, place })
    }
}

/// What stands before the data, at most.
const HEADER: usize = 80;

fn from_base64(text: &JsonStr<'_>) -> Result<JsonStr<'static>, Damaged> {
    if text.escaped().len() > MAX_ENVELOPE / 3 * 4 + 4 {
        return Err(Damaged);
    }
    // Google's own library writes bytes in the alphabet for URLs.
    let text = text.decode();
    let text = if text.contains(['-', '_']) {
        Cow::Owned(text.replace('-', "+").replace('_', "/"))
    } else {
        text
    };
    let bytes = BASE64.decode(text.as_bytes()).map_err(|_| Damaged)?;
    Ok(JsonStr::from_plain(String::from_utf8(bytes).map_err(|_| Damaged)?))
}

fn check(tag: &str, mark: &str, data: &JsonStr<'_>) -> Mark {
    let mut hash = Sha256::new();
    for piece in [tag, ":", mark, ":", &*data.decode()] {
        hash.update(piece.as_bytes());
    }
    Mark::from(hash)
}

const VENDORS: [(char, Vendor); 6] = [
    ('a', Vendor::Anthropic),
    ('o', Vendor::OpenAi),
    ('g', Vendor::Gemini),
    ('d', Vendor::DashScope),
    ('l', Vendor::Gateway),
    ('u', Vendor::Unknown),
];

const UPSTREAMS: [(char, Protocol); 5] = [
    ('a', Protocol::Anthropic),
    ('c', Protocol::OpenAiChat),
    ('r', Protocol::OpenAiResponses),
    ('g', Protocol::Gemini),
    ('d', Protocol::DashScope),
];

const KINDS: [(char, SealKind); 4] = [
    ('s', SealKind::Signature),
    ('r', SealKind::Redacted),
    ('e', SealKind::Encrypted),
    ('t', SealKind::ThoughtSignature),
];

/// The letter of a value; the tables are complete.
fn letter<T: Copy + PartialEq>(table: &[(char, T)], value: T) -> char {
    table.iter().find(|(_, entry)| *entry == value).map_or('?', |(letter, _)| *letter)
}

fn named<T: Copy>(table: &[(char, T)], letter: char) -> Result<T, Damaged> {
    table.iter().find(|(name, _)| *name == letter).map(|(_, value)| *value).ok_or(Damaged)
}

/// The head of a SHA-256: tells texts apart, and does not say them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Mark([u8; 8]);

impl Mark {
    pub(crate) fn of(text: &JsonStr<'_>) -> Self {
        Self::from(Sha256::new_with_prefix(text.decode().as_bytes()))
    }

    fn parse(text: &str) -> Option<Self> {
        let plain = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let number = u64::from_str_radix(text, 16).ok().filter(|_| plain)?;
        Some(Self(number.to_be_bytes()))
    }
}

impl From<Sha256> for Mark {
    fn from(hash: Sha256) -> Self {
        let mut mark = [0; 8];
        mark.copy_from_slice(&hash.finalize()[..8]);
        Self(mark)
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

/// The mark of a text that comes in pieces, which may cut a surrogate pair apart.
#[derive(Clone, Default)]
pub(crate) struct Marker {
    hash: Sha256,
    /// The first half of a pair.
    held: String,
}

impl Marker {
    pub(crate) fn push(&mut self, piece: &JsonStr<'_>) {
        if self.held.is_empty() && !ends_in_half(piece.escaped()) {
            return self.hash.update(piece.decode().as_bytes());
        }
        let mut joined = std::mem::take(&mut self.held);
        joined.push_str(piece.escaped());
        if ends_in_half(&joined) {
            self.held = joined.split_off(joined.len() - ESCAPE);
        }
        self.hash.update(JsonStr::from_escaped(joined).decode().as_bytes());
    }

    pub(crate) fn mark(&self) -> Mark {
        let mut hash = self.hash.clone();
        hash.update(JsonStr::from_escaped(self.held.clone()).decode().as_bytes());
        Mark::from(hash)
    }
}

impl PartialEq for Marker {
    fn eq(&self, other: &Self) -> bool {
        self.mark() == other.mark() && self.held == other.held
    }
}

impl fmt::Debug for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.mark())
    }
}

/// Length of `\u1234`.
const ESCAPE: usize = 6;

/// Whether an escaped text ends in the first half of a surrogate pair.
fn ends_in_half(escaped: &str) -> bool {
    let bytes = escaped.as_bytes();
    let Some((before, last)) = bytes.len().checked_sub(ESCAPE).map(|at| bytes.split_at(at)) else {
        return false;
    };
    let [b'\\', b'u', b'd' | b'D', b'8' | b'9' | b'a' | b'b' | b'A' | b'B', ..] = last else {
        return false;
    };
    // An even number of backslashes before it are escaped ones.
    before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn home(protocol: Protocol) -> Home {
        Home { protocol, vendor: VendorTag::of("vendor") }
    }

    fn envelope(data: &str, place: Place) -> Envelope<'static> {
        let data = JsonStr::from_plain(data.to_owned());
        let seal = Seal { vendor: Vendor::Gemini, kind: SealKind::ThoughtSignature, data };
        Envelope { seal, home: home(Protocol::Gemini), place }
    }

    #[test]
    fn the_prefix_in_base64() {
        assert_eq!(BASE64.encode(PREFIX), ENCODED_PREFIX);
    }

    #[test]
    fn all_letters_come_back() {
        let mark = Mark::of(&JsonStr::from_plain("text"));
        let places = [
            Place::Here,
            Place::Signed(mark),
            Place::Call(mark),
            Place::Words,
            Place::Silence,
            Place::Nowhere,
        ];
        for (_, vendor) in VENDORS {
            for (_, upstream) in UPSTREAMS {
                for (_, kind) in KINDS {
                    for place in places {
                        let data = JsonStr::from_plain("Ev4DCkYI+/=");
                        let (seal, home) = (Seal { vendor, kind, data }, home(upstream));
                        let sent = Envelope { seal, home, place };
                        let text = sent.encode().unwrap();
                        assert_eq!(Envelope::decode(&text), Some(Ok(sent.clone())));
                        let text = sent.encode_base64().unwrap();
                        assert_eq!(Envelope::decode(&text), Some(Ok(sent)));
                    }
                }
            }
        }
    }

    #[test]
    fn only_our_prefix_is_opened() {
        for text in ["", "llmx1", "llmx2.ggth:::x", "EvwBCkYI", "bGxteDE", "gAAAAABo"] {
            assert_eq!(Envelope::decode(&JsonStr::from_plain(text)), None, "{text}");
        }
        for text in [
            "llmx1.",
            "llmx1.ggth:::x",
            "llmx1.ggth::0000000000000000:x",
            "llmx1.ggth:0000000000000000::0000000000000000:x",
            "bGxteDEu=",
            "bGxteDEuAA",
        ] {
            assert_eq!(Envelope::decode(&JsonStr::from_plain(text)), Some(Err(Damaged)), "{text}");
        }
    }

    #[test]
    fn the_alphabet_for_urls_is_taken_too() {
        let sent = envelope("\u{3ff}\u{fff}>>>???", Place::Words);
        let text = sent.encode_base64().unwrap();
        let urls = text.escaped().replace('+', "-").replace('/', "_");
        let urls = urls.trim_end_matches('=').to_owned();
        assert_ne!(urls, text.escaped());
        assert_eq!(Envelope::decode(&JsonStr::from_plain(urls)), Some(Ok(sent)));
    }

    #[test]
    fn size_is_bounded() {
        assert!(envelope(&"x".repeat(MAX_ENVELOPE - HEADER), Place::Here).encode().is_some());
        assert_eq!(envelope(&"x".repeat(MAX_ENVELOPE), Place::Here).encode(), None);
        let long = JsonStr::from_plain(format!("llmx1.{}", "x".repeat(MAX_ENVELOPE)));
        assert_eq!(Envelope::decode(&long), Some(Err(Damaged)));
        let long = JsonStr::from_plain(format!("bGxteDEu{}", "A".repeat(MAX_ENVELOPE * 2)));
        assert_eq!(Envelope::decode(&long), Some(Err(Damaged)));
    }

    #[test]
    fn halves_of_pairs() {
        assert!(ends_in_half(r"a\ud83d") && ends_in_half(r"\\\uDAaa"));
        assert!(!ends_in_half(r"\\ud83d") && !ends_in_half(r"\udc00") && !ends_in_half("ud83d"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_data_comes_back(data in "\\PC{0,40}", signed in any::<bool>()) {
            let mark = Mark::of(&JsonStr::from_plain(&*data));
            let sent = envelope(&data, if signed { Place::Signed(mark) } else { Place::Here });
            for text in [sent.encode().unwrap(), sent.encode_base64().unwrap()] {
                prop_assert_eq!(Envelope::decode(&text), Some(Ok(sent.clone())));
            }
        }

        #[test]
        fn damage_is_found(data in "[a-zA-Z0-9+/]{1,40}", at in any::<prop::sample::Index>()) {
            let sent = envelope(&data, Place::Here).encode().unwrap();
            let mut bytes = sent.escaped().as_bytes().to_vec();
            let at = PREFIX.len() + at.index(bytes.len() - PREFIX.len());
            bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
            let text = JsonStr::from_plain(String::from_utf8(bytes).unwrap());
            prop_assert_eq!(Envelope::decode(&text), Some(Err(Damaged)));
        }

        #[test]
        fn garbage_never_panics(text in "(llmx1\\.|bGxteDEu)?[a-z:0-9+/=\\PC]{0,60}") {
            let _ = Envelope::decode(&JsonStr::from_plain(text));
        }

        #[test]
        fn marks_do_not_see_cuts(text in "[a-z\u{1f600}\u{e9}\\\\\"]{0,12}", cut in any::<prop::sample::Index>()) {
            let mut escaped = String::new();
            for unit in text.encode_utf16() {
                escaped.push_str(&format!("\\u{unit:04x}"));
            }
            let whole = JsonStr::from_escaped(escaped.clone());
            let cut = cut.index(text.encode_utf16().count() + 1) * ESCAPE;
            let mut marker = Marker::default();
            marker.push(&whole.slice(0..cut).unwrap());
            marker.push(&whole.slice(cut..escaped.len()).unwrap());
            prop_assert_eq!(marker.mark(), Mark::of(&whole));
            prop_assert_eq!(marker.mark(), Mark::of(&JsonStr::from_plain(&*text)));
        }
    }
}
