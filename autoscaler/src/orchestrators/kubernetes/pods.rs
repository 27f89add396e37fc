//! Pods: what of them matters, and how they are listed.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use serde::Deserialize;
use vocab::TimestampMs;

use super::client::Client;
use crate::orchestrator::Replica;
use crate::orchestrators::rest::segment;
use crate::orchestrators::retry::CallError;

/// Pods of a page: what the API server itself uses for its own lists.
pub(super) const PAGE: u32 = 500;
/// Most pages of a list: a hundred thousand pods.
const PAGES_MAX: u32 = 200;

/// What matters of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pod {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) created_at_ms: Option<TimestampMs>,
    pub(crate) ready_at_ms: Option<TimestampMs>,
    pub(crate) is_ready: bool,
    pub(crate) is_leaving: bool,
    /// Whether it has ended and will not run again.
    pub(crate) has_ended: bool,
    pub(crate) ip: Option<IpAddr>,
    /// The first port that a container names.
    pub(crate) port: Option<u16>,
    pub(crate) container: Option<String>,
    pub(crate) restarts: u32,
    pub(crate) note: String,
}

impl Pod {
    /// The pod as a replica.
    pub(crate) fn replica(&self, port: Option<u16>) -> Replica {
        Replica {
            id: self.name.clone(),
            address: self.ip.zip(port.or(self.port)).map(|(ip, port)| SocketAddr::new(ip, port)),
            ready: self.is_ready && !self.is_leaving,
            leaving: self.is_leaving,
            started_at_ms: self.created_at_ms,
            ready_at_ms: self.ready_at_ms,
            pid: None,
            container: self.container.clone(),
            note: self.note.clone(),
        }
    }
}

#[derive(Deserialize)]
struct RawPod {
    metadata: Metadata,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: String,
    labels: Option<BTreeMap<String, String>>,
    creation_timestamp: Option<String>,
    deletion_timestamp: Option<String>,
}

#[derive(Deserialize, Default)]
struct Spec {
    #[serde(default)]
    containers: Vec<Container>,
}

#[derive(Deserialize)]
struct Container {
    #[serde(default)]
    ports: Vec<Port>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Port {
    container_port: u16,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    phase: String,
    #[serde(rename = "podIP")]
    pod_ip: Option<String>,
    conditions: Vec<Condition>,
    container_statuses: Vec<ContainerStatus>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    last_transition_time: Option<String>,
    message: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ContainerStatus {
    #[serde(rename = "containerID")]
    container_id: Option<String>,
    restart_count: u32,
    state: State,
    last_state: State,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct State {
    waiting: Option<Reason>,
    terminated: Option<Reason>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Reason {
    reason: Option<String>,
    exit_code: Option<i64>,
}

/// Reads a pod.
pub(crate) fn parse(value: serde_json::Value) -> Option<Pod> {
    let raw: RawPod = serde_json::from_value(value).ok()?;
    let time = |text: Option<&String>| Some(text?.parse::<jiff::Timestamp>().ok()?.as_millisecond());
    let condition = |kind: &str| raw.status.conditions.iter().find(|c| c.kind == kind);
    let ready = condition("Ready").filter(|c| c.status == "True");
    let containers = &raw.status.container_statuses;
    let first_words = || {
        let waiting = containers.iter().find_map(|c| c.state.waiting.as_ref()?.reason.clone());
        let unscheduled = condition("PodScheduled").filter(|c| c.status == "False").and_then(|c| c.message.clone());
        let ended = containers.iter().find_map(|c| Some(words(c.last_state.terminated.as_ref()?)));
        [unscheduled, waiting, ended].into_iter().flatten().collect::<Vec<_>>().join("; ")
    };
    Some(Pod {
        created_at_ms: time(raw.metadata.creation_timestamp.as_ref()),
        ready_at_ms: ready.and_then(|c| time(c.last_transition_time.as_ref())),
        is_ready: ready.is_some() && raw.status.phase == "Running",
        is_leaving: raw.metadata.deletion_timestamp.is_some(),
        has_ended: matches!(raw.status.phase.as_str(), "Succeeded" | "Failed"),
        ip: raw.status.pod_ip.as_ref().and_then(|ip| ip.parse().ok()),
        port: raw.spec.containers.iter().flat_map(|c| &c.ports).map(|p| p.container_port).next(),
        container: containers
            .iter()
            .find_map(|c| Some(c.container_id.as_ref()?.rsplit_once("//")?.1.to_owned()))
            .filter(|id| !id.is_empty()),
        restarts: containers.iter().map(|c| c.restart_count).fold(0, u32::saturating_add),
        note: if ready.is_some() { String::new() } else { first_words() },
        name: raw.metadata.name,
        labels: raw.metadata.labels.unwrap_or_default(),
    })
}

fn words(reason: &Reason) -> String {
    let code = reason.exit_code.map(|c| format!(", exit {c}")).unwrap_or_default();
    format!("last ended: {}{code}", reason.reason.as_deref().unwrap_or("unknown"))
}

#[derive(Deserialize)]
struct List {
    #[serde(default)]
    metadata: ListMetadata,
    items: Option<Vec<serde_json::Value>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ListMetadata {
    resource_version: String,
    #[serde(rename = "continue")]
    next: Option<String>,
}

/// Lists pods of a namespace, of a selector when one is given, with the version to watch from.
pub(crate) async fn list(
    client: &Client,
    namespace: &str,
    selector: Option<&str>,
) -> Result<(Vec<Pod>, String), CallError> {
    let selector = selector.map(|s| format!("&labelSelector={}", segment(s))).unwrap_or_default();
    let path = format!("/api/v1/namespaces/{namespace}/pods?limit={PAGE}{selector}");
    let mut pods = Vec::new();
    let read = each(client, &path, PAGES_MAX, |pod| pods.extend(parse(pod))).await?;
    Ok((pods, read.version))
}

/// How far a list was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Read {
    /// Its version, from which it can be watched.
    pub(super) version: String,
    /// Whether it was not longer than it may be.
    pub(super) is_whole: bool,
}

/// Takes each object of a list, page by page. `first` is the path of the first page, with its parameters.
pub(super) async fn each(
    client: &Client,
    first: &str,
    pages_max: u32,
    mut take: impl FnMut(serde_json::Value),
) -> Result<Read, CallError> {
    let mut path = first.to_owned();
    let mut version = String::new();
    for _page in 0..pages_max {
        let list: List = client.get(&path, "a list of objects").await?;
        list.items.into_iter().flatten().for_each(&mut take);
        version = list.metadata.resource_version;
        match list.metadata.next.filter(|n| !n.is_empty()) {
            Some(next) => path = format!("{first}&continue={}", segment(&next)),
            None => return Ok(Read { version, is_whole: true }),
        }
    }
    Ok(Read { version, is_whole: false })
}

/// The uid of a pod that is not leaving yet.
pub(crate) async fn uid(client: &Client, namespace: &str, name: &str) -> Result<Option<String>, CallError> {
    let field = segment(&format!("metadata.name={name}"));
    let path = format!("/api/v1/namespaces/{}/pods?fieldSelector={field}", segment(namespace));
    let list: List = client.get(&path, "a list of pods").await?;
    let pod = list.items.into_iter().flatten().map(|mut pod| pod["metadata"].take()).find(|m| m["name"] == name);
    Ok(pod.filter(|m| m["deletionTimestamp"].is_null()).and_then(|m| m["uid"].as_str().map(str::to_owned)))
}
