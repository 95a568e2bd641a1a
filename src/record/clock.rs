//! What time it is, said by the system or by a test.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Tells the time since the Unix epoch, and never goes back. Clones tell the same time.
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    /// What the wall clock said at a moment, and the monotonic one from there on.
    System {
        wall: Duration,
        start: Instant,
    },
    Given(Arc<dyn Fn() -> Duration + Send + Sync>),
}

impl Clock {
    /// The system's: the wall clock at this moment, and from here on the monotonic one.
    #[must_use]
    pub fn system() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(Source::System { wall, start: Instant::now() })
    }

    /// Another one, which must not go back. For tests.
    #[must_use]
    pub fn new(now: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self(Source::Given(Arc::new(now)))
    }

    /// The time since the Unix epoch.
    #[must_use]
    pub fn now(&self) -> Duration {
        match &self.0 {
            Source::System { wall, start } => *wall + start.elapsed(),
            Source::Given(now) => now(),
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}
