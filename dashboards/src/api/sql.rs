//! SQL, its rows streamed as they are computed.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use serde::Deserialize;
use vocab::Ctx;
use vocab::ports::sql::{SqlFormat, SqlRequest};

use super::body::JsonBody;
use crate::app::{Caller, Shared};
use crate::error::{ApiError, ApiResult};
use crate::stream::{self, Pieces};

/// One read-only statement.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SqlBody {
    /// The statement, over the tables `metrics` and `logs`.
    query: String,
    /// json, ndjson, csv or arrow; without it the header `Accept` decides, and without that it is json.
    #[serde(default)]
    format: Option<String>,
    /// Whether a scan without any bound on time is allowed.
    #[serde(default)]
    allow_full_scan: bool,
}

/// Runs a SQL query.
#[utoipa::path(post, path = "/api/v1/sql", tag = "Queries", request_body = SqlBody,
    responses((status = 200, description = "rows, as they are computed", content(("application/json"), ("application/x-ndjson"),
    ("text/csv"), ("application/vnd.apache.arrow.stream"))),
    (status = 400, description = "a mistake in the query, or a full scan that was not allowed"),
    (status = 406, description = "the header Accept names no format that is offered")))]
pub(crate) async fn sql(
    State(app): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    JsonBody(body): JsonBody<SqlBody>,
) -> ApiResult<Response> {
    let format = match body.format.as_deref() {
        Some("json") => SqlFormat::Json,
        Some("ndjson") => SqlFormat::NdJson,
        Some("csv") => SqlFormat::Csv,
        Some("arrow") => SqlFormat::Arrow,
        Some(other) => return Err(ApiError::invalid(format!("want json, ndjson, csv or arrow, not {other:?}"))),
        None => match accepted(&headers) {
            Some(format) => format,
            None => return Ok(not_acceptable()),
        },
    };
    if body.query.trim().is_empty() {
        return Err(ApiError::invalid("the query is empty"));
    }
    let request = SqlRequest { query: body.query, format, allow_full_scan: body.allow_full_scan };
    let work = async move |app: Shared, ctx: Ctx, out: Pieces| {
        let mut answer = app.ports.sql.query(&ctx, request).await?;
        while let Some(batch) = answer.rows.next().await {
            out.offer(&app, &ctx, batch?).await?;
        }
        Ok(())
    };
    let rows = stream::body(&app, &caller, work).await?;
    Ok(([(header::CONTENT_TYPE, content_type(format))], rows).into_response())
}

fn content_type(format: SqlFormat) -> &'static str {
    match format {
        SqlFormat::Json => "application/json",
        SqlFormat::NdJson => "application/x-ndjson",
        SqlFormat::Csv => "text/csv; charset=utf-8",
        SqlFormat::Arrow => "application/vnd.apache.arrow.stream",
    }
}

/// The format that the header `Accept` likes best: the first of those with the highest weight.
fn accepted(headers: &HeaderMap) -> Option<SqlFormat> {
    let mut best: Option<(f32, SqlFormat)> = None;
    let mut says_something = false;
    for value in headers.get_all(header::ACCEPT) {
        for range in value.to_str().unwrap_or_default().split(',') {
            let mut parts = range.split(';').map(str::trim);
            let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
            says_something |= !essence.is_empty();
            let weight = parts.find_map(|p| p.strip_prefix("q=")).map_or(1.0, |q| q.parse().unwrap_or(0.0));
            let format = match essence.as_str() {
                "application/json" | "application/*" | "*/*" => SqlFormat::Json,
                "application/x-ndjson" | "application/jsonl" => SqlFormat::NdJson,
                "text/csv" | "text/*" => SqlFormat::Csv,
                "application/vnd.apache.arrow.stream" => SqlFormat::Arrow,
                _ => continue,
            };
            if weight > best.map_or(0.0, |b| b.0) {
                best = Some((weight, format));
            }
        }
    }
    if says_something { best.map(|b| b.1) } else { Some(SqlFormat::Json) }
}

fn not_acceptable() -> Response {
    let message = "rows come as application/json, application/x-ndjson, text/csv or application/vnd.apache.arrow.stream: \
                   the header Accept names none of them";
    let mut response = ApiError::invalid(message).into_response();
    *response.status_mut() = StatusCode::NOT_ACCEPTABLE;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_that_is_liked_best_is_taken() {
        for (accept, format) in [
            ("", Some(SqlFormat::Json)),
            ("*/*", Some(SqlFormat::Json)),
            ("text/html, application/xhtml+xml, */*;q=0.8", Some(SqlFormat::Json)),
            ("text/csv", Some(SqlFormat::Csv)),
            ("Text/CSV; charset=utf-8", Some(SqlFormat::Csv)),
            ("application/json;q=0.5, text/csv", Some(SqlFormat::Csv)),
            ("application/vnd.apache.arrow.stream, */*", Some(SqlFormat::Arrow)),
            ("application/x-ndjson", Some(SqlFormat::NdJson)),
            ("text/csv;q=0", None),
            ("image/png", None),
            ("application/vnd.apache.arrow.file", None),
        ] {
            let mut headers = HeaderMap::new();
            if !accept.is_empty() {
                headers.insert(header::ACCEPT, accept.parse().expect("a value"));
            }
            assert_eq!(accepted(&headers), format, "{accept}");
        }
    }
}
