use std::fmt;
use std::sync::Arc;

use http::uri::{self, Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Uri};

use super::{Connection, ModelMap};
use crate::protocol::dialect::{Dialect, SharedDialect};
use crate::protocol::profile::Profiles;
use crate::protocol::{Protocol, Target, VendorTag, is_version};
use crate::secret::Secret;

/// Where requests go and what is spoken there.
///
/// Given to [`ProviderTranslateLayer`](crate::ProviderTranslateLayer), or put into the extensions
/// of a request by an outer layer, which then wins.
///
/// ```
/// use tower_llm_gateway::context::Upstream;
/// use tower_llm_gateway::protocol::Protocol;
///
/// let upstream = Upstream::new("https://api.example.com/v1", Protocol::OpenAiChat)?
///     .key("sk-123")?
///     .map_model("claude-sonnet", "gpt-5");
/// assert_eq!(upstream.uri_for("/v1/chat/completions", None).unwrap(),
///     "https://api.example.com/v1/chat/completions");
/// # Ok::<(), tower_llm_gateway::context::BadUpstream>(())
/// ```
#[derive(Clone)]
pub struct Upstream(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    scheme: Scheme,
    authority: Authority,
    /// Path of the base URL without a slash at its end.
    base_path: Arc<str>,
    /// The base URL ended with `#`: never add a version segment.
    verbatim: bool,
    protocol: Option<Protocol>,
    key: UpstreamKey,
    models: ModelMap,
    profiles: Profiles,
    dialect: Option<SharedDialect>,
    connection: Connection,
    vendor: VendorTag,
    provider: Option<Arc<str>>,
}

/// Longest [name of a provider](Upstream::provider), in bytes.
pub const MAX_PROVIDER_NAME: usize = 64;

/// Which credential the upstream gets.
///
/// In the extensions of a request, where a pool of keys leaves the one that it leased, it wins
/// over that of the [`Upstream`].
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum UpstreamKey {
    /// The caller's own, in the form that the upstream's protocol has; where the caller speaks that
    /// protocol, untouched, and its cookies too, which no other variant lets pass. The default.
    #[default]
    Caller,
    /// Ours.
    Ours(KeyHeaders),
    /// None.
    None,
}

/// A key in the forms in which a header carries it. `Debug` hides it.
#[derive(Debug, Clone)]
pub struct KeyHeaders {
    plain: HeaderValue,
    bearer: HeaderValue,
}

impl KeyHeaders {
    /// The headers of a key; `None` when it is empty or holds what no header may.
    #[must_use]
    pub fn new(key: &Secret) -> Option<Self> {
        if key.expose().is_empty() {
            return None;
        }
        Some(Self { plain: key.header("")?, bearer: key.header("Bearer ")? })
    }

    /// The key alone, for `x-api-key` and its like.
    #[must_use]
    pub fn plain(&self) -> &HeaderValue {
        &self.plain
    }

    /// For `authorization`.
    #[must_use]
    pub fn bearer(&self) -> &HeaderValue {
        &self.bearer
    }
}

/// An upstream that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadUpstream {
    /// It does not parse.
    Invalid,
    /// It has no `http` or `https` scheme.
    Scheme,
    /// It has a query, or a user name or password.
    Extra,
    /// Its key is empty or holds characters that no header may.
    Key,
    /// The name of its provider is empty, longer than [`MAX_PROVIDER_NAME`], or holds other than
    /// visible ASCII.
    Provider,
}

impl fmt::Display for BadUpstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Invalid => "upstream is not a valid URL",
            Self::Scheme => "upstream must begin with http:// or https://",
            Self::Extra => "upstream must have neither a query nor a user name or password",
            Self::Key => "upstream key is empty or holds characters that no header may",
            Self::Provider => "upstream provider must be 1 to 64 visible ASCII characters",
        })
    }
}

impl std::error::Error for BadUpstream {}

impl Upstream {
    /// An upstream at `base`, such as `https://api.anthropic.com`.
    ///
    /// A version segment (`/v1`) is added to the path where `base` does not end with one; a `#` at
    /// its end forbids that.
    ///
    /// # Errors
    /// When `base` is no absolute `http` or `https` URL, or carries a query or credentials.
    pub fn new(base: &str, protocol: Protocol) -> Result<Self, BadUpstream> {
        Ok(Self::same_protocol(base)?.with(|inner| inner.protocol = Some(protocol)))
    }

