//! Scaled services, decisions, and the switches.

use axum::Json;
use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::{Value, json};
use vocab::ports::catalog::DecisionFilter;
use vocab::ports::views::Paused;
use vocab::scaling::ScalingMode;

use super::alerts::{ROWS_DEFAULT, ROWS_MAX};
use super::body::JsonBody;
use super::said::said;
use super::shapes;
use super::system::note;
use crate::app::{Caller, Shared};
use crate::error::{ApiError, ApiResult};
use crate::params::Params;

async fn stopped(app: &Shared) -> Option<Value> {
    app.ports.scaling.stopped().await.map(|(since_ms, actor)| json!({"since_ms": since_ms, "actor": actor}))
}

/// The scaled services and the stop switch.
#[utoipa::path(get, path = "/api/v1/scaling/services", tag = "Autoscaling", responses((status = 200, description = "services by name, the stop switch and the freeze windows")))]
pub(crate) async fn services(State(app): State<Shared>, caller: Caller) -> Json<Value> {
    let services = app.ports.scaling.services(&caller.tenant).await;
    let services: Vec<_> = services.iter().map(shapes::scaled_service).collect();
    let windows = app.ports.scaling.freeze_windows(&caller.tenant).await;
    said(json!({"services": services, "stopped": stopped(&app).await, "freeze_windows": windows}))
}

/// Scaling decisions.
#[utoipa::path(get, path = "/api/v1/scaling/decisions", tag = "Autoscaling", params(("service" = Option<String>, Query),
    ("from_ms" = Option<i64>, Query), ("to_ms" = Option<i64>, Query), ("changes_only" = Option<bool>, Query), ("limit" = Option<u64>, Query)),
    responses((status = 200, description = "newest first")))]
pub(crate) async fn decisions(State(app): State<Shared>, caller: Caller, params: Params) -> ApiResult<Json<Value>> {
    let filter = DecisionFilter {
        service: params.get("service").map(str::to_owned),
        from_ms: params.millis("from_ms")?,
        to_ms: params.millis("to_ms")?,
        changes_only: params.flag("changes_only")?,
        limit: params.number("limit", ROWS_DEFAULT, ROWS_MAX)?,
        ..DecisionFilter::default()
    };
    Ok(said(json!({"decisions": app.ports.catalog.decisions(&caller.tenant, &filter).await?})))
}

/// Longest reason that a person gives, in characters.
const WHY_CHARS_MAX: usize = 500;
/// Lines of the audit log that are looked through for those about scaling.
const AUDIT_LINES: usize = 2_000;

/// Checks the reason that a person gives for a change.
pub(super) fn check_why(why: &str) -> ApiResult<&str> {
    let why = why.trim();
    if why.chars().count() > WHY_CHARS_MAX {
        return Err(ApiError::invalid(format!("want a reason of at most {WHY_CHARS_MAX} characters")).parameter("why"));
    }
    Ok(why)
}

/// Writes down who changed something about scaling: facts in the first line, the reason that was given behind it.
pub(super) async fn note_change(app: &Shared, caller: &Caller, action: &str, subject: &str, facts: &str, why: &str) {
    let details = if why.is_empty() { facts.to_owned() } else { format!("{facts}\n{why}") };
    note(app, caller, action, subject, &details).await;
}

/// Who changed what about scaling, and why.
#[utoipa::path(get, path = "/api/v1/scaling/audit", tag = "Autoscaling", params(("limit" = Option<u64>, Query)),
    responses((status = 200, description = "stops, modes, approvals, pauses, freezes ended, policies; newest first")))]
pub(crate) async fn audit(State(app): State<Shared>, caller: Caller, params: Params) -> ApiResult<Json<Value>> {
    let limit = params.number("limit", ROWS_DEFAULT, ROWS_MAX)?;
    let lines = app.ports.catalog.audit_log(&caller.tenant, AUDIT_LINES).await?;
    let shown = lines.into_iter().filter(|line| line.action.starts_with("scaling.")).take(limit).map(|line| {
        let (facts, why) = line.details.split_once('\n').unwrap_or((&line.details, ""));
        json!({"time_ms": line.time_ms, "actor": line.actor, "action": line.action, "subject": line.subject,
            "facts": facts, "why": why})
    });
    Ok(Json(json!({"changes": shown.collect::<Vec<_>>()})))
}

/// The stop switch.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StopChange {
    /// Whether nothing is to be scaled any more.
    stopped: bool,
    /// Why, for the audit log.
    #[serde(default)]
    why: String,
}

