//! Scrape targets.

use std::time::Duration;

use axum::extract::State;
use serde_json::{Value, json};
use vocab::duration::format_duration;
use vocab::ports::views::{TargetHealth, TargetStatus};

use super::{PromResult, go_time, success};
use crate::app::Shared;
use crate::error::ApiError;
use crate::params::Params;

/// What is scraped, and what relabelling dropped.
#[utoipa::path(get, path = "/api/v1/targets", tag = "Prometheus", params(("state" = Option<String>, Query, description = "active, dropped or any"),
    ("scrapePool" = Option<String>, Query)), responses((status = 200, description = "as Prometheus answers")))]
pub(crate) async fn targets(State(app): State<Shared>, params: Params) -> PromResult {
    let state = params.get("state").unwrap_or("any").to_ascii_lowercase();
    if !matches!(state.as_str(), "any" | "active" | "dropped") {
        return Err(ApiError::invalid(format!("want active, dropped or any, not {state:?}")).parameter("state").into());
    }
    let in_pool = |pool: &str| params.get("scrapePool").is_none_or(|wanted| wanted == pool);
    let mut active: Vec<Value> = Vec::new();
    if state != "dropped" {
        active = app.ports.targets.active().await.iter().filter(|t| in_pool(&t.scrape_pool)).map(target).collect();
    }
    let mut dropped: Vec<Value> = Vec::new();
    let mut counts = serde_json::Map::new();
    if state != "active" {
        let (targets, by_pool) = app.ports.targets.dropped().await;
        dropped = targets
            .iter()
            .filter(|t| in_pool(&t.scrape_pool))
            .map(|t| json!({"discoveredLabels": t.discovered_labels, "scrapePool": t.scrape_pool}))
            .collect();
        counts = by_pool.into_iter().filter(|(pool, _)| in_pool(pool)).map(|(pool, n)| (pool, json!(n))).collect();
    }
    Ok(success(json!({"activeTargets": active, "droppedTargets": dropped, "droppedTargetCounts": counts})))
}

fn target(target: &TargetStatus) -> Value {
    let health = match target.health {
        TargetHealth::Unknown => "unknown",
        TargetHealth::Up => "up",
        TargetHealth::Down => "down",
    };
    let seconds = |s: f64| format_duration(Duration::try_from_secs_f64(s).unwrap_or_default());
    json!({
        "discoveredLabels": target.discovered_labels,
        "labels": target.labels,
        "scrapePool": target.scrape_pool,
        "scrapeUrl": target.scrape_url,
        "globalUrl": target.global_url,
        "lastError": target.last_error,
        "lastScrape": go_time(target.last_scrape_ms),
        "lastScrapeDuration": target.last_duration_seconds,
        "health": health,
        "scrapeInterval": seconds(target.interval_seconds),
        "scrapeTimeout": seconds(target.timeout_seconds),
        "lastSamples": target.last_samples,
        "downSince": target.down_since_ms.map(|ms| go_time(Some(ms))),
    })
}

/// Metadata as targets expose it.
#[utoipa::path(get, path = "/api/v1/targets/metadata", tag = "Prometheus", params(("match_target" = Option<String>, Query),
    ("metric" = Option<String>, Query), ("limit" = Option<u64>, Query)),
    responses((status = 200, description = "as Prometheus answers")))]
pub(crate) async fn metadata(State(app): State<Shared>, params: Params) -> PromResult {
    let limit = params.number("limit", 0, usize::MAX)?;
    let matchers = match params.get("match_target") {
        None => Vec::new(),
        Some(text) => {
            promql::parse_metric_selector(text).map_err(|e| ApiError::parse(text, &e).parameter("match_target"))?
        }
    };
    let metric = params.get("metric");
    let found = app.ports.targets.metadata(metric).await;
    let data: Vec<Value> = found
        .iter()
        .filter(|(labels, _)| matchers.iter().all(|m| m.matches_labels(labels)))
        .take(if limit == 0 { usize::MAX } else { limit })
        .map(|(labels, m)| {
            let mut row = json!({"target": labels, "type": m.metric_type, "help": m.help, "unit": m.unit});
            if metric.is_none() {
                row["metric"] = json!(m.metric);
            }
            row
        })
        .collect();
    if data.is_empty() && metric.is_some() {
        let error = ApiError::new(vocab::ErrorKind::NotFound, "specified metadata not found");
        return Err(error.into());
    }
    Ok(success(data))
}

/// Names of the scrape pools.
#[utoipa::path(get, path = "/api/v1/scrape_pools", tag = "Prometheus", responses((status = 200, description = "as Prometheus answers")))]
pub(crate) async fn pools(State(app): State<Shared>) -> PromResult {
    Ok(success(json!({"scrapePools": app.ports.targets.pools().await})))
}
