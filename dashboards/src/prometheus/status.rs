//! The server's state as Prometheus's clients ask for it.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::{PromResult, go_time, success};
use crate::api::cardinality::{ROWS_MAX, cardinality};
use crate::app::{Caller, Shared};
use crate::error::ApiError;
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

/// How series spread over names and labels, as Prometheus shows it.
#[utoipa::path(get, path = "/api/v1/status/tsdb", tag = "Prometheus", params(("limit" = Option<u64>, Query)),
    responses((status = 200, description = "as Prometheus answers")))]
pub(crate) async fn tsdb(State(app): State<Shared>, caller: Caller, params: Params) -> PromResult {
    let limit = params.number("limit", 10, ROWS_MAX)?;
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
        "seriesCountByMetricName": rows(&counts.metrics),
        "labelValueCountByLabelName": rows(&counts.labels),
        "memoryInBytesByLabelName": rows(&counts.label_bytes),
        "seriesCountByLabelValuePair": rows(&counts.pairs),
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
