//! Partial aggregations: folding columns in, merging, finishing.

use vocab::Labels;
use vocab::ports::query::PartialSeries;

use crate::kahan::{KahanMean, KahanSum, KahanVariance};
use crate::value::{ABSENT, is_absent};

/// Aggregations that can be computed in pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fold {
    Sum,
    Avg,
    Count,
    Group,
    Min,
    Max,
    Stddev,
    Stdvar,
}

impl Fold {
    pub(crate) fn parse(op: &str) -> Option<Self> {
        Some(match op {
            "sum" => Self::Sum,
            "avg" => Self::Avg,
            "count" => Self::Count,
            "group" => Self::Group,
            "min" => Self::Min,
            "max" => Self::Max,
            "stddev" => Self::Stddev,
            "stdvar" => Self::Stdvar,
            _ => return None,
        })
    }

    pub(super) fn columns(self) -> usize {
        match self {
            Self::Sum => 2,
            Self::Avg => 4,
            Self::Count | Self::Group | Self::Min | Self::Max => 1,
            Self::Stddev | Self::Stdvar => 5,
        }
    }

    /// Folds the values of a series into a group.
    pub(super) fn add(self, group: &mut PartialSeries, values: &[f64]) {
        if self == Self::Sum
            && let [sums, compensations] = group.columns.as_mut_slice()
        {
            return add_sums(&mut group.present, sums, compensations, values);
        }
        for (step, &value) in values.iter().enumerate() {
            if is_absent(value) {
                continue;
            }
            let first = !group.present[step];
            group.present[step] = true;
            self.add_value(&mut group.columns, step, value, first);
        }
    }

    #[inline]
    fn add_value(self, columns: &mut [Vec<f64>], step: usize, value: f64, first: bool) {
        match self {
            Self::Sum if first => columns[0][step] = value,
            Self::Sum => {
                let mut sum = sum_at(columns, 0, step);
                sum.add(value);
                store_sum(columns, 0, step, sum);
            }
            Self::Avg => {
                let mut mean = mean_at(columns, step);
                mean.add(value);
                store_mean(columns, step, mean);
            }
            Self::Count => columns[0][step] += 1.0,
            Self::Group => columns[0][step] = 1.0,
            Self::Min | Self::Max if first => columns[0][step] = value,
            Self::Min | Self::Max => self.extreme(&mut columns[0][step], value),
            Self::Stddev | Self::Stdvar => {
                let mut variance = variance_at(columns, step);
                variance.add(value);
                store_variance(columns, step, variance);
            }
        }
    }

    fn extreme(self, slot: &mut f64, value: f64) {
        let better = if self == Self::Min { value < *slot } else { value > *slot };
        if better || slot.is_nan() {
            *slot = value;
        }
    }

    /// Folds one group into another.
    pub(super) fn merge(self, into: &mut PartialSeries, from: &PartialSeries) {
        for step in 0..into.present.len().min(from.present.len()) {
            if !from.present[step] {
                continue;
            }
            if !into.present[step] {
                into.present[step] = true;
                for (a, b) in into.columns.iter_mut().zip(&from.columns) {
                    a[step] = b[step];
                }
                continue;
            }
            let (columns, other) = (&mut into.columns, &from.columns);
            match self {
                Self::Sum => {
                    let sum = joined(sum_at(columns, 0, step), sum_at(other, 0, step));
                    store_sum(columns, 0, step, sum);
                }
                Self::Avg => {
                    let mean = join_means(mean_at(columns, step), mean_at(other, step));
                    store_mean(columns, step, mean);
                }
                Self::Count => columns[0][step] += other[0][step],
                Self::Group => {}
                Self::Min | Self::Max => self.extreme(&mut columns[0][step], other[0][step]),
                Self::Stddev | Self::Stdvar => {
                    let variance = join_variances(variance_at(columns, step), variance_at(other, step));
                    store_variance(columns, step, variance);
                }
            }
        }
    }

