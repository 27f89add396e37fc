//! Binary operators on two samples.

use std::sync::Arc;

use vocab::NativeHistogram;
use vocab::histogram::ResetHint;

use crate::annotations::Note;
use crate::ast::BinaryOp;
use crate::histogram::{self, Sparse};
use crate::value::SampleValue;

/// Arithmetic on numbers; comparisons give 1 or 0.
pub(super) fn scalar(op: BinaryOp, a: f64, b: f64) -> f64 {
    let truth = |t: bool| if t { 1.0 } else { 0.0 };
    match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        BinaryOp::Div => a / b,
        BinaryOp::Mod => a % b,
        BinaryOp::Pow => a.powf(b),
        BinaryOp::Atan2 => a.atan2(b),
        BinaryOp::And | BinaryOp::Or | BinaryOp::Unless | BinaryOp::TrimUpper | BinaryOp::TrimLower => f64::NAN,
        comparison => truth(compare(comparison, a, b)),
    }
}

fn compare(op: BinaryOp, a: f64, b: f64) -> bool {
    match op {
        BinaryOp::Eql => a == b,
        BinaryOp::Neq => a != b,
        BinaryOp::Lss => a < b,
        BinaryOp::Lte => a <= b,
        BinaryOp::Gtr => a > b,
        BinaryOp::Gte => a >= b,
        _ => false,
    }
}

/// Whether the result of an operator is another quantity, so that the metric name goes.
pub(super) fn drops_name(op: BinaryOp) -> bool {
    matches!(
        op,
        BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul | BinaryOp::Div | BinaryOp::Mod | BinaryOp::Pow | BinaryOp::Atan2
    )
}

/// What an operator makes of two samples: a value, and whether a filter keeps it.
pub(super) struct Outcome {
    pub(super) value: SampleValue,
    pub(super) keep: bool,
}

/// Applies an operator to two samples; `None` when it is not defined for their types.
pub(super) fn samples(op: BinaryOp, a: &SampleValue, b: &SampleValue, notes: &mut Vec<Note>) -> Option<Outcome> {
    let kept = |value: SampleValue| Some(Outcome { value, keep: true });
    match (a, b) {
        (SampleValue::Float(_), SampleValue::Float(_)) if matches!(op, BinaryOp::TrimLower | BinaryOp::TrimUpper) => {
            incompatible(op, "float", "float", notes)
        }
        (SampleValue::Float(x), SampleValue::Float(y)) if op.is_comparison() => {
            Some(Outcome { value: SampleValue::Float(*x), keep: compare(op, *x, *y) })
        }
        (SampleValue::Float(x), SampleValue::Float(y)) => kept(SampleValue::Float(scalar(op, *x, *y))),
        (SampleValue::Float(x), SampleValue::Histogram(h)) => match op {
            BinaryOp::Mul => kept(scaled(h, |h| histogram::scale(h, *x), *x)),
            _ => incompatible(op, "float", "histogram", notes),
        },
        (SampleValue::Histogram(h), SampleValue::Float(x)) => match op {
            BinaryOp::Mul => kept(scaled(h, |h| histogram::scale(h, *x), *x)),
            BinaryOp::Div => kept(scaled(h, |h| histogram::divide(h, *x), *x)),
            BinaryOp::TrimUpper => kept(SampleValue::Histogram(Arc::new(histogram::trim::trim(h, *x, true)))),
            BinaryOp::TrimLower => kept(SampleValue::Histogram(Arc::new(histogram::trim::trim(h, *x, false)))),
            _ => incompatible(op, "histogram", "float", notes),
        },
        (SampleValue::Histogram(x), SampleValue::Histogram(y)) => histograms(op, x, y, notes),
    }
}

fn incompatible(op: BinaryOp, left: &str, right: &str, notes: &mut Vec<Note>) -> Option<Outcome> {
    notes.push(Note::incompatible_types(left, op.as_str(), right));
    None
}

fn scaled(h: &NativeHistogram, change: impl Fn(&mut NativeHistogram), factor: f64) -> SampleValue {
    let mut result = h.clone();
    change(&mut result);
    if factor < 0.0 {
        result.reset_hint = ResetHint::Gauge;
    }
    SampleValue::Histogram(Arc::new(result))
}

fn histograms(
    op: BinaryOp,
    a: &Arc<NativeHistogram>,
    b: &Arc<NativeHistogram>,
    notes: &mut Vec<Note>,
) -> Option<Outcome> {
    let factor = match op {
        BinaryOp::Add => 1.0,
        BinaryOp::Sub => -1.0,
        BinaryOp::Eql | BinaryOp::Neq => {
            let keep = histogram::same(a, b) == (op == BinaryOp::Eql);
            return Some(Outcome { value: SampleValue::Histogram(Arc::clone(a)), keep });
        }
        _ => return incompatible(op, "histogram", "histogram", notes),
    };
    let what = if op == BinaryOp::Add { "addition" } else { "subtraction" };
    let mut result = Sparse::from(a.as_ref());
    match result.combine(&Sparse::from(b.as_ref()), factor) {
        Err(_) => {
            notes.push(Note::incompatible_bucket_layout(op.as_str()));
            return None;
        }
        Ok(combined) => {
            if combined.reset_conflict {
                notes.push(Note::conflicting_counter_resets(what));
            }
            if combined.reconciled {
                notes.push(Note::reconciled_custom_buckets(what));
            }
        }
    }
    if op == BinaryOp::Sub {
        result.hint = ResetHint::Gauge;
    }
    Some(Outcome { value: SampleValue::Histogram(Arc::new(result.into())), keep: true })
}
