//! Writes down what the orchestrators run: services and replicas as entities, restarts as change events; and remembers it for those
//! who want to know what runs now.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tokio_util::sync::CancellationToken;
use vocab::TimestampMs;
use vocab::change_event::{ChangeEvent, ChangeKind};
use vocab::entity::{Entity, EntityKind};
use vocab::error::chain;
use vocab::scaling::RunningReplica;

use crate::balance::Seat;
use crate::orchestrator::{Orchestrator, Replica, ServiceState};
use crate::service_loop::Shared;

/// Time between rounds.
const INTERVAL: Duration = Duration::from_secs(5);

/// What an orchestrator said longer ago is not what runs now, in milliseconds: some rounds.
const CURRENT_MS: i64 = 30_000;

/// What orchestrators said last of a service: by orchestrator, when and what.
type Said = BTreeMap<String, (TimestampMs, Vec<Replica>)>;

/// What runs now, by service; as much as orchestrators run.
#[derive(Debug, Default)]
pub(crate) struct Running {
    services: RwLock<HashMap<String, Said>>,
}

impl Running {
    /// Takes over all that an orchestrator runs. Services that it no longer names run nothing there.
    fn replace(&self, orchestrator: &str, now_ms: TimestampMs, states: Vec<(String, Vec<Replica>)>) {
        let mut services = self.services.write();
        services.retain(|_, said| {
            said.remove(orchestrator);
            !said.is_empty()
        });
        for (service, replicas) in states {
            services.entry(service).or_default().insert(orchestrator.to_owned(), (now_ms, replicas));
        }
    }

    /// The replicas of a service with their servers at the balancer; `None` when it is not known, or not any more.
    pub(crate) fn of(&self, service: &str, seats: &[Seat], now_ms: TimestampMs) -> Option<Vec<RunningReplica>> {
        let services = self.services.read();
        let said = services.get(service)?;
        if said.values().any(|(at_ms, _)| now_ms.saturating_sub(*at_ms) > CURRENT_MS) {
            return None;
        }
        let shown = |replica: &Replica| RunningReplica {
            id: replica.id.clone(),
            address: replica.address.map(|a| a.to_string()).unwrap_or_default(),
            ready: replica.ready,
            leaving: replica.leaving,
            servers: seats.iter().filter(|s| s.replica == replica.id).map(|s| s.server.clone()).collect(),
        };
        Some(said.values().flat_map(|(_, replicas)| replicas.iter().map(shown)).collect())
    }
}

/// Rounds until cancelled.
pub(crate) async fn run(orchestrator: Arc<dyn Orchestrator>, shared: Arc<Shared>, cancel: CancellationToken) {
    let mut complaint = String::new();
    while !cancel.is_cancelled() {
        let now = round(orchestrator.as_ref(), &shared).await.err().unwrap_or_default();
        if now != complaint && !now.is_empty() {
            shared.metrics.error("inventory");
            tracing::warn!(orchestrator = orchestrator.kind(), "its services are not written down: {now}");
        }
        complaint = now;
        tokio::select! {
            () = shared.clock.sleep(INTERVAL) => {}
            () = cancel.cancelled() => {}
        }
    }
}

async fn round(orchestrator: &dyn Orchestrator, shared: &Shared) -> Result<(), String> {
    let names = orchestrator.services().await.map_err(|e| chain(&e))?;
    let now_ms = shared.clock.now_ms();
    let cluster = orchestrator.cluster();
    let entity = |kind, id: &str, parent: &str, labels: BTreeMap<String, String>| Entity {
        kind,
        cluster: cluster.to_owned(),
        id: id.to_owned(),
        parent: parent.to_owned(),
        labels,
        first_seen_ms: now_ms,
        last_seen_ms: now_ms,
    };
    let label = |name: &str, value: String| (name.to_owned(), value);
    let mut running = Vec::new();
    let mut entities = vec![entity(EntityKind::Cluster, cluster, "", BTreeMap::new())];
    for name in names {
        let state: ServiceState = orchestrator.state(&name).await.map_err(|e| chain(&e))?;
        let labels = BTreeMap::from([label("orchestrator", orchestrator.kind().to_owned())]);
        entities.push(entity(EntityKind::Service, &name, cluster, labels));
        for replica in &state.replicas {
            let mut labels = BTreeMap::from([
                label("orchestrator", orchestrator.kind().to_owned()),
                label("ready", replica.ready.to_string()),
            ]);
            labels.extend(replica.address.map(|a| label("address", a.to_string())));
            labels.extend(replica.pid.map(|p| label("pid", p.to_string())));
            labels.extend(replica.container.clone().map(|c| label("container", c)));
            entities.push(entity(EntityKind::Replica, &replica.id, &name, labels));
        }
        running.push((name, state.replicas));
    }
    shared.running.replace(&format!("{}/{cluster}", orchestrator.kind()), shared.clock.now_ms(), running);
    shared.catalog.upsert_entities(&shared.tenant, &entities).await.map_err(|e| chain(&e))?;
    for event in orchestrator.take_events() {
        let change = ChangeEvent {
            time_ms: event.time_ms,
            kind: ChangeKind::Restart,
            cluster: cluster.to_owned(),
            service: event.service,
            subject: event.replica,
            actor: orchestrator.kind().to_owned(),
            summary: event.summary,
            details: BTreeMap::new(),
        };
        shared.catalog.record_change(&shared.tenant, &change).await.map_err(|e| chain(&e))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::replica;

    #[test]
    fn what_runs_now_is_what_all_orchestrators_said_lately() {
        let running = Running::default();
        let ids = |now_ms| running.of("web", &[], now_ms).map(|l| l.into_iter().map(|r| r.id).collect::<Vec<_>>());
        assert_eq!(ids(0), None, "nobody has said anything");
        running.replace("swarm/a", 1_000, vec![("web".into(), vec![replica("web-1"), replica("web-2")])]);
        running.replace("process/b", 2_000, vec![("web".into(), vec![replica("web-9")]), ("db".into(), Vec::new())]);
        assert_eq!(ids(3_000), Some(vec!["web-9".into(), "web-1".into(), "web-2".into()]));
        let seats = [("web1", "web-2"), ("web2", "web-7"), ("south4", "web-2")];
        let seats = seats.map(|(server, replica)| Seat {
            server: server.into(),
            orchestrator: "swarm".into(),
            replica: replica.into(),
        });
        let shown = running.of("web", &seats, 3_000).expect("known");
        let servers: Vec<String> = shown.iter().map(|r| r.servers.join(" ")).collect();
        assert_eq!(servers, ["", "", "web1 south4"]);
        // One that is gone leaves at once; one whose orchestrator is silent does not.
        running.replace("swarm/a", 6_000, vec![("web".into(), vec![replica("web-1")])]);
        assert_eq!(ids(6_000), Some(vec!["web-9".into(), "web-1".into()]));
        assert_eq!(ids(2_001 + CURRENT_MS), None);
        running.replace("process/b", 33_000, Vec::new());
        assert_eq!(ids(33_000), Some(vec!["web-1".into()]));
        assert_eq!(running.of("db", &[], 33_000), None);
    }
}
