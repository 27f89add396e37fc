//! Log search, histogram, facets, patterns, live tail.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use serde_json::{Value, json};
use vocab::Ctx;
use vocab::cancel::CancelOnDrop;
use vocab::ports::logs::{Direction, LogQuery};
use vocab::ports::views::PatternInfo;

use super::events::stream_slot;
use super::shapes::{self, NANOS_PER_MILLI, pattern_id};
use crate::app::{Caller, Shared};
use crate::error::{ApiError, ApiResult};
use crate::params::Params;

/// Most records of a page.
const RECORDS_MAX: usize = 1000;
/// Records of a page when the caller names no number.
const RECORDS_DEFAULT: usize = 100;
/// Most buckets of a histogram or a sparkline.
const BUCKETS_MAX: usize = 500;
/// Most values of a facet, and most patterns or fields.
const VALUES_MAX: usize = 1000;
/// Most facets in one request.
const FACETS_MAX: usize = 16;

fn query(app: &Shared, params: &Params) -> ApiResult<LogQuery> {
    let (from_ms, to_ms) = params.range(app.clock.now_ms())?;
    Ok(LogQuery {
        text: params.get("q").unwrap_or_default().to_owned(),
        matchers: Vec::new(),
        start_ns: from_ms.saturating_mul(NANOS_PER_MILLI),
        end_ns: to_ms.saturating_mul(NANOS_PER_MILLI),
    })
}

/// Records that match, a page at a time.
#[utoipa::path(get, path = "/api/v1/logs/search", tag = "Logs", params(("q" = Option<String>, Query), ("from_ms" = Option<i64>, Query),
    ("to_ms" = Option<i64>, Query), ("limit" = Option<u64>, Query), ("direction" = Option<String>, Query, description = "backward or forward"),
    ("after" = Option<String>, Query, description = "`next` of the page before")),
    responses((status = 200, description = "records and the cursor of the next page")))]
pub(crate) async fn search(State(app): State<Shared>, caller: Caller, params: Params) -> ApiResult<Json<Value>> {
    let query = query(&app, &params)?;
    let limit = params.number("limit", RECORDS_DEFAULT, RECORDS_MAX)?;
    let direction = match params.get("direction").unwrap_or("backward") {
        "backward" => Direction::Backward,
        "forward" => Direction::Forward,
        other => {
            return Err(ApiError::invalid(format!("want backward or forward, not {other:?}")).parameter("direction"));
        }
    };
    let after = params.get("after").map(str::to_owned);
    let work = async move |app: Shared, ctx: Ctx| {
        let found = app.ports.logs.search(&ctx, &query, direction, limit, after.as_deref()).await?;
        let next = found.last().filter(|_| limit > 0 && found.len() == limit).map(|f| f.cursor.clone());
        let records: Vec<_> = found.iter().map(shapes::found).collect();
        Ok(json!({"records": records, "next": next}))
    };
    Ok(Json(app.run(&caller, app.config.query_timeout, work).await?))
}

/// Counts by severity over time.
#[utoipa::path(get, path = "/api/v1/logs/histogram", tag = "Logs", params(("q" = Option<String>, Query), ("from_ms" = Option<i64>, Query),
    ("to_ms" = Option<i64>, Query), ("buckets" = Option<u64>, Query)), responses((status = 200, description = "buckets in order of time")))]
pub(crate) async fn histogram(State(app): State<Shared>, caller: Caller, params: Params) -> ApiResult<Json<Value>> {
    let query = query(&app, &params)?;
    let buckets = params.number("buckets", 60, BUCKETS_MAX)?.max(1);
    let step_ms = (query.end_ns - query.start_ns) as f64 / buckets as f64 / NANOS_PER_MILLI as f64;
    let work = async move |app: Shared, ctx: Ctx| Ok(app.ports.logs.histogram(&ctx, &query, buckets).await?);
    let found = app.run(&caller, app.config.query_timeout, work).await?;
    let rows: Vec<_> = found
        .iter()
        .map(|bucket| {
            let counts: BTreeMap<_, _> = bucket.counts.iter().map(|(s, n)| (s.as_str(), n)).collect();
            json!({"start_ms": bucket.start_ns.div_euclid(NANOS_PER_MILLI), "counts": counts})
        })
        .collect();
    Ok(Json(json!({"buckets": rows, "step_ms": step_ms})))
}

/// The most frequent values of labels and fields.
#[utoipa::path(get, path = "/api/v1/logs/facets", tag = "Logs", params(("q" = Option<String>, Query), ("from_ms" = Option<i64>, Query),
    ("to_ms" = Option<i64>, Query), ("names" = String, Query, description = "separated by commas"), ("limit" = Option<u64>, Query)),
    responses((status = 200, description = "one facet per name, in their order")))]
