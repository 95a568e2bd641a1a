//! Settings of what is kept of requests.

use std::path::PathBuf;

use tower_llm_gateway::secret::Secret;
use tower_llm_gateway::store::daily::{DEFAULT_DAILY_LIMIT, DEFAULT_RETENTION_DAYS, DailySettings};

use crate::environment::{BadSetting, Environment};

const DEFAULT_STORAGE: &str = "data/logs";
const DEFAULT_SQLITE: &str = "data/sqlite.db";
const DEFAULT_REQUEST_LOG_DAYS: u32 = 30;

/// What is kept of requests, and where.
#[derive(Debug, Clone)]
pub(crate) struct RecordSettings {
    /// `None`: the live log is in memory only.
    pub(crate) daily: Option<Daily>,
    /// `None`: there is no request log.
    pub(crate) request_log: Option<RequestLog>,
    /// In place of the embedded prices.
    pub(crate) prices: Option<PathBuf>,
    /// Where traces and metrics go.
    pub(crate) otlp: Option<Otlp>,
}

/// The live log in files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Daily {
    pub(crate) dir: PathBuf,
    pub(crate) retention_days: u32,
    /// Lines of one day.
    pub(crate) limit: usize,
}

impl From<&Daily> for DailySettings {
    fn from(daily: &Daily) -> Self {
        Self::new(&daily.dir).retention_days(daily.retention_days).daily_limit(daily.limit)
    }
}

/// The request log in a database.
#[derive(Debug, Clone)]
pub(crate) struct RequestLog {
    /// It may hold a password.
    pub(crate) url: Secret,
    /// Whether the bodies are kept too, redacted and cut.
    pub(crate) bodies: bool,
    pub(crate) retention_days: u32,
}

/// A collector.
#[derive(Debug, Clone)]
pub(crate) struct Otlp {
    /// It may hold a password.
    pub(crate) endpoint: Secret,
    /// Whom alone its certificate may come from, in PEM. `None`: whom the system trusts.
    pub(crate) certificate: Option<PathBuf>,
}

impl RecordSettings {
    pub(super) fn read(env: &Environment) -> Result<Self, BadSetting> {
        Ok(Self {
            daily: daily(env)?,
            request_log: request_log(env)?,
            prices: env.text("PRICES_FILE").map(PathBuf::from),
            otlp: otlp(env)?,
        })
    }
}

/// Nothing is written on a machine whose owner did not say where.
fn daily(env: &Environment) -> Result<Option<Daily>, BadSetting> {
    let dir = env.text("LOG_STORAGE_PATH");
    let limit = env.parse("LOG_DAILY_LIMIT", "a number of lines, at least 1", |text| {
        text.parse().ok().filter(|lines| *lines > 0)
    })?;
    let daily = Daily {
        dir: dir.unwrap_or(DEFAULT_STORAGE).into(),
        retention_days: days(env, "LOG_RETENTION_DAYS", DEFAULT_RETENTION_DAYS)?,
        limit: limit.unwrap_or(DEFAULT_DAILY_LIMIT),
    };
    Ok(env.flag("LOG_PERSISTENCE_ENABLED", dir.is_some())?.then_some(daily))
}

fn request_log(env: &Environment) -> Result<Option<RequestLog>, BadSetting> {
    let bodies = env.flag("REQUEST_LOG_BODIES", false)?;
    let retention_days = days(env, "REQUEST_LOG_RETENTION_DAYS", DEFAULT_REQUEST_LOG_DAYS)?;
    let url = database_url(env)?;
    Ok(url.map(|url| RequestLog { url, bodies, retention_days }))
}

/// The value is not quoted in the error: it may hold a password.
fn database_url(env: &Environment) -> Result<Option<Secret>, BadSetting> {
    let (kind, file) = (env.text("DATABASE_TYPE"), env.text("SQLITE_DB"));
    if let Some(url) = env.text("REQUEST_LOG_URL") {
        let known = ["sqlite:", "postgres://", "postgresql://"];
        if known.iter().any(|scheme| url.starts_with(scheme)) {
            return Ok(Some(url.into()));
        }
        let problem = "must begin with sqlite: or postgres://";
        return Err(BadSetting::new("REQUEST_LOG_URL", problem));
    }
    let sqlite = || Some(format!("sqlite:{}", file.unwrap_or(DEFAULT_SQLITE)).into());
    match kind.map(str::to_ascii_lowercase).as_deref() {
        Some("memory") => Ok(None),
        Some("sqlite") => Ok(sqlite()),
        None => Ok(file.and_then(|_| sqlite())),
        Some("postgres" | "postgresql") => {
            let problem = "must be set too, as DATABASE_TYPE names PostgreSQL";
            Err(BadSetting::new("REQUEST_LOG_URL", problem))
        }
        Some(kind) => {
            let problem = format!("{kind:?} is not one of memory, sqlite, postgres");
            Err(BadSetting::new("DATABASE_TYPE", problem))
        }
    }
}

fn days(env: &Environment, name: &str, default: u32) -> Result<u32, BadSetting> {
    let read = |text: &str| text.parse().ok().filter(|days| *days > 0);
    Ok(env.parse(name, "a number of days, at least 1", read)?.unwrap_or(default))
}

fn otlp(env: &Environment) -> Result<Option<Otlp>, BadSetting> {
    let certificate = env.text("OTEL_EXPORTER_OTLP_CERTIFICATE").map(PathBuf::from);
    let Some(url) = env.text("OTEL_EXPORTER_OTLP_ENDPOINT") else { return Ok(None) };
    let uri: Option<http::Uri> = url.parse().ok();
    match uri.as_ref().and_then(http::Uri::scheme_str) {
        Some("http" | "https") => Ok(Some(Otlp { endpoint: url.into(), certificate })),
        _ => Err(BadSetting::new(
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "must begin with http:// or https://",
        )),
    }
}
