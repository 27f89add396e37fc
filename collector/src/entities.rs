//! Notes in the catalog which hosts, containers, services, replicas and balancers were seen.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use vocab::{Entity, EntityKind, TimestampMs};

use crate::shared::Shared;

/// How often what was seen is written: often enough for "last seen", rare enough for a catalog of thousands.
pub(crate) const FLUSH_INTERVAL: Duration = Duration::from_secs(15);
/// Most entities that wait for the next write; a host with more is beyond what one collector is for.
const WAITING_MAX: usize = 50_000;

type Key = (EntityKind, String, String);

/// What was seen since the last write.
#[derive(Debug, Default)]
pub(crate) struct EntityBook {
    waiting: Mutex<BTreeMap<Key, Entity>>,
}

impl EntityBook {
    /// Notes an entity as seen now.
    pub(crate) fn see(
        &self,
        (kind, cluster, id): (EntityKind, &str, &str),
        parent: &str,
        labels: BTreeMap<String, String>,
        now_ms: TimestampMs,
    ) {
        if id.is_empty() {
            return;
        }
        let mut waiting = self.waiting.lock();
        let key = (kind, cluster.to_owned(), id.to_owned());
        if waiting.len() >= WAITING_MAX && !waiting.contains_key(&key) {
            return;
        }
        let entity = Entity {
            kind,
            cluster: cluster.to_owned(),
            id: id.to_owned(),
            parent: parent.to_owned(),
            labels,
            first_seen_ms: now_ms,
            last_seen_ms: now_ms,
        };
        match waiting.entry(key) {
            std::collections::btree_map::Entry::Vacant(slot) => {
                slot.insert(entity);
            }
            std::collections::btree_map::Entry::Occupied(mut slot) => {
                // Two sources may know different halves of the same thing.
                let known = slot.get_mut();
                known.last_seen_ms = now_ms;
                known.labels.extend(entity.labels);
                if known.parent.is_empty() {
                    known.parent = entity.parent;
                }
            }
        }
    }

    /// Notes a cluster, a service in it and a replica of that; empty names are left out.
    pub(crate) fn see_replica(
        &self,
        (cluster, service, replica): (&str, &str, &str),
        labels: &BTreeMap<String, String>,
        now_ms: TimestampMs,
    ) {
        self.see((EntityKind::Cluster, cluster, cluster), "", BTreeMap::new(), now_ms);
        self.see((EntityKind::Service, cluster, service), cluster, BTreeMap::new(), now_ms);
        if !service.is_empty() {
            self.see((EntityKind::Replica, cluster, replica), service, labels.clone(), now_ms);
        }
    }
}

/// Writes what waits. What cannot be written is tried again with what comes next.
pub(crate) async fn flush(shared: &Shared) {
    let batch = std::mem::take(&mut *shared.entities.waiting.lock());
    if batch.is_empty() {
        return;
    }
    let entities: Vec<Entity> = batch.into_values().collect();
    match shared.catalog.upsert_entities(&shared.tenant, &entities).await {
        Ok(()) => {
            shared.metrics.entities.inc_by(entities.len() as u64);
        }
        Err(error) => {
            tracing::warn!(error = %vocab::error::chain(&error), "cannot note entities, trying again");
            let mut waiting = shared.entities.waiting.lock();
            for entity in entities {
                waiting.entry((entity.kind, entity.cluster.clone(), entity.id.clone())).or_insert(entity);
            }
        }
    }
}
