//! Recorded traffic, pair by pair: every case of the corpus is read, written back in its own
//! protocol, and translated to the other. What came out is compared by an oracle that knows
//! neither readers nor writers ([`essence`]).
//!
//! `cargo test --test corpus -- --nocapture` prints the table. The corpus is not part of the
//! crate: it is found by `LLM_CORPUS` or beside the checkout, and the tests skip without it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod emit;
mod essence;
mod fold;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::BytesMut;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::Value;
use tower_llm_gateway::protocol::Transcode;
use tower_llm_gateway::protocol::report::Mode;
use tower_llm_gateway::protocol::translate::{
    self, RequestOptions, Transcoder, TranslateError, TranslatedRequest,
};
use tower_llm_gateway::protocol::{Answer, Head, Protocol};

use essence::Essence;

const PROTOCOLS: [Protocol; 5] = Protocol::ALL;

struct Case {
    name: String,
    protocol: Protocol,
    dir: PathBuf,
    status: StatusCode,
    /// Path and query of its request.
    path: String,
    headers: HeaderMap,
    /// Known to break its protocol's grammar: it must end in a clear result, whatever that is.
    dirty: bool,
}

impl Case {
    fn file(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.dir.join(name)).ok()
    }
}

fn corpus() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    let root = std::env::var_os("LLM_CORPUS").map_or(beside, PathBuf::from);
    if root.join("dev").is_dir() {
        return Some(root);
    }
    println!("skipped: no corpus at {} (set LLM_CORPUS)", root.display());
    None
}

fn cases(root: &Path) -> Vec<Case> {
    let mut cases = Vec::new();
    for protocol in PROTOCOLS {
        for entry in fs::read_dir(root.join("dev").join(protocol.as_str())).unwrap() {
            let dir = entry.unwrap().path();
            let meta = fs::read(dir.join("meta.json")).unwrap();
            let meta: Value = serde_json::from_slice(&meta).unwrap();
            if meta["operation"] != "generate" {
                continue;
            }
            let status = meta["http"]["status"].as_u64().unwrap_or(200) as u16;
            cases.push(Case {
                name: dir.file_name().unwrap().to_string_lossy().into_owned(),
                protocol,
                dir,
                status: StatusCode::from_u16(status).unwrap(),
                path: path_of(protocol, &meta),
                headers: headers_of(&meta),
                dirty: meta["grammar"]["ok"] == false,
            });
        }
    }
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(cases.len() > 200, "the corpus is there: {}", cases.len());
    cases
}

/// Gemini says in the path what others say in the body.
fn path_of(protocol: Protocol, meta: &Value) -> String {
    let path = meta["http"]["path"].as_str().unwrap_or_default();
    if protocol != Protocol::Gemini || !path.is_empty() {
        return path.to_owned();
    }
    let model = meta["model"].as_str().unwrap_or("gemini-2.5-flash");
    let stream = meta["stream"] == true;
    let action = if stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
    format!("/v1beta/models/{model}:{action}")
}

fn headers_of(meta: &Value) -> HeaderMap {
    let given = meta["http"]["request_headers"].as_object().into_iter().flatten();
    given
        .filter_map(|(name, value)| {
            let name = HeaderName::try_from(name).ok()?;
            Some((name, HeaderValue::from_str(value.as_str()?).ok()?))
        })
        .collect()
}

/// What happened, by kind and pair; a failure names its case.
#[derive(Default)]
struct Table(BTreeMap<(String, String), (usize, Vec<String>)>);

impl Table {
    fn row(
        &mut self,
        kind: &str,
        from: Protocol,
        to: Protocol,
        name: &str,
        result: Result<(), String>,
    ) {
        let row = self.0.entry((kind.to_owned(), format!("{from} -> {to}"))).or_default();
        row.0 += 1;
        if let Err(reason) = result {
            row.1.push(format!("{name}: {reason}"));
        }
    }

    fn finish(self) {
        println!("\n{:<10} {:<28} {:>6} {:>7}", "kind", "pair", "cases", "passed");
        for ((kind, pair), (count, failed)) in &self.0 {
            println!("{kind:<10} {pair:<28} {count:>6} {:>7}", count - failed.len());
        }
        let failures: Vec<_> = self.0.values().flat_map(|(_, failed)| failed).collect();
        assert!(failures.is_empty(), "{failures:#?}");
    }
}

