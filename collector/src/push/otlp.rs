//! OTLP over HTTP: metrics and log records, as protobuf or as JSON.
//!
//! Answers are in the request's own encoding: what was refused of a request that was otherwise taken is said in a partial
//! success, a request that failed as a whole is answered with a `google.rpc.Status`.

mod attributes;
mod delta;
mod histogram;
mod json;
mod logs;
mod metrics;
mod names;
pub(super) mod wire;

use bytes::Bytes;
use prost::Message;
use serde::de::DeserializeOwned;
use serde_json::json;
use vocab::ports::ingest::{IngestProtocol, IngestRequest, IngestResponse};
use vocab::{Ctx, ErrorKind, PortError};

pub(super) use self::delta::Deltas;
use super::{Outcome, Receiver, refuse};

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

/// The encoding of a request and of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Protobuf,
    Json,
}

/// The encoding that a content type names.
fn encoding(content_type: &str) -> Option<Encoding> {
    match content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        PROTOBUF => Some(Encoding::Protobuf),
        JSON => Some(Encoding::Json),
        _ => None,
    }
}

/// Writes what a request's decoded body holds.
///
/// # Errors
/// `Invalid` when the body is in no known encoding or damaged; what the store answers.
pub(super) async fn ingest(
    receiver: &Receiver,
    ctx: &Ctx,
    request: &IngestRequest,
    body: &[u8],
) -> Result<Outcome, PortError> {
    let encoding = encoding(&request.content_type).ok_or_else(|| {
        let given = &request.content_type;
        PortError::invalid(format!("unsupported content type: {given}, supported: [{PROTOBUF}, {JSON}]"))
    })?;
    match request.protocol {
        IngestProtocol::OtlpLogs => logs::ingest(receiver, ctx, decode(encoding, body)?).await,
        _ => metrics::ingest(receiver, ctx, &decode(encoding, body)?).await,
    }
}

fn decode<T: Message + Default + DeserializeOwned>(encoding: Encoding, body: &[u8]) -> Result<T, PortError> {
    match encoding {
        Encoding::Protobuf => T::decode(body).map_err(|e| PortError::invalid(format!("damaged protobuf body: {e}"))),
        // An empty body is an empty request in both encodings.
        Encoding::Json if body.is_empty() => Ok(T::default()),
        Encoding::Json => {
            serde_json::from_slice(body).map_err(|e| PortError::invalid(format!("damaged JSON body: {e}")))
        }
    }
}

/// The answer in the request's encoding; protobuf when it has none that is known.
pub(super) fn answer(request: &IngestRequest, result: &Result<Outcome, PortError>) -> IngestResponse {
    let encoding = encoding(&request.content_type).unwrap_or(Encoding::Protobuf);
    let mut response = IngestResponse { status: 200, ..IngestResponse::default() };
    // What a limit refused may be taken later: OpenTelemetry's exporters send a request again after 429, not what a partial success
    // has refused. What was taken of it does no harm then.
    let limited = result.as_ref().ok().and_then(Outcome::limited);
    let (protobuf, json) = match limited.as_ref().map_or(result.as_ref(), Err) {
        Ok(outcome) => {
            let partial = outcome.first_mistake.as_ref().map(|mistake| wire::PartialSuccess {
                rejected: i64::try_from(outcome.rejected).unwrap_or(i64::MAX),
                error_message: mistake.clone(),
            });
            let word = match request.protocol {
                IngestProtocol::OtlpLogs => "rejectedLogRecords",
                _ => "rejectedDataPoints",
            };
            let json = partial.as_ref().map_or_else(
                || json!({}),
                |p| json!({"partialSuccess": {word: p.rejected.to_string(), "errorMessage": p.error_message}}),
            );
            (wire::Response { partial_success: partial }.encode_to_vec(), json)
        }
        Err(error) => {
            response = refuse(error);
            let (code, message) = (rpc_code(error.kind()), std::mem::take(&mut response.body));
            let json = json!({"code": code, "message": message});
            (wire::Status { code, message }.encode_to_vec(), json)
        }
    };
    match encoding {
        Encoding::Protobuf => {
            PROTOBUF.clone_into(&mut response.content_type);
            response.binary = Bytes::from(protobuf);
        }
        Encoding::Json => {
            JSON.clone_into(&mut response.content_type);
            response.body = json.to_string();
        }
    }
    response
}

/// A JSON body of the fuzzed corpus in protobuf, both behind the byte that says what they are.
#[cfg(test)]
pub(super) fn protobuf_of_json((mode, body): (&u8, &[u8])) -> Option<Vec<u8>> {
    let packed = match mode & 3 {
        1 => serde_json::from_slice::<wire::MetricsRequest>(body).ok()?.encode_to_vec(),
        3 => serde_json::from_slice::<wire::LogsRequest>(body).ok()?.encode_to_vec(),
        _ => return None,
    };
    Some([&[mode & 2], &packed[..]].concat())
}

/// gRPC's number for a kind of error.
fn rpc_code(kind: ErrorKind) -> i32 {
    match kind {
        ErrorKind::Cancelled => 1,
        ErrorKind::Invalid | ErrorKind::Execution => 3,
        ErrorKind::Timeout => 4,
        ErrorKind::NotFound => 5,
        ErrorKind::Forbidden => 7,
        ErrorKind::Limit => 8,
        ErrorKind::Conflict => 10,
        ErrorKind::Internal => 13,
        ErrorKind::Unavailable => 14,
    }
}

#[cfg(test)]
mod tests;
