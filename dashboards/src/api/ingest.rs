//! Routes of the push protocols; the bytes are somebody else's to read.

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use vocab::ports::ingest::{IngestProtocol, IngestRequest};

use crate::app::{Caller, Shared};
use crate::error::{ApiError, ApiResult};

/// Longest pushed body as it comes over the wire; the reader has its own limit on what it unpacks to.
pub(crate) const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

async fn push(app: &Shared, caller: &Caller, protocol: IngestProtocol, request: Request) -> ApiResult<Response> {
    let text = |headers: &HeaderMap, name| {
        headers.get(name).and_then(|v: &HeaderValue| v.to_str().ok()).unwrap_or_default().to_owned()
    };
    let headers = request.headers();
    let content_type = text(headers, header::CONTENT_TYPE);
    let content_encoding = text(headers, header::CONTENT_ENCODING);
    let query = request.uri().query().unwrap_or_default();
    let params = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let ctx = vocab::Ctx::new(caller.tenant.clone(), app.ingest_memory.reservation("a pushed body"));
    // What the sender announces is reserved before it is read; what it does not announce, after.
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
    let most = app.config.limits.of(&caller.tenant).body_bytes.map_or(BODY_BYTES_MAX, |own| own.min(BODY_BYTES_MAX));
    let announced = announced.unwrap_or_default().min(most);
    if let Err(error) = ctx.memory.try_grow(announced) {
        return Ok(overloaded(&error));
    }
    let Ok(body) = to_bytes(request.into_body(), most).await else {
        let tenant = &caller.tenant;
        let message =
            format!("the body is over the limit of {most} bytes of tenant {tenant} (max_body_size), or it broke off");
        return Ok((StatusCode::PAYLOAD_TOO_LARGE, message).into_response());
    };
    if let Err(error) = ctx.memory.try_grow(body.len().saturating_sub(announced)) {
        return Ok(overloaded(&error));
    }
    let request = IngestRequest { protocol, content_type, content_encoding, params, body };
    let answer = app.ports.ingest.ingest(&ctx, request).await;
    let status = StatusCode::from_u16(answer.status)
        .map_err(|_| ApiError::new(vocab::ErrorKind::Internal, "the decoder answered with an impossible status"))?;
    let body = if answer.body.is_empty() { Body::from(answer.binary) } else { Body::from(answer.body) };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let kind = [("content-type".to_owned(), answer.content_type)].into_iter().filter(|(_, v)| !v.is_empty());
    for (name, value) in kind.chain(answer.headers) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response)
}

fn overloaded(error: &vocab::PortError) -> Response {
    let headers = [(header::RETRY_AFTER, "5")];
    (StatusCode::TOO_MANY_REQUESTS, headers, error.to_string()).into_response()
}

/// Takes samples in Prometheus's remote write protocol.
#[utoipa::path(post, path = "/api/v1/write", tag = "Ingest", request_body(content_type = "application/x-protobuf", description = "remote write 1.0 or 2.0, snappy"),
    responses((status = 204, description = "taken"), (status = 400, description = "some or all samples were refused: the body says which"),
    (status = 429, description = "try again later")))]
pub(crate) async fn remote_write(State(app): State<Shared>, caller: Caller, request: Request) -> ApiResult<Response> {
    push(&app, &caller, IngestProtocol::RemoteWrite, request).await
}

/// Takes samples in Prometheus's or OpenMetrics' text format.
#[utoipa::path(post, path = "/api/v1/import/prometheus", tag = "Ingest", request_body(content_type = "text/plain; version=0.0.4", description = "exposition text"),
    responses((status = 200, description = "taken"), (status = 400, description = "the body says where the mistake is"), (status = 429, description = "try again later")))]
pub(crate) async fn import_text(State(app): State<Shared>, caller: Caller, request: Request) -> ApiResult<Response> {
    push(&app, &caller, IngestProtocol::PrometheusText, request).await
}

/// Takes log records, one JSON object a line.
#[utoipa::path(post, path = "/api/v1/logs", tag = "Ingest", request_body(content_type = "application/x-ndjson", description = "one record a line"),
    responses((status = 200, description = "taken"), (status = 400, description = "the body says where the mistake is"), (status = 429, description = "try again later")))]
pub(crate) async fn push_logs(State(app): State<Shared>, caller: Caller, request: Request) -> ApiResult<Response> {
    push(&app, &caller, IngestProtocol::JsonLogs, request).await
}

/// Takes OpenTelemetry metrics.
#[utoipa::path(post, path = "/v1/metrics", tag = "Ingest", request_body(content_type = "application/x-protobuf", description = "ExportMetricsServiceRequest, as protobuf or JSON"),
    responses((status = 200, description = "taken, or some of it: the body says what was refused"), (status = 400, description = "a google.rpc.Status says why"), (status = 429, description = "try again later")))]
pub(crate) async fn otlp_metrics(State(app): State<Shared>, caller: Caller, request: Request) -> ApiResult<Response> {
    push(&app, &caller, IngestProtocol::OtlpMetrics, request).await
}

/// Takes OpenTelemetry metrics where Prometheus takes them.
#[utoipa::path(post, path = "/api/v1/otlp/v1/metrics", tag = "Ingest", request_body(content_type = "application/x-protobuf", description = "ExportMetricsServiceRequest, as protobuf or JSON"),
    responses((status = 200, description = "taken, or some of it: the body says what was refused"), (status = 400, description = "a google.rpc.Status says why"), (status = 429, description = "try again later")))]
pub(crate) async fn otlp_metrics_prometheus(
    State(app): State<Shared>,
    caller: Caller,
    request: Request,
) -> ApiResult<Response> {
    push(&app, &caller, IngestProtocol::OtlpMetrics, request).await
}

/// Takes OpenTelemetry log records.
#[utoipa::path(post, path = "/v1/logs", tag = "Ingest", request_body(content_type = "application/x-protobuf", description = "ExportLogsServiceRequest, as protobuf or JSON"),
    responses((status = 200, description = "taken, or some of it: the body says what was refused"), (status = 400, description = "a google.rpc.Status says why"), (status = 429, description = "try again later")))]
pub(crate) async fn otlp_logs(State(app): State<Shared>, caller: Caller, request: Request) -> ApiResult<Response> {
    push(&app, &caller, IngestProtocol::OtlpLogs, request).await
}
