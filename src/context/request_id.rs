use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use http::{Extensions, HeaderMap, HeaderName, HeaderValue};

use crate::redact;

/// Longest id of a request that is taken from outside, in bytes.
pub const MAX_REQUEST_ID: usize = 128;

const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// What one request is called in every log, row and span.
///
/// The id that the host or the caller gave in `x-request-id`, where it is one: visible ASCII, at
/// most [`MAX_REQUEST_ID`] bytes, and nothing that [`redact::text`] takes for a secret. Else the
/// milliseconds of its beginning since the Unix epoch, and a number.
///
/// ```
/// use std::time::Duration;
///
/// use tower_llm_gateway::context::RequestId;
///
/// let mut request = http::Request::get("/").header("x-request-id", "7f3a").body(()).unwrap();
/// let headers = request.headers().clone();
/// let id = RequestId::of(request.extensions_mut(), &headers, Duration::from_millis(1500), 7);
/// assert_eq!(id.to_string(), "7f3a");
/// // Whoever is inside finds the same.
/// assert_eq!(request.extensions().get::<RequestId>(), Some(&id));
///
/// let none = RequestId::of(&mut Default::default(), &Default::default(), Duration::from_millis(1500), 7);
/// assert_eq!(none.to_string(), "1500-7");
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RequestId(Id);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Id {
    Given(HeaderValue),
    Made { millis: u64, number: u64 },
}

impl RequestId {
    /// The id of a request; leaves it in the extensions where none is yet.
    pub fn of(
        extensions: &mut Extensions,
        headers: &HeaderMap,
        started: Duration,
        number: u64,
    ) -> Self {
        let make = || {
            let given = headers.get(HEADER).filter(|id| Self::accepts(id));
            let millis = u64::try_from(started.as_millis()).unwrap_or(u64::MAX);
            Self(given.map_or(Id::Made { millis, number }, |id| Id::Given(id.clone())))
        };
        extensions.get_or_insert_with(make).clone()
    }

    /// Whether this is taken as an id: it can neither break a line of a log nor fill it, and holds
    /// no secret, as ids are shown whole.
    #[must_use]
    pub fn accepts(given: &HeaderValue) -> bool {
        let bytes = given.as_bytes();
        (1..=MAX_REQUEST_ID).contains(&bytes.len())
            && bytes.iter().all(u8::is_ascii_graphic)
            && given.to_str().is_ok_and(|id| matches!(redact::text(id), Cow::Borrowed(_)))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Id::Given(id) => f.write_str(id.to_str().unwrap_or_default()),
            Id::Made { millis, number } => write!(f, "{millis}-{number}"),
        }
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_id_is_not_taken() {
        let id = |value: &[u8]| {
            let mut headers = HeaderMap::new();
            headers.insert(HEADER, HeaderValue::from_bytes(value).unwrap());
            RequestId::of(&mut Extensions::new(), &headers, Duration::from_secs(1), 2).to_string()
        };
        assert_eq!(id(b"a-1_b.c"), "a-1_b.c");
        assert_eq!(id(&[b'x'; MAX_REQUEST_ID]).len(), MAX_REQUEST_ID);
        for bad in [&b""[..], b"a b", b"a\tb", "é".as_bytes(), &[b'x'; MAX_REQUEST_ID + 1]] {
            assert_eq!(id(bad), "1000-2");
        }
        for secret in ["sk-ant-api03-1234567890abcdef", "token:abc12345", "r;password=hunter2"] {
            assert_eq!(id(secret.as_bytes()), "1000-2");
        }
        for id_of_a_host in [
            "550e8400-e29b-41d4-a716-446655440000",
            "req_011CSHoEeqs5C35K2UUqR7Fy",
            "Root=1-67891233-abcdef012345678912345678",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(id(id_of_a_host.as_bytes()), id_of_a_host);
        }
    }
}
