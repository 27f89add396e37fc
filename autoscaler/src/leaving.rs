//! Odd replicas on their way out: the balancers drain them first, and only then they are ended.
//!
//! What leaves is written down in the catalog, so that every process has its balancers drain it, whoever decides, and so that a
//! successor ends what another process began.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use vocab::error::chain;
use vocab::ports::Catalog;
use vocab::{PortResult, TimestampMs};

use crate::orchestrator::Replica;
use crate::policy::ms;
use crate::service_loop::Shared;

/// Namespace of what is written down.
const NAMESPACE: &str = "autoscaler-leaving";
/// Time between looks of a process that does not decide at what the one that does has written down.
const FOLLOW_INTERVAL: Duration = Duration::from_secs(2);
/// Shortest time for draining: by then the balancers of all processes have heard of it.
pub(crate) const DRAIN_MIN: Duration = Duration::from_secs(5);
/// Longest time until a replica is drained and told to end, and again until it is gone.
pub(crate) const STAGE_MAX: Duration = Duration::from_secs(600);

/// A replica on its way out, as it is written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Departure {
    pub(crate) service: String,
    /// What runs it.
    pub(crate) orchestrator: String,
    pub(crate) replica: String,
    /// When the replica was started: another one may come back under its name.
    pub(crate) started_at_ms: Option<TimestampMs>,
    /// What is odd about it.
    pub(crate) reason: String,
    /// When it began to drain, or when it was told to end.
    pub(crate) since_ms: TimestampMs,
    /// Whether it was told to end.
    pub(crate) told: bool,
}

impl Departure {
    /// Whether it is still there among the replicas.
    pub(crate) fn is_among(&self, replicas: &[Replica]) -> bool {
        let is_the_same = |r: &Replica| self.started_at_ms.zip(r.started_at_ms).is_none_or(|(then, now)| then == now);
        replicas.iter().any(|r| r.id == self.replica && is_the_same(r))
    }

    /// Reads what is written down of a service.
    pub(crate) async fn load(catalog: &dyn Catalog, key: &str) -> PortResult<Option<Self>> {
        let kept = catalog.document(NAMESPACE, key).await?;
        Ok(kept.and_then(|d| serde_json::from_value(d.value).ok()))
    }

    /// Writes it down.
    pub(crate) async fn save(&self, catalog: &dyn Catalog, key: &str) -> PortResult<()> {
        let value = serde_json::to_value(self).unwrap_or_default();
        catalog.put_document(NAMESPACE, key, &value, None).await.map(|_version| ())
    }

    /// Forgets what is written down of a service.
    pub(crate) async fn forget(catalog: &dyn Catalog, key: &str) -> PortResult<()> {
        catalog.delete_document(NAMESPACE, key).await
    }
}

/// While this process decides, a replica that nobody has looked after for so long takes load again: its policy is gone.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);

/// What the balancers of this process drain: one replica of a service at most, by service.
#[derive(Debug, Default)]
pub(crate) struct Leaving {
    replicas: Mutex<HashMap<String, Drained>>,
}

/// A replica that is drained, or to be.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Drained {
    /// What runs it.
    orchestrator: String,
    replica: String,
    /// When somebody looked after it last; monotonic, so that a clock that is put right lets nothing go.
    seen: Duration,
}

impl Drained {
    fn new(orchestrator: &str, replica: &str, seen: Duration) -> Self {
        Self { orchestrator: orchestrator.to_owned(), replica: replica.to_owned(), seen }
    }
}

impl Leaving {
    /// Has a replica drained from now on, unless one of the service leaves already.
    pub(crate) fn begin(&self, service: &str, orchestrator: &str, replica: &str, now: Duration) -> bool {
        match self.replicas.lock().entry(service.to_owned()) {
            Entry::Occupied(_) => false,
            Entry::Vacant(free) => {
                free.insert(Drained::new(orchestrator, replica, now));
                true
            }
        }
    }

    /// Has a replica drained that was written down before.
    pub(crate) fn drain(&self, service: &str, orchestrator: &str, replica: &str, now: Duration) {
        self.replicas.lock().insert(service.to_owned(), Drained::new(orchestrator, replica, now));
    }

    /// Lets the service's replicas be, or be gone.
    pub(crate) fn end(&self, service: &str) {
        self.replicas.lock().remove(service);
    }

    /// Drains these, and no others.
    fn only(&self, wanted: HashMap<String, Drained>) {
        *self.replicas.lock() = wanted;
    }

    /// Lets those be that nobody looks after.
    fn forget(&self, now: Duration) {
        self.replicas.lock().retain(|service, drained| {
            let is_seen = now.saturating_sub(drained.seen) <= FORGOTTEN_AFTER;
            if !is_seen {
                tracing::warn!(
                    service,
                    replica = drained.replica,
                    "it takes load again: nobody looks after it any more"
                );
            }
            is_seen
        });
    }

    /// Whether one of the service leaves.
    pub(crate) fn has_one(&self, service: &str) -> bool {
        self.replicas.lock().contains_key(service)
    }

    /// Whether a replica is drained, or to be.
    pub(crate) fn holds(&self, service: &str, replica: &str) -> bool {
        self.replicas.lock().get(service).is_some_and(|drained| drained.replica == replica)
    }

    /// Shows an orchestrator's balancer the one that it is to drain.
    pub(crate) fn mark(&self, service: &str, orchestrator: &str, replicas: &mut [Replica]) {
        if let Some(drained) = self.replicas.lock().get(service)
            && drained.orchestrator == orchestrator
        {
            replicas.iter_mut().filter(|r| r.id == drained.replica).for_each(|r| r.leaving = true);
        }
    }
}

