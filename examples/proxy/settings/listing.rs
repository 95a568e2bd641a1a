//! The settings in effect, as the log may show them.

use std::fmt::{Display, Write};
use std::path::Path;

use http::HeaderValue;
use tower_llm_gateway::layer::key_pool::{
    DEFAULT_COOLDOWN, DEFAULT_MAX_COOLDOWN, DEFAULT_THRESHOLD,
};
use tower_llm_gateway::protocol::Protocol;
use tower_llm_gateway::redact;
use tower_llm_gateway::secret::Secret;

use super::{Cors, Settings};
use crate::environment::Environment;
use crate::log_files::Rotation;

/// What stands for a setting without a value.
const NONE: &str = "-";
const SET: &str = "set";
const NOT_SET: &str = "not-set";

/// One setting: its names, the one that is shown first, and its value in effect.
pub(super) type Row = (&'static [&'static str], String);

/// `NAME=value NAME=value`, in the order of the table in [`settings`](super).
pub(super) fn listing(settings: &Settings, env: &Environment) -> String {
    let mut text = String::new();
    for (names, value) in rows(settings, env) {
        // Whatever somebody put where a path or a name belongs.
        let value = redact::text(&value);
        let space = if text.is_empty() { "" } else { " " };
        let quoted = value.contains(|c: char| c.is_whitespace() || c.is_control() || c == '"');
        // Writing into a string does not fail.
        let _ = match quoted {
            true => write!(text, "{space}{}={value:?}", names[0]),
            false => write!(text, "{space}{}={value}", names[0]),
        };
    }
    text
}

/// An allow-list: what is not here is not shown, and a secret is only said to be set.
pub(super) fn rows(settings: &Settings, env: &Environment) -> Vec<Row> {
    [basics(settings, env), policies(settings, env), logs(settings), records(settings)].concat()
}

fn basics(settings: &Settings, env: &Environment) -> Vec<Row> {
    let cooldown = |name, default: u64| env.text(name).map_or(default.to_string(), str::to_owned);
    let [first, most] = [DEFAULT_COOLDOWN, DEFAULT_MAX_COOLDOWN].map(|time| time.as_secs());
    vec![
        (&["HOST"], settings.host.to_string()),
        (&["PORT"], settings.port.to_string()),
        (&["FALLBACK_PORT"], settings.fallback_port.to_string()),
        (&["CONFIG_FILE"], option(settings.config_file.as_ref().map(|path| path.display()))),
        (
            &["UPSTREAM_URL", "API_BASE_URL"],
            option(settings.upstream_url.as_deref().map(redact::url)),
        ),
        (
            &["UPSTREAM_PROTOCOL"],
            match settings.upstream_protocol {
                Some(_) if settings.old_completions => "openaiold".into(),
                protocol => option(protocol.map(Protocol::as_str)),
            },
        ),
        (
            &["UPSTREAM_API_KEY"],
            match settings.upstream_keys.len() {
                0 => NOT_SET.into(),
                1 => SET.into(),
                keys => format!("{SET} ({keys} keys)"),
            },
        ),
        (&["API_KEY_COOL_DOWN_SECONDS"], cooldown("API_KEY_COOL_DOWN_SECONDS", first)),
        (&["MAX_COOL_DOWN_SECONDS"], cooldown("MAX_COOL_DOWN_SECONDS", most)),
        (
            &["API_KEY_FAILURE_THRESHOLD"],
            cooldown("API_KEY_FAILURE_THRESHOLD", DEFAULT_THRESHOLD.into()),
        ),
        (&["PROXY_ACCESS_KEY"], set(settings.access_key.as_ref()).into()),
        (&["MODEL_MAP"], format!("{} models", settings.models.names().len())),
        (&["DEFAULT_MAX_TOKENS"], option(settings.default_max_tokens)),
        (&["DEMO_PACE_MS"], settings.demo_pace.as_millis().to_string()),
    ]
}

