//! The `analysis` section: which series get an anomaly score and a forecast.

use std::time::Duration;

use promql::{Expr, ParseOptions};
use serde::Deserialize;
use vocab::Problems;
use vocab::duration::parse_duration;

/// `analysis` as it is written.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawAnalysis {
    /// How often everything is scored.
    pub interval: Option<String>,
    /// What is watched; the built-in list when absent, nothing when empty.
    pub watch: Option<Vec<RawWatch>>,
}

/// One entry of `watch`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawWatch {
    /// Unique; the value of the label `watch`.
    pub name: Option<String>,
    /// An expression that gives one or more series.
    pub query: Option<String>,
    /// Distance of the values that are looked at.
    pub step: Option<String>,
    /// The period; detected when absent.
    pub season: Option<String>,
    /// How far ahead is forecast; 0 for no forecast.
    pub horizon: Option<String>,
    /// How far back is looked.
    pub history: Option<String>,
}

/// Checked.
#[derive(Debug, Clone)]
pub struct AnalysisConfig {
    /// How often everything is scored.
    pub interval: Duration,
    /// What is watched.
    pub watch: Vec<WatchConfig>,
}

/// One watch.
#[derive(Debug, Clone)]
pub struct WatchConfig {
    /// The value of the label `watch`.
    pub name: String,
    /// The expression as it is written.
    pub query: String,
    /// The expression.
    pub expr: Expr,
    /// Distance of the values that are looked at.
    pub step: Duration,
    /// The period; `None` to have it detected.
    pub season: Option<Duration>,
    /// How far ahead is forecast.
    pub horizon: Duration,
    /// How far back is looked.
    pub history: Duration,
}

/// How often, when the configuration does not say.
const INTERVAL: Duration = Duration::from_secs(60);
/// Shortest interval: scoring reads history, and a step shorter than this has no use.
const INTERVAL_MIN: Duration = Duration::from_secs(5);
/// Distance of values, when the configuration does not say.
const STEP: Duration = Duration::from_secs(60);
/// Horizon, when the configuration does not say: what the autoscaler plans with.
const HORIZON: Duration = Duration::from_secs(600);
/// History, when the configuration does not say: three days of minutes show a daily season.
const HISTORY: Duration = Duration::from_secs(3 * 86_400);
/// Most steps of history; more would be read and thrown away.
const HISTORY_STEPS_MAX: u128 = models::forecast::HISTORY_MAX as u128;
/// Most watches.
const WATCHES_MAX: usize = 100;

/// What is watched when the configuration says nothing: each name, query and horizon.
const BUILT_IN: [(&str, &str); 5] = [
    ("host_cpu_used", "1 - avg without (cpu, mode) (rate(node_cpu_seconds_total{mode=\"idle\"}[2m]))"),
    ("host_memory_used", "1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes"),
    ("host_load", "node_load1"),
    ("service_rps", "sum by (cluster, service) (rate(haproxy_backend_http_requests_total[1m]))"),
    (
        "service_response_seconds",
        "max by (cluster, service) (haproxy_backend_response_time_average_seconds{service!=\"\"})",
    ),
];

impl Default for AnalysisConfig {
    fn default() -> Self {
        let mut unread = Problems::default();
        check_analysis(&RawAnalysis::default(), &mut unread)
    }
}

/// Checks the section; what is wrong goes to `problems`.
pub fn check_analysis(raw: &RawAnalysis, problems: &mut Problems) -> AnalysisConfig {
    let interval = duration(&raw.interval, "analysis.interval", INTERVAL, problems);
    if interval < INTERVAL_MIN {
        problems.add("analysis.interval", "want 5s or more");
    }
    let built_in: Vec<RawWatch> = BUILT_IN
        .iter()
        .map(|(name, query)| RawWatch {
            name: Some((*name).to_owned()),
            query: Some((*query).to_owned()),
            ..RawWatch::default()
        })
        .collect();
    let list = raw.watch.as_deref().unwrap_or(&built_in);
    if list.len() > WATCHES_MAX {
        problems.add(
            "analysis.watch",
            format!("{} watches are more than {WATCHES_MAX}: one query may give many series", list.len()),
        );
    }
    let mut names = std::collections::BTreeSet::new();
    let mut watch = Vec::new();
    for (index, raw) in list.iter().enumerate() {
        let path = format!("analysis.watch[{index}]");
        let name = raw.name.clone().unwrap_or_default();
        if name.is_empty() {
            problems.add(format!("{path}.name"), "a watch needs a name");
        } else if !names.insert(name.clone()) {
            problems.add(format!("{path}.name"), format!("watch {name:?} stands twice"));
        }
        watch.extend(check_watch(&path, name, raw, problems));
    }
    AnalysisConfig { interval: interval.max(INTERVAL_MIN), watch }
}

