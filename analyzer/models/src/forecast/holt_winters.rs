//! Additive exponential smoothing of level, damped trend and season.

use crate::stats::median;

/// How fast the level follows.
const ALPHAS: [f64; 5] = [0.05, 0.15, 0.3, 0.6, 0.9];
/// How fast the trend follows.
const BETAS: [f64; 3] = [0.0, 0.02, 0.1];
/// How fast the season follows.
const GAMMAS: [f64; 3] = [0.05, 0.2, 0.5];
/// The trend fades by this factor a step.
const PHI: f64 = 0.97;
/// Values that the parameters are fitted on: the end of the history decides.
const FIT_VALUES_MAX: usize = 3_000;

/// Smoothing constants found by least absolute one-step error.
#[derive(Debug, Clone, Copy)]
pub(super) struct HoltWinters {
    alpha: f64,
    beta: f64,
    gamma: f64,
    season: Option<usize>,
}

impl HoltWinters {
    /// Tries a grid of constants; `None` when the history is too short.
    pub(super) fn fit(history: &[f64], season: Option<usize>) -> Option<Self> {
        let season = season.filter(|&m| history.len() >= 3 * m);
        if history.len() < 10 {
            return None;
        }
        let keep = FIT_VALUES_MAX.max(season.map_or(0, |m| 4 * m));
        let recent = &history[history.len().saturating_sub(keep)..];
        let gammas: &[f64] = if season.is_some() { &GAMMAS } else { &[0.0] };
        let mut best: Option<(f64, Self)> = None;
        for alpha in ALPHAS {
            for beta in BETAS {
                for &gamma in gammas {
                    let tried = Self { alpha, beta, gamma, season };
                    let error = tried.smooth(recent).error;
                    if best.as_ref().is_none_or(|b| error < b.0) {
                        best = Some((error, tried));
                    }
                }
            }
        }
        best.map(|b| b.1)
    }

    /// Smooths the history and runs it on.
    pub(super) fn predict(&self, history: &[f64], horizon: usize) -> Vec<f64> {
        let end = self.smooth(history);
        let mut drift = 0.0;
        let mut damping = 1.0;
        (0..horizon)
            .map(|step| {
                damping *= PHI;
                drift += end.trend * damping;
                let seasonal = match self.season {
                    Some(m) => end.profile.get((history.len() + step) % m).copied().unwrap_or(0.0),
                    None => 0.0,
                };
                end.level + drift + seasonal
            })
            .collect()
    }

    fn smooth(&self, history: &[f64]) -> Smoothed {
        let start = self.season.unwrap_or(1).min(history.len());
        let first = &history[..start];
        let mut level = median(first).unwrap_or(0.0);
        let mut profile: Vec<f64> =
            if self.season.is_some() { first.iter().map(|v| v - level).collect() } else { Vec::new() };
        let mut trend = 0.0;
        let mut errors = 0.0;
        for (index, &value) in history.iter().enumerate().skip(start) {
            let phase = self.season.map(|m| index % m);
            let seasonal = phase.and_then(|p| profile.get(p)).copied().unwrap_or(0.0);
            let expected = level + PHI * trend;
            let error = value - expected - seasonal;
            errors += error.abs();
            let before = level;
            level = expected + self.alpha * error;
            trend = PHI * trend + self.beta * (level - before - PHI * trend);
            if let Some(slot) = phase.and_then(|p| profile.get_mut(p)) {
                *slot += self.gamma * (1.0 - self.alpha) * error;
            }
        }
        Smoothed { level, trend, profile, error: errors }
    }
}

struct Smoothed {
    level: f64,
    trend: f64,
    profile: Vec<f64>,
    error: f64,
}
