//! Marathon, on Mesos and DC/OS.
//!
//! A change is a `PUT` of the number alone to an app that was read just before (a `PUT` to an app that is not there would
//! create it). Marathon answers 409 while a deployment holds the app: one of our own is waited for, and forced only when it has
//! been stuck for long and fewer replicas are wanted; one of somebody else (a rollout) is never forced.

pub mod config;
mod events;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;
use tokio_util::sync::{CancellationToken, DropGuard};
use vocab::Clock;

pub use self::config::{App, MarathonConfig};
use super::access::LazyRest;
use super::known::KnownServices;
use super::rest::{Answer, Body, segment};
use super::retry::{CallError, with_retries};
use crate::error::OrchestratorError;
use crate::orchestrator::{Orchestrator, OrchestratorEvent, Replica, ScaleChange, ServiceState};

/// The orchestrator's kind.
const KIND: &str = "marathon";
/// Most deployments of our own that are remembered for an app: the running one and those it replaced.
const DEPLOYMENTS_MAX: usize = 16;

/// What the API and its event stream share.
#[derive(Debug)]
pub(crate) struct Shared {
    rest: LazyRest,
    clock: Arc<dyn Clock>,
    /// Our own deployments by app id: id and when it began.
    ours: Mutex<HashMap<String, Vec<(String, Duration)>>>,
    /// Services by app id.
    services: Mutex<BTreeMap<String, String>>,
    events: Mutex<Vec<OrchestratorEvent>>,
}

/// Scales the apps of a Marathon.
#[derive(Debug)]
pub struct MarathonOrchestrator {
    cluster: String,
    apps: BTreeMap<String, App>,
    stuck_after: Duration,
    shared: Arc<Shared>,
    known: KnownServices,
    _events_end_with_this: DropGuard,
}

