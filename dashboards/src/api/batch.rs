//! Many range queries in one request: what a page of charts asks for at each refresh.

use axum::Json;
use axum::extract::State;
use promql::{Engine, ParseOptions, QueryValue};
use serde::Deserialize;
use serde_json::{Value, json};
use vocab::TimestampMs;
use vocab::ports::query::StepGrid;
use vocab::sample::SeriesData;

use super::body::JsonBody;
use crate::app::{Caller, Shared};
use crate::error::{ApiError, ApiResult};
use crate::prometheus::query::check_grid;

/// Most queries in one batch: more than any page shows.
const QUERIES_MAX: usize = 32;
/// Most warnings of a query that are sent.
const REMARKS_MAX: usize = 10;

/// The queries of a page.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
pub(crate) struct BatchRequest {
    start_ms: TimestampMs,
    end_ms: TimestampMs,
    step_ms: i64,
    queries: Vec<BatchQuery>,
}

/// One query of a batch.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
pub(crate) struct BatchQuery {
    /// Comes back in the answer.
    id: String,
    /// PromQL.
    expr: String,
}

/// Evaluates up to 32 queries over the same range; one that fails does not hold up the others.
#[utoipa::path(post, path = "/api/v1/query_batch", tag = "Queries", request_body = BatchRequest,
    responses((status = 200, description = "one result per query, in their order")))]
pub(crate) async fn batch(
    State(app): State<Shared>,
    caller: Caller,
    JsonBody(request): JsonBody<BatchRequest>,
) -> ApiResult<Json<Value>> {
    if request.queries.len() > QUERIES_MAX {
        let message = format!("{} queries are over the limit of {QUERIES_MAX} in one batch", request.queries.len());
        return Err(ApiError::new(vocab::ErrorKind::Limit, message));
    }
    if request.end_ms < request.start_ms {
        return Err(ApiError::invalid("start_ms must not be after end_ms"));
    }
    let grid = check_grid(request.start_ms, request.end_ms, request.step_ms)?;
    let each = request.queries.into_iter().map(|query| one(&app, &caller, query, grid));
    Ok(Json(json!({"results": futures::future::join_all(each).await})))
}

async fn one(app: &Shared, caller: &Caller, query: BatchQuery, grid: StepGrid) -> Value {
    let BatchQuery { id, expr: text } = query;
    let work = async move |app: Shared, ctx: vocab::Ctx| {
        let expr = promql::parse(&text, &ParseOptions::default()).map_err(|e| ApiError::parse(&text, &e))?;
        let began = app.clock.monotonic();
        let engine = Engine::new(app.config.engine.clone());
        let answer = engine.range(&*app.ports.querier, &ctx, &expr, grid).await;
        let output = answer.map_err(|e| ApiError::query(&text, &e))?;
        let took = app.clock.monotonic().saturating_sub(began);
        let (warnings, _) = output.annotations.render(&text, REMARKS_MAX);
        let QueryValue::Matrix(series) = output.value else {
            return Err(ApiError::invalid("the query does not give series"));
        };
        ctx.memory.try_grow(series.iter().map(|s| s.heap_bytes() * 2).sum())?;
        let stats = json!({
            "series": output.stats.num_series,
            "samples": output.stats.num_samples,
            "ms": took.as_secs_f64() * 1000.0,
        });
        Ok((series.iter().map(matrix_row).collect::<Vec<_>>(), stats, warnings))
    };
    match app.run_in_turn(caller, app.config.query_timeout, work).await {
        Ok((matrix, stats, warnings)) => {
            json!({"id": id, "matrix": matrix, "error": null, "stats": stats, "warnings": warnings})
        }
        Err(error) => {
            let stats = json!({"series": 0, "samples": 0, "ms": 0});
            json!({"id": id, "matrix": [], "error": error.json(), "stats": stats, "warnings": []})
        }
    }
}

fn matrix_row(series: &SeriesData) -> Value {
    let points = series.timestamps.iter().zip(&series.values).map(|(time, value)| {
        // JSON has no word for these.
        let value = if value.is_finite() { json!(value) } else { json!(promql::format_value(*value)) };
        json!([time, value])
    });
    json!({"labels": series.labels, "points": points.collect::<Vec<_>>()})
}
