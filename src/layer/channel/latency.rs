//! How fast a channel answers, with a long memory for good and a quick eye for bad. Pure.

use std::time::Duration;

/// Assumed of a channel that has not answered yet.
pub const ASSUMED_LATENCY: Duration = Duration::from_secs(1);

/// In so long the weight of what was seen falls to 1/e.
pub const LATENCY_DECAY: Duration = Duration::from_secs(10);

/// A peak-sensitive moving average: a slower answer counts at once and whole, faster ones bring
/// it down with time.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct PeakEwma {
    /// Seconds, and when they were seen.
    seen: Option<(f64, Duration)>,
}

impl PeakEwma {
    pub(super) fn answered(&mut self, latency: Duration, now: Duration) {
        let sample = latency.as_secs_f64();
        let average = match self.seen {
            Some((average, at)) if average > sample => {
                let age = now.saturating_sub(at).as_secs_f64();
                let weight = (-age / LATENCY_DECAY.as_secs_f64()).exp();
                average * weight + sample * (1.0 - weight)
            }
            _ => sample,
        };
        self.seen = Some((average, now));
    }

    /// The average, where there was an answer.
    pub(super) fn get(&self) -> Option<Duration> {
        self.seen.map(|(average, _)| Duration::from_secs_f64(average))
    }

    /// What a further request costs beside those under way.
    pub(super) fn cost(&self, in_flight: usize) -> f64 {
        let average = self.seen.map_or(ASSUMED_LATENCY.as_secs_f64(), |(average, _)| average);
        // A channel that answers in no time at all must still fill up.
        average.max(1e-6) * (in_flight as f64 + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn up_at_once_and_down_with_time() {
        let second = Duration::from_secs(1);
        let mut latency = PeakEwma::default();
        assert_eq!((latency.get(), latency.cost(0)), (None, 1.0));
        latency.answered(second, second);
        latency.answered(second * 5, second);
        assert_eq!(latency.get(), Some(second * 5), "a slow answer counts whole");
        latency.answered(second, second);
        assert_eq!(latency.get(), Some(second * 5), "no time has gone by");
        latency.answered(second, second * 11);
        let average = latency.get().unwrap().as_secs_f64();
        assert!((average - (1.0 + 4.0 / std::f64::consts::E)).abs() < 1e-6, "{average}");
        assert!((latency.cost(3) - average * 4.0).abs() < 1e-6);
    }
}
