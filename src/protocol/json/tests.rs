use super::text::find_special;
use super::*;
use proptest::prelude::*;

fn accepts(text: &str) -> bool {
    Raw::parse(text).is_ok()
}

#[test]
fn accepts_what_serde_json_accepts() {
    let texts = [
        "{}",
        "[]",
        " [1, 2.5e-3, -0, 0.1] ",
        "\"\\u00e9\\\"\"",
        "01",
        "1.",
        ".5",
        "-",
        "+1",
        "nul",
        "nulll",
        "[1,]",
        "{,}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "\"\n\"",
        "\"\\x\"",
        "\"\\u12g4\"",
        "",
        " ",
        "[",
        "]",
        "{\"a\":1}}",
        "true false",
        "1e5",
        "1e",
        "1E+2",
        "\"\u{7f}\u{80}é\"",
        "\"abcdefgh\u{1}\"",
        "[[[[]]]]",
        "{\"a\":{\"b\":[null,true,false]}}",
        "\"\\",
        "\"\\u12",
        "tru",
        "-1",
        "--1",
        "\u{feff}{}",
    ];
    for text in texts {
        let theirs = serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok();
        assert_eq!(accepts(text), theirs, "{text:?}");
    }
}

#[test]
fn depth_is_limited() {
    let nested = |n: usize| "[".repeat(n) + &"]".repeat(n);
    assert!(accepts(&nested(MAX_DEPTH as usize)));
    let error = Raw::parse(&nested(MAX_DEPTH as usize + 1)).unwrap_err();
    assert_eq!(error.reason(), "nested too deeply");
}

