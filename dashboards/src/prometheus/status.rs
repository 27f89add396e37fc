//! The server's state as Prometheus's clients ask for it.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use vocab::labels::METRIC_NAME;
use vocab::ports::query::SeriesFilter;

use super::{PromResult, go_time, success};
use crate::app::{Caller, Shared};
use crate::error::{ApiError, ApiResult};
use crate::params::Params;

/// The Prometheus whose API this one answers like: clients switch their abilities on by this number.
const ANSWERS_AS: &str = "3.5.0";

/// Versions.
#[utoipa::path(get, path = "/api/v1/status/buildinfo", tag = "Prometheus", responses((status = 200, description = "as Prometheus answers")))]
pub(crate) async fn buildinfo(State(app): State<Shared>) -> PromResult {
    let status = app.ports.admin.status().await;
    // No `features` map: Grafana takes a server that has one for another product.
    Ok(success(json!({
        "version": ANSWERS_AS,
        "revision": format!("tidewatch {}", status.version),
        "branch": "",
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
    })))
}

/// The running process.
#[utoipa::path(get, path = "/api/v1/status/runtimeinfo", tag = "Prometheus", responses((status = 200, description = "as Prometheus answers")))]
pub(crate) async fn runtimeinfo(State(app): State<Shared>) -> PromResult {
    let status = app.ports.admin.status().await;
    Ok(success(json!({
        "startTime": go_time(Some(status.started_at_ms)),
        "serverTime": go_time(Some(app.clock.now_ms())),
        "CWD": status.data_dir,
        "reloadConfigSuccess": status.config_problem.is_empty(),
        "lastConfigTime": go_time(Some(status.config_loaded_at_ms)),
        "corruptionCount": status.store.damaged.len(),
        "goroutineCount": tokio::runtime::Handle::current().metrics().num_alive_tasks(),
        "GOMAXPROCS": std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        "GOMEMLIMIT": status.memory_limit_bytes,
        "GOGC": "",
        "GODEBUG": "",
        "storageRetention": "",
    })))
}

/// The command line.
#[utoipa::path(get, path = "/api/v1/status/flags", tag = "Prometheus", responses((status = 200, description = "as Prometheus answers")))]
pub(crate) async fn flags(State(app): State<Shared>) -> PromResult {
    Ok(success(&app.config.flags))
}

/// The configuration in force, without secrets.
#[utoipa::path(get, path = "/api/v1/status/config", tag = "Prometheus", responses((status = 200, description = "as Prometheus answers")))]
pub(crate) async fn config(State(app): State<Shared>) -> PromResult {
    Ok(success(json!({"yaml": app.ports.admin.status().await.config_yaml})))
}

/// What queries may use.
#[utoipa::path(get, path = "/api/v1/features", tag = "Prometheus", responses((status = 200, description = "as Prometheus answers")))]
pub(crate) async fn features() -> PromResult {
    let functions: BTreeMap<_, _> = promql::functions::catalogue().iter().map(|f| (f.name, true)).collect();
    Ok(success(json!({"promql_functions": functions})))
}

/// Whether the WAL is still being replayed.
#[utoipa::path(get, path = "/api/v1/status/walreplay", tag = "Prometheus", responses((status = 200, description = "as Prometheus answers")))]
pub(crate) async fn walreplay(State(app): State<Shared>) -> PromResult {
    // The server begins to answer after the replay; what can still be missing is said by readiness.
    let state = if app.ports.admin.ready().await.is_ok() { "done" } else { "in progress" };
    Ok(success(json!({"min": 0, "max": 0, "current": 0, "state": state})))
}

/// How series spread over names and labels.
#[derive(Debug, Default)]
pub(crate) struct Cardinality {
    pub(crate) series: u64,
    pub(crate) by_metric: Vec<(String, u64)>,
    pub(crate) values_by_label: Vec<(String, u64)>,
    bytes_by_label: Vec<(String, u64)>,
    by_pair: Vec<(String, u64)>,
    num_pairs: u64,
}

/// Counts the caller's series.
pub(crate) async fn cardinality(app: &Shared, caller: &Caller, limit: usize) -> ApiResult<Cardinality> {
    let filter = SeriesFilter { any_of: Vec::new(), start_ms: i64::MIN / 4, end_ms: i64::MAX / 4, limit: 0 };
    let work = async move |app: Shared, ctx: vocab::Ctx| {
        let all = app.ports.querier.series(&ctx, filter).await?;
        let (mut metrics, mut pairs) = (BTreeMap::<&str, u64>::new(), BTreeMap::<(&str, &str), u64>::new());
        for labels in &all {
            ctx.cancel.check()?;
            for pair in labels {
                *pairs.entry(pair).or_default() += 1;
                if pair.0 == METRIC_NAME {
                    *metrics.entry(pair.1).or_default() += 1;
                }
            }
        }
        let (mut values, mut bytes) = (BTreeMap::<&str, u64>::new(), BTreeMap::<&str, u64>::new());
        for (name, value) in pairs.keys() {
            *values.entry(name).or_default() += 1;
            *bytes.entry(name).or_default() += value.len() as u64;
        }
        let num_pairs = pairs.len() as u64;
        let by_pair = pairs.into_iter().map(|((name, value), n)| (format!("{name}={value}"), n));
        Ok(Cardinality {
            series: all.len() as u64,
            by_metric: largest(metrics, limit),
            values_by_label: largest(values, limit),
            bytes_by_label: largest(bytes, limit),
            by_pair: largest(by_pair, limit),
            num_pairs,
        })
    };
    app.run(caller, app.config.query_timeout, work).await
}

