//! Robust statistics: one wild value does not move them.

/// Makes a median absolute deviation comparable with a standard deviation of normally distributed values.
pub const MAD_TO_SIGMA: f64 = 1.4826;

/// The finite values, ascending.
pub fn sorted_finite(values: &[f64]) -> Vec<f64> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted
}

/// Quantile `q` (0 to 1) of ascending finite values, linear between neighbours; `None` for no values.
pub fn quantile_sorted(sorted: &[f64], q: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let position = q.clamp(0.0, 1.0) * last as f64;
    let below = position.floor();
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 <= position <= last, which is an index"
    )]
    let index = below as usize;
    let low = *sorted.get(index)?;
    let high = *sorted.get(index + 1).unwrap_or(&low);
    // Weighted halves instead of `low + (high - low)`: the difference of two finite values may overflow.
    let part = position - below;
    Some(low * (1.0 - part) + high * part)
}

/// Quantile `q` of the finite values; `None` when there is none.
pub fn quantile(values: &[f64], q: f64) -> Option<f64> {
    quantile_sorted(&sorted_finite(values), q)
}

/// Median of the finite values; `None` when there is none.
pub fn median(values: &[f64]) -> Option<f64> {
    quantile(values, 0.5)
}

/// Median absolute deviation from the median, scaled by [`MAD_TO_SIGMA`]; `None` when there is no finite value.
pub fn mad(values: &[f64]) -> Option<f64> {
    let center = median(values)?;
    let distances: Vec<f64> = values.iter().filter(|v| v.is_finite()).map(|v| (v - center).abs()).collect();
    Some((median(&distances)? * MAD_TO_SIGMA).min(f64::MAX))
}

/// How far values usually lie from their median: the larger of the scaled median absolute deviation and the scaled
/// interquartile range, so that a series that mostly stands still but often moves is not called constant.
pub fn spread(values: &[f64]) -> Option<f64> {
    let sorted = sorted_finite(values);
    let iqr = quantile_sorted(&sorted, 0.75)? - quantile_sorted(&sorted, 0.25)?;
    Some(mad(&sorted)?.max(iqr / 1.349).min(f64::MAX))
}

/// Fills gaps (values that are not finite): between neighbours linearly, at the ends with the nearest value. `None` when
/// there is nothing to fill from.
pub fn fill_gaps(values: &[f64]) -> Option<Vec<f64>> {
    let mut filled = values.to_vec();
    let mut previous: Option<usize> = None;
    for index in 0..filled.len() {
        if !filled[index].is_finite() {
            continue;
        }
        match previous {
            None => {
                let first = filled[index];
                filled[..index].fill(first);
            }
            Some(from) => {
                let (low, high, steps) = (filled[from], filled[index], (index - from) as f64);
                for (offset, value) in filled[from + 1..index].iter_mut().enumerate() {
                    let part = (offset + 1) as f64 / steps;
                    *value = low * (1.0 - part) + high * part;
                }
            }
        }
        previous = Some(index);
    }
    let last = previous?;
    let value = filled[last];
    filled[last..].fill(value);
    Some(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wild_value_does_not_move_them() {
        let values = [1.0, 2.0, f64::NAN, 3.0, 1e12, 2.0];
        assert_eq!(median(&values), Some(2.0));
        assert_eq!(mad(&values), Some(MAD_TO_SIGMA));
        assert_eq!(quantile(&[0.0, 10.0], 0.25), Some(2.5));
        assert_eq!(median(&[f64::NAN]), None);
        assert_eq!(spread(&[5.0; 9]), Some(0.0));
    }

    #[test]
    fn gaps_are_filled_from_what_is_near() {
        let nan = f64::NAN;
        assert_eq!(fill_gaps(&[nan, 1.0, nan, 3.0, nan]), Some(vec![1.0, 1.0, 2.0, 3.0, 3.0]));
        assert_eq!(fill_gaps(&[nan, nan]), None);
        assert_eq!(fill_gaps(&[]), None);
    }
}
