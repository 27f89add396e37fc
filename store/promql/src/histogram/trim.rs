//! Cutting histograms at a value: `</` keeps what is below, `>/` what is above.

use vocab::NativeHistogram;

use super::Sparse;
use super::interpolate::share_below;
use super::sparse::bound;

/// What is left of a bucket, and where its observations are assumed to lie.
struct Kept {
    count: f64,
    middle: f64,
}

/// Keeps the observations below (`upper`) or above the limit; a bucket that is cut is shared out by interpolation.
pub(crate) fn trim(h: &NativeHistogram, limit: f64, upper: bool) -> NativeHistogram {
    if limit.is_nan() {
        return h.clone();
    }
    let mut sparse = Sparse::from(h);
    let before = sparse.clone();
    let (mut count, mut sum) = (0.0, 0.0);
    let mut take = |slot: &mut f64, lower: f64, high: f64, exponential: bool| {
        let kept = cut(*slot, lower, high, limit, upper, exponential);
        *slot = kept.count;
        count += kept.count;
        sum += kept.count * kept.middle;
    };
    let (schema, is_custom) = (sparse.schema, sparse.is_custom());
    let custom = sparse.custom.clone();
    for (index, slot) in &mut sparse.positive {
        take(slot, bound(index.saturating_sub(1), schema, &custom), bound(*index, schema, &custom), !is_custom);
    }
    for (index, slot) in &mut sparse.negative {
        take(slot, -bound(*index, schema, &[]), -bound(index.saturating_sub(1), schema, &[]), true);
    }
    if sparse.zero_count > 0.0 {
        let (low, high) = zero_bounds(&before);
        take(&mut sparse.zero_count, low, high, false);
    }
    if sparse == before {
        return h.clone();
    }
    sparse.count = count;
    sparse.sum = sum;
    sparse.into()
}

fn cut(count: f64, lower: f64, upper: f64, limit: f64, keep_below: bool, exponential: bool) -> Kept {
    let nothing = Kept { count: 0.0, middle: 0.0 };
    if lower == f64::NEG_INFINITY {
        return cut_first(count, upper, limit, keep_below);
    }
    if upper == f64::INFINITY {
        return match keep_below {
            true if limit == f64::INFINITY => Kept { count, middle: lower },
            false if limit != f64::INFINITY => Kept { count, middle: lower.max(limit) },
            _ => nothing,
        };
    }
    let below = share_below(lower, upper, limit, exponential);
    let (share, from, to) =
        if keep_below { (below, lower, limit.min(upper)) } else { (1.0 - below, limit.max(lower), upper) };
    if share <= 0.0 { nothing } else { Kept { count: count * share, middle: middle(from, to, exponential) } }
}

/// A bucket without lower bound: its observations are taken to be positive where its upper bound allows it.
fn cut_first(count: f64, upper: f64, limit: f64, keep_below: bool) -> Kept {
    let nothing = Kept { count: 0.0, middle: 0.0 };
    if upper == f64::INFINITY {
        let all = if keep_below { limit == f64::INFINITY } else { limit == f64::NEG_INFINITY };
        return if all { Kept { count, middle: 0.0 } } else { nothing };
    }
    match keep_below {
        true if limit >= upper => Kept { count, middle: if upper > 0.0 { upper / 2.0 } else { upper } },
        true if upper <= 0.0 => Kept { count, middle: limit },
        true if limit > 0.0 => Kept { count: count * limit / upper, middle: limit / 2.0 },
        false if limit == f64::NEG_INFINITY => Kept { count, middle: if upper > 0.0 { upper / 2.0 } else { upper } },
        false if limit >= 0.0 && limit < upper => {
            Kept { count: count * (1.0 - limit / upper), middle: f64::midpoint(limit, upper) }
        }
        _ => nothing,
    }
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

fn middle(lower: f64, upper: f64, exponential: bool) -> f64 {
    if !exponential {
        return f64::midpoint(lower, upper);
    }
    let magnitude = (lower.abs() * upper.abs()).sqrt();
    if lower < 0.0 { -magnitude } else { magnitude }
}