fn check_watch(path: &str, name: String, raw: &RawWatch, problems: &mut Problems) -> Option<WatchConfig> {
    let step = duration(&raw.step, &format!("{path}.step"), STEP, problems);
    if step < Duration::from_secs(1) {
        problems.add(format!("{path}.step"), "want 1s or more");
    }
    let step_ms = step.as_millis().max(1000);
    let horizon = duration(&raw.horizon, &format!("{path}.horizon"), HORIZON, problems);
    if horizon.as_millis() / step_ms > models::forecast::HORIZON_MAX as u128 {
        problems.add(format!("{path}.horizon"), format!("want at most {} steps", models::forecast::HORIZON_MAX));
    }
    let default_history = if raw.step.is_some() {
        Duration::from_millis(u64::try_from(step_ms * 2880).unwrap_or(u64::MAX)).min(HISTORY * 10)
    } else {
        HISTORY
    };
    let history = duration(&raw.history, &format!("{path}.history"), default_history, problems);
    if history.as_millis() / step_ms > HISTORY_STEPS_MAX {
        problems.add(
            format!("{path}.history"),
            format!("want at most {HISTORY_STEPS_MAX} steps: a longer step reaches farther back"),
        );
    }
    let season = match &raw.season {
        Some(_) => {
            let season = duration(&raw.season, &format!("{path}.season"), Duration::ZERO, problems);
            if season < step * 4 {
                problems.add(format!("{path}.season"), "want at least four steps");
            }
            Some(season)
        }
        None => None,
    };
    let query = raw.query.clone().unwrap_or_default();
    if query.trim().is_empty() {
        problems.add(format!("{path}.query"), "a watch needs a query");
        return None;
    }
    match promql::parse(&query, &ParseOptions::default()) {
        Ok(expr) => Some(WatchConfig { name, query, expr, step, season, horizon, history }),
        Err(error) => {
            problems.add(format!("{path}.query"), format!("could not parse expression: {error}"));
            None
        }
    }
}

fn duration(text: &Option<String>, path: &str, default: Duration, problems: &mut Problems) -> Duration {
    match text.as_deref().map(parse_duration) {
        None => default,
        Some(Ok(duration)) => duration,
        Some(Err(message)) => {
            problems.add(path, message);
            default
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_watches_are_good() {
        let mut problems = Problems::default();
        let config = check_analysis(&RawAnalysis::default(), &mut problems);
        assert!(problems.is_empty(), "{problems}");
        assert_eq!(config.watch.len(), BUILT_IN.len());
    }

    #[test]
    fn all_mistakes_are_reported_at_once() {
        let text = "
interval: 1s
watch:
  - {name: a, query: 'up ===', step: 10}
  - {name: a, query: up, season: 1m, horizon: 100d}
  - {query: ''}
";
        let raw: RawAnalysis = serde_saphyr::from_str(text).expect("well formed");
        let mut problems = Problems::default();
        check_analysis(&raw, &mut problems);
        let paths: Vec<&str> = problems.list.iter().map(|p| p.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "analysis.interval",
                "analysis.watch[0].step",
                "analysis.watch[0].query",
                "analysis.watch[1].name",
                "analysis.watch[1].horizon",
                "analysis.watch[1].season",
                "analysis.watch[2].name",
                "analysis.watch[2].query",
            ]
        );
    }
}
