//! Queries: instant, range, exemplars, formatting, parsing.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use promql::{Engine, EngineOptions, Expr, ParseOptions, QueryOutput, QueryValue};
use serde_json::{Value, json};
use vocab::ports::query::{SeriesFilter, StepGrid};

use super::json::{write_text, write_value};
use super::{PromResult, raw_json, success, truncate};
use crate::app::{App, Caller, Shared};
use crate::error::{ApiError, ApiResult};
use crate::params::Params;

/// Most points of one series in one answer, as in Prometheus.
pub(crate) const POINTS_MAX: i64 = 11_000;
/// Most warnings and infos of a kind in one answer, as in Prometheus.
const REMARKS_MAX: usize = 10;

/// Parses a query of the parameter `query`.
pub(crate) fn parse(text: &str) -> ApiResult<Expr> {
    promql::parse(text, &ParseOptions::default()).map_err(|e| ApiError::parse(text, &e).parameter("query"))
}

/// The engine, with the caller's lookback when it names one.
pub(crate) fn engine(app: &App, params: &Params) -> ApiResult<Engine> {
    let mut options: EngineOptions = app.config.engine.clone();
    if let Some(lookback_ms) = params.duration("lookback_delta")?.filter(|ms| *ms > 0) {
        options.lookback_ms = lookback_ms;
    }
    if params.get("stats").is_some() {
        options.detail = Some(Arc::clone(&app.clock));
    }
    Ok(Engine::new(options))
}

/// Evaluates a PromQL expression at one time.
#[utoipa::path(method(get, post), path = "/api/v1/query", tag = "Prometheus", params(
    ("query" = String, Query, description = "PromQL"), ("time" = Option<String>, Query, description = "seconds or RFC 3339"),
    ("timeout" = Option<String>, Query), ("lookback_delta" = Option<String>, Query), ("limit" = Option<u64>, Query),
    ("stats" = Option<String>, Query, description = "any text adds what the query cost, `all` also by step")),
    responses((status = 200, description = "as Prometheus answers")))]
pub(crate) async fn instant(State(app): State<Shared>, caller: Caller, params: Params) -> PromResult {
    let time = params.time("time")?.unwrap_or_else(|| app.clock.now_ms());
    let (engine, expr) = (engine(&app, &params)?, parse(params.get("query").unwrap_or_default())?);
    let limit = params.timeout(app.config.query_timeout)?;
    let asked = app.clock.monotonic();
    let query = ("instant", params.get("query").map(str::to_owned));
    let work = async move |app: Shared, ctx: vocab::Ctx| {
        let text = params.get("query").unwrap_or_default();
        let began = app.clock.monotonic();
        let answer = engine.instant(&*app.ports.querier, &ctx, &expr, time).await;
        let output = answer.map_err(|e| ApiError::query(text, &e))?;
        let took = Took { queue: began.saturating_sub(asked), total: app.clock.monotonic().saturating_sub(asked) };
        encode(output, text, &params, took, &ctx)
    };
    Ok(raw_json(app.run_query(&caller, limit, query, work).await?))
}

/// Evaluates a PromQL expression over a range of time.
#[utoipa::path(method(get, post), path = "/api/v1/query_range", tag = "Prometheus", params(
    ("query" = String, Query, description = "PromQL"), ("start" = String, Query), ("end" = String, Query),
    ("step" = String, Query, description = "seconds or a duration"), ("timeout" = Option<String>, Query),
    ("lookback_delta" = Option<String>, Query), ("limit" = Option<u64>, Query), ("stats" = Option<String>, Query)),
    responses((status = 200, description = "as Prometheus answers")))]
pub(crate) async fn range(State(app): State<Shared>, caller: Caller, params: Params) -> PromResult {
    let grid = grid(&params)?;
    let (engine, expr) = (engine(&app, &params)?, parse(params.get("query").unwrap_or_default())?);
    let limit = params.timeout(app.config.query_timeout)?;
    let asked = app.clock.monotonic();
    let query = ("range", params.get("query").map(str::to_owned));
    let work = async move |app: Shared, ctx: vocab::Ctx| {
        let text = params.get("query").unwrap_or_default();
        let began = app.clock.monotonic();
        let answer = engine.range(&*app.ports.querier, &ctx, &expr, grid).await;
        let output = answer.map_err(|e| {
            let error = ApiError::query(text, &e);
            if error.kind == vocab::ErrorKind::Invalid { error.parameter("query") } else { error }
        })?;
        let took = Took { queue: began.saturating_sub(asked), total: app.clock.monotonic().saturating_sub(asked) };
        encode(output, text, &params, took, &ctx)
    };
    Ok(raw_json(app.run_query(&caller, limit, query, work).await?))
}

