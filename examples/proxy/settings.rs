//! All settings of the proxy, read once at the start.
//!
//! From the environment, or a file `.env` in the working directory; the environment wins, or the
//! file where `ENV_OVERRIDE=true`. A setting that is empty counts as absent.
//!
//! | name | default | |
//! |---|---|---|
//! | `HOST` | `127.0.0.1` | address to listen on |
//! | `PORT` | `8088` | 0 for any free one |
//! | `FALLBACK_PORT` | `PORT` | tried when that is taken, and then any free one |
//! | `CONFIG_FILE` | `.config/config.json`, if it is there | the file of channels, see [`config`](tower_llm_gateway::config); one that is named is made |
//! | `UPSTREAM_URL`, `API_BASE_URL` | the embedded demo | base URL of the only vendor, in place of a file |
//! | `UPSTREAM_PROTOCOL` | the caller's | `anthropic`, `openai-chat`, ..., or `openaiold` |
//! | `UPSTREAM_API_KEY` | | sent in place of the caller's credential; several, separated by commas, take turns |
//! | `API_KEY_COOL_DOWN_SECONDS`, `MAX_COOL_DOWN_SECONDS` | 300, 43200 | how long a key that failed is left alone at first, and at most: each time twice as long |
//! | `API_KEY_FAILURE_THRESHOLD` | 3 | failures of the upstream in a row that cool a key down; its own do so at once |
//! | `PROXY_ACCESS_KEY` | | callers must show it; it never goes to the upstream |
//! | `MODEL_MAP` | | `{"from": "to"}` or `from=to,from=to` |
//! | `DEFAULT_MAX_TOKENS` | 4096 | for Messages upstreams, where a Chat caller set no limit |
//! | `MAX_RETRIES` | 3, or as many as there are channels | attempts for one request, the first included |
//! | `SESSIONS` | true, unless the only upstream of Responses speaks it itself | the gateway keeps `previous_response_id` and `store` |
//! | `MAX_CONCURRENT_REQUESTS` | no limit | requests at once, to the last byte of their answers |
//! | `ENABLE_RATE_LIMIT` | false | of each address: |
//! | `RATE_LIMIT_MAX_REQUESTS`, `RATE_LIMIT_WINDOW` | 100, 60000 | so many requests in so many milliseconds |
//! | `SYSTEM_PROMPT_REPLACEMENT` | | text of the first block of a Messages `system` list |
//! | `SYSTEM_PROMPT_BLOCK_INSERT_IF_NOT_EXIST` | false | a block before it, unless it is Claude Code's |
//! | `CUSTOM_HEADERS_FILE` | `env/.env.headers.json` | JSON object of headers for the upstream; names that begin with `__` are comments |
//! | `PRESERVE_HOST` | false | pass the caller's `Host` on |
//! | `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY` | | proxies on the way to the upstream |
//! | `MAX_REQUEST_BODY_SIZE_MB` | 50 | largest body that is read for an edit or a translation |
//! | `ENABLE_CORS` | true | whether web pages are answered at all |
//! | `CORS_ORIGIN` | pages of localhost | `*`, or origins separated by commas |
//! | `LOG_LEVEL`, `RUST_LOG` | `info` | the second is a filter, and wins |
//! | `LOG_FORMAT` | `text` | or `json`: one object a line |
//! | `LOG_TO_CONSOLE` | true | on standard error |
//! | `LOG_DIR`, `LOG_FILE` | `logs`, `app.log` | the log in a file, where one of them is set, or the console is not |
//! | `LOG_MAX_SIZE` | 100 | megabytes at which it is rotated |
//! | `LOG_MAX_BACKUPS`, `LOG_MAX_AGE` | 10, 30 | rotated files that are kept, and for how many days; 0 for no limit |
//! | `LOG_COMPRESS` | true | with gzip, once they are rotated |
//! | `LOG_PERSISTENCE_ENABLED` | whether `LOG_STORAGE_PATH` is set | the lines of the live log in files of their days, with the bodies of errors |
//! | `LOG_STORAGE_PATH` | `data/logs` | their folder |
//! | `LOG_RETENTION_DAYS`, `LOG_DAILY_LIMIT` | 7, 1000 | days that are kept, and lines of a day |
//! | `REQUEST_LOG_URL` | none is kept | the request log: `sqlite:data/gateway.db`, or `postgres://…` |
//! | `DATABASE_TYPE`, `SQLITE_DB` | | its older names: `sqlite` and a file (`data/sqlite.db`) |
//! | `REQUEST_LOG_BODIES` | false | bodies too, redacted and cut |
//! | `REQUEST_LOG_RETENTION_DAYS` | 30 | days that its rows are kept |
//! | `PRICES_FILE` | the embedded ones | prices of models |
//! | `OTEL_EXPORTER_OTLP_ENDPOINT` | nothing is sent | the collector that traces and metrics go to, by gRPC; other `OTEL_` variables are read by their crate, from the environment alone |
//! | `OTEL_EXPORTER_OTLP_CERTIFICATE` | what the system trusts | a PEM file: who alone may have signed the collector's certificate |
//! | `DEMO_PACE_MS` | 30 | wait before each word of the demo's streams |

