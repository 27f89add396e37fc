//! Deleting series and taking snapshots, for those who switched it on.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use vocab::ErrorKind;
use vocab::ports::admin::Deletion;

use super::labels::{range, selectors};
use super::{PromResult, success};
use crate::api::system::note;
use crate::app::{Caller, Shared};
use crate::error::{ApiError, PromError};
use crate::params::Params;

fn enabled(app: &Shared) -> Result<(), PromError> {
    if app.config.enable_admin_api {
        return Ok(());
    }
    Err(ApiError::new(ErrorKind::Unavailable, "admin APIs disabled; start with --enable-admin-api").into())
}

/// Deletes samples. They are not seen any more when this answers; their space is free after a merge or `clean_tombstones`.
#[utoipa::path(method(post, put), path = "/api/v1/admin/tsdb/delete_series", tag = "Prometheus", params(
    ("match[]" = Vec<String>, Query, description = "selectors"), ("start" = Option<String>, Query), ("end" = Option<String>, Query)),
    responses((status = 204, description = "deleted"), (status = 400, description = "a parameter is wrong"),
    (status = 503, description = "not switched on with --enable-admin-api, or the disk is full")))]
pub(crate) async fn delete_series(State(app): State<Shared>, caller: Caller, params: Params) -> PromResult {
    enabled(&app)?;
    let any_of = selectors(&params)?;
    if any_of.is_empty() {
        return Err(ApiError::invalid("no match[] parameter provided").into());
    }
    let (start_ms, end_ms) = range(&params)?;
    app.ports.admin.delete_series(&app.ctx(&caller), Deletion { any_of, start_ms, end_ms }).await?;
    let subject: Vec<&str> = params.all("match[]").collect();
    let details = json!({"start_ms": start_ms, "end_ms": end_ms}).to_string();
    note(&app, &caller, "admin.delete_series", &subject.join(" "), &details).await;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Removes from disk what was deleted.
#[utoipa::path(method(post, put), path = "/api/v1/admin/tsdb/clean_tombstones", tag = "Prometheus",
    responses((status = 204, description = "done"), (status = 503, description = "not switched on with --enable-admin-api, or the disk is full")))]
pub(crate) async fn clean_tombstones(State(app): State<Shared>, caller: Caller) -> PromResult {
    enabled(&app)?;
    app.ports.admin.clean_tombstones(&app.ctx(&caller)).await?;
    note(&app, &caller, "admin.clean_tombstones", "store", "").await;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Makes a copy of the caller's metrics in a folder below `snapshots` in the data folder, by hard links.
#[utoipa::path(method(post, put), path = "/api/v1/admin/tsdb/snapshot", tag = "Prometheus", params(
    ("skip_head" = Option<bool>, Query, description = "leave out what is not in a block yet")),
    responses((status = 200, description = "the folder's name"), (status = 400, description = "a parameter is wrong"),
    (status = 503, description = "not switched on with --enable-admin-api, or the disk is full")))]
pub(crate) async fn snapshot(State(app): State<Shared>, caller: Caller, params: Params) -> Result<Response, PromError> {
    enabled(&app)?;
    let skip_head = params.flag("skip_head")?;
    let name = app.ports.admin.snapshot(&app.ctx(&caller), skip_head).await?;
    note(&app, &caller, "admin.snapshot", &name, "").await;
    Ok(success(json!({"name": name})))
}
