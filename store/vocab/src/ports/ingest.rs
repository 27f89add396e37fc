//! Push protocols: bytes in, result out. `collector::push` decodes; `dashboards` owns only the routes.

use std::fmt::Debug;

use async_trait::async_trait;
use bytes::Bytes;

use crate::context::Ctx;

/// Which protocol a body is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IngestProtocol {
    /// Prometheus remote write, 1.0 or 2.0 by content type.
    RemoteWrite,
    /// Prometheus or OpenMetrics text.
    PrometheusText,
    /// Log records as newline-delimited JSON.
    JsonLogs,
    /// OpenTelemetry metrics over HTTP, protobuf or JSON by content type.
    OtlpMetrics,
    /// OpenTelemetry log records over HTTP, protobuf or JSON by content type.
    OtlpLogs,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct IngestRequest {
    /// The protocol, from the route.
    pub protocol: IngestProtocol,
    /// `Content-Type`, or empty.
    pub content_type: String,
    /// `Content-Encoding`, or empty.
    pub content_encoding: String,
    /// Query parameters.
    pub params: Vec<(String, String)>,
    /// The body, still encoded.
    pub body: Bytes,
}

/// The answer to send.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IngestResponse {
    /// HTTP status code.
    pub status: u16,
    /// Further headers.
    pub headers: Vec<(String, String)>,
    /// Content type of the body.
    pub content_type: String,
    /// The body; empty for 204.
    pub body: String,
    /// A body that is no text; sent instead of `body` where that is empty.
    pub binary: Bytes,
}

/// Decodes and writes pushed data.
#[async_trait]
pub trait Ingest: Send + Sync + Debug {
    /// Handles one request; mistakes become a 4xx answer that says where, overload 429 or 503 with `Retry-After`.
    async fn ingest(&self, ctx: &Ctx, request: IngestRequest) -> IngestResponse;
}