mod listing;
mod logs;
mod records;

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use tower_llm_gateway::context::{BadUpstream, ModelMap, Upstream};
use tower_llm_gateway::layer::key_pool::{
    Cooldown, DEFAULT_COOLDOWN, DEFAULT_MAX_COOLDOWN, DEFAULT_THRESHOLD,
};
use tower_llm_gateway::layer::limit::Rate;
use tower_llm_gateway::protocol::Protocol;
use tower_llm_gateway::protocol::dialect::Completions;
use tower_llm_gateway::protocol::profile::Profiles;
use tower_llm_gateway::secret::Secret;
use tower_llm_gateway::upstream::Proxies;

use crate::custom_headers::custom_headers;
use crate::environment::{BadSetting, Environment};

pub(crate) use logs::{LogFormat, LogSettings};
pub(crate) use records::{Otlp, RecordSettings};

const DEFAULT_HOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const DEFAULT_PORT: u16 = 8088;
const DEFAULT_MAX_REQUEST_MB: usize = 50;
const DEFAULT_CONFIG_FILE: &str = ".config/config.json";
const DEFAULT_RATE: NonZeroU32 = NonZeroU32::new(100).expect("it is not 0");
const DEFAULT_RATE_WINDOW_MS: u64 = 60_000;
/// What the proxies that we replace have in their examples: everybody knows it.
const EXAMPLE_ACCESS_KEY: &str = "your-proxy-access-key";
/// Lets a person see the demo stream.
const DEFAULT_DEMO_PACE_MS: u64 = 30;

/// The settings.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) host: IpAddr,
    pub(crate) port: u16,
    /// Tried when `port` is taken; after it, any free one.
    pub(crate) fallback_port: u16,
    /// The file of channels; then there is no `upstream_url`.
    pub(crate) config_file: Option<PathBuf>,
    /// `None`: the file, else the embedded demo.
    pub(crate) upstream_url: Option<String>,
    /// `None`: whatever the caller speaks.
    pub(crate) upstream_protocol: Option<Protocol>,
    /// The upstream has only the Completions from before Chat.
    pub(crate) old_completions: bool,
    /// Each once.
    pub(crate) upstream_keys: Vec<Secret>,
    /// Of each upstream key.
    pub(crate) cooldown: Cooldown,
    pub(crate) access_key: Option<Secret>,
    /// Attempts for one request.
    pub(crate) max_attempts: Option<usize>,
    /// Whether the gateway keeps the conversations of Responses; `None`: where it must.
    pub(crate) sessions: Option<bool>,
    /// Requests at once.
    pub(crate) max_concurrent: Option<usize>,
    /// Of each address.
    pub(crate) rate: Option<Rate>,
    pub(crate) system_prompt: Option<String>,
    pub(crate) insert_if_absent: bool,
    pub(crate) preserve_host: bool,
    pub(crate) custom_headers: HeaderMap,
    pub(crate) cors: Cors,
    /// Bytes.
    pub(crate) max_request: usize,
    pub(crate) proxies: Proxies,
    pub(crate) logs: LogSettings,
    pub(crate) records: RecordSettings,
    pub(crate) models: ModelMap,
    pub(crate) default_max_tokens: Option<u64>,
    pub(crate) demo_pace: Duration,
    /// What is to be said once there is a log.
    pub(crate) warnings: Vec<String>,
    /// Every setting as it is in effect, without secrets, for the log.
    pub(crate) listing: String,
}