fn answer() -> Answer {
    let mut answer = Answer::new("asked-model", 1_700_000_000, 7);
    answer.include_usage = true;
    answer
}

/// JSON equality, apart from the form of numbers.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(k, v)| b.get(k).is_some_and(|w| same(v, w)))
        }
        (a, b) => a == b,
    }
}

fn compare(what: &str, expected: &Value, found: &Value) -> Result<(), String> {
    if same(expected, found) {
        return Ok(());
    }
    Err(format!("{what} differs\n  expected {expected}\n  found    {found}"))
}

fn translate(case: &Case, to: Protocol, body: &[u8]) -> Result<TranslatedRequest, String> {
    let (path, query) = match case.path.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (case.path.as_str(), None),
    };
    let head = Head { path, query, headers: &case.headers };
    let options =
        RequestOptions { mode: Mode::Lenient, head: Some(head), ..RequestOptions::default() };
    translate::request(case.protocol, to, body, &options).map_err(|e| e.to_string())
}

fn request(case: &Case, to: Protocol, body: &[u8], source: &Value) -> Result<(), String> {
    let translated = translate(case, to, body)?;
    let written: Value =
        serde_json::from_slice(&translated.body).map_err(|e| format!("wrote no JSON: {e}"))?;
    if to == case.protocol {
        if !translated.report.is_empty() {
            return Err(format!("lost something on its own way back: {}", translated.report));
        }
        return compare("request", source, &written);
    }
    let losses = translated.report.losses().len();
    essence::same_request(case.protocol, source, to, &written, losses)
        .map_err(|e| format!("{e}\n  report {}", translated.report))?;
    asked(case, to, source, &translated, &written)
}

/// The model and the wish for a stream, which some protocols say outside of the body.
fn asked(
    case: &Case,
    to: Protocol,
    source: &Value,
    translated: &TranslatedRequest,
    written: &Value,
) -> Result<(), String> {
    let model = if case.protocol == Protocol::Gemini {
        let last = case.path.split('?').next().unwrap_or_default().rsplit('/').next();
        last.and_then(|last| last.split(':').next()).unwrap_or_default().to_owned()
    } else {
        source["model"].as_str().unwrap_or_default().to_owned()
    };
    let found = match to {
        Protocol::Gemini => percent_encoding::percent_decode_str(&translated.endpoint.path)
            .decode_utf8_lossy()
            .into(),
        _ => written["model"].as_str().unwrap_or_default().to_owned(),
    };
    let kept = if to == Protocol::Gemini { found.contains(&model) } else { found == model };
    if !kept {
        return Err(format!("model {model} became {found}"));
    }
    let streamed = match case.protocol {
        Protocol::Gemini => case.path.contains("streamGenerateContent"),
        Protocol::DashScope => translated.stream,
        _ => source["stream"] == true,
    };
    let found = match to {
        Protocol::Gemini => translated.endpoint.query == Some("alt=sse"),
        Protocol::DashScope => {
            translated.endpoint.headers.iter().any(|(name, _)| name == "x-dashscope-sse")
        }
        _ => written["stream"] == true,
    };
    if streamed != found {
        return Err(format!("stream {streamed} became {found}"));
    }
    Ok(())
}

#[test]
fn requests() {
    let Some(root) = corpus() else { return };
    let mut table = Table::default();
    for case in cases(&root) {
        let Some(body) = case.file("request.json") else { continue };
        let source: Value = serde_json::from_slice(&body).unwrap();
        for to in PROTOCOLS {
            let result = request(&case, to, &body, &source);
            // What the vendor itself answered with 400 may be refused by the reader.
            let refused = case.status.is_client_error() && result.is_err();
            let result = if refused { Ok(()) } else { result };
            table.row("request", case.protocol, to, &case.name, result);
        }
    }
    table.finish();
}

#[test]
fn responses() {
    let Some(root) = corpus() else { return };
    let mut table = Table::default();
    for case in cases(&root) {
        let Some(body) = case.file("response.json") else { continue };
        let source: Value = serde_json::from_slice(&body).unwrap();
        for to in PROTOCOLS {
            let result = if case.status.is_success() {
                response(&case, to, &body, &source)
            } else {
                error(&case, to, &body, &source)
            };
            let kind = if case.status.is_success() { "response" } else { "error" };
            table.row(kind, case.protocol, to, &case.name, result);
        }
    }
    table.finish();
}

