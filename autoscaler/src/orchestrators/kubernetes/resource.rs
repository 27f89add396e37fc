//! Which path a kind has: known for the built-in ones, asked of the API server for all others.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Deserialize;

use super::client::{Client, KIND};
use super::config::Target;
use crate::error::OrchestratorError;
use crate::orchestrators::retry::CallError;

/// Most remembered kinds.
const KINDS_MAX: usize = 1000;

/// A kind with a scale subresource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resource {
    /// Empty for the core group.
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) plural: String,
    pub(crate) is_namespaced: bool,
}

impl Resource {
    fn new(group: &str, version: &str, plural: &str) -> Self {
        Self { group: group.into(), version: version.into(), plural: plural.into(), is_namespaced: true }
    }

    /// `apps/v1`.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// The object's path; a subresource follows after a slash.
    pub(crate) fn path(&self, namespace: &str, name: &str) -> String {
        let root = if self.group.is_empty() { "api" } else { "apis" };
        let within = if self.is_namespaced { format!("namespaces/{namespace}/") } else { String::new() };
        format!("/{root}/{}/{within}{}/{name}", self.api_version(), self.plural)
    }
}

#[derive(Deserialize)]
struct ResourceList {
    resources: Vec<ApiResource>,
}

#[derive(Deserialize)]
struct ApiResource {
    name: String,
    kind: String,
    namespaced: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ApiGroup {
    preferred_version: GroupVersion,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GroupVersion {
    group_version: String,
}

/// What was found out about kinds.
#[derive(Debug, Default)]
pub(crate) struct Discovery {
    known: Mutex<HashMap<(String, String), Arc<Resource>>>,
}

impl Discovery {
    /// The resource of a target.
    pub(crate) async fn resource(&self, client: &Client, target: &Target) -> Result<Arc<Resource>, CallError> {
        let key = (target.api_version.clone(), target.kind.clone());
        if let Some(known) = self.known.lock().get(&key) {
            return Ok(Arc::clone(known));
        }
        let found = Arc::new(match (target.api_version.as_str(), target.kind.as_str()) {
            ("apps/v1", "Deployment") => Resource::new("apps", "v1", "deployments"),
            ("apps/v1", "StatefulSet") => Resource::new("apps", "v1", "statefulsets"),
            ("apps/v1", "ReplicaSet") => Resource::new("apps", "v1", "replicasets"),
            ("v1", "ReplicationController") => Resource::new("", "v1", "replicationcontrollers"),
            _ => discover(client, target).await?,
        });
        let mut known = self.known.lock();
        if known.len() >= KINDS_MAX {
            known.clear();
        }
        known.insert(key, Arc::clone(&found));
        Ok(found)
    }

    /// Forgets a kind whose objects are not where they were.
    pub(crate) fn forget(&self, target: &Target) {
        self.known.lock().remove(&(target.api_version.clone(), target.kind.clone()));
    }
}

async fn discover(client: &Client, target: &Target) -> Result<Resource, CallError> {
    let not_scalable =
        |reason: String| CallError::never(OrchestratorError::NotScalable { service: target.service.clone(), reason });
    let is_core = target.api_version == "v1";
    let api_version = if is_core || target.api_version.contains('/') {
        target.api_version.clone()
    } else {
        let group = client.get::<ApiGroup>(&format!("/apis/{}", target.api_version), "an API group").await;
        group.map_err(|e| absent(e, &not_scalable, &target.api_version))?.preferred_version.group_version
    };
    let path = if is_core { "/api/v1".to_owned() } else { format!("/apis/{api_version}") };
    let list = client.get::<ResourceList>(&path, "an APIResourceList").await;
    let list = list.map_err(|e| absent(e, &not_scalable, &api_version))?;
    let found = list.resources.iter().find(|r| r.kind == target.kind && !r.name.contains('/'));
    let found = found.ok_or_else(|| not_scalable(format!("{api_version} has no kind {}", target.kind)))?;
    let scale = format!("{}/scale", found.name);
    if !list.resources.iter().any(|r| r.name == scale) {
        return Err(not_scalable(format!("{} of {api_version} has no scale subresource", target.kind)));
    }
    let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
    // What the server says goes into paths: it must be plain words.
    let is_word = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'));
    if ![group, version, &found.name].into_iter().all(is_word) {
        return Err(OrchestratorError::Malformed { orchestrator: KIND, missing: "plain names of resources" }.into());
    }
    Ok(Resource { is_namespaced: found.namespaced, ..Resource::new(group, version, &found.name) })
}

fn absent(failed: CallError, not_scalable: &impl Fn(String) -> CallError, api_version: &str) -> CallError {
    match failed.error {
        OrchestratorError::Refused { status: 404, .. } => {
            not_scalable(format!("the cluster does not know {api_version}"))
        }
        _ => failed,
    }
}