/// Which web pages may call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cors {
    /// `ENABLE_CORS=false`: nothing is said about origins.
    Off,
    /// No `CORS_ORIGIN`: pages of this machine.
    Localhost,
    /// `CORS_ORIGIN=*`: every page, without credentials.
    Any,
    /// These, with credentials.
    Origins(Vec<HeaderValue>),
}

impl Settings {
    pub(crate) fn read(env: &Environment) -> Result<Self, BadSetting> {
        let mut warnings = Vec::new();
        let port = env.parse("PORT", "a port, 0 to 65535", |text| text.parse().ok())?;
        let port = port.unwrap_or(DEFAULT_PORT);
        let mut settings = Self {
            host: host(env)?,
            port,
            fallback_port: env
                .parse("FALLBACK_PORT", "a port, 0 to 65535", |text| text.parse().ok())?
                .unwrap_or(port),
            config_file: config_file(env)?,
            upstream_url: upstream_url(env)?,
            upstream_protocol: upstream_protocol(env)?,
            old_completions: old_completions(env),
            upstream_keys: upstream_keys(env)?,
            cooldown: cooldown(env)?,
            access_key: key("PROXY_ACCESS_KEY", env.text("PROXY_ACCESS_KEY"))?,
            max_attempts: env.parse("MAX_RETRIES", "a number, at least 1", positive)?,
            sessions: env.text("SESSIONS").map(|_| env.flag("SESSIONS", true)).transpose()?,
            max_concurrent: env.parse(
                "MAX_CONCURRENT_REQUESTS",
                "a number, at least 1",
                positive,
            )?,
            rate: rate(env)?,
            system_prompt: env.text("SYSTEM_PROMPT_REPLACEMENT").map(str::to_owned),
            insert_if_absent: env.flag("SYSTEM_PROMPT_BLOCK_INSERT_IF_NOT_EXIST", false)?,
            preserve_host: env.flag("PRESERVE_HOST", false)?,
            custom_headers: custom_headers(env, &mut warnings),
            cors: cors(env)?,
            max_request: env
                .parse("MAX_REQUEST_BODY_SIZE_MB", "a number of megabytes, at least 1", megabytes)?
                .unwrap_or(DEFAULT_MAX_REQUEST_MB << 20),
            proxies: Proxies::from_vars(|name| env.text(name).map(str::to_owned))?,
            logs: LogSettings::read(env)?,
            records: RecordSettings::read(env)?,
            models: env
                .parse("MODEL_MAP", "a JSON object of names, or from=to,from=to", models)?
                .unwrap_or_default(),
            default_max_tokens: env.parse(
                "DEFAULT_MAX_TOKENS",
                "a number, at least 1",
                |text| text.parse().ok().filter(|tokens| *tokens > 0),
            )?,
            demo_pace: Duration::from_millis(
                env.parse("DEMO_PACE_MS", "a number of milliseconds", |text| text.parse().ok())?
                    .unwrap_or(DEFAULT_DEMO_PACE_MS),
            ),
            warnings,
            listing: String::new(),
        };
        settings.refuse_open_relay()?;
        settings.note_what_is_unused(env);
        settings.note_weak_secrets();
        settings.listing = listing::listing(&settings, env);
        Ok(settings)
    }

    fn note_weak_secrets(&mut self) {
        if self.access_key.as_ref().is_some_and(|key| key.expose() == EXAMPLE_ACCESS_KEY) {
            let warning = "PROXY_ACCESS_KEY is the one of the examples: anybody may know it";
            self.warnings.push(warning.into());
        }
    }

    fn note_what_is_unused(&mut self, env: &Environment) {
        if self.config_file.is_some() {
            for name in ["UPSTREAM_PROTOCOL", "UPSTREAM_API_KEY", "MODEL_MAP"] {
                if env.text(name).is_some() {
                    self.warnings.push(format!("{name} is not used: the file of channels says it"));
                }
            }
        } else if self.upstream_url.is_some() && Path::new(DEFAULT_CONFIG_FILE).exists() {
            self.warnings.push(format!("{DEFAULT_CONFIG_FILE} is not used: UPSTREAM_URL is set"));
        }
    }

