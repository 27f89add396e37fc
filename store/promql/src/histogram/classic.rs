//! Classic histograms: cumulative buckets by `le`.

use super::interpolate::share_below;

/// A cumulative bucket.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ClassicBucket {
    pub(crate) upper: f64,
    pub(crate) count: f64,
}

/// How much counts may differ before a decrease counts as one.
const TOLERANCE: f64 = 1e-12;

/// How counts had to be raised to be cumulative.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Raised {
    /// Smallest and largest upper bound of the buckets whose counts were raised.
    pub(crate) buckets: (f64, f64),
    /// By how much at most.
    pub(crate) most: f64,
}

/// Sorts and repairs buckets; `None` when they cannot be a histogram. Tells whether counts had to be raised.
fn prepare(mut buckets: Vec<ClassicBucket>) -> Option<(Vec<ClassicBucket>, Option<Raised>)> {
    buckets.sort_by(|a, b| a.upper.total_cmp(&b.upper));
    if buckets.last()?.upper != f64::INFINITY {
        return None;
    }
    let mut merged: Vec<ClassicBucket> = Vec::with_capacity(buckets.len());
    for bucket in buckets {
        match merged.last_mut() {
            Some(last) if last.upper == bucket.upper => last.count += bucket.count,
            _ => merged.push(bucket),
        }
    }
    let mut forced: Option<Raised> = None;
    let mut previous = merged[0].count;
    for bucket in merged.iter_mut().skip(1) {
        if almost_equal(previous, bucket.count) {
            bucket.count = previous;
        } else if bucket.count < previous {
            let (most, first) = forced.map_or((0.0, bucket.upper), |f| (f.most, f.buckets.0));
            forced = Some(Raised { buckets: (first, bucket.upper), most: f64::max(most, previous - bucket.count) });
            bucket.count = previous;
        } else {
            previous = bucket.count;
        }
    }
    Some((merged, forced))
}

fn almost_equal(a: f64, b: f64) -> bool {
    if a == b || (a.is_nan() && b.is_nan()) {
        return true;
    }
    let (sum, difference) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < TOLERANCE * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < TOLERANCE
}

/// The estimated quantile, and whether counts had to be raised to be cumulative.
pub(crate) fn quantile(q: f64, buckets: Vec<ClassicBucket>) -> (f64, Option<Raised>) {
    if q.is_nan() {
        return (f64::NAN, None);
    }
    if q < 0.0 {
        return (f64::NEG_INFINITY, None);
    }
    if q > 1.0 {
        return (f64::INFINITY, None);
    }
    let Some((buckets, forced)) = prepare(buckets) else { return (f64::NAN, None) };
    let last = buckets.len() - 1;
    let observations = buckets[last].count;
    if buckets.len() < 2 || observations == 0.0 || observations.is_nan() {
        return (f64::NAN, forced);
    }
    let mut rank = q * observations;
    let at = buckets[..last].partition_point(|b| b.count < rank);
    if at == last {
        return (buckets[last - 1].upper, forced);
    }
    let bucket = buckets[at];
    if at == 0 && bucket.upper <= 0.0 {
        return (bucket.upper, forced);
    }
    let (mut start, mut count) = (0.0, bucket.count);
    if at > 0 {
        start = buckets[at - 1].upper;
        count -= buckets[at - 1].count;
        rank -= buckets[at - 1].count;
    }
    (start + (bucket.upper - start) * (rank / count), forced)
}

/// The estimated fraction of observations between two values.
pub(crate) fn fraction(lower: f64, upper: f64, buckets: Vec<ClassicBucket>) -> f64 {
    let Some((buckets, _)) = prepare(buckets) else { return f64::NAN };
    let total = buckets[buckets.len() - 1].count;
    if total == 0.0 || total.is_nan() || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    let below = |limit: f64| -> f64 {
        let mut start = if buckets[0].upper > 0.0 { 0.0 } else { f64::NEG_INFINITY };
        let mut before = 0.0;
        let mut rank = 0.0;
        for bucket in &buckets {
            rank += (bucket.count - before) * share_below(start, bucket.upper, limit, false);
            before = bucket.count;
            start = bucket.upper;
        }
        rank
    };
    (below(upper) - below(lower)) / total
}
