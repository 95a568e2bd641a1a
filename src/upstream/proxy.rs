//! Which proxy to go through.

use std::fmt;
use std::sync::Arc;

use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};

/// Proxies, by the scheme and host of a request.
///
/// Credentials in a proxy's URL are sent to it as `Proxy-Authorization`, and never printed.
///
/// ```
/// use tower_llm_gateway::upstream::Proxies;
///
/// let vars = [("HTTPS_PROXY", "user:secret@proxy.local:3128"), ("NO_PROXY", "localhost")];
/// let proxies = Proxies::from_vars(|name| {
///     vars.iter().find(|(var, _)| *var == name).map(|(_, value)| (*value).to_owned())
/// })?;
/// assert!(!format!("{proxies:?}").contains("secret"));
/// # Ok::<(), tower_llm_gateway::upstream::BadProxy>(())
/// ```
#[derive(Clone, Default)]
pub struct Proxies {
    matcher: Option<Arc<Matcher>>,
}

impl Proxies {
    /// No proxy at all. The default.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// This one for every request.
    ///
    /// # Errors
    /// When it is no `http` or `https` URL; without a scheme, `http` is meant.
    pub fn all(url: &str) -> Result<Self, BadProxy> {
        Self::from_vars(|name| (name == "ALL_PROXY").then(|| url.to_owned()))
    }

    /// Those of the environment.
    ///
    /// # Errors
    /// As [`Proxies::from_vars`].
    pub fn from_env() -> Result<Self, BadProxy> {
        Self::from_vars(|name| std::env::var(name).ok())
    }

    /// Those that variables name: `HTTP_PROXY` and `HTTPS_PROXY` by the scheme of the request,
    /// `ALL_PROXY` for both, `NO_PROXY` for hosts, domains, addresses and networks to reach
    /// without. The names in lower case count where those in upper case are missing. An empty
    /// value names none.
    ///
    /// # Errors
    /// When one is no `http` or `https` URL; without a scheme, `http` is meant.
    pub fn from_vars(var: impl Fn(&str) -> Option<String>) -> Result<Self, BadProxy> {
        let value =
            |name: &str| var(name).or_else(|| var(&name.to_ascii_lowercase())).unwrap_or_default();
        let url = |name| proxy_url(name, value(name).trim());
        let (all, http, https) = (url("ALL_PROXY")?, url("HTTP_PROXY")?, url("HTTPS_PROXY")?);
        if all.is_empty() && http.is_empty() && https.is_empty() {
            return Ok(Self::none());
        }
        let matcher = Matcher::builder().all(all).http(http).https(https).no(value("NO_PROXY"));
        Ok(Self { matcher: Some(Arc::new(matcher.build())) })
    }

    pub(super) fn intercept(&self, uri: &Uri) -> Option<Intercept> {
        self.matcher.as_ref()?.intercept(uri)
    }

    /// What a request that a proxy reads itself must carry.
    pub(super) fn authorization(&self, uri: &Uri) -> Option<HeaderValue> {
        if uri.scheme_str() != Some("http") {
            return None;
        }
        self.intercept(uri)?.basic_auth().cloned()
    }
}

fn proxy_url(variable: &'static str, value: &str) -> Result<String, BadProxy> {
    if value.is_empty() {
        return Ok(String::new());
    }
    let url = match value.contains("://") {
        true => value.to_owned(),
        false => format!("http://{value}"),
    };
    let uri: Uri = url.parse().map_err(|_| BadProxy { variable })?;
    match (uri.scheme_str(), uri.host()) {
        (Some("http" | "https"), Some(host)) if !host.is_empty() => Ok(url),
        _ => Err(BadProxy { variable }),
    }
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The matcher leaves credentials out.
        match &self.matcher {
            Some(matcher) => matcher.fmt(f),
            None => f.write_str("None"),
        }
    }
}

/// A proxy that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadProxy {
    variable: &'static str,
}

impl fmt::Display for BadProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is not an http:// or https:// URL", self.variable)
    }
}

impl std::error::Error for BadProxy {}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(vars: &[(&str, &str)]) -> Result<Proxies, BadProxy> {
        Proxies::from_vars(|name| {
            vars.iter().find(|(var, _)| *var == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn through(proxies: &Proxies, uri: &str) -> Option<String> {
        proxies.intercept(&uri.parse().unwrap()).map(|proxy| proxy.uri().to_string())
    }

    #[test]
    fn variables_choose_the_proxy() {
        type Row<'a> = (&'a [(&'a str, &'a str)], &'a str, Option<&'a str>);
        let rows: [Row<'_>; 11] = [
            (&[], "http://h/", None),
            (&[("HTTP_PROXY", "")], "http://h/", None),
            (&[("HTTP_PROXY", "p:1")], "http://h/", Some("http://p:1/")),
            (&[("HTTP_PROXY", "p:1")], "https://h/", None),
            (&[("HTTPS_PROXY", "https://p")], "https://h/", Some("https://p/")),
            (&[("https_proxy", " p ")], "https://h/", Some("http://p/")),
            (&[("HTTPS_PROXY", "a"), ("https_proxy", "b")], "https://h/", Some("http://a/")),
            (&[("ALL_PROXY", "a"), ("HTTP_PROXY", "b")], "http://h/", Some("http://b/")),
            (&[("ALL_PROXY", "a"), ("HTTP_PROXY", "b")], "https://h/", Some("http://a/")),
            (&[("ALL_PROXY", "a"), ("NO_PROXY", "x, 10.0.0.0/8,h")], "https://s.h/", None),
            (&[("ALL_PROXY", "a"), ("NO_PROXY", "10.0.0.0/8")], "https://10.1.2.3/", None),
        ];
        for (vars, uri, expected) in rows {
            assert_eq!(
                through(&proxies(vars).unwrap(), uri).as_deref(),
                expected,
                "{vars:?} {uri}"
            );
        }
    }

    #[test]
    fn bad_ones_are_named_without_their_value() {
        for value in ["socks5://user:secret@p", "ftp://p", "http://", "http://user:secret@", "a b"]
        {
            let error = proxies(&[("HTTPS_PROXY", value)]).unwrap_err();
            assert_eq!(error.to_string(), "HTTPS_PROXY is not an http:// or https:// URL");
        }
    }

    #[test]
    fn credentials_go_to_the_proxy_only() {
        let proxies = Proxies::all("http://user:se%20cret@p:1").unwrap();
        assert!(!format!("{proxies:?}").contains("cret"));
        let authorization = |uri: &str| proxies.authorization(&uri.parse().unwrap());
        let value = authorization("http://h/").unwrap();
        assert_eq!(value, "Basic dXNlcjpzZSBjcmV0");
        assert!(value.is_sensitive());
        assert!(authorization("https://h/").is_none(), "the tunnel carries it");
    }
}
