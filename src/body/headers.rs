use http::HeaderMap;
use http::header::{self, HeaderName};

/// What says something of the bytes of a body.
const OF_THE_BODY: [HeaderName; 8] = [
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::ETAG,
    header::ACCEPT_RANGES,
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
];

/// Drops the headers that no longer hold once a body has changed: a stale `content-length` cuts
/// it off in silence, a stale digest makes an honest receiver refuse it.
pub fn drop_body_headers(headers: &mut HeaderMap) {
    for name in &OF_THE_BODY {
        headers.remove(name);
    }
}

/// Whether a body is compressed or otherwise encoded, and so cannot be read as it is.
#[must_use]
pub fn is_encoded(headers: &HeaderMap) -> bool {
    headers.get_all(header::CONTENT_ENCODING).iter().any(|value| {
        let value = value.as_bytes().trim_ascii();
        !value.is_empty() && !value.eq_ignore_ascii_case(b"identity")
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_a_real_encoding_counts() {
        for (value, encoded) in [
            ("gzip", true),
            ("identity", false),
            (" Identity ", false),
            ("", false),
            ("br, identity", true),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(value));
            assert_eq!(is_encoded(&headers), encoded, "{value}");
            drop_body_headers(&mut headers);
            assert!(headers.is_empty());
        }
        assert!(!is_encoded(&HeaderMap::new()));
    }
}
