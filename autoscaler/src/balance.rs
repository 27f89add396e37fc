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
#[derive(Debug)]
struct BalancerView {
    /// Where the replicas run that it spreads load over.
    orchestrator: String,
    /// Servers and the replicas behind them.
    seats: Vec<(String, String)>,
    /// Leaving replicas that carry no load here.
    drained: Vec<String>,
}

/// A server and the replica behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seat {
    pub(crate) server: String,
    pub(crate) orchestrator: String,
    pub(crate) replica: String,
}

impl BalancerViews {
    /// Forgets what was said: the balancers are others now.
    pub(crate) fn clear(&self) {
        self.0.write().clear();
    }

    /// Takes note of what a balancer has found and done with the replicas that an orchestrator runs.
    pub(crate) fn note(
        &self,
        service: &str,
        orchestrator: &str,
        balancer: &str,
        seats: Vec<(String, String)>,
        drained: Vec<String>,
    ) {
        let view = BalancerView { orchestrator: orchestrator.to_owned(), seats, drained };
        self.0.write().entry(service.to_owned()).or_default().insert(balancer.to_owned(), view);
    }

    /// The servers of a service with the replica behind each. One that has different replicas at different balancers is left out:
    /// what is counted under its name is of several.
    pub(crate) fn seats(&self, service: &str) -> Vec<Seat> {
        let views = self.0.read();
        let mut known: BTreeMap<&str, Option<Seat>> = BTreeMap::new();
        for view in views.get(service).into_iter().flat_map(BTreeMap::values) {
            for (server, replica) in &view.seats {
                let (orchestrator, replica) = (view.orchestrator.clone(), replica.clone());
                let seat = Seat { server: server.clone(), orchestrator, replica };
                let same = known.entry(server).or_insert_with(|| Some(seat.clone()));
                *same = same.take().filter(|before| *before == seat);
            }
        }
        known.into_values().flatten().collect()
    }

    /// The leaving replicas of an orchestrator that carry no load at any of its balancers.
    pub(crate) fn drained(&self, service: &str, orchestrator: &str) -> Vec<String> {
        let views = self.0.read();
        let of_service = views.get(service).into_iter().flat_map(BTreeMap::values);
        let own: Vec<&BalancerView> = of_service.filter(|v| v.orchestrator == orchestrator).collect();
        let Some(first) = own.first() else { return Vec::new() };
        first.drained.iter().filter(|id| own.iter().all(|v| v.drained.contains(id))).cloned().collect()
    }
}

/// A backend, its service and its orchestrator.
#[derive(Debug)]
pub(crate) struct BalanceLoop {
    pub(crate) service: String,
    pub(crate) balancer: Arc<dyn Balancer>,
    pub(crate) orchestrator: Arc<dyn Orchestrator>,
    /// The name under which the orchestrator is configured.
    pub(crate) orchestrator_name: String,
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
        shared.leaving.mark(&self.service, &self.orchestrator_name, &mut state.replicas);
        let mut reconciled = self.balancer.reconcile(&state.replicas, now).await.map_err(|error| {
            shared.metrics.error("balancer.reconcile");
            chain(&error)
        })?;
        let (seats, drained) = (std::mem::take(&mut reconciled.seats), std::mem::take(&mut reconciled.drained));
        shared.balancers.note(&self.service, &self.orchestrator_name, self.balancer.place(), seats, drained);
        for change in &reconciled.changes {
            tracing::info!(service = self.service, backend = self.balancer.place(), "{change}");
            shared.metrics.balancer_changes.get_or_create(&vec![("service", self.service.clone())]).inc();
        }
        // What the orchestrator does not know of yet is ended by whoever had it drained.
        let mut free = shared.balancers.drained(&self.service, &self.orchestrator_name);
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

    fn seat(server: &str, orchestrator: &str, replica: &str) -> Seat {
        Seat { server: server.to_owned(), orchestrator: orchestrator.to_owned(), replica: replica.to_owned() }
    }

    fn note(views: &BalancerViews, orchestrator: &str, balancer: &str, seats: &[(&str, &str)], drained: &[&str]) {
        let seats = seats.iter().map(|(server, replica)| ((*server).to_owned(), (*replica).to_owned())).collect();
        views.note("web", orchestrator, balancer, seats, drained.iter().map(|id| (*id).to_owned()).collect());
    }

    #[test]
    fn a_server_means_one_replica_or_is_left_out() {
        let views = BalancerViews::default();
        assert_eq!(views.seats("web"), []);
        let (north, south) = ("web at /run/north.sock", "web at /run/south.sock");
        note(&views, "swarm", north, &[("web1", "a"), ("web2", "b"), ("web3", "c")], &[]);
        note(&views, "swarm", south, &[("web1", "a"), ("web2", "c"), ("web4", "b")], &[]);
        let seats = [seat("web1", "swarm", "a"), seat("web3", "swarm", "c"), seat("web4", "swarm", "b")];
        assert_eq!(views.seats("web"), seats);
        note(&views, "swarm", south, &[("web2", "b")], &[]);
        let seats = [seat("web1", "swarm", "a"), seat("web2", "swarm", "b"), seat("web3", "swarm", "c")];
        assert_eq!(views.seats("web"), seats);
        // Another cluster's replica is another one, even under the same name.
        note(&views, "nomad", south, &[("web2", "b"), ("east1", "a")], &[]);
        let seats = [seat("east1", "nomad", "a"), seat("web1", "swarm", "a"), seat("web3", "swarm", "c")];
        assert_eq!(views.seats("web"), seats);
        assert_eq!(views.seats("db"), []);
    }

    #[test]
    fn a_replica_is_let_go_once_no_balancer_sends_it_anything() {
        let views = BalancerViews::default();
        note(&views, "swarm", "north", &[], &["a", "b"]);
        assert_eq!(views.drained("web", "swarm"), ["a", "b"]);
        note(&views, "swarm", "south", &[], &["b"]);
        assert_eq!(views.drained("web", "swarm"), ["b"]);
        // A balancer of another cluster knows nothing of it.
        note(&views, "nomad", "east", &[], &["z"]);
        assert_eq!(
            (views.drained("web", "swarm"), views.drained("web", "nomad")),
            (vec!["b".into()], vec!["z".into()])
        );
        note(&views, "swarm", "north", &[], &[]);
        assert_eq!((views.drained("web", "swarm"), views.drained("db", "swarm")), (vec![], vec![]));
    }
}
