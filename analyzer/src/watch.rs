//! Anomaly scores and forecasts of the watched series, written back as series.
//!
//! Each round reads only what is new since the last one; history is kept per series, bounded, and read again when it is
//! missing. Forecasts are made anew every few minutes and read off in between.

mod series;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use vocab::labels::METRIC_NAME;
use vocab::ports::WriteBatch;
use vocab::ports::append::Origin;
use vocab::ports::query::StepGrid;
use vocab::{Labels, LabelsBuilder, STALE_NAN, TimestampMs};

use crate::config::{AnalysisConfig, WatchConfig};
use crate::deps::Shared;
use crate::error::RuleError;
use crate::evaluate::RangeSeries;
use series::WatchedSeries;

/// The series of scores: 0 normal, 3.5 and more unusual, 100 the most.
pub const SCORE: &str = "tidewatch_anomaly_score";
/// The series of forecasts, by `quantile` and `horizon`.
pub const FORECAST: &str = "tidewatch_forecast";
/// The series of how good forecasts were lately: mean absolute error relative to repeating the last value.
pub const FORECAST_ERROR: &str = "tidewatch_forecast_relative_error";

/// Most series of one watch.
const SERIES_PER_WATCH_MAX: usize = 200;
/// Most series of all watches.
const SERIES_MAX: usize = 1_000;
/// Most values kept of all series: 32 MiB.
const VALUES_MAX: usize = 4_000_000;
/// History is read anew when more steps than this are missing.
const CATCH_UP_STEPS_MAX: i64 = 240;

/// All watches and what is kept of their series.
#[derive(Debug)]
pub(crate) struct Watcher {
    shared: Arc<Shared>,
    config: AnalysisConfig,
    states: Vec<WatchState>,
    written: BTreeSet<Labels>,
}

#[derive(Debug, Default)]
struct WatchState {
    /// Time of the newest step read.
    end_ms: Option<TimestampMs>,
    series: BTreeMap<Labels, WatchedSeries>,
}

impl Watcher {
    pub(crate) fn new(shared: Arc<Shared>, config: AnalysisConfig) -> Self {
        let states = config.watch.iter().map(|_| WatchState::default()).collect();
        Self { shared, config, states, written: BTreeSet::new() }
    }

    pub(crate) fn interval(&self) -> Duration {
        self.config.interval
    }

    /// One round: reads what is new, scores, forecasts, writes. Gives a sentence for the list of tasks.
    pub(crate) async fn round(&mut self, time_ms: TimestampMs) -> Result<String, String> {
        let mut results: Vec<(Labels, f64)> = Vec::new();
        let mut failures = Vec::new();
        let (mut watched, mut left_out) = (0, 0);
        for index in 0..self.config.watch.len() {
            let watch = self.config.watch[index].clone();
            match self.read(index, &watch, time_ms, SERIES_MAX - watched).await {
                Ok(over) => left_out += over,
                Err(error) => {
                    self.shared.metrics.watch_failures.inc();
                    failures.push(format!("{}: {}", watch.name, vocab::error::chain(&error)));
                    continue;
                }
            }
            let state = std::mem::take(&mut self.states[index]);
            watched += state.series.len();
            // Fits take milliseconds each: not on the threads that answer requests.
            let judged = tokio::task::spawn_blocking(move || judge(state, &watch)).await;
            match judged {
                Ok((state, found)) => {
                    self.states[index] = state;
                    results.extend(found);
                }
                Err(error) => failures.push(error.to_string()),
            }
        }
        self.shared.metrics.watched_series.set(i64::try_from(watched).unwrap_or(i64::MAX));
        self.shared.metrics.watched_series_over_limit.set(i64::try_from(left_out).unwrap_or(i64::MAX));
        if let Err(error) = self.write(results, time_ms).await {
            self.shared.metrics.watch_failures.inc();
            failures.push(format!("results could not be written: {error}"));
        }
        if failures.is_empty() {
            let over = if left_out > 0 { format!(", {left_out} left out by a bound") } else { String::new() };
            Ok(format!("{watched} series scored{over}"))
        } else {
            Err(failures.join("; "))
        }
    }

