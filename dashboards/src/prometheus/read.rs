//! Remote read: samples, or chunks as a stream.

pub(crate) mod encode;
pub(crate) mod wire;

use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use prost::Message;
use vocab::ports::query::{SelectHints, SelectRequest};
use vocab::sample::SeriesData;
use vocab::{Ctx, ErrorKind, Labels, MatchOp, Matcher};

use self::encode::Detail;
use self::wire::{Query, ReadRequest, ReadResponse};
use crate::app::{App, Caller, Shared};
use crate::error::{ApiError, ApiResult, status_of};
use crate::stream::{self, Pieces};

/// Largest request, packed and unpacked: matchers are short.
const REQUEST_BYTES_MAX: usize = 4 << 20;
/// Most queries of a request.
const QUERIES_MAX: usize = 64;
/// Most samples of an answer that is not streamed, as in Prometheus.
const SAMPLES_MAX: usize = 50_000_000;
/// `accepted_response_types`: samples in one message.
const TYPE_SAMPLES: i32 = 0;
/// `accepted_response_types`: chunks, frame by frame.
const TYPE_CHUNKS: i32 = 1;

/// Why a request failed; its clients print the body as it is.
#[derive(Debug)]
pub(crate) struct ReadError(ApiError);

impl From<ApiError> for ReadError {
    fn from(error: ApiError) -> Self {
        Self(error)
    }
}

impl IntoResponse for ReadError {
    fn into_response(self) -> Response {
        (status_of(self.0.kind), self.0.message).into_response()
    }
}

/// Answers Prometheus's remote read.
#[utoipa::path(post, path = "/api/v1/read", tag = "Prometheus", request_body(content_type = "application/x-protobuf", description = "ReadRequest, snappy"),
    responses((status = 200, description = "samples, or chunks as a stream"), (status = 400, description = "the body says why")))]
pub(crate) async fn read(State(app): State<Shared>, caller: Caller, request: Request) -> Result<Response, ReadError> {
    let request = decode(request).await?;
    let external = app.config.external_labels.read().clone();
    let mut queries = Vec::new();
    for query in &request.queries {
        queries.push(select(query, &external)?);
    }
    // Without a wish the answer is samples; unknown wishes are passed over.
    let known = |kind: &&i32| matches!(**kind, TYPE_SAMPLES | TYPE_CHUNKS);
    let wanted = match request.accepted_response_types.iter().find(known) {
        Some(kind) => *kind,
        None if request.accepted_response_types.is_empty() => TYPE_SAMPLES,
        None => return Err(ApiError::invalid("none of the accepted response types is known").into()),
    };
    match wanted {
        TYPE_CHUNKS => streamed(&app, &caller, queries, external, Detail::Standard).await,
        _ => sampled(&app, &caller, queries, external).await,
    }
}

/// Streams all there is of series, for `tidewatch export`: remote read's chunks in frames, and beside them what it has no words for.
#[utoipa::path(post, path = "/api/v1/export", tag = "Queries", request_body(content_type = "application/x-protobuf", description = "ReadRequest, snappy"),
    responses((status = 200, description = "chunks as a stream, with start times and reset hints"), (status = 400, description = "the body says why")))]
pub(crate) async fn export(State(app): State<Shared>, caller: Caller, request: Request) -> Result<Response, ReadError> {
    let request = decode(request).await?;
    // What is exported may be read in again, so it carries no labels that are added on the way out.
    let external = Labels::default();
    let queries = request.queries.iter().map(|query| select(query, &external)).collect::<ApiResult<Vec<_>>>()?;
    streamed(&app, &caller, queries, external, Detail::All).await
}

async fn decode(request: Request) -> ApiResult<ReadRequest> {
    let body = to_bytes(request.into_body(), REQUEST_BYTES_MAX)
        .await
        .map_err(|e| ApiError::invalid(format!("cannot read the body (limit {REQUEST_BYTES_MAX} bytes): {e}")))?;
    let damaged = |e: &dyn std::fmt::Display| ApiError::invalid(format!("damaged remote read request: {e}"));
    let length = snap::raw::decompress_len(&body).map_err(|e| damaged(&e))?;
    if length > REQUEST_BYTES_MAX {
        return Err(ApiError::invalid(format!("the request is over the limit of {REQUEST_BYTES_MAX} bytes")));
    }
    let plain = snap::raw::Decoder::new().decompress_vec(&body).map_err(|e| damaged(&e))?;
    let request = ReadRequest::decode(&plain[..]).map_err(|e| damaged(&e))?;
    if request.queries.len() > QUERIES_MAX {
        return Err(ApiError::invalid(format!(
            "{} queries are over the limit of {QUERIES_MAX}",
            request.queries.len()
        )));
    }
    Ok(request)
}

