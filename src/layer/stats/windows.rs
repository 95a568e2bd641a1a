//! Sums of the last minutes and hours. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use super::counts::Counts;

/// For how many minutes what ended in each of them is kept.
pub const MAX_WINDOW_MINUTES: usize = 60;

/// For how many quarters of an hour: a day.
pub const MAX_WINDOW_QUARTERS: usize = 96;

/// The last hour minute by minute, and the last day by quarters of an hour: what a window shows
/// ends now, and begins with a minute or a quarter.
#[derive(Debug, Clone, Default)]
pub(super) struct Windows {
    minutes: Slots<60, MAX_WINDOW_MINUTES>,
    quarters: Slots<900, MAX_WINDOW_QUARTERS>,
}

/// The sums of the four windows.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct WindowSums {
    pub(super) quarter: Counts,
    pub(super) hour: Counts,
    pub(super) six_hours: Counts,
    pub(super) day: Counts,
}

impl Windows {
    pub(super) fn add(&mut self, now: Duration, one: &Counts) {
        self.minutes.add(now, one);
        self.quarters.add(now, one);
    }

    pub(super) fn sums(&self, now: Duration) -> WindowSums {
        let [quarter, hour] = self.minutes.sums(now, [15, 60]);
        let [six_hours, day] = self.quarters.sums(now, [24, 96]);
        WindowSums { quarter, hour, six_hours, day }
    }
}

/// Sums by the time in which something ended, in steps of `SECONDS`; at most `KEPT` of them. A
/// step in which nothing ended takes no room.
#[derive(Debug, Clone, Default)]
struct Slots<const SECONDS: u64, const KEPT: usize> {
    /// Oldest first, each with its number since the epoch.
    slots: VecDeque<(u64, Counts)>,
}

impl<const SECONDS: u64, const KEPT: usize> Slots<SECONDS, KEPT> {
    fn add(&mut self, now: Duration, one: &Counts) {
        let number = now.as_secs() / SECONDS;
        match self.slots.back_mut() {
            // Who took the time before may be counted after.
            Some((last, sum)) if *last >= number => sum.add(one),
            _ => {
                let first = (number + 1).saturating_sub(KEPT as u64);
                while self.slots.front().is_some_and(|(number, _)| *number < first) {
                    self.slots.pop_front();
                }
                self.slots.push_back((number, *one));
            }
        }
    }

    /// The sums of the last so many steps, the shorter first; the step under way is the last.
    fn sums(&self, now: Duration, [short, long]: [u64; 2]) -> [Counts; 2] {
        let end = now.as_secs() / SECONDS + 1;
        let mut sums = [Counts::default(); 2];
        for (number, counts) in self.slots.iter().rev() {
            let age = end.saturating_sub(*number);
            for (sum, length) in sums.iter_mut().zip([short, long]) {
                if age <= length {
                    sum.add(counts);
                }
            }
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one() -> Counts {
        Counts { ended: 1, ..Counts::default() }
    }

    fn at(minute: u64) -> Duration {
        Duration::from_secs(60 * minute)
    }

    /// What ended in the four windows.
    fn ended(windows: &Windows, minute: u64) -> [u64; 4] {
        let sums = windows.sums(at(minute));
        [sums.quarter, sums.hour, sums.six_hours, sums.day].map(|counts| counts.ended)
    }

    #[test]
    fn a_window_ends_with_the_minute_under_way() {
        let mut windows = Windows::default();
        for minute in [0, 0, 50, 60, 64] {
            windows.add(at(minute), &one());
        }
        assert_eq!(ended(&windows, 64), [3, 3, 5, 5]);
        assert_eq!(ended(&windows, 65), [2, 3, 5, 5]);
        assert_eq!(ended(&windows, 74), [2, 3, 5, 5]);
        assert_eq!(ended(&windows, 75), [1, 3, 5, 5]);
        assert_eq!(ended(&windows, 24 * 15), [0, 0, 3, 5]);
        assert_eq!(ended(&windows, 96 * 15), [0, 0, 0, 3]);
        assert_eq!(ended(&windows, 10_000), [0; 4]);
    }

    #[test]
    fn no_more_than_a_day_is_kept() {
        let mut windows = Windows::default();
        for minute in 0..5000 {
            windows.add(at(minute), &one());
        }
        assert_eq!(windows.minutes.slots.len(), MAX_WINDOW_MINUTES);
        assert_eq!(windows.quarters.slots.len(), MAX_WINDOW_QUARTERS);
        // Minute 4999 is the fifth of its quarter.
        assert_eq!(ended(&windows, 4999), [15, 60, 23 * 15 + 5, 95 * 15 + 5]);
    }

    #[test]
    fn what_comes_late_is_not_lost() {
        let mut windows = Windows::default();
        windows.add(at(10), &one());
        windows.add(at(9), &one());
        assert_eq!(ended(&windows, 10), [2; 4]);
    }
}