fn largest(counts: impl IntoIterator<Item = (impl Into<String>, u64)>, limit: usize) -> Vec<(String, u64)> {
    let mut list: Vec<(String, u64)> = counts.into_iter().map(|(name, n)| (name.into(), n)).collect();
    list.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    list.truncate(limit);
    list
}

/// Rows of the two cardinality answers at most.
pub(crate) const CARDINALITY_ROWS_MAX: usize = 10_000;

/// How series spread over names and labels, as Prometheus shows it.
#[utoipa::path(get, path = "/api/v1/status/tsdb", tag = "Prometheus", params(("limit" = Option<u64>, Query)),
    responses((status = 200, description = "as Prometheus answers")))]
pub(crate) async fn tsdb(State(app): State<Shared>, caller: Caller, params: Params) -> PromResult {
    let limit = params.number("limit", 10, CARDINALITY_ROWS_MAX)?;
    if limit == 0 {
        return Err(ApiError::invalid("limit must be positive").into());
    }
    let counts = cardinality(&app, &caller, limit).await?;
    let store = app.ports.admin.status().await.store;
    let rows = |list: &[(String, u64)]| -> Vec<Value> {
        list.iter().map(|(name, value)| json!({"name": name, "value": value})).collect()
    };
    Ok(success(json!({
        "headStats": {
            "numSeries": store.head_series,
            "numLabelPairs": counts.num_pairs,
            "numSamples": store.head_samples,
            "minTime": store.head_min_time_ms,
            "maxTime": store.head_max_time_ms,
        },
        "seriesCountByMetricName": rows(&counts.by_metric),
        "labelValueCountByLabelName": rows(&counts.values_by_label),
        "memoryInBytesByLabelName": rows(&counts.bytes_by_label),
        "seriesCountByLabelValuePair": rows(&counts.by_pair),
    })))
}

/// Whether the process runs.
#[utoipa::path(get, path = "/live", tag = "Process", responses((status = 200, description = "it runs")))]
pub(crate) async fn live() -> &'static str {
    "Tidewatch is alive.\n"
}

/// Whether the process runs, under Prometheus's name.
#[utoipa::path(method(get, head), path = "/-/healthy", tag = "Process", responses((status = 200, description = "it runs")))]
pub(crate) async fn healthy() -> &'static str {
    "Tidewatch is Healthy.\n"
}

async fn readiness(app: &Shared) -> Response {
    match app.ports.admin.ready().await {
        Ok(()) => "Tidewatch is Ready.\n".into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("Tidewatch is not ready: {reason}\n")).into_response(),
    }
}

/// Whether everything is started and writes are taken.
#[utoipa::path(get, path = "/ready", tag = "Process", responses((status = 200, description = "ready"), (status = 503, description = "not yet, or not now: the body says why")))]
pub(crate) async fn ready(State(app): State<Shared>) -> Response {
    readiness(&app).await
}

/// Whether everything is started and writes are taken, under Prometheus's name.
#[utoipa::path(method(get, head), path = "/-/ready", tag = "Process", responses((status = 200, description = "ready"), (status = 503, description = "not yet, or not now: the body says why")))]
pub(crate) async fn ready_prometheus(State(app): State<Shared>) -> Response {
    readiness(&app).await
}

/// Loads the configuration again, under Prometheus's name.
#[utoipa::path(method(post, put), path = "/-/reload", tag = "Process", responses((status = 200, description = "loaded"), (status = 400, description = "the old configuration stays in force: the body lists the mistakes")))]
pub(crate) async fn reload(State(app): State<Shared>, caller: Caller) -> Result<Response, ApiError> {
    crate::api::system::reload_and_note(&app, &caller).await?;
    Ok(StatusCode::OK.into_response())
}

/// Tidewatch's own metrics.
#[utoipa::path(get, path = "/metrics", tag = "Process", responses((status = 200, description = "OpenMetrics text")))]
pub(crate) async fn metrics(State(app): State<Shared>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], app.ports.admin.metrics_text()).into_response()
}
