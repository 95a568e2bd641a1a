//! How long a key that failed is left alone. Pure.

use std::sync::Arc;
use std::time::Duration;

use crate::protocol::MAX_RETRY_AFTER;

/// Length of the first cooldown of [`Cooldown::default`]: 300 s.
pub const DEFAULT_COOLDOWN: Duration = Duration::from_secs(300);

/// Length of the longest cooldown of [`Cooldown::default`]: 12 hours.
pub const DEFAULT_MAX_COOLDOWN: Duration = Duration::from_secs(43_200);

/// Default for [`Cooldown::threshold`].
pub const DEFAULT_THRESHOLD: u32 = 3;

/// Longer cooldowns are cut to this: 30 days.
pub(super) const LONGEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// When a key cools down, and for how long.
///
/// ```
/// use std::time::Duration;
/// use tower_llm_gateway::layer::key_pool::Cooldown;
///
/// // 1 min, 2 min, 4 min, .. at most an hour, each up to 10 % shorter or longer.
/// let minute = Duration::from_secs(60);
/// let cooldown = Cooldown::doubling(minute, 60 * minute).jitter(0.1).threshold(5);
/// # let _ = cooldown;
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Cooldown {
    growth: Growth,
    threshold: u32,
    jitter: f64,
}

#[derive(Debug, Clone, PartialEq)]
enum Growth {
    Doubling { initial: Duration, max: Duration },
    Steps(Arc<[Duration]>),
}

impl Cooldown {
    /// The first cooldown since the last success lasts `initial`, each further one twice as long
    /// as the one before, at most `max`.
    #[must_use]
    pub fn doubling(initial: Duration, max: Duration) -> Self {
        Self::growing(Growth::Doubling { initial, max })
    }

    /// The cooldowns since the last success last as long as listed here; the last one repeats.
    #[must_use]
    pub fn steps(steps: impl IntoIterator<Item = Duration>) -> Self {
        Self::growing(Growth::Steps(steps.into_iter().collect()))
    }

    /// A cache of failed keys: any failure puts a key there for 5 minutes, and for 10 after more
    /// than three.
    #[must_use]
    pub fn failed_keys() -> Self {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        Self::steps([minutes(5), minutes(5), minutes(5), minutes(10)]).threshold(1)
    }

    fn growing(growth: Growth) -> Self {
        Self { growth, threshold: DEFAULT_THRESHOLD, jitter: 0.0 }
    }

    /// How many failures that are the upstream's, without a success between them, cool a key down.
    /// What is the key's own fault does so at once. Default [`DEFAULT_THRESHOLD`]; 0 counts as 1.
    #[must_use]
    pub fn threshold(mut self, failures: u32) -> Self {
        self.threshold = failures.max(1);
        self
    }

    /// The part of itself by which a cooldown is made longer or shorter at random, from 0 to 1, so
    /// that keys which failed together do not all come back together. Default 0.
    #[must_use]
    pub fn jitter(mut self, part: f64) -> Self {
        self.jitter = if part.is_nan() { 0.0 } else { part.clamp(0.0, 1.0) };
        self
    }

    pub(super) fn is_due(&self, failures: u32) -> bool {
        failures >= self.threshold
    }

    /// The length of the `nth` cooldown since the last success, counted from 1. `retry_after` is
    /// its floor.
    pub(super) fn lasts(
        &self,
        nth: u32,
        retry_after: Option<Duration>,
        rng: &mut fastrand::Rng,
    ) -> Duration {
        let before = nth.saturating_sub(1);
        let base = match &self.growth {
            Growth::Doubling { initial, max } => {
                let times = 2_u32.checked_pow(before);
                times.and_then(|times| initial.checked_mul(times)).unwrap_or(*max).min(*max)
            }
            Growth::Steps(steps) => {
                let nth = steps.get(before as usize).or(steps.last());
                nth.copied().unwrap_or(DEFAULT_COOLDOWN)
            }
        };
        let base = base.min(LONGEST);
        let jittered = match self.jitter {
            0.0 => base,
            part => base.mul_f64(1.0 + part * (2.0 * rng.f64() - 1.0)),
        };
        jittered.max(floor(retry_after))
    }
}

/// What the upstream asked for, as far as it is believed.
pub(super) fn floor(retry_after: Option<Duration>) -> Duration {
    retry_after.unwrap_or_default().min(MAX_RETRY_AFTER)
}

impl Default for Cooldown {
    fn default() -> Self {
        Self::doubling(DEFAULT_COOLDOWN, DEFAULT_MAX_COOLDOWN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(cooldown: &Cooldown, nth: u32, retry_after: Option<u64>) -> f64 {
        let retry_after = retry_after.map(Duration::from_secs);
        cooldown.lasts(nth, retry_after, &mut fastrand::Rng::with_seed(1)).as_secs_f64()
    }

    #[test]
    fn doubles_to_its_cap() {
        let cooldown = Cooldown::default();
        let expected =
            [300.0, 600.0, 1200.0, 2400.0, 4800.0, 9600.0, 19_200.0, 38_400.0, 43_200.0, 43_200.0];
        for (nth, expected) in (1..).zip(expected) {
            assert_eq!(seconds(&cooldown, nth, None), expected, "{nth}");
        }
        assert_eq!(seconds(&cooldown, u32::MAX, None), 43_200.0);
        let endless = Cooldown::doubling(Duration::MAX, Duration::MAX).jitter(1.0);
        assert!(seconds(&endless, 9, None) <= 2.0 * LONGEST.as_secs_f64());
    }

    #[test]
    fn steps_repeat_the_last() {
        let minutes = |nth| seconds(&Cooldown::failed_keys(), nth, None) / 60.0;
        assert_eq!([1, 2, 3, 4, 5, 99].map(minutes), [5.0, 5.0, 5.0, 10.0, 10.0, 10.0]);
        assert!(Cooldown::failed_keys().is_due(1) && !Cooldown::default().is_due(2));
        assert!(Cooldown::default().is_due(3));
        assert_eq!(seconds(&Cooldown::steps([]), 1, None), 300.0);
    }

    #[test]
    fn retry_after_is_a_floor() {
        let cooldown = Cooldown::default();
        assert_eq!(seconds(&cooldown, 1, Some(20)), 300.0);
        assert_eq!(seconds(&cooldown, 1, Some(7000)), 7000.0);
        assert_eq!(seconds(&cooldown, 1, Some(u64::MAX)), 86_400.0);
        // Jitter never goes below it.
        let jittered = cooldown.jitter(0.5);
        let mut rng = fastrand::Rng::with_seed(7);
        let floor = Duration::from_secs(300);
        assert!((0..99).all(|_| jittered.lasts(1, Some(floor), &mut rng) >= floor));
    }

    #[test]
    fn jitter_goes_both_ways_and_no_farther() {
        let cooldown = Cooldown::default().jitter(0.1);
        let mut rng = fastrand::Rng::with_seed(7);
        let lasts: Vec<_> =
            (0..500).map(|_| cooldown.lasts(1, None, &mut rng).as_secs_f64()).collect();
        assert!(lasts.iter().all(|s| (270.0..=330.0).contains(s)));
        assert!(lasts.iter().any(|s| *s < 280.0) && lasts.iter().any(|s| *s > 320.0));
        assert_eq!(Cooldown::default().jitter(f64::NAN), Cooldown::default());
    }
}
