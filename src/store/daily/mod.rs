//! The live log in files of their days: `{dir}/{date in UTC}.jsonl`, one
//! [`LogEntry`](super::LogEntry) a line.
//!
//! A day has a limit of lines, and files are kept for some days. Writing waits for nothing: lines go
//! through a bounded queue to a worker of the host. What is not written, for whatever reason, is
//! counted ([`DailyStatus`]), and nothing fails for it.
//!
//! ```
//! use std::time::SystemTime;
//!
//! use tower_llm_gateway::store::daily::{DailyFiles, DailySettings, Page};
//! use tower_llm_gateway::store::{LogEntry, LogFilter, LogLevel};
//!
//! # let dir = tempfile::tempdir()?;
//! # let dir = dir.path();
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! let (files, worker) = DailyFiles::new(DailySettings::new(dir).retention_days(30));
//! tokio::spawn(worker.run());
//! files.write(LogEntry::new(SystemTime::now(), LogLevel::Info, "It runs"));
//! files.flush().await?;
//! let history = files.history(LogFilter::default(), Page::default()).await?;
//! assert_eq!(history.logs[0].message, "It runs");
//! assert_eq!((history.pagination.total, files.status().written), (1, 1));
//! # Ok::<(), std::io::Error>(())
//! # })?;
//! # Ok::<(), std::io::Error>(())
//! ```

mod backwards;
mod files;
mod history;
mod settings;
mod worker;
mod writer;

#[cfg(test)]
mod tests;

pub use files::{DailyFiles, DailyStatus, MAX_QUEUED_LINES, MAX_READERS};
pub use history::{DEFAULT_PAGE, LogHistory, MAX_PAGE, MAX_PAGE_BYTES, Page};
pub use settings::{DEFAULT_DAILY_LIMIT, DEFAULT_RETENTION_DAYS, DailySettings};
pub use worker::{DailyWorker, FLUSH_TIMEOUT, SWEEP_EVERY};
pub use writer::MAX_LINE_BYTES;

/// What the name of a file has behind its date.
const EXTENSION: &str = ".jsonl";

/// The date that a file is named by; `None` for files of others.
fn date_of(name: &std::ffi::OsStr) -> Option<&str> {
    let date = name.to_str()?.strip_suffix(EXTENSION)?;
    crate::calendar::is_date(date).then_some(date)
}
