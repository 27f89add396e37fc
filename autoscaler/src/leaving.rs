//! Odd replicas on their way out: the balancers drain them first, and only then they are ended.
//!
//! What leaves is written down in the catalog, so that every process has its balancers drain it, whoever decides, and so that a
//! successor ends what another process began.

use std::collections::{BTreeMap, HashMap};
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

/// A replica that is drained, and whether it is, by balancer.
#[derive(Debug, Default)]
struct Drained {
    replica: String,
    at: BTreeMap<String, bool>,
}

/// What the balancers of this process drain: one replica of a service at most.
#[derive(Debug, Default)]
pub(crate) struct Leaving {
    services: Mutex<HashMap<String, Drained>>,
}

impl Leaving {
    /// Has a replica drained from now on.
    pub(crate) fn drain(&self, service: &str, replica: &str) {
        let mut services = self.services.lock();
        if services.get(service).is_none_or(|d| d.replica != replica) {
            let drained = Drained { replica: replica.to_owned(), at: BTreeMap::new() };
            services.insert(service.to_owned(), drained);
        }
    }

    /// Lets the service's replicas be, or be gone.
    pub(crate) fn end(&self, service: &str) {
        self.services.lock().remove(service);
    }

    /// Drains these, and no others: (service, replica).
    fn only(&self, wanted: &[(String, String)]) {
        self.services.lock().retain(|service, _| wanted.iter().any(|(s, _)| s == service));
        for (service, replica) in wanted {
            self.drain(service, replica);
        }
    }

    /// Whether a replica is drained, or to be.
    pub(crate) fn holds(&self, service: &str, replica: &str) -> bool {
        self.services.lock().get(service).is_some_and(|d| d.replica == replica)
    }

    /// Shows a balancer the one that it is to drain.
    pub(crate) fn mark(&self, service: &str, replicas: &mut [Replica]) {
        if let Some(drained) = self.services.lock().get(service) {
            replicas.iter_mut().filter(|r| r.id == drained.replica).for_each(|r| r.leaving = true);
        }
    }

    /// Takes note of what a balancer has drained.
    pub(crate) fn note(&self, service: &str, balancer: &str, drained: &[String]) {
        if let Some(known) = self.services.lock().get_mut(service) {
            let is_drained = drained.contains(&known.replica);
            known.at.insert(balancer.to_owned(), is_drained);
        }
    }

    /// Whether every balancer that spoke since has drained the service's replica, and one has.
    pub(crate) fn is_drained(&self, service: &str) -> bool {
        self.services.lock().get(service).is_some_and(|d| !d.at.is_empty() && d.at.values().all(|done| *done))
    }
}

/// While another process decides, has the balancers of this one drain what that one has written down.
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
        }
        tokio::select! {
            () = shared.clock.sleep(FOLLOW_INTERVAL) => {}
            () = cancel.cancelled() => {}
        }
    }
}

async fn take_over(shared: &Shared) -> PortResult<()> {
    let kept = shared.catalog.documents(NAMESPACE).await?;
    let now = shared.clock.now_ms();
    let departures = kept.into_iter().filter_map(|d| serde_json::from_value::<Departure>(d.value).ok());
    // What nobody looks after any more is not drained for ever.
    let current = departures.filter(|d| now.saturating_sub(d.since_ms) <= ms(STAGE_MAX));
    let wanted: Vec<(String, String)> = current.map(|d| (d.service, d.replica)).collect();
    if shared.leader.fence().is_none() {
        shared.leaving.only(&wanted);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use vocab::testing::{MemCatalog, MemStore, SimClock};

    use super::*;
    use crate::tests::shared;

    fn replica(id: &str) -> Replica {
        Replica { id: id.to_owned(), ready: true, ..Replica::default() }
    }

    #[test]
    fn a_replica_is_drained_once_every_balancer_says_so() {
        let leaving = Leaving::default();
        leaving.drain("web", "web.1");
        let mut seen = [replica("web.1"), replica("web.2")];
        leaving.mark("db", &mut seen);
        assert!(!seen[0].leaving, "another service");
        leaving.mark("web", &mut seen);
        assert_eq!((seen[0].leaving, seen[1].leaving), (true, false));
        assert!(!leaving.is_drained("web"), "nobody has said so");
        leaving.note("web", "north", &["web.1".to_owned()]);
        leaving.note("web", "south", &["web.7".to_owned()]);
        assert!(!leaving.is_drained("web"), "south has not");
        leaving.note("web", "south", &["web.1".to_owned()]);
        leaving.drain("web", "web.1");
        assert!(leaving.is_drained("web") && !leaving.is_drained("db"));
        leaving.drain("web", "web.2");
        assert!(!leaving.is_drained("web") && leaving.holds("web", "web.2") && !leaving.holds("web", "web.1"));
        leaving.end("web");
        assert!(!leaving.holds("web", "web.2"));
    }

    #[test]
    fn another_one_under_the_same_name_is_another_one() {
        let departure = |started_at_ms| Departure {
            service: "db".into(),
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
            replica: "r1".into(),
            started_at_ms: Some(5),
            reason: String::new(),
            since_ms: 1_700_000_000_000,
            told: false,
        };
        departure("web").save(catalog.as_ref(), "local/web").await.expect("kept");
        departure("api").save(catalog.as_ref(), "local/api").await.expect("kept");
        let holds = |service: &str| shared.leaving.holds(service, "r1");
        take_over(&shared).await.expect("read");
        assert!(holds("web") && holds("api"));
        Departure::forget(catalog.as_ref(), "local/web").await.expect("gone");
        take_over(&shared).await.expect("read");
        assert!(!holds("web") && holds("api"));
        clock.advance(STAGE_MAX + Duration::from_secs(1));
        take_over(&shared).await.expect("read");
        assert!(!holds("api"), "nobody looks after it any more");
        departure("web").save(catalog.as_ref(), "local/web").await.expect("kept");
        shared.leader.begin().await.expect("leads");
        take_over(&shared).await.expect("read");
        assert!(!holds("web"), "who decides knows better");
    }
}
