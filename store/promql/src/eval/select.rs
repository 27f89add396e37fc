//! Samples to columns: the newest sample of a step, and windows for range functions.

use std::borrow::Cow;
use std::sync::Arc;

use vocab::ports::query::StepGrid;
use vocab::sample::SeriesData;
use vocab::{NativeHistogram, is_stale_nan};

use crate::functions::range::{Marks, Window, differ};
use crate::functions::start;
use crate::timing::Timing;
use crate::value::{SampleValue, Series};

/// Evaluates an instant selector, one series at a time.
#[derive(Debug, Clone)]
pub(crate) struct Instant {
    grid: StepGrid,
    timing: Timing,
    lookback_ms: i64,
    what: Wanted,
}

/// What of the newest sample is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Its value.
    Value,
    /// Its time, in seconds.
    Time,
    /// Since when it counts, in seconds; 0 when that is not known.
    Start,
}

impl Instant {
    pub(crate) fn new(grid: &StepGrid, timing: Timing, lookback_ms: i64, what: Wanted) -> Self {
        Self { grid: *grid, timing, lookback_ms, what }
    }

    /// The series' column; `None` when no step has a sample.
    pub(crate) fn evaluate(&self, data: &SeriesData) -> Option<Series> {
        let mut series = Series::empty(data.labels.clone(), self.what != Wanted::Value, self.grid.num_steps());
        self.fill(data, &mut series).then_some(series)
    }

    /// Writes the series' values to an empty column; false when no step has one.
    pub(crate) fn fill(&self, data: &SeriesData, series: &mut Series) -> bool {
        if data.histograms.is_empty() && self.what == Wanted::Value {
            return self.fill_floats(data, &mut series.floats);
        }
        let (mut floats, mut histograms) = (Cursor::default(), Cursor::default());
        let mut found = false;
        let start = |kind: Kind, index: usize| -> i64 {
            let starts = data.starts.as_ref().map(|s| if kind == Kind::Float { &s.floats } else { &s.histograms });
            starts.and_then(|s| s.get(index)).copied().unwrap_or(0)
        };
        for (step, time) in self.grid.times().enumerate() {
            let reference = self.timing.reference(time);
            let float = floats.last_before(reference, data.timestamps.len(), |i| data.timestamps[i]);
            let histogram = histograms.last_before(reference, data.histograms.len(), |i| data.histograms[i].0);
            let oldest = reference.saturating_sub(self.lookback_ms);
            let float = float.map(|i| (data.timestamps[i], i));
            let histogram = histogram.map(|i| (data.histograms[i].0, i));
            let value = match (float, histogram) {
                (Some((tf, i)), other) if other.is_none_or(|(th, _)| th < tf) => {
                    let value = || (tf, SampleValue::Float(data.values[i]), start(Kind::Float, i));
                    (tf > oldest && !is_stale_nan(data.values[i])).then(value)
                }
                (_, Some((th, i))) => {
                    let h = &data.histograms[i].1;
                    let value = || (th, SampleValue::Histogram(Arc::clone(h)), start(Kind::Histogram, i));
                    (th > oldest && !is_stale_nan(h.sum)).then(value)
                }
                _ => None,
            };
            let Some((time, value, start)) = value else { continue };
            found = true;
            let value = match self.what {
                Wanted::Value => value,
                Wanted::Time => SampleValue::Float(time as f64 / 1000.0),
                Wanted::Start => SampleValue::Float(start as f64 / 1000.0),
            };
            series.set(step, value);
        }
        found
    }

    /// The same when there are only floats and their values are wanted.
    fn fill_floats(&self, data: &SeriesData, out: &mut [f64]) -> bool {
        let (times, values) = (data.timestamps.as_slice(), data.values.as_slice());
        let mut next = 0;
        let mut found = false;
        for (slot, time) in out.iter_mut().zip(self.grid.times()) {
            let reference = self.timing.reference(time);
            while times.get(next).is_some_and(|t| *t <= reference) {
                next += 1;
            }
            let Some(newest) = next.checked_sub(1) else { continue };
            if times[newest] > reference.saturating_sub(self.lookback_ms) && !is_stale_nan(values[newest]) {
                *slot = values[newest];
                found = true;
            }
        }
        found
    }
}

