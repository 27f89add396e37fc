//! Series, label names, label values, metadata.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use serde_json::json;
use vocab::ports::query::SeriesFilter;
use vocab::sample::MetricMetadata;
use vocab::{Matcher, TimestampMs};

use super::{PromResult, raw_json, success, success_with, truncate};
use crate::app::{Caller, Shared};
use crate::error::{ApiError, ApiResult};
use crate::params::Params;

/// `start` and `end`; without them all of time.
pub(super) fn range(params: &Params) -> ApiResult<(TimestampMs, TimestampMs)> {
    // Bounds that leave room for adding a lookback without overflow.
    const EVER: TimestampMs = i64::MAX / 4;
    Ok((params.time("start")?.unwrap_or(-EVER), params.time("end")?.unwrap_or(EVER)))
}

/// The selectors of `match[]`.
pub(super) fn selectors(params: &Params) -> ApiResult<Vec<Vec<Matcher>>> {
    let read =
        |text: &str| promql::parse_metric_selector(text).map_err(|e| ApiError::parse(text, &e).parameter("match[]"));
    params.all("match[]").map(read).collect()
}

fn filter(params: &Params) -> ApiResult<(SeriesFilter, usize)> {
    let (start_ms, end_ms) = range(params)?;
    let limit = params.number("limit", 0, usize::MAX)?;
    // One more than asked for, so that a cut shows.
    let asked = if limit == 0 { 0 } else { limit.saturating_add(1) };
    Ok((SeriesFilter { any_of: selectors(params)?, start_ms, end_ms, limit: asked }, limit))
}

/// Label sets of the matching series.
#[utoipa::path(method(get, post), path = "/api/v1/series", tag = "Prometheus", params(
    ("match[]" = Vec<String>, Query, description = "selectors"), ("start" = Option<String>, Query), ("end" = Option<String>, Query),
    ("limit" = Option<u64>, Query)), responses((status = 200, description = "as Prometheus answers")))]
pub(crate) async fn series(State(app): State<Shared>, caller: Caller, params: Params) -> PromResult {
    let (filter, limit) = filter(&params)?;
    if filter.any_of.is_empty() {
        return Err(ApiError::invalid("no match[] parameter provided").into());
    }
    let work = async move |app: Shared, ctx: vocab::Ctx| {
        let mut found = app.ports.querier.series(&ctx, filter).await?;
        let mut warnings = Vec::new();
        truncate(&mut found, limit, &mut warnings);
        let mut body = String::from("{\"status\":\"success\",\"data\":[");
        for (index, labels) in found.iter().enumerate() {
            if index > 0 {
                body.push(',');
            }
            super::json::write_labels(&mut body, labels);
        }
        body.push(']');
        if !warnings.is_empty() {
            body.push_str(&format!(",\"warnings\":{}", json!(warnings)));
        }
        body.push('}');
        Ok(body)
    };
    Ok(raw_json(app.run(&caller, app.config.query_timeout, work).await?))
}

/// Label names of the matching series.
#[utoipa::path(method(get, post), path = "/api/v1/labels", tag = "Prometheus", params(
    ("match[]" = Option<Vec<String>>, Query, description = "selectors"), ("start" = Option<String>, Query), ("end" = Option<String>, Query),
    ("limit" = Option<u64>, Query)), responses((status = 200, description = "as Prometheus answers")))]
pub(crate) async fn names(State(app): State<Shared>, caller: Caller, params: Params) -> PromResult {
    let (filter, limit) = filter(&params)?;
    let work = async move |app: Shared, ctx: vocab::Ctx| Ok(app.ports.querier.label_names(&ctx, filter).await?);
    let mut names = app.run_query(&caller, app.config.query_timeout, "labels", work).await?;
    let mut warnings = Vec::new();
    truncate(&mut names, limit, &mut warnings);
    Ok(success_with(names, &warnings))
}

