//! The forecasts that every other one has to beat.

/// The last value again.
pub(super) fn naive(history: &[f64], horizon: usize) -> Vec<f64> {
    vec![history.last().copied().unwrap_or(0.0); horizon]
}

/// The values of the last period again. The history has at least one period.
pub(super) fn seasonal(history: &[f64], horizon: usize, season: usize) -> Vec<f64> {
    let period = &history[history.len().saturating_sub(season)..];
    period.iter().copied().cycle().take(horizon).collect()
}
