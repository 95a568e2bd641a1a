use http::HeaderValue;
use http::header::CONTENT_ENCODING;

use super::*;
use crate::body::{Collect, CollectError};
use crate::test_helpers::encode::{CODINGS, encode, header_of};
use crate::test_helpers::{Frames, Step, step, steps};

const TEXT: &str = "data: {\"text\":\"Hello, hello, hello, wide world\"}\n\n";

fn headers(coding: &str) -> HeaderMap {
    let coding = HeaderValue::from_str(header_of(coding)).unwrap();
    HeaderMap::from_iter([(CONTENT_ENCODING, coding)])
}

fn decoded(coding: &str, script: impl IntoIterator<Item = Step>) -> DecodeBody<Frames> {
    DecodeBody::new(Frames::new(script), &mut headers(coding)).unwrap()
}

fn joined(steps: Vec<Step>) -> Result<Vec<u8>, String> {
    let mut joined = Vec::new();
    for step in steps {
        match step {
            Step::Data(data) => joined.extend_from_slice(&data),
            Step::Pending => {}
            Step::Error(error) => return Err(error),
            Step::Trailers(_) => panic!("trailers"),
        }
    }
    Ok(joined)
}

fn whole(coding: &str, text: &[u8]) -> Bytes {
    encode(coding, [text]).concat().into()
}

#[test]
fn every_encoding_at_every_cut() {
    for coding in CODINGS {
        let bytes = whole(coding, TEXT.as_bytes());
        for cut in 0..=bytes.len() {
            let (left, right) = (bytes.slice(..cut), bytes.slice(cut..));
            let script = [Step::Data(left), Step::Pending, Step::Data(right)];
            let body = joined(steps(&mut decoded(coding, script)));
            assert_eq!(body.as_deref(), Ok(TEXT.as_bytes()), "{coding} cut at {cut}");
        }
        let bytes = bytes.chunks(1).map(|byte| Step::Data(Bytes::copy_from_slice(byte)));
        let body = joined(steps(&mut decoded(coding, bytes)));
        assert_eq!(body.as_deref(), Ok(TEXT.as_bytes()), "{coding} byte by byte");
    }
}

#[test]
fn an_event_comes_when_it_was_flushed() {
    let events = ["data: one\n\n", "data: two\n\n", "data: three\n\n"];
    for coding in CODINGS {
        let frames = encode(coding, events.map(str::as_bytes));
        let script = frames.into_iter().flat_map(|frame| [Step::Data(frame), Step::Pending]);
        let mut body = decoded(coding, script);
        for event in events {
            let mut seen = Vec::new();
            loop {
                match step(&mut body) {
                    Some(Step::Data(data)) => seen.extend_from_slice(&data),
                    other => break assert_eq!(other, Some(Step::Pending), "{coding}"),
                }
            }
            assert_eq!(seen, event.as_bytes(), "{coding}");
        }
        assert_eq!(joined(steps(&mut body)).as_deref(), Ok(&[][..]), "{coding}");
        assert!(body.is_end_stream());
    }
}

#[test]
fn a_small_body_that_becomes_a_huge_one_stops_at_the_limit() {
    const LIMIT: usize = 100_000;
    let huge = vec![b' '; 32 << 20];
    for coding in CODINGS {
        let bytes = whole(coding, &huge);
        assert!(bytes.len() < 64 << 10, "{coding}: {}", bytes.len());
        let mut body = decoded(coding, [Step::Data(bytes.clone())]);
        match step(&mut body) {
            Some(Step::Data(data)) => assert!(data.len() <= 16 << 10, "{coding}"),
            other => panic!("{other:?}"),
        }
        let collected =
            tokio_test::block_on(Collect::new(decoded(coding, [Step::Data(bytes)]), LIMIT));
        assert!(matches!(collected, Err(CollectError::TooLarge)), "{coding}");
        // At the limit and one byte above it.
        for (limit, fits) in [(TEXT.len(), true), (TEXT.len() - 1, false)] {
            let body = decoded(coding, [Step::Data(whole(coding, TEXT.as_bytes()))]);
            let collected = tokio_test::block_on(Collect::new(body, limit));
            assert_eq!(collected.is_ok(), fits, "{coding}");
        }
    }
}

#[test]
fn large_bodies_are_whole() {
    let mut random = fastrand::Rng::with_seed(7);
    // Compresses a little, so that windows and buffers fill at odd places.
    let large: Vec<u8> = (0..300_000).map(|_| random.u8(b'a'..=b'p')).collect();
    for coding in CODINGS {
        let bytes = whole(coding, &large);
        let frames: Vec<Step> =
            bytes.chunks(1000).map(|chunk| Step::Data(Bytes::copy_from_slice(chunk))).collect();
        for script in [vec![Step::Data(bytes)], frames] {
            let body = joined(steps(&mut decoded(coding, script)));
            assert!(body.as_deref() == Ok(&large), "{coding}");
        }
    }
}

