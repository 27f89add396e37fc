//! Quantiles, fractions and moments of native histograms.

use super::interpolate::share_below;
use super::{Bucket, Sparse};
use crate::kahan::KahanSum;

/// What observations of NaN do to a quantile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NanEffect {
    None,
    Skewed,
    Result,
}

/// All populated buckets; a zero bucket with neighbours on one side only lies on that side.
fn bounded(h: &Sparse) -> Vec<Bucket> {
    let mut buckets = h.buckets();
    if !h.is_custom() {
        let (negative, positive) = (!h.negative.is_empty(), !h.positive.is_empty());
        for bucket in buckets.iter_mut().filter(|b| b.zero) {
            if positive && !negative {
                bucket.lower = 0.0;
            } else if negative && !positive {
                bucket.upper = 0.0;
            }
        }
    }
    buckets
}

fn is_linear(h: &Sparse, bucket: &Bucket) -> bool {
    h.is_custom() || (bucket.lower <= 0.0 && bucket.upper >= 0.0)
}

/// The estimated quantile.
pub(crate) fn quantile(q: f64, h: &Sparse) -> (f64, NanEffect) {
    if q < 0.0 {
        return (f64::NEG_INFINITY, NanEffect::None);
    }
    if q > 1.0 {
        return (f64::INFINITY, NanEffect::None);
    }
    if h.count == 0.0 || q.is_nan() {
        return (f64::NAN, NanEffect::None);
    }
    let buckets = bounded(h);
    let forward = h.sum.is_nan() || q < 0.5;
    let mut rank = if forward { q * h.count } else { (1.0 - q) * h.count };
    let mut count = 0.0;
    let mut found: Option<Bucket> = None;
    let mut visit = |bucket: &Bucket| {
        if bucket.count == 0.0 {
            return false;
        }
        found = Some(*bucket);
        count += bucket.count;
        count >= rank
    };
    if forward {
        let _ = buckets.iter().any(&mut visit);
    } else {
        let _ = buckets.iter().rev().any(&mut visit);
    }
    let total: f64 = buckets.iter().map(|b| b.count).sum();
    let has_nan = h.sum.is_nan() && total < h.count;
    let Some(mut bucket) = found else {
        return (f64::NAN, if has_nan { NanEffect::Result } else { NanEffect::None });
    };
    let effect = if has_nan { NanEffect::Skewed } else { NanEffect::None };
    count = f64::min(count, h.count);
    if count < rank && h.sum.is_nan() {
        return (f64::NAN, NanEffect::Result);
    }
    if h.is_custom() {
        if bucket.lower == f64::NEG_INFINITY {
            if bucket.upper <= 0.0 {
                return (bucket.upper, effect);
            }
            bucket.lower = 0.0;
        } else if bucket.upper == f64::INFINITY {
            return (bucket.lower, effect);
        }
    }
    if count < rank {
        return (bucket.upper, effect);
    }
    if forward {
        rank -= count - bucket.count;
    } else {
        rank = count - rank;
    }
    (inside(h, &bucket, rank / bucket.count), effect)
}

fn inside(h: &Sparse, bucket: &Bucket, fraction: f64) -> f64 {
    if is_linear(h, bucket) {
        return bucket.lower + (bucket.upper - bucket.lower) * fraction;
    }
    let (low, high) = (bucket.lower.abs().log2(), bucket.upper.abs().log2());
    if bucket.lower > 0.0 {
        (low + (high - low) * fraction).exp2()
    } else {
        -(high + (low - high) * (1.0 - fraction)).exp2()
    }
}

/// The estimated fraction of observations between two values, and whether NaN observations were left out.
pub(crate) fn fraction(lower: f64, upper: f64, h: &Sparse) -> (f64, bool) {
    if h.count == 0.0 || lower.is_nan() || upper.is_nan() {
        return (f64::NAN, false);
    }
    let buckets = bounded(h);
    let total: f64 = buckets.iter().map(|b| b.count).sum();
    let has_nan = h.sum.is_nan() && total < h.count;
    if lower >= upper {
        return (0.0, has_nan);
    }
    let below = |limit: f64| -> f64 {
        buckets
            .iter()
            .map(|b| {
                let mut lower = b.lower;
                if h.is_custom() && lower == f64::NEG_INFINITY && b.upper > 0.0 {
                    lower = 0.0;
                }
                b.count * share_below(lower, b.upper, limit, !is_linear(h, b))
            })
            .sum()
    };
    ((below(upper) - below(lower)) / h.count, has_nan)
}

/// The estimated population variance.
pub(crate) fn variance(h: &Sparse) -> f64 {
    let mean = h.sum / h.count;
    let mut total = KahanSum::default();
    for bucket in h.buckets().iter().filter(|b| b.count != 0.0) {
        let value = if h.is_custom() {
            f64::midpoint(bucket.lower, bucket.upper)
        } else if bucket.lower <= 0.0 && bucket.upper >= 0.0 {
            0.0
        } else {
            let magnitude = (bucket.upper * bucket.lower).sqrt();
            if bucket.upper < 0.0 { -magnitude } else { magnitude }
        };
        total.add(bucket.count * (value - mean) * (value - mean));
    }
    total.value() / h.count
}