/// What the store is asked. Matchers on external labels are true of everything here, so they are left out.
fn select(query: &Query, external: &Labels) -> ApiResult<SelectRequest> {
    let mut matchers = Vec::new();
    for matcher in &query.matchers {
        let op = match matcher.kind {
            0 => MatchOp::Equal,
            1 => MatchOp::NotEqual,
            2 => MatchOp::Regex,
            3 => MatchOp::NotRegex,
            other => return Err(ApiError::invalid(format!("invalid matcher type {other}"))),
        };
        if op == MatchOp::Equal && external.get(&matcher.name) == Some(matcher.value.as_str()) {
            continue;
        }
        matchers.push(Matcher::new(op, matcher.name.clone(), matcher.value.clone())?);
    }
    let hints = query.hints.as_ref().map_or_else(SelectHints::default, |h| SelectHints {
        step_ms: h.step_ms,
        function: h.func.clone(),
        range_ms: h.range_ms,
        ..SelectHints::default()
    });
    Ok(SelectRequest { matchers, start_ms: query.start_timestamp_ms, end_ms: query.end_timestamp_ms, hints })
}

/// A query's series with the external labels that they lack, by labels.
async fn series(app: &App, ctx: &Ctx, request: SelectRequest, external: &Labels) -> ApiResult<Vec<SeriesData>> {
    let mut all = Vec::new();
    let mut batches = app.ports.querier.select(ctx, request).await?;
    while let Some(batch) = batches.next().await {
        ctx.cancel.check()?;
        for mut series in batch? {
            if series.num_samples() == 0 {
                continue;
            }
            for (name, value) in external {
                if series.labels.get(name).is_none() {
                    series.labels = series.labels.with(name, value);
                }
            }
            all.push(series);
        }
    }
    all.sort_by(|a, b| a.labels.cmp(&b.labels));
    Ok(all)
}

async fn sampled(
    app: &Shared,
    caller: &Caller,
    queries: Vec<SelectRequest>,
    external: Labels,
) -> Result<Response, ReadError> {
    let work = async move |app: Shared, ctx: Ctx| {
        let mut response = ReadResponse { results: Vec::new() };
        let mut samples = 0;
        for query in queries {
            let found = series(&app, &ctx, query, &external).await?;
            samples += found.iter().map(SeriesData::num_samples).sum::<usize>();
            if samples > SAMPLES_MAX {
                let message = format!("exceeded sample limit ({SAMPLES_MAX}): ask for streamed chunks, or for less");
                return Err(ApiError::invalid(message));
            }
            // Each sample stands a second time in the message, with some bytes around it.
            ctx.memory.try_grow(samples.saturating_mul(24))?;
            let timeseries = found.iter().map(encode::timeseries).collect();
            response.results.push(wire::QueryResult { timeseries });
        }
        let plain = response.encode_to_vec();
        ctx.memory.try_grow(plain.len())?;
        let packed = snap::raw::Encoder::new().compress_vec(&plain);
        packed.map_err(|e| ApiError::new(ErrorKind::Limit, format!("the answer is too large to be packed: {e}")))
    };
    let body = app.run_in_turn(caller, app.config.query_timeout, work).await?;
    Ok((
        [
            (header::CONTENT_TYPE, "application/x-protobuf"),
            (header::CONTENT_ENCODING, "snappy"),
            (HeaderName::from_static("x-prometheus-remote-read-version"), "0.1.0"),
        ],
        body,
    )
        .into_response())
}

async fn streamed(
    app: &Shared,
    caller: &Caller,
    queries: Vec<SelectRequest>,
    external: Labels,
    detail: Detail,
) -> Result<Response, ReadError> {
    let work = async move |app: Shared, ctx: Ctx, out: Pieces| {
        for (index, query) in queries.into_iter().enumerate() {
            for series in series(&app, &ctx, query, &external).await? {
                for frame in encode::frames(&series, i64::try_from(index).unwrap_or(i64::MAX), detail) {
                    out.offer(&app, &ctx, frame.into()).await?;
                }
            }
        }
        Ok(())
    };
    let frames = stream::body(app, caller, work).await?;
    let kind = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse";
    Ok((StatusCode::OK, [(header::CONTENT_TYPE, kind)], frames).into_response())
}
