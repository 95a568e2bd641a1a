//! Which fields pass. Pure: no body, no service.

use std::net::IpAddr;

use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, GetAll, HOST, HeaderName, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Method, Uri, Version};

/// Fields of one connection. `trailers` is no field of the standard, but old lists have it.
const HOP_BY_HOP: [HeaderName; 10] = [
    CONNECTION,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("trailers"),
];

/// Fields that are never of one connection: they stay even where `Connection` names them.
///
/// They say what the content is, where it goes, who sends it, through whom it came and to which
/// trace it belongs. RFC 9110 §7.6.1 forbids senders to name such fields; a caller who does so wants
/// to make a proxy forget them.
pub const END_TO_END: [&str; 22] = [
    "api-key",
    "authorization",
    "cache-control",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "forwarded",
    "host",
    "set-cookie",
    "traceparent",
    "tracestate",
    "vary",
    "www-authenticate",
    "x-api-key",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-goog-api-key",
    "x-real-ip",
];

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// What becomes of `X-Forwarded-For`. Several lines are joined into one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ForwardedFor {
    /// The peer's address is appended to whatever came. The default.
    #[default]
    Append,
    /// Only so many addresses at the end of what came are believed, those that proxies of one's
    /// own have written; the others are dropped. Then the peer's is appended. With 0 it is alone.
    Trust(usize),
    /// It passes as it came.
    Off,
}

/// What of the connection's fields stays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Keep {
    /// The switch to a WebSocket.
    pub(super) upgrade: bool,
    /// `TE: trailers` and `Trailer`.
    pub(super) trailers: bool,
}

/// Whether a header may be set by configuration: no field of the connection, and not the length.
pub(super) fn is_settable(name: &HeaderName) -> bool {
    *name != CONTENT_LENGTH && !HOP_BY_HOP.contains(name)
}

/// Whether this request asks for a WebSocket. Any other upgrade is none of ours: `h2c` would open
/// a way past every layer.
pub(super) fn asks_for_websocket(method: &Method, version: Version, headers: &HeaderMap) -> bool {
    *method == Method::GET
        && version == Version::HTTP_11
        && has_token(headers, &CONNECTION, "upgrade")
        && has_token(headers, &UPGRADE, "websocket")
}

/// Removes what belongs to the connection. `size` is the exact size of the body, where it is known
/// and there is a body to send.
pub(super) fn strip(headers: &mut HeaderMap, keep: Keep, size: Option<u64>) {
    fix_length(headers, size);
    let te = keep.trailers && has_token(headers, &TE, "trailers");
    let trailer = keep.trailers.then(|| headers.get(TRAILER).cloned()).flatten();

    let connection: Vec<HeaderValue> = headers.get_all(CONNECTION).iter().cloned().collect();
    for name in connection.iter().flat_map(tokens) {
        if !END_TO_END.iter().any(|kept| kept.eq_ignore_ascii_case(name)) {
            headers.remove(name);
        }
    }
    // As a rule there is none, and to look for each would cost more than to look at all there are.
    if headers.keys().any(|name| HOP_BY_HOP.contains(name)) {
        for name in &HOP_BY_HOP {
            headers.remove(name);
        }
    }

    if te {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    if let Some(trailer) = trailer {
        headers.insert(TRAILER, trailer);
    }
    if keep.upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    }
}

/// Removes an expectation that the server in front has answered.
pub(super) fn strip_expect(headers: &mut HeaderMap) {
    if has_token(headers, &EXPECT, "100-continue") {
        headers.remove(EXPECT);
    }
}

/// Leaves one length or none; without one, whoever sends the message frames it by the body.
fn fix_length(headers: &mut HeaderMap, size: Option<u64>) {
    let lines = headers.get_all(CONTENT_LENGTH);
    let mut lengths = lines.iter().map(length);
    let Some(first) = lengths.next() else { return };
    let agreed = first.filter(|_| lengths.all(|other| other == first));
    let right = agreed.filter(|length| size.is_none_or(|size| size == *length));
    match right {
        // As a rule it stands there once, and to write it anew would only cost.
        Some(_) if !headers.contains_key(TRANSFER_ENCODING) && is_one_number(&lines) => {}
        Some(length) if !headers.contains_key(TRANSFER_ENCODING) => {
            headers.insert(CONTENT_LENGTH, length.into());
        }
        _ => {
            headers.remove(CONTENT_LENGTH);
        }
    }
}

