//! `forecast` and `anomaly_score`: the analyzer's models inside a query.

use models::{ForecastOptions, Regular, anomaly_score, detect_seasons, forecast, regular};
use vocab::ports::query::StepGrid;
use vocab::sample::SeriesData;
use vocab::{ErrorKind, Labels};

use super::select::Windows;
use super::{Evaluator, Matrix};
use crate::annotations::Note;
use crate::ast::{Call, Expr, RangeEdge};
use crate::error::QueryError;
use crate::functions::range::{Marks, Window};
use crate::number::format_g;
use crate::value::{Reserved, SampleValue, Series, Value, Vector};

/// Fewest known values for a forecast: from fewer, only its width could be said.
const FORECAST_VALUES_MIN: usize = 10;
/// Fewest known values for a score: twelve to compare with and the one that is judged.
const ANOMALY_VALUES_MIN: usize = 13;
/// Shortest seasons, in steps, that the models make use of.
const FORECAST_SEASON_MIN: usize = 2;
const ANOMALY_SEASON_MIN: usize = 4;
/// Most values that the models of one call look at, over all series and steps: about a minute of work.
const VALUES_MAX: u64 = 4_000_000;
/// What an evaluation costs beyond its values, in values.
const VALUES_PER_EVALUATION: u64 = 100;

/// One call at one step.
#[derive(Debug, Clone, Copy)]
struct Asked {
    /// How far ahead of the evaluation time a forecast is wanted; `None` for an anomaly score.
    horizon_ms: Option<i64>,
    /// The period, 0 to have it detected.
    season_ms: i64,
}

impl Asked {
    fn name(self) -> &'static str {
        if self.horizon_ms.is_some() { "forecast" } else { "anomaly_score" }
    }

    fn values_min(self) -> usize {
        if self.horizon_ms.is_some() { FORECAST_VALUES_MIN } else { ANOMALY_VALUES_MIN }
    }

    /// Milliseconds from the newest sample to the time that is asked about.
    fn ahead_ms(self, window: &Window<'_>) -> i64 {
        let newest = window.timestamps.last().copied().unwrap_or(window.end_ms);
        self.horizon_ms.map_or(0, |h| window.eval_ms.saturating_add(h).saturating_sub(newest))
    }

    /// The model's value for equally spaced values.
    fn value(self, history: &Regular, ahead_ms: i64, labels: &Labels, notes: &mut Vec<Note>) -> Option<f64> {
        let values = &history.values;
        if values.iter().filter(|v| v.is_finite()).count() < self.values_min() {
            notes.push(Note::too_few_samples(self.name(), self.values_min(), labels));
            return None;
        }
        let season = (self.season_ms > 0).then(|| history.steps(self.season_ms));
        let shortest = if self.horizon_ms.is_some() { FORECAST_SEASON_MIN } else { ANOMALY_SEASON_MIN };
        if season.is_some_and(|m| m < shortest || m > values.len() / 2) {
            notes.push(Note::unusable_season(self.name(), labels));
        }
        if self.horizon_ms.is_none() {
            let season = season.or_else(|| detect_seasons(values, 1).first().copied());
            return anomaly_score(values, season).map(|s| s.score);
        }
        let newest = values.iter().rev().find(|v| v.is_finite()).copied()?;
        let steps = (ahead_ms as f64 / history.step_ms as f64).max(0.0);
        if steps == 0.0 {
            return Some(newest);
        }
        let made = forecast(values, ForecastOptions { horizon: steps.ceil() as usize, season })?;
        // Between two steps the value lies between theirs; step 0 is the newest sample.
        let at = |step: usize| step.checked_sub(1).map_or(Some(newest), |i| made.mean.get(i).copied());
        let (before, after, part) = (at(steps.floor() as usize)?, at(steps.ceil() as usize)?, steps.fract());
        Some(before * (1.0 - part) + after * part)
    }
}

