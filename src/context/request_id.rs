use std::fmt;
use std::time::Duration;

use http::{Extensions, HeaderMap, HeaderName, HeaderValue};

/// Longest id of a request that is taken from outside, in bytes.
pub const MAX_REQUEST_ID: usize = 128;

const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// What one request is called in every log, row and span.
///
/// The id that the host or the caller gave in `x-request-id`, where it is one: visible ASCII, at
/// most [`MAX_REQUEST_ID`] bytes. Else the milliseconds of its beginning since the Unix epoch, and
/// a number.
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
            let given = headers.get(HEADER).filter(|id| is_id(id));
            let millis = u64::try_from(started.as_millis()).unwrap_or(u64::MAX);
            Self(given.map_or(Id::Made { millis, number }, |id| Id::Given(id.clone())))
        };
        extensions.get_or_insert_with(make).clone()
    }
}

/// Nothing that could break a line of a log, or fill it.
fn is_id(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    (1..=MAX_REQUEST_ID).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic)
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
    }
}