/// Gemini's array of pieces that was kept whole: a stream in another framing.
fn array(case: &Case, to: Protocol, body: &[u8], items: &[Value]) -> Result<(), String> {
    let events: String = items.iter().map(|item| format!("data: {item}\r\n\r\n")).collect();
    let folded = fold::fold(case.protocol, events.as_bytes(), false)?;
    let translated =
        translate::response(case.protocol, to, body, answer()).map_err(|e| e.to_string())?;
    let written: Value = serde_json::from_slice(&translated.body).map_err(|e| e.to_string())?;
    let expected = Essence::of_response(case.protocol, &folded.message);
    expected.same(&Essence::of_response(to, &written), to)
}

fn response(case: &Case, to: Protocol, body: &[u8], source: &Value) -> Result<(), String> {
    if let Some(items) = source.as_array() {
        return array(case, to, body, items);
    }
    let expected = Essence::of_response(case.protocol, source);
    let translated = match translate::response(case.protocol, to, body, answer()) {
        // An error under a 200 is an error, in the upstream's words.
        Err(TranslateError::Failed(_, message)) if source["error"]["message"] == message => {
            return Ok(());
        }
        // So is a model that failed, and an answer that a filter took, where there is no word for it.
        Err(TranslateError::Failed(..)) if expected.failed() || expected.may_fail(to) => {
            return Ok(());
        }
        translated => translated.map_err(|e| e.to_string())?,
    };
    let written: Value = serde_json::from_slice(&translated.body).map_err(|e| e.to_string())?;
    if to == case.protocol {
        return compare("response", source, &written);
    }
    expected.same(&Essence::of_response(to, &written), to)
}

fn error(case: &Case, to: Protocol, body: &[u8], source: &Value) -> Result<(), String> {
    let translated = translate::error(case.protocol, to, case.status, body);
    let written: Value = serde_json::from_slice(&translated.body).map_err(|e| e.to_string())?;
    if translated.status.as_u16() < 400 {
        return Err(format!("an error became {}", translated.status));
    }
    let message = |value: &Value| {
        let places = ["/error/message", "/message", "/0/error/message"];
        places.iter().find_map(|place| value.pointer(place)?.as_str()).map(str::to_owned)
    };
    if let (Some(expected), Some(found)) = (message(source), message(&written)) {
        if !found.contains(&expected) && !expected.contains(&found) {
            return Err(format!("message {expected:?} became {found:?}"));
        }
        return Ok(());
    }
    message(&written).map(drop).ok_or_else(|| format!("no message in {written}"))
}

fn transcode(from: Protocol, to: Protocol, pieces: &[&[u8]]) -> Vec<u8> {
    let mut transcoder = Transcoder::new(from, to, answer());
    let mut out = BytesMut::new();
    for piece in pieces {
        transcoder.push(piece, &mut out);
    }
    transcoder.finish(&mut out);
    assert!(transcoder.is_done(), "finish ends every stream");
    out.to_vec()
}

#[test]
fn streams() {
    let Some(root) = corpus() else { return };
    let mut table = Table::default();
    for case in cases(&root) {
        let Some(body) = case.file("response.sse") else { continue };
        for to in PROTOCOLS {
            let out = transcode(case.protocol, to, &[&body]);
            table.row("stream", case.protocol, to, &case.name, stream(&case, to, &body, &out));
        }
    }
    table.finish();
}

/// DashScope repeats all in each event, unless the caller asked otherwise.
fn snapshots(case: &Case) -> bool {
    case.file("request.json").is_none_or(|request| {
        let request: Value = serde_json::from_slice(&request).unwrap_or_default();
        request["parameters"]["incremental_output"] != true
    })
}

/// The oracle itself: it folds every clean recording.
#[test]
fn sources_are_understood() {
    let Some(root) = corpus() else { return };
    let mut table = Table::default();
    for case in cases(&root).iter().filter(|case| !case.dirty) {
        let Some(body) = case.file("response.sse") else { continue };
        let folded = fold::fold(case.protocol, &body, snapshots(case)).map(drop);
        table.row("source", case.protocol, case.protocol, &case.name, folded);
    }
    table.finish();
}