fn grid(params: &Params) -> ApiResult<StepGrid> {
    let needed = |name: &str, value: Option<i64>| {
        value.ok_or_else(|| ApiError::invalid("cannot parse \"\" to a valid timestamp").parameter(name))
    };
    let start_ms = needed("start", params.time("start")?)?;
    let end_ms = needed("end", params.time("end")?)?;
    if end_ms < start_ms {
        return Err(ApiError::invalid("end timestamp must not be before start time").parameter("end"));
    }
    let step = params.duration("step")?;
    let step_ms = step.ok_or_else(|| ApiError::invalid("cannot parse \"\" to a valid duration").parameter("step"))?;
    check_grid(start_ms, end_ms, step_ms)
}

/// A grid of at most [`POINTS_MAX`] steps.
pub(crate) fn check_grid(start_ms: i64, end_ms: i64, step_ms: i64) -> ApiResult<StepGrid> {
    if step_ms <= 0 {
        let message = "zero or negative query resolution step widths are not accepted. Try a positive integer";
        return Err(ApiError::invalid(message).parameter("step"));
    }
    if end_ms.saturating_sub(start_ms) / step_ms > POINTS_MAX {
        return Err(ApiError::invalid(
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
        ));
    }
    Ok(StepGrid { start_ms, end_ms, step_ms })
}

/// How long a query was under way.
#[derive(Debug, Clone, Copy)]
struct Took {
    /// Waiting for its turn.
    queue: Duration,
    /// All in all.
    total: Duration,
}

/// What a query cost, in the words of Prometheus and two of our own; by step when `all` is asked for.
fn stats_of(output: &QueryOutput, took: Took, all: bool) -> Value {
    let detail = output.detail.clone().unwrap_or_default();
    let evaluated = took.total.saturating_sub(took.queue);
    let seconds = |part: Duration| part.as_secs_f64();
    let steps = &detail.samples_per_step;
    let mut samples = json!({
        "totalQueryableSamples": steps.iter().map(|(_, count)| count).sum::<u64>(),
        "peakSamples": detail.peak_samples,
    });
    if all {
        let rows: Vec<Value> = steps.iter().map(|(time, count)| json!([*time as f64 / 1000.0, count])).collect();
        samples["totalQueryableSamplesPerStep"] = rows.into();
    }
    json!({
        "timings": {
            "evalTotalTime": seconds(evaluated),
            "resultSortTime": seconds(detail.ordering),
            "queryPreparationTime": seconds(detail.preparation),
            "innerEvalTime": seconds(detail.evaluation),
            "execQueueTime": seconds(took.queue),
            "execTotalTime": seconds(took.total),
        },
        "samples": samples,
        "series": output.stats.num_series,
        "steps": output.stats.num_steps,
    })
}

fn encode(mut output: QueryOutput, text: &str, params: &Params, took: Took, ctx: &vocab::Ctx) -> ApiResult<String> {
    let limit = params.number("limit", 0, usize::MAX)?;
    let (mut warnings, infos) = output.annotations.render(text, REMARKS_MAX);
    match &mut output.value {
        QueryValue::Vector(samples) => truncate(samples, limit, &mut warnings),
        QueryValue::Matrix(series) => truncate(series, limit, &mut warnings),
        QueryValue::Scalar(..) | QueryValue::String(..) => {}
    }
    let mut body = String::from("{\"status\":\"success\",\"data\":{");
    write_value(&mut body, &output.value);
    if let Some(wanted) = params.get("stats") {
        let mut stats = stats_of(&output, took, wanted == "all");
        // 0: every sample was read; else the coarsest resolution of downsampled data that stood for samples, in ms.
        stats["downsampled"] = json!(ctx.downsampled_ms.load(std::sync::atomic::Ordering::Relaxed));
        body.push_str(",\"stats\":");
        body.push_str(&stats.to_string());
    }
    body.push('}');
    for (name, remarks) in [("warnings", &warnings), ("infos", &infos)] {
        if !remarks.is_empty() {
            body.push_str(&format!(",\"{name}\":{}", json!(remarks)));
        }
    }
    body.push('}');
    ctx.memory.try_grow(body.len())?;
    Ok(body)
}

