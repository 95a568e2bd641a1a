//! Canaries: secrets of every form are planted wherever a secret may come from, sent through
//! everything that there is, and then looked for in everything that anybody may read: logs,
//! statistics, spans, rows, errors, answers of ours, and the `Debug` of whatever may hold one.
//!
//! Left out by name, because they carry them rightly: the request to the vendor, which has the
//! vendor's key, and the vendor's own answer on its way to the caller. The example proxy's answers
//! about itself, its settings and its files are searched by its own tests, in the same way:
//! `cargo test --example proxy canary`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests are tests")]

mod broken;
mod caller;
#[path = "../../src/test_helpers/listen.rs"]
#[expect(dead_code, reason = "all threads are listened to, and they have no other subscriber")]
mod listen;
mod logs;
#[path = "../../src/test_helpers/refusing.rs"]
mod refusing;
mod secrets;
mod shown;
mod stack;
mod vendor;
mod watchers;

use std::sync::Arc;

use crate::logs::Logs;
use crate::secrets::Outputs;
use crate::stack::Gateway;
use crate::vendor::Vendor;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_shown_anywhere() {
    let logs = Logs::install();
    let mut outputs = Outputs::default();
    let vendor = Arc::new(Vendor::default());
    let url = vendor.clone().start().await;

    let gateway = Gateway::start(&url).await;
    caller::ask_everything(&gateway, &mut outputs).await;
    gateway.show(&mut outputs).await;
    shown::show_all(&mut outputs).await;
    broken::break_everything(&mut outputs).await;
    logs.show(&mut outputs);

    vendor_saw_what_it_should(&vendor);
    logs.hold_what_they_should();
    println!("{} outputs, {} bytes", outputs.len(), outputs.bytes());
    let found = outputs.leaks();
    assert!(found.is_empty(), "{} leaks:\n{}", found.len(), found.join("\n"));
}

/// That what must come there has come there: else there was nothing to be shown.
fn vendor_saw_what_it_should(vendor: &Vendor) {
    for secret in [
        secrets::ANTHROPIC,
        secrets::OPENAI,
        secrets::GEMINI,
        secrets::HEX,
        secrets::MEMBER,
        secrets::PROMPT,
    ] {
        assert!(vendor.saw(secret), "{secret} never arrived");
    }
    for secret in [
        secrets::IN_X_API_KEY,
        secrets::IN_BEARER,
        secrets::IN_GOOG_KEY,
        secrets::IN_QUERY,
        secrets::IN_API_KEY,
        secrets::COOKIE,
    ] {
        assert!(!vendor.saw(secret), "the caller's {secret} went to the vendor");
    }
}
