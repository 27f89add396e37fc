//! Fragments: work that the store does where the data is.
//!
//! The engine compiles `func(selector[range])`, `agg(selector)` and `agg(func(selector[range]))` to
//! [`Fragment`]s. The store feeds the decoded series of every piece of its data to a [`FragmentAccumulator`] and
//! [`merge`]s what comes out; only groups are held, never the columns of all series.
//!
//! State columns by aggregation, one entry per step each:
//!
//! | aggregation | columns |
//! |---|---|
//! | none | value |
//! | `sum` | sum, compensation |
//! | `avg` | sum (or mean), compensation, count, 1 when the first is the mean |
//! | `count`, `min`, `max`, `group` | value |
//! | `stddev`, `stdvar` | count, mean, its compensation, sum of squares, its compensation |

mod compile;
mod state;

use hashbrown::{HashMap, HashSet};
use vocab::Labels;
use vocab::ports::query::{Fragment, FragmentResult, PartialSeries};
use vocab::sample::SeriesData;

use crate::annotations::{ANNOTATIONS_MAX, Note};
use crate::ast::{Expr, Span};
use crate::column::{WindowSpec, fill_range_column, is_possibly_not_counter};
use crate::eval::matching::{GroupIndex, Grouping};
use crate::eval::select::{Instant, Wanted};
use crate::functions::range::RangeFunction;
use crate::timing::Timing;
use crate::value::{ABSENT, Series, is_absent};

pub(crate) use compile::compile;
pub(crate) use state::Fold;

/// Evaluates a fragment over series, one at a time.
#[derive(Debug)]
pub struct FragmentAccumulator {
    fragment: Fragment,
    reader: Reader,
    fold: Option<Fold>,
    index: GroupIndex,
    scratch: Series,
    /// Metrics that were remarked on.
    noted: HashSet<String>,
    result: FragmentResult,
    bytes: usize,
}

#[derive(Debug)]
enum Reader {
    Instant(Instant),
    Range(RangeFunction, WindowSpec),
    /// A fragment that this version cannot evaluate.
    Unknown,
}

impl FragmentAccumulator {
    /// An accumulator that has seen nothing.
    pub fn new(fragment: &Fragment) -> Self {
        let timing = Timing { at_ms: fragment.at_ms, offset_ms: fragment.offset_ms };
        let reader = match (fragment.range_ms, RangeFunction::parse(&fragment.function)) {
            (None, _) if fragment.function.is_empty() => {
                Reader::Instant(Instant::new(&fragment.grid, timing, fragment.lookback_ms, Wanted::Value))
            }
            (Some(range_ms), Some(function)) => {
                Reader::Range(function, WindowSpec { grid: fragment.grid, timing, range_ms })
            }
            _ => Reader::Unknown,
        };
        let aggregation = fragment.aggregation.as_ref();
        let fold = aggregation.map(|a| Fold::parse(&a.op));
        let grouping = aggregation.map_or(Grouping::new(&[], false), |a| Grouping::new(&a.grouping, a.without));
        Self {
            fragment: fragment.clone(),
            reader,
            fold: fold.flatten(),
            index: GroupIndex::new(grouping),
            scratch: Series::empty(Labels::empty(), false, fragment.grid.num_steps()),
            noted: HashSet::new(),
            result: FragmentResult::default(),
            bytes: 0,
        }
    }

    /// Takes in a series, whole.
    pub fn add(&mut self, data: &SeriesData) {
        if !self.begin(data) {
            return;
        }
        let mut notes = Vec::new();
        let found = match &self.reader {
            Reader::Instant(instant) => instant.fill(data, &mut self.scratch),
            Reader::Range(function, spec) => {
                fill_range_column(*function, &self.fragment.args, data, spec, &mut notes, &mut self.scratch)
            }
            Reader::Unknown => false,
        };
        for note in notes {
            let kind = if note.is_warning { "warning" } else { "info" };
            let annotation = (kind.to_owned(), note.text);
            if self.result.annotations.len() < ANNOTATIONS_MAX && !self.result.annotations.contains(&annotation) {
                self.result.annotations.push(annotation);
            }
        }
        if found {
            self.take_column(&data.labels);
        }
    }

    /// Takes in a series of which sums and numbers of samples are known instead of the samples, for `avg_over_time` only: every
    /// window's sums are divided by its numbers.
    pub fn add_means(&mut self, sums: &SeriesData, counts: &SeriesData) {
        if !self.begin(sums) {
            return;
        }
        let Reader::Range(RangeFunction::Avg, spec) = &self.reader else {
            self.result.saw_histograms = true;
            return;
        };
        let mut divisors = Series::empty(Labels::empty(), false, self.scratch.floats.len());
        // Sums of floats raise no remarks.
        let mut notes = Vec::new();
        let found = fill_range_column(RangeFunction::Sum, &[], sums, spec, &mut notes, &mut self.scratch)
            && fill_range_column(RangeFunction::Sum, &[], counts, spec, &mut notes, &mut divisors);
        for (value, count) in self.scratch.floats.iter_mut().zip(&divisors.floats) {
            if !is_absent(*value) {
                *value /= count;
            }
        }
        if found {
            self.take_column(&sums.labels);
        }
    }

