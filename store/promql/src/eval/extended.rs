//! `anchored` and `smoothed` selectors: windows that see beyond their borders.

use std::sync::Arc;

use vocab::histogram::ResetHint;
use vocab::ports::query::StepGrid;
use vocab::sample::SeriesData;
use vocab::{Labels, NativeHistogram, is_stale_nan};

use super::Evaluator;
use super::select::Windows;
use crate::annotations::Note;
use crate::ast::{Call, Expr, RangeEdge};
use crate::error::QueryError;
use crate::functions::range::{Marks, RangeFunction, Window, differ};
use crate::functions::start;
use crate::histogram::{self, Sparse, detect_reset};
use crate::timing::Timing;
use crate::value::{SampleValue, Series, Value};

/// A float sample, a histogram sample.
type FloatPoint = (i64, f64);
type HistogramPoint = (i64, Arc<NativeHistogram>);

/// What decides how borders are treated.
#[derive(Debug, Clone, Copy)]
struct Range {
    start_ms: i64,
    end_ms: i64,
    smoothed: bool,
    is_counter: bool,
    is_rate: bool,
}

impl Range {
    fn seconds(&self) -> f64 {
        (self.end_ms - self.start_ms) as f64 / 1000.0
    }

    /// Indices of the samples at (or beyond) both borders; `None` when no sample lies behind the left one.
    fn ends(&self, len: usize, time: impl Fn(usize) -> i64) -> Option<(usize, usize)> {
        let mut last = len.checked_sub(1)?;
        let search = |before: &dyn Fn(i64) -> bool| (0..last).position(|i| !before(time(i))).unwrap_or(last);
        let first = search(&|t| t <= self.start_ms).saturating_sub(1);
        if self.smoothed {
            last = search(&|t| t < self.end_ms);
        }
        let outside = time(last) <= self.start_ms || (self.smoothed && time(first) > self.end_ms);
        (!outside).then_some((first, last))
    }
}

impl Evaluator<'_> {
    /// A selector whose values are interpolated between the samples around each step.
    pub(super) fn smoothed_vector(&self, expr: &Expr, grid: &StepGrid) -> Result<Value, QueryError> {
        let (Expr::Vector(selector), Some(data)) = (expr, self.take_raw(expr)) else {
            return Err(QueryError::execution("a selector was not read").at(&expr.span()));
        };
        let timing = self.times.timing(selector.at, &selector.offset, &selector.span)?;
        let mut notes = Vec::new();
        let mut out = Vec::new();
        for series in &data.series {
            out.extend(smoothed_column(series, grid, timing, self.lookback_ms, &mut notes));
            self.notes(&mut notes, &selector.span);
        }
        self.tally(|t| t.add_columns(&out));
        self.vector(out)
    }

    /// A range function over an `anchored` or `smoothed` range selector.
    pub(super) fn extended_range_call(
        &self,
        function: RangeFunction,
        call: &Call,
        arg: &Expr,
        grid: &StepGrid,
    ) -> Result<Value, QueryError> {
        let Expr::Matrix(selector) = arg.unwrap_parens() else {
            return Err(QueryError::execution("a range selector is needed").at(&arg.span()));
        };
        let smoothed = selector.selector.edge == RangeEdge::Smoothed;
        check_function(function, call, smoothed)?;
        let matrix = self.matrix(arg, grid)?;
        let span = arg.span();
        let mut notes = Vec::new();
        let mut out = Vec::new();
        for series in &matrix.series {
            self.ctx.cancel.check()?;
            let mut result = Series::empty(series.data.labels.clone(), true, grid.num_steps());
            let mut windows = Windows::new(&series.data, Marks::None);
            for (step, time) in grid.times().enumerate() {
                let end_ms = matrix.timing.reference(time);
                let start_ms = end_ms.saturating_sub(matrix.range_ms);
                let after = if smoothed { self.lookback_ms } else { 0 };
                let window =
                    windows.window(start_ms.saturating_sub(self.lookback_ms), end_ms.saturating_add(after), time);
                let range = Range {
                    start_ms,
                    end_ms,
                    smoothed,
                    is_counter: matches!(function, RangeFunction::Rate | RangeFunction::Increase),
                    is_rate: function == RangeFunction::Rate,
                };
                if let Some(value) = extended(function, &window, &range, &series.data.labels, &mut notes) {
                    result.set(step, value);
                }
                self.notes(&mut notes, &span);
            }
            if !result.is_empty() {
                out.push(result);
            }
        }
        if matches!(function, RangeFunction::Rate | RangeFunction::Increase) {
            self.note_non_counters(&out, &span);
        }
        self.vector(out)
    }
}