fn stream(case: &Case, to: Protocol, source: &[u8], written: &[u8]) -> Result<(), String> {
    let expected = fold::fold(case.protocol, source, snapshots(case));
    // The grammar of what we wrote holds whatever came in.
    let found = fold::fold(to, written, false).map_err(|e| match &expected {
        Err(bad) if !case.dirty => format!("bad source: {bad}"),
        _ => format!("wrote bad grammar: {e}"),
    })?;
    if case.dirty {
        return Ok(());
    }
    let expected = expected.map_err(|e| format!("bad source: {e}"))?;
    let essence = Essence::of_response(case.protocol, &expected.message);
    let failed = expected.failed || essence.failed() || (essence.may_fail(to) && found.failed);
    if failed != found.failed && !(essence.failed() && to == case.protocol) {
        return Err(format!("failed: expected {failed}, found {}", found.failed));
    }
    if failed {
        return Ok(());
    }
    essence.same(&Essence::of_response(to, &found.message), to)
}

/// Every two-way cut of every stream, exactly: the state before the cut event is cloned, the cut
/// made, and state and output compared with the uncut ones at the end of the event.
#[test]
fn every_cut_gives_the_same() {
    let Some(root) = corpus() else { return };
    let cases = cases(&root);
    // Millions of cuts: each caller's protocol has a thread of its own.
    let cuts: usize = std::thread::scope(|scope| {
        let threads = PROTOCOLS.map(|to| {
            let cases = &cases;
            scope.spawn(move || cases.iter().map(|case| cuts_of(case, to)).sum::<usize>())
        });
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    println!("{cuts} cuts");
    assert!(cuts > 100_000);
}

fn cuts_of(case: &Case, to: Protocol) -> usize {
    let Some(body) = case.file("response.sse") else { return 0 };
    let whole = transcode(case.protocol, to, &[&body]);
    let bytes: Vec<&[u8]> = body.chunks(1).collect();
    assert!(transcode(case.protocol, to, &bytes) == whole, "{} byte by byte", case.name);
    if body.len() <= 4096 {
        for cut in 0..=body.len() {
            let (head, tail) = body.split_at(cut);
            let out = transcode(case.protocol, to, &[head, tail]);
            assert!(out == whole, "{} cut at {cut}", case.name);
        }
    }
    cut_everywhere(case, to, &body)
}

fn cut_everywhere(case: &Case, to: Protocol, body: &[u8]) -> usize {
    let mut before = Transcoder::new(case.protocol, to, answer());
    let mut start = 0;
    while start < body.len() {
        // Two events at a time, so that a cut may also fall on their border.
        let end = event_end(body, event_end(body, start));
        let mut after = before.clone();
        let mut expected = BytesMut::new();
        after.push(&body[start..end], &mut expected);
        for cut in start..=end {
            let mut state = before.clone();
            let mut out = BytesMut::new();
            state.push(&body[start..cut], &mut out);
            state.push(&body[cut..end], &mut out);
            assert!(out == expected, "{} to {to}: cut at {cut}", case.name);
            assert!(state == after, "{} to {to}: cut at {cut}", case.name);
        }
        let next = event_end(body, start);
        before.push(&body[start..next], &mut BytesMut::new());
        start = next;
    }
    body.len()
}

fn event_end(body: &[u8], start: usize) -> usize {
    let rest = &body[start..];
    let ends = [&b"\n\n"[..], b"\r\n\r\n"];
    let end =
        ends.iter().filter_map(|end| Some(memchr::memmem::find(rest, end)? + end.len())).min();
    start + end.unwrap_or(rest.len())
}

/// Peers' opinions: our translation of their inputs must hold by the oracle; where it also equals
/// theirs is counted and printed, and where it does not the oracle decides (see wire formats).
#[test]
fn golden_pairs() {
    let Some(root) = corpus() else { return };
    let mut table = Table::default();
    for from in PROTOCOLS {
        for to in PROTOCOLS {
            let Ok(kinds) = fs::read_dir(root.join(format!("golden/{from}-to-{to}"))) else {
                continue;
            };
            for kind in kinds {
                let kind = kind.unwrap().path();
                let kind_name = kind.file_name().unwrap().to_string_lossy().into_owned();
                for case in fs::read_dir(&kind).unwrap() {
                    let dir = case.unwrap().path();
                    let name = dir.file_name().unwrap().to_string_lossy().into_owned();
                    let result = golden(&kind_name, from, to, &dir);
                    table.row(&kind_name, from, to, &name, explained(from, to, &name, result));
                }
            }
        }
    }
    table.finish();
}

/// Goldens whose input we read otherwise than their authors, and why.
const EXPLAINED: [(&str, &str); 9] = [
    (
        "cliproxy--same-name-custom-and-function-defaults-to-function-family",
        "of two tools with one name the first is declared: vendors refuse both",
    ),
    (
        "cliproxy--custom-tool-call-history-synthesizes-missing-call-id",
        "a result without its call is dropped and reported (wire formats, orphans)",
    ),
    (
        "cliproxy--orphan-and-duplicate-tool-call-outputs-are-dropped",
        "as the name says: dropped and reported",
    ),
    (
        "cliproxy--groups-non-contiguous-parallel-tool-outputs",
        "results of one batch stand together, what stood between them follows",
    ),
    ("envoy--single-stream-chunk-response", "a stream without a finish reason was cut"),
    (
        "envoy--stream-chunks-with-thought-signature-on-text-part",
        "a stream without a finish reason was cut",
    ),
    ("envoy--stream-chunks-with-thought-summary", "a stream without a finish reason was cut"),
    ("agentgateway--stream-refusal", "the input lacks the events that open a part"),
    ("agentgateway--stream", "the input lacks the events that open a part"),
];

/// A difference that is explained is none; an explanation of none is stale.
fn explained(
    from: Protocol,
    to: Protocol,
    name: &str,
    result: Result<(), String>,
) -> Result<(), String> {
    match (EXPLAINED.iter().find(|(case, _)| *case == name), result) {
        (Some((_, why)), Err(_)) => {
            println!("{from} -> {to}, {name}: {why}");
            Ok(())
        }
        (_, result) => result,
    }
}

fn golden(kind: &str, from: Protocol, to: Protocol, dir: &Path) -> Result<(), String> {
    let read = |name: &str| fs::read(dir.join(name)).ok();
    let json = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).map_err(|e| e.to_string());
    match kind {
        "request" | "request-assert" => {
            let body = read("input.json").ok_or("no input")?;
            let options = RequestOptions { mode: Mode::Lenient, ..RequestOptions::default() };
            let translated =
                translate::request(from, to, &body, &options).map_err(|e| e.to_string())?;
            let losses = translated.report.losses().len();
            essence::same_request(from, &json(&body)?, to, &json(&translated.body)?, losses)
        }
        "response" | "response-assert" => {
            let body = read("input.json").ok_or("no input")?;
            let translated =
                translate::response(from, to, &body, answer()).map_err(|e| e.to_string())?;
            let expected = Essence::of_response(from, &json(&body)?);
            expected.same(&Essence::of_response(to, &json(&translated.body)?), to)
        }
        _ => {
            let body = read("input.sse").ok_or("no input")?;
            if kind == "aggregate" {
                return aggregate(
                    from,
                    &body,
                    &json(&read("expected.json").ok_or("no expectation")?)?,
                );
            }
            let expected = fold::fold(from, &body, true).map_err(|e| format!("source: {e}"))?;
            let found = fold::fold(to, &transcode(from, to, &[&body]), false)?;
            let expected = Essence::of_response(from, &expected.message);
            expected.same(&Essence::of_response(to, &found.message), to)
        }
    }
}

/// A stream folded into one answer of its own protocol.
fn aggregate(protocol: Protocol, body: &[u8], expected: &Value) -> Result<(), String> {
    let mut folder = translate::Folder::new(protocol, 1 << 20);
    folder.push(body);
    let folded = folder.finish(protocol, answer()).map_err(|e| e.to_string())?;
    let found: Value = serde_json::from_slice(&folded.body).map_err(|e| e.to_string())?;
    Essence::of_response(protocol, expected).same(&Essence::of_response(protocol, &found), protocol)
}