/// Exemplars of the series that a query selects.
#[utoipa::path(method(get, post), path = "/api/v1/query_exemplars", tag = "Prometheus", params(
    ("query" = String, Query, description = "PromQL"), ("start" = Option<String>, Query), ("end" = Option<String>, Query)),
    responses((status = 200, description = "as Prometheus answers")))]
pub(crate) async fn exemplars(State(app): State<Shared>, caller: Caller, params: Params) -> PromResult {
    let (start_ms, end_ms) = super::labels::range(&params)?;
    if end_ms < start_ms {
        return Err(ApiError::invalid("end timestamp must not be before start timestamp").into());
    }
    let mut any_of = Vec::new();
    selectors(&parse(params.get("query").unwrap_or_default())?, &mut any_of);
    if any_of.is_empty() {
        return Ok(success(json!([])));
    }
    let filter = SeriesFilter { any_of, start_ms, end_ms, limit: 0 };
    let work = async move |app: Shared, ctx: vocab::Ctx| Ok(app.ports.querier.exemplars(&ctx, filter).await?);
    let found = app.run(&caller, app.config.query_timeout, work).await?;
    let mut body = String::from("{\"status\":\"success\",\"data\":[");
    for (index, series) in found.iter().enumerate() {
        body.push_str(if index > 0 { ",{\"seriesLabels\":" } else { "{\"seriesLabels\":" });
        super::json::write_labels(&mut body, &series.labels);
        body.push_str(",\"exemplars\":[");
        for (index, exemplar) in series.exemplars.iter().enumerate() {
            body.push_str(if index > 0 { ",{\"labels\":" } else { "{\"labels\":" });
            super::json::write_labels(&mut body, &exemplar.labels);
            body.push_str(",\"value\":");
            write_text(&mut body, &promql::format_value(exemplar.value));
            body.push_str(",\"timestamp\":");
            super::json::write_time(&mut body, exemplar.timestamp);
            body.push('}');
        }
        body.push_str("]}");
    }
    body.push_str("]}");
    Ok(raw_json(body))
}

/// The matchers of every selector in an expression.
fn selectors(expr: &Expr, found: &mut Vec<Vec<vocab::Matcher>>) {
    match expr {
        Expr::Vector(selector) => found.push(selector.matchers.clone()),
        Expr::Matrix(matrix) => found.push(matrix.selector.matchers.clone()),
        _ => {}
    }
    for child in expr.children() {
        selectors(child, found);
    }
}

/// Writes a query in its canonical form.
#[utoipa::path(method(get, post), path = "/api/v1/format_query", tag = "Prometheus", params(("query" = String, Query, description = "PromQL")),
    responses((status = 200, description = "as Prometheus answers")))]
pub(crate) async fn format(params: Params) -> PromResult {
    Ok(success(promql::pretty(&parse(params.get("query").unwrap_or_default())?)))
}

/// Reads a query into its tree.
#[utoipa::path(method(get, post), path = "/api/v1/parse_query", tag = "Prometheus", params(("query" = String, Query, description = "PromQL")),
    responses((status = 200, description = "as Prometheus answers")))]
pub(crate) async fn tree(params: Params) -> PromResult {
    Ok(success(super::tree::expr(&parse(params.get("query").unwrap_or_default())?)))
}

/// The functions that a query may use.
#[utoipa::path(get, path = "/api/v1/promql/functions", tag = "Queries", responses((status = 200, description = "functions by name")))]
pub(crate) async fn functions() -> Response {
    let functions: Vec<_> = promql::functions::catalogue()
        .iter()
        .map(|f| json!({"name": f.name, "signature": f.signature(), "doc": f.doc, "experimental": f.experimental}))
        .collect();
    axum::response::IntoResponse::into_response(axum::Json(json!({"functions": functions})))
}
