use bytes::{BufMut, BytesMut};

use super::Event;

/// Writes an event and its blank line. Always writes a data line, so that a reader dispatches it.
///
/// Nothing in `event` can break the framing: each line of the data gets its own `data` line, where
/// CR and CRLF are read back as LF; a line break in the name or id becomes a space; an id with a
/// NUL, which readers must ignore, is left out.
///
/// ```
/// use bytes::BytesMut;
/// use tower_llm_gateway::sse::{Event, encode};
///
/// let mut out = BytesMut::new();
/// encode(&mut out, &Event { name: "delta", data: "a\nb", ..Event::default() });
/// assert_eq!(out, "event: delta\ndata: a\ndata: b\n\n");
/// ```
pub fn encode(out: &mut BytesMut, event: &Event<'_>) {
    let id = event.id.filter(|id| !id.contains('\0'));
    out.reserve(event.name.len() + event.data.len() + id.map_or(0, str::len) + 64);
    if !event.name.is_empty() {
        one_line(out, b"event: ", event.name);
    }
    if let Some(id) = id {
        one_line(out, b"id: ", id);
    }
    if let Some(retry) = event.retry {
        one_line(out, b"retry: ", &retry.to_string());
    }
    lines(out, b"data: ", event.data);
    out.put_u8(b'\n');
}

/// Writes a comment and a blank line, which keeps a connection alive and which readers ignore.
/// It may stand between events, not inside of one.
///
/// ```
/// let mut out = bytes::BytesMut::new();
/// tower_llm_gateway::sse::comment(&mut out, "ping");
/// assert_eq!(out, ": ping\n\n");
/// ```
pub fn comment(out: &mut BytesMut, text: &str) {
    lines(out, b": ", text);
    out.put_u8(b'\n');
}

fn one_line(out: &mut BytesMut, prefix: &[u8], value: &str) {
    out.put_slice(prefix);
    let start = out.len();
    out.put_slice(value.as_bytes());
    for byte in &mut out[start..] {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    out.put_u8(b'\n');
}

fn lines(out: &mut BytesMut, prefix: &[u8], text: &str) {
    let mut rest = text.as_bytes();
    loop {
        let end = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        out.put_slice(prefix);
        out.put_slice(&rest[..end]);
        out.put_u8(b'\n');
        rest = match &rest[end..] {
            [b'\r', b'\n', rest @ ..] | [_, rest @ ..] => rest,
            [] => break,
        };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Decoder;
    use super::*;

    fn encoded(event: &Event<'_>) -> BytesMut {
        let mut out = BytesMut::new();
        encode(&mut out, event);
        out
    }

    /// Asserts that the bytes are these events and nothing else.
    fn assert_decodes(bytes: &[u8], expected: &[Event<'_>]) {
        let mut decoder = Decoder::new();
        let mut expected = expected.iter();
        decoder.push(bytes, &mut |event| assert_eq!(Some(&event), expected.next())).unwrap();
        assert!(decoder.at_boundary());
        assert_eq!(expected.next(), None);
    }

    #[test]
    fn writes() {
        let plain = Event { data: "x", ..Event::default() };
        let rows: &[(Event<'_>, &str)] = &[
            (plain, "data: x\n\n"),
            (Event::default(), "data: \n\n"),
            (Event { data: " x", ..plain }, "data:  x\n\n"),
            (Event { data: "a\n\nb\n", ..plain }, "data: a\ndata: \ndata: b\ndata: \n\n"),
            (Event { data: "a\r\nb\rc", ..plain }, "data: a\ndata: b\ndata: c\n\n"),
            (Event { data: "a\n\r\r\nb", ..plain }, "data: a\ndata: \ndata: \ndata: b\n\n"),
            (
                Event { name: "n", data: "x", id: Some("1"), retry: Some(20) },
                "event: n\nid: 1\nretry: 20\ndata: x\n\n",
            ),
            (Event { id: Some(""), ..plain }, "id: \ndata: x\n\n"),
            (Event { id: Some("1\0"), ..plain }, "data: x\n\n"),
            (Event { name: "n\r\ndata: y", ..plain }, "event: n  data: y\ndata: x\n\n"),
            (Event { id: Some("1\n\n2"), ..plain }, "id: 1  2\ndata: x\n\n"),
        ];
        for (event, expected) in rows {
            assert_eq!(encoded(event), expected, "{event:?}");
        }
    }

    #[test]
    fn comments_are_no_events() {
        for (text, expected) in
            [("", ": \n\n"), ("a\n\ndata: b\r", ": a\n: \n: data: b\n: \n\n"), ("é", ": é\n\n")]
        {
            let mut out = BytesMut::new();
            comment(&mut out, text);
            assert_eq!(out, expected);
            assert_decodes(&out, &[]);
        }
    }

    proptest! {
        #[test]
        fn read_back(
            name in "[a: é\0]{0,4}",
            data in "[a: é\n\0]{0,8}",
            id in proptest::option::of("[a: é]{0,4}"),
            retry in proptest::option::of(any::<u64>()),
        ) {
            let event = Event { name: &name, data: &data, id: id.as_deref(), retry };
            let mut bytes = encoded(&event);
            encode(&mut bytes, &event);
            assert_decodes(&bytes, &[event, event]);
        }

        #[test]
        fn framing_holds(name in "[a: \r\n]{0,6}", data in "[a: \r\n]{0,8}", id in "[a\0\r\n]{0,4}") {
            let event = Event { name: &name, data: &data, id: Some(&id), retry: None };
            let mut decoder = Decoder::new();
            let mut events = 0;
            let joined = data.replace("\r\n", "\n").replace('\r', "\n");
            decoder.push(&encoded(&event), &mut |event| {
                events += 1;
                assert_eq!(event.data, joined);
            }).unwrap();
            prop_assert!(decoder.at_boundary());
            prop_assert_eq!(events, 1);
        }
    }
}
