//! Since when the samples of a series in the head count.

use vocab::TimestampMs;

/// Bytes besides the entries: what holds them and the allocations.
const BASE_BYTES: isize = 144;

/// A step function over the times of samples: what an entry says holds from its time until the next entry's; before the first
/// one nothing is known. A counter needs one entry from reset to reset, however many samples it has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct StartSteps(Vec<(TimestampMs, TimestampMs)>);

impl StartSteps {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes of a copy, or of what a series has for it.
    pub(crate) fn heap_bytes(&self) -> isize {
        let entry = std::mem::size_of::<(TimestampMs, TimestampMs)>();
        if self.0.is_empty() { 0 } else { BASE_BYTES + (self.0.len() * entry).cast_signed() }
    }

    /// Since when the sample at this time counts; 0 when that is not known.
    pub(crate) fn at(&self, time: TimestampMs) -> TimestampMs {
        let after = self.0.partition_point(|step| step.0 <= time);
        after.checked_sub(1).map_or(0, |at| self.0[at].1)
    }

    /// Says it of a sample that is new, without changing it for any other. `is_newest`: there is none at a later time.
    pub(super) fn set(&mut self, time: TimestampMs, start: TimestampMs, is_newest: bool) {
        let before = self.at(time);
        if before == start {
            return;
        }
        let after = self.0.partition_point(|step| step.0 <= time);
        let next = time.saturating_add(1);
        if !is_newest && self.0.get(after).is_none_or(|step| step.0 != next) {
            // Times are whole milliseconds: whatever comes later keeps what it had.
            self.insert(after, (next, before));
        }
        match after.checked_sub(1).filter(|at| self.0[*at].0 == time) {
            Some(at) => self.0[at].1 = start,
            None => self.insert(after, (time, start)),
        }
    }

    /// There are many series with one or two entries: room is made for few at a time.
    fn insert(&mut self, at: usize, step: (TimestampMs, TimestampMs)) {
        if self.0.len() == self.0.capacity() {
            self.0.reserve_exact(1 + self.0.len() / 4);
        }
        self.0.insert(at, step);
    }

    /// Forgets what only concerns times before the oldest sample that is left; everything when none is.
    pub(super) fn trim(&mut self, oldest: Option<TimestampMs>) {
        let Some(oldest) = oldest else {
            self.0 = Vec::new();
            return;
        };
        let first = self.0.partition_point(|step| step.0 <= oldest).saturating_sub(1);
        self.0.drain(..first);
        if self.0.iter().all(|step| step.1 == 0) {
            self.0 = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_counter_takes_one_entry_from_reset_to_reset() {
        let mut steps = StartSteps::default();
        for time in 0..1000 {
            steps.set(time, if time < 500 { 7 } else { 499 }, true);
        }
        assert_eq!(steps.0, [(0, 7), (500, 499)]);
        steps.trim(Some(499));
        assert_eq!(steps.0, [(0, 7), (500, 499)]);
        steps.trim(Some(600));
        assert_eq!(steps.0, [(500, 499)]);
        steps.trim(None);
        assert!(steps.is_empty() && steps.heap_bytes() == 0);
    }

    proptest! {
        #[test]
        fn every_sample_keeps_what_was_said_of_it(
            samples in prop::collection::vec((prop_oneof![0i64..60, Just(i64::MAX), Just(i64::MIN)], 0i64..3), 1..80),
            left in 0i64..60,
        ) {
            let (mut steps, mut model) = (StartSteps::default(), BTreeMap::new());
            for (time, start) in samples {
                if model.contains_key(&time) {
                    continue;
                }
                let is_newest = model.last_key_value().is_none_or(|(newest, _)| time > *newest);
                if start != 0 || !steps.is_empty() {
                    steps.set(time, start, is_newest);
                }
                model.insert(time, start);
                for (time, start) in &model {
                    prop_assert_eq!(steps.at(*time), *start, "{:?}", steps);
                }
            }
            model.retain(|time, _| *time >= left);
            steps.trim(model.keys().next().copied());
            for (time, start) in &model {
                prop_assert_eq!(steps.at(*time), *start, "{:?}", steps);
            }
        }
    }
}
