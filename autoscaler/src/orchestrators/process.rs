//! The embedded orchestrator: supervises processes of this machine.
//!
//! It restarts what dies, keeps pid and start time in the catalog and adopts running replicas when Tidewatch starts again,
//! never doubling them; replicas outlive Tidewatch unless their configuration says `stop_with: tidewatch`.
//! [`spec`] is the configuration, `table` what is kept, `supervisor` the step that brings both in line, `launch` and
//! `proc_files` the operating system.

mod launch;
mod proc_files;
mod room;
pub mod spec;
mod supervisor;
mod table;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::Mutex as AsyncMutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use vocab::error::chain;
use vocab::ports::Catalog;
use vocab::{Clock, PortResult};

pub use self::spec::{ProcessService, StopWith};
use self::supervisor::Supervisor;
use self::table::Phase;
use crate::error::OrchestratorError;
use crate::health::HealthBook;
use crate::orchestrator::{Orchestrator, OrchestratorEvent, Replica, Room, ScaleChange, ServiceState};

/// Time between steps of a supervisor.
const STEP: Duration = Duration::from_millis(100);
/// Wait after a step whose table could not be saved.
const STEP_AFTER_ERROR: Duration = Duration::from_secs(2);
/// A stop takes at most this long beyond the grace of its slowest service.
const STOP_EXTRA: Duration = Duration::from_secs(5);

/// A replica's process, for those who measure it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessReplica {
    /// The cluster.
    pub cluster: String,
    /// The service.
    pub service: String,
    /// The replica.
    pub replica: String,
    /// Its process, which leads its group.
    pub pid: u32,
}

#[derive(Debug)]
struct Supervised {
    supervisor: AsyncMutex<Supervisor>,
    health: HealthBook,
}

/// Supervises processes of this machine.
#[derive(Debug)]
pub struct ProcessOrchestrator {
    cluster: String,
    services: BTreeMap<String, Arc<Supervised>>,
    events: Arc<Mutex<VecDeque<OrchestratorEvent>>>,
    running: Arc<Mutex<BTreeMap<String, Vec<ProcessReplica>>>>,
    clock: Arc<dyn Clock>,
    cancel: CancellationToken,
    tasks: TaskTracker,
}

