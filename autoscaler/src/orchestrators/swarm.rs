//! Docker Swarm through the Docker Engine's API on its Unix socket.
//!
//! A service is changed by sending its whole specification back, read as it came, with one number changed: nothing of it is
//! lost. A version that has moved is read again, up to five times.
//!
//! No ports need to be published. A replica's address is its container's: on an overlay network the task names it; a service
//! without networks runs on the node's default bridge, whose addresses only the container's own engine knows, so that such
//! replicas have an address when they run on this node.

mod engine;
mod room;
mod tasks;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use serde_json::{Value, json};
use vocab::Clock;

pub use self::engine::Engine;
use self::tasks::Task;
use super::rest::segment;
use super::retry::{CallError, with_retries};
use crate::error::OrchestratorError;
use crate::health::{HealthBook, HealthCheck};
use crate::orchestrator::{Orchestrator, OrchestratorEvent, Replica, Room, ScaleChange, ServiceState};

/// The orchestrator's kind.
const KIND: &str = "swarm";
/// The service label that names the port replicas listen on.
const PORT_LABEL: &str = "tidewatch.port";
/// The service label that names the path of the health check.
const HEALTH_LABEL: &str = "tidewatch.health";
/// Time between health checks that a label asks for.
const LABEL_HEALTH_INTERVAL: Duration = Duration::from_secs(1);
/// Most remembered container addresses; beyond it all are asked for again.
const ADDRESSES_MAX: usize = 20_000;
/// Longest time for a container that is replaced to end by itself, in seconds: the engine answers only then.
const STOP_SECONDS_MAX: u64 = 10;
/// Most events that wait to be taken.
const EVENTS_MAX: usize = 256;

/// What the engine does not say of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwarmService {
    /// Its name.
    pub name: String,
    /// Port that replicas listen on inside their containers.
    pub port: Option<u16>,
    /// How replicas are checked; without it a running task is ready.
    pub health: Option<HealthCheck>,
}

/// A Swarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwarmConfig {
    /// Socket of a manager node's engine.
    pub socket: PathBuf,
    /// What the engine does not say.
    pub services: Vec<SwarmService>,
    /// Longest wait for an answer; `None` for the usual.
    pub timeout: Option<Duration>,
}

/// Scales the replicated services of a Swarm.
#[derive(Debug)]
pub struct SwarmOrchestrator {
    cluster: String,
    engine: Engine,
    services: Vec<SwarmService>,
    health: Mutex<BTreeMap<String, Arc<HealthBook>>>,
    /// Addresses by container; an address never changes while its container lives.
    addresses: Mutex<HashMap<String, IpAddr>>,
    /// Tasks last seen running, by service, to notice which have failed.
    running: Mutex<HashMap<String, Vec<String>>>,
    events: Mutex<Vec<OrchestratorEvent>>,
    clock: Arc<dyn Clock>,
}

impl SwarmOrchestrator {
    /// An orchestrator; nothing is asked before it is used.
    pub fn new(cluster: &str, config: SwarmConfig, clock: Arc<dyn Clock>) -> Self {
        Self {
            cluster: cluster.to_owned(),
            engine: Engine::with_timeout(config.socket, config.timeout.unwrap_or(engine::TIMEOUT)),
            services: config.services,
            health: Mutex::default(),
            addresses: Mutex::default(),
            running: Mutex::default(),
            events: Mutex::default(),
            clock,
        }
    }