fn policies(settings: &Settings, env: &Environment) -> Vec<Row> {
    let proxy = |name: &str| {
        let value = env.text(name).or_else(|| env.text(&name.to_ascii_lowercase()));
        // Without a scheme, what stands before the host would not be known as a password.
        option(value.map(|url| match url.contains("://") {
            true => redact::url(url).into_owned(),
            false => redact::url(&format!("http://{url}")).into_owned(),
        }))
    };
    let no_proxy = env.text("NO_PROXY").or_else(|| env.text("no_proxy"));
    vec![
        (&["MAX_RETRIES"], auto(settings.max_attempts)),
        (&["SESSIONS"], auto(settings.sessions)),
        (&["MAX_CONCURRENT_REQUESTS"], option(settings.max_concurrent)),
        (&["ENABLE_RATE_LIMIT"], settings.rate.is_some().to_string()),
        (&["RATE_LIMIT_MAX_REQUESTS"], option(settings.rate.map(|rate| rate.requests))),
        (&["RATE_LIMIT_WINDOW"], option(settings.rate.map(|rate| rate.per.as_millis()))),
        // It may be a secret of its owner.
        (&["SYSTEM_PROMPT_REPLACEMENT"], set(settings.system_prompt.as_ref()).into()),
        (&["SYSTEM_PROMPT_BLOCK_INSERT_IF_NOT_EXIST"], settings.insert_if_absent.to_string()),
        (&["CUSTOM_HEADERS_FILE"], format!("{} headers", settings.custom_headers.len())),
        (&["PRESERVE_HOST"], settings.preserve_host.to_string()),
        (&["HTTP_PROXY", "http_proxy"], proxy("HTTP_PROXY")),
        (&["HTTPS_PROXY", "https_proxy"], proxy("HTTPS_PROXY")),
        (&["ALL_PROXY", "all_proxy"], proxy("ALL_PROXY")),
        (&["NO_PROXY", "no_proxy"], option(no_proxy)),
        (&["MAX_REQUEST_BODY_SIZE_MB"], (settings.max_request >> 20).to_string()),
        (&["ENABLE_CORS"], (settings.cors != Cors::Off).to_string()),
        (
            &["CORS_ORIGIN"],
            match &settings.cors {
                Cors::Off => NONE.into(),
                Cors::Localhost => "localhost".into(),
                Cors::Any => "*".into(),
                Cors::Origins(list) => {
                    let origin = |origin: &HeaderValue| origin.to_str().map(str::to_owned);
                    list.iter().flat_map(origin).collect::<Vec<_>>().join(",")
                }
            },
        ),
    ]
}

fn logs(settings: &Settings) -> Vec<Row> {
    let logs = &settings.logs;
    let file = logs.file.as_ref();
    let megabytes = |file: &Rotation| file.max_size >> 20;
    let days = |file: &Rotation| file.max_age.as_secs() / (24 * 60 * 60);
    let dir = |file: &Rotation| file.path.parent().map(|dir| dir.display().to_string());
    let name =
        |file: &Rotation| file.path.file_name().map(|name| name.to_string_lossy().into_owned());
    vec![
        (&["LOG_LEVEL", "RUST_LOG"], logs.filter.clone()),
        (&["LOG_FORMAT"], logs.format.as_str().into()),
        (&["LOG_TO_CONSOLE"], logs.console.to_string()),
        (&["LOG_DIR"], option(file.and_then(dir))),
        (&["LOG_FILE"], option(file.and_then(name))),
        (&["LOG_MAX_SIZE"], option(file.map(megabytes))),
        (&["LOG_MAX_BACKUPS"], option(file.map(|file| file.max_backups))),
        (&["LOG_MAX_AGE"], option(file.map(days))),
        (&["LOG_COMPRESS"], option(file.map(|file| file.compress))),
    ]
}

fn records(settings: &Settings) -> Vec<Row> {
    let records = &settings.records;
    let (daily, log) = (records.daily.as_ref(), records.request_log.as_ref());
    let otlp = records.otlp.as_ref();
    let url = |secret: &Secret| redact::url(secret.expose()).into_owned();
    vec![
        (&["LOG_PERSISTENCE_ENABLED"], daily.is_some().to_string()),
        (&["LOG_STORAGE_PATH"], option(daily.map(|daily| daily.dir.display()))),
        (&["LOG_RETENTION_DAYS"], option(daily.map(|daily| daily.retention_days))),
        (&["LOG_DAILY_LIMIT"], option(daily.map(|daily| daily.limit))),
        (&["REQUEST_LOG_URL", "DATABASE_TYPE", "SQLITE_DB"], option(log.map(|log| url(&log.url)))),
        (&["REQUEST_LOG_BODIES"], option(log.map(|log| log.bodies))),
        (&["REQUEST_LOG_RETENTION_DAYS"], option(log.map(|log| log.retention_days))),
        (&["PRICES_FILE"], option(records.prices.as_ref().map(|path| path.display()))),
        (&["OTEL_EXPORTER_OTLP_ENDPOINT"], option(otlp.map(|otlp| url(&otlp.endpoint)))),
        (
            &["OTEL_EXPORTER_OTLP_CERTIFICATE"],
            option(otlp.and_then(|otlp| otlp.certificate.as_deref()).map(Path::display)),
        ),
    ]
}

fn option(value: Option<impl Display>) -> String {
    value.map_or_else(|| NONE.to_owned(), |value| value.to_string())
}