#[test]
fn errors_name_the_place() {
    let error = Cursor::new(r#"{"a/b":[1,{"c":"x"}]}"#)
        .object(|_, c| {
            c.array(|_, c| {
                if c.kind()? == Kind::Object {
                    c.object(|_, c| c.bool().map(drop))
                } else {
                    c.raw().map(drop)
                }
            })
        })
        .unwrap_err();
    assert_eq!(error.pointer(), "/a~1b/1/c");
    assert_eq!(error.to_string(), "/a~1b/1/c: expected true or false");
}

#[test]
fn decodes_escapes() {
    let text = r#""a\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00\ud800""#;
    let string = Cursor::new(text).string().unwrap();
    assert_eq!(string.decode(), "a\"\\/\u{8}\u{c}\n\r\té😀\u{fffd}");
}

#[test]
fn slices_never_cut_an_escape() {
    let s = Cursor::new(r#""a\nb\u00e9c""#).string().unwrap();
    assert_eq!(s.slice(1..3).unwrap(), "\n");
    assert!(s.slice(2..3).is_none());
    assert!(s.slice(0..2).is_none());
    assert_eq!(s.slice(4..11).unwrap(), "éc");
    assert!(s.slice(5..11).is_none());
}

#[test]
fn peeks_at_a_member() {
    for (text, expected) in [
        (r#"{"type":"a","x":1}"#, Some("a")),
        (r#" { "x" : {"type":"no"} , "type" : "a" } "#, Some("a")),
        (r#"{"type":1}"#, None),
        (r#"{"x":1}"#, None),
        (r#"{"x""#, None),
        ("[]", None),
        ("", None),
    ] {
        let cursor = Cursor::new(text);
        assert_eq!(cursor.peek_str("type").map(|s| s.decode().into_owned()).as_deref(), expected);
        assert_eq!(cursor.offset(), 0);
    }
}

#[test]
fn splits_keep_escapes() {
    let s = Cursor::new(r#""data:image\/png;base64,AA\/A""#).string().unwrap();
    let (head, data) = s.split_once(',').unwrap();
    assert_eq!((head.escaped(), data.escaped()), (r"data:image\/png;base64", r"AA\/A"));
    assert!(s.split_once('/').is_none());
}

#[test]
fn numbers_keep_their_text() {
    let mut c = Cursor::new("[12345678901234567890, 1.0, 1.5, -1]");
    let mut seen = Vec::new();
    c.array(|_, c| {
        let n = c.number()?;
        seen.push((n.as_str().to_owned(), n.as_u64()));
        Ok(())
    })
    .unwrap();
    assert_eq!(seen[0], ("12345678901234567890".to_owned(), Some(12_345_678_901_234_567_890)));
    assert_eq!(seen[1].1, Some(1));
    assert_eq!(seen[2].1, None);
    assert_eq!(seen[3].1, None);
}

#[test]
fn what_stands_behind() {
    let rows = [
        ("", "", ""),
        ("你好", "你", "好"),
        ("a", "ab", ""),
        ("ab", "ac", "b"),
        ("好", "妈", "好"),
        (r"a\n", "a", r"\n"),
        (r"\n", r"\t", r"\n"),
        (r"\ud83d\ude00", r"\ud83d\ude01", r"\ud83d\ude00"),
        (r"\ud83d\ude00x", r"\ud83d\ude00y", "x"),
        (r"\u00e9", r"\u00e8", r"\u00e9"),
        (r"\ud83d", r"\ud83d", r"\ud83d"),
    ];
    for (text, other, expected) in rows {
        let string = JsonStr::from_escaped(text.to_owned());
        assert_eq!(string.behind_common(other).escaped(), expected, "{text} {other}");
        let behind = text.strip_prefix(other);
        assert_eq!(string.behind(other).as_ref().map(JsonStr::escaped), behind);
    }
}

#[test]
fn a_value_that_was_read_costs_no_second_walk() {
    let mut cursor = Cursor::new(r#" [ {"a" : [1, 2] } , "b\"" , 7 ]  "#);
    let mut seen = Vec::new();
    cursor
        .array(|_, c| {
            let start = c.clone();
            let raw = c.raw()?;
            assert_eq!(c.since(&start), raw);
            seen.push((
                raw.as_str().to_owned(),
                raw.source_str().map(|text| text.decode().into_owned()),
            ));
            Ok(())
        })
        .unwrap();
    let expected = [(r#"{"a" : [1, 2] }"#, None), (r#""b\"""#, Some("b\"")), ("7", None)];
    assert_eq!(seen, expected.map(|(raw, text)| (raw.to_owned(), text.map(str::to_owned))));
}

proptest! {
    #[test]
    fn the_common_part_is_whole(a in "[a\\\\\"é\u{1f600}\n]{0,6}", b in "[a\\\\\"é\u{1f600}\n]{0,6}") {
        let (left, right) = (JsonStr::from_plain(a.as_str()), JsonStr::from_plain(b.as_str()));
        let common = a.chars().zip(b.chars()).take_while(|(x, y)| x == y);
        let common: usize = common.map(|(x, _)| x.len_utf8()).sum();
        let behind = left.behind_common(right.escaped());
        prop_assert_eq!(behind.decode(), &a[common..]);
    }

    #[test]
    fn plain_text_survives(text in any::<String>()) {
        let string = JsonStr::from_plain(text.as_str());
        prop_assert_eq!(string.decode(), text.as_str());
        let quoted = format!("\"{}\"", string.escaped());
        prop_assert_eq!(serde_json::from_str::<String>(&quoted).unwrap(), text);
    }

    #[test]
    fn agrees_with_serde_json(text in r#"[\[\]{}",:\\a0-9eE.tru+ -]{0,24}"#) {
        let theirs = serde_json::from_str::<&serde_json::value::RawValue>(&text).is_ok();
        prop_assert_eq!(accepts(&text), theirs);
    }

    #[test]
    fn finds_the_first_special(bytes in prop::collection::vec(any::<u8>(), 0..64), at in 0usize..64) {
        let at = at.min(bytes.len());
        let slow = bytes[at..].iter().position(|b| *b == b'"' || *b == b'\\' || *b < 0x20).map_or(bytes.len(), |i| at + i);
        prop_assert_eq!(find_special(&bytes, at), slow);
    }
}