    /// What all models need beyond their protocol, as configured.
    pub(crate) fn profiles(&self) -> Profiles {
        match self.default_max_tokens {
            Some(tokens) => {
                Profiles::default().every(move |target| target.default_max_tokens = tokens)
            }
            None => Profiles::default(),
        }
    }

    /// The upstream at `base`, as configured. Of several keys it has none: they are leased.
    pub(crate) fn upstream(&self, base: &str) -> Result<Upstream, BadUpstream> {
        let upstream = match self.upstream_protocol {
            Some(protocol) => Upstream::new(base, protocol)?,
            None => Upstream::same_protocol(base)?,
        };
        let mut upstream = upstream.models(self.models.clone()).profiles(self.profiles());
        if self.old_completions {
            upstream = upstream.dialect(Completions);
        }
        Ok(match (&*self.upstream_keys, &self.access_key) {
            ([key], _) => upstream.key(key.clone())?,
            ([], None) => upstream,
            _ => upstream.no_key(),
        })
    }

    /// Whether the routes of `admin` may be asked for without a key: on this machine, and if not
    /// every page that somebody on it opens could read the answers.
    pub(crate) fn stats_are_open(&self) -> bool {
        self.host.is_loopback() && self.access_key.is_none() && self.cors != Cors::Any
    }

    /// One key without the other is a mistake that the network can use: an upstream key that
    /// anybody may spend, or a door to an upstream that has no lock of its own.
    fn refuse_open_relay(&self) -> Result<(), BadSetting> {
        let (missing, present) = match (&self.access_key, &self.config_file) {
            (None, Some(_)) => ("PROXY_ACCESS_KEY", "CONFIG_FILE"),
            (None, None) if !self.upstream_keys.is_empty() => {
                ("PROXY_ACCESS_KEY", "UPSTREAM_API_KEY")
            }
            (Some(_), None) if self.upstream_keys.is_empty() => {
                ("UPSTREAM_API_KEY", "PROXY_ACCESS_KEY")
            }
            _ => return Ok(()),
        };
        if self.host.is_loopback() {
            return Ok(());
        }
        let host = self.host;
        Err(BadSetting::new(
            missing,
            format!("must be set too, as {present} is and HOST={host} is open to the network"),
        ))
    }
}

fn host(env: &Environment) -> Result<IpAddr, BadSetting> {
    let read = |text: &str| match text {
        "localhost" => Some(DEFAULT_HOST),
        text => text.trim_matches(['[', ']']).parse().ok(),
    };
    Ok(env.parse("HOST", "an IP address or localhost", read)?.unwrap_or(DEFAULT_HOST))
}

/// The URL is not quoted in the error: some people put passwords into it.
fn upstream_url(env: &Environment) -> Result<Option<String>, BadSetting> {
    for name in ["UPSTREAM_URL", "API_BASE_URL"] {
        if let Some(url) = env.text(name) {
            let checked = Upstream::same_protocol(url);
            checked.map_err(|error| BadSetting::new(name, error))?;
            return Ok(Some(url.to_owned()));
        }
    }
    Ok(None)
}

fn upstream_protocol(env: &Environment) -> Result<Option<Protocol>, BadSetting> {
    if old_completions(env) {
        return Ok(Some(Protocol::OpenAiChat));
    }
    let names = Protocol::ALL.map(Protocol::as_str).join(", ");
    env.parse("UPSTREAM_PROTOCOL", &format!("one of {names}"), |text| text.parse().ok())
}

/// Other gateways have this name for the API before Chat Completions.
fn old_completions(env: &Environment) -> bool {
    env.text("UPSTREAM_PROTOCOL").is_some_and(|name| name.eq_ignore_ascii_case("openaiold"))
}

/// A file that is named, or the usual one where it is and nothing else is said.
fn config_file(env: &Environment) -> Result<Option<PathBuf>, BadSetting> {
    let url = ["UPSTREAM_URL", "API_BASE_URL"].into_iter().find(|name| env.text(name).is_some());
    match (env.text("CONFIG_FILE"), url) {
        (Some(_), Some(url)) => {
            Err(BadSetting::new("CONFIG_FILE", format!("cannot stand beside {url}")))
        }
        (Some(path), None) => Ok(Some(path.into())),
        (None, Some(_)) => Ok(None),
        (None, None) => {
            let usual = Path::new(DEFAULT_CONFIG_FILE);
            Ok(usual.exists().then(|| usual.to_owned()))
        }
    }
}

