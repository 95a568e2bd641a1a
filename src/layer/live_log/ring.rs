//! The last lines, numbered: history and all subscriptions read the same ones.

use std::collections::VecDeque;

/// Most lines that are kept; the oldest goes first. A subscription that is further behind has lost
/// some.
pub const MAX_LINES: usize = 1000;

/// The last [`MAX_LINES`] values.
#[derive(Debug)]
pub(super) struct Ring<T> {
    values: VecDeque<T>,
    /// The number of the next one.
    next: u64,
    /// Values below this number were removed on purpose: nobody has lost them.
    cleared: u64,
}

/// What a reader has not seen yet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unread<T> {
    /// So many were replaced before they were read.
    pub(super) lost: u64,
    pub(super) values: VecDeque<T>,
}

impl<T: Clone> Ring<T> {
    pub(super) fn new() -> Self {
        Self { values: VecDeque::new(), next: 0, cleared: 0 }
    }

    pub(super) fn push(&mut self, value: T) {
        if self.values.len() >= MAX_LINES {
            self.values.pop_front();
        }
        self.values.push_back(value);
        self.next += 1;
    }

    pub(super) fn clear(&mut self) {
        self.values.clear();
        self.cleared = self.next;
    }

    /// Oldest first.
    pub(super) fn values(&self) -> impl DoubleEndedIterator<Item = &T> + ExactSizeIterator {
        self.values.iter()
    }

    /// The place of a reader who wants what comes from now on.
    pub(super) fn end(&self) -> u64 {
        self.next
    }

    /// At most so many values from `place` on, which moves behind them. `None` if there are none.
    pub(super) fn read(&self, place: &mut u64, most: usize) -> Option<Unread<T>> {
        let first = self.next - self.values.len() as u64;
        let from = (*place).max(self.cleared);
        let lost = first.saturating_sub(from);
        let skipped = usize::try_from(from.saturating_sub(first)).unwrap_or(usize::MAX);
        let values: VecDeque<T> = self.values.iter().skip(skipped).take(most).cloned().collect();
        *place = from + lost + values.len() as u64;
        (lost > 0 || !values.is_empty()).then_some(Unread { lost, values })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unread(lost: u64, values: impl IntoIterator<Item = u64>) -> Option<Unread<u64>> {
        Some(Unread { lost, values: values.into_iter().collect() })
    }

    #[test]
    fn a_reader_sees_each_value_once() {
        let mut ring = Ring::new();
        let mut place = ring.end();
        assert_eq!(ring.read(&mut place, 2), None);
        for value in 0..3 {
            ring.push(value);
        }
        assert_eq!(ring.read(&mut place, 2), unread(0, [0, 1]));
        assert_eq!(ring.read(&mut place, 2), unread(0, [2]));
        assert_eq!(ring.read(&mut place, 2), None);
    }

    #[test]
    fn a_slow_reader_knows_how_many_it_lost() {
        let mut ring = Ring::new();
        let (mut slow, mut new) = (ring.end(), 0);
        for value in 0..2 * MAX_LINES as u64 + 7 {
            ring.push(value);
            new = ring.end();
        }
        let first = MAX_LINES as u64 + 7;
        assert_eq!(ring.values().len(), MAX_LINES);
        assert_eq!(ring.read(&mut slow, 2), unread(first, [first, first + 1]));
        assert_eq!(ring.read(&mut slow, 1), unread(0, [first + 2]));
        assert_eq!(ring.read(&mut new, 2), None);
    }

    #[test]
    fn what_was_cleared_is_not_lost() {
        let mut ring = Ring::new();
        let mut place = ring.end();
        ring.push(1);
        ring.clear();
        assert_eq!(ring.read(&mut place, 9), None);
        ring.push(2);
        assert_eq!(ring.values().count(), 1);
        assert_eq!(ring.read(&mut place, 9), unread(0, [2]));
        let mut late = 0;
        for value in 0..MAX_LINES as u64 + 1 {
            ring.push(value);
        }
        // 2 and the first of these.
        assert_eq!(ring.read(&mut late, 0), unread(2, []));
    }
}
