//! Replays of policies on loads that were recorded.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::Value;
use vocab::TimestampMs;
use vocab::replay::ReplayRequest;

use super::body::JsonBody;
use super::said::said;
use super::shapes;
use crate::app::{Caller, Shared};
use crate::error::{ApiError, ApiResult};

/// The range of a replay that names none: a day.
const RANGE_MS: i64 = 86_400_000;

/// What is to be replayed.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplayAsked {
    /// The service whose policy in force is replayed.
    #[serde(default)]
    service: String,
    /// Instead: a policy to try, as it would stand under `autoscaling` in the configuration; an object, or YAML as a text.
    #[schema(value_type = Option<Object>)]
    policy: Option<Value>,
    /// Unix milliseconds; a day before `to_ms` by default.
    from_ms: Option<TimestampMs>,
    /// Unix milliseconds; now by default.
    to_ms: Option<TimestampMs>,
}

/// What a policy would have done on its load as it was recorded, beside the Horizontal Pod Autoscaler, a fixed number, and
/// what really ran.
#[utoipa::path(post, path = "/api/v1/scaling/replay", tag = "Autoscaling", request_body = ReplayAsked,
    responses((status = 200, description = "load, and of each way to scale: replicas over time, replica-hours, share of slow or lost requests, minutes with more than 1 % of them, changes, reversals"),
    (status = 400, description = "all mistakes of the policy with the paths of their keys, or a range that is empty or longer than a month"),
    (status = 404, description = "the service has no policy, or nothing was recorded of its load in that time"),
    (status = 503, description = "too many replays are under way, or this one took too long")))]
pub(crate) async fn replay(
    State(app): State<Shared>,
    caller: Caller,
    JsonBody(asked): JsonBody<ReplayAsked>,
) -> ApiResult<Json<Value>> {
    if asked.service.is_empty() && asked.policy.is_none() {
        return Err(ApiError::invalid("want a service, or a policy to try"));
    }
    let to_ms = asked.to_ms.unwrap_or_else(|| app.clock.now_ms());
    let from_ms = asked.from_ms.unwrap_or(to_ms.saturating_sub(RANGE_MS));
    let request = ReplayRequest { service: asked.service, policy: asked.policy, from_ms, to_ms };
    Ok(said(shapes::json(&app.ports.scaling.replay(&caller.tenant, request).await?)))
}
