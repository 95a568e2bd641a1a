//! Recorded answers go through reader and writer and mean the same behind them.

use std::fs;
use std::path::PathBuf;

use bytes::BytesMut;

use super::grammar::{self, Folded};
use crate::protocol::gemini::response;
use crate::protocol::gemini::stream::{Reader, Writer};
use crate::protocol::report::Reporter;
use crate::protocol::translate;
use crate::protocol::{Answer, Protocol};
use crate::sse::{Decoder, Event};
use crate::test_helpers::corpus::{self, parse};

/// The recorded cases of Gemini that have this file, by name; none where the corpus is not at hand.
pub(super) fn cases(file: &str) -> Vec<(String, String)> {
    let recorded = corpus::cases("dev/gemini");
    let is_there = !recorded.is_empty();
    let text = |path: PathBuf| fs::read_to_string(path.join(file)).ok();
    let cases: Vec<_> =
        recorded.into_iter().filter_map(|(name, path)| Some((name, text(path)?))).collect();
    assert!(!is_there || cases.len() > 20, "{file}");
    cases
}

/// Facts of an answer that comes from Gemini itself.
pub(super) fn native() -> Answer {
    let mut answer = Answer::new("asked", 7, 1);
    answer.origin = Some(Protocol::Gemini);
    answer
}

/// Reads a stream of events and writes it again.
pub(super) fn rewrite(answer: Answer, bytes: &[u8]) -> BytesMut {
    let (mut reader, mut writer) = (Reader::new(), Writer::new(answer));
    let mut out = BytesMut::new();
    let mut decoder = Decoder::new();
    let mut read = |event: Event<'_>| {
        reader.event(&event, &mut |event| writer.write(event, &mut out));
    };
    decoder.push(bytes, &mut read).unwrap();
    decoder.finish(&mut read).unwrap();
    reader.finish(&mut |event| writer.write(event, &mut out));
    assert!(writer.is_done());
    out
}

#[test]
fn answers_come_back() {
    for (name, text) in cases("response.json") {
        let source = parse(text.as_bytes());
        if source.get("error").is_some() || source.get("totalTokens").is_some() || source.is_array()
        {
            continue;
        }
        let response = response::read(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
        let mut report = Reporter::new(&text);
        let mut out = BytesMut::new();
        response::write(&response, &mut Answer::new("m", 0, 0), &mut report, &mut out);
        assert_eq!(parse(&out), source, "{name}");
        assert!(report.finish().is_empty(), "{name}");
    }
}

#[test]
fn streams_come_back() {
    for (name, text) in cases("response.sse") {
        let out = rewrite(native(), text.as_bytes());
        let found = grammar::check(&out, false).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(found, expected(&text, &found), "{name}");
    }
}

/// As an array in pieces, in and out.
#[test]
fn arrays_come_back() {
    for (name, text) in cases("response.sse") {
        let mut items = Vec::new();
        Decoder::new().push(text.as_bytes(), &mut |e| items.push(e.data.to_owned())).unwrap();
        let array = format!("[{}\n]", items.join("\n,\r\n"));
        let mut answer = native();
        answer.layout.json_array = true;
        let out = translate_stream(answer, &[array.as_bytes()]);
        let found = grammar::check(&out, true).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(found, expected(&text, &found), "{name}");
    }
}

/// What a recording says, with what clients demand where it leaves it out.
fn expected(text: &str, found: &Folded) -> Folded {
    let mut said = Folded::of_events(text.as_bytes());
    if said.id.is_empty() {
        said.id.clone_from(&found.id);
        said.model = "asked".to_owned();
    }
    said.usage.get_or_insert_with(|| {
        serde_json::json!({"promptTokenCount": 0, "candidatesTokenCount": 0, "totalTokenCount": 0})
    });
    said
}

fn translate_stream(answer: Answer, pieces: &[&[u8]]) -> BytesMut {
    use crate::protocol::Transcode;
    let mut transcoder = translate::Transcoder::new(Protocol::Gemini, Protocol::Gemini, answer);
    let mut out = BytesMut::new();
    for piece in pieces {
        transcoder.push(piece, &mut out);
    }
    transcoder.finish(&mut out);
    out
}

/// A stream that came as one JSON document.
#[test]
fn arrays_in_one_piece_are_answers() {
    let mut arrays = 0;
    for (name, text) in cases("response.json") {
        let source = parse(text.as_bytes());
        let Some(items) = source.as_array() else { continue };
        arrays += 1;
        let answer = Answer::new("m", 0, 0);
        let (gemini, body) = (Protocol::Gemini, text.as_bytes());
        let written = translate::response(gemini, gemini, body, answer).unwrap().body;
        let mut found = Folded::default();
        found.item(&parse(&written));
        let mut expected = Folded::default();
        items.iter().for_each(|item| expected.item(item));
        assert_eq!(found, expected, "{name}");
    }
    assert_eq!(arrays > 0, !cases("response.json").is_empty());
}

/// Any two-way split of a stream, in both framings, gives the same bytes.
#[test]
fn every_split_gives_the_same() {
    for (name, text) in cases("response.sse") {
        if text.len() > 6000 {
            continue;
        }
        let items = text.replace("data: ", "\n,").replacen("\n,", "[", 1);
        for source in [text.clone(), format!("{items}]")] {
            let whole = translate_stream(native(), &[source.as_bytes()]);
            for at in 0..=source.len() {
                let (left, right) = source.as_bytes().split_at(at);
                assert_eq!(translate_stream(native(), &[left, right]), whole, "{name} at {at}");
            }
        }
    }
}
