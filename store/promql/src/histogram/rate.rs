//! Differences of counter and gauge histograms.

use std::sync::Arc;

use vocab::histogram::ResetHint;
use vocab::{Labels, NativeHistogram};

use super::{Sparse, detect_reset};
use crate::annotations::Note;

/// Last minus first with counter resets made good; a gauge histogram.
pub(crate) fn difference(
    points: &[(i64, Arc<NativeHistogram>)],
    is_counter: bool,
    labels: &Labels,
    notes: &mut Vec<Note>,
) -> Option<NativeHistogram> {
    let (first, last) = (&points[0].1, &points[points.len() - 1].1);
    let gauge = |h: &NativeHistogram| h.reset_hint == ResetHint::Gauge;
    if is_counter && (gauge(first) || gauge(last)) {
        notes.push(Note::not_counter(labels));
    }
    let mut before = Sparse::from(first.as_ref());
    let mut first_is_void = false;
    if is_counter {
        let second = &points[1].1;
        // What came before a reset need not fit what came after it.
        if detect_reset(second, first) {
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
        for (index, pair) in points.windows(2).enumerate() {
            if detect_reset(&pair[1].1, &pair[0].1) && !(index == 0 && first_is_void) {
                fold(&Sparse::from(pair[0].1.as_ref()), 1.0, "addition")?;
            }
        }
    } else if !gauge(first) || !gauge(last) {
        notes.push(Note::not_gauge(labels));
    }
    result.hint = ResetHint::Gauge;
    Some(result.into())
}

/// The difference of two neighbours; the later one alone after a counter reset.
pub(crate) fn instant_difference(
    first: &NativeHistogram,
    last: &NativeHistogram,
    is_counter: bool,
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
    if !is_counter || !detect_reset(last, first) {
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
