//! Arithmetic of native histograms.
//!
//! Work happens on [`Sparse`], which lists populated buckets by index; spans are only read and written at its edges.

pub(crate) mod fold;
pub(crate) mod rate;
pub(crate) mod interpolate;
mod sparse;
pub(crate) mod classic;
pub(crate) mod quantile;
pub(crate) mod text;
pub(crate) mod trim;

use vocab::NativeHistogram;
use vocab::histogram::ResetHint;

pub(crate) use sparse::{Bucket, Incompatible, Sparse};

/// Whether both hold the same observations in the same buckets.
pub(crate) fn same(a: &NativeHistogram, b: &NativeHistogram) -> bool {
    let (a, b) = (Sparse::from(a), Sparse::from(b));
    a.schema == b.schema
        && a.zero_threshold == b.zero_threshold
        && a.zero_count == b.zero_count
        && a.count == b.count
        && (a.sum == b.sum || (a.sum.is_nan() && b.sum.is_nan()))
        && a.positive == b.positive
        && a.negative == b.negative
        && a.custom == b.custom
}

/// Whether a counter histogram was reset between `previous` and `current`.
pub(crate) fn detect_reset(current: &NativeHistogram, previous: &NativeHistogram) -> bool {
    match current.reset_hint {
        ResetHint::Reset => true,
        ResetHint::NoReset => false,
        ResetHint::Unknown | ResetHint::Gauge => {
            current.count < previous.count || Sparse::from(current).lacks(&Sparse::from(previous))
        }
    }
}

/// Multiplies all counts and the sum.
pub(crate) fn scale(histogram: &mut NativeHistogram, factor: f64) {
    each(histogram, |v| *v *= factor);
}

/// Divides all counts and the sum.
pub(crate) fn divide(histogram: &mut NativeHistogram, divisor: f64) {
    each(histogram, |v| *v /= divisor);
}

fn each(histogram: &mut NativeHistogram, mut change: impl FnMut(&mut f64)) {
    histogram.integer = false;
    change(&mut histogram.zero_count);
    change(&mut histogram.count);
    change(&mut histogram.sum);
    histogram.positive_buckets.iter_mut().for_each(&mut change);
    histogram.negative_buckets.iter_mut().for_each(&mut change);
}
