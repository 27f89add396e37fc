//! Nomad: the count of a task group, through `/v1/job/{id}/scale`.
//!
//! The job's modify index goes along with a change, so that of two writers one is told that the job has moved. While a
//! deployment of the job is active Nomad refuses to scale; that is tried again shortly and then said to be busy.

pub mod config;
mod room;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use vocab::Clock;

pub use self::config::{Job, NomadConfig};
use super::access::LazyRest;
use super::known::KnownServices;
use super::rest::{Answer, Body, segment};
use super::retry::{CallError, with_retries};
use crate::error::OrchestratorError;
use crate::orchestrator::{Orchestrator, OrchestratorEvent, Replica, Room, ScaleChange, ServiceState};

/// The orchestrator's kind.
const KIND: &str = "nomad";
/// Most bytes of a reason: Nomad keeps it with its scaling events.
const REASON_BYTES_MAX: usize = 1024;

/// Scales the jobs of a Nomad.
#[derive(Debug)]
pub struct NomadOrchestrator {
    cluster: String,
    namespace: String,
    region: Option<String>,
    jobs: BTreeMap<String, Job>,
    rest: LazyRest,
    known: KnownServices,
    clock: Arc<dyn Clock>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Scale {
    job_modify_index: u64,
    #[serde(default)]
    job_stopped: bool,
    #[serde(default)]
    task_groups: BTreeMap<String, Group>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Group {
    desired: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Allocation {
    #[serde(rename = "ID")]
    id: String,
    task_group: String,
    desired_status: String,
    client_status: String,
    #[serde(default)]
    client_description: String,
    deployment_status: Option<DeploymentStatus>,
    /// Nanoseconds.
    #[serde(default)]
    create_time: i64,
    allocated_resources: Option<Resources>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DeploymentStatus {
    healthy: Option<bool>,
    timestamp: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Resources {
    shared: Option<SharedResources>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SharedResources {
    ports: Option<Vec<Port>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Port {
    label: String,
    value: u16,
    #[serde(rename = "HostIP", default)]
    host_ip: String,
}

impl NomadOrchestrator {
    /// An orchestrator; nothing is asked before it is used.
    pub fn new(config: NomadConfig, clock: Arc<dyn Clock>) -> Self {
        Self {
            cluster: config.cluster,
            namespace: config.namespace,
            region: config.region,
            known: KnownServices::new(config.jobs.iter().map(|j| &j.service)),
            jobs: config.jobs.into_iter().map(|j| (j.service.clone(), j)).collect(),
            rest: LazyRest::new(KIND, config.access),
            clock,
        }
    }

    fn job(&self, service: &str) -> Result<Job, OrchestratorError> {
        let known = self.jobs.get(service).cloned();
        known.or_else(|| (!service.is_empty()).then(|| Job::of_service(service))).ok_or_else(|| unknown(service))
    }

    /// A path below a job, with namespace and region.
    fn path(&self, job: &Job, below: &str) -> String {
        format!("/v1/job/{}/{below}{}", segment(&job.job), self.place(job))
    }

    /// Namespace and region of a job, as parameters.
    fn place(&self, job: &Job) -> String {
        let namespace = segment(job.namespace.as_deref().unwrap_or(&self.namespace));
        format!("?namespace={namespace}{}", self.region())
    }

    /// The region, as one more parameter.
    fn region(&self) -> String {
        self.region.as_ref().map(|r| format!("&region={}", segment(r))).unwrap_or_default()
    }

    /// What the nodes have room for; unknown where nodes or the job may not be read.
    async fn room_once(&self, job: &Job) -> Result<Option<Room>, CallError> {
        let (group, ..) = self.read(job).await?;
        let region = self.region();
        let whole = format!("/v1/job/{}{}", segment(&job.job), self.place(job));
        let Some(whole) = self.readable(&whole).await? else { return Ok(None) };
        let Some(nodes) = self.readable(&format!("/v1/nodes?resources=true{region}")).await? else { return Ok(None) };
        // Of all namespaces that this token may read: what others have there is then not known, and found out.
        let allocations = format!("/v1/allocations?namespace=*&resources=true&task_states=false{region}");
        let Some(allocations) = self.readable(&allocations).await? else { return Ok(None) };
        Ok(room::room(&whole, &group, &nodes, &allocations))
    }

    /// An answer; `None` when this Tidewatch has no right to it.
    async fn readable(&self, path: &str) -> Result<Option<Value>, CallError> {
        let answer = self.rest.get().await?.call(Method::GET, path, None).await?;
        match answer.status {
            200 => answer.json(KIND, "an answer in JSON").map(Some),
            403 => Ok(None),
            _ => Err(refused(&answer)),
        }
    }

    /// Ends one allocation, for which Nomad places another one.
    async fn end_allocation(&self, job: &Job, allocation: &str) -> Result<(), CallError> {
        let state = self.state_once(job).await?;
        if !state.replicas.iter().any(|r| r.id == allocation && !r.leaving) {
            return Ok(());
        }
        let path = format!("/v1/allocation/{}/stop{}", segment(allocation), self.place(job));
        let answer = self.rest.get().await?.call(Method::POST, &path, None).await?;
        // It may have ended by itself meanwhile.
        if answer.is_success() || answer.status == 404 { Ok(()) } else { Err(refused(&answer)) }
    }

    /// The group, its count and the job's modify index.
    async fn read(&self, job: &Job) -> Result<(String, u32, u64), CallError> {
        let answer = self.rest.get().await?.call(Method::GET, &self.path(job, "scale"), None).await?;
        let scale: Scale = match answer.status {
            200 => answer.json(KIND, "a job's scale")?,
            404 => return Err(CallError::never(unknown(&job.service))),
            _ => return Err(refused(&answer)),
        };
        let not_scalable =
            |reason| CallError::never(OrchestratorError::NotScalable { service: job.service.clone(), reason });
        if scale.job_stopped {
            return Err(not_scalable(format!("job {} is stopped", job.job)));
        }
        let names = || scale.task_groups.keys().cloned().collect::<Vec<_>>().join(", ");
        let group = match &job.group {
            Some(group) => group.clone(),
            None if scale.task_groups.len() == 1 => names(),
            None => job.job.clone(),
        };
        match scale.task_groups.get(&group) {
            Some(found) => Ok((group, found.desired, scale.job_modify_index)),
            None => Err(not_scalable(format!("job {} has no group {group:?}; name one of {}", job.job, names()))),
        }
    }

    async fn state_once(&self, job: &Job) -> Result<ServiceState, CallError> {
        let (group, wanted, version) = self.read(job).await?;
        let path = format!("{}&resources=true", self.path(job, "allocations"));
        let answer = self.rest.get().await?.call(Method::GET, &path, None).await?;
        if !answer.is_success() {
            return Err(refused(&answer));
        }
        let allocations: Vec<Allocation> = answer.json(KIND, "a list of allocations")?;
        let of_group = allocations.iter().filter(|a| a.task_group == group);
        let mut replicas: Vec<Replica> = of_group.filter_map(|a| replica(a, job.port.as_deref())).collect();
        replicas.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(ServiceState { version, wanted, replicas })
    }

    async fn scale_once(&self, job: &Job, change: ScaleChange, reason: &str) -> Result<(), CallError> {
        let (group, found, index) = self.read(job).await?;
        if !change.is_due(&job.service, found)? {
            return Ok(());
        }
        let body = json!({
            "Count": change.to, "Target": {"Group": group}, "Message": reason, "PolicyOverride": false,
            "Meta": {"by": "tidewatch", "from": change.from.to_string()}, "JobModifyIndex": index,
        });
        let body = body.to_string();
        let path = self.path(job, "scale");
        let answer = self.rest.get().await?.call(Method::POST, &path, Some(Body::json(body.as_bytes()))).await?;
        if answer.is_success() {
            return Ok(());
        }
        let words = answer.words("/message").0;
        if words.contains("conflicting job modify index") {
            return Err(CallError::stale(refused(&answer).error));
        }
        if words.contains("active deployment") {
            let reason = format!("Nomad refuses while a deployment is active: {words}");
            return Err(CallError::stale(OrchestratorError::Busy { service: job.service.clone(), reason }));
        }
        if answer.status == 404 { Err(CallError::never(unknown(&job.service))) } else { Err(refused(&answer)) }
    }
}

/// Nomad's errors are plain text.
fn refused(answer: &Answer) -> CallError {
    CallError::refused(KIND, answer, &answer.words("/message"))
}

fn unknown(service: &str) -> OrchestratorError {
    OrchestratorError::UnknownService { orchestrator: KIND, service: service.to_owned() }
}

fn replica(allocation: &Allocation, label: Option<&str>) -> Option<Replica> {
    let is_running = allocation.client_status == "running";
    let has_ended = matches!(allocation.client_status.as_str(), "complete" | "failed" | "lost" | "unknown");
    let is_leaving = allocation.desired_status != "run";
    if has_ended || (is_leaving && !is_running) {
        return None;
    }
    let deployment = allocation.deployment_status.as_ref();
    // Without a deployment (a group without an update block) a running allocation is as ready as Nomad knows.
    let is_healthy = deployment.is_none_or(|d| d.healthy == Some(true));
    let ports = allocation.allocated_resources.iter().filter_map(|r| r.shared.as_ref()?.ports.as_ref()).flatten();
    let port = ports.into_iter().find(|p| label.is_none_or(|l| l == p.label));
    let address = port.and_then(|p| Some(SocketAddr::new(p.host_ip.parse::<IpAddr>().ok()?, p.value)));
    let ready_at = deployment.filter(|d| d.healthy == Some(true)).and_then(|d| d.timestamp.as_ref());
    Some(Replica {
        id: allocation.id.clone(),
        address,
        ready: is_running && is_healthy && !is_leaving,
        leaving: is_leaving,
        started_at_ms: (allocation.create_time > 0).then_some(allocation.create_time / 1_000_000),
        ready_at_ms: ready_at.and_then(|t| Some(t.parse::<jiff::Timestamp>().ok()?.as_millisecond())),
        pid: None,
        container: None,
        note: if is_running { String::new() } else { allocation.client_description.clone() },
    })
}

#[async_trait]
impl Orchestrator for NomadOrchestrator {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn cluster(&self) -> &str {
        &self.cluster
    }

    async fn services(&self) -> Result<Vec<String>, OrchestratorError> {
        Ok(self.known.names())
    }

    async fn state(&self, service: &str) -> Result<ServiceState, OrchestratorError> {
        let job = self.job(service)?;
        let state = with_retries(self.clock.as_ref(), || self.state_once(&job)).await?;
        self.known.remember(service);
        Ok(state)
    }

    async fn scale(&self, service: &str, change: ScaleChange) -> Result<(), OrchestratorError> {
        self.scale_because(service, change, "").await
    }

    async fn scale_because(&self, service: &str, change: ScaleChange, reason: &str) -> Result<(), OrchestratorError> {
        let job = self.job(service)?;
        // Nomad wants a reason.
        let reason =
            if reason.is_empty() { format!("from {} to {}", change.from, change.to) } else { reason.to_owned() };
        let reason = &reason[..reason.floor_char_boundary(REASON_BYTES_MAX)];
        with_retries(self.clock.as_ref(), || self.scale_once(&job, change, reason)).await
    }

    async fn room(&self, service: &str) -> Result<Option<Room>, OrchestratorError> {
        let job = self.job(service)?;
        with_retries(self.clock.as_ref(), || self.room_once(&job)).await
    }

    async fn replace(&self, service: &str, replica: &str) -> Result<(), OrchestratorError> {
        let job = self.job(service)?;
        with_retries(self.clock.as_ref(), || self.end_allocation(&job, replica)).await
    }

    async fn release(&self, _service: &str, _replicas: &[String]) {
        // Nomad chooses and stops by itself.
    }

    fn take_events(&self) -> Vec<OrchestratorEvent> {
        Vec::new()
    }
}
