use proptest::prelude::*;

use super::*;

type Outcome = Result<(), SseError>;

/// An event that outlives its push.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Owned {
    name: String,
    data: String,
    id: Option<String>,
    retry: Option<u64>,
}

impl From<Event<'_>> for Owned {
    fn from(event: Event<'_>) -> Self {
        Self {
            name: event.name.to_owned(),
            data: event.data.to_owned(),
            id: event.id.map(ToOwned::to_owned),
            retry: event.retry,
        }
    }
}

fn data(data: &str) -> Owned {
    Owned { data: data.to_owned(), ..Owned::default() }
}

fn decode<'a>(limits: Limits, pushes: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Owned>, Outcome) {
    let mut decoder = Decoder::with_limits(limits);
    let mut events = Vec::new();
    let mut on_event = |event: Event<'_>| events.push(Owned::from(event));
    let result = pushes
        .into_iter()
        .try_for_each(|bytes| decoder.push(bytes, &mut on_event))
        .and_then(|()| decoder.finish(&mut on_event));
    (events, result)
}

/// The slow decoder: the whole input at once, line by line, as the standard tells it.
fn oracle(limits: Limits, input: &[u8]) -> (Vec<Owned>, Outcome) {
    let input = input.strip_prefix(BOM).unwrap_or(input);
    let mut lines = Vec::new();
    let mut line = Vec::new();
    let mut bytes = input.iter().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\r' if bytes.peek() == Some(&&b'\n') => {}
            b'\r' | b'\n' => lines.push(mem::take(&mut line)),
            byte => line.push(*byte),
        }
    }
    lines.push(line);
    lines.push(Vec::new());

    let mut events = Vec::new();
    let mut event = Owned::default();
    let mut data: Vec<String> = Vec::new();
    for line in lines {
        if line.len() > limits.line {
            return (events, Err(SseError::LineTooLong));
        }
        if line.is_empty() {
            event.data = data.join("\n");
            if !data.is_empty() {
                events.push(mem::take(&mut event));
            }
            (event, data) = Default::default();
            continue;
        }
        let line = String::from_utf8_lossy(&line).into_owned();
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
        match name {
            "data" => data.push(value),
            "event" => event.name = value,
            "id" if !value.contains('\0') => event.id = Some(value),
            "retry" if !value.contains('+') => event.retry = value.parse().ok().or(event.retry),
            _ => {}
        }
        let id = event.id.as_deref().unwrap_or_default();
        if event.name.len() + id.len() + data.join("\n").len() > limits.event {
            return (events, Err(SseError::EventTooLong));
        }
    }
    (events, Ok(()))
}

/// Asserts that no cut of the input changes what is read.
fn assert_any_split(limits: Limits, input: &[u8], expected: &(Vec<Owned>, Outcome)) {
    assert_eq!(decode(limits, [input]), *expected, "whole {input:?}");
    assert_eq!(decode(limits, input.chunks(1)), *expected, "byte by byte {input:?}");
    for at in 0..=input.len() {
        let (head, tail) = input.split_at(at);
        assert_eq!(decode(limits, [head, b"", tail]), *expected, "cut at {at} {input:?}");
    }
}