    /// An upstream that speaks whatever the caller speaks.
    ///
    /// # Errors
    /// As [`Upstream::new`].
    pub fn same_protocol(base: &str) -> Result<Self, BadUpstream> {
        let base = base.trim();
        let (base, verbatim) = base.strip_suffix('#').map_or((base, false), |base| (base, true));
        let uri: Uri = base.parse().map_err(|_| BadUpstream::Invalid)?;
        let scheme = uri.scheme().cloned().ok_or(BadUpstream::Scheme)?;
        if scheme != Scheme::HTTP && scheme != Scheme::HTTPS {
            return Err(BadUpstream::Scheme);
        }
        let authority = uri.authority().cloned().ok_or(BadUpstream::Invalid)?;
        if uri.query().is_some() || authority.as_str().contains('@') {
            return Err(BadUpstream::Extra);
        }
        Ok(Self(Arc::new(Inner {
            vendor: VendorTag::of(authority.as_str()),
            scheme,
            authority,
            base_path: uri.path().trim_end_matches('/').into(),
            verbatim,
            protocol: None,
            key: UpstreamKey::default(),
            models: ModelMap::default(),
            profiles: Profiles::default(),
            dialect: None,
            connection: Connection::default(),
            provider: None,
        })))
    }

    fn with(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// Sends this key. Default: the caller's own credential.
    ///
    /// # Errors
    /// When the key is empty or holds characters that no header may.
    pub fn key(self, key: impl Into<Secret>) -> Result<Self, BadUpstream> {
        let headers = KeyHeaders::new(&key.into()).ok_or(BadUpstream::Key)?;
        Ok(self.with(|inner| inner.key = UpstreamKey::Ours(headers)))
    }

    /// Sends no credential at all.
    #[must_use]
    pub fn no_key(self) -> Self {
        self.with(|inner| inner.key = UpstreamKey::None)
    }

    /// Asks for model `to` where the caller asks for `from`; see [`ModelMap`].
    #[must_use]
    pub fn map_model(self, from: impl Into<String>, to: impl Into<String>) -> Self {
        self.with(|inner| inner.models.insert(from, to))
    }

    /// Replaces the whole model map.
    #[must_use]
    pub fn models(self, models: ModelMap) -> Self {
        self.with(|inner| inner.models = models)
    }

    /// What every model behind it needs beyond its protocol, whatever its name.
    #[must_use]
    pub fn target(self, target: Target) -> Self {
        self.profiles(Profiles::always(target))
    }

    /// What the models behind it need beyond their protocol, by their names. Default: what is
    /// known of the usual families.
    #[must_use]
    pub fn profiles(self, profiles: Profiles) -> Self {
        self.with(|inner| inner.profiles = profiles)
    }

    /// Speaks its protocol in a way of its own; see [`dialect`](crate::protocol::dialect).
    #[must_use]
    pub fn dialect(self, dialect: impl Dialect + 'static) -> Self {
        self.with(|inner| inner.dialect = Some(SharedDialect::new(dialect)))
    }

    /// Is connected to in a way of its own.
    #[must_use]
    pub fn connection(self, connection: Connection) -> Self {
        self.with(|inner| inner.connection = connection)
    }

    /// How it wants to be connected to.
    #[must_use]
    pub fn own_connection(&self) -> Connection {
        self.0.connection
    }

    /// Whose it is, by any name that stays the same: what a vendor seals (signatures of thinking,
    /// encrypted reasoning) goes back to upstreams with its name only. Default the host and port,
    /// so that this is needed where one vendor has several of them, or several vendors one.
    #[must_use]
    pub fn vendor(self, name: &str) -> Self {
        self.with(|inner| inner.vendor = VendorTag::of(name))
    }

    /// Tells whose it is.
    #[must_use]
    pub fn vendor_tag(&self) -> VendorTag {
        self.0.vendor
    }

    /// Whose it is, as statistics and traces name it. Default: by its protocol, so that all who
    /// speak OpenAI's are one. OpenTelemetry knows `openai`, `anthropic`, `gcp.gemini`,
    /// `gcp.vertex_ai`, `aws.bedrock`, `azure.ai.openai`, `deepseek`, `groq`, `mistral_ai`,
    /// `x_ai`, `perplexity`, `cohere` and more; any other name does as well.
    ///
    /// ```
    /// use tower_llm_gateway::context::Upstream;
    /// use tower_llm_gateway::protocol::Protocol;
    ///
    /// let upstream = Upstream::new("https://api.deepseek.com", Protocol::OpenAiChat)?
    ///     .provider("deepseek")?;
    /// assert_eq!(upstream.own_provider().as_deref(), Some("deepseek"));
    /// # Ok::<(), tower_llm_gateway::context::BadUpstream>(())
    /// ```
    ///
    /// # Errors
    /// When `name` is empty, longer than [`MAX_PROVIDER_NAME`], or holds other than visible ASCII.
    pub fn provider(self, name: &str) -> Result<Self, BadUpstream> {
        let fits = (1..=MAX_PROVIDER_NAME).contains(&name.len());
        if !fits || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(BadUpstream::Provider);
        }
        Ok(self.with(|inner| inner.provider = Some(name.into())))
    }

