//! Samples to columns: the newest sample of a step, and windows for range functions.

use std::borrow::Cow;
use std::sync::Arc;

use vocab::ports::query::StepGrid;
use vocab::sample::SeriesData;
use vocab::{NativeHistogram, is_stale_nan};

use crate::functions::range::Window;
use crate::timing::Timing;
use crate::value::{SampleValue, Series};

/// Evaluates an instant selector, one series at a time.
#[derive(Debug, Clone)]
pub(crate) struct Instant {
    grid: StepGrid,
    timing: Timing,
    lookback_ms: i64,
    /// Whether the sample's time is wanted instead of its value.
    times: bool,
}

impl Instant {
    pub(crate) fn new(grid: &StepGrid, timing: Timing, lookback_ms: i64, times: bool) -> Self {
        Self { grid: *grid, timing, lookback_ms, times }
    }

    /// The series' column; `None` when no step has a sample.
    pub(crate) fn evaluate(&self, data: &SeriesData) -> Option<Series> {
        let mut series = Series::empty(data.labels.clone(), self.times, self.grid.num_steps());
        self.fill(data, &mut series).then_some(series)
    }

    /// Writes the series' values to an empty column; false when no step has one.
    pub(crate) fn fill(&self, data: &SeriesData, series: &mut Series) -> bool {
        let (mut floats, mut histograms) = (Cursor::default(), Cursor::default());
        let mut found = false;
        for (step, time) in self.grid.times().enumerate() {
            let reference = self.timing.reference(time);
            let float = floats.last_before(reference, data.timestamps.len(), |i| data.timestamps[i]);
            let histogram = histograms.last_before(reference, data.histograms.len(), |i| data.histograms[i].0);
            let oldest = reference.saturating_sub(self.lookback_ms);
            let float = float.map(|i| (data.timestamps[i], i));
            let histogram = histogram.map(|i| (data.histograms[i].0, i));
            let value = match (float, histogram) {
                (Some((tf, i)), other) if other.is_none_or(|(th, _)| th < tf) => {
                    (tf > oldest && !is_stale_nan(data.values[i])).then(|| (tf, SampleValue::Float(data.values[i])))
                }
                (_, Some((th, i))) => {
                    let h = &data.histograms[i].1;
                    (th > oldest && !is_stale_nan(h.sum)).then(|| (th, SampleValue::Histogram(Arc::clone(h))))
                }
                _ => None,
            };
            let Some((time, value)) = value else { continue };
            found = true;
            series.set(step, if self.times { SampleValue::Float(time as f64 / 1000.0) } else { value });
        }
        found
    }
}

/// Walks forward through ascending times.
#[derive(Debug, Clone, Copy, Default)]
struct Cursor(usize);

impl Cursor {
    /// Index of the last entry at or before `limit`. Limits ascend from call to call.
    fn last_before(&mut self, limit: i64, len: usize, time: impl Fn(usize) -> i64) -> Option<usize> {
        while self.0 < len && time(self.0) <= limit {
            self.0 += 1;
        }
        self.0.checked_sub(1)
    }
}

/// A series ready for windows: without staleness markers, counter resets found.
#[derive(Debug)]
pub(crate) struct Windows<'a> {
    timestamps: Cow<'a, [i64]>,
    values: Cow<'a, [f64]>,
    histograms: Cow<'a, [(i64, Arc<NativeHistogram>)]>,
    resets: Vec<usize>,
    floats: (usize, usize),
    hists: (usize, usize),
    reset_range: (usize, usize),
}

impl<'a> Windows<'a> {
    pub(crate) fn new(data: &'a SeriesData, wants_resets: bool) -> Self {
        let (timestamps, values) = if data.values.iter().any(|v| is_stale_nan(*v)) {
            let kept = data.timestamps.iter().zip(&data.values).filter(|(_, v)| !is_stale_nan(**v));
            let (t, v): (Vec<i64>, Vec<f64>) = kept.map(|(t, v)| (*t, *v)).unzip();
            (Cow::Owned(t), Cow::Owned(v))
        } else {
            (Cow::Borrowed(data.timestamps.as_slice()), Cow::Borrowed(data.values.as_slice()))
        };
        let histograms = if data.histograms.iter().any(|(_, h)| is_stale_nan(h.sum)) {
            Cow::Owned(data.histograms.iter().filter(|(_, h)| !is_stale_nan(h.sum)).cloned().collect())
        } else {
            Cow::Borrowed(data.histograms.as_slice())
        };
        let resets = if wants_resets {
            values.windows(2).enumerate().filter(|(_, w)| w[1] < w[0]).map(|(i, _)| i + 1).collect()
        } else {
            Vec::new()
        };
        Self { timestamps, values, histograms, resets, floats: (0, 0), hists: (0, 0), reset_range: (0, 0) }
    }

    /// The window `(start, end]`. Both borders ascend from call to call.
    pub(crate) fn window(&mut self, start_ms: i64, end_ms: i64, eval_ms: i64) -> Window<'_> {
        let (mut from, mut to) = self.floats;
        let times = &self.timestamps;
        while to < times.len() && times[to] <= end_ms {
            to += 1;
        }
        while from < to && times[from] <= start_ms {
            from += 1;
        }
        self.floats = (from, to);
        let (mut h_from, mut h_to) = self.hists;
        while h_to < self.histograms.len() && self.histograms[h_to].0 <= end_ms {
            h_to += 1;
        }
        while h_from < h_to && self.histograms[h_from].0 <= start_ms {
            h_from += 1;
        }
        self.hists = (h_from, h_to);
        let (mut r_from, mut r_to) = self.reset_range;
        while r_to < self.resets.len() && self.resets[r_to] < to {
            r_to += 1;
        }
        // A reset counts when the sample before it is inside as well.
        while r_from < r_to && self.resets[r_from] <= from {
            r_from += 1;
        }
        self.reset_range = (r_from, r_to);
        Window {
            timestamps: &self.timestamps[from..to],
            values: &self.values[from..to],
            histograms: &self.histograms[h_from..h_to],
            start_ms,
            end_ms,
            eval_ms,
            resets: &self.resets[r_from..r_to],
            first_index: from,
        }
    }
}
