//! What others push: Prometheus remote write 1.0 and 2.0, Prometheus and OpenMetrics text, OpenTelemetry metrics and log
//! records, log records as JSON lines.
//!
//! A mistake in one series, line or record costs that one only: the rest is written, and the answer is 400 with the first
//! mistake. Overload is answered with 429 or 503 and `Retry-After`. Pushed series keep exactly the labels they come with.

mod decode;
#[cfg(test)]
mod fuzz;
mod json_logs;
mod otlp;
mod points;
mod proto;
mod remote_write;
mod text;
mod wire;

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use vocab::ports::append::RejectReason;
use vocab::ports::ingest::{IngestProtocol, IngestRequest, IngestResponse};
use vocab::ports::{AppendOutcome, Ingest, WriteBatch};
use vocab::{Ctx, ErrorKind, PortError};

use crate::shared::Shared;

/// Largest decompressed body of one request; senders split far below it.
pub const BODY_BYTES_MAX: usize = 64 << 20;
/// Samples that are written together, so that one request does not hold up the others.
const BATCH_SAMPLES_MAX: usize = 50_000;
/// The messages of remote write 1.0 and 2.0.
const PROTO_MESSAGES: [&str; 2] = ["prometheus.WriteRequest", "io.prometheus.write.v2.Request"];
/// Seconds after which a sender may try again when the store sheds load.
const RETRY_AFTER_SECONDS: &str = "5";

/// Decodes and writes pushed data.
#[derive(Debug, Clone)]
pub struct Receiver {
    shared: Arc<Shared>,
    /// Running totals of OTLP's delta series.
    deltas: Arc<Mutex<otlp::Deltas>>,
}

/// What became of a request.
#[derive(Debug, Default)]
struct Outcome {
    /// Samples or records taken.
    accepted: u64,
    /// Native histograms and exemplars among them, for remote write 2.0's answer.
    histograms: u64,
    exemplars: u64,
    /// Series, lines, samples or records refused.
    rejected: u64,
    /// The first mistake.
    first_mistake: Option<String>,
    /// Why samples were refused that may be taken later.
    limit: Option<String>,
}

impl Outcome {
    fn reject(&mut self, count: u64, mistake: impl FnOnce() -> String) {
        self.rejected += count;
        if self.first_mistake.is_none() {
            self.first_mistake = Some(mistake());
        }
    }

    /// The whole request's answer when a limit was reached.
    fn limited(&self) -> Option<PortError> {
        let text = |limit| format!("{limit} ({} refused, {} taken)", self.rejected, self.accepted);
        self.limit.as_ref().map(|limit| PortError::new(ErrorKind::Limit, text(limit)))
    }

    fn add(&mut self, outcome: &AppendOutcome) {
        self.accepted += outcome.accepted;
        if outcome.limited > 0 && self.limit.is_none() {
            let described = outcome.rejections.iter().find(|r| r.reason == RejectReason::SeriesLimit);
            self.limit = Some(described.map_or_else(|| "a limit is reached".to_owned(), |r| r.message.clone()));
        }
        if outcome.rejected > 0 {
            self.reject(outcome.rejected, || {
                outcome.rejections.first().map_or_else(|| "samples refused".to_owned(), |r| r.message.clone())
            });
        }
    }
}

impl Receiver {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, deltas: Arc::default() }
    }

    async fn handle(&self, ctx: &Ctx, request: &IngestRequest) -> Result<Outcome, PortError> {
        let body = decode::decode(&request.body, &request.content_encoding, request.protocol)?;
        self.check_size(ctx, body.len())?;
        // The decoded form of a body is a few times its size.
        ctx.memory.try_grow(body.len().saturating_mul(3))?;
        let result = match request.protocol {
            IngestProtocol::RemoteWrite => remote_write::ingest(self, ctx, request, &body).await,
            IngestProtocol::PrometheusText => text::ingest(self, ctx, request, &body).await,
            IngestProtocol::JsonLogs => json_logs::ingest(self, ctx, &body).await,
            IngestProtocol::OtlpMetrics | IngestProtocol::OtlpLogs => otlp::ingest(self, ctx, request, &body).await,
        };
        ctx.memory.shrink(body.len().saturating_mul(3));
        result
    }

    /// Refuses a body that is larger than its tenant may send.
    fn check_size(&self, ctx: &Ctx, bytes: usize) -> Result<(), PortError> {
        match self.shared.limits.of(&ctx.tenant).decompressed_bytes {
            Some(most) if bytes > most => Err(PortError::invalid(format!(
                "the body of tenant {} has {bytes} bytes after decompression, at most {most} are taken (max_decompressed_size)",
                ctx.tenant
            ))),
            _ => Ok(()),
        }
    }

    /// Refuses a request that holds more samples than its tenant may send at once; what was written of it before stays.
    fn check_samples(&self, ctx: &Ctx, num_samples: u64) -> Result<(), PortError> {
        match self.shared.limits.of(&ctx.tenant).samples_per_request {
            Some(most) if num_samples > most => Err(PortError::invalid(format!(
                "a request of tenant {} has {num_samples} samples or more, at most {most} are taken (max_samples_per_request)",
                ctx.tenant
            ))),
            _ => Ok(()),
        }
    }

    /// Writes a batch if it holds anything, and empties it.
    async fn flush(&self, ctx: &Ctx, batch: &mut WriteBatch, outcome: &mut Outcome) -> Result<(), PortError> {
        if batch.series.is_empty() && batch.metadata.is_empty() {
            return Ok(());
        }
        let samples = (batch.samples.len() + batch.histograms.len()) as u64;
        self.check_samples(ctx, outcome.accepted + outcome.rejected + samples)?;
        let written = self.shared.appender.append(ctx, batch).await?;
        outcome.add(&written);
        outcome.histograms += batch.histograms.len() as u64;
        outcome.exemplars += batch.exemplars.len() as u64;
        *batch = WriteBatch { origin: batch.origin, ..WriteBatch::default() };
        Ok(())
    }
}

