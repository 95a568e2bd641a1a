use super::*;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use axum::body::{Body, to_bytes};
use http::Request;
use http_body_util::BodyExt;
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tower::ServiceExt;

use crate::channels::Routing;
use crate::gateway::Gateway;
use crate::listen::{Log, listen};
use crate::log_files::Rotation;
use crate::records::Records;
use crate::server;
use crate::settings::Settings;

fn settings(format: LogFormat, dir: Option<&Path>) -> LogSettings {
    let file = dir.map(|dir| Rotation {
        path: dir.join("app.log"),
        max_size: 1 << 20,
        max_backups: 1,
        max_age: Duration::ZERO,
        compress: true,
    });
    LogSettings { filter: "info".into(), format, console: true, file }
}

#[test]
fn lines_reach_the_console_and_the_file() {
    let dir = TempDir::new().unwrap();
    let console = Log::default();
    let settings = settings(LogFormat::Text, Some(dir.path()));
    let (subscriber, logs) = subscriber(&settings, console.clone(), true).unwrap();
    {
        let _listening = listen(subscriber);
        let _span = tracing::info_span!("request", request_id = "r-1").entered();
        tracing::info!(n = 1, "one");
        tracing::debug!("not this");
    }
    assert_eq!(logs.losses.as_ref().unwrap().counts(), (0, 0));
    // What waits is written before it is gone.
    drop(logs);
    let file = std::fs::read_to_string(dir.path().join("app.log")).unwrap();
    assert_eq!(file.lines().count(), 1);
    assert!(
        file.contains("request{request_id=\"r-1\"}: ") && file.ends_with(": one n=1\n"),
        "{file}"
    );
    assert!(!file.contains('\u{1b}'), "{file}");
    let console = console.text();
    assert!(console.contains('\u{1b}') && console.lines().count() == 1, "{console}");
}

#[test]
fn a_file_that_cannot_be_made_is_an_error() {
    let dir = TempDir::new().unwrap();
    let taken = dir.path().join("taken");
    std::fs::write(&taken, "").unwrap();
    let settings = settings(LogFormat::Text, Some(&taken.join("logs")));
    assert!(subscriber(&settings, Log::default(), false).is_err());
}

#[tokio::test(start_paused = true)]
async fn losses_are_told() {
    let console = Log::default();
    let (subscriber, _logs) =
        subscriber(&settings(LogFormat::Text, None), console.clone(), false).unwrap();
    let _listening = listen(subscriber);
    let (writer, _guard) = NonBlockingBuilder::default().finish(io::sink());
    let losses = Losses { dropped: writer.error_counter(), failures: Arc::default() };
    losses.failures.store(3, Ordering::Relaxed);
    let telling = tokio::time::timeout(TELL_EVERY * 5, losses.tell());
    telling.await.unwrap_err();
    let text = console.text();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains("not complete dropped=0 failures=3"), "{text}");
}

/// One that is failed over, one that is refused, one that its caller leaves, one with an id that
/// is none.
#[tokio::test]
async fn every_line_of_a_request_has_its_id() {
    let console = Log::default();
    let (subscriber, _logs) =
        subscriber(&settings(LogFormat::Json, None), console.clone(), false).unwrap();
    let _listening = listen(subscriber);
    let settings = Settings::read(&[("DEMO_PACE_MS", "0")].into_iter().collect()).unwrap();
    let mut background = JoinSet::new();
    let routing = Routing::start(&settings, &Records::in_memory(), &mut background).await.unwrap();
    let router = server::routes(
        &settings,
        Gateway::new(&settings, &routing, &Records::in_memory()).unwrap(),
    );
    let begin = console.text().len();
    let long = "x".repeat(500);
    for (id, body) in [
        ("r-1", r#"{"model":"demo","messages":[{"role":"user","content":"Hello"}]}"#),
        ("r-2", r#"{"model":"demo","messages":7}"#),
        ("r-3", r#"{"model":"demo","stream":true,"messages":[{"role":"user","content":"Hello"}]}"#),
        (&*long, r#"{"model":"demo","messages":[{"role":"user","content":"Hello"}]}"#),
    ] {
        let request = Request::post("/v1/chat/completions")
            .header("content-type", "application/json")
            .header("x-request-id", id);
        let request = request.body(Body::from(body)).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        if id == "r-3" {
            let mut body = response.into_body();
            drop(body.frame().await.unwrap().unwrap());
        } else {
            to_bytes(response.into_body(), 1 << 20).await.unwrap();
        }
    }
    let text = console.text();
    let mut lines = BTreeMap::<String, usize>::new();
    for line in text[begin..].lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let spans = line["spans"].as_array().unwrap_or_else(|| panic!("no request in {line}"));
        let ids: BTreeSet<_> = spans.iter().map(|span| span["request_id"].as_str()).collect();
        // All of them name the same one.
        let [Some(id)] = *ids.into_iter().collect::<Vec<_>>() else { panic!("no id in {line}") };
        *lines.entry(id.to_owned()).or_default() += 1;
    }
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert!(lines["r-1"] >= 2 && lines["r-3"] >= 2, "{lines:?}");
    assert!(!lines.contains_key(&long), "{lines:?}");
}
