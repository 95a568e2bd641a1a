//! Splices against the cheapest thing that `serde_json` can do with the same body: skim it.
//! The goal is at most 1.3 times that.

#![allow(clippy::unwrap_used)]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use http::Uri;
use serde_json::value::RawValue;
use tower_llm_gateway::protocol::Protocol;
use tower_llm_gateway::protocol::edit::{Outline, SystemEdit};

/// A conversation of about so many bytes, in messages of about `text` bytes.
fn body(bytes: usize, text: usize) -> Vec<u8> {
    let words = "The quick brown fox \\\"jumps\\\" over\\nthe lazy dog. ".repeat(text / 48 + 1);
    let message = format!(r#"{{"role":"user","content":[{{"type":"text","text":"{words}"}}]}}"#);
    let messages = vec![message; bytes / text + 1].join(",");
    format!(
        r#"{{"model":"claude","max_tokens":1024,"system":[{{"type":"text","text":"Be kind."}}],"messages":[{messages}],"stream":true}}"#
    )
    .into_bytes()
}

fn outline(body: &[u8]) -> Outline<'_> {
    Outline::read(Protocol::Anthropic, black_box(body)).unwrap()
}

fn edits(c: &mut Criterion) {
    let mut group = c.benchmark_group("edit");
    group.measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500));
    let sizes = [
        ("1KB", 1 << 10, 300),
        ("100KB", 100 << 10, 300),
        ("100KB-long", 100 << 10, 20_000),
        ("1MiB", 1 << 20, 20_000),
    ];
    let uri = Uri::from_static("/v1/messages");
    let prepend = SystemEdit::Prepend("Be brief.".into());
    let claude_code = SystemEdit::ClaudeCode { text: "Be brief.".into(), insert: true };
    for (name, bytes, text) in sizes {
        let body = body(bytes, text);
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_with_input(BenchmarkId::new("skim", name), &body, |b, body| {
            b.iter(|| serde_json::from_slice::<&RawValue>(black_box(body)).unwrap());
        });
        group.bench_with_input(BenchmarkId::new("model", name), &body, |b, body| {
            b.iter(|| outline(body).set_model(&mut uri.clone(), "other").unwrap());
        });
        group.bench_with_input(BenchmarkId::new("prepend", name), &body, |b, body| {
            b.iter(|| outline(body).edit_system(&prepend).unwrap());
        });
        group.bench_with_input(BenchmarkId::new("claude_code", name), &body, |b, body| {
            b.iter(|| outline(body).edit_system(&claude_code).unwrap());
        });
    }
    group.finish();
}

criterion_group!(benches, edits);
criterion_main!(benches);