/// Digits and nothing else: `+5`, which `parse` takes, is smuggled.
fn length(value: &HeaderValue) -> Option<u64> {
    let text = value.to_str().ok()?;
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

/// Whether there is one line, and in it, if it is a number, no zero too many.
fn is_one_number(lines: &GetAll<'_, HeaderValue>) -> bool {
    let mut lines = lines.iter();
    let is_short = |line: &HeaderValue| line.len() == 1 || !line.as_bytes().starts_with(b"0");
    lines.next().is_some_and(is_short) && lines.next().is_none()
}

/// `Host` for an absolute URI, without the port that its scheme implies.
pub(super) fn host_of(uri: &Uri) -> Option<HeaderValue> {
    let authority = uri.authority()?;
    let implied = match uri.scheme_str() {
        Some("http") => 80,
        Some("https") => 443,
        _ => 0,
    };
    match authority.port_u16() {
        // Without the user name in front of it, which may hold a password.
        Some(port) if port != implied => authority.as_str().rsplit('@').next()?.parse().ok(),
        _ => authority.host().parse().ok(),
    }
}

/// `Host` as the caller sent it; over HTTP/2 it may be in the URI alone.
pub(super) fn preserve_host(headers: &mut HeaderMap, uri: &Uri) {
    if !headers.contains_key(HOST) {
        headers.extend(host_of(uri).map(|host| (HOST, host)));
    }
}

/// Appends the peer to the addresses that the request came through.
pub(super) fn forward_for(headers: &mut HeaderMap, mode: ForwardedFor, peer: Option<IpAddr>) {
    let trusted = match mode {
        ForwardedFor::Append => usize::MAX,
        ForwardedFor::Trust(hops) => hops,
        ForwardedFor::Off => return,
    };
    let peer = peer.map(|peer| peer.to_canonical().to_string());
    let came: Vec<&[u8]> = headers
        .get_all(X_FORWARDED_FOR)
        .iter()
        .flat_map(|value| value.as_bytes().split(|b| *b == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|address| !address.is_empty())
        .collect();
    let believed = &came[came.len().saturating_sub(trusted)..];
    let line = believed.iter().copied().chain(peer.as_deref().map(str::as_bytes));
    match HeaderValue::from_bytes(&line.collect::<Vec<_>>().join(b", ".as_slice())) {
        Ok(line) if !line.is_empty() => headers.insert(X_FORWARDED_FOR, line),
        _ => headers.remove(X_FORWARDED_FOR),
    };
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers.get_all(name).iter().flat_map(tokens).any(|found| found.eq_ignore_ascii_case(token))
}

/// The members of a list. One that is no text is skipped and hides no other.
fn tokens(value: &HeaderValue) -> impl Iterator<Item = &str> {
    let members = value.as_bytes().split(|b| *b == b',');
    members.filter_map(|member| std::str::from_utf8(member.trim_ascii()).ok())
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;

    use super::*;

    fn map(lines: &[(&str, &[u8])]) -> HeaderMap {
        let line = |(name, value): &(&str, &[u8])| {
            (name.parse::<HeaderName>().unwrap(), HeaderValue::from_bytes(value).unwrap())
        };
        lines.iter().map(line).collect()
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn the_fixed_list_goes() {
        for name in HOP_BY_HOP {
            let mut headers = HeaderMap::new();
            headers.append(&name, HeaderValue::from_static("a"));
            headers.append(&name, HeaderValue::from_static("b"));
            strip(&mut headers, Keep::default(), None);
            assert!(headers.is_empty(), "{name}");
        }
    }

    #[test]
    fn named_fields_go_and_essentials_stay() {
        type Row<'a> = (&'a [(&'a str, &'a [u8])], &'a [&'a str]);
        let rows: [Row<'_>; 12] = [
            (&[("connection", b"close, x-secret"), ("x-secret", b"1"), ("x-b", b"")], &["x-b"]),
            (&[("connection", b"X-SeCrEt ,close"), ("x-secret", b"1")], &[]),
            (&[("connection", b"close"), ("connection", b"\tx-a\t"), ("x-a", b"1")], &[]),
            (&[("connection", b"x-a"), ("x-a", b"1"), ("x-a", b"2"), ("x-aa", b"")], &["x-aa"]),
            (&[("connection", b"\xff\xfe, x-a"), ("x-a", b"1")], &[]),
            (&[("connection", b"x-\xff"), ("x-a", b"\xff")], &["x-a"]),
            (&[("connection", b",, ,x a,"), ("x-a", b"1")], &["x-a"]),
            (&[("connection", b"connection, keep-alive"), ("keep-alive", b"5")], &[]),
            (
                &[
                    ("connection", b"Host, Content-Length"),
                    ("host", b"h"),
                    ("content-length", b"3"),
                ],
                &["content-length", "host"],
            ),
            (
                &[
                    ("connection", b"AUTHORIZATION,x-api-key"),
                    ("authorization", b"B"),
                    ("x-api-key", b"k"),
                ],
                &["authorization", "x-api-key"],
            ),
            (
                &[("connection", b"x-forwarded-for"), ("x-forwarded-for", b"a")],
                &["x-forwarded-for"],
            ),
            (
                &[("connection", b"set-cookie"), ("set-cookie", b"a"), ("set-cookie", b"b")],
                &["set-cookie"],
            ),
        ];
        for (lines, expected) in rows {
            let mut headers = map(lines);
            strip(&mut headers, Keep::default(), None);
            assert_eq!(names(&headers), expected, "{lines:?}");
        }
    }

    #[test]
    fn one_right_length_or_none() {
        type Row<'a> = (&'a [(&'a str, &'a [u8])], Option<u64>, Option<&'a str>);
        let rows: [Row<'_>; 14] = [
            (&[("content-length", b"0")], None, Some("0")),
            (&[("content-length", b"007")], Some(7), Some("7")),
            (&[("content-length", b"5")], Some(5), Some("5")),
            (&[("content-length", b"5")], None, Some("5")),
            (&[("content-length", b"5")], Some(6), None),
            (&[("content-length", b"5"), ("content-length", b"5")], None, Some("5")),
            (&[("content-length", b"5"), ("content-length", b"6")], None, None),
            (&[("content-length", b"5, 5")], None, None),
            (&[("content-length", b"+5")], None, None),
            (&[("content-length", b"")], None, None),
            (&[("content-length", b"99999999999999999999")], None, None),
            (&[("content-length", b"5"), ("transfer-encoding", b"chunked")], None, None),
            (&[("content-length", b"5"), ("transfer-encoding", b"x-junk")], Some(5), None),
            (&[("content-length", b"5"), ("content-encoding", b"gzip")], Some(5), Some("5")),
        ];
        for (lines, size, expected) in rows {
            let mut headers = map(lines);
            strip(&mut headers, Keep::default(), size);
            let found: Vec<_> = headers.get_all(CONTENT_LENGTH).iter().collect();
            assert_eq!(found, expected.as_slice(), "{lines:?} {size:?}");
        }
    }

    #[test]
    fn trailers_stay_on_request() {
        let lines: &[(&str, &[u8])] =
            &[("te", b"deflate;q=0.5, Trailers"), ("trailer", b"x-sum"), ("connection", b"te")];
        let mut headers = map(lines);
        strip(&mut headers, Keep { trailers: true, ..Keep::default() }, None);
        assert_eq!(headers, map(&[("te", b"trailers"), ("trailer", b"x-sum")]));
        let mut headers = map(&[("te", b"deflate")]);
        strip(&mut headers, Keep { trailers: true, ..Keep::default() }, None);
        assert!(headers.is_empty());
    }

    #[test]
    fn only_a_websocket_is_an_upgrade() {
        let ok: &[(&str, &[u8])] =
            &[("connection", b"keep-alive, Upgrade"), ("upgrade", b"WebSocket")];
        let h2c: &[(&str, &[u8])] =
            &[("connection", b"Upgrade, HTTP2-Settings"), ("upgrade", b"h2c")];
        let unnamed: &[(&str, &[u8])] = &[("upgrade", b"websocket")];
        let v11 = Version::HTTP_11;
        assert!(asks_for_websocket(&Method::GET, v11, &map(ok)));
        assert!(!asks_for_websocket(&Method::POST, v11, &map(ok)));
        assert!(!asks_for_websocket(&Method::GET, Version::HTTP_10, &map(ok)));
        assert!(!asks_for_websocket(&Method::GET, v11, &map(h2c)));
        assert!(!asks_for_websocket(&Method::GET, v11, &map(unnamed)));

        let mut headers = map(&[("connection", b"upgrade, x-a"), ("upgrade", b"websocket, h2c")]);
        headers.insert("x-a", HeaderValue::from_static("1"));
        strip(&mut headers, Keep { upgrade: true, ..Keep::default() }, None);
        assert_eq!(headers, map(&[("connection", b"upgrade"), ("upgrade", b"websocket")]));
    }

    #[test]
    fn hosts() {
        for (uri, host) in [
            ("https://h/x", Some("h")),
            ("https://h:443/", Some("h")),
            ("http://h:443/", Some("h:443")),
            ("http://h:80", Some("h")),
            ("http://[::1]:8080/", Some("[::1]:8080")),
            ("http://u:p@h/", Some("h")),
            ("http://u:p@h:81/", Some("h:81")),
            ("/x", None),
        ] {
            let found = host_of(&uri.parse().unwrap());
            assert_eq!(found.as_ref().map(|h| h.to_str().unwrap()), host, "{uri}");
        }
    }

    #[test]
    fn peers_are_appended_once() {
        use ForwardedFor::*;
        let peer = Some("10.0.0.9");
        type Row<'a> = (&'a [&'a [u8]], ForwardedFor, Option<&'a str>, &'a [&'a [u8]]);
        let rows: [Row<'_>; 12] = [
            (&[], Append, peer, &[b"10.0.0.9"]),
            (&[b"a"], Append, peer, &[b"a, 10.0.0.9"]),
            (&[b"a ,b", b"c"], Append, peer, &[b"a, b, c, 10.0.0.9"]),
            (&[b"\xff"], Append, peer, &[b"\xff, 10.0.0.9"]),
            (&[b"a", b"b"], Append, None, &[b"a, b"]),
            (&[b"", b" , "], Append, None, &[]),
            (&[b"forged, b"], Trust(1), peer, &[b"b, 10.0.0.9"]),
            (&[b"forged"], Trust(0), peer, &[b"10.0.0.9"]),
            (&[b"a"], Trust(3), peer, &[b"a, 10.0.0.9"]),
            (&[b"forged"], Trust(0), None, &[]),
            (&[b"a", b"b"], Off, peer, &[b"a", b"b"]),
            (&[b"a"], Append, Some("::ffff:10.0.0.9"), &[b"a, 10.0.0.9"]),
        ];
        for (came, mode, peer, expected) in rows {
            let mut headers = HeaderMap::new();
            for value in came {
                headers.append(X_FORWARDED_FOR, HeaderValue::from_bytes(value).unwrap());
            }
            forward_for(&mut headers, mode, peer.map(|peer| peer.parse().unwrap()));
            let found: Vec<_> =
                headers.get_all(X_FORWARDED_FOR).iter().map(HeaderValue::as_bytes).collect();
            assert_eq!(found, expected, "{came:?} {mode:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn all_but_the_connections_fields_stay_in_order(
            lines in vec(("[a-c]", vec(0x20_u8..0x7f, 0..8)), 0..12),
            connection in vec("[a-dA-D ,]{0,6}", 0..3),
        ) {
            let lines = lines.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
            let lines: Vec<_> = lines.collect();
            let mut headers = map(&lines);
            for value in &connection {
                headers.append(CONNECTION, value.parse().unwrap());
            }
            strip(&mut headers, Keep::default(), None);
            let named = |name: &str| {
                let mut members = connection.iter().flat_map(|value| value.split(','));
                members.any(|member| member.trim().eq_ignore_ascii_case(name))
            };
            let kept: Vec<_> = lines.into_iter().filter(|(name, _)| !named(name)).collect();
            proptest::prop_assert_eq!(headers, map(&kept));
        }
    }
}