    /// The engine behind it.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    async fn service(&self, name: &str) -> Result<Value, CallError> {
        let unknown = || OrchestratorError::UnknownService { orchestrator: KIND, service: name.to_owned() };
        let found = match self.engine.try_get(&format!("/services/{}", segment(name))).await {
            Err(CallError { error: OrchestratorError::Refused { status: 404, .. }, .. }) => Err(unknown().into()),
            other => other,
        };
        found.and_then(|service| if service["Spec"].is_object() { Ok(service) } else { Err(unknown().into()) })
    }

    async fn service_and_tasks(&self, name: &str) -> Result<(Value, Vec<Task>), CallError> {
        let service = self.service(name).await?;
        let filter = segment(&json!({"service": [name]}).to_string());
        Ok((service, tasks::parse(&self.engine.try_get(&format!("/tasks?filters={filter}")).await?)))
    }

    async fn scale_once(&self, name: &str, change: ScaleChange) -> Result<(), CallError> {
        let mut service = self.service(name).await?;
        let found = wanted(name, &service)?;
        if !change.is_due(name, found)? {
            return Ok(());
        }
        let version = version(&service)?;
        let missing = OrchestratorError::Malformed { orchestrator: KIND, missing: "ID" };
        let id = segment(service["ID"].as_str().ok_or(missing)?);
        service["Spec"]["Mode"]["Replicated"]["Replicas"] = json!(change.to);
        let path = format!("/services/{id}/update?version={version}&registryAuthFrom=spec");
        self.engine.try_post(&path, &service["Spec"]).await.map(|_| ())
    }

    /// Stops the container behind a replica, for which Swarm starts another one. There is no call to end a task: its container
    /// is stopped at the engine that runs it, and the only one that is known here is this one. (A constraint against its node
    /// would move its siblings there too, and stay in the specification should this process end meanwhile.)
    async fn end_task(&self, name: &str, replica: &str) -> Result<(), CallError> {
        let (service, tasks) = self.service_and_tasks(name).await?;
        let task = tasks.iter().find(|t| t.replica_id(name) == replica && t.is_alive() && !t.is_leaving);
        let Some((task, container)) = task.and_then(|t| Some((t, t.container.as_ref()?))) else { return Ok(()) };
        let not = |reason: String| Err(CallError::never(OrchestratorError::NotReplaceable { reason }));
        let restart = &service["Spec"]["TaskTemplate"]["RestartPolicy"];
        let condition = restart["Condition"].as_str().unwrap_or("any");
        if condition != "any" {
            return not(format!("with the restart condition {condition} Swarm would start no other task"));
        }
        if restart["MaxAttempts"].as_u64().is_some_and(|most| most > 0) {
            return not("with a limit of restarts Swarm might start no other task".to_owned());
        }
        let own = self.engine.try_get("/info").await?;
        if own["Swarm"]["NodeID"] != task.node.as_str() {
            return not(format!(
                "it runs on node {}, and only containers of this engine's node can be stopped",
                task.node
            ));
        }
        let grace = service["Spec"]["TaskTemplate"]["ContainerSpec"]["StopGracePeriod"].as_u64();
        let seconds = grace.map_or(STOP_SECONDS_MAX, |nanos| nanos.div_ceil(1_000_000_000).min(STOP_SECONDS_MAX));
        let path = format!("/containers/{}/stop?t={seconds}", segment(container));
        match self.engine.try_post(&path, &json!({})).await {
            Ok(_) => Ok(()),
            // It has ended by itself meanwhile.
            Err(CallError { error: OrchestratorError::Refused { status: 304 | 404, .. }, .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Port and health check: from the configuration, else from the service's labels.
    fn describe(&self, name: &str, service: &Value) -> (Option<u16>, Option<HealthCheck>) {
        let known = self.services.iter().find(|s| s.name == name);
        let label = |key: &str| service["Spec"]["Labels"][key].as_str();
        let port = known.and_then(|k| k.port).or_else(|| label(PORT_LABEL)?.parse().ok());
        let by_label = || {
            let path = label(HEALTH_LABEL).filter(|p| p.starts_with('/'))?.to_owned();
            Some(HealthCheck { path, interval: LABEL_HEALTH_INTERVAL })
        };
        (port, known.and_then(|k| k.health.clone()).or_else(by_label))
    }

    /// The address of a task's container.
    async fn address(&self, task: &Task) -> Option<IpAddr> {
        if task.overlay_address.is_some() {
            return task.overlay_address;
        }
        let container = task.container.as_ref()?;
        if let Some(address) = self.addresses.lock().get(container) {
            return Some(*address);
        }
        // A container of another node is not there: its bridge could not be reached from here either.
        let inspected = self.engine.get(&format!("/containers/{container}/json")).await.ok()?;
        let address = tasks::bridge_address(&inspected)?;
        let mut addresses = self.addresses.lock();
        if addresses.len() >= ADDRESSES_MAX {
            addresses.clear();
        }
        addresses.insert(container.clone(), address);
        Some(address)
    }

    /// Tasks that ran at the last look and have failed since are worth an event.
    fn note_failures(&self, service: &str, tasks: &[Task]) {
        let now_running = tasks.iter().filter(|t| t.is_running).map(|t| t.id.clone()).collect();
        let Some(before) = self.running.lock().insert(service.to_owned(), now_running) else { return };
        let mut events = self.events.lock();
        for task in tasks.iter().filter(|t| t.has_failed && before.contains(&t.id)) {
            if events.len() >= EVENTS_MAX {
                events.remove(0);
            }
            events.push(OrchestratorEvent {
                time_ms: self.clock.now_ms(),
                service: service.to_owned(),
                replica: task.replica_id(service),
                summary: format!("died ({}), replaced by Swarm", task.note),
            });
        }
    }
}

fn version(service: &Value) -> Result<u64, OrchestratorError> {
    let malformed = OrchestratorError::Malformed { orchestrator: KIND, missing: "Version.Index" };
    service["Version"]["Index"].as_u64().ok_or(malformed)
}

fn wanted(name: &str, service: &Value) -> Result<u32, OrchestratorError> {
    let replicated = &service["Spec"]["Mode"]["Replicated"];
    if replicated.is_null() {
        let mode = service["Spec"]["Mode"].as_object().and_then(|m| m.keys().next().cloned()).unwrap_or_default();
        return Err(OrchestratorError::NotScalable {
            service: name.to_owned(),
            reason: format!("its mode is {mode}, not Replicated"),
        });
    }
    // Left out means none; Swarm itself writes the number always.
    Ok(replicated["Replicas"].as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or(0))
}

#[async_trait]
impl Orchestrator for SwarmOrchestrator {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn cluster(&self) -> &str {
        &self.cluster
    }

    async fn services(&self) -> Result<Vec<String>, OrchestratorError> {
        let all = with_retries(self.clock.as_ref(), || self.engine.try_get("/services")).await?;
        let all = all.as_array().ok_or(OrchestratorError::Malformed { orchestrator: KIND, missing: "a list" })?;
        let mut names: Vec<String> = all
            .iter()
            .filter(|s| !s["Spec"]["Mode"]["Replicated"].is_null())
            .filter_map(|s| s["Spec"]["Name"].as_str().map(str::to_owned))
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    async fn state(&self, name: &str) -> Result<ServiceState, OrchestratorError> {
        let (service, all) = with_retries(self.clock.as_ref(), || self.service_and_tasks(name)).await?;
        let (port, check) = self.describe(name, &service);
        self.note_failures(name, &all);
        let mut replicas = Vec::new();
        for task in all.iter().filter(|t| t.is_alive()) {
            let ip = self.address(task).await;
            replicas.push(Replica {
                id: task.replica_id(name),
                address: ip.zip(port).map(|(ip, port)| SocketAddr::new(ip, port)),
                ready: task.is_running && !(task.is_leaving && check.is_none()),
                leaving: task.is_leaving,
                started_at_ms: task.started_at_ms,
                ready_at_ms: None,
                pid: None,
                container: task.container.clone(),
                note: task.note.clone(),
            });
        }
        if let Some(check) = check {
            let book = {
                let mut books = self.health.lock();
                Arc::clone(
                    books.entry(name.to_owned()).or_insert_with(|| Arc::new(HealthBook::new(Arc::clone(&self.clock)))),
                )
            };
            let asked: Vec<_> = replicas.iter().map(|r| (r.id.clone(), r.address.filter(|_| r.ready))).collect();
            for (replica, (ready, note)) in replicas.iter_mut().zip(book.check(&check, &asked).await) {
                replica.ready &= ready;
                if replica.note.is_empty() {
                    replica.note = note;
                }
            }
        }
        replicas.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(ServiceState { version: version(&service)?, wanted: wanted(name, &service)?, replicas })
    }

    async fn scale(&self, name: &str, change: ScaleChange) -> Result<(), OrchestratorError> {
        with_retries(self.clock.as_ref(), || self.scale_once(name, change)).await
    }

    async fn room(&self, name: &str) -> Result<Option<Room>, OrchestratorError> {
        let all = segment(&json!({"desired-state": ["running"]}).to_string());
        let asked = || async {
            let service = self.service(name).await?;
            let nodes = self.engine.try_get("/nodes").await?;
            let tasks = self.engine.try_get(&format!("/tasks?filters={all}")).await?;
            Ok::<_, CallError>(room::room(&service, &nodes, &tasks))
        };
        with_retries(self.clock.as_ref(), asked).await
    }

    async fn replace(&self, service: &str, replica: &str) -> Result<(), OrchestratorError> {
        with_retries(self.clock.as_ref(), || self.end_task(service, replica)).await
    }

    async fn release(&self, _service: &str, _replicas: &[String]) {
        // Swarm chooses and stops by itself; replicas go on answering for a while after SIGTERM.
    }

    fn take_events(&self) -> Vec<OrchestratorEvent> {
        std::mem::take(&mut *self.events.lock())
    }
}
