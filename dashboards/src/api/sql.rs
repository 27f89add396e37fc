//! SQL, its rows streamed as they are computed.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use vocab::cancel::CancelOnDrop;
use vocab::ports::sql::{SqlFormat, SqlRequest};

use super::body::JsonBody;
use crate::app::{Caller, Shared};
use crate::error::{ApiError, ApiResult};
use crate::metrics::Counted;
use crate::stream::offer;

/// Encoded batches between the query and the client; a slow client slows the query down.
const BATCHES_WAITING_MAX: usize = 4;

/// One read-only statement.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SqlBody {
    /// The statement, over the tables `metrics` and `logs`.
    query: String,
    /// json, ndjson, csv or arrow.
    #[serde(default)]
    format: Option<String>,
    /// Whether a scan without any bound on time is allowed.
    #[serde(default)]
    allow_full_scan: bool,
}

/// Runs a SQL query.
#[utoipa::path(post, path = "/api/v1/sql", tag = "Queries", request_body = SqlBody,
    responses((status = 200, description = "rows"), (status = 400, description = "a mistake in the query, or a full scan that was not allowed")))]
pub(crate) async fn sql(
    State(app): State<Shared>,
    caller: Caller,
    JsonBody(body): JsonBody<SqlBody>,
) -> ApiResult<Response> {
    let (format, content_type) = match body.format.as_deref().unwrap_or("json") {
        "json" => (SqlFormat::Json, "application/json"),
        "ndjson" => (SqlFormat::NdJson, "application/x-ndjson"),
        "csv" => (SqlFormat::Csv, "text/csv; charset=utf-8"),
        "arrow" => (SqlFormat::Arrow, "application/vnd.apache.arrow.stream"),
        other => return Err(ApiError::invalid(format!("want json, ndjson, csv or arrow, not {other:?}"))),
    };
    if body.query.trim().is_empty() {
        return Err(ApiError::invalid("the query is empty"));
    }
    let request = SqlRequest { query: body.query, format, allow_full_scan: body.allow_full_scan };
    let (sender, mut batches) = mpsc::channel::<Result<Bytes, ApiError>>(BATCHES_WAITING_MAX);
    spawn(&app, &caller, request, sender);
    // An error before the first row still has a status of its own.
    let first = match batches.recv().await {
        Some(Err(error)) => return Err(error),
        first => first,
    };
    let rest = ReceiverStream::new(batches);
    let rows =
        futures::stream::iter(first).chain(rest).map(|batch| batch.map_err(|e| std::io::Error::other(e.message)));
    Ok(([(header::CONTENT_TYPE, content_type)], Body::from_stream(rows)).into_response())
}

/// Runs the query on a thread of its own, until the client goes away or the time is over.
fn spawn(app: &Shared, caller: &Caller, request: SqlRequest, sender: mpsc::Sender<Result<Bytes, ApiError>>) {
    let (app, caller) = (app.clone(), caller.clone());
    tokio::spawn(async move {
        let rows = sender.clone();
        let work = async move |app: Shared, ctx: vocab::Ctx| {
            let _ends = CancelOnDrop(ctx.cancel.clone());
            let mut answer = app.ports.sql.query(&ctx, request).await?;
            while let Some(batch) = answer.rows.next().await {
                offer(&app, &ctx, &rows, batch?).await?;
            }
            Ok(())
        };
        let _stream = Counted::new(&app.metrics.streams);
        // A client that goes away before the first row ends the query as well.
        let outcome = tokio::select! {
            outcome = app.run(&caller, app.config.query_timeout, work) => outcome,
            () = sender.closed() => return,
        };
        if let Err(error) = outcome {
            tracing::debug!(message = %error.message, "a SQL query ended early");
            // Nobody may be there to hear it.
            let _gone = sender.send(Err(error)).await;
        }
    });
}
