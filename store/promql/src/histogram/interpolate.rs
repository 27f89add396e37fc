//! Where within a bucket observations are assumed to lie.

/// The share of a bucket's observations that lie below a limit.
pub(crate) fn share_below(lower: f64, upper: f64, limit: f64, exponential: bool) -> f64 {
    if limit <= lower {
        return 0.0;
    }
    if limit >= upper {
        return 1.0;
    }
    if lower.is_infinite() {
        return 1.0;
    }
    if upper.is_infinite() {
        return 0.0;
    }
    if exponential && (lower > 0.0 || upper < 0.0) {
        let (low, high) = (lower.abs().log2(), upper.abs().log2());
        return (limit.abs().log2() - low) / (high - low);
    }
    (limit - lower) / (upper - lower)
}
