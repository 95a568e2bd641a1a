use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::calendar;

/// One line of the live log, also in a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LogEntry {
    /// Unix seconds.
    pub timestamp: f64,
    /// How bad it is.
    pub level: LogLevel,
    /// For people.
    pub message: String,
    /// Of the request, without its query.
    pub path: Option<String>,
    /// Of the request.
    pub request_id: Option<String>,
    /// The timestamp in UTC: `2026-01-31 23:59:59`.
    #[serde(default)]
    pub formatted_time: String,
    /// The beginning of a failed answer's body, where it is captured.
    pub response_content: Option<String>,
}

impl LogEntry {
    /// A line about no request.
    ///
    /// ```
    /// use std::time::UNIX_EPOCH;
    /// use tower_llm_gateway::store::{LogEntry, LogLevel};
    ///
    /// let mut entry = LogEntry::new(UNIX_EPOCH, LogLevel::Warning, "The disk is full");
    /// entry.path = Some("/v1/messages".into());
    /// assert_eq!(
    ///     serde_json::to_string(&entry)?,
    ///     r#"{"timestamp":0.0,"level":"WARNING","message":"The disk is full","path":"/v1/messages","request_id":null,"formatted_time":"1970-01-01 00:00:00","response_content":null}"#
    /// );
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    #[must_use]
    pub fn new(at: SystemTime, level: LogLevel, message: impl Into<String>) -> Self {
        let at = calendar::since_epoch(at);
        Self {
            timestamp: at.as_secs_f64(),
            level,
            message: message.into(),
            path: None,
            request_id: None,
            formatted_time: calendar::date_and_time(at),
            response_content: None,
        }
    }
}

/// How bad a line of the live log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum LogLevel {
    /// As it should be.
    Info,
    /// Nobody's failure, or one that was made good.
    Warning,
    /// A request that failed.
    Error,
}

impl LogLevel {
    /// All, the least bad first.
    pub const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Error];

    /// As it is written: `INFO`, `WARNING` or `ERROR`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "INFO",
            Self::Warning => "WARNING",
            Self::Error => "ERROR",
        }
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for LogLevel {
    type Err = UnknownLevel;

    /// In any case.
    fn from_str(text: &str) -> Result<Self, UnknownLevel> {
        let is_it = |level: &Self| level.as_str().eq_ignore_ascii_case(text);
        Self::ALL.into_iter().find(is_it).ok_or(UnknownLevel)
    }
}

/// No [`LogLevel`] has this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownLevel;

impl fmt::Display for UnknownLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("level is not INFO, WARNING or ERROR")
    }
}

impl std::error::Error for UnknownLevel {}

/// Which lines of the live log are wanted. Default: all.
///
/// It can be read from the query of a URL: `level` or `level_filter`, `path_filter`, `start_time`
/// and `end_time`, of which any may be missing or empty. The times are in ISO 8601; without an
/// offset they are UTC.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct LogFilter {
    /// Of this level, not of worse ones.
    #[serde(alias = "level_filter", deserialize_with = "level")]
    pub level: Option<LogLevel>,
    /// With a path that holds this text, in any case.
    #[serde(rename = "path_filter", deserialize_with = "text")]
    pub path: Option<String>,
    /// Not before.
    #[serde(rename = "start_time", deserialize_with = "time")]
    pub start: Option<SystemTime>,
    /// Not after.
    #[serde(rename = "end_time", deserialize_with = "time")]
    pub end: Option<SystemTime>,
}

impl LogFilter {
    /// Whether this line is wanted.
    ///
    /// ```
    /// use std::time::UNIX_EPOCH;
    /// use tower_llm_gateway::store::{LogEntry, LogFilter, LogLevel};
    ///
    /// let filter: LogFilter = serde_json::from_str(r#"{"level": "info", "path_filter": ""}"#)?;
    /// assert!(filter.matches(&LogEntry::new(UNIX_EPOCH, LogLevel::Info, "")));
    /// assert!(!filter.matches(&LogEntry::new(UNIX_EPOCH, LogLevel::Error, "")));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    #[must_use]
    pub fn matches(&self, entry: &LogEntry) -> bool {
        let seconds = |time| calendar::since_epoch(time).as_secs_f64();
        let path = || entry.path.as_deref().unwrap_or_default();
        self.level.is_none_or(|level| level == entry.level)
            && self.start.is_none_or(|start| entry.timestamp >= seconds(start))
            && self.end.is_none_or(|end| entry.timestamp <= seconds(end))
            && self.path.as_ref().is_none_or(|part| holds(path(), part))
    }
}

