//! What a query costs, step by step and in time, for callers that want to know.

use std::sync::Arc;
use std::time::Duration;

use vocab::ports::query::StepGrid;
use vocab::sample::SeriesData;
use vocab::{Clock, NativeHistogram, TimestampMs, is_stale_nan};

use crate::engine::{LeafData, Reads};
use crate::timing::Timing;
use crate::value::{QueryValue, Series};

/// What a query cost in detail, counted as Prometheus counts it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueryDetail {
    /// Samples looked at by each step: one counts again at every step that looks at it, and a native histogram counts as the
    /// floats that would take as much room.
    pub samples_per_step: Vec<(TimestampMs, u64)>,
    /// Most samples held at once: what was read, or the answer where that is more.
    pub peak_samples: u64,
    /// How long planning and reading took.
    pub preparation: Duration,
    /// How long the evaluation took.
    pub evaluation: Duration,
    /// How long putting the answer in order took.
    pub ordering: Duration,
}

/// Counts the samples that steps look at.
#[derive(Debug)]
pub(crate) struct Tally {
    steps: Vec<u64>,
}

impl Tally {
    pub(crate) fn new(num_steps: usize) -> Self {
        Self { steps: vec![0; num_steps] }
    }

    /// An instant selector's columns; one of a single step counts at all steps.
    pub(crate) fn add_columns(&mut self, series: &[Series]) {
        for one in series {
            let size = |step: usize| match one.histogram(step) {
                Some(histogram) => size_of_histogram(histogram),
                None => u64::from(one.has(step)),
            };
            let last = one.floats.len().saturating_sub(1);
            self.add(|step| size(step.min(last)));
        }
    }

    /// The windows of a range vector's series.
    pub(crate) fn add_windows(&mut self, data: &SeriesData, grid: &StepGrid, timing: Timing, range_ms: i64) {
        let floats = data.timestamps.iter().zip(&data.values).filter(|(_, v)| !is_stale_nan(**v)).map(|(t, _)| (*t, 1));
        let histograms = data.histograms.iter().filter(|(_, h)| !is_stale_nan(h.sum));
        let mut sizes: Vec<(i64, u64)> = floats.chain(histograms.map(|(t, h)| (*t, size_of_histogram(h)))).collect();
        sizes.sort_unstable_by_key(|(time, _)| *time);
        let mut sums = Vec::with_capacity(sizes.len() + 1);
        sums.push(0);
        sums.extend(sizes.iter().scan(0, |sum, (_, size)| {
            *sum += size;
            Some(*sum)
        }));
        let before = |time: i64| sums[sizes.partition_point(|(t, _)| *t <= time)];
        let windows: Vec<u64> = grid
            .times()
            .map(|time| {
                let end = timing.reference(time);
                before(end) - before(end.saturating_sub(range_ms))
            })
            .collect();
        self.add(|step| windows.get(step).copied().unwrap_or(0));
    }

    fn add(&mut self, count: impl Fn(usize) -> u64) {
        self.steps.iter_mut().enumerate().for_each(|(step, sum)| *sum += count(step));
    }

    /// The same count at every step.
    pub(crate) fn add_everywhere(&mut self, count: u64) {
        self.add(|_| count);
    }

    /// Begins a part that is evaluated on steps of its own; gives what [`Tally::end`] wants.
    pub(crate) fn begin(&mut self, num_steps: usize) -> Self {
        std::mem::replace(self, Self::new(num_steps))
    }

    /// Ends it, and gives all that it looked at.
    pub(crate) fn end(&mut self, outer: Self) -> u64 {
        std::mem::replace(self, outer).steps.iter().sum()
    }

    pub(crate) fn finish(self, grid: &StepGrid) -> Vec<(TimestampMs, u64)> {
        grid.times().zip(self.steps).collect()
    }
}

/// Floats (time and value: 16 bytes) that take the room of a histogram in Prometheus's memory.
fn size_of_histogram(histogram: &NativeHistogram) -> u64 {
    const FIXED_BYTES: usize = 168;
    const FLOAT_BYTES: usize = 16;
    let parts = histogram.positive_spans.len()
        + histogram.negative_spans.len()
        + histogram.positive_buckets.len()
        + histogram.negative_buckets.len()
        + histogram.custom_values.len();
    ((FIXED_BYTES + 8 * parts + 8) / FLOAT_BYTES) as u64
}

/// Samples that are held for the evaluation.
pub(crate) fn held(reads: &Reads) -> u64 {
    let of_column = |series: &Series| (0..series.floats.len()).filter(|step| series.has(*step)).count() as u64;
    let of_leaf = |leaf: &LeafData| match leaf {
        LeafData::Vector(vector) => vector.series.iter().map(of_column).sum::<u64>(),
        LeafData::Raw(raw) => raw.series.iter().map(|s| s.num_samples() as u64).sum(),
    };
    reads.leaves.values().map(of_leaf).sum()
}

/// Samples of an answer.
pub(crate) fn answered(value: &QueryValue) -> u64 {
    match value {
        QueryValue::Scalar(..) | QueryValue::String(..) => 0,
        QueryValue::Vector(samples) => samples.len() as u64,
        QueryValue::Matrix(series) => series.iter().map(|s| s.num_samples() as u64).sum(),
    }
}

/// Measures one part of the work after the other; without a clock all take no time.
#[derive(Debug)]
pub(crate) struct Laps<'a> {
    clock: Option<&'a Arc<dyn Clock>>,
    began: Duration,
}

impl<'a> Laps<'a> {
    pub(crate) fn start(clock: Option<&'a Arc<dyn Clock>>) -> Self {
        Self { clock, began: clock.map(|c| c.monotonic()).unwrap_or_default() }
    }

    /// Time since the last call.
    pub(crate) fn lap(&mut self) -> Duration {
        let now = self.clock.map(|c| c.monotonic()).unwrap_or_default();
        now.saturating_sub(std::mem::replace(&mut self.began, now))
    }
}
