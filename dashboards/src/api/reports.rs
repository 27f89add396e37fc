//! Inspection reports.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderName, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use vocab::TimestampMs;

use super::alerts::{ROWS_DEFAULT, ROWS_MAX};
use super::body::JsonBody;
use super::shapes;
use super::system::note;
use crate::app::{Caller, Shared};
use crate::error::ApiResult;
use crate::params::Params;

/// A report is one file with its style in it; it may be framed by the app, run nothing and load nothing.
const REPORT_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; \
                             form-action 'none'; frame-ancestors 'self'; sandbox";

/// Heads of reports.
#[utoipa::path(get, path = "/api/v1/reports", tag = "Reports", params(("limit" = Option<u64>, Query)), responses((status = 200, description = "newest first")))]
pub(crate) async fn list(State(app): State<Shared>, caller: Caller, params: Params) -> ApiResult<Json<Value>> {
    let limit = params.number("limit", ROWS_DEFAULT, ROWS_MAX)?;
    Ok(Json(json!({"reports": app.ports.catalog.reports(&caller.tenant, limit).await?})))
}

/// What a report is to cover.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReportRequest {
    from_ms: TimestampMs,
    to_ms: TimestampMs,
    /// en or zh.
    #[serde(default)]
    language: Option<String>,
}

/// Writes a report and keeps it.
#[utoipa::path(post, path = "/api/v1/reports", tag = "Reports", request_body = ReportRequest, responses((status = 200, description = "its number")))]
pub(crate) async fn write(
    State(app): State<Shared>,
    caller: Caller,
    JsonBody(request): JsonBody<ReportRequest>,
) -> ApiResult<Json<Value>> {
    let language = request.language.unwrap_or_else(|| "en".to_owned());
    let tenant = caller.tenant.clone();
    let work = async move |app: Shared, _ctx: vocab::Ctx| {
        Ok(app.ports.rules.write_report(&tenant, request.from_ms, request.to_ms, &language).await?)
    };
    let id = app.run(&caller, app.config.query_timeout, work).await?;
    note(&app, &caller, "report.write", &format!("report {id}"), "").await;
    Ok(Json(json!({"id": id})))
}

/// A report with its text.
#[utoipa::path(get, path = "/api/v1/reports/{id}", tag = "Reports", params(("id" = i64, Path)),
    responses((status = 200, description = "the report"), (status = 404, description = "there is none")))]
pub(crate) async fn get(State(app): State<Shared>, caller: Caller, Path(id): Path<i64>) -> ApiResult<Json<Value>> {
    let report = app.ports.catalog.report(&caller.tenant, id).await?;
    let mut body = shapes::json(&report.head);
    body["html"] = json!(report.html);
    body["markdown"] = json!(report.markdown);
    Ok(Json(body))
}

/// A report as one HTML file.
#[utoipa::path(get, path = "/api/v1/reports/{id}/html", tag = "Reports", params(("id" = i64, Path)),
    responses((status = 200, description = "the file", content_type = "text/html"), (status = 404, description = "there is none")))]
pub(crate) async fn html(State(app): State<Shared>, caller: Caller, Path(id): Path<i64>) -> ApiResult<Response> {
    let report = app.ports.catalog.report(&caller.tenant, id).await?;
    let policy = HeaderName::from_static("content-security-policy");
    Ok(([(header::CONTENT_TYPE, "text/html; charset=utf-8"), (policy, REPORT_POLICY)], report.html).into_response())
}

/// A report as Markdown.
#[utoipa::path(get, path = "/api/v1/reports/{id}/markdown", tag = "Reports", params(("id" = i64, Path)),
    responses((status = 200, description = "the text", content_type = "text/markdown"), (status = 404, description = "there is none")))]
pub(crate) async fn markdown(State(app): State<Shared>, caller: Caller, Path(id): Path<i64>) -> ApiResult<Response> {
    let report = app.ports.catalog.report(&caller.tenant, id).await?;
    Ok(([(header::CONTENT_TYPE, "text/markdown; charset=utf-8")], report.markdown).into_response())
}
