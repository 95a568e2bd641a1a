//! Canaries for the proxy: planted secrets must not stand in its settings, its log, its answers
//! about itself or its files. The search, and what it leaves out, are those of `tests/canary`.

#[path = "../../tests/canary/secrets.rs"]
mod secrets;
#[path = "../../tests/canary/vendor.rs"]
mod vendor;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::json;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tower::ServiceExt;

use self::secrets::Outputs;
use self::vendor::Vendor;
use crate::banner::Banner;
use crate::channels::Routing;
use crate::environment::Environment;
use crate::gateway::Gateway;
use crate::listen::{Log, listen};
use crate::records::Records;
use crate::server;
use crate::settings::Settings;

/// What waits for nobody is here long before.
const PATIENCE: Duration = Duration::from_secs(20);

/// The settings; `DIR` in them stands for a folder.
fn pairs(vendor: &str, dir: &TempDir) -> Vec<(&'static str, String)> {
    let dir = dir.path().display();
    let headers = format!("{dir}/headers.json");
    std::fs::write(&headers, json!({"x-tenant-secret": secrets::MEMBER}).to_string()).unwrap();
    let proxy = format!("http://user:{}@127.0.0.1:1", secrets::PROXY_PASSWORD);
    vec![
        ("PROXY_ACCESS_KEY", secrets::IN_X_API_KEY.to_owned()),
        ("UPSTREAM_API_KEY", format!("{},{}", secrets::ANTHROPIC, secrets::HEX)),
        ("UPSTREAM_URL", vendor.to_owned()),
        ("UPSTREAM_PROTOCOL", "anthropic".to_owned()),
        ("CUSTOM_HEADERS_FILE", headers),
        ("HTTPS_PROXY", proxy),
        ("LOG_STORAGE_PATH", format!("{dir}/lines")),
        ("REQUEST_LOG_URL", format!("sqlite:{dir}/requests.db")),
        ("REQUEST_LOG_BODIES", "true".to_owned()),
    ]
}

fn read(pairs: &[(&'static str, String)]) -> Settings {
    let pairs = pairs.iter().map(|(name, value)| (*name, value.as_str()));
    Settings::read(&pairs.collect::<Environment>()).unwrap()
}

#[tokio::test]
async fn the_proxy_shows_no_secret() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(log.clone());
    let _listening = listen(subscriber.finish());
    let mut outputs = Outputs::default();
    let vendor = Arc::new(Vendor::default());
    let (url, dir) = (vendor.clone().start().await, tempfile::tempdir().unwrap());
    let settings = read(&pairs(&url, &dir));
    outputs.debug("Settings", &settings);
    outputs.add("the listing of settings", settings.listing.as_str());
    outputs.add("warnings", settings.warnings.join("\n"));

    let mut running = JoinSet::new();
    let records = Records::start(&settings.records).await.unwrap();
    let routing = Routing::start(&settings, &records, &mut running).await.unwrap();
    outputs.debug("Records", &records);
    outputs.debug("Routing", &routing);
    let address = ([127, 0, 0, 1], 8088).into();
    let banner = Banner { settings: &settings, routing: &routing, address };
    outputs.add("the banner", banner.to_string());
    let gateway = Gateway::new(&settings, &routing, &records).unwrap();
    let router = server::routes(&settings, gateway);
    for mood in ["ok", "400", "401", "403", "429", "500", "text", "stream", "cut"] {
        ask(&router, mood).await;
    }
    records.files.as_ref().unwrap().flush().await.unwrap();
    show_answers(&router, &mut outputs).await;
    records.finish().await;
    show_files(dir.path(), &mut outputs);

    assert!(vendor.saw(secrets::ANTHROPIC) && vendor.saw(secrets::HEX));
    assert!(vendor.saw(secrets::PROMPT) && vendor.saw(secrets::MEMBER));
    assert!(!vendor.saw(secrets::IN_X_API_KEY));
    assert!(log.text().contains("llm_request"));
    outputs.add("the log", log.text());
    println!("{} outputs, {} bytes", outputs.len(), outputs.bytes());
    let found = outputs.leaks();
    assert!(found.is_empty(), "{} leaks:\n{}", found.len(), found.join("\n"));
}

fn request(method: &str, path: &str, body: impl Into<Body>) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(path)
        .header("x-api-key", secrets::IN_X_API_KEY)
        .header("anthropic-version", "2023-06-01")
        .header("content-type", "application/json")
        .body(body.into())
        .unwrap()
}

