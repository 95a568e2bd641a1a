//! Text that must not be seen.

pub(crate) mod mask;
pub(crate) mod names;
pub(crate) mod query;

use std::fmt;

use http::HeaderValue;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// A key or token: wiped from memory when dropped, never printed.
///
/// ```
/// use tower_llm_gateway::secret::Secret;
///
/// let key = Secret::new("sk-ant-123456789");
/// assert_eq!(format!("{key:?}"), "Secret(***)");
/// assert_eq!(key.masked(), "sk-***89");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself. Whoever calls this answers for where it goes.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// A form for people: [`redact::mask`](crate::redact::mask).
    #[must_use]
    pub fn masked(&self) -> String {
        mask::mask(&self.0)
    }

    /// A name that stays with the text and does not tell it: `key_sha256_` and the first 8
    /// hexadecimal digits of its SHA-256.
    ///
    /// ```
    /// let key = tower_llm_gateway::secret::Secret::new("abc");
    /// assert_eq!(key.fingerprint(), "key_sha256_ba7816bf");
    /// ```
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let hash = Sha256::digest(self.0.as_bytes());
        let digits = hash.iter().take(4).map(|byte| format!("{byte:02x}"));
        std::iter::once("key_sha256_".to_owned()).chain(digits).collect()
    }

    /// As the value of a header, marked sensitive, with `prefix` before it. `None` when it holds
    /// characters that no header may.
    #[must_use]
    pub fn header(&self, prefix: &str) -> Option<HeaderValue> {
        let text = Zeroizing::new(format!("{prefix}{}", self.expose()));
        let mut value = HeaderValue::from_str(&text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_sensitive() {
        let value = Secret::new("k").header("Bearer ").unwrap();
        assert!(value.is_sensitive());
        assert_eq!(value, "Bearer k");
        assert!(Secret::new("a\nb").header("").is_none());
    }
}