    /// The aggregation of whole columns.
    pub(crate) fn columns_of<'a>(self, columns: impl Iterator<Item = &'a [f64]>, steps: usize) -> Vec<f64> {
        let mut group = PartialSeries {
            labels: Labels::empty(),
            present: vec![false; steps],
            columns: vec![vec![0.0; steps]; self.columns()],
        };
        columns.for_each(|values| self.add(&mut group, values));
        let mut out = self.finish(&group);
        for (value, _) in out.iter_mut().zip(&group.present).filter(|(_, present)| !**present) {
            *value = ABSENT;
        }
        out
    }

    /// The group's values; those of steps that are not present mean nothing.
    pub(super) fn finish(self, group: &PartialSeries) -> Vec<f64> {
        let columns = &group.columns;
        (0..group.present.len())
            .map(|step| match self {
                Self::Sum => sum_at(columns, 0, step).value(),
                Self::Avg => mean_at(columns, step).value(),
                Self::Count | Self::Group | Self::Min | Self::Max => columns[0][step],
                Self::Stdvar => variance_at(columns, step).variance(),
                Self::Stddev => variance_at(columns, step).variance().sqrt(),
            })
            .collect()
    }
}

/// What most aggregations are: sums.
fn add_sums(present: &mut [bool], sums: &mut [f64], compensations: &mut [f64], values: &[f64]) {
    let slots = present.iter_mut().zip(sums).zip(compensations);
    for (((present, sum), compensation), &value) in slots.zip(values) {
        if is_absent(value) {
            continue;
        }
        if *present {
            let mut total = KahanSum { sum: *sum, compensation: *compensation };
            total.add(value);
            (*sum, *compensation) = (total.sum, total.compensation);
        } else {
            *present = true;
            *sum = value;
        }
    }
}

fn joined(mut a: KahanSum, b: KahanSum) -> KahanSum {
    a.add(b.sum);
    if !a.sum.is_infinite() {
        a.compensation += b.compensation;
    }
    a
}

fn join_means(a: KahanMean, b: KahanMean) -> KahanMean {
    let count = a.count + b.count;
    if !a.incremental && !b.incremental {
        let total = joined(a.total, b.total);
        if !total.sum.is_infinite() || a.total.sum.is_infinite() || b.total.sum.is_infinite() {
            return KahanMean { total, count, incremental: false };
        }
    }
    let mut total = KahanSum { sum: a.value() * (a.count / count), compensation: 0.0 };
    total.add(b.value() * (b.count / count));
    KahanMean { total, count, incremental: true }
}

fn join_variances(a: KahanVariance, b: KahanVariance) -> KahanVariance {
    let count = a.count + b.count;
    let delta = b.mean.value() - a.mean.value();
    let mut mean = a.mean;
    mean.add(delta * (b.count / count));
    let mut squares = joined(a.squares, b.squares);
    squares.add(delta * delta * (a.count * b.count / count));
    KahanVariance { count, mean, squares }
}

fn sum_at(columns: &[Vec<f64>], first: usize, step: usize) -> KahanSum {
    KahanSum { sum: columns[first][step], compensation: columns[first + 1][step] }
}

fn store_sum(columns: &mut [Vec<f64>], first: usize, step: usize, sum: KahanSum) {
    columns[first][step] = sum.sum;
    columns[first + 1][step] = sum.compensation;
}

fn mean_at(columns: &[Vec<f64>], step: usize) -> KahanMean {
    KahanMean { total: sum_at(columns, 0, step), count: columns[2][step], incremental: columns[3][step] != 0.0 }
}

fn store_mean(columns: &mut [Vec<f64>], step: usize, mean: KahanMean) {
    store_sum(columns, 0, step, mean.total);
    columns[2][step] = mean.count;
    columns[3][step] = f64::from(u8::from(mean.incremental));
}

fn variance_at(columns: &[Vec<f64>], step: usize) -> KahanVariance {
    KahanVariance { count: columns[0][step], mean: sum_at(columns, 1, step), squares: sum_at(columns, 3, step) }
}

fn store_variance(columns: &mut [Vec<f64>], step: usize, variance: KahanVariance) {
    columns[0][step] = variance.count;
    store_sum(columns, 1, step, variance.mean);
    store_sum(columns, 3, step, variance.squares);
}
