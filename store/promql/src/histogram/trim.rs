//! Cutting histograms at a value: `</` keeps what is below, `>/` what is above.

use vocab::NativeHistogram;

use super::Sparse;
use super::sparse::bound;
use super::interpolate::share_below;

/// Keeps the observations below (`upper`) or above the limit; a bucket that is cut is shared out by interpolation.
pub(crate) fn trim(h: &NativeHistogram, limit: f64, upper: bool) -> NativeHistogram {
    let mut sparse = Sparse::from(h);
    if limit.is_nan() {
        return h.clone();
    }
    let before = sparse.clone();
    let keep = |lower: f64, high: f64, count: f64, exponential: bool| -> f64 {
        let below = share_below(lower, high, limit, exponential);
        count * if upper { below } else { 1.0 - below }
    };
    let (schema, threshold, is_custom) = (sparse.schema, sparse.zero_threshold, sparse.is_custom());
    let custom = sparse.custom.clone();
    for (index, count) in &mut sparse.positive {
        let high = bound(*index, schema, &custom);
        let mut lower = bound(*index - 1, schema, &custom);
        if !is_custom {
            lower = lower.max(threshold);
        }
        *count = keep(lower, high, *count, !is_custom);
    }
    for (index, count) in &mut sparse.negative {
        let lower = -bound(*index, schema, &[]);
        let high = (-bound(*index - 1, schema, &[])).min(-threshold);
        *count = keep(lower, high, *count, true);
    }
    if sparse.zero_count != 0.0 {
        let (low, high) = zero_bounds(&before);
        sparse.zero_count = keep(low, high, sparse.zero_count, false);
    }
    sparse.positive.retain(|b| b.1 != 0.0);
    sparse.negative.retain(|b| b.1 != 0.0);
    let unchanged = sparse.positive == before.positive
        && sparse.negative == before.negative
        && sparse.zero_count == before.zero_count;
    if unchanged {
        return h.clone();
    }
    let buckets = sparse.buckets();
    sparse.count = buckets.iter().map(|b| b.count).sum();
    sparse.sum = buckets.iter().map(|b| b.count * middle(b.lower, b.upper, b.zero || is_custom)).sum();
    sparse.into()
}

/// Observations in the zero bucket are on one side only when the other side has no buckets.
fn zero_bounds(sparse: &Sparse) -> (f64, f64) {
    let threshold = sparse.zero_threshold;
    match (sparse.negative.is_empty(), sparse.positive.is_empty()) {
        (true, false) => (0.0, threshold),
        (false, true) => (-threshold, 0.0),
        _ => (-threshold, threshold),
    }
}

fn middle(lower: f64, upper: f64, linear: bool) -> f64 {
    if lower.is_infinite() {
        return upper;
    }
    if upper.is_infinite() {
        return lower;
    }
    if linear || lower == 0.0 || upper == 0.0 {
        return f64::midpoint(lower, upper);
    }
    let magnitude = (lower.abs() * upper.abs()).sqrt();
    if lower < 0.0 { -magnitude } else { magnitude }
}
