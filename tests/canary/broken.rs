//! Errors of whatever has a URL with a password in it, or a text with keys.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use tokio::net::TcpListener;
use tower::{Layer, ServiceExt};
use tower_llm_gateway::config::{Config, ConfigFile};
use tower_llm_gateway::context::Upstream;
use tower_llm_gateway::layer::key_pool::{Cooldown, KeyPool, Settings};
use tower_llm_gateway::protocol::Protocol;
use tower_llm_gateway::protocol::model::{Fault, FaultKind, FaultOrigin};
use tower_llm_gateway::store::SqlStore;
use tower_llm_gateway::upstream::{HttpUpstream, HttpUpstreamBuilder, Proxies};
use tower_llm_gateway::{ApiKeyAuthLayer, CatchErrorLayer, HopByHopFilterLayer};

use crate::refusing::Refusing;
use crate::secrets::{self, Outputs};

pub(crate) async fn break_everything(outputs: &mut Outputs) {
    settings(outputs);
    configuration(outputs);
    connections(outputs).await;
    databases(outputs).await;
}

fn settings(outputs: &mut Outputs) {
    let with_password = format!("https://user:{}@h", secrets::URL_PASSWORD);
    let with_key = format!("https://h/?key={}", secrets::URL_KEY);
    let nonsense = format!("ht!tp://user:{}@[h?key={}", secrets::URL_PASSWORD, secrets::URL_KEY);
    for url in [&with_password, &with_key, &nonsense] {
        let error = Upstream::new(url, Protocol::Gemini).unwrap_err();
        outputs.error("Upstream", &error);
        outputs.error("target", &HopByHopFilterLayer::new().target(url).unwrap_err());
    }
    let upstream = Upstream::new("https://h", Protocol::Gemini).unwrap();
    let key = format!("{}\n", secrets::GEMINI);
    outputs.error("the key of Upstream", &upstream.key(key.as_str()).unwrap_err());
    outputs.error("KeyPool", &KeyPool::new([key.as_str()]).unwrap_err());
    outputs.error("KeyPool", &KeyPool::new([secrets::HEX; 2]).unwrap_err());
    outputs.error("ApiKeyAuthLayer", &ApiKeyAuthLayer::new([secrets::IN_BEARER; 2]).unwrap_err());
    let url = format!("socks9://user:{}@h", secrets::PROXY_PASSWORD);
    outputs.error("Proxies", &Proxies::all(&url).unwrap_err());
}

