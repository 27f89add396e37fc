//! Sums and means of many histograms, compensated for what floating point loses.

use std::sync::Arc;

use vocab::histogram::ResetHint;
use vocab::{Labels, NativeHistogram};

use super::{Incompatible, Sparse};
use crate::annotations::Note;
use crate::kahan::KahanSum;

/// Sums histograms, remembering what is worth telling.
#[derive(Debug, Clone)]
pub(crate) struct HistogramSum {
    total: Sparse,
    /// What the total lacks; laid out as the total is.
    compensation: Sparse,
    count: f64,
    /// Whether the total is the mean, because the sum would overflow.
    incremental: bool,
    is_mean: bool,
    saw_reset: bool,
    saw_no_reset: bool,
    reconciled: bool,
}

impl HistogramSum {
    /// Begins a sum, or with `is_mean` a mean.
    pub(crate) fn new(first: &NativeHistogram, is_mean: bool) -> Self {
        let total = Sparse::from(first);
        let mut sum = Self {
            compensation: total.emptied(),
            total,
            count: 1.0,
            incremental: false,
            is_mean,
            saw_reset: false,
            saw_no_reset: false,
            reconciled: false,
        };
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
        let other = Sparse::from(other);
        if !self.is_mean {
            return self.add_sparse(&other);
        }
        if !self.incremental {
            let before = self.clone();
            self.add_sparse(&other)?;
            if !self.total.overflows() {
                return Ok(());
            }
            let reconciled = self.reconciled;
            *self = Self { incremental: true, reconciled, ..before };
            self.total.each(|v| *v /= self.count - 1.0);
            self.compensation.each(|v| *v /= self.count - 1.0);
        }
        let shrink = (self.count - 1.0) / self.count;
        self.total.each(|v| *v *= shrink);
        self.compensation.each(|v| *v *= shrink);
        let mut other = other;
        other.each(|v| *v /= self.count);
        self.add_sparse(&other)
    }

    fn add_sparse(&mut self, other: &Sparse) -> Result<(), Incompatible> {
        let mut other = other.clone();
        self.reconciled |= self.total.reconcile(&mut other)?;
        self.compensation.lay_out_as(&self.total);
        self.total.join_hint(other.hint);
        add(&mut self.total.zero_count, &mut self.compensation.zero_count, other.zero_count);
        add(&mut self.total.count, &mut self.compensation.count, other.count);
        add(&mut self.total.sum, &mut self.compensation.sum, other.sum);
        add_buckets(&mut self.total.positive, &mut self.compensation.positive, &other.positive);
        add_buckets(&mut self.total.negative, &mut self.compensation.negative, &other.negative);
        Ok(())
    }

    /// Remarks about the sum.
    pub(crate) fn notes(&self, notes: &mut Vec<Note>) {
        if self.saw_reset && self.saw_no_reset {
            notes.push(Note::conflicting_counter_resets("aggregation"));
        }
        if self.reconciled {
            notes.push(Note::reconciled_custom_buckets("aggregation"));
        }
    }

    /// The sum, or the mean.
    pub(crate) fn finish(mut self) -> NativeHistogram {
        let count = self.count;
        if self.is_mean && !self.incremental {
            self.total.each(|v| *v /= count);
            self.compensation.each(|v| *v /= count);
        }
        self.total.zero_count += self.compensation.zero_count;
        self.total.count += self.compensation.count;
        self.total.sum += self.compensation.sum;
        for (buckets, lost) in [
            (&mut self.total.positive, &self.compensation.positive),
            (&mut self.total.negative, &self.compensation.negative),
        ] {
            for (index, count) in buckets {
                if let Ok(at) = lost.binary_search_by_key(index, |b| b.0) {
                    *count += lost[at].1;
                }
            }
        }
        self.total.into()
    }
}

fn add(sum: &mut f64, compensation: &mut f64, value: f64) {
    let mut total = KahanSum { sum: *sum, compensation: *compensation };
    total.add(value);
    (*sum, *compensation) = (total.sum, total.compensation);
}

fn add_buckets(totals: &mut Vec<(i32, f64)>, lost: &mut Vec<(i32, f64)>, other: &[(i32, f64)]) {
    for (index, value) in other {
        let slot = |buckets: &mut Vec<(i32, f64)>| match buckets.binary_search_by_key(index, |b| b.0) {
            Ok(at) => at,
            Err(at) => {
                buckets.insert(at, (*index, 0.0));
                at
            }
        };
        let (at, lost_at) = (slot(totals), slot(lost));
        add(&mut totals[at].1, &mut lost[lost_at].1, *value);
    }
}

/// `sum_over_time` or, with `is_mean`, `avg_over_time` of histograms.
pub(crate) fn over_time(
    points: &[(i64, Arc<NativeHistogram>)],
    is_mean: bool,
    labels: &Labels,
    notes: &mut Vec<Note>,
) -> Option<Arc<NativeHistogram>> {
    let (first, rest) = points.split_first()?;
    let mut sum = HistogramSum::new(&first.1, is_mean);
    for (_, h) in rest {
        if sum.add(h).is_err() {
            notes.push(Note::mixed_exponential_custom(labels));
            return None;
        }
    }
    sum.notes(notes);
    Some(Arc::new(sum.finish()))
}