#[derive(Deserialize)]
struct Envelope {
    app: RawApp,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawApp {
    instances: u32,
    #[serde(default)]
    version: String,
    #[serde(default)]
    tasks: Vec<Task>,
    #[serde(default)]
    health_checks: Vec<serde_json::Value>,
    #[serde(default)]
    readiness_checks: Vec<serde_json::Value>,
    #[serde(default)]
    readiness_check_results: Vec<Readiness>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Task {
    id: String,
    #[serde(default)]
    host: String,
    #[serde(default)]
    ports: Vec<u16>,
    #[serde(default)]
    ip_addresses: Vec<TaskAddress>,
    #[serde(default)]
    state: String,
    started_at: Option<String>,
    staged_at: Option<String>,
    #[serde(default)]
    health_check_results: Vec<Health>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TaskAddress {
    ip_address: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Health {
    #[serde(default)]
    alive: bool,
    last_failure_cause: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Readiness {
    task_id: String,
    ready: bool,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Locked {
    deployments: Vec<Deployment>,
}

#[derive(Deserialize)]
struct Deployment {
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Accepted {
    deployment_id: Option<String>,
}

impl MarathonOrchestrator {
    /// An orchestrator; nothing is asked before it is used, except for its events. Needs a Tokio runtime.
    pub fn new(config: MarathonConfig, clock: Arc<dyn Clock>) -> Self {
        let services = config.apps.iter().map(|a| (a.id.clone(), a.service.clone())).collect();
        let shared = Arc::new(Shared {
            rest: LazyRest::new(KIND, config.access),
            clock,
            ours: Mutex::default(),
            services: Mutex::new(services),
            events: Mutex::default(),
        });
        let cancel = CancellationToken::new();
        tokio::spawn(events::run(Arc::clone(&shared), cancel.clone()));
        Self {
            cluster: config.cluster,
            known: KnownServices::new(config.apps.iter().map(|a| &a.service)),
            apps: config.apps.into_iter().map(|a| (a.service.clone(), a)).collect(),
            stuck_after: config.stuck_after,
            shared,
            _events_end_with_this: cancel.drop_guard(),
        }
    }

    fn app(&self, service: &str) -> Result<App, OrchestratorError> {
        self.apps.get(service).cloned().or_else(|| App::of_service(service)).ok_or_else(|| unknown(service))
    }

    async fn read(&self, app: &App) -> Result<RawApp, CallError> {
        let path =
            format!("/v2/apps/{}?embed=app.counts&embed=app.deployments&embed=app.tasks&embed=app.readiness", app.id);
        let answer = self.shared.rest.get().await?.call(Method::GET, &path, None).await?;
        match answer.status {
            200 => Ok(answer.json::<Envelope>(KIND, "an app")?.app),
            404 => Err(CallError::never(unknown(&app.service))),
            _ => Err(refused(&answer)),
        }
    }

    async fn scale_once(&self, app: &App, change: ScaleChange) -> Result<(), CallError> {
        let found = self.read(app).await?.instances;
        if !change.is_due(&app.service, found)? {
            return Ok(());
        }
        let answer = self.put(app, change.to, false).await?;
        if answer.status != 409 {
            return self.taken(app, &answer);
        }
        let locks = serde_json::from_slice::<Locked>(&answer.body).unwrap_or_default().deployments;
        let ours = self.shared.ours.lock().get(&app.id).cloned().unwrap_or_default();
        let since = |lock: &Deployment| ours.iter().find(|o| o.0 == lock.id).map(|o| o.1);
        let words = answer.words("/message").0;
        // All of them must be known to be ours; a lock without a name is somebody's.
        let Some(oldest) = locks.iter().map(since).collect::<Option<Vec<_>>>().and_then(|s| s.into_iter().min()) else {
            let reason = format!("somebody else's deployment holds it: {words}");
            return Err(CallError::never(OrchestratorError::Busy { service: app.service.clone(), reason }));
        };
        let held = self.shared.clock.monotonic().saturating_sub(oldest);
        if held >= self.stuck_after && change.to < found {
            let answer = self.put(app, change.to, true).await?;
            return self.taken(app, &answer);
        }
        let reason = format!("our own change of {} s ago is still under way: {words}", held.as_secs());
        Err(CallError::stale(OrchestratorError::Busy { service: app.service.clone(), reason }))
    }

    /// Ends one task, for which Marathon starts another one.
    async fn end_task(&self, app: &App, task: &str) -> Result<(), CallError> {
        let is_there = self.read(app).await?.tasks.iter().any(|t| t.id == task && t.state != "TASK_KILLING");
        if !is_there {
            return Ok(());
        }
        let path = format!("/v2/apps/{}/tasks/{}?scale=false", app.id, segment(task));
        let answer = self.shared.rest.get().await?.call(Method::DELETE, &path, None).await?;
        match answer.status {
            // It may have ended by itself meanwhile.
            200 | 404 => Ok(()),
            _ => Err(refused(&answer)),
        }
    }

    async fn put(&self, app: &App, instances: u32, is_forced: bool) -> Result<Answer, CallError> {
        let path = format!("/v2/apps/{}{}", app.id, if is_forced { "?force=true" } else { "" });
        let body = json!({"instances": instances}).to_string();
        self.shared.rest.get().await?.call(Method::PUT, &path, Some(Body::json(body.as_bytes()))).await
    }

    fn taken(&self, app: &App, answer: &Answer) -> Result<(), CallError> {
        match answer.status {
            200 | 201 => {}
            404 => return Err(CallError::never(unknown(&app.service))),
            _ => return Err(refused(answer)),
        }
        let accepted = serde_json::from_slice::<Accepted>(&answer.body).ok();
        if let Some(id) = accepted.and_then(|a| a.deployment_id) {
            let mut ours = self.shared.ours.lock();
            let list = ours.entry(app.id.clone()).or_default();
            if list.len() >= DEPLOYMENTS_MAX {
                list.remove(0);
            }
            list.push((id, self.shared.clock.monotonic()));
        }
        Ok(())
    }
}

fn refused(answer: &Answer) -> CallError {
    CallError::refused(KIND, answer, &answer.words("/message"))
}

fn unknown(service: &str) -> OrchestratorError {
    OrchestratorError::UnknownService { orchestrator: KIND, service: service.to_owned() }
}

fn time_ms(text: Option<&String>) -> Option<i64> {
    Some(text?.parse::<jiff::Timestamp>().ok()?.as_millisecond())
}

fn replica(task: &Task, app: &RawApp) -> Option<Replica> {
    let is_running = task.state == "TASK_RUNNING";
    let is_leaving = task.state == "TASK_KILLING";
    // An empty state is that of a Marathon before 1.0, which lists running and staged tasks only.
    if !(is_running
        || is_leaving
        || task.state.is_empty()
        || matches!(task.state.as_str(), "TASK_STAGING" | "TASK_STARTING"))
    {
        return None;
    }
    let checks = &task.health_check_results;
    let is_healthy = app.health_checks.is_empty() || (!checks.is_empty() && checks.iter().all(|c| c.alive));
    let is_past_start = app.readiness_checks.is_empty()
        || app.readiness_check_results.iter().find(|r| r.task_id == task.id).is_none_or(|r| r.ready);
    let has_started = is_running || (task.state.is_empty() && task.started_at.is_some());
    // On the host's network the port belongs to the host, else to the task's own address.
    let host = task.host.parse::<IpAddr>().ok();
    let own = task.ip_addresses.iter().find_map(|a| a.ip_address.parse::<IpAddr>().ok());
    Some(Replica {
        id: task.id.clone(),
        address: host.or(own).zip(task.ports.first()).map(|(ip, port)| SocketAddr::new(ip, *port)),
        ready: has_started && is_healthy && is_past_start,
        leaving: is_leaving,
        started_at_ms: time_ms(task.staged_at.as_ref().or(task.started_at.as_ref())),
        ready_at_ms: None,
        pid: None,
        container: None,
        note: checks.iter().find(|c| !c.alive).and_then(|c| c.last_failure_cause.clone()).unwrap_or_default(),
    })
}

#[async_trait]
impl Orchestrator for MarathonOrchestrator {
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
        let app = self.app(service)?;
        let read = with_retries(self.shared.clock.as_ref(), || self.read(&app)).await?;
        if self.known.remember(service) {
            self.shared.services.lock().insert(app.id.clone(), service.to_owned());
        }
        let mut replicas: Vec<Replica> = read.tasks.iter().filter_map(|t| replica(t, &read)).collect();
        replicas.sort_by(|a, b| a.id.cmp(&b.id));
        let version = time_ms(Some(&read.version)).and_then(|v| u64::try_from(v).ok()).unwrap_or(0);
        Ok(ServiceState { version, wanted: read.instances, replicas })
    }

    async fn scale(&self, service: &str, change: ScaleChange) -> Result<(), OrchestratorError> {
        let app = self.app(service)?;
        with_retries(self.shared.clock.as_ref(), || self.scale_once(&app, change)).await
    }

    async fn replace(&self, service: &str, replica: &str) -> Result<(), OrchestratorError> {
        let app = self.app(service)?;
        with_retries(self.shared.clock.as_ref(), || self.end_task(&app, replica)).await
    }

    async fn release(&self, _service: &str, _replicas: &[String]) {
        // Marathon chooses and stops by itself.
    }

    fn take_events(&self) -> Vec<OrchestratorEvent> {
        std::mem::take(&mut *self.shared.events.lock())
    }
}