fn upstream_keys(env: &Environment) -> Result<Vec<Secret>, BadSetting> {
    let name = "UPSTREAM_API_KEY";
    let mut keys = Vec::new();
    for text in env.text(name).unwrap_or_default().split(',').map(str::trim) {
        let found = key(name, Some(text).filter(|text| !text.is_empty()))?;
        keys.extend(found.filter(|key| !keys.contains(key)));
    }
    Ok(keys)
}

fn cooldown(env: &Environment) -> Result<Cooldown, BadSetting> {
    let seconds = |name, default| {
        let read = |text: &str| text.parse().ok().filter(|seconds| *seconds > 0);
        let seconds = env.parse(name, "a number of seconds, at least 1", read)?;
        Ok::<_, BadSetting>(seconds.map_or(default, Duration::from_secs))
    };
    let first = seconds("API_KEY_COOL_DOWN_SECONDS", DEFAULT_COOLDOWN)?;
    let most = seconds("MAX_COOL_DOWN_SECONDS", DEFAULT_MAX_COOLDOWN)?;
    let failures = env.parse("API_KEY_FAILURE_THRESHOLD", "a number, at least 1", |text| {
        text.parse().ok().filter(|failures| *failures > 0)
    })?;
    Ok(Cooldown::doubling(first, most).threshold(failures.unwrap_or(DEFAULT_THRESHOLD)))
}

fn key(name: &str, text: Option<&str>) -> Result<Option<Secret>, BadSetting> {
    let Some(key) = text.map(Secret::new) else { return Ok(None) };
    if key.header("").is_none() {
        return Err(BadSetting::new(name, "holds characters that no header may"));
    }
    Ok(Some(key))
}

fn rate(env: &Environment) -> Result<Option<Rate>, BadSetting> {
    let expected = "a number, at least 1";
    let requests = env.parse("RATE_LIMIT_MAX_REQUESTS", expected, |text| text.parse().ok())?;
    let window: Option<u64> = env.parse("RATE_LIMIT_WINDOW", expected, |text| {
        text.parse().ok().filter(|window| *window > 0)
    })?;
    let rate = Rate {
        requests: requests.unwrap_or(DEFAULT_RATE),
        per: Duration::from_millis(window.unwrap_or(DEFAULT_RATE_WINDOW_MS)),
    };
    Ok(env.flag("ENABLE_RATE_LIMIT", false)?.then_some(rate))
}

fn positive(text: &str) -> Option<usize> {
    text.parse().ok().filter(|number| *number > 0)
}

fn cors(env: &Environment) -> Result<Cors, BadSetting> {
    if !env.flag("ENABLE_CORS", true)? {
        return Ok(Cors::Off);
    }
    let read = |text: &str| match text {
        "*" => Some(Cors::Any),
        list => {
            list.split(',').map(|one| origin(one.trim())).collect::<Option<_>>().map(Cors::Origins)
        }
    };
    let expected = "*, or origins such as https://example.com separated by commas";
    Ok(env.parse("CORS_ORIGIN", expected, read)?.unwrap_or(Cors::Localhost))
}

fn origin(text: &str) -> Option<HeaderValue> {
    let uri: http::Uri = text.parse().ok()?;
    let plain = uri.scheme().is_some() && uri.authority().is_some() && uri.path() == "/";
    let text = text.strip_suffix('/').unwrap_or(text);
    plain.then(|| HeaderValue::from_str(text).ok()).flatten()
}

fn megabytes(text: &str) -> Option<usize> {
    text.parse::<usize>().ok().filter(|size| *size > 0)?.checked_mul(1 << 20)
}

fn models(text: &str) -> Option<ModelMap> {
    if text.starts_with('{') {
        let pairs: std::collections::BTreeMap<String, String> = serde_json::from_str(text).ok()?;
        return Some(pairs.into_iter().collect());
    }
    let pair = |pair: &str| {
        let (from, to) = pair.split_once('=')?;
        let (from, to) = (from.trim(), to.trim());
        (!from.is_empty() && !to.is_empty()).then(|| (from.to_owned(), to.to_owned()))
    };
    text.split(',').map(pair).collect()
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
