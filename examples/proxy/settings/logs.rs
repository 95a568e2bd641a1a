//! Settings of the proxy's own log.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::environment::{BadSetting, Environment};
use crate::log_files::Rotation;

const DEFAULT_FILTER: &str = "info";
const DEFAULT_DIR: &str = "logs";
const DEFAULT_FILE: &str = "app.log";
const DEFAULT_MAX_SIZE_MB: u64 = 100;
const DEFAULT_MAX_BACKUPS: usize = 10;
const DEFAULT_MAX_AGE_DAYS: u32 = 30;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Where the log goes, and how it looks there.
#[derive(Debug, Clone)]
pub(crate) struct LogSettings {
    /// As `RUST_LOG` has it.
    pub(crate) filter: String,
    pub(crate) format: LogFormat,
    pub(crate) console: bool,
    /// `None`: no file.
    pub(crate) file: Option<Rotation>,
}

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

impl LogFormat {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

impl LogSettings {
    pub(super) fn read(env: &Environment) -> Result<Self, BadSetting> {
        let format = env.parse("LOG_FORMAT", "text or json", |text| {
            let is_it = |format: &LogFormat| format.as_str().eq_ignore_ascii_case(text);
            [LogFormat::Text, LogFormat::Json].into_iter().find(is_it)
        })?;
        let console = env.flag("LOG_TO_CONSOLE", true)?;
        Ok(Self {
            filter: filter(env)?,
            format: format.unwrap_or(LogFormat::Text),
            console,
            file: file(env, console)?,
        })
    }
}

fn filter(env: &Environment) -> Result<String, BadSetting> {
    let levels = ["error", "warn", "info", "debug", "trace"];
    let level = env.parse("LOG_LEVEL", "one of error, warn, info, debug, trace", |text| {
        levels.into_iter().find(|level| text.eq_ignore_ascii_case(level))
    })?;
    let filter = env.parse("RUST_LOG", "a log filter", |text| {
        tracing_subscriber::EnvFilter::try_new(text).ok().map(|_| text.to_owned())
    })?;
    Ok(filter.unwrap_or_else(|| level.unwrap_or(DEFAULT_FILTER).to_owned()))
}

/// Nothing is written on a machine whose owner did not ask for it; but the log goes somewhere.
fn file(env: &Environment, console: bool) -> Result<Option<Rotation>, BadSetting> {
    let name = env.parse("LOG_FILE", "the name of a file; its folder is LOG_DIR", |text| {
        (Path::new(text).file_name() == Some(text.as_ref())).then(|| text.to_owned())
    })?;
    let dir = env.text("LOG_DIR");
    let wanted = name.is_some() || dir.is_some() || !console;
    let megabytes = env.parse("LOG_MAX_SIZE", "a number of megabytes, at least 1", |text| {
        text.parse::<u64>().ok().filter(|size| *size > 0)?.checked_mul(1 << 20)
    })?;
    let backups =
        env.parse("LOG_MAX_BACKUPS", "a number, 0 for no limit", |text| text.parse().ok())?;
    let age = env.parse("LOG_MAX_AGE", "a number of days, 0 for no limit", |text| {
        text.parse().ok().map(|days: u32| DAY.saturating_mul(days))
    })?;
    let file = Rotation {
        path: PathBuf::from(dir.unwrap_or(DEFAULT_DIR))
            .join(name.as_deref().unwrap_or(DEFAULT_FILE)),
        max_size: megabytes.unwrap_or(DEFAULT_MAX_SIZE_MB << 20),
        max_backups: backups.unwrap_or(DEFAULT_MAX_BACKUPS),
        max_age: age.unwrap_or(DAY * DEFAULT_MAX_AGE_DAYS),
        compress: env.flag("LOG_COMPRESS", true)?,
    };
    Ok(wanted.then_some(file))
}
