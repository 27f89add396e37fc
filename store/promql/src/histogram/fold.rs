//! Sums and means of many histograms.

use std::sync::Arc;

use vocab::histogram::ResetHint;
use vocab::{Labels, NativeHistogram};

use super::{Incompatible, Sparse};
use crate::annotations::Note;

/// Sums histograms, remembering what is worth telling.
#[derive(Debug, Clone)]
pub(crate) struct HistogramSum {
    total: Sparse,
    count: f64,
    saw_reset: bool,
    saw_no_reset: bool,
    reconciled: bool,
}

impl HistogramSum {
    pub(crate) fn new(first: &NativeHistogram) -> Self {
        let mut sum =
            Self { total: Sparse::from(first), count: 1.0, saw_reset: false, saw_no_reset: false, reconciled: false };
        sum.see(first.reset_hint);
        sum
    }

    fn see(&mut self, hint: ResetHint) {
        self.saw_reset |= hint == ResetHint::Reset;
        self.saw_no_reset |= hint == ResetHint::NoReset;
    }

    pub(crate) fn add(&mut self, other: &NativeHistogram) -> Result<(), Incompatible> {
        self.see(other.reset_hint);
        self.count += 1.0;
        self.reconciled |= self.total.combine(&Sparse::from(other), 1.0)?.reconciled;
        Ok(())
    }

    /// Remarks about the sum; `what` is `aggregation` or such.
    pub(crate) fn notes(&self, what: &str, notes: &mut Vec<Note>) {
        if self.saw_reset && self.saw_no_reset {
            notes.push(Note::conflicting_counter_resets(what));
        }
        if self.reconciled {
            notes.push(Note::reconciled_custom_buckets(what));
        }
    }

    pub(crate) fn sum(self) -> NativeHistogram {
        self.total.into()
    }

    pub(crate) fn mean(self) -> NativeHistogram {
        let count = self.count;
        let mut result: NativeHistogram = self.total.into();
        super::divide(&mut result, count);
        result
    }
}

fn over_time(points: &[(i64, Arc<NativeHistogram>)], labels: &Labels, notes: &mut Vec<Note>) -> Option<HistogramSum> {
    let (first, rest) = points.split_first()?;
    let mut sum = HistogramSum::new(&first.1);
    for (_, h) in rest {
        if sum.add(h).is_err() {
            notes.push(Note::mixed_exponential_custom(labels));
            return None;
        }
    }
    sum.notes("aggregation", notes);
    Some(sum)
}

/// `sum_over_time` of histograms.
pub(crate) fn sum_over_time(
    points: &[(i64, Arc<NativeHistogram>)],
    labels: &Labels,
    notes: &mut Vec<Note>,
) -> Option<Arc<NativeHistogram>> {
    over_time(points, labels, notes).map(|sum| Arc::new(sum.sum()))
}

/// `avg_over_time` of histograms.
pub(crate) fn avg_over_time(
    points: &[(i64, Arc<NativeHistogram>)],
    labels: &Labels,
    notes: &mut Vec<Note>,
) -> Option<Arc<NativeHistogram>> {
    over_time(points, labels, notes).map(|sum| Arc::new(sum.mean()))
}
