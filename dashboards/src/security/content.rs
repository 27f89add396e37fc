//! Content types of what may change something.

use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};

use super::{Refusal, origin};

/// Reads that Prometheus's clients also send as forms; they change nothing.
const FORM_READS: [&str; 8] = [
    "/api/v1/query",
    "/api/v1/query_range",
    "/api/v1/query_exemplars",
    "/api/v1/series",
    "/api/v1/labels",
    "/api/v1/format_query",
    "/api/v1/parse_query",
    "/federate",
];

/// Maintenance that an operator asks for by an empty `POST`, which simple clients send as an empty form. It takes no argument and
/// changes no data, and a browser states its Origin with it.
const EMPTY_FORMS: [&str; 2] = ["/api/v1/admin/flush", "/api/v1/admin/compact"];

/// Prometheus's calls that change its database. Programs written for it send their parameters as a form; a page cannot, because every
/// browser marks what a page posts.
const FORMS_OF_PROGRAMS: &str = "/api/v1/admin/tsdb/";

/// What browsers send with a post: one of these at least.
const MARKS_OF_BROWSERS: [&str; 3] = ["origin", "referer", "sec-fetch-site"];

/// Protocols in protobuf, a type that a web page elsewhere cannot send without asking; OTLP comes in JSON too.
const PROTOBUF: [&str; 5] = ["/api/v1/read", "/api/v1/export", "/v1/metrics", "/api/v1/otlp/v1/metrics", "/v1/logs"];

const FORM: &str = "application/x-www-form-urlencoded";

fn is_of_browser(headers: &HeaderMap) -> bool {
    MARKS_OF_BROWSERS.iter().any(|mark| headers.contains_key(*mark))
}

/// Refuses a body in a type that a web page elsewhere could send without asking first.
pub(super) fn check(request: &Request) -> Result<(), Refusal> {
    let headers = request.headers();
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let mut parts = content_type.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
    let is_exposition = essence == "text/plain" && parts.any(|p| p.starts_with("version="));
    let path = request.uri().path();
    let wanted: &str = match path {
        _ if essence.is_empty() && !origin::has_body(headers) => return Ok(()),
        _ if EMPTY_FORMS.contains(&path) && !origin::has_body(headers) => return Ok(()),
        "/api/v1/write" if essence == "application/x-protobuf" => return Ok(()),
        _ if PROTOBUF.contains(&path) && essence == "application/x-protobuf" => return Ok(()),
        "/api/v1/write" => "application/x-protobuf",
        "/api/v1/import/prometheus" if is_exposition || essence == "application/openmetrics-text" => return Ok(()),
        "/api/v1/import/prometheus" => "text/plain; version=0.0.4 or application/openmetrics-text",
        "/api/v1/logs" if matches!(essence.as_str(), "application/x-ndjson" | "application/jsonl") => return Ok(()),
        "/api/v1/logs" if essence == "application/json" => return Ok(()),
        "/api/v1/logs" => "application/x-ndjson",
        _ if FORM_READS.contains(&path) && essence == FORM => return Ok(()),
        _ if FORM_READS.contains(&path) => FORM,
        _ if path.starts_with(FORMS_OF_PROGRAMS) && essence == FORM && !is_of_browser(headers) => return Ok(()),
        _ if path.starts_with(FORMS_OF_PROGRAMS) => {
            "the parameters in the query string and no body (a form is taken from programs, not from pages)"
        }
        "/api/v1/read" | "/api/v1/export" => "application/x-protobuf",
        _ if essence == "application/json" => return Ok(()),
        _ if PROTOBUF.contains(&path) => "application/x-protobuf or application/json",
        _ => "application/json",
    };
    let message = format!("the content type {content_type:?} is not accepted here: send {wanted}");
    Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_type", message))
}
