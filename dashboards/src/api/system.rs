//! The process: its state, its tasks, and what an operator may do to it.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};
use vocab::ports::catalog::AuditEntry;

use super::body::JsonBody;
use super::said::said;
use super::shapes;
use crate::app::{Caller, Shared};
use crate::error::ApiResult;

/// Adds a line to the audit log. A change that was made is not undone because its line could not be written.
pub(crate) async fn note(app: &Shared, caller: &Caller, action: &str, subject: &str, details: &str) {
    let entry = AuditEntry {
        time_ms: app.clock.now_ms(),
        actor: caller.actor.clone(),
        action: action.to_owned(),
        subject: subject.to_owned(),
        details: details.to_owned(),
    };
    if let Err(error) = app.ports.catalog.audit(&caller.tenant, &entry).await {
        tracing::error!(error = %vocab::error::chain(&error), action, subject, "the audit log was not written");
    }
}

/// Who asks, of what, and the time here.
#[utoipa::path(get, path = "/api/v1/session", tag = "Frame", responses((status = 200, description = "version, tenant, time")))]
pub(crate) async fn session(State(app): State<Shared>, caller: Caller) -> Json<Value> {
    let status = app.ports.admin.status().await;
    Json(json!({
        "version": status.version,
        "language": null,
        "tenant": caller.tenant,
        "now_ms": app.clock.now_ms(),
        "started_at_ms": status.started_at_ms,
        "auth": if app.config.auth.is_some() { "token" } else { "none" },
    }))
}

/// Built-in and log sources.
#[utoipa::path(get, path = "/api/v1/sources", tag = "System", responses((status = 200, description = "sources by name")))]
pub(crate) async fn sources(State(app): State<Shared>) -> Json<Value> {
    said(json!({"sources": app.ports.sources.sources().await}))
}

/// Periodic tasks and their last runs.
#[utoipa::path(get, path = "/api/v1/tasks", tag = "System", responses((status = 200, description = "tasks by name")))]
pub(crate) async fn tasks(State(app): State<Shared>) -> Json<Value> {
    said(json!({"tasks": app.ports.admin.status().await.tasks}))
}

/// The process as its operator sees it.
#[utoipa::path(get, path = "/api/v1/status", tag = "System", responses((status = 200, description = "memory, store, tasks, configuration, warnings")))]
pub(crate) async fn status(State(app): State<Shared>) -> Json<Value> {
    said(shapes::json(&app.ports.admin.status().await))
}

/// Returns when everything acknowledged is in blocks or splits on disk and the WAL is cut.
#[utoipa::path(post, path = "/api/v1/admin/flush", tag = "System", responses((status = 200, description = "done"), (status = 503, description = "the disk is full")))]
pub(crate) async fn flush(State(app): State<Shared>, caller: Caller) -> ApiResult<Json<Value>> {
    app.ports.admin.flush().await?;
    note(&app, &caller, "admin.flush", "store", "").await;
    Ok(Json(json!({})))
}

/// Returns when no merge is due any more.
#[utoipa::path(post, path = "/api/v1/admin/compact", tag = "System", responses((status = 200, description = "done"), (status = 503, description = "the disk is full")))]
pub(crate) async fn compact(State(app): State<Shared>, caller: Caller) -> ApiResult<Json<Value>> {
    app.ports.admin.compact().await?;
    note(&app, &caller, "admin.compact", "store", "").await;
    Ok(Json(json!({})))
}

/// Reloads, and notes it when it worked.
pub(crate) async fn reload_and_note(app: &Shared, caller: &Caller) -> ApiResult<()> {
    app.ports.admin.reload().await?;
    note(app, caller, "admin.reload", "configuration", "").await;
    Ok(())
}

/// Loads the configuration again.
#[utoipa::path(post, path = "/api/v1/admin/reload", tag = "System", responses((status = 200, description = "loaded"),
    (status = 400, description = "the old configuration stays in force: the message lists the mistakes")))]
pub(crate) async fn reload(State(app): State<Shared>, caller: Caller) -> ApiResult<Json<Value>> {
    reload_and_note(&app, &caller).await?;
    Ok(Json(json!({})))
}

/// What is logged.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogLevel {
    /// `info`, `store=debug,info` …
    filter: String,
}

/// Sets what is logged, until the next start.
#[utoipa::path(post, path = "/api/v1/admin/log_level", tag = "System", request_body = LogLevel,
    responses((status = 200, description = "set"), (status = 400, description = "the filter cannot be read")))]
pub(crate) async fn log_level(
    State(app): State<Shared>,
    caller: Caller,
    JsonBody(level): JsonBody<LogLevel>,
) -> ApiResult<Json<Value>> {
    app.ports.admin.set_log_filter(&level.filter)?;
    note(&app, &caller, "admin.log_level", "log", &level.filter).await;
    Ok(Json(json!({"filter": level.filter})))
}
