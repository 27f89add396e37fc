//! The plug point towards what runs services: one trait, behind which `process`, `swarm` and others stand.

use std::fmt::Debug;
use std::net::SocketAddr;

use async_trait::async_trait;
use vocab::TimestampMs;

use crate::error::OrchestratorError;
use crate::observation::ReplicaCounts;

/// One running (or starting, or leaving) copy of a service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Replica {
    /// Unique in its cluster, the same for the replica's whole life.
    pub id: String,
    /// Where it answers; `None` while it has no address.
    pub address: Option<SocketAddr>,
    /// Whether it runs and, where a health check is configured, passes it.
    pub ready: bool,
    /// Whether it has been told to leave, or will be once the balancer has drained it.
    pub leaving: bool,
    /// When it was started.
    pub started_at_ms: Option<TimestampMs>,
    /// When it became ready, where the orchestrator notes it; with the above, how long a start takes.
    pub ready_at_ms: Option<TimestampMs>,
    /// Its process on this machine, where it is one.
    pub pid: Option<u32>,
    /// Its container, where it is in one.
    pub container: Option<String>,
    /// What is the matter with it, or empty.
    pub note: String,
}

/// A service as its orchestrator sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServiceState {
    /// Grows with every change.
    pub version: u64,
    /// Replicas it was told to run.
    pub wanted: u32,
    /// Its replicas, by id; leaving ones included.
    pub replicas: Vec<Replica>,
}

impl ServiceState {
    /// The numbers a decision needs.
    pub fn counts(&self) -> ReplicaCounts {
        let count = |wanted: &dyn Fn(&Replica) -> bool| {
            u32::try_from(self.replicas.iter().filter(|r| wanted(r)).count()).unwrap_or(u32::MAX)
        };
        ReplicaCounts {
            wanted: self.wanted,
            ready: count(&|r| r.ready && !r.leaving),
            total: count(&|_| true),
            version: self.version,
        }
    }
}

/// A change of a service's number of replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScaleChange {
    /// Replicas wanted until now; when the orchestrator wants another number meanwhile, nothing is changed.
    pub from: u32,
    /// Replicas wanted from now on.
    pub to: u32,
}

impl ScaleChange {
    /// Whether there is something to do where `found` replicas are wanted now: `false` when the change is there already.
    ///
    /// # Errors
    /// [`OrchestratorError::Conflict`] when somebody wants another number meanwhile.
    pub fn is_due(self, service: &str, found: u32) -> Result<bool, OrchestratorError> {
        if found == self.to {
            return Ok(false);
        }
        if found != self.from {
            return Err(OrchestratorError::Conflict { service: service.to_owned(), expected: self.from, found });
        }
        Ok(true)
    }
}

/// What there is room for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// Replicas beside those that run or start.
    pub more: u32,
    /// What stands against more, in words: `the nodes have 3.5 cores free, and a replica takes 2`.
    pub reason: String,
}

impl Room {
    /// What the usable nodes have room for, where one more takes these amounts: `0.5 cores`, `256 MiB` …
    pub(crate) fn on_nodes(nodes: usize, more: u64, takes: &[String]) -> Self {
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        let mut reason = format!("{nodes} usable nodes have room for {more} more");
        if !takes.is_empty() {
            reason.push_str(&format!(": a replica takes {}", takes.join(", ")));
        }
        Self { more, reason }
    }
}

/// Something that happened to a replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrchestratorEvent {
    /// When.
    pub time_ms: TimestampMs,
    /// The service.
    pub service: String,
    /// The replica.
    pub replica: String,
    /// What, in words: `died (exit status 1), restarted`.
    pub summary: String,
}

/// Runs services and changes how many replicas they have.
#[async_trait]
pub trait Orchestrator: Send + Sync + Debug {
    /// `process`, `swarm` …
    fn kind(&self) -> &'static str;

    /// The cluster its services belong to.
    fn cluster(&self) -> &str;

    /// Names of the services it runs, sorted.
    ///
    /// # Errors
    /// [`OrchestratorError::Unreachable`] and its like.
    async fn services(&self) -> Result<Vec<String>, OrchestratorError>;

    /// A service's replicas now.
    ///
    /// # Errors
    /// [`OrchestratorError::UnknownService`]; [`OrchestratorError::Unreachable`] and its like.
    async fn state(&self, service: &str) -> Result<ServiceState, OrchestratorError>;

    /// Changes the number of replicas and returns when the orchestrator has taken it, not when replicas are ready. Asking
    /// again for the number that is already wanted changes nothing.
    ///
    /// # Errors
    /// [`OrchestratorError::Conflict`] when another number than `change.from` (or `change.to`) is wanted by now;
    /// [`OrchestratorError::UnknownService`], [`OrchestratorError::NotScalable`], [`OrchestratorError::Refused`],
    /// [`OrchestratorError::Unreachable`].
    async fn scale(&self, service: &str, change: ScaleChange) -> Result<(), OrchestratorError>;

    /// The same as [`Orchestrator::scale`], with the decision's reason for those whose users can read it there.
    ///
    /// # Errors
    /// As [`Orchestrator::scale`].
    async fn scale_because(&self, service: &str, change: ScaleChange, reason: &str) -> Result<(), OrchestratorError> {
        let _nobody_reads_it_there = reason;
        self.scale(service, change).await
    }

    /// Whether this Tidewatch may write to it, else who does: several that share a lease observe, and one of them acts.
    ///
    /// # Errors
    /// The holder's name.
    fn may_write(&self) -> Result<(), String> {
        Ok(())
    }

    /// How many more replicas of a service there is room for, asked before any are added; `None` when nobody can say, and
    /// then it is found out by adding them.
    ///
    /// # Errors
    /// As [`Orchestrator::state`].
    async fn room(&self, service: &str) -> Result<Option<Room>, OrchestratorError> {
        let _not_known = service;
        Ok(None)
    }

    /// Ends one replica, which carries no load any more, and starts another one for it, elsewhere where that can be said; the
    /// number stays. To replace one that is not there (any more) changes nothing and is no error.
    ///
    /// # Errors
    /// [`OrchestratorError::NotReplaceable`] where this replica cannot be chosen; as [`Orchestrator::scale`].
    async fn replace(&self, service: &str, replica: &str) -> Result<(), OrchestratorError>;

    /// Says that leaving replicas no longer carry load and may stop. Orchestrators that stop replicas by themselves ignore it.
    async fn release(&self, service: &str, replicas: &[String]);

    /// What happened since the last call; bounded, the oldest are lost first.
    fn take_events(&self) -> Vec<OrchestratorEvent>;
}