    /// The name of its provider, where it was given one.
    #[must_use]
    pub fn own_provider(&self) -> Option<Arc<str>> {
        self.0.provider.clone()
    }

    /// Its way of speaking.
    #[must_use]
    pub fn own_dialect(&self) -> Option<&SharedDialect> {
        self.0.dialect.as_ref()
    }

    /// The protocol spoken there; `None` for the caller's.
    #[must_use]
    pub fn protocol(&self) -> Option<Protocol> {
        self.0.protocol
    }

    /// Which credential it gets.
    #[must_use]
    pub fn credential(&self) -> &UpstreamKey {
        &self.0.key
    }

    /// The model map.
    #[must_use]
    pub fn model_map(&self) -> &ModelMap {
        &self.0.models
    }

    /// What its models need.
    #[must_use]
    pub fn target_profiles(&self) -> &Profiles {
        &self.0.profiles
    }

    /// Host and port.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.0.authority
    }

    /// The URL for a path and query. Where the base and `path` both carry a version segment, the
    /// base's stands, once; where neither does and `path` is a known endpoint, the caller of this
    /// has put one into `path` already.
    ///
    /// # Errors
    /// When path and query make no valid URL.
    pub fn uri_for(&self, path: &str, query: Option<&str>) -> Result<Uri, http::Error> {
        let inner = &*self.0;
        let rest = if inner.is_versioned() { without_version(path) } else { path };
        let slash = if rest.starts_with('/') { "" } else { "/" };
        let mut path_and_query = format!("{}{slash}{rest}", inner.base_path);
        if let Some(query) = query {
            path_and_query.push('?');
            path_and_query.push_str(query);
        }
        inner.uri(path_and_query.try_into()?)
    }

    /// The URL for the path and query of `uri`; as [`Upstream::uri_for`], but without a copy where
    /// they stay as they are.
    ///
    /// # Errors
    /// When path and query make no valid URL.
    pub fn uri_like(&self, uri: &Uri) -> Result<Uri, http::Error> {
        match uri.path_and_query() {
            Some(same) if self.0.base_path.is_empty() && !self.0.verbatim => {
                self.0.uri(same.clone())
            }
            _ => self.uri_for(uri.path(), uri.query()),
        }
    }
}

impl Inner {
    fn is_versioned(&self) -> bool {
        self.verbatim || self.base_path.rsplit('/').next().is_some_and(is_version)
    }

    fn uri(&self, path_and_query: PathAndQuery) -> Result<Uri, http::Error> {
        let mut parts = uri::Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(path_and_query);
        Ok(Uri::from_parts(parts)?)
    }
}

