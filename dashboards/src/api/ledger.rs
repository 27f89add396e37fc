//! What scaled services have cost.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use vocab::ports::catalog::LedgerRow;

use crate::app::{Caller, Shared};
use crate::error::{ApiError, ApiResult};
use crate::params::Params;

/// The range of a question that names none: a day.
const RANGE_MS: i64 = 86_400_000;
/// Hours that one question may span: ten years.
const RANGE_MS_MAX: i64 = 3660 * RANGE_MS;

/// Replica-seconds and cost of scaled services.
#[utoipa::path(get, path = "/api/v1/scaling/ledger", tag = "Autoscaling", params(("from" = Option<String>, Query, description = "Unix seconds or RFC 3339; a day before `to`"),
    ("to" = Option<String>, Query, description = "Unix seconds or RFC 3339; now"), ("by" = Option<String>, Query, description = "service (default), team, cluster or hour")),
    responses((status = 200, description = "sums over the hours that begin in the range, the dearest first")))]
pub(crate) async fn ledger(State(app): State<Shared>, caller: Caller, params: Params) -> ApiResult<Json<Value>> {
    let to_ms = params.time("to")?.unwrap_or_else(|| app.clock.now_ms());
    let from_ms = params.time("from")?.unwrap_or(to_ms.saturating_sub(RANGE_MS));
    if from_ms > to_ms || to_ms.saturating_sub(from_ms) > RANGE_MS_MAX {
        return Err(ApiError::invalid("want from before to, at most ten years apart"));
    }
    let by = params.get("by").unwrap_or("service");
    let key: fn(&LedgerRow) -> String = match by {
        "service" => |row| row.service.clone(),
        "team" => |row| row.team.clone(),
        "cluster" => |row| row.cluster.clone(),
        "hour" => |row| row.hour_ms.to_string(),
        other => {
            let message = format!("want service, team, cluster or hour, not {other:?}");
            return Err(ApiError::invalid(message).parameter("by"));
        }
    };
    let rows = app.ports.catalog.ledger(&caller.tenant, from_ms, to_ms).await?;
    let mut sums: BTreeMap<String, (i64, i64)> = BTreeMap::new();
    let mut total = (0i64, 0i64);
    for row in &rows {
        for sum in [sums.entry(key(row)).or_default(), &mut total] {
            sum.0 = sum.0.saturating_add(row.replica_ms);
            sum.1 = sum.1.saturating_add(row.cost_micros);
        }
    }
    let mut list: Vec<(String, (i64, i64))> = sums.into_iter().collect();
    list.sort_by_key(|(_, (replica_ms, cost))| std::cmp::Reverse((*cost, *replica_ms)));
    let rows: Vec<Value> = list.iter().map(|(key, sum)| shown(key, *sum)).collect();
    Ok(Json(json!({"from_ms": from_ms, "to_ms": to_ms, "by": by, "rows": rows, "total": shown("", total)})))
}

#[allow(clippy::cast_precision_loss, reason = "shown only; sums of decades are far below 2^53")]
fn shown(key: &str, (replica_ms, cost_micros): (i64, i64)) -> Value {
    json!({"key": key, "replica_seconds": replica_ms as f64 / 1e3, "cost": cost_micros as f64 / 1e6})
}
