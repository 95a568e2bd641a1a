//! How many results there were in the last minutes and hours. Pure.

use std::collections::VecDeque;
use std::time::Duration;

/// For how many minutes the results of a channel are kept: a day.
pub const MAX_MINUTES: usize = 24 * 60;

/// Results of some time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// All that ended, whosever fault it was.
    pub(super) requests: u64,
    pub(super) successes: u64,
    pub(super) failures: u64,
}

impl Counts {
    pub(super) fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.successes += other.successes;
        self.failures += other.failures;
    }

    /// Percent of what succeeded of what tells something of the channel; 100 where nothing does.
    pub(super) fn success_rate(&self) -> f64 {
        match self.successes + self.failures {
            0 => 100.0,
            told => self.successes as f64 / told as f64 * 100.0,
        }
    }
}

/// The last day, minute by minute; minutes without a result take no room.
#[derive(Debug, Clone, Default)]
pub(super) struct Windows {
    /// Oldest first, each with its number since the epoch.
    minutes: VecDeque<(u64, Counts)>,
}

impl Windows {
    pub(super) fn add(&mut self, now: Duration, counts: Counts) {
        let minute = minute(now);
        match self.minutes.back_mut() {
            Some((last, sum)) if *last >= minute => sum.add(counts),
            _ => self.minutes.push_back((minute, counts)),
        }
        let first = (minute + 1).saturating_sub(MAX_MINUTES as u64);
        while self.minutes.front().is_some_and(|(minute, _)| *minute < first) {
            self.minutes.pop_front();
        }
    }

    /// The sum of the last minutes; the one under way is the last.
    pub(super) fn sum(&self, now: Duration, minutes: u64) -> Counts {
        let first = (minute(now) + 1).saturating_sub(minutes);
        let mut sum = Counts::default();
        let within = self.minutes.iter().rev().take_while(|(minute, _)| *minute >= first);
        within.for_each(|(_, counts)| sum.add(*counts));
        sum
    }
}

fn minute(now: Duration) -> u64 {
    now.as_secs() / 60
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Counts = Counts { requests: 1, successes: 1, failures: 0 };

    #[test]
    fn sums_of_the_last_minutes() {
        let at = |minute: u32| Duration::from_secs(60) * minute;
        let mut windows = Windows::default();
        for minute in [0, 0, 50, 60, 64] {
            windows.add(at(minute), ONE);
        }
        let sum = |now, minutes| windows.sum(at(now), minutes).requests;
        assert_eq!([sum(64, 1), sum(64, 5), sum(64, 15), sum(64, 60)], [1, 2, 3, 3]);
        assert_eq!([sum(64, 65), sum(65, 1), sum(2000, 1440)], [5, 0, 0]);
    }

    #[test]
    fn a_day_is_kept() {
        let mut windows = Windows::default();
        for minute in 0..3000u32 {
            windows.add(Duration::from_secs(60) * minute, ONE);
        }
        assert_eq!(windows.minutes.len(), MAX_MINUTES);
        let now = Duration::from_secs(60) * 2999;
        assert_eq!(windows.sum(now, MAX_MINUTES as u64).requests, MAX_MINUTES as u64);
    }

    #[test]
    fn nothing_known_is_no_failure() {
        assert_eq!(Counts::default().success_rate(), 100.0);
        assert_eq!(Counts { requests: 9, ..Counts::default() }.success_rate(), 100.0);
        assert_eq!(Counts { requests: 9, successes: 1, failures: 3 }.success_rate(), 25.0);
    }
}