async fn ask(router: &Router, mood: &str) {
    let prompt = format!("my key is {}", secrets::PROMPT);
    let body = json!({
        "model": format!("leak-{mood}"), "max_tokens": 64, "stream": mood == "stream",
        "messages": [{"role": "user", "content": prompt}], "api_key": secrets::MEMBER,
    });
    let path = format!("/v1/messages?key={}", secrets::IN_X_API_KEY);
    let answer = router.clone().oneshot(request("POST", &path, body.to_string())).await.unwrap();
    let mut body = answer.into_body();
    while let Some(Ok(_)) = body.frame().await {}
}

/// What the proxy tells of itself, also where it is asked wrongly.
async fn show_answers(router: &Router, outputs: &mut Outputs) {
    let key = secrets::ANTHROPIC;
    let line = json!({"message": format!("api_key={key}"), "path": format!("/?key={key}")});
    for (method, path, body, status) in [
        ("POST", "/api/logs/broadcast", line.to_string(), 200),
        ("GET", "/api/stats?limit=0", String::new(), 200),
        ("GET", "/api/admin/stats", String::new(), 200),
        ("GET", "/api/errors?limit=500", String::new(), 200),
        ("GET", "/api/logs/history?limit=1000", String::new(), 200),
        ("GET", "/api/request_logs?limit=1000", String::new(), 200),
        ("GET", "/metrics", String::new(), 200),
        ("GET", "/api/ping", String::new(), 200),
        ("GET", "/api/ping/nobody", String::new(), 404),
        ("GET", &format!("/api/stats?limit={key}"), String::new(), 400),
        ("GET", &format!("/api/logs/history?level={key}"), String::new(), 400),
        ("POST", "/api/logs/broadcast", json!({"message": {"api_key": key}}).to_string(), 422),
        ("POST", "/api/logs/broadcast", format!("{{\"message\": \"{key}\", {key}"), 400),
    ] {
        let answer = router.clone().oneshot(request(method, path, body)).await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{method} {path}");
        let body = to_bytes(answer.into_body(), 4 << 20).await.unwrap();
        outputs.add(format!("the answer to {method} {}", path.split('?').next().unwrap()), body);
    }
    let mut stranger = request("GET", "/api/stats", Body::empty());
    stranger.headers_mut().insert("x-api-key", secrets::UNKNOWN.parse().unwrap());
    let answer = router.clone().oneshot(stranger).await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    outputs.add("a refusal", to_bytes(answer.into_body(), 4 << 20).await.unwrap());

    let events = request("GET", "/api/logs/stream", Body::empty());
    let mut events = router.clone().oneshot(events).await.unwrap().into_body();
    let mut sent = Vec::new();
    while !String::from_utf8_lossy(&sent).contains("api_key=") {
        let frame = tokio::time::timeout(PATIENCE, events.frame()).await.expect("it is there");
        sent.extend_from_slice(&frame.unwrap().unwrap().into_data().unwrap());
    }
    outputs.add("the events of the log", sent);
}

/// All files below a folder but the one that holds a setting.
fn show_files(dir: &std::path::Path, outputs: &mut Outputs) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            show_files(&path, outputs);
        } else if !path.ends_with("headers.json") {
            outputs.add(format!("the file {}", path.display()), std::fs::read(&path).unwrap());
        }
    }
}

/// Whichever setting a secret is put into by mistake.
#[test]
fn settings_show_no_secret() {
    let defaults = read(&[]);
    let names = defaults.listing.split(' ').filter_map(|row| Some(row.split_once('=')?.0));
    let names: Vec<&str> = names.collect();
    assert!(names.len() > 30, "{names:?}");
    let mut outputs = Outputs::default();
    for name in names {
        for value in [
            format!("https://user:{}@h/?key={}", secrets::URL_PASSWORD, secrets::URL_KEY),
            format!("postgres://user:{}@h/db", secrets::DATABASE_PASSWORD),
            secrets::ANTHROPIC.to_owned(),
        ] {
            match Settings::read(&[(name, value.as_str())].into_iter().collect::<Environment>()) {
                Err(error) => outputs.error(name, &error),
                Ok(settings) => {
                    outputs.add(format!("the listing of {name}"), settings.listing.as_str());
                    outputs.add(format!("the warnings of {name}"), settings.warnings.join("\n"));
                }
            }
        }
    }
    let found = outputs.leaks();
    assert!(found.is_empty(), "{} leaks:\n{}", found.len(), found.join("\n"));
}
