//! How long a period is: autocorrelation by FFT.

use realfft::RealFftPlanner;

use crate::stats::{fill_gaps, median, quantile_sorted, sorted_finite};

/// A period counts only when the autocorrelation at its lag is at least this.
const ACF_MIN: f64 = 0.3;
/// The autocorrelation must have dipped this far below the peak before it, or the "period" is only slowness.
const DIP_MIN: f64 = 0.15;
/// Of several good lags the shortest one this close to the best is the period; the others are its multiples.
const NEAR_BEST: f64 = 0.85;
/// Longest history looked at: two months of five-minute steps. Older values say little about today's period.
const VALUES_MAX: usize = 17_280;
/// Fewest periods of data behind a detected season: with fewer, any slow wave looks periodic.
const PERIODS_MIN: usize = 3;

/// Periods (in steps) that the values repeat with, the strongest first, at most `limit`; empty when none is convincing.
///
/// Gaps are filled, outliers pulled in and a linear trend taken out first. After each period found its profile is
/// subtracted and the rest is searched again, so that a week is found beside a day.
pub fn detect_seasons(values: &[f64], limit: usize) -> Vec<usize> {
    let tail = &values[values.len().saturating_sub(VALUES_MAX)..];
    let mut found: Vec<usize> = Vec::new();
    if tail.len() < 12 || tail.iter().filter(|v| v.is_finite()).count() * 2 < tail.len() {
        return found;
    }
    let Some(filled) = fill_gaps(tail) else { return found };
    let Some(mut rest) = without_trend_and_outliers(&filled) else { return found };
    while found.len() < limit {
        let Some(period) = strongest_period(&rest) else { break };
        if found.contains(&period) {
            break;
        }
        subtract_profile(&mut rest, period);
        found.push(period);
    }
    found
}

/// The values on a scale of their own spread, clipped at ±5, a straight line taken out; `None` for a constant.
fn without_trend_and_outliers(values: &[f64]) -> Option<Vec<f64>> {
    let sorted = sorted_finite(values);
    let center = quantile_sorted(&sorted, 0.5)?;
    let wide = quantile_sorted(&sorted, 0.95)? / 2.0 - quantile_sorted(&sorted, 0.05)? / 2.0;
    let range = sorted.last()? / 2.0 - sorted.first()? / 2.0;
    let scale = if wide > 0.0 { wide } else { range };
    if scale.partial_cmp(&(center.abs() * 1e-12)) != Some(std::cmp::Ordering::Greater) {
        return None;
    }
    let mut z: Vec<f64> = values
        .iter()
        .map(|v| (v / scale - center / scale).clamp(-5.0, 5.0))
        .map(|v| if v.is_nan() { 0.0 } else { v })
        .collect();
    let n = z.len() as f64;
    let mean_x = (n - 1.0) / 2.0;
    let mean = z.iter().sum::<f64>() / n;
    let (mut xy, mut xx) = (0.0, 0.0);
    for (index, v) in z.iter().enumerate() {
        let x = index as f64 - mean_x;
        xy += x * (v - mean);
        xx += x * x;
    }
    let slope = if xx > 0.0 { xy / xx } else { 0.0 };
    for (index, v) in z.iter_mut().enumerate() {
        *v -= mean + slope * (index as f64 - mean_x);
    }
    Some(z)
}

/// Autocorrelation at lags `0..values.len() / 2`, unbiased; empty when the values have no variance.
pub fn autocorrelation(values: &[f64]) -> Vec<f64> {
    let n = values.len();
    let size = (2 * n).next_power_of_two();
    let mean = values.iter().sum::<f64>() / n.max(1) as f64;
    let mut planner = RealFftPlanner::<f64>::new();
    let forward = planner.plan_fft_forward(size);
    let inverse = planner.plan_fft_inverse(size);
    let mut signal = forward.make_input_vec();
    for (slot, value) in signal.iter_mut().zip(values) {
        *slot = value - mean;
    }
    let mut spectrum = forward.make_output_vec();
    if forward.process(&mut signal, &mut spectrum).is_err() {
        return Vec::new();
    }
    for bin in &mut spectrum {
        bin.re = bin.re * bin.re + bin.im * bin.im;
        bin.im = 0.0;
    }
    if inverse.process(&mut spectrum, &mut signal).is_err() {
        return Vec::new();
    }
    let variance = signal[0] / n as f64;
    if variance.is_nan() || variance <= 1e-12 * size as f64 {
        return Vec::new();
    }
    (0..n / 2).map(|lag| signal[lag] / (n - lag) as f64 / variance).collect()
}

fn strongest_period(values: &[f64]) -> Option<usize> {
    let acf = autocorrelation(values);
    let lags = (values.len() / PERIODS_MIN + 1).min(acf.len());
    let mut peaks: Vec<(usize, f64)> = Vec::new();
    let mut lowest = f64::INFINITY;
    for lag in 1..lags.saturating_sub(1) {
        lowest = lowest.min(acf[lag]);
        let reach = (lag / 20).max(1);
        let from = lag.saturating_sub(reach).max(1);
        let to = (lag + reach).min(lags - 1);
        let is_peak = acf[from..=to].iter().all(|&a| a <= acf[lag]);
        if lag >= 2 && is_peak && acf[lag] >= ACF_MIN && acf[lag] - lowest >= DIP_MIN {
            peaks.push((lag, acf[lag]));
        }
    }
    let best = peaks.iter().map(|p| p.1).fold(f64::NEG_INFINITY, f64::max);
    peaks.into_iter().find(|p| p.1 >= NEAR_BEST * best).map(|p| p.0)
}

fn subtract_profile(values: &mut [f64], period: usize) {
    for phase in 0..period {
        let same: Vec<f64> = values.iter().skip(phase).step_by(period).copied().collect();
        let center = median(&same).unwrap_or(0.0);
        for value in values.iter_mut().skip(phase).step_by(period) {
            *value -= center;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(seed: u64, n: usize) -> Vec<f64> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        (0..n)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 11) as f64 / (1u64 << 53) as f64 - 0.5
            })
            .collect()
    }

    #[test]
    fn finds_a_day_and_a_week_and_nothing_in_noise() {
        let wave = |t: usize, period: f64| (t as f64 / period * std::f64::consts::TAU).sin();
        let check = |values: Vec<f64>, expect: &[usize]| {
            let got = detect_seasons(&values, 2);
            assert_eq!(got.len(), expect.len(), "{got:?} for {expect:?}");
            for (g, e) in got.iter().zip(expect) {
                assert!(g.abs_diff(*e) <= e / 50 + 1, "{got:?} for {expect:?}");
            }
        };
        let n = noise(1, 8000);
        check((0..2000).map(|t| wave(t, 288.0) * 3.0 + n[t]).collect(), &[288]);
        check((0..500).map(|t| wave(t, 24.0) + t as f64 * 0.1 + n[t] * 0.5).collect(), &[24]);
        // Five working days and a quiet weekend.
        let week = |t: usize| if (t / 24) % 7 < 5 { 4.0 } else { 0.0 };
        check((0..24 * 70).map(|t| wave(t, 24.0) * 5.0 + week(t) + n[t]).collect(), &[24, 168]);
        check(n[..2000].to_vec(), &[]);
        check(vec![7.0; 500], &[]);
        check((0..400).map(|t| t as f64).collect(), &[]);
        check(vec![1.0, 2.0], &[]);
    }
}
