//! What time it is, said by the system or by a test.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Tells the time since the Unix epoch, and never goes back. Clones tell the same time.
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    /// The monotonic clock, and what the wall clock said when that stood at `start`, in
    /// nanoseconds.
    System {
        start: Instant,
        wall: Arc<AtomicU64>,
    },
    Given(Arc<dyn Fn() -> Duration + Send + Sync>),
}

/// The wall clock was set, or the machine slept, where it is so much ahead of the monotonic one.
const STEP: Duration = Duration::from_secs(1);

impl Clock {
    /// The system's: the wall clock at this moment, and from here on the monotonic one. Follows
    /// the wall clock where that leaps ahead, as after a sleep of the machine: what is under way
    /// then takes that much longer. Does not follow it back.
    #[must_use]
    pub fn system() -> Self {
        let (wall, start) = (unix_time(), Instant::now());
        Self(Source::System { start, wall: Arc::new(AtomicU64::new(nanos(wall))) })
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
            // In this order a pause between the two is no leap.
            Source::System { start, wall } => {
                let now = unix_time();
                follow(wall, now, start.elapsed())
            }
            Source::Given(now) => now(),
        }
    }
}

/// The time by the monotonic clock, after the wall clock's leap if it made one.
fn follow(start: &AtomicU64, now: Duration, elapsed: Duration) -> Duration {
    let mut wall = Duration::from_nanos(start.load(Ordering::Relaxed));
    let leapt = now.saturating_sub(elapsed);
    if leapt > wall + STEP {
        let before = start.fetch_max(nanos(leapt), Ordering::Relaxed);
        wall = leapt.max(Duration::from_nanos(before));
    }
    wall + elapsed
}

fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Enough for five centuries.
fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wall_clock_is_followed_ahead_and_not_back() {
        let secs = Duration::from_secs;
        let wall = AtomicU64::new(nanos(secs(1000)));
        assert_eq!(follow(&wall, secs(1005), secs(5)), secs(1005));
        // It runs a little fast.
        assert_eq!(follow(&wall, secs(1007), secs(6)), secs(1006));
        // The machine has slept for an hour.
        assert_eq!(follow(&wall, secs(4607), secs(7)), secs(4607));
        // It is set back; time goes on.
        assert_eq!(follow(&wall, secs(1008), secs(8)), secs(4608));
    }
}
