//! Writes down what the orchestrators run: services and replicas as entities, restarts as change events.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use vocab::change_event::{ChangeEvent, ChangeKind};
use vocab::entity::{Entity, EntityKind};
use vocab::error::chain;

use crate::orchestrator::{Orchestrator, ServiceState};
use crate::service_loop::Shared;

/// Time between rounds.
const INTERVAL: Duration = Duration::from_secs(5);

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
    }
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
