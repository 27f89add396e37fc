//! Other scalers of the same target: two on one target would fight, so the one who comes later keeps off.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Deserialize;
use vocab::Clock;

use super::client::Client;
use super::config::Target;
use super::resource::Resource;
use crate::error::OrchestratorError;
use crate::orchestrators::retry::CallError;

/// How long a look at a namespace counts.
const LOOK_INTERVAL: Duration = Duration::from_secs(60);
/// Most remembered namespaces.
const NAMESPACES_MAX: usize = 10_000;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Scaler {
    /// `HorizontalPodAutoscaler web`.
    words: String,
    group: String,
    kind: String,
    name: String,
}

#[derive(Deserialize)]
struct List {
    items: Option<Vec<Item>>,
}

#[derive(Deserialize)]
struct Item {
    metadata: Metadata,
    spec: Spec,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    scale_target_ref: Option<Reference>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reference {
    api_version: Option<String>,
    kind: Option<String>,
    name: String,
}

/// What was seen of other scalers, by namespace.
#[derive(Debug, Default)]
pub(crate) struct Rivals {
    seen: Mutex<HashMap<String, (Duration, Vec<Scaler>)>>,
}

impl Rivals {
    /// Refuses a target that something else scales.
    pub(crate) async fn check(
        &self,
        client: &Client,
        clock: &dyn Clock,
        target: &Target,
        resource: &Resource,
        namespace: &str,
    ) -> Result<(), CallError> {
        let now = clock.monotonic();
        let known = self.seen.lock().get(namespace).filter(|s| now.saturating_sub(s.0) < LOOK_INTERVAL).cloned();
        let scalers = match known {
            Some((_, scalers)) => scalers,
            None => {
                let scalers = look(client, target, namespace).await?;
                let mut seen = self.seen.lock();
                if seen.len() >= NAMESPACES_MAX {
                    seen.clear();
                }
                seen.insert(namespace.to_owned(), (now, scalers.clone()));
                scalers
            }
        };
        let is_same = |s: &&Scaler| s.kind == target.kind && s.name == target.name && s.group == resource.group;
        match scalers.iter().find(is_same) {
            None => Ok(()),
            Some(rival) => Err(CallError::never(OrchestratorError::NotScalable {
                service: target.service.clone(),
                reason: format!("{} scales it already; delete that, or set this policy to observe", rival.words),
            })),
        }
    }
}

async fn look(client: &Client, target: &Target, namespace: &str) -> Result<Vec<Scaler>, CallError> {
    let mut scalers = Vec::new();
    let path = format!("/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers");
    scalers.extend(list(client, &path, "HorizontalPodAutoscaler", target).await?);
    // KEDA answers for its kinds only where it is installed; asking for them elsewhere would need a role for nothing.
    match client.get::<serde_json::Value>("/apis/keda.sh/v1alpha1", "an APIResourceList").await {
        Ok(_) => {
            let path = format!("/apis/keda.sh/v1alpha1/namespaces/{namespace}/scaledobjects");
            scalers.extend(list(client, &path, "ScaledObject", target).await?);
        }
        // Without the right to discover, its HPA (KEDA makes one for each ScaledObject) has been seen above.
        Err(CallError { error: OrchestratorError::Refused { status: 403 | 404, .. }, .. }) => {}
        Err(error) => return Err(error),
    }
    Ok(scalers)
}

async fn list(client: &Client, path: &str, what: &str, target: &Target) -> Result<Vec<Scaler>, CallError> {
    let list: List = match client.get(path, "a list of scalers").await {
        Ok(list) => list,
        Err(CallError { error: OrchestratorError::Refused { status: 404, .. }, .. }) => return Ok(Vec::new()),
        Err(CallError { error: OrchestratorError::Refused { status: 403, .. }, .. }) => {
            let reason = format!(
                "whether a {what} scales it cannot be seen: grant `list` on it, or set check_other_scalers: false"
            );
            return Err(CallError::never(OrchestratorError::NotScalable { service: target.service.clone(), reason }));
        }
        Err(error) => return Err(error),
    };
    let scaler = |item: Item| {
        let reference = item.spec.scale_target_ref?;
        let kind = reference.kind.filter(|k| !k.is_empty()).unwrap_or_else(|| "Deployment".to_owned());
        let is_plain = matches!(kind.as_str(), "Deployment" | "StatefulSet" | "ReplicaSet");
        let default_group = if is_plain { "apps" } else { "" };
        let group = match reference.api_version.as_deref() {
            Some(text) if !text.is_empty() => text.split_once('/').map_or("", |g| g.0),
            _ => default_group,
        };
        let words = format!("{what} {}", item.metadata.name);
        Some(Scaler { words, group: group.to_owned(), kind, name: reference.name })
    };
    Ok(list.items.into_iter().flatten().filter_map(scaler).collect())
}
