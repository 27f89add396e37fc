//! Errors as callers see them: the one place where a kind of error becomes a status code.

use std::ops::Range;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use promql::{ParseError, QueryError};
use serde_json::json;
use vocab::{ErrorKind, PortError};

/// The status of a call whose client went away; nobody reads it but the request counter.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// Why a call failed, in Tidewatch's own shape.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    pub(crate) kind: ErrorKind,
    pub(crate) message: String,
    pub(crate) position: Option<Position>,
}

/// Where in a query an error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) offset: usize,
    pub(crate) end: usize,
}

impl Position {
    pub(crate) fn of(text: &str, span: &Range<usize>) -> Self {
        let (line, column) = promql::position(text, span.start);
        Self { line, column, offset: span.start, end: span.end }
    }

    pub(crate) fn json(self) -> serde_json::Value {
        json!({"line": self.line, "column": self.column, "offset": self.offset, "end": self.end})
    }
}

pub(crate) type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), position: None }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    /// A mistake in a PromQL text.
    pub(crate) fn parse(text: &str, error: &ParseError) -> Self {
        let position = Some(Position::of(text, &error.span));
        Self { kind: ErrorKind::Invalid, message: error.to_string(), position }
    }

    /// A query that could not be evaluated.
    pub(crate) fn query(text: &str, error: &QueryError) -> Self {
        let position = error.span.as_ref().map(|span| Position::of(text, span));
        Self { kind: error.kind(), message: error.message().to_owned(), position }
    }

    /// The same error about a named parameter, as Prometheus words it.
    pub(crate) fn parameter(mut self, name: &str) -> Self {
        self.message = format!("invalid parameter {name:?}: {}", self.message);
        self
    }

    /// `{"kind", "message", "position"}`.
    pub(crate) fn json(&self) -> serde_json::Value {
        json!({"kind": kind_word(self.kind), "message": self.message, "position": self.position.map(Position::json)})
    }
}

impl From<PortError> for ApiError {
    fn from(error: PortError) -> Self {
        let message = if error.kind() == ErrorKind::Internal {
            // The causes may name paths and addresses: they are for the operator's log, not for the caller.
            tracing::error!(error = %vocab::error::chain(&error), "a call failed");
            error.to_string()
        } else {
            vocab::error::chain(&error)
        };
        Self::new(error.kind(), message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (status_of(self.kind), Json(json!({"error": self.json()}))).into_response();
        add_retry_after(self.kind, &mut response);
        response
    }
}

/// The same error in Prometheus's shape.
#[derive(Debug)]
pub(crate) struct PromError(pub(crate) ApiError);

impl From<ApiError> for PromError {
    fn from(error: ApiError) -> Self {
        Self(error)
    }
}

impl From<PortError> for PromError {
    fn from(error: PortError) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for PromError {
    fn into_response(self) -> Response {
        let mut body = json!({"status": "error", "errorType": prometheus_word(self.0.kind), "error": self.0.message});
        if let Some(position) = self.0.position {
            body["position"] = position.json();
        }
        let mut response = (status_of(self.0.kind), Json(body)).into_response();
        add_retry_after(self.0.kind, &mut response);
        response
    }
}

fn add_retry_after(kind: ErrorKind, response: &mut Response) {
    if kind == ErrorKind::Unavailable {
        response.headers_mut().insert("retry-after", axum::http::HeaderValue::from_static("5"));
    }
}

/// The status code of a kind.
pub(crate) fn status_of(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::Invalid => StatusCode::BAD_REQUEST,
        ErrorKind::Execution | ErrorKind::Limit => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::Unavailable | ErrorKind::Timeout => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::Cancelled => StatusCode::from_u16(CLIENT_CLOSED_REQUEST).unwrap_or(StatusCode::BAD_REQUEST),
        ErrorKind::Forbidden => StatusCode::FORBIDDEN,
        ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn kind_word(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::NotFound => "not_found",
        ErrorKind::Invalid => "invalid",
        ErrorKind::Execution => "execution",
        ErrorKind::Conflict => "conflict",
        ErrorKind::Unavailable => "unavailable",
        ErrorKind::Timeout => "timeout",
        ErrorKind::Cancelled => "cancelled",
        ErrorKind::Limit => "limit",
        ErrorKind::Forbidden => "forbidden",
        ErrorKind::Internal => "internal",
    }
}

fn prometheus_word(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::NotFound => "not_found",
        ErrorKind::Invalid | ErrorKind::Conflict => "bad_data",
        ErrorKind::Execution | ErrorKind::Limit => "execution",
        ErrorKind::Unavailable => "unavailable",
        ErrorKind::Timeout => "timeout",
        ErrorKind::Cancelled => "canceled",
        ErrorKind::Forbidden => "forbidden",
        ErrorKind::Internal => "internal",
    }
}
