//! What must hold for any bytes at all: one function per target. The fuzzer looks for bytes that
//! break one, and `tests/replay.rs` runs what it has kept.
//!
//! `read_*`: a reader before the writer of its own protocol; `translate_*`: before the one that
//! the input chooses. Both take requests, answers, errors and streams.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a target fails by a panic")]
#![allow(missing_docs, unreachable_pub, reason = "shared by a library and a test")]

mod document;
mod edits;
mod events;
mod input;
mod machines;
mod redaction;
mod stream;

use tower_llm_gateway::protocol::Protocol;

pub use input::Input;

/// A target's name and what it asserts of any bytes.
pub type Target = (&'static str, fn(&[u8]));

pub const TARGETS: [Target; 14] = [
    ("read_anthropic", read_anthropic),
    ("read_openai_chat", read_openai_chat),
    ("read_openai_responses", read_openai_responses),
    ("read_gemini", read_gemini),
    ("read_dashscope", read_dashscope),
    ("translate_anthropic", translate_anthropic),
    ("translate_openai_chat", translate_openai_chat),
    ("translate_openai_responses", translate_openai_responses),
    ("translate_gemini", translate_gemini),
    ("translate_dashscope", translate_dashscope),
    ("sse", sse),
    ("json", json),
    ("edit", edit),
    ("redaction", redaction),
];

pub fn read_anthropic(bytes: &[u8]) {
    read(Protocol::Anthropic, bytes);
}

pub fn read_openai_chat(bytes: &[u8]) {
    read(Protocol::OpenAiChat, bytes);
}

pub fn read_openai_responses(bytes: &[u8]) {
    read(Protocol::OpenAiResponses, bytes);
}

pub fn read_gemini(bytes: &[u8]) {
    read(Protocol::Gemini, bytes);
}

pub fn read_dashscope(bytes: &[u8]) {
    read(Protocol::DashScope, bytes);
}

pub fn translate_anthropic(bytes: &[u8]) {
    translate(Protocol::Anthropic, bytes);
}

pub fn translate_openai_chat(bytes: &[u8]) {
    translate(Protocol::OpenAiChat, bytes);
}

pub fn translate_openai_responses(bytes: &[u8]) {
    translate(Protocol::OpenAiResponses, bytes);
}

pub fn translate_gemini(bytes: &[u8]) {
    translate(Protocol::Gemini, bytes);
}

pub fn translate_dashscope(bytes: &[u8]) {
    translate(Protocol::DashScope, bytes);
}

pub fn sse(bytes: &[u8]) {
    let Some(input) = Input::read(bytes) else { return };
    machines::sse(&input);
}

pub fn json(bytes: &[u8]) {
    let Some(input) = Input::read(bytes) else { return };
    machines::json(&input);
}

pub fn edit(bytes: &[u8]) {
    let Some(input) = Input::read(bytes) else { return };
    edits::check(&input);
}

pub fn redaction(bytes: &[u8]) {
    let Some(input) = Input::read(bytes) else { return };
    redaction::check(&input);
}

fn read(protocol: Protocol, bytes: &[u8]) {
    let Some(input) = Input::read(bytes) else { return };
    check(protocol, protocol, &input);
}

fn translate(from: Protocol, bytes: &[u8]) {
    let Some(input) = Input::read(bytes) else { return };
    check(from, input.protocol, &input);
}

/// What holds for a reader and a writer, by the input's kind.
pub fn check(from: Protocol, to: Protocol, input: &Input<'_>) {
    match input.kind {
        input::REQUEST => document::request(from, to, input),
        input::ANSWER => document::answer(from, to, input),
        input::ERROR => document::error(from, to, input),
        _ => stream::check(from, to, input),
    }
}
