//! Streams. Any cut gives the same bytes; what is written is framed by the rules of its protocol
//! and ends exactly once, whatever came.

use bytes::BytesMut;
use tower_llm_gateway::protocol::scan::Observer;
use tower_llm_gateway::protocol::translate::{Folder, Transcoder};
use tower_llm_gateway::protocol::{Protocol, Transcode};

use super::document::assert_json;
use super::events;
use super::input::{Input, shown};

/// How many bytes a byte of a stream may become: an event of few bytes is told in one of many,
/// and Responses tell each text four times.
const MOST_GROWTH: usize = 200;

/// What opens and closes a stream.
const MOST_ADDED: usize = 32 << 10;

/// Most bytes of a folded answer.
const MOST_FOLDED: usize = 1 << 20;

/// The largest body that is also read byte by byte.
const SHORT: usize = 512;

pub fn check(from: Protocol, to: Protocol, input: &Input<'_>) {
    let whole = transcode(from, to, input, &[input.body]);
    let cut = transcode(from, to, input, &input.pieces());
    assert!(
        whole == cut,
        "{from} -> {to} is cut\n  in    {}\n  whole {}\n  cut   {}",
        shown(input.body),
        shown(&whole),
        shown(&cut)
    );
    if input.body.len() <= SHORT {
        let bytes: Vec<_> = input.body.chunks(1).collect();
        assert!(transcode(from, to, input, &bytes) == whole, "{from} -> {to} byte by byte");
    }
    let failed = assert_stream(from, to, input, &whole);
    observe(from, input);
    if !input.layout().json_array && !input.layout().snapshots {
        read_again(from, to, input, &whole, failed);
    }
    let mut folder = Folder::new(from, MOST_FOLDED);
    folder.push(input.body);
    if let Ok(folded) = folder.finish(to, input.answer()) {
        assert_json(from, to, input.body, &folded.body);
    }
}

fn transcode(from: Protocol, to: Protocol, input: &Input<'_>, pieces: &[&[u8]]) -> Vec<u8> {
    let mut transcoder = Transcoder::new(from, to, input.answer());
    let mut out = BytesMut::new();
    for piece in pieces {
        transcoder.push(piece, &mut out);
    }
    if input.flag(6) {
        transcoder.abort(&mut out);
    } else {
        transcoder.finish(&mut out);
    }
    assert!(transcoder.is_done(), "{from} -> {to} is not done: {}", shown(input.body));
    out.to_vec()
}

/// The framing of what was written, and its size; true when it ends in an error.
pub fn assert_stream(from: Protocol, to: Protocol, input: &Input<'_>, output: &[u8]) -> bool {
    // Snapshots say all in each event.
    if !input.layout().snapshots {
        let most = input.body.len() * MOST_GROWTH + MOST_ADDED;
        assert!(output.len() <= most, "{from} -> {to}: {} to {}", input.body.len(), output.len());
    }
    events::ends_once(to, input.layout(), output).unwrap_or_else(|error| {
        panic!("{from} -> {to}: {error}\n  in  {}\n  out {}", shown(input.body), shown(output))
    })
}

/// Our own reader takes what was written, and finds it whole where it is.
fn read_again(from: Protocol, to: Protocol, input: &Input<'_>, output: &[u8], failed: bool) {
    let mut folder = Folder::new(to, usize::MAX);
    folder.push(output);
    let folded = folder.finish(to, input.answer());
    assert!(
        folded.is_err() == failed,
        "{from} -> {to} is read again: {folded:?}\n  in  {}\n  out {}",
        shown(input.body),
        shown(output)
    );
}

/// Any cut shows the same to who only watches.
fn observe(protocol: Protocol, input: &Input<'_>) {
    let mut whole = Observer::events(protocol);
    whole.push(input.body);
    whole.finish();
    let mut cut = Observer::events(protocol);
    input.pieces().into_iter().for_each(|piece| cut.push(piece));
    cut.finish();
    assert_eq!(whole.observed(), cut.observed(), "{protocol}: {}", shown(input.body));
}