/// Values of a label among the matching series.
#[utoipa::path(get, path = "/api/v1/label/{name}/values", tag = "Prometheus", params(
    ("name" = String, Path, description = "the label; names that are no plain word in their `U__` form"),
    ("match[]" = Option<Vec<String>>, Query, description = "selectors"), ("start" = Option<String>, Query), ("end" = Option<String>, Query),
    ("limit" = Option<u64>, Query)), responses((status = 200, description = "as Prometheus answers")))]
pub(crate) async fn values(
    State(app): State<Shared>,
    caller: Caller,
    Path(name): Path<String>,
    params: Params,
) -> PromResult {
    let (filter, limit) = filter(&params)?;
    let name = unescape(&name).ok_or_else(|| ApiError::invalid(format!("invalid label name: {name:?}")))?;
    let work =
        async move |app: Shared, ctx: vocab::Ctx| Ok(app.ports.querier.label_values(&ctx, &name, filter).await?);
    let mut values = app.run(&caller, app.config.query_timeout, work).await?;
    let mut warnings = Vec::new();
    truncate(&mut values, limit, &mut warnings);
    Ok(success_with(values, &warnings))
}

/// Reads Prometheus's escaped form of names: `U__a_2f_b` is `a/b`; other names are themselves.
fn unescape(name: &str) -> Option<String> {
    let Some(mut rest) = name.strip_prefix("U__") else {
        return (!name.is_empty()).then(|| name.to_owned());
    };
    let mut plain = String::new();
    while let Some(at) = rest.find('_') {
        plain.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('_') {
            plain.push('_');
            rest = after;
        } else {
            let (code, after) = rest.split_once('_')?;
            plain.push(char::from_u32(u32::from_str_radix(code, 16).ok()?)?);
            rest = after;
        }
    }
    plain.push_str(rest);
    (!plain.is_empty()).then_some(plain)
}

/// Type, help and unit of metric families.
#[utoipa::path(get, path = "/api/v1/metadata", tag = "Prometheus", params(("metric" = Option<String>, Query),
    ("limit" = Option<u64>, Query), ("limit_per_metric" = Option<u64>, Query)),
    responses((status = 200, description = "as Prometheus answers")))]
pub(crate) async fn metadata(State(app): State<Shared>, caller: Caller, params: Params) -> PromResult {
    let limit = params.number("limit", 0, usize::MAX)?;
    let per_metric = params.number("limit_per_metric", 0, usize::MAX)?;
    let metric = params.get("metric").map(str::to_owned);
    let stored = {
        let metric = metric.clone();
        let work =
            async move |app: Shared, ctx: vocab::Ctx| Ok(app.ports.querier.metadata(&ctx, metric.as_deref()).await?);
        app.run(&caller, app.config.query_timeout, work).await?
    };
    let scraped = app.ports.targets.metadata(metric.as_deref()).await.into_iter().map(|(_, m)| m);
    let mut by_metric: BTreeMap<String, Vec<MetricMetadata>> = BTreeMap::new();
    for metadata in stored.into_iter().chain(scraped) {
        let known = by_metric.entry(metadata.metric.clone()).or_default();
        if !known.contains(&metadata) && (per_metric == 0 || known.len() < per_metric) {
            known.push(metadata);
        }
    }
    let data: serde_json::Map<_, _> = by_metric
        .into_iter()
        .take(if limit == 0 { usize::MAX } else { limit })
        .map(|(metric, list)| {
            let list: Vec<_> =
                list.iter().map(|m| json!({"type": m.metric_type, "help": m.help, "unit": m.unit})).collect();
            (metric, json!(list))
        })
        .collect();
    Ok(success(data))
}

#[cfg(test)]
mod tests {
    #[test]
    fn escaped_names_are_read() {
        let check = |name: &str, expect: Option<&str>| assert_eq!(super::unescape(name).as_deref(), expect, "{name}");
        check("code", Some("code"));
        check("U__a_2f_b", Some("a/b"));
        check("U__a__b_1f600_", Some("a_b😀"));
        check("U__", None);
        check("U__a_zz_", None);
        check("U__a_2f", None);
        check("", None);
    }
}