/// While another process decides, has the balancers of this one drain what that one has written down; while this one decides, lets
/// go of what nobody looks after.
pub(crate) async fn follow(shared: Arc<Shared>, cancel: CancellationToken) {
    let mut complaint = String::new();
    while !cancel.is_cancelled() {
        if shared.leader.fence().is_none() {
            let now = take_over(&shared).await.err().map(|e| chain(&e)).unwrap_or_default();
            if now != complaint && !now.is_empty() {
                shared.metrics.error("catalog.documents");
                tracing::warn!(error = now, "which replicas leave could not be read");
            }
            complaint = now;
        } else {
            shared.leaving.forget(shared.clock.monotonic());
        }
        tokio::select! {
            () = shared.clock.sleep(FOLLOW_INTERVAL) => {}
            () = cancel.cancelled() => {}
        }
    }
}

async fn take_over(shared: &Shared) -> PortResult<()> {
    let kept = shared.catalog.documents(NAMESPACE).await?;
    let (now, seen) = (shared.clock.now_ms(), shared.clock.monotonic());
    let departures = kept.into_iter().filter_map(|d| serde_json::from_value::<Departure>(d.value).ok());
    // What nobody looks after any more is not drained for ever.
    let current = departures.filter(|d| now.saturating_sub(d.since_ms) <= ms(STAGE_MAX));
    let wanted = current.map(|d| (d.service, Drained::new(&d.orchestrator, &d.replica, seen))).collect();
    if shared.leader.fence().is_none() {
        shared.leaving.only(wanted);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use vocab::testing::{MemCatalog, MemStore, SimClock};

    use super::*;
    use crate::tests::{replica, shared};

    #[test]
    fn one_replica_of_a_service_is_drained() {
        let leaving = Leaving::default();
        assert!(!leaving.has_one("web") && leaving.begin("web", "swarm", "web.1", Duration::ZERO));
        assert!(!leaving.begin("web", "nomad", "web.2", Duration::ZERO), "one at a time, over all clusters");
        let mut seen = [replica("web.1"), replica("web.2")];
        leaving.mark("db", "swarm", &mut seen);
        leaving.mark("web", "nomad", &mut seen);
        assert!(!seen[0].leaving, "another service, and another cluster");
        leaving.mark("web", "swarm", &mut seen);
        assert_eq!((seen[0].leaving, seen[1].leaving), (true, false));
        leaving.drain("web", "nomad", "web.2", Duration::from_secs(5));
        assert!(leaving.holds("web", "web.2") && !leaving.holds("web", "web.1") && !leaving.holds("db", "web.2"));
        assert!(leaving.has_one("web") && !leaving.has_one("db"));
        leaving.forget(Duration::from_secs(65));
        assert!(leaving.holds("web", "web.2"), "somebody looked after it a minute ago");
        leaving.forget(Duration::from_secs(66));
        assert!(!leaving.has_one("web"));
        assert!(leaving.begin("web", "swarm", "web.1", Duration::ZERO));
        leaving.end("web");
        assert!(!leaving.has_one("web"));
    }

    #[test]
    fn another_one_under_the_same_name_is_another_one() {
        let departure = |started_at_ms| Departure {
            service: "db".into(),
            orchestrator: "kubernetes".into(),
            replica: "db-0".into(),
            started_at_ms,
            reason: String::new(),
            since_ms: 0,
            told: true,
        };
        let pod = |started_at_ms| [Replica { started_at_ms, ..replica("db-0") }];
        for (then, now, expect) in
            [(Some(5), Some(5), true), (Some(5), Some(9), false), (Some(5), None, true), (None, Some(9), true)]
        {
            assert_eq!(departure(then).is_among(&pod(now)), expect, "{then:?} {now:?}");
        }
        assert!(!departure(None).is_among(&[replica("db-1")]));
    }

    #[tokio::test]
    async fn who_does_not_decide_drains_what_is_written_down() {
        let clock = SimClock::at(1_700_000_000_000);
        let catalog = Arc::new(MemCatalog::new(Arc::new(clock.clone())));
        let shared = shared(&clock, &MemStore::new(), &catalog, "second");
        let departure = |service: &str| Departure {
            service: service.into(),
            orchestrator: "swarm".into(),
            replica: "r1".into(),
            started_at_ms: Some(5),
            reason: String::new(),
            since_ms: 1_700_000_000_000,
            told: false,
        };
        departure("web").save(catalog.as_ref(), "swarm/web").await.expect("kept");
        departure("api").save(catalog.as_ref(), "swarm/api").await.expect("kept");
        let holds = |service: &str| shared.leaving.holds(service, "r1");
        take_over(&shared).await.expect("read");
        assert!(holds("web") && holds("api"));
        Departure::forget(catalog.as_ref(), "swarm/web").await.expect("gone");
        take_over(&shared).await.expect("read");
        assert!(!holds("web") && holds("api"));
        clock.advance(STAGE_MAX + Duration::from_secs(1));
        take_over(&shared).await.expect("read");
        assert!(!holds("api"), "nobody looks after it any more");
        departure("web").save(catalog.as_ref(), "swarm/web").await.expect("kept");
        shared.leader.begin().await.expect("leads");
        take_over(&shared).await.expect("read");
        assert!(!holds("web"), "who decides knows better");
    }
}
