use std::sync::Arc;

use tower_layer::Layer;

use super::service::ApiKeyAuth;
use super::sources::KeySources;
use super::verify::{BadKey, StaticKeys};
use crate::context::Principal;
use crate::secret::Secret;

/// Lets in who has a key. See the [module docs](super).
#[derive(Debug)]
pub struct ApiKeyAuthLayer<V = StaticKeys> {
    verifier: Arc<V>,
    rules: Arc<Rules>,
}

/// Who is asked for a key, and where it may be.
#[derive(Debug, Clone, Default)]
pub(super) struct Rules {
    pub(super) sources: KeySources,
    exempt_paths: Vec<String>,
    exempt_prefixes: Vec<String>,
}

impl ApiKeyAuthLayer {
    /// Takes these keys; their principals are `key-1`, `key-2` and so on. For other names see
    /// [`StaticKeys::new`]. Without any key nobody is let in.
    ///
    /// # Errors
    /// When a key is empty, longer than [`MAX_KEY_BYTES`](super::MAX_KEY_BYTES), or there twice.
    pub fn new<K: Into<Secret>>(keys: impl IntoIterator<Item = K>) -> Result<Self, BadKey> {
        let principal = |number| Principal::new(format!("key-{number}"));
        let keys = (1_u64..).zip(keys).map(|(number, key)| (key, principal(number)));
        Ok(Self::with_verifier(StaticKeys::new(keys)?))
    }
}

impl<V> ApiKeyAuthLayer<V> {
    /// Asks this verifier. `V` is a [`VerifyKey`](super::VerifyKey).
    #[must_use]
    pub fn with_verifier(verifier: V) -> Self {
        Self { verifier: Arc::new(verifier), rules: Arc::default() }
    }

    /// Where a key may be. Default: [`KeySources::default`].
    #[must_use]
    pub fn sources(mut self, sources: KeySources) -> Self {
        self.rules_mut().sources = sources;
        self
    }

    /// Lets everybody to this path, and nothing is stripped there. Default: no path.
    #[must_use]
    pub fn exempt_path(mut self, path: impl Into<String>) -> Self {
        self.rules_mut().exempt_paths.push(path.into());
        self
    }

    /// Lets everybody to this path and those below it: `/assets` is not `/assets2`. Paths with
    /// `.` or `..` segments, `%` or `\` are never below it, as somebody inside may read them as
    /// other ones. An empty prefix exempts nothing. Default: no path.
    #[must_use]
    pub fn exempt_prefix(mut self, prefix: &str) -> Self {
        let prefix = prefix.trim_end_matches('/');
        if !prefix.is_empty() {
            self.rules_mut().exempt_prefixes.push(prefix.to_owned());
        }
        self
    }

    fn rules_mut(&mut self) -> &mut Rules {
        Arc::make_mut(&mut self.rules)
    }
}

impl Rules {
    pub(super) fn exempts(&self, path: &str) -> bool {
        let below = |prefix: &String| {
            path.strip_prefix(prefix.as_str()).is_some_and(|r| r.is_empty() || r.starts_with('/'))
        };
        self.exempt_paths.iter().any(|exempt| exempt == path)
            || (self.exempt_prefixes.iter().any(below) && is_plain(path))
    }
}

/// Whether nobody can read this path as another one.
fn is_plain(path: &str) -> bool {
    !path.contains(['%', '\\']) && !path.split('/').any(|segment| matches!(segment, "." | ".."))
}

impl<V> Clone for ApiKeyAuthLayer<V> {
    fn clone(&self) -> Self {
        Self { verifier: self.verifier.clone(), rules: self.rules.clone() }
    }
}

impl<S, V> Layer<S> for ApiKeyAuthLayer<V> {
    type Service = ApiKeyAuth<S, V>;

    fn layer(&self, inner: S) -> Self::Service {
        ApiKeyAuth::new(inner, self.verifier.clone(), self.rules.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exempt_paths() {
        let layer = ApiKeyAuthLayer::new(["k"]).unwrap();
        let layer = layer.exempt_path("/health").exempt_prefix("/assets/").exempt_prefix("/");
        for (path, exempt) in [
            ("/health", true),
            ("/healthz", false),
            ("/health/", false),
            ("/x/health", false),
            ("/assets", true),
            ("/assets/a.js", true),
            ("/assets2", false),
            ("/assets/../v1/messages", false),
            ("/assets/./a", false),
            ("/assets/%2e%2e/v1/messages", false),
            ("/assets/..\\v1", false),
            ("/v1/x.js", false),
            ("/", false),
        ] {
            assert_eq!(layer.rules.exempts(path), exempt, "{path}");
        }
    }
}