/// Where it is absent, the channels decide.
fn auto(value: Option<impl Display>) -> String {
    value.map_or_else(|| "auto".to_owned(), |value| value.to_string())
}

fn set<T>(secret: Option<&T>) -> &'static str {
    if secret.is_some() { SET } else { NOT_SET }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(pairs: &[(&str, &str)]) -> String {
        Settings::read(&pairs.iter().copied().collect()).unwrap().listing
    }

    #[test]
    fn every_setting_is_listed() {
        let configurations: [&[(&str, &str)]; 4] = [
            &[],
            &[("UPSTREAM_URL", "http://h"), ("UPSTREAM_API_KEY", "a,b")],
            &[("CONFIG_FILE", "x.json"), ("DATABASE_TYPE", "sqlite"), ("LOG_DIR", "x")],
            &[("ENABLE_CORS", "off"), ("SESSIONS", "on"), ("ENABLE_RATE_LIMIT", "on")],
        ];
        let mut asked = std::collections::BTreeSet::new();
        for pairs in configurations {
            let env: Environment = pairs.iter().copied().collect();
            let settings = Settings::read(&env).unwrap();
            let rows = rows(&settings, &env);
            let listed: Vec<_> = rows.iter().flat_map(|(names, _)| names.iter().copied()).collect();
            for name in env.asked() {
                assert!(listed.contains(&&*name), "{name} is not listed");
                asked.insert(name);
            }
        }
        assert!(asked.len() > 50, "the environment tells what it was asked for: {asked:?}");
    }

    #[test]
    fn the_table_of_the_settings_names_what_is_listed() {
        let env = Environment::default();
        let rows = rows(&Settings::read(&env).unwrap(), &env);
        let table = include_str!("../settings.rs");
        for name in rows.iter().flat_map(|(names, _)| names.iter()) {
            let spelled = name.to_ascii_uppercase();
            assert!(table.contains(&format!("`{spelled}`")), "{name} is not in the table");
        }
    }

    #[test]
    fn values_are_those_in_effect() {
        let text = text(&[
            ("LOG_TO_CONSOLE", "off"),
            ("CORS_ORIGIN", "https://a.com, http://b:3000"),
            ("UPSTREAM_PROTOCOL", "openaiold"),
            ("LOG_RETENTION_DAYS", "3"),
            ("RUST_LOG", "info,hyper=off"),
            ("SYSTEM_PROMPT_REPLACEMENT", "Be brief."),
            ("NO_PROXY", "a, b"),
        ]);
        for part in [
            "HOST=127.0.0.1 PORT=8088 FALLBACK_PORT=8088 CONFIG_FILE=- UPSTREAM_URL=- ",
            " UPSTREAM_PROTOCOL=openaiold UPSTREAM_API_KEY=not-set ",
            " API_KEY_COOL_DOWN_SECONDS=300 MAX_COOL_DOWN_SECONDS=43200 ",
            " MAX_RETRIES=auto SESSIONS=auto MAX_CONCURRENT_REQUESTS=- ",
            " SYSTEM_PROMPT_REPLACEMENT=set ",
            " NO_PROXY=\"a, b\" ",
            " CORS_ORIGIN=https://a.com,http://b:3000 LOG_LEVEL=info,hyper=off ",
            " LOG_TO_CONSOLE=false LOG_DIR=logs LOG_FILE=app.log LOG_MAX_SIZE=100 ",
            " LOG_PERSISTENCE_ENABLED=false LOG_STORAGE_PATH=- LOG_RETENTION_DAYS=- ",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn no_secret_is_listed() {
        let text = text(&[
            ("PROXY_ACCESS_KEY", "hunter2-access"),
            ("UPSTREAM_API_KEY", "hunter2-a,hunter2-b"),
            ("UPSTREAM_URL", "https://api.example.com/v1"),
            ("HTTP_PROXY", "user:hunter2@proxy:3128"),
            ("HTTPS_PROXY", "http://user:hunter2@proxy:3128"),
            ("all_proxy", "hunter2@proxy"),
            ("SYSTEM_PROMPT_REPLACEMENT", "hunter2"),
            ("REQUEST_LOG_URL", "postgres://gateway:hunter2@db/log?password=hunter2"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://user:hunter2@otel:4317"),
        ]);
        assert!(!text.contains("hunter2"), "{text}");
        assert!(text.contains(" REQUEST_LOG_URL=postgres://***@db/log"), "{text}");
        assert!(text.contains(" UPSTREAM_API_KEY=\"set (2 keys)\" "), "{text}");
        assert!(text.contains(" HTTP_PROXY=http://***@proxy:3128 "), "{text}");
    }
}