#[test]
fn grammar() {
    let named = |name: &str| Owned { name: name.to_owned(), ..data("x") };
    let with_id = |id: &str| Owned { id: Some(id.to_owned()), ..data("x") };
    let retry = |retry| Owned { retry: Some(retry), ..data("x") };
    let rows: &[(&[u8], &[Owned])] = &[
        (b"", &[]),
        (b"\n\n\r\r\n", &[]),
        // Line ends.
        (b"data: a\n\ndata: b\n\n", &[data("a"), data("b")]),
        (b"data: a\r\rdata: b\r\r", &[data("a"), data("b")]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", &[data("a"), data("b")]),
        (b"data: a\r\n\ndata: b\n\r\n", &[data("a"), data("b")]),
        (b"data: a\n\rdata: b\r\n\r", &[data("a"), data("b")]),
        // Ends that are missing.
        (b"data: a", &[data("a")]),
        (b"data: a\n", &[data("a")]),
        (b"data: a\r", &[data("a")]),
        (b"data: a\r\n\r", &[data("a")]),
        (b"data: a\n\ndata", &[data("a"), data("")]),
        (b"data: a\n\nevent: b", &[data("a")]),
        // Byte order marks.
        (b"\xEF\xBB\xBFdata: a\n\n", &[data("a")]),
        (b"\xEF\xBB\xBF\xEF\xBB\xBFdata: a\n\n", &[]),
        (b"data: a\n\n\xEF\xBB\xBFdata: b\n\n", &[data("a")]),
        (b"\xEF\xBBdata: a\n\ndata: b\n\n", &[data("b")]),
        (b"\xEF\xBB\ndata: b\n\n", &[data("b")]),
        (b"\xEF\xBB", &[]),
        (b"\xEF\xBB\xBF", &[]),
        // Data.
        (b"data: x\ndata:y\ndata\ndata:  z\n\n", &[data("x\ny\n\n z")]),
        (b"data:\n\n", &[data("")]),
        (b"data: \n\n", &[data("")]),
        (b"data\ndata\n\n", &[data("\n")]),
        (b"data::\n\n", &[data(":")]),
        // Names.
        (b"event: n\ndata: x\n\n", &[named("n")]),
        (b"data: x\nevent:n\n\n", &[named("n")]),
        (b"event: m\nevent: n\ndata: x\n\n", &[named("n")]),
        (b"event: m\nevent\ndata: x\n\n", &[data("x")]),
        (b"event: m\ndata: x\ndata\nevent: n\n\n", &[Owned { data: "x\n".into(), ..named("n") }]),
        (b"event: n\n\ndata: x\n\n", &[data("x")]),
        (b"event: n\nid: 1\nretry: 1\n\ndata: x\n\n", &[data("x")]),
        // Ids.
        (b"id: 1\ndata: x\n\ndata: x\n\n", &[with_id("1"), data("x")]),
        (b"id: 1\nid\ndata: x\n\n", &[with_id("")]),
        (b"id: 1\nid: 2\0\ndata: x\n\n", &[with_id("1")]),
        // Retries.
        (b"retry: 0010\ndata: x\n\ndata: x\n\n", &[retry(10), data("x")]),
        (b"retry: 1\nretry: 2\ndata: x\n\n", &[retry(2)]),
        (b"retry: 1\nretry: +2\ndata: x\n\n", &[retry(1)]),
        (b"retry: 1\nretry: 2s\nretry\nretry:  3\ndata: x\n\n", &[retry(1)]),
        (b"retry: 99999999999999999999\ndata: x\n\n", &[data("x")]),
        // What is ignored.
        (b": c\n\n:\ndata: x\n:data: y\n\n", &[data("x")]),
        (b"Data: y\n data: y\ndata : y\ndatax: y\ndat\nother: y\ndata: x\n\n", &[data("x")]),
        // UTF-8.
        (
            "event: é\nid: 漢\ndata: 🦀\n\n".as_bytes(),
            &[Owned {
                name: "é".into(), data: "🦀".into(), id: Some("漢".into()), retry: None
            }],
        ),
        (b"data: a\xFFb\n\n", &[data("a\u{FFFD}b")]),
        (b"data: \xF0\x9F\n\ndata: \xF0\x9F\xA6\x80\n\n", &[data("\u{FFFD}"), data("🦀")]),
        (b"event: m\nevent: n\xFF\ndata: x\n\n", &[named("n\u{FFFD}")]),
        (
            b"event: m\xFF\nevent: n\ndata: x\xFF\ndata\n\n",
            &[Owned { data: "x\u{FFFD}\n".into(), ..named("n") }],
        ),
        (b"data: x\n\xFF: y\n: \xFF\n\n", &[data("x")]),
    ];
    for (input, events) in rows {
        let expected = (events.to_vec(), Ok(()));
        assert_eq!(oracle(Limits::default(), input), expected, "oracle {input:?}");
        assert_any_split(Limits::default(), input, &expected);
    }
}

#[test]
fn limits() {
    use SseError::{EventTooLong, LineTooLong};
    let rows: &[(usize, usize, &str, usize, Outcome)] = &[
        (7, 99, "data: a\r\n\r\n", 1, Ok(())),
        (6, 99, "data: a\r\n\r\n", 0, Err(LineTooLong)),
        (6, 99, "data:a\n\ndata: b\n\n", 1, Err(LineTooLong)),
        (6, 99, "data:a\n\n:comment", 1, Err(LineTooLong)),
        (7, 99, "\u{FEFF}data: a\n\n", 1, Ok(())),
        (0, 0, "\n\n", 0, Ok(())),
        (99, 3, "data: abc\n\ndata: abc\n\n", 2, Ok(())),
        (99, 2, "data: abc\n\n", 0, Err(EventTooLong)),
        (99, 3, "data: a\ndata: b\n\n", 1, Ok(())),
        (99, 2, "data: a\ndata: b\n\n", 0, Err(EventTooLong)),
        (99, 3, "data\ndata\ndata\ndata\n\n", 1, Ok(())),
        (99, 2, "data\ndata\ndata\ndata\n\n", 0, Err(EventTooLong)),
        (99, 3, "event: a\nid: b\ndata: c\n\n", 1, Ok(())),
        (99, 2, "event: a\nid: b\ndata: c\n\n", 0, Err(EventTooLong)),
        (99, 2, "event: ab\nevent: a\ndata: c\n\n", 1, Ok(())),
        (99, 2, "event: abc\nevent: a\ndata: c\n\n", 0, Err(EventTooLong)),
        (99, 2, ":comment\nother: field\n\n", 0, Ok(())),
    ];
    for &(line, event, input, events, result) in rows {
        let limits = Limits { line, event };
        let expected = oracle(limits, input.as_bytes());
        assert_eq!((expected.0.len(), expected.1), (events, result), "{limits:?} {input:?}");
        assert_any_split(limits, input.as_bytes(), &expected);
    }
}

#[test]
fn the_default_limits_hold() {
    let line = |length| [b"data:".as_slice(), &vec![b'x'; length - 5], b"\n\n"].concat();
    let whole = line(DEFAULT_MAX_LINE);
    assert_eq!(decode(Limits::default(), [whole.as_slice()]).1, Ok(()));
    let longer = line(DEFAULT_MAX_LINE + 1);
    let result = decode(Limits::default(), longer.chunks(1 << 20)).1;
    assert_eq!(result, Err(SseError::LineTooLong));

    let line = [b"data:".as_slice(), &vec![b'x'; DEFAULT_MAX_EVENT / 2], b"\n"].concat();
    let result = decode(Limits::default(), [line.as_slice(), &line]).1;
    assert_eq!(result, Err(SseError::EventTooLong));
}

#[test]
fn a_failure_stays() {
    let mut decoder = Decoder::with_limits(Limits { line: 7, event: 1 });
    let mut events = 0;
    let mut on_event = |_: Event<'_>| events += 1;
    for bytes in ["data: a\n\ndata: bc\n\ndata: c\n\n", "data: d\n\n", ""] {
        let result = decoder.push(bytes.as_bytes(), &mut on_event);
        assert_eq!(result, Err(SseError::LineTooLong));
        assert!(!decoder.at_boundary());
    }
    assert_eq!(decoder.finish(&mut on_event), Err(SseError::LineTooLong));
    assert_eq!(events, 1);
}

#[test]
fn boundaries() {
    for (input, boundary) in [
        ("", true),
        ("data: a\n\n", true),
        ("data: a\r\n\r", true),
        ("data: a\r\n\r\n", true),
        (": comment\n", true),
        ("\u{FEFF}", true),
        ("data: a", false),
        ("data: a\n", false),
        ("data: a\r\n", false),
        ("data\n", false),
        ("event: a\n", false),
        ("id:\n", false),
        ("retry: 1\n", false),
        (":", false),
        ("data: a\n\nd", false),
    ] {
        let mut decoder = Decoder::new();
        decoder.push(input.as_bytes(), &mut |_| {}).unwrap();
        assert_eq!(decoder.at_boundary(), boundary, "{input:?}");
        decoder.finish(&mut |_| {}).unwrap();
        assert!(decoder.at_boundary(), "{input:?}");
    }
    let mut decoder = Decoder::new();
    decoder.push(&BOM[..2], &mut |_| {}).unwrap();
    assert!(!decoder.at_boundary());
}

#[test]
fn whole_events_are_borrowed() {
    let input = b": ping\n\nevent: n\nid: 1\ndata: hello\n\ndata: a\n\n";
    let within = |text: &str| input.as_ptr_range().contains(&text.as_ptr());
    let mut decoder = Decoder::new();
    let mut events = 0;
    let mut on_event = |event: Event<'_>| {
        events += 1;
        assert!(within(event.data));
        assert!(event.name.is_empty() || within(event.name));
        assert!(event.id.is_none_or(within));
    };
    decoder.push(input, &mut on_event).unwrap();
    assert_eq!(events, 2);
    assert_eq!((decoder.line.capacity(), decoder.kept.data.capacity()), (0, 0));
}

