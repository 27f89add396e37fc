//! How series spread over metrics and labels, and which are new.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use vocab::ports::query::CardinalityReport;

use crate::app::{Caller, Shared};
use crate::error::{ApiError, ApiResult};
use crate::params::Params;

/// Rows of an answer at most.
pub(crate) const ROWS_MAX: usize = 10_000;

/// Counts the caller's series.
pub(crate) async fn cardinality(app: &Shared, caller: &Caller, most: usize) -> ApiResult<CardinalityReport> {
    let work = async move |app: Shared, ctx: vocab::Ctx| {
        app.ports.querier.cardinality(&ctx, most).await.map_err(ApiError::from)
    };
    app.run(caller, app.config.query_timeout, work).await
}

/// How series spread over metrics and labels, the largest first, and how many were new in the last hours.
#[utoipa::path(get, path = "/api/v1/cardinality", tag = "System", params(("limit" = Option<u64>, Query)),
    responses((status = 200, description = "the largest metrics, labels and pairs; new series by hour and metric")))]
pub(crate) async fn spread(State(app): State<Shared>, caller: Caller, params: Params) -> ApiResult<Json<Value>> {
    let most = params.number("limit", 20, ROWS_MAX)?;
    let report = cardinality(&app, &caller, most).await?;
    let rows = |list: &[(String, u64)], unit: &str| -> Vec<Value> {
        list.iter().map(|(name, count)| json!({"name": name, unit: count})).collect()
    };
    Ok(Json(json!({
        "series": report.series,
        "label_pairs": report.num_pairs,
        "metrics": rows(&report.metrics, "series"),
        "labels": rows(&report.labels, "values"),
        "pairs": rows(&report.pairs, "series"),
        "churn": {"hours": report.churn_hours, "metrics": rows(&report.churn_metrics, "created")},
    })))
}
