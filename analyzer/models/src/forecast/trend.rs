//! Robust level and slope with a seasonal profile.

use crate::stats::median;

/// Periods that the profile is made of: enough for a median, recent enough to follow a change of habit.
const PROFILE_PERIODS: usize = 6;
/// The newest values' distance from the profile fades by this factor a step.
const GAP_FADES: f64 = 0.95;
/// The slope fades by this factor a period (or a step, without a season).
const SLOPE_DAMPED: f64 = 0.9;
/// Values that a slope without a season is taken from.
const SLOPE_VALUES: usize = 60;

/// Level + damped slope + median profile, starting from the last value and fading to the profile.
pub(super) fn predict(history: &[f64], horizon: usize, season: Option<usize>) -> Vec<f64> {
    match season {
        Some(m) if history.len() >= 3 * m => seasonal(history, horizon, m),
        _ => plain(history, horizon),
    }
}

fn seasonal(history: &[f64], horizon: usize, m: usize) -> Vec<f64> {
    let periods = (history.len() / m).min(PROFILE_PERIODS);
    let recent = &history[history.len() - periods * m..];
    let levels: Vec<f64> = recent.chunks_exact(m).map(|p| p.iter().sum::<f64>() / m as f64).collect();
    let profile: Vec<f64> = (0..m)
        .map(|phase| {
            let same: Vec<f64> = levels.iter().enumerate().map(|(k, level)| recent[k * m + phase] - level).collect();
            median(&same).unwrap_or(0.0)
        })
        .collect();
    let level = levels.last().copied().unwrap_or(0.0);
    let slope = theil_sen(&levels);
    let gap = median(
        &(0..m.min(3)).map(|back| recent[recent.len() - 1 - back] - level - profile[m - 1 - back]).collect::<Vec<_>>(),
    )
    .unwrap_or(0.0);
    (0..horizon)
        .map(|step| {
            let ahead = (step / m + 1) as f64;
            let drift = slope * 0.5 * (1.0 - SLOPE_DAMPED.powf(ahead)) / (1.0 - SLOPE_DAMPED);
            level + drift + profile[step % m] + gap * GAP_FADES.powf((step + 1) as f64)
        })
        .collect()
}

fn plain(history: &[f64], horizon: usize) -> Vec<f64> {
    let recent = &history[history.len().saturating_sub(SLOPE_VALUES)..];
    let last = history.last().copied().unwrap_or(0.0);
    let level = 0.5 * last + 0.5 * median(&recent[recent.len().saturating_sub(5)..]).unwrap_or(last);
    let slope = theil_sen(recent);
    let mut drift = 0.0;
    let mut damping = 1.0;
    (0..horizon)
        .map(|_| {
            damping *= 0.97;
            drift += slope * damping;
            level + drift
        })
        .collect()
}

/// Median of the slopes of all pairs. The lists are short (at most [`SLOPE_VALUES`]).
fn theil_sen(values: &[f64]) -> f64 {
    let mut slopes = Vec::with_capacity(values.len() * values.len() / 2);
    for (index, value) in values.iter().enumerate() {
        for (distance, later) in values[index + 1..].iter().enumerate() {
            slopes.push((later - value) / (distance + 1) as f64);
        }
    }
    median(&slopes).unwrap_or(0.0)
}
