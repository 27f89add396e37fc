//! `rate`, `increase`, `delta`, `irate`, `idelta`: differences with counter resets and extrapolation.

use std::sync::Arc;

use vocab::Labels;

use super::range::Window;
use crate::annotations::Note;
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
    let range_seconds = (window.end_ms - window.start_ms) as f64 / 1000.0;
    if window.histograms.len() > 1 {
        let points = window.histograms;
        let mut result = histogram::rate::difference(points, is_counter, labels, notes)?;
        let zero =
            (is_counter && result.count > 0.0 && points[0].1.count >= 0.0).then(|| points[0].1.count / result.count);
        let (first, last) = (points[0].0, points[points.len() - 1].0);
        let mut factor = factor(window, first, last, points.len(), zero);
        if is_rate {
            factor /= range_seconds;
        }
        histogram::scale(&mut result, factor);
        return Some(SampleValue::Histogram(Arc::new(result)));
    }
    let count = window.values.len();
    if count < 2 {
        return None;
    }
    let first = window.values[0];
    let mut difference = window.values[count - 1] - first;
    if is_counter {
        for reset in window.resets {
            difference += window.values[reset - window.first_index - 1];
        }
    }
    let zero = (is_counter && difference > 0.0 && first >= 0.0).then(|| first / difference);
    let mut factor = factor(window, window.timestamps[0], window.timestamps[count - 1], count, zero);
    if is_rate {
        factor /= range_seconds;
    }
    Some(SampleValue::Float(difference * factor))
}

/// By how much the sampled difference is stretched. `zero` is the share of the sampled interval that a counter needs
/// to grow from zero to its first value: it is not extrapolated below zero.
fn factor(window: &Window<'_>, first_ms: i64, last_ms: i64, count: usize, zero: Option<f64>) -> f64 {
    let mut to_start = (first_ms - window.start_ms) as f64 / 1000.0;
    let mut to_end = (window.end_ms - last_ms) as f64 / 1000.0;
    let sampled = (last_ms - first_ms) as f64 / 1000.0;
    let average = sampled / (count - 1) as f64;
    // Farther from the border than usual: the series is assumed to begin (or end) half an interval outside.
    let threshold = average * 1.1;
    if to_start >= threshold {
        to_start = average / 2.0;
    }
    if let Some(share) = zero {
        let to_zero = sampled * share;
        if to_zero < to_start {
            to_start = to_zero;
        }
    }
    if to_end >= threshold {
        to_end = average / 2.0;
    }
    (sampled + to_start + to_end) / sampled
}

/// The difference of the last two samples, per second for `irate`.
pub(super) fn instant(
    window: &Window<'_>,
    is_rate: bool,
    labels: &Labels,
    notes: &mut Vec<Note>,
) -> Option<SampleValue> {
    let floats = window.timestamps.iter().zip(window.values).rev().take(2);
    let mut last_two: Vec<(i64, SampleValue)> = floats.map(|(t, v)| (*t, SampleValue::Float(*v))).collect();
    last_two.extend(window.histograms.iter().rev().take(2).map(|(t, h)| (*t, SampleValue::Histogram(Arc::clone(h)))));
    last_two.sort_by_key(|(t, _)| std::cmp::Reverse(*t));
    let mut samples = last_two.into_iter();
    let ((t2, last), (t1, previous)) = (samples.next()?, samples.next()?);
    let interval = (t2 - t1) as f64 / 1000.0;
    if t2 == t1 {
        return None;
    }
    match (previous, last) {
        (SampleValue::Float(a), SampleValue::Float(b)) => {
            let difference = if is_rate && b < a { b } else { b - a };
            Some(SampleValue::Float(if is_rate { difference / interval } else { difference }))
        }
        (SampleValue::Histogram(a), SampleValue::Histogram(b)) => {
            let mut result = histogram::rate::instant_difference(&a, &b, is_rate, labels, notes)?;
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
