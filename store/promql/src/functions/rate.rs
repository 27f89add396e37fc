//! `rate`, `increase`, `delta`, `irate`, `idelta`: differences with counter resets and extrapolation.

use std::sync::Arc;

use vocab::Labels;

use super::range::Window;
use super::start;
use crate::annotations::Note;
use crate::column::WindowSpec;
use crate::histogram;
use crate::value::SampleValue;

/// The difference over the window, extrapolated to its borders.
pub(super) fn extrapolated(
    window: &Window<'_>,
    is_counter: bool,
    is_rate: bool,
    labels: &Labels,
    notes: &mut Vec<Note>,
) -> Option<SampleValue> {
    if !window.histograms.is_empty() && !window.values.is_empty() {
        notes.push(Note::mixed_floats_histograms(labels));
        return None;
    }
    if !window.histograms.is_empty() {
        return histogram_difference(window, is_counter, is_rate, labels, notes);
    }
    let count = window.values.len();
    let (first, last) = (*window.values.first()?, *window.values.last()?);
    let times = (window.timestamps[0], window.timestamps[count - 1]);
    let start = if is_counter { start_inside(window, window.starts, times.0) } else { None };
    if count < 2 && start.is_none() {
        return None;
    }
    let mut difference = last - first;
    if is_counter {
        for reset in window.marks {
            difference += window.values[reset - window.first_index - 1];
        }
        if start::overlaps(window.starts, |i| window.timestamps[i]) {
            notes.push(Note::start_overlaps(labels));
        }
    }
    let left = match start {
        Some(start) => {
            difference += first;
            Left::Start(start)
        }
        None => Left::of(is_counter, difference, first),
    };
    let range = (window.start_ms, window.end_ms);
    Some(SampleValue::Float(difference * factor(range, times, count, left, is_rate)))
}

/// [`extrapolated`] for every step over plain floats; false when no step has a value.
pub(crate) fn extrapolated_column(
    (times, values, resets): (&[i64], &[f64], &[usize]),
    spec: &WindowSpec,
    is_counter: bool,
    is_rate: bool,
    out: &mut [f64],
) -> bool {
    let (mut from, mut to, mut reset) = (0, 0, 0);
    let mut found = false;
    for (slot, time) in out.iter_mut().zip(spec.grid.times()) {
        let end_ms = spec.timing.reference(time);
        let start_ms = end_ms.saturating_sub(spec.range_ms);
        while times.get(to).is_some_and(|t| *t <= end_ms) {
            to += 1;
        }
        while from < to && times[from] <= start_ms {
            from += 1;
        }
        let (Some(window), Some(of)) = (values.get(from..to), times.get(from..to)) else { continue };
        let ([first, .., last], [first_ms, .., last_ms]) = (window, of) else { continue };
        let mut difference = last - first;
        if is_counter {
            while resets.get(reset).is_some_and(|r| *r <= from) {
                reset += 1;
            }
            for at in resets[reset..].iter().take_while(|r| **r < to) {
                difference += values[at - 1];
            }
        }
        let left = Left::of(is_counter, difference, *first);
        *slot = difference * factor((start_ms, end_ms), (*first_ms, *last_ms), window.len(), left, is_rate);
        found = true;
    }
    found
}

fn histogram_difference(
    window: &Window<'_>,
    is_counter: bool,
    is_rate: bool,
    labels: &Labels,
    notes: &mut Vec<Note>,
) -> Option<SampleValue> {
    let points = window.histograms;
    let times = (points[0].0, points[points.len() - 1].0);
    let starts = if is_counter { window.histogram_starts } else { &[] };
    let start = start_inside(window, starts, times.0);
    if start::overlaps(starts, |i| points[i].0) {
        notes.push(Note::start_overlaps(labels));
    }
    let mut result = match (points.len() > 1, start) {
        (true, _) => histogram::rate::difference(points, starts, is_counter, labels, notes)?,
        (false, Some(_)) => (*points[0].1).clone(),
        (false, None) => return None,
    };
    let left = match start {
        Some(start) => {
            if points.len() > 1 {
                result = histogram::rate::plus(&result, &points[0].1, labels, notes)?;
            }
            Left::Start(start)
        }
        None => Left::of(is_counter, result.count, points[0].1.count),
    };
    let range = (window.start_ms, window.end_ms);
    histogram::scale(&mut result, factor(range, times, points.len(), left, is_rate));
    Some(SampleValue::Histogram(Arc::new(result)))
}

