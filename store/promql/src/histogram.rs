//! Arithmetic of native histograms.
//!
//! Work happens on [`Sparse`], which lists populated buckets by index; spans are only read and written at its edges.

pub(crate) mod bounds;
pub(crate) mod classic;
pub(crate) mod fold;
pub(crate) mod interpolate;
pub(crate) mod quantile;
pub(crate) mod rate;
mod sparse;
pub(crate) mod text;
pub(crate) mod trim;

use std::sync::Arc;

use vocab::NativeHistogram;
pub(crate) use vocab::histogram::CUSTOM_BUCKETS_SCHEMA as CUSTOM_SCHEMA;
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

/// Says of every histogram whether it was reset since the one before it, unless it says so itself.
pub(crate) fn derive_hints(histograms: &mut [(i64, Arc<NativeHistogram>)]) {
    for at in (1..histograms.len()).rev() {
        let (before, after) = histograms.split_at_mut(at);
        let (Some((_, previous)), Some((_, current))) = (before.last(), after.first_mut()) else { return };
        if current.reset_hint == ResetHint::Unknown && !vocab::is_stale_nan(previous.sum) {
            let hint = if detect_reset(current, previous) { ResetHint::Reset } else { ResetHint::NoReset };
            Arc::make_mut(current).reset_hint = hint;
        }
    }
}

/// The histogram without what was known of resets, which only holds between neighbours in the store.
pub(crate) fn without_hint(histogram: Arc<NativeHistogram>) -> Arc<NativeHistogram> {
    match histogram.reset_hint {
        ResetHint::Unknown | ResetHint::Gauge => histogram,
        ResetHint::Reset | ResetHint::NoReset => {
            let mut histogram = histogram;
            Arc::make_mut(&mut histogram).reset_hint = ResetHint::Unknown;
            histogram
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
    if divisor == 0.0 {
        // Empty buckets would be NaN and populated ones infinite: neither is a bucket.
        histogram.positive_spans.clear();
        histogram.positive_buckets.clear();
        histogram.negative_spans.clear();
        histogram.negative_buckets.clear();
    }
}

fn each(histogram: &mut NativeHistogram, mut change: impl FnMut(&mut f64)) {
    histogram.integer = false;
    change(&mut histogram.zero_count);
    change(&mut histogram.count);
    change(&mut histogram.sum);
    histogram.positive_buckets.iter_mut().for_each(&mut change);
    histogram.negative_buckets.iter_mut().for_each(&mut change);
}

#[cfg(test)]
mod tests;
