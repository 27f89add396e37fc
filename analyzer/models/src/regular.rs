//! Samples at their own times to equally spaced values.

use crate::forecast::{HISTORY_MAX, HORIZON_MAX};

/// Equally spaced values that end at the newest sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Regular {
    /// Distance of the values in milliseconds; at least 1.
    pub step_ms: i64,
    /// Time of the last value.
    pub end_ms: i64,
    /// The values, oldest first; NaN where no sample lies near.
    pub values: Vec<f64>,
}

impl Regular {
    /// How many steps a duration is, rounded.
    pub fn steps(&self, duration_ms: i64) -> usize {
        let rounded = duration_ms.saturating_add(self.step_ms / 2) / self.step_ms;
        usize::try_from(rounded).unwrap_or(0)
    }
}

/// Puts samples (ascending by time) on a grid as fine as they usually are: its step is the median distance of neighbours, a
/// sample goes to the nearest place of the grid, and of two at one place the newer one counts.
///
/// Where that would give more than [`HISTORY_MAX`] values, or more than [`HORIZON_MAX`] steps up to `horizon_ms` ahead, the
/// step is a multiple of it and a value the mean of the samples within its step. `None` for fewer than two samples.
pub fn regular(timestamps: &[i64], values: &[f64], horizon_ms: i64) -> Option<Regular> {
    let (&first, &end_ms) = (timestamps.first()?, timestamps.last()?);
    let mut gaps: Vec<i64> = timestamps.windows(2).map(|w| w[1].saturating_sub(w[0]).max(1)).collect();
    if gaps.is_empty() {
        return None;
    }
    let middle = (gaps.len() - 1) / 2;
    let usual = *gaps.select_nth_unstable(middle).1;
    let span = end_ms.saturating_sub(first).max(0);
    let most = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let factor = times_over(span / usual + 1, most(HISTORY_MAX))
        .max(times_over(horizon_ms.max(0) / usual + 1, most(HORIZON_MAX)));
    let step_ms = usual.saturating_mul(factor);
    let nearest = if factor == 1 { step_ms / 2 } else { 0 };
    let place = |time: i64| usize::try_from(end_ms.saturating_sub(time).saturating_add(nearest) / step_ms).ok();
    let length = place(first)? + 1;
    let mut grid = vec![f64::NAN; length];
    let mut counts = vec![0u32; if factor == 1 { 0 } else { length }];
    for (time, value) in timestamps.iter().zip(values).filter(|(_, v)| v.is_finite()) {
        let Some(slot) = place(*time).and_then(|back| length.checked_sub(back + 1)) else { continue };
        match counts.get_mut(slot) {
            None | Some(0) => grid[slot] = *value,
            // A running mean: the sum of finite values may overflow.
            Some(count) => grid[slot] += value / f64::from(*count + 1) - grid[slot] / f64::from(*count + 1),
        }
        if let Some(count) = counts.get_mut(slot) {
            *count += 1;
        }
    }
    Some(Regular { step_ms, end_ms, values: grid })
}

/// The smallest whole number that brings `count` down to `most`.
fn times_over(count: i64, most: i64) -> i64 {
    count / most + i64::from(count % most != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(samples: &[(i64, f64)], horizon_ms: i64, step_ms: i64, expect: &[f64]) {
        let (times, values): (Vec<i64>, Vec<f64>) = samples.iter().copied().unzip();
        let got = regular(&times, &values, horizon_ms).unwrap();
        assert_eq!((got.step_ms, got.end_ms), (step_ms, *times.last().unwrap()), "{samples:?}");
        assert_eq!(got.values.len(), expect.len(), "{:?}", got.values);
        for (got, expect) in got.values.iter().zip(expect) {
            assert!((got.is_nan() && expect.is_nan()) || (got - expect).abs() < 1e-12, "{got} {expect}");
        }
    }

    #[test]
    fn samples_fall_on_a_grid_that_ends_with_them() {
        let nan = f64::NAN;
        check(&[(0, 1.0), (10, 2.0), (20, 3.0)], 0, 10, &[1.0, 2.0, 3.0]);
        check(&[(0, 1.0), (11, 2.0), (19, 3.0), (30, 4.0)], 0, 11, &[1.0, 2.0, 3.0, 4.0]);
        check(&[(0, 1.0), (10, 2.0), (40, 3.0), (50, 4.0)], 0, 10, &[1.0, 2.0, nan, nan, 3.0, 4.0]);
        check(&[(0, 1.0), (10, 2.0), (13, 9.0), (20, 3.0), (30, 4.0), (40, nan)], 0, 10, &[1.0, 9.0, 3.0, 4.0, nan]);
        assert_eq!(regular(&[7], &[1.0], 0), None);
        assert_eq!(regular(&[], &[], 0), None);
    }

    #[test]
    fn a_long_history_or_horizon_makes_the_step_coarser() {
        let n = i64::try_from(HISTORY_MAX).unwrap() * 2;
        let times: Vec<i64> = (0..n).map(|i| i * 1000).collect();
        let values: Vec<f64> = (0..n).map(|i| i as f64).collect();
        let got = regular(&times, &values, 0).unwrap();
        assert_eq!((got.step_ms, got.values.len()), (2000, HISTORY_MAX));
        assert_eq!(got.values[0], 0.5);
        let horizon = i64::try_from(HORIZON_MAX).unwrap() * 3000;
        let got = regular(&times[..100], &values[..100], horizon).unwrap();
        assert!((horizon / got.step_ms) as usize <= HORIZON_MAX, "{}", got.step_ms);
        assert_eq!(got.steps(8_000), 2);
        let apart = regular(&[i64::MIN, -5, 0, 5, i64::MAX], &[1.0; 5], i64::MAX).unwrap();
        assert!(apart.values.len() <= HISTORY_MAX + 1, "{}", apart.values.len());
    }
}