pub(crate) async fn facets(State(app): State<Shared>, caller: Caller, params: Params) -> ApiResult<Json<Value>> {
    let query = query(&app, &params)?;
    let limit = params.number("limit", 10, VALUES_MAX)?;
    let names: Vec<String> = params.required("names")?.split(',').map(|n| n.trim().to_owned()).collect();
    if names.len() > FACETS_MAX {
        return Err(ApiError::invalid(format!("want at most {FACETS_MAX} names")).parameter("names"));
    }
    let work = async move |app: Shared, ctx: Ctx| {
        let mut facets = Vec::new();
        for name in names.iter().filter(|n| !n.is_empty()) {
            let values = app.ports.logs.facet(&ctx, &query, name, limit).await?;
            facets.push(json!({"name": name, "values": values}));
        }
        Ok(facets)
    };
    Ok(Json(json!({"facets": app.run(&caller, app.config.query_timeout, work).await?})))
}

/// The labels and fields that occur.
#[utoipa::path(get, path = "/api/v1/logs/fields", tag = "Logs", params(("q" = Option<String>, Query), ("from_ms" = Option<i64>, Query),
    ("to_ms" = Option<i64>, Query), ("limit" = Option<u64>, Query)), responses((status = 200, description = "names, most frequent first")))]
pub(crate) async fn fields(State(app): State<Shared>, caller: Caller, params: Params) -> ApiResult<Json<Value>> {
    let query = query(&app, &params)?;
    let limit = params.number("limit", 200, VALUES_MAX)?;
    let work = async move |app: Shared, ctx: Ctx| Ok(app.ports.logs.field_names(&ctx, &query, limit).await?);
    Ok(Json(json!({"fields": app.run(&caller, app.config.query_timeout, work).await?})))
}

/// The patterns among the matching records.
#[utoipa::path(get, path = "/api/v1/logs/patterns", tag = "Logs", params(("q" = Option<String>, Query), ("from_ms" = Option<i64>, Query),
    ("to_ms" = Option<i64>, Query), ("buckets" = Option<u64>, Query), ("limit" = Option<u64>, Query)),
    responses((status = 200, description = "patterns, most frequent first")))]
pub(crate) async fn patterns(State(app): State<Shared>, caller: Caller, params: Params) -> ApiResult<Json<Value>> {
    let query = query(&app, &params)?;
    let start_ms = query.start_ns.div_euclid(NANOS_PER_MILLI);
    let buckets = params.number("buckets", 30, BUCKETS_MAX)?.max(1);
    let limit = params.number("limit", 100, VALUES_MAX)?;
    let work = async move |app: Shared, ctx: Ctx| {
        let counts = app.ports.logs.patterns(&ctx, &query, buckets, limit).await?;
        // The histogram counts every record, also those of patterns beyond the limit.
        let whole = app.ports.logs.histogram(&ctx, &query, 1).await?;
        let total: u64 = whole.iter().flat_map(|b| b.counts.iter().map(|(_, n)| n)).sum();
        Ok((counts, total))
    };
    let (counts, total) = app.run(&caller, app.config.query_timeout, work).await?;
    let ids: Vec<u64> = counts.iter().map(|c| c.pattern_id).filter(|id| *id != 0).collect();
    // No id at all would ask for every pattern there is.
    let known = if ids.is_empty() { Vec::new() } else { app.ports.rules.patterns(&caller.tenant, &ids).await };
    let known: BTreeMap<u64, PatternInfo> = known.into_iter().map(|p| (p.id, p)).collect();
    let rows: Vec<_> = counts
        .iter()
        .map(|count| {
            let info = known.get(&count.pattern_id);
            json!({
                "pattern_id": pattern_id(count.pattern_id),
                "template": info.map_or(count.example.as_str(), |p| p.template.as_str()),
                "service": info.map(|p| p.service.as_str()),
                "count": count.count,
                "share": if total > 0 { json!(count.count as f64 / total as f64) } else { Value::Null },
                "buckets": count.buckets,
                "first_seen_ms": info.map(|p| p.first_seen_ms),
                "new": info.is_some_and(|p| p.first_seen_ms >= start_ms),
                "example": count.example,
            })
        })
        .collect();
    Ok(Json(json!({"patterns": rows, "total": total})))
}

/// Records as they are written, as server-sent events named `record`.
#[utoipa::path(get, path = "/api/v1/logs/tail", tag = "Logs", params(("q" = Option<String>, Query)),
    responses((status = 200, description = "a stream of events", content_type = "text/event-stream")))]
pub(crate) async fn tail(State(app): State<Shared>, caller: Caller, params: Params) -> ApiResult<Response> {
    let slot = stream_slot(&app)?;
    let query = LogQuery { text: params.get("q").unwrap_or_default().to_owned(), ..LogQuery::default() };
    let ctx = app.ctx(&caller);
    let records = app.ports.logs.tail(&ctx, &query).await?;
    // Both live as long as the client listens.
    let held = (slot, CancelOnDrop(ctx.cancel.clone()), ctx);
    let events = records.take_until(app.stop.clone().cancelled_owned()).map(move |record| {
        let _held = &held;
        Event::default().event("record").json_data(shapes::log_row(&record, ""))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()).into_response())
}