fn check_function(function: RangeFunction, call: &Call, smoothed: bool) -> Result<(), QueryError> {
    let differences = matches!(function, RangeFunction::Rate | RangeFunction::Increase | RangeFunction::Delta);
    let counts = matches!(function, RangeFunction::Changes | RangeFunction::Resets);
    if differences || (counts && !smoothed) {
        return Ok(());
    }
    Err(unfit_modifier(call, smoothed))
}

/// A function whose window cannot be seen beyond its borders.
pub(super) fn unfit_modifier(call: &Call, smoothed: bool) -> QueryError {
    let (word, allowed) = if smoothed {
        ("smoothed", "delta, increase, rate")
    } else {
        ("anchored", "changes, delta, increase, rate, resets")
    };
    let message = format!("{word} modifier can only be used with: {allowed} - not with {}", call.function.name);
    QueryError::execution(message).at(&call.span)
}

fn extended(
    function: RangeFunction,
    window: &Window<'_>,
    range: &Range,
    labels: &Labels,
    notes: &mut Vec<Note>,
) -> Option<SampleValue> {
    if matches!(function, RangeFunction::Changes | RangeFunction::Resets) {
        return anchored_count(function, window, range, labels, notes);
    }
    match (window.values.is_empty(), window.histograms.is_empty()) {
        (false, false) => {
            notes.push(Note::mixed_floats_histograms(labels));
            None
        }
        (true, true) => None,
        (false, true) => float_difference(window, range).map(SampleValue::Float),
        (true, false) => {
            histogram_difference(window.histograms, range, labels, notes).map(|h| SampleValue::Histogram(Arc::new(h)))
        }
    }
}

fn interpolate(a: FloatPoint, b: FloatPoint, time_ms: i64, is_counter: bool) -> f64 {
    let from = if is_counter && b.1 < a.1 { 0.0 } else { a.1 };
    from + (b.1 - from) * (time_ms - a.0) as f64 / (b.0 - a.0) as f64
}

fn float_difference(window: &Window<'_>, range: &Range) -> Option<f64> {
    let point = |i: usize| (window.timestamps[i], window.values[i]);
    let (first, last) = range.ends(window.values.len(), |i| window.timestamps[i])?;
    let left = if range.smoothed && point(first).0 < range.start_ms {
        interpolate(point(first), point(first + 1), range.start_ms, range.is_counter)
    } else {
        point(first).1
    };
    let right = if range.smoothed && last > 0 && point(last).0 > range.end_ms {
        interpolate(point(last - 1), point(last), range.end_ms, range.is_counter)
    } else {
        point(last).1
    };
    let mut difference = right - left;
    if range.is_counter {
        let from = first + usize::from(point(first).0 <= range.start_ms);
        let to = if point(last).0 >= range.end_ms { last } else { last + 1 };
        let mut previous = left;
        for value in window.values.get(from..to).unwrap_or_default().iter().copied().chain([right]) {
            if value < previous {
                difference += previous;
            }
            previous = value;
        }
    }
    Some(if range.is_rate { difference / range.seconds() } else { difference })
}