/// Turns the global stop switch on or off.
#[utoipa::path(post, path = "/api/v1/scaling/stop", tag = "Autoscaling", request_body = StopChange, responses((status = 200, description = "the switch as it is now")))]
pub(crate) async fn stop(
    State(app): State<Shared>,
    caller: Caller,
    JsonBody(change): JsonBody<StopChange>,
) -> ApiResult<Json<Value>> {
    let why = check_why(&change.why)?;
    app.ports.scaling.set_stopped(change.stopped, &caller.actor).await?;
    let word = if change.stopped { "scaling.stop" } else { "scaling.resume" };
    note_change(&app, &caller, word, "", "", why).await;
    Ok(Json(json!({"stopped": stopped(&app).await})))
}

/// How far the autoscaler may go.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ModeChange {
    /// observe, advise or act.
    mode: String,
    /// Why, for the audit log.
    #[serde(default)]
    why: String,
}

/// Sets how far the autoscaler may go with a service.
#[utoipa::path(post, path = "/api/v1/scaling/services/{service}/mode", tag = "Autoscaling", params(("service" = String, Path)), request_body = ModeChange,
    responses((status = 200, description = "set"), (status = 404, description = "the service has no policy")))]
pub(crate) async fn mode(
    State(app): State<Shared>,
    caller: Caller,
    Path(service): Path<String>,
    JsonBody(change): JsonBody<ModeChange>,
) -> ApiResult<Json<Value>> {
    let mode = ScalingMode::parse(&change.mode)
        .ok_or_else(|| ApiError::invalid(format!("want observe, advise or act, not {:?}", change.mode)))?;
    let why = check_why(&change.why)?;
    app.ports.scaling.set_mode(&caller.tenant, &service, mode, &caller.actor).await?;
    note_change(&app, &caller, "scaling.mode", &service, mode.as_str(), why).await;
    Ok(Json(json!({"service": service, "mode": mode})))
}

/// Approves a decision that waits.
#[utoipa::path(post, path = "/api/v1/scaling/decisions/{id}/approve", tag = "Autoscaling", params(("id" = i64, Path)),
    responses((status = 200, description = "approved"), (status = 404, description = "there is none"), (status = 409, description = "it no longer waits")))]
pub(crate) async fn approve(State(app): State<Shared>, caller: Caller, Path(id): Path<i64>) -> ApiResult<Json<Value>> {
    app.ports.scaling.approve(&caller.tenant, id, &caller.actor).await?;
    note_change(&app, &caller, "scaling.approve", &id.to_string(), "", "").await;
    Ok(Json(json!({"id": id, "approved": true})))
}

/// Directions in which a service is not scaled for now.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PauseChange {
    /// Whether nothing is given back.
    #[serde(rename = "in", default)]
    scale_in: bool,
    /// Whether nothing is added.
    #[serde(rename = "out", default)]
    scale_out: bool,
    /// Why, for the audit log.
    #[serde(default)]
    why: String,
}

/// Closes or opens the directions in which a service may be scaled.
#[utoipa::path(post, path = "/api/v1/scaling/services/{service}/pause", tag = "Autoscaling", params(("service" = String, Path)), request_body = PauseChange,
    responses((status = 200, description = "set"), (status = 404, description = "the service has no policy")))]
pub(crate) async fn pause(
    State(app): State<Shared>,
    caller: Caller,
    Path(service): Path<String>,
    JsonBody(change): JsonBody<PauseChange>,
) -> ApiResult<Json<Value>> {
    let paused = Paused { scale_in: change.scale_in, scale_out: change.scale_out };
    let why = check_why(&change.why)?;
    app.ports.scaling.set_paused(&caller.tenant, &service, paused, &caller.actor).await?;
    let closed = match (paused.scale_in, paused.scale_out) {
        (true, true) => "both",
        (true, false) => "in",
        (false, true) => "out",
        (false, false) => "none",
    };
    note_change(&app, &caller, "scaling.pause", &service, closed, why).await;
    Ok(Json(json!({"service": service, "paused": paused})))
}

/// Why something is changed.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Why {
    /// Why, for the audit log.
    #[serde(default)]
    why: String,
}

/// Ends the freeze of a service that was left alone after failed tries.
#[utoipa::path(post, path = "/api/v1/scaling/services/{service}/unfreeze", tag = "Autoscaling", params(("service" = String, Path)), request_body = Why,
    responses((status = 200, description = "it is scaled again from its next round on"), (status = 404, description = "the service has no policy")))]
pub(crate) async fn unfreeze(
    State(app): State<Shared>,
    caller: Caller,
    Path(service): Path<String>,
    JsonBody(change): JsonBody<Why>,
) -> ApiResult<Json<Value>> {
    let why = check_why(&change.why)?;
    app.ports.scaling.unfreeze(&caller.tenant, &service, &caller.actor).await?;
    note_change(&app, &caller, "scaling.unfreeze", &service, "", why).await;
    Ok(Json(json!({"service": service, "frozen": false})))
}