    /// Reads a watch's newest values into its state; gives how many series a bound left out.
    async fn read(
        &mut self,
        index: usize,
        watch: &WatchConfig,
        time_ms: TimestampMs,
        room: usize,
    ) -> Result<usize, RuleError> {
        let step_ms = ms(watch.step).max(1000);
        let end_ms = time_ms.div_euclid(step_ms) * step_ms;
        let steps = (ms(watch.history) / step_ms).max(1);
        let state = &mut self.states[index];
        let kept_until = state.end_ms.filter(|&end| end <= end_ms && (end_ms - end) / step_ms <= CATCH_UP_STEPS_MAX);
        if kept_until == Some(end_ms) {
            return Ok(0);
        }
        let start_ms = match kept_until {
            Some(end) => end + step_ms,
            None => {
                *state = WatchState::default();
                end_ms - (steps - 1) * step_ms
            }
        };
        let grid = StepGrid { start_ms, end_ms, step_ms };
        let ctx = self.shared.ctx("analysis");
        let found = self.shared.evaluate.range(&ctx, &watch.expr, grid).await?;
        let steps = usize::try_from(steps).unwrap_or(usize::MAX);
        let others: usize =
            self.states.iter().enumerate().filter(|(i, _)| *i != index).map(|(_, s)| s.num_values()).sum();
        let state = &mut self.states[index];
        let mut limit = SERIES_PER_WATCH_MAX.min(room);
        limit = limit.min((VALUES_MAX.saturating_sub(others)) / steps.max(1));
        Ok(state.extend(found, grid, steps, limit))
    }

    async fn write(&mut self, results: Vec<(Labels, f64)>, time_ms: TimestampMs) -> Result<(), vocab::PortError> {
        let now: BTreeSet<Labels> = results.iter().map(|r| r.0.clone()).collect();
        let mut batch = WriteBatch { origin: Origin::Internal, ..WriteBatch::default() };
        for (labels, value) in results {
            batch.push(labels, time_ms, value);
        }
        for labels in self.written.difference(&now) {
            batch.push(labels.clone(), time_ms, STALE_NAN);
        }
        self.written = now;
        if batch.samples.is_empty() {
            return Ok(());
        }
        self.shared.appender.append(&self.shared.ctx("analysis"), &batch).await.map(|_| ())
    }
}

impl WatchState {
    fn num_values(&self) -> usize {
        self.series.values().map(|s| s.values().len()).sum()
    }

    /// Appends what was read; gives how many series the limit left out.
    fn extend(&mut self, found: Vec<RangeSeries>, grid: StepGrid, keep: usize, limit: usize) -> usize {
        let new_steps = grid.num_steps();
        let mut left_out = 0;
        let mut seen = BTreeSet::new();
        for series in found {
            seen.insert(series.labels.clone());
            if !self.series.contains_key(&series.labels) {
                if self.series.len() >= limit {
                    left_out += 1;
                    continue;
                }
                self.series.insert(series.labels.clone(), WatchedSeries::default());
            }
            if let Some(own) = self.series.get_mut(&series.labels) {
                own.extend(&series.values, keep);
            }
        }
        let gap = vec![f64::NAN; new_steps];
        for (labels, own) in &mut self.series {
            if !seen.contains(labels) {
                own.extend(&gap, keep);
            }
        }
        self.series.retain(|_, own| !own.is_unknown());
        self.end_ms = grid.times().last().or(self.end_ms);
        left_out
    }
}

/// Scores and forecasts of a watch's series.
fn judge(mut state: WatchState, watch: &WatchConfig) -> (WatchState, Vec<(Labels, f64)>) {
    let mut results = Vec::new();
    let Some(end_ms) = state.end_ms else { return (state, results) };
    for (labels, series) in &mut state.series {
        let mut named = LabelsBuilder::from(&labels.without_name());
        named.set("watch", &watch.name);
        let mut push = |name: &str, extra: &[(&str, &str)], value: f64| {
            named.set(METRIC_NAME, name);
            for (label, text) in extra {
                named.set(label, text);
            }
            results.push((named.build(), value));
        };
        if let Some(score) = series.score(watch) {
            push(SCORE, &[], score.score);
        }
        let Some((point, relative_error)) = series.forecast(watch, end_ms) else { continue };
        if let Some(error) = relative_error {
            push(FORECAST_ERROR, &[], error);
        }
        let horizon = vocab::duration::format_duration(watch.horizon);
        for (quantile, value) in point {
            push(FORECAST, &[("quantile", quantile), ("horizon", &horizon)], value);
        }
    }
    (state, results)
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
