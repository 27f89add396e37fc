//! What comes next, with intervals.
//!
//! Several simple methods run against each other over the end of the history (rolling origins, each forecast with what was
//! known then). Those that do best, and better than repeating the last value, are blended; the errors of that blend at the
//! same distance give the intervals. A short history gets the last value with a wide interval.

mod backtest;
mod holt_winters;
mod naive;
mod ridge;
mod trend;

use serde::{Deserialize, Serialize};

use crate::season::detect_seasons;
use crate::stats::{fill_gaps, median, spread};
use backtest::Backtest;

/// Longest history used; older values are dropped. Five weeks of five-minute steps: enough for the season of a week.
pub const HISTORY_MAX: usize = 10_080;
/// Longest horizon, in steps.
pub const HORIZON_MAX: usize = 2_016;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ForecastOptions {
    /// Steps ahead, at most [`HORIZON_MAX`].
    pub horizon: usize,
    /// The period in steps; `None` to have it detected.
    pub season: Option<usize>,
}

/// A way to forecast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// The last value again.
    Naive,
    /// The value one period ago.
    SeasonalNaive,
    /// Robust level and damped slope, with the median profile of recent periods.
    Trend,
    /// Additive exponential smoothing of level, damped trend and season.
    HoltWinters,
    /// Ridge regression on lags, Fourier terms and time.
    Ridge,
}

impl Method {
    /// All methods, the simplest first.
    pub const ALL: [Self; 5] = [Self::Naive, Self::SeasonalNaive, Self::Trend, Self::HoltWinters, Self::Ridge];

    /// The word in labels and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Naive => "naive",
            Self::SeasonalNaive => "seasonal_naive",
            Self::Trend => "trend",
            Self::HoltWinters => "holt_winters",
            Self::Ridge => "ridge",
        }
    }
}

/// A forecast: every list has one finite value per step ahead, and `lower95 <= lower80 <= mean <= upper80 <= upper95`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    /// The blended methods with their weights, which sum to 1.
    pub methods: Vec<(Method, f64)>,
    /// The period used, in steps.
    pub season: Option<usize>,
    /// Mean absolute error over the rolling origins, relative to repeating the last value (1: no better); `None` when the
    /// history is too short to try.
    pub relative_error: Option<f64>,
    /// The expected values.
    pub mean: Vec<f64>,
    /// With 80 % between this …
    pub lower80: Vec<f64>,
    /// … and this.
    pub upper80: Vec<f64>,
    /// With 95 % between this …
    pub lower95: Vec<f64>,
    /// … and this.
    pub upper95: Vec<f64>,
}

/// A fitted method: predicts from any history of the same series.
#[derive(Debug, Clone)]
enum Fitted {
    Naive,
    SeasonalNaive(usize),
    Trend(Option<usize>),
    HoltWinters(holt_winters::HoltWinters),
    Ridge(ridge::Ridge),
}

impl Fitted {
    /// Fits a method, or `None` when the history is too short for it.
    fn fit(method: Method, history: &[f64], season: Option<usize>) -> Option<Self> {
        match method {
            Method::Naive => Some(Self::Naive),
            Method::SeasonalNaive => season.filter(|&m| history.len() >= 2 * m).map(Self::SeasonalNaive),
            Method::Trend => (history.len() >= 8).then_some(Self::Trend(season.filter(|&m| history.len() >= 3 * m))),
            Method::HoltWinters => holt_winters::HoltWinters::fit(history, season).map(Self::HoltWinters),
            Method::Ridge => ridge::Ridge::fit(history, season).map(Self::Ridge),
        }
    }

    fn predict(&self, history: &[f64], horizon: usize) -> Vec<f64> {
        match self {
            Self::Naive => naive::naive(history, horizon),
            Self::SeasonalNaive(season) => naive::seasonal(history, horizon, *season),
            Self::Trend(season) => trend::predict(history, horizon, *season),
            Self::HoltWinters(fitted) => fitted.predict(history, horizon),
            Self::Ridge(fitted) => fitted.predict(history, horizon),
        }
    }
}

