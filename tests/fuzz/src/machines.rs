//! The machines below the protocols, against what others make of the same bytes.

use bytes::BytesMut;
use serde_json::value::RawValue;
use tower_llm_gateway::protocol::json::{Cursor, JsonError, JsonStr, Kind, Raw, push_plain};
use tower_llm_gateway::sse::{Decoder, Event, Limits, SseError, encode};

use super::input::{Input, shown};

/// Limits that the fuzzer finds.
const SMALL: Limits = Limits { line: 64, event: 96 };

#[derive(Debug, Clone, PartialEq)]
struct Seen {
    name: String,
    data: String,
    id: Option<String>,
    retry: Option<u64>,
}

type Decoded = (Vec<Seen>, Result<(), SseError>, bool);

fn decode(limits: Limits, pieces: &[&[u8]]) -> Decoded {
    let mut decoder = Decoder::with_limits(limits);
    let mut seen = Vec::new();
    let mut on_event = |event: Event<'_>| {
        assert!(event.name.len() + event.data.len() <= limits.event, "an event within its limit");
        seen.push(Seen {
            name: event.name.to_owned(),
            data: event.data.to_owned(),
            id: event.id.map(str::to_owned),
            retry: event.retry,
        });
    };
    let mut result = Ok(());
    for piece in pieces {
        result = result.and(decoder.push(piece, &mut on_event));
    }
    let at_boundary = decoder.at_boundary();
    result = result.and(decoder.finish(&mut on_event));
    (seen, result, at_boundary)
}

/// Any cut gives the same events, within any limits; what is written is read back.
pub fn sse(input: &Input<'_>) {
    for limits in [Limits::default(), SMALL] {
        let whole = decode(limits, &[input.body]);
        let bytes: Vec<_> = input.body.chunks(1).collect();
        for pieces in [&input.pieces()[..], &bytes] {
            assert_eq!(decode(limits, pieces), whole, "{}", shown(input.body));
        }
    }
    let (events, result, _) = decode(Limits::default(), &[input.body]);
    result.unwrap();
    let mut written = BytesMut::new();
    for event in &events {
        let Seen { name, data, id, retry } = event;
        encode(&mut written, &Event { name, data, id: id.as_deref(), retry: *retry });
    }
    let (again, result, at_boundary) = decode(Limits::default(), &[&written]);
    result.unwrap();
    assert!(at_boundary && again == events, "{}", shown(&written));
}

/// The same documents are taken as by `serde_json`, with the same strings and members.
pub fn json(input: &Input<'_>) {
    let Ok(text) = std::str::from_utf8(input.body) else { return };
    let theirs = serde_json::from_str::<&RawValue>(text);
    let ours = Raw::parse(text);
    match (&ours, &theirs) {
        (Ok(raw), Ok(theirs)) => {
            assert_eq!(raw.as_str(), theirs.get());
            value(&mut Cursor::new(text)).unwrap();
        }
        // Where `serde_json` only skims it knows no depth.
        (Err(error), Ok(_)) => assert_eq!(error.reason(), "nested too deeply", "{text}"),
        (Err(error), Err(_)) => assert!(error.offset() <= text.len(), "{text}"),
        (Ok(_), Err(error)) => panic!("{error}: {text}"),
    }
    plain(text);
}

/// Walks all of a document.
fn value(cursor: &mut Cursor<'_>) -> Result<(), JsonError> {
    match cursor.kind()? {
        Kind::String => {
            let string = cursor.string()?;
            let quoted = format!("\"{}\"", string.escaped());
            // A half of a pair is one that a string of Rust cannot hold.
            if let Ok(theirs) = serde_json::from_str::<String>(&quoted) {
                assert_eq!(string.decode(), theirs);
            }
            let again = JsonStr::from_plain(string.decode().into_owned());
            assert_eq!(again.decode(), string.decode());
            Ok(())
        }
        Kind::Object => cursor.object(|_, cursor| value(cursor)),
        Kind::Array => cursor.array(|_, cursor| value(cursor)),
        _ => {
            let raw = cursor.raw()?;
            assert_eq!(Raw::parse(raw.as_str())?, raw);
            Ok(())
        }
    }
}

/// Any text survives as a string.
fn plain(text: &str) {
    let mut written = BytesMut::new();
    push_plain(&mut written, text);
    assert_eq!(serde_json::from_slice::<String>(&written).unwrap(), text);
    assert_eq!(JsonStr::from_plain(text).decode(), text);
}