/// Changes or resets between the samples of the window and the one before it.
fn anchored_count(
    function: RangeFunction,
    window: &Window<'_>,
    range: &Range,
    labels: &Labels,
    notes: &mut Vec<Note>,
) -> Option<SampleValue> {
    let newest_float = window.timestamps.last().copied();
    let newest_histogram = window.histograms.last().map(|h| h.0);
    if newest_float.max(newest_histogram)? <= range.start_ms {
        return None;
    }
    // The anchor is the newest sample at or before the left border, of whichever kind it is.
    let anchor = window
        .timestamps
        .iter()
        .copied()
        .chain(window.histograms.iter().map(|h| h.0))
        .filter(|t| *t <= range.start_ms)
        .max()
        .unwrap_or(i64::MIN);
    let from = window.timestamps.partition_point(|t| *t < anchor);
    let h_from = window.histograms.partition_point(|h| h.0 < anchor);
    let (values, timestamps) = (&window.values[from..], &window.timestamps[from..]);
    let starts = window.starts.get(from..).unwrap_or_default();
    let is_marked = |i: &usize| match function.marks() {
        Marks::Changes => differ(values[i - 1], values[*i]),
        _ => values[*i] < values[i - 1] || start::is_reset_at(starts, *i, timestamps[i - 1], timestamps[*i]),
    };
    let marks: Vec<usize> = (1..values.len()).filter(is_marked).collect();
    let anchored = Window {
        timestamps,
        starts,
        histogram_starts: window.histogram_starts.get(h_from..).unwrap_or_default(),
        values,
        histograms: &window.histograms[h_from..],
        marks: &marks,
        first_index: 0,
        ..*window
    };
    function.evaluate(&anchored, &[], labels, notes)
}

/// A step of histogram arithmetic that may fail or be worth a remark.
fn combine(
    into: &mut Sparse,
    other: &NativeHistogram,
    factor: f64,
    labels: &Labels,
    notes: &mut Vec<Note>,
) -> Option<()> {
    match into.combine(&Sparse::from(other), factor) {
        Ok(combined) => {
            if combined.reconciled {
                let what = if factor > 0.0 { "addition" } else { "subtraction" };
                notes.push(Note::reconciled_custom_buckets(what));
            }
            Some(())
        }
        Err(_) => {
            notes.push(Note::mixed_exponential_custom(labels));
            None
        }
    }
}

fn interpolate_histograms(
    a: &HistogramPoint,
    b: &HistogramPoint,
    time_ms: i64,
    is_counter: bool,
    labels: &Labels,
    notes: &mut Vec<Note>,
) -> Option<NativeHistogram> {
    if time_ms == a.0 {
        return Some((*a.1).clone());
    }
    if time_ms == b.0 {
        return Some((*b.1).clone());
    }
    let fraction = (time_ms - a.0) as f64 / (b.0 - a.0) as f64;
    let mut result = (*b.1).clone();
    if is_counter && detect_reset(&b.1, &a.1) {
        // The counter began again from zero.
        histogram::scale(&mut result, fraction);
        return Some(result);
    }
    let mut sparse = Sparse::from(&result);
    combine(&mut sparse, &a.1, -1.0, labels, notes)?;
    sparse.each(|v| *v *= fraction);
    combine(&mut sparse, &a.1, 1.0, labels, notes)?;
    sparse.hint = b.1.reset_hint;
    Some(sparse.into())
}

fn histogram_difference(
    points: &[HistogramPoint],
    range: &Range,
    labels: &Labels,
    notes: &mut Vec<Note>,
) -> Option<NativeHistogram> {
    let (first, last) = range.ends(points.len(), |i| points[i].0)?;
    let is_gauge = |h: &NativeHistogram| h.reset_hint == ResetHint::Gauge;
    let is_custom = |h: &NativeHistogram| h.schema == histogram::CUSTOM_SCHEMA;
    for (_, h) in &points[first..=last] {
        if is_custom(h) != is_custom(&points[first].1) {
            notes.push(Note::mixed_exponential_custom(labels));
            return None;
        }
        if range.is_counter && is_gauge(h) {
            notes.push(Note::not_counter(labels));
        }
    }
    let left = if range.smoothed && points[first].0 < range.start_ms {
        let (a, b) = (&points[first], &points[first + 1]);
        interpolate_histograms(a, b, range.start_ms, range.is_counter, labels, notes)?
    } else {
        (*points[first].1).clone()
    };
    let right = if range.smoothed && last > 0 && points[last].0 > range.end_ms {
        let (a, b) = (&points[last - 1], &points[last]);
        interpolate_histograms(a, b, range.end_ms, range.is_counter, labels, notes)?
    } else {
        (*points[last].1).clone()
    };
    let gauges = is_gauge(&left) && is_gauge(&right);
    if !range.is_counter && !gauges {
        notes.push(Note::not_gauge(labels));
    }
    let mut result = Sparse::from(&right);
    combine(&mut result, &left, -1.0, labels, notes)?;
    if range.is_counter {
        add_resets(&mut result, points, (first, last), (&left, &right), range, labels, notes)?;
    }
    if range.is_rate {
        result.each(|v| *v /= range.seconds());
    }
    result.hint = ResetHint::Gauge;
    Some(result.into())
}