impl ProcessOrchestrator {
    /// Adopts what runs and starts to supervise. Output of the replicas goes to files below `output_dir`.
    ///
    /// # Errors
    /// The catalog's, when the table cannot be read or written.
    pub async fn start(
        cluster: &str,
        services: Vec<ProcessService>,
        output_dir: PathBuf,
        catalog: Arc<dyn Catalog>,
        clock: Arc<dyn Clock>,
    ) -> PortResult<Arc<Self>> {
        let events = Arc::new(Mutex::new(VecDeque::new()));
        let mut supervised = BTreeMap::new();
        for spec in services {
            let name = spec.name.clone();
            let supervisor = Supervisor::open(
                spec,
                cluster,
                output_dir.clone(),
                Arc::clone(&catalog),
                Arc::clone(&clock),
                Arc::clone(&events),
            )
            .await?;
            let health = HealthBook::new(Arc::clone(&clock));
            supervised.insert(name, Arc::new(Supervised { supervisor: AsyncMutex::new(supervisor), health }));
        }
        let orchestrator = Arc::new(Self {
            cluster: cluster.to_owned(),
            services: supervised,
            events,
            running: Arc::default(),
            clock,
            cancel: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        for (name, service) in &orchestrator.services {
            orchestrator.tasks.spawn(supervise(
                orchestrator.cluster.clone(),
                name.clone(),
                Arc::clone(service),
                Arc::clone(&orchestrator.running),
                Arc::clone(&orchestrator.clock),
                orchestrator.cancel.clone(),
            ));
        }
        orchestrator.tasks.close();
        Ok(orchestrator)
    }

    /// Running replicas and their processes.
    pub fn process_replicas(&self) -> Vec<ProcessReplica> {
        self.running.lock().values().flatten().cloned().collect()
    }

    /// Stops supervising; services that say so are stopped too, the others run on.
    pub async fn stop(&self) {
        self.hand_over(&|_| false).await;
    }

    /// Stops supervising, for a successor that adopts the services that stay; of the others those that say so are stopped.
    pub async fn hand_over(&self, stays: &(dyn Fn(&str) -> bool + Sync)) {
        self.cancel.cancel();
        self.tasks.wait().await;
        let leaving = self.services.iter().filter(|(name, _)| !stays(name));
        futures::future::join_all(leaving.map(|(name, service)| self.stop_service(name, service))).await;
    }

    async fn stop_service(&self, name: &str, service: &Supervised) {
        let mut supervisor = service.supervisor.lock().await;
        if supervisor.spec.stop_with == StopWith::Never {
            return;
        }
        let start = self.clock.monotonic();
        let limit = supervisor.spec.stop_grace + STOP_EXTRA;
        loop {
            match supervisor.stop_step().await {
                Ok(true) => break,
                Ok(false) => {}
                Err(error) => tracing::warn!(service = name, error = chain(&error), "its process table is still kept"),
            }
            if self.clock.monotonic().saturating_sub(start) > limit {
                tracing::error!(service = name, "replicas did not end in time");
                break;
            }
            self.clock.sleep(STEP).await;
        }
        self.running.lock().remove(name);
    }

    fn service(&self, name: &str) -> Result<&Arc<Supervised>, OrchestratorError> {
        let unknown = || OrchestratorError::UnknownService { orchestrator: "process", service: name.to_owned() };
        self.services.get(name).ok_or_else(unknown)
    }
}

async fn supervise(
    cluster: String,
    name: String,
    service: Arc<Supervised>,
    running: Arc<Mutex<BTreeMap<String, Vec<ProcessReplica>>>>,
    clock: Arc<dyn Clock>,
    cancel: CancellationToken,
) {
    let mut failed = false;
    while !cancel.is_cancelled() {
        let mut supervisor = service.supervisor.lock().await;
        let result = supervisor.step().await;
        let replicas = supervisor.table.rows.iter().filter_map(|row| {
            let pid = row.process.as_ref()?.pid;
            Some(ProcessReplica { cluster: cluster.clone(), service: name.clone(), replica: row.id.clone(), pid })
        });
        let replicas: Vec<_> = replicas.collect();
        drop(supervisor);
        running.lock().insert(name.clone(), replicas);
        if let Err(error) = &result
            && !failed
        {
            tracing::error!(
                service = name,
                error = chain(error),
                "nothing is started while the process table cannot be kept"
            );
        }
        failed = result.is_err();
        let pause = clock.sleep(if failed { STEP_AFTER_ERROR } else { STEP });
        tokio::select! {
            () = pause => {}
            () = cancel.cancelled() => {}
        }
    }
}

#[async_trait]
impl Orchestrator for ProcessOrchestrator {
    fn kind(&self) -> &'static str {
        "process"
    }

    fn cluster(&self) -> &str {
        &self.cluster
    }

    async fn services(&self) -> Result<Vec<String>, OrchestratorError> {
        Ok(self.services.keys().cloned().collect())
    }

    async fn state(&self, service: &str) -> Result<ServiceState, OrchestratorError> {
        let supervised = self.service(service)?;
        let (table, check) = {
            let supervisor = supervised.supervisor.lock().await;
            (supervisor.table.clone(), supervisor.spec.health.clone())
        };
        let mut replicas: Vec<Replica> = table
            .rows
            .iter()
            .map(|row| Replica {
                id: row.id.clone(),
                address: row.port.map(|port| SocketAddr::new(ProcessService::host(), port)),
                ready: row.process.is_some() && row.phase != Phase::Stopping,
                leaving: matches!(row.phase, Phase::Draining | Phase::Stopping),
                started_at_ms: row.process.as_ref().map(|_| row.started_at_ms),
                ready_at_ms: None,
                pid: row.process.as_ref().map(|p| p.pid),
                container: None,
                note: if row.process.is_none() { format!("died {} times", row.deaths) } else { String::new() },
            })
            .collect();
        if let Some(check) = check {
            let asked: Vec<(String, Option<SocketAddr>)> = replicas
                .iter()
                .map(|r| (format!("{}@{}", r.id, r.pid.unwrap_or(0)), r.address.filter(|_| r.pid.is_some())))
                .collect();
            for (replica, (ready, note)) in replicas.iter_mut().zip(supervised.health.check(&check, &asked).await) {
                replica.ready &= ready;
                if replica.note.is_empty() {
                    replica.note = note;
                }
            }
        }
        let ready: HashSet<String> = replicas.iter().filter(|r| r.ready).map(|r| r.id.clone()).collect();
        supervised.supervisor.lock().await.note_ready(ready);
        Ok(ServiceState { version: table.version, wanted: table.wanted, replicas })
    }

    async fn scale(&self, service: &str, change: ScaleChange) -> Result<(), OrchestratorError> {
        let mut supervisor = self.service(service)?.supervisor.lock().await;
        let found = supervisor.table.wanted;
        if !change.is_due(service, found)? {
            return Ok(());
        }
        supervisor.table.wanted = change.to;
        supervisor.table.version += 1;
        if let Err(source) = supervisor.save().await {
            supervisor.table.wanted = found;
            return Err(OrchestratorError::Catalog { source });
        }
        Ok(())
    }

    async fn room(&self, service: &str) -> Result<Option<Room>, OrchestratorError> {
        let supervised = self.service(service)?;
        let pids: Vec<u32> = {
            let supervisor = supervised.supervisor.lock().await;
            supervisor.table.rows.iter().filter_map(|row| row.process.as_ref().map(|p| p.pid)).collect()
        };
        // Some files of /proc, which are made at once.
        Ok(room::room(&pids))
    }

    async fn replace(&self, service: &str, replica: &str) -> Result<(), OrchestratorError> {
        let mut supervisor = self.service(service)?.supervisor.lock().await;
        if supervisor.replace(replica) {
            supervisor.save().await?;
        }
        Ok(())
    }

    async fn release(&self, service: &str, replicas: &[String]) {
        if let Ok(supervised) = self.service(service) {
            supervised.supervisor.lock().await.release(replicas);
        }
    }

    fn take_events(&self) -> Vec<OrchestratorEvent> {
        self.events.lock().drain(..).collect()
    }
}
