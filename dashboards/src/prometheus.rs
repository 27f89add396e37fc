//! The HTTP API of Prometheus, as its clients know it.

pub(crate) mod admin;
pub(crate) mod federate;
pub(crate) mod json;
pub(crate) mod labels;
pub(crate) mod query;
pub(crate) mod read;
pub(crate) mod rules;
pub(crate) mod status;
pub(crate) mod targets;
mod tree;

use axum::Json;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;
use vocab::TimestampMs;

use crate::error::PromError;

pub(crate) type PromResult = Result<Response, PromError>;

/// `{"status":"success","data":…}`.
pub(crate) fn success(data: impl Serialize) -> Response {
    Json(json!({"status": "success", "data": data})).into_response()
}

/// The same with warnings, when there are any.
pub(crate) fn success_with(data: impl Serialize, warnings: &[String]) -> Response {
    let mut body = json!({"status": "success", "data": data});
    if !warnings.is_empty() {
        body["warnings"] = json!(warnings);
    }
    Json(body).into_response()
}

/// A body that is JSON already.
pub(crate) fn raw_json(body: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// Keeps the first `limit` (0 for all) and says so.
pub(crate) fn truncate<T>(values: &mut Vec<T>, limit: usize, warnings: &mut Vec<String>) {
    if limit > 0 && values.len() > limit {
        values.truncate(limit);
        warnings.push("results truncated due to limit".to_owned());
    }
}

/// A time as Go writes it; never is the year 1.
pub(crate) fn go_time(ms: Option<TimestampMs>) -> String {
    ms.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        .map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), |time| time.to_string())
}
