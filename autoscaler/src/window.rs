//! The extreme of a sliding time window in bounded memory.

use serde::{Deserialize, Serialize};
use vocab::TimestampMs;

/// Most entries; beyond it neighbours are merged towards caution.
const ENTRIES_MAX: usize = 32;

/// A monotonic queue: each entry is the extreme of everything after the entry before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Window {
    entries: Vec<(TimestampMs, u32)>,
}

impl Window {
    /// Adds a value to a window whose maximum is asked for.
    pub fn push_max(&mut self, at_ms: TimestampMs, value: u32) {
        self.push(at_ms, value, |older, newer| older <= newer);
    }

    /// Adds a value to a window whose minimum is asked for.
    pub fn push_min(&mut self, at_ms: TimestampMs, value: u32) {
        self.push(at_ms, value, |older, newer| older >= newer);
    }

    fn push(&mut self, at_ms: TimestampMs, value: u32, is_covered: impl Fn(u32, u32) -> bool) {
        while self.entries.last().is_some_and(|last| is_covered(last.1, value)) {
            self.entries.pop();
        }
        self.entries.push((at_ms, value));
        if self.entries.len() > ENTRIES_MAX {
            // The older extreme lives as long as its neighbour would have: it holds longer than asked, never shorter.
            let older = self.entries.remove(0);
            self.entries[0].1 = older.1;
        }
    }

    /// Forgets what is older than `oldest_ms`.
    pub fn expire(&mut self, oldest_ms: TimestampMs) {
        self.entries.retain(|entry| entry.0 >= oldest_ms);
    }

    /// The window's extreme; `None` when nothing is in it.
    pub fn extreme(&self) -> Option<u32> {
        self.entries.first().map(|entry| entry.1)
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.entries.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn says_the_extreme_of_what_is_young_enough(
            steps in prop::collection::vec((1i64..5, 0u32..20), 1..200), width in 0i64..60
        ) {
            let (mut high, mut low, mut all, mut now) = (Window::default(), Window::default(), Vec::new(), 0);
            for (gap, value) in steps {
                now += gap;
                all.push((now, value));
                high.push_max(now, value);
                low.push_min(now, value);
                high.expire(now - width);
                low.expire(now - width);
                let young: Vec<u32> = all.iter().filter(|e| e.0 >= now - width).map(|e| e.1).collect();
                prop_assert_eq!(high.extreme(), young.iter().copied().max());
                prop_assert_eq!(low.extreme(), young.iter().copied().min());
            }
        }

        #[test]
        fn merging_errs_towards_caution(extra in 1u32..300) {
            let mut high = Window::default();
            let top = 32 + extra;
            for step in 0..top {
                high.push_max(i64::from(step), top - step);
            }
            high.expire(i64::from(extra) - 1);
            prop_assert!(high.extreme() >= Some(top - extra + 1));
        }
    }
}