    /// Counts a series; false when it is not to be evaluated.
    fn begin(&mut self, data: &SeriesData) -> bool {
        self.result.num_series += 1;
        self.result.num_samples += data.num_samples() as u64;
        if !data.histograms.is_empty() || matches!(self.reader, Reader::Unknown) {
            // The caller falls back to `select`, which can do everything.
            self.result.saw_histograms = true;
        }
        self.scratch.floats.fill(ABSENT);
        !self.result.saw_histograms
    }

    /// Takes the column of a series out of the scratch one.
    fn take_column(&mut self, labels: &Labels) {
        self.note(labels);
        match (&self.fragment.aggregation, self.fold) {
            (None, _) => {
                let values = self.scratch.floats.clone();
                let present = values.iter().map(|v| !is_absent(*v)).collect();
                self.push(PartialSeries { labels: labels.clone(), present, columns: vec![values] });
            }
            (Some(_), Some(fold)) => {
                let slot = self.index.slot(labels);
                if slot == self.result.groups.len() {
                    let steps = self.scratch.floats.len();
                    let labels = self.index.keys[slot].clone();
                    let columns = vec![vec![0.0; steps]; fold.columns()];
                    self.push(PartialSeries { labels, present: vec![false; steps], columns });
                }
                fold.add(&mut self.result.groups[slot], &self.scratch.floats);
            }
            (Some(_), None) => self.result.saw_histograms = true,
        }
    }

    fn push(&mut self, group: PartialSeries) {
        self.bytes += group.present.len() + group.columns.iter().map(|c| c.len() * 8 + 24).sum::<usize>() + 64;
        self.result.groups.push(group);
    }

    fn note(&mut self, labels: &Labels) {
        let is_counter_function = matches!(self.fragment.function.as_str(), "rate" | "increase");
        let name = labels.metric_name();
        if !is_counter_function || !is_possibly_not_counter(name) || self.noted.contains(name) {
            return;
        }
        if self.noted.len() < ANNOTATIONS_MAX {
            self.noted.insert(name.to_owned());
            self.result.annotations.push(("info".to_owned(), Note::possibly_not_counter(labels).text));
        }
    }

    /// Bytes that the groups hold so far; for reservations.
    pub fn heap_bytes(&self) -> usize {
        self.bytes
    }

    /// What came of it.
    pub fn finish(self) -> FragmentResult {
        self.result
    }
}

/// Evaluates a fragment over all series of an iterator.
pub fn evaluate<'a>(fragment: &Fragment, series: impl IntoIterator<Item = &'a SeriesData>) -> FragmentResult {
    let mut accumulator = FragmentAccumulator::new(fragment);
    for data in series {
        accumulator.add(data);
    }
    accumulator.finish()
}

/// Puts the results of several pieces of the data together. Every series must have been in one piece only.
pub fn merge(fragment: &Fragment, results: Vec<FragmentResult>) -> FragmentResult {
    let fold = fragment.aggregation.as_ref().and_then(|a| Fold::parse(&a.op));
    let mut results = results.into_iter();
    let Some(mut out) = results.next() else { return FragmentResult::default() };
    let mut index: HashMap<Labels, usize> =
        out.groups.iter().enumerate().map(|(slot, group)| (group.labels.clone(), slot)).collect();
    for result in results {
        out.num_series += result.num_series;
        out.num_samples += result.num_samples;
        out.saw_histograms |= result.saw_histograms;
        out.annotations.extend(result.annotations);
        for group in result.groups {
            match (index.get(&group.labels), fold) {
                (Some(slot), Some(fold)) => fold.merge(&mut out.groups[*slot], &group),
                (Some(slot), None) => overlay(&mut out.groups[*slot], &group),
                (None, _) => {
                    index.insert(group.labels.clone(), out.groups.len());
                    out.groups.push(group);
                }
            }
        }
    }
    out.annotations.sort_unstable();
    out.annotations.dedup();
    out
}

/// Fills steps that are empty.
fn overlay(into: &mut PartialSeries, from: &PartialSeries) {
    for step in 0..into.present.len().min(from.present.len()) {
        if from.present[step] && !into.present[step] {
            into.present[step] = true;
            into.columns[0][step] = from.columns[0][step];
        }
    }
}

/// The series that a merged result stands for.
pub(crate) fn finish(fragment: &Fragment, result: FragmentResult) -> Vec<Series> {
    let drop_name = RangeFunction::parse(&fragment.function).is_some_and(|f| !f.keeps_name());
    let fold = fragment.aggregation.as_ref().and_then(|a| Fold::parse(&a.op));
    let column = |group: PartialSeries| -> Vec<f64> {
        let mut values = match fold {
            Some(fold) => fold.finish(&group),
            None => group.columns.into_iter().next().unwrap_or_default(),
        };
        for (value, present) in values.iter_mut().zip(&group.present) {
            if !present {
                *value = ABSENT;
            }
        }
        values
    };
    let series = result.groups.into_iter().map(|group| {
        let labels = group.labels.clone();
        Series { labels, drop_name, floats: column(group), histograms: Vec::new() }
    });
    series.filter(|s| !s.is_empty()).collect()
}

/// What the remarks on a fragment's expression are about.
pub(crate) fn annotation_span(expr: &Expr) -> Span {
    fn matrix(expr: &Expr) -> Option<Span> {
        match expr {
            Expr::Matrix(matrix) => Some(matrix.span.clone()),
            other => other.children().into_iter().find_map(matrix),
        }
    }
    matrix(expr).unwrap_or_else(|| expr.span())
}

#[cfg(test)]
mod tests;