/// In any case.
fn holds(text: &str, part: &str) -> bool {
    text.to_lowercase().contains(&part.to_lowercase())
}

/// Forms send every field, the empty ones too.
fn text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.filter(|text| !text.is_empty()))
}

fn level<'de, D: Deserializer<'de>>(from: D) -> Result<Option<LogLevel>, D::Error> {
    text(from)?.map(|text| text.parse()).transpose().map_err(D::Error::custom)
}

fn time<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SystemTime>, D::Error> {
    let read = |text: String| {
        let problem = "time is not in ISO 8601, such as 2026-01-31T23:59:59Z";
        calendar::parse(&text).ok_or_else(|| D::Error::custom(problem))
    };
    text(from)?.map(read).transpose()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn filter(json: &str) -> LogFilter {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_line_is_read_as_it_was_written() {
        let mut entry = LogEntry::new(
            UNIX_EPOCH + Duration::from_millis(1_700_000_000_250),
            LogLevel::Error,
            "Request failed: POST /v1/messages - 500",
        );
        entry.path = Some("/v1/messages".into());
        entry.request_id = Some("1700000000250-1".into());
        entry.response_content = Some("{\n}".into());
        let line = serde_json::to_string(&entry).unwrap();
        assert_eq!(
            line,
            r#"{"timestamp":1700000000.25,"level":"ERROR","message":"Request failed: POST /v1/messages - 500","path":"/v1/messages","request_id":"1700000000250-1","formatted_time":"2023-11-14 22:13:20","response_content":"{\n}"}"#
        );
        assert_eq!(serde_json::from_str::<LogEntry>(&line).unwrap(), entry);
        let short = r#"{"timestamp":1,"level":"INFO","message":"m"}"#;
        assert_eq!(serde_json::from_str::<LogEntry>(short).unwrap().path, None);
    }

    #[test]
    fn levels() {
        assert_eq!("Warning".parse(), Ok(LogLevel::Warning));
        assert_eq!("WARN".parse::<LogLevel>(), Err(UnknownLevel));
        assert_eq!(LogLevel::ALL.map(|level| level.to_string()), ["INFO", "WARNING", "ERROR"]);
    }

    #[test]
    fn filters() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let mut entry = LogEntry::new(at(86_400), LogLevel::Info, "m");
        entry.path = Some("/v1/Messages".into());
        for (wanted, json) in [
            (true, "{}"),
            (true, r#"{"level": "", "path_filter": "", "start_time": ""}"#),
            (true, r#"{"level_filter": "info", "limit": "5"}"#),
            (false, r#"{"level": "ERROR"}"#),
            (true, r#"{"path_filter": "MESS"}"#),
            (false, r#"{"path_filter": "chat"}"#),
            (true, r#"{"start_time": "1970-01-02", "end_time": "1970-01-02T00:00:00Z"}"#),
            (false, r#"{"start_time": "1970-01-02 00:00:00.001"}"#),
            (false, r#"{"end_time": "1970-01-01T23:59:59"}"#),
        ] {
            assert_eq!(filter(json).matches(&entry), wanted, "{json}");
        }
        entry.path = None;
        assert!(!filter(r#"{"path_filter": "m"}"#).matches(&entry));
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_an_error() {
        for (json, error) in [
            (r#"{"level": "loud"}"#, "level is not INFO, WARNING or ERROR"),
            (r#"{"start_time": "1700000000"}"#, "time is not in ISO 8601"),
        ] {
            let said = serde_json::from_str::<LogFilter>(json).unwrap_err().to_string();
            assert!(said.starts_with(error), "{said}");
        }
    }
}