#[test]
fn what_is_cut_or_no_such_encoding_fails_once() {
    for coding in CODINGS {
        let bytes = whole(coding, TEXT.as_bytes());
        for cut in 1..bytes.len() {
            let mut body = decoded(coding, [Step::Data(bytes.slice(..cut))]);
            let error = joined(steps(&mut body)).unwrap_err();
            assert!(error.contains("content-encoding"), "{coding} cut at {cut}: {error}");
            assert!(body.is_end_stream());
            assert_eq!(step(&mut body), None, "fused");
        }
        let behind = [Step::Data(bytes.clone()), "\u{1}garbage".into()];
        for script in [vec!["\u{7}{\"model\":\"m\"}".into()], behind.to_vec()] {
            assert!(joined(steps(&mut decoded(coding, script))).is_err(), "{coding}");
        }
        let broken = [Step::Data(bytes.slice(..5)), Step::error("reset")];
        assert_eq!(joined(steps(&mut decoded(coding, broken))), Err("reset".to_owned()));
    }
}

#[test]
fn damage_is_never_taken_for_the_text() {
    // Those that carry a checksum; the others only must end.
    for coding in CODINGS {
        let bytes = whole(coding, TEXT.as_bytes());
        for at in 0..bytes.len() {
            let mut damaged = bytes.to_vec();
            damaged[at] ^= 0x15;
            let result = joined(steps(&mut decoded(coding, [Step::Data(damaged.into())])));
            // The header of gzip holds a time and a system that change nothing.
            let checked = (coding == "gzip" && at >= 10) || (coding == "deflate" && at >= 2);
            assert!(!checked || result.is_err(), "{coding} damaged at {at}");
        }
    }
}

#[test]
fn members_stand_in_a_row_where_the_encoding_has_them() {
    for coding in CODINGS {
        let twice = [whole(coding, b"one "), whole(coding, b"two")].concat();
        let body = joined(steps(&mut decoded(coding, [Step::Data(twice.into())])));
        if matches!(coding, "gzip" | "zstd") {
            assert_eq!(body.as_deref(), Ok(&b"one two"[..]), "{coding}");
        } else {
            assert!(body.is_err(), "{coding}");
        }
    }
}

#[test]
fn nothing_is_nothing_in_any_encoding() {
    for coding in CODINGS {
        assert_eq!(steps(&mut decoded(coding, [])), [], "{coding}");
        let encoded = decoded(coding, [Step::Data(whole(coding, b""))]);
        let trailed = [Step::Data(whole(coding, b"x")), Step::trailer("a", "b")];
        assert_eq!(joined(steps(&mut { encoded })).as_deref(), Ok(&[][..]), "{coding}");
        let mut trailed = decoded(coding, trailed);
        assert_eq!(steps(&mut trailed), ["x".into(), Step::trailer("a", "b")], "{coding}");
        assert!(trailed.is_end_stream());
    }
}

#[test]
fn headers_of_the_encoded_bytes_go() {
    let mut headers = headers("gzip");
    for name in ["content-length", "etag", "content-digest", "content-type"] {
        headers.insert(name, HeaderValue::from_static("x"));
    }
    let body = DecodeBody::new(Frames::new(["x"]), &mut headers).unwrap();
    assert_eq!(headers.keys().map(http::HeaderName::as_str).collect::<Vec<_>>(), ["content-type"]);
    assert_eq!((body.size_hint().lower(), body.size_hint().upper()), (0, None));
}

#[test]
fn what_is_not_encoded_passes() {
    for coding in ["", "identity", " Identity , identity"] {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding));
        headers.insert("content-length", HeaderValue::from_static("3"));
        let frames = Frames::new(["abc"]).hint(SizeHint::with_exact(3)).declaring_end();
        let mut body = DecodeBody::new(frames, &mut headers).unwrap();
        assert_eq!(headers.len(), 2, "the headers stay");
        assert_eq!(body.size_hint().exact(), Some(3));
        assert_eq!(steps(&mut body), [Step::from("abc")]);
        assert!(body.is_end_stream());
    }
}

#[test]
fn only_one_known_encoding_is_read() {
    for (value, readable) in [
        ("gzip", true),
        ("x-gzip", true),
        ("GZIP", true),
        ("identity, br", true),
        ("zstd,", true),
        ("gzip, br", false),
        ("gzip, gzip", false),
        ("compress", false),
        ("aws-chunked", false),
        ("gzip;q=1", false),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(value));
        assert_eq!(ContentEncoding::of(&headers).is_ok(), readable, "{value}");
    }
    let mut twice = headers("gzip");
    twice.append(CONTENT_ENCODING, HeaderValue::from_static("br"));
    assert!(DecodeBody::new(Frames::new(["x"]), &mut twice).is_err());
    assert_eq!(twice.len(), 2);
}
