use std::time::Duration;

/// How one upstream wants to be connected to, where it differs from the client's own settings.
///
/// In the extensions of a request; part of an [`Upstream`](super::Upstream), from where
/// [`ProviderTranslateLayer`](crate::ProviderTranslateLayer) puts it there.
///
/// ```
/// use std::time::Duration;
/// use tower_llm_gateway::context::{Connection, Upstream};
///
/// let slow = Connection::default().headers_timeout(Duration::from_secs(1200));
/// let upstream = Upstream::same_protocol("https://llm.example.com")?.connection(slow);
/// assert_eq!(upstream.own_connection(), slow);
/// # Ok::<(), tower_llm_gateway::context::BadUpstream>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Connection {
    /// Takes any certificate, for any name, from anybody. Default: no.
    ///
    /// Whoever is on the way to the upstream can then read and change everything, keys included.
    pub danger_accept_invalid_certs: bool,
    /// How long the headers of an answer may take. `None`: as the client is set.
    pub headers_timeout: Option<Duration>,
    /// How long the body of an answer may say nothing. `None`: as the client is set.
    pub idle_timeout: Option<Duration>,
}

impl Connection {
    /// Sets whether any certificate is taken; see the member.
    #[must_use]
    pub fn danger_accept_invalid_certs(mut self, yes: bool) -> Self {
        self.danger_accept_invalid_certs = yes;
        self
    }

    /// Sets how long the headers of an answer may take.
    #[must_use]
    pub fn headers_timeout(mut self, timeout: Duration) -> Self {
        self.headers_timeout = Some(timeout);
        self
    }

    /// Sets how long the body of an answer may say nothing.
    #[must_use]
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = Some(timeout);
        self
    }
}