#[test]
fn buffers_are_shared_and_given_back() {
    let mut decoder = Decoder::new();
    let push = |decoder: &mut Decoder, length: usize| {
        let event = [b"data: ".as_slice(), &vec![b'x'; length], b"\n\n"].concat();
        for bytes in event.chunks(event.len() / 2) {
            decoder.push(bytes, &mut |event| assert_eq!(event.data.len(), length)).unwrap();
        }
        (decoder.line.as_ptr(), decoder.kept.data.as_ptr())
    };
    let first = push(&mut decoder, 1000);
    assert_eq!(push(&mut decoder, 1000), first);
    push(&mut decoder, 100 * KEPT_CAPACITY);
    assert!(decoder.line.capacity() <= 2 * KEPT_CAPACITY);
    assert!(decoder.kept.data.capacity() <= 2 * KEPT_CAPACITY);
}

#[test]
fn debug_shows_no_content() {
    let mut decoder = Decoder::new();
    decoder.push(b"event: secret\ndata: secret\ndata: secret", &mut |_| {}).unwrap();
    assert!(!format!("{decoder:?}").contains("secret"));
}

/// Pieces that make up most of the grammar in few steps.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let pieces: [&'static [u8]; 18] = [
        b"\n",
        b"\r",
        b"\r\n",
        b"\n\n",
        b"data",
        b"event",
        b"id",
        b"retry",
        b":",
        b": ",
        b" ",
        b"a",
        b"1",
        b"\0",
        b"\xC3\xA9",
        b"\xEF\xBB\xBF",
        b"\xEF\xBB",
        b"\xFF",
    ];
    proptest::collection::vec(proptest::sample::select(pieces.to_vec()), 0..24)
        .prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn agrees_with_the_slow_decoder(input in stream(), line in 4_usize..20, event in 0_usize..9) {
        for limits in [Limits::default(), Limits { line, event }] {
            assert_any_split(limits, &input, &oracle(limits, &input));
        }
    }

    #[test]
    fn many_cuts(input in stream(), sizes in proptest::collection::vec(0_usize..7, 0..12)) {
        let mut rest = input.as_slice();
        let mut pushes = Vec::new();
        for size in sizes {
            let (head, tail) = rest.split_at(size.min(rest.len()));
            pushes.push(head);
            rest = tail;
        }
        pushes.push(rest);
        prop_assert_eq!(decode(Limits::default(), pushes), oracle(Limits::default(), &input));
    }
}
