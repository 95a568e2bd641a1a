//! The last few of many.

use std::collections::VecDeque;

/// Keeps the last `limit` values.
#[derive(Debug)]
pub(super) struct Ring<T> {
    values: VecDeque<T>,
    limit: usize,
}

impl<T> Ring<T> {
    pub(super) fn new(limit: usize) -> Self {
        Self { values: VecDeque::new(), limit }
    }

    pub(super) fn push(&mut self, value: T) {
        if self.values.len() >= self.limit {
            self.values.pop_front();
        }
        self.values.push_back(value);
    }

    /// Oldest first.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.values.iter()
    }
}