/// A path without its version, if that is the first segment, or the second behind DashScope's `api`.
fn without_version(path: &str) -> &str {
    let trimmed = path.strip_prefix('/').unwrap_or(path);
    let trimmed = trimmed.strip_prefix("api/").unwrap_or(trimmed);
    let (first, after) = trimmed.split_at(trimmed.find('/').unwrap_or(trimmed.len()));
    if is_version(first) { after } else { path }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream")
            .field(
                "base",
                &format_args!("{}://{}{}", self.0.scheme, self.0.authority, self.0.base_path),
            )
            .field("protocol", &self.0.protocol)
            .field("key", &self.0.key)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let rows = [
            ("https://h", "/v1/chat/completions", "https://h/v1/chat/completions"),
            ("https://h/", "/v1/chat/completions", "https://h/v1/chat/completions"),
            ("https://h/v1", "/v1/chat/completions", "https://h/v1/chat/completions"),
            ("https://h/v2/", "/v1/chat/completions", "https://h/v2/chat/completions"),
            ("https://h/v1beta", "/v1/x", "https://h/v1beta/x"),
            ("https://h#", "/v1/chat/completions", "https://h/chat/completions"),
            ("https://h/#", "/v1/messages/count_tokens", "https://h/messages/count_tokens"),
            ("https://h/api", "/v1/messages", "https://h/api/v1/messages"),
            ("https://h/api/v3", "/models", "https://h/api/v3/models"),
            ("http://h:8080", "/", "http://h:8080/"),
            ("https://h", "/api/v1/services/x", "https://h/api/v1/services/x"),
            ("https://h/api/v1", "/api/v1/services/x", "https://h/api/v1/services/x"),
            ("https://h/api/v2/", "/api/v1/services/x", "https://h/api/v2/services/x"),
            ("https://h/dash/api/v1", "/api/v1/services/x", "https://h/dash/api/v1/services/x"),
            ("https://h/api/v1", "/services/x", "https://h/api/v1/services/x"),
            ("https://h/x#", "/api/v1/services/x", "https://h/x/services/x"),
            ("https://h/v1", "/api/models", "https://h/v1/api/models"),
        ];
        for (base, path, expected) in rows {
            let upstream = Upstream::same_protocol(base).unwrap();
            assert_eq!(upstream.uri_for(path, None).unwrap(), expected, "{base} {path}");
            let uri = path.parse().unwrap();
            assert_eq!(upstream.uri_like(&uri).unwrap(), expected, "{base} {path}");
        }
        let upstream = Upstream::same_protocol("https://h").unwrap();
        assert_eq!(upstream.uri_for("/a%20b", Some("q=%2F&x")).unwrap(), "https://h/a%20b?q=%2F&x");
    }

    #[test]
    fn bad_bases_are_named() {
        for (base, error) in [
            ("", BadUpstream::Invalid),
            ("h/x", BadUpstream::Invalid),
            ("/x", BadUpstream::Scheme),
            ("ftp://h", BadUpstream::Scheme),
            ("https://u:p@h", BadUpstream::Extra),
            ("https://h?x=1", BadUpstream::Extra),
        ] {
            assert_eq!(Upstream::same_protocol(base).unwrap_err(), error, "{base}");
        }
    }

    #[test]
    fn vendors_are_told_by_their_host_or_name() {
        let at = |base: &str| Upstream::same_protocol(base).unwrap();
        assert_eq!(at("https://h/v1").vendor_tag(), at("http://H/v2").vendor_tag());
        assert_ne!(at("https://h").vendor_tag(), at("https://h:8080").vendor_tag());
        let (one, two) = (at("https://a").vendor("Acme"), at("https://b").vendor("acme"));
        assert_eq!(one.vendor_tag(), two.vendor_tag());
        assert_ne!(at("https://a").vendor_tag(), at("https://b").vendor_tag());
    }

    #[test]
    fn providers_have_short_visible_names() {
        let named = |name: &str| Upstream::same_protocol("https://h").unwrap().provider(name);
        let longest = "x".repeat(MAX_PROVIDER_NAME);
        for name in ["deepseek", "gcp.gemini", "x", &longest] {
            assert_eq!(named(name).unwrap().own_provider().as_deref(), Some(name));
        }
        let message = BadUpstream::Provider.to_string();
        assert!(message.contains(&format!("1 to {MAX_PROVIDER_NAME} ")), "{message}");
        for name in ["", "a b", "a\n", "\u{e9}", &format!("{longest}x")] {
            assert_eq!(named(name).unwrap_err(), BadUpstream::Provider, "{name}");
        }
    }

    #[test]
    fn debug_hides_the_key() {
        let upstream = Upstream::same_protocol("https://h").unwrap().key("sk-secret").unwrap();
        assert!(!format!("{upstream:?}").contains("sk-secret"));
        let bare = || Upstream::same_protocol("https://h").unwrap();
        assert_eq!(bare().key("").unwrap_err(), BadUpstream::Key);
        assert_eq!(bare().key("a\nb").unwrap_err(), BadUpstream::Key);
    }
}
