//! Scaling policies: those of the configuration file, and those that are kept.

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};
use vocab::ErrorKind;

use super::body::JsonBody;
use crate::app::{Caller, Shared};
use crate::error::{ApiError, ApiResult};

/// All scaling policies.
#[utoipa::path(get, path = "/api/v1/scaling/policies", tag = "Autoscaling", responses((status = 200, description = "those of the configuration file, then kept ones, by name")))]
pub(crate) async fn list(State(app): State<Shared>, caller: Caller) -> ApiResult<Json<Value>> {
    Ok(Json(json!({"policies": app.ports.scaling.policies(&caller.tenant).await?})))
}

/// One scaling policy with its versions.
#[utoipa::path(get, path = "/api/v1/scaling/policies/{name}", tag = "Autoscaling", params(("name" = String, Path)),
    responses((status = 200, description = "the policy, and its versions, newest first"), (status = 404, description = "there is none")))]
pub(crate) async fn get(State(app): State<Shared>, caller: Caller, Path(name): Path<String>) -> ApiResult<Json<Value>> {
    let policies = app.ports.scaling.policies(&caller.tenant).await?;
    let policy = policies.into_iter().find(|p| p.name == name);
    let policy = policy.ok_or_else(|| ApiError::new(ErrorKind::NotFound, format!("there is no policy {name}")))?;
    let versions = match policy.from_file {
        true => Vec::new(),
        false => app.ports.scaling.policy_versions(&caller.tenant, &name).await?,
    };
    Ok(Json(json!({"policy": policy, "versions": versions})))
}

/// Keeps a scaling policy as its next version.
#[utoipa::path(put, path = "/api/v1/scaling/policies/{name}", tag = "Autoscaling", params(("name" = String, Path),
    ("version" = Option<u64>, Query, description = "only if this is the present version; 0: only if there is none")),
    request_body(content_type = "application/json", description = "the policy as it would stand under `autoscaling` in the configuration file"),
    responses((status = 200, description = "kept and in force"), (status = 400, description = "all its mistakes"),
    (status = 403, description = "it stands in the configuration file"), (status = 409, description = "another version is present")))]
pub(crate) async fn put(
    State(app): State<Shared>,
    caller: Caller,
    Path(name): Path<String>,
    axum::extract::Query(query): axum::extract::Query<Vec<(String, String)>>,
    JsonBody(policy): JsonBody<Value>,
) -> ApiResult<Json<Value>> {
    let version = query.iter().find(|(key, _)| key == "version").map(|(_, text)| {
        text.parse::<i64>().map_err(|_| ApiError::invalid(format!("want a number, not {text:?}")).parameter("version"))
    });
    let scaling = &app.ports.scaling;
    let kept = scaling.put_policy(&caller.tenant, &name, &policy, version.transpose()?, &caller.actor).await?;
    Ok(Json(json!({ "policy": kept })))
}

/// Removes a kept scaling policy; its versions stay.
#[utoipa::path(delete, path = "/api/v1/scaling/policies/{name}", tag = "Autoscaling", params(("name" = String, Path)),
    responses((status = 200, description = "removed"), (status = 403, description = "it stands in the configuration file"),
    (status = 404, description = "there is none")))]
pub(crate) async fn delete(
    State(app): State<Shared>,
    caller: Caller,
    Path(name): Path<String>,
) -> ApiResult<Json<Value>> {
    app.ports.scaling.delete_policy(&caller.tenant, &name, &caller.actor).await?;
    Ok(Json(json!({"name": name, "removed": true})))
}