/// Makes good what resets between the borders took away.
fn add_resets(
    result: &mut Sparse,
    points: &[HistogramPoint],
    (first, last): (usize, usize),
    (left, right): (&NativeHistogram, &NativeHistogram),
    range: &Range,
    labels: &Labels,
    notes: &mut Vec<Note>,
) -> Option<()> {
    let mut from = first + 1;
    let mut previous = left;
    let crossed = range.smoothed
        && points[first].0 < range.start_ms
        && points.get(first + 1).is_some_and(|next| detect_reset(&next.1, &points[first].1));
    if crossed {
        // The left border was interpolated across a reset, which is thereby made good already.
        previous = &points[first + 1].1;
        from += 1;
    }
    if from > last {
        return Some(());
    }
    for current in points[from..last].iter().map(|p| p.1.as_ref()).chain([right]) {
        if detect_reset(current, previous) {
            combine(result, previous, 1.0, labels, notes)?;
        }
        previous = current;
    }
    Some(())
}

/// The interpolated values of a series.
fn smoothed_column(
    data: &SeriesData,
    grid: &StepGrid,
    timing: Timing,
    lookback_ms: i64,
    notes: &mut Vec<Note>,
) -> Option<Series> {
    let mut out = Series::empty(data.labels.clone(), false, grid.num_steps());
    for (step, time) in grid.times().enumerate() {
        let reference = timing.reference(time);
        let (oldest, newest) = (reference.saturating_sub(lookback_ms), reference.saturating_add(lookback_ms));
        let inside = |t: i64| t > oldest && t <= newest;
        let floats: Vec<FloatPoint> = data
            .timestamps
            .iter()
            .zip(&data.values)
            .map(|(t, v)| (*t, *v))
            .filter(|(t, v)| inside(*t) && !is_stale_nan(*v))
            .collect();
        let histograms: Vec<&HistogramPoint> =
            data.histograms.iter().filter(|(t, h)| inside(*t) && !is_stale_nan(h.sum)).collect();
        let value = match (floats.is_empty(), histograms.is_empty()) {
            (true, true) => None,
            (false, false) => {
                notes.push(Note::mixed_floats_histograms(&data.labels));
                None
            }
            (false, true) => {
                let after = floats.partition_point(|p| p.0 <= reference);
                match (after.checked_sub(1).map(|i| floats[i]), floats.get(after)) {
                    (Some(a), _) if a.0 == reference => Some(a.1),
                    (Some(a), Some(b)) => Some(interpolate(a, *b, reference, false)),
                    (Some(a), None) => Some(a.1),
                    (None, _) => None,
                }
                .map(SampleValue::Float)
            }
            (true, false) => {
                let after = histograms.partition_point(|p| p.0 <= reference);
                match (after.checked_sub(1).map(|i| histograms[i]), histograms.get(after)) {
                    (Some(a), Some(b)) => {
                        let is_counter = a.1.reset_hint != ResetHint::Gauge;
                        interpolate_histograms(a, b, reference, is_counter, &data.labels, notes).map(Arc::new)
                    }
                    (Some(a), None) => Some(Arc::clone(&a.1)),
                    (None, _) => None,
                }
                .map(SampleValue::Histogram)
            }
        };
        if let Some(value) = value {
            out.set(step, value);
        }
    }
    (!out.is_empty()).then_some(out)
}