impl Evaluator<'_> {
    pub(super) fn model(&self, call: &Call, grid: &StepGrid) -> Result<Value, QueryError> {
        let asked = self.asked(call, grid)?;
        let arg = &call.args[0];
        if let Expr::Matrix(matrix) = arg.unwrap_parens()
            && matrix.selector.edge != RangeEdge::Plain
        {
            return Err(super::extended::unfit_modifier(call, matrix.selector.edge == RangeEdge::Smoothed));
        }
        let matrix = self.matrix(arg, grid)?;
        let span = arg.span();
        let mut reserved = Reserved::new(&self.ctx.memory);
        let (mut out, mut notes, mut work) = (Vec::new(), Vec::new(), 0);
        if matrix.series.iter().map(|s| least_work(&s.data, &matrix, grid)).sum::<u64>() > VALUES_MAX {
            return Err(too_much(call));
        }
        for series in &matrix.series {
            let labels = &series.data.labels;
            let mut column = Series::empty(labels.clone(), true, grid.num_steps());
            let mut windows = Windows::new(&series.data, Marks::None);
            let mut scored: Option<((usize, usize, i64), Option<f64>)> = None;
            for (step, time) in grid.times().enumerate() {
                self.ctx.cancel.check()?;
                let asked = asked[step];
                let end = matrix.timing.reference(time);
                let window = windows.window(end.saturating_sub(matrix.range_ms), end, time);
                if window.values.is_empty() {
                    continue;
                }
                if !window.histograms.is_empty() {
                    notes.push(Note::histogram_ignored_in_mixed_range(labels));
                }
                // A score depends on the window only, which may be the same at many steps.
                let key = (window.first_index, window.values.len(), asked.season_ms);
                let value = match scored {
                    Some((same, value)) if same == key && asked.horizon_ms.is_none() => value,
                    _ => {
                        let ahead_ms = asked.ahead_ms(&window);
                        let history = regular(window.timestamps, window.values, ahead_ms);
                        let steps = history.as_ref().map_or(0, |h| h.values.len() + h.steps(ahead_ms.max(0)));
                        work += VALUES_PER_EVALUATION + steps as u64;
                        if work > VALUES_MAX {
                            return Err(too_much(call));
                        }
                        match &history {
                            Some(history) => asked.value(history, ahead_ms, labels, &mut notes),
                            None => {
                                notes.push(Note::too_few_samples(asked.name(), asked.values_min(), labels));
                                None
                            }
                        }
                    }
                };
                scored = Some((key, value));
                if let Some(value) = value {
                    column.set(step, SampleValue::Float(value));
                }
                self.notes(&mut notes, &span);
            }
            if !column.is_empty() {
                reserved.grow(column.heap_bytes())?;
                out.push(column);
            }
        }
        Ok(Value::Vector(Vector::reserved(out, reserved)))
    }

    /// Horizon and season at every step.
    fn asked(&self, call: &Call, grid: &StepGrid) -> Result<Vec<Asked>, QueryError> {
        let is_forecast = call.function.name == "forecast";
        let column = |index: usize| call.args.get(index).map(|arg| self.eval_scalar(arg, grid)).transpose();
        let horizons = if is_forecast { column(1)? } else { None };
        let seasons = column(if is_forecast { 2 } else { 1 })?;
        let milliseconds = |what: &str, column: &Option<Vec<f64>>, step: usize| -> Result<Option<i64>, QueryError> {
            let Some(seconds) = column.as_ref().and_then(|c| c.get(step)).copied() else { return Ok(None) };
            if seconds.is_finite() && seconds >= 0.0 {
                return Ok(Some((seconds * 1000.0).round() as i64));
            }
            let message =
                format!("{what} of {} must be 0 or more seconds, got {}", call.function.name, format_g(seconds));
            Err(QueryError::execution(message).at(&call.span))
        };
        (0..grid.num_steps())
            .map(|step| {
                Ok(Asked {
                    horizon_ms: milliseconds("horizon", &horizons, step)?,
                    season_ms: milliseconds("season", &seasons, step)?.unwrap_or(0),
                })
            })
            .collect()
    }
}

/// What a series costs if it has no holes: told before any of the work is done.
fn least_work(data: &SeriesData, matrix: &Matrix, grid: &StepGrid) -> u64 {
    let mut windows = Windows::new(data, Marks::None);
    let mut seen = None;
    let mut work = 0;
    for time in grid.times() {
        let end = matrix.timing.reference(time);
        let window = windows.window(end.saturating_sub(matrix.range_ms), end, time);
        let range = (window.first_index, window.values.len());
        if !window.values.is_empty() && seen != Some(range) {
            work += VALUES_PER_EVALUATION + window.values.len().min(models::forecast::HISTORY_MAX) as u64;
        }
        seen = Some(range);
    }
    work
}

fn too_much(call: &Call) -> QueryError {
    let message = format!(
        "{} would look at more than {VALUES_MAX} values over all series and steps; select fewer series, a shorter range or \
         fewer steps",
        call.function.name
    );
    QueryError::new(ErrorKind::Limit, message).at(&call.span)
}
