//! Scaling policies: those of the configuration file, and those that are kept.

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};
use vocab::{ErrorKind, Sentence};

use super::body::JsonBody;
use super::said::{said, said_with};
use super::scaling::{check_why, note_change};
use crate::app::{Caller, Shared};
use crate::error::{ApiError, ApiResult};
use crate::params::Params;

/// All scaling policies.
#[utoipa::path(get, path = "/api/v1/scaling/policies", tag = "Autoscaling", responses((status = 200, description = "those of the configuration file, then kept ones, by name")))]
pub(crate) async fn list(State(app): State<Shared>, caller: Caller) -> ApiResult<Json<Value>> {
    Ok(said(json!({"policies": app.ports.scaling.policies(&caller.tenant).await?})))
}

/// One scaling policy with its versions.
#[utoipa::path(get, path = "/api/v1/scaling/policies/{name}", tag = "Autoscaling", params(("name" = String, Path)),
    responses((status = 200, description = "the policy, null when it was removed, and its versions, newest first"), (status = 404, description = "there never was one")))]
pub(crate) async fn get(State(app): State<Shared>, caller: Caller, Path(name): Path<String>) -> ApiResult<Json<Value>> {
    let policies = app.ports.scaling.policies(&caller.tenant).await?;
    let policy = policies.into_iter().find(|p| p.name == name);
    let versions = match &policy {
        Some(policy) if policy.from_file => Vec::new(),
        _ => app.ports.scaling.policy_versions(&caller.tenant, &name).await?,
    };
    if policy.is_none() && versions.is_empty() {
        return Err(ApiError::new(ErrorKind::NotFound, format!("there is no policy {name}")));
    }
    Ok(said(json!({"policy": policy, "versions": versions})))
}

/// Keeps a scaling policy as its next version.
#[utoipa::path(put, path = "/api/v1/scaling/policies/{name}", tag = "Autoscaling", params(("name" = String, Path),
    ("version" = Option<u64>, Query, description = "only if this is the present version; 0: only if there is none"),
    ("why" = Option<String>, Query, description = "for the audit log")),
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
    let why = query.iter().find(|(key, _)| key == "why").map_or("", |(_, text)| text);
    let why = check_why(why)?;
    let scaling = &app.ports.scaling;
    let kept = scaling.put_policy(&caller.tenant, &name, &policy, version.transpose()?, &caller.actor).await?;
    note_change(&app, &caller, "scaling.policy.put", &name, &kept.version.to_string(), why).await;
    Ok(Json(json!({ "policy": kept })))
}

/// All that is wrong with a scaling policy, without keeping it.
#[utoipa::path(post, path = "/api/v1/scaling/policies/{name}/check", tag = "Autoscaling", params(("name" = String, Path)),
    request_body(content_type = "application/json", description = "the policy as it would stand under `autoscaling` in the configuration file"),
    responses((status = 200, description = "its mistakes, each with the path of its key; none when it is right")))]
pub(crate) async fn check(
    State(app): State<Shared>,
    caller: Caller,
    Path(name): Path<String>,
    JsonBody(policy): JsonBody<Value>,
) -> ApiResult<Json<Value>> {
    let problems = app.ports.scaling.check_policy(&caller.tenant, &name, &policy).await?;
    let shown = problems.iter().map(|p| json!({"path": p.path, "message": p.message}));
    let sentences = problems.iter().filter_map(|p| Sentence::read(&p.message)).collect();
    Ok(said_with(json!({"problems": shown.collect::<Vec<_>>()}), sentences))
}

/// Removes a kept scaling policy; its versions stay.
#[utoipa::path(delete, path = "/api/v1/scaling/policies/{name}", tag = "Autoscaling", params(("name" = String, Path),
    ("why" = Option<String>, Query, description = "for the audit log")),
    responses((status = 200, description = "removed"), (status = 403, description = "it stands in the configuration file"),
    (status = 404, description = "there is none")))]
pub(crate) async fn delete(
    State(app): State<Shared>,
    caller: Caller,
    Path(name): Path<String>,
    params: Params,
) -> ApiResult<Json<Value>> {
    let why = check_why(params.get("why").unwrap_or_default())?;
    app.ports.scaling.delete_policy(&caller.tenant, &name, &caller.actor).await?;
    note_change(&app, &caller, "scaling.policy.delete", &name, "", why).await;
    Ok(Json(json!({"name": name, "removed": true})))
}
