//! Who has a key.

use std::fmt;
use std::future::{Ready, ready};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use subtle::{ConditionallySelectable, ConstantTimeEq};

use crate::context::Principal;
use crate::secret::Secret;

/// Longest key in bytes; a longer one is unknown without asking.
pub const MAX_KEY_BYTES: usize = 1024;

/// Tells who has a key.
///
/// Closures that return a future are verifiers:
///
/// ```
/// use tower_llm_gateway::ApiKeyAuthLayer;
/// use tower_llm_gateway::context::Principal;
/// use tower_llm_gateway::layer::api_key_auth::VerifyError;
/// use tower_llm_gateway::secret::Secret;
///
/// let layer = ApiKeyAuthLayer::with_verifier(|key: Secret| async move {
///     match key.expose() {
///         "sk-team" => Ok(Principal::new("team")),
///         "sk-gone" => Err(VerifyError::Forbidden),
///         _ => Err(VerifyError::Unknown),
///     }
/// });
/// # let _ = layer;
/// ```
pub trait VerifyKey {
    /// The answer.
    type Future: Future<Output = Result<Principal, VerifyError>> + Send;

    /// Verifies a key of 1 to [`MAX_KEY_BYTES`] bytes.
    ///
    /// Whoever compares keys does it in constant time, or compares digests.
    fn verify(&self, key: Secret) -> Self::Future;
}

impl<F, R> VerifyKey for F
where
    F: Fn(Secret) -> R,
    R: Future<Output = Result<Principal, VerifyError>> + Send,
{
    type Future = R;

    fn verify(&self, key: Secret) -> R {
        self(key)
    }
}

/// Why a key is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VerifyError {
    /// Nobody has it: 401.
    Unknown,
    /// Somebody has it, who may not: 403.
    Forbidden,
    /// It cannot be told at the moment: 503.
    Unavailable,
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "invalid access key",
            Self::Forbidden => "this access key is not allowed",
            Self::Unavailable => "access keys cannot be verified now",
        })
    }
}

impl std::error::Error for VerifyError {}

/// A fixed set of keys, each with its principal. Only SHA-256 digests are kept.
///
/// ```
/// use tower_llm_gateway::ApiKeyAuthLayer;
/// use tower_llm_gateway::context::Principal;
/// use tower_llm_gateway::layer::api_key_auth::{BadKey, StaticKeys};
///
/// let keys = StaticKeys::new([("sk-a", Principal::new("team a"))])?;
/// let layer = ApiKeyAuthLayer::with_verifier(keys);
/// assert_eq!(StaticKeys::new([("", Principal::new("nobody"))]).unwrap_err(), BadKey::Empty);
/// # let _ = layer;
/// # Ok::<(), BadKey>(())
/// ```
#[derive(Clone)]
pub struct StaticKeys {
    keys: Arc<[([u8; 32], Principal)]>,
}

impl StaticKeys {
    /// The keys and who has them. An empty set lets nobody in.
    ///
    /// # Errors
    /// When a key is empty, longer than [`MAX_KEY_BYTES`], or there twice.
    pub fn new<K: Into<Secret>>(
        keys: impl IntoIterator<Item = (K, Principal)>,
    ) -> Result<Self, BadKey> {
        let mut digests: Vec<([u8; 32], Principal)> = Vec::new();
        for (key, principal) in keys {
            let key = key.into();
            let digest = match key.expose().len() {
                0 => return Err(BadKey::Empty),
                1..=MAX_KEY_BYTES => digest(&key),
                _ => return Err(BadKey::TooLong),
            };
            if digests.iter().any(|(other, _)| *other == digest) {
                return Err(BadKey::Duplicate);
            }
            digests.push((digest, principal));
        }
        Ok(Self { keys: digests.into() })
    }

    /// Looks at every key, whichever matches, so that the time tells nothing.
    fn find(&self, key: &Secret) -> Option<&Principal> {
        let digest = digest(key);
        let mut found = u64::MAX;
        for (index, (other, _)) in (0..).zip(self.keys.iter()) {
            found.conditional_assign(&index, other.ct_eq(&digest));
        }
        let (_, principal) = self.keys.get(usize::try_from(found).ok()?)?;
        Some(principal)
    }
}

impl VerifyKey for StaticKeys {
    type Future = Ready<Result<Principal, VerifyError>>;

    fn verify(&self, key: Secret) -> Self::Future {
        ready(self.find(&key).cloned().ok_or(VerifyError::Unknown))
    }
}

impl fmt::Debug for StaticKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|(_, principal)| principal)).finish()
    }
}

fn digest(key: &Secret) -> [u8; 32] {
    Sha256::digest(key.expose()).into()
}

/// A key that cannot be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BadKey {
    /// It is empty.
    Empty,
    /// It is longer than [`MAX_KEY_BYTES`].
    TooLong,
    /// It is there twice.
    Duplicate,
}

impl fmt::Display for BadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("access key is empty"),
            Self::TooLong => write!(f, "access key is longer than {MAX_KEY_BYTES} bytes"),
            Self::Duplicate => f.write_str("access key is there twice"),
        }
    }
}

impl std::error::Error for BadKey {}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(keys: &[&str]) -> Result<StaticKeys, BadKey> {
        StaticKeys::new(keys.iter().map(|key| (*key, Principal::new(format!("has {key}")))))
    }

    #[test]
    fn each_key_has_its_principal() {
        let keys = keys(&["a", "b", "ключ"]).unwrap();
        for key in ["a", "b", "ключ"] {
            assert_eq!(keys.find(&key.into()).unwrap().id(), format!("has {key}"));
        }
        for key in ["", "c", "A", "ab", " a"] {
            assert!(keys.find(&key.into()).is_none(), "{key:?}");
        }
        assert!(super::StaticKeys::new::<&str>([]).unwrap().find(&"a".into()).is_none());
    }

    #[test]
    fn bad_keys_are_refused() {
        let long = "k".repeat(MAX_KEY_BYTES + 1);
        assert_eq!(keys(&["a", ""]).unwrap_err(), BadKey::Empty);
        assert_eq!(keys(&[&long]).unwrap_err(), BadKey::TooLong);
        assert_eq!(keys(&["a", "b", "a"]).unwrap_err(), BadKey::Duplicate);
        assert!(keys(&[&long[1..]]).is_ok());
    }

    #[test]
    fn debug_hides_keys() {
        let keys = StaticKeys::new([("sk-secret", Principal::new("team"))]).unwrap();
        assert_eq!(format!("{keys:?}"), r#"[Principal { id: "team", models: None }]"#);
    }
}
