//! The loop of one balancer: brings its backend in line with the replicas and lets drained ones stop.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tokio_util::sync::CancellationToken;
use vocab::error::chain;

use crate::balancer::Balancer;
use crate::orchestrator::Orchestrator;
use crate::service_loop::Shared;

/// What the balancers of each service said last.
#[derive(Debug, Default)]
pub(crate) struct BalancerViews(RwLock<HashMap<String, BTreeMap<String, BalancerView>>>);

/// What one balancer says of a service.
#[derive(Debug, Default)]
struct BalancerView {
    /// Servers and the replicas behind them.
    seats: Vec<(String, String)>,
    /// Leaving replicas that carry no load here.
    drained: Vec<String>,
}

impl BalancerViews {
    /// Forgets what was said: the balancers are others now.
    pub(crate) fn clear(&self) {
        self.0.write().clear();
    }

    /// Takes note of what a balancer has found and done.
    pub(crate) fn note(&self, service: &str, balancer: &str, seats: Vec<(String, String)>, drained: Vec<String>) {
        let mut views = self.0.write();
        views.entry(service.to_owned()).or_default().insert(balancer.to_owned(), BalancerView { seats, drained });
    }

    /// The servers of a service with the replica behind each. One that has different replicas at different balancers is left out:
    /// what is counted under its name is of several.
    pub(crate) fn seats(&self, service: &str) -> Vec<(String, String)> {
        let views = self.0.read();
        let mut known: BTreeMap<&String, Option<&String>> = BTreeMap::new();
        for (server, replica) in views.get(service).into_iter().flat_map(BTreeMap::values).flat_map(|v| &v.seats) {
            let same = known.entry(server).or_insert(Some(replica));
            *same = same.filter(|before| *before == replica);
        }
        known.into_iter().filter_map(|(server, replica)| Some((server.clone(), replica?.clone()))).collect()
    }

    /// The leaving replicas that carry no load at any balancer.
    fn drained(&self, service: &str) -> Vec<String> {
        let views = self.0.read();
        let Some(views) = views.get(service) else { return Vec::new() };
        let first = views.values().next().into_iter().flat_map(|v| &v.drained);
        first.filter(|id| views.values().all(|v| v.drained.contains(id))).cloned().collect()
    }
}

/// A backend, its service and its orchestrator.
#[derive(Debug)]
pub(crate) struct BalanceLoop {
    pub(crate) service: String,
    pub(crate) balancer: Arc<dyn Balancer>,
    pub(crate) orchestrator: Arc<dyn Orchestrator>,
    pub(crate) interval: Duration,
    /// Where it is written who sits where, and what is to be drained.
    pub(crate) shared: Arc<Shared>,
}

impl BalanceLoop {
    /// Rounds until cancelled. A complaint is logged when it changes, not each second.
    pub(crate) async fn run(self, cancel: CancellationToken) {
        let mut complaint = String::new();
        while !cancel.is_cancelled() {
            let now = self.round().await.err().unwrap_or_default();
            if now != complaint {
                if now.is_empty() {
                    tracing::info!(
                        service = self.service,
                        backend = self.balancer.place(),
                        "the balancer is in line again"
                    );
                } else {
                    tracing::warn!(service = self.service, backend = self.balancer.place(), "{now}");
                }
                complaint = now;
            }
            tokio::select! {
                () = self.shared.clock.sleep(self.interval) => {}
                () = cancel.cancelled() => {}
            }
        }
    }

    async fn round(&self) -> Result<(), String> {
        let (shared, now) = (&self.shared, self.shared.clock.monotonic());
        // While the orchestrator is silent the backend stays as it is.
        let mut state = self.orchestrator.state(&self.service).await.map_err(|error| chain(&error))?;
        let told: Vec<String> = state.replicas.iter().filter(|r| r.leaving).map(|r| r.id.clone()).collect();
        shared.leaving.mark(&self.service, &mut state.replicas);
        let mut reconciled = self.balancer.reconcile(&state.replicas, now).await.map_err(|error| {
            shared.metrics.error("balancer.reconcile");
            chain(&error)
        })?;
        shared.leaving.note(&self.service, self.balancer.place(), &reconciled.drained);
        let drained = std::mem::take(&mut reconciled.drained);
        shared.balancers.note(&self.service, self.balancer.place(), std::mem::take(&mut reconciled.seats), drained);
        for change in &reconciled.changes {
            tracing::info!(service = self.service, backend = self.balancer.place(), "{change}");
            shared.metrics.balancer_changes.get_or_create(&vec![("service", self.service.clone())]).inc();
        }
        // What the orchestrator does not know of yet is ended by whoever had it drained.
        let mut free = shared.balancers.drained(&self.service);
        free.retain(|id| told.contains(id));
        if !free.is_empty() {
            self.orchestrator.release(&self.service, &free).await;
        }
        if reconciled.unplaced.is_empty() {
            Ok(())
        } else {
            Err(format!(
                "backend {} has no free slot for {}: raise its server-template",
                self.balancer.place(),
                reconciled.unplaced.join(", ")
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seat(server: &str, replica: &str) -> (String, String) {
        (server.to_owned(), replica.to_owned())
    }

    #[test]
    fn a_server_means_one_replica_or_is_left_out() {
        let views = BalancerViews::default();
        assert_eq!(views.seats("web"), []);
        let note = |balancer, seats| views.note("web", balancer, seats, Vec::new());
        note("web at /run/north.sock", vec![seat("web1", "a"), seat("web2", "b"), seat("web3", "c")]);
        note("web at /run/south.sock", vec![seat("web1", "a"), seat("web2", "c"), seat("web4", "b")]);
        assert_eq!(views.seats("web"), [seat("web1", "a"), seat("web3", "c"), seat("web4", "b")]);
        note("web at /run/south.sock", vec![seat("web2", "b")]);
        assert_eq!(views.seats("web"), [seat("web1", "a"), seat("web2", "b"), seat("web3", "c")]);
        assert_eq!(views.seats("db"), []);
    }

    #[test]
    fn a_replica_is_let_go_once_no_balancer_sends_it_anything() {
        let views = BalancerViews::default();
        let note = |balancer, drained: &[&str]| {
            views.note("web", balancer, Vec::new(), drained.iter().map(|id| (*id).to_owned()).collect());
        };
        note("north", &["a", "b"]);
        assert_eq!(views.drained("web"), ["a", "b"]);
        note("south", &["b"]);
        assert_eq!(views.drained("web"), ["b"]);
        note("north", &[]);
        assert_eq!((views.drained("web"), views.drained("db")), (vec![], vec![]));
    }
}
