//! One watched series: its recent values, its season, its forecast.

use models::{AnomalyScore, Forecast, ForecastOptions, anomaly_score, detect_seasons, forecast};
use vocab::TimestampMs;

use crate::config::WatchConfig;

/// A detected season is looked for again after so many steps.
const SEASON_STEPS: usize = 360;
/// A forecast is used for so long before it is made anew, in milliseconds.
const FORECAST_FRESH_MS: i64 = 300_000;
/// Fewest known values before anything is forecast: from fewer, only width could be said.
const KNOWN_MIN: usize = 10;

/// Values at equal steps up to the watch's newest one, NaN where unknown.
#[derive(Debug, Default)]
pub(super) struct WatchedSeries {
    values: Vec<f64>,
    season: Option<usize>,
    steps_since_season: Option<usize>,
    forecast: Option<(TimestampMs, Forecast)>,
}

impl WatchedSeries {
    pub(super) fn values(&self) -> &[f64] {
        &self.values
    }

    /// Adds the newest values and forgets the oldest beyond `keep`. The values of all series of a watch end at the same step,
    /// so a series that begins later is simply shorter.
    pub(super) fn extend(&mut self, newest: &[f64], keep: usize) {
        if self.values.is_empty() {
            let first = newest.iter().position(|v| v.is_finite()).unwrap_or(newest.len());
            self.values.extend_from_slice(&newest[first..]);
        } else {
            self.values.extend_from_slice(newest);
        }
        let over = self.values.len().saturating_sub(keep);
        self.values.drain(..over);
        if let Some(steps) = &mut self.steps_since_season {
            *steps += newest.len();
        }
    }

    /// Whether nothing is known any more.
    pub(super) fn is_unknown(&self) -> bool {
        !self.values.iter().any(|v| v.is_finite())
    }

    /// The season in steps: as configured, else as detected some time ago.
    fn season(&mut self, watch: &WatchConfig) -> Option<usize> {
        if let Some(season) = watch.season {
            let steps = season.as_millis() / watch.step.as_millis().max(1);
            return usize::try_from(steps).ok();
        }
        if self.steps_since_season.is_none_or(|steps| steps >= SEASON_STEPS) {
            self.season = detect_seasons(&self.values, 1).first().copied();
            self.steps_since_season = Some(0);
        }
        self.season
    }

    /// How unusual the newest value is.
    pub(super) fn score(&mut self, watch: &WatchConfig) -> Option<AnomalyScore> {
        let season = self.season(watch);
        anomaly_score(&self.values, season)
    }

    /// The forecast for `end_ms` + horizon, by the name of the quantile, and how good it was lately.
    #[allow(clippy::type_complexity, reason = "five named numbers and one more; a struct would be used once")]
    pub(super) fn forecast(
        &mut self,
        watch: &WatchConfig,
        end_ms: TimestampMs,
    ) -> Option<([(&'static str, f64); 5], Option<f64>)> {
        let step_ms = i64::try_from(watch.step.as_millis()).ok()?.max(1);
        let ahead = i64::try_from(watch.horizon.as_millis()).ok()? / step_ms;
        if ahead == 0 || self.values.iter().filter(|v| v.is_finite()).count() < KNOWN_MIN {
            return None;
        }
        if self
            .forecast
            .as_ref()
            .is_none_or(|(made, _)| end_ms - made >= FORECAST_FRESH_MS.max(step_ms) || end_ms < *made)
        {
            let reserve = FORECAST_FRESH_MS / step_ms + 1;
            let horizon = usize::try_from(ahead + reserve).ok()?;
            let season = self.season(watch);
            self.forecast = forecast(&self.values, ForecastOptions { horizon, season }).map(|f| (end_ms, f));
        }
        let (made, forecast) = self.forecast.as_ref()?;
        let index = usize::try_from((end_ms - made) / step_ms + ahead - 1).ok()?;
        let at = |list: &[f64]| list.get(index).copied();
        Some((
            [
                ("mean", at(&forecast.mean)?),
                ("lower80", at(&forecast.lower80)?),
                ("upper80", at(&forecast.upper80)?),
                ("lower95", at(&forecast.lower95)?),
                ("upper95", at(&forecast.upper95)?),
            ],
            forecast.relative_error,
        ))
    }
}
