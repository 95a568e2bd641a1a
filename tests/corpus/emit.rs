//! Writes what becomes of the recorded answers, for judges outside of this crate (`.ci/sdk`): with
//! `LLM_EMIT=DIR cargo test --test corpus emit` a file `DIR/KIND/FROM/TO/CASE` for each answer
//! and each other protocol. An answer that cannot be told is there as the error that the caller
//! gets, in `DIR/refused`.

use std::fs;
use std::path::Path;

use bytes::BytesMut;
use tower_llm_gateway::protocol::model::{ApiError, FaultKind};
use tower_llm_gateway::protocol::translate::{
    self, Folder, Transcoder, TranslateError, TranslatedAnswer,
};
use tower_llm_gateway::protocol::{Answer, Layout, Protocol, Transcode, refusal};

use super::{Case, PROTOCOLS, answer, cases, corpus};

/// Most bytes of a folded answer.
const MOST_FOLDED: usize = 16 << 20;

#[test]
fn emit() {
    let Some(dir) = std::env::var_os("LLM_EMIT") else { return };
    let Some(root) = corpus() else { return };
    let mut count = 0;
    for case in cases(&root) {
        for to in PROTOCOLS.into_iter().filter(|to| *to != case.protocol) {
            for (kind, body) in answers(&case, to) {
                let dir = Path::new(&dir).join(kind).join(case.protocol.as_str());
                let dir = dir.join(to.as_str());
                fs::create_dir_all(&dir).unwrap();
                fs::write(dir.join(&case.name), body).unwrap();
                count += 1;
            }
        }
    }
    println!("{count} answers written");
    assert!(count > 0);
}

/// All that a caller of protocol `to` may get to see of this answer, by its kind.
fn answers(case: &Case, to: Protocol) -> Vec<(String, Vec<u8>)> {
    let mut answers = Vec::new();
    let whole = case.file("response.json");
    let streamed = case.file("response.sse");
    for (name, layout) in layouts(to) {
        let answer = || {
            let mut answer = answer();
            answer.layout = layout;
            answer
        };
        let mut tell = |kind: &str, told: Result<Vec<u8>, Vec<u8>>| match told {
            Ok(body) => answers.push((format!("{kind}{name}"), body)),
            Err(body) => answers.push((format!("refused/{kind}{name}"), body)),
        };
        match &whole {
            Some(body) if case.status.is_success() && !layout.json_array => {
                let told = translate::response(case.protocol, to, body, answer());
                tell("response", document(to, told));
                let played = translate::response_as_stream(case.protocol, to, body, answer());
                tell("played", document(to, played));
            }
            Some(body) if layout == Layout::default() && !case.status.is_success() => {
                let error = translate::error(case.protocol, to, case.status, body);
                tell("error", Ok(error.body.to_vec()));
            }
            _ => {}
        }
        if let Some(body) = &streamed {
            tell("stream", Ok(stream(case.protocol, to, body, answer())));
            if !layout.json_array && !layout.snapshots {
                let mut folder = Folder::new(case.protocol, MOST_FOLDED);
                folder.push(body);
                tell("folded", document(to, folder.finish(to, answer())));
            }
        }
    }
    answers
}

/// The forms of answers that a protocol has, and what their kinds are called.
fn layouts(to: Protocol) -> Vec<(&'static str, Layout)> {
    let of = |change: fn(&mut Layout)| {
        let mut layout = Layout::default();
        change(&mut layout);
        layout
    };
    let mut layouts = vec![("", Layout::default())];
    match to {
        Protocol::Gemini => layouts.push(("-array", of(|layout| layout.json_array = true))),
        Protocol::DashScope => layouts.extend([
            ("-snapshots", of(|layout| layout.snapshots = true)),
            ("-list", of(|layout| layout.content_list = true)),
            ("-text", of(|layout| layout.text_only = true)),
        ]),
        _ => {}
    }
    layouts
}

fn stream(from: Protocol, to: Protocol, body: &[u8], answer: Answer) -> Vec<u8> {
    let mut transcoder = Transcoder::new(from, to, answer);
    let mut out = BytesMut::new();
    transcoder.push(body, &mut out);
    transcoder.finish(&mut out);
    out.to_vec()
}

fn document(
    to: Protocol,
    told: Result<TranslatedAnswer, TranslateError>,
) -> Result<Vec<u8>, Vec<u8>> {
    told.map(|told| told.body.to_vec()).map_err(|error| {
        let kind = match &error {
            TranslateError::Failed(kind, _) => *kind,
            _ => FaultKind::Upstream,
        };
        let error = ApiError::new(kind, error.to_string());
        refusal::body(Some(to), refusal::status(Some(to), kind), &error).to_vec()
    })
}
