//! Durations in buckets that grow with them.

use std::time::Duration;

use serde::Serialize;

/// Buckets per doubling: a percentile is at most an eighth too high.
const PER_OCTAVE: usize = 8;

/// Doublings from a microsecond on: 38 hours, and all above it.
const OCTAVES: usize = 37;

/// Counts durations in buckets of a fixed number, 2.4 KB in all.
#[derive(Debug, Clone)]
pub(super) struct Histogram {
    buckets: [u64; PER_OCTAVE * OCTAVES],
    count: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: [0; PER_OCTAVE * OCTAVES], count: 0 }
    }
}

impl Histogram {
    pub(super) fn record(&mut self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        if let Some(bucket) = self.buckets.get_mut(bucket(micros)) {
            *bucket += 1;
        }
        self.count += 1;
    }

    pub(super) fn percentiles(&self) -> Percentiles {
        Percentiles { p50: self.at(50), p95: self.at(95), p99: self.at(99) }
    }

    /// The upper end, in milliseconds, of the bucket that holds the sample at `percent`.
    fn at(&self, percent: u64) -> f64 {
        let mut rank = rank(percent, self.count);
        for (bucket, count) in self.buckets.iter().enumerate() {
            if rank < *count {
                return upper_micros(bucket) / 1000.0;
            }
            rank -= count;
        }
        0.0
    }
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
        let at = |percent| {
            samples.get(rank(percent, samples.len() as u64) as usize).copied().unwrap_or(0.0)
        };
        Self { p50: at(50), p95: at(95), p99: at(99) }
    }
}

/// Which of `count` samples in order is the percentile.
fn rank(percent: u64, count: u64) -> u64 {
    (count.saturating_mul(percent) / 100).min(count.saturating_sub(1))
}

fn bucket(micros: u64) -> usize {
    // Below one octave's resolution every value has its own bucket.
    if micros < PER_OCTAVE as u64 {
        return micros as usize;
    }
    let octave = micros.ilog2() as usize;
    let within = (micros >> (octave - 3)) as usize & (PER_OCTAVE - 1);
    ((octave - 2) * PER_OCTAVE + within).min(PER_OCTAVE * OCTAVES - 1)
}

fn upper_micros(bucket: usize) -> f64 {
    if bucket < PER_OCTAVE {
        return bucket as f64;
    }
    let (octave, within) = (bucket / PER_OCTAVE + 2, bucket % PER_OCTAVE);
    (PER_OCTAVE + within + 1) as f64 * f64::powi(2.0, octave as i32 - 3)
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
        assert_eq!(Histogram::default().percentiles(), Percentiles::default());
    }

    #[test]
    fn beyond_the_last_bucket_is_in_the_last() {
        let mut histogram = Histogram::default();
        histogram.record(Duration::MAX);
        assert!(histogram.percentiles().p50 > 1e8);
    }

    proptest! {
        #[test]
        fn buckets_hold_their_values(micros in 0u64..100_000_000_000) {
            let upper = upper_micros(bucket(micros));
            prop_assert!(upper >= micros as f64);
            prop_assert!(upper <= micros as f64 * 1.125 + 1.0);
        }
    }
}