#[async_trait]
impl Ingest for Receiver {
    async fn ingest(&self, ctx: &Ctx, request: IngestRequest) -> IngestResponse {
        if let Some(reason) = unsupported(&request) {
            let labels = vec![("protocol", "remote_write".to_owned()), ("status", "415".to_owned())];
            self.shared.metrics.push_requests.get_or_create(&labels).inc();
            let mut refused = response(415, reason);
            refused.headers = written(0, 0, 0);
            refused.content_type = "text/plain; charset=utf-8".to_owned();
            return refused;
        }
        let result = self.handle(ctx, &request).await;
        let protocol = match request.protocol {
            IngestProtocol::RemoteWrite => "remote_write",
            IngestProtocol::PrometheusText => "prometheus_text",
            IngestProtocol::JsonLogs => "json_logs",
            IngestProtocol::OtlpMetrics => "otlp_metrics",
            IngestProtocol::OtlpLogs => "otlp_logs",
        };
        if let Ok(outcome) = &result {
            let rejected = vec![("protocol", protocol.to_owned())];
            self.shared.metrics.push_rejected.get_or_create(&rejected).inc_by(outcome.rejected);
        }
        let is_otlp = matches!(request.protocol, IngestProtocol::OtlpMetrics | IngestProtocol::OtlpLogs);
        let mut response = match &result {
            result if is_otlp => otlp::answer(&request, result),
            Ok(outcome) => answer(outcome),
            Err(error) => {
                let mut response = refuse(error);
                if request.protocol == IngestProtocol::RemoteWrite {
                    response.headers.extend(written(0, 0, 0));
                }
                response
            }
        };
        if is_otlp {
            // The answer is in the request's own encoding already.
        } else if request.protocol == IngestProtocol::RemoteWrite {
            // Senders log the body as it is.
            response.content_type = "text/plain; charset=utf-8".to_owned();
        } else if !response.body.is_empty() {
            let kind = if response.status == 400 { "bad_data" } else { "unavailable" };
            let body = serde_json::json!({"status": "error", "errorType": kind, "error": response.body});
            response.body = body.to_string();
            response.content_type = "application/json".to_owned();
        }
        let labels = vec![("protocol", protocol.to_owned()), ("status", response.status.to_string())];
        self.shared.metrics.push_requests.get_or_create(&labels).inc();
        response
    }
}

fn response(status: u16, body: String) -> IngestResponse {
    IngestResponse { status, body, ..IngestResponse::default() }
}

fn answer(outcome: &Outcome) -> IngestResponse {
    let mut response = match (outcome.limited(), &outcome.first_mistake) {
        // What was taken is known at the next try and does no harm then.
        (Some(error), _) => refuse(&error),
        (None, None) => response(204, String::new()),
        (None, Some(mistake)) => {
            response(400, format!("{mistake} ({} refused, {} taken)", outcome.rejected, outcome.accepted))
        }
    };
    let samples = outcome.accepted.saturating_sub(outcome.histograms);
    response.headers.extend(written(samples, outcome.histograms, outcome.exemplars));
    response
}

/// Remote write 2.0's headers, which stand in every answer: a sender counts what it lost by them.
fn written(samples: u64, histograms: u64, exemplars: u64) -> Vec<(String, String)> {
    [("Samples", samples), ("Histograms", histograms), ("Exemplars", exemplars)]
        .map(|(name, value)| (format!("X-Prometheus-Remote-Write-{name}-Written"), value.to_string()))
        .to_vec()
}

/// Why a remote write request is in a format that is not spoken here. Senders try another format then.
fn unsupported(request: &IngestRequest) -> Option<String> {
    if request.protocol != IngestProtocol::RemoteWrite {
        return None;
    }
    let mut parts = request.content_type.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    // Old senders name no content type; theirs is version 1.0.
    if !essence.is_empty() && !essence.eq_ignore_ascii_case("application/x-protobuf") {
        return Some(format!("expected application/x-protobuf as the first (media) part, got {essence} content-type"));
    }
    let proto = parts.filter_map(|p| p.split_once('=')).find(|p| p.0.trim().eq_ignore_ascii_case("proto"));
    let proto = proto.map(|p| p.1.trim().trim_matches('"'));
    if let Some(other) = proto.filter(|p| !PROTO_MESSAGES.contains(p)) {
        return Some(format!(
            "unknown remote write protobuf message {other}, supported: {}",
            PROTO_MESSAGES.join(", ")
        ));
    }
    let encoding = request.content_encoding.trim();
    let is_known = ["", "snappy", "zstd", "gzip", "identity"].iter().any(|known| encoding.eq_ignore_ascii_case(known));
    (!is_known).then(|| {
        format!("{encoding} encoding (compression) is not accepted by this server; only snappy, zstd and gzip are")
    })
}

fn refuse(error: &PortError) -> IngestResponse {
    let status = match error.kind() {
        ErrorKind::Invalid | ErrorKind::Execution | ErrorKind::NotFound | ErrorKind::Conflict => 400,
        ErrorKind::Forbidden => 403,
        ErrorKind::Limit => 429,
        ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Cancelled => 503,
        ErrorKind::Internal => 500,
    };
    let mut response = response(status, error.to_string());
    if matches!(status, 429 | 503) {
        response.headers.push(("Retry-After".to_owned(), RETRY_AFTER_SECONDS.to_owned()));
    }
    response
}

#[cfg(test)]
mod tests;
