//! Percentiles, exact ones of few samples and near ones of many.

use std::time::Duration;

use serde::Serialize;

/// Significant decimal digits: a value is at most one part in 128 too high.
const DIGITS: u8 = 2;

/// What is told from what, in microseconds; less counts as this.
const SHORTEST: u64 = 16;

/// An hour in microseconds; more counts as this.
const LONGEST: u64 = 3_600_000_000;

/// A hundred thousand tokens a second, in hundredths; more counts as this.
const FASTEST: u64 = 10_000_000;

/// Counts values of any number in buckets of a fixed number: 12 KB for times, 9 KB for speeds,
/// nothing before the first.
#[derive(Debug, Clone)]
pub(crate) struct Histogram {
    counts: Option<hdrhistogram::Histogram<u32>>,
    low: u64,
    high: u64,
    /// How many make one of what is shown.
    per: f64,
    /// Of the values as they came.
    sum: u64,
}

impl Histogram {
    /// Of times, shown in milliseconds.
    pub(super) fn of_times() -> Self {
        Self { counts: None, low: SHORTEST, high: LONGEST, per: 1000.0, sum: 0 }
    }

    /// Of tokens a second.
    pub(super) fn of_speeds() -> Self {
        Self { counts: None, low: 1, high: FASTEST, per: 100.0, sum: 0 }
    }

    pub(super) fn time(&mut self, time: Duration) {
        self.record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    pub(super) fn speed(&mut self, tokens: u64, time: Duration) {
        let speed = tokens as f64 / time.as_secs_f64() * self.per;
        // A float that does not fit becomes the nearest that does.
        self.record(speed.round() as u64);
    }

    fn record(&mut self, value: u64) {
        if self.counts.is_none() {
            self.counts =
                hdrhistogram::Histogram::new_with_bounds(self.low, self.high, DIGITS).ok();
        }
        if let Some(counts) = &mut self.counts {
            counts.saturating_record(value);
            self.sum = self.sum.saturating_add(value);
        }
    }

    /// How many there are up to each of `bounds`, which ascend; `per` make one of them. A value is
    /// counted up to one part in 128 too low.
    #[cfg(feature = "prometheus")]
    pub(super) fn buckets(&self, bounds: &[f64], per: f64) -> Buckets {
        let mut counts = Vec::with_capacity(bounds.len() + 1);
        let (mut low, mut told) = (0, 0);
        for bound in bounds {
            let count = self.counts.as_ref().map_or(0, |counts| {
                let high = (bound * per).round() as u64;
                let count = counts.count_between(low, high);
                low = counts.next_non_equivalent(high);
                count
            });
            told += count;
            counts.push((*bound, count));
        }
        let count = self.counts.as_ref().map_or(0, hdrhistogram::Histogram::len);
        counts.push((f64::INFINITY, count.saturating_sub(told)));
        Buckets { sum: self.sum as f64 / per, count, counts }
    }

    pub(super) fn distribution(&self) -> Distribution {
        let Some(counts) = self.counts.as_ref().filter(|counts| !counts.is_empty()) else {
            return Distribution::default();
        };
        let at = |percent: f64| counts.value_at_quantile(percent / 100.0) as f64 / self.per;
        Distribution {
            count: counts.len(),
            mean: self.sum as f64 / self.per / counts.len() as f64,
            p50: at(50.0),
            p95: at(95.0),
            p99: at(99.0),
        }
    }
}

/// Values by how large they are.
#[cfg(feature = "prometheus")]
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Buckets {
    pub(super) sum: f64,
    pub(super) count: u64,
    /// The upper bound of each bucket, the last one infinite, and how many are in it alone.
    pub(super) counts: Vec<(f64, u64)>,
}

/// How values are spread; all 0 without any. A percentile is at most one part in 128 too high.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Distribution {
    /// How many there are.
    pub count: u64,
    /// Their mean, exact.
    pub mean: f64,
    /// The median.
    pub p50: f64,
    /// 95 percent do not exceed it.
    pub p95: f64,
    /// 99 percent do not exceed it.
    pub p99: f64,
}

/// Durations in milliseconds that half, 95 and 99 percent do not exceed; 0 without samples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Percentiles {
    /// The median.
    pub p50: f64,
    /// 95 percent.
    pub p95: f64,
    /// 99 percent.
    pub p99: f64,
}

impl Percentiles {
    /// Of exact samples, which are put in order.
    pub(super) fn of(samples: &mut [f64]) -> Self {
        samples.sort_by(f64::total_cmp);
        let at = |percent: usize| {
            let place = (samples.len() * percent / 100).min(samples.len().saturating_sub(1));
            samples.get(place).copied().unwrap_or(0.0)
        };
        Self { p50: at(50), p95: at(95), p99: at(99) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn exact_percentiles() {
        assert_eq!(Percentiles::of(&mut []), Percentiles::default());
        assert_eq!(Percentiles::of(&mut [7.0]), Percentiles { p50: 7.0, p95: 7.0, p99: 7.0 });
        let mut hundred: Vec<f64> = (0..100).rev().map(f64::from).collect();
        assert_eq!(Percentiles::of(&mut hundred), Percentiles { p50: 50.0, p95: 95.0, p99: 99.0 });
    }

    #[test]
    fn an_empty_histogram_says_zero() {
        assert_eq!(Histogram::of_times().distribution(), Distribution::default());
        assert!(Histogram::of_times().counts.is_none());
    }

    #[test]
    fn what_is_out_of_bounds_is_at_them() {
        let mut times = Histogram::of_times();
        times.time(Duration::MAX);
        times.time(Duration::ZERO);
        let shown = times.distribution();
        assert_eq!(shown.count, 2);
        assert!((3_600_000.0..3_640_000.0).contains(&shown.p99), "{shown:?}");
        assert!(shown.p50 < 0.02, "{shown:?}");
        let mut speeds = Histogram::of_speeds();
        speeds.speed(u64::MAX, Duration::from_nanos(1));
        assert!((100_000.0..101_000.0).contains(&speeds.distribution().p50));
    }

    #[test]
    fn a_histogram_is_small() {
        // Buckets of doublings from the coarsest resolution, in halves of 256 values, as u32.
        for (mut histogram, bytes) in
            [(Histogram::of_times(), 12_000), (Histogram::of_speeds(), 9_500)]
        {
            histogram.record(1);
            let buckets = histogram.counts.unwrap().distinct_values();
            assert!(buckets * size_of::<u32>() <= bytes, "{buckets}");
        }
    }

    proptest! {
        #[test]
        fn a_value_is_shown_little_too_high(micros in 0..LONGEST) {
            let mut times = Histogram::of_times();
            times.time(Duration::from_micros(micros));
            let shown = times.distribution();
            let exact = micros as f64 / 1000.0;
            prop_assert!(shown.p50 >= exact, "{} {exact}", shown.p50);
            prop_assert!(shown.p50 <= exact * (1.0 + 1.0 / 128.0) + 0.016, "{} {exact}", shown.p50);
            prop_assert!((shown.mean - exact).abs() < 1e-6 * exact.max(1.0));
        }
    }
}
