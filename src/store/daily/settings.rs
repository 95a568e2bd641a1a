use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

/// Default for [`DailySettings::daily_limit`].
pub const DEFAULT_DAILY_LIMIT: usize = 1000;

/// Default for [`DailySettings::retention_days`].
pub const DEFAULT_RETENTION_DAYS: u32 = 7;

/// Where daily files are, and how much of them.
#[derive(Clone)]
pub struct DailySettings {
    pub(super) dir: PathBuf,
    pub(super) daily_limit: usize,
    pub(super) retention_days: u32,
    now: Arc<dyn Fn() -> SystemTime + Send + Sync>,
}

impl DailySettings {
    /// Files in this directory, which is made when the first line is written.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            daily_limit: DEFAULT_DAILY_LIMIT,
            retention_days: DEFAULT_RETENTION_DAYS,
            now: Arc::new(SystemTime::now),
        }
    }

    /// Most lines of one day, at least 1; those that are there at the start count. Further ones are
    /// counted and not written. Default [`DEFAULT_DAILY_LIMIT`].
    #[must_use]
    pub fn daily_limit(mut self, lines: usize) -> Self {
        self.daily_limit = lines.max(1);
        self
    }

    /// How many days are kept, today included, at least 1. Default [`DEFAULT_RETENTION_DAYS`].
    #[must_use]
    pub fn retention_days(mut self, days: u32) -> Self {
        self.retention_days = days.max(1);
        self
    }

    /// Tells which day it is, for the retention. Default: the system's clock.
    #[must_use]
    pub fn with_clock(mut self, now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        self.now = Arc::new(now);
        self
    }

    pub(super) fn now(&self) -> SystemTime {
        (self.now)()
    }
}

impl fmt::Debug for DailySettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DailySettings")
            .field("dir", &self.dir)
            .field("daily_limit", &self.daily_limit)
            .field("retention_days", &self.retention_days)
            .finish_non_exhaustive()
    }
}
