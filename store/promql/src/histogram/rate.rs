//! Differences of counter and gauge histograms.

use std::sync::Arc;

use vocab::histogram::ResetHint;
use vocab::{Labels, NativeHistogram};

use super::{Sparse, detect_reset};
use crate::annotations::Note;
use crate::functions::start;

/// Last minus first with counter resets made good; a gauge histogram. `starts` says since when each counts, or is empty.
pub(crate) fn difference(
    points: &[(i64, Arc<NativeHistogram>)],
    starts: &[i64],
    is_counter: bool,
    labels: &Labels,
    notes: &mut Vec<Note>,
) -> Option<NativeHistogram> {
    let (first, last) = (&points[0].1, &points[points.len() - 1].1);
    let gauge = |h: &NativeHistogram| h.reset_hint == ResetHint::Gauge;
    if is_counter && (gauge(first) || gauge(last)) {
        notes.push(Note::not_counter(labels));
    }
    let is_reset = |at: usize| {
        start::is_reset_at(starts, at, points[at - 1].0, points[at].0) || detect_reset(&points[at].1, &points[at - 1].1)
    };
    let mut before = Sparse::from(first.as_ref());
    let mut first_is_void = false;
    if is_counter {
        let second = &points[1].1;
        // What came before a reset need not fit what came after it.
        if is_reset(1) {
            let second = Sparse::from(second.as_ref());
            first_is_void = true;
            before = Sparse {
                zero_threshold: 0.0,
                zero_count: 0.0,
                count: 0.0,
                sum: 0.0,
                positive: Vec::new(),
                negative: Vec::new(),
                hint: ResetHint::Unknown,
                ..second
            };
        }
        for (_, h) in &points[1..points.len() - 1] {
            if gauge(h) {
                notes.push(Note::not_counter(labels));
            }
            if (h.schema == vocab::histogram::CUSTOM_BUCKETS_SCHEMA) != before.is_custom() {
                notes.push(Note::mixed_exponential_custom(labels));
                return None;
            }
        }
    }
    let mut result = Sparse::from(last.as_ref());
    let mut fold = |other: &Sparse, factor: f64, what: &str| {
        let Ok(combined) = result.combine(other, factor) else {
            notes.push(Note::mixed_exponential_custom(labels));
            return None;
        };
        if combined.reconciled {
            notes.push(Note::reconciled_custom_buckets(what));
        }
        Some(())
    };
    fold(&before, -1.0, "subtraction")?;
    if is_counter {
        for at in 1..points.len() {
            if !(at == 1 && first_is_void) && is_reset(at) {
                fold(&Sparse::from(points[at - 1].1.as_ref()), 1.0, "addition")?;
            }
        }
    } else if !gauge(first) || !gauge(last) {
        notes.push(Note::not_gauge(labels));
    }
    result.hint = ResetHint::Gauge;
    Some(result.into())
}

/// The sum of two histograms; a gauge histogram when the first is.
pub(crate) fn plus(
    one: &NativeHistogram,
    other: &NativeHistogram,
    labels: &Labels,
    notes: &mut Vec<Note>,
) -> Option<NativeHistogram> {
    let mut sum = Sparse::from(one);
    let hint = sum.hint;
    match sum.combine(&Sparse::from(other), 1.0) {
        Ok(combined) if combined.reconciled => notes.push(Note::reconciled_custom_buckets("addition")),
        Ok(_) => {}
        Err(_) => {
            notes.push(Note::mixed_exponential_custom(labels));
            return None;
        }
    }
    sum.hint = hint;
    Some(sum.into())
}

/// The difference of two neighbours; the later one alone after a counter reset, which `begins_anew` may tell too.
pub(crate) fn instant_difference(
    first: &NativeHistogram,
    last: &NativeHistogram,
    is_counter: bool,
    begins_anew: bool,
    labels: &Labels,
    notes: &mut Vec<Note>,
) -> Option<NativeHistogram> {
    let gauge = |h: &NativeHistogram| h.reset_hint == ResetHint::Gauge;
    if is_counter && (gauge(first) || gauge(last)) {
        notes.push(Note::not_counter(labels));
    }
    let gauges = gauge(first) && gauge(last);
    if !is_counter && !gauges {
        notes.push(Note::not_gauge(labels));
    }
    let mut result = Sparse::from(last);
    if !is_counter || !(begins_anew || detect_reset(last, first)) {
        match result.combine(&Sparse::from(first), -1.0) {
            Ok(combined) if combined.reconciled => notes.push(Note::reconciled_custom_buckets("subtraction")),
            Ok(_) => {}
            Err(_) => {
                notes.push(Note::mixed_exponential_custom(labels));
                return None;
            }
        }
    }
    result.hint = ResetHint::Gauge;
    Some(result.into())
}
