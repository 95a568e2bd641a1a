use std::fmt;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::protocol::VendorTag;

/// Keeps what callers of some protocols cannot carry.
///
/// Losing an entry is no error: the vendor then gets a history without that thinking, which is a
/// loss in the translation's report, and Messages is asked not to think in that turn. So a vault
/// may forget whatever it wants, and there is nothing to say when it fails.
///
/// Both methods are called while a request or a stream is polled, and once for each call of a
/// history: they must not wait. A store that several instances share stands behind a
/// [`MemoryVault`](super::MemoryVault) of each: `put` leaves a copy in a bounded queue that a task
/// of the host writes to the network from, and what the others wrote is `put` into this one as it
/// is announced. A conversation's next request comes seconds later, when the tool is done. This
/// costs a request no round trip; futures here would cost each one, for histories of hundreds of
/// calls.
///
/// Values may hold what the model thought: treat them as the conversation itself.
pub trait SealVault: Send + Sync {
    /// What was put there last, if it is still kept.
    fn get(&self, key: &VaultKey) -> Option<Bytes>;

    /// Keeps a value, in place of an earlier one.
    fn put(&self, key: VaultKey, value: Bytes);
}

/// Where a value is kept: a SHA-256 of who called, whose upstream it was, the conversation, and the
/// id of the call. No one reads another's thinking, and none reaches another vendor.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VaultKey([u8; 32]);

impl VaultKey {
    /// The key of a call. `principal` is empty where callers are not told apart, `conversation`
    /// where it has no name: then the ids of calls must tell a caller's conversations apart, as
    /// those do that vendors make.
    #[must_use]
    pub fn new(principal: &str, vendor: VendorTag, conversation: &str, call_id: &str) -> Self {
        let mut hash = Sha256::new_with_prefix(vendor.as_bytes());
        for piece in [principal, conversation, call_id] {
            // With its length, so that no two triples run into the same bytes.
            hash.update((piece.len() as u64).to_be_bytes());
            hash.update(piece.as_bytes());
        }
        Self(hash.finalize().into())
    }

    /// The hash.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for VaultKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VaultKey(")?;
        self.0.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_tell_their_parts_apart() {
        let (one, two) = (VendorTag::of("one"), VendorTag::of("two"));
        let key = VaultKey::new("ab", one, "c", "d");
        assert_eq!(key, VaultKey::new("ab", one, "c", "d"));
        for (principal, vendor, conversation, call) in [
            ("a", one, "c", "d"),
            ("ab", two, "c", "d"),
            ("ab", one, "d", "d"),
            ("ab", one, "c", "c"),
            ("", one, "abc", "d"),
            ("abc", one, "", "d"),
            ("ab", one, "cd", ""),
        ] {
            assert_ne!(key, VaultKey::new(principal, vendor, conversation, call));
        }
        assert_eq!(format!("{key:?}").len(), "VaultKey(00000000..)".len());
    }
}
