//! Quantiles of plain values.

use std::cmp::Ordering;

/// Ascending with NaN first, as Prometheus sorts vectors.
pub(crate) fn nan_first(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan()))
}

/// The same, and of equal ones those first whose bits are smaller.
pub(crate) fn nan_first_total(a: f64, b: f64) -> Ordering {
    b.is_nan().cmp(&a.is_nan()).then_with(|| a.total_cmp(&b))
}

/// Where a quantile (0 to 1) lies among so many values: the index below it and the weight of the one after.
fn rank(q: f64, count: usize) -> (usize, f64) {
    let rank = q * (count as f64 - 1.0);
    ((rank.floor().max(0.0) as usize).min(count - 1), rank - rank.floor())
}

/// The quantile (0 to 1) of values in order.
pub(crate) fn quantile_of_sorted(q: f64, values: &[f64]) -> f64 {
    let (lower, weight) = rank(q, values.len());
    let upper = (lower + 1).min(values.len() - 1);
    values[lower] * (1.0 - weight) + values[upper] * weight
}

/// The quantile by linear interpolation between neighbours; reorders `values`.
pub(crate) fn quantile(q: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    let (lower, weight) = rank(q, values.len());
    let upper = (lower + 1).min(values.len() - 1);
    // Only two neighbours are needed, not the whole order.
    let (_, low, above) = values.select_nth_unstable_by(lower, |a, b| nan_first(*a, *b));
    let low = *low;
    let high = if upper == lower { low } else { above.iter().copied().min_by(|a, b| nan_first(*a, *b)).unwrap_or(low) };
    low * (1.0 - weight) + high * weight
}