/// Parsers like to quote what they do not understand.
fn configuration(outputs: &mut Outputs) {
    let key = secrets::ANTHROPIC;
    let password = secrets::URL_PASSWORD;
    for text in [
        format!("{{\"upstream\": [{{\"apiKeys\": [\"{key}\""),
        format!("{{\"upstream\": [{{\"apiKeys\": \"{key}\"}}]}}"),
        format!("{{\"upstream\": \"{key}\"}}"),
        format!("{{\"loadBalance\": \"{key}\"}}"),
        format!("{{\"upstream\": [{{\"serviceType\": \"{key}\"}}]}}"),
        format!("{{\"upstream\": [{{\"status\": \"{key}\"}}]}}"),
        format!("{{\"upstream\": [{{\"promotionUntil\": \"{key}\"}}]}}"),
        format!("{{\"upstream\": [{{\"priority\": \"{key}\"}}]}}"),
        format!(
            "{{\"upstream\": [{{\"serviceType\": \"claude\", \"apiKeys\": [\"{key}\"], \
             \"baseUrl\": \"https://user:{password}@h?key={key}\"}}]}}"
        ),
        format!("\"{key}\""),
    ] {
        match Config::parse(&text) {
            Err(error) => outputs.error("Config", &error),
            Ok(loaded) => {
                outputs.debug("Config", &loaded);
                for channel in &loaded.config.upstream {
                    let upstreams = channel.upstreams();
                    outputs.error("the upstreams of a channel", &upstreams.unwrap_err());
                }
            }
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.json");
        std::fs::write(&path, text).unwrap();
        if let Err(error) = ConfigFile::new(path).load() {
            outputs.error("ConfigFile", &error);
        }
    }
}

async fn connections(outputs: &mut Outputs) {
    let refusing = Refusing::new();
    let nobody = refusing.address();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let no_tls = listener.local_addr().unwrap();
    #[expect(clippy::disallowed_methods, reason = "it lives as long as the test")]
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let words = format!("HTTP/1.1 407 {}\r\n\r\n", secrets::PROXY_PASSWORD);
            drop(tokio::io::AsyncWriteExt::write_all(&mut stream, words.as_bytes()).await);
        }
    });
    let secret = format!("user:{}@", secrets::URL_PASSWORD);
    let query = format!("v1?key={}", secrets::URL_KEY);
    let by_proxy = |at| format!("http://user:{}@{at}", secrets::PROXY_PASSWORD);
    for (what, uri, proxy) in [
        ("a refused connection", format!("http://{secret}{nobody}/{query}"), None),
        ("no TLS", format!("https://{secret}{no_tls}/{query}"), None),
        ("an unknown host", format!("http://{secret}nowhere.invalid/{query}"), None),
        ("no proxy", format!("http://{secret}h.invalid/{query}"), Some(by_proxy(nobody))),
        ("no proxy for TLS", format!("https://{secret}h.invalid/{query}"), Some(by_proxy(nobody))),
        (
            "a proxy that refuses",
            format!("https://{secret}h.invalid/{query}"),
            Some(by_proxy(no_tls)),
        ),
    ] {
        let proxies = proxy.map_or_else(Proxies::none, |url| Proxies::all(&url).unwrap());
        let upstream: HttpUpstream<Full<Bytes>> =
            HttpUpstreamBuilder::new().danger_accept_invalid_certs(true).proxies(proxies).build();
        let request = || {
            Request::get(&uri)
                .header("x-api-key", secrets::ANTHROPIC)
                .body(Full::<Bytes>::from(secrets::PROMPT))
                .unwrap()
        };
        let error = upstream.clone().oneshot(request()).await.err();
        outputs.error(what, &error.unwrap_or_else(|| panic!("{what} is no error")));
        let caught = CatchErrorLayer::new().layer(upstream).oneshot(request()).await.unwrap();
        assert!(caught.status().is_server_error(), "{what}");
        outputs.debug(&format!("the head of the answer to {what}"), caught.headers());
        #[expect(clippy::disallowed_methods, reason = "answers of ours are short")]
        let body = caught.into_body().collect().await.unwrap().to_bytes();
        outputs.add(format!("the answer to {what}"), body);
    }
}

async fn databases(outputs: &mut Outputs) {
    let password = secrets::DATABASE_PASSWORD;
    for url in [
        format!("postgres://user:{password}@127.0.0.1:1/db"),
        format!("postgres://user:{password}@nowhere.invalid/db"),
        format!("postgres://user:{password}@[h/db"),
        format!("postgres://h/db?password={password}&nonsense={password}"),
        format!("mysql://user:{password}@h/db"),
        password.to_owned(),
        format!("sqlite:/proc/{password}/nowhere.db"),
    ] {
        let opened = SqlStore::open(&url).await.err();
        outputs.error("SqlStore", &opened.unwrap_or_else(|| panic!("{url} was opened")));
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gateway.db");
    let (store, worker) = SqlStore::open(&format!("sqlite:{}", path.display())).await.unwrap();
    outputs.debug("SqlStore", &store);
    outputs.debug("SqlWorker", &worker);
    #[expect(clippy::disallowed_methods, reason = "a host does so")]
    let worker = tokio::spawn(worker.run());
    let rules = Settings::new("pool").store(store.clone());
    let rules = rules.cooldown(Cooldown::steps([Duration::from_secs(60)]));
    let pool = KeyPool::with(rules, [secrets::HEX, secrets::OPENAI]).unwrap();
    let fault = FaultKind::Auth;
    for _ in 0..2 {
        let lease = pool.try_lease().unwrap();
        lease.fail(&Fault::new(fault, fault.status(), FaultOrigin::Upstream));
    }
    drop((pool, store));
    worker.await.unwrap();
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        assert!(!bytes.is_empty());
        outputs.add(format!("the file {}", path.display()), bytes);
    }
}