/// Floats and histograms have starts of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Float,
    Histogram,
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

/// A series ready for windows: without staleness markers, pairs of samples marked.
#[derive(Debug)]
pub(crate) struct Windows<'a> {
    timestamps: Cow<'a, [i64]>,
    values: Cow<'a, [f64]>,
    histograms: Cow<'a, [(i64, Arc<NativeHistogram>)]>,
    starts: Cow<'a, [i64]>,
    histogram_starts: Cow<'a, [i64]>,
    marks: Vec<usize>,
    floats: (usize, usize),
    hists: (usize, usize),
    mark_range: (usize, usize),
}

impl<'a> Windows<'a> {
    pub(crate) fn new(data: &'a SeriesData, wants: Marks) -> Self {
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
        let (starts, histogram_starts) = starts_of(data);
        let marks = match wants {
            Marks::None => Vec::new(),
            Marks::Resets if starts.is_empty() => marked(&values, |a, b| b < a),
            Marks::Resets => (1..values.len())
                .filter(|&i| {
                    values[i] < values[i - 1] || start::is_reset_at(&starts, i, timestamps[i - 1], timestamps[i])
                })
                .collect(),
            Marks::Changes => marked(&values, differ),
        };
        Self {
            timestamps,
            values,
            histograms,
            starts,
            histogram_starts,
            marks,
            floats: (0, 0),
            hists: (0, 0),
            mark_range: (0, 0),
        }
    }

    /// Times, values and marks of the floats, when there is nothing else to know.
    pub(crate) fn plain(&self) -> Option<(&[i64], &[f64], &[usize])> {
        let plain = self.histograms.is_empty() && self.starts.is_empty();
        plain.then(|| (&*self.timestamps, &*self.values, self.marks.as_slice()))
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
        let (mut r_from, mut r_to) = self.mark_range;
        while r_to < self.marks.len() && self.marks[r_to] < to {
            r_to += 1;
        }
        // A mark counts when the sample before it is inside as well.
        while r_from < r_to && self.marks[r_from] <= from {
            r_from += 1;
        }
        self.mark_range = (r_from, r_to);
        Window {
            timestamps: &self.timestamps[from..to],
            values: &self.values[from..to],
            histograms: &self.histograms[h_from..h_to],
            starts: if self.starts.is_empty() { &[] } else { &self.starts[from..to] },
            histogram_starts: if self.histogram_starts.is_empty() { &[] } else { &self.histogram_starts[h_from..h_to] },
            start_ms,
            end_ms,
            eval_ms,
            marks: &self.marks[r_from..r_to],
            first_index: from,
        }
    }
}

/// Indices of the samples that with the one before them are such a pair.
fn marked(values: &[f64], is_pair: impl Fn(f64, f64) -> bool) -> Vec<usize> {
    values.windows(2).enumerate().filter(|(_, w)| is_pair(w[0], w[1])).map(|(i, _)| i + 1).collect()
}

/// Since when the samples that are no staleness markers count: floats, histograms.
fn starts_of(data: &SeriesData) -> (Cow<'_, [i64]>, Cow<'_, [i64]>) {
    let Some(starts) = &data.starts else { return (Cow::Borrowed(&[]), Cow::Borrowed(&[])) };
    // Lists that do not go with the samples say nothing.
    let floats = if starts.floats.len() == data.values.len() { starts.floats.as_slice() } else { &[] };
    let floats = floats.iter().zip(&data.values).filter(|(_, v)| !is_stale_nan(**v)).map(|(s, _)| *s);
    let histograms = if starts.histograms.len() == data.histograms.len() { starts.histograms.as_slice() } else { &[] };
    let histograms = histograms.iter().zip(&data.histograms).filter(|(_, h)| !is_stale_nan(h.1.sum)).map(|(s, _)| *s);
    (Cow::Owned(floats.collect()), Cow::Owned(histograms.collect()))
}