/// Forecasts the steps after equally spaced values. Gaps are NaN and are filled; when the history is nowhere negative, the
/// forecast is not either.
///
/// `None` when the horizon is 0 or no value is known.
pub fn forecast(values: &[f64], options: ForecastOptions) -> Option<Forecast> {
    let horizon = options.horizon.min(HORIZON_MAX);
    let known = values.iter().position(|v| v.is_finite())?;
    let history = &values[known.max(values.len().saturating_sub(HISTORY_MAX))..];
    let filled = fill_gaps(history)?;
    if horizon == 0 {
        return None;
    }
    let season = options
        .season
        .or_else(|| detect_seasons(&filled, 1).first().copied())
        .filter(|&m| m >= 2 && filled.len() >= 2 * m);
    let scale = Scale::of(&filled);
    let z: Vec<f64> = filled.iter().map(|&v| scale.to_z(v)).collect();
    let known = history.iter().filter(|v| v.is_finite()).count();
    let backtest = Backtest::run(&z, horizon, season).filter(|_| known * 2 >= history.len());
    let (blend, width, relative_error) = match &backtest {
        Some(tested) => (tested.blend(), tested.widths(horizon), Some(tested.relative_error())),
        None => (vec![(Method::Naive, 1.0)], backtest::naive_widths(&z, scale.level_z(&filled), horizon), None),
    };
    let mean = blended(&blend, &z, horizon, season);
    let non_negative = filled.iter().all(|&v| v >= 0.0);
    let bound = |z: f64| {
        let value = scale.back(z);
        if non_negative { value.max(0.0) } else { value }
    };
    let shifted = |by: fn(&backtest::Width) -> f64| -> Vec<f64> {
        mean.iter().zip(&width).map(|(m, w)| bound(m + by(w))).collect()
    };
    Some(Forecast {
        season,
        relative_error,
        lower80: shifted(|w| -w.below80),
        upper80: shifted(|w| w.above80),
        lower95: shifted(|w| -w.below95),
        upper95: shifted(|w| w.above95),
        mean: mean.iter().map(|&m| bound(m)).collect(),
        methods: blend,
    })
}

fn blended(blend: &[(Method, f64)], z: &[f64], horizon: usize, season: Option<usize>) -> Vec<f64> {
    let mut mean = vec![0.0; horizon];
    let mut total = 0.0;
    for &(method, weight) in blend {
        if let Some(fitted) = Fitted::fit(method, z, season) {
            for (slot, value) in mean.iter_mut().zip(bounded(fitted.predict(z, horizon), z)) {
                *slot += weight * value;
            }
            total += weight;
        }
    }
    mean.iter().map(|m| m / total).collect()
}

/// No method may run farther from what was ever seen than half its range.
fn bounded(mut predicted: Vec<f64>, history: &[f64]) -> Vec<f64> {
    let high = history.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let low = history.iter().copied().fold(f64::INFINITY, f64::min);
    let room = 0.5 * (high - low);
    let last = history.last().copied().unwrap_or(0.0);
    for value in &mut predicted {
        *value = if value.is_finite() { value.clamp(low - room, high + room) } else { last };
    }
    predicted
}

/// Puts values on a scale of their own, so that fits are well conditioned whatever the unit.
#[derive(Debug, Clone, Copy)]
struct Scale {
    center: f64,
    unit: f64,
}

impl Scale {
    fn of(values: &[f64]) -> Self {
        let center = median(values).unwrap_or(0.0);
        let range = values.iter().map(|v| (v / 2.0 - center / 2.0).abs()).fold(0.0, f64::max);
        let usual = spread(values).unwrap_or(0.0);
        // The usual spread, unless outliers are so far out that squares of them would swamp everything.
        let unit = usual.max(range / 50.0).max(center.abs() * 1e-9).clamp(f64::MIN_POSITIVE * 1e20, f64::MAX);
        Self { center, unit }
    }

    fn to_z(self, value: f64) -> f64 {
        value / self.unit - self.center / self.unit
    }

    fn back(self, z: f64) -> f64 {
        (z * self.unit + self.center).clamp(-f64::MAX, f64::MAX)
    }

    /// The level of the values in units of their spread: what a wide guess is measured by when there is nothing else.
    fn level_z(self, values: &[f64]) -> f64 {
        values.last().map_or(0.0, |v| (v / self.unit).abs())
    }
}

#[cfg(test)]
mod tests;