/// Since when the first sample counts, when that lies inside the window: the counter was 0 then.
fn start_inside(window: &Window<'_>, starts: &[i64], first_ms: i64) -> Option<i64> {
    starts.first().copied().filter(|&start| start != 0 && start > window.start_ms && start < first_ms)
}

/// What is known of a window's left end.
#[derive(Debug, Clone, Copy)]
enum Left {
    /// Nothing.
    Open,
    /// A counter needs this share of the sampled interval to grow from zero to its first value: it is not extrapolated below
    /// zero.
    Zero(f64),
    /// A counter was zero at that time.
    Start(i64),
}

impl Left {
    /// What the first value says, when it is not known since when it counts.
    #[inline]
    fn of(is_counter: bool, difference: f64, first: f64) -> Self {
        if is_counter && difference > 0.0 && first >= 0.0 { Self::Zero(first / difference) } else { Self::Open }
    }
}

/// By how much the sampled difference is stretched, per second for a rate.
#[inline]
fn factor(
    (start_ms, end_ms): (i64, i64),
    (first_ms, last_ms): (i64, i64),
    count: usize,
    left: Left,
    is_rate: bool,
) -> f64 {
    let mut to_start = (first_ms - start_ms) as f64 / 1000.0;
    let mut to_end = (end_ms - last_ms) as f64 / 1000.0;
    let mut sampled = (last_ms - first_ms) as f64 / 1000.0;
    let average = if count > 1 { sampled / (count - 1) as f64 } else { 0.0 };
    // Farther from the border than usual: the series is assumed to begin (or end) half an interval outside.
    let threshold = average * 1.1;
    if to_start >= threshold {
        to_start = average / 2.0;
    }
    match left {
        Left::Open => {}
        Left::Zero(share) => to_start = to_start.min(sampled * share),
        Left::Start(start) => {
            to_start = 0.0;
            sampled = (last_ms - start) as f64 / 1000.0;
        }
    }
    if to_end >= threshold {
        to_end = average / 2.0;
    }
    let factor = if sampled == 0.0 { 1.0 } else { (sampled + to_start + to_end) / sampled };
    if is_rate { factor / ((end_ms - start_ms) as f64 / 1000.0) } else { factor }
}

/// The difference of the last two samples, per second for `irate`.
pub(super) fn instant(
    window: &Window<'_>,
    is_rate: bool,
    labels: &Labels,
    notes: &mut Vec<Note>,
) -> Option<SampleValue> {
    let start = |starts: &[i64], index: usize| starts.get(index).copied().unwrap_or(0);
    if let ([], [.., a, b], [.., t1, t2]) = (window.histograms, window.values, window.timestamps) {
        let newest = window.values.len() - 1;
        let reset = is_rate && (b < a || start::is_reset_at(window.starts, newest, *t1, *t2));
        let difference = if reset { *b } else { b - a };
        let interval = (t2 - t1) as f64 / 1000.0;
        return (t1 != t2).then_some(SampleValue::Float(if is_rate { difference / interval } else { difference }));
    }
    let floats = (0..window.values.len()).rev().take(2);
    let floats = floats.map(|i| (window.timestamps[i], start(window.starts, i), SampleValue::Float(window.values[i])));
    let histograms = (0..window.histograms.len()).rev().take(2).map(|i| {
        let (time, histogram) = &window.histograms[i];
        (*time, start(window.histogram_starts, i), SampleValue::Histogram(Arc::clone(histogram)))
    });
    let mut last_two: Vec<(i64, i64, SampleValue)> = floats.chain(histograms).collect();
    last_two.sort_by_key(|sample| std::cmp::Reverse(sample.0));
    let mut samples = last_two.into_iter();
    let ((t2, s2, last), (t1, s1, previous)) = (samples.next()?, samples.next()?);
    let interval = (t2 - t1) as f64 / 1000.0;
    if t2 == t1 {
        return None;
    }
    let begins_anew = is_rate && start::is_reset(s1, t1, s2, t2);
    match (previous, last) {
        (SampleValue::Float(a), SampleValue::Float(b)) => {
            let difference = if is_rate && (b < a || begins_anew) { b } else { b - a };
            Some(SampleValue::Float(if is_rate { difference / interval } else { difference }))
        }
        (SampleValue::Histogram(a), SampleValue::Histogram(b)) => {
            let mut result = histogram::rate::instant_difference(&a, &b, is_rate, begins_anew, labels, notes)?;
            if is_rate {
                histogram::divide(&mut result, interval);
            }
            Some(SampleValue::Histogram(Arc::new(result)))
        }
        _ => {
            notes.push(Note::mixed_floats_histograms(labels));
            None
        }
    }
}
